"""Speed of the dense CRF beside pydensecrf, where that is installed: `python benchmarks/dense_crf.py`.

Every picture takes its turn in every round with each program; a figure is the median over the rounds in milliseconds,
the smallest in brackets. Both programs start from a picture and the probabilities of two labels and do all of their
work anew: lattice, five iterations, RMI's parameters. pydensecrf (C++) uses one thread, whatever the machine has. "Ten"
is ten expressions on one picture, which share its lattice; pydensecrf would have to be called ten times.
"""

import argparse
import importlib.util
import os
import resource
import statistics
import time

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from hf_refseg.dense_crf import DenseCrf, DenseCrfParameters

SIZES = {"320 x 320": (320, 320), "640 x 480": (640, 480)}  # width, height
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # they come with scikit-image
PARAMETERS = DenseCrfParameters()


def picture(name: str, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3): a photo, or noise, whose pixels share no lattice vertex and so cost the most."""
    if name == "noise":
        return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    from skimage import data

    return np.array(Image.fromarray(getattr(data, name)()).convert("RGB").resize(size))


def probability(height: int, width: int) -> torch.Tensor:
    """A soft blob, as a coarse network gives it: foreground (H, W)."""
    row, column = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return (6 * (0.5 - (row**2 + column**2).sqrt())).sigmoid()


def run_pydensecrf(pixels: np.ndarray, probabilities: torch.Tensor) -> np.ndarray:
    from pydensecrf.densecrf import DenseCRF2D

    labels, height, width = probabilities.shape
    crf = DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(-probabilities.log().flatten(1).numpy())
    crf.addPairwiseGaussian(sxy=PARAMETERS.gaussian_sxy, compat=PARAMETERS.gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=PARAMETERS.bilateral_sxy,
        srgb=PARAMETERS.bilateral_srgb,
        rgbim=pixels,
        compat=PARAMETERS.bilateral_weight,
    )
    return np.array(crf.inference(PARAMETERS.iterations)).reshape(labels, height, width)


def run_ours(pixels: np.ndarray, probabilities: torch.Tensor, device: str) -> torch.Tensor:
    image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(device)  # (H, W, 3) -> (3, H, W)
    return DenseCrf(image)(probabilities.to(device)).cpu()


def milliseconds(run, *arguments) -> tuple[float, object]:
    start = time.perf_counter()
    result = run(*arguments)
    return 1e3 * (time.perf_counter() - start), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of ours on the CPU; torch's own choice by default")
    parser.add_argument("--device", default="cpu", help="of ours: cpu (default) or cuda")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with_pydensecrf = importlib.util.find_spec("pydensecrf") is not None
    cases = {(size, name): picture(name, pixels) for size, pixels in SIZES.items() for name in (*PHOTOS, "noise")}
    times: dict[tuple, dict[str, list[float]]] = {case: {"theirs": [], "one": [], "ten": []} for case in cases}
    same = {}
    for turn in tqdm(range(options.rounds + 1), "rounds", leave=False):
        for case, pixels in cases.items():
            foreground = probability(*pixels.shape[:2])
            one = torch.stack([1 - foreground, foreground])
            measured = {}
            if with_pydensecrf:
                measured["theirs"], expected = milliseconds(run_pydensecrf, pixels, one)
            measured["one"], marginals = milliseconds(run_ours, pixels, one, options.device)
            measured["ten"], _ = milliseconds(run_ours, pixels, one.expand(10, -1, -1, -1), options.device)
            if with_pydensecrf:
                same[case] = (marginals.argmax(0).numpy() == expected.argmax(0)).mean()
            if turn:  # the first round warms up
                for name, value in measured.items():
                    times[case][name].append(value)

    threads = f"{torch.get_num_threads()} threads" if options.device == "cpu" else torch.cuda.get_device_name()
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"ours: {threads} of {os.cpu_count()} cores, load average {load}; {options.rounds} rounds\n")
    print("| size | picture | pydensecrf | ours | ours / pydensecrf | ten expressions | ten / one | same label |")
    print("|---|---|---|---|---|---|---|---|")
    for case, measured in times.items():
        cells = {
            name: f"{statistics.median(values):.0f} ({min(values):.0f})" if values else "not installed"
            for name, values in measured.items()
        }
        one, ten = (statistics.median(measured[name]) for name in ("one", "ten"))
        ratio = f"{one / statistics.median(measured['theirs']):.2f}" if with_pydensecrf else "-"
        agree = f"{same[case]:.3%}" if with_pydensecrf else "-"
        print(f"| {' | '.join(case)} | {cells['theirs']} | {cells['one']} | {ratio} | {cells['ten']} | {ten / one:.1f} "
              f"| {agree} |")  # fmt: skip
    print(f"\npeak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
