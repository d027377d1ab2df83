"""Folders of official files in every layout, with another value or a damaged byte in one of their files."""

import json
import pickle
import shutil

import numpy as np
import official_copies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_refseg.data import load

from .cases import VALUES, answer_or_refusal, cases, damaged, with_another_value

LAYOUTS = {  # how each is written, its folder, its split, and the files that are changed
    "refcoco": (official_copies.write_refer, "refcoco", "val", ["refs(unc).p", "instances.json"]),
    "refclef": (official_copies.write_refclef, "refclef", "testA", ["refs(unc).p", "instances.json"]),
    "grefcoco": (official_copies.write_grefcoco, "grefcoco", "val", ["grefs(unc).json", "instances.json"]),
    "referit": (
        *(official_copies.write_referit, "exp-referit", "val"),
        [f"data/referit_{name}.json" for name in ("query_val", "bbox", "imsize", "imcrop")],
    ),
    "phrasecut": (
        *(official_copies.write_phrasecut, "VGPhraseCut_v0", "val"),
        ["refer_val.json", "image_data_split.json", "name_att_rel_count.json"],
    ),
}
FILES = [(layout, name) for layout, (_, _, _, names) in LAYOUTS.items() for name in names]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    roots = {}
    for layout, (write, *_) in LAYOUTS.items():
        roots[layout] = tmp_path_factory.mktemp(layout)
        write(roots[layout])
    return roots


def read(folder, split):
    """What everybody does with a data set: the first and the last row with its mask, the counts, every sentence."""
    rows = load(folder, split, images=False)
    for index in {0, len(rows) - 1} if len(rows) else ():
        row = rows[index]
        assert np.asarray(row["mask"]).shape == (row["height"], row["width"])
    assert all(isinstance(sentence, str) for sentence in rows.sentences())
    return rows.counts()


@pytest.mark.parametrize(("layout", "name"), FILES)
def test_files_that_somebody_changed(layout, name, raw, tmp_path):
    _, inner, split, _ = LAYOUTS[layout]
    root = shutil.copytree(raw[layout], tmp_path / "raw")
    folder = root / inner
    file = folder / name
    assert read(folder, split).sentences > 0
    whole = file.read_bytes()
    if file.suffix == ".p":
        values = with_another_value(pickle.loads(whole, encoding="latin1"), VALUES)
        changed = values.map(lambda content: pickle.dumps(content, protocol=2))
    else:
        changed = with_another_value(json.loads(whole)).map(lambda content: json.dumps(content).encode())

    @cases(short=20)
    @given(st.one_of(changed, changed, damaged(whole)))
    def check(content):
        file.write_bytes(content)
        answer_or_refusal(lambda: read(folder, split), str(root))

    check()
