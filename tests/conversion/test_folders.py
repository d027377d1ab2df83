"""Where a new folder may be written is said before any work is done."""

import pytest

from hf_refseg.conversion.folders import require_new


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
    with pytest.raises(NotADirectoryError, match=r"file/x.* can't be made: .*file is a file; name a folder"):
        require_new(tmp_path / name)
