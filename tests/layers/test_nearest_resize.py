import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.layers.nearest_resize import nearest_pixels, resize_nearest


@pytest.mark.parametrize("size", [1, 3, 10, 14, 28, 38, 170])
def test_pixels_are_pillows(size):
    lengths = torch.tensor([[1, 2, 4, 5, 12, 32], [37, 60, 64, 92, 224, 600]])
    ours = nearest_pixels(lengths, size)
    assert ours.shape == (2, 6, size)
    for length, indices in zip(lengths.flatten().tolist(), ours.flatten(0, 1).tolist(), strict=True):
        pixels = Image.fromarray(np.arange(length, dtype=np.int32)[None])
        assert indices == np.asarray(pixels.resize((size, 1), Image.Resampling.NEAREST))[0].tolist()


@pytest.mark.parametrize("size", [(10, 14), (64, 3), (80, 90)])
def test_masks_are_resized_along_both_sides(size):
    masks = np.random.default_rng(0).random((2, 37, 60)) > 0.5
    expected = [Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST) for mask in masks]
    assert np.array_equal(resize_nearest(torch.from_numpy(masks), size).numpy(), np.stack(expected))
