"""Trained weights that ship inside the package, and their names."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULT_CHECKPOINT = "refseg-photos"


def checkpoint_names() -> list[str]:
    """Names of the shipped checkpoints, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def checkpoint_path(name: str = DEFAULT_CHECKPOINT) -> str:
    """The folder of a shipped checkpoint, for any `from_pretrained`.

    Raises ValueError for a name that does not ship, listing those that do.
    """
    if name not in checkpoint_names():
        raise ValueError(
            f"no checkpoint {name!r} ships with hf_refseg; there are: {', '.join(checkpoint_names()) or '-'}"
        )
    return str(FOLDER / name)


def resolve_checkpoint(name_or_path: str) -> str:
    """The folder of a shipped checkpoint's bare name; a folder (~ is the user's) or a Hub id as it is."""
    name_or_path = os.path.expanduser(name_or_path)
    if not Path(name_or_path).exists() and name_or_path in checkpoint_names():
        return checkpoint_path(name_or_path)
    return name_or_path
