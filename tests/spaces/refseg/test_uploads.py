import base64
import os
import time
from pathlib import Path

import app
import gradio as gr
import pytest
from gradio.data_classes import ImageData
from PIL import Image
from uploads import delete_old, read_upload


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """The folder that Gradio keeps uploads in."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def test_photos_are_read_as_the_package_reads_them(uploads, cat):
    file = uploads / "turned.jpg"
    exif = Image.Exif()
    exif[274] = 6  # the camera was held upright
    cat.save(file, exif=exif)
    assert read_upload(ImageData(path=str(file))).size == (cat.height, cat.width)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"not a picture", "The file is not an image in a format"),
        ("gone.jpg", None, "the photo is not here any more: photos are deleted after 15 minutes"),
    ],
)
def test_what_is_no_photo_is_told(uploads, name, content, message):
    file = uploads / name
    if content:
        file.write_bytes(content)
    with pytest.raises(gr.Error, match=message):
        read_upload(ImageData(path=str(file)))


def test_nobody_reads_pictures_of_the_server(uploads, tmp_path, cat):
    private = tmp_path / "private.png"
    cat.save(private)
    addresses = [str(private), f"file://{private}", "http://127.0.0.1/private.png"]
    paths = [str(private), f"{uploads}/../private.png"]
    for payload in (*(ImageData(url=one) for one in addresses), *(ImageData(path=one) for one in paths)):
        with pytest.raises(gr.Error, match="There is no photo in this"):
            read_upload(payload)
    data = base64.b64encode(private.read_bytes()).decode()
    assert read_upload(ImageData(url=f"data:image/png;base64,{data}")).size == cat.size


def test_old_uploads_are_deleted_and_pictures_of_the_page_stay(tmp_path):
    page, (old, new, own) = app.build(), (tmp_path / name for name in ("old/a.jpg", "new/b.jpg", "own/c.jpg"))
    for file in (old, own):
        file.parent.mkdir()
        file.touch()
    next(iter(page.blocks.values())).keep_in_cache.add(str(own))
    time.sleep(1.1)
    new.parent.mkdir()
    new.touch()
    delete_old(page, tmp_path, 1)
    assert [old.exists(), new.exists(), own.exists()] == [False, True, True]


def test_the_examples_of_the_page_are_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = app.build()
    before = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert before
    delete_old(page, tmp_path, -1)
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == before


def test_gradio_writes_where_we_delete():
    assert gr.utils.get_upload_folder() == os.environ["GRADIO_TEMP_DIR"]
