"""MAttNet's references and attributes, and a training of a few steps by its recipe."""

import json

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import RefShapes, load
from hf_refseg.data.image_references import ImageReferences
from hf_refseg.data.refshapes.scene import CATEGORIES, COLORS, PATTERNS, RADII
from hf_refseg.losses import attribute_weights
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mattnet import kept_references
from hf_refseg.models.mattnet.training_mattnet import attribute_options, read_references
from hf_refseg.models.mattnet.training_pairs import region_lists
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.training.run import prepare
from tests.tiny import tiny_mask_rcnn, tiny_mattnet, tiny_mattnet_config, tiny_nanodet, tiny_rmi

NAMES = {"id2label": dict(enumerate(CATEGORIES)), "num_labels": len(CATEGORIES)}


# ---- References and attributes ----


def test_scenes_tell_their_attributes():
    rows = RefShapes("train", size=48, num_samples=60, refs_per_scene=2)
    references = read_references(rows, tiny_mattnet_config())
    assert len(references.items) == 60 and len(references.items[0]["refs"]) <= 2
    counts = references.attribute_counts
    assert list(counts) == [*RADII, *PATTERNS, *COLORS], "in the order of the data set, all of them seen"
    refs = [ref for item in references.items for ref in item["refs"]]
    assert counts["red"] == sum("red" in ref["attributes"] for ref in refs)
    assert sum(counts[size] for size in RADII) == len(refs)
    given = read_references(rows, tiny_mattnet_config(num_attributes=2, attribute_labels=["red", "blue"]))
    assert given.attribute_counts == {name: counts[name] for name in ("red", "blue")}


def test_models_without_attributes_count_none():
    rows = RefShapes("train", size=48, num_samples=2)
    for fields in ({"attributes": False}, {"modules": ["location"]}):
        assert read_references(rows, tiny_mattnet_config(**fields)).attribute_counts == {}
    assert attribute_options({}) == {"num_attributes": 1}


def test_options_of_the_configuration_follow_the_counts():
    options = attribute_options({"red": 9, "blue": 1})
    assert options["num_attributes"] == 2 and options["attribute_labels"] == ["red", "blue"]
    assert options["attribute_weights"] == attribute_weights([9, 1]) == [1, 10]


def test_references_of_a_folder_read_attributes_out_of_sentences(shared_dir):
    pytest.importorskip("HanTa", reason="the tagger of hf-refseg[attributes] (the test extra installs it)")
    rows = load(shared_dir / "data" / "coco_cc_expressions", "train")
    references = read_references(rows, tiny_mattnet_config(num_attributes=5))
    assert len(references.attribute_counts) == 5
    assert not set(references.attribute_counts) & set(rows.categories)
    some = next(ref for item in (references.items[n] for n in range(3)) for ref in item["refs"])
    assert some["sentences"] and isinstance(some["attributes"], list)


# ---- A training by its recipe ----

SETTINGS = {
    "max_steps": 3, "train_samples": 60, "eval_samples": 3, "image_size": 48, "use_cpu": True,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "word_embedding_size": 8, "word_vec_size": 8,
    "hidden_size": 8, "matching_size": 8, "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2,
    "eval_strategy": "no", "disable_tqdm": True, "load_best_model_at_end": False, "report_to": "none",
    "refs_per_scene": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    tiny_mask_rcnn(**NAMES).save_pretrained(folder)
    MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80}).save_pretrained(folder)
    return str(folder)


def words(output_dir, recipe="mattnet_refshapes", **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [recipe, *(word for name, value in values.items() for word in (f"--{name}", str(value)))]


def test_the_recipe_trains_a_tiny_mattnet_and_resumes(train, detector, tmp_path):
    metrics = train(words(tmp_path / "run", detector=detector))
    assert 0 <= metrics["region_acc"] <= 1 and 0 <= metrics["oIoU"] <= 1
    assert "loss" not in metrics, "a system that chooses among regions has no loss of masks"
    model = AutoModel.from_pretrained(tmp_path / "run")
    config = model.config
    assert config.attribute_labels and len(config.attribute_weights) == config.num_attributes
    assert min(config.attribute_weights) == 1 and max(config.attribute_weights) == 10
    assert AutoProcessor.from_pretrained(tmp_path / "run").tokenizer.padding_side == "right"
    before = AutoModel.from_pretrained(detector).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.detector.state_dict().items())
    train([*words(tmp_path / "run", detector=detector, max_steps=4), "--resume"])
    assert (tmp_path / "run" / "checkpoint-4").is_dir()


def test_it_trains_over_nanodet_too(train, tmp_path):
    torch.manual_seed(0)
    tiny_nanodet(**NAMES).save_pretrained(tmp_path / "detector")
    NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(tmp_path / "detector")
    metrics = train(words(tmp_path / "run", detector=tmp_path / "detector", max_steps=1))
    assert 0 <= metrics["region_acc"] <= 1 and 0 <= metrics["oIoU"] <= 1
    model, processor = (kind.from_pretrained(tmp_path / "run") for kind in (AutoModel, AutoProcessor))
    assert model.config.detector_config.model_type == "refseg_nanodet"
    assert type(processor.image_processor) is NanoDetImageProcessor
    assert processor.image_processor.size["longest_edge"] == 64


def test_it_trains_on_the_rows_of_some_sources(train, detector, tmp_path):
    with pytest.raises(ValueError, match=r"no row is of the sources \['written'\]; there are \['refshapes/refcoco'\]"):
        train(words(tmp_path / "run", detector=detector, sources="[written]"))


def test_nothing_in_the_detector_is_trained_however_the_model_is_made(tmp_path):
    model = tiny_mattnet()
    model.save_pretrained(tmp_path)
    loaded, parts = AutoModel.from_pretrained(tmp_path), type(model).from_parts(tiny_mask_rcnn(), model.matching)
    for one in (tiny_mattnet(), loaded, parts, loaded.train()):
        trained = {name for name, parameter in one.named_parameters() if parameter.requires_grad}
        assert trained == {name for name, _ in one.named_parameters() if not name.startswith("detector.")}
        assert not one.detector.training


def test_evaluation_encodes_every_image_once(detector, tmp_path):
    task = prepare("mattnet_refshapes", words(tmp_path, detector=detector, eval_samples=5)[1:]).task
    calls = []
    task.model.detector.backbone.register_forward_hook(lambda *args: calls.append(1))
    metrics = task.evaluators.evaluate(task.model, task.eval_rows, batch_size=2)
    assert len(calls) == 3, "batches"
    task.evaluators.share = None
    assert task.evaluators.evaluate(task.model, task.eval_rows, batch_size=2) == metrics
    assert len(calls) == 3 + 2 * 3


def test_a_row_of_the_ablation_has_no_attributes(train, detector, tmp_path):
    train(words(tmp_path / "run", "mattnet_refshapes_subject", detector=detector, max_steps=1, train_samples=4))
    model = AutoModel.from_pretrained(tmp_path / "run")
    assert model.config.modules == ["subject"] and model.config.attribute_labels is None


def test_few_scenes_leave_out_the_attributes_that_none_has(train, detector, tmp_path):
    train(words(tmp_path / "run", detector=detector, max_steps=1, train_samples=2))
    config = AutoModel.from_pretrained(tmp_path / "run").config
    assert 0 < config.num_attributes < 13 and max(config.attribute_weights) <= 10


def test_rows_kept_in_memory_have_one_reference_each(train, detector, tmp_path):
    with pytest.raises(ValueError, match=r"data.in_memory keeps one reference of each scene"):
        train(words(tmp_path / "run", detector=detector, in_memory=True))
    settings = {"in_memory": True, "refs_per_scene": "null", "train_samples": 4, "max_steps": 1}
    assert train(words(tmp_path / "run", detector=detector, **settings))["num"] > 0


def test_rows_that_do_not_list_all_objects_are_refused(train, detector, tmp_path, built):
    data = {"dataset": built["refcoco"], "partition": "google", "refs_per_scene": "null", "image_size": "null"}
    with pytest.raises(ValueError, match="was stored without the objects of its images"):
        train(words(tmp_path / "run", detector=detector, **data))


def test_a_training_starts_from_a_whole_model(train, detector, tmp_path):
    train(words(tmp_path / "first", detector=detector, max_steps=1))
    whole = {"detector": "null", "all": tmp_path / "first", "max_steps": 1}
    train(words(tmp_path / "second", **whole))
    first, second = (AutoModel.from_pretrained(tmp_path / name).config for name in ("first", "second"))
    assert first.attribute_labels == second.attribute_labels
    for settings, message in (
        ({"detector": detector}, r"weights.all already gives every weight: leave out weights.detector"),
        ({"min_count": 2}, r"first brings its own vocabulary: leave out processor.min_count"),
        ({"hidden_size": 9}, r"model.hidden_size is 9 in the recipe, but .*first has 8"),
    ):
        with pytest.raises(ValueError, match=message):
            train(words(tmp_path / "third", **{**whole, **settings}))


def test_a_training_without_a_detector_says_how_to_get_one(train, tmp_path):
    with pytest.raises(ValueError, match="give its folder as --detector, .*mask_rcnn_refshapes"):
        train(words(tmp_path / "run", detector="null"))
    tiny_rmi().save_pretrained(tmp_path / "rmi")
    with pytest.raises(ValueError, match="weights.detector: .*rmi holds a refseg_rmi, but a refseg_mask_rcnn"):
        train(words(tmp_path / "run", detector=tmp_path / "rmi"))
    with pytest.raises(FileNotFoundError, match="weights.detector: no model in .*nowhere"):
        train(words(tmp_path / "run", detector=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "key", ["flip_probability", "sentence", "streaming", "processor.size", "backbone", "naming.steps"]
)
def test_keys_that_only_other_families_read_are_refused(train, detector, tmp_path, key):
    with pytest.raises(ValueError, match=f"unknown key '{key}' .*a training of refseg_mattnet does not read it"):
        train(words(tmp_path / "run", detector=detector, **{key: 1}))


@pytest.mark.parametrize("key", ["region_size", "head_size", "grid_size", "detector_config", "vocab_size"])
def test_what_follows_from_the_detector_or_the_words_can_not_be_chosen(train, detector, tmp_path, key):
    with pytest.raises(ValueError, match=f"{key} on the command line can't be chosen: it follows from the "):
        train(words(tmp_path / "run", detector=detector, **{key: 7}))


def test_a_vocabulary_file_gives_the_words(train, detector, tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\n".join(["<pad>", "<go>", "<eos>", "<unk>", *RefShapes.vocabulary("refcoco"), "zebra"]))
    train(words(tmp_path / "run", detector=detector, vocabulary=file, max_steps=1, train_samples=2))
    assert "zebra" in AutoProcessor.from_pretrained(tmp_path / "run").tokenizer.get_vocab()


def test_the_detector_looks_once_at_images_whose_regions_are_kept(train, detector, tmp_path, monkeypatch, caplog):
    """Losses are those of a detector that looks at every step, but for the half precision of what is kept."""
    file, losses, looked = tmp_path / "regions.safetensors", [], []
    look = kept_references.describe_objects
    monkeypatch.setattr(kept_references, "describe_objects", lambda *args: looked.append(1) or look(*args))
    for number, settings in enumerate(({}, {"regions_file": file}, {"regions_file": file})):
        run = tmp_path / str(number)
        train(words(run, detector=detector, max_steps=1, save_steps=1, **settings))
        losses.append(json.loads((run / "checkpoint-1" / "trainer_state.json").read_text())["log_history"][0]["loss"])
    assert losses[1] == losses[2] == pytest.approx(losses[0], rel=1e-2)
    assert len(looked) == 60, "the second training reads the file"
    train(words(tmp_path / "run", detector=detector, max_steps=1, regions_file=file, train_samples=10))
    assert len(looked) == 70 and "other photos or of another detector" in caplog.text


def test_described_regions_are_those_of_the_images(detector):
    rows = RefShapes("train", size=48, num_samples=2, refs_per_scene=2)
    model, images = tiny_mattnet().eval(), MaskRcnnImageProcessor(size={"shortest_edge": 48, "longest_edge": 80})
    item = ImageReferences(rows)[0]
    described = kept_references.describe_objects(model, images, item)
    num_objects = len(item["instances"])
    assert {name: len(maps) for name, maps in described.items()} == {"crops": num_objects, "head_maps": num_objects}
    step = {
        "input_ids": torch.tensor([[1, 2]] * 3),
        "region_index": torch.tensor([0, 1, 0]),
        **region_lists([item]),
    }
    seen = model(**images([item["image"]], return_tensors="pt"), **step).scores
    maps = {f"region_{name}": maps.float() for name, maps in described.items()}
    found = model(**maps, original_sizes=torch.tensor([[48, 48]]), **step).scores
    torch.testing.assert_close(found, seen, rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match="region_head_maps is missing"):
        model(region_crops=maps["region_crops"], original_sizes=torch.tensor([[48, 48]]), **step)
    with pytest.raises(ValueError, match="region_crops hold their images already"):
        model(pixel_values=torch.zeros(1, 3, 48, 48), **maps, **step)
    with pytest.raises(ValueError, match="would not be read without region_index"):
        model(**maps, input_ids=torch.tensor([[1, 2]]), original_sizes=torch.tensor([[48, 48]]))
