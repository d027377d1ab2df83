"""The published arrays, of published numbers but few channels, into ours."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel

from hf_refseg import cli
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.models.nanodet.convert_nanodet import convert, infer_config, load_original, original_names
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor
from hf_refseg.models.nanodet.modeling_nanodet import NanoDetForInstanceSegmentation
from tests.tiny import tiny_nanodet


def make_arrays(**settings) -> dict[str, np.ndarray]:
    """The tensors of a tiny model under the original's names."""
    torch.manual_seed(0)
    model = tiny_nanodet(has_masks=False, **settings)
    names = original_names(model.config.backbone_config.depths)
    arrays = {}
    for name, tensor in model.state_dict().items():
        ours, _, part = name.rpartition(".")
        array = tensor.numpy()
        arrays[f"{names[ours]}.{part}"] = array[:, ::-1] if name == "backbone.stem.convolution.weight" else array
    return arrays


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


@torch.no_grad()
def test_every_tensor_finds_its_place(arrays):
    converted, original = load_original(arrays), make_arrays()
    torch.manual_seed(0)
    model = tiny_nanodet(has_masks=False)
    assert type(converted) is NanoDetForInstanceSegmentation and not converted.training
    assert converted.mask_head is None
    for name, tensor in model.state_dict().items():
        assert torch.equal(converted.state_dict()[name], tensor), name
    np.testing.assert_array_equal(
        converted.backbone.stem.convolution.weight.detach().numpy(),
        original["Conv_0.weight"][:, ::-1],
        "BGR turned to RGB",
    )


def test_the_numbers_of_the_published_graph():
    names = original_names([4, 8, 4])
    assert len(names) == len(set(names.values())) == 110
    assert names["backbone.stages.0.0.shortcut.0"] == "Conv_3"
    assert names["backbone.stages.1.7.branch.2.convolution"] == "Conv_273"
    assert names["backbone.pyramid.top_down.1.expand.primary"] == "Conv_379", "the coarse maps come first in the graph"
    assert names["heads.3.predictions"] == "Conv_513"


def test_sizes_are_those_of_the_arrays(arrays):
    config = infer_config(arrays)
    backbone = config.backbone_config
    assert (backbone.stem_size, backbone.hidden_sizes, backbone.depths) == (8, [8, 12, 16], [2, 3, 2])
    assert backbone.pyramid_size == 8 and config.num_labels == 5 and not config.has_masks


def test_categories_are_cocos_where_there_are_as_many():
    assert infer_config(make_arrays(num_labels=80)).id2label == dict(enumerate(NOUNS))


def test_what_does_not_fit_is_named(arrays):
    def without(name):
        return {other: array for other, array in arrays.items() if other != name}

    with pytest.raises(ValueError, match="1 missing array: Conv_451.bias; 1 unknown array: extra.weight"):
        load_original({**without("Conv_451.bias"), "extra.weight": np.zeros(3)})
    with pytest.raises(ValueError, match="not the weights of NanoDet-Plus-m from its ncnn graph: the array 'Conv_0"):
        load_original(without("Conv_0.weight"))
    with pytest.raises(ValueError, match="1 unknown array: Conv_999.weight"):
        load_original({**arrays, "Conv_999.weight": np.zeros(3)})


def test_the_command_line_writes_a_folder_that_auto_classes_load(arrays, tmp_path, capsys):
    np.savez(tmp_path / "original.npz", **{name: array.astype(np.float16) for name, array in arrays.items()})
    folder = tmp_path / "converted"
    words = ["convert", "nanodet", str(tmp_path / "original.npz"), "--output", str(folder)]
    assert cli.main(words) == 0
    assert f"wrote {folder}" in capsys.readouterr().out
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(model) is NanoDetForInstanceSegmentation and not any(report.values())
    assert model.dtype == torch.float32
    processor = AutoImageProcessor.from_pretrained(folder)
    assert type(processor) is NanoDetImageProcessor and processor.size["longest_edge"] == 512
    assert json.loads((folder / "config.json").read_text())["has_masks"] is False
    assert cli.main(words) == 2
    assert "converted exists: choose a new folder" in capsys.readouterr().err


def test_a_folder_that_exists_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(FileExistsError, match="choose a new folder"):
        convert(tmp_path / "nowhere.npz", tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        convert(tmp_path / "nowhere.npz", tmp_path / "new")
