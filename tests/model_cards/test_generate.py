"""The cards of the checkpoints that ship are what their pages and results files make of them."""

import importlib.util
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import hf_refseg

CARDS = Path(__file__).resolve().parents[2] / "model_cards"
NAMES = hf_refseg.checkpoint_names()


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", CARDS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_what_its_page_and_results_files_make(generate, name):
    card = generate.card_of(name)
    for path in (CARDS / f"{name}.md", Path(hf_refseg.checkpoint_path(name)) / "README.md"):
        assert path.read_text(encoding="utf-8") == card, f"{path} is old: run python model_cards/generate.py {name}"


@pytest.mark.parametrize("name", NAMES)
def test_its_picture_lies_beside_it(name):
    path = Path(hf_refseg.checkpoint_path(name)) / f"{name}.png"
    assert path.read_bytes() == (CARDS / f"{name}.png").read_bytes()
    with Image.open(path) as picture:
        picture.load()


@pytest.mark.parametrize("name", NAMES)
def test_huggingface_hub_reads_its_results(name):
    card = ModelCard.load(CARDS / f"{name}.md")
    assert card.data.eval_results and card.data.model_name == name and card.data.license
    for result in card.data.eval_results:
        protocol = (result.metric_args or {}).get("protocol")
        assert result.metric_name == (f"{result.metric_type} ({protocol})" if protocol else result.metric_type)


def test_there_is_no_card_of_a_checkpoint_that_is_gone():
    assert {path.stem for path in CARDS.glob("*.md")} == set(NAMES)
    assert {path.stem for path in (CARDS / "written").glob("*.md")} == set(NAMES)
