"""Original checkpoints of every network of lang2seg, with sizes that are small where the converter allows it."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg import cli
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.models.cac.configuration_cac import FILTERS
from hf_refseg.models.cac.convert_cac import cac_sources, infer_config, load_original, load_tokenizer
from hf_refseg.models.cac.modeling_cac import CacForReferringSegmentation
from hf_refseg.models.cac.processing_cac import CacProcessor
from tests.models.mask_rcnn.test_convert_mask_rcnn import make_arrays as make_detector_arrays

WORDS = {"<PAD>": 0, "the": 1, "left": 2, "red": 3, "dog": 4, "<UNK>": 5, "<BOS>": 6, "<EOS>": 7}
VOCAB, WORD, VECTOR, HIDDEN = len(WORDS), 5, 6, 7
CAPTION_WORD, ATTENTION, STATE = 4, 3, 8


def make_arrays(filters: int = 7, captioner: bool = True) -> dict[str, np.ndarray]:
    """A checkpoint under the original's names; one dynamic filter has another name than seven."""
    shapes = {"rnn_encoder.embedding.weight": (VOCAB, WORD)}

    def layer(name: str, inputs: int, outputs: int):
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    layer("rnn_encoder.mlp.0", WORD, VECTOR)
    for suffix in ("", "_reverse"):
        for kind, inputs in (("ih", VECTOR), ("hh", HIDDEN)):
            shapes[f"rnn_encoder.rnn.weight_{kind}_l0{suffix}"] = (4 * HIDDEN, inputs)
            shapes[f"rnn_encoder.rnn.bias_{kind}_l0{suffix}"] = (4 * HIDDEN,)
    for name in ["dynamic_fc"] if filters == 1 else [f"dynamic_fc_{number}" for number in range(filters)]:
        layer(name, 2 * HIDDEN, 1024)
    if filters > 1:
        layer("response_fc", 2 * HIDDEN, filters)
    if captioner:
        shapes["caption_model.embed.0.weight"] = (VOCAB + 1, CAPTION_WORD)
        layer("caption_model.att_embed.0", 4096, STATE)
        layer("caption_model.ctx2att", STATE, ATTENTION)
        layer("caption_model.core.attention.h2att", STATE, ATTENTION)
        layer("caption_model.core.attention.alpha_net", ATTENTION, 1)
        layer("caption_model.core.i2h", CAPTION_WORD, 5 * STATE)
        layer("caption_model.core.h2h", STATE, 5 * STATE)
        layer("caption_model.core.a2c", STATE, 2 * STATE)
        layer("caption_model.logit", STATE, VOCAB + 1)
    rng = np.random.default_rng(0)
    own = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return make_detector_arrays() | own


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"word_to_ix": WORDS, "label_length": 10, "refs": []}))
    return path


def test_sizes_are_those_of_the_arrays(arrays):
    config = infer_config(arrays)
    assert (config.vocab_size, config.word_embedding_size, config.word_vec_size) == (VOCAB, WORD, VECTOR)
    assert config.hidden_size == HIDDEN and config.detector_config.rpn_hidden_size == 8
    assert (config.caption_word_size, config.caption_attention_size, config.caption_hidden_size) == (4, 3, 8)
    assert set(arrays) - {"resnet.fc.weight", "resnet.fc.bias"} == {
        name for source in cac_sources(config).values() for name in source.names
    }


@pytest.mark.parametrize(
    ("given", "network", "expected"),
    [
        ({"filters": 1, "captioner": False}, None, (("whole",), "raw", ("roi",))),
        ({"captioner": False}, None, (FILTERS, "sigmoid", ("roi", "response"))),
        ({"captioner": False}, "spatial", (FILTERS, "raw", ("roi",))),
        ({}, None, (FILTERS, "sigmoid", ("roi", "response", "caption"))),
        ({}, "cycle", (FILTERS, "raw", ("roi", "caption"))),
    ],
)
def test_every_network_of_the_original_is_converted(given, network, expected):
    model = load_original(make_arrays(**given), network)
    config = model.config
    assert (tuple(config.filters), config.modulation, tuple(config.losses)) == expected
    assert (model.captioner is None) == ("caption" not in config.losses)
    assert config.caption_features == ("object" if network == "cycle" else "before_and_after")
    assert not model.training and not any(tensor.is_meta for tensor in model.state_dict().values())


def test_every_tensor_finds_its_place(arrays):
    model = load_original(arrays)
    for ours, theirs in (
        (model.spatial_filters.filters["left"].weight, "dynamic_fc_3.weight"),
        (model.spatial_filters.fusion.bias, "response_fc.bias"),
        (model.language.backward_lstm.weight_ih_l0, "rnn_encoder.rnn.weight_ih_l0_reverse"),
        (model.captioner.attended_candidates.weight, "caption_model.core.a2c.weight"),
        (model.captioner.state_attention.bias, "caption_model.core.attention.h2att.bias"),
    ):
        assert torch.equal(ours, torch.from_numpy(arrays[theirs])), theirs


@pytest.mark.parametrize("zipped", [False, True], ids=["before zip files", "zip"])
def test_command_writes_a_folder_that_loads(arrays, vocabulary, zipped, tmp_path, capsys):
    checkpoint, output = tmp_path / "res101_mask_rcnn_iter_600000.pth", tmp_path / "converted"
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(tensors, checkpoint, _use_new_zipfile_serialization=zipped)
    command = ["convert", "cac", str(checkpoint), "--vocabulary", str(vocabulary), "--output", str(output)]
    assert cli.main(command) == 0 and str(output) in capsys.readouterr().out
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    assert isinstance(model, CacForReferringSegmentation) and isinstance(processor, CacProcessor)
    assert processor.categories == list(NOUNS)
    words = processor.tokenizer(["The LEFT zebra", "dog"], padding=True)
    assert words["input_ids"] == [[1, 2, 5], [4, 0, 0]]
    assert model.config.max_length == processor.tokenizer.model_max_length == 10
    assert torch.equal(model.captioner.word_logits.bias, tensors["caption_model.logit.bias"])


def test_counters_of_a_later_pytorch_are_no_unknown_tensors(arrays):
    load_original({**arrays, "resnet.layer4.0.bn1.num_batches_tracked": np.array(5)})


def test_what_does_not_fit_is_named(arrays, vocabulary, tmp_path):
    with pytest.raises(ValueError, match="1 missing array: response_fc.bias"):
        load_original({name: array for name, array in arrays.items() if name != "response_fc.bias"})
    with pytest.raises(ValueError, match="1 unknown array: dynamic_fc_7.weight"):
        load_original({**arrays, "dynamic_fc_7.weight": np.zeros((1024, 14))})
    with pytest.raises(ValueError, match="not a CAC checkpoint of the network 'response': the tensor 'rnn_encoder"):
        infer_config(make_detector_arrays())
    with pytest.raises(ValueError, match="network 'cycle': the tensor 'caption_model.embed.0.weight' is missing"):
        infer_config(make_arrays(captioner=False), "cycle")
    with pytest.raises(ValueError, match="unknown network 'vgg'; use one of baseline, spatial"):
        infer_config(arrays, "vgg")
    with pytest.raises(FileNotFoundError, match="the data.json that the original's prepro.py writes"):
        load_tokenizer(tmp_path / "absent.json", VOCAB)
    with pytest.raises(ValueError, match="has 8 words and the checkpoint's embedding 9 rows"):
        load_tokenizer(vocabulary, 9)
    other = tmp_path / "other.json"
    other.write_text('{"refs": []}')
    with pytest.raises(ValueError, match=r"lacks word_to_ix; it has \['refs'\]"):
        load_tokenizer(other, VOCAB)
    assert not (tmp_path / "converted").exists()
