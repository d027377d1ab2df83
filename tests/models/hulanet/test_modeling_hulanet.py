import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from torch.utils.flop_counter import FlopCounterMode

from hf_refseg.models.hulanet.configuration_hulanet import HulaNetConfig
from hf_refseg.models.hulanet.modeling_hulanet import HulaNetForReferringSegmentation, pool_regions, sample_masks
from hf_refseg.models.hulanet.phrase_structure import PhraseStructure, WordRole
from tests.models.model_tester import SIZE, ModelTester
from tests.tiny import VOCAB_SIZE, tiny_hulanet, tiny_hulanet_config

from .test_phrase_modules import encode

BOXES = [[4.0, 4, 30, 40], [20, 10, 60, 62], [0, 30, 25, 64], [33, 0, 64, 21]]
ROLES = [[0, 0, 0, 5], [0, 0, 7, 5], [7, 5, 9, 11]]


class TestHulaNet(ModelTester):
    word_inputs = ("input_ids", "attention_mask", "word_roles")

    def make_model(self, **kwargs):
        return tiny_hulanet(**kwargs)

    @pytest.fixture
    def inputs(self) -> dict[str, torch.Tensor]:
        """The common inputs, what their words say, and four detections in each image."""
        return {
            **self.images_and_words(),
            "word_roles": torch.tensor(ROLES),
            "region_boxes": torch.tensor([BOXES, BOXES[::-1]]),
            "region_labels": torch.tensor([[0, 1, 1, 2], [3, 3, 0, 3]]),
            "region_scores": torch.tensor([[0.9, 0.5, 0.3, 0.7], [0.2, 0.8, 0.6, 0.1]]),
        }

    def with_labels(self, inputs, labels):
        return {
            **inputs,
            "labels": labels,
            "instance_boxes": torch.tensor([BOXES[:2], BOXES[2:]]),
            "instance_attributes": (torch.arange(24).view(2, 2, 6) % 5 == 0).float(),
        }

    def of_image(self, inputs, image):
        names = ("pixel_values", "region_boxes", "region_labels", "region_scores")
        return {name: inputs[name][image, None] for name in names}

    def backbone(self, model):
        return model.detector.backbone

    def trained(self, model):
        """The paper leaves its detector as it is."""
        return {name: p for name, p in model.named_parameters() if not name.startswith("detector.")}

    # ---- Where the common tests need other inputs ----

    def test_bf16(self, model, inputs, labels, tmp_path):
        """With masks of the caller's: those of an untrained detector lie at the threshold, where rounding decides."""
        super().test_bf16(model, {**inputs, "region_masks": box_masks()}, labels, tmp_path)

    def test_autocast(self, model, inputs, labels):
        super().test_autocast(model, {**inputs, "region_masks": box_masks()}, labels)

    @pytest.mark.gpu
    @pytest.mark.parametrize("way", ["half", "autocast"])
    def test_bf16_on_a_gpu(self, model, inputs, labels, way):
        super().test_bf16_on_a_gpu(model, {**inputs, "region_masks": box_masks()}, labels, way)

    def test_export(self, inputs):
        """How many relations there are is in the values of the words, of which a traced graph knows nothing."""
        super().test_export(self.make_model(modules=["category", "attribute"]), inputs)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_index": torch.tensor([0, 1, 2])}, "runs from 0 to 2, but there are 2 images"),
            ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"shape \(0, 4\); give at least one expression"),
            ({"input_ids": torch.full((3, 4), VOCAB_SIZE)}, f"to {VOCAB_SIZE}, but .* 0 to {VOCAB_SIZE - 1}"),
            ({"attention_mask": torch.ones(3, 5)}, r"attention_mask has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"word_roles": torch.ones(3, 5)}, r"word_roles has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"word_categories": torch.ones(3, 5)}, r"word_categories has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, r"shape \(3, 64, 64\); give at least one image"),
            ({"labels": torch.zeros(3, 8, 8)}, r"labels has the shape \(3, 8, 8\), expected \(3, 64, 64\)"),
            ({"region_scores": torch.ones(2, 3)}, r"region_scores has \[3, 3\] entries per image, there are \[4, 4\]"),
            ({"region_boxes": torch.tensor([BOXES])}, "region_boxes"),
            ({"region_features": torch.ones(2, 4, 5)}, r"are \(4, 5\), but the attribute module reads 40 channels"),
        ],
    )
    def test_rejects_inputs_that_do_not_fit(self, model, inputs, changes, message):
        if "input_ids" in changes:
            inputs["attention_mask"] = None
        with pytest.raises(ValueError, match=message):
            model(**{**inputs, **changes})

    def test_regions_beside_features_that_hold_their_own_are_refused(self, model, inputs):
        features = model.get_image_features(**inputs)
        with pytest.raises(ValueError, match="image_features hold their regions"):
            model(**{**inputs, "pixel_values": None}, image_features=features)


def box_masks() -> torch.Tensor:
    masks = torch.zeros(4, SIZE, SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, BOXES, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return torch.stack([masks, masks.flip(0)])


def words(*structures: PhraseStructure) -> dict[str, torch.Tensor]:
    ids, is_word, roles, categories = encode(*structures)
    return {"input_ids": ids, "attention_mask": is_word, "word_roles": roles, "word_categories": categories}


PHRASES = words(PhraseStructure("cup", ("red",)), PhraseStructure("cup", (), (("on", "mat"),)), PhraseStructure("man"))


@pytest.fixture
def model() -> HulaNetForReferringSegmentation:
    torch.manual_seed(0)
    return tiny_hulanet()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_own_detections_are_noisy_and_many(model, image):
    outputs = model(image, **PHRASES)
    assert outputs.logits.shape == (3, SIZE, SIZE) and outputs.grid_logits.shape == (3, 16, 16)
    (count,) = outputs.detection_counts
    assert 1 < count == len(outputs.detection_boxes) == outputs.region_scores.shape[1] <= 100
    assert (outputs.region_scores >= 0).all() and (outputs.region_scores <= 1).all()


@torch.no_grad()
def test_detections_of_any_other_detector_need_no_detector(model, image):
    calls = []
    model.detector.backbone.register_forward_hook(lambda *_: calls.append(1))
    given = {
        "region_masks": box_masks()[:1],
        "region_labels": torch.tensor([[0, 1, 1, 2]]),
        "region_features": torch.randn(1, 4, 40),
    }
    outputs = model(image, **PHRASES, **given)
    assert not calls and outputs.detection_counts == (4,)
    assert torch.equal(outputs.given_detection_masks[0], box_masks()[0])
    model(image, **PHRASES, **{**given, "region_features": None})
    assert len(calls) == 1, "the detector tells features that nobody gave"


@torch.no_grad()
def test_one_hot_attention_returns_the_mask_of_the_detection(model, image):
    """The category module listens to category 2 only, whose detection has the score 1, and is the whole answer."""
    attention, combination = model.head.category, model.head.combination.perceptron[-1]
    for layer, best in ((attention.perceptron[-1], 2), (combination, 0)):
        layer.weight.zero_()
        layer.bias.fill_(-30.0)
        layer.bias[best] = 30.0
    attention.heat.scale.fill_(100.0)
    given = {"region_masks": box_masks()[:1], "region_labels": torch.tensor([[0, 1, 1, 2]])}
    outputs = model(image, **words(PhraseStructure("cup")), **given)
    mask = outputs.given_detection_masks[0][3]
    assert torch.equal(outputs.grid_logits[0] > 0, sample_masks(mask[None], (16, 16))[0])
    wrong = ((outputs.logits[0] > 0) != mask).sum()
    assert wrong < 0.1 * mask.sum(), "but for half a cell at its border"
    assert outputs.region_scores[0].argmax() == 3


@torch.no_grad()
@pytest.mark.parametrize("number", [0, 1, 1000])
def test_any_number_of_detections(model, image, number):
    corners = torch.rand(number, 2, generator=torch.Generator().manual_seed(0)) * 40
    boxes = torch.cat([corners, corners + 20], 1)
    outputs = model(image, **PHRASES, region_boxes=[boxes], region_labels=[torch.arange(number) % 5])
    assert outputs.region_scores.shape == (3, number)
    assert torch.isfinite(outputs.logits).all()
    if not number:
        assert (outputs.logits < 0).all(), "where nothing was detected, nothing is meant"


@torch.no_grad()
def test_images_of_different_sizes_answer_as_by_themselves(model):
    generator = torch.Generator().manual_seed(0)
    pixels, mask = torch.zeros(2, 3, SIZE, SIZE), torch.zeros(2, SIZE, SIZE)
    pixels[0], mask[0] = torch.randn(3, SIZE, SIZE, generator=generator), 1
    pixels[1, :, :40, :52], mask[1, :40, :52] = torch.randn(3, 40, 52, generator=generator), 1
    together = model(pixels, **PHRASES, image_index=torch.tensor([1, 0, 1]), pixel_mask=mask, output_attentions=True)
    alone = model(pixels[1:, :, :40, :52], **PHRASES, output_attentions=True)
    torch.testing.assert_close(together.logits[[0, 2], :40, :52], alone.logits[[0, 2]], rtol=1e-4, atol=1e-4)
    assert together.logits[0, 40:].max() < -10 and together.logits[0, :, 52:].max() < -10
    assert together.explanation.grid_sizes.tolist() == [[10, 13], [16, 16], [10, 13]]
    for name in ("category_maps", "attribute_maps", "relationship_maps", "combined_maps"):
        ours, expected = together.explanation[name], alone.explanation[name]
        torch.testing.assert_close(ours[[0, 2], :10, :13], expected[[0, 2]], rtol=1e-4, atol=1e-4)
        assert not ours[[0, 2], 10:].any() and not ours[[0, 2], :, 13:].any()


@torch.no_grad()
def test_explanation_says_what_was_combined(model, image):
    assert model(image, **PHRASES).explanation is None
    model.config.output_attentions = True
    explanation = model(image, **PHRASES).explanation
    model.config.output_attentions = False
    assert explanation.present.tolist() == [[True, True, False], [True, False, True], [True, False, False]]
    assert explanation.weights.shape == (3, 10) and explanation.category_attention.shape == (3, 5)
    assert explanation.attribute_attention.shape == (3, 6) and len(explanation.categories) == 5
    assert not explanation.object_maps[0].any() and explanation.object_maps[1].any()
    combined = model.head.combination(
        [explanation[f"{name}_maps"] for name in ("category", "attribute", "relationship")], explanation.weights
    )
    torch.testing.assert_close(combined, explanation.combined_maps)


@torch.no_grad()
def test_logits_are_zero_at_the_models_own_threshold(model, image):
    before = model(image, **PHRASES)
    model.config.mask_threshold = 0.3
    after = model(image, **PHRASES)
    torch.testing.assert_close(after.logits > 0, before.logits.sigmoid() > 0.3)
    torch.testing.assert_close(after.region_scores > 0.5, before.region_scores > 0.3)


def test_stages_of_training_have_their_losses(image):
    labels = torch.zeros(3, SIZE, SIZE)
    labels[:, :30, :30] = 1
    step = {"pixel_values": image, **PHRASES, "labels": labels}
    modules = tiny_hulanet(final_loss_weight=0)(**step)
    assert set(modules.losses) == {"category", "attribute", "relationship"}
    both = tiny_hulanet()(**step)
    assert set(both.losses) == {"category", "attribute", "relationship", "combined"}
    torch.testing.assert_close(both.loss, sum(both.losses.values()))


def test_modules_without_words_have_no_loss(image):
    step = {"pixel_values": image, **words(PhraseStructure("cup")), "labels": torch.zeros(1, SIZE, SIZE)}
    losses = tiny_hulanet()(**step).losses
    assert losses["category"] > 0 and losses["attribute"] == 0 and losses["relationship"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modules": ["attribute"]}, "give 'category' and any of"),
        ({"modules": ["category", "relationship", "attribute"]}, "in this order"),
        ({"mask_threshold": 1.0}, "mask_threshold is 1.0; it is above 0 and below 1"),
        ({"attribute_weights": [1.0]}, "attribute_weights has 1 entries, num_attributes is 6"),
        ({"relation_kernel": 4}, "give an odd number"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        tiny_hulanet_config(**changes)


def test_published_sizes():
    config = HulaNetConfig()
    assert (config.detector_config.num_labels, config.num_attributes, config.max_length) == (1272, 593, 10)
    assert config.detector_config.score_threshold == 0.01 and config.detector_config.max_detections == 100


def test_masks_are_sampled_at_the_centers_of_cells():
    mask = torch.zeros(1, 8, 6, dtype=torch.bool)
    mask[0, 2, 1] = mask[0, 6, 4] = True
    assert sample_masks(mask, (2, 2)).tolist() == [[[True, False], [False, True]]]
    assert torch.equal(sample_masks(mask, (8, 6)), mask)


def test_attributes_are_told_from_the_inside_of_a_mask():
    crops, head_maps = torch.rand(2, 3, 4, 4), torch.rand(2, 5, 2, 2)
    masks = torch.zeros(2, 8, 8)
    masks[:, :, :4] = 1
    pooled = pool_regions(crops, head_maps, masks)
    expected = torch.cat([crops[..., :2].mean((2, 3)), head_maps[..., :1].mean((2, 3))], 1)
    torch.testing.assert_close(pooled, expected)
    assert pool_regions(crops, head_maps, torch.zeros(2, 8, 8)).eq(0).all()


@torch.no_grad()
def test_operations_of_a_phrase_without_relation_can_be_counted(model, image):
    """torch's counter ends the process at an LSTM over no rows."""
    name = torch.tensor([[WordRole.BEGIN, WordRole.LAST_OF_NAME, WordRole.END]])
    with FlopCounterMode(display=False) as counter:
        model(image, torch.tensor([[2, 5, 3]]), word_roles=name)
    assert counter.get_total_flops() > 0
