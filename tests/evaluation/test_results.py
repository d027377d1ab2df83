"""`eval_results.json`: one shape, whoever writes it."""

import json
import math

import pytest

from hf_refseg.checkpoints import checkpoint_path
from hf_refseg.evaluation.results import EVAL_RESULTS_KEYS, read_eval_results, write_eval_results

NUMBERS = {"dataset": "refshapes/refcoco", "split": "val", "counts": {"rows": 3, "expressions": 7}}


def test_numbers_come_back_as_they_were_written(tmp_path):
    subsets = {"all": {"mIoU": 0.5, "num": 7}}
    written = write_eval_results(
        tmp_path,
        {"oIoU": 0.25, "mIoU": math.nan, "subsets": subsets},
        protocol="phrasecut",
        command="hf-refseg evaluate",
        **NUMBERS,
    )
    assert tuple(written) == EVAL_RESULTS_KEYS and written == read_eval_results(tmp_path)
    assert written["metrics"] == {"oIoU": 0.25, "mIoU": None, "subsets": subsets}
    assert written["protocol"] == "phrasecut" and written["counts"] == NUMBERS["counts"]
    detector = write_eval_results(tmp_path, {"mask_AP": 0.75}, **NUMBERS)
    assert detector["protocol"] is None and read_eval_results(tmp_path) == detector
    assert [path.name for path in tmp_path.iterdir()] == ["eval_results.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"num": 7}}, r"metrics\['num'\] is 7; metrics are floats, whole numbers belong in counts"),
        ({"metrics": {"protocol": "hu2016"}}, r"metrics\['protocol'\] is 'hu2016'"),
        ({"counts": {"rows": 3.0}}, r"counts\['rows'\] is 3.0; counts are whole numbers"),
        ({"counts": {"rows": -1}}, r"counts\['rows'\] is -1"),
        ({"metrics": {}}, "there must be at least one of each"),
        ({"counts": {}}, "there must be at least one of each"),
    ],
)
def test_what_is_no_number_is_refused_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write_eval_results(tmp_path, **{"metrics": {"oIoU": 0.5}, **NUMBERS, **changes})
    assert not list(tmp_path.iterdir())


def test_files_of_another_shape_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no .*eval_results.json; a training and hf-refseg evaluate"):
        read_eval_results(tmp_path)
    for content, message in (
        ("{", "eval_results.json is not JSON"),
        (json.dumps({"eval_oIoU": 0.5}), r"eval_results.json has \['eval_oIoU'\], expected \['command', 'counts'"),
        ("[]", "eval_results.json has list, expected"),
    ):
        (tmp_path / "eval_results.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            read_eval_results(tmp_path)


@pytest.mark.parametrize(
    "name", ["refseg-photos", "refseg-photos-rmi", "refseg-shapes-mask-rcnn", "refseg-shapes-mattnet"]
)
def test_checkpoints_that_ship_have_this_shape(name, tmp_path):
    stored = read_eval_results(checkpoint_path(name))
    assert write_eval_results(tmp_path, **stored) == stored
    assert all(0 <= value <= 1 for value in stored["metrics"].values()) and stored["command"]
