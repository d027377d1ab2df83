import pytest
import torch
import torch.nn.functional as F

from hf_refseg.models.hulanet.losses_hulanet import instance_attribute_loss, map_loss, positive_weights


def test_map_loss_is_the_mean_over_places_of_each_phrase():
    generator = torch.Generator().manual_seed(0)
    maps, targets = torch.rand(3, 4, 5, generator=generator), torch.rand(3, 4, 5, generator=generator) > 0.5
    expected = F.binary_cross_entropy(maps, targets.float(), 1 + 2 * targets.float(), reduction="none").mean((1, 2))
    torch.testing.assert_close(map_loss(maps, targets, 3.0), expected)


def test_map_loss_of_certain_maps_is_finite_and_trains():
    maps = torch.tensor([[[0.0, 1.0, 0.5]]], requires_grad=True)
    loss = map_loss(maps, torch.tensor([[[1.0, 0.0, 0.25]]]), 3.0)
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_rare_attributes_weigh_more():
    weights = positive_weights([90, 50, 2, 0], 100)
    assert weights == pytest.approx([1, 1, 7, 99**0.5 if 99**0.5 < 50 else 50], abs=0.1)
    assert positive_weights([1], 10_000) == [50.0]
    with pytest.raises(ValueError, match="counted 5 times in 4 instances"):
        positive_weights([5], 4)


def test_attribute_loss_weighs_what_is_there():
    logits, labels = torch.zeros(2, 2), torch.tensor([[1.0, 0], [0, 1]])
    assert instance_attribute_loss(logits, labels).item() == pytest.approx(0.693, abs=1e-3)
    assert instance_attribute_loss(logits, labels, [3.0, 1.0]).item() == pytest.approx(0.693 * 6 / 4, abs=1e-3)
