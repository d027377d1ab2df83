"""MATLAB's files of version 5, as ReferIt's masks are: matrices of numbers, read without C code that a wrong byte ends.

The format is MathWorks' "MAT-File Level 5". A file is a header of 128 bytes and elements: a tag of 8 bytes, the type
and the number of bytes, and the data, padded to 8 bytes. A short element has its data in the tag.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HEADER = 128
INT8, UINT32, INT32, MATRIX, COMPRESSED = 1, 6, 5, 14, 15
DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # double to uint64; the others are cells, structures, objects, texts and sparse ones
MOST_BYTES = 1 << 26


def read_matrix(file: str | Path, name: str) -> np.ndarray:
    """
    The matrix of numbers that a file calls `name`, in the type that it is stored in.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is cut off, not of version 5, has no such matrix, or unpacks to more than a mask ever does.
    """
    data = Path(file).read_bytes()
    try:
        order = {b"IM": "<", b"MI": ">"}.get(data[HEADER - 2 : HEADER])
        if order is None:
            raise ValueError("it does not begin as a MATLAB file of version 5")
        for kind, content in elements(data[HEADER:], order):
            if kind == COMPRESSED:
                unpack = zlib.decompressobj()
                content = unpack.decompress(content, MOST_BYTES)
                if unpack.unconsumed_tail:
                    raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
                kind, content = next(elements(content, order), (0, b""))
            found = matrix(content, order) if kind == MATRIX else None
            if found is not None and found[0] == name:
                return found[1]
    except (ValueError, zlib.error, IndexError, StopIteration) as error:
        raise ValueError(
            f"{file} can't be read as a MATLAB file: {error or 'it is cut off'}. Unpack it again."
        ) from error
    raise ValueError(f"{file} has no {name}, so it is not a mask of ReferIt.")


def elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The type and the data of each element."""
    position = 0
    while position + 8 <= len(data):
        first, size = np.frombuffer(data, f"{order}u4", 2, position).tolist()
        if first >> 16:  # a short element: the size, the type, and up to four bytes of data
            kind, size, start = first & 0xFFFF, first >> 16, position + 4
            position += 8
        else:
            kind, start = first, position + 8
            position = start + size + (-size % 8 if kind != COMPRESSED else 0)
        if start + size > len(data) or (start == position - 4 and size > 4):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]


def matrix(data: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """The name and the numbers of a matrix; None where it holds no numbers, or complex ones."""
    parts = elements(data, order)
    (kind, flags), (_, sides), (_, name) = next(parts), next(parts), next(parts)
    word = np.frombuffer(flags, f"{order}u4", 1)[0] if kind == UINT32 else 0
    if int(word) & 0xFF not in NUMERIC_CLASSES or word & 0x0800:
        return None
    shape = np.frombuffer(sides, f"{order}i4").tolist()
    kind, numbers = next(parts)
    if kind not in DTYPES:
        raise ValueError(f"it stores numbers as type {kind}")
    values = np.frombuffer(numbers, order + DTYPES[kind])
    if min(shape, default=0) < 0 or len(shape) != 2 or shape[0] * shape[1] != len(values):
        raise ValueError(f"it has {len(values)} numbers for a matrix of {shape}")
    return name.decode("latin1"), values.reshape(shape, order="F")
