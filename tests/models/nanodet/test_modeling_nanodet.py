import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from PIL import Image
from transformers import AutoModel

from hf_refseg.layers.regions import Regions
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.nanodet.modeling_nanodet import NanoDetForInstanceSegmentation
from hf_refseg.models.nanodet.outputs_nanodet import PointBoxes
from hf_refseg.models.shufflenet_pan.configuration_shufflenet_pan import ShuffleNetPanConfig
from tests.tiny import tiny_caffe_resnet_config, tiny_hulanet, tiny_nanodet, tiny_shufflenet_pan_config

FIELDS = ("pred_boxes", "scores", "class_labels", "class_scores", "region_features", "mask_probabilities")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_nanodet()


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
    outputs = model(images)
    number = len(outputs.scores)
    assert number and outputs.pred_boxes.shape == (number, 4)
    assert outputs.class_scores.shape == (number, 5) and outputs.region_features.shape == (number, 4 * 8 + 2 * 3 * 8)
    assert outputs.mask_probabilities.shape == (number, 12, 12)
    assert outputs.image_index.tolist() == sorted(outputs.image_index.tolist())
    assert set(outputs.class_labels.tolist()) <= set(range(5))
    assert (outputs.pred_boxes >= 0).all() and (outputs.pred_boxes <= torch.tensor([96, 80, 96, 80])).all()


@torch.no_grad()
def test_a_batch_of_other_sizes_finds_what_each_image_does_alone(model, images):
    """Padding does not leak into the border of a smaller image."""
    sizes = [(80, 96), (61, 70)]
    batch, mask = torch.zeros_like(images), torch.zeros(2, 80, 96, dtype=torch.long)
    for row, (height, width) in enumerate(sizes):
        batch[row, :, :height, :width] = images[row, :, :height, :width]
        mask[row, :height, :width] = 1
    together = model(batch, mask)
    for row, (height, width) in enumerate(sizes):
        alone = model(images[row, None, :, :height, :width])
        assert (alone.pred_boxes <= torch.tensor([width, height] * 2)).all()
        for name in FIELDS:
            torch.testing.assert_close(
                together[name][together.image_index == row], alone[name], rtol=1e-4, atol=1e-4, msg=name
            )


@torch.no_grad()
def test_images_of_one_size_are_seen_as_each_alone(model, images):
    together = model(images)
    for row in range(2):
        alone = model(images[row, None])
        for name in FIELDS:
            torch.testing.assert_close(together[name][together.image_index == row], alone[name], rtol=1e-4, atol=1e-4)


# ---- The five steps ----


@torch.no_grad()
def test_the_steps_one_by_one_are_the_whole(model, images):
    whole = model(images)
    features = model.get_image_features(images)
    proposals = model.propose(features)
    # rows and columns of points on 80 x 96 pixels, at strides 8, 16, 32 and 64
    assert proposals.counts == (10 * 12 + 5 * 6 + 3 * 3 + 2 * 2,) * 2
    scored = model.score(features, proposals)
    regions = model.choose(scored)
    class_scores = model.score_categories(features, regions)
    crops, head_maps = model.describe(features, regions)
    number = len(regions.boxes)
    assert crops.shape == (number, model.crop_channels, 6, 6)
    assert head_maps.shape == (number, model.config.head_size, 6, 6)
    for ours, expected in (
        (regions.boxes, whole.pred_boxes), (regions.labels, whole.class_labels), (regions.scores, whole.scores),
        (regions.image_index, whole.image_index), (class_scores, whole.class_scores),
        (model.pool(features, regions), whole.region_features),
        (model.draw(head_maps, regions.labels), whole.mask_probabilities),
    ):  # fmt: skip
        assert torch.equal(ours, expected)


@torch.no_grad()
def test_halves_of_a_region_are_averaged_by_themselves(model, images):
    features = model.get_image_features(images)
    whole, upper, lower = [10.0, 8, 60, 72], [10.0, 8, 60, 40], [10.0, 40, 60, 72]
    regions = Regions.of([[whole, upper, lower], []], image_sizes=features.geometry.original_sizes)
    of_whole, of_upper, of_lower = model.pool(features, regions)
    assert of_whole[32:56].equal(of_upper[:24]) and of_whole[56:].equal(of_lower[:24])
    assert not torch.allclose(of_upper[:24], of_lower[:24])
    torch.testing.assert_close(of_whole[:24], (of_upper[:24] + of_lower[:24]) / 2)


def points(boxes: list[list[float]], class_scores: list[list[float]], *counts: int) -> PointBoxes:
    return PointBoxes(torch.tensor(boxes), torch.tensor(class_scores), counts or (len(boxes),))


BOXES = [[0.0, 0, 100, 100], [0, 0, 100, 110], [0, 0, 100, 140], [200, 0, 260, 60], [300, 0, 300, 60]]


def test_of_boxes_that_overlap_the_best_of_a_category_stays(model):
    """The first three overlap by .91, .71 and .79; the last has no area."""
    scores = [[0.9, 0.0], [0.5, 0.0], [0.0, 0.8], [0.3, 0.4], [0.99, 0.99]]
    regions = model.choose(points(BOXES, scores))
    assert regions.boxes.tolist() == [BOXES[0], BOXES[2], BOXES[3]]
    assert regions.labels.tolist() == [0, 1, 1]
    torch.testing.assert_close(regions.scores, torch.tensor([0.9, 0.8, 0.4]))


def test_one_thing_is_of_one_category(model):
    """Boxes of other categories go only where they are almost the same."""
    scores = [[0.9, 0.0], [0.0, 0.5], [0.0, 0.0], [0.3, 0.4], [0.0, 0.0]]
    assert model.choose(points(BOXES, scores)).labels.tolist() == [0, 1]
    model.config.any_class_nms_threshold = 0.95
    assert model.choose(points(BOXES, scores)).labels.tolist() == [0, 1, 1]


def test_the_surest_regions_stay_in_each_image(model):
    model.config.max_detections = 1
    scores = [[0.2, 0.0], [0.0, 0.0], [0.0, 0.8], [0.3, 0.4], [0.5, 0.0]]
    regions = model.choose(points([*BOXES[:3], BOXES[3], BOXES[0]], scores, 3, 2))
    assert regions.counts == (1, 1) and regions.boxes.tolist() == [BOXES[2], BOXES[0]]


def test_the_threshold_is_lowered_only_where_that_is_asked_for(model):
    scores = [[0.2, 0.0], [0.0, 0.0], [0.0, 0.001], [0.3, 0.4], [0.0, 0.002]]
    scored = points([*BOXES[:3], BOXES[3], BOXES[0]], scores, 2, 3)
    assert model.choose(scored, score_threshold=0.5).counts == (0, 0)
    regions = model.choose(scored, score_threshold=0.5, at_least_one=True)
    assert regions.counts == (1, 1) and regions.boxes.tolist() == [BOXES[0], BOXES[3]]
    nothing = points(BOXES, [[float("nan"), 0.0]] * 5)
    assert model.choose(nothing, at_least_one=True).counts == (0,), "NaN reaches no threshold, however low"


@torch.no_grad()
def test_no_detection_is_an_empty_result(model, images):
    outputs = model(images, score_threshold=1.1)  # no score is above 1
    assert outputs.pred_boxes.shape == (0, 4) and outputs.mask_probabilities.shape == (0, 12, 12)
    assert outputs.class_scores.shape == (0, 5) and outputs.region_features.shape == (0, 80)


@torch.no_grad()
def test_points_vote_for_the_category_of_any_region(model, images):
    features = model.get_image_features(images[:1])
    proposals = points(BOXES[:4], [[0.9, 0.0], [0.0, 0.5], [0.0, 0.8], [0.3, 0.4]])
    model.propose = lambda features: proposals
    regions = Regions(torch.tensor([BOXES[0], [400.0, 0, 500, 100]]), (2,))
    class_scores = model.score_categories(features, regions)
    torch.testing.assert_close(class_scores[0], torch.tensor([0.9, 0.8 / 1.4]))
    assert class_scores[1].tolist() == [0, 0]
    model.config.num_voters = 2
    torch.testing.assert_close(model.score_categories(features, regions)[0], torch.tensor([0.9, 0.5 / 1.1]))


@torch.no_grad()
def test_a_caller_brings_regions(model, images):
    features = model.get_image_features(images)
    boxes = [[[4.0, 4, 30, 40], [20, 10, 60, 62]], [[0.0, 30, 25, 64]]]
    regions, crops, head_maps = model.find_regions(features, boxes)
    assert regions.boxes.tolist() == [*boxes[0], *boxes[1]] and crops.shape == (3, 8, 6, 6)
    assert torch.equal(regions.labels, model.score_categories(features, regions).argmax(1)), "the detector's guess"
    regions, _, _ = model.find_regions(features, boxes, region_labels=[[4, 0], [2]])
    assert regions.labels.tolist() == [4, 0, 2]
    assert model.draw(head_maps).shape == (3, 12, 12)


@torch.no_grad()
def test_a_detector_without_a_mask_head_finds_boxes(images):
    torch.manual_seed(0)
    model = tiny_nanodet(has_masks=False)
    outputs = model(images)
    assert len(outputs.scores) and outputs.mask_probabilities is None
    features = outputs.image_features
    with pytest.raises(ValueError, match="has no mask head .*; train one over it: hf-refseg train nanodet_coco_masks"):
        model.find_regions(features)
    with pytest.raises(ValueError, match="has no mask head"):
        model(images, labels=annotations())
    with pytest.raises(ValueError, match="without a mask head: use post_process_object_detection"):
        NanoDetImageProcessor().post_process_instance_segmentation(outputs)


@torch.no_grad()
def test_other_systems_take_its_regions(model):
    """What it finds in a photo, given to HULANet, whose own detector then does not run."""
    processor = NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})
    photo = Image.new("RGB", (48, 40), (200, 30, 90))
    (found,) = processor.post_process_instance_segmentation(model(**processor(photo)), mask_threshold=0.0)
    things = found["segments_info"]
    filled = [thing["id"] for thing in things if found["segmentation"][thing["id"]].any()]
    assert filled
    hulanet = tiny_hulanet()
    hulanet.detector.get_image_features = None
    features = hulanet.get_image_features(
        torch.rand(1, 3, 80, 96),
        original_sizes=torch.tensor([[40, 48]]),
        image_scales=torch.tensor([2.0]),
        region_boxes=[[things[row]["box"] for row in filled]],
        region_labels=[[things[row]["label_id"] for row in filled]],
        region_scores=[[things[row]["score"] for row in filled]],
        region_masks=[found["segmentation"][filled]],
        region_features=[torch.rand(len(filled), hulanet.config.region_size)],
    )
    assert features.regions.counts == (len(filled),)


# ---- Geometry ----


@torch.no_grad()
def test_scale_and_original_size(model):
    """Boxes come in pixels of the photo and stay within it; features are the same as `**inputs` gives."""
    image = Image.new("RGB", (48, 40), (200, 30, 90))
    inputs = NanoDetImageProcessor(size={"shortest_edge": 96, "longest_edge": 96})(image)
    assert inputs["pixel_values"].shape == (1, 3, 80, 96)
    features = model.get_image_features(**inputs)
    ours, expected = model(image_features=features), model(**inputs)
    assert len(expected.scores) and torch.equal(ours.pred_boxes, expected.pred_boxes)
    assert (expected.pred_boxes <= torch.tensor([48, 40, 48, 40])).all()
    unscaled = model(inputs["pixel_values"])
    torch.testing.assert_close(expected.pred_boxes, unscaled.pred_boxes / 2)
    torch.testing.assert_close(expected.mask_probabilities, unscaled.mask_probabilities)


@torch.no_grad()
def test_one_pixel_is_a_photo(model):
    outputs = model(torch.randn(1, 3, 1, 1))
    assert (outputs.pred_boxes <= 1).all()


# ---- Training, files, precision ----


def test_losses_and_gradients(model, images):
    model.train()
    outputs = model(images, labels=annotations())
    assert set(outputs.losses) == {"mask_pixels", "mask_dice"}
    torch.testing.assert_close(outputs.loss, sum(outputs.losses.values()))
    outputs.loss.backward()
    trained = model.mask_head.named_parameters()
    assert not [name for name, p in trained if p.grad is None or not torch.isfinite(p.grad).all()]
    assert model.heads[0].predictions.weight.grad is None, "boxes and categories are not trained"


def test_training_lowers_the_loss(model, images):
    optimizer = torch.optim.Adam(model.mask_head.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        torch.manual_seed(0)
        loss = model(images, labels=annotations()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_images_without_things_train_too(model, images):
    loss = model(images[1:], labels=annotations()[1:]).loss
    loss.backward()
    assert loss == 0


def test_as_many_labels_as_images(model, images):
    with pytest.raises(ValueError, match="labels of 1 images, but 2 images"):
        model(images, labels=annotations()[:1])
    with pytest.raises(ValueError, match="give pixel_values or image_features"):
        model()


@torch.no_grad()
def test_save_and_load(model, images, tmp_path):
    expected = model(images)
    model.save_pretrained(tmp_path)
    loaded, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is NanoDetForInstanceSegmentation and not any(report.values())
    torch.testing.assert_close(loaded(images).pred_boxes, expected.pred_boxes)
    assert loaded.config.head_size == model.config.head_size == 8 + 4 * 4


@torch.no_grad()
def test_bf16(model, images):
    half = model.bfloat16()
    outputs = half(images, score_threshold=0.005)
    assert len(outputs.scores) and outputs.pred_boxes.dtype == outputs.class_scores.dtype == torch.float32
    assert outputs.mask_probabilities.dtype == torch.bfloat16 and outputs.mask_probabilities.isfinite().all()


@torch.no_grad()
def test_export(model, images):
    """What every point sees has a fixed size; how many regions are chosen depends on the values."""

    class Points(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.detector = model

        def forward(self, pixel_values):
            points = self.detector.propose(self.detector.get_image_features(pixel_values))
            return points.boxes, points.class_scores

    images = images[:, :, :64]  # no side is filled up, so that no point has to go
    exported = torch.export.export(Points(), (images,), strict=False).module()(images)
    for ours, expected in zip(exported, Points()(images), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_new_head_finds_little(model):
    bias = model.heads[0].predictions.bias
    torch.testing.assert_close(bias[:5].sigmoid(), torch.full((5,), 0.01))
    assert bias[5:].tolist() == [0] * 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score_threshold": 0.0}, "score_threshold is 0.0; it is above 0 and at most 1"),
        ({"any_class_nms_threshold": 1.5}, "any_class_nms_threshold is 1.5"),
        ({"max_detections": 0}, "max_detections is 0; it is at least 1"),
        ({"num_bins": 1}, "num_bins is 1"),
        ({"mask_positive_weight": 0.0}, "mask_positive_weight is 0.0; it is above 0"),
        ({"mask_odds": -1.0}, "mask_odds is -1.0; it is above 0"),
        ({"backbone_config": tiny_shufflenet_pan_config()}, r"out_features=\['pyramid4'\]; NanoDet reads \['stem'"),
        ({"backbone_config": tiny_caffe_resnet_config()}, "backbone_config is a refseg_caffe_resnet"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        tiny_nanodet(**settings)


def test_published_settings():
    config = type(tiny_nanodet().config)()
    assert config.num_labels == 80 and isinstance(config.backbone_config, ShuffleNetPanConfig)
    with torch.device("meta"):
        model = NanoDetForInstanceSegmentation(config)
    masks = sum(parameter.numel() for parameter in model.mask_head.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) - masks == 1_186_346
    assert masks < 230_000
