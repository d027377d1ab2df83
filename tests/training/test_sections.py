"""Sections of recipes: rows by the words of `load`, vocabularies, and what contradicts itself."""

from dataclasses import dataclass

import pytest

from hf_refseg import RmiProcessor
from hf_refseg.data import HeldRows, RefShapes
from hf_refseg.models.lstm_cnn.training_lstm_cnn import LstmCnnWeights
from hf_refseg.training.dense import NamingStages
from hf_refseg.training.sections import (
    DataSection,
    ProcessorSection,
    SentenceDataSection,
    WordModelWeights,
    read_section,
    section_keys,
)
from hf_refseg.training.word_naming import WordNaming

WORDS = ["a red circle", "the blue star", "a red star"]


def shapes(**kwargs) -> DataSection:
    return DataSection(dataset="refshapes/refcocog", image_size=64, shapes_seed=3, **kwargs)


def test_rows_of_refshapes():
    data = shapes(eval_samples=5, eval_expression_types=["relational"])
    rows = data.eval_rows()
    assert len(rows) == 5 and rows[0]["image"].size == (64, 64)
    assert {row["expression_type"] for row in rows} == {"relational"}
    assert rows[1]["sentences"] == RefShapes("val", "refcocog", 64, 5, 3, ["relational"])[1]["sentences"]
    kept = shapes(eval_samples=5, eval_expression_types=["relational"], in_memory=True).eval_rows()
    assert isinstance(kept, HeldRows) and [row["sentences"] for row in kept] == [row["sentences"] for row in rows]
    assert set(kept.vocabulary_texts()) == set(RefShapes.vocabulary("refcocog"))
    types = shapes(expression_types=["attribute"], eval_samples=3).eval_rows()
    assert {row["expression_type"] for row in types} == {"attribute"}, "those of the training, where none are named"


def test_rows_of_a_folder_and_of_a_named_data_set_in_it(built):
    folder = DataSection(path=str(built["raw"] / "refcoco"), partition="unc", train_samples=3).train_rows()
    named = DataSection(dataset="refcoco_unc", path=str(built["raw"]), train_samples=3).train_rows()
    assert len(folder) == len(named) == 3
    assert [row["ref_id"] for row in folder] == [row["ref_id"] for row in named]


def test_an_option_that_the_data_set_does_not_read_is_an_error(built):
    folder = str(built["raw"] / "refcoco")
    for options, message in (
        ({"image_size": 64}, "does not read size; .*image_size is its size"),
        ({"expression_types": ["relational"]}, "does not read expression_types"),
    ):
        with pytest.raises(ValueError, match=message):
            DataSection(path=folder, partition="unc", **options).train_rows()
    with pytest.raises(ValueError, match="refshapes/refcocog does not read partition"):
        shapes(partition="unc").train_rows()
    with pytest.raises(ValueError, match="names no data set: give --dataset .*--path"):
        DataSection().train_rows()
    with pytest.raises(ValueError, match="'imagenet' is neither a folder nor one of"):
        DataSection(dataset="imagenet").train_rows()


def test_training_rows_are_streamed_and_evaluation_rows_are_not(built):
    place = {"path": str(built["refcoco"]), "partition": "google"}
    data = SentenceDataSection(streaming=True, shuffle_buffer=4, train_samples=3, **place)
    assert data.train_rows().is_stream and len(list(data.train_rows())) == 3
    assert len(data.eval_rows()) == 4
    with pytest.raises(ValueError, match=r"data.shuffle_buffer is for data.streaming"):
        SentenceDataSection(shuffle_buffer=4, **place)
    shapes = SentenceDataSection(dataset="refshapes", streaming=True, train_samples=3)
    with pytest.raises(ValueError, match="refshapes does not read shuffle_buffer"):
        shapes.train_rows()
    shapes.shuffle_buffer = 0
    assert len(list(shapes.train_rows())) == 3


def test_the_vocabulary_comes_from_the_sentences_or_a_file(tmp_path):
    made = ProcessorSection(min_count=2).build_tokenizer(RmiProcessor, WORDS, max_length=7)
    assert set(made.get_vocab()) == {"<pad>", "<go>", "<eos>", "<unk>", "a", "red", "star"}
    assert (made.padding_side, made.model_max_length) == ("left", 7)
    file = tmp_path / "words.txt"
    file.write_text("\n".join(["<pad>", "<go>", "<eos>", "<unk>", "cat"]))
    assert ProcessorSection(vocabulary=str(file)).build_tokenizer(RmiProcessor, WORDS).get_vocab()["cat"] == 4
    with pytest.raises(ValueError, match="min_count is for a vocabulary made of sentences"):
        ProcessorSection(vocabulary=str(file), min_count=2).build_tokenizer(RmiProcessor, WORDS)


def test_images_keep_the_settings_of_the_paper_where_nothing_is_said():
    image_processor = RmiProcessor.default_image_processor
    published = image_processor()
    other = image_processor(**ProcessorSection(size=96, image_std=[2, 2, 2]).image_options(image_processor))
    assert (other.size["height"], list(other.image_std)) == (96, [2, 2, 2])
    assert other.image_mean == published.image_mean and other.interpolation == published.interpolation


def test_weights_that_another_key_already_gives_are_refused():
    with pytest.raises(ValueError, match=r"weights.all already gives every weight: leave out weights.backbone"):
        WordModelWeights(all="a", backbone="b")
    with pytest.raises(ValueError, match=r"weights.previous_stage already gives the embeddings"):
        LstmCnnWeights(previous_stage="a", embeddings="glove")


def test_sections_are_read_from_mappings():
    assert read_section(NamingStages, {"naming": {"steps": 5}}, "stages") == NamingStages(WordNaming(steps=5))
    assert read_section(NamingStages, {}, "stages").naming is None
    with pytest.raises(
        ValueError, match=r"unknown key stages.naming.stepz; there are steps, batch_size, learning_rate"
    ):
        read_section(NamingStages, {"naming": {"stepz": 5}}, "stages")

    @dataclass
    class Derived(DataSection):
        own: int = 0

    assert section_keys(Derived) == [*section_keys(DataSection), "own"]


def test_no_rows_are_no_training():
    with pytest.raises(ValueError, match="data.train_samples is 0; give 1 or more, or null for all rows"):
        shapes(train_samples=0).train_rows()
    with pytest.raises(ValueError, match="data.eval_samples is -1"):
        shapes(eval_samples=-1).eval_rows()
