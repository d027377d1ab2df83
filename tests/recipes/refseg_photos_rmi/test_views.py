"""Views keep pixels, masks and sentences together; held-out photos never appear."""

import dataclasses

import numpy as np
import pytest
from photo_folder import ref, write_folder

from hf_refseg.data.schema import encode_mask
from recipes.refseg_photos_rmi.photos import person_word, read_photos, whole_view
from recipes.refseg_photos_rmi.views import pastable_objects, random_view


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    write_folder(root, "authored", [1, 2], [ref(1, "train"), ref(2, "val")])
    write_folder(root, "plain", [1, 2, 3])
    return read_photos(root, ["authored", "plain"])


def test_held_out_images_are_left_out_of_every_folder(photos):
    assert [photo.image_id for photo in photos] == [1, 3]
    assert photos[0].sentences == {10: ["dog on the left"]}


def test_a_folder_without_instances_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="instances.json is missing"):
        read_photos(tmp_path, ["nothing"])


def test_masks_follow_the_pixels_through_every_view(photos):
    rng = np.random.default_rng(0)
    for _ in range(40):
        view = random_view(photos[0], rng, crop=0.5)
        assert view.masks.shape[1:] == view.pixels.shape[:2]
        for mask in view.masks:
            inside = view.pixels[mask].astype(int)
            assert (abs(inside[:, 0] - inside[:, 2]) > 60).all()  # red or blue, never the gray ground


def test_mirrored_photos_have_mirrored_sentences(photos):
    seen = set()
    for seed in range(20):
        view = random_view(photos[0], np.random.default_rng(seed), crop=0.0)
        ((text, index),) = view.authored
        is_left = view.centers[index, 0] < 0.5
        assert text == ("dog on the left" if is_left else "dog on the right")
        seen.add(is_left)
    assert seen == {True, False}


def test_crops_drop_authored_sentences_and_pastes_stay_away_from_them(photos):
    rng = np.random.default_rng(0)
    donors = pastable_objects(photos)
    assert random_view(photos[0], rng, crop=1.0).authored == []
    for _ in range(10):
        view = random_view(photos[0], rng, donors, crop=0.0, paste=1.0)
        assert len(view.authored) == 1 and len(view.masks) == 2


def test_pasted_objects_lie_over_the_others_with_their_own_mask_and_category(photos):
    rng = np.random.default_rng(0)
    counts = set()
    for _ in range(20):
        view = random_view(photos[1], rng, pastable_objects(photos), crop=0.0, paste=1.0)
        counts.add(len(view.masks))
        assert view.categories == ["dog"] * len(view.masks) and view.masks.shape[1:] == view.pixels.shape[:2]
        assert view.masks.sum(0).max() == 1
        pasted = view.pixels[view.masks[2:].any(0)].astype(int)
        assert (abs(pasted[:, 0] - pasted[:, 2]) > 60).all()  # red or blue as in the donor, none of its gray ground
    assert counts == {3, 4, 5}


def test_only_single_objects_that_are_large_enough_are_pasted(photos):
    assert {name: len(objects) for name, objects in pastable_objects(photos).items()} == {"dog": 4}
    crowd = dataclasses.replace(photos[1], crowd=[True, False])
    small = dataclasses.replace(photos[1], rles=[encode_mask(np.eye(120, 200, dtype=bool)), photos[1].rles[1]])
    assert pastable_objects([crowd]) == {"dog": [(crowd, 1)]} and pastable_objects([small]) == {"dog": [(small, 1)]}


def test_whole_view_without_instances(photos):
    photo = type(photos[0])(photos[0].file, 9)
    view = whole_view(photo)
    assert view.masks.shape == (0, 120, 200)


def test_person_word_needs_two_captions():
    assert person_word(["a man on a horse", "The man rides", "somebody rides"]) == "man"
    assert person_word(["a man on a horse", "a rider"]) is None
