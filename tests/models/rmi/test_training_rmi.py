"""What a training of RMI is made of, by its recipe."""

import pytest
import torch
from tiny import tiny_rmi
from transformers import AutoModel, AutoProcessor

from hf_refseg.data import RefShapes
from hf_refseg.models.rmi.training_rmi import KEYS, build
from hf_refseg.training.parameter_scopes import decayed_parameters, freeze_parameters, scale_gradients
from hf_refseg.training.recipe import load_recipe
from hf_refseg.training.run import prepare

TINY = """
model:
  model_type: refseg_rmi
  backbone_config: {model_type: refseg_caffe_resnet, stem_size: 8, hidden_sizes: [8, 16], depths: [1, 1]}
  hidden_size: 8
  visual_size: 8
  word_embedding_size: 8
  lstm_hidden_size: 8
processor: {size: 64}
data: {dataset: refshapes/refcoco, image_size: 64, train_samples: 6, eval_samples: 3}
training: {max_steps: 1, use_cpu: true, report_to: none, disable_tqdm: true, per_device_train_batch_size: 2}
"""


@pytest.fixture
def recipe(tmp_path):
    """The path of a tiny recipe."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return str(file)


def words(tmp_path, **settings) -> list[str]:
    settings = {"output_dir": tmp_path / "run", **settings}
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def task_of(recipe, tmp_path, **settings):
    loaded = load_recipe(recipe, words(tmp_path, **settings))
    return build(loaded, loaded.training_arguments())


def test_decay_and_gradients_of_the_paper():
    model = tiny_rmi()
    frozen = freeze_parameters(model, KEYS.parameter_scopes, "backbone")
    assert frozen and set(frozen) == {name for name, _ in model.named_parameters() if name.startswith("backbone.")}
    decayed = decayed_parameters(model, KEYS.parameter_scopes, "conv_kernels")
    assert decayed == ["visual_projection.weight", "classifier.weight"]
    scaled = scale_gradients(model, KEYS.parameter_scopes, {"conv_biases": 2.0})
    assert scaled == ["visual_projection.bias", "classifier.bias"]


def test_training_batches_are_flipped_with_their_words_and_evaluation_reads_every_sentence(recipe, tmp_path):
    still = task_of(recipe, tmp_path, sentence="first")
    flipped = task_of(recipe, tmp_path, sentence="first", flip_probability=1.0)
    rows = [row for row in RefShapes(size=64, num_samples=40) if "left" in row["sentences"][0]["tokens"]][:3]
    before, after = still.collator(rows), flipped.collator(rows)
    assert torch.equal(after["pixel_values"], before["pixel_values"].flip(-1))
    assert torch.equal(after["labels"], before["labels"].flip(-1))
    left, right = (still.processor.tokenizer.get_vocab()[word] for word in ("left", "right"))
    lefts, rights = before["input_ids"] == left, after["input_ids"] == right
    assert (lefts == rights).all() and lefts.any()
    unheard = {**rows[0], "sentences": [{"sent_id": 0, "sent": "zebra", "tokens": ["zebra"]}]}
    evaluated = [still.evaluators.batch(list(enumerate(some)))["inputs"] for some in ([unheard], rows)]
    assert evaluated[0]["input_ids"].tolist() == still.collator([unheard])["input_ids"].tolist() == [[3]]
    assert len(evaluated[1]["input_ids"]) == sum(len(row["sentences"]) for row in rows)


def test_a_frozen_backbone_needs_weights_or_a_stage_that_trains_it(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"frozen parameters would stay random \(backbone\..*--weights.backbone"):
        prepare(recipe, words(tmp_path, freeze="backbone"))
    tiny = task_of(recipe, tmp_path).model
    tiny.backbone.save_pretrained(tmp_path / "backbone")
    folder = str(tmp_path / "backbone")
    run = prepare(recipe, words(tmp_path, freeze="backbone", backbone=folder))
    expected = tiny.backbone.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in run.task.model.backbone.state_dict().items())
    with pytest.raises(ValueError, match=r"stay random \(visual_projection"):
        prepare(recipe, words(tmp_path, freeze="backbone_and_projection", backbone=folder))
    assert (
        len(prepare(recipe, words(tmp_path, freeze="backbone_and_projection", **{"naming.steps": 2})).task.stages) == 1
    )


def test_a_training_starts_from_a_whole_model(train, recipe, tmp_path):
    train([recipe, *words(tmp_path)])
    first = tmp_path / "run"
    settings = {"all": first, "output_dir": tmp_path / "second", "learning_rate": 0.0, "processor.size": 96}
    train([recipe, *words(tmp_path, **settings)])
    before, after = (
        dict(AutoModel.from_pretrained(folder).named_parameters()) for folder in (first, tmp_path / "second")
    )
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    processors = [AutoProcessor.from_pretrained(folder) for folder in (first, tmp_path / "second")]
    assert processors[0].tokenizer.get_vocab() == processors[1].tokenizer.get_vocab()
    assert [processor.image_processor.size["height"] for processor in processors] == [64, 96]
    for wrong, message in (
        ({"vocabulary": "words.txt"}, "brings its own vocabulary: leave out processor.vocabulary"),
        ({"hidden_size": 9}, "model.hidden_size is 9 in the recipe, but .*run has 8"),
        ({"embeddings": "glove"}, "weights.all already gives every weight: leave out weights.embeddings"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(recipe, words(tmp_path, **{**settings, **wrong, "output_dir": tmp_path / "third"}))


def test_words_are_not_named_out_of_a_stream(recipe, tmp_path):
    with pytest.raises(ValueError, match="stages.naming picks rows at random, which a stream can't"):
        prepare(recipe, words(tmp_path, streaming=True, shuffle_buffer=0, **{"naming.steps": 2}))


@pytest.mark.parametrize("key", ["detector", "previous_stage", "sentences_per_ref", "exclude_images"])
def test_keys_that_only_other_families_read_are_refused(recipe, tmp_path, key):
    with pytest.raises(ValueError, match=f"unknown key '{key}' .*a training of refseg_rmi does not read it"):
        prepare(recipe, words(tmp_path, **{key: 1}))


@pytest.mark.parametrize("streaming", [False, True])
def test_training_reads_a_built_data_set_mapped_or_streaming(train, recipe, built, tmp_path, streaming):
    data = {"dataset": "null", "path": built["refcoco"], "partition": "google", "image_size": "null"}
    data |= {"train_samples": "null", "eval_samples": "null", "max_steps": 3}
    data |= {"streaming": True, "shuffle_buffer": 4} if streaming else {}
    task = task_of(recipe, tmp_path, **data)
    assert task.train_rows.is_stream == streaming
    # The vocabulary comes from the words alone: no picture is opened for it.
    assert set(task.processor.tokenizer.get_vocab()) >= {"the", "red", "box", "on", "left", "blue"}
    assert train([recipe, *words(tmp_path, **data)])["num"] == 6
