import pytest

gr = pytest.importorskip("gradio", reason="pip install -e '.[space]'")

import app  # noqa: E402
from choices import choices  # noqa: E402
from errors import told  # noqa: E402


def test_messages_are_text_and_never_html():
    message = str(told(ValueError("no <script>alert(1)</script> here")).message)
    assert message == "no &lt;script&gt;alert(1)&lt;/script&gt; here"


def test_errors_of_visitors_become_messages():
    with pytest.raises(gr.Error, match="There is no photo yet"):
        app.segment_photo(None, "the cat")
    with pytest.raises(gr.Error, match="no system 'sam3'"):
        app.segment_photo(object(), "the cat", system="sam3")


def test_the_page_has_one_public_endpoint_with_typed_arguments():
    public = [one for one in app.build().fns.values() if one.api_visibility == "public"]
    assert [one.api_name for one in public] == ["segment"]
    assert set(app.segment_photo.__annotations__) == {
        "photo",
        "expressions",
        "system",
        "threshold",
        "sharpen",
        "return",
    }
    for argument in public[0].inputs:
        assert argument.label


def test_nothing_is_reported():
    assert not app.build().analytics_enabled


def test_all_systems_answer_one_after_the_other(scene):
    pages = list(app.compare(scene, "the red circle"))
    assert [page.count("<section>") for page in pages] == list(range(len(choices()) + 1))
    assert choices()[1].name in pages[1] and "looks at it" not in pages[-1]
    with pytest.raises(gr.Error, match="Type what to find"):
        next(app.compare(scene, " "))
