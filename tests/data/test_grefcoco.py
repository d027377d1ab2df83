import json

import numpy as np
import pytest
from official_copies import LEFT, RIGHT, box_mask, write_grefcoco

from hf_refseg.data import load_grefcoco_folder, load_refer_folder


@pytest.mark.parametrize("as_pickle", [False, True])
def test_one_several_and_no_target(tmp_path, as_pickle):
    rows = load_grefcoco_folder(write_grefcoco(tmp_path, as_pickle) / "grefcoco", "testA")
    one, both, none = rows[0], rows[1], rows[2]
    assert rows.counts() == (2, 6, 6) and rows.source == "grefcoco/unc"
    np.testing.assert_array_equal(np.asarray(one["mask"]), box_mask(LEFT))
    np.testing.assert_array_equal(np.asarray(both["mask"]), box_mask(LEFT) | box_mask(RIGHT))
    assert [np.asarray(rows.coco.mask(ann_id)["size"]).tolist() for ann_id in both["ann_ids"]] == [[30, 40]] * 2
    assert len(both["boxes"]) == len(both["instance_masks"]) == 2
    assert (one["category"], both["category"], none["category"]) == ("dog", "", "")
    assert none["ann_ids"] == none["boxes"] == none["instance_masks"] == []
    assert np.asarray(none["mask"]).shape == (30, 40) and not np.asarray(none["mask"]).any()


@pytest.mark.parametrize(
    ("ann_id", "message"),
    [
        ([], r"ref_id 0: ann_id is \[\]; no target is written as \[-1\]"),
        ([10, -1], r"ref_id 0: ann_id is \[10, -1\]"),
        ([10, 10], "ref_id 0: ann_id .* names an annotation twice"),
        ([99], "ref_id 0: its annotation 99 is not in"),
        ([20], "ref_id 0 is on image 1, its annotation 20 on 2"),
    ],
)
def test_broken_records_are_named(tmp_path, ann_id, message):
    file = write_grefcoco(tmp_path) / "grefcoco" / "grefs(unc).json"
    refs = json.loads(file.read_text())
    refs[0]["ann_id"] = ann_id
    file.write_text(json.dumps(refs))
    with pytest.raises(ValueError, match=message):
        load_grefcoco_folder(file.parent)


def test_grefcoco_renamed_to_refcoco_is_told(tmp_path):
    folder = write_grefcoco(tmp_path) / "grefcoco"
    (folder / "grefs(unc).json").rename(folder / "refs(unc).json")
    with pytest.raises(ValueError, match=r"ann_id is the list \[10\], as in gRefCOCO"):
        load_refer_folder(folder)
    with pytest.raises(FileNotFoundError, match="neither grefs.json nor"):
        load_grefcoco_folder(folder)
