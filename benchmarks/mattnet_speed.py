"""
Speed and memory of MAttNet on this machine, beside the original program: `python benchmarks/mattnet_speed.py`.

The model has the published sizes, and random weights with which the detector finds ten things. The first rows are whole
answers on one photo of 600 x 800 pixels, the others their stages one by one. The originals' figures of another machine
are wall minima of PyTorch 2.15 on two cores (shared/specs/speed_mattnet.md); side_by_side.py tells how to measure the
original in the same run.
"""

from side_by_side import Row, run

SIZE, DETECTIONS = (600, 800), 10


def answer(expressions: int = 1, **options) -> dict:
    return {"expressions": expressions, **options}


ROWS = [
    Row("one expression", answer(), original_ms=4050 + 24, target=1.35),
    Row("ten expressions", answer(10), original_ms=4050 + 258, target=1.2),
    Row("one expression, ten given regions", answer(given=True), original_ms=680 + 24),
    Row("fast: 100 proposals, one expression", answer(proposals=100), original_ms=4050 + 24),
    Row("fast: 50 proposals, one expression", answer(proposals=50), original_ms=4050 + 24),
    Row("backbone, conv1 to layer3", {"stage": "backbone"}, original_ms=616),
    Row("RPN and proposals", {"stage": "proposals"}, original_ms=295),
    Row("crop of 300 regions", {"stage": "crop"}, original_ms=34),
    Row("layer4 on 300 regions", {"stage": "head"}, original_ms=2531),
    Row("category and box of 300 regions", {"stage": "boxes"}, original_ms=32),
    Row("crop, layer4 and masks of 10 regions", {"stage": "masks"}, original_ms=56 + 70),
    Row("matching, 10 regions, 1 expression", {"stage": "matching", "expressions": 1}, original_ms=23.9),
    Row("matching, 10 regions, 10 expressions", {"stage": "matching", "expressions": 10}, original_ms=258),
]


def build():
    """The published architecture; normalizations as in a trained network, so that activations stay finite."""
    import torch

    from hf_refseg import MAttNetConfig, MAttNetForReferringSegmentation
    from hf_refseg.layers.caffe_resnet_unit import CaffeResNetUnit

    torch.manual_seed(0)
    model = MAttNetForReferringSegmentation(MAttNetConfig()).eval()
    for unit in model.modules():
        if isinstance(unit, CaffeResNetUnit):
            unit.expand.normalization.weight.fill_(0.2)
    torch.nn.init.normal_(model.detector.head.class_logits.weight, std=0.5 * (2 / 2048) ** 0.5)
    image = torch.randn(1, 3, *SIZE).mul_(60)
    detector = model.detector
    with torch.inference_mode():
        maps = detector.get_image_features(image)
        boxes, _ = detector.propose(maps)
        logits, _ = detector.head.predict(detector.head(detector.crop(maps, boxes)))
        scores = logits.softmax(-1)[:, 1:].flatten().sort(descending=True).values
    detector.config.score_threshold = float(scores[DETECTIONS - 1])
    detector.config.nms_threshold = 1.0  # a random head's best boxes lie upon each other
    return model, image


def words(number: int):
    import torch

    return torch.randint(1, 1000, (number, 5))


def given_regions():
    """Boxes (10, 4) and labels (10,) of regions that the caller brings."""
    import torch

    corners = torch.rand(DETECTIONS, 2) * torch.tensor([600.0, 420])
    boxes = torch.cat([corners, corners + torch.tensor([200.0, 180])], -1)
    return boxes, torch.randint(0, 80, (DETECTIONS,))


def prepare_answer(model, image, row: dict):
    """A whole answer: photo and expressions in, masks out."""
    config = model.detector.config
    config.post_nms_top_n = row.get("proposals", config.post_nms_top_n)
    inputs = {"input_ids": words(row["expressions"])}
    if row.get("given"):
        boxes, labels = given_regions()
        inputs |= {"region_boxes": boxes[None], "region_labels": labels[None]}
    return lambda: model(image, **inputs)


def prepare_stage(model, image, row: dict):
    """One stage, given what the stages before it found."""
    import torch

    detector, matching = model.detector, model.matching
    boxes, labels = given_regions()
    maps = detector.get_image_features(image)
    proposals, _ = detector.propose(maps)
    crops = detector.crop(maps, proposals)
    head = detector.head(crops)
    features = model.get_image_features(image, region_boxes=[boxes], region_labels=[labels])
    input_ids = words(row.get("expressions", 1))

    def masks():
        _, maps_of_ten = detector.describe_regions(maps, [boxes], torch.ones(1))
        return detector.mask_branch(maps_of_ten, labels)

    stages = {
        "backbone": lambda: detector.get_image_features(image),
        "proposals": lambda: detector.propose(maps),
        "crop": lambda: detector.crop(maps, proposals),
        "head": lambda: detector.head(crops),
        "boxes": lambda: detector.head.predict(head),
        "masks": masks,
        "matching": lambda: matching.match(features.matching, input_ids),
    }
    return stages[row["stage"]]


def prepare(row: dict):
    import torch

    model, image = build()  # a model that is made in inference mode does not fold its normalizations
    with torch.inference_mode():
        work = prepare_stage if "stage" in row else prepare_answer
        return torch.inference_mode()(work(model, image, row))


if __name__ == "__main__":
    run(__doc__, __file__, ROWS, repeats=6)
