"""The page without a server, in headless Chromium (`pytest -m browser`): its numbers are Python's, also offline."""

import functools
import gzip
import hashlib
import http.server
import json
import os
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.numpy import load_file

from hf_refseg.checkpoints.loading import load_model, load_processor
from hf_refseg.onnx_graphs.running import OnnxModel

from ..page_checks import Console, low_contrast, nameless, pixels_too_wide

FOLDER = Path(__file__).resolve().parents[3] / "spaces" / "refseg_browser"
CHECKPOINT = "refseg-photos"
PATIENCE = 300_000  # ms; the machine may be busy
PHOTOS = {"chelsea": "the cat", "astronaut": "the woman", "coffee": "the cup"}
OTHERS = {"000000370162": "bald guy on left", "000000322517": "person on the right"}  # of refcoco_mini
MOST_LINES, MOST_BYTES = 600, 12_000_000

browser_only = pytest.mark.browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files with the headers that a static Space sends."""

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_):
        pass


class Server:
    """Serves the folder until it is stopped."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(FOLDER)))
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def address():
    server = Server()
    yield server.address
    server.stop()


@pytest.fixture
def page(browser, address):
    """The page, ready; a test fails where the console complains or another host is asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    console = Console(page)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert not console.errors
    assert not console.foreign


def picture(page, name: str) -> None:
    if folder := os.environ.get("HF_REFSEG_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"browser-{name}.png", full_page=True)


def ask(page, photo: Path, text: str) -> np.ndarray:
    """The mask of an expression at the size at which the page shows the photo."""
    page.locator("#expressions").fill("")
    page.locator("#file").set_input_files(str(photo))
    page.wait_for_function("refseg.state.photo && document.getElementById('status').textContent.startsWith('Now')")
    page.locator("#expressions").fill(text)
    page.wait_for_selector("#labels button")
    width, height, mask = page.evaluate(
        "() => [canvas.width, canvas.height, refseg.state.answers[0].mask && Array.from(refseg.state.answers[0].mask)]"
    )
    return np.array(mask, bool).reshape(height, width)


@pytest.fixture(scope="module")
def photos(tmp_path_factory, shared_dir) -> dict[Path, str]:
    """Five photos and an expression about each."""
    import skimage.data

    folder, found = tmp_path_factory.mktemp("photos"), {}
    for name, text in PHOTOS.items():
        Image.fromarray(getattr(skimage.data, name)()).convert("RGB").save(folder / f"{name}.png")
        found[folder / f"{name}.png"] = text
    for number, text in OTHERS.items():
        found[shared_dir / "data" / "refcoco_mini" / "images" / f"COCO_train2014_{number}.jpg"] = text
    return found


@browser_only
def test_masks_are_those_of_python(page, photos):
    """IoU of at least 0.99 on five photos, of which at least four have a mask."""
    import hf_refseg

    segment, overlaps, found = hf_refseg.pipeline(model=CHECKPOINT), {}, 0
    for photo, text in photos.items():
        mine, theirs = ask(page, photo, text), np.asarray(segment(str(photo), text)["mask"]) > 0
        assert mine.shape == theirs.shape
        found += theirs.any()
        overlaps[photo.name] = (mine & theirs).sum() / (mine | theirs).sum() if (mine | theirs).any() else 1.0
    print(overlaps)  # noqa: T201
    assert found >= 4
    assert min(overlaps.values()) >= 0.99
    assert page.evaluate("refseg.state.imageRuns") == len(photos)  # each photo was encoded once


@browser_only
def test_it_works_offline(browser, photos):
    """The server is gone after the first load: the page still loads, and the first mask takes less than 5 s."""
    server, context = Server(), browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.address)
    page.wait_for_selector("body[data-ready]")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.stop()
    page.reload()
    page.wait_for_selector("body[data-ready]")
    start = time.perf_counter()
    page.locator("#file").set_input_files(str(next(iter(photos))))
    page.wait_for_selector("#labels button")
    seconds = time.perf_counter() - start
    context.close()
    print(f"first mask after {seconds:.2f} s at a load of {os.getloadavg()[0]:.1f}")  # noqa: T201
    assert seconds < 5 * max(1.0, os.getloadavg()[0] / 2)  # on two cores that others use too


@browser_only
def test_the_tokenizer_is_python_s(page, shared_dir):
    """500 sentences of RefCOCO, and those that are made to fool it."""
    from hf_refseg.checkpoints.loading import load_processor

    tokenizer = load_processor(CHECKPOINT).tokenizer
    items = json.loads((shared_dir / "data" / "refcoco_unc_index" / "val.json").read_text())["items"]
    texts = [item["text"] for item in items[:: len(items) // 500][:500]]
    texts += [
        "",
        "  ",
        "a man's hat, red.",
        "x .",
        "İstanbul K cat",
        "<pad> cat",
        "cat\u3000dog",
        "\ufeffcat",
        "a\x1cb",
    ]
    texts += ["naïve café", "🐈 the cat", "the cat the dog " * 10, "..."]
    expected = tokenizer(texts, add_special_tokens=False, truncation=True)["input_ids"]
    assert page.evaluate("(texts) => refseg.call('tokens', { texts })", texts)["ids"] == expected


@browser_only
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width"), [("desk", 1280), ("phone", 390)])
def test_the_page_is_readable(browser, address, name, width, theme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    picture(page, f"empty-{name}-{theme}")
    page.locator("#sample").click()
    page.locator("#expressions").fill("the cat\nthe whyte animal")
    page.wait_for_selector("#labels li:nth-child(2) button")
    page.wait_for_timeout(500)
    picture(page, f"{name}-{theme}")
    found = [*low_contrast(page), *nameless(page), *(["too wide"] if pixels_too_wide(page) else [])]
    context.close()
    assert not found


@browser_only
def test_bad_input_is_told_and_never_run(page, tmp_path):
    (tmp_path / "text.jpg").write_text("this is not a picture")
    page.locator("#file").set_input_files(str(tmp_path / "text.jpg"))
    page.get_by_text("This file is not a picture that the browser can read").wait_for()
    page.locator("#sample").click()
    page.locator("#expressions").fill("<img src=x onerror=window.hacked=1>\nxyzzy\n" + "x" * 5000)
    page.wait_for_selector("#labels li:nth-child(3)")
    assert page.evaluate("window.hacked") is None
    assert "none of its words is known" in page.locator("#labels").text_content()


def test_it_is_small_and_its_own():
    """Without the runtime and the model, fewer than 600 lines; both graphs together at most 12 MB."""
    ours = [path for kind in ("js", "html", "css") for path in FOLDER.glob(f"*.{kind}")]
    assert sum(len(path.read_text().splitlines()) for path in ours) < MOST_LINES
    assert sum(path.stat().st_size for path in FOLDER.glob("model/*.onnx")) <= MOST_BYTES


def test_the_runtime_is_the_one_that_is_named():
    folder = FOLDER / "vendor" / "onnxruntime-web"
    named = dict(re.findall(r"^\| `([^`]+)` \|.*\| (\w{64})", (folder / "README.md").read_text(), re.MULTILINE))
    assert len(named) == 3
    for name, digest in named.items():
        content = (folder / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        assert hashlib.sha256(content).hexdigest() == digest, name


def test_everything_that_is_fetched_is_kept_for_offline():
    kept = set(re.findall(r'"([\w./-]+\.\w+)"', (FOLDER / "offline.js").read_text()))
    assert kept == {name for name in kept if (FOLDER / name).is_file()}
    needed = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    not_fetched = {name for name in needed if name.endswith(("README.md", "config.json", "graphs.json", "offline.js"))}
    assert needed - not_fetched <= kept


def test_the_model_is_the_shipped_one():
    from hf_refseg.checkpoints import checkpoint_path

    for name in ("tokenizer.json", "processor_config.json"):
        shipped = (Path(checkpoint_path(CHECKPOINT)) / name).read_text()
        assert json.loads((FOLDER / "model" / name).read_text()) == json.loads(shipped)


def test_the_graphs_hold_the_shipped_weights():
    """After a training `hf-refseg export onnx` has to make them anew, see the README of the page."""
    onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]'")
    from hf_refseg.checkpoints import checkpoint_path

    shipped = load_file(Path(checkpoint_path(CHECKPOINT)) / "model.safetensors")
    compared = 0
    for graph in FOLDER.glob("model/*.onnx"):
        for tensor in onnx.load(graph).graph.initializer:
            values = shipped.get(tensor.name.removeprefix("model.").removesuffix("_float16"))
            if values is not None:
                np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), values, err_msg=tensor.name)
                compared += values.size
    assert compared > 1_000_000


def test_the_graphs_answer_any_number_of_expressions():
    pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    cat = Image.fromarray(skimage.data.chelsea())
    model, processor = load_model(CHECKPOINT, dtype=torch.float32).eval(), load_processor(CHECKPOINT)
    graphs = OnnxModel(FOLDER / "model", threads=1)
    features = None
    for texts in (["the cat"], ["the cat", "a zebra"], ["left ear", "the cat", "it", "both cats", "kitty on the left"]):
        inputs = processor(images=cat, text=texts, return_tensors="pt")
        with torch.no_grad():
            expected = model(**inputs)
        features = graphs.get_image_features(**inputs) if features is None else features
        words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        answered = graphs(image_features=features, **words)
        np.testing.assert_allclose(answered.no_target_scores, expected.no_target_scores, atol=1e-3)
        np.testing.assert_array_equal(answered.chosen, expected.chosen)
