"""Checkpoints that are either complete or recognizably not: a run killed at any moment resumes from the last whole one.

A checkpoint folder is written file by file, so a killed run can leave half of one. The manifest, names and sizes of all
files, is written last and appears under its name in one step; a folder without it, or that does not match it, is not a
checkpoint.
"""

import json
import re
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..writing import flush, require_place, write_text

MANIFEST = "checkpoint_manifest.json"


def write_manifest(folder: str | Path) -> None:
    """Mark `folder` as a complete checkpoint; call when every process has written its files."""
    folder = Path(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    for path in files:
        flush(path)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    write_text(folder / MANIFEST, json.dumps(sizes, indent=1))


def remove_manifest(folder: str | Path) -> None:
    """Unmark `folder` before anything in it is overwritten; a folder without manifest is left as it is."""
    (Path(folder) / MANIFEST).unlink(missing_ok=True)


def missing_files(folder: str | Path) -> list[str]:
    """Names of the files that make `folder` incomplete: absent, of another size, or the manifest itself; [] if none."""
    folder = Path(folder)
    try:
        sizes = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # absent, or empty as a power cut may leave it
        return [MANIFEST]
    return [
        name for name, size in sizes.items() if not (folder / name).is_file() or (folder / name).stat().st_size != size
    ]


def last_complete_checkpoint(output_dir: str | Path) -> str | None:
    """The complete `checkpoint-STEP` folder of the highest step in `output_dir`, or None if there is none."""
    pattern = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")
    folders = Path(output_dir).iterdir() if Path(output_dir).is_dir() else ()
    steps = {int(match[1]): folder for folder in folders if (match := pattern.fullmatch(folder.name))}
    complete = [step for step in steps if not missing_files(steps[step])]
    return str(steps[max(complete)]) if complete else None


def require_fresh(output_dir: str | Path) -> None:
    """Refuse to begin a training among the checkpoints of another one, which a later resume would mistake for its own.

    Raises:
        FileExistsError: naming the ways out.
        NotADirectoryError: `output_dir` can't be a folder.
    """
    require_place(output_dir)
    old = sorted(path.name for path in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"))
    if old:
        raise FileExistsError(
            f"{output_dir} holds the checkpoints of an earlier training ({', '.join(old)}): resume it (--resume), "
            "choose another --output_dir, or delete the folder"
        )
