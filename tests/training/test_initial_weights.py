"""Weights that fit, weights that do not, and none that stay random without being trained."""

import pytest
import torch
from tiny import tiny_caffe_resnet_config, tiny_mask_rcnn, tiny_rmi

from hf_refseg.processing.tokenization import tokenizer_from_sentences
from hf_refseg.training.initial_weights import (
    find_weights,
    load_backbone_weights,
    load_embeddings,
    require_pretrained,
    require_same_config,
)

PARTS = ("backbone", "visual_projection")


def test_a_backbone_comes_from_its_own_folder_or_from_a_model(tmp_path):
    pretrained = tiny_rmi()
    pretrained.save_pretrained(tmp_path / "model")
    pretrained.backbone.save_pretrained(tmp_path / "backbone")
    for folder in ("model", "backbone"):
        torch.manual_seed(1)
        model = tiny_rmi()
        loaded = load_backbone_weights(model, str(tmp_path / folder), PARTS)
        expected = pretrained.backbone.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.backbone.state_dict().items())
        projections_equal = torch.equal(model.visual_projection.weight, pretrained.visual_projection.weight)
        assert projections_equal == (folder == "model") == ("visual_projection.weight" in loaded)


def test_weights_that_do_not_fit_are_listed(tmp_path):
    tiny_rmi(backbone_config=tiny_caffe_resnet_config(depths=[1, 1, 1, 1])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"weights.backbone: .* does not fit .*missing \['stages\.1\.1\.convolve"):
        load_backbone_weights(tiny_rmi(), str(tmp_path), PARTS)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_backbone_weights(tiny_rmi(), str(tmp_path / "gone"), PARTS)


def test_a_model_of_another_kind_is_named(tmp_path):
    tiny_rmi().save_pretrained(tmp_path / "rmi")
    tiny_mask_rcnn().save_pretrained(tmp_path / "detector")
    with pytest.raises(
        ValueError, match="weights.detector: .*rmi holds a refseg_rmi, but a refseg_mask_rcnn is needed"
    ):
        find_weights("detector", str(tmp_path / "rmi"), "refseg_mask_rcnn")
    assert find_weights("detector", str(tmp_path / "detector"), "refseg_mask_rcnn") == str(tmp_path / "detector")
    assert find_weights("detector", "refseg-shapes-mask-rcnn", "refseg_mask_rcnn").endswith("refseg-shapes-mask-rcnn")
    with pytest.raises(FileNotFoundError, match="weights.all: no model in .*gone"):
        find_weights("all", str(tmp_path / "gone"), "refseg_rmi")


def test_frozen_parameters_need_weights():
    require_pretrained(["a", "b"], {"a", "b", "c"})
    with pytest.raises(ValueError, match=r"2 frozen parameters would stay random \(b, d ...\).*--weights.backbone"):
        require_pretrained(["d", "a", "b"], {"a"})


def test_a_recipe_can_not_change_the_configuration_of_its_weights():
    config = tiny_rmi().config
    require_same_config({"visual_size": 14, "backbone_config": {"model_type": "any"}}, config, "folder")
    with pytest.raises(ValueError, match="model.visual_size is 7 in the recipe, but folder has 14"):
        require_same_config({"visual_size": 7}, config, "folder")


def test_word_vectors_fill_the_embedding(tmp_path):
    pytest.importorskip("gensim")
    (tmp_path / "glove.txt").write_text("red " + " ".join(["0.5"] * 10) + "\nstar " + " ".join(["-1"] * 10) + "\n")
    tokenizer = tokenizer_from_sentences(["a red circle", "the blue star"])
    model = tiny_rmi(vocab_size=len(tokenizer))
    load_embeddings(model, tokenizer, str(tmp_path / "glove.txt"))
    rows = tokenizer.get_vocab()
    assert model.word_embeddings.weight[rows["red"]].tolist() == [0.5] * 10
    assert model.word_embeddings.weight[rows["star"]].tolist() == [-1] * 10
