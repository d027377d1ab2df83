import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from official_copies import write_refer, write_referit

from hf_refseg.data.builders.command import main
from hf_refseg.data.builders.publishing import NoPermissionError, check_permission
from hf_refseg.data.catalogue import DATASETS
from hf_refseg.hub.publishing import publish

SCRIPTS = Path(__file__).resolve().parents[3] / "dataset_scripts"


@pytest.mark.parametrize(
    ("family", "with_images", "allowed"),
    [
        ("refcoco", False, True),
        ("refcocoplus", False, True),
        ("refcocog", False, True),
        ("refcoco", True, False),
        ("phrasecut", False, False),
        ("referit", False, False),
        ("refclef", False, False),
        ("grefcoco", False, False),
    ],
)
def test_licenses_decide_what_may_be_pushed(family, with_images, allowed):
    check_permission(family, with_images, have_permission=True)
    if allowed:
        check_permission(family, with_images, have_permission=False)
    else:
        with pytest.raises(NoPermissionError, match="--i-have-permission"):
            check_permission(family, with_images, have_permission=False)


def test_every_family_has_a_page():
    from hf_refseg.data.cards import family_page

    for family in {dataset.family for dataset in DATASETS.values()}:
        page = family_page(family)
        assert "## License, and what is not here" in page.text and "```bibtex" in page.text
        assert {"pretty_name", "license"} <= set(page.metadata)


def test_a_push_without_permission_is_refused_before_the_build(tmp_path, capsys):
    raw = write_referit(tmp_path / "raw")
    arguments = ["--raw", str(raw), "--out", str(tmp_path / "out"), "--push", "me/referit", "--allow-other-counts"]
    assert main("referit", "", arguments) == 2
    assert "Not pushed: the annotations of ReferIt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--private"], "--private is an option of --push"),
        (["--with-images"], "--with-images needs --images DIR"),
        (["--images", "."], "--images is read by --with-images only"),
        (["--num-proc", "0"], "--num-proc is 0"),
        (["--raw", "/nowhere"], "--raw /nowhere is not a folder"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, capsys, arguments, message):
    raw = write_refer(tmp_path)
    assert main("refcoco", "", ["--raw", str(raw), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_only_what_was_built_whole_is_pushed(built, tmp_path):
    with pytest.raises(FileNotFoundError, match="was not built by this package"):
        publish("dataset", tmp_path, "me/nothing")
    copy = tmp_path / "copy"
    shutil.copytree(built["refcoco"], copy)
    with pytest.raises(NoPermissionError, match="the photos belong to their photographers"):
        publish("dataset", copy, "me/refcoco")
    report = json.loads((copy / "build.json").read_text()) | {"complete": False}
    (copy / "build.json").write_text(json.dumps(report))
    with pytest.raises(ValueError, match="is not complete; run the same command again"):
        publish("dataset", copy, "me/refcoco")


@pytest.fixture
def hub(shared_dir):
    """The stub of the Hub of ../shared/ecosystem, and the environment that leads to it."""
    spec = importlib.util.spec_from_file_location("fakehub", shared_dir / "ecosystem" / "fakehub.py")
    fakehub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakehub)
    server = fakehub.serve()
    yield fakehub, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_push_and_load_again_from_the_hub(hub, tmp_path):
    fakehub, url = hub
    raw, out = write_refer(tmp_path / "raw"), tmp_path / "out"
    environment = os.environ | {
        "HF_ENDPOINT": url,
        "HF_TOKEN": "hf_dummy",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, str(SCRIPTS / "build_refcoco.py"), "--raw", str(raw), "--out", str(out)]
    command += ["--allow-other-counts", "--push", "me/refcoco", "--private"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pushed to " in done.stdout
    files = fakehub.REPOS["dataset", "me/refcoco"].head[1]
    assert {name for name in files if not name.startswith(".")} == {
        "README.md",
        "build.json",
        *(f"refcoco_unc/{split}-00000-of-00001.parquet" for split in ("train", "validation", "testA", "testB")),
    }
    code = """
import numpy as np
from hf_refseg.data import load
rows = load("me/refcoco", "testA", images=IMAGES)
print(len(rows), rows[0]["image"].size, np.asarray(rows[0]["mask"]).sum())
print(len(list(load("me/refcoco", "val", images=False, streaming=True))))
""".replace("IMAGES", repr(str(raw / "images" / "mscoco" / "images" / "train2014")))
    read = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert read.stdout == "4 (40, 30) 216\n4\n", read.stderr
