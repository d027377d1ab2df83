"""Slow: commands that are killed at random moments and called again leave what one that was never killed leaves.

`pytest -m slow tests/test_killed.py`
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from official_copies import write_refer

from hf_refseg.data import load
from tests.evaluation.conftest import save_model
from tests.models.original_arrays import rmi_arrays
from tests.training.test_run import overrides

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
CLI = [sys.executable, "-m", "hf_refseg.cli"]
MOMENTS = 5  # of each command


def training(place: Path):
    """The command, how it goes on after a kill, and what it leaves."""
    words = [*CLI, "train", "tiny_refshapes", *overrides(place / "run")]
    results = ("model.safetensors", "eval_results.json", "tokenizer.json", "config.json")
    return words, [*words, "--resume"], lambda: [(place / "run" / name).read_bytes() for name in results]


def evaluation(place: Path):
    words = [*CLI, "evaluate", "--model", save_model(place / "model"), "--dataset", "refshapes", "--split", "val"]
    words += ["--protocol", "hu2016", "--limit", "40", "--output", str(place / "run")]

    def left():
        results = json.loads((place / "run" / "results.json").read_text())
        return {name: value for name, value in results.items() if name not in ("seconds", "model")}

    return words, words, left


def building(place: Path):
    write_refer(place / "raw")
    words = [sys.executable, "dataset_scripts/build_refcoco.py", "--raw", str(place / "raw" / "refcoco")]
    words += ["--partition", "unc", "--out", str(place / "built"), "--allow-other-counts"]

    def left():
        card = (place / "built" / "README.md").read_text().replace(str(place), "")
        return card, list(load(place / "built", "val", images=False)), len(load(place / "built", "train", images=False))

    return words, words, left


def converting(place: Path):
    np.savez(place / "rmi.npz", **rmi_arrays())
    (place / "vocabulary.txt").write_text("\n".join(["<pad>", "<go>", "<eos>", "<unk>", "red", "dog"]) + "\n")
    words = [*CLI, "convert", "rmi", str(place / "rmi.npz"), "--vocabulary", str(place / "vocabulary.txt")]
    folder = place / "converted"

    def left():
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    return [*words, "--output", str(folder)], [*words, "--output", str(folder)], left


def bundling(place: Path):
    folder = place / "bundle"
    words = [*CLI, "bundle", save_model(place / "model"), str(folder)]

    def left():
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    return words, words, left


@pytest.mark.slow
@pytest.mark.parametrize("job", [training, evaluation, building, converting, bundling])
def test_killed_at_random_moments(job, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    words, again, left = job(place)
    begun = shutil.copytree(place, tmp_path / "begun")

    def run(command: list[str]) -> subprocess.Popen:
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    start = time.monotonic()
    whole = run(words)
    assert whole.communicate() and whole.returncode == 0
    seconds, expected = time.monotonic() - start, left()
    for moment in random.Random(0).sample(range(20, 100), MOMENTS):
        shutil.rmtree(place)
        shutil.copytree(begun, place)
        killed = run(words)
        time.sleep(seconds * moment / 100)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        if killed.returncode == 0:  # it was faster this time
            assert left() == expected
            continue
        resumed = run(again)
        message = resumed.communicate()[1].decode()
        # what was finished just before the kill is not done again, and says so
        assert resumed.returncode == 0 or "exists" in message, f"killed at {moment}%: {message[-2000:]}"
        assert left() == expected, f"killed at {moment}%"
