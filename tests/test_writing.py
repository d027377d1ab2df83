"""What is written is there whole or not at all, and a full disk is named."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_refseg import writing
from hf_refseg.writing import (
    claimed_folder,
    naming_the_disk,
    new_folder,
    require_new,
    write_folder,
    write_text,
    write_whole,
)


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


def test_a_new_folder_may_lie_in_new_folders(tmp_path):
    require_new(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("", "link"):
        with pytest.raises(FileExistsError, match="exists: choose a new folder"):
            require_new(tmp_path / name)


@pytest.mark.parametrize("name", ["file/x", "file/x/y"])
def test_a_folder_in_a_file_is_refused_by_its_name(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file/x.* can't be a folder: .*file is a file; name"):
        require_new(tmp_path / name)
    with pytest.raises(NotADirectoryError, match="file is a file"), claimed_folder(tmp_path / name, "training", "--x"):
        pass


def test_a_new_folder_is_whole_or_not_there(tmp_path):
    output = tmp_path / "new" / "model"
    with pytest.raises(KeyboardInterrupt), new_folder(output, "export") as folder:
        (folder / "config.json").write_text("half")
        raise KeyboardInterrupt
    assert not list(output.parent.iterdir())
    with new_folder(output, "export") as folder:
        (folder / "config.json").write_text("{}")
        assert not output.exists()
    assert [path.name for path in output.parent.iterdir()] == ["model"]
    assert [path.name for path in output.iterdir()] == ["config.json"]


def test_what_a_killed_command_left_of_a_new_folder_is_removed(tmp_path):
    code = "import os, sys; from hf_refseg.writing import new_folder; folder = new_folder(sys.argv[1], 'export')"
    code += "; (folder.__enter__() / 'half').touch(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")]).returncode == 9
    assert not (tmp_path / "model").exists() and len(list(tmp_path.iterdir())) == 1
    with new_folder(tmp_path / "model", "export") as folder:
        (folder / "whole").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "whole"]


def test_two_commands_do_not_make_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE", 0)
    with new_folder(tmp_path / "model", "export"):
        with pytest.raises(FileExistsError, match="another export writes into .*model.*: choose another output"):
            with new_folder(tmp_path / "model", "export"):
                pass
    with pytest.raises(FileExistsError, match="model exists: choose a new folder"), new_folder(tmp_path / "model", "x"):
        pass


class ForeignError(Exception):
    """As safetensors raises one."""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_named_where_torch_tells_of_its_archive_alone(tmp_path):
    with pytest.raises(OSError, match="cannot be written: no space left"), naming_the_disk(tmp_path / "optimizer.pt"):
        torch.save(torch.zeros(10_000), "/dev/full")


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
