import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from PIL import Image
from transformers import AutoConfig, AutoModel

from hf_refseg.layers.regions import Regions
from hf_refseg.models.mask_rcnn.configuration_mask_rcnn import MaskRcnnConfig
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from tests.tiny import tiny_mask_rcnn


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_mask_rcnn(score_threshold=0.2)


@pytest.fixture
def images():
    return torch.randn(2, 3, 80, 96, generator=torch.Generator().manual_seed(1))


def annotations(size=(80, 96)):
    """Two things in the first image, none in the second."""
    masks = torch.zeros(2, *size, dtype=torch.bool)
    masks[0, 10:40, 8:50], masks[1, 30:70, 60:90] = True, True
    boxes = torch.tensor([[8.0, 10, 50, 40], [60, 30, 90, 70]])
    nothing = {"boxes": boxes[:0], "masks": masks[:0], "class_labels": torch.zeros(0, dtype=torch.long)}
    return [{"boxes": boxes, "masks": masks, "class_labels": torch.tensor([1, 4])}, nothing]


@torch.no_grad()
def test_shapes(model, images):
    outputs = model(images, score_threshold=0.1)
    number = len(outputs.scores)
    assert number and outputs.pred_boxes.shape == (number, 4)
    assert outputs.mask_probabilities.shape == (number, 14, 14)
    assert outputs.crops.shape == (number, 16, 7, 7) and outputs.head_features.shape == (number, 24, 7, 7)
    assert outputs.image_index.tolist() == sorted(outputs.image_index.tolist())
    assert set(outputs.class_labels.tolist()) <= set(range(5))


@torch.no_grad()
def test_a_batch_of_other_sizes_finds_what_each_image_does_alone(model, images):
    """Padding does not leak into the border of a smaller image."""
    sizes = [(80, 96), (61, 70)]
    batch, mask = torch.zeros_like(images), torch.zeros(2, 80, 96, dtype=torch.long)
    for row, (height, width) in enumerate(sizes):
        batch[row, :, :height, :width] = images[row, :, :height, :width]
        mask[row, :height, :width] = 1
    together = model(batch, mask, score_threshold=0.1)
    for row, (height, width) in enumerate(sizes):
        alone = model(images[row, None, :, :height, :width], score_threshold=0.1)
        of_image = together.image_index == row
        for name in ("pred_boxes", "scores", "class_labels", "mask_probabilities"):
            torch.testing.assert_close(together[name][of_image], alone[name], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_mask_branch_runs_on_what_is_returned_only(model, images):
    seen = []
    model.mask_branch.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    outputs = model(images, score_threshold=0.1)
    assert seen == [len(outputs.scores)]


@torch.no_grad()
def test_the_threshold_is_lowered_only_where_that_is_asked_for(model, images):
    assert len(model(images, score_threshold=0.999).scores) == 0
    outputs = model(images, score_threshold=0.999, at_least_one=True)
    assert set(outputs.image_index.tolist()) == {0, 1}


@torch.no_grad()
def test_broken_weights_end_without_detections(model, images):
    """NaN reaches no threshold, however low."""
    model.head.class_logits.weight.fill_(float("nan"))
    assert len(model(images, at_least_one=True).scores) == 0


@torch.no_grad()
def test_no_detection_is_an_empty_result(model, images):
    outputs = model(images, score_threshold=1.0)
    assert outputs.pred_boxes.shape == (0, 4) and outputs.mask_probabilities.shape == (0, 14, 14)


# ---- The five steps ----


@torch.no_grad()
def test_the_steps_one_by_one_are_the_whole(model, images):
    whole = model(images, score_threshold=0.1)
    features = model.get_image_features(images)
    proposals = model.propose(features)
    assert proposals.boxes.shape == (sum(proposals.counts), 4) and max(proposals.counts) <= 20
    assert proposals.image_index.bincount().tolist() == list(proposals.counts)
    scored = model.score(features, proposals)
    assert scored.logits.shape == (len(proposals.boxes), 6) and scored.boxes.shape == (len(proposals.boxes), 6, 4)
    regions = model.choose(scored, score_threshold=0.1)
    crops, head_maps = model.describe(features, regions)
    masks = model.draw(head_maps, regions.labels)
    for ours, expected in (
        (regions.boxes, whole.pred_boxes), (regions.labels, whole.class_labels), (regions.scores, whole.scores),
        (regions.image_index, whole.image_index), (crops, whole.crops), (head_maps, whole.head_features),
        (masks, whole.mask_probabilities),
    ):  # fmt: skip
        assert torch.equal(ours, expected)


@torch.no_grad()
def test_the_steps_read_any_map(model, images):
    """Three expressions modulate the maps of two images: each map is seen as a batch of its own sees it."""
    sizes, scales = torch.tensor([[40, 48], [80, 96]]), torch.tensor([2.0, 1.0])
    features = model.get_image_features(images, original_sizes=sizes, image_scales=scales)
    image_index = torch.tensor([1, 0, 1])
    modulation = torch.rand(3, 16, 1, 1, generator=torch.Generator().manual_seed(2))
    seen = features.with_maps(features.maps[image_index] * modulation, image_index)
    together = model.score(seen, model.propose(seen))
    start = 0
    for row, image in enumerate(image_index.tolist()):
        alone = model.get_image_features(
            images[image, None], original_sizes=sizes[image, None], image_scales=scales[image, None]
        )
        alone = alone.with_maps(alone.maps * modulation[row])
        scored = model.score(alone, model.propose(alone))
        rows = slice(start, start + together.counts[row])
        torch.testing.assert_close(together.boxes[rows], scored.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(together.probabilities()[rows], scored.probabilities(), rtol=1e-4, atol=1e-5)
        start += together.counts[row]
    # the likeliest box and category of each map, without suppression, as CAC chooses
    best = [of_map.flatten().argmax() for of_map in together.probabilities().split(together.counts)]
    labels = torch.stack(best) % 5
    of_maps = zip(together.boxes.split(together.counts), best, strict=True)
    boxes = torch.stack([of_map[index // 5, index % 5 + 1] for of_map, index in of_maps])
    _, head_maps = model.describe(seen, Regions(boxes, (1, 1, 1), labels))
    assert model.draw(head_maps, labels).shape == (3, 14, 14)


@torch.no_grad()
def test_a_photo_of_nothing_gives_few_regions():
    """The published rule lowers the threshold until every proposal is a detection of every category."""
    torch.manual_seed(0)
    model = tiny_mask_rcnn(num_labels=40, post_nms_top_n=60, max_detections=7, nms_threshold=0.9)
    described, crop = [], model.crop
    model.crop = lambda maps, boxes, image_index: described.append(len(boxes)) or crop(maps, boxes, image_index)
    blank = torch.zeros(2, 3, 80, 96)
    outputs = model(blank, score_threshold=0.9, at_least_one=True)
    assert torch.bincount(outputs.image_index).tolist() == [7, 7]
    assert described[0] > 14 and described[-1] == 14, "no more than 7 regions of an image are described"
    assert len(model(blank, score_threshold=0.9).scores) == 0


@torch.no_grad()
def test_the_surest_detections_stay(model, images):
    everything = model(images, score_threshold=0.05)
    assert torch.bincount(everything.image_index).min() > 6
    model.config.max_detections = 6
    some = model(images, score_threshold=0.05)
    for image in range(2):
        rows = (everything.image_index == image).nonzero()[:, 0]
        best = rows[everything.scores[rows].argsort(descending=True, stable=True)[:6].sort().values]
        torch.testing.assert_close(some.pred_boxes[some.image_index == image], everything.pred_boxes[best])
        assert torch.equal(some.class_labels[some.image_index == image], everything.class_labels[best])


@torch.no_grad()
def test_a_caller_brings_regions(model, images):
    features = model.get_image_features(images)
    boxes = [[[4.0, 4, 30, 40], [20, 10, 60, 62]], [[0.0, 30, 25, 64]]]
    regions, crops, head_maps = model.find_regions(features, boxes)
    assert regions.boxes.tolist() == [*boxes[0], *boxes[1]] and crops.shape == (3, 16, 7, 7)
    logits, _ = model.head.predict(head_maps)
    assert torch.equal(regions.labels, logits[:, 1:].argmax(1)), "the detector's guess"
    regions, _, _ = model.find_regions(features, boxes, region_labels=[[4, 0], [2]])
    assert regions.labels.tolist() == [4, 0, 2]
    with pytest.raises(ValueError, match="has the label 5, but the detector draws masks of the categories 0 to 4"):
        model.draw(head_maps, torch.tensor([4, 5, 2]))


# ---- Geometry ----


@torch.no_grad()
def test_a_processor_returns_all_that_is_needed(model):
    image = Image.new("RGB", (48, 40), (200, 30, 90))
    inputs = MaskRcnnImageProcessor(size={"shortest_edge": 80, "longest_edge": 200})(image)
    features = model.get_image_features(**inputs)
    assert features.geometry.original_sizes.tolist() == [[40, 48]] and features.geometry.image_scales.tolist() == [2]
    ours, expected = model(image_features=features, at_least_one=True), model(**inputs, at_least_one=True)
    assert torch.equal(ours.pred_boxes, expected.pred_boxes) and ours.original_sizes.tolist() == [[40, 48]]


@torch.no_grad()
def test_scale_and_original_size(model, images):
    """Boxes come in pixels of the original image and stay within it."""
    outputs = model(
        images, original_sizes=torch.tensor([[40, 48]] * 2), image_scales=torch.full((2,), 2.0), score_threshold=0.1
    )
    assert (outputs.pred_boxes[:, 2] <= 48).all() and (outputs.pred_boxes[:, 3] <= 40).all()
    assert (outputs.pred_boxes[:, :2] >= 0).all()


def test_losses_and_gradients(model, images):
    model.train()
    torch.manual_seed(0)
    outputs = model(images, labels=annotations())
    assert set(outputs.losses) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    torch.testing.assert_close(outputs.loss, sum(outputs.losses.values()))
    outputs.loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not without


def test_training_lowers_the_loss(model, images):
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        torch.manual_seed(0)
        loss = model(images, labels=annotations()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("size", [(80, 96), (20, 24)])
def test_images_without_things_train_too(model, size):
    """Also one so small that no anchor lies within it."""
    image = torch.randn(1, 3, *size)
    nothing = annotations(size)[1]
    loss = model.train()(image, labels=[nothing]).loss
    loss.backward()
    assert torch.isfinite(loss)


@torch.no_grad()
def test_save_and_load(model, images, tmp_path):
    expected = model(images, score_threshold=0.1)
    model.save_pretrained(tmp_path)
    loaded, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is MaskRcnnForInstanceSegmentation and not any(report.values())
    assert torch.equal(loaded(images, score_threshold=0.1).pred_boxes, expected.pred_boxes)


def test_new_layers_start_small():
    torch.manual_seed(0)
    model = tiny_mask_rcnn()
    assert 0.008 < model.rpn.class_logits.weight.std() < 0.012
    assert 0.0008 < model.head.box_deltas.weight.std() < 0.0012


@torch.no_grad()
def test_bf16(model, images):
    exact = model(images, score_threshold=0.1)
    half = model.bfloat16()
    outputs = half(images, score_threshold=0.05)
    assert outputs.pred_boxes.dtype == torch.float32 and len(outputs.scores) and len(exact.scores)


@pytest.mark.parametrize("crop", ["grid", "align"])
@torch.no_grad()
def test_both_ways_to_crop(images, crop):
    assert len(tiny_mask_rcnn(crop=crop)(images, at_least_one=True).scores)


@pytest.mark.parametrize(
    "backbone",
    [
        {"model_type": "resnet", "hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1], "out_features": ["stage3"]},
        {"model_type": "timm_backbone", "backbone": "resnet18", "out_indices": [3]},
    ],
    ids=["transformers", "timm"],
)
@torch.no_grad()
def test_any_backbone(images, backbone, tmp_path):
    if backbone["model_type"] == "timm_backbone":
        pytest.importorskip("timm", reason="this backbone comes from timm (the test extra installs it)")
    backbone = dict(backbone)
    model = tiny_mask_rcnn(backbone_config=AutoConfig.for_model(backbone.pop("model_type"), **backbone))
    expected = model(images, at_least_one=True)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(images, at_least_one=True).pred_boxes, expected.pred_boxes)


def test_bad_input(model, images):
    with pytest.raises(ValueError, match="give pixel_values or image_features"):
        model()
    with pytest.raises(ValueError, match="labels of 1 images, but 2 images"):
        model(images, labels=annotations()[:1])
    with pytest.raises(ValueError, match="is not a stride of config.feature_stride=32"):
        tiny_mask_rcnn(feature_stride=32)(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_size": 10}, "head_size is 10; it must be a multiple of 4"),
        ({"anchor_scales": []}, "anchor_scales is .*; give at least one number, all above 0"),
        ({"box_std": [0.1, 0.1]}, "box_std is .*; give four numbers above 0"),
        ({"max_detections": 0}, "max_detections is 0; it is at least 1"),
        ({"nms_threshold": 1.5}, "nms_threshold is 1.5; it is above 0 and at most 1"),
        ({"rpn_negative_iou": 0.9}, "rpn_negative_iou 0.9 is above rpn_positive_iou 0.7"),
    ],
)
def test_config_refuses_what_it_cannot_mean(options, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        MaskRcnnConfig(**options)


def test_published_defaults():
    config = MaskRcnnConfig()
    assert config.num_labels == 80 and config.backbone_config.depths == [3, 4, 23]
    with torch.device("meta"):
        model = MaskRcnnForInstanceSegmentation(config)
    assert model.rpn.class_logits.weight.shape == (24, 512, 1, 1)
    assert model.mask_branch.upsampling.weight.shape == (2048, 256, 2, 2)
    with torch.device("meta"):
        smaller = MaskRcnnForInstanceSegmentation(
            MaskRcnnConfig(backbone_config={**config.backbone_config.to_dict(), "depths": [3, 4, 6]}, num_labels=8)
        )
    assert smaller.head.class_logits.weight.shape == (9, 2048)


@pytest.mark.parametrize("crop", ["grid", "align"])
@torch.no_grad()
def test_convolutions_before_the_crop_give_what_those_after_it_do(model, images, crop):
    model.config.crop = crop
    for name, buffer in model.head.stage.named_buffers():  # a bias that is not zero, which the crop must not scale
        buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(len(name))) + 0.5)
    features = model.get_image_features(images)
    boxes = torch.tensor([[3.0, 5, 70, 60], [80, 60, 120, 90], [0, 0, 95, 79]] * 2)  # one reaches out of the map
    index = torch.tensor([0, 0, 0, 1, 1, 1])
    seen = []
    handle = model.head.stage[0].reduce.register_forward_hook(lambda *_: seen.append(1))
    first = model.head.read_map(features.maps, lambda maps: model.crop(maps, boxes, index), num_points=6 * 49)
    assert not seen, "the first convolution ran on the map"
    handle.remove()
    torch.testing.assert_close(first, model.head(model.crop(features.maps, boxes, index)), rtol=1e-4, atol=1e-5)
