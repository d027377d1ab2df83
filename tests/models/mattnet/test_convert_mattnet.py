"""An original checkpoint, module and JSON, into our matching and tokenizer."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_matching_config, tiny_regions
from transformers import AutoTokenizer

from hf_refseg.losses import attribute_weights
from hf_refseg.models.mattnet.convert_mattnet import (
    infer_config,
    load_matching,
    matching_sources,
    options_from_infos,
    read_infos,
    tokenizer_from_infos,
)
from hf_refseg.models.mattnet.matching import MAttNetMatching

WRITER = Path(__file__).parents[2] / "legacy_checkpoint.py"
WORDS = {"<PAD>": 0, "the": 1, "left": 2, "red": 3, "man's": 4, "<UNK>": 5, "<BOS>": 6, "<EOS>": 7}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Arrays under the original's names, of a miniature MAttNet."""
    torch.manual_seed(0)
    config = tiny_matching_config(vocab_size=len(WORDS))
    tensors, arrays = MAttNetMatching(config).state_dict(), {}
    for name, source in matching_sources(config).items():
        values = torch.randn(tensors[name].shape).numpy()
        values = np.abs(values) if name.endswith("running_var") else values
        arrays[source.names[0]] = values[None] if "normalizer" in name else values
    return arrays


@pytest.fixture(scope="module")
def checkpoint(arrays, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    np.savez(folder / "arrays.npz", **arrays)
    path = folder / "mrcn_cmr_with_st.pth"
    subprocess.run([sys.executable, str(WRITER), str(folder / "arrays.npz"), str(path)], check=True)
    infos = {
        "word_to_ix": WORDS,
        "att_to_ix": {"red": 1, "man": 0, "tall": 3, "striped": 2},
        "att_to_cnt": {"red": 100, "man": 400, "tall": 1, "striped": 4},
        "opt": {"margin": 0.2, "jemb_drop_out": 0.3, "with_st": 0, "batch_size": 15},
    }
    path.with_suffix(".json").write_text(json.dumps(infos))
    return path


def test_a_pickled_module_answers_as_its_arrays(arrays, checkpoint):
    infos = read_infos(checkpoint)
    matching = load_matching(checkpoint, **options_from_infos(infos))
    config = matching.config
    assert (config.grid_size, config.region_size, config.head_size, config.num_neighbors) == (7, 6, 8, 5)
    assert (config.rank_margin, config.matching_dropout, config.same_category_neighbors) == (0.2, 0.3, False)
    assert config.attribute_labels == ["man", "red", "striped", "tall"]
    assert config.attribute_weights == attribute_weights([400, 100, 4, 1])
    assert not matching.training and matching.visual["subject"].fusion_norm.num_batches_tracked == 0
    torch.testing.assert_close(
        matching.visual["location"].offset_normalizer.weight,
        torch.from_numpy(arrays["loc_encoder.dif_lfeat_normalizer.weight"][0]),
    )
    torch.testing.assert_close(
        matching.language.encoder.backward_lstm.weight_hh_l0,
        torch.from_numpy(arrays["rnn_encoder.rnn.weight_hh_l0_reverse"]),
    )
    arguments = tiny_regions(3)
    for name in ("crops", "head_maps"):
        arguments[name] = torch.nn.functional.interpolate(arguments[name], (7, 7))
    scores = []
    with torch.no_grad():
        for model in (matching, load_matching(arrays, same_category_neighbors=False)):
            features, text = model.encode_regions(**arguments), model.encode_words(torch.tensor([[1, 3]]))
            scores.append(model.match(arguments["regions"], features, text).scores)
    assert torch.equal(*scores)


def test_counters_of_a_later_pytorch_are_no_unknown_tensors(arrays):
    load_matching({**arrays, "sub_encoder.att_fuse.1.num_batches_tracked": np.array(5)})


def test_tokenizer_follows_the_demo(checkpoint, tmp_path):
    tokenizer = tokenizer_from_infos(read_infos(checkpoint), tiny_matching_config(vocab_size=len(WORDS)))
    tokenizer.save_pretrained(tmp_path)
    for loaded in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        batch = loaded(["  The left\tRED  man's <PAD> zebra red. ", "red"], padding=True)
        assert batch["input_ids"] == [[1, 2, 3, 4, 5, 5, 5], [3, 0, 0, 0, 0, 0, 0]]
        assert batch["attention_mask"][1] == [1, 0, 0, 0, 0, 0, 0]
        assert loaded(["red " * 30], truncation=True)["input_ids"] == [[3] * 10]
        assert loaded.pad_token_id == 0 and len(loaded) == len(WORDS)


def test_unknown_words_are_skipped_where_the_vocabulary_has_no_unk():
    words = {"<PAD>": 0, "red": 1}
    tokenizer = tokenizer_from_infos({"word_to_ix": words}, tiny_matching_config(vocab_size=2))
    assert tokenizer("red zebra red")["input_ids"] == [1, 0, 1]


def test_what_does_not_fit_is_named(arrays, checkpoint, tmp_path):
    with pytest.raises(ValueError, match="1 missing array: weight_fc.bias"):
        load_matching({name: value for name, value in arrays.items() if name != "weight_fc.bias"})
    with pytest.raises(ValueError, match="1 unknown array: weight_fc.extra"):
        load_matching({**arrays, "weight_fc.extra": np.zeros(3)})
    with pytest.raises(ValueError, match="not a MAttNet checkpoint: the tensor 'rnn_encoder.embedding.weight'"):
        infer_config({"resnet.conv1.weight": np.zeros(3)})
    with pytest.raises(FileNotFoundError, match="the JSON that the original writes beside its .pth"):
        read_infos(tmp_path / "model.pth")
    (tmp_path / "model.json").write_text('{"opt": {}}')
    with pytest.raises(ValueError, match=r"lacks \['word_to_ix'\]; it has \['opt'\]"):
        read_infos(tmp_path / "model.pth")
    with pytest.raises(ValueError, match="word_to_ix has 8 words and the checkpoint's embedding 9 rows"):
        tokenizer_from_infos(read_infos(checkpoint), tiny_matching_config(vocab_size=9))
    for words, message in (({"red": 0}, "<PAD> at None"), ({"<PAD>": 0, "red": 2}, "not 0 to 1, each once")):
        with pytest.raises(ValueError, match=message):
            tokenizer_from_infos({"word_to_ix": words}, tiny_matching_config(vocab_size=len(words)))
