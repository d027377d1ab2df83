"""Every placement knows its inverse: what a processor puts into the network's input comes back to the photo."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tvF

import hf_refseg
from hf_refseg import ReferringSegmentationOutput
from hf_refseg.processing.image_processing import CanvasImageProcessor, ShortestEdgeImageProcessor
from hf_refseg.processing.masks import mask_box
from hf_refseg.processing.placement import CenteredPlacement, Placement
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.systems import SYSTEMS

PROCESSORS = [f"{system.prefix}Processor" for system in SYSTEMS if system.kind == "referring"]
PHOTO_SIZES = [(90, 140), (160, 100)]  # the batch's canvas fits neither, so that every placement has padding


def ellipse(height: int, width: int) -> np.ndarray:
    """A large ellipse off the middle, so that a mask that comes back to another place shows."""
    y, x = np.mgrid[0:height, 0:width]
    return ((y - 0.42 * height) / (0.34 * height)) ** 2 + ((x - 0.6 * width) / (0.33 * width)) ** 2 < 1


def photo_of(mask: np.ndarray) -> np.ndarray:
    """The mask bright on dark, for the CRF; noise makes every pixel differ."""
    noise = np.random.default_rng(0).integers(0, 6, (*mask.shape, 3))
    return (mask[..., None] * 180 + 20 + noise).astype(np.uint8)


def outputs_of(batch, masks: list[torch.Tensor]) -> ReferringSegmentationOutput:
    """A network that is right: the labels as logits, and the region of each mask as a detector would draw it."""
    boxes = torch.tensor([mask_box(mask) for mask in masks])
    small = [
        tvF.resize(mask[int(y0) : int(y1), int(x0) : int(x1)][None].float(), [28, 28], antialias=True)[0]
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.tolist(), strict=True)
    ]
    return ReferringSegmentationOutput(
        logits=batch["labels"] * 8 - 4,
        region_masks=torch.stack(small),
        pred_boxes=boxes,
        image_index=torch.arange(2),
        no_target_scores=torch.zeros(2),
    )


@pytest.mark.parametrize("refine", [None, "dense_crf"])
@pytest.mark.parametrize("interpolation", ["clean", "paper"])
@pytest.mark.parametrize("name", PROCESSORS)
def test_masks_return_to_their_photos(name, interpolation, refine):
    processor_class = getattr(hf_refseg, name)
    image_processor_class = processor_class.default_image_processor
    image_processor = image_processor_class(size=image_processor_class.size_of_side(96))
    processor = processor_class(image_processor, tokenizer_from_sentences(["a cat"]))
    masks = [ellipse(*size) for size in PHOTO_SIZES]
    photos = [photo_of(mask) for mask in masks]
    batch = processor(photos, ["a cat"] * 2, segmentation_maps=masks)
    outputs = outputs_of(batch, [torch.from_numpy(mask) for mask in masks])
    results = processor.post_process_referring_segmentation(
        outputs, batch["original_sizes"], interpolation=interpolation, refine=refine, images=photos
    )
    for result, mask in zip(results, masks, strict=True):
        found = result["mask"].numpy()
        assert found.shape == mask.shape
        assert (found & mask).sum() / (found | mask).sum() > 0.93


@pytest.mark.parametrize(
    "placement",
    [
        CenteredPlacement.fit((37, 53), (64, 64)),
        Placement(original=(37, 53), canvas=(80, 64), inner=(45, 64)),
        Placement(original=(9, 7), canvas=(9, 7), inner=(9, 7)),
    ],
)
def test_crop_undoes_pad(placement):
    image = torch.rand(3, *placement.inner)
    padded = placement.pad(image)
    assert padded.shape == (3, *placement.canvas) and torch.equal(placement.crop(padded), image)
    assert padded.sum().item() == pytest.approx(image.sum().item())


def test_padding_is_centered_with_the_odd_row_below():
    placement = CenteredPlacement.fit((37, 53), (64, 64))
    assert (placement.inner, placement.top, placement.left) == ((45, 64), 9, 0)


def test_the_detectors_photos_lie_at_the_top_left():
    placement = ShortestEdgeImageProcessor().placement((300, 500), canvas=(1000, 1000))
    assert (placement.inner, placement.top, placement.left) == ((600, 1000), 0, 0)
    assert placement.canvas == (1000, 1000)


def test_the_papers_refine_the_bars_of_a_letterbox_and_never_the_padding_of_a_batch():
    values = torch.rand(2, 64, 64)
    letterbox, corner = CenteredPlacement.fit((30, 64), (64, 64)), Placement((30, 64), (64, 64), (30, 64))
    assert letterbox.refined_part(values, "paper").shape == (2, 64, 64)
    for placement, interpolation in ((letterbox, "clean"), (corner, "clean"), (corner, "paper")):
        assert placement.refined_part(values, interpolation).shape == (2, 30, 64)


@pytest.mark.parametrize("do_pad", [True, False])
def test_a_canvas_without_bars_has_the_papers_way_back_too(do_pad):
    mask = ellipse(120, 200)
    processor = CanvasImageProcessor(size={"height": 128, "width": 128}, do_pad=do_pad)
    labels = processor(photo_of(mask), segmentation_maps=mask)["labels"]
    found = processor.restore_masks(labels * 20 - 10, mask.shape, interpolation="paper")[0][0].numpy()
    assert (found & mask).sum() / (found | mask).sum() > 0.93


def test_logits_of_another_size_are_refused():
    """A size that one call chose is not known on the way back."""
    with pytest.raises(
        ValueError, match=r"picture of \(300, 500\) .* scaled to \(600, 1000\), does not fit into \(90, 150\)"
    ):
        ShortestEdgeImageProcessor().restore_masks(torch.zeros(1, 90, 150), (300, 500))


@pytest.mark.parametrize("size", [(90, 140), (160, 100), (96, 96)])
def test_the_detectors_masks_take_the_nearest_pixel_as_the_paper_does(size):
    mask = ellipse(*size)
    image_processor = ShortestEdgeImageProcessor(size={"shortest_edge": 60, "longest_edge": 100}, interpolation="paper")
    batch = image_processor(photo_of(mask), segmentation_maps=mask)
    height, width = batch["pixel_values"].shape[-2:]
    expected = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(batch["labels"][0].numpy(), expected)
