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


def matching(expressions: int) -> dict:
    return {"stage": "matching", "expressions": expressions}


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
    Row("regions' features and matching, 10 regions, 1 expression", matching(1), original_ms=23.9),
    Row("regions' features and matching, 10 regions, 10 expressions", matching(10), original_ms=258),
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
        features = detector.get_image_features(image)
        scored = detector.score(features, detector.propose(features))
        scores = scored.logits.softmax(-1)[:, 1:].flatten().sort(descending=True).values
    detector.config.score_threshold = float(scores[DETECTIONS - 1])
    detector.config.nms_threshold = 1.0  # a random head's best boxes lie upon each other
    return model, image


def words(number: int):
    import torch

    return torch.randint(1, 1000, (number, 5))


def given_regions() -> dict:
    """Ten regions that the caller brings."""
    import torch

    corners = torch.rand(DETECTIONS, 2) * torch.tensor([600.0, 420])
    boxes = torch.cat([corners, corners + torch.tensor([200.0, 180])], -1)
    return {"region_boxes": [boxes], "region_labels": [torch.randint(0, 80, (DETECTIONS,))]}


def prepare_answer(model, image, row: dict):
    """A whole answer: photo and expressions in, masks out."""
    config = model.detector.config
    config.post_nms_top_n = row.get("proposals", config.post_nms_top_n)
    regions = given_regions() if row.get("given") else {}
    input_ids = words(row["expressions"])
    return lambda: model(image, input_ids, **regions)


def prepare_stage(model, image, row: dict):
    """One stage, given what the stages before it found."""
    detector, matching = model.detector, model.matching
    features = detector.get_image_features(image)
    proposals = detector.propose(features)
    crops = detector.crop(features.maps, proposals.boxes, proposals.image_index)
    head_maps = detector.head(crops)
    regions, *maps = detector.find_regions(features, **given_regions())
    input_ids = words(row.get("expressions", 1))

    def draw():
        _, head_maps = detector.describe(features, regions)
        return detector.draw(head_maps, regions.labels)

    def match():
        encoded = matching.encode_regions(regions, *maps, features.geometry.original_sizes)
        return matching.match(regions, encoded, matching.encode_words(input_ids))

    stages = {
        "backbone": lambda: detector.get_image_features(image),
        "proposals": lambda: detector.propose(features),
        "crop": lambda: detector.crop(features.maps, proposals.boxes, proposals.image_index),
        "head": lambda: detector.head(crops),
        "boxes": lambda: detector.head.predict(head_maps),
        "masks": draw,
        "matching": match,
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
