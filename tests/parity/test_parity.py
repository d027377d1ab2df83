"""Every golden case of the systems we have, through the same code as `check.py`."""

import numpy as np
import pytest

from .check import check
from .golden_case import compare

CASES = [
    "rmi/a/r_rmi",
    "rmi/a/d_rmi",
    "rmi/a/r_lstm",
    "rmi/a/d_lstm",
    "lstmcnn/a/seg",
    "lstmcnn/a/seg512",
    "lstmcnn/a/det",
    "mattnet/a",
    "evaltext",
    "phrasecut_eval",
]


@pytest.mark.parametrize("case", CASES)
def test_golden_case(shared_dir, case):
    results = check(shared_dir / "golden" / case)
    assert results, f"nothing was compared in {case}"
    failed = [str(result) for result in results if not result.passed]
    assert not failed, "\n".join(failed)


def test_comparison_fails_for_what_is_not_equal():
    expected = np.array([[1.0, -4.0]])
    assert compare("same", expected + 3e-4, expected).passed
    assert not compare("other", expected + 5e-4, expected).passed
    assert not compare("nan", np.full((1, 2), np.nan), expected).passed
    assert not compare("shape", expected[0], expected).passed
