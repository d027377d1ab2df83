import pytest
import torch

from hf_refseg.models.cac.configuration_cac import FILTERS, CacConfig
from hf_refseg.models.cac.spatial_filters import SpatialFilters, map_coordinates, part_masks, part_of_map


def config(**kwargs) -> CacConfig:
    return CacConfig(hidden_size=6, **kwargs)


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("whole", range(7), range(5)),
        ("up", range(3), range(5)),
        ("down", range(3, 7), range(5)),
        ("left", range(7), range(2)),
        ("right", range(7), range(2, 5)),
        ("horizontal", range(1, 5), range(5)),
        ("vertical", range(7), range(1, 3)),
    ],
)
def test_parts_of_an_odd_map_are_rounded_down(name, rows, columns):
    """int(7 / 4) = 1 and int(7 * 3 / 4) = 5 of seven rows; int(5 / 4) = 1 and int(5 * 3 / 4) = 3 of five columns."""
    top, bottom, left, right = part_of_map(name, 7, 5)
    assert (range(top, bottom), range(left, right)) == (rows, columns)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (38, 50), (63, 38)])
def test_halves_cover_a_map_once(size):
    masks = part_masks(FILTERS, [size], size, torch.device("cpu"))[0].int()
    parts = dict(zip(FILTERS, masks, strict=True))
    assert (parts["up"] + parts["down"] == 1).all() and (parts["left"] + parts["right"] == 1).all()
    assert parts["whole"].all()
    for name, side in (("horizontal", 0), ("vertical", 1)):
        assert parts[name].any(1 - side).sum() == size[side] * 3 // 4 - size[side] // 4


def test_parts_are_those_of_each_image_in_a_batch():
    sizes = [(4, 6), (7, 5)]
    masks = part_masks(FILTERS, sizes, (7, 6), torch.device("cpu"))
    for of_image, size in zip(masks, sizes, strict=True):
        alone = part_masks(FILTERS, [size], size, torch.device("cpu"))[0]
        assert torch.equal(of_image[:, : size[0], : size[1]], alone)
        assert not of_image[:, size[0] :].any() and not of_image[:, :, size[1] :].any()


@torch.no_grad()
def test_responses_are_products_inside_of_a_part_and_zero_outside():
    torch.manual_seed(0)
    filters = SpatialFilters(config(), channels=8)
    sentence, maps = torch.randn(3, 12), torch.rand(2, 8, 5, 7)
    index = torch.tensor([1, 0, 1])
    text = filters.make_filters(sentence)
    fused, responses = filters(text, maps, [(5, 7)] * 2, index)
    weights = text.weights
    made = torch.stack([torch.tanh(filters.filters[name](sentence)) for name in FILTERS], 1)
    for row, image in enumerate(index.tolist()):
        for number, name in enumerate(FILTERS):
            top, bottom, left, right = part_of_map(name, 5, 7)
            expected = torch.zeros(5, 7)
            expected[top:bottom, left:right] = (made[row, number][:, None, None] * maps[image]).sum(0)[
                top:bottom, left:right
            ]
            torch.testing.assert_close(responses[row, number], expected)
        torch.testing.assert_close(fused[row], (weights[row][:, None, None] * responses[row]).sum(0))
    torch.testing.assert_close(weights, torch.tanh(filters.fusion(sentence)))


@torch.no_grad()
def test_a_single_filter_has_nothing_to_fuse():
    filters = SpatialFilters(config(filters=["whole"]), channels=8)
    text = filters.make_filters(torch.randn(2, 12))
    fused, responses = filters(text, torch.rand(1, 8, 5, 7), [(5, 7)], torch.tensor([0, 0]))
    assert filters.fusion is None and text.weights.tolist() == [[1.0], [1.0]]
    assert torch.equal(fused, responses[:, 0])


@torch.no_grad()
def test_coordinates_are_those_of_each_images_own_map():
    sizes = [(4, 6), (5, 3)]
    coordinates = map_coordinates(sizes, (5, 6), torch.zeros(1))
    assert coordinates[1, 0, 0, :3].tolist() == pytest.approx([-1, -1 / 3, 1 / 3])
    assert not coordinates[0, :, 4:].any() and not coordinates[1, :, :, 3:].any()
    filters = SpatialFilters(config(filters=["whole"], coordinates=True), channels=8)
    maps = torch.zeros(2, 8, 5, 6)  # a map that says nothing: places alone decide
    fused, _ = filters(filters.make_filters(torch.randn(1, 12)), maps, sizes, torch.tensor([0]))
    assert fused[0, :4].unique().numel() > 20 and not fused[0, 4:].any()
