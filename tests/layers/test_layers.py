"""The small functions in which TensorFlow and torch differ, each against a hand computation."""

import numpy as np
import pytest
import torch

from hf_refseg.layers.image_index import resolve_image_index
from hf_refseg.layers.same_padding import pad_same, same_padding
from hf_refseg.layers.spatial_coordinates import box_coordinates, spatial_coordinates
from hf_refseg.layers.tf1_resize import resize_bilinear_tf1
from hf_refseg.layers.word_lstm import WordLstm


@pytest.mark.parametrize(
    "size, kernel, stride, dilation, expected",
    [
        (320, 7, 2, 1, (2, 3)),
        (160, 3, 2, 1, (0, 1)),
        (161, 3, 2, 1, (1, 1)),
        (40, 3, 1, 4, (4, 4)),
        (5, 1, 2, 1, (0, 0)),
    ],
)
def test_same_padding(size, kernel, stride, dilation, expected):
    assert same_padding(size, kernel, stride, dilation) == expected
    assert pad_same(torch.zeros(1, 1, size, 8), kernel, stride, dilation).shape[2] == size + sum(expected)


def hand_resize(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """TensorFlow 1's rule, pixel by pixel."""
    in_height, in_width = maps.shape
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            sy, sx = y * in_height / height, x * in_width / width
            y0, x0 = int(sy), int(sx)
            y1, x1 = min(y0 + 1, in_height - 1), min(x0 + 1, in_width - 1)
            top = maps[y0, x0] * (1 - sx + x0) + maps[y0, x1] * (sx - x0)
            bottom = maps[y1, x0] * (1 - sx + x0) + maps[y1, x1] * (sx - x0)
            result[y, x] = top * (1 - sy + y0) + bottom * (sy - y0)
    return result


@pytest.mark.parametrize("size", [(16, 24), (7, 11), (3, 2), (2, 3), (4, 6)])
def test_tf1_resize(size):
    maps = np.random.default_rng(0).standard_normal((4, 6))
    ours = resize_bilinear_tf1(torch.from_numpy(maps)[None, None], size)[0, 0]
    np.testing.assert_allclose(ours, hand_resize(maps, *size), atol=1e-12)


def test_tf1_resize_keeps_binary_masks_binary():
    mask = (torch.rand(1, 1, 320, 320) > 0.5).float()
    assert torch.equal(resize_bilinear_tf1(mask, (40, 40)), mask[..., ::8, ::8])


def test_spatial_coordinates():
    maps = spatial_coordinates(2, 4)
    assert maps.shape == (8, 2, 4)
    assert maps[:, 1, 3].tolist() == [0.5, 0, 1, 1, 0.75, 0.5, 0.25, 0.5]
    assert maps[:, 0, 0].tolist() == [-1, -1, -0.5, 0, -0.75, -0.5, 0.25, 0.5]


def test_box_coordinates():
    ours = box_coordinates(torch.tensor([[0, 10, 51, 21]]), torch.tensor([[40, 100]]))
    assert ours[0].tolist() == [-1, -0.5, 0, 0, -0.5, -0.25, 1, 0.5]


@torch.no_grad()
def test_word_lstm_equals_torch_and_skips_padding():
    torch.manual_seed(0)
    ours, theirs = WordLstm(3, 5), torch.nn.LSTM(3, 5, batch_first=True)
    ours.weight_ih.copy_(theirs.weight_ih_l0)
    ours.weight_hh.copy_(theirs.weight_hh_l0)
    ours.bias.copy_(theirs.bias_ih_l0 + theirs.bias_hh_l0)
    words = torch.randn(2, 4, 3)
    hidden, cell = ours(words)
    expected, (_, last_cell) = theirs(words)
    torch.testing.assert_close(hidden, expected)
    torch.testing.assert_close(cell[:, -1], last_cell[0])
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    hidden, _ = ours(words, mask)
    assert not hidden[0, :2].any()
    torch.testing.assert_close(hidden[0, 2:], theirs(words[:1, 2:])[0][0])
    torch.testing.assert_close(hidden[1, 1:], theirs(words[1:, 1:])[0][0])


def test_image_index():
    device = torch.device("cpu")
    assert resolve_image_index(None, 3, 3, device).tolist() == [0, 1, 2]
    assert resolve_image_index(None, 1, 3, device).tolist() == [0, 0, 0]
    assert resolve_image_index(torch.tensor([1, 0, 1]), 2, 3, device).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="3 expressions for 2 images"):
        resolve_image_index(None, 2, 3, device)
