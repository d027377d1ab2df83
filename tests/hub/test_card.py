"""Cards: every figure from a results file, every section there, metadata that the Hub understands."""

import json

import pytest
from huggingface_hub import ModelCard

from hf_refseg.evaluation.results import write_eval_results
from hf_refseg.hub.card import NOTES, SECTIONS, make_card, read_page

PAGE = "---\nlicense: apache-2.0\npicture: A cat.\ntexts: [the cat]\n---\nA model with {metrics.mIoU}.\n\n" + "".join(
    f"## {heading}\n{heading} is said, of {{counts.expressions}} and {{cost.parameters}}.\n\n" for heading in SECTIONS
)
RUN = {"parameters": 2_712_345, "bytes": 5_493_572, "repeats": 10, "threads": 1, "processor": "Some CPU"}
COST = {
    "run": {**RUN, "load_average": [0.5, 0.4, 0.3], "picture": [451, 300]},
    "rows": [
        {"expressions": 1, "device": "cpu", "device_name": "CPU", "gflop": 7.71, "median_ms": 201.4, "cpu_ms": 198.0}
        | {"peak_mb": 812.0}
    ],
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "refseg-tiny"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "refseg_rmi"}')
    (folder / "cost.json").write_text(json.dumps(COST))
    metrics = {"oIoU": 0.5, "mIoU": 0.41224, "Pr@0.5": 0.44, "own_rate": float("nan")}
    counts = {"rows": 50, "expressions": 1084, "no_target": 0, "intersection": 7, "union": 8}
    write_eval_results(
        folder,
        metrics,
        dataset="refshapes/refcoco",
        split="val",
        protocol="hu2016",
        counts=counts,
        command="measure it",
    )
    return folder


def write_page(folder, text):
    path = folder.parent / "page.md"
    path.write_text(text)
    return read_page(path)


def test_figures_come_from_the_results_files(folder):
    card = make_card(folder, write_page(folder, PAGE))
    assert "A model with 0.412." in card
    assert "Training data is said, of 1,084 and 2.7 million." in card
    assert "| `oIoU` | 0.500 | overall IoU: sum of intersections / sum of unions |" in card
    assert "own_rate" not in card, "a number that is missing is not shown"
    assert "Split val of refshapes/refcoco (50 rows, 1,084 expressions), measured by `measure it`" in card
    assert "| 1 | CPU | 7.7 | 198 | 812 |" in card and "2,712,345 parameters, 5.5 MB" in card
    assert "It was not measured on a GPU." in card
    assert "Protocol `hu2016`: one sample is one sentence" in card
    assert [line for line in card.splitlines() if line.startswith("## ")][3:] == [f"## {one}" for one in SECTIONS]


def test_the_hub_understands_the_metadata(folder):
    card = ModelCard(make_card(folder, write_page(folder, PAGE)))
    assert card.data.library_name == "transformers" and card.data.pipeline_tag == "image-segmentation"
    assert card.data.license == "apache-2.0" and card.data.tags == ["refseg_rmi"]
    found = {result.metric_type: result for result in card.data.eval_results}
    assert set(found) == {"oIoU", "mIoU", "Pr@0.5"}
    result = found["mIoU"]
    assert result.metric_name == "mIoU (hu2016)" and result.metric_args["protocol"] == "hu2016"
    assert (result.dataset_name, result.dataset_config, result.dataset_split) == ("refshapes/refcoco", "refcoco", "val")
    assert result.metric_value == 0.4122


@pytest.mark.parametrize(
    "figure", ["0.412", "97 %", "12 ms", "7 GFLOP", "2.7 million parameters", "an IoU of 3.5", "50 minutes", "1,000 kB"]
)
def test_a_figure_that_no_results_file_holds_is_an_error(folder, figure):
    with pytest.raises(ValueError, match="which no results file holds"):
        write_page(folder, PAGE.replace("is said", figure))


@pytest.mark.parametrize(
    "text",
    [
        "CC BY 4.0",
        "Apache-2.0",
        "`threshold=0.5`",
        "[arXiv:1703.07939](https://arxiv.org/abs/1703.07939)",
        "14 epochs, 2017",
    ],
)
def test_names_and_settings_are_no_figures(folder, text):
    assert text in make_card(folder, write_page(folder, PAGE.replace("is said", text)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{metrics.gIoU}", r"no results file holds \{metrics.gIoU\}; there are oIoU"),
        ("{cost.fps}", "no results file holds"),
    ],
)
def test_a_name_that_no_results_file_has_is_an_error(folder, name, message):
    page = write_page(folder, PAGE.replace("is said", name))
    with pytest.raises(ValueError, match=message):
        make_card(folder, page)


def test_what_a_page_lacks_is_said(folder):
    with pytest.raises(ValueError, match=r"missing sections \['Leaks'\], unknown sections \['Secrets'\]"):
        write_page(folder, PAGE.replace("## Leaks", "## Secrets"))
    with pytest.raises(ValueError, match="no front matter"):
        write_page(folder, "A model.\n")
    with pytest.raises(ValueError, match="needs `license` and `picture`"):
        write_page(folder, PAGE.replace("license: apache-2.0", "language: en"))
    with pytest.raises(FileNotFoundError, match="write the part of the card"):
        read_page(folder / "nothing.md")
    (folder / "cost.json").unlink()
    with pytest.raises(FileNotFoundError, match="benchmarks/checkpoint_cost.py"):
        make_card(folder, write_page(folder, PAGE))


def test_a_metric_has_a_meaning(folder):
    counts = {"rows": 1}
    write_eval_results(folder, {"own_rate": 0.5}, dataset="d", split="val", counts=counts, command="c")
    page = PAGE.replace("{metrics.mIoU}", "{metrics.own_rate}").replace("{counts.expressions}", "{counts.rows}")
    with pytest.raises(ValueError, match="the metric own_rate has no meaning; add it to `meanings`"):
        make_card(folder, write_page(folder, page))
    explained = write_page(folder, page.replace("texts:", "meanings: {own_rate: how rare it is}\ntexts:"))
    assert "| `own_rate` | 0.500 | how rare it is |" in make_card(folder, explained)


def test_notes_follow_the_numbers(folder):
    card = make_card(folder, write_page(folder, f"{PAGE}## {NOTES}\nFew photos.\n"))
    assert card.index("`oIoU`") < card.index("Few photos.") < card.index("## What it costs")
