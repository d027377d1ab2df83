"""Built sets that carry the objects of their images, so that systems that compare these train on them."""

import pytest
from datasets import load_dataset
from official_copies import write_grefcoco, write_phrasecut, write_refer, write_referit

from hf_refseg.data import ImageReferences, load
from hf_refseg.data.builders import BuildOptions, build
from hf_refseg.data.builders.command import main
from hf_refseg.data.catalogue import find_dataset

WRITERS = {
    "refcoco_unc": (write_refer, "refcoco"),
    "grefcoco": (write_grefcoco, "grefcoco"),
    "referit": (write_referit, "referit"),
    "phrasecut": (write_phrasecut, "phrasecut"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_carry_every_object_of_their_image(name, tmp_path):
    write, family = WRITERS[name]
    raw = write(tmp_path / "raw")
    out = tmp_path / "built" / family
    options = {"raw": raw, "out": out, "allow_other_counts": True, "with_instances": True}
    report = build([find_dataset(name)], BuildOptions(**options, rows_per_shard=3))
    assert report["identity"]["with_instances"] and "`instances`" in (out / "README.md").read_text()
    official = load(name, "train", images=False, root=raw)
    stored = load(name, "train", images=False, root=tmp_path / "built")
    for index in range(len(official)):
        assert stored.instances_of(index) == official.instances_of(index) == stored[index]["instances"]
        assert stored.with_instances()[index]["instances"] == official.instances_of(index)
    streamed = next(iter(load_dataset(str(out), name, split="train", streaming=True)))
    assert streamed["instances"] == official.instances_of(0)
    if name in ("refcoco_unc", "grefcoco"):
        assert stored.categories == sorted(official.categories)
    images, expected = ImageReferences(stored), ImageReferences(official)
    assert [item["refs"] for item in images] == [item["refs"] for item in expected]
    with pytest.raises(ValueError, match="holds a build of other with_instances"):
        build([find_dataset(name)], BuildOptions(**{**options, "with_instances": False}, rows_per_shard=3))


def test_the_command_asks_for_them(tmp_path):
    raw = write_refer(tmp_path / "raw")
    words = ["--raw", str(raw), "--out", str(tmp_path / "out"), "--allow-other-counts", "--num-proc", "2"]
    assert main("refcoco", "builds", [*words, "--with-instances", "--rows-per-shard", "2"]) == 0
    assert len(load(tmp_path / "out", "val", images=False)[0]["instances"]) == 2
