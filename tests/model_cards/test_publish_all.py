"""Everything that is published, as the Hub would hold it."""

import importlib.util
import json
from pathlib import Path

import pytest

import hf_refseg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def publish_all():
    spec = importlib.util.spec_from_file_location("publish_all", ROOT / "model_cards" / "publish_all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_dry_run_writes_every_repository(publish_all, built, tmp_path, capsys):
    output = tmp_path / "prepared"
    folder = built["refcoco"]
    assert publish_all.main(["me", "--dry-run", "--output", str(output), "--datasets", str(folder.parent)]) == 1
    printed = capsys.readouterr()
    for name in hf_refseg.checkpoint_names():
        files = {path.name for path in (output / "models" / "me" / name).iterdir()}
        assert {"README.md", "config.json", "model.safetensors", "registration.py", f"{name}.png"} <= files
        card = (output / "models" / "me" / name / "README.md").read_text()
        assert f'model="me/{name}"' in card and "THIS_REPOSITORY" not in card
        assert "auto_map" in json.loads((output / "models" / "me" / name / "config.json").read_text())
        assert f"me/{name}: " in printed.out
    assert (output / "spaces" / "me" / "refseg_metric" / "hf_refseg" / "__init__.py").is_file()
    assert "phrasecut: left out. Not pushed: the annotations" in printed.err
    with pytest.raises(SystemExit):
        publish_all.main(["me", "--dry-run", "--output", str(output)])


def test_without_it_each_is_published(publish_all, monkeypatch, capsys):
    asked = []

    def publish(kind, path, repo, private):
        asked.append((kind, repo, private))
        return None, f"commit of {repo}"

    monkeypatch.setattr(publish_all, "publish", publish)
    assert publish_all.main(["me", "--private"]) == 0
    names = hf_refseg.checkpoint_names()
    assert asked[: len(names)] == [("model", f"me/{name}", True) for name in names]
    assert ("space", "me/refseg_metric", True) in asked
    assert f"me/{names[0]}: commit of me/{names[0]}" in capsys.readouterr().out
