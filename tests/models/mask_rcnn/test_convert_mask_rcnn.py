"""Original checkpoints of the detector, of the published widths but with one unit per stage, into ours."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel

from hf_refseg import cli
from hf_refseg.data.coco_categories import NOUNS
from hf_refseg.models.mask_rcnn.convert_mask_rcnn import (
    convert,
    infer_config,
    load_original,
    mask_rcnn_sources,
    stem_convolution,
)
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnForInstanceSegmentation


def unit(name: str, channels: int, width: int, shortcut: bool) -> dict[str, tuple[int, ...]]:
    shapes = {"conv1": (width, channels, 1, 1), "conv2": (width, width, 3, 3), "conv3": (4 * width, width, 1, 1)}
    norms = {"bn1": width, "bn2": width, "bn3": 4 * width}
    if shortcut:
        shapes["downsample.0"], norms["downsample.1"] = (4 * width, channels, 1, 1), 4 * width
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{layer}.weight": shape for layer, shape in shapes.items()} | {
        f"{name}.{layer}.{part}": (size,) for layer, size in norms.items() for part in parts
    }


def make_arrays(num_classes: int = 81, rpn_size: int = 8, depths: tuple[int, ...] = (1, 2, 1, 1)) -> dict:
    """Zeros under the original's names; ones where a statistic is divided by. They take no memory until written."""
    shapes = {"resnet.conv1.weight": (64, 3, 7, 7), "resnet.fc.weight": (1000, 2048), "resnet.fc.bias": (1000,)}
    shapes |= {f"resnet.bn1.{part}": (64,) for part in ("weight", "bias", "running_mean", "running_var")}
    channels = 64
    for layer, (width, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True), 1):
        for number in range(depth):
            shapes |= unit(f"resnet.layer{layer}.{number}", channels, width, number == 0)
            channels = 4 * width
    shapes |= {
        "rpn_net.weight": (rpn_size, 1024, 3, 3), "rpn_cls_score_net.weight": (24, rpn_size, 1, 1),
        "rpn_bbox_pred_net.weight": (48, rpn_size, 1, 1), "cls_score_net.weight": (num_classes, 2048),
        "bbox_pred_net.weight": (4 * num_classes, 2048), "mask_up_sampling.weight": (2048, 256, 2, 2),
        "mask_pred_net.weight": (num_classes, 256, 1, 1),
    }  # fmt: skip
    biases = {"rpn_net": rpn_size, "rpn_cls_score_net": 24, "rpn_bbox_pred_net": 48, "cls_score_net": num_classes}
    biases |= {"bbox_pred_net": 4 * num_classes, "mask_up_sampling": 256, "mask_pred_net": num_classes}
    shapes |= {f"{name}.bias": (size,) for name, size in biases.items()}
    return {name: np.zeros(shape, np.float32) + name.endswith("running_var") for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


def test_sizes_are_those_of_the_arrays(arrays):
    config = infer_config(arrays)
    assert (config.backbone_config.depths, config.head_depth, config.rpn_hidden_size) == ([1, 2, 1], 1, 8)
    assert config.backbone_config.padding == "symmetric" and config.backbone_config.output_stride == 16
    assert set(arrays) - {"resnet.fc.weight", "resnet.fc.bias"} == {
        name for source in mask_rcnn_sources(config).values() for name in source.names
    }


def test_every_tensor_finds_its_place(arrays):
    marked = {"rpn_cls_score_net.bias": np.arange(24.0), "resnet.layer2.1.bn3.running_mean": np.full(512, 3.0)}
    model = load_original({**arrays, **marked})
    assert isinstance(model, MaskRcnnForInstanceSegmentation) and not model.training
    assert model.rpn.class_logits.bias.tolist() == list(range(24))
    assert (model.backbone.stages[1][1].expand.normalization.running_mean == 3).all()
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_the_first_kernel_is_turned_from_bgr_to_rgb(arrays):
    kernel = np.random.default_rng(0).normal(size=(64, 3, 7, 7)).astype(np.float32)
    np.testing.assert_array_equal(stem_convolution(kernel)[:, 0], kernel[:, 2])
    model = load_original({**arrays, "resnet.conv1.weight": kernel})
    np.testing.assert_array_equal(model.backbone.stem.convolution.weight.detach(), kernel[:, ::-1])


def test_categories_are_cocos_where_there_are_as_many(arrays):
    assert len(NOUNS) == 80 and infer_config(arrays).id2label == dict(enumerate(NOUNS))
    few = infer_config(make_arrays(num_classes=4))
    assert few.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}


def test_counters_and_the_classifier_of_imagenet_are_left_out(arrays):
    later = {**arrays, "resnet.bn1.num_batches_tracked": np.array(5)}
    without = {name: array for name, array in later.items() if not name.startswith("resnet.fc")}
    for checkpoint in (later, without):
        load_original(checkpoint)


def test_what_does_not_fit_is_named(arrays):
    def without(*prefixes):
        return {name: array for name, array in arrays.items() if not name.startswith(prefixes)}

    with pytest.raises(ValueError, match="1 missing array: mask_pred_net.bias; 1 unknown array: extra.weight"):
        load_original({**without("mask_pred_net.bias"), "extra.weight": np.zeros(3)})
    with pytest.raises(ValueError, match="missing arrays: resnet.layer3.0.bn1.bias, resnet.layer3.0.bn1"):
        load_original(without("resnet.layer3."))
    with pytest.raises(ValueError, match="1 unknown array: resnet.layer1.x.conv1.weight"):
        load_original({**arrays, "resnet.layer1.x.conv1.weight": np.zeros(3)})
    with pytest.raises(ValueError, match="not a checkpoint of mask-faster-rcnn: the array 'cls_score_net.weight'"):
        load_original({"weight": np.zeros(3)})


def test_the_command_line_writes_a_folder_that_auto_classes_load(arrays, tmp_path, capsys):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(64, 3, 7, 7)).astype(np.float32)
    np.savez(tmp_path / "original.npz", **{**arrays, "resnet.conv1.weight": kernel})
    folder = tmp_path / "converted"
    words = ["convert", "mask-rcnn", str(tmp_path / "original.npz"), "--output", str(folder)]
    assert cli.main(words) == 0
    assert f"wrote {folder}" in capsys.readouterr().out
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(model) is MaskRcnnForInstanceSegmentation and not any(report.values())
    processor = AutoImageProcessor.from_pretrained(folder)
    assert type(processor) is MaskRcnnImageProcessor and processor.size["longest_edge"] == 1000
    assert json.loads((folder / "config.json").read_text())["id2label"]["0"] == "person"
    with torch.no_grad():
        outputs = model(torch.rand(1, 3, 64, 64), at_least_one=True)
    assert len(outputs.scores), "any pixels give a detection, if only by the lowered threshold"

    assert cli.main(words) == 2
    assert "converted exists: choose a new folder" in capsys.readouterr().err
    assert cli.main([*words[:-1], str(tmp_path / "other"), "--vocabulary", "words.txt"]) == 2
    assert "a checkpoint of mask-rcnn has no use for --vocabulary" in capsys.readouterr().err


def test_a_folder_that_exists_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(FileExistsError, match="choose a new folder"):
        convert(tmp_path / "nowhere.npz", tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        convert(tmp_path / "nowhere.npz", tmp_path / "new")
