"""Convolutions with packed kernels give the numbers of F.conv2d, with the weights as they are now."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from hf_refseg.layers import packed_convolution
from hf_refseg.layers.packed_convolution import (
    KernelKeeper,
    PackedConvolution,
    PackedKernel,
    best_form,
    lay_out_for_inference,
    sample,
)


@pytest.fixture
def convolution() -> PackedConvolution:
    torch.manual_seed(0)
    return PackedConvolution(8, 16, 3, padding=1, slope=0)


@pytest.fixture
def without_packing(monkeypatch):
    monkeypatch.setattr(packed_convolution, "packing_works", lambda: False)


def expected_of(convolution: PackedConvolution, maps: torch.Tensor) -> torch.Tensor:
    return F.relu(F.conv2d(maps, convolution.weight, convolution.bias, padding=1)).detach()


def kept_by(convolution: PackedConvolution) -> PackedKernel:
    (kernel,) = convolution._keeper.kept.kernels.values()
    return kernel


def test_it_is_tried_before_it_is_used(monkeypatch):
    packed_convolution.packing_works.cache_clear()
    if torch.backends.mkldnn.is_available():
        assert packed_convolution.packing_works()
    packed_convolution.packing_works.cache_clear()
    convolve = PackedKernel.convolve

    def wrong(self, maps, *arguments, **options):
        return convolve(self, maps, *arguments, **options) + (0.1 if self.is_packed else 0)

    monkeypatch.setattr(PackedKernel, "convolve", wrong)
    assert not packed_convolution.packing_works(), "an operator that computes something else is not used"
    monkeypatch.setattr(PackedKernel, "packed", lambda self, size: torch.ops.mkldnn.no_such_operator())
    packed_convolution.packing_works.cache_clear()
    assert not packed_convolution.packing_works()
    packed_convolution.packing_works.cache_clear()


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 1, 1, 1), (2, 0, 1, 1), (2, 1, 1, 8), (1, 4, 4, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("slope", [None, 0, 0.1])
@torch.no_grad()
def test_numbers_are_those_of_the_plain_convolution(stride, padding, dilation, groups, layout, slope):
    torch.manual_seed(0)
    weight, bias = torch.randn(16, 8 // groups, 3, 3), torch.randn(16)
    keeper = KernelKeeper(stride, padding, dilation, groups)
    least = 1 if padding else 3  # to which oneDNN of torch 2.10 can't add: the maps of the output are a single cell
    for size in ((1, 8, 17, 20), (3, 8, 40, 12), (2, 8, least, least)):
        maps = torch.randn(size).contiguous(memory_format=layout)
        kept = keeper.kernel(maps, [weight, bias], lambda: (weight, bias))
        assert kept.is_packed == packed_convolution.packing_works()
        plain = F.conv2d(maps, weight, bias, stride, padding, dilation, groups)
        added = torch.randn_like(plain)
        given = added.clone()
        for found, expected in (
            (kept.convolve(maps, slope=slope), plain),
            (kept.convolve(maps, added, slope), plain + added),
            (kept.convolve(maps, slope=slope, bias=False), plain - bias[:, None, None]),
        ):
            expected = expected if slope is None else F.leaky_relu(expected, slope)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
        assert torch.equal(added, given), "what is added may be in use elsewhere"


@pytest.mark.skipif(not packed_convolution.packing_works(), reason="this PyTorch packs no kernels")
def test_the_order_of_a_kernel_has_one_name():
    counted = torch.arange(32.0 * 64).view(32, 64, 1, 1)
    kernels = [PackedKernel(factor * counted, counted[:, 0, 0, 0], 1, 0, 1) for factor in (1, 1, 2)]
    orders = [kernel.packed((1, 64, 8, 8)).order() for kernel in kernels]
    assert orders[0] == orders[1] != orders[2], "the numbers have to be known"
    sizes = [torch.Size((1, 64, 8, side)) for side in range(1, 60)]
    forms = {best_form(counted.shape, (1, 0, 1, 1), size, 1) for size in sizes}
    assert len(forms) < 6, f"sizes share orders, or every size would need a kernel of its own: {forms}"


@torch.no_grad()
def test_each_order_has_a_kernel_of_its_own(monkeypatch):
    """oneDNN puts a kernel in another order at every call, which can take longer than the convolution."""
    monkeypatch.setattr(packed_convolution, "packing_works", lambda: True)
    monkeypatch.setattr(packed_convolution, "best_form", lambda kernel, geometry, maps, threads: f"order {maps[3] % 4}")
    monkeypatch.setattr(PackedKernel, "packed", lambda self, size: self)
    made, keeper, weight, bias = [], KernelKeeper(1, 0, 1), torch.randn(4, 3, 1, 1), torch.randn(4)

    def make():
        made.append(None)
        return weight, bias

    def kernel_for(width: int) -> PackedKernel:
        return keeper.kernel(torch.randn(1, 3, 5, width), [weight, bias], make)

    first, second = kernel_for(4), kernel_for(5)
    assert first is not second and kernel_for(8) is kernel_for(4) is first and kernel_for(9) is second
    assert len(made) == 2
    kernel_for(6)
    assert len(keeper.kept.kernels) == packed_convolution.MOST_KERNELS, "memory has a bound"
    weight.add_(1)
    kernel_for(4)
    assert len(keeper.kept.kernels) == 1, "kernels of the old weights are gone"


@torch.no_grad()
def test_without_the_operator_the_numbers_are_the_same(convolution, without_packing):
    maps = torch.randn(1, 8, 9, 9)
    assert torch.equal(convolution(maps), expected_of(convolution, maps)) and not kept_by(convolution).is_packed
    kept, added = kept_by(convolution), torch.randn(1, 16, 9, 9)
    expected = F.relu(F.conv2d(maps, convolution.weight, convolution.bias, padding=1) + added)
    torch.testing.assert_close(kept.convolve(maps, added, slope=0), expected)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_changed_weight_is_seen_in_every_mode(convolution, context):
    maps = torch.randn(2, 8, 6, 6)
    convolution.requires_grad_(False)
    for factor in (1, 2, 3):
        with torch.no_grad():
            convolution.bias.add_(factor)
        with context():
            torch.testing.assert_close(convolution(maps), expected_of(convolution, maps), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damaged_weights_are_refused(convolution, name, value):
    getattr(convolution, name).view(-1)[0] = value
    with pytest.raises(ValueError, match="the weights of a convolution are not finite"):
        convolution(torch.rand(1, 8, 9, 9))


def test_threads_may_share_a_module_whose_weights_change(convolution):
    maps, wrong = torch.randn(1, 8, 6, 6), []

    def call():
        for _ in range(50):
            with torch.no_grad():
                found = convolution(maps)
            if not any(torch.allclose(found, possible, atol=1e-4) for possible in expected):
                wrong.append(found)

    weight = convolution.weight.detach().clone()
    expected = [F.relu(F.conv2d(maps, factor * weight, convolution.bias, padding=1)).detach() for factor in (1, 2)]
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call) for _ in range(4)]
        for factor in (2, 1) * 10:
            convolution.weight = torch.nn.Parameter(factor * weight)
        for one in calls:
            one.result()
    assert not wrong


def test_training_does_not_see_the_packed_kernel(convolution):
    maps = torch.randn(2, 8, 6, 6, requires_grad=True)
    with torch.no_grad():
        convolution(maps)
    convolution(maps).sum().backward()
    gradients = [maps.grad, convolution.weight.grad, convolution.bias.grad]
    found = torch.autograd.grad(
        F.relu(F.conv2d(maps, convolution.weight, convolution.bias, padding=1)).sum(), [maps, *convolution.parameters()]
    )
    for gradient, expected in zip(gradients, found, strict=True):
        torch.testing.assert_close(gradient, expected)


def test_a_kernel_kept_in_inference_mode_does_not_stop_training(convolution):
    maps = torch.randn(1, 8, 6, 6)
    with torch.inference_mode():
        convolution(maps)
    convolution(maps).sum().backward()
    assert convolution.weight.grad is not None


def test_copies_moves_and_other_types_leave_the_kernel_behind(convolution):
    maps = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        convolution(maps)
        assert convolution._keeper.kept is not None
        for other in (copy.deepcopy(convolution), pickle.loads(pickle.dumps(convolution))):
            assert other._keeper.kept is None
            torch.testing.assert_close(other(maps), expected_of(convolution, maps), rtol=1e-5, atol=1e-5)
        convolution.to(torch.bfloat16)
        assert convolution._keeper.kept is None
        assert convolution(maps.bfloat16()).dtype == torch.bfloat16 and not kept_by(convolution).is_packed


def test_names_of_parameters_are_those_of_a_convolution(convolution):
    assert list(convolution.state_dict()) == ["weight", "bias"]


@torch.no_grad()
def test_other_programs_see_the_plain_convolution(convolution):
    """Autocast, torch.func and torch.export each want to see the convolution itself."""
    maps = torch.randn(1, 8, 6, 6)
    convolution(maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(maps).dtype == torch.bfloat16
    torch.testing.assert_close(torch.func.vmap(convolution)(maps[None])[0], expected_of(convolution, maps))
    graph = torch.export.export(convolution, (maps,)).graph
    assert not any("mkldnn" in str(node.target) for node in graph.nodes)


def test_a_model_of_inference_mode_says_that_it_is_slow(monkeypatch):
    said = []
    monkeypatch.setattr(packed_convolution.logger, "warning_once", said.append)
    with torch.inference_mode():
        convolution, maps = PackedConvolution(8, 16, 3, padding=1, slope=0), torch.randn(1, 8, 6, 6)
        convolution(maps)
        assert "inference_mode" in said[0]
        convolution.bias[3] += 1  # carries no version
        torch.testing.assert_close(convolution(maps), expected_of(convolution, maps))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_outside_of_training_say_that_it_is_slow(convolution, monkeypatch, training):
    said = []
    monkeypatch.setattr(packed_convolution.logger, "warning_once", said.append)
    convolution.train(training)
    maps = torch.randn(1, 8, 6, 6)
    convolution(maps)
    assert len(said) == (0 if training else 1) and all("gradients on" in warning for warning in said)
    said.clear()
    with torch.no_grad():
        convolution(maps)
    convolution.requires_grad_(False)(maps)
    assert not said, "nothing wants a gradient here"


def test_channels_are_last_for_inference_alone():
    pixels = torch.randn(1, 3, 5, 6)
    assert lay_out_for_inference(pixels) is pixels
    with torch.no_grad():
        laid_out = lay_out_for_inference(pixels)
    assert torch.equal(laid_out, pixels) and laid_out.is_contiguous(memory_format=torch.channels_last)


def test_a_sample_is_spread_over_the_tensor():
    values = torch.arange(1000.0)
    assert torch.equal(sample(values, 10), values[::100]) and len(sample(torch.ones(3))) == 3
    values.view(10, 100)[2, 0] = 7
    assert sample(values, 10)[2] == 7, "it sees the tensor's own memory"
