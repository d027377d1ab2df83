import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from official_copies import (
    LEFT,
    box_mask,
    image_name,
    write_grefcoco,
    write_phrasecut,
    write_refclef,
    write_refer,
    write_referit,
)

from hf_refseg.data import load

SCRIPTS = Path(__file__).resolve().parents[2] / "dataset_scripts"


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seen_images_are_listed_for_exclude_images(built, tmp_path, capsys):
    seen = tmp_path / "image_data.json"
    seen.write_text('[{"image_id": 9, "coco_id": 3}]')
    folder = str(built["refcoco"])
    arguments = ["--trained-on", str(seen), "--evaluated-on", folder, "--partition", "unc", "--split", "val"]
    assert script("list_seen_images").main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == f"coco:3  # {image_name(3)}, 2 rows of refcoco/unc\n"
    assert "1 images, 2 of 4 rows, were trained on" in told.err
    # google's val has images 5 and 6, which unc trains on no more than unc's own val.
    arguments = ["--trained-on", f"{folder}@train@unc", "--evaluated-on", folder, "--partition", "google"]
    assert script("list_seen_images").main([*arguments, "--split", "val"]) == 0
    assert script("list_seen_images").main([*arguments, "--split", "train"]) == 1
    assert script("list_seen_images").main([*arguments, "--split", "testC"]) == 2


def test_statistics_are_printed(built, capsys):
    assert script("print_statistics").main([str(built["phrasecut"])]) == 0
    table = capsys.readouterr().out
    assert "| phrasecut | all | 8 | 16 |" in table and "| VGPhraseCut | published | 77,262 | 345,486 |" in table
    assert script("print_statistics").main(["/nowhere"]) == 2
    assert "/nowhere/build.json is missing" in capsys.readouterr().err


TRAIN2014 = "images/mscoco/images/train2014"


@pytest.mark.parametrize(
    ("family", "write", "pictures", "rows"),
    [
        ("refcoco", write_refer, TRAIN2014, 4),
        ("refcocoplus", lambda root: write_refer(root, "refcoco+"), TRAIN2014, 4),
        ("refcocog", lambda root: write_refer(root, "refcocog", "umd"), TRAIN2014, 4),
        ("refclef", write_refclef, "images/saiapr_tc-12", 4),
        ("referit", write_referit, "exp-referit/referit-dataset/images", 4),
        ("phrasecut", write_phrasecut, "VGPhraseCut_v0/images", 4),
        ("grefcoco", write_grefcoco, TRAIN2014, 6),
    ],
)
def test_every_build_script_explains_itself_and_builds(family, write, pictures, rows, tmp_path, monkeypatch, capsys):
    def run(*arguments) -> int:
        monkeypatch.setattr(sys, "argv", [f"build_{family}.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / f"build_{family}.py"), run_name="__main__")
        return ended.value.code

    assert run("--help") == 0
    told = capsys.readouterr().out
    for option in ("--raw DIR", "--out DIR", "--with-images", "--exclude-images FILE", "--push", "DIR of"):
        assert option in told
    raw, out = write(tmp_path / "raw"), tmp_path / "out"
    command = ("--raw", raw, "--out", out, "--with-images", "--images", raw / pictures)
    assert run(*command) == 2 and not out.exists()
    assert "The counts are not the published ones" in capsys.readouterr().err
    assert run(*command, "--allow-other-counts") == 0
    built = load(out, "val")
    assert len(built) == rows and built[0]["image"].size == (40, 30)
    np.testing.assert_array_equal(np.asarray(built[0]["mask"]), box_mask(LEFT))
