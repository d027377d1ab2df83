"""refine="dense_crf" from the processor, the pipeline and the command line: where, on what, and with what numbers."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tvF
from transformers import AutoProcessor, pipeline

from hf_refseg import (
    LstmCnnImageProcessor,
    LstmCnnProcessor,
    ReferringSegmentationOutput,
    RmiImageProcessor,
    RmiProcessor,
    cli,
)
from hf_refseg.dense_crf import DenseCrf, DenseCrfParameters
from hf_refseg.processing import refinement
from hf_refseg.processing.placement import CenteredPlacement
from hf_refseg.processing.resizing import resize_and_crop, resize_picture
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_rmi

CANVAS = (64, 64)


def make_processor(processor_class=RmiProcessor, image_processor_class=RmiImageProcessor, **options):
    image_processor = image_processor_class(size={"height": CANVAS[0], "width": CANVAS[1]})
    return processor_class(image_processor, tokenizer_from_sentences(["a cat", "the red dog"]), **options)


def square_photo(height=40, width=64, top=8, left=20, side=24):
    """A bright square on dark, and where it is; noise makes every pixel differ."""
    truth = np.zeros((height, width), bool)
    truth[top : top + side, left : left + side] = True
    noise = np.random.default_rng(0).integers(0, 6, (height, width, 3))
    return Image.fromarray((truth[..., None] * 180 + 20 + noise).astype(np.uint8)), torch.from_numpy(truth)


def blurred_outputs(truth: torch.Tensor, count=1, image_index=None):
    """Logits of a blurred, noisy version of `truth` (H, W) in the network's input, as a coarse network gives them."""
    box = CenteredPlacement.fit(tuple(truth.shape), CANVAS)
    shrunk = tvF.resize(truth[None].float(), list(box.inner), antialias=True)
    blurred = tvF.gaussian_blur(box.pad(shrunk), 9, 3.0)  # (1, H, W)
    noise = torch.randn(count, *CANVAS, generator=torch.Generator().manual_seed(0)) * 0.5
    return ReferringSegmentationOutput(logits=8 * blurred - 3 + noise, image_index=image_index, scores=None)


def iou(mask, truth):
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    ("processor_class", "image_processor_class"),
    [(RmiProcessor, RmiImageProcessor), (LstmCnnProcessor, LstmCnnImageProcessor)],
)
def test_every_processor_sharpens_edges(processor_class, image_processor_class):
    processor = make_processor(processor_class, image_processor_class)
    image, truth = square_photo()
    outputs = blurred_outputs(truth)
    post_process = processor.post_process_referring_segmentation
    (coarse,) = post_process(outputs, [(40, 64)])
    (sharp,) = post_process(outputs, [(40, 64)], refine="dense_crf", images=image)
    assert iou(coarse["mask"], truth) < 0.9 < 0.95 < iou(sharp["mask"], truth)
    assert sharp["mask"].shape == (40, 64) and sharp["mask"].dtype == torch.bool
    assert sharp["box"] == pytest.approx([20, 8, 44, 32], abs=1)
    assert 0.5 < sharp["score"] < 0.99  # the network's, not the certainty of the CRF


def test_clean_interpolation_leaves_the_padding_alone():
    processor = make_processor()
    image, truth = square_photo(48, 80)
    outputs = blurred_outputs(truth)
    sharpened = refinement.sharpen(
        outputs.logits, [0], [image], None, processor.image_processor, "clean", processor.dense_crf
    )
    box = CenteredPlacement.fit((48, 80), CANVAS)
    padding = box.pad(torch.ones(box.inner)) == 0
    assert torch.equal(sharpened[:, padding], outputs.logits[:, padding])
    small = resize_picture(tvF.pil_to_tensor(image), box.inner, "clean")
    logits = box.crop(outputs.logits)
    expected = DenseCrf(small)(torch.stack([(-logits).sigmoid(), logits.sigmoid()], dim=1))[:, 1]
    torch.testing.assert_close(box.crop(sharpened).sigmoid(), expected)


def test_paper_interpolation_is_what_rmi_did():
    """CRF on the padded picture at the network's size, best label, resize and crop, every touched pixel counts."""
    processor = make_processor()
    image, truth = square_photo(48, 80)
    outputs = blurred_outputs(truth)
    (result,) = processor.post_process_referring_segmentation(
        outputs, [(48, 80)], interpolation="paper", refine="dense_crf", images=image
    )
    pixels = processor.image_processor(image, do_normalize=False, interpolation="paper")["pixel_values"][0]
    foreground = outputs.logits.sigmoid()
    marginals = DenseCrf(pixels.to(torch.uint8))(torch.stack([1 - foreground, foreground], dim=1))
    expected = resize_and_crop(marginals.argmax(1).float(), (48, 80)) > 0
    assert torch.equal(result["mask"], expected[0])


def test_one_lattice_per_image(monkeypatch):
    processor = make_processor()
    built = []
    monkeypatch.setattr(refinement, "DenseCrf", lambda *a, **k: built.append(1) or DenseCrf(*a, **k))
    (image, truth), (other, other_truth) = square_photo(), square_photo(60, 40, 30, 4, 20)
    one, two = blurred_outputs(truth, 2), blurred_outputs(other_truth)
    logits, index = torch.cat([one.logits[:1], two.logits, one.logits[1:]]), torch.tensor([0, 1, 0])
    outputs = ReferringSegmentationOutput(logits=logits, image_index=index, scores=None)
    results = processor.post_process_referring_segmentation(
        outputs, [(40, 64), (60, 40)], refine="dense_crf", images=[image, other]
    )
    assert len(built) == 2
    for row, (picture, size) in enumerate([(image, (40, 64)), (other, (60, 40)), (image, (40, 64))]):
        alone = ReferringSegmentationOutput(logits=logits[row, None], image_index=None, scores=None)
        (result,) = processor.post_process_referring_segmentation(alone, [size], refine="dense_crf", images=picture)
        assert torch.equal(result["mask"], results[row]["mask"]) and results[row]["image_index"] == index[row]


def test_without_target_sizes_masks_stay_at_the_networks_size():
    image, truth = square_photo()
    (result,) = make_processor().post_process_referring_segmentation(
        blurred_outputs(truth), refine="dense_crf", images=image
    )
    box = CenteredPlacement.fit((40, 64), CANVAS)
    expected = box.pad(tvF.resize(truth[None].float(), list(box.inner), antialias=True))[0] > 0.5
    assert result["mask"].shape == CANVAS and iou(result["mask"], expected) > 0.9


def test_half_precision_logits():
    image, truth = square_photo()
    outputs = blurred_outputs(truth)
    outputs.logits = outputs.logits.to(torch.bfloat16)
    (result,) = make_processor().post_process_referring_segmentation(
        outputs, [(40, 64)], refine="dense_crf", images=image
    )
    assert iou(result["mask"], truth) > 0.9


def test_parameters_travel_with_the_processor(tmp_path):
    processor = make_processor(dense_crf={"iterations": 3})
    processor.dense_crf["bilateral_srgb"] = 7.5
    processor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "processor_config.json").read_text())["dense_crf"]["bilateral_srgb"] == 7.5
    again = AutoProcessor.from_pretrained(tmp_path)
    assert DenseCrfParameters(**again.dense_crf) == DenseCrfParameters(iterations=3, bilateral_srgb=7.5)
    override = AutoProcessor.from_pretrained(tmp_path, dense_crf={"gaussian_weight": 1.0})
    assert DenseCrfParameters(**override.dense_crf) == DenseCrfParameters(gaussian_weight=1.0)
    image, truth = square_photo()
    masks = [
        p.post_process_referring_segmentation(blurred_outputs(truth), [(40, 64)], refine="dense_crf", images=image)
        for p in (processor, again)
    ]
    assert torch.equal(masks[0][0]["mask"], masks[1][0]["mask"])


def test_processors_saved_before_there_was_a_crf_have_rmis_parameters(tmp_path):
    make_processor().save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    config = json.loads(file.read_text())
    del config["dense_crf"]
    file.write_text(json.dumps(config))
    assert DenseCrfParameters(**AutoProcessor.from_pretrained(tmp_path).dense_crf) == DenseCrfParameters()


def test_bad_calls():
    processor = make_processor()
    image, truth = square_photo()
    outputs = blurred_outputs(truth)

    def refine(**options):
        return processor.post_process_referring_segmentation(outputs, refine="dense_crf", **options)

    with pytest.raises(ValueError, match="reads the colors of 1 images, but 0 are given; pass images="):
        refine(target_sizes=[(40, 64)])
    with pytest.raises(ValueError, match="colors of 1 images, but 2 are given"):
        refine(target_sizes=[(40, 64)], images=[image, image])
    with pytest.raises(ValueError, match=r"images\[0\] is 40 x 64 pixels .* target_sizes says 64 x 40"):
        refine(target_sizes=[(64, 40)], images=image)
    with pytest.raises(ValueError, match="dense_crf has no parameter sigma; it has gaussian_sxy, gaussian_weight"):
        make_processor(dense_crf={"sigma": 3})
    with pytest.raises(ValueError, match="bilateral_srgb of the dense CRF is 0"):
        make_processor(dense_crf={"bilateral_srgb": 0})
    outputs.logits[0, 30, 30] = torch.nan
    with pytest.raises(ValueError, match="logits of expression 0 are not finite"):
        refine(target_sizes=[(40, 64)], images=image)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    processor = make_processor()
    tiny_rmi(vocab_size=len(processor.tokenizer)).save_pretrained(tmp_path / "tiny")
    processor.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_pipeline_and_command_line(checkpoint, tmp_path, capsys):
    image, _ = square_photo()
    image.save(tmp_path / "photo.png")
    pipe = pipeline("referring-image-segmentation", model=str(checkpoint), device="cpu")
    inputs = pipe.processor(image, ["a cat", "the dog"])
    with torch.no_grad():
        outputs = pipe.model(**inputs)
    threshold = float(outputs.logits.sigmoid().mean())  # a tiny random network paints half of the picture there
    expected = pipe.processor.post_process_referring_segmentation(
        outputs, inputs["original_sizes"], threshold, refine="dense_crf", images=image
    )
    answers = pipe(image, ["a cat", "the dog"], refine="dense_crf", threshold=threshold)
    for answer, result in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(answer["mask"]) > 0, result["mask"].numpy())
    arguments = ["segment", str(tmp_path / "photo.png"), "a cat", "--model", str(checkpoint), "--json"]
    assert cli.main([*arguments, "--threshold", str(threshold), "--refine", "dense_crf"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["area"] == int(expected[0]["mask"].sum())
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--refine", "edges"])
    assert "invalid choice: 'edges'" in capsys.readouterr().err
