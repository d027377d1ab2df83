"""
Speed of the dense CRF beside pydensecrf, where that is installed: `python benchmarks/dense_crf.py`.

Both programs start from a picture and the probabilities of two labels and do all of their work anew: lattice, five
iterations, RMI's parameters. pydensecrf (C++) uses one thread, whatever the machine has. "Ten" is ten expressions on
one picture, which share its lattice; pydensecrf would have to be called ten times.
"""

import importlib.util

import numpy as np
import torch
from PIL import Image
from report import argument_parser, publish
from timed_process import peak_megabytes
from timing import contender, take_turns

from hf_refseg.dense_crf import DenseCrf, DenseCrfParameters

SIZES = {"320 x 320": (320, 320), "640 x 480": (640, 480)}  # width, height
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # they come with scikit-image
PARAMETERS = DenseCrfParameters()
COLUMNS = {
    "size": ("size", ""),
    "picture": ("picture", ""),
    "pydensecrf_min_ms": ("pydensecrf min ms", ".0f"),
    "pydensecrf_cpu_ms": ("CPU ms", ".0f"),
    "one_min_ms": ("ours min ms", ".0f"),
    "one_cpu_ms": ("CPU ms", ".0f"),
    "ratio": ("ours / pydensecrf", ".2f"),
    "cpu_ratio": ("by CPU", ".2f"),
    "ten_min_ms": ("ten expressions min ms", ".0f"),
    "ten_to_one": ("ten / one", ".1f"),
    "same_label": ("same label", ".3%"),
}


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


def main() -> None:
    parser = argument_parser(__doc__, repeats=7)
    parser.add_argument("--device", default="cpu", help="of ours: cpu (default) or cuda")
    parser.add_argument("--size", choices=SIZES, help="only this one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = [options.size] if options.size else SIZES
    cases = [(size, name) for size in sizes for name in (*PHOTOS, "noise")]
    contenders, same_label = {}, {}
    for case in cases:
        size, name = case
        pixels = picture(name, SIZES[size])
        foreground = probability(*pixels.shape[:2])
        one = torch.stack([1 - foreground, foreground])  # (L, H, W)
        ten = one.expand(10, -1, -1, -1)
        if importlib.util.find_spec("pydensecrf"):
            contenders[case, "pydensecrf"] = contender(run_pydensecrf, pixels, one)
            theirs, ours = run_pydensecrf(pixels, one), run_ours(pixels, one, options.device)
            same_label[case] = float((ours.argmax(0).numpy() == theirs.argmax(0)).mean())
        contenders[case, "one"] = contender(run_ours, pixels, one, options.device)
        contenders[case, "ten"] = contender(run_ours, pixels, ten, options.device)
    timings = take_turns(contenders, options.repeats)

    rows = []
    for case in cases:
        row = {"size": case[0], "picture": case[1], "same_label": same_label.get(case)}
        for program in ("pydensecrf", "one", "ten"):
            if (case, program) in timings:
                row |= timings[case, program].milliseconds(f"{program}_")
        if case in same_label:
            row["ratio"] = row["one_min_ms"] / row["pydensecrf_min_ms"]
            row["cpu_ratio"] = row["one_cpu_ms"] / row["pydensecrf_cpu_ms"]
        row["ten_to_one"] = row["ten_min_ms"] / row["one_min_ms"]
        rows.append(row)
    device = "cpu" if options.device == "cpu" else torch.cuda.get_device_name()
    publish(options, rows, COLUMNS, device=device, peak_mb=round(peak_megabytes()))


if __name__ == "__main__":
    main()
