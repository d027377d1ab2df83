import pytest
import torch

from hf_refseg.models.hulanet.detection_channels import EPSILON, NUMBERS_AT_ONCE, DetectionCells, DetectionChannels


def random_masks(number: int, height: int = 12, width: int = 17, seed: int = 0) -> torch.Tensor:
    """Overlapping boxes, (number, height, width) bool."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    low = torch.rand(number, 2, generator=generator) * torch.tensor([height - 3, width - 3])
    high = low + 2 + torch.rand(number, 2, generator=generator) * 8
    inside = [
        (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
        for (y0, x0), (y1, x1) in zip(low.tolist(), high.tolist(), strict=True)
    ]
    return torch.stack(inside) if inside else torch.zeros(0, height, width, dtype=torch.bool)


def dense_channels(masks, detections, channels, values, num_channels: int) -> torch.Tensor:
    """All channels at all places, made one after the other: (num_channels, h, w), scaled."""
    maps = torch.zeros(num_channels, *masks.shape[1:])
    for detection, channel, value in zip(detections.tolist(), channels.tolist(), values.tolist(), strict=True):
        maps[channel] = torch.maximum(maps[channel], value * masks[detection])
    mean, variance = maps.mean((1, 2), keepdim=True), maps.var((1, 2), correction=0, keepdim=True)
    return (maps - mean) / (variance + EPSILON).sqrt()


@pytest.mark.parametrize("number", [1, 7, 70, 130])
def test_cells_are_the_places_that_the_same_detections_cover(number):
    masks = random_masks(number)
    cells = DetectionCells.of_masks(masks)
    torch.testing.assert_close(cells.spread(cells.covered), masks.float())
    assert cells.sizes.sum() == masks[0].numel()
    assert len(cells.covered.mT.unique(dim=0)) == len(cells.sizes)


def test_without_detections_the_image_is_one_cell():
    cells = DetectionCells.of_masks(random_masks(0))
    assert cells.sizes.tolist() == [12 * 17] and cells.covered.shape == (0, 1)
    nothing = torch.zeros(0, dtype=torch.long)
    channels = DetectionChannels.of_values(cells, nothing, nothing, torch.zeros(0))
    assert torch.equal(cells.spread(channels.weighted_sum(torch.zeros(2, 0))), torch.zeros(2, 12, 17))


@pytest.mark.parametrize("number", [1, 40, 100])
def test_compact_channels_equal_dense_ones(number):
    """Wu et al.'s 1,272 maps, of which most are empty, against the cells of those that are not."""
    generator = torch.Generator().manual_seed(number)
    masks = random_masks(number)
    detections = torch.arange(number).repeat_interleave(5)
    labels = torch.randint(0, 1272, (5 * number,), generator=generator) % 300
    values = torch.rand(5 * number, generator=generator)
    weights = torch.rand(4, 1272, generator=generator)
    dense = torch.einsum("nk,khw->nhw", weights, dense_channels(masks, detections, labels, values, 1272))
    cells = DetectionCells.of_masks(masks)
    channels = DetectionChannels.of_values(cells, detections, labels, values)
    compact = cells.spread(channels.weighted_sum(weights[:, channels.index]))
    torch.testing.assert_close(compact, dense, rtol=1e-4, atol=1e-4)


def test_largest_value_counts_where_detections_of_one_category_overlap():
    masks = torch.tensor([[[1, 1, 0]], [[0, 1, 1]]], dtype=torch.bool)
    cells = DetectionCells.of_masks(masks)
    channels = DetectionChannels.of_values(cells, torch.arange(2), torch.tensor([3, 3]), torch.tensor([0.4, 0.9]))
    assert channels.index.tolist() == [3]
    torch.testing.assert_close(cells.spread(channels.maps), torch.tensor([[[0.4, 0.9, 0.9]]]))


def test_large_numbers_of_values_are_taken_in_turns():
    masks = torch.rand(100, 60, 60, generator=torch.Generator().manual_seed(1)) > 0.5
    cells = DetectionCells.of_masks(masks)
    assert len(cells.sizes) * 2000 > 4 * NUMBERS_AT_ONCE
    detections, labels = torch.arange(100).repeat_interleave(20), torch.arange(2000) % 50
    values = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    channels = DetectionChannels.of_values(cells, detections, labels, values)
    of_ten = torch.stack([value * masks[row] for row, value in zip(detections[10::50], values[10::50], strict=True)])
    torch.testing.assert_close(cells.spread(channels.maps[10, None])[0], of_ten.amax(0))


def test_mean_inside_is_that_of_the_masks():
    masks = random_masks(6)
    masks[2] = False
    cells = DetectionCells.of_masks(masks)
    maps = torch.rand(3, 12, 17, generator=torch.Generator().manual_seed(1))
    inside = torch.stack([maps[:, mask].mean(1) if mask.any() else torch.zeros(3) for mask in masks], 1)
    torch.testing.assert_close(cells.mean_inside(maps), inside)
