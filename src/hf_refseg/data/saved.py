"""Reading folders that `datasets` wrote with rows of the schema, by `save_to_disk` or as bare Parquet files."""

from pathlib import Path

from .foreign import open_table
from .rows import ReferringRows
from .splits import find_split, spellings


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`, or holds Parquet files."""
    marks = ("dataset_dict.json", "state.json")
    return any((folder / mark).is_file() for mark in marks) or any(folder.rglob("*.parquet"))


def open_saved(folder: Path, split: str, images: str | Path | bool | None = None) -> ReferringRows:
    """Rows of one split of such a folder, which holds its own pictures.

    Args:
        folder: written by `Dataset.save_to_disk` (then the field `split` of its rows counts), by
            `DatasetDict.save_to_disk`, or with Parquet files that are named after splits as `datasets` has it.
        split: its name.
        images: folder of the pictures, where the files hold none; False for rows without pictures.

    Raises:
        ValueError: an unknown split; columns of the schema are missing; a folder of pictures was given.
    """
    return open_table(_split_of(folder, split), str(folder), split, images)


def _split_of(folder: Path, split: str):
    import datasets

    if (folder / "dataset_dict.json").is_file():
        saved = datasets.load_from_disk(str(folder))
        return saved[find_split(split, saved, str(folder))]
    if not (folder / "state.json").is_file():
        known = datasets.get_dataset_split_names(str(folder))
        return datasets.load_dataset(str(folder), split=find_split(split, known, str(folder)))
    saved = datasets.load_from_disk(str(folder))
    marks = saved["split"] if "split" in saved.column_names else []
    for name in spellings(split):
        numbers = [number for number, mark in enumerate(marks) if mark == name]
        if numbers:
            return saved if len(numbers) == len(saved) else saved.select(numbers)
    if not len(marks):
        return saved  # it says of no row which split it is of
    raise ValueError(f"{folder} has no rows of split {split!r}; it has {sorted(set(marks))}")
