"""`hf-refseg train` and `train.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from hf_refseg.cli import main
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.training.commands import split_overrides

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "--train_samples", "4", "--eval_samples", "2", "--image_size", "48", "--processor.size", "48", "--max_steps", "1",
    "--per_device_train_batch_size", "2", "--use_cpu", "true", "--report_to", "none", "--disable_tqdm", "true",
    "--dataloader_num_workers", "0", "--eval_strategy", "no", "--load_best_model_at_end", "false", "--naming", "null",
    "--freeze", "null",
]  # fmt: skip


def test_the_parser_gets_the_recipe_and_the_flags_and_the_rest_are_overrides():
    words = ["train", "r_rmi", "--path", "data", "--resume", "--seed=3"]
    assert split_overrides(words) == (["train", "r_rmi", "--resume"], ["--path", "data", "--seed=3"])
    assert split_overrides(["train", "--seed", "3"]) == (["train"], ["--seed", "3"])
    assert split_overrides(["evaluate", "--split", "val"]) == (["evaluate", "--split", "val"], [])


def test_help_lists_the_recipes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "r_rmi " in printed and "mattnet_refshapes_location " in printed and "--key value" in printed


def test_a_training_from_the_command_line(tmp_path):
    assert main(["train", "tiny_refshapes", "--output_dir", str(tmp_path / "run"), *TINY]) == 0
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "eval_results.json", "recipe.yaml", "tokenizer.json"} <= files
    assert "oIoU" in read_eval_results(tmp_path / "run")["metrics"]
    again = ["train", str(tmp_path / "run" / "recipe.yaml"), "--output_dir", str(tmp_path / "again")]
    assert main(again) == 0, "the recipe that a run leaves behind makes it again"
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]


def test_errors_of_the_user_are_one_line(tmp_path, capsys):
    for words, message in (
        (["r_rim"], "error: no recipe r_rim; there are "),
        (["tiny_refshapes", "--hidden_sise", "3"], "error: unknown key 'hidden_sise' on the command line"),
        (["r_rmi", "--path", str(tmp_path), "--use_cpu", "true"], "is neither a built data set"),
    ):
        assert main(["train", *words]) == 2
        printed = capsys.readouterr().err
        assert message in printed and "Traceback" not in printed


def test_an_error_in_the_training_says_where(tmp_path, monkeypatch, capsys):
    from hf_refseg.training.trainer import ReferringSegmentationTrainer

    def fail(self, **kwargs):
        raise ValueError("in the middle")

    monkeypatch.setattr(ReferringSegmentationTrainer, "train", fail)
    with pytest.raises(SystemExit) as stopped:
        main(["train", "tiny_refshapes", "--output_dir", str(tmp_path / "run"), *TINY])
    assert stopped.value.code == 1
    assert "Traceback" in (printed := capsys.readouterr().err) and "in the middle" in printed


def test_train_py_is_the_same_command():
    words = [sys.executable, str(ROOT / "train.py"), "--no_such_key", "1"]
    finished = subprocess.run(words, capture_output=True, text=True)
    assert finished.returncode == 2
    assert "error: unknown key 'no_such_key' on the command line: a training of refseg_context_rmi" in finished.stderr
