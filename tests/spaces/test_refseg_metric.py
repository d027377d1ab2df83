"""The evaluate module, loaded from its folder as users do, and the Space's app."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_refseg.data import encode_mask
from hf_refseg.data.run_lengths import run_lengths
from hf_refseg.metrics import PROTOCOLS, RefSegMetric

evaluate = pytest.importorskip("evaluate", reason="pip install -e '.[metric]'")
FOLDER = Path(__file__).resolve().parents[2] / "spaces" / "refseg_metric"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return lambda name: evaluate.load(str(FOLDER), name, cache_dir=cache)


def masks(count=5):
    rng = np.random.default_rng(0)
    return [[rng.random((20, 30)) < share for share in (0.5, 0.6)] for _ in range(count)]


def expected(pairs, protocol):
    metric = RefSegMetric(protocol)
    for pair in pairs:
        metric.add(*pair)
    return metric.compute()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rle(load, protocol):
    pairs = masks()
    metric = load("rle")
    predictions, references = ([encode_mask(mask) for mask in side] for side in zip(*pairs, strict=True))
    metric.add_batch(predictions=predictions[:3], references=references[:3])
    metric.add(predictions=predictions[3], references=references[3])
    metric.add_batch(predictions=predictions[4:], references=references[4:])
    assert metric.compute(protocol=protocol) == expected(pairs, protocol)


def test_rle_in_every_form_of_pycocotools(load):
    mask = masks(1)[0][0]
    text = encode_mask(mask)
    forms = [
        text,
        {**text, "counts": text["counts"].encode()},
        {**text, "counts": run_lengths(text["counts"]).tolist()},
    ]
    metric = load("rle")
    metric.add(predictions=forms[1], references=forms[2])
    assert metric.compute(predictions=forms, references=[text] * 3)["mIoU"] == 1.0
    with pytest.raises(ValueError, match="an RLE is a dict of size and counts, got str"):
        metric.compute(predictions=["04<"], references=[text])


def test_pictures_that_are_no_masks_are_refused(load, tmp_path):
    mask = masks(1)[0][0].astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg")
    for prediction in (str(tmp_path / "mask.jpg"), np.where(mask, 0.9, 0.1).astype(np.float32)):
        with pytest.raises(ValueError, match="the predicted mask is no mask: it holds 0"):
            load("image").compute(predictions=[prediction], references=[Image.fromarray(mask)])


def test_images(load):
    pairs = masks(2)
    predictions, references = (
        [Image.fromarray(mask.astype(np.uint8) * 255) for mask in side] for side in zip(*pairs, strict=True)
    )
    numbers = load("image").compute(predictions=predictions, references=references, protocol="lavt")
    assert numbers == expected(pairs, "lavt")


def test_counts(load):
    metric = load("counts")
    numbers = metric.compute(intersection=[30, 10], union=[40, 20])
    assert (numbers["oIoU"], numbers["mIoU"], numbers["protocol"]) == (2 / 3, 0.625, "hu2016")
    metric.add(intersection=9, union=10, has_target=True, pred_no_target=False)
    metric.add_batch(intersection=[0], union=[30], has_target=[False], pred_no_target=[False])
    numbers = metric.compute(protocol="grefcoco")
    assert (numbers["gIoU"], numbers["cIoU"], numbers["N-acc"], numbers["T-acc"]) == (0.45, 9 / 40, 0.0, 1.0)


def test_errors_teach(load):
    with pytest.raises(ValueError, match="with one of counts, rle, image"):
        load("masks")
    with pytest.raises(ValueError, match="unknown metric protocol 'coco'"):
        load("counts").compute(intersection=[1], union=[2], protocol="coco")
    with pytest.raises(ValueError, match="add has_target and pred_no_target beside intersection and union"):
        load("counts").compute(intersection=[1], union=[2], protocol="grefcoco")
    rle = encode_mask(masks()[0][0])
    with pytest.raises(ValueError, match="intersection is 1.5; give a whole number"):
        load("counts").compute(intersection=[1.5], union=[2])
    with pytest.raises(
        ValueError, match="counts takes intersection, .*; unknown predictions, references; missing inter"
    ):
        load("counts").compute(predictions=[rle], references=[rle])
    with pytest.raises(ValueError, match="rle takes predictions, references and protocol; unknown threshold"):
        load("rle").compute(predictions=[rle], references=[rle], threshold=0.5)
    with pytest.raises(ValueError, match="missing references"):
        load("rle").add_batch(predictions=[rle])
    with pytest.raises(ValueError, match="an RLE is a dict"):
        load("rle").compute(predictions=np.eye(4), references=np.eye(4))
    with pytest.raises(ValueError, match="damaged or cut off"):
        load("rle").compute(predictions=[rle], references=[{**rle, "counts": rle["counts"][:-3]}])


def test_two_processes(tmp_path):
    """Process 0 gets the numbers of both parts, process 1 nothing."""
    code = (
        "import json, sys, evaluate\n"
        "folder, cache, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
        "metric = evaluate.load(folder, 'counts', num_process=2, process_id=rank, experiment_id='a', cache_dir=cache)\n"
        "metric.add_batch(intersection=[[30, 10], [0, 7]][rank], union=[[40, 20], [5, 7]][rank])\n"
        "print(json.dumps(metric.compute(protocol='hu2016')))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(FOLDER), str(tmp_path), str(rank)], stdout=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    outputs = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    metric = RefSegMetric("hu2016")
    for counts in ((30, 40), (10, 20), (0, 5), (7, 7)):
        metric.add_counts(*counts)
    assert outputs == [metric.compute(), None]


def test_app():
    gradio = pytest.importorskip("gradio", reason="pip install -e '.[space]'")
    spec = importlib.util.spec_from_file_location("refseg_metric_app", FOLDER / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    target = np.zeros((8, 8), np.uint8)
    target[:4] = 255
    table = {
        row[0]: dict(zip(app.HEADERS, row, strict=True)) for row in app.score_masks(target, np.full_like(target, 1))
    }
    assert list(table) == list(PROTOCOLS)
    assert table["hu2016"]["oIoU"] == "50.00" and table["hu2016"]["Pr@0.5"] == "100.00"
    assert table["phrasecut"]["Pr@0.5"] == "0.00" and table["grefcoco"]["gIoU"] == "50.00"
    assert {row[1] for row in app.score_lines(app.EXAMPLE)} == {2}
    for lines, message in [("{", "line 1 is no JSON"), ("", "at least one line"), ('{"union": 3}', "sample 1: ")]:
        with pytest.raises(gradio.Error, match=message):
            app.score_lines(lines)
    with pytest.raises(gradio.Error, match="give two masks"):
        app.score_masks(None, target)


def test_card_says_what_the_space_needs():
    card = (FOLDER / "README.md").read_text()
    for line in ("sdk: gradio", "app_file: app.py", "- evaluate", "- metric"):
        assert line in card
    assert all(protocol in card for protocol in PROTOCOLS)
    assert (FOLDER / "requirements.txt").read_text().startswith("hf-refseg[")
