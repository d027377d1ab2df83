"""Training batches: pairs, their wrong halves, and that draws depend on nothing but their seed."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_matching_config

from hf_refseg.data import RefShapes
from hf_refseg.data.image_references import ImageReferences
from hf_refseg.layers.regions import Regions
from hf_refseg.models.mattnet.matching import MAttNetMatching
from hf_refseg.models.mattnet.training_pairs import MAttNetCollator
from hf_refseg.processing.tokenization import build_blank_split_tokenizer

WORDS = {"<PAD>": 0, "<UNK>": 1, **{f"{who}{n}": 2 + 5 * i + n for i, who in enumerate("abcd") for n in range(5)}}
LABELS = ["red", "round"]


def make_collator(**kwargs) -> MAttNetCollator:
    processor = SimpleNamespace(tokenizer=build_blank_split_tokenizer(WORDS))

    class Processor:
        tokenizer = processor.tokenizer

        def __call__(self, images, return_tensors):
            return {"pixel_values": torch.zeros(len(images), 3, 8, 8)}

    return MAttNetCollator(Processor(), **{"attribute_labels": LABELS, **kwargs})


def make_item(image_id: int, objects: dict[int, str], refs: dict[str, int], num_sentences: int = 5) -> dict:
    """An image with objects {ann_id: category} and references {name: ann_id}."""
    instances = [
        {"ann_id": ann_id, "category": category, "attributes": [], "box": [ann_id, 0, ann_id + 10, 20]}
        for ann_id, category in objects.items()
    ]
    names = {
        name: {
            "ref_id": number,
            "ann_id": ann_id,
            "category": objects[ann_id],
            "attributes": ["red"] if name == "a" else [],
            "sentences": [f"{name}{n}" for n in range(num_sentences)],
        }
        for number, (name, ann_id) in enumerate(refs.items())
    }
    return {
        "image": object(), "image_id": image_id, "source": "s", "split": "train", "height": 30, "width": 40,
        "instances": instances, "refs": list(names.values()),
    }  # fmt: skip


OBJECTS = {0: "cat", 1: "cat", 2: "dog", 3: "dog", 4: "dog"}


def test_rows_of_a_batch():
    items = [make_item(7, OBJECTS, {"a": 0, "b": 2}), make_item(8, {5: "cat", 6: "car"}, {"c": 6})]
    batch = make_collator()(items)
    assert batch["pixel_values"].shape[0] == 2
    assert [boxes.shape for boxes in batch["region_boxes"]] == [(5, 4), (2, 4)]
    assert batch["region_boxes"][1][1].tolist() == [6, 0, 16, 20] and batch["region_boxes"][1].dtype == torch.float64
    first, second = batch["region_labels"]
    assert first[0] == first[1] == second[0] and len({int(label) for label in (first[0], first[2], second[1])}) == 3
    right, wrong, again = batch["region_index"].view(3, 9)
    assert right.tolist() == again.tolist() == [0] * 3 + [2] * 3 + [6] * 3
    assert not (right == wrong).any() and (wrong[:6] < 5).all() and (wrong[6:] == 5).all()
    sentences, repeated, others = batch["input_ids"].view(3, 9, -1)
    assert torch.equal(sentences, repeated)
    names = [[(int(word) - 2) // 5 for word in rows[:, 0]] for rows in (sentences, others)]
    assert names[0] == [0] * 3 + [1] * 3 + [2] * 3
    assert names[1][:6] == [1] * 3 + [0] * 3, "another reference of the image"
    assert set(names[1][6:]) <= {0, 1}, "of another image, where the own one has no other"
    assert all(len(set(rows[:, 0].tolist())) == 3 for rows in sentences.view(3, 3, -1)), "three different sentences"
    assert batch["attribute_labels"].tolist() == [[1, 0]] * 3 + [[0, 0]] * 6


def test_wrong_regions_are_of_the_same_category_in_three_of_ten():
    collator, drawn = make_collator(sentences_per_ref=50), Counter()
    for epoch in range(20):
        collator.set_epoch(epoch)
        batch = collator([make_item(1, OBJECTS, {"a": 0})])
        drawn.update(OBJECTS[int(row)] for row in batch["region_index"][50:100])
    assert 0.27 < drawn["cat"] / 1000 < 0.33


def test_draws_depend_on_seed_and_epoch_and_image_alone():
    items = [make_item(image, OBJECTS, {"a": 0, "b": 2}) for image in (1, 2)]
    first = make_collator()(items)
    torch.manual_seed(5)
    again, alone = make_collator()(items), make_collator()(items[1:])
    assert torch.equal(first["region_index"], again["region_index"])
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert torch.equal(first["region_index"].view(3, 12)[1, 6:] - 5, alone["region_index"].view(3, 6)[1])
    other = make_collator(seed=1)
    assert not torch.equal(other(items)["input_ids"], first["input_ids"])
    other = make_collator()
    other.set_epoch(1)
    assert not torch.equal(other(items)["input_ids"], first["input_ids"])


def test_a_reference_with_few_sentences_repeats_them():
    batch = make_collator()([make_item(1, OBJECTS, {"a": 0}, num_sentences=2)])
    assert set(batch["input_ids"][:3, 0].tolist()) == {2, 3}


def test_a_single_object_is_paired_with_itself():
    batch = make_collator()([make_item(1, {0: "cat"}, {"a": 0})])
    assert batch["region_index"].tolist() == [0] * 9


def test_annotated_boxes_of_no_area_become_a_pixel_wide():
    """The model refuses regions without area; a single odd annotation must not end a training."""
    item = make_item(1, {0: "cat", 1: "dog"}, {"a": 0})
    item["instances"][1]["box"] = [3.5, 4, 20, 4]
    assert make_collator()([item])["region_boxes"][0].tolist() == [[0, 0, 10, 20], [3.5, 4, 20, 5]]


def test_errors_teach():
    with pytest.raises(ValueError, match="none of the 1 images of the batch has a reference to a single object"):
        make_collator()([make_item(1, OBJECTS, {})])
    with pytest.raises(ValueError, match="same_category_ratio=1.5 is no probability"):
        make_collator(same_category_ratio=1.5)
    with pytest.raises(ValueError, match="sentences_per_ref=0"):
        make_collator(sentences_per_ref=0)


def test_refshapes_make_rows_that_the_matching_trains_on():
    items = ImageReferences(RefShapes("train", size=48, num_samples=3, refs_per_scene=2))
    words = {word: number for number, word in enumerate(["<PAD>", "<UNK>", *RefShapes.vocabulary("refcoco")])}
    collator = make_collator(attribute_labels=["small", "large", "red", "striped"])
    collator.processor.tokenizer = build_blank_split_tokenizer(words)
    batch = collator([items[index] for index in range(3)])
    assert batch["attribute_labels"].any() and not (batch["input_ids"] == 1).any()
    assert (batch["attribute_labels"][:, :2].sum(1) == 1).all(), "every shape is small or large"
    sizes = torch.tensor([[48, 48]] * 3)
    regions = Regions.of(batch["region_boxes"], batch["region_labels"], image_sizes=sizes)
    num_regions = len(regions.boxes)
    matching = MAttNetMatching(tiny_matching_config(vocab_size=len(words)))
    matches = matching.match_pairs(
        regions,
        torch.rand(num_regions, 6, 3, 3),
        torch.rand(num_regions, 8, 3, 3),
        sizes,
        batch["region_index"],
        matching.encode_words(batch["input_ids"], batch["attention_mask"]),
    )
    assert matches.scores.shape == (len(batch["region_index"]),) and matches.scores.isfinite().all()
