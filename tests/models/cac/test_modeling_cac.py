import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from hf_refseg.models.cac.configuration_cac import FILTERS, CacConfig
from hf_refseg.models.cac.modeling_cac import CacForReferringSegmentation
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation
from tests.models.model_tester import SIZE
from tests.models.region_tester import BOXES, RegionTester
from tests.tiny import VOCAB_SIZE, tiny_cac, tiny_mask_rcnn_config

ROWS = {
    "baseline": {"filters": ["whole"], "modulation": "raw", "losses": ["roi"]},
    "+ spatial coordinates": {"filters": ["whole"], "coordinates": True, "modulation": "raw", "losses": ["roi"]},
    "+ spatial-aware filters": {"modulation": "raw", "losses": ["roi"]},
    "+ caption-aware consistency": {
        "modulation": "raw",
        "losses": ["roi", "caption"],
        "caption_features": "object",
    },
    "full model": {},
}


def objects(boxes: list[list[float]], labels: list[int], size: tuple[int, int] = (SIZE, SIZE)) -> dict:
    """The arguments of a training step on objects that fill their boxes."""
    masks = torch.zeros(len(boxes), *size)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return {"labels": masks, "box_labels": torch.tensor(boxes), "class_labels": torch.tensor(labels)}


class TestCac(RegionTester):
    draws_samples = True

    def make_model(self, **kwargs):
        return tiny_cac(word_dropout=0.0, caption_dropout=0.0, **kwargs)

    @pytest.fixture(autouse=True)
    def seeded(self, monkeypatch):
        """A training step draws anchors and regions; the calls that are compared must draw the same."""
        draw = MaskRcnnForInstanceSegmentation.compute_losses

        def compute_losses(model, *inputs):
            torch.manual_seed(0)
            return draw(model, *inputs)

        monkeypatch.setattr(MaskRcnnForInstanceSegmentation, "compute_losses", compute_losses)

    def with_labels(self, inputs, labels):
        """A training step has no regions: the detector learns to propose."""
        step = {name: value for name, value in inputs.items() if name != "region_boxes"}
        return step | objects(BOXES[:3], [0, 3, 1])

    def test_training_path_equals_inference_path(self, model, inputs):
        with torch.no_grad():
            inferred = model(**inputs).region_scores
        torch.testing.assert_close(model(**inputs).region_scores, inferred, rtol=1e-4, atol=1e-5)

    def test_one_step_of_training_lowers_the_loss(self, inputs):
        """The terms without samples: after a step the detector proposes and draws other regions."""
        torch.manual_seed(0)
        super().test_one_step_of_training_lowers_the_loss(self.make_model(losses=["response", "caption"]), inputs, None)

    def trained(self, model):
        """Without its own losses, only the head of the detector is read, by the captioner."""
        parameters = dict(model.named_parameters())
        if "roi" in model.config.losses:
            return parameters
        unread = ("detector.rpn", "detector.mask_branch", "detector.head.class_logits", "detector.head.box_deltas")
        return {name: parameter for name, parameter in parameters.items() if not name.startswith(unread)}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_index": torch.tensor([0, 1, 2])}, "runs from 0 to 2, but there are 2 images"),
            ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"shape \(0, 4\); give at least one expression"),
            ({"input_ids": torch.full((3, 4), VOCAB_SIZE)}, f"to {VOCAB_SIZE}, but .* 0 to {VOCAB_SIZE - 1}"),
            ({"attention_mask": torch.ones(3, 5)}, r"attention_mask has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, r"shape \(3, 64, 64\); give at least one image"),
            ({"region_boxes": torch.tensor([BOXES])}, "region_boxes are of 1 images, but there are 2"),
            ({"region_boxes": [torch.zeros(0, 4), torch.tensor(BOXES)]}, "image 0 has no region to choose from"),
            ({"region_masks": [torch.ones(4, 8, 8), torch.ones(4, 8, 8)]}, r"are \[8, 8\], their image \[64, 64\]"),
        ],
    )
    def test_rejects_inputs_that_do_not_fit(self, model, inputs, changes, message):
        if "input_ids" in changes:
            inputs["attention_mask"] = None
        with pytest.raises(ValueError, match=message):
            model(**{**inputs, **changes})

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": torch.zeros(3, 8, 8)}, r"labels has the shape \(3, 8, 8\), expected \(3, 64, 64\)"),
            ({"box_labels": torch.zeros(2, 4)}, r"box_labels has the shape \(2, 4\), expected \(3, 4\)"),
            ({"class_labels": torch.zeros(3, 1)}, r"class_labels has the shape \(3, 1\), expected \(3,\)"),
            ({"class_labels": torch.tensor([0, 5, 1])}, "class_labels runs from 0 to 5, .* categories 0 to 4"),
            ({"box_labels": None}, "needs labels, box_labels and class_labels: give all three"),
        ],
    )
    def test_objects_that_do_not_fit_are_refused(self, model, inputs, changes, message):
        with pytest.raises(ValueError, match=message):
            model(**{**self.with_labels(inputs, None), **changes})

    def test_regions_are_given_once(self, model, inputs):
        with pytest.raises(ValueError, match=r"a training step \(labels\) takes no regions"):
            model(**inputs, **objects(BOXES[:3], [0, 3, 1]))
        features = model.get_image_features(**inputs)
        with pytest.raises(ValueError, match="image_features hold their regions already"):
            model(**{**inputs, "pixel_values": None}, image_features=features)

    def test_what_only_a_training_step_reads_is_refused_without_labels(self, model, inputs):
        with pytest.raises(ValueError, match="box_labels, class_labels would not be read without labels: leave out"):
            model(**{**self.with_labels(inputs, None), "labels": None})

    def test_a_training_step_explains_itself_too(self, model, inputs):
        outputs = model(**self.with_labels(inputs, None), output_attentions=True)
        assert torch.equal(outputs.explanation.fused_response, outputs.grid_logits)

    @torch.no_grad()
    def test_features_without_regions_take_those_of_a_forward(self, model, inputs):
        names = ("pixel_values", "region_boxes")
        features = model.get_image_features(inputs["pixel_values"])
        words = {name: value for name, value in inputs.items() if name not in names}
        outputs = model(image_features=features, region_boxes=inputs["region_boxes"], **words)
        assert torch.equal(outputs.region_scores, model(**inputs).region_scores) and features.regions is None


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_cac()


@pytest.fixture
def image():
    return torch.randn(1, 3, 80, 96, generator=torch.Generator().manual_seed(4))


WORDS = torch.tensor([[4, 5, 6], [7, 8, 0]])


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_trains_and_answers(row, image):
    torch.manual_seed(0)
    model = tiny_cac(**ROWS[row]).train()
    losses = model(image, WORDS, **objects(BOXES[:2], [0, 3], (80, 96))).losses
    terms = {"roi": {"rpn_class", "rpn_box", "class", "box", "mask"}, "response": {"response"}, "caption": {"caption"}}
    assert losses.keys() == set().union(*(terms[name] for name in model.config.losses))
    sum(losses.values()).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without
    with torch.no_grad():
        outputs = model.eval()(image, WORDS)
    assert outputs.logits.shape == (2, 80, 96) and torch.isfinite(outputs.logits).all()
    assert outputs.pred_boxes.shape == (2, 4) and outputs.scores.shape == (2,)


@torch.no_grad()
def test_the_surest_of_all_proposals_is_the_answer(model, image):
    """Written out with the detector's steps on V sigmoid(R), and an argmax over proposals and categories."""
    outputs = model(image, WORDS, output_attentions=True)
    detector, features = model.detector, model.detector.get_image_features(image)
    for row in range(2):
        maps = features.maps * outputs.grid_logits[row].sigmoid()
        modulated = features.with_maps(maps, torch.tensor([0]))
        proposals = detector.propose(modulated)
        scored = detector.score(modulated, proposals)
        probabilities = scored.logits.softmax(-1)[:, 1:]
        proposal, category = divmod(int(probabilities.argmax()), probabilities.shape[1])
        assert int(outputs.chosen[row]) == proposal
        torch.testing.assert_close(outputs.scores[row], probabilities.max())
        torch.testing.assert_close(outputs.pred_boxes[row], scored.boxes[proposal, category + 1])
        torch.testing.assert_close(outputs.region_scores[row], probabilities.amax(1))


@torch.no_grad()
def test_a_box_beside_the_photo_has_no_area(model, image):
    """The paper cuts such a box at one side only, so that it would end before it begins."""
    deltas = model.detector.head.box_deltas
    deltas.weight.zero_()
    deltas.bias.copy_(torch.tensor([0.0, 500, 0, 0]).repeat(len(deltas.bias) // 4))  # far below the photo
    outputs = model(image, WORDS)
    assert (outputs.pred_boxes[:, 1] == 80).all() and (outputs.pred_boxes[:, 3] == 80).all()
    assert (outputs.pred_boxes[:, 2] > outputs.pred_boxes[:, 0]).all() and (outputs.logits < 0).all()


@torch.no_grad()
def test_only_the_chosen_box_gets_a_mask(model, image):
    drawn = []
    model.detector.mask_branch.register_forward_hook(lambda module, args, output: drawn.append(len(output)))
    assert model(image, WORDS).region_masks.shape == (2, 14, 14)
    assert drawn == [1, 1]


@torch.no_grad()
def test_one_candidate_is_the_answer(model, image):
    outputs = model(image, WORDS, region_boxes=[torch.tensor([[10.0, 10, 50, 60]])])
    assert outputs.pred_boxes.tolist() == [[10, 10, 50, 60]] * 2
    assert outputs.chosen.tolist() == [0, 0] and outputs.region_scores.shape == (2, 1)


@torch.no_grad()
def test_labels_of_regions_say_which_probability_counts(model, image):
    boxes = [torch.tensor(BOXES)]
    surest = model(image, WORDS, region_boxes=boxes)
    told = [model(image, WORDS, region_boxes=boxes, region_labels=[torch.full((4,), label)]) for label in range(5)]
    everything = torch.stack([outputs.region_scores for outputs in told])
    torch.testing.assert_close(everything.amax(0), surest.region_scores)
    assert (everything.sum(0) < 1).all(), "the rest is the background's"
    with pytest.raises(ValueError, match="has the label -1, but the detector draws masks of the categories 0 to 4"):
        model(image, WORDS, region_boxes=boxes, region_labels=[[0, 1, 2, -1]])


@torch.no_grad()
def test_callers_masks_come_back_as_they_are(model, image):
    masks = torch.zeros(2, 160, 192, dtype=torch.bool)
    masks[0, 20:90, 30:70], masks[1, 100:, 150:] = True, True
    boxes = torch.tensor([[30.0, 20, 70, 90], [150, 100, 192, 160]])
    sizes, scales = torch.tensor([[160, 192]]), torch.tensor([0.5])
    outputs = model(image, WORDS, original_sizes=sizes, image_scales=scales, region_boxes=[boxes], region_masks=[masks])
    assert outputs.region_masks is None
    for mask, box, logits, chosen in zip(
        outputs.given_masks, outputs.pred_boxes, outputs.logits, outputs.chosen.tolist(), strict=True
    ):
        assert torch.equal(mask, masks[chosen]) and torch.equal(box, boxes[chosen])
        assert torch.equal(logits > 0, masks[chosen, ::2, ::2])


def batch_of(*images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    pixels, mask = torch.zeros(len(images), 3, height, width), torch.zeros(len(images), height, width, dtype=torch.long)
    for row, one in enumerate(images):
        pixels[row, :, : one.shape[1], : one.shape[2]] = one
        mask[row, : one.shape[1], : one.shape[2]] = 1
    return pixels, mask


@pytest.fixture
def photos():
    """Two photos whose maps have odd sizes: 5 x 6 cells and 3 x 7."""
    generator = torch.Generator().manual_seed(6)
    return [torch.randn(3, 80, 96, generator=generator), torch.randn(3, 48, 112, generator=generator)]


@torch.no_grad()
def test_images_of_different_sizes_answer_as_alone(model, photos):
    pixels, mask = batch_of(*photos)
    together = model(pixels, WORDS, pixel_mask=mask, output_attentions=True)
    for row, one in enumerate(photos):
        alone = model(one[None], WORDS[row, None], output_attentions=True)
        torch.testing.assert_close(together.pred_boxes[row], alone.pred_boxes[0], rtol=1e-4, atol=1e-3)
        height, width = one.shape[1:]
        torch.testing.assert_close(together.logits[row, :height, :width], alone.logits[0], rtol=1e-3, atol=1e-3)
        height, width = alone.grid_logits.shape[1:]
        torch.testing.assert_close(together.grid_logits[row, :height, :width], alone.grid_logits[0])
        assert not together.explanation.responses[row, :, height:].any()


def test_images_of_different_sizes_train_as_alone(model, photos):
    """All losses but those of samples that are drawn anew: response and caption."""
    pixels, mask = batch_of(*photos)
    step = objects(BOXES[:2], [0, 3], (80, 112))
    model.config.losses = ["response", "caption"]
    together = model(pixels, WORDS, pixel_mask=mask, **step).losses
    alone = []
    for row, one in enumerate(photos):
        height, width = one.shape[1:]
        own = {name: values[row, None] for name, values in step.items()}
        own["labels"] = own["labels"][:, :height, :width]
        alone.append(model(one[None], WORDS[row, None], **own).losses)
    torch.testing.assert_close(together["response"], (alone[0]["response"] + alone[1]["response"]) / 2)
    counts = [4, 3]  # words and an end
    caption = sum(count * losses["caption"] for count, losses in zip(counts, alone, strict=True)) / sum(counts)
    torch.testing.assert_close(together["caption"], caption)


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 16), (20, 31), (64, 17)])
def test_images_smaller_than_an_anchor(model, size):
    outputs = model(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(7)), WORDS)
    assert outputs.logits.shape == (2, *size) and torch.isfinite(outputs.logits).all()
    assert torch.isfinite(outputs.pred_boxes).all()


@torch.no_grad()
def test_a_blank_photo_has_an_answer(model):
    outputs = model(torch.zeros(1, 3, 64, 64), WORDS)
    assert torch.isfinite(outputs.logits).all() and outputs.region_scores.shape[1] <= 20


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 20])
def test_short_and_long_expressions(model, image, length):
    words = torch.randint(4, VOCAB_SIZE, (1, length), generator=torch.Generator().manual_seed(8))
    alone = model(image, words).grid_logits
    padded = torch.nn.functional.pad(words, (0, 5))
    torch.testing.assert_close(model(image, padded).grid_logits, alone)
    left = torch.nn.functional.pad(words, (5, 0))
    torch.testing.assert_close(model(image, left).grid_logits, alone)


@torch.no_grad()
def test_the_explanation_adds_up_to_the_response(model, image):
    seen = model(image, WORDS, output_attentions=True).explanation
    assert seen.filters == FILTERS and seen.responses.shape == (2, 7, 5, 6) and seen.weights.shape == (2, 7)
    torch.testing.assert_close((seen.weights[..., None, None] * seen.responses).sum(1), seen.fused_response)
    assert not seen.responses[:, FILTERS.index("up"), 2:].any() and seen.cell_sizes.tolist() == [16.0, 16.0]
    assert model(image, WORDS).explanation is None


def test_normalizations_keep_their_statistics_in_training(image):
    """Also those whose scale is trained, as of a detector that was trained from scratch."""
    detector = tiny_mask_rcnn_config(freeze_batch_norm=False)
    model = tiny_cac(detector_config=detector).train()
    before = {name: buffer.clone() for name, buffer in model.detector.named_buffers()}
    model(image, WORDS, **objects(BOXES[:2], [0, 3], (80, 96))).loss.backward()
    assert any("running_mean" in name for name in before)
    for name, buffer in model.detector.named_buffers():
        assert torch.equal(buffer, before[name]), name


@torch.no_grad()
def test_fewer_proposals_are_the_best_of_more(model, image, tmp_path):
    more = model(image, WORDS).region_scores
    model.save_pretrained(tmp_path)
    fewer = CacForReferringSegmentation.from_pretrained(tmp_path, num_proposals=7)
    assert fewer.config.num_proposals == fewer.detector.config.post_nms_top_n == 7
    torch.testing.assert_close(fewer(image, WORDS).region_scores, more[:, :7])
    fewer.config.num_proposals = 3
    assert fewer(image, WORDS).region_scores.shape == (2, 3)


def test_published_defaults():
    with torch.device("meta"):
        model = CacForReferringSegmentation(CacConfig(vocab_size=1999))
    own = {name: p.numel() for name, p in model.named_parameters() if name.startswith("captioner.")}
    assert sum(own.values()) == 7825361, "specs/cac.md: the captioner's values"
    assert model.spatial_filters.filters["left"].weight.shape == (1024, 1024)
    assert model.captioner.cells.weight.shape == (512, 4096)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": ["left", "whole"]}, "filters is .* each once, in this order"),
        ({"filters": []}, r"filters is \[\]: give at least one"),
        ({"losses": []}, r"losses is \[\]: give at least one"),
        ({"caption_loss_weight": 0.0}, 'leave "caption" out of losses'),
    ],
)
def test_configurations_that_mean_nothing_are_refused(changes, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        CacConfig(**changes)


# ---- Captions ----


@torch.no_grad()
def test_captions_of_expressions_read_what_training_reads(model, image):
    captions = model.generate_caption(image, WORDS, max_length=5)
    assert captions.sequences.shape == captions.log_probs.shape == (2, 5)
    assert captions.image_index.tolist() == [0, 0]
    features = model.get_image_features(image)
    again = model.generate_caption(input_ids=WORDS, image_features=features, max_length=5)
    assert torch.equal(again.sequences, captions.sequences)
    assert model.generate_caption(image, WORDS).sequences.shape == (2, model.config.max_length)


@torch.no_grad()
def test_captions_of_regions(model, image):
    boxes = [torch.tensor([[4.0, 4, 30, 40], [20, 10, 96, 62]])]
    masks = torch.zeros(2, 80, 96, dtype=torch.bool)
    masks[0, 4:40, 4:30], masks[1, 10:62, 20:96] = True, True
    of_boxes = model.generate_caption(image, region_boxes=boxes, num_beams=2)
    of_masks = model.generate_caption(image, region_boxes=boxes, region_masks=[masks], num_beams=2)
    assert torch.equal(of_boxes.sequences, of_masks.sequences) and of_boxes.image_index.tolist() == [0, 0]
    alone = model.generate_caption(image, region_boxes=[boxes[0][1:]], num_beams=2)
    assert torch.equal(alone.sequences[0], of_boxes.sequences[1])
    torch.testing.assert_close(alone.log_probs[0], of_boxes.log_probs[1])


@torch.no_grad()
def test_captions_of_photos_of_different_sizes(model, photos):
    pixels, mask = batch_of(*photos)
    boxes = [torch.tensor([[4.0, 4, 30, 40]]), torch.tensor([[20.0, 10, 100, 40], [3, 3, 30, 30]])]
    together = model.generate_caption(pixels, pixel_mask=mask, region_boxes=boxes)
    assert together.image_index.tolist() == [0, 1, 1]
    alone = [model.generate_caption(one[None], region_boxes=[box]) for one, box in zip(photos, boxes, strict=True)]
    torch.testing.assert_close(together.log_probs, torch.cat([captions.log_probs for captions in alone]))


def test_what_cannot_be_described_is_refused(model, image):
    boxes = [torch.tensor([[4.0, 4, 30, 40]])]
    for given in ({}, {"input_ids": WORDS, "region_boxes": boxes}):
        with pytest.raises(ValueError, match="give either regions .* or expressions"):
            model.generate_caption(image, **given)
    for number in (0, -1, 100_000, 2.0, "3", True):
        with pytest.raises(ValueError, match=f"num_beams is {number!r}; give a whole number from 1 to"):
            model.generate_caption(image, region_boxes=boxes, num_beams=number)
        with pytest.raises(ValueError, match="max_length is .*; give a whole number from 1 to"):
            model.generate_caption(image, region_boxes=boxes, max_length=number)
    with pytest.raises(ValueError, match="the model has no captioner"):
        tiny_cac(losses=["roi"]).generate_caption(image, region_boxes=boxes)
    reads_masks = tiny_cac(**ROWS["+ caption-aware consistency"])
    with pytest.raises(ValueError, match="reads an object's mask: give region_boxes"):
        reads_masks.generate_caption(image, WORDS)
    assert reads_masks.generate_caption(image, region_boxes=boxes).sequences.shape == (1, 10)
    with pytest.raises(ValueError, match="give pixel_values or image_features"):
        model.generate_caption(input_ids=WORDS)
