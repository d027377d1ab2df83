"""The pipeline on a miniature model: every way to call it, and equality with the long way round."""

import base64
import errno
import io
import logging
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.pipelines.pt_utils import KeyDataset

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
    with pytest.raises(ValueError, match="there is no model 'refseg-photos'"):
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
    assert task["default"]["model"][0].endswith("hf_refseg/checkpoints/refseg-photos")


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


def test_one_text_is_asked_of_every_image(pipe):
    images = [picture(), picture(40, 90, 1)]
    expected = [pipe(image, "the dog") for image in images]
    for answers in (
        pipe(images, "the dog"),
        pipe(np.stack([np.asarray(image.resize((9, 9))) for image in images]), "red"),
    ):
        assert len(answers) == 2
    assert all(same(one, other) for one, other in zip(pipe(images, "the dog", batch_size=2), expected, strict=True))


def test_data_sets_and_iterators_are_read_while_they_are_asked(pipe):
    images, texts = [picture(), picture(40, 90, 1)], ["the dog", ["a cat", "red"]]
    rows = [{"image": image, "text": text} for image, text in zip(images, texts, strict=True)]
    expected = pipe(rows)
    data = io.BytesIO()
    images[0].save(data, "PNG")
    table = datasets.Dataset.from_dict({"image": [data.getvalue()] * 2, "text": ["the dog", "red"]})
    decoded = table.cast_column("image", datasets.Image())
    for dataset in (table, decoded, decoded.cast_column("image", datasets.Image(decode=False))):
        answers = pipe(dataset, batch_size=2)
        assert len(answers) == 2
        for _ in range(2):  # it can be read again
            assert [answer["label"] for answer in answers] == ["the dog", "red"]
        assert same(next(iter(answers)), expected[0])
    answers = pipe(KeyDataset(table, "image"), "the dog")
    assert len(answers) == 2 and all(same(answer, expected[0]) for answer in answers)
    read = []
    for stream in (iter(rows), map(lambda row: read.append(1) or row, rows), (row for row in rows)):
        for answer, other in zip(pipe(stream), expected, strict=True):
            assert same(answer, other) if isinstance(answer, dict) else all(map(same, answer, other))
    stream = pipe(read.append(1) or row for row in rows * 50)
    next(iter(stream))
    assert len(read) < 10, "an iterator is not read ahead"
    assert [answer["label"] for answer in pipe(iter(images), "a cat", batch_size=2)] == ["a cat", "a cat"]


def test_base64_and_data_uris(pipe):
    data = io.BytesIO()
    picture().save(data, "PNG")
    encoded = base64.b64encode(data.getvalue()).decode()
    expected = pipe(picture(), "the dog")
    for source in (encoded, f"data:image/png;base64,{encoded}", {"bytes": data.getvalue(), "path": None}):
        assert same(pipe(source, "the dog"), expected)


def test_words_beyond_the_model_s_length_are_told_and_can_be_read(pipe, caplog):
    stem = " ".join(["the red dog"] * 7)  # 21 words, of which 20 are read
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        cut = pipe([picture()] * 2, f"{stem} a cat")
    assert caplog.text.count("the last 3 words were not read: dog a cat; max_length=... lets") == 1
    assert same({**cut[0], "label": ""}, {**pipe(picture(), stem), "label": ""})
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        whole = pipe(picture(), f"{stem} a cat", max_length=23)
    assert not caplog.records and whole["score"] != cut[0]["score"]
    inputs = pipe.processor(picture(), f"{stem} a cat", max_length=23)
    assert inputs["input_ids"].shape == (1, 23)


def test_saved_pipelines_load_again(pipe, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "pipeline"
    pipe.save_pretrained(folder)
    pipe.save_pretrained(str(folder))  # over itself
    expected = pipe(picture(), "the dog")
    for again in (transformers.pipeline(referring_pipeline.TASK, model=str(folder)), hf_refseg.pipeline(model=folder)):
        assert same(again(picture(), "the dog"), expected)
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= names
    assert not any(name.endswith(".py") for name in names)
    assert [path.name for path in folder.parent.iterdir()] == ["pipeline"]
    with pytest.raises(NotADirectoryError, match="config.json is a file; name another place"):
        pipe.save_pretrained(folder / "config.json")


def test_a_pipeline_whose_saving_fails_leaves_nothing(pipe, tmp_path, monkeypatch):
    def fail(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipe.processor, "save_pretrained", fail)
    with pytest.raises(OSError, match="pipeline cannot be written: no space left on device .* free on the disk of"):
        pipe.save_pretrained(tmp_path / "pipeline")
    assert not any(tmp_path.iterdir())


def test_pushing_uploads_what_is_saved(pipe, tmp_path, monkeypatch):
    uploaded = {}

    class Hub:
        def create_repo(self, repo_id, **_):
            return types.SimpleNamespace(repo_id=repo_id)

    def upload(self, working_dir, repo_id, *args, **kwargs):
        uploaded[repo_id] = {path.name for path in Path(working_dir).iterdir()}

    monkeypatch.setattr(transformers.utils.hub, "hf_api", lambda *a, **k: Hub())
    monkeypatch.setattr(type(pipe), "_upload_modified_files", upload)
    pipe.push_to_hub("me/one")
    pipe.save_pretrained(tmp_path / "two", push_to_hub=True, repo_id="me/two")
    for files in uploaded.values():
        assert {"README.md", "config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= files
    assert set(uploaded) == {"me/one", "me/two"}


def test_other_methods_that_users_inherit(pipe):
    row = {"image": picture(), "text": "the dog"}
    expected = pipe(row)
    assert same(pipe.predict(row), expected) and same(pipe.transform([row])[0], expected)
    assert pipe.dtype == torch.float32 and "RmiForReferringSegmentation" in repr(pipe)
    with pipe.device_placement():
        assert same(pipe.run_single(referring_pipeline.as_batch([row]), {}, {}, {})[0], expected)


def test_checkpoints_that_are_not_whole_or_not_finite_are_refused(checkpoint, tmp_path):
    folder = Path(shutil.copytree(checkpoint, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    name = sorted(tensors)[0]
    loaders = (
        lambda: hf_refseg.pipeline(model=str(folder)),
        lambda: transformers.pipeline(referring_pipeline.TASK, model=str(folder)),
        lambda: transformers.AutoModel.from_pretrained(folder),
    )
    without = {key: value for key, value in tensors.items() if key != name}
    spoiled = tensors | {name: torch.full_like(tensors[name], torch.nan)}
    for content, message in ((without, f"1 missing tensors .{name}"), (spoiled, f"nan or inf in 1 of .*{name}")):
        save_file(content, folder / "model.safetensors", {"format": "pt"})
        for load in loaders:
            with pytest.raises(ValueError, match=message):
                load()
        model, report = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
        assert report["missing_keys"] == (set() if name in content else {name})
    save_file({key: torch.zeros_like(value) for key, value in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="the weights of .* are 0 everywhere"):
        hf_refseg.pipeline(model=str(folder))
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 34\n")
    with pytest.raises(ValueError, match="model.safetensors holds no weights: it is a pointer of Git LFS"):
        hf_refseg.pipeline(model=str(folder))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(OSError, match="other"):
        hf_refseg.pipeline(model=str(folder), config=str(tmp_path / "other"))
    (folder / "processor_config.json").unlink()
    with pytest.raises(ValueError, match="the processor of .*model cannot be loaded"):
        hf_refseg.pipeline(model=str(folder))


def test_numbers_that_are_not_finite_are_no_answer(pipe, monkeypatch):
    words = pipe.model.get_input_embeddings().weight
    first = next(parameter for parameter in pipe.model.parameters() if parameter.ndim == 4)
    logits = "the logits of expression 0 are not finite .2 of 2 expressions.: the weights or"
    for weight, message in ((words, logits), (first, "the weights of a convolution are not finite")):
        with monkeypatch.context() as patch, pytest.raises(ValueError, match=message):
            patch.setattr(weight, "data", torch.full_like(weight, torch.nan))
            pipe(picture(), ["the dog", "a cat"])
    assert pipe(picture(), "the dog")


def test_unknown_words_are_warned_about(pipe, caplog):
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        pipe(picture(), "the purple dog")
    assert "'the purple dog': the model does not know the words purple" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hf_refseg.pipelines"):
        pipe(picture(), "the dog " + " purple green" * 1_000)
    assert len(caplog.records) == 2 and all(len(record.getMessage()) < 600 for record in caplog.records)


def test_an_expression_of_unknown_words_alone_is_refused_or_answered(pipe, caplog):
    with pytest.raises(ValueError, match="no word of expression 0, 'purple'.*allow_unknown=True"):
        pipe(picture(), "purple")
    answer = pipe(picture(), "purple", allow_unknown=True)
    assert answer["label"] == "purple" and answer["mask"].size == picture().size
    assert "'purple': the model does not know the words purple" in caplog.text


def test_bad_calls(pipe, tmp_path):
    with pytest.raises(ValueError, match="2 images but 1 texts"):
        pipe([picture()] * 2, ["the dog"])
    with pytest.raises(ValueError, match="2 images but 3 texts"):
        pipe([picture()] * 2, ["the dog"] * 3)
    with pytest.raises(ValueError, match=r"no expression in input 0, .*pipe\(image, text\)"):
        pipe(picture())
    row = {"image": picture(), "text": "the dog"}
    with pytest.raises(ValueError, match="the fields .'image', 'text'., and a text was given beside it"):
        list(pipe((row for _ in range(2)), "the dog"))
    with pytest.raises(ValueError, match="with an iterator give a single string"):
        pipe(iter([picture()]), ["the dog"])
    with pytest.raises(TypeError, match="text is a set, which has no order"):
        pipe(picture(), {"the dog", "a cat"})
    with pytest.raises(TypeError, match="inputs is a set, which has no order"):
        pipe({"photo.png"}, "the dog")
    with pytest.raises(TypeError, match="inputs is a int; give an image"):
        pipe(3, "the dog")
    with pytest.raises(ValueError, match="has 4,000,000 characters; 100,000 are the most"):
        pipe(picture(), "dog " * 1_000_000)
    with pytest.raises(ValueError, match="holds half of a character"):
        pipe(picture(), "the \ud83d dog")
    with pytest.raises(ValueError, match="image 1 is not an image"):
        pipe([picture(), b"nothing"], "the dog")
    with pytest.raises(ValueError, match="has no words"):
        pipe(picture(), "")
    with pytest.raises(ValueError, match="list of expressions is empty"):
        pipe([picture()] * 2, [["the dog"], []], batch_size=2)
    assert len(pipe([picture()] * 2, (text for text in ["the dog", "red"]))) == 2
    with pytest.raises(TypeError, match="text is a int; give an expression"):
        pipe(picture(), 3)
    for size in (0, "2", True, 1.5):
        with pytest.raises(ValueError, match="batch_size is .*; give the number of images"):
            pipe([picture()], ["the dog"], batch_size=size)
    for number in (-1, "2", True, 1.5):
        with pytest.raises(ValueError, match="num_workers is .*; give the number of processes"):
            pipe([picture()], ["the dog"], num_workers=number)
    for part in ("tokenizer", "image_processor", "feature_extractor"):
        with pytest.raises(TypeError, match=f"{part} would not be read: give processor"):
            hf_refseg.pipeline(model=pipe.model, processor=pipe.processor, **{part: pipe.tokenizer or pipe.processor})
    with pytest.raises(TypeError, match="processor is a int; give that of a referring segmentation model"):
        hf_refseg.pipeline(model=pipe.model, processor=5)
    with pytest.raises(TypeError, match="model is a int; give the name of a checkpoint"):
        hf_refseg.pipeline(model=5)
    for threshold in ("0.5", None, True):
        with pytest.raises(TypeError, match="threshold is .*; give a number"):
            pipe(picture(), "the dog", threshold=threshold)
    for length in (0, "40", 2.0):
        with pytest.raises(ValueError, match="max_length is .*; give a number of words"):
            pipe(picture(), "the dog", max_length=length)
    with pytest.raises(FileNotFoundError) as caught:
        pipe("QUJD" * 5000, "the dog")
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match=r"unknown options \['treshold'\]; use threshold"):
        pipe(picture(), "the dog", treshold=0.3)
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        pipe(str(tmp_path / "gone.jpg"), "the dog")
