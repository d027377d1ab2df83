"""The region matcher's words, which photos it is trained on, and a training of a few steps by its recipe."""

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.region_matcher.processing_region_matcher import RegionMatcherProcessor
from hf_refseg.models.region_matcher.training_region_matcher import written_about
from hf_refseg.processing.word_table import load_word_table
from tests.tiny import tiny_nanodet

from .two_dogs import make_rows


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
