"""The pipeline on a miniature model: every way to call it, and equality with the long way round."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import hf_refseg
import hf_refseg.pipelines as referring_pipeline
from hf_refseg import RmiImageProcessor, RmiProcessor, checkpoints
from hf_refseg.processing.tokenization import tokenizer_from_sentences
from tests.tiny import tiny_rmi


def picture(height=50, width=70, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny-rmi")
    torch.manual_seed(0)
    tokenizer = tokenizer_from_sentences(["the red dog on the left", "a cat"])
    tiny_rmi(vocab_size=len(tokenizer)).save_pretrained(folder)
    RmiProcessor(RmiImageProcessor(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pipe(checkpoint):
    return transformers.pipeline(referring_pipeline.TASK, model=str(checkpoint), device="cpu")


def same(one, other):
    return (
        one["label"] == other["label"]
        and one["score"] == pytest.approx(other["score"], abs=1e-5)
        and (np.array_equal(one["mask"], other["mask"]) and one["box"] == other["box"])
    )


def test_equals_processor_and_model(pipe):
    image, text = picture(), ["the dog", "a red cat"]
    inputs = pipe.processor(image, text)
    with torch.no_grad():
        outputs = pipe.model(**inputs)
    expected = pipe.processor.post_process_referring_segmentation(outputs, inputs["original_sizes"], threshold=0.45)
    answers = pipe(image, text, threshold=0.45)
    assert [answer["label"] for answer in answers] == text
    for answer, result in zip(answers, expected, strict=True):
        assert answer["mask"].mode == "L" and answer["mask"].size == image.size
        np.testing.assert_array_equal(np.asarray(answer["mask"]), result["mask"].numpy() * np.uint8(255))
        assert answer["score"] == pytest.approx(result["score"]) and answer["box"] == result["box"]


def test_many_expressions_encode_the_image_once(pipe, monkeypatch):
    calls = []
    encode = pipe.model.get_image_features
    monkeypatch.setattr(pipe.model, "get_image_features", lambda *a, **k: calls.append(1) or encode(*a, **k))
    many = pipe(picture(), ["the dog", "a red cat", "the left"])
    assert len(calls) == 1
    assert all(same(answer, pipe(picture(), answer["label"])) for answer in many)


def test_every_way_to_call_agrees(pipe, tmp_path):
    images = [picture(), picture(40, 90, 1), picture(64, 64, 2)]
    images[0].save(tmp_path / "photo.png")
    texts = ["the dog", "a cat", "red"]
    expected = [pipe(image, text) for image, text in zip(images, texts, strict=True)]
    rows = [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]
    assert same(pipe(str(tmp_path / "photo.png"), "the dog"), expected[0])
    for answers in (
        pipe(images, texts),
        pipe(images, texts, batch_size=2),
        pipe(rows, batch_size=3),
        [pipe(row) for row in rows],
        list(pipe(row for row in rows)),
        [row[0] for row in pipe(images, [[text] for text in texts])],
    ):
        assert len(answers) == 3
        assert all(same(one, other) for one, other in zip(answers, expected, strict=True))


def test_lists_nest_like_the_texts(pipe):
    assert pipe([], []) == pipe([]) == []
    answers = pipe([picture(), picture(seed=1)], [["the dog", "a cat"], ["red"]], batch_size=2)
    assert [[answer["label"] for answer in row] for row in answers] == [["the dog", "a cat"], ["red"]]


def test_bare_names_and_the_default_are_shipped_checkpoints(checkpoint, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(checkpoints, "FOLDER", checkpoint.parent)
    pipe = hf_refseg.pipeline(referring_pipeline.TASK, model=checkpoint.name, device="cpu")
    assert pipe(picture(), "the dog")["label"] == "the dog"
    with pytest.raises(ValueError, match="no checkpoint 'refseg-photos-rmi' ships"):
        hf_refseg.pipeline()
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    (tmp_path / checkpoints.DEFAULT_CHECKPOINT).symlink_to(checkpoint)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)  # to where caplog listens
    with caplog.at_level(logging.WARNING, logger="transformers"):
        pipe = hf_refseg.pipeline(device="cpu")
    assert pipe(picture(), "a cat")["mask"].size == (70, 50)
    assert not caplog.records  # transformers recommends not to use its own defaults
    with pytest.raises(ValueError, match="hf_refseg.pipeline is for 'referring-image-segmentation'"):
        hf_refseg.pipeline("image-segmentation")


def test_transformers_own_pipeline_has_the_same_default():
    task = transformers.pipelines.PIPELINE_REGISTRY.check_task(referring_pipeline.TASK)[1]
    assert task["default"]["model"][0].endswith("hf_refseg/checkpoints/refseg-photos-rmi")


@pytest.mark.parametrize(
    "imports",
    [
        "import hf_refseg; from transformers import pipeline",
        "from transformers import pipeline; import hf_refseg",
        "from transformers import pipeline; from hf_refseg import RmiProcessor",
    ],
)
def test_fresh_process_needs_the_package_imported_and_nothing_else(checkpoint, imports):
    code = (
        f"{imports}; import numpy\n"
        f"pipe = pipeline({referring_pipeline.TASK!r}, model={str(checkpoint)!r}, device='cpu')\n"
        "print(pipe(numpy.zeros((9, 7, 3), 'uint8'), 'the dog')['mask'].size)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout.strip() == "(7, 9)", finished.stderr[-500:]


def test_unknown_words_are_warned_about(pipe, caplog):
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        pipe(picture(), "the purple dog")
    assert "'the purple dog': the model does not know the words purple" in caplog.text


def test_bad_calls(pipe, tmp_path):
    with pytest.raises(ValueError, match="2 images but 1 texts"):
        pipe([picture()] * 2, "the dog")
    with pytest.raises(ValueError, match="2 images but 3 texts"):
        pipe([picture()] * 2, ["the dog"] * 3)
    with pytest.raises(ValueError, match=r"no expression in .*pipe\(image, text\)"):
        pipe(picture())
    with pytest.raises(ValueError, match="do not pass text beside it"):
        pipe((row for row in [{"image": picture(), "text": "the dog"}]), "the dog")
    with pytest.raises(ValueError, match="has no words"):
        pipe(picture(), "")
    with pytest.raises(ValueError, match="list of expressions is empty"):
        pipe([picture()] * 2, [["the dog"], []], batch_size=2)
    with pytest.raises(TypeError, match="text is a int; give an expression"):
        pipe(picture(), 3)
    with pytest.raises(ValueError, match="batch_size is 0; give the number of images"):
        pipe([picture()], ["the dog"], batch_size=0)
    with pytest.raises(ValueError, match=r"unknown options \['treshold'\]; use threshold"):
        pipe(picture(), "the dog", treshold=0.3)
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        pipe(str(tmp_path / "gone.jpg"), "the dog")
