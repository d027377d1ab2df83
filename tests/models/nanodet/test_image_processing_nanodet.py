import numpy as np
import pytest
import torch

from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.nanodet.outputs_nanodet import NanoDetOutput


@pytest.fixture
def processor() -> NanoDetImageProcessor:
    return NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64})


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((48, 64), (48, 64)), ((64, 48), (64, 48)), ((300, 400), (48, 64)), ((9, 12), (48, 64)), ((1, 500), (1, 64))],
)
def test_the_long_side_is_the_same_for_every_shape(processor, size, expected):
    inputs = processor(picture(*size))
    assert tuple(inputs["pixel_values"].shape[2:]) == expected
    assert inputs["original_sizes"].tolist() == [list(size)]
    assert inputs["image_scales"].item() == pytest.approx(64 / max(size))


def test_pixels_are_normalized_in_rgb(processor):
    image = np.full((64, 64, 3), (123.675, 0, 255), dtype=np.float32).astype(np.uint8)
    red, green, blue = processor(image)["pixel_values"][0, :, 5, 5].tolist()
    expected = (123 - 123.675) / 58.395, -116.28 / 57.12, (255 - 103.53) / 57.375
    assert (red, green, blue) == pytest.approx(expected, abs=1e-6)


def test_a_large_photo_is_averaged_and_not_sampled(processor):
    """Columns in turns of black and white become gray."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, ::2] = 255
    pixels = processor(image, do_normalize=False)["pixel_values"]
    assert (pixels - 127.5).abs().max() < 5


def test_images_of_a_batch_are_padded(processor):
    inputs = processor([picture(30, 40), picture(40, 30)])
    assert inputs["pixel_values"].shape == (2, 3, 64, 64)
    assert inputs["pixel_mask"].sum((1, 2)).tolist() == [48 * 64] * 2
    assert (inputs["pixel_values"][0, :, 48:] == 0).all()


def test_things_lie_where_they_do_in_the_network(processor):
    mask = np.zeros((2, 128, 96), bool)
    mask[0, 20:60, 10:50] = True
    things = {"boxes": [[10, 20, 50, 60], [0, 0, 96, 128]], "masks": mask, "class_labels": [3, 1]}
    inputs = processor(picture(128, 96), annotations=[things])
    (labels,) = inputs["labels"]
    assert labels["masks"].shape == (2, 64, 48) and labels["class_labels"].tolist() == [3, 1]
    expected = torch.zeros(64, 48, dtype=torch.bool)
    expected[10:30, 5:25] = True
    assert torch.equal(labels["masks"][0], expected)
    torch.testing.assert_close(labels["boxes"][1], torch.tensor([0.0, 0, 48, 64]), atol=0.6, rtol=0)


def test_one_number_is_the_long_side():
    assert NanoDetImageProcessor.size_of_side(320) == {"shortest_edge": 320, "longest_edge": 320}


def test_detections_in_the_form_of_transformers(processor):
    outputs = NanoDetOutput(
        pred_boxes=torch.arange(12.0).view(3, 4),
        scores=torch.tensor([0.9, 0.4, 0.8]),
        class_labels=torch.tensor([1, 2, 3]),
        image_index=torch.tensor([0, 0, 1]),
        original_sizes=torch.tensor([[20, 30], [40, 50]]),
    )
    first, second = processor.post_process_object_detection(outputs)
    assert first["labels"].tolist() == [1] and second["labels"].tolist() == [3]
    assert second["boxes"].tolist() == [[8, 9, 10, 11]]
    first, _ = processor.post_process_object_detection(outputs, 0.3, target_sizes=[(20, 30), (40, 50)])
    torch.testing.assert_close(first["scores"], torch.tensor([0.9, 0.4]))
