"""`hf-refseg evaluate` and `compare` as typed."""

import json

import pytest

from hf_refseg import cli
from tests.evaluation.conftest import save_model


def command(model, *more, protocol="hu2016"):
    return ["evaluate", "--model", model, "--dataset", "refshapes", "--split", "val", "--protocol", protocol, *more]


def test_evaluate_twice_and_compare(model_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "other", seed=1)
    assert cli.main(command(model_folder, "--limit", "5", "--batch-size", "2")) == 0
    output = capsys.readouterr().out
    assert "on refshapes val, protocol hu2016: 5 rows" in output and "mIoU  " in output and "box_acc" in output
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name == f"{model_folder.split('/')[-1]}_refshapes_val_hu2016" and str(folder.name) in output
    assert cli.main(command("other", "--limit", "5", "--batch-size", "2", "--output", "second")) == 0
    capsys.readouterr()

    assert cli.main(["compare", str(folder / "results.json"), "second", "--resamples", "200"]) == 0
    output = capsys.readouterr().out
    first, second = (json.loads((path / "results.json").read_text()) for path in (folder, tmp_path / "second"))
    line = next(line for line in output.splitlines() if line.startswith("mIoU"))
    shown = [float(word) for word in line.split()[1:4]]
    expected = [first["metrics"]["mIoU"], second["metrics"]["mIoU"]]
    assert shown == pytest.approx([100 * x for x in (*expected, expected[1] - expected[0])], abs=0.0051)
    assert "95% paired bootstrap, 200 draws of 5 images" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--protocol", "coco"], "unknown metric protocol 'coco'"),
        (["evaluate", "--dataset", "gone"], "'gone' is neither a folder nor one of"),
        (["evaluate", "--split", "gone"], "RefShapes has no split 'gone'"),
        (["evaluate", "--model", "gone"], "there is no model 'gone'"),
        (["evaluate", "--refine", "gone"], "unknown refine 'gone'"),
        (["evaluate", "--phrasecut-counts", "gone.json"], "gone.json"),
        (["compare", "gone.json", "gone.json"], "there is no gone.json"),
    ],
)
def test_mistakes_are_told_in_one_line_and_write_nothing(
    arguments, message, model_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "evaluate":
        arguments = [*command(model_folder), *arguments[1:]]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not list(tmp_path.iterdir())
