"""Views of photos: which regions sentences mean, when they are found again, and what a step reads about them."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.models.region_matcher import region_views
from hf_refseg.models.region_matcher.region_views import RegionViewCollator, RegionViews, view_of

from .two_dogs import make_rows


def test_a_view_says_which_regions_are_meant(parts, tmp_path):
    model, processor = parts
    views = RegionViews(make_rows(), model, processor.image_processor, 4, ["w"], tmp_path / "views.safetensors")
    assert len(views) == 8
    whole, mirrored = views[0], views[1]
    assert [reference["number"] for reference in whole["references"]] == [1, 2, 0]
    assert [reference["written"] for reference in whole["references"]] == [True, False, False]
    assert [reference["category"] for reference in whole["references"]] == [0, 0, 1]
    one, both, none = (reference["overlaps"] for reference in whole["references"])
    assert [reference["kinds"].dtype for reference in whole["references"]] == [torch.int8] * 3
    of_dogs, again, of_cats = (reference["kinds"] for reference in whole["references"])
    assert torch.equal(of_dogs, again), "one dog or both, a region is a dog or not"
    assert (of_dogs[one >= 0.5] == 1).all() and (of_dogs[both < 0.4] == 0).all()
    assert (of_cats == -1).any(), "not all cats are listed"
    assert (both >= one).all() and not none.any() and len(one) == len(whole["boxes"]) == len(whole["descriptions"])
    assert mirrored["references"][0]["sentences"] == ["left dog"]
    assert whole["absent"] == ["hat"] and views.sentences == {"dog": ["right dog"] * 2}
    assert [view["view"] for view in views][:5] == [0, 1, 2, 3, 0]
    assert whole["descriptions"].shape[1] == model.matching.description_size


def test_regions_are_read_again_where_nothing_has_changed(parts, tmp_path, monkeypatch):
    model, processor = parts
    arguments = (model, processor.image_processor, 2, (), tmp_path / "views.safetensors")
    first = RegionViews(make_rows(), *arguments)
    monkeypatch.setattr(region_views, "describe_view", None)
    again = RegionViews(make_rows(), *arguments)
    for kept, found in zip(again, first, strict=True):
        assert all(torch.equal(kept[name], found[name]) for name in ("boxes", "descriptions"))
    with pytest.raises(TypeError):
        RegionViews(make_rows(3), *arguments)  # other photos are described anew


def test_views_change_the_light_and_not_the_size_of_what_is_asked():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    views = [np.asarray(view_of(image, view, np.random.default_rng(5))) for view in range(4)]
    assert (views[0] == np.asarray(image)).all() and (views[1] == np.asarray(image)[:, ::-1]).all()
    assert views[2].shape == views[3].shape and views[2].shape[0] < 40


def test_the_collator_draws_written_sentences_more_often(parts, tmp_path):
    model, processor = parts
    views = RegionViews(make_rows(), model, processor.image_processor, 1, ["w"])
    collator = RegionViewCollator(processor.tokenizer, expressions_per_view=200, written_share=0.7)
    batch = collator([views[0], views[1]])
    most = max(len(view["boxes"]) for view in views)
    assert batch["region_boxes"].shape == (2, most, 4) and batch["region_counts"].tolist() == [
        len(view["boxes"]) for view in views
    ]
    assert batch["target_overlaps"].shape == batch["region_kinds"].shape == (400, most)
    assert 0.6 < (batch["target_numbers"] == 1).float().mean() < 0.8
    assert torch.equal(collator([views[0], views[1]])["input_ids"], batch["input_ids"])
    collator.set_epoch(1)
    assert not torch.equal(collator([views[0], views[1]])["target_numbers"], batch["target_numbers"])
    assert model.train()(**batch).loss.isfinite()
    model.eval()
    with pytest.raises(ValueError, match="nothing is said about any of the 1 views"):
        collator([{**views[0], "references": []}])


def test_what_is_written_about_other_photos_says_what_is_absent(parts):
    model, processor = parts
    views = RegionViews(make_rows(1), model, processor.image_processor, 1, ["w"])
    collator = RegionViewCollator(processor.tokenizer, 200, 1.0, 0.3, {"hat": ["the red hat"], "cup": ["cup"]})
    batch = collator([views[0]])
    nothing = batch["target_numbers"] == 0
    assert 0.2 < nothing.float().mean() < 0.4 and not batch["target_overlaps"][nothing].any()
    assert (batch["region_kinds"][nothing] == 0).all(), "no region is a hat"
    said = {tuple(ids) for ids in batch["input_ids"][nothing].tolist()}
    known = processor.tokenizer(["the red hat", "the hat", "hat"], padding=True)["input_ids"]
    assert said == {tuple(ids) for ids in known}
    of_red_hats = (batch["input_ids"] == torch.tensor(known[0])).all(1)
    assert of_red_hats.any() and torch.equal(batch["names_color"], of_red_hats)
