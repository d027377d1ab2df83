"""Every golden case of the systems we have, through the same code as `check.py`."""

import pytest

from .check import check

CASES = [
    "rmi/a/r_rmi",
    "rmi/a/d_rmi",
    "rmi/a/r_lstm",
    "rmi/a/d_lstm",
    "lstmcnn/a/seg",
    "lstmcnn/a/seg512",
    "lstmcnn/a/det",
]


@pytest.mark.parametrize("case", CASES)
def test_golden_case(shared_dir, case):
    results = check(shared_dir / "golden" / case)
    assert results, f"nothing was compared in {case}"
    failed = [str(result) for result in results if not result.passed]
    assert not failed, "\n".join(failed)
