import pytest

from hf_refseg.onnx_graphs.running import OnnxModel


def test_a_folder_without_graphs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"graphs.json is missing: `hf-refseg export onnx` writes it"):
        OnnxModel(tmp_path)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("{", "graphs.json is damaged or cut off"),
        ("[]", "graphs.json lacks one of inputs, words, features"),
        ('{"inputs": []}', "graphs.json lacks one of inputs, words, features"),
        (
            '{"inputs": [], "words": [], "features": [], "outputs": [], "side_multiple": 1}',
            "image.onnx is damaged or cut off",
        ),
    ],
)
def test_damaged_files_are_named(tmp_path, description, message):
    pytest.importorskip("onnxruntime")
    (tmp_path / "graphs.json").write_text(description)
    for name in ("image.onnx", "expression.onnx"):
        (tmp_path / name).write_bytes(b"no graph")
    with pytest.raises(ValueError, match=message):
        OnnxModel(tmp_path)
