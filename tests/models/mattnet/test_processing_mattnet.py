"""MAttNet from photos to masks: processor, pipeline, command line, and the regions of other detectors."""

import json
import logging

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torchvision.models.detection import maskrcnn_resnet50_fpn
from transformers import AutoModel, AutoProcessor, DetrConfig, DetrForObjectDetection, DetrImageProcessor, ResNetConfig

import hf_refseg.pipelines as referring_pipeline
from hf_refseg import cli
from hf_refseg.data import RefShapes
from hf_refseg.evaluation.run import Evaluation, run
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from hf_refseg.models.mattnet.processing_mattnet import MAttNetProcessor
from hf_refseg.processing.mask_pasting import paste_masks
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_mask_rcnn_config, tiny_mattnet

TEXTS = ["the red circle", "the large blue star on the left", "square"]


def picture(height=50, width=70, seed=0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """A MAttNet that knows RefShapes' words and finds several regions in any picture."""
    folder = tmp_path_factory.mktemp("tiny-mattnet")
    torch.manual_seed(0)
    tokenizer = tokenizer_from_sentences(RefShapes.vocabulary(), padding_side="right")
    detector = tiny_mask_rcnn_config(score_threshold=0.17)
    model = tiny_mattnet(vocab_size=len(tokenizer), detector_config=detector)
    with torch.no_grad():
        model.detector.mask_branch.mask_logits.weight.mul_(300)  # masks that are neither empty nor everything
    model.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    MAttNetProcessor(MaskRcnnImageProcessor(size=size), tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def processor(checkpoint) -> MAttNetProcessor:
    return AutoProcessor.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint) -> MAttNetForReferringSegmentation:
    return AutoModel.from_pretrained(checkpoint).eval()


@pytest.fixture(scope="module")
def pipe(checkpoint):
    return transformers.pipeline(referring_pipeline.TASK, model=checkpoint, device="cpu")


@torch.no_grad()
def answer(model, processor, images, text, *, post=None, **regions):
    inputs = processor(images=images, text=text)
    outputs = model(**inputs, **regions)
    options = {"target_sizes": inputs["original_sizes"], **(post or {})}
    return outputs, processor.post_process_referring_segmentation(outputs, **options)


# ---- Post-processing ----


def test_the_processor_pads_behind_and_keeps_the_scale(processor):
    inputs = processor(images=[picture(), picture(40, 100)], text=TEXTS[:2])
    assert set(processor.model_input_names) <= {*inputs.keys(), "pixel_mask"}
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0, 0], [1] * 7]
    assert not inputs["input_ids"][0, 3:].any()
    assert inputs["image_scales"].tolist() == pytest.approx([64 / 50, 96 / 100])
    assert inputs["pixel_values"].shape == (2, 3, 64, 96) and inputs["pixel_mask"][1].sum() == 38 * 96


@pytest.mark.parametrize("special", [("<PAD>", "<UNK>"), ("<pad>", "<go>", "<eos>", "<unk>")])
def test_an_original_vocabulary_gets_mattnets_own_rule(tmp_path, special):
    """Split at blanks only, padded behind, cut at ten words: not the rule of RMI."""
    words = [*special, "the", "man's", "hat", "red"]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n")
    processor = MAttNetProcessor.from_vocabulary_file(tmp_path / "words.txt")
    inputs = processor(text=["The man's RED hat", "hat"])
    assert inputs["input_ids"].tolist() == [[words.index(word) for word in ("the", "man's", "red", "hat")],
                                            [words.index("hat"), 0, 0, 0]]  # fmt: skip
    assert processor.tokenizer.model_max_length == 10
    assert processor.unknown_words("the zebra") == ["zebra"]


def test_box_and_score_are_the_models_and_the_mask_its_small_one_pasted(model, processor):
    outputs, results = answer(model, processor, picture(), [TEXTS])
    assert outputs.region_scores.shape[1] > 3, "there is something to choose from"
    assert len(results) == 3
    for row, result in enumerate(results):
        assert result["box"] == outputs.pred_boxes[row].tolist()
        assert result["score"] == outputs.scores[row].item()
        expected = paste_masks(outputs.region_masks[row, None], outputs.pred_boxes[row, None], (50, 70))[0]
        assert torch.equal(result["mask"], expected)
    assert any(0 < result["mask"].sum() < 50 * 70 for result in results)


def test_sizes_are_those_of_the_outputs(model, processor):
    _, given = answer(model, processor, picture(), TEXTS[0])
    _, results = answer(model, processor, picture(), TEXTS[0], post={"target_sizes": None})
    assert torch.equal(results[0]["mask"], given[0]["mask"]) and results[0]["mask"].shape == (50, 70)
    with pytest.raises(ValueError, match=r"target_sizes are \[\(64, 90\)\], but the boxes .* images of \[\(50, 70\)\]"):
        answer(model, processor, picture(), TEXTS[0], post={"target_sizes": [(64, 90)]})


def test_the_papers_interpolation_stretches_and_has_its_own_threshold(model, processor):
    outputs, results = answer(model, processor, picture(), [TEXTS], post={"interpolation": "paper"})
    for row, result in enumerate(results):
        small, box = outputs.region_masks[row, None], outputs.pred_boxes[row, None]
        assert torch.equal(result["mask"], paste_masks(small, box, (50, 70), interpolation="paper")[0])
    with pytest.raises(ValueError, match="interpolation='paper' cuts at 122 of 255"):
        answer(model, processor, picture(), [TEXTS], post={"interpolation": "paper", "threshold": 0.3})


def test_a_dense_crf_draws_another_mask_in_the_same_box(model, processor):
    image = picture()
    _, plain = answer(model, processor, image, [TEXTS])
    _, refined = answer(model, processor, image, [TEXTS], post={"refine": "dense_crf", "images": [image]})
    for one, other in zip(plain, refined, strict=True):
        assert one["box"] == other["box"] and one["score"] == other["score"]
        assert other["mask"].shape == (50, 70)
    assert any(not torch.equal(one["mask"], other["mask"]) for one, other in zip(plain, refined, strict=True))


def test_images_of_different_sizes_answer_as_alone(model, processor):
    images, texts = [picture(), picture(40, 100, 1), picture(30, 31, 2)], [[TEXTS[0]], TEXTS[1:], [TEXTS[2]]]
    _, together = answer(model, processor, images, texts)
    alone = [
        result
        for image, of_image in zip(images, texts, strict=True)
        for result in answer(model, processor, image, [of_image])[1]
    ]
    assert [result["image_index"] for result in together] == [0, 1, 1, 2]
    for one, other in zip(together, alone, strict=True):
        assert one["mask"].shape == other["mask"].shape
        assert one["box"] == pytest.approx(other["box"], abs=1e-3) and one["score"] == pytest.approx(
            other["score"], abs=1e-5
        )
        assert (one["mask"] != other["mask"]).float().mean() < 0.01


def test_words_that_nobody_knows_are_refused(model, processor, pipe, caplog):
    with pytest.raises(ValueError, match="no word of expression 0, 'zebra giraffe', is in the vocabulary"):
        processor(images=picture(), text="zebra giraffe")
    with pytest.raises(ValueError, match="no word of expression 0, 'zebra giraffe', is in the vocabulary"):
        pipe(picture(), "zebra giraffe")
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        pipe(picture(), "the red zebra")
    assert "does not know the words zebra" in caplog.text
    inputs = processor(images=picture(), text="zebra giraffe", allow_unknown=True)  # as data sets need it
    with torch.no_grad():
        assert torch.isfinite(model(**inputs).region_scores).all()


@torch.no_grad()
def test_an_expression_of_padding_only_has_finite_scores(model, processor):
    inputs = processor(images=picture(), text=TEXTS[:1])
    words = {"input_ids": torch.zeros(1, 3, dtype=torch.long), "attention_mask": None}
    assert torch.isfinite(model(**{**inputs, **words}).region_scores).all()


# ---- The pipeline and the command line ----


def test_the_pipeline_answers_many_expressions_of_one_image(pipe, model, processor, monkeypatch):
    calls = []
    encode = pipe.model.get_image_features
    monkeypatch.setattr(pipe.model, "get_image_features", lambda *a, **k: calls.append(1) or encode(*a, **k))
    answers = pipe(picture(), TEXTS)
    assert calls == [1], "the image is looked at once"
    _, results = answer(model, processor, picture(), [TEXTS])
    for one, result, text in zip(answers, results, TEXTS, strict=True):
        assert one["label"] == text and one["box"] == result["box"] and one["score"] == result["score"]
        np.testing.assert_array_equal(np.asarray(one["mask"]) > 0, result["mask"].numpy())


def test_the_pipeline_takes_images_of_different_sizes_and_every_option(pipe):
    answers = pipe([picture(), picture(40, 100, 1)], [TEXTS[:2], TEXTS[2:]], batch_size=2)
    assert [[one["mask"].size for one in row] for row in answers] == [[(70, 50)] * 2, [(100, 40)]]
    for options in ({"interpolation": "paper"}, {"refine": "dense_crf"}, {"threshold": 0.3}):
        assert pipe(picture(), TEXTS[0], **options)["mask"].size == (70, 50)


@pytest.fixture
def photo(tmp_path) -> str:
    picture().save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_the_command_line_segments(checkpoint, photo, tmp_path, capsys):
    words = ["segment", photo, *TEXTS, "--model", checkpoint, "--json", "--output", str(tmp_path / "overlay.png")]
    assert cli.main(words) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["label"] for result in results] == TEXTS
    assert Image.open(tmp_path / "overlay.png").width == 70


def test_the_command_line_draws_what_the_modules_look_at(checkpoint, photo, tmp_path, capsys):
    drawn = tmp_path / "modules.png"
    assert cli.main(["segment", photo, TEXTS[1], "--model", checkpoint, "--word-maps", str(drawn)]) == 0
    assert Image.open(drawn).width > 800


@pytest.mark.parametrize("interpolation", ["clean", "paper"])
def test_evaluation_counts_its_masks(checkpoint, tmp_path, interpolation):
    results = run(
        Evaluation(
            model=checkpoint, output=tmp_path / "results", dataset="refshapes", split="val", protocol="mattnet",
            limit=4, batch_size=2, interpolation=interpolation,
        )
    )  # fmt: skip
    assert results["counts"]["rows"] == 4 and 0 <= results["metrics"]["oIoU"] <= 1


# ---- Regions that others bring ----


def test_the_callers_masks_are_returned_exactly(model, processor):
    masks = torch.zeros(2, 50, 70, dtype=torch.bool)
    masks[0, 5:20, 3:33:2], masks[1, 30:, 40:] = True, True
    boxes = torch.tensor([[3.0, 5, 33, 20], [40, 30, 70, 50]])
    for interpolation in ("clean", "paper"):
        outputs, results = answer(
            model, processor, picture(), [TEXTS], region_boxes=[boxes], region_masks=[masks],
            post={"interpolation": interpolation},
        )  # fmt: skip
        for result, chosen in zip(results, outputs.chosen, strict=True):
            assert torch.equal(result["mask"], masks[chosen]) and result["box"] == boxes[chosen].tolist()


def test_a_detector_of_transformers_proposes(model, processor):
    """DETR's boxes and categories; the masks are those of our own detector."""
    torch.manual_seed(1)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        backbone_config=backbone, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2, num_queries=6, num_labels=4,
    )  # fmt: skip
    detr = DetrForObjectDetection(config).eval()
    images = [picture(), picture(40, 100, 1)]
    detr_processor = DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    with torch.no_grad():
        found = detr(**detr_processor(images, return_tensors="pt"))
    found = detr_processor.post_process_object_detection(found, threshold=0.0, target_sizes=[(50, 70), (40, 100)])
    assert all(len(of_image["boxes"]) == 6 for of_image in found)
    regions = {
        "region_boxes": [of_image["boxes"] for of_image in found],
        "region_labels": [of_image["labels"] for of_image in found],
    }
    outputs, results = answer(model, processor, images, [TEXTS[:2], TEXTS[2:]], **regions)
    assert outputs.region_scores.shape == (3, 6) and torch.isfinite(outputs.region_scores).all()
    for result, chosen, image in zip(results, outputs.chosen, outputs.image_index, strict=True):
        assert result["box"] == found[image]["boxes"][chosen].tolist()


def test_torchvisions_mask_rcnn_proposes_boxes_categories_and_masks(model, processor):
    torch.manual_seed(2)
    detector = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=5, min_size=64, max_size=96, box_score_thresh=0.0,
        box_detections_per_img=8, rpn_post_nms_top_n_test=20,
    ).eval()  # fmt: skip
    pixels = torch.from_numpy(np.array(picture())).permute(2, 0, 1) / 255
    with torch.no_grad():
        (found,) = detector([pixels])
    assert len(found["boxes"])
    masks = found["masks"][:, 0] > 0.5
    regions = {"region_boxes": [found["boxes"]], "region_labels": [found["labels"] - 1], "region_masks": [masks]}
    outputs, results = answer(model, processor, picture(), [TEXTS], **regions)
    for result, chosen in zip(results, outputs.chosen, strict=True):
        assert torch.equal(result["mask"], masks[chosen])


@pytest.mark.parametrize("as_dicts", [True, False])
def test_masks_alone_as_sam_makes_them(model, processor, as_dicts):
    """Boxes are drawn around the masks; the categories are our detector's guess."""
    rows, columns = np.mgrid[:50, :70]
    masks = np.stack([(rows - y) ** 2 + (columns - x) ** 2 < r**2 for x, y, r in ((15, 15, 9), (50, 30, 14))])
    boxes = [[7, 7, 24, 24], [37, 17, 64, 44]]
    given = [{"segmentation": mask, "area": int(mask.sum())} for mask in masks] if as_dicts else masks
    outputs, results = answer(model, processor, picture(), [TEXTS], region_masks=[given])
    for result, chosen in zip(results, outputs.chosen.tolist(), strict=True):
        np.testing.assert_array_equal(result["mask"].numpy(), masks[chosen])
        assert result["box"] == boxes[chosen]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([10.0, 10, 10, 30], "has no area"),
        ([80.0, 10, 90, 30], "lies outside its image of 50 x 70 pixels"),
        ([-9.0, -9, 0, 30], "lies outside its image"),
    ],
)
def test_regions_that_are_none_are_refused(model, processor, box, message):
    with pytest.raises(ValueError, match=message):
        answer(model, processor, picture(), TEXTS[0], region_boxes=[torch.tensor([[0.0, 0, 20, 20], box])])
    if message != "has no area":
        half = torch.tensor([[-9.0, -9, 30, 30]])  # what reaches out only partly is a region
        assert answer(model, processor, picture(), TEXTS[0], region_boxes=[half])[1][0]["box"] == half[0].tolist()
