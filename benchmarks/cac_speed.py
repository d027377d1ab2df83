"""
Speed and memory of CAC on this machine, beside the original program: `python benchmarks/cac_speed.py`.

The model has the published sizes and random weights. The first rows are whole answers on one photo of 600 x 800 pixels,
the others their stages one by one. The original's figures of another machine (shared/specs/speed_cac.md) are halves of
its CPU time on two cores, PyTorch 2.15: its wall times were taken beside other programs, and it can't be faster than
that. It has no batch of expressions: ten of them are ten runs. side_by_side.py tells how to measure the original in the
same run.
"""

from side_by_side import Row, run

SIZE, REGIONS, CORES = (600, 800), 10, 2
WHOLE = 6796 / CORES


def answer(expressions: int = 1, **options) -> dict:
    return {"expressions": expressions, **options}


ROWS = [
    Row("one expression", answer(), original_ms=WHOLE, target=1.25),
    Row("ten expressions", answer(10), original_ms=10 * WHOLE),
    Row("one expression, ten given regions", answer(given=True)),
    Row("fast: 100 proposals, one expression", answer(proposals=100), original_ms=WHOLE),
    Row("fast: 50 proposals, one expression", answer(proposals=50), original_ms=WHOLE),
    Row("backbone, conv1 to layer3", {"stage": "backbone"}, original_ms=1348 / CORES),
    Row("words to filters", {"stage": "filters"}, original_ms=7),
    Row("responses and modulation", {"stage": "responses"}),
    Row("RPN and proposals", {"stage": "proposals"}, original_ms=224 / CORES),
    Row("crop of 300 regions", {"stage": "crop"}, original_ms=60 / CORES),
    Row("layer4 on 300 regions", {"stage": "head"}, original_ms=4024 / CORES),
    Row("category and box of 300 regions", {"stage": "boxes"}, original_ms=46 / CORES),
    Row("crop, layer4 and mask of the chosen box", {"stage": "mask"}, original_ms=34),
    Row("greedy caption of a region", {"stage": "caption"}),
]


def build():
    """The published architecture; normalizations as in a trained network, so that activations stay finite."""
    import torch

    from hf_refseg import CacConfig, CacForReferringSegmentation
    from hf_refseg.layers.caffe_resnet_unit import CaffeResNetUnit

    torch.manual_seed(0)
    model = CacForReferringSegmentation(CacConfig()).eval()
    for unit in model.modules():
        if isinstance(unit, CaffeResNetUnit):
            unit.expand.normalization.weight.fill_(0.2)
    return model, torch.randn(1, 3, *SIZE).mul_(60)


def words(number: int):
    import torch

    return torch.randint(1, 1000, (number, 4))


def prepare_answer(model, image, row: dict):
    """A whole answer: photo and expressions in, masks out."""
    import torch

    model.config.num_proposals = row.get("proposals", model.config.num_proposals)
    regions = {}
    if row.get("given"):
        corners = torch.rand(REGIONS, 2) * torch.tensor([600.0, 420])
        regions = {"region_boxes": [torch.cat([corners, corners + torch.tensor([200.0, 180])], -1)]}
    input_ids = words(row["expressions"])
    return lambda: model(image, input_ids, **regions)


def prepare_stage(model, image, row: dict):
    """One stage, given what the stages before it found."""
    import torch

    from hf_refseg.layers.regions import Regions

    detector, input_ids, index = model.detector, words(1), torch.tensor([0])
    features, text = model.get_image_features(image), model.get_text_features(input_ids)
    images = features.images
    seen = model.respond(images, text, index)
    modulated = model.modulate(images, seen.fused_response, index)
    proposals = detector.propose(modulated)
    crops = detector.crop(modulated.maps, proposals.boxes, proposals.image_index)
    head_maps = detector.head(crops)
    region = Regions(torch.tensor([[200.0, 100, 500, 400]]), (1,), torch.tensor([3]))
    described = model.get_image_features(image, region_boxes=[region.boxes])

    def respond():
        seen = model.respond(images, text, index)
        return model.modulate(images, seen.fused_response, index)

    def draw():
        _, head_maps = detector.describe(modulated, region)
        return detector.draw(head_maps, region.labels)

    stages = {
        "backbone": lambda: model.get_image_features(image),
        "filters": lambda: model.get_text_features(input_ids),
        "responses": respond,
        "proposals": lambda: detector.propose(modulated),
        "crop": lambda: detector.crop(modulated.maps, proposals.boxes, proposals.image_index),
        "head": lambda: detector.head(crops),
        "boxes": lambda: detector.head.predict(head_maps),
        "mask": draw,
        "caption": lambda: model.generate_caption(image_features=described),
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
