"""
Speed and memory of HULANet's head over given detections: `python benchmarks/hulanet_speed.py`.

The model has the published sizes and random weights. A photo of 600 x 800 pixels has 100 detections with masks, scores
and features, as another detector would give them, so that no detector runs. "Image side" is what needs no words;
"whole" is everything from detections and words to masks at the size of the input. The project wants less than 150 ms
for ten phrases on two cores, at most twice the time of one, and less than 1 GB beyond the detector: the last row shows
what the model and the photo alone take.
"""

from side_by_side import Row, run

SIZE, DETECTIONS = (600, 800), 100


def whole(expressions: int) -> dict:
    return {"expressions": expressions}


ROWS = [
    Row("whole, one phrase", whole(1)),
    Row("whole, ten phrases", whole(10)),
    Row("image side", {"stage": "image"}),
    Row("ten phrases, image side done", {"stage": "phrases", "expressions": 10}),
    Row("relationship module, ten relations", {"stage": "relationship", "expressions": 10}),
    Row("model and photo alone", {"stage": "nothing"}),
]


def build():
    """The published sizes over a tiny detector, which is never asked, and one photo with its detections."""
    import torch

    from hf_refseg import HulaNetConfig, HulaNetForReferringSegmentation, MaskRcnnConfig

    torch.manual_seed(0)
    backbone = {"stem_size": 8, "hidden_sizes": [16, 16, 16], "depths": [1, 1, 1], "output_stride": 16}
    backbone = {"model_type": "refseg_caffe_resnet", "padding": "symmetric", "batch_norm_eps": 1e-5, **backbone}
    detector = MaskRcnnConfig(backbone_config=backbone, num_labels=1272, head_size=16, head_depth=1)
    model = HulaNetForReferringSegmentation(HulaNetConfig(detector_config=detector)).eval()
    return model, {"pixel_values": torch.zeros(1, 3, *SIZE), **detections(model.config.region_size)}


def detections(channels: int) -> dict:
    """Ellipses of many sizes, each with a category of its own, and their boxes."""
    import torch

    from hf_refseg.layers.regions import mask_boxes

    height, width = SIZE
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    center = torch.rand(DETECTIONS, 2) * torch.tensor([height, width])
    radius = torch.rand(DETECTIONS, 2) * torch.tensor([200, 240]) + 20
    masks = [((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1 for (cy, cx), (ry, rx) in zip(center, radius, strict=True)]
    masks = torch.stack(masks)
    return {
        "region_boxes": [mask_boxes(masks)],
        "region_masks": [masks],
        "region_labels": [torch.randperm(1272)[:DETECTIONS]],
        "region_scores": [torch.rand(DETECTIONS)],
        "region_features": [torch.randn(DETECTIONS, channels).relu()],
    }


def phrases(number: int) -> dict:
    """Phrases of an attribute, a name and a relation: "white cup on table"."""
    import torch

    return {
        "input_ids": torch.randint(4, 7000, (number, 6)),
        "attention_mask": torch.ones(number, 6),
        "word_roles": torch.tensor([[2, 7, 5, 9, 11, 3]]).expand(number, -1),
        "image_index": torch.zeros(number, dtype=torch.long),
    }


def prepare(row: dict):
    import torch

    model, image = build()
    said = phrases(row.get("expressions", 1))
    with torch.inference_mode():
        features = model.get_image_features(**image)
        predicates = torch.randn(row.get("expressions", 1), model.config.phrase_size)
    maps = torch.rand(len(predicates), 150, 200)
    work = {
        "image": lambda: model.get_image_features(**image),
        "phrases": lambda: model(image_features=features, **said),
        "relationship": lambda: model.head.relationship(maps, predicates),
        "nothing": lambda: image["pixel_values"].sum(),
        None: lambda: model(**image, **said),
    }
    return torch.inference_mode()(work[row.get("stage")])


if __name__ == "__main__":
    run(__doc__, __file__, ROWS, repeats=10)
