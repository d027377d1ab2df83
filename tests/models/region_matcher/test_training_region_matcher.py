"""The region matcher's words, its views of photos, and a training of a few steps by its recipe."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

from hf_refseg.data.rows import HeldRows
from hf_refseg.data.schema import encode_mask, union_masks
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.region_matcher import region_views
from hf_refseg.models.region_matcher.processing_region_matcher import RegionMatcherProcessor
from hf_refseg.models.region_matcher.region_views import RegionViewCollator, RegionViews, view_of
from hf_refseg.models.region_matcher.training_region_matcher import (
    set_word_vectors,
    word_tokenizer,
    written_about,
)
from hf_refseg.processing.word_table import load_word_table
from hf_refseg.training.sections import VocabularySection
from tests.tiny import tiny_nanodet, tiny_region_matcher

CATEGORIES = ["dog", "cat", "hat", "man", "cup"]
NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}
BOXES = [("dog", [4, 10, 24, 40]), ("dog", [36, 8, 60, 44]), ("cup", [26, 30, 34, 40])]


def make_rows(images: int = 2, split: str = "train") -> HeldRows:
    """Photos of noise with two dogs and a cup; the right dog, both dogs, a cat that is not there, and nothing said."""
    rows = []
    for image_id in range(images):
        values = np.random.default_rng(image_id).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        instances = []
        for ann_id, (category, box) in enumerate(BOXES):
            mask = np.zeros((48, 64), bool)
            mask[box[1] : box[3], box[0] : box[2]] = True
            values[mask] = (60 * ann_id, 90, 200)
            instances.append(
                {"ann_id": ann_id, "category": category, "attributes": [], "box": box, "mask": encode_mask(mask)}
            )
        for meant, sentence, source in (([1], "right dog", "w"), ([0, 1], "both dogs", "m"), ([], "the cat", "m")):
            masks = [instances[place]["mask"] for place in meant]
            rows.append(
                {
                    "image": Image.fromarray(values), "image_id": image_id, "file_name": f"{image_id}.png",
                    "height": 48, "width": 64, "ref_id": len(rows), "ann_ids": meant,
                    "category": "dog" if meant else "cat", "boxes": [instances[place]["box"] for place in meant],
                    "mask": union_masks(masks, 48, 64) if masks else encode_mask(np.zeros((48, 64), bool)),
                    "sentences": [{"sent_id": len(rows), "sent": sentence, "tokens": sentence.split()}],
                    "split": split, "source": source, "instances": instances, "labeled": ["dog", "hat"],
                }
            )  # fmt: skip
    return HeldRows(rows)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    vectors = load_word_table()
    words, trained = word_tokenizer(VocabularySection(), ["right dog", "both dogs", "the zzqx"], vectors, 300, 10)
    detector = tiny_nanodet(score_threshold=0.3, **NAMES)
    model = tiny_region_matcher(
        detector_config=detector.config, vocab_size=300, num_trained_words=trained, word_size=50
    )
    model.detector.load_state_dict(detector.state_dict())
    set_word_vectors(model, words, vectors)
    return model.eval(), RegionMatcherProcessor(
        NanoDetImageProcessor(size={"longest_edge": 64, "shortest_edge": 64}), words
    )


def test_words_of_the_training_come_first_and_the_most_frequent_others_follow(parts):
    model, processor = parts
    vocabulary = processor.tokenizer.get_vocab()
    assert len(vocabulary) == 300 and model.config.num_trained_words == 10
    assert {word for word, row in vocabulary.items() if 4 <= row < 10} == {
        "right",
        "dog",
        "both",
        "dogs",
        "the",
        "zzqx",
    }
    assert vocabulary["of"] >= 10 and processor.unknown_words("a gentleman, zzqy") == ["gentleman", "zzqy"]
    vectors = model.matching.reader.vectors
    read = vectors(torch.tensor([[vocabulary["dog"], vocabulary["of"], vocabulary["zzqx"]]]))[0]
    table = load_word_table()
    for row, word in enumerate(("dog", "of")):
        assert torch.cosine_similarity(read[row], torch.tensor(table[word]), dim=0) > 0.999
    assert torch.equal(read[2], vectors.learned.weight[vocabulary["zzqx"]]), "it has no vector but what is learned"


def test_a_view_says_which_regions_are_meant(parts, tmp_path):
    model, processor = parts
    views = RegionViews(make_rows(), model, processor.image_processor, 4, ["w"], tmp_path / "views.safetensors")
    assert len(views) == 8
    whole, mirrored = views[0], views[1]
    assert [reference["number"] for reference in whole["references"]] == [1, 2, 0]
    assert [reference["written"] for reference in whole["references"]] == [True, False, False]
    assert [reference["category"] for reference in whole["references"]] == [0, 0, 1]
    one, both, none = (reference["overlaps"] for reference in whole["references"])
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
    said = {tuple(ids) for ids in batch["input_ids"][nothing].tolist()}
    known = processor.tokenizer(["the red hat", "the hat", "hat"], padding=True)["input_ids"]
    assert said == {tuple(ids) for ids in known}


def test_images_about_which_nothing_was_written_are_left_out():
    rows = make_rows(2)
    rows.held[3]["source"] = "m"  # the written row of the second image
    assert [row["image_id"] for row in written_about(rows, {"w"}).without_pictures()] == [0, 0, 0]
    with pytest.raises(ValueError, match=r"no row is of the sources \['x'\]; there are \['m', 'w'\]"):
        written_about(rows, {"x"})


# ---- A training by its recipe ----


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    tiny_nanodet(num_labels=80, id2label={label: f"thing {label}" for label in range(80)}).save_pretrained(folder)
    NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(folder)
    return str(folder)


def words(output_dir, folder, data, **settings) -> list[str]:
    values = {
        "output_dir": output_dir, "detector": folder, "path": data, "max_steps": 2, "train_split": "train",
        "eval_split": "val", "eval_samples": 2, "train_samples": 12, "written": None, "only_written": False,
        "hidden_size": 8, "matching_size": 8, "pair_size": 4, "vocab_size": 100, "use_cpu": True, "report_to": "none",
        "per_device_train_batch_size": 2, "logging_steps": 1, "save_steps": 1, "eval_strategy": "no",
        "load_best_model_at_end": False, "disable_tqdm": True, **settings,
    }  # fmt: skip
    values = {name: "null" if value is None else value for name, value in values.items()}
    return ["refseg_photos", *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


def test_the_recipe_trains_and_resumes(train, detector, shared_dir, tmp_path):
    data = shared_dir / "data" / "coco_cc_expressions"
    metrics = train(words(tmp_path / "run", detector, data))
    assert 0 <= metrics["mIoU"] <= 1
    model, processor = (kind.from_pretrained(tmp_path / "run") for kind in (AutoModel, AutoProcessor))
    assert model.config.vocab_size == len(processor.tokenizer) and type(processor) is RegionMatcherProcessor
    assert type(processor.image_processor) is NanoDetImageProcessor
    before = AutoModel.from_pretrained(detector).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.detector.state_dict().items())
    train([*words(tmp_path / "run", detector, data, max_steps=3), "--resume"])
    assert (tmp_path / "run" / "checkpoint-3").is_dir()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embeddings": None}, "reads fixed word vectors: give --embeddings glove-20k"),
        ({"detector": None}, "chooses among the regions of a trained detector: give its folder as --detector"),
        ({"views_per_image": 5}, "data.views_per_image is 5; there are 1 to 4 views"),
        ({"written_share": 2}, "data.written_share is 2; it is a share"),
        ({"expressions_per_view": 0}, "data.expressions_per_view is 0; give 1 or more"),
    ],
)
def test_recipes_that_lack_a_part_are_refused(train, detector, shared_dir, tmp_path, settings, message):
    data = shared_dir / "data" / "coco_cc_expressions"
    with pytest.raises(ValueError, match=message):
        train(words(tmp_path / "run", detector, data, **settings))
