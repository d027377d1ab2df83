"""The dense CRF: equal to the C++ program, batched, and clear about bad input."""

import copy
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hf_refseg.dense_crf import LEAST_PROBABILITY, DenseCrf, DenseCrfParameters


def picture(height, width, seed=0, noise=10.0):
    """uint8 (3, height, width): patches of 24 pixels with noise, so that the bilateral kernel has something to see."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (height // 24 + 1, width // 24 + 1, 3)).repeat(24, 0).repeat(24, 1)
    pixels = patches[:height, :width] + rng.normal(0, noise, (height, width, 3))
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def maps(*shape, seed=0):
    """Random probabilities (..., L, H, W) that sum to one over the labels."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(shape, generator=generator)).softmax(-3)


def agreement(ours: torch.Tensor, theirs: np.ndarray) -> tuple[float, float]:
    """Shares of pixels with the same best label, and with probabilities that differ by at most 0.02; (L, H, W) both."""
    ours = ours.numpy()
    return (ours.argmax(0) == theirs.argmax(0)).mean(), (np.abs(ours - theirs).max(0) <= 0.02).mean()


@pytest.mark.parametrize("case", ["case0", "case1"])
def test_equals_the_golden_arrays(shared_dir, case):
    folder = shared_dir / "golden" / "densecrf" / case
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    inputs, expected = np.load(folder / "inputs.npz"), np.load(folder / "outputs.npz")
    options = json.loads((folder / "manifest.json").read_text())["params"]
    gaussian, bilateral = options["gaussian"], options["bilateral"]
    crf = DenseCrf(
        torch.from_numpy(inputs["image_uint8_rgb"]).permute(2, 0, 1),
        gaussian_sxy=gaussian["sxy"],
        gaussian_weight=gaussian["compat"],
        bilateral_sxy=bilateral["sxy"],
        bilateral_srgb=bilateral["srgb"],
        bilateral_weight=bilateral["compat"],
        iterations=options["iterations"],
    )
    foreground = torch.from_numpy(inputs["prob_fg"])
    marginals = crf(torch.stack([1 - foreground, foreground]))
    # the bars are 99.9 % and 0.02; no label differs, and what rounding differs in stays below 0.001
    np.testing.assert_array_equal(marginals[1].numpy() > 0.5, expected["argmax"])
    np.testing.assert_allclose(marginals[1].numpy(), expected["Q_fg"], atol=1e-3)
    crf.parameters = DenseCrfParameters(iterations=1)
    first = crf(torch.stack([1 - foreground, foreground]))[1, ::2, ::2]
    np.testing.assert_allclose(first.numpy(), expected["Q_fg_after_1_iteration"], atol=1e-5)


def pydensecrf(image: torch.Tensor, probabilities: torch.Tensor, parameters: dict) -> np.ndarray:
    """The marginals (L, H, W) that the C++ program finds."""
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pip install pydensecrf2 (the extra dev has it)")
    labels, height, width = probabilities.shape
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-probabilities.log().flatten(1).numpy()))
    crf.addPairwiseGaussian(sxy=parameters["gaussian_sxy"], compat=parameters["gaussian_weight"])
    crf.addPairwiseBilateral(
        sxy=parameters["bilateral_sxy"],
        srgb=parameters["bilateral_srgb"],
        rgbim=np.ascontiguousarray(image.permute(1, 2, 0).numpy()),
        compat=parameters["bilateral_weight"],
    )
    return np.array(crf.inference(parameters["iterations"])).reshape(labels, height, width)


@pytest.mark.parametrize("seed", range(20))
def test_equals_an_installed_pydensecrf(seed):
    rng = np.random.default_rng(seed)
    height, width, labels = (int(number) for number in rng.integers([1, 1, 2], [150, 200, 7]))
    parameters = {
        "gaussian_sxy": float(rng.uniform(0.5, 6)),
        "gaussian_weight": float(rng.uniform(0, 6)),
        "bilateral_sxy": float(rng.uniform(3, 60)),
        "bilateral_srgb": float(rng.uniform(1, 20)),
        "bilateral_weight": float(rng.uniform(0, 12)),
        "iterations": int(rng.integers(1, 11)),
    }
    image, probabilities = picture(height, width, seed, noise=rng.uniform(0, 40)), maps(labels, height, width)
    expected = pydensecrf(image, probabilities, parameters)
    marginals = DenseCrf(image, **parameters)(probabilities)
    same, near = agreement(marginals, expected)
    assert same >= 0.999 and near >= 0.99
    # what is left is rounding
    np.testing.assert_allclose(marginals.numpy(), expected, atol=1e-3)


def test_dark_pictures_feel_the_corner_as_in_pydensecrf():
    """It fills the number of pixels up to a multiple of four with black ones, whose lattice vertices carry the blur."""
    image, probabilities = (picture(55, 117, 1, noise=20).float() * 0.1).to(torch.uint8), maps(2, 55, 117)
    parameters = asdict(DenseCrfParameters(bilateral_sxy=40.0, bilateral_srgb=10.0))
    expected = pydensecrf(image, probabilities, parameters)
    # without those vertices the largest difference is 0.011
    np.testing.assert_allclose(DenseCrf(image, **parameters)(probabilities).numpy(), expected, atol=1e-4)


def test_a_flat_region_is_cleaned_and_an_edge_is_kept():
    image = torch.zeros(3, 48, 64, dtype=torch.uint8)
    image[:, :, 32:] = 200
    truth = torch.zeros(48, 64)
    truth[:, 32:] = 1
    noise = torch.randn(48, 64, generator=torch.Generator().manual_seed(0))
    foreground = (0.3 + 0.4 * truth + 0.2 * noise).clamp(0.05, 0.95)
    assert ((foreground > 0.5) == truth.bool()).float().mean() < 0.9
    marginals = DenseCrf(image)(torch.stack([1 - foreground, foreground]))
    assert torch.equal(marginals[1] > 0.5, truth.bool())
    torch.testing.assert_close(marginals.sum(0), torch.ones(48, 64))


@pytest.mark.parametrize(("height", "width"), [(30, 44), (31, 45)])  # of four pixels a multiple, and not
def test_batches_are_what_each_picture_gives_alone(height, width):
    black = torch.zeros(3, height, width, dtype=torch.uint8)
    images = torch.stack([picture(height, width, 1), picture(height, width, 2), black])
    for labels in (2, 4):
        probabilities = maps(3, 2, 5, labels, height, width)
        together = DenseCrf(images)(probabilities)
        assert together.shape == probabilities.shape and together.dtype == torch.float32
        for image, some, refined in zip(images, probabilities, together, strict=True):
            crf = DenseCrf(image)
            torch.testing.assert_close(crf(some), refined, atol=1e-4, rtol=0)
            torch.testing.assert_close(crf(some[1, 3]), refined[1, 3], atol=1e-4, rtol=0)


def test_the_same_bits_twice():
    image, probabilities = picture(50, 60), maps(3, 2, 50, 60)
    assert torch.equal(DenseCrf(image)(probabilities), DenseCrf(image)(probabilities))


def test_a_kernel_without_weight_is_left_out():
    image, probabilities = picture(20, 30), maps(2, 20, 30)
    assert len(DenseCrf(image, bilateral_weight=0).kernels) == 1
    unchanged = DenseCrf(image, bilateral_weight=0, gaussian_weight=0)(probabilities)
    torch.testing.assert_close(unchanged, probabilities)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_maps_that_are_certain_everywhere_stay_so(value):
    foreground = torch.full((17, 23), value)
    marginals = DenseCrf(picture(17, 23))(torch.stack([1 - foreground, foreground]))
    torch.testing.assert_close(marginals[1], foreground, atol=1e-6, rtol=0)


def test_certain_pixels_are_clipped_not_infinite():
    foreground = (maps(2, 40, 40)[1] > 0.5).float()
    marginals = DenseCrf(picture(40, 40))(torch.stack([1 - foreground, foreground]))
    assert marginals.isfinite().all()
    clipped = foreground.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    expected = DenseCrf(picture(40, 40))(torch.stack([1 - clipped, clipped]))
    torch.testing.assert_close(marginals, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 57), (57, 1), (1, 1)])
def test_pictures_of_one_row_column_or_pixel(height, width):
    probabilities = maps(3, height, width)
    marginals = DenseCrf(picture(height, width))(probabilities)
    assert marginals.isfinite().all()
    torch.testing.assert_close(marginals.sum(0), torch.ones(height, width))


def test_half_precision_and_no_maps_at_all():
    crf = DenseCrf(picture(12, 16))
    assert crf(maps(2, 12, 16).to(torch.bfloat16)).dtype == torch.float32
    assert crf(torch.zeros(0, 2, 12, 16)).shape == (0, 2, 12, 16)


@pytest.mark.parametrize(
    ("probabilities", "error", "message"),
    [
        (torch.zeros(2, 20, 31), ValueError, "probabilities are 2x20x31, the images 3x20x30; give .* ...xlabelsx20x30"),
        (torch.zeros(20, 30), ValueError, "probabilities are 20x30"),
        (torch.zeros(1, 20, 30), ValueError, r"have 1 label; .* torch.stack\(\[1 - p, p\], dim=-3\)"),
        (torch.full((2, 20, 30), torch.nan), ValueError, r"from nan to nan; give numbers in \[0, 1\]"),
        (torch.full((2, 20, 30), 3.0), ValueError, "from 3.0 to 3.0; .* not logits"),
        (torch.full((2, 20, 30), -0.1), ValueError, "from -0.1"),
        (torch.ones(2, 20, 30, dtype=torch.uint8), TypeError, "probabilities are torch.uint8"),
    ],
)
def test_bad_probabilities(probabilities, error, message):
    with pytest.raises(error, match=message):
        DenseCrf(picture(20, 30))(probabilities)


def test_one_pixel_that_is_no_number():
    probabilities = maps(2, 20, 30)
    probabilities[1, 3, 4] = torch.nan
    with pytest.raises(ValueError, match="from nan"):
        DenseCrf(picture(20, 30))(probabilities)


def test_a_batch_needs_maps_for_every_picture():
    crf = DenseCrf(torch.stack([picture(20, 30)] * 2))
    with pytest.raises(ValueError, match="probabilities are 2x20x30, the images 2x3x20x30; give .* 2x...xlabelsx20x30"):
        crf(maps(2, 20, 30))
    with pytest.raises(ValueError, match="probabilities are 3x2x20x30"):
        crf(maps(3, 2, 20, 30))


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(3, 8, 8), TypeError, r"torch.float32; .* \(image \* 255\).round\(\).to\(torch.uint8\)"),
        (np.zeros((8, 8, 3), np.uint8), TypeError, "ndarray; give a uint8 tensor"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), ValueError, r"\(8, 8, 3\); give \(3, H, W\)"),
        (torch.zeros(3, 0, 8, dtype=torch.uint8), ValueError, r"\(3, 0, 8\)"),
    ],
)
def test_bad_images(image, error, message):
    with pytest.raises(error, match=message):
        DenseCrf(image)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gaussian_sxy": 0}, "gaussian_sxy of the dense CRF is 0; it is above 0"),
        ({"bilateral_srgb": -3.0}, "bilateral_srgb of the dense CRF is -3.0"),
        ({"bilateral_weight": float("nan")}, "bilateral_weight of the dense CRF is nan; it is a number"),
        ({"gaussian_weight": "3"}, "gaussian_weight of the dense CRF is '3'"),
        ({"iterations": 2.5}, "iterations of the dense CRF are 2.5; give a whole number"),
        ({"iterations": 0}, "iterations of the dense CRF is 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        DenseCrf(picture(8, 8), **parameters)


def test_kernels_too_narrow_for_the_lattice():
    with pytest.raises(ValueError, match="standard deviations of the kernel are too small"):
        DenseCrf(picture(40, 40), bilateral_sxy=1e-3, bilateral_srgb=1e-3)


def as_fake_cuda(crf: DenseCrf, mode: FakeTensorMode) -> DenseCrf:
    """A copy whose lattices lie on a GPU that exists in name only: operators check devices and shapes, nothing else."""

    def move(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")

    crf = copy.deepcopy(crf)
    with mode:
        for index, (weight, lattice, norm) in enumerate(crf.kernels):
            for name, tensor in vars(lattice).items():
                setattr(lattice, name, move(tensor))
            crf.kernels[index] = (weight, lattice, move(norm))
    return crf


@pytest.mark.parametrize("labels", [2, 3])
def test_the_iterations_never_wait_for_a_gpu(labels):
    """Fake tensors have no values: whatever would have to read one (a size, an index, a copy to the CPU) raises."""
    mode = FakeTensorMode(allow_non_fake_inputs=False)
    crf = as_fake_cuda(DenseCrf(picture(20, 30)), mode)
    with mode:
        logits = crf.mean_field(torch.empty(600, 4, labels - 1, device="cuda"))
    assert logits.shape == (600, 4, labels - 1) and logits.device.type == "cuda"
    with mode, pytest.raises(Exception, match="_local_scalar_dense"):  # the check itself checks
        torch.empty(3, device="cuda").sum().item()


@pytest.mark.gpu
def test_a_gpu_gives_the_numbers_of_the_cpu():
    images, probabilities = torch.stack([picture(64, 80, 1), picture(64, 80, 2)]), maps(2, 3, 2, 64, 80)
    expected = DenseCrf(images)(probabilities)
    crf = DenseCrf(images.cuda())
    torch.cuda.set_sync_debug_mode("error")
    try:
        crf.mean_field(torch.zeros(2 * 64 * 80, 3, 1, device="cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(crf(probabilities.cuda()).cpu(), expected, atol=1e-3, rtol=0)
