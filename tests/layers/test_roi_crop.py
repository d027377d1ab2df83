"""Crops against PyTorch's own sampling, of which they are a faster form."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from hf_refseg.layers.image_index import packed_image_index
from hf_refseg.layers.roi_crop import crop_regions

BOXES = torch.tensor(
    [[0.0, 0, 79, 63], [13.7, 5.2, 40.1, 33.3], [-30, -20, 50, 40], [60, 50, 130, 100], [200, 200, 260, 240],
     [20, 20, 20, 20], [33, 10, 33, 60], [16, 16, 31, 31], [70, 30, 10, 20]]
)  # fmt: skip


def crops_of(maps: torch.Tensor, boxes: list[torch.Tensor], *options, **kwargs) -> torch.Tensor:
    """The crops of boxes (R_i, 4) per image."""
    image_index = packed_image_index([len(of_image) for of_image in boxes], maps.device)
    return crop_regions(maps, torch.cat(boxes), image_index, *options, **kwargs)


def with_grid_sample(maps: torch.Tensor, boxes: list[torch.Tensor], stride: int, size: int) -> torch.Tensor:
    """The original: an affine grid over each image's map, sampled with aligned corners."""
    height, width = maps.shape[-2:]
    crops = []
    for of_image, image in zip(boxes, maps, strict=True):
        for box in of_image:
            x1, y1, x2, y2 = (box / stride).tolist()
            xs, ys = (
                (low + (high - low) * torch.linspace(0, 1, size)) * 2 / max(length - 1, 1) - 1
                for low, high, length in ((x1, x2, width), (y1, y2, height))
            )
            grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1)
            crops.append(F.grid_sample(image[None], grid[None], align_corners=True)[0])
    return torch.stack(crops)


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(2, 5, 4, 5, generator=torch.Generator().manual_seed(0))


def test_crops_are_grid_samples_of_each_image(maps):
    boxes = [BOXES[:4], BOXES[2:]]
    crops = crops_of(maps, boxes, 16)
    assert crops.shape == (11, 5, 7, 7)
    torch.testing.assert_close(crops, with_grid_sample(maps, boxes, 16, 7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 14])
def test_crops_of_any_size(maps, size):
    crops = crops_of(maps, [BOXES[:3], BOXES[:0]], 16, size)
    torch.testing.assert_close(crops, with_grid_sample(maps, [BOXES[:3], BOXES[:0]], 16, size), rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_grid_sample(maps):
    weight = torch.randn(18, 5, 7, 7, generator=torch.Generator().manual_seed(1))
    gradients = []
    for crop in (crops_of, with_grid_sample):
        leaf = maps.clone().requires_grad_()
        (crop(leaf, [BOXES, BOXES.flip(0)], 16, 7) * weight).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_outside_of_the_map_there_are_zeros(maps):
    crops = crops_of(torch.ones_like(maps), [BOXES[4:5], BOXES[2:3]], 16)
    assert not crops[0].any()
    inside = crops[1, 0] > 0
    assert inside[-1, -1] and not inside[0, 0]


def test_ends_are_included():
    """A box from the center of the first cell to that of the last reads the corners of the map."""
    ramp = torch.arange(4.0)[:, None] * 10 + torch.arange(5.0)
    crop = crops_of(ramp[None, None], [torch.tensor([[0.0, 0, 64, 48]])], 16, 3)[0, 0]
    torch.testing.assert_close(crop, torch.tensor([[0.0, 2, 4], [15, 17, 19], [30, 32, 34]]))


def test_a_map_of_one_cell():
    maps = torch.full((1, 3, 1, 1), 2.0)
    crop = crops_of(maps, [torch.tensor([[0.0, 0, 0, 0], [0, 0, 16, 16], [-8, 0, 8, 0]])], 16, 3)
    assert (crop[0] == 2).all(), "a point at the center of the cell"
    torch.testing.assert_close(crop[1, 0], torch.tensor([[2.0, 1, 0], [1, 0.5, 0], [0, 0, 0]]))
    torch.testing.assert_close(crop[2, 0], torch.tensor([[1.0, 2, 1]] * 3))


@pytest.mark.parametrize("method", ["grid", "align"])
def test_no_boxes_at_all(maps, method):
    nothing = [BOXES[:0], BOXES[:0]]
    leaf = maps.clone().requires_grad_()
    crops = crops_of(leaf, nothing, 16, method=method)
    assert crops.shape == (0, 5, 7, 7)
    crops.sum().backward()
    assert not leaf.grad.any()
    some = crops_of(maps, [BOXES[:0], BOXES[:2]], 16, method=method)
    torch.testing.assert_close(some, crops_of(maps[1:], [BOXES[:2]], 16, method=method))


def test_align_is_torchvisions_roi_align(maps):
    """Whose boxes end outside."""
    boxes = [BOXES[:2], BOXES[3:4]]
    outside = [torch.cat([box[:, :2], box[:, 2:] + 1], 1) for box in boxes]
    expected = roi_align(maps, outside, 7, 1 / 16, 2, aligned=True)
    assert torch.equal(crops_of(maps, boxes, 16, method="align"), expected)


def test_half_precision_samples_at_the_same_places(maps):
    crops = crops_of(maps.bfloat16(), [BOXES[:3], BOXES[:1]], 16)
    assert crops.dtype == torch.bfloat16
    torch.testing.assert_close(crops.float(), crops_of(maps, [BOXES[:3], BOXES[:1]], 16), rtol=0.03, atol=0.03)
