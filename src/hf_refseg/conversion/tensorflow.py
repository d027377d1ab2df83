"""Reading the originals' TensorFlow checkpoints, and their layouts of kernels and gates brought into torch's."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .sources import Arithmetic, Source, read_npz


def read_arrays(checkpoint: Mapping[str, np.ndarray] | str | Path) -> Mapping[str, np.ndarray]:
    """
    The named arrays of an original checkpoint.

    Args:
        checkpoint: a mapping of arrays, an `.npz` file, or a TensorFlow checkpoint: a V1 `.tfmodel` file, or the
            prefix of a V2 one (`name` where `name.index` exists; the `.index` file itself is accepted too). TensorFlow
            is needed only for these last (`pip install hf-refseg[convert]`).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is neither an `.npz` nor a TensorFlow checkpoint, or holds pickled objects.
        ImportError: TensorFlow is needed and absent.
    """
    if isinstance(checkpoint, Mapping):
        return checkpoint
    path = Path(checkpoint)
    prefix = path.with_suffix("") if path.suffix == ".index" else path
    if not path.is_file() and not Path(f"{prefix}.index").is_file():
        raise FileNotFoundError(
            f"no checkpoint at {path}: expected an .npz file, a V1 .tfmodel file, or the prefix of {path}.index"
        )
    if path.suffix == ".npz":
        return read_npz(path)
    try:
        from tensorflow.train import load_checkpoint
    except ImportError as error:
        raise ImportError(
            f"reading the TensorFlow checkpoint {path} needs TensorFlow: pip install 'hf-refseg[convert]', "
            "or save its arrays as an .npz elsewhere"
        ) from error
    try:
        reader = load_checkpoint(str(prefix))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except Exception as error:  # TensorFlow raises its own kinds, which cannot be named without importing it
        raise ValueError(f"{path} is not a TensorFlow checkpoint TensorFlow can read: {error}") from error


def convolution(kernel: np.ndarray) -> np.ndarray:
    """TensorFlow's (kh, kw, in, out) to torch's (out, in, kh, kw)."""
    return kernel.transpose(3, 2, 0, 1)


def dense_as_convolution(side: int) -> Callable[[np.ndarray], np.ndarray]:
    """A dense (side * side * in, out) layer over a flattened map, as an (out, in, side, side) kernel."""

    def build(kernel: np.ndarray) -> np.ndarray:
        return convolution(kernel.reshape(side, side, -1, kernel.shape[-1]))  # (s * s * in, out) -> (s, s, in, out)

    return build


def reorder_gates(array: np.ndarray) -> np.ndarray:
    """From BasicLSTMCell's (input, candidate, forget, output) to torch's (input, forget, candidate, output)."""
    input_gate, candidate, forget_gate, output_gate = np.split(array, 4, axis=-1)
    return np.concatenate([input_gate, forget_gate, candidate, output_gate], axis=-1)


def lstm_rows(*ranges: tuple[int, int | None]) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of a BasicLSTMCell kernel (in + D, 4D) as a torch weight (4D, rows)."""

    def build(kernel: np.ndarray) -> np.ndarray:
        rows = np.concatenate([kernel[start:stop] for start, stop in ranges])
        return reorder_gates(rows).T  # (rows, 4D) -> (4D, rows)

    return build


def _add_to_forget_gates(bias: np.ndarray, value: int) -> np.ndarray:
    bias, hidden_size = bias.copy(), len(bias) // 4
    bias[hidden_size : 2 * hidden_size] += value
    return bias


# BasicLSTMCell adds 1 to its forget gates at run time; our bias has it.
FORGET_BIAS = Arithmetic(lambda bias: _add_to_forget_gates(bias, 1), lambda bias: _add_to_forget_gates(bias, -1))


def lstm_bias_source(name: str) -> Source:
    """Source of the bias (4D,) of a torch LSTM from a BasicLSTMCell's."""
    return Source((name,), reorder_gates, FORGET_BIAS)


def word_lstm_sources(prefix: str, kernel: str, bias: str, input_size: int) -> dict[str, Source]:
    """Sources of a [`WordLstm`] called `prefix` from a BasicLSTMCell's kernel and bias."""
    return {
        f"{prefix}.weight_ih": Source((kernel,), lstm_rows((0, input_size))),
        f"{prefix}.weight_hh": Source((kernel,), lstm_rows((input_size, None))),
        f"{prefix}.bias": lstm_bias_source(bias),
    }
