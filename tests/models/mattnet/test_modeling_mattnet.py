import json

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoModel, ResNetConfig

from hf_refseg.models.detectors import make_detector
from hf_refseg.models.mattnet.configuration_mattnet import MAttNetConfig
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from tests.models.model_tester import SIZE
from tests.models.region_tester import BOXES, RegionTester
from tests.tiny import VOCAB_SIZE, tiny_mask_rcnn, tiny_mask_rcnn_config, tiny_mattnet, tiny_nanodet


class TestMAttNet(RegionTester):
    region_inputs = ("region_boxes", "region_labels")

    def make_model(self, **kwargs):
        return tiny_mattnet(word_dropout=0.0, visual_dropout=0.0, matching_dropout=0.0, **kwargs)

    def regions(self):
        return {**super().regions(), "region_labels": torch.tensor([[0, 1, 1, 2], [3, 3, 0, 3]])}

    def with_labels(self, inputs, labels):
        """Right pairs, the same words with another region, and the same regions with other words."""
        generator = torch.Generator().manual_seed(3)
        wrong = torch.randint(4, VOCAB_SIZE, (3, 4), generator=generator)
        return {
            **{name: value for name, value in inputs.items() if name not in ("image_index", "attention_mask")},
            "input_ids": torch.cat([inputs["input_ids"], inputs["input_ids"], wrong]),
            "region_index": torch.tensor([6, 0, 7, 5, 1, 4, 6, 0, 7]),
            "attribute_labels": torch.tensor([[1.0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1]]),
        }

    def test_training_path_equals_inference_path(self, model, inputs):
        with torch.no_grad():
            inferred = model(**inputs).region_scores
        torch.testing.assert_close(model(**inputs).region_scores, inferred, rtol=1e-4, atol=1e-5)
        step = model(**self.with_labels(inputs, None))  # in eval mode the rows of a training step score alike
        regions = torch.tensor([2, 0, 3])
        torch.testing.assert_close(step.scores[:3], inferred[torch.arange(3), regions], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_index": torch.tensor([0, 1, 2])}, "runs from 0 to 2, but there are 2 images"),
            ({"input_ids": torch.zeros(0, 4, dtype=torch.long)}, r"shape \(0, 4\); give at least one expression"),
            ({"input_ids": torch.full((3, 4), VOCAB_SIZE)}, f"to {VOCAB_SIZE}, but .* 0 to {VOCAB_SIZE - 1}"),
            ({"attention_mask": torch.ones(3, 5)}, r"attention_mask has the shape \(3, 5\), input_ids \(3, 4\)"),
            ({"pixel_values": torch.zeros(3, SIZE, SIZE)}, r"shape \(3, 64, 64\); give at least one image"),
            ({"region_boxes": torch.tensor([BOXES])}, "region_boxes are of 1 images, but there are 2"),
            (
                {"region_boxes": torch.tensor([BOXES, BOXES])[..., :3]},
                r"region_boxes\[0\] has the shape \(4, 3\); give \(R_i, 4\)",
            ),
            (
                {"region_labels": torch.tensor([[0, 1], [1, 2]])},
                r"region_labels has \[2, 2\] entries per image, region_boxes \[4, 4\]",
            ),
            (
                {"region_boxes": [torch.tensor([[5.0, 5, 5, 9]]), torch.tensor(BOXES)]},
                r"\[5.0, 5.0, 5.0, 9.0\] has no area",
            ),
            (
                {"region_boxes": [torch.tensor(BOXES), torch.tensor([[70.0, 5, 90, 9]])]},
                "lies outside its image of 64 x 64",
            ),
            ({"region_boxes": [torch.zeros(0, 4), torch.tensor(BOXES)]}, "image 0 has no region to choose from"),
            ({"region_masks": [torch.ones(4, 8, 8), torch.ones(4, 8, 8)]}, r"are \[8, 8\], their image \[64, 64\]"),
        ],
    )
    def test_rejects_inputs_that_do_not_fit(self, model, inputs, changes, message):
        if "input_ids" in changes:
            inputs["attention_mask"] = None
        if "region_boxes" in changes and "region_labels" not in changes:
            inputs["region_labels"] = None
        with pytest.raises(ValueError, match=message):
            model(**{**inputs, **changes})

    @pytest.mark.parametrize("name", ["region_boxes", "region_labels"])
    def test_a_training_step_needs_regions(self, model, inputs, name):
        with pytest.raises(ValueError, match="needs pixel_values, region_boxes and region_labels too"):
            model(**{**self.with_labels(inputs, None), name: None})

    def test_a_training_step_takes_nothing_that_it_does_not_read(self, model, inputs):
        step, masks = self.with_labels(inputs, None), [torch.ones(4, SIZE, SIZE, dtype=torch.bool)] * 2
        with pytest.raises(ValueError, match="takes no image_features, detector_features or region_masks"):
            model(**step, region_masks=masks)
        features = {"image_features": model.get_image_features(inputs["pixel_values"])}
        with pytest.raises(ValueError, match="takes no image_features, detector_features or region_masks"):
            model(**{**step, "pixel_values": None}, **features)

    def test_labels_of_a_training_step_need_one(self, model, inputs):
        with pytest.raises(ValueError, match="attribute_labels are those of a training step: give region_index too"):
            model(**inputs, attribute_labels=torch.zeros(3, 6))

    def test_a_training_batch_has_lists(self, model, inputs):
        """Of float64, as the collator makes them; with fewer regions in one image."""
        step = self.with_labels(inputs, None)
        padded = model(**step).scores
        lists = {name: list(step[name]) for name in ("region_boxes", "region_labels")}
        lists["region_boxes"] = [boxes.double() for boxes in lists["region_boxes"]]
        torch.testing.assert_close(model(**{**step, **lists}).scores, padded)
        fewer = {name: [values[0][:3], values[1]] for name, values in lists.items()}
        index = torch.tensor([5, 0, 6, 4, 1, 3, 5, 0, 6])  # the regions of the second image move up by one
        assert model(**{**step, **fewer, "region_index": index}).scores.isfinite().all()

    def test_pairs_that_do_not_fit_are_refused(self, model, inputs):
        step = self.with_labels(inputs, None)
        with pytest.raises(ValueError, match="names 3 pairs, input_ids holds 9"):
            model(**{**step, "region_index": torch.tensor([0, 1, 2])})
        with pytest.raises(ValueError, match="runs from 0 to 8, but there are 8 regions"):
            model(**{**step, "region_index": torch.arange(9)})

    @pytest.mark.parametrize("name", ["region_boxes", "region_labels", "region_masks"])
    def test_regions_beside_features_that_hold_their_own_are_refused(self, model, inputs, name):
        features = model.get_image_features(inputs["pixel_values"])
        words = {key: inputs[key] for key in ("input_ids", "attention_mask", "image_index")}
        with pytest.raises(ValueError, match=f"image_features hold their regions already; give {name} to"):
            model(**words, image_features=features, **{name: [[], []]})
        with pytest.raises(
            ValueError, match="image_features hold their regions already; give region_boxes, region_labels"
        ):
            model(**{**inputs, "pixel_values": None}, image_features=features)

    def test_labels_are_refused(self, model, inputs, labels):
        with pytest.raises(TypeError, match="has no argument labels"):
            model(**inputs, labels=labels)

    def test_images_beside_the_features_of_the_detector_are_refused(self, model, inputs):
        features = model.detector.get_image_features(inputs["pixel_values"])
        with pytest.raises(ValueError, match="detector_features hold their images already: leave out pixel_values"):
            model(**inputs, detector_features=features)
        words = {name: value for name, value in inputs.items() if name != "pixel_values"}
        with pytest.raises(ValueError, match="image_features hold their images already: leave out detector_features"):
            model(**words, image_features=model.get_image_features(**inputs), detector_features=features)

    def test_what_a_training_step_does_not_read_is_refused(self, model, inputs):
        step = self.with_labels(inputs, None)
        with pytest.raises(ValueError, match="output_attentions would not be read in a training step"):
            model(**step, output_attentions=True)

    def test_images_with_fewer_regions_have_fewer_candidates(self, model, inputs):
        lists = {
            name: [list(inputs[name][0]), inputs[name][1][:3].numpy()] for name in ("region_boxes", "region_labels")
        }
        scores = model(**{**inputs, **lists}).region_scores
        assert torch.isneginf(scores[[0, 2], 3]).all() and scores[1].isfinite().all()
        full = model(**inputs).region_scores
        torch.testing.assert_close(scores[1], full[1])

    def test_the_detector_never_trains(self, model, inputs):
        before = {name: tensor.clone() for name, tensor in model.detector.state_dict().items()}
        model.train()
        model(**self.with_labels(inputs, None)).loss.backward()
        assert not any(parameter.grad is not None for parameter in model.detector.parameters())
        for name, tensor in model.detector.state_dict().items():
            assert torch.equal(tensor, before[name]), name


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_mattnet()


@pytest.fixture
def image():
    return torch.randn(1, 3, 80, 96, generator=torch.Generator().manual_seed(4))


WORDS = torch.tensor([[4, 5, 6], [7, 8, 0]])


@torch.no_grad()
def test_its_own_detections_are_the_candidates(model, image):
    found = model.detector(image, at_least_one=True)
    outputs = model(image, WORDS)
    assert outputs.region_scores.shape == (2, len(found.pred_boxes))
    chosen = outputs.region_scores.argmax(1)
    torch.testing.assert_close(outputs.pred_boxes, found.pred_boxes[chosen])
    torch.testing.assert_close(outputs.region_masks, found.mask_probabilities[chosen], rtol=1e-4, atol=1e-5)
    assert outputs.logits.shape == (2, 80, 96)


@torch.no_grad()
def test_one_candidate_is_the_answer(model, image):
    outputs = model(image, WORDS, region_boxes=[torch.tensor([[10.0, 10, 50, 60]])], output_attentions=True)
    assert outputs.pred_boxes.tolist() == [[10, 10, 50, 60]] * 2
    assert outputs.explanation.neighbors.tolist() == [-1, -1]
    assert outputs.explanation.module_scores[..., 2].tolist() == [[0.0], [0.0]], "no neighbor, no relation"


@torch.no_grad()
def test_labels_without_regions_are_refused(model, image):
    with pytest.raises(ValueError, match="give region_boxes or region_masks too"):
        model(image, WORDS, region_labels=[[1, 2]])


@torch.no_grad()
def test_labels_of_another_detector_need_masks(model, image):
    """Our mask branch has five categories; which of them 79 would be nobody knows."""
    with pytest.raises(ValueError, match="has the label 79, but the detector draws masks of the categories 0 to 4"):
        model(image, WORDS, region_boxes=[BOXES], region_labels=[[79] * 4])
    chosen = int(model(image, WORDS[:1], region_boxes=[BOXES]).chosen)
    labels = [79 if region != chosen else 0 for region in range(4)]
    with pytest.raises(ValueError, match="has the label 79"):  # of regions that are not chosen, too
        model(image, WORDS[:1], region_boxes=[BOXES], region_labels=[labels])
    masks = torch.ones(4, 80, 96, dtype=torch.bool)
    assert model(image, WORDS, region_boxes=[BOXES], region_labels=[[79] * 4], region_masks=[masks]).chosen.shape == (
        2,
    )


@torch.no_grad()
def test_words_by_themselves(model, image):
    text = model.get_text_features(WORDS, pixel_values=image)
    explanation = model(image, WORDS, output_attentions=True).explanation
    assert torch.equal(text.module_weights, explanation.module_weights)
    assert torch.equal(text.word_attentions, explanation.word_attentions)
    assert text.phrases.shape == (3, 2, 10)


@torch.no_grad()
def test_a_configuration_may_ask_for_the_explanation(model, image):
    assert model(image, WORDS).explanation is None
    model.config.output_attentions = True
    assert model(image, WORDS).explanation.word_attentions.shape == (2, 3, 3)
    assert model(image, WORDS, output_attentions=False).explanation is None


@torch.no_grad()
def test_a_photo_of_nothing_has_a_hundred_candidates_at_most(image):
    torch.manual_seed(0)
    detector = tiny_mask_rcnn_config(num_labels=60, post_nms_top_n=50, nms_threshold=0.9)
    scores = tiny_mattnet(detector_config=detector)(torch.zeros_like(image), WORDS).region_scores
    assert scores.shape == (2, 100)


@torch.no_grad()
def test_more_than_three_hundred_candidates(model, image):
    corners = torch.rand(400, 2, generator=torch.Generator().manual_seed(5)) * 60
    boxes = torch.cat([corners, corners + 8], 1)
    outputs = model(image, WORDS, region_boxes=[boxes])
    assert outputs.region_scores.shape == (2, 400) and torch.isfinite(outputs.region_scores).all()
    some = model(image, WORDS, region_boxes=[boxes[:300]])
    assert some.region_scores.shape == (2, 300)


@torch.no_grad()
def test_callers_masks_come_back_as_they_are(model, image):
    masks = torch.zeros(2, 160, 192, dtype=torch.bool)
    masks[0, 20:90, 30:70], masks[1, 100:, 150:] = True, True
    boxes = torch.tensor([[30.0, 20, 70, 90], [150, 100, 192, 160]])
    sizes, scales = torch.tensor([[160, 192]]), torch.tensor([0.5])
    outputs = model(image, WORDS, original_sizes=sizes, image_scales=scales, region_boxes=[boxes], region_masks=[masks])
    assert outputs.region_masks is None and outputs.original_sizes.tolist() == [[160, 192]]
    rows = zip(outputs.given_masks, outputs.pred_boxes, outputs.logits, outputs.chosen, strict=True)
    for mask, box, logits, chosen in rows:
        assert torch.equal(mask, masks[chosen]) and torch.equal(box, boxes[chosen])
        assert torch.equal(logits > 0, masks[chosen, ::2, ::2])


@torch.no_grad()
def test_images_of_different_sizes_answer_as_alone(model):
    generator = torch.Generator().manual_seed(6)
    images = [torch.randn(3, 80, 96, generator=generator), torch.randn(3, 64, 112, generator=generator)]
    batch, mask = torch.zeros(2, 3, 80, 112), torch.zeros(2, 80, 112, dtype=torch.long)
    for row, one in enumerate(images):
        batch[row, :, : one.shape[1], : one.shape[2]] = one
        mask[row, : one.shape[1], : one.shape[2]] = 1
    together = model(batch, WORDS, pixel_mask=mask)
    for row, one in enumerate(images):
        alone = model(one[None], WORDS[row, None])
        torch.testing.assert_close(together.pred_boxes[row], alone.pred_boxes[0], rtol=1e-4, atol=1e-3)
        height, width = one.shape[1:]
        torch.testing.assert_close(together.logits[row, :height, :width], alone.logits[0], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_attentions_are_what_the_paper_draws(model, image):
    attentions = model(image, WORDS, region_boxes=[torch.tensor(BOXES)], output_attentions=True).explanation
    assert attentions.word_attentions.shape == (2, 3, 3)
    torch.testing.assert_close(attentions.word_attentions.sum(-1), torch.ones(2, 3))
    assert not attentions.word_attentions[1, :, 2].any(), "padding is not listened to"
    torch.testing.assert_close(attentions.module_weights.sum(-1), torch.ones(2))
    assert attentions.grid_attention.shape == (2, 7, 7)
    torch.testing.assert_close(attentions.grid_attention.sum((1, 2)), torch.ones(2))
    assert (
        attentions.chosen.tolist()
        == attentions.module_scores.mul(attentions.module_weights[:, None]).sum(-1).argmax(1).tolist()
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@torch.no_grad()
def test_the_whole_way_in_other_precisions(model, image, dtype, tmp_path):
    exact = model(image, WORDS).region_scores
    model.save_pretrained(tmp_path)
    other = MAttNetForReferringSegmentation.from_pretrained(tmp_path, dtype=dtype)
    outputs = other(image, WORDS)
    assert outputs.pred_boxes.dtype == outputs.region_scores.dtype == torch.float32
    assert outputs.region_scores.shape[0] == 2 and outputs.region_scores.isfinite().all()
    if dtype == torch.float64:
        torch.testing.assert_close(outputs.region_scores, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modules", [["subject"], ["subject", "location"], ["location", "relationship"]])
@torch.no_grad()
def test_every_row_of_the_ablation_runs(image, modules):
    outputs = tiny_mattnet(modules=modules, attributes=False)(image, WORDS, output_attentions=True)
    assert outputs.explanation.module_weights.shape == (2, len(modules))
    assert (outputs.explanation.grid_attention is None) == ("subject" not in modules)


def test_sizes_that_do_not_fit_the_detector_are_refused():
    with pytest.raises(
        StrictDataclassClassValidationError, match="head_size is 32, but the detector's regions have 24"
    ):
        tiny_mattnet(head_size=32)
    with pytest.raises(ValueError, match="region_size is 8, but the detector's feature map has 16 channels"):
        tiny_mattnet(region_size=8)


def test_settings_in_the_spelling_of_earlier_checkpoints(tmp_path):
    config = MAttNetConfig(num_neighbours=3, same_category_neighbours=False)
    assert config.num_neighbors == 3 and not config.same_category_neighbors
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["num_neighbors"] == 3 and "num_neighbours" not in written
    (tmp_path / "config.json").write_text(json.dumps(written).replace("neighbors", "neighbours"))
    assert MAttNetConfig.from_pretrained(tmp_path).num_neighbors == 3


def test_published_defaults():
    config = MAttNetConfig()
    with torch.device("meta"):
        model = MAttNetForReferringSegmentation(config)
    assert model.detector.crop_channels == 1024
    assert model.detector.head.box_deltas.weight.shape == (324, 2048)
    assert model.matching.visual["subject"].attention_hidden.weight.shape == (512, 3072)


def test_parts_made_apart_are_put_together(image):
    torch.manual_seed(1)
    whole = tiny_mattnet()
    detector = tiny_mask_rcnn()
    model = MAttNetForReferringSegmentation.from_parts(detector, whole.matching)
    assert model.detector is detector
    with torch.no_grad():
        assert model(image, WORDS).region_scores.shape[0] == 2


@torch.no_grad()
def test_it_chooses_among_the_regions_of_nanodet(tmp_path):
    torch.manual_seed(0)
    model = tiny_mattnet(detector_config=tiny_nanodet().config, grid_size=6, region_size=8)
    inputs = {
        "pixel_values": torch.randn(2, 3, SIZE, SIZE),
        "input_ids": torch.tensor([[5, 6], [7, 4], [9, 9]]),
        "image_index": torch.tensor([1, 0, 1]),
    }
    outputs = model(**inputs)
    assert outputs.logits.shape == (3, SIZE, SIZE) and outputs.region_masks.shape == (3, 12, 12)
    regions = model.detector.detect(model.detector.get_image_features(inputs["pixel_values"]), at_least_one=True)
    rows = regions.rows(outputs.image_index, outputs.chosen)
    torch.testing.assert_close(outputs.pred_boxes, regions.boxes[rows])
    given = model(**inputs, region_boxes=[[[4.0, 4, 30, 40]], [[0, 0, 60, 60], [20, 10, 60, 62]]])
    assert given.chosen.tolist()[1] == 0 and given.pred_boxes[1].tolist() == [4, 4, 30, 40]
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(AutoModel.from_pretrained(tmp_path)(**inputs).logits, outputs.logits)


def test_other_detectors_are_refused():
    with pytest.raises(
        ValueError, match="detector_config is of 'resnet'; there are refseg_mask_rcnn and refseg_nanodet"
    ):
        make_detector(ResNetConfig())
