"""The steps of the recipe of refseg-photos, with trainings that do nothing."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from recipes.refseg_photos import make
from tests.tiny import tiny_nanodet, tiny_region_matcher


@pytest.fixture
def trained(monkeypatch):
    """Recipes that are trained, with the words of their command lines; each writes a tiny model."""
    calls = []

    class Run:
        def __init__(self, recipe, words, resume):
            self.tiny = tiny_region_matcher if recipe == "refseg_photos" else tiny_nanodet
            calls.append((recipe, dict(zip(words[::2], words[1::2], strict=True)), resume))
            self.words = calls[-1][1]

        def start(self):
            torch.manual_seed(0)
            self.tiny().save_pretrained(self.words["--output_dir"])
            with open(f"{self.words['--output_dir']}/{make.DONE}", "w") as file:
                file.write("done")

    monkeypatch.setattr(make, "prepare", Run)
    monkeypatch.setattr(make, "convert", lambda weights, output: output.mkdir(parents=True))
    return calls


def test_steps_follow_each_other_and_are_done_once(trained, tmp_path):
    photos, output = tmp_path / "photos", tmp_path / "out"
    checkpoint = make.make(photos, output, tmp_path / "weights", None, ["--use_cpu", "true"])
    recipes, words, _ = zip(*trained, strict=True)
    assert recipes == ("nanodet_photos_masks", "refseg_photos")
    assert words[0]["--detector"] == str(output / "nanodet") and words[0]["--use_cpu"] == "true"
    assert words[1]["--detector"] == words[0]["--output_dir"] == str(output / "detector")
    assert make.make(photos, output, tmp_path / "weights", None, []) == checkpoint
    assert len(trained) == 2, "what is there is not trained again"


def test_a_trained_detector_is_taken_as_it_is(trained, tmp_path):
    make.make(tmp_path / "photos", tmp_path / "out", None, tmp_path / "mine", [])
    assert [(recipe, words["--detector"]) for recipe, words, _ in trained] == [
        ("refseg_photos", str(tmp_path / "mine"))
    ]
    with pytest.raises(ValueError, match="give --weights, the published NanoDet, or --detector"):
        make.make(tmp_path / "photos", tmp_path / "other", None, None, [])


def test_the_checkpoint_is_half_as_large_and_loads_as_float32(trained, tmp_path):
    checkpoint = make.make(tmp_path / "photos", tmp_path / "out", None, tmp_path / "mine", [])
    stored = load_file(checkpoint / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int8}
    whole, small = (AutoModel.from_pretrained(tmp_path / "out" / name) for name in ("matcher", "checkpoint"))
    assert small.dtype == torch.float32
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)
    assert not (checkpoint / "training_args.bin").exists()
