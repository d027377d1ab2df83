"""Elsewhere: a model's folder brings Python code, or a template that is a program, and loading it runs that."""

import json
import shutil

import pytest

import hf_refseg


@pytest.mark.parametrize("key", ["AutoModel", "AutoConfig", "AutoProcessor", "AutoTokenizer", "AutoImageProcessor"])
def test_code_runs_only_where_it_is_trusted(key, tmp_path, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("nobody is asked"))
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | {"auto_map": {key: "evil.Evil"}}))
    pipe = hf_refseg.pipeline(model=str(folder))
    assert type(pipe.model).__module__.startswith("hf_refseg.")
    assert not (tmp_path / "it-ran").exists()
