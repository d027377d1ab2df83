"""The picture of the README: which pictures it asks about, and where it is written to."""

import pytest

from recipes.refseg_photos import picture


def test_ten_expressions_about_each_of_four_pictures():
    for of_source in picture.ASKED.values():
        assert [len(asked) for asked in of_source.values()] == [picture.COLUMNS] * 4


def test_pictures_are_small():
    for name in picture.SKIMAGE:
        image = picture.picture("skimage", name)
        assert image.mode == "RGB" and max(image.size) == 360


def test_pictures_that_are_not_ours_to_show_stay_out_of_the_docs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["picture", "--pictures", "gradio"])
    with pytest.raises(SystemExit):
        picture.main()
    assert "give --output" in capsys.readouterr().err
