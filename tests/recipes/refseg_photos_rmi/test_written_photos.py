"""Photos, masks and sentences of the second training belong together."""

import numpy as np
import pytest

from hf_refseg import ContextRmiProcessor, RmiImageProcessor
from hf_refseg.data import load
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from recipes.refseg_photos_rmi.written_photos import MADE, Drawing, Epoch, WrittenPhotos


@pytest.fixture(scope="module")
def rows(photos):
    return load(photos, "train")


@pytest.fixture(scope="module")
def processor(rows):
    tokenizer = tokenizer_from_sentences(rows.sentences())
    return ContextRmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer)


def test_masks_and_words_follow_the_photo(rows):
    photos = WrittenPhotos(rows, Drawing(written=1, made=0, borrowed=0))
    seen = set()
    for seed in range(20):
        image, ((text, mask),) = photos.view(next(iter(photos.of_photo)), np.random.default_rng(seed))
        red, _, blue = np.asarray(image)[mask].astype(int).mean(0)
        is_left = mask[:, : mask.shape[1] // 2].any()
        assert abs(red - blue) > 50, "the mask lies on a dog, never on the gray ground"
        assert text == ("dog on the left" if is_left else "dog on the right")
        seen.add(bool(is_left))
    assert seen == {True, False}


def test_as_many_are_drawn_as_there_are_and_as_are_asked_for(rows):
    photos = WrittenPhotos(rows, Drawing(written=5, made=3, borrowed=0))
    photo, own = next(iter(photos.of_photo.items()))
    written = {text for index in own if rows.source_of(index) != MADE for text in rows.sentences_of(index)}
    for seed in range(5):
        _, asked = photos.view(photo, np.random.default_rng(seed))
        assert len(written) < len(asked) <= len(written) + 3
        assert len({text for text, _ in asked}) == len(asked), "none twice"


def test_things_of_other_photos_are_asked_for_where_they_are_known_to_be_absent(rows, monkeypatch):
    photos = WrittenPhotos(rows, Drawing(written=1, made=0, borrowed=1))
    photos.lent = [("the zebra", "zebra"), ("the fork", "fork"), ("the dog", "dog")]
    row = rows.row
    monkeypatch.setattr(rows, "row", lambda index: {**row(index), "labeled": ["dog", "zebra"]})
    asked = [
        pair for seed in range(20) for pair in photos.view(next(iter(photos.of_photo)), np.random.default_rng(seed))[1]
    ]
    assert {text for text, mask in asked if not mask.any()} == {"the zebra"}
    assert not {text for text, _ in asked} & {"the fork", "the dog"}


def test_an_epoch_shows_photos_of_some_sources_more_often(rows, monkeypatch):
    often, once = WrittenPhotos(rows, Drawing()).of_photo
    image_ids, source_of = list(rows.image_ids()), rows.source_of
    monkeypatch.setattr(rows, "source_of", lambda i: "photos/coco_cc" if image_ids[i] == often else source_of(i))
    shown = WrittenPhotos(rows, Drawing(repeated=["photos/coco_cc"], repeats=3)).photos(np.random.default_rng(0))
    assert sorted(shown) == sorted([often] * 3 + [once])


def test_photos_that_nothing_was_written_about_are_left_out(rows):
    photos = WrittenPhotos(rows, Drawing())
    assert 0 < len(photos.of_photo) < len(set(rows.image_ids()))


def test_batches_depend_on_the_random_numbers_alone(rows, processor):
    def first(seed, forget=0.0):
        photos = WrittenPhotos(rows, Drawing())
        return next(iter(Epoch(photos, processor, 2, forget, np.random.default_rng(seed))))

    one, same, other = first(0), first(0), first(1)
    assert one["pixel_values"].equal(same["pixel_values"]) and one["input_ids"].equal(same["input_ids"])
    assert not one["pixel_values"].equal(other["pixel_values"])
    assert one["pixel_values"].shape == (2, 3, 64, 64) and one["labels"].shape == (len(one["input_ids"]), 64, 64)
    assert (first(0, forget=1.0)["input_ids"].unique() <= processor.tokenizer.unk_token_id).all()
