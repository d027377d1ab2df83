"""What the README tells a newcomer to type works, word for word."""

import re
from pathlib import Path

import pytest

import hf_refseg

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_readmes_commands():
    install_and_test = next(block for block in blocks("bash") if "pytest" in block).strip()
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line in install_and_test.split(" && ")] == install_and_test.split(" && ")


def test_named_files_exist():
    for path in re.findall(r"\]\(([^)]+)\)", README) + re.findall(r"(?:configs|benchmarks)/\w+\.(?:yaml|py)", README):
        assert (ROOT / path).exists(), f"the README names {path}"


def test_python_examples_run():
    if "refseg-photos" not in hf_refseg.checkpoint_names():
        pytest.fail("the checkpoint that the README promises is not in the package")
    from skimage.data import chelsea

    names = {"image": chelsea()}
    for block in blocks("python"):
        exec(block, names)
    height, width = names["image"].shape[:2]
    assert [result["mask"].shape for result in names["results"]] == [(height, width)] * 2
    assert names["results"][0]["mask"].any()
    assert names["row"]["sentences"]
