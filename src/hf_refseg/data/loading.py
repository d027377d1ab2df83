"""`load`: rows of any data set by its name, its folder, or its repository on the Hub."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from .catalogue import DATASETS, READERS, PublishedDataset, find_dataset, official_layout
from .image_sources import ImageFolder, ImageTable
from .rows import Counts, ReferringRows

ROOT_VARIABLE = "HF_REFSEG_DATA"
PICTURES = "images"


def load(
    name_or_folder: str | Path,
    split: str,
    images: str | Path | bool | None = None,
    partition: str | None = None,
    root: str | Path | None = None,
    streaming: bool = False,
    shuffle_buffer: int = 0,
    **options,
) -> Sequence[dict]:
    """Rows of one split of a data set, whose pictures and masks are decoded when they are asked for.

    `rows[i]` is a row of `hf_refseg.data.schema`: `image` a PIL image in RGB, opened now; `mask` a COCO RLE of which
    `numpy.asarray(row["mask"])` makes an (H, W) bool array.

    Args:
        name_or_folder: one of
            a published name, "refcoco_unc", "refcoco_google", "refcocoplus_unc", "refcocog_google", "refcocog_umd",
            "referit", "refclef_berkeley", "refclef_unc", "phrasecut" or "grefcoco", found under `root`;
            "refshapes" or "refshapes/DIALECT", drawn from a seed (`options` are `RefShapes`'s, such as size);
            a folder that `dataset_scripts/build_*.py` built;
            a folder of official files, RefCOCO's layout included;
            a repository of the Hub, "user/name", with such a built folder.
        split: "train", "val" or "validation", "testA", ...; for PhraseCut also "val_miniv", the
            published val set, once built.
        images: folder of the pictures. None: those built in, or the usual places beside official files. False: rows
            without the field `image`.
        partition: "unc", "google", "umd", "berkeley", where a folder has several.
        root: folder that holds data sets, built or as downloaded; None: the environment's HF_REFSEG_DATA, or "data".
        streaming: an `datasets.IterableDataset` of a built data set, whose shards `split_dataset_by_node` deals out
            to processes; masks are then plain RLEs. Otherwise the shards are memory-mapped.
        shuffle_buffer: of a stream: shuffle its shards, and its rows in a buffer of so many, before pictures are
            opened; `set_epoch` of the stream shuffles anew.

    Raises:
        FileNotFoundError: nothing is there under this name, or no pictures.
        ValueError: unknown name, split or option; a folder that is none of these; several partitions and none said.
    """
    name, _, dialect = str(name_or_folder).partition("/")
    if name == "refshapes" and not Path(name_or_folder).is_dir():
        return _refshapes(split, streaming, {"dialect": dialect} | options if dialect else options)
    if options:
        raise ValueError(f"unknown options {sorted(options)}: only refshapes takes more than this function's own.")
    path, dataset = _find(name_or_folder, partition, root)
    if isinstance(path, Path) and not is_built(path):
        if streaming:
            raise ValueError(f"{path} holds official files; build them with dataset_scripts/ to stream them.")
        return _official_rows(path, dataset, split, images, partition)
    if shuffle_buffer and not streaming:
        raise ValueError("shuffle_buffer is for streaming=True; a sampler shuffles map-style rows.")
    return _built_rows(path, dataset, split, images, partition, streaming, shuffle_buffer)


def is_built(folder: Path) -> bool:
    """Whether a folder has a card whose YAML lists configurations."""
    return bool(_configurations(folder))


class BuiltRows(ReferringRows):
    """Rows of a built data set, memory-mapped by `datasets`."""

    def __init__(self, table, pictures: ImageFolder | ImageTable | None, name: str):
        self.table, self.pictures = table, pictures
        first = table[0]
        self.source, self.split, self.notes, self.file = first["source"], first["split"], {}, Path(name)

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> dict:
        return self.table[index]

    def image_record(self, index: int) -> dict:
        names = ["image_id", "file_name", "height", "width", *({"coco_id"} & set(self.table.column_names))]
        return self.table.select_columns(names)[index]

    def sentences(self):
        return (sentence["sent"] for row in self.table.select_columns("sentences") for sentence in row["sentences"])

    def counts(self) -> Counts:
        sentences = sum(len(sentences) for sentences in self.table["sentences"])
        return Counts(len(set(self.table["image_id"])), len(self.table), sentences)


class WithPicture:
    """Adds the field `image` to the rows of a stream."""

    def __init__(self, pictures: ImageFolder | ImageTable):
        self.pictures = pictures

    def __call__(self, row: dict) -> dict:
        return {"image": self.pictures.open(row), **row}


def _refshapes(split: str, streaming: bool, options: dict):
    from .refshapes import RefShapes

    shapes = RefShapes(split={"validation": "val"}.get(split, split), **options)
    return shapes.to_iterable_dataset() if streaming else shapes


def _find(
    name: str | Path, partition: str | None, root: str | Path | None
) -> tuple[Path | str, PublishedDataset | None]:
    """The folder, or the repository of the Hub, and the published data set that was named."""
    if Path(name).is_dir():
        return Path(name), None
    if str(name) in DATASETS:
        dataset = find_dataset(str(name))
        if partition not in (None, dataset.partition):
            raise ValueError(f"{name} is partition {dataset.partition!r}, not {partition!r}.")
        place = Path(root or os.environ.get(ROOT_VARIABLE) or "data")
        for folder in (place / dataset.name, place / dataset.family, dataset.folder(place), place):
            if dataset.name in _configurations(folder) or _has_official_files(folder, dataset):
                return folder, dataset
        raise FileNotFoundError(
            f"{name} is not in {place.absolute()}: build it there (python dataset_scripts/build_{dataset.family}.py "
            f"--raw DIR --out {place / dataset.family}), name its folder instead, or say with root= or "
            f"{ROOT_VARIABLE} where your data sets are."
        )
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return str(name), None
    raise ValueError(f"{str(name)!r} is neither a folder nor one of {sorted([*DATASETS, 'refshapes'])}.")


def _configurations(folder: Path) -> dict[str, dict[str, str]]:
    """{split: pattern of its files} of every configuration the card of a folder lists; empty without a card."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    text = card.read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    configurations = header.get("configs", []) if isinstance(header, dict) else []
    return {
        configuration["config_name"]: {files["split"]: files["path"] for files in configuration["data_files"]}
        for configuration in configurations
        if isinstance(configuration.get("data_files"), list)
    }


def _has_official_files(folder: Path, dataset: PublishedDataset) -> bool:
    if not folder.is_dir() or official_layout(folder) != dataset.layout:
        return False
    return dataset.layout != "refer" or any(folder.glob(f"refs({dataset.partition}).*"))


def _official_rows(path: Path, dataset: PublishedDataset | None, split: str, images, partition) -> ReferringRows:
    if dataset is not None:
        return dataset.open(path, dataset.official_split(split), images)
    layout = official_layout(path)
    if layout is None:
        raise ValueError(
            f"{path} is neither a built data set (no README.md that lists configurations) nor a folder of official "
            "files (refs*.p or refs.json, grefs*.json, referit_query_*.json, refer_*.json)."
        )
    options = {"partition": partition} if layout in ("refer", "grefcoco") else {}
    if partition is not None and not options:
        raise ValueError(f"{path} holds {layout}, which has no partitions; leave out partition={partition!r}.")
    return READERS[layout](path, {"validation": "val"}.get(split, split), images, **options)


def _built_rows(path: Path | str, dataset, split: str, images, partition: str | None, streaming: bool, buffer: int):
    configurations = _configurations(path) if isinstance(path, Path) else _remote_configurations(path)
    names = [name for name in configurations if name != PICTURES]
    if dataset is not None:
        names = [dataset.name]
    elif partition is not None:
        names = [name for name in names if name.endswith(f"_{partition}")] or names
    if len(names) != 1 or (partition and dataset is None and not names[0].endswith(f"_{partition}")):
        raise ValueError(f"{path} has the configurations {names}: say which with partition=, not {partition!r}.")
    wanted = _built_split(split, configurations[names[0]], f"{path}, {names[0]}")
    pictures = None
    if images is None and PICTURES in configurations:
        table = _read(path, PICTURES, "pictures", configurations)
        pictures = ImageTable(table, f"{path}, {PICTURES}")
    elif images is None:
        raise FileNotFoundError(
            f"{path} was built without pixels: give the folder of its pictures with images=, or images=False."
        )
    elif images is not False:
        pictures = ImageFolder(images)
    rows = _read(path, names[0], wanted, configurations, streaming)
    if not streaming:
        return BuiltRows(rows, pictures, str(path))
    if buffer:
        rows = rows.shuffle(seed=0, buffer_size=buffer)
    return rows if pictures is None else rows.map(WithPicture(pictures))


def _read(path: Path | str, name: str, split: str, configurations: dict[str, dict[str, str]], streaming: bool = False):
    import datasets

    if not isinstance(path, Path):
        return datasets.load_dataset(path, name, split=split, streaming=streaming)
    # By its files, not by its card: of a local card `datasets` caches what it says and not what is in the files, so
    # that a folder that was built again, or another of the same name, would give the rows of the first.
    files = {part: sorted(map(str, path.glob(configurations[name][part]))) for part in split.split("+")}
    for part, found in files.items():
        if not found:
            raise FileNotFoundError(f"{path} lacks the files {configurations[name][part]} of its card; build it again.")
    return datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming)


def _built_split(split: str, there: Iterable[str], where: str) -> str:
    if split == "val_miniv" and "miniv" in there:
        return "validation+miniv"
    name = {"val": "validation"}.get(split, split)
    for candidate in (name, split):
        if candidate in there:
            return candidate
    raise ValueError(f"{where} has no split {split!r}; it has {list(there)}.")


def _remote_configurations(repository: str) -> dict[str, dict[str, str]]:
    import datasets

    names = datasets.get_dataset_config_names(repository)
    return {name: dict.fromkeys(datasets.get_dataset_split_names(repository, name), "") for name in names}
