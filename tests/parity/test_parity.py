"""Every golden case of the systems we have, through the same code as `check.py`."""

import json

import numpy as np
import pytest

from .check import check
from .golden_case import Checks, compare

CASES = [
    "rmi/a/r_rmi",
    "rmi/a/d_rmi",
    "rmi/a/r_lstm",
    "rmi/a/d_lstm",
    "lstmcnn/a/seg",
    "lstmcnn/a/seg512",
    "lstmcnn/a/det",
    "mattnet/a",
    "cac/a",
    "evaltext",
    "phrasecut_eval",
    "densecrf/case0",
    "densecrf/case1",
]


@pytest.mark.parametrize("case", CASES)
def test_golden_case(shared_dir, case):
    results = check(shared_dir / "golden" / case)
    assert results, f"nothing was compared in {case}"
    failed = [str(result) for result in results if not result.passed]
    assert not failed, "\n".join(failed)


def test_nanodet_at_every_stored_layer(shared_dir):
    results = check(shared_dir / "data" / "nanodet_plus_m_coco")
    assert [result.name for result in results] == [
        f"blob_{layer}" for layer in ("1367", "1391", "1415", "1428", "910", "994", "output")
    ]
    assert all(result.passed for result in results), "\n".join(map(str, results))


def test_comparison_fails_for_what_is_not_equal():
    expected = np.array([[1.0, -4.0]])
    assert compare("same", expected + 3e-4, expected).passed
    assert not compare("other", expected + 5e-4, expected).passed
    assert not compare("nan", np.full((1, 2), np.nan), expected).passed
    assert not compare("shape", expected[0], expected).passed


def test_checks_compare_what_is_stored():
    maps = np.arange(24.0).reshape(4, 6)
    checks = Checks({"whole": maps, "part[:, ::2]": maps[:, ::2], "part[rois 0,3]": maps[[0, 3]] + 1})
    for name in ("whole", "part", "not stored"):
        checks.check(name, maps)
    assert [(result.name, result.passed) for result in checks] == [
        ("whole", True),
        ("part[:, ::2]", True),
        ("part[rois 0,3]", False),
    ]


def test_a_share_of_values_may_be_wrong():
    expected = np.ones(10)
    checks = Checks()
    for wrong in (1, 2):
        checks.share("mask", np.where(np.arange(10) < wrong, 0, 1), expected, 0.1, "share of pixels")
    checks.share("nan", np.full(10, np.nan), expected, 0.5, "share of pixels")
    checks.share("near", expected + 0.1, expected, 0.0, "share of far pixels", far=0.2)
    checks.share("shape", expected[1:], expected, 0.5, "share of pixels")
    assert [result.passed for result in checks] == [True, False, False, True, False]
    assert checks[1].name == "mask (share of pixels)"
    assert checks[1].max_rel == 0.2


def test_a_crf_case_of_other_labels_size_and_parameters(tmp_path):
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pip install pydensecrf2 (the extra dev has it)")
    rng = np.random.default_rng(0)
    height, width, labels = 41, 53, 4  # pixels that are no multiple of four
    image = rng.integers(0, 90, (height // 8 + 1, width // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.ascontiguousarray(image[:height, :width])
    probabilities = rng.dirichlet(np.ones(labels), (height, width)).transpose(2, 0, 1).astype(np.float32)
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(-np.log(probabilities).reshape(labels, -1).copy())
    crf.addPairwiseBilateral(sxy=9, srgb=7, rgbim=image, compat=4)
    outputs = {"Q_after_2_iterations": np.array(crf.inference(2)), "Q": np.array(crf.inference(7))}
    outputs["Q"] = outputs["Q"].reshape(labels, height, width)
    outputs["argmax"] = outputs["Q"].argmax(0)

    def check_case(outputs: dict) -> list[bool]:
        np.savez(tmp_path / "inputs.npz", image_uint8_rgb=image, prob=probabilities)
        np.savez(tmp_path / "outputs.npz", **outputs)
        params = {"bilateral": {"sxy": 9, "srgb": 7, "compat": 4}, "iterations": 7}
        (tmp_path / "manifest.json").write_text(json.dumps({"params": params}))
        return [result.passed for result in check(tmp_path)]

    assert check_case(outputs) == [True, True, True]
    worse = {"Q": outputs["Q"].copy(), "argmax": (outputs["argmax"] + 1) % labels}
    worse["Q"][:, :2] = 0.5  # two rows of 41
    assert check_case(worse) == [False, False]
    with pytest.raises(ValueError, match="holds 'energy'; there are checks for argmax, Q and Q_fg"):
        check_case({"energy": outputs["Q"]})
