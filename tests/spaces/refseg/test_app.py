import pytest

gr = pytest.importorskip("gradio", reason="pip install -e '.[space]'")

import app  # noqa: E402
from gradio.data_classes import ImageData  # noqa: E402


def test_messages_are_text_and_never_html():
    message = str(app.told(ValueError("no <script>alert(1)</script> here")).message)
    assert message == "no &lt;script&gt;alert(1)&lt;/script&gt; here"


def test_errors_of_visitors_become_messages():
    with pytest.raises(gr.Error, match="There is no photo yet"):
        app.answer_as_coco(None, "the cat")
    with pytest.raises(gr.Error, match="no system 'sam3'"):
        app.answer_as_coco(object(), "the cat", system="sam3")


def test_photos_are_read_as_the_package_reads_them(tmp_path, cat):
    file = tmp_path / "turned.jpg"
    exif = cat.getexif()
    exif[274] = 6  # the camera was held upright
    cat.save(file, exif=exif)
    assert app.read_upload(ImageData(path=str(file))).size == (cat.height, cat.width)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.jpg", b"not a picture", "The file is not an image in a format"),
        ("gone.jpg", None, "the photo is not here any more: photos are deleted after 15 minutes"),
    ],
)
def test_what_is_no_photo_is_told(tmp_path, name, content, message):
    file = tmp_path / name
    if content:
        file.write_bytes(content)
    with pytest.raises(gr.Error, match=message):
        app.read_upload(ImageData(path=str(file)))


def test_the_page_has_one_public_endpoint_with_typed_arguments():
    public = [one for one in app.build().fns.values() if one.api_visibility == "public"]
    assert [one.api_name for one in public] == ["segment"]
    assert set(app.answer_as_coco.__annotations__) == {
        "photo",
        "expressions",
        "system",
        "threshold",
        "sharpen",
        "return",
    }
    for argument in public[0].inputs:
        assert argument.label


def test_uploads_are_deleted_and_nothing_is_reported():
    page = app.build()
    assert page.delete_cache == (app.LOOK_FOR_OLD_FILES, app.KEEP_FILES)
    assert not page.analytics_enabled
