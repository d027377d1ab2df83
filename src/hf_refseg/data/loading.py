"""`load`, the one door: rows of any data set by its name, its folder, or its repository on the Hub."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .built import configurations, open_built
from .catalogue import DATASETS, READERS, PublishedDataset, official_layout
from .coco_images import load_coco_images
from .rows import ReferringRows
from .saved import is_saved, open_saved
from .triples import METADATA, load_triples

ROOT_VARIABLE = "HF_REFSEG_DATA"
# What the official files of a layout can be asked for, beside the split.
OPTIONS_OF_LAYOUT = {
    "refer": ("images", "partition", "skip_unreadable"),
    "grefcoco": ("images", "partition", "skip_unreadable"),
    "referit": ("images", "skip_unreadable"),
    "phrasecut": ("images", "skip_unreadable"),
    "coco": ("images", "exclude_images", "skip_unreadable"),
}
BUILT_OPTIONS = ("images", "partition", "streaming", "shuffle_buffer")
SHAPES_OPTIONS = (
    *("dialect", "size", "seed", "expression_types", "refs_per_scene", "category_shares"),
    *("num_samples", "streaming"),
)


def load(
    name_or_path: str | Path,
    split: str,
    images: str | Path | bool | None = None,
    partition: str | None = None,
    root: str | Path | None = None,
    exclude_images: str | Path | None = None,
    streaming: bool = False,
    shuffle_buffer: int = 0,
    num_samples: int | None = None,
    skip_unreadable: bool = False,
    resize_pictures: bool = False,
    **shapes_options,
) -> ReferringRows:
    """Rows of one split of a data set, whose pictures and masks are decoded when they are asked for.

    `rows[i]` is a row of `hf_refseg.data.schema`: `image` a PIL image in RGB, opened now; `mask` a COCO RLE of which
    `numpy.asarray(row["mask"])` makes an (H, W) bool array. `rows[:10]` are rows again.

    Args:
        name_or_path: one of
            a published name, "refcoco_unc", "refcoco_google", "refcocoplus_unc", "refcocog_google", "refcocog_umd",
            "referit", "refclef_berkeley", "refclef_unc", "phrasecut", "grefcoco" or "coco", found under `root`;
            "refshapes" or "refshapes/DIALECT", drawn from a seed;
            a folder that `dataset_scripts/build_*.py` built;
            a folder of official files: RefCOCO's layout, or COCO's (`instances_SPLIT.json`) without any refs;
            a folder of pictures and masks with a `metadata.jsonl`, see `hf_refseg.data.triples`;
            a folder that `datasets` wrote with rows of the schema, or in the layout of lmms-lab's or jxu124's RefCOCO;
            a repository of the Hub, "user/name", with a built folder.
        split: "train", "val" or "validation" (they mean the same everywhere), "testA", ...; for PhraseCut also
            "val_miniv", the published val set, once built.
        images: folder of the pictures. None: those built in, or the usual places beside official files. False: rows
            without the field `image`.
        partition: "unc", "google", "umd", "berkeley", where a folder has several.
        root: of a published name: the folder that holds data sets, built or as downloaded, or the data set itself.
            None: the environment's HF_REFSEG_DATA, or "data".
        exclude_images: of COCO: text file of images to leave out, see `load_coco_images`.
        streaming: a [`StreamedRows`] of a built data set or of RefShapes. Otherwise rows have a length and an index.
        shuffle_buffer: of a built data set's stream: shuffle its shards, and its rows in a buffer of this many, before
            pictures are opened; `set_epoch` of the stream shuffles anew.
        num_samples: only the first rows, at most this many; of RefShapes, exactly this many.
        skip_unreadable: read every picture and mask now, and leave out the rows whose cannot be read, and the
            records of official files that are damaged; `rows.notes` says how many. Otherwise such a record or row is
            an error.
        resize_pictures: make pictures that have another size than annotated the annotated size, which is an error
            otherwise: their masks do not fit. For data sets some of whose pictures are a pixel off, or are copies of
            another size; a picture that is turned or cropped is an error all the same.
        shapes_options: of RefShapes: dialect, size, seed, expression_types, refs_per_scene, category_shares.

    Raises:
        FileNotFoundError: nothing is there under this name, or no pictures.
        ValueError: an unknown name or split; an option that this data set does not read; a folder that is none of
            these; several partitions and none chosen.
    """
    given = {
        **{"images": images, "partition": partition, "root": root, "exclude_images": exclude_images},
        **{"streaming": streaming or None, "shuffle_buffer": shuffle_buffer or None, "num_samples": num_samples},
        **shapes_options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in {"skip_unreadable": skip_unreadable, "resize_pictures": resize_pictures}.items():
        if type(value) is not bool:
            raise TypeError(f"{name} is {value!r}; give True or False")
    source = _find(name_or_path, given)
    options = {name: value for name, value in given.items() if name not in source.used}
    count = None if "num_samples" in source.reads else options.pop("num_samples", None)
    unread = sorted(options.keys() - set(source.reads))
    if unread:
        raise ValueError(
            f"{source.what} does not read {', '.join(unread)}; "
            + (f"its options are {', '.join(source.reads)}." if source.reads else "it has no options.")
            + (" Build official files with dataset_scripts/ to stream them." if "streaming" in unread else "")
        )
    if skip_unreadable and "skip_unreadable" in source.reads:
        options["skip_unreadable"] = True
    rows = source.open(split, **options)
    if streaming and (skip_unreadable or resize_pictures):
        raise ValueError("a stream is read row by row: skip_unreadable and resize_pictures need rows with an index")
    rows = rows.with_resized_pictures() if resize_pictures else rows
    rows = rows if count is None else rows.take(count)
    if rows.is_stream:
        return rows
    return rows.readable() if skip_unreadable else rows.with_checked_pictures()


@dataclass(frozen=True)
class Source:
    """A data set that was found, and how to open it.

    Args:
        what: its name in errors.
        reads: names of the options that `open` takes beside the split.
        open: makes its rows.
        used: names of the options that were needed to find it.
    """

    what: str
    reads: tuple[str, ...]
    open: Callable[..., ReferringRows]
    used: tuple[str, ...] = ()


def _find(name_or_path: str | Path, given: dict) -> Source:
    """The data set of a name or folder; a name of ours comes before a folder of that name only for RefShapes."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"the data set is a {type(name_or_path).__name__}; give a name or a folder (save_to_disk(folder) of "
            "datasets writes one)"
        )
    path = Path(name_or_path).expanduser()
    name = str(path)
    if path.is_dir():
        return _in_folder(path)
    family, _, dialect = name.partition("/")
    if family == "refshapes":
        return _shapes(dialect)
    if name == "coco":
        return _coco(_root(given))
    if name in DATASETS:
        return _published(DATASETS[name], _root(given), given.get("partition"))
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return Source(name, BUILT_OPTIONS, partial(_open_remote, name))
    raise ValueError(f"{name!r} is neither a folder nor one of {sorted([*DATASETS, 'coco', 'refshapes'])}.")


def _open_remote(name: str, split: str, **options) -> ReferringRows:
    """Of a repository of the Hub, where no folder has this name."""
    try:
        return open_built(name, split, **options)
    except OSError as error:
        raise FileNotFoundError(
            f"there is no folder {name}, and no repository of this name can be read on the Hub ({error}); give the "
            "path of your data"
        ) from error


def _root(given: dict) -> Path:
    return Path(given.get("root") or os.environ.get(ROOT_VARIABLE) or "data")


def _shapes(dialect: str) -> Source:
    from .refshapes import RefShapes

    def open_shapes(split: str, streaming: bool = False, **options):
        shapes = RefShapes(split=split, **options)
        return shapes.to_iterable_dataset() if streaming else shapes

    if not dialect:
        return Source("refshapes", SHAPES_OPTIONS, open_shapes)
    reads = tuple(option for option in SHAPES_OPTIONS if option != "dialect")
    return Source(f"refshapes/{dialect}", reads, partial(open_shapes, dialect=dialect))


def _coco(root: Path) -> Source:
    folder = next((folder for folder in (root / "coco", root) if official_layout(folder) is not None), None)
    if folder is None:
        raise FileNotFoundError(
            f"coco is not in {root.absolute()}: say with root= or {ROOT_VARIABLE} where its instances_*.json are."
        )
    return Source("coco", OPTIONS_OF_LAYOUT["coco"], partial(load_coco_images, folder), used=("root",))


def _published(dataset: PublishedDataset, root: Path, partition: str | None) -> Source:
    if partition not in (None, dataset.partition):
        raise ValueError(f"{dataset.name} is partition {dataset.partition!r}, not {partition!r}.")
    used = ("root", "partition")
    for folder in (root / dataset.name, root / dataset.family, dataset.folder(root), root):
        if dataset.name in configurations(folder):
            reads = tuple(option for option in BUILT_OPTIONS if option != "partition")
            return Source(dataset.name, reads, partial(open_built, folder, name=dataset.name), used)
        if _has_official_files(folder, dataset):

            def open_official(split: str, folder: Path = folder, **options):
                return dataset.open(folder, dataset.official_split(split), **{"images": None, **options})

            reads = tuple(option for option in OPTIONS_OF_LAYOUT[dataset.layout] if option != "partition")
            return Source(f"{dataset.name} (official files)", reads, open_official, used)
    raise FileNotFoundError(
        f"{dataset.name} is not in {root.absolute()}: build it there (python dataset_scripts/build_{dataset.family}.py "
        f"--raw DIR --out {root / dataset.family}), name its folder instead, or say with root= or {ROOT_VARIABLE} "
        "where your data sets are."
    )


def _has_official_files(folder: Path, dataset: PublishedDataset) -> bool:
    if not folder.is_dir() or official_layout(folder) != dataset.layout:
        return False
    return dataset.layout != "refer" or any(folder.glob(f"refs({dataset.partition}).*"))


def _in_folder(folder: Path) -> Source:
    if configurations(folder):
        return Source(f"{folder}, a built data set,", BUILT_OPTIONS, partial(open_built, folder))
    layout = official_layout(folder)
    if layout is not None:
        what = f"{folder}, which holds official files ({layout}),"
        return Source(what, OPTIONS_OF_LAYOUT[layout], partial(READERS[layout], folder))
    if (folder / METADATA).is_file():
        what = f"{folder}, a folder of pictures and masks,"
        return Source(what, ("skip_unreadable",), partial(load_triples, folder))
    if is_saved(folder):
        return Source(f"{folder}, a folder of datasets,", ("images",), partial(open_saved, folder))
    raise ValueError(
        f"{folder} is neither a built data set (no README.md that lists configurations) nor a folder of official files "
        "(refs*.p or refs.json, grefs*.json, referit_query_*.json, refer_*.json, instances*.json), nor one of pictures "
        f"and masks ({METADATA}), nor one that datasets wrote (state.json, dataset_dict.json, *.parquet)."
    )
