"""How the weights of a graph are stored: as they are, or in fewer bytes, from which they are unpacked when it is
loaded. What is computed stays float32."""

from pathlib import Path

import numpy as np

STORED_AS = ("float32", "float16", "int8")
SMALLEST = 1024  # numbers; biases and the like stay as they are


def store_weights(path: Path, weights: str) -> None:
    """
    Rewrite a graph with its weights stored in another way.

    Args:
        path: of the `.onnx` file, which is replaced.
        weights: "float32" changes nothing; "float16" rounds each weight; "int8" rounds each to one of 255 steps
            between the extremes of its output channel.
    """
    if weights == "float32":
        return
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    graph, unpacking, kept = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST:
            kept.append(tensor)
            continue
        packed, nodes = (as_float16 if weights == "float16" else as_int8)(tensor.name, values)
        kept += packed
        unpacking += nodes
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*unpacking, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def as_float16(name: str, values: np.ndarray) -> tuple[list, list]:
    """The tensors to store, and the nodes that unpack them under `name`."""
    from onnx import TensorProto, helper, numpy_helper

    packed = numpy_helper.from_array(values.astype(np.float16), f"{name}_float16")
    return [packed], [helper.make_node("Cast", [packed.name], [name], to=TensorProto.FLOAT)]


def as_int8(name: str, values: np.ndarray) -> tuple[list, list]:
    """As [`as_float16`]; one scale per slice along the first axis."""
    from onnx import helper, numpy_helper

    rows = values.reshape(len(values), -1)
    scale = np.maximum(np.abs(rows).max(1) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    steps = np.rint(rows / scale[:, None]).astype(np.int8).reshape(values.shape)
    packed = [numpy_helper.from_array(steps, f"{name}_int8"), numpy_helper.from_array(scale, f"{name}_scale")]
    names = [one.name for one in packed]
    return packed, [helper.make_node("DequantizeLinear", names, [name], axis=0)]
