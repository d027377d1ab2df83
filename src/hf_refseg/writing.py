"""Files and folders that appear whole or not at all, even where the disk is full or the power fails."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

CUT_ARCHIVE = ("failed writing file", ". unexpected pos ")  # how torch.save says that a disk took no more
PATIENCE = 10  # seconds for which a killed command may keep its folder, until its workers have noticed


def write_whole(path: str | Path, save: Callable[[str], None]) -> None:
    """
    Write a file beside `path` and rename it: whoever reads `path` sees the old file or the whole new one.

    Args:
        path: the file; one that is there is replaced.
        save: writes the file whose name it is given, which ends as `path` does.

    Raises:
        OSError: it cannot be written; where the disk is full, the message names it.
    """
    path = Path(path)
    with naming_the_disk(path):
        handle, temporary = tempfile.mkstemp(suffix=path.suffix, dir=path.absolute().parent)
        os.close(handle)
        try:
            save(temporary)
            flush(temporary)
            os.chmod(temporary, 0o644)  # mkstemp lets only its owner read
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def write_text(path: str | Path, text: str) -> None:
    """A text file in UTF-8, as [`write_whole`] writes."""
    write_whole(path, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def write_folder(folder: str | Path, save: Callable[[Path], None]) -> None:
    """
    Write files into a new folder and move them to `folder`, where files of the same names are replaced.

    Args:
        folder: made where it is not there.
        save: writes files into the folder that it is given.

    Raises:
        NotADirectoryError: there is a file of this name.
        OSError: as [`write_whole`].
    """
    folder = Path(folder)
    require_place(folder)
    with naming_the_disk(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.absolute().parent) as temporary:
            save(Path(temporary))
            files = [path for path in sorted(Path(temporary).rglob("*")) if path.is_file()]
            for path in files:
                flush(path)
            for path in files:
                target = folder / path.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)


def require_new(output: str | Path) -> None:
    """
    Raises:
        FileExistsError: the folder to be written is there already.
        NotADirectoryError: it would lie in a file.
    """
    if os.path.lexists(output):  # a link to nothing would be in the way, too
        raise FileExistsError(f"{output} exists: choose a new folder, or remove it first")
    require_place(output)


def require_place(folder: str | Path) -> None:
    """Raises NotADirectoryError where a folder can't be, before any work is done: it is a file, or would lie in one."""
    path = Path(folder).absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{folder} can't be a folder: {there} is a file; name another place")


@contextlib.contextmanager
def new_folder(output: str | Path, kind: str) -> Iterator[Path]:
    """
    A folder to fill, which becomes `output` once all of it is written. What a killed command left of it is removed.

    Args:
        output: where nothing is yet.
        kind: "fine-tuning", "export", ..., for messages.

    Raises:
        FileExistsError: something is there, or another command is making it right now.
        NotADirectoryError: it would lie in a file.
        OSError: as [`write_whole`].
    """
    output = Path(output)
    require_new(output)
    place = output.absolute().with_name(f".{output.name}.partial")
    with naming_the_disk(output), claimed_folder(place, kind, "output"):
        try:
            require_new(output)  # another command may have made it meanwhile
            for left in place.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
            folder = place / output.name
            folder.mkdir()
            yield folder
            for path in folder.rglob("*"):
                if path.is_file():
                    flush(path)
            folder.rename(output)
        finally:
            shutil.rmtree(place, ignore_errors=True)  # Windows keeps the open file of the claim


@contextlib.contextmanager
def naming_the_disk(path: str | Path) -> Iterator[None]:
    """Errors of a full disk, which say neither the file nor the disk, say both."""
    try:
        yield
    except Exception as error:
        # libraries that write through Rust or C raise a class of their own with the system's words in it
        full = [code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(code) in str(error)]
        if any(words in str(error) for words in CUT_ARCHIVE):
            full.append(errno.ENOSPC)
        if not full:
            raise
        place = next(parent for parent in (Path(path).absolute(), *Path(path).absolute().parents) if parent.exists())
        free = os.statvfs(place)
        raise OSError(
            full[0],
            f"{path} cannot be written: {os.strerror(full[0]).lower()} ({free.f_bavail * free.f_frsize / 1e6:,.0f} MB "
            f"are free on the disk of {place}); make room, or write elsewhere",
        ) from error


def flush(path: str | Path) -> None:
    """Writes a file to the disk itself: after a power cut it may be empty otherwise, even under its last name."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def claimed_folder(folder: str | Path, kind: str, option: str) -> Iterator[None]:
    """
    Keeps every other command of a kind out of a folder. The system takes the claim back when the process ends, however
    it ends.

    Args:
        folder: made where it is not there.
        kind: "training" or "evaluation".
        option: of the command line, that names another folder.

    Raises:
        FileExistsError: another one writes there.
        NotADirectoryError: it is a file, or would lie in one.
    """
    require_place(folder)
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(folder) / f"_{kind}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise FileExistsError(
            f"another {kind} writes into {folder} right now: choose another {option}, or wait until it ends"
        ) from None
    try:
        yield
    finally:
        lock.release()
