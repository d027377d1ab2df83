import numpy as np
import pytest

from hf_refseg.onnx_graphs.weights import store_weights

onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")


@pytest.fixture
def product(tmp_path):
    """A graph that multiplies by 40 x 50 weights and adds a bias; the file and its inputs."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(40, 50)).astype(np.float32), rng.normal(size=50).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"]), helper.make_node("Add", ["y", "bias"], ["z"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 40])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 50])
    tensors = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(nodes, "product", [x], [z], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "product.onnx")
    return tmp_path / "product.onnx", rng.normal(size=(3, 40)).astype(np.float32)


def run(path, x):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


@pytest.mark.parametrize(("weights", "most", "share"), [("float16", 0.01, 0.6), ("int8", 0.2, 0.35)])
def test_weights_are_rounded_and_take_less_room(product, weights, most, share):
    path, x = product
    expected, size = run(path, x), path.stat().st_size
    store_weights(path, weights)
    assert 0 < np.abs(run(path, x) - expected).max() < most
    assert path.stat().st_size < share * size
    stored = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert "bias" in stored  # small ones stay as they are


def test_float32_changes_nothing(product):
    path, _ = product
    before = path.read_bytes()
    store_weights(path, "float32")
    assert path.read_bytes() == before


def test_a_channel_of_zeros_stays_zero(product):
    from onnx import numpy_helper

    path, x = product
    model = onnx.load(path)
    (tensor,) = (one for one in model.graph.initializer if one.name == "weights")
    tensor.CopyFrom(numpy_helper.from_array(np.zeros((40, 50), np.float32), "weights"))
    onnx.save(model, path)
    expected = run(path, x)
    store_weights(path, "int8")
    np.testing.assert_array_equal(run(path, x), expected)
