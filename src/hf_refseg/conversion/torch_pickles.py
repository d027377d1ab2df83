"""
Reading the originals' PyTorch checkpoints, whole pickled modules of Python 2 included, without running what is in them.

`torch.load` needs the classes of a pickled module. Here every class of theirs, and every one of `torch.nn`, becomes an
[`InertObject`] that keeps its state and does nothing; tensors are rebuilt by us from their bytes; anything else that a
pickle asks for is refused by name.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..pickles import UNREADABLE, PlainKeysUnpickler, check_keys
from .sources import read_npz, reason_of

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Modules whose classes and functions become inert; a name stands for what lies below it too.
INERT = ("layers", "torch.nn", "torch.autograd", "torch.backends.cudnn.rnn")
HARMLESS = {
    ("collections", "OrderedDict"): "ordered_dict",
    ("__builtin__", "set"): "list",
    ("builtins", "set"): "list",
    ("torch", "Size"): "list",
}
# Far beyond every published network; what is beyond these was made to fill memory or to never end.
DEEPEST_MODULE, MOST_TENSORS, MOST_SHARING = 64, 100_000, 8


class InertObject:
    """What a pickle wanted to make of a class that is not run: the arguments it gave and the state it set."""

    def __new__(cls, *arguments, **keywords):
        instance = super().__new__(cls)
        instance.arguments, instance.state = arguments, {}
        return instance

    def __init__(self, *arguments, **keywords):
        pass

    def __setstate__(self, state):
        self.state = state

    def __repr__(self):
        return f"<inert {type(self).__module__}.{type(self).__name__}>"


@dataclass
class Storage:
    """Bytes of one or more tensors; in the old format they come after the pickle that speaks of them."""

    dtype: torch.dtype
    size: int
    values: torch.Tensor | None = None

    def fill(self, data: bytes) -> None:
        expected = self.size * self.dtype.itemsize
        if len(data) != expected:
            raise ValueError(f"a tensor has {len(data)} bytes where {expected} were announced")
        self.values = torch.frombuffer(bytearray(data), dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)


@dataclass
class StoredTensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def load(self) -> torch.Tensor:
        """
        The tensor with memory of its own. Torch itself refuses views that reach beyond the storage.

        Raises:
            ValueError: the view has more elements than its storage, so that a small file would fill the memory.
        """
        if math.prod(self.size) > self.storage.size:
            raise ValueError(f"a tensor of {tuple(self.size)} is a view of only {self.storage.size} stored elements")
        return self.storage.values.as_strided(tuple(self.size), tuple(self.stride), self.offset).clone()


def tensor_builders() -> dict[str, Callable]:
    """
    What stands in for the functions of `torch._utils` that rebuild tensors, and for containers.

    A pickle can set attributes of whatever it is given, functions and classes included. So each file gets functions of
    its own, and what it does to them ends with it.
    """

    def rebuild_tensor(storage, offset, size, stride, *_):
        return StoredTensor(storage, offset, size, stride)

    def rebuild_parameter(tensor, *_):
        return tensor

    def make_list(values=()):
        return list(values)

    def make_ordered_dict(items=()):
        check_keys(key for key, _ in items)
        return OrderedDict(items)

    return {
        "list": make_list,
        "ordered_dict": make_ordered_dict,
        "_rebuild_tensor": rebuild_tensor,
        "_rebuild_tensor_v2": rebuild_tensor,
        "_rebuild_parameter": rebuild_parameter,
    }


class _InertUnpickler(PlainKeysUnpickler):
    """Makes tensors, containers, numbers and strings, and inert objects of the classes in `INERT`."""

    def __init__(self, stream, storages: dict[str, Storage]):
        super().__init__(stream, encoding="latin1")
        self.storages, self.builders = storages, tensor_builders()

    def find_class(self, module: str, name: str):
        if (module, name) in HARMLESS:
            return self.builders[HARMLESS[module, name]]
        if module == "torch._utils" and name in self.builders:
            return self.builders[name]
        if module in ("torch", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        if any(module == known or module.startswith(f"{known}.") for known in INERT):
            return type(name, (InertObject,), {"__module__": module})
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is neither a tensor nor a layer")

    def persistent_load(self, identity):
        kind, *rest = identity
        if kind == "module":  # a class with its source code, of which neither is used
            return rest[0]
        if kind != "storage":
            raise pickle.UnpicklingError(f"it asks for a persistent {kind!r}")
        dtype, key, _, size, *view = rest
        storage = self.storages.setdefault(str(key), Storage(dtype, size))
        if not view or view[0] is None:
            return storage
        raise pickle.UnpicklingError("it has storages that are views of others, as PyTorch before 0.2 wrote them")


def read_torch_file(path: str | Path):
    """
    What `torch.save` wrote to a file, by any version since 0.2, with tensors as [`StoredTensor`] and modules as
    [`InertObject`].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is cut off, was not written by `torch.save`, or asks for anything that could run; it is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with open(path, "rb") as stream:
            return _read_legacy(stream)
    except (*UNREADABLE, zipfile.BadZipFile, OSError) as error:
        raise ValueError(
            f"{path} is not a checkpoint that can be read ({reason_of(error)}); is it cut off, or not written by "
            "torch.save?"
        ) from error


def _read_zip(path: Path):
    storages = {}
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if archive.getinfo(pickled).compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{pickled} is compressed, which torch.save never does")
        with archive.open(pickled) as stream:
            content = _InertUnpickler(stream, storages).load()
        for key, storage in storages.items():
            member = archive.getinfo(f"{pickled.removesuffix('data.pkl')}data/{key}")
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed, which torch.save never does")
            storage.fill(archive.read(member))
    return content


def _read_legacy(stream):
    storages = {}
    magic_number, _version, system = (_InertUnpickler(stream, storages).load() for _ in range(3))
    if magic_number != MAGIC_NUMBER:
        raise ValueError("its magic number is another")
    if not system["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    content = _InertUnpickler(stream, storages).load()
    for key in _InertUnpickler(stream, storages).load():
        storage = storages[str(key)]
        if (size := int.from_bytes(stream.read(8), "little", signed=True)) != storage.size:
            raise ValueError(f"storage {key} has {size} elements where {storage.size} were announced")
        storage.fill(stream.read(size * storage.dtype.itemsize))
    return content


def state_dict_of(content) -> dict[str, np.ndarray]:
    """
    Named arrays of a state dict or of an inert module.

    Raises:
        ValueError: it is neither.
    """
    tensors = {}
    if isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(value, StoredTensor)}
    elif isinstance(content, InertObject):
        _collect(content, "", tensors)
    if not tensors:
        raise ValueError(f"a {type(content).__name__} without tensors is neither a state dict nor a module")
    stored = sum({id(value.storage): value.storage.size for value in tensors.values()}.values())
    wanted = sum(math.prod(value.size) for value in tensors.values())
    if wanted > MOST_SHARING * stored:
        raise ValueError(f"its tensors have {wanted:,} elements, but only {stored:,} are stored")
    return {name: value.load().float().numpy() for name, value in tensors.items()}


def _collect(module: InertObject, prefix: str, tensors: dict[str, StoredTensor], depth: int = 0) -> None:
    """Parameters and buffers below a pickled module, by the names its `state_dict` would give them."""
    if depth > DEEPEST_MODULE or len(tensors) > MOST_TENSORS:
        raise ValueError(f"its modules are nested {depth} deep and have {len(tensors)} tensors, as no network's are")
    if not isinstance(module.state, Mapping):
        return
    for kind in ("_parameters", "_buffers"):
        for name, value in (module.state.get(kind) or {}).items():
            if isinstance(value, InertObject) and value.arguments:  # PyTorch 0.2: Parameter(tensor)
                value = value.arguments[0]
            if isinstance(value, StoredTensor):
                tensors[prefix + name] = value
    for name, child in (module.state.get("_modules") or {}).items():
        if isinstance(child, InertObject):
            _collect(child, f"{prefix}{name}.", tensors, depth + 1)


def read_named_arrays(checkpoint: Mapping[str, np.ndarray] | str | Path, entry: str = "model") -> dict[str, np.ndarray]:
    """
    The named arrays of an original PyTorch checkpoint.

    Args:
        checkpoint: a mapping of arrays or tensors, an `.npz` or `.safetensors` file, or what `torch.save` wrote of a
            state dict, of a module, or of a dict that has one of them at `entry`.

    Raises:
        FileNotFoundError, ValueError: see [`read_torch_file`].
    """
    if isinstance(checkpoint, Mapping):
        return {name: np.asarray(value) for name, value in checkpoint.items()}
    path = Path(checkpoint)
    if path.suffix in (".npz", ".safetensors"):
        if not path.is_file():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        if path.suffix == ".npz":
            return read_npz(path)
        from safetensors.numpy import load_file

        try:
            return load_file(path)
        except Exception as error:  # safetensors has several error classes of its own
            raise ValueError(f"{path} is not a readable {path.suffix} of plain arrays: {error}") from error
    content = read_torch_file(path)
    if isinstance(content, Mapping) and entry in content:
        content = content[entry]
    try:
        return state_dict_of(content)
    except UNREADABLE as error:
        raise ValueError(f"{path}: {str(error) or type(error).__name__}") from error
