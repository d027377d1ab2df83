"""Original -> ours -> original, to the bit."""

import numpy as np
import pytest
import torch
from tiny import tiny_hulanet, tiny_mask_rcnn, tiny_mattnet, tiny_nanodet

from hf_refseg.cli import main
from hf_refseg.conversion.originals import original_arrays, write_arrays
from hf_refseg.conversion.sources import OPTIMIZER_SLOTS, Source, as_given
from hf_refseg.conversion.tensorflow import lstm_bias_source, read_arrays
from hf_refseg.conversion.torch_pickles import read_named_arrays
from hf_refseg.hub.originals import to_original
from hf_refseg.models.cac import convert_cac
from hf_refseg.models.lstm_cnn import convert_lstm_cnn
from hf_refseg.models.mask_rcnn import convert_mask_rcnn
from hf_refseg.models.mattnet.convert_mattnet import load_matching, matching_sources
from hf_refseg.models.mattnet.modeling_mattnet import MAttNetForReferringSegmentation
from hf_refseg.models.nanodet.convert_nanodet import STEM, load_original, nanodet_sources
from hf_refseg.models.rmi import convert_rmi
from tests.models.cac.test_convert_cac import make_arrays as cac_arrays
from tests.models.original_arrays import rmi_arrays
from tests.parity.golden_case import GoldenCase


def with_numbers(arrays: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Other numbers in arrays of the same names and shapes; small enough for a bias to lose bits where 1 is added."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.random(array.shape, np.float32) / 8 + name.endswith(("running_var", "factor"))
        for name, array in arrays.items()
    }


def assert_same(found: dict, expected: dict) -> None:
    assert set(found) == {name for name in expected if not OPTIMIZER_SLOTS.search(name)}
    for name, array in found.items():
        np.testing.assert_array_equal(array, np.asarray(expected[name], np.float32), err_msg=name)


def check_both_ways(load_original, arrays: dict[str, np.ndarray]) -> None:
    """With the checkpoint that it came from it is that checkpoint; with another one it is converted to the same."""
    model = load_original(arrays)
    assert_same(to_original(model, arrays), arrays)
    other = to_original(model, with_numbers(arrays, seed=1))
    tensors = load_original(other).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensors[name], tensor), name


@pytest.mark.parametrize("scope", ["ResNet", "DeepLab"])
def test_rmi(scope):
    """Its factors are those of `like`, as nothing of ours remembers them."""
    arrays = with_numbers(rmi_arrays(scope), seed=0)
    model = convert_rmi.load_original(arrays)
    assert_same(to_original(model, arrays), arrays)
    if scope == "ResNet":
        tensors = convert_rmi.load_original(to_original(model, with_numbers(arrays, seed=1))).state_dict()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())


def test_cac_and_its_detector():
    arrays = with_numbers(cac_arrays(), seed=0)
    check_both_ways(convert_cac.load_original, arrays)


def test_mattnet():
    """Its matching, and its detector, which are two checkpoints."""
    model = tiny_mattnet(vocab_size=8)
    matching, detector = model.matching.state_dict(), model.detector.state_dict()
    arrays = {
        source.names[0]: (matching[name][None] if "normalizer" in name else matching[name]).numpy()
        for name, source in matching_sources(model.config).items()
    }
    assert_same(to_original(model, with_numbers(arrays, seed=1)), arrays)
    arrays = {
        source.names[0]: source.build(detector[name].numpy())  # color channels are turned around twice
        for name, source in convert_mask_rcnn.mask_rcnn_sources(model.detector.config).items()
    }
    assert_same(to_original(model, with_numbers(arrays, seed=1)), arrays)


def test_nanodet():
    """Its mask head is ours, and stays here; the first kernel takes blue first again."""
    model = tiny_nanodet()
    tensors = model.state_dict()
    arrays = {
        source.names[0]: source.build(tensors[name].numpy()) for name, source in nanodet_sources(model.config).items()
    }
    back = to_original(model, with_numbers(arrays, seed=1))
    assert_same(back, arrays)
    np.testing.assert_array_equal(back[f"{STEM}.weight"][:, ::-1], tensors["backbone.stem.convolution.weight"])


@pytest.mark.slow
def test_the_published_nanodet(shared_dir):
    arrays = read_named_arrays(shared_dir / "data/nanodet_plus_m_coco/nanodet_plus_m_416.folded.fp16.safetensors")
    assert_same(to_original(load_original(arrays), arrays), arrays)


def test_mattnets_other_detector_is_named():
    model = tiny_mattnet(detector_config=tiny_nanodet().config, grid_size=6, region_size=8)
    with pytest.raises(ValueError, match="the detector of this model is a refseg_nanodet"):
        to_original(model, {"resnet.conv1.weight": np.zeros(3)})


def test_what_is_not_ours_is_kept_and_slots_are_not():
    sources = {"weight": Source(("w",), np.transpose), "bias": lstm_bias_source("b")}
    like = {"w": np.zeros((2, 3)), "b": np.full(4, 1e-9), "unused": np.ones(2), "w/Adam": np.ones(6)}
    ours = {"weight": torch.arange(6.0).reshape(3, 2), "bias": torch.tensor([1e-9, 1.0, 5.0, 7.0])}
    found = original_arrays(ours, sources, like, unused={"unused"})
    assert set(found) == {"w", "b", "unused"}
    assert found["w"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert found["b"].tolist() == [np.float32(1e-9), 5, np.float32(1e-9), 7], "1 is what 1e-9 becomes with 1 added"


def test_another_network_is_refused():
    ours = {"weight": torch.zeros(3)}
    sources = {"weight": Source(("w",), as_given)}
    with pytest.raises(ValueError, match=r"w has the shape \(4,\), which does not fit our weight of \(3,\)"):
        original_arrays(ours, sources, {"w": np.zeros(4)})
    with pytest.raises(ValueError, match="1 missing array: w; 1 unknown array: v"):
        original_arrays(ours, sources, {"v": np.zeros(3)})
    first = {"weight": Source(("w",), lambda array: array[0])}
    with pytest.raises(ValueError, match="our tensors do not fill w: the checkpoint is of a larger network"):
        original_arrays(ours, first, {"w": np.zeros((2, 3))})


def test_a_system_without_a_way_back_is_named():
    with pytest.raises(ValueError, match="no way back for refseg_hulanet; there is one for rmi, lstm_cnn, mask_rcnn"):
        to_original(tiny_hulanet(), {})


def test_files(tmp_path):
    arrays = {"a/b": np.arange(3, dtype=np.float32), "c": np.ones((2, 2), np.float32)}
    for name, read in (("x.npz", read_arrays), ("x.pth", read_named_arrays), ("x.safetensors", read_named_arrays)):
        write_arrays(arrays, tmp_path / name)
        assert_same(dict(read(tmp_path / name)), arrays)
    with pytest.raises(FileExistsError, match="choose a new file"):
        write_arrays(arrays, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="ends in none of .npz, .safetensors and .pth"):
        write_arrays(arrays, tmp_path / "x.h5")


def test_from_the_command_line(tmp_path, capsys):
    detector = tiny_mask_rcnn()
    detector.save_pretrained(tmp_path / "model")
    sources = convert_mask_rcnn.mask_rcnn_sources(detector.config)
    arrays = {source.names[0]: source.build(detector.state_dict()[name].numpy()) for name, source in sources.items()}
    np.savez(tmp_path / "like.npz", **with_numbers(arrays, seed=1))
    words = ["convert-back", str(tmp_path / "model"), "--like", str(tmp_path / "like.npz")]
    assert main([*words, "--output", str(tmp_path / "back.pth")]) == 0
    assert_same(read_named_arrays(tmp_path / "back.pth"), arrays)
    assert main([*words, "--output", str(tmp_path / "back.pth")]) == 2
    assert "choose a new file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "load_original"),
    [
        ("rmi/a/r_rmi", convert_rmi.load_original),
        ("rmi/a/d_rmi", convert_rmi.load_original),
        ("rmi/a/r_lstm", convert_lstm_cnn.load_original),
        ("rmi/a/d_lstm", convert_lstm_cnn.load_original),
        ("lstmcnn/a/seg", convert_lstm_cnn.load_original),
        ("lstmcnn/a/seg512", convert_lstm_cnn.load_original),
        ("lstmcnn/a/det", convert_lstm_cnn.load_original),
        ("cac/a", convert_cac.load_original),
    ],
)
def test_golden_checkpoints(shared_dir, case, load_original):
    arrays = GoldenCase(shared_dir / "golden" / case).checkpoint()
    assert_same(to_original(load_original(arrays), arrays), arrays)


@pytest.mark.slow
def test_golden_checkpoints_of_mattnet(shared_dir):
    case = GoldenCase(shared_dir / "golden" / "mattnet" / "a")
    detector = convert_mask_rcnn.load_original(case.checkpoint("tensors_detector"))
    matching = load_matching(case.checkpoint("tensors_matching"), detector_config=detector.config)
    model = MAttNetForReferringSegmentation.from_parts(detector, matching)
    for tensors in ("tensors_matching", "tensors_detector"):
        arrays = case.checkpoint(tensors)
        assert_same(to_original(model, with_numbers(arrays, seed=1) | unused(arrays)), arrays)


def unused(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original stores and never uses, which is as `like` has it."""
    return {name: arrays[name] for name in convert_mask_rcnn.UNUSED if name in arrays}
