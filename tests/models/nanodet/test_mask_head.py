import math

import pytest
import torch

from hf_refseg.models.nanodet import mask_head
from hf_refseg.models.nanodet.mask_head import best_outlines, crop_boxes, pack, refine_cells, unpack
from hf_refseg.models.nanodet.outputs_nanodet import ImageMaps
from tests.tiny import tiny_nanodet


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_cells_keep_their_place(factor):
    maps = torch.randn(1, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    fine = refine_cells(maps, factor)
    assert fine.shape == (1, 2, 3 * factor, 5 * factor)
    torch.testing.assert_close(fine[:, :, ::factor, ::factor], maps)


@pytest.mark.parametrize("stride", [4, 8])
def test_a_crop_reads_what_lies_around_its_pixels(stride):
    """A map that holds the column of the pixel at the center of each cell."""
    maps = (torch.arange(20.0) * stride + 0.5).expand(1, 1, 20, 20)
    crops = crop_boxes(maps, torch.tensor([[24.0, 16, 56, 48]]), stride, 4)
    expected = torch.tensor([28.0, 36, 44, 52])  # the middles of four columns of the box
    torch.testing.assert_close(crops[0, 0], expected.expand(4, 4))


def test_fine_cells_travel_behind_the_coarse_ones():
    detail = torch.randn(3, 4, 12, 12)
    assert torch.equal(pack(detail), torch.nn.functional.pixel_unshuffle(detail, 2))
    assert torch.equal(unpack(pack(detail)), detail)
    assert pack(detail[:0]).shape == (0, 16, 6, 6) and unpack(pack(detail[:0])).shape == (0, 4, 12, 12)


@torch.no_grad()
def test_a_window_of_the_maps_is_enough(monkeypatch):
    """Boxes at all places, at the borders too, and one beyond them."""
    torch.manual_seed(0)
    head, maps = tiny_nanodet().mask_head, make_maps(512)
    corners = (560 * torch.rand(60, 2, 2) - 24).sort(dim=1).values.flatten(1)
    boxes = torch.cat([corners, torch.tensor([[0.0, 0, 512, 512], [510, 3, 512, 9], [600, 600, 610, 640]])])
    monkeypatch.setattr(mask_head, "values_are_readable", lambda boxes: False)
    whole = head.crop(maps, boxes)
    monkeypatch.undo()
    for row, box in enumerate(boxes):
        for found, expected in zip(head.crop(maps, box[None]), whole, strict=True):
            torch.testing.assert_close(found[0], expected[row], rtol=1e-4, atol=1e-5)
    small, corner = mask_head.cut_window(maps, torch.tensor([[100.0, 200, 110, 230]]))
    assert small.fine.shape == (11, 5 * 8, 4 * 8) and corner.tolist() == [64, 160, 64, 160]


def make_maps(size: int = 64) -> ImageMaps:
    generator = torch.Generator().manual_seed(0)

    def maps(channels: int, stride: int) -> torch.Tensor:
        return torch.randn(channels, size // stride, size // stride, generator=generator)

    levels = tuple(maps(8, stride) for stride in (8, 16, 32, 64))
    return ImageMaps(maps(11, 4), maps(8, 8), levels, tuple(maps(37, stride) for stride in (8, 16, 32, 64)))


@torch.no_grad()
def test_shapes_and_what_masks_depend_on():
    torch.manual_seed(0)
    head, maps = tiny_nanodet().mask_head, make_maps()
    boxes = torch.tensor([[3.0, 4, 40, 50], [10, 10, 20, 64]])
    crops, detail = head.crop(maps, boxes)
    assert crops.shape == (2, 8, 8, 8) and detail.shape == (2, 4, 12, 12)
    class_scores = torch.zeros(2, 5)
    head_maps = head(crops, detail, class_scores)
    assert head_maps.shape == (2, 8 + 16, 6, 6)
    masks = head.draw(head_maps)
    assert masks.shape == (2, 12, 12)
    class_scores[:, 1] = 0.9
    assert not torch.allclose(head.draw(head(crops, detail, class_scores)), masks)
    assert not torch.allclose(head.draw(head(crops, detail + 1, torch.zeros(2, 5))), masks)
    # as large a box may look beyond its sides by a cell, here of 10 pixels
    outside = ImageMaps(maps.fine, maps.stage.clone(), maps.pyramid, maps.predictions)
    outside.stage[:, 7, :] += 1  # around pixel 56
    near, _ = head.crop(outside, torch.tensor([[3.0, 4, 40, 50]]))
    assert torch.equal(near[:, :, 1:-1], crops[:1, :, 1:-1]) and not torch.allclose(near, crops[:1])


def expected_iou(probabilities: torch.Tensor, mask: torch.Tensor) -> float:
    common = probabilities[mask].sum()
    return float(common / (mask.sum() + probabilities[~mask].sum()))


def test_an_outline_lies_where_the_expected_iou_is_largest():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 8, 8, generator=generator) * torch.tensor([0.1, 0.5, 1, 2, 4, 8])[:, None, None]
    logits[0] -= 2
    for odds in (1.0, 1.8):
        drawn = best_outlines(logits, odds) > 0
        for of_one, mask in zip(logits, drawn, strict=True):
            probabilities = (of_one - math.log(odds)).sigmoid()
            others = [expected_iou(probabilities, probabilities >= least) for least in probabilities.flatten()]
            assert expected_iou(probabilities, mask) >= max(others) - 1e-6


def test_a_sure_mask_ends_at_a_half_and_an_unsure_one_earlier():
    sure = torch.where(torch.arange(64).view(8, 8) < 32, 12.0, -12.0)
    sure[4, :2] = torch.tensor([0.1, -0.1])
    unsure = torch.full((8, 8), -1.0)
    drawn = best_outlines(torch.stack([sure, unsure]), 1.0) > 0
    assert torch.equal(drawn[0], sure > 0)
    assert drawn[1].all(), "of cells that are all as unlikely, all together have the largest expected IoU"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outlines_of_no_regions_and_of_hopeless_ones_are_finite(dtype):
    assert best_outlines(torch.zeros(0, 4, 4, dtype=dtype), 1.6).shape == (0, 4, 4)
    for value in (-60.0, 60.0):
        drawn = best_outlines(torch.full((1, 4, 4), value, dtype=dtype), 1.6)
        assert drawn.dtype == dtype and drawn.isfinite().all() and ((drawn > 0) == (value > 0)).all()
