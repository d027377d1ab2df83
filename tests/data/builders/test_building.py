import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import yaml
from datasets import load_dataset
from official_copies import write_grefcoco, write_phrasecut, write_refclef, write_refer, write_referit

from hf_refseg.data import load
from hf_refseg.data.builders import BuildOptions, CountsDifferError, ReferringBuilder, build
from hf_refseg.data.builders import shards as shards_module
from hf_refseg.data.builders.verification import VerificationError
from hf_refseg.data.catalogue import DATASETS, WrongArchiveError, find_dataset
from hf_refseg.data.leaks import refuse_leaks
from hf_refseg.data.schema import decode_mask

SCRIPTS = Path(__file__).resolve().parents[3] / "dataset_scripts"
PICTURES = "images/mscoco/images/train2014"


@pytest.fixture
def refer(tmp_path):
    return write_refer(tmp_path / "raw")


def build_unc(refer, out, **options):
    return build([find_dataset("refcoco_unc")], BuildOptions(raw=refer, out=out, allow_other_counts=True, **options))


def all_rows(out, name="refcoco_unc"):
    files = sorted((out / name).glob("*.parquet"))
    return {file.name: pyarrow.parquet.read_table(file).to_pylist() for file in files}


def card(out) -> tuple[dict, str]:
    _, header, text = (out / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_every_configuration_of_the_card_loads_whole_and_streaming(built):
    header, _ = card(built["refcoco"])
    names = [configuration["config_name"] for configuration in header["configs"]]
    assert names == ["refcoco_unc", "refcoco_google", "images"] and header["configs"][0]["default"]
    splits = [files["split"] for files in header["configs"][0]["data_files"]]
    assert splits == ["train", "validation", "testA", "testB"]
    whole = load_dataset(str(built["refcoco"]), "refcoco_unc", split="testA")
    streamed = list(load_dataset(str(built["refcoco"]), "refcoco_unc", split="testA", streaming=True))
    assert list(whole) == streamed and len(streamed) == 4
    assert decode_mask(streamed[0]["mask"]).sum() == 12 * 18


def test_the_bytes_of_each_picture_are_stored_once_and_as_they_were(built):
    stored = {}
    for file in (built["refcoco"] / "images").glob("*.parquet"):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            assert row["image_id"] not in stored
            stored[row["image_id"]] = row["image"]
    # Both partitions, three rows or so a picture, share the eight files; no path of this machine is in them.
    assert len(stored) == 8
    for file in built["pictures"].iterdir():
        number = int(file.stem[-12:])
        assert stored[number] == {"bytes": file.read_bytes(), "path": file.name}
    assert not any("image" in row for rows in all_rows(built["refcoco"]).values() for row in rows)


def test_the_card_says_what_a_user_must_know(built):
    header, text = card(built["phrasecut"])
    assert header["license"] == "unknown" and header["task_categories"] == ["image-segmentation"]
    assert "referring-image-segmentation" in header["tags"] and header["size_categories"] == ["n<1K"]
    for section in (
        "## Rows",
        "## Counts",
        "## How it was built",
        "## License, and what is not here",
        "## How to cite",
    ):
        assert section in text
    assert "| phrasecut | train | 2 | 4 | 4 | 71,746 / 310,816 / 310,816 |" in text
    assert "no license" in text.lower() or "states no license" in text
    assert "@inproceedings{wu2020phrasecut" in text and "pillow" in text
    # The differences that were allowed, by file, and no path of this machine.
    assert "**Built with `--allow-other-counts`" in text
    assert "  - refer_train.json: phrasecut train: expected 310,816 refs, found 4" in text
    assert str(built["raw"]) not in (built["phrasecut"] / "README.md").read_text()
    assert "(`skip.json`) are in no split: Not in Image: 1, Other: 1." in text
    assert (built["phrasecut"] / "name_att_rel_count.json").is_file()
    assert "With pixels" not in text and "With pixels" in card(built["refcoco"])[1]


def test_the_usage_of_the_card_runs(built):
    _, text = card(built["refcoco"])
    code = text.split("```python\n")[2].split("```")[0].replace('"FOLDER"', repr(str(built["refcoco"])))
    scope = {}
    exec(code, scope)
    assert scope["rows"][0]["image"].size == (40, 30)
    code = (
        text.split("```python\n")[1].split("```")[0].replace('"THIS_REPOSITORY_OR_FOLDER"', repr(str(built["refcoco"])))
    )
    exec(code, scope)
    assert scope["mask"].shape == (30, 40)


def test_counts_that_differ_stop_the_build_before_anything_is_written(refer, tmp_path):
    with pytest.raises(CountsDifferError) as told:
        build([find_dataset("refcoco_unc")], BuildOptions(raw=refer, out=tmp_path / "out"))
    assert f"{refer / 'refcoco' / 'refs(unc).p'}: refcoco_unc testA: expected 1,975 refs, found 4" in str(told.value)
    assert "refcoco_unc all: expected 142,210 sentences, found 24" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_published_counts_build_without_a_flag(refer, tmp_path, monkeypatch):
    unc = find_dataset("refcoco_unc")
    figures = {split: (2, 4, 6) for split in ("train", "val", "testA", "testB")} | {"all": (8, 16, 24)}
    monkeypatch.setitem(DATASETS, unc.name, type(unc)(**(vars(unc) | {"published": figures})))
    report = build([DATASETS[unc.name]], BuildOptions(raw=refer, out=tmp_path / "out"))
    assert report["differences"] == [] and report["complete"]
    assert "The official files have the published counts." in card(tmp_path / "out")[1]


def test_another_partition_under_the_name_of_this_one(tmp_path):
    raw = write_refer(tmp_path, "refcoco", "google")
    (raw / "refcoco" / "refs(google).p").rename(raw / "refcoco" / "refs(unc).p")
    with pytest.raises(WrongArchiveError, match=r"refs\(unc\).p has the splits"):
        build_unc(raw, tmp_path / "out")


def test_an_archive_with_the_splits_of_this_one_and_the_counts_of_another(refer, tmp_path, monkeypatch):
    """RefCOCO+ in the folder of RefCOCO."""
    plus = find_dataset("refcocoplus_unc")
    figures = {split: (2, 4, 6) for split in ("train", "val", "testA", "testB")} | {"all": (8, 16, 24)}
    monkeypatch.setitem(DATASETS, plus.name, type(plus)(**(vars(plus) | {"published": figures})))
    message = "These are the splits and counts of refcocoplus_unc: give the archive of refcoco_unc"
    with pytest.raises(CountsDifferError, match=message):
        build([find_dataset("refcoco_unc")], BuildOptions(raw=refer, out=tmp_path / "out"))


def test_other_official_files_do_not_go_on_with_a_build(tmp_path):
    raw, out = write_referit(tmp_path / "raw"), tmp_path / "out"
    options = {"raw": raw, "out": out, "allow_other_counts": True}
    build([find_dataset("referit")], BuildOptions(**options))
    file = raw / "exp-referit" / "data" / "referit_query_test.json"
    file.write_text(file.read_text().replace("blue box", "the blue box"))
    with pytest.raises(ValueError, match="holds a build of other raw; give another --out"):
        build([find_dataset("referit")], BuildOptions(**options))


def test_a_stopped_build_goes_on_and_makes_nothing_twice(refer, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    build_unc(refer, whole, rows_per_shard=2)
    write, written = shards_module._write, []

    def killed(shard, root):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(shard.target)
        return write(shard, root)

    monkeypatch.setattr(shards_module, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        build_unc(refer, stopped, rows_per_shard=2)
    assert not json.loads((stopped / "build.json").read_text())["complete"]
    before = {file: file.stat().st_mtime_ns for file in stopped.rglob("*.parquet")}
    assert len(before) == 3 and not (stopped / "README.md").exists()
    monkeypatch.setattr(shards_module, "_write", lambda shard, root: written.append(shard.target) or write(shard, root))
    build_unc(refer, stopped, rows_per_shard=2)
    assert len(written) == len(set(written)) == 8
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert all_rows(stopped) == all_rows(whole)
    assert not list(stopped.glob(".partial*"))


def test_several_processes_write_the_same_rows(refer, tmp_path):
    build_unc(refer, tmp_path / "one", rows_per_shard=2)
    build_unc(refer, tmp_path / "two", rows_per_shard=2, num_proc=2, images=refer / PICTURES, pictures_per_shard=4)
    assert all_rows(tmp_path / "one") == all_rows(tmp_path / "two")
    assert len(list((tmp_path / "two" / "images").glob("*.parquet"))) == 2


def test_other_options_do_not_mix_with_what_is_there(refer, tmp_path):
    build_unc(refer, tmp_path / "out", rows_per_shard=2)
    with pytest.raises(ValueError, match="holds a build of other rows_per_shard; give another --out"):
        build_unc(refer, tmp_path / "out", rows_per_shard=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="is not empty and holds no build"):
        build_unc(refer, tmp_path / "mine")


def test_excluded_images_are_left_out_counted_and_never_seen(refer, tmp_path):
    """Train on what RefCOCO's val and test sets do not show."""
    seen = tmp_path / "seen.txt"
    seen.write_text("coco:1\nCOCO_train2014_000000000003.jpg  # of val\nvg:2\n")
    report = build_unc(refer, tmp_path / "out", exclude_images=seen)
    counts = {split: found["rows"] for split, found in report["datasets"]["refcoco_unc"].items()}
    assert counts == {"train": 2, "validation": 2, "testA": 4, "testB": 4}
    assert report["datasets"]["refcoco_unc"]["train"]["excluded_rows"] == 2
    assert "**4 rows on excluded images are left out** (3 images" in card(tmp_path / "out")[1]
    for split in ("train", "val"):
        refuse_leaks([seen], load(tmp_path / "out", split, images=False))
    seen.write_text("coco:1\ncoco:2\n")
    with pytest.raises(ValueError, match="refcoco_unc train has no rows left: all 4 rows of .* are on excluded images"):
        build_unc(refer, tmp_path / "none", exclude_images=seen)


def test_missing_and_broken_pictures_stop_the_build(refer, tmp_path):
    picture = refer / PICTURES / "COCO_train2014_000000000005.jpg"
    content = picture.read_bytes()
    picture.write_bytes(content[:150])
    with pytest.raises(ValueError, match="000000000005.jpg is damaged or truncated"):
        build_unc(refer, tmp_path / "broken", images=refer / PICTURES)
    picture.unlink()
    with pytest.raises(FileNotFoundError, match="000000000005.jpg is missing"):
        build_unc(refer, tmp_path / "missing", images=refer / PICTURES)


def test_a_row_that_can_not_be_made_names_its_record(tmp_path):
    raw = write_referit(tmp_path)
    (raw / "exp-referit" / "referit-dataset" / "mask" / "103_1.mat").unlink()
    with pytest.raises(FileNotFoundError, match="103_1.mat"):
        build([find_dataset("referit")], BuildOptions(raw=raw, out=tmp_path / "out", allow_other_counts=True))


@pytest.mark.parametrize(
    ("family", "write", "rows", "note"),
    [
        ("refclef", write_refclef, {"train": 4, "validation": 4, "testA": 4, "testB": 6, "testC": 4}, None),
        (
            "referit",
            write_referit,
            {"train": 4, "validation": 4, "test": 4},
            "regions without an expression, left out: 2",
        ),
        ("grefcoco", write_grefcoco, {"train": 6, "validation": 6, "testA": 6, "testB": 6}, None),
    ],
)
def test_the_other_families(tmp_path, family, write, rows, note):
    raw, out = write(tmp_path / "raw"), tmp_path / "out"
    part = find_dataset({"refclef": "refclef_unc"}.get(family, family))
    report = build([part], BuildOptions(raw=raw, out=out, allow_other_counts=True))
    assert {split: found["rows"] for split, found in report["datasets"][part.name].items()} == rows
    first = load(out, "val", images=False)[0]
    assert np.asarray(first["mask"]).sum() == 12 * 18 and first["source"] == part.source
    assert note is None or note in card(out)[1]


def test_an_empty_mask_is_kept_and_told(tmp_path):
    raw = write_phrasecut(tmp_path / "raw")
    file = raw / "VGPhraseCut_v0" / "refer_test.json"
    tasks = json.loads(file.read_text())
    tasks[0]["Polygons"] = [[[[1, 2]]]]
    file.write_text(json.dumps(tasks))
    build([find_dataset("phrasecut")], BuildOptions(raw=raw, out=tmp_path / "out", allow_other_counts=True))
    text = card(tmp_path / "out")[1]
    assert "- phrasecut test: rows with an empty mask, kept: 1." in text
    assert "- phrasecut test: polygons of one point, not drawn: 1." in text


def test_what_does_not_read_back_is_no_data_set(refer, tmp_path, monkeypatch):
    """A shard that another program changed, found when the rest of a stopped build is done."""
    out = tmp_path / "out"
    build_unc(refer, out, rows_per_shard=2)
    shard = out / "refcoco_unc" / "testA-00000-of-00002.parquet"
    table = pyarrow.parquet.read_table(shard)
    pyarrow.parquet.write_table(table.set_column(4, "ref_id", pyarrow.array([99, 98])), shard)
    with pytest.raises(VerificationError, match="testA, row 0: ref_id reads back as 99, it was 8"):
        build_unc(refer, out, rows_per_shard=2)
    assert not (out / "README.md").exists()
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(ValueError, match="testA-00000-of-00002.parquet is not a complete Parquet file"):
        build_unc(refer, out, rows_per_shard=2)


def test_the_builder_streams_without_writing_anything(refer, tmp_path):
    builder = ReferringBuilder(config_name="refcoco_unc", data_dir=str(refer), cache_dir=str(tmp_path / "cache"))
    rows = list(builder.as_streaming_dataset(split="testB"))
    assert [row["ref_id"] for row in rows] == [12, 13, 14, 15]
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    # The prefix is the module's name; a builder of __main__ would write "__main__-train", which nobody finds.
    assert (tmp_path / "out" / "referring-testB.parquet").is_file()
    with pytest.raises(ValueError, match="refcoco_unc needs data_dir="):
        ReferringBuilder(config_name="refcoco_unc", cache_dir=str(tmp_path)).as_streaming_dataset(split="testB")


def test_the_command(refer, tmp_path):
    command = [sys.executable, str(SCRIPTS / "build_refcoco.py"), "--raw", str(refer), "--out", str(tmp_path / "out")]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2 and "refs(unc).p: refcoco_unc testA: expected 1,975 refs, found 4" in told.stderr
    done = subprocess.run([*command, "--allow-other-counts"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "refcoco_unc testA: 2 images, 4 refs, 6 sentences" in done.stdout
    assert "row/s" in done.stderr or "16/16" in done.stderr


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda script: script.stem)
def test_every_script_explains_itself(script):
    compile(script.read_text(), str(script), "exec")
    assert f"dataset_scripts/{script.name}" in script.read_text()
