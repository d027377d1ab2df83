import numpy as np
import pytest

from hf_refseg.conversion.tensorflow import dense_as_convolution, lstm_bias_source, lstm_rows, read_arrays


def test_npz_and_mappings(tmp_path):
    arrays = {"scope/DW": np.arange(6.0).reshape(2, 3)}
    assert read_arrays(arrays) is arrays
    np.savez(tmp_path / "checkpoint.npz", **arrays)
    np.testing.assert_array_equal(read_arrays(tmp_path / "checkpoint.npz")["scope/DW"], arrays["scope/DW"])


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an .npz file"):
        read_arrays(tmp_path / "absent.tfmodel")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ValueError, match="broken.npz is not a readable .npz"):
        read_arrays(tmp_path / "broken.npz")
    np.savez(tmp_path / "pickled.npz", evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickled.npz is not a readable .npz of plain arrays"):
        read_arrays(tmp_path / "pickled.npz")


def test_tensorflow_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    (tmp_path / "model.tfmodel").write_bytes(b"")
    with pytest.raises(ImportError, match=r"hf-refseg\[convert\]"):
        read_arrays(tmp_path / "model.tfmodel")


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_tensorflow_checkpoints(tmp_path, version):
    tensorflow = pytest.importorskip("tensorflow", reason="reading TensorFlow checkpoints needs the extra `convert`")
    v1 = tensorflow.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        v1.get_variable("text_objseg/conv2/DW", initializer=np.arange(6, dtype=np.float32).reshape(2, 3))
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=getattr(v1.train.SaverDef, version))
        path = saver.save(session, str(tmp_path / "model.tfmodel"), write_meta_graph=False)
    arrays = read_arrays(path)
    np.testing.assert_array_equal(arrays["text_objseg/conv2/DW"], np.arange(6).reshape(2, 3))
    if version == "V2":
        assert set(read_arrays(f"{path}.index")) == set(arrays)
    (tmp_path / "noise.tfmodel").write_bytes(b"noise")
    with pytest.raises(ValueError, match="is not a TensorFlow checkpoint"):
        read_arrays(tmp_path / "noise.tfmodel")


def test_lstm_layout():
    kernel = np.arange(3 * 8, dtype=np.float32).reshape(3, 8)  # 3 rows, state of 2: columns i i j j f f o o
    assert lstm_rows((1, None))(kernel)[:, 0].tolist() == [8, 9, 12, 13, 10, 11, 14, 15]
    assert lstm_bias_source("bias").make({"bias": kernel[0]}).tolist() == [0, 1, 5, 6, 2, 3, 6, 7]


def test_dense_layers_keep_their_spatial_order():
    dense = np.arange(2 * 2 * 3 * 5, dtype=np.float32).reshape(12, 5)  # rows run over height, width, channels
    maps = np.random.default_rng(0).standard_normal((2, 2, 3)).astype(np.float32)
    kernel = dense_as_convolution(2)(dense)
    np.testing.assert_allclose((kernel * maps.transpose(2, 0, 1)).sum((1, 2, 3)), maps.reshape(-1) @ dense, rtol=1e-5)
