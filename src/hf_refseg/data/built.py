"""Reading what `dataset_scripts/build_*.py` built: a folder, or a repository of the Hub, whose card lists its files."""

from pathlib import Path

import yaml

from .foreign import open_table
from .image_sources import ImageFolder, ImageTable
from .schema import REQUIRED_FIELDS
from .splits import find_split
from .stored import DatasetRows, check_columns, check_sentences

PICTURES = "images"


def configurations(folder: Path) -> dict[str, dict[str, str]]:
    """{split: pattern of its files} of every configuration that the card of a folder lists; empty without a card."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    try:
        text = card.read_text(encoding="utf-8-sig")
        header = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
        listed = header.get("configs", []) if isinstance(header, dict) else []
        return {
            configuration["config_name"]: {files["split"]: files["path"] for files in configuration["data_files"]}
            for configuration in listed
            if isinstance(configuration.get("data_files"), list)
        }
    except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{card}: the list of files at its top can't be read ({reason}); build it again.") from error


def remote_configurations(repository: str) -> dict[str, dict[str, str]]:
    """The same of a repository of the Hub, whose files `datasets` finds itself."""
    import datasets

    names = datasets.get_dataset_config_names(repository)
    return {name: dict.fromkeys(datasets.get_dataset_split_names(repository, name), "") for name in names}


def open_built(
    place: Path | str,
    split: str,
    name: str | None = None,
    images: str | Path | bool | None = None,
    partition: str | None = None,
    streaming: bool = False,
    shuffle_buffer: int = 0,
):
    """Rows of one split of a built data set, or a stream of them; see `load` for what is not said here.

    Args:
        place: the folder, or the name of a repository of the Hub.
        name: the configuration, such as "refcoco_unc"; None: the only one, or that of the partition.

    Raises:
        FileNotFoundError: files that the card lists, or the pictures, are not there.
        ValueError: an unknown split; several configurations and none chosen; of a folder, a sentence without words.
    """
    if shuffle_buffer and not streaming:
        raise ValueError("shuffle_buffer is for streaming=True; a sampler shuffles map-style rows.")
    known = configurations(place) if isinstance(place, Path) else remote_configurations(place)
    name = name or _configuration(place, [name for name in known if name != PICTURES], partition)
    wanted = _files_of(split, known[name], f"{place}, {name}")
    table = _read(place, name, wanted, known, streaming)
    if streaming and table.column_names is not None:
        check_columns(table, str(place), REQUIRED_FIELDS)
    elif not streaming and not set(REQUIRED_FIELDS) <= set(table.column_names):  # somebody else's
        return open_table(table, str(place), split, images)
    if streaming and isinstance(place, Path):
        check_sentences(table, str(place))
    pictures = None if images is False else _pictures(place, known, images)
    if not streaming:
        return DatasetRows(table, pictures, str(place))
    return _stream(table, pictures, shuffle_buffer)


def _configuration(place: Path | str, names: list[str], partition: str | None) -> str:
    fitting = [name for name in names if partition is None or name.endswith(f"_{partition}")]
    if len(fitting) != 1:
        raise ValueError(f"{place} has the configurations {names}: say which with partition=, not {partition!r}.")
    return fitting[0]


def _pictures(place: Path | str, known: dict, images: str | Path | None) -> ImageFolder | ImageTable:
    if images is not None:
        return ImageFolder(images)
    if PICTURES not in known:
        raise FileNotFoundError(
            f"{place} was built without pixels: give the folder of its pictures with images=, or images=False."
        )
    return ImageTable(_read(place, PICTURES, "pictures", known), f"{place}, {PICTURES}")


def _files_of(split: str, there: dict[str, str], where: str) -> str:
    # The published val set of PhraseCut holds the images of miniv too.
    if split == "val_miniv" and "miniv" in there:
        return f"{find_split('validation', there, where)}+miniv"
    return find_split(split, there, where)


def _read(place: Path | str, name: str, split: str, known: dict[str, dict[str, str]], streaming: bool = False):
    import datasets

    if not isinstance(place, Path):
        return datasets.load_dataset(place, name, split=split, streaming=streaming)
    # By its files, not by its card: of a local card `datasets` caches what it says and not what is in the files, so
    # that a folder that was built again, or another of the same name, would give the rows of the first.
    files = {part: sorted(map(str, place.glob(known[name][part]))) for part in split.split("+")}
    for part, found in files.items():
        if not found:
            raise FileNotFoundError(f"{place} lacks the files {known[name][part]} of its card; build it again.")
    return datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming)


def _stream(table, pictures: ImageFolder | ImageTable | None, shuffle_buffer: int):
    from .streams import StreamedColumns, StreamedRows

    stream = table.shuffle(seed=0, buffer_size=shuffle_buffer) if shuffle_buffer else table
    if pictures is not None:
        stream = stream.map(_WithPicture(pictures))
    return StreamedRows(stream, StreamedColumns(table))


class _WithPicture:
    """Adds the field `image` to the rows of a stream."""

    def __init__(self, pictures: ImageFolder | ImageTable):
        self.pictures = pictures

    def __call__(self, row: dict) -> dict:
        return {"image": self.pictures.open(row), **row}
