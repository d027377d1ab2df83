"""Reads the official files: JSON, JSON too large for memory, and pickles, without running anything in them."""

import codecs
import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..lfs_pointers import pointer_hint
from ..pickles import UNREADABLE, PlainKeysUnpickler, copy_plain
from .run_lengths import MOST_PIXELS

CHUNK_BYTES = 1 << 20
# No record of an official file comes near this size. Without a limit, a broken file would be read into memory whole.
LARGEST_RECORD = 1 << 26
# No picture of theirs is as wide or high, in pixels.
FARTHEST = 100_000
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(file: Path, kind: type, keys_are_ids: bool = False):
    """The content of a JSON file, which is a `kind` (list or dict).

    Args:
        keys_are_ids: refuse an object with the same key twice; a JSON reader would silently keep the last.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is cut off, not JSON, not UTF-8 or not a `kind`, or has an id twice.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing.")
    text, hook = read_text(file), partial(_unique_keys, file) if keys_are_ids else None
    try:
        content = json.loads(text, object_pairs_hook=hook)
    except _RepeatedKey:
        raise
    except (ValueError, RecursionError) as error:
        hint = pointer_hint(text[:100].encode(errors="replace")) or ". Is it cut off? Download it again."
        raise ValueError(f"{file} is not JSON: {error}{hint}") from error
    return _expect(content, kind, file)


class _RepeatedKey(ValueError):
    pass


def read_text(file: Path) -> str:
    """A text file in UTF-8, or in UTF-16 or UTF-32 as some programs of Windows write it.

    Raises ValueError, naming file and encoding, for what is none of these.
    """
    data = file.read_bytes()
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not a text in {encoding.upper()} ({error.reason} at byte {error.start}): save it in UTF-8, or, "
            "if it is an archive or was cut off, get it again"
        ) from error


def _unique_keys(file: Path, pairs: list[tuple[str, object]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        repeated = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        raise _RepeatedKey(
            f"{file} has the id {repeated[0]!r} twice ({len(repeated)} such ids): the first would be lost."
        )
    return record


def iterate_json_list(file: Path) -> Iterator[tuple[int, int, dict]]:
    """Records of a file that is one JSON list of objects, one at a time: (first byte, end byte, record).

    `json.loads` of the bytes in between gives the record again, so a reader can come back for a single one. Only one
    record and one chunk are in memory; PhraseCut's `refer_train.json` (344 MB) would take gigabytes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is cut off, not JSON, or not a list of objects; the message names the record.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing.")
    decode = json.JSONDecoder().raw_decode
    with open(file, "rb") as stream:
        text = _TextWindow(stream)
        number = 0
        try:
            if text.next_character() != "[":
                raise ValueError("it is not a JSON list")
            text.skip(1)
            while text.next_character() != "]":
                if number:
                    if text.next_character() != ",":
                        raise ValueError(f"{text.next_character()!r} stands where a comma or ] should be")
                    text.skip(1)
                if text.next_character() != "{":
                    raise ValueError(f"it holds {text.next_character()!r} where a {{...}} should begin")
                while True:
                    try:
                        record, end = decode(text.text, text.at)
                        break
                    except json.JSONDecodeError:
                        if len(text.text) - text.at > LARGEST_RECORD or not text.grow():
                            raise
                first = text.byte
                text.skip(end - text.at)
                yield first, text.byte, record
                number += 1
            text.skip(1)
            if text.next_character():
                raise ValueError("something follows its closing ]")
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{file} is cut off or broken at record number {number} (byte {text.byte}): {error}."
            ) from error


class _TextWindow:
    """The part of a UTF-8 file that is being read. Character `at` of `text` is at `byte` of the file."""

    def __init__(self, stream):
        self.stream, self.decoder = stream, codecs.getincrementaldecoder("utf-8")()
        self.text, self.at, self.byte = "", 0, len(codecs.BOM_UTF8)
        if stream.read(self.byte) != codecs.BOM_UTF8:  # which Windows adds
            self.byte = stream.seek(0)

    def grow(self) -> bool:
        chunk = self.stream.read(CHUNK_BYTES)
        self.text, self.at = self.text[self.at :] + self.decoder.decode(chunk, final=not chunk), 0
        return bool(chunk)

    def skip(self, characters: int) -> None:
        self.byte += len(self.text[self.at : self.at + characters].encode())
        self.at += characters

    def next_character(self) -> str:
        """The next character that is not white space; "" at the end of the file."""
        while True:
            self.skip(_SPACE.match(self.text, self.at).end() - self.at)
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""


def read_pickled_list(file: Path) -> list:
    """The list in a pickle of lists, dicts, numbers and strings. Nothing in the pickle can run.

    Python 2 wrote the official `refs(*).p`. Its byte strings are decoded as UTF-8 if they are UTF-8, and otherwise as
    latin-1, the usual way of reading these files. Nearly all of them are plain ASCII, which is both.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is cut off, not a pickle, not of a list, or asks for anything that could run.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing.")
    try:
        with open(file, "rb") as stream:
            content = _PlainUnpickler(stream, encoding="latin1").load()
        return copy_plain(_expect(content, list, file), _as_utf8)
    except UNREADABLE as error:
        raise ValueError(
            f"{file} is not a pickle of the REFER API ({str(error) or type(error).__name__}). Is it cut off? Download "
            "it again."
        ) from error


class _PlainUnpickler(PlainKeysUnpickler):
    """Reads lists, dicts, numbers and strings, as Python 2 wrote them into the official files, and can run nothing.
    Numbers of numpy, which users' own files have, become Python's."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.numpy = numpy_stand_ins()

    def find_class(self, module: str, name: str):
        if module.partition(".")[0] == "numpy" and name in self.numpy:
            return self.numpy[name]
        return super().find_class(module, name)


def numpy_stand_ins() -> dict[str, Callable]:
    """What stands in for the two functions that a pickled number of numpy asks for. They are made anew for each file,
    because a pickle can set attributes of whatever it is given."""

    class StandIn:
        def __init__(self, name: str, *_):
            self.name = str(name)

        def __setstate__(self, state):
            self.name = str(state[1]).replace("|", "") + self.name  # the byte order

    def scalar(kind: StandIn, data: bytes | str) -> int | float | bool | str:
        dtype = np.dtype(kind.name)
        if dtype.kind not in "biufU":
            raise ValueError(f"it holds a {dtype} of numpy, which is neither number nor text")
        data = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(data, dtype, count=1)[0].item()

    return {"dtype": StandIn, "scalar": scalar}


def _as_utf8(text: str) -> str:
    try:
        return text.encode("latin1").decode("utf-8")
    # The first is a unicode string of Python 2, which came through whole; the second is latin-1.
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text


def shown(value) -> str:
    """A value as messages show it: as it is written, and only its ends where it is long."""
    shorten = reprlib.Repr()
    shorten.maxlevel, shorten.maxstring, shorten.maxother = 2, 80, 80
    return shorten.repr(value)


def require(record: dict, fields: tuple[str, ...], where: str) -> None:
    """Raises ValueError that names `where`, the missing fields of a record, and the fields it has."""
    if not isinstance(record, dict):
        raise ValueError(f"{where} is a {type(record).__name__}, expected a dict with {list(fields)}.")
    missing = [field for field in fields if field not in record]
    if missing:
        raise ValueError(f"{where} lacks {missing}; it has {sorted(map(str, record))}.")


def check_numbers(value, count: int, where: str) -> None:
    """Raises ValueError that names `where` unless `value` is a list of `count` numbers that can be places in a picture.

    pycocotools reads what is not a number as some number, and a place that is far away crashes the process.
    """
    if not (
        isinstance(value, list)
        and len(value) == count
        and all(type(number) in (int, float) and -FARTHEST <= number <= FARTHEST for number in value)  # no bool
    ):
        raise ValueError(f"{where}: it is {shown(value)}, expected {count} numbers of at most {FARTHEST:,} pixels.")


def check_size(height, width, where: str) -> None:
    """Raises ValueError that names `where` for what is no size of a picture."""
    sides = height, width
    if not all(type(side) in (int, float) and side == side // 1 > 0 for side in sides):
        raise ValueError(f"{where}: its height and width are {shown(sides)}, expected whole numbers above 0.")
    if height * width > MOST_PIXELS:
        raise ValueError(f"{where}: its height and width are {sides}, more than {MOST_PIXELS:,} pixels.")


def as_id(value):
    """An id as the files of pandas and of spreadsheets have it, 11.0 or "11", as a number; others as they are."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else value


def by_id(records: list[dict], where: str, field: str = "id") -> dict:
    """Records by their id, which becomes a number where it can (`as_id`).

    Raises:
        ValueError: a record lacks the field, or two have the same id, and one would silently replace the other.
    """
    found = {}
    for number, record in enumerate(records):
        require(record, (field,), f"{where} number {number}")
        record[field] = as_id(record[field])
        if not isinstance(record[field], int | str):
            raise ValueError(f"{where} number {number}: its {field} is {shown(record[field])}, expected a number.")
        if record[field] in found:
            raise ValueError(f"{where}: {field} {record[field]} is there twice, second at number {number}.")
        found[record[field]] = record
    return found


def _expect(content, kind: type, file: Path):
    if not isinstance(content, kind):
        raise ValueError(f"{file} holds a {type(content).__name__} at its top, expected a {kind.__name__}.")
    return content
