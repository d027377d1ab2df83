"""The lattice by itself: a Gaussian filter, linear, whose parts agree with the obvious way to compute them."""

import pytest
import torch

from hf_refseg.permutohedral_lattice import PermutohedralLattice, _row_finder


def points(d, count, spread, seed=0):
    return torch.rand(d, count, generator=torch.Generator().manual_seed(seed)) * spread


@pytest.mark.parametrize("d", [1, 2, 5])
def test_blurs_like_a_gaussian(d):
    features = points(d, 4000, 3.0 if d < 5 else 1.5)
    values = torch.stack([features[0].sin(), features[-1] ** 2], dim=1)
    lattice = PermutohedralLattice(features)
    blurred = lattice.filter(values) / lattice.filter(torch.ones(4000, 1))
    weights = (-(torch.cdist(features.T, features.T) ** 2) / 2).exp()
    expected = weights @ values / weights.sum(1, keepdim=True)
    assert (blurred - expected).abs().mean() < 0.03 * values.std(0).max()


def test_weights_are_barycentric():
    lattice = PermutohedralLattice(points(5, 500, 40.0))
    weights = lattice.slice_weights * (1 + 2.0**-5)
    assert weights.min() > -1e-4 and weights.shape == (500, 6)
    torch.testing.assert_close(weights.sum(1), torch.ones(500), atol=1e-4, rtol=0)


def test_neighbors_are_mutual():
    lattice = PermutohedralLattice(points(3, 800, 6.0))
    none = lattice.neighbors.shape[1] - 1
    for pairs in lattice.neighbors.long():
        after, before = pairs.unbind(1)
        rows = torch.arange(none)
        has = after[:none] < none
        assert 0 < has.sum() < none
        assert torch.equal(before[after[:none][has]], rows[has])
        assert after[none] == before[none] == none


def test_one_column_is_what_it_is_among_many():
    lattice, values = PermutohedralLattice(points(5, 700, 9.0)), torch.randn(700, 3)
    alone = torch.cat([lattice.filter(column) for column in values.split(1, dim=1)], dim=1)
    torch.testing.assert_close(lattice.filter(values), alone)


def test_groups_do_not_see_each_other():
    features = points(2, 300, 2.0)
    group = torch.arange(300) % 3
    together = PermutohedralLattice(features, group).filter(torch.ones(300, 1))
    for index in range(3):
        alone = PermutohedralLattice(features[:, group == index]).filter(torch.ones(100, 1))
        torch.testing.assert_close(together[group == index], alone)


def test_ghosts_have_vertices_and_no_values():
    features, values = points(3, 400, 20.0), torch.randn(400, 2)
    alone = PermutohedralLattice(features).filter(values)
    beside = PermutohedralLattice(torch.cat([features, features[:, :5]], dim=1), num_ghosts=5).filter(values)
    assert torch.equal(beside, alone)  # their vertices are there already
    ghosts = features + 0.5
    between = PermutohedralLattice(torch.cat([features, ghosts], dim=1), num_ghosts=400)
    everyone = PermutohedralLattice(torch.cat([features, ghosts], dim=1))
    expected = everyone.filter(torch.cat([values, torch.zeros(400, 2)]))[:400]
    torch.testing.assert_close(between.filter(values), expected)
    assert not torch.allclose(expected, alone)


def test_rows_are_found_even_where_keys_share_a_slot():
    generator = torch.Generator().manual_seed(0)
    every = torch.randint(0, 2**40, (60000,), generator=generator).unique()
    keys = every[::2].contiguous()
    find = _row_finder(keys, torch.arange(len(keys), dtype=torch.int32))
    assert torch.equal(find(keys), torch.arange(len(keys), dtype=torch.int32))
    assert (find(every[1::2]) == len(keys)).all()
    behind = torch.stack([keys[-1] + 1, torch.tensor(2**41)])
    assert (find(behind) == len(keys)).all()
