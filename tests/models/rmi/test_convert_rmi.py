import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from hf_refseg.cli import main
from hf_refseg.models.rmi.convert_rmi import convert, load_original
from tests.models.original_arrays import CELL, HIDDEN, VOCAB_SIZE, rmi_arrays

WORDS = ["<pad>", "<go>", "<eos>", "<unk>", "red", "dog"]


@pytest.fixture(scope="module")
def arrays():
    return rmi_arrays()


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return path


def test_convert_from_the_command_line(arrays, vocabulary, tmp_path):
    """An `.npz` becomes a folder that the Auto classes load and that answers."""
    checkpoint, output = tmp_path / "rmi.npz", tmp_path / "converted"
    np.savez(checkpoint, **arrays)
    command = ["convert", "rmi", str(checkpoint), "--vocabulary", str(vocabulary), "--output", str(output)]
    assert main(command) == 0
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    inputs = processor(images=np.zeros((30, 40, 3), np.uint8), text=["red dog"])
    assert inputs["input_ids"].tolist() == [[4, 5]]
    with torch.no_grad():
        assert model(**inputs).logits.shape == (1, 320, 320)
    assert main(command) == 2, "an existing folder is not overwritten"


def test_gates_biases_and_colors_are_reordered(arrays):
    arrays = dict(arrays)
    name = f"text_objseg/RNN/ALSTM/{CELL}/bias"
    arrays[name] = np.repeat(np.arange(4, dtype=np.float32), HIDDEN)  # input, candidate, forget, output
    arrays["ResNet/group_1/conv1/DW"] = np.broadcast_to(np.arange(3, dtype=np.float32)[:, None], (7, 7, 3, 64))
    model = load_original(arrays)
    bias = model.multimodal_lstm.visual_gates.bias.view(4, HIDDEN)
    assert bias[:, 0].tolist() == [0, 2 + 1, 1, 3], "input, forget with its bias of 1, candidate, output"
    assert model.backbone.stem.convolution.weight[0, :, 0, 0].tolist() == [2, 1, 0], "BGR became RGB"


def test_deeplab_statistics_are_divided_by_their_factor():
    arrays = rmi_arrays("DeepLab")
    for name, array in arrays.items():
        if name.endswith(("/mean", "/variance")):
            array[:] = 3
        elif name.endswith("/factor"):
            array[:] = 2
    model = load_original(arrays)
    assert model.backbone.stem.normalization.running_mean[0] == 1.5
    assert model.backbone.stages[3][2].expand.normalization.running_var[0] == 1.5


def test_optimizer_slots_are_ignored_and_nothing_else(arrays):
    slots = {f"text_objseg/text_objseg/embedding/{slot}": np.zeros(1) for slot in ("Adam", "Adam_1")}
    slots |= {"text_objseg/beta1_power": np.zeros(()), "text_objseg/Variable": np.zeros(())}
    load_original({**arrays, **slots})
    with pytest.raises(ValueError, match="1 unknown array: text_objseg/conv9/DW"):
        load_original({**arrays, "text_objseg/conv9/DW": np.zeros(1)})
    incomplete = {name: array for name, array in arrays.items() if "group_4_22/block_2" not in name}
    with pytest.raises(ValueError, match="5 missing arrays: ResNet/group_4_22/block_2/bn/beta"):
        load_original(incomplete)


def test_other_systems_are_recognized(arrays):
    baseline = {name: array for name, array in arrays.items() if "ALSTM" not in name}
    with pytest.raises(ValueError, match="convert it as lstm-cnn"):
        load_original({**baseline, "text_objseg/conv1/DW": np.zeros(1)})
    with pytest.raises(ValueError, match="exactly one of ResNet.* and DeepLab"):
        load_original({"a/b": np.zeros(1)})


def test_a_vocabulary_of_another_checkpoint_is_refused(arrays, vocabulary, tmp_path):
    vocabulary.write_text("\n".join([*WORDS, "cat"]) + "\n")
    with pytest.raises(ValueError, match=f"has {VOCAB_SIZE + 1} lines and the checkpoint's embedding {VOCAB_SIZE}"):
        convert(arrays, vocabulary, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()
