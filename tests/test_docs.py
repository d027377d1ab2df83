"""What docs/ names exists: links, scripts, recipes, test files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)#\s]+)\)")
PATH = re.compile(r"\b((?:benchmarks|configs|dataset_scripts|tests)/[\w/]+\.(?:py|yaml))")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    text = page.read_text(encoding="utf-8")
    named = [page.parent / link for link in LINK.findall(text)] + [ROOT / path for path in PATH.findall(text)]
    # `foo` is the family of the page on adding a system
    missing = [str(path) for path in named if not path.exists() and "foo" not in path.stem]
    assert not missing, f"docs/{page.name} names {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_have_as_many_cells_in_every_row(page):
    """A line that is cut or doubled shows up here first."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for before, line in zip(lines, lines[1:], strict=False):
        if before.startswith("|") and line.startswith("|"):
            assert before.count("|") == line.count("|"), f"docs/{page.name}: {line}"
