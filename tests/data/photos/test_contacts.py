"""Which masks touch, and which are in pieces."""

import numpy as np

from hf_refseg.data.photos.contacts import contacts, in_pieces, possible_contacts


def mask(*boxes):
    drawn = np.zeros((120, 200), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        drawn[y0:y1, x0:x1] = True
    return drawn


def test_touching_nearly_touching_and_apart():
    found = contacts(
        [mask((10, 10, 50, 50)), mask((50, 10, 90, 50)), mask((96, 10, 120, 50)), mask((160, 80, 190, 110))]
    )
    assert found[0] == {1: True} and found[1] == {0: True, 2: None} and found[2] == {1: None} and found[3] == {}
    assert contacts([]) == []


def test_pieces_of_a_mask():
    assert in_pieces(mask((10, 10, 50, 50), (100, 10, 140, 50)))
    assert not in_pieces(mask((10, 10, 50, 50), (100, 10, 104, 14)))
    assert not in_pieces(mask((10, 10, 50, 50))) and not in_pieces(mask())


def test_what_goes_together():
    assert possible_contacts("person", {"horse", "umbrella", "car", "jeans"}) == [
        ("on", "horse"),
        ("wearing", "jeans"),
        ("with", "umbrella"),
    ]
    assert possible_contacts("cup", {"dining table", "cat"}) == [("on", "dining table")]
    assert possible_contacts("dress", {"person"}) == [("of", "person")] and possible_contacts("hair", {"person"}) == []
