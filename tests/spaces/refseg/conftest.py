"""The Space's files import what lies beside them, as they do on the Hub."""

import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
for folder in (ROOT / "spaces" / "refseg", ROOT / "benchmarks"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

pytest.importorskip("gradio", reason="pip install -e '.[space]'")


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    from skimage.data import chelsea

    return Image.fromarray(chelsea())


@pytest.fixture(scope="session")
def cat_answer(cat):
    """Of an expression that is found, and one of which no word is known."""
    from choices import find_choice
    from segmenting import segment

    return segment(find_choice("refseg-photos-rmi"), cat, ["the whyte cat", "xyzzy"])


@pytest.fixture(scope="session")
def scene() -> Image.Image:
    """A scene with a red circle and more."""
    from choices import choices

    from hf_refseg.checkpoints import checkpoint_path
    from hf_refseg.hub.samples import sample

    return sample(checkpoint_path(next(one.name for one in choices() if one.on_shapes)))[0]
