"""Color words of pixels, and when people could disagree."""

import numpy as np
import pytest

from hf_refseg.data.photos.colors import COLORS, color_shares, color_verdicts

PURE = {
    "red": (200, 20, 20),
    "yellow": (230, 220, 30),
    "green": (30, 140, 40),
    "blue": (30, 60, 200),
    "white": (240, 240, 240),
    "gray": (128, 128, 128),
    "black": (15, 15, 15),
    "brown": (110, 70, 40),
    "orange": (250, 130, 10),
    "pink": (250, 120, 190),
    "purple": (130, 40, 190),
}


def pixels(**counts):
    return np.concatenate([np.tile(np.uint8([PURE[color]]), (count, 1)) for color, count in counts.items()])


@pytest.mark.parametrize("color", PURE)
def test_a_color_is_called_by_its_name(color):
    assert color_shares(pixels(**{color: 100})) == {color: 1.0}
    verdicts = color_verdicts({color: 1.0})
    # what looks gray may be white in the shade
    certain = [] if color == "gray" else [color]
    assert [name for name, verdict in verdicts.items() if verdict] == certain


def test_a_stripe_of_another_color_makes_a_color_doubtful():
    assert color_verdicts(color_shares(pixels(red=90, white=10)))["red"] is True
    striped = color_verdicts(color_shares(pixels(red=65, white=35)))
    assert striped["red"] is None and striped["white"] is None and striped["green"] is False


def test_near_colors_are_not_denied():
    verdicts = color_verdicts({"blue": 1.0})
    assert verdicts["purple"] is None and verdicts["black"] is None and verdicts["red"] is False
    assert color_verdicts({"gray": 0.6, "white": 0.4})["white"] is None


def test_tan_is_not_called_brown():
    tan = np.tile(np.uint8([(215, 180, 140)]), (100, 1))
    assert color_shares(tan) == {"tan": 1.0} and color_verdicts({"tan": 1.0})["brown"] is None


def test_too_few_pixels_say_nothing():
    assert color_verdicts(color_shares(pixels(red=10))) == dict.fromkeys(COLORS)
