"""OpenCV's bilinear resize by its formula, written out in numpy."""

import numpy as np
import pytest
import torch

from hf_refseg.processing.resizing import opencv_resize


def by_formula(image: np.ndarray, scale: float) -> np.ndarray:
    """cv2.resize(image, None, fx=scale, fy=scale): sample (i + 0.5) / scale - 0.5, the border repeated."""
    size = [round(length * scale) for length in image.shape]
    result = np.zeros(size)
    for y, x in np.ndindex(*size):
        place = []
        for index, length in ((y, image.shape[0]), (x, image.shape[1])):
            position = (index + 0.5) / scale - 0.5
            lower = int(np.floor(position))
            cells = [min(max(cell, 0), length - 1) for cell in (lower, lower + 1)]
            place.append((cells, (1 - (position - lower), position - lower)))
        (rows, down), (columns, across) = place
        result[y, x] = np.array(down) @ image[np.ix_(rows, columns)] @ np.array(across)
    return result


@pytest.mark.parametrize("scale", [0.37, 0.5, 0.999, 1.25, 600 / 427, 2.0, 3.3])
@pytest.mark.parametrize("size", [(9, 13), (13, 9), (7, 1), (1, 7), (2, 2)])
def test_every_pixel_by_the_formula(scale, size):
    if round(min(size) * scale) == 0:
        scale = 1.7
    image = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(opencv_resize(image, scale).numpy(), by_formula(image.numpy(), scale), atol=1e-12)


def test_positions_follow_the_scale_and_not_the_rounded_sizes():
    """5 pixels at 1.3 are 6 (6.5, half to even): a ratio of 1.2, and other positions."""
    ramp = torch.arange(5, dtype=torch.float64)[None].expand(5, 5)
    resized = opencv_resize(ramp, 1.3)[0]
    torch.testing.assert_close(resized, ((torch.arange(6, dtype=torch.float64) + 0.5) / 1.3 - 0.5).clamp(0, 4))


def test_batches_channels_and_dtypes():
    image = torch.rand(2, 3, 8, 10)
    resized = opencv_resize(image, 1.5)
    assert resized.shape == (2, 3, 12, 15) and resized.dtype == torch.float32 and resized.is_contiguous()
    torch.testing.assert_close(resized[1, 2], opencv_resize(image[1, 2], 1.5))


def test_a_scale_of_one_changes_nothing():
    image = torch.rand(3, 5, 6)
    assert opencv_resize(image, 1) is image


@pytest.mark.parametrize("scale", [0.01, 0.6, 40])
def test_an_image_of_one_pixel_stays_its_color(scale):
    resized = opencv_resize(torch.full((1, 1), 0.3), scale)
    assert (resized == 0.3).all() and resized.shape == (max(round(scale), 1),) * 2
