"""The image processor against outputs of the originals' own resizing code, and its inverse."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.processing.image_processing import CanvasImageProcessor, ShortestEdgeImageProcessor
from hf_refseg.processing.resizing import resize_and_crop

RMI_MEAN = [122.67891434, 116.66876762, 104.00698793]


@pytest.fixture(scope="module")
def golden(shared_dir):
    folder = shared_dir / "golden" / "evaltext"
    return (
        json.loads((folder / "resize.json").read_text()),
        np.load(folder / "resize_inputs.npz"),
        np.load(folder / "resize_outputs.npz"),
    )


def synth_mask(height, width, seed):
    """The mask that the goldens were made of (formula of their README's make_tensor)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / height, x / width
    center_y, center_x = (0.6 + 0.11 * seed) % 1.0, (0.7 + 0.17 * seed) % 1.0
    return ((y - center_y) / 0.22) ** 2 + ((x - center_x) / 0.27) ** 2 < 1


@pytest.mark.parametrize("case", range(5))
def test_paper_images_and_labels_equal_the_originals(golden, case):
    facts, inputs, outputs = golden
    height, width = facts["resize_and_pad"][case]["out_hw"]
    processor = CanvasImageProcessor(
        size={"height": height, "width": width}, interpolation="paper", image_mean=[0, 0, 0]
    )
    image = inputs[f"im{case}"]
    batch = processor(image, segmentation_maps=synth_mask(*image.shape[:2], case))
    np.testing.assert_array_equal(
        batch["pixel_values"][0].permute(1, 2, 0).numpy(), outputs[f"pad{case}_v012_u8"].astype(np.float32)
    )
    np.testing.assert_array_equal(batch["labels"][0].numpy() > 0, outputs[f"padmask{case}_v012_gt0"])


@pytest.mark.parametrize("case", range(5))
def test_paper_masks_come_back_like_the_originals(golden, case):
    facts, inputs, outputs = golden
    prediction, target = inputs[f"pred{case}"], inputs[f"gt{case}"]
    if f"crop{case}_v012_float" in outputs:
        resized = resize_and_crop(torch.from_numpy(prediction).float(), target.shape)
        np.testing.assert_allclose(resized.numpy(), outputs[f"crop{case}_v012_float"], atol=1e-6)
    logits = torch.where(torch.from_numpy(prediction), 1.0, -1.0)[None]
    mask = CanvasImageProcessor().restore_masks(logits, target.shape, interpolation="paper")[0][0].numpy()
    np.testing.assert_array_equal(mask, outputs[f"crop{case}_v012_nonzero"])
    expected = facts["resize_and_crop"][case]["v012"]
    assert (mask & target).sum() == expected["I"]
    assert (mask | target).sum() == expected["U"]


def test_clean_differs_from_paper_where_it_should():
    image = np.zeros((200, 200, 3), np.uint8)
    image[::2] = 255  # finest stripes: antialiasing gives gray, point sampling does not
    clean = CanvasImageProcessor(size={"height": 50, "width": 50})(image)["pixel_values"]
    paper = CanvasImageProcessor(size={"height": 50, "width": 50}, interpolation="paper")(image)["pixel_values"]
    assert clean[0, 0, 10:40].sub(127.5).abs().max() < 3
    assert not torch.equal(clean, paper)


@pytest.mark.parametrize("interpolation", ["clean", "paper"])
def test_border_is_minus_mean(interpolation):
    image = Image.new("RGB", (100, 50), "white")
    processor = CanvasImageProcessor(image_mean=RMI_MEAN, interpolation=interpolation)
    pixels = processor(image)["pixel_values"]
    assert pixels.shape == (1, 3, 320, 320) and pixels.dtype == torch.float32
    torch.testing.assert_close(pixels[0, :, 0, 0], -torch.tensor(RMI_MEAN))
    torch.testing.assert_close(pixels[0, :, 160, 160], 255 - torch.tensor(RMI_MEAN))


def test_rescaled_normalization():
    processor = CanvasImageProcessor(do_rescale=True, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    pixels = processor(Image.new("RGB", (64, 64), "white"))["pixel_values"]
    torch.testing.assert_close(pixels, torch.full((1, 3, 320, 320), 2.0))


def test_unresized_batch_is_padded_and_masked():
    images = [np.full((30, 40, 3), 200, np.uint8), np.full((50, 20, 3), 100, np.uint8)]
    batch = CanvasImageProcessor(do_resize=False, image_mean=[10.0] * 3)(images, segmentation_maps=[np.ones((50, 20))])
    assert batch["pixel_values"].shape == (2, 3, 50, 40)
    assert batch["pixel_mask"].sum((1, 2)).tolist() == [1200, 1000]
    assert batch["pixel_values"][0, 0, 40, 0] == 0 and batch["pixel_values"][0, 0, 0, 0] == 190
    assert batch["labels"].shape == (1, 50, 40) and batch["labels"].sum() == 1000
    assert batch["original_sizes"].tolist() == [[30, 40], [50, 20]]


def test_same_sizes_need_no_pixel_mask():
    assert "pixel_mask" not in CanvasImageProcessor()([np.zeros((9, 9, 3), np.uint8), np.zeros((5, 9, 3), np.uint8)])


@pytest.mark.parametrize("options", [{}, {"do_pad": False}, {"do_resize": False}])
@pytest.mark.parametrize("shape", [(480, 640), (200, 120), (320, 320), (77, 31)])
def test_masks_survive_the_round_trip(options, shape):
    """A mask sent to the network's size and back is itself, up to its outline."""
    mask = synth_mask(*shape, 3)
    processor = CanvasImageProcessor(**options)
    labels = processor(np.zeros((*shape, 3), np.uint8), segmentation_maps=mask)["labels"]
    back, probabilities = processor.restore_masks(labels * 20 - 10, shape)
    assert back.shape == probabilities.shape == (1, *shape)
    intersection, union = (back[0].numpy() & mask).sum(), (back[0].numpy() | mask).sum()
    assert intersection / union > 0.97


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_images_keep_a_pixel(shape):
    processor = CanvasImageProcessor()
    batch = processor(np.full((*shape, 3), 255, np.uint8))
    assert batch["pixel_values"].max() == 255
    masks, _ = processor.restore_masks(torch.ones(2, 320, 320), shape)
    assert masks.shape == (2, *shape) and masks.all()


def test_unknown_interpolation_and_resample_name_the_choices():
    with pytest.raises(ValueError, match="'papre'.*clean, paper"):
        CanvasImageProcessor(interpolation="papre")
    with pytest.raises(ValueError, match="'papre'.*clean, paper"):
        CanvasImageProcessor()(np.zeros((4, 4, 3), np.uint8), interpolation="papre")
    with pytest.raises(ValueError, match="BILINEAR"):
        CanvasImageProcessor(resample=3)
    for option in (
        {"do_center_crop": True, "crop_size": 8},
        {"crop_size": 8},
        {"data_format": "channels_last"},
        {"do_convert_rgb": False},
    ):
        with pytest.raises(ValueError, match="is .*, which would not be followed; leave it out"):
            CanvasImageProcessor()(np.zeros((4, 4, 3), np.uint8), **option)
        with pytest.raises(ValueError, match="which would not be followed"):
            CanvasImageProcessor(**option)
    with pytest.raises(ValueError, match="threshold 0.7"):
        CanvasImageProcessor().restore_masks(torch.zeros(1, 320, 320), (4, 4), threshold=0.7, interpolation="paper")


def test_masks_of_the_wrong_shape_are_named():
    image = np.zeros((8, 9, 3), np.uint8)
    with pytest.raises(ValueError, match=r"segmentation_maps\[0\] has the shape \(8, 9, 3\)"):
        CanvasImageProcessor()(image, segmentation_maps=[image])
    with pytest.raises(ValueError, match="empty"):
        CanvasImageProcessor()([])


def test_settings_survive_saving(tmp_path):
    processor = CanvasImageProcessor(size={"height": 64, "width": 48}, image_mean=RMI_MEAN, interpolation="paper")
    processor.save_pretrained(tmp_path)
    again = CanvasImageProcessor.from_pretrained(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert torch.equal(processor(image)["pixel_values"], again(image)["pixel_values"])
    assert again(image)["pixel_values"].shape == (1, 3, 64, 48)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (CanvasImageProcessor, {"height": 1_000_000, "width": 1_000_000}),
        (ShortestEdgeImageProcessor, {"shortest_edge": 1_000_000, "longest_edge": 1_000_000}),
    ],
)
def test_sizes_that_no_memory_has_are_refused(kind, size):
    image = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(ValueError, match="134,217,728 in all are the most: give the processor a smaller size"):
        kind(size=size)(image)
    with pytest.raises(ValueError, match="in all are the most"):
        kind()(image, size=size)
