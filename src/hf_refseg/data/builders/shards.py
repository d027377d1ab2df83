"""Parquet shards: each is one run of a builder, gets its name only when it is complete, and is never made twice."""

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import datasets
from datasets.exceptions import DatasetGenerationError
from tqdm import tqdm

from ...writing import flush, naming_the_disk

PARTIAL = ".partial"


@dataclass(frozen=True)
class Shard:
    """How to make one file.

    Attributes:
        target: the file.
        builder: class of the builder that writes it.
        options: of that builder.
        rows: how many rows it has.
    """

    target: Path
    builder: type[datasets.GeneratorBasedBuilder]
    options: dict = field(repr=False)
    rows: int


def shard_bounds(rows: int, rows_per_shard: int) -> list[tuple[int, int]]:
    """Equal blocks [start, end) of at most `rows_per_shard` rows."""
    count = max(1, -(-rows // rows_per_shard))
    return [(rows * number // count, rows * (number + 1) // count) for number in range(count)]


def shard_path(folder: Path, split: str, number: int, count: int) -> Path:
    return folder / f"{split}-{number:05d}-of-{count:05d}.parquet"


def write_shards(shards: Sequence[Shard], root: Path, num_proc: int = 1, label: str = "rows") -> int:
    """Writes the missing shards; returns their number of rows.

    Args:
        root: folder on the same disk as the targets, for unfinished work; that of a killed run is removed.
        num_proc: number of processes.
    """
    shutil.rmtree(root / PARTIAL, ignore_errors=True)
    missing = [shard for shard in shards if not shard.target.is_file()]
    bar = tqdm(total=sum(shard.rows for shard in shards), desc=label, unit="row", mininterval=0.5, disable=not missing)
    bar.update(bar.total - sum(shard.rows for shard in missing))
    try:
        if num_proc == 1 or len(missing) < 2:
            for shard in missing:
                bar.update(_write(shard, root))
        else:
            with ProcessPoolExecutor(min(num_proc, len(missing))) as pool:
                jobs = [pool.submit(_write, shard, root) for shard in missing]
                try:
                    for job in as_completed(jobs):
                        bar.update(job.result())
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    finally:
        bar.close()
        shutil.rmtree(root / PARTIAL, ignore_errors=True)
    return sum(shard.rows for shard in missing)


def _write(shard: Shard, root: Path) -> int:
    with naming_the_disk(shard.target):
        return _write_shard(shard, root)


def _write_shard(shard: Shard, root: Path) -> int:
    folder = root / PARTIAL / uuid.uuid4().hex
    builder = shard.builder(**shard.options, cache_dir=str(folder / "cache"))
    try:
        with _quiet_datasets():
            # No file comes near this limit, so a shard is one file.
            builder.download_and_prepare(str(folder / "out"), file_format="parquet", max_shard_size="1TB")
    except DatasetGenerationError as error:
        # The reader's own error names the file and the record; that of `datasets` does not.
        raise error.__cause__ or error from None
    (file,) = (folder / "out").glob("*.parquet")
    shard.target.parent.mkdir(parents=True, exist_ok=True)
    flush(file)
    os.replace(file, shard.target)
    shutil.rmtree(folder)
    return shard.rows


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Hides the progress bars of `datasets`, one per shard, below our own."""
    were_on = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if were_on:
            datasets.enable_progress_bars()
