"""Which cases are shown, and that the picture holds them."""

import numpy as np

from hf_refseg.data import RefShapes, encode_mask
from hf_refseg.evaluation.contact_sheet import COLORS, choose_cases, draw_contact_sheet
from hf_refseg.metrics import get_protocol


def record(row, iou, text="the red circle"):
    return {"row": row, "text": text, "counts": [int(1000 * iou), 1000, True, False, None, None, None]}


def test_best_median_and_worst_each_show_a_referent_once():
    samples = [record(row, (row + 0.4 * half) / 100) for row in range(100) for half in (0, 1)]
    cases = choose_cases(samples, get_protocol("hu2016"))
    rows = {kind: [sample["row"] for sample, _ in found] for kind, found in cases.items()}
    assert rows["best"] == [99, 98, 97, 96] and rows["worst"] == [0, 1, 2, 3]
    assert sorted(rows["median"]) == [48, 49, 50, 51]
    assert [iou for _, iou in cases["worst"]] == [0.0, 0.01, 0.02, 0.03]  # the worse one of the two sentences


def test_fewer_cases_than_panels():
    cases = choose_cases([record(0, 0.5), record(1, 0.6)], get_protocol("hu2016"))
    assert [len(found) for found in cases.values()] == [2, 2, 2]


def test_the_picture_shows_what_was_found_missed_and_wrong():
    rows = RefShapes("val")
    mask = np.zeros((128, 128), bool)
    mask[:, :64] = True
    samples = [record(row, 0.1 * row, "what costs $5 and $6") | {"mask": encode_mask(mask)} for row in range(5)]
    picture = np.asarray(draw_contact_sheet(samples, rows, get_protocol("hu2016")))
    assert picture.shape[1] > 1000
    for color in COLORS.values():
        assert (np.abs(picture.astype(int) - color).max(-1) < 12).sum() > 100, color
