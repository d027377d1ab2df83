import pytest

from hf_refseg.onnx_graphs.running import OnnxModel


def test_a_folder_without_graphs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"graphs.json is missing: `hf-refseg export onnx` writes it"):
        OnnxModel(tmp_path)
