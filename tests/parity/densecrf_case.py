"""Golden case of the dense CRF: a picture, probabilities, and the marginals that pydensecrf found for them.

Its manifest names no system; it is known by the parameters of the two kernels. A line's "relative error" is the share
of pixels that miss the bar: another best label (0.1 % may), or a probability off by more than 0.02 (1 % may).
"""

import re

import numpy as np
import torch

from hf_refseg.dense_crf import DenseCrf

from .golden_case import Checks, GoldenCase

OTHER_LABELS = 1e-3
FAR_PIXELS = 1e-2
FAR = 0.02


def is_case(manifest: dict) -> bool:
    return {"gaussian", "bilateral"} & set(manifest.get("params", ())) != set()


def run(case: GoldenCase) -> Checks:
    """Every array of `outputs.npz`: `argmax`, and marginals after all iterations or `_after_N_iteration`."""
    given = case.manifest["params"]
    for name, usual in (("kernel", "DIAG_KERNEL"), ("normalization", "NORMALIZE_SYMMETRIC")):
        if usual not in given.get(name, usual):
            raise ValueError(f"{case.folder} was made with the {name} {given[name]}; DenseCrf has {usual} only")
    gaussian, bilateral = given.get("gaussian"), given.get("bilateral")
    parameters = {"gaussian_weight": 0.0, "bilateral_weight": 0.0}  # of a kernel that the case lacks
    if gaussian:
        parameters |= {"gaussian_sxy": gaussian["sxy"], "gaussian_weight": gaussian["compat"]}
    if bilateral:
        parameters |= {"bilateral_sxy": bilateral["sxy"], "bilateral_srgb": bilateral["srgb"]}
        parameters["bilateral_weight"] = bilateral["compat"]
    image = torch.from_numpy(case.inputs["image_uint8_rgb"]).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
    probabilities = read_probabilities(case)  # (L, H, W)
    checks = Checks(case.outputs)
    for name, expected in case.outputs.items():
        after = re.search(r"_after_(\d+)_iterations?$", name)
        iterations = int(after[1]) if after else given["iterations"]
        marginals = DenseCrf(image, iterations=iterations, **parameters)(probabilities).numpy()
        kind = name[: after.start()] if after else name
        if kind == "argmax":
            checks.share(name, marginals.argmax(0), expected, OTHER_LABELS, "share of other labels")
        elif kind in ("Q", "Q_fg"):
            check_marginals(checks, name, marginals if kind == "Q" else marginals[1])
        else:
            raise ValueError(f"{case.folder}/outputs.npz holds {name!r}; there are checks for argmax, Q and Q_fg")
    return checks


def read_probabilities(case: GoldenCase) -> torch.Tensor:
    """Of all labels (L, H, W): the case has them as `prob`, or those of label 1 of two as `prob_fg` (H, W)."""
    if "prob_fg" in case.inputs:
        foreground = torch.from_numpy(case.inputs["prob_fg"])
        return torch.stack([1 - foreground, foreground])
    for name in ("prob", "probs", "probabilities"):
        if name in case.inputs:
            height, width = case.inputs["image_uint8_rgb"].shape[:2]
            return torch.from_numpy(case.inputs[name]).reshape(-1, height, width)  # pydensecrf has pixels in one axis
    raise ValueError(f"{case.folder}/inputs.npz holds {', '.join(case.inputs)}; the probabilities are prob_fg or prob")


def check_marginals(checks: Checks, name: str, ours: np.ndarray) -> None:
    """(H, W) or (L, H, W); the golden array may have its pixels in one axis, or every second one only."""
    expected = checks.expected[name]
    if expected.size == ours.size:
        expected = expected.reshape(ours.shape)
    elif expected.shape == ours[..., ::2, ::2].shape:
        ours = ours[..., ::2, ::2]
    else:
        return checks.compare(name, ours, expected, FAR_PIXELS)
    difference = np.abs(ours - expected).reshape(-1, *ours.shape[-2:]).max(0)  # over the labels -> (H, W)
    counted = f"share off by more than {FAR}"
    checks.share(name, difference, np.zeros_like(difference), FAR_PIXELS, counted, far=FAR)
