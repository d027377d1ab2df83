"""The handler of Inference Endpoints, as they call it: from a bundle, in a process that imports nothing of ours."""

import base64
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import hf_refseg
from hf_refseg.hub import endpoint_handler
from hf_refseg.hub.bundle import bundle
from tests.hub.tiny_checkpoints import TEXTS, write_checkpoints, write_photo

CALL = """
import json, sys
from handler import EndpointHandler

handler = EndpointHandler(".")
assert "hf_refseg" not in sys.modules
print(json.dumps(handler(json.load(open(sys.argv[1])))))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("endpoint")
    write_photo(root / "photo.png")
    write_checkpoints(root / "plain", "rmi")
    return root


@pytest.fixture
def handler(root, monkeypatch):
    """A handler over the package's own pipeline, which no bundle is needed for."""
    monkeypatch.setattr(endpoint_handler, "pipeline", lambda task, model, **_: hf_refseg.pipeline(model=model))
    return endpoint_handler.EndpointHandler(str(root / "plain" / "rmi"))


def encoded(root) -> str:
    return base64.b64encode((root / "photo.png").read_bytes()).decode()


def mask_of(answer: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask"])))) > 0


def test_answers_are_those_of_the_pipeline(root, handler):
    expected = hf_refseg.pipeline(model=str(root / "plain" / "rmi"))(str(root / "photo.png"), TEXTS, threshold=0.4)
    answers = handler({"inputs": {"image": encoded(root), "text": TEXTS}, "parameters": {"threshold": 0.4}})
    assert [answer["label"] for answer in answers] == TEXTS
    for answer, one in zip(json.loads(json.dumps(answers)), expected, strict=True):
        np.testing.assert_array_equal(mask_of(answer), np.asarray(one["mask"]) > 0)
        assert answer["score"] == pytest.approx(one["score"])
    assert len(handler({"inputs": {"image": f"data:image/png;base64,{encoded(root)}", "text": TEXTS[0]}})) == 1


def test_words_that_were_lost_are_in_the_answer(root, handler):
    text = f"{TEXTS[0]} zorblax" + " dog" * 20
    (answer,) = handler({"inputs": {"image": encoded(root), "text": text}})
    assert answer["unknown_words"] == ["zorblax"] and len(answer["unread_words"]) == len(text.split()) - 20
    (answer,) = handler({"inputs": {"image": encoded(root), "text": text}, "parameters": {"max_length": 40}})
    assert answer["unread_words"] == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, 'send {"inputs"'),
        (None, 'the request is a NoneType; send {"inputs"'),
        ([1], 'the request is a list; send {"inputs"'),
        ({"inputs": {"image": "", "text": "dog"}, "parameters": ["threshold"]}, "parameters are a list; send"),
        ({"inputs": "the cat"}, 'send {"inputs"'),
        ({"inputs": {"image": {"path": "/etc/hostname"}, "text": "dog"}}, "the image is a dict"),
        ({"inputs": {"image": "", "text": None}}, "the text is a NoneType; send an expression"),
        ({"inputs": {"image": "", "text": {"a": 1}}}, "the text is a dict"),
        ({"inputs": {"image": "/etc/hostname", "text": "dog"}}, "data: URI|not an image|damaged"),
        ({"inputs": {"image": "", "text": "dog"}, "parameters": {"size": 3}}, "parameters: unknown size; there are"),
        (
            {"inputs": {"image": "", "text": "dog", "threshold": 0.9}},
            "inputs: unknown threshold; there are image, text",
        ),
        (
            {"inputs": {"image": "", "text": "dog"}, "threshold": 0.9},
            "the request: unknown threshold; there are inputs, parameters",
        ),
    ],
)
def test_bad_requests_are_refused(handler, data, message):
    with pytest.raises(ValueError, match=message):
        handler(data)


@pytest.mark.slow
def test_a_bundle_answers_by_itself(root, tmp_path):
    folder = bundle(root / "plain" / "rmi", tmp_path / "bundle")
    (tmp_path / "request.json").write_text(json.dumps({"inputs": {"image": encoded(root), "text": TEXTS}}))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(tmp_path / "request.json")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    expected = hf_refseg.pipeline(model=str(root / "plain" / "rmi"))(str(root / "photo.png"), TEXTS)
    for answer, one in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(mask_of(answer), np.asarray(one["mask"]) > 0)
