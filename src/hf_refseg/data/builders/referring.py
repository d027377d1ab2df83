"""The `datasets` builders. They must be in an importable module: `datasets` can't find files of one in `__main__`.

    ReferringBuilder(config_name="refcoco_unc", data_dir=RAW).as_streaming_dataset(split="testA")     # nothing written
    ReferringBuilder(config_name="refcoco_unc", data_dir=RAW).download_and_prepare(OUT, file_format="parquet")

`build` uses them to write one shard at a time, so that a stopped build can be resumed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import datasets

from ..catalogue import DATASETS, find_dataset
from ..image_sources import ImageFolder
from ..leaks import image_identities
from ..rows import FileRows
from ..schema import row_features


@dataclass
class ReferringConfig(datasets.BuilderConfig):
    """Configuration of a `ReferringBuilder`; `data_dir` is the folder of the official files.

    Args:
        exclude: identities of images ("coco:7") whose rows are left out.
        part: (split of the built data set, first row, end row), counted after the exclusion; None: everything.
        with_instances: whether rows carry the field `instances`, every annotated object of their image.
    """

    exclude: tuple[str, ...] = ()
    part: tuple[str, int, int] | None = None
    with_instances: bool = False


class ReferringBuilder(datasets.GeneratorBasedBuilder):
    """Rows of the schema, without pixels, of any data set in the catalogue."""

    BUILDER_CONFIG_CLASS = ReferringConfig
    BUILDER_CONFIGS = [ReferringConfig(name=name, version=datasets.Version("1.0.0")) for name in DATASETS]

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=annotation_features(self.config.name, self.config.with_instances))

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        if self.config.data_dir is None:
            raise ValueError(f"{self.config.name} needs data_dir=, the folder of its official files.")
        dataset = find_dataset(self.config.name)
        splits = [self.config.part[0]] if self.config.part else list(dataset.splits)
        return [datasets.SplitGenerator(name=split, gen_kwargs={"split": split}) for split in splits]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        rows = split_rows(self.config.name, self.config.data_dir)[find_dataset(self.config.name).splits[split]]
        kept = kept_indices(rows, frozenset(self.config.exclude))
        _, start, end = self.config.part or (split, 0, len(kept))
        indices = kept[start:end]
        yield from zip(indices, annotated_rows(rows, indices, self.config.with_instances), strict=True)


@dataclass
class PictureConfig(datasets.BuilderConfig):
    """Configuration of a `PictureBuilder`; `data_dir` is the folder of the pictures.

    Args:
        records: image_id, file_name, height and width of the pictures, as `image_record` of the rows gives them.
    """

    records: tuple[dict, ...] = ()


class PictureBuilder(datasets.GeneratorBasedBuilder):
    """One row per picture, with the unchanged bytes of its file."""

    BUILDER_CONFIG_CLASS = PictureConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=picture_features())

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(name="pictures", gen_kwargs={"records": list(self.config.records)})]

    def _generate_examples(self, records: list[dict]) -> Iterator[tuple[int, dict]]:
        folder = ImageFolder(self.config.data_dir)
        for record in records:
            row = {name: record[name] for name in ("image_id", "file_name", "height", "width")}
            yield row["image_id"], row | {"image": {"bytes": folder.read(record), "path": record["file_name"]}}


def annotated_rows(rows: FileRows, indices: Iterable[int], with_instances: bool) -> Iterator[dict]:
    """What is written of these rows: everything but their pictures."""
    image_id, instances = None, []
    for index in indices:
        row = rows.row(index)
        if with_instances:
            if row["image_id"] != image_id:  # rows of one image mostly follow each other
                image_id, instances = row["image_id"], rows.instances_of(index)
            row["instances"] = instances
        yield row


def annotation_features(name: str, with_instances: bool = False) -> datasets.Features:
    """The features of the rows of a data set, without `image`: pictures have a table of their own."""
    features = row_features((*find_dataset(name).fields, *(["instances"] if with_instances else [])))
    return datasets.Features({key: feature for key, feature in features.items() if key != "image"})


def picture_features() -> datasets.Features:
    features = row_features()
    return datasets.Features({key: features[key] for key in ("image_id", "file_name", "height", "width", "image")})


@lru_cache(maxsize=4)
def split_rows(name: str, raw: str) -> dict[str, FileRows]:
    """The rows of every official split, opened once per process and shared by the shards of a build."""
    return find_dataset(name).open_splits(raw)


def kept_indices(rows: FileRows, exclude: frozenset[str]) -> list[int] | range:
    """The rows whose image has none of the excluded identities."""
    if not exclude:
        return range(len(rows))
    named = ({"source": rows.source} | rows.image_record(index) for index in range(len(rows)))
    return [index for index, record in enumerate(named) if not image_identities(record) & exclude]
