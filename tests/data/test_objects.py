import pytest
from photo_folder import ref, write_folder

from hf_refseg.data import load
from hf_refseg.data.objects import check_categories


def test_categories_that_a_detector_does_not_know_are_found_before_a_training(tmp_path):
    rows = load(write_folder(tmp_path, "dogs", [1], [ref(1, "val")]), "val")
    check_categories(rows, {"dog": 0, "cat": 1})
    with pytest.raises(ValueError, match=r"dogs has 1 categories that the detector does not know \(dog\); it knows 1"):
        check_categories(rows, {"cat": 0})
