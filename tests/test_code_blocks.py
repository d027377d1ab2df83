"""
Every block of code in README, AGENTS.md, docs, cards and Spaces runs, or says right above it why it can't:

    <!-- not run: needs the official files -->

Blocks of a page run in their order, in one namespace, in an empty folder. Of shell blocks the `hf-refseg` lines run;
they have to fit the command line also where they are not run.
"""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_refseg import cli
from hf_refseg.training.commands import split_overrides

ROOT = Path(__file__).resolve().parents[1]
CARDS = sorted((ROOT / "model_cards").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").glob("*.md")), *CARDS]
PAGES += sorted((ROOT / "spaces").glob("*/README.md"))
SLOW = {"README.md", "dense_crf.md", *(card.name for card in CARDS)}
BLOCK = re.compile(r"(?:^<!-- (not run|file): (.+?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = {"python", "bash", "yaml"}
NO_CODE = {"bibtex", "json", "text"}


@dataclass
class Block:
    """One block: its language, what it says, and what the mark above it says ("not run", "file", or None)."""

    language: str
    code: str
    mark: str | None
    value: str | None

    def commands(self) -> list[list[str]]:
        """The `hf-refseg` lines as words."""
        code = self.code.replace("\\\n", " ") if self.language == "bash" else ""
        lines = [part for line in code.splitlines() for part in re.split(r"&&|\|", line)]
        words = [shlex.split(line, comments=True) for line in lines]
        return [one[1 : one.index(">") if ">" in one else None] for one in words if one[:1] == ["hf-refseg"]]


def blocks_of(page: Path) -> list[Block]:
    return [
        Block(language, code, mark or None, value or None)
        for mark, value, language, code in BLOCK.findall(page.read_text(encoding="utf-8"))
    ]


def metric_names() -> dict:
    from hf_refseg.metrics import RefSegMetric

    other = RefSegMetric("hu2016")
    other.add_counts(intersection=1, union=2)
    masks = np.eye(4, dtype=bool)
    return {"pred_mask": masks, "target_mask": masks, "other": other}


def crf_names(image: Image.Image) -> dict:
    import torch

    import hf_refseg
    from hf_refseg.dense_crf import DenseCrf

    segment = hf_refseg.pipeline()
    inputs = segment.processor(image, "the cat")
    with torch.no_grad():
        outputs = segment.model(**inputs)
    return {
        "segment": segment,
        "processor": segment.processor,
        "outputs": outputs,
        "sizes": inputs["original_sizes"],
        "torch": torch,
        "DenseCrf": DenseCrf,
        "pixels": torch.from_numpy(np.array(image)).permute(2, 0, 1),  # (H, W, 3) -> (3, H, W)
        "p": torch.full((1, 30, 45), 0.7),
    }


def names_for(page: Path, image: Image.Image) -> dict:
    """What a page takes for granted."""
    prepare: dict[str, Callable[[], dict]] = {"metrics.md": metric_names, "dense_crf.md": lambda: crf_names(image)}
    return {"image": image, **prepare.get(page.name, dict)()}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, marks=[pytest.mark.slow] if page.name in SLOW and page.parent.name != "refseg_metric" else []
        )
        for page in PAGES
    ],
    ids=lambda page: f"{page.parent.name}/{page.name}",
)
def test_blocks_run(page, tmp_path, monkeypatch):
    from skimage.data import chelsea

    image = Image.fromarray(chelsea())
    if page.name == "dense_crf.md":
        image = image.resize((45, 30))
    monkeypatch.chdir(tmp_path)
    image.save("photo.jpg")
    (tmp_path / "spaces").symlink_to(ROOT / "spaces")
    names = names_for(page, image)
    for block in blocks_of(page):
        if block.mark == "not run" or block.language in NO_CODE:
            continue
        if block.mark == "file":
            Path(block.value).write_text(block.code)
        elif block.language == "python":
            exec(with_repository(block.code, page, tmp_path), names)
        else:
            for words in block.commands():
                assert cli.main(words) == 0, words
    shutil.rmtree(tmp_path / "bundled", ignore_errors=True)


def with_repository(code: str, page: Path, folder: Path) -> str:
    """A card's code with a folder in place of a repository that works without this package."""
    if "THIS_REPOSITORY" not in code:
        return code
    from hf_refseg.hub.bundle import bundle

    return code.replace("THIS_REPOSITORY", str(bundle(page.stem, folder / "bundled")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands_are_those_of_the_command_line(page):
    """Also where they are not run."""
    for block in blocks_of(page):
        assert block.language in RUNS | NO_CODE, f"{page}: mark a block of {block.language} as one that is known"
        for words in block.commands():
            known, _ = split_overrides(words)
            try:
                cli.build_parser().parse_args(known)
            except SystemExit:
                pytest.fail(f"{page} has a command that hf-refseg does not know: {' '.join(words)}")
