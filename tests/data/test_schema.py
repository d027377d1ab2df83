import subprocess
import sys

import numpy as np
import pytest

from hf_refseg.data import box_from_mask, decode_mask, encode_mask, row_features, union_masks


def test_masks_survive_encoding():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 13), (64, 48)):
        mask = rng.random(shape) < 0.4
        rle = encode_mask(mask)
        assert rle["size"] == list(shape) and isinstance(rle["counts"], str)
        np.testing.assert_array_equal(decode_mask(rle), mask)


def test_box_is_the_tightest_with_exclusive_end():
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[2:5, 7:8] = 1
    assert box_from_mask(mask) == box_from_mask(encode_mask(mask)) == [7, 2, 8, 5]
    assert box_from_mask(np.zeros((10, 20), dtype=bool)) is None


def test_union():
    first, second = np.eye(6, dtype=bool), np.eye(6, dtype=bool)[::-1]
    union = union_masks([encode_mask(first), encode_mask(second)], 6, 6)
    np.testing.assert_array_equal(decode_mask(union), first | second)
    empty = decode_mask(union_masks([], 4, 9))
    assert empty.shape == (4, 9) and not empty.any()


@pytest.mark.parametrize(
    ("mask", "message"), [(np.zeros((2, 3, 1)), r"\(2, 3, 1\)"), (np.full((2, 2), 255, np.uint8), "255 to 255")]
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        encode_mask(mask)


def test_masks_of_another_image_are_not_united():
    with pytest.raises(ValueError, match=r"\[4, 4\].*\[5, 4\]"):
        union_masks([encode_mask(np.zeros((4, 4)))], 5, 4)


def test_features_name_the_fields_of_the_schema():
    core, everything = row_features(), row_features(("instances", "attributes"))
    assert set(everything) - set(core) == {"instances", "attributes"}
    with pytest.raises(ValueError, match="'color'"):
        row_features(("color",))


def test_importing_the_package_imports_nothing_heavy():
    # hf_refseg itself may import torch: only what the data package adds is of interest here.
    code = "import sys, hf_refseg; before = set(sys.modules); import hf_refseg.data; " + (
        "print([m for m in ('datasets', 'pycocotools', 'torchvision') if m in set(sys.modules) - before])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
