"""A run killed with SIGKILL in the middle gives, once resumed, the parameters of a run that was never killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import ReferringSegmentationCollator, RefShapes
from hf_refseg.evaluation.evaluators import referring_evaluators
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.training import ReferringSegmentationTrainer, RefSegTrainingArguments
from hf_refseg.training.checkpointing import last_complete_checkpoint, missing_files

RECIPE = "tiny_refshapes"
ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
# With running statistics, which must be resumed too.
BACKBONE = {
    "model_type": "resnet", "embedding_size": 32, "hidden_sizes": [16], "depths": [1], "layer_type": "basic",
    "out_features": ["stage1"],
}  # fmt: skip
# Six steps an epoch, so that the fourth, where the first checkpoint lies, is in the middle of one; flips and random
# sentences, so that a stream of draws that restarts would be noticed.
SETTINGS = {
    "max_steps": 40, "save_steps": 4, "train_samples": 24, "per_device_train_batch_size": 4, "eval_samples": 4,
    "image_size": 48, "processor.size": 48, "flip_probability": 0.5, "hidden_size": 8, "use_cpu": True,
    "model.backbone_config": BACKBONE, "detail_size": 0, "load_best_model_at_end": False,
    "eval_strategy": "no", "save_total_limit": 3, "warmup_steps": 3, "logging_steps": 10, "disable_tqdm": True,
    "report_to": "none", "naming.steps": 2, "freeze": "null", "context_size": 8,
}  # fmt: skip


def overrides(output_dir, **settings):
    return [
        word
        for item in {**SETTINGS, "output_dir": output_dir, **settings}.items()
        for word in (f"--{item[0]}", str(item[1]))
    ]


def kill_in_the_middle(output_dir, log):
    """Run train.py in a process of its own and kill it as soon as it has a complete checkpoint."""
    with open(log, "w") as file:
        words = [sys.executable, str(ROOT / "train.py"), *overrides(output_dir)]
        process = subprocess.Popen(words, cwd=ROOT, env=ONE_THREAD, stdout=file, stderr=file)
        deadline = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < deadline and not last_complete_checkpoint(output_dir):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, log.read_text()[-3000:]
    assert not (output_dir / "model.safetensors").exists()
    return Path(last_complete_checkpoint(output_dir))


def test_resume_after_kill_equals_an_uninterrupted_run(train, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    checkpoint = kill_in_the_middle(killed, tmp_path / "killed.log")
    start = load_file(checkpoint / "model.safetensors")

    # What a kill in the middle of writing the next checkpoint leaves: some files whole, one cut short, no manifest.
    half = killed / f"checkpoint-{int(checkpoint.name.removeprefix('checkpoint-')) + 4}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    shutil.copy(checkpoint / "trainer_state.json", half)
    (half / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:1000])
    assert last_complete_checkpoint(killed) == str(checkpoint)

    train([RECIPE, *overrides(killed), "--resume"])
    train([RECIPE, *overrides(whole)])
    expected, resumed = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert not all(torch.equal(expected[name], start[name]) for name in expected)
    assert (killed / "curve.png").stat().st_size > 1000
    assert not [folder for folder in killed.glob("checkpoint-*") if missing_files(folder)]

    with pytest.raises(FileExistsError, match="--resume"):
        train([RECIPE, *overrides(killed)])


@pytest.mark.slow
def test_two_processes_evaluate_every_sentence_once(tmp_path):
    settings = {"max_steps": 4, "eval_samples": 7, "per_device_eval_batch_size": 2, "eval_strategy": "steps"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "train.py"]
    launch += overrides(tmp_path / "two", eval_steps=2, **settings)
    environment = {**ONE_THREAD, "ACCELERATE_USE_CPU": "true"}
    finished = subprocess.run(launch, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert finished.returncode == 0, finished.stderr[-3000:]

    reported = read_eval_results(tmp_path / "two")
    processor = AutoProcessor.from_pretrained(tmp_path / "two")
    rows = RefShapes("val", size=48, num_samples=7)
    alone = ReferringSegmentationTrainer(
        model=AutoModel.from_pretrained(tmp_path / "two"), processing_class=processor, eval_dataset=rows,
        args=RefSegTrainingArguments(output_dir=str(tmp_path / "one"), report_to="none", use_cpu=True),
        data_collator=ReferringSegmentationCollator(processor), evaluators=referring_evaluators(processor),
    )  # fmt: skip
    metrics = alone.evaluate()
    expressions = sum(len(row["sentences"]) for row in rows)
    assert reported["counts"] == {"rows": 7, "expressions": expressions, "cut_off": 0}
    for name in ("oIoU", "mIoU", "Pr@0.5"):
        assert reported["metrics"][name] == metrics[f"eval_{name}"]


def test_a_stage_is_past_when_a_training_resumes(train, tmp_path, monkeypatch):
    from hf_refseg.training import dense

    named = []
    monkeypatch.setattr(dense, "name_words", lambda *args, **kwargs: named.append(args))
    settings = {"max_steps": 1, "save_steps": 1, "train_samples": 4}
    train([RECIPE, *overrides(tmp_path / "run", **settings), "--resume"])
    assert len(named) == 1, "there was no checkpoint to resume from"
    train([RECIPE, *overrides(tmp_path / "run", **{**settings, "max_steps": 2}), "--resume"])
    assert len(named) == 1


def test_what_a_run_leaves_behind(train, tmp_path):
    metrics = train([RECIPE, *overrides(tmp_path / "run", max_steps=2, save_steps=2, logging_steps=1)])
    results = read_eval_results(tmp_path / "run")
    assert results["metrics"]["oIoU"] == metrics["oIoU"] and results["protocol"] == "hu2016"
    assert (results["dataset"], results["split"]) == ("refshapes/refcoco", "val")
    assert results["counts"] == {"rows": 4, "expressions": metrics["num"], "cut_off": 0}
    assert "loss" in metrics and "loss" not in results["metrics"], "a loss is no fraction"
    said = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert said["stages"]["naming"]["steps"] == 2 and said["model"]["model_type"] == "refseg_context_rmi"
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
