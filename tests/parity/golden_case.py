"""A folder of golden outputs: the original checkpoint made from its manifest, inputs, outputs, and comparisons."""

import importlib.util
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

TOLERANCE = 1e-4
EXACT = 0.0
TOLERANCE_AFTER_STEP = 5e-4


def load_make_tensor(case_dir: Path):
    """The generator `make_tensor(name, shape, rule, seed, out_axis)` above the case, or that of the shared goldens."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "golden"
    for folder in (case_dir.resolve(), *case_dir.resolve().parents, shared):
        path = folder / "make_tensor.py"
        if path.is_file():
            spec = importlib.util.spec_from_file_location("make_tensor", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.make_tensor
    raise FileNotFoundError(f"no make_tensor.py in {case_dir}, above it, or in {shared}")


@dataclass
class GoldenCase:
    """One case folder."""

    folder: Path
    manifest: dict = field(init=False)

    def __post_init__(self):
        self.folder = Path(self.folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())

    @property
    def config(self) -> dict:
        return self.manifest["config"]

    @cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / "inputs.npz"))

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        return self.arrays("outputs")

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one .npz of the case; none where the case has no such file."""
        path = self.folder / f"{name}.npz"
        return dict(np.load(path)) if path.is_file() else {}

    def checkpoint(self, tensors: str = "tensors") -> dict[str, np.ndarray]:
        """
        The original checkpoint: every tensor that the manifest lists under this name, and the optimizer's leftovers of
        a training run.
        """
        make_tensor = load_make_tensor(self.folder)
        arrays = {tensor["name"]: make_original(make_tensor, tensor) for tensor in self.manifest[tensors]}
        for leftover in self.manifest.get("optimizer_variables_also_in_a_training_checkpoint", ()):
            arrays[leftover["name"]] = np.zeros(leftover["shape"], np.float32)
        return arrays

    def generated_input(self, name: str) -> np.ndarray:
        """
        An input that is not stored: max(0, N(.../obj) + N(.../grid)), one number per object and channel plus one per
        cell.

        Raises:
            ValueError: its sum is not the one the manifest gives.
        """
        make_tensor, entry = load_make_tensor(self.folder), self.manifest["inputs_generated"][name]
        shape, seed = entry["shape"], self.manifest["seed"]
        per_object = make_tensor(f"input/{name}/obj", [*shape[:2], 1, 1], "normal:1", seed)
        array = np.maximum(0, per_object + make_tensor(f"input/{name}/grid", shape, "normal:1", seed))
        if not np.isclose(total := array.sum(dtype=np.float64), entry["sum"], rtol=1e-6):
            raise ValueError(f"{self.folder}: {name} as generated sums to {total}, the manifest says {entry['sum']}")
        return array

    def attribute_counts(self) -> list[int]:
        """How often each attribute occurs: a table, or the formula `int(a/(i+1))+b`."""
        entry = self.manifest["att_to_cnt"]
        if "formula" not in entry:
            return list(entry.values())
        numerator, offset = map(int, re.search(r"int\((\d+)/\(i\+1\)\)\+(\d+)", entry["formula"]).groups())
        return [numerator // (i + 1) + offset for i in range(self.config["num_atts"])]


def make_original(make_tensor, tensor: dict) -> np.ndarray:
    """
    One original tensor. Rules of the manifests that the generator lacks: 'const:v', a value everywhere, and
    base[*factor][+offset] on any of its own.
    """
    if tensor["rule"].startswith("const:"):
        return np.full(tensor["shape"], float(tensor["rule"].split(":")[1]), np.float32)
    base, factor, offset = re.fullmatch(r"([^*+]+)(?:\*([^+]+))?(?:\+(.+))?", tensor["rule"]).groups()
    base = "normal:1" if base == "normal" else base
    axis = tensor.get("out_axis", tensor.get("output_axis"))
    array = make_tensor(tensor["name"], tensor["shape"], base, tensor["seed"], axis)
    if factor or offset:
        array = (array * np.float64(factor or 1) + np.float64(offset or 0)).astype(np.float32)
    return array


@dataclass
class Comparison:
    """
    One compared array; errors are relative to the largest absolute value expected.

    The name is that of the golden array. Brackets behind it say what was compared in its place.
    """

    name: str
    max_abs: float
    max_rel: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.max_rel <= self.tolerance  # false for NaN too

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        return f"{self.name:<60} {self.max_abs:.3e} {self.max_rel:.3e} {self.tolerance:.0e} {verdict}"


def compare(name: str, ours, expected, tolerance: float = TOLERANCE) -> Comparison:
    """Compare two arrays; of another shape than the golden one, ours is infinitely wrong."""
    ours, expected = to_numpy(ours), np.asarray(expected, np.float64)
    if ours.shape != expected.shape:
        return Comparison(f"{name} (shape {ours.shape}, golden {expected.shape})", np.inf, np.inf, tolerance)
    largest = np.abs(expected).max()
    max_abs = float(np.abs(ours - expected).max())
    return Comparison(name, max_abs, max_abs / largest if largest else max_abs, tolerance)


def to_numpy(array) -> np.ndarray:
    return array.detach().cpu().double().numpy() if isinstance(array, torch.Tensor) else np.asarray(array, np.float64)


class Checks(list[Comparison]):
    """
    The comparisons of a case, in the order in which they were made.

    Args:
        expected: golden arrays by name; none for a case that keeps its numbers elsewhere.
    """

    def __init__(self, expected: dict[str, np.ndarray] | None = None):
        super().__init__()
        self.expected = expected or {}

    def check(self, name: str, ours, tolerance: float = TOLERANCE):
        """Compare with the golden array of this name, or with every part of it that the case stores, if any."""
        for key, part, values in stored(self.expected, name):
            self.append(compare(key, torch.as_tensor(ours)[part], values, tolerance))

    def compare(self, name: str, ours, expected, tolerance: float = TOLERANCE):
        """Compare two arrays that the caller has."""
        self.append(compare(name, ours, expected, tolerance))

    def share(self, name: str, ours, expected, tolerance: float, of: str, far: float = 0.0):
        """
        Let a few values be wrong; the line's relative error is the share of them.

        Args:
            tolerance: the share that may be wrong.
            of: what is counted, for people.
            far: a value is wrong if it differs by more than this.
        """
        comparison = compare(f"{name} ({of})", ours, expected, tolerance)
        if np.isfinite(comparison.max_abs):
            near = np.abs(to_numpy(ours) - to_numpy(expected)) <= far
            comparison.max_rel = float((~near).mean())
        self.append(comparison)


def stored(arrays: dict[str, np.ndarray], name: str):
    """The arrays stored under a name: key, what part of the whole it is, and values."""
    for key, values in arrays.items():
        base, _, part = key.partition("[")
        if base == name:
            yield key, parse_part(part.removesuffix("]")), values


def parse_part(text: str):
    """What a key takes of an array: "" all of it, ":, ::8" slices of its dimensions, "rois 0,7" rows."""
    if not text:
        return ...
    if rows := re.fullmatch(r"rois? ([\d, ]+)", text):
        return [int(row) for row in rows[1].split(",")]
    return tuple(slice(*(int(end) if end.strip() else None for end in of.split(":"))) for of in text.split(","))


def nhwc(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, H, W, C), as the goldens store maps."""
    return maps.permute(0, 2, 3, 1)


def to_pixel_values(images: np.ndarray, mean_rgb: tuple[float, float, float]) -> torch.Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) minus the mean."""
    pixels = torch.from_numpy(images).float() - torch.tensor(mean_rgb)
    return pixels.permute(0, 3, 1, 2).contiguous()
