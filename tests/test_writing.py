"""What is written is there whole or not at all, and a full disk is named."""

import errno
import os

import pytest

from hf_refseg import writing
from hf_refseg.writing import claimed_folder, naming_the_disk, write_folder, write_text, write_whole


def test_a_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail(temporary):
        with open(temporary, "w") as file:
            file.write("half")
        raise OSError("no reason")

    with pytest.raises(OSError, match="^no reason$"):
        write_whole(path, fail)
    assert path.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["a.json"]
    write_text(path, "new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o644


def test_a_folder_gets_all_of_its_files_or_none(tmp_path):
    folder = tmp_path / "new" / "model"

    def save(place):
        (place / "config.json").write_text("{}")
        (place / "parts").mkdir()
        (place / "parts" / "1.bin").write_bytes(b"1")

    def fail(place):
        (place / "config.json").write_text("half")
        raise KeyboardInterrupt

    write_folder(folder, save)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, fail)
    assert (folder / "config.json").read_text() == "{}"
    write_folder(folder, save)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"config.json", "parts/1.bin", "notes.txt"}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    with pytest.raises(NotADirectoryError, match="notes.txt is a file"):
        write_folder(folder / "notes.txt", save)


class ForeignError(Exception):
    """As safetensors raises one."""


@pytest.mark.parametrize("kind", [lambda text: OSError(errno.ENOSPC, text), ForeignError])
def test_a_full_disk_is_named(tmp_path, kind):
    with pytest.raises(OSError, match=r"a.bin cannot be written: no space left on device \(.* MB are free on the disk"):
        with naming_the_disk(tmp_path / "not" / "there" / "a.bin"):
            raise kind(os.strerror(errno.ENOSPC))
    with pytest.raises(ForeignError, match="else"):
        with naming_the_disk(tmp_path):
            raise ForeignError("else")


def test_a_second_training_in_one_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    with claimed_folder(tmp_path / "run", "training", "--output_dir"):
        with pytest.raises(FileExistsError, match="another training writes into .*run right now: choose another"):
            with claimed_folder(tmp_path / "run", "training", "--output_dir"):
                pass
        with claimed_folder(tmp_path / "other", "training", "--output_dir"):
            pass
        with claimed_folder(tmp_path / "run", "evaluation", "--output"):
            pass
    with pytest.raises(KeyError), claimed_folder(tmp_path / "run", "training", "--output_dir"):
        raise KeyError
    with claimed_folder(tmp_path / "run", "training", "--output_dir"):
        pass
