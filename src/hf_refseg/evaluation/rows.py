"""Finds the data set that a command names."""

from pathlib import Path


def load_rows(dataset: str, split: str, images: str | None = None, partition: str | None = None):
    """Map-style rows of the one schema (`hf_refseg.data.schema`), their pictures decoded when a row is asked for.

    Args:
        dataset: whatever `hf_refseg.data.load` takes: a published name, a folder it can read, `"refshapes/DIALECT"`; or
            a folder that `datasets` wrote with rows of the schema, by `save_to_disk` or as bare Parquet files.
        split: as the data set calls it.
        images, partition: see `load`.

    Raises:
        FileNotFoundError, ValueError: as `load`; or the rows are not of the schema.
    """
    folder = Path(dataset)
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return check_columns(load_saved(folder, split), folder)
    from ..data.loading import is_built, load

    if folder.is_dir() and not is_built(folder) and any(folder.rglob("*.parquet")):
        from datasets import load_dataset

        return check_columns(load_dataset(str(folder), split=split), folder)
    return load(dataset, split, images, partition)


def load_saved(folder: Path, split: str):
    """One split of a folder that `save_to_disk` wrote: of a dict of splits, or the rows of one data set marked so."""
    from datasets import DatasetDict, load_from_disk

    saved = load_from_disk(str(folder))
    if isinstance(saved, DatasetDict):
        if split not in saved:
            raise ValueError(f"{folder} has no split {split!r}; it has {list(saved)}")
        return saved[split]
    marks = saved["split"] if "split" in saved.column_names else []
    numbers = [number for number, mark in enumerate(marks) if mark == split]
    if not numbers:
        raise ValueError(f"{folder} has no rows of split {split!r}; it has {sorted(set(marks))}")
    return saved if len(numbers) == len(saved) else saved.select(numbers)


def check_columns(rows, folder: Path):
    from ..data import row_features

    missing = sorted(set(row_features()) - set(rows.column_names))
    if missing:
        raise ValueError(
            f"{folder} has no columns {', '.join(missing)}; rows to evaluate have all that hf_refseg.data.schema lists"
        )
    return rows
