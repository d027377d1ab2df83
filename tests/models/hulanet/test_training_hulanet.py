"""HULANet's batches, and trainings of a few steps by its recipes."""

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import RefShapes
from hf_refseg.data.refshapes.dialects import SPATIAL
from hf_refseg.data.refshapes.lexicon import RELATION_WORDS
from hf_refseg.data.refshapes.scene import CATEGORIES, COLORS, PATTERNS, RADII
from hf_refseg.models.hulanet.phrase_collator import PhraseCollator, is_visible
from hf_refseg.models.hulanet.processing_hulanet import HulaNetProcessor
from hf_refseg.models.hulanet.tokenization_hulanet import phrase_tokenizer_from_sentences
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.training.run import prepare
from tests.official_copies import write_phrasecut
from tests.tiny import tiny_hulanet, tiny_mask_rcnn, tiny_mattnet

ATTRIBUTES = [*RADII, *PATTERNS, *COLORS]

# ---- Batches ----


@pytest.fixture(scope="module")
def processor() -> HulaNetProcessor:
    tokenizer = phrase_tokenizer_from_sentences(RefShapes.vocabulary("phrasecut"))
    return HulaNetProcessor(MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}), tokenizer)


def test_each_image_is_there_once_with_all_of_its_phrases(processor):
    scenes = RefShapes(dialect="phrasecut", size=48, num_samples=3, refs_per_scene=3).with_instances().by_image()
    scenes = [scenes[index] for index in range(3)]
    batch = PhraseCollator(processor, ATTRIBUTES)(scenes)
    counts = [len(rows) for rows in scenes]
    assert len(batch["pixel_values"]) == 3 and max(counts) > 1
    assert batch["image_index"].tolist() == [image for image, count in enumerate(counts) for _ in range(count)]
    assert len(batch["labels"]) == len(batch["word_roles"]) == sum(counts)
    assert "phrase_structure" not in batch
    things = scenes[0][0]["instances"]
    torch.testing.assert_close(batch["instance_boxes"][0], torch.tensor([thing["box"] for thing in things]))
    said = [[ATTRIBUTES[place] for place in row.nonzero()[:, 0]] for row in batch["instance_attributes"][0]]
    assert said == [sorted(thing["attributes"], key=ATTRIBUTES.index) for thing in things]


def test_rows_of_a_stream_stand_by_themselves(processor):
    stream = RefShapes(dialect="phrasecut", size=48, num_samples=3).to_iterable_dataset(num_shards=1)
    batch = PhraseCollator(processor, by_image=False)(list(stream))
    assert batch["image_index"].tolist() == [0, 1, 2] and "instance_boxes" not in batch


def test_rows_without_instances_cannot_train_attributes(processor):
    row = {name: value for name, value in RefShapes(dialect="phrasecut", size=48)[0].items() if name != "instances"}
    assert len(PhraseCollator(processor)([[row]])["labels"]) == 1
    with pytest.raises(ValueError, match="has no field `instances`.*attribute_loss_weight to 0"):
        PhraseCollator(processor, ATTRIBUTES)([[row]])


def test_boxes_without_area_teach_nothing():
    assert is_visible([0, 0, 4, 4], 8, 8) and is_visible([-2, -2, 1, 1], 8, 8)
    assert not is_visible([3, 0, 3, 4], 8, 8) and not is_visible([8, 0, 12, 4], 8, 8)


# ---- A training by its recipes ----

SETTINGS = {
    "max_steps": 2, "train_samples": 40, "eval_samples": 3, "image_size": 48, "use_cpu": True,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "word_embedding_size": 8, "hidden_size": 8,
    "attention_size": 8, "relation_grid": 8, "relation_size": 4, "relation_kernel": 3, "min_name_count": 2,
    "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2, "eval_strategy": "no", "disable_tqdm": True,
    "load_best_model_at_end": False, "report_to": "none", "refs_per_scene": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    tiny_mask_rcnn(id2label=dict(enumerate(CATEGORIES)), num_labels=len(CATEGORIES)).save_pretrained(folder)
    MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(folder)
    return str(folder)


def words(output_dir, recipe="hulanet_refshapes", **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [recipe, *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


def test_modules_first_and_then_all_together(train, detector, tmp_path):
    """Two stages: the second starts from the first's weights and words, and leaves the classifier as it is."""
    metrics = train(words(tmp_path / "modules", detector=detector, final_loss_weight=0))
    assert 0 <= metrics["mIoU"] <= 1 and metrics["protocol"] == "phrasecut"
    first = AutoModel.from_pretrained(tmp_path / "modules")
    config = first.config
    assert config.attribute_labels and min(config.attribute_weights) >= 1
    assert config.detector_config.score_threshold == 0.01 and config.detector_config.nms_threshold == 0.5
    stage = {"detector": "null", "previous_stage": tmp_path / "modules", "attribute_loss_weight": 0}
    train(words(tmp_path / "joint", **stage))
    second = AutoModel.from_pretrained(tmp_path / "joint")
    assert second.config.final_loss_weight == 1 and second.config.vocab_size == config.vocab_size
    before = first.state_dict()
    changed = {name for name, tensor in second.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and not any(name.startswith(("detector.", "head.attribute_classifier")) for name in changed)
    assert any(name.startswith("head.combination") for name in changed)
    processor = AutoProcessor.from_pretrained(tmp_path / "joint")
    assert processor.names["categories"] == list(CATEGORIES)
    said = {words for predicate in SPATIAL for words in RELATION_WORDS[predicate]}
    assert processor.names["predicates"] and set(processor.names["predicates"]) <= said
    train([*words(tmp_path / "joint", **stage, max_steps=3), "--resume"])
    assert (tmp_path / "joint" / "checkpoint-3").is_dir()


@pytest.mark.parametrize(
    ("row", "modules"),
    [
        ("category", ["category"]),
        ("attribute", ["category", "attribute"]),
        ("relationship", ["category", "relationship"]),
    ],
)
def test_rows_of_the_papers_table(detector, tmp_path, row, modules):
    recipe = f"hulanet_refshapes_{row}"
    task = prepare(recipe, words(tmp_path, detector=detector)[1:]).task
    assert list(task.model.config.modules) == modules
    batch = task.collator([task.train_rows[0]])
    assert ("instance_boxes" in batch) == ("attribute" in modules)
    assert set(task.model(**batch).losses) == {
        *modules,
        "combined",
        *(["attributes"] if "attribute" in modules else []),
    }


def test_baselines_of_the_category_module(detector, tmp_path):
    changes = {"detector": detector, "category_mode": "self"}
    task = prepare("hulanet_refshapes_category", words(tmp_path, **changes)[1:]).task
    assert task.model.head.category.mode == "self"


def test_only_the_head_is_trained_however_the_model_is_made(tmp_path):
    model = tiny_hulanet()
    model.save_pretrained(tmp_path)
    for one in (model, AutoModel.from_pretrained(tmp_path)):
        trained = {name for name, parameter in one.named_parameters() if parameter.requires_grad}
        assert trained == {name for name, _ in one.named_parameters() if not name.startswith("detector.")}


def test_word_embeddings_have_a_rate_of_their_own(detector, tmp_path):
    run = prepare("hulanet_refshapes", words(tmp_path, detector=detector, rate_factors="{embeddings: 0.1}")[1:])
    assert run.args.rate_factors == {"embeddings": 0.1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "null"}, "give its folder as --detector"),
        ({"min_name_count": 500}, "no attribute occurs often enough"),
        ({"names": "nowhere.json"}, "there is no file nowhere.json"),
        ({"vocab_size": 7}, "can't be chosen: it follows from the vocabulary"),
        ({"mask_threshold": 0.3}, "can't be chosen: it follows from the search"),
        ({"streaming": "true", "shuffle_buffer": 0}, "a stream is not read twice"),
        ({"flip_probability": 0.5}, "a training of refseg_hulanet does not read it"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(detector, tmp_path, settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare("hulanet_refshapes", words(tmp_path, **{"detector": detector, **settings})[1:])


def test_other_models_are_no_previous_stage(detector, tmp_path):
    tiny_mattnet().save_pretrained(tmp_path / "other")
    stage = {"detector": "null", "previous_stage": tmp_path / "other"}
    with pytest.raises(ValueError, match="holds a refseg_mattnet, but a refseg_hulanet is needed"):
        prepare("hulanet_refshapes", words(tmp_path / "run", **stage)[1:])
    with pytest.raises(ValueError, match="brings its detector: leave out weights.detector"):
        prepare("hulanet_refshapes", words(tmp_path / "run", **{**stage, "detector": detector})[1:])


def test_phrasecuts_official_files_train_and_evaluate(train, tmp_path):
    """Names by the official counts, instances by the phrases of an image, structures as they are given."""
    raw = write_phrasecut(tmp_path / "raw")
    tiny_mask_rcnn(id2label={0: "box"}, num_labels=1).save_pretrained(tmp_path / "detector")
    MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(tmp_path / "detector")
    settings = {"path": raw, "names": raw / "VGPhraseCut_v0" / "name_att_rel_count.json", "min_name_count": 1}
    settings |= {"detector": tmp_path / "detector", "train_samples": 4, "image_size": "null", "refs_per_scene": "null"}
    metrics = train(words(tmp_path / "run", "hulanet_phrasecut_modules", **settings))
    assert metrics["num"] == 3 and metrics["protocol"] == "phrasecut"
    processor = AutoProcessor.from_pretrained(tmp_path / "run")
    assert processor.names == {"categories": ["box"], "attributes": ["red"], "predicates": ["on"]}
    assert AutoModel.from_pretrained(tmp_path / "run").config.attribute_labels == ["red"]
