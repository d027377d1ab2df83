"""Publishing to a stub of the Hub: one commit, whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModel

from hf_refseg.cli import main
from hf_refseg.data.builders.building import STATE_FILE
from hf_refseg.hub.contents import check_card, check_no_pickles, check_space, check_weights, prepare_space
from hf_refseg.hub.publishing import Change, Plan, commit
from tests.hub.tiny_checkpoints import write_checkpoints, write_photo

REPOSITORY = Path(__file__).resolve().parents[2]
CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-segmentation
---
# Tiny

    pipeline("image-segmentation", model="THIS_REPOSITORY", trust_remote_code=True)
"""


def publish_all(root: Path, fakehub: Path, what: str) -> tuple[dict, str]:
    """What a process reported that published to the stub Hub, and all that it printed and logged."""
    write_photo(root / "photo.png")
    folder = write_checkpoints(root, "rmi")["rmi"]
    (folder / "README.md").write_text(CARD)
    # The same model, its weights in several files.
    AutoModel.from_pretrained(folder).save_pretrained(root / "changed", max_shard_size="8KB")
    for path in folder.iterdir():
        if path.name not in ("model.safetensors", "config.json"):
            (root / "changed" / path.name).write_bytes(path.read_bytes())
    script = [sys.executable, str(Path(__file__).parent / "publishing_process.py")]
    done = subprocess.run(
        [*script, str(fakehub), str(root), what],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "HF_TOKEN": "hf_secret"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((root / "report.json").read_text()), done.stdout + done.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory, shared_dir) -> tuple[dict, str]:
    """Of the commands alone."""
    return publish_all(tmp_path_factory.mktemp("published"), shared_dir / "ecosystem" / "fakehub.py", "commands")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, shared_dir) -> dict:
    """Of the commands, and of loading what they published."""
    return publish_all(tmp_path_factory.mktemp("loaded"), shared_dir / "ecosystem" / "fakehub.py", "everything")[0]


def test_one_commit_holds_everything(published):
    report, printed = published
    assert report["published"] == 0 and report["commits"] == 2  # the stub's first is empty
    assert {"README.md", "config.json", "model.safetensors", "modeling_rmi.py", "tokenizer.json"} <= set(
        report["files"]
    )
    assert "published" in printed and "as http://127.0.0.1" in printed


def test_the_card_names_the_repository(published):
    report, _ = published
    assert 'model="me/refseg-tiny"' in report["card"]


def test_a_dry_run_lists_files_and_sizes_and_changes_nothing(published):
    report, printed = published
    assert report["dry_run"] == 0 and report["repos_after_dry_run"] == []
    assert "model.safetensors" in printed and "MB would go to me/refseg-tiny@main (new)" in printed


def test_the_token_is_needed_and_never_shown(published):
    report, printed = published
    assert report["without_token"] == 2 and "run `hf auth login`, or set HF_TOKEN" in printed
    assert "hf_secret" not in printed


def test_publishing_the_same_again_makes_no_commit(published):
    report, printed = published
    assert report["again"] == 0 and report["commits_after_again"] == 2
    assert "me/refseg-tiny@main is already as the folder" in printed


def test_a_push_that_breaks_leaves_the_old_revision(published):
    report, printed = published
    assert report["broken"] == 2 and report["tries"] == 3 and report["commits_after_broken"] == 2
    assert "trying again in 0 s" in printed


@pytest.mark.slow
def test_what_is_downloaded_gives_the_same_masks_with_and_without_the_package(loaded):
    assert loaded["same_masks"] == [True, True]
    assert loaded["with_package"] == "hf_refseg.pipelines"
    assert loaded["dataset_rows"] == 3


def test_old_weights_do_not_stay_beside_new_ones(published):
    report, _ = published
    assert report["changed"] == 0
    assert "model.safetensors.index.json" in report["files_after_change"]
    assert "model.safetensors" not in report["files_after_change"]


@pytest.mark.slow
def test_push_to_hub_uploads_a_whole_repository(loaded):
    assert {"modeling_rmi.py", "processing_rmi.py", "pipelines.py", "processor_config.json"} <= set(loaded["pushed"])


def test_a_data_set_is_published_as_it_was_built(published):
    report, _ = published
    assert report["dataset"] == 0
    assert report["dataset_files"] == sorted(["README.md", STATE_FILE, "tiny/train-00000.parquet"])


def test_a_space_that_needs_the_package_gets_a_copy(published):
    report, _ = published
    assert report["space"] == 0
    assert {"app.py", "README.md", "requirements.txt", "hf_refseg/__init__.py", "hf_refseg/metrics/refseg.py"} <= set(
        report["space_files"]
    )
    assert not [name for name in report["space_files"] if "__pycache__" in name or name.endswith(".pyc")]
    assert "hf-refseg" not in report["space_requirements"] and "torch>=" in report["space_requirements"]
    assert "evaluate" in report["space_requirements"] and "gensim" not in report["space_requirements"]


@pytest.mark.slow
def test_a_space_runs_from_its_own_files(tmp_path):
    """In a process that knows this package from the Space's copy alone."""
    files = prepare_space(REPOSITORY / "spaces" / "refseg_metric", tmp_path, "me/metric", False)
    for name, file in files.items():
        target = tmp_path / "space" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    code = (
        "import app, hf_refseg; print(hf_refseg.__file__); print(app.score([{'intersection': 3, 'union': 4}])[0][:3])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "space", env={**os.environ, "PYTHONPATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "space" / "hf_refseg") in done.stdout and "['hu2016', 1, '75.00']" in done.stdout


def test_what_the_hub_could_not_start_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("---\ntitle: X\nsdk: gradio\n---\n")
    with pytest.raises(FileNotFoundError, match=r"requirements.txt is missing"):
        check_space(tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    with pytest.raises(ValueError, match="the front matter lacks app_file"):
        check_space(tmp_path)
    (tmp_path / "README.md").write_text("---\ntitle: X\nsdk: gradio\napp_file: app.py\n---\n")
    with pytest.raises(FileNotFoundError, match="app.py is missing"):
        check_space(tmp_path)
    (tmp_path / "README.md").write_text("# X\n")
    with pytest.raises(ValueError, match="has no front matter"):
        check_space(tmp_path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "publish what `dataset_scripts/build_<name>.py --out` wrote"),
        ({"complete": False}, "is not complete; run the same command again"),
        ({"complete": True, "identity": {"family": "referit", "with_images": False}}, "no license that allows"),
        ({"complete": True, "identity": {"family": "refcoco", "with_images": True}}, "belong to their photographers"),
    ],
)
def test_what_a_license_forbids_is_not_published(tmp_path, capsys, state, message):
    if state:
        (tmp_path / STATE_FILE).write_text(json.dumps(state))
    assert main(["publish", "dataset", str(tmp_path), "me/x", "--dry-run"]) == 2
    assert message in capsys.readouterr().err


def test_pickles_are_refused(tmp_path, capsys):
    (tmp_path / "optimizer.pt").write_bytes(b"")
    (tmp_path / "training_args.bin").write_bytes(b"")
    check_no_pickles(tmp_path)  # a training's own, which are left out
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"pytorch_model.bin is a pickle, .* save the model as safetensors"):
        check_no_pickles(tmp_path)
    assert main(["publish", "model", str(tmp_path), "me/x", "--dry-run"]) == 2
    assert "is a pickle" in capsys.readouterr().err
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04pickle of something")
    with pytest.raises(ValueError, match="no safetensors at all"):
        check_weights(tmp_path)


@pytest.mark.parametrize(
    ("front_matter", "message"),
    [("tags: [x]", "names no license"), ("license: other", "add license_name and license_link")],
)
def test_a_license_has_to_be_named(tmp_path, front_matter, message):
    (tmp_path / "README.md").write_text(f"---\n{front_matter}\n---\n# Card\n")
    with pytest.raises(ValueError, match=message):
        check_card(tmp_path / "README.md")
    with pytest.raises(FileNotFoundError, match="what is published has a card"):
        check_card(tmp_path / "nothing" / "README.md")


def test_branch_and_pull_request_are_passed_on(tmp_path):
    """The stub Hub knows neither."""
    (tmp_path / "config.json").write_text("{}")
    changes = (Change("config.json", 2, "new"), Change("old.safetensors", 3, "removed"), Change("same.py", 1, "same"))
    asked = {}

    class Api:
        def create_commit(self, **options):
            asked.update(options)
            return type("Done", (), {"pr_url": "pull request", "commit_url": "commit"})

    files = {name: tmp_path / name for name in ("config.json", "same.py")}
    plan = Plan(files, "model", "me/x", "next", "a" * 40, changes)
    assert commit(Api(), plan, create_pr=True) == "pull request"
    assert (
        asked["repo_type"] == "model"
        and asked["revision"] == "next"
        and asked["create_pr"]
        and asked["parent_commit"] == "a" * 40
    )
    assert [operation.path_in_repo for operation in asked["operations"]] == ["config.json", "old.safetensors"]
    assert commit(Api(), plan, create_pr=False) == "commit"


def test_a_static_space_needs_no_requirements(tmp_path):
    (tmp_path / "README.md").write_text("---\ntitle: X\nsdk: static\napp_file: index.html\n---\n")
    (tmp_path / "index.html").write_text("<p>hello</p>")
    files = prepare_space(tmp_path, tmp_path / "unused", "me/x", False)
    assert sorted(files) == ["README.md", "index.html"]
