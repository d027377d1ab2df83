"""What is a mask, a count or a decision counts as one; everything that could mean two things is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.mask_values import as_bool, as_count, foreground

MASK = np.zeros((40, 50), bool)
MASK[10:30, 10:30] = True


def as_jpeg(mask):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "JPEG", quality=75)
    return Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(
    "mask",
    [
        MASK.astype(np.uint8),
        MASK * np.uint8(255),
        MASK * 7,
        MASK.astype(np.float32),
        MASK * 255.0,
        MASK.tolist(),
        Image.fromarray(MASK),
        Image.fromarray(MASK * np.uint8(255)),
        torch.from_numpy(MASK),
        torch.from_numpy(MASK).to(torch.bfloat16).requires_grad_(),
    ],
)
def test_masks(mask):
    np.testing.assert_array_equal(foreground(mask), MASK)
    assert not foreground(np.zeros((2, 3))).any() and foreground(np.ones((2, 3), np.uint8)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(MASK, 0.95, 0.05), "the target is no mask: it holds 0.05, 0.95"),
        (np.where(MASK, 0.95, 0), "holds 0, 0.95"),
        (np.where(MASK, 3.0, -3.0), "holds -3, 3"),
        (np.where(MASK, np.nan, 0), "holds 0, nan"),
        (np.where(MASK, 1, -1), "holds -1, 1"),
        (np.full((4, 4), -1), "holds -1. A mask"),
        (as_jpeg(MASK), "keep masks as PNG, for JPEG blurs them"),
        (np.where(MASK, 1, 0) + 255 * np.eye(40, 50, 20, dtype=int), "holds 0, 1, 255. A mask"),
        (torch.full((2, 2), 0.5), "holds 0.5"),
        (np.zeros((40, 50, 3)), r"has the shape \(40, 50, 3\); expected one mask"),
        (np.zeros((0, 5)), r"has the shape \(0, 5\)"),
        ([[0, 1], [1]], "the target is a list that numpy cannot read"),
        (torch.zeros(2, 2).to_sparse(), "is a Tensor that numpy cannot read"),
        (torch.zeros(2, 2, device="meta"), "is a Tensor that numpy cannot read"),
        ([["0", "1"]], "expected numbers, got <U1"),
        ("mask.png", "expected numbers, got <U8"),
        (None, "expected numbers, got object"),
    ],
)
def test_values_of_no_mask(values, message):
    with pytest.raises(ValueError, match=message):
        foreground(values, "the target")


def test_decisions_and_counts():
    assert as_bool(np.bool_(True), "a") and as_bool(1, "a") and not as_bool(torch.tensor(False), "a")
    assert as_count(np.int64(3), "a") == as_count(3.0, "a") == 3
    for value in (0.3, "no", None, [True], np.nan):
        with pytest.raises(ValueError, match="denied is .*; give True or False"):
            as_bool(value, "denied")
    for value in (0.9, -1, "3", None, [3], np.nan, np.inf, 10**30):
        with pytest.raises(ValueError, match="union is .*; give a whole number"):
            as_count(value, "union")
