"""The Space as people meet it: in a browser, from a program, in a crowd, and under attack (`pytest -m browser`)."""

import ast
import base64
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from space import RunningSpace, crowd

from ..page_checks import Console, low_contrast, nameless, pixels_too_wide
from .test_segmenting import header_only

pytestmark = pytest.mark.browser

PATIENCE = 300_000  # ms; the machine may be busy
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The Space as the Hub would run it: prepared for publishing, with its own copy of the package."""
    import shutil

    from space import FOLDER

    from hf_refseg.hub.contents import KINDS

    prepared = tmp_path_factory.mktemp("prepared")
    for name, file in KINDS["space"].prepare(FOLDER, tmp_path_factory.mktemp("made"), "me/refseg", False).items():
        target = prepared / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    with RunningSpace(prepared, {"PYTHONPATH": ""}) as running:
        yield running


@pytest.fixture
def visit(browser, space):
    """Opens the page in a window of its own; a test fails where the console complains or another host is asked."""
    consoles, contexts = [], []

    def open_page(size: str = "desk", theme: str = "light"):
        width, height = SIZES[size]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        consoles.append(Console(page))
        page.goto(f"{space.url}/?__theme={theme}")
        page.wait_for_selector("#masks .mask")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [error for console in consoles for error in console.errors]
    assert not [url for console in consoles for url in console.foreign]


@pytest.fixture
def photo(tmp_path, cat) -> Path:
    cat.save(tmp_path / "cat.jpg")
    return tmp_path / "cat.jpg"


def upload(page, path: Path) -> None:
    """Takes the photo of the first tab away and gives another one."""
    remove = page.get_by_label("Remove Image").first
    if remove.count():
        remove.click()
    page.locator("input[type=file]").first.set_input_files(str(path))


def segment(page, expressions: str) -> None:
    page.locator("#expressions textarea").fill(expressions)
    page.locator("#segment").click()


def picture(page, name: str) -> None:
    """Keeps a picture of the whole page where `HF_REFSEG_SCREENSHOTS` names a folder."""
    if folder := os.environ.get("HF_REFSEG_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_visit(visit, photo, tmp_path):
    """Upload, two expressions, two masks; another system; all systems; and a text that is called .jpg."""
    page = visit()
    upload(page, photo)
    segment(page, "the whyte cat\nthe kitten")
    page.wait_for_selector("#masks .label.l1:has-text('the kitten')")
    assert page.locator("#masks .mask").count() == 2
    assert page.locator("#masks mark").first.text_content() == "whyte"
    page.locator("#masks .label.l1").hover()
    page.wait_for_function("getComputedStyle(document.querySelector('#masks .mask.m0')).opacity == 0")
    picture(page, "two-masks")

    page.get_by_role("tab", name="Cut-outs and downloads").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="All masks as COCO JSON").click()
    assert started.value.suggested_filename == "masks-coco.json"
    picture(page, "cut-outs")

    page.locator("#system input").click()
    page.get_by_role("option", name="refseg-shapes-mattnet (drawn shapes)").click()
    page.wait_for_selector("#masks .aside:has-text('refseg-shapes-mattnet')")

    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Take a drawn scene").click()
    page.wait_for_function(
        "!['', 'the whyte cat'].includes(document.querySelector('#question :is(input, textarea)').value)"
    )
    page.get_by_role("button", name="Ask all systems").click()
    page.wait_for_selector("#compared section:nth-child(4)")
    picture(page, "compare")

    page.get_by_role("tab", name="Photo").click()
    text = tmp_path / "text.jpg"
    text.write_text("this is not a picture")
    upload(page, text)
    page.get_by_text("The file is not an image in a format").wait_for()
    title = page.locator(".toast-title").first.evaluate("title => getComputedStyle(title, '::before').content")
    assert title == '"That did not work"'  # not Gradio's "Error"
    picture(page, "error")
    segment(page, "the cat")  # what is no photo was taken away
    page.get_by_text("There is no photo yet").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_tab_is_readable(visit, size, theme):
    """No sideways scrolling, enough contrast, names for pictures and buttons; a picture of each tab."""
    page = visit(size, theme)
    page.get_by_role("button", name="Settings").click()
    found = {}
    for tab, ready in {
        "Photo": "#masks .mask",
        "Shapes": "#scene .mask",
        "Compare": "#compared",
        "About": "table.systems",
    }.items():
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_selector(ready, state="attached")
        page.wait_for_timeout(500)
        picture(page, f"{tab.lower()}-{size}-{theme}")
        found[tab] = [*low_contrast(page), *nameless(page), *(["too wide"] if pixels_too_wide(page) else [])]
    assert found == {tab: [] for tab in found}


def test_the_keyboard_reaches_everything(visit):
    """In the order in which it stands on the page, and Enter does what a click does."""
    page = visit()
    page.locator("#expressions textarea").fill("the cup")
    page.locator("#expressions textarea").focus()
    marks = {"segment": "#segment", "system": "#system", "example": "#examples", "label": "#masks", "tab": "[role=tab]"}
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        for name, place in marks.items():
            inside = f"document.activeElement.closest('{place}') !== null"
            if name not in reached and page.evaluate(inside):
                reached.append(name)
    assert reached == list(marks)
    page.locator("#segment").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#masks .label').length == 1")


def test_examples_are_answered(visit):
    page = visit()
    page.locator("#examples button").nth(1).click()
    page.wait_for_selector("#masks .label:has-text('the cat')")
    assert page.locator("#expressions textarea").input_value() == "the cat"


def test_a_phone_goes_to_the_masks(visit):
    page = visit("phone")
    page.locator("#segment").click()
    page.wait_for_function("Math.abs(document.querySelector('#masks').getBoundingClientRect().top) < 40")


def test_a_program_asks(space, photo):
    from gradio_client import handle_file

    coco = space.client().predict(
        photo=handle_file(str(photo)), expressions="the cat\nthe kitten", threshold=0.5, api_name="/segment"
    )
    assert [one["name"] for one in coco["categories"]] == ["the cat", "the kitten"]
    assert len(coco["annotations"]) == 2
    with Image.open(photo) as image:
        assert (coco["images"][0]["width"], coco["images"][0]["height"]) == image.size


@pytest.fixture
def assistant(space):
    """Does something by the Model Context Protocol, as an assistant would: `assistant(lambda session: ...)`."""
    pytest.importorskip("mcp", reason="pip install 'gradio[mcp]'")
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    def talk(do, url=space.url):
        async def connect():
            async with streamable_http_client(f"{url}/gradio_api/mcp/") as (receive, send, _):
                async with ClientSession(receive, send) as session:
                    await session.initialize()
                    return await do(session)

        with ThreadPoolExecutor(1) as threads:  # Playwright runs an event loop in this one
            return threads.submit(asyncio.run, connect()).result()

    return talk


def as_text(photo: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()


def test_assistants_find_the_endpoint_as_a_tool(assistant):
    (tool,) = assistant(lambda session: session.list_tools()).tools
    assert tool.name == "segment_photo"
    assert "Segments what expressions refer to" in tool.description
    assert list(tool.inputSchema["properties"]) == ["photo", "expressions", "system", "threshold", "sharpen"]
    assert tool.inputSchema["properties"]["expressions"]["description"].startswith("what to find, one expression per")
    assert "default" not in tool.inputSchema["properties"]["photo"]


def test_assistants_get_masks_and_messages(assistant, photo):
    asked = {"photo": as_text(photo), "expressions": "the cat\na zebra"}
    answer = assistant(lambda session: session.call_tool("segment_photo", asked))
    assert not answer.isError
    coco = ast.literal_eval(answer.content[0].text)  # Gradio writes a dict as Python does
    assert [one["name"] for one in coco["categories"]] == ["the cat", "a zebra"]
    assert coco["annotations"][0]["segmentation"]["size"] == [300, 451]
    refused = assistant(lambda session: session.call_tool("segment_photo", asked | {"expressions": "x" * 5000}))
    assert refused.isError
    assert "An expression has 5,000 characters" in refused.content[0].text


@pytest.mark.parametrize(
    ("name", "content", "expressions", "message"),
    [
        ("bomb.png", header_only(60_000, 60_000), "the cat", "pixels"),
        ("text.jpg", b"not a picture", "the cat", "not an image"),
        (None, None, "x" * 5000, "5,000 characters"),
        (None, None, EVIL, None),
    ],
    ids=["bomb", "text", "long", "script"],
)
def test_attacks_are_refused(space, photo, tmp_path, name, content, expressions, message):
    """By a message, or by an answer in which what was sent is text."""
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    if name:
        photo = tmp_path / name
        photo.write_bytes(content)
    arguments = {"photo": handle_file(str(photo)), "expressions": expressions, "api_name": "/segment"}
    if message:
        with pytest.raises(AppError, match=message):
            space.client().predict(**arguments)
    else:
        assert space.client().predict(**arguments)["categories"][0]["name"] == expressions


@pytest.mark.parametrize("key", ["path", "url"])
def test_nobody_reads_pictures_of_the_server(space, photo, key):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="There is no photo in this"):
        space.client().predict(photo={key: str(photo)}, expressions="the cat", api_name="/segment")


def test_large_uploads_are_refused(space, tmp_path):
    from gradio_client import handle_file

    large = tmp_path / "large.png"
    large.write_bytes(header_only(100, 100) + bytes(50_000_000))
    before = space.megabytes()
    with pytest.raises(Exception, match="413|size|Too Large"):
        space.client().predict(photo=handle_file(str(large)), expressions="the cat", api_name="/segment")
    assert space.megabytes() < before + 100


def test_what_visitors_write_is_never_run(visit, photo):
    evil = photo.with_name("<img src=x onerror=window.hacked=1>.jpg")
    photo.rename(evil)
    page = visit()
    upload(page, evil)
    segment(page, f"{EVIL}\nthe cat")
    page.wait_for_selector("#masks .label.l0:has-text('onerror')")
    page.wait_for_selector("#masks .mask.m1")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    assert EVIL in page.locator("#masks .label.l0 strong").text_content()


def test_twenty_people_at_once(space, photo):
    """For a minute: nobody gets an error, and the memory stays."""
    crowd(space.url, photo, clients=4, seconds=10)
    before = space.megabytes()
    figures = crowd(space.url, photo, clients=20, seconds=60)
    after = space.megabytes()
    told = {**figures, "before_mb": round(before), "after_mb": round(after), "peak_mb": round(space.megabytes("VmHWM"))}
    print(told)  # noqa: T201
    assert not figures["errors"]
    assert figures["answers"] >= 20
    assert after < before + 150
    assert space.megabytes("VmHWM") < 2000


def test_uploads_are_deleted(photo, assistant):
    """With a short time to keep: nothing that was uploaded is left, by programs or by assistants."""
    from gradio_client import handle_file

    asked = {"photo": as_text(photo), "expressions": "the cat"}
    with RunningSpace(environment={"HF_REFSEG_KEEP_SECONDS": "5"}) as space:
        own = set(space.uploads.rglob("*.*"))
        space.client().predict(photo=handle_file(str(photo)), expressions="the cat", api_name="/segment")
        assistant(lambda session: session.call_tool("segment_photo", asked), space.url)
        assert len(set(space.uploads.rglob("*.jpg")) - own) >= 2
        end = time.monotonic() + 60
        while set(space.uploads.rglob("*.*")) - own and time.monotonic() < end:
            time.sleep(1)
        assert set(space.uploads.rglob("*.*")) == own
