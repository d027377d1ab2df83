"""Sheets of made sentences."""

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import HeldRows
from hf_refseg.data.schema import REQUIRED_FIELDS, encode_mask
from recipes.refseg_photos.look import COLUMNS, MADE, SIDE, draw_rows, draw_sheets


@pytest.fixture
def rows() -> HeldRows:
    """Three rows about each of ten photos, the last of which somebody wrote."""
    mask = np.zeros((30, 40), bool)
    mask[5:20, 5:20] = True
    row = {**dict.fromkeys(REQUIRED_FIELDS, ""), "image": Image.new("RGB", (40, 30)), "mask": encode_mask(mask)}
    return HeldRows(
        [
            {**row, "image_id": number // 3, "sentences": [{"sent": f"thing {number}"}], "source": source}
            for number, source in enumerate([MADE, MADE, "photos/authored"] * 10)
        ]
    )


def test_each_sentence_is_made_and_about_another_photo(rows):
    drawn = draw_rows(rows, 8, seed=0)
    assert len(drawn) == len({number // 3 for number, _ in drawn}) == 8
    assert all(rows.source_of(number) == MADE and sentence == f"thing {number}" for number, sentence in drawn)
    assert draw_rows(rows, 8, seed=0) == drawn != draw_rows(rows, 8, seed=1)
    assert len(draw_rows(rows, 100, seed=0)) == 10


def test_sheets_have_rows_of_photos(rows):
    (sheet,) = draw_sheets(rows, draw_rows(rows, 7, seed=0))
    assert sheet.size == (SIDE * COLUMNS, SIDE * 2)
