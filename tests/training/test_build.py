import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_caffe_resnet_config, tiny_lstm_cnn, tiny_rmi, tiny_vgg_fcn_config

from hf_refseg import LstmCnnImageProcessor, LstmCnnProcessor
from hf_refseg.data import HeldRows, RefShapes
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training.build import (
    DataArguments,
    ModelArguments,
    ProcessorArguments,
    build_collators,
    build_model,
    build_processor,
    build_rows,
    training_sentences,
)
from hf_refseg.training.regions import RegionCollator

TINY = {"hidden_size": 8, "visual_size": 8, "word_embedding_size": 8, "lstm_hidden_size": 8}
WORDS = ["a red circle", "the blue star", "a red star"]


def tiny_section(**kwargs):
    backbone = {"model_type": "refseg_caffe_resnet", "stem_size": 8, "hidden_sizes": [8, 16, 16, 24]}
    backbone["depths"] = [1, 2, 1, 1]
    return {"model_type": "refseg_rmi", "backbone_config": backbone, **TINY, **kwargs}


def arguments(**kwargs):
    return ModelArguments.from_section(tiny_section(**kwargs))


def test_rows_of_refshapes():
    data = DataArguments(dialect="refcocog", image_size=64, shapes_seed=3)
    rows = build_rows(data, "val", 5, ["relational"])
    assert len(rows) == 5 and rows[0]["image"].size == (64, 64)
    assert {row["expression_type"] for row in rows} == {"relational"}
    assert rows[1]["sentences"] == RefShapes("val", "refcocog", 64, 5, 3, ["relational"])[1]["sentences"]
    kept = build_rows(dataclasses.replace(data, in_memory=True), "val", 5, ["relational"])
    assert isinstance(kept, HeldRows) and [row["sentences"] for row in kept] == [row["sentences"] for row in rows]
    assert set(training_sentences(data, rows)) == set(RefShapes.vocabulary("refcocog"))


def test_rows_of_a_refer_folder(shared_dir):
    data = DataArguments(dataset="refer_folder", path=str(shared_dir / "data" / "coco_cc_expressions"))
    rows = build_rows(data, "train", 3)
    assert len(rows) == 3 and rows[0]["split"] == "train"
    sentences = [sentence["sent"] for row in rows for sentence in row["sentences"]]
    assert list(training_sentences(data, rows)) == sentences


def test_unknown_datasets_and_missing_paths_are_errors():
    with pytest.raises(ValueError, match="'imagenet': choose refshapes, refer_folder, coco or published"):
        build_rows(DataArguments(dataset="imagenet"), "train", None)
    with pytest.raises(ValueError, match=r"coco needs data\.path: COCO's folder"):
        build_rows(DataArguments(dataset="coco"), "train", None)
    with pytest.raises(ValueError, match=r"needs data\.path"):
        build_rows(DataArguments(dataset="refer_folder"), "train", None)
    with pytest.raises(ValueError, match=r"published needs data\.path: its name or folder"):
        build_rows(DataArguments(dataset="published"), "train", None)


def test_the_vocabulary_comes_from_the_sentences_or_a_file(tmp_path):
    made = build_processor(ProcessorArguments(min_count=2), arguments(), WORDS)
    assert set(made.tokenizer.get_vocab()) == {"<pad>", "<go>", "<eos>", "<unk>", "a", "red", "star"}
    file = tmp_path / "words.txt"
    file.write_text("\n".join(["<pad>", "<go>", "<eos>", "<unk>", "cat"]))
    read = build_processor(ProcessorArguments(vocabulary=str(file), size=96, image_std=[2, 2, 2]), arguments(), WORDS)
    assert read.tokenizer.get_vocab()["cat"] == 4
    assert (read.image_processor.size["height"], read.image_processor.image_std) == (96, (2, 2, 2))
    assert read.image_processor.image_mean == made.image_processor.image_mean  # the paper's, where nothing is said
    assert build_model(arguments(), read.tokenizer).word_embeddings.weight.shape[0] == 5


def test_a_frozen_backbone_needs_weights_and_takes_those_of_a_folder(tmp_path):
    tokenizer = tokenizer_from_sentences(WORDS)
    with pytest.raises(ValueError, match=r"frozen parameters would stay random \(backbone\..*--backbone_checkpoint"):
        build_model(arguments(), tokenizer, "backbone")
    pretrained = tiny_rmi(visual_size=8)
    pretrained.save_pretrained(tmp_path / "model")
    pretrained.backbone.save_pretrained(tmp_path / "backbone")
    for folder in ("model", "backbone"):
        model = build_model(arguments(backbone_checkpoint=str(tmp_path / folder)), tokenizer, "backbone")
        expected = pretrained.backbone.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.backbone.state_dict().items())
        projections_equal = torch.equal(model.visual_projection.weight, pretrained.visual_projection.weight)
        assert projections_equal == (folder == "model")
    with pytest.raises(ValueError, match=r"stay random \(visual_projection"):
        backbone = str(tmp_path / "backbone")
        build_model(arguments(backbone_checkpoint=backbone), tokenizer, "backbone_and_projection")


def test_weights_that_do_not_fit_are_listed(tmp_path):
    tiny_rmi(visual_size=8, backbone_config=tiny_caffe_resnet_config(depths=[1, 1, 1, 1])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"missing \['stages\.1\.1\.convolve"):
        build_model(arguments(backbone_checkpoint=str(tmp_path)), tokenizer_from_sentences(WORDS))
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        build_model(arguments(backbone_checkpoint=str(tmp_path / "gone")), tokenizer_from_sentences(WORDS))


def test_hu_stages_hand_over_weights_and_vocabulary(tmp_path):
    tokenizer = tokenizer_from_sentences(WORDS)
    previous = tiny_lstm_cnn(
        stage="region",
        vocab_size=len(tokenizer),
        background_weight=1.0,
        backbone_config=tiny_vgg_fcn_config(fc6_padding=0),
    )
    previous.save_pretrained(tmp_path)
    LstmCnnProcessor(LstmCnnImageProcessor(), tokenizer).save_pretrained(tmp_path)
    section = {"model_type": "refseg_lstm_cnn", "stage": "low_res", "initialise_from": str(tmp_path)}
    low_res = ModelArguments.from_section(section)
    processor = build_processor(ProcessorArguments(), low_res, ["other words"])
    assert processor.tokenizer.get_vocab() == tokenizer.get_vocab()
    model = build_model(low_res, processor.tokenizer, "vgg_convolutions")
    weights = load_file(tmp_path / "model.safetensors")
    assert (model.config.stage, model.config.backbone_config.fc6_padding) == ("low_res", 3)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(ValueError, match="model.mlp_size is 7 in the recipe, but .* has 16"):
        build_model(ModelArguments.from_section({**section, "mlp_size": 7}), processor.tokenizer)


def test_training_goes_on_from_a_checkpoint(tmp_path):
    tokenizer = tokenizer_from_sentences(WORDS)
    section = tiny_section()
    model = build_model(ModelArguments.from_section(section), tokenizer)
    model.save_pretrained(tmp_path)
    build_processor(ProcessorArguments(), ModelArguments.from_section(section), WORDS).save_pretrained(tmp_path)
    again = ModelArguments.from_section({"model_type": "refseg_rmi", "checkpoint": str(tmp_path)})
    assert build_processor(ProcessorArguments(), again, ["unused"]).tokenizer.get_vocab() == tokenizer.get_vocab()
    reloaded = build_model(again, tokenizer).state_dict()
    assert all(torch.equal(tensor, reloaded[name]) for name, tensor in model.state_dict().items())


def test_word_vectors_fill_the_embedding(tmp_path):
    pytest.importorskip("gensim")
    (tmp_path / "glove.txt").write_text("red " + " ".join(["0.5"] * 8) + "\nstar " + " ".join(["-1"] * 8) + "\n")
    tokenizer = tokenizer_from_sentences(WORDS)
    model = build_model(arguments(word_vectors=str(tmp_path / "glove.txt")), tokenizer)
    rows = tokenizer.get_vocab()
    assert model.word_embeddings.weight[rows["red"]].tolist() == [0.5] * 8
    assert model.word_embeddings.weight[rows["star"]].tolist() == [-1] * 8


def test_training_batches_are_flipped_with_their_words_and_evaluation_reads_every_sentence():
    processor = build_processor(ProcessorArguments(size=64), arguments(), RefShapes.vocabulary("refcoco"))
    rows = [row for row in RefShapes(size=64, num_samples=40) if "left" in row["sentences"][0]["tokens"]][:3]
    model = tiny_rmi()
    still, evaluation = build_collators(DataArguments(sentence="first"), processor, model, seed=0)
    flipped, _ = build_collators(DataArguments(sentence="first", flip_probability=1.0), processor, model, seed=0)
    before, after = still(rows), flipped(rows)
    assert torch.equal(after["pixel_values"], before["pixel_values"].flip(-1))
    assert torch.equal(after["labels"], before["labels"].flip(-1))
    left, right = (processor.tokenizer.get_vocab()[word] for word in ("left", "right"))
    assert ((before["input_ids"] == left) == (after["input_ids"] == right)).all() and (
        before["input_ids"] == left
    ).any()
    unheard = {**rows[0], "sentences": [{"sent_id": 0, "sent": "zebra", "tokens": ["zebra"]}]}
    assert evaluation([unheard])["input_ids"].tolist() == still([unheard])["input_ids"].tolist() == [[3]]
    assert len(evaluation(rows)["input_ids"]) == sum(len(row["sentences"]) for row in rows)


def test_the_region_classifier_has_crops_and_no_evaluation():
    train, evaluation = build_collators(DataArguments(), processor=None, model=tiny_lstm_cnn(stage="region"), seed=0)
    assert isinstance(train, RegionCollator) and evaluation is None


@pytest.mark.parametrize("streaming", [False, True])
def test_training_reads_a_built_data_set_mapped_or_streaming(built, make_trainer, streaming):
    data = DataArguments(
        dataset="published", path=str(built["refcoco"]), partition="google", streaming=streaming, shuffle_buffer=4
    )
    train_rows, eval_rows = build_rows(data, "train", None), build_rows(data, "val", None)
    assert train_rows.is_stream == streaming and len(eval_rows) == 4
    # The vocabulary comes from the words alone: no picture is opened for it.
    assert set(training_sentences(data, train_rows)) == {"the red box", "box on the left", "blue box"}
    trainer = make_trainer(train_rows=train_rows, eval_rows=eval_rows, max_steps=3, per_device_train_batch_size=2)
    # Several processes read shards of their own; batches of one process can't be cut up for the others.
    assert (trainer.args.accelerator_config.dispatch_batches is False) == streaming
    assert trainer.train().global_step == 3
    assert trainer.evaluate()["eval_num"] == 6
    limited = build_rows(data, "train", 3)
    assert len(list(limited)) == 3
    assert len(build_rows(dataclasses.replace(data, in_memory=True), "train", None)) == 8
