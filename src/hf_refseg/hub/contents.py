"""What a repository of each kind holds, prepared from a folder on the disk, and what must not be published."""

import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from packaging.requirements import Requirement
from safetensors import SafetensorError, safe_open

from ..data.builders.building import STATE_FILE
from ..data.builders.publishing import check_permission
from .bundle import bundle, find_folder
from .card import REPOSITORY
from .flattening import PACKAGE

# What unpickling could run anything of; a training's own state is left out, other pickles are refused.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
STATE_OF_TRAINING = ("training_args.bin", "optimizer.*", "scheduler.*", "scaler.*", "rng_state*")
SPACE_FIELDS = ("title", "sdk", "app_file")
DISTRIBUTION = "hf-refseg"

Files = dict[str, Path]  # the path in the repository, and the file of that content


@dataclass(frozen=True)
class Kind:
    """
    One kind of repository.

    Args:
        prepare: the files of a repository, from what the user names, an empty folder to write into, the repository's
            name, and whether the user has a permission that no license gives.
        exclusive: patterns of files that the new ones replace: old ones of these do not stay beside them.
    """

    prepare: Callable[[str | Path, Path, str, bool], Files]
    exclusive: tuple[str, ...]


def prepare_model(path: str | Path, into: Path, repo: str, have_permission: bool) -> Files:
    """A model with its code, see [`bundle`]; the card names the repository."""
    source = find_folder(path)
    check_no_pickles(source)
    folder = bundle(source, into / "model")
    check_card(folder / "README.md")
    check_weights(folder)
    card = folder / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace(REPOSITORY, repo), encoding="utf-8")
    return files_of(folder)


def prepare_dataset(path: str | Path, into: Path, repo: str, have_permission: bool) -> Files:
    """A build of `dataset_scripts/`, where it lies; what the build leaves beside it stays here."""
    folder = Path(path)
    state = folder / STATE_FILE
    if not state.is_file():
        raise FileNotFoundError(
            f"{state} is missing: {folder} was not built by this package; publish what "
            "`dataset_scripts/build_<name>.py --out` wrote"
        )
    report = json.loads(state.read_text(encoding="utf-8"))
    if not report["complete"]:
        raise ValueError(f"the build in {folder} is not complete; run the same command again, which resumes it")
    identity = report["identity"]
    check_permission(identity["family"], identity["with_images"], have_permission)
    check_card(folder / "README.md")
    rooms = [*identity["names"], "images"]
    found = [
        folder / "README.md",
        *folder.glob("*.json"),
        *(one for room in rooms for one in folder.glob(f"{room}/*.parquet")),
    ]
    return {one.relative_to(folder).as_posix(): one for one in found}


def prepare_space(path: str | Path, into: Path, repo: str, have_permission: bool) -> Files:
    """
    A Space, with a copy of this package where its requirements name it: it is on no package index.

    The copy lies beside the app, which finds it there; its own requirements take its place.
    """
    folder = Path(path)
    check_space(folder)
    check_no_pickles(folder)
    files = files_of(folder)
    if space_header(folder)["sdk"] == "static":  # nothing is installed for it
        return files
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ours = [Requirement(line) for line in lines if line.startswith(DISTRIBUTION)]
    if ours:
        others = [line for line in lines if not line.startswith(DISTRIBUTION)]
        written = into / "requirements.txt"
        written.write_text("\n".join([*others, *requirements_of(ours[0].extras)]) + "\n", encoding="utf-8")
        files["requirements.txt"] = written
        files |= {f"{PACKAGE.name}/{name}": file for name, file in files_of(PACKAGE).items()}
    return files


KINDS = {
    "model": Kind(prepare_model, ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")),
    "dataset": Kind(prepare_dataset, ("*.parquet",)),
    "space": Kind(prepare_space, (f"{PACKAGE.name}/*",)),
}


def files_of(folder: Path) -> Files:
    """Every file below a folder, without hidden ones and Python's own leavings."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        relative.as_posix(): path
        for relative, path in files.items()
        if not any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
    }


def requirements_of(extras: set[str]) -> list[str]:
    """What this package requires, with these of its extras, as lines of a requirements.txt."""
    lines = []
    for text in importlib.metadata.requires(DISTRIBUTION):
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            requirement.marker = None
            lines.append(str(requirement))
    return lines


def check_no_pickles(folder: Path) -> None:
    """Raises ValueError for a pickle that is not a training's own state, which is left out anyway."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES and not any(path.match(pattern) for pattern in STATE_OF_TRAINING):
            raise ValueError(
                f"{path} is a pickle, which can run anything on the machine that loads it: save the model as "
                "safetensors with save_pretrained, and remove this file"
            )


def check_card(path: Path) -> None:
    """Raises ValueError where a card names no license, or one that has to be named further and is not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: what is published has a card, which names its license")
    data = ModelCard.load(path).data
    if not data.license:
        raise ValueError(
            f"{path.name} names no license. Publish only what you may: write `license:` into its front matter, of the "
            "weights and of what they were trained on or converted from"
        )
    if data.license == "other" and not (data.to_dict().get("license_name") and data.to_dict().get("license_link")):
        raise ValueError(f"{path.name} says license: other; add license_name and license_link")


def check_weights(folder: Path) -> None:
    """Raises ValueError for a file that is called safetensors and is none."""
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, "pt") as weights:
                weights.keys()
        except SafetensorError as error:
            raise ValueError(f"{path.name} is damaged, or no safetensors at all: {error}") from error


def check_space(folder: Path) -> None:
    """Raises FileNotFoundError or ValueError where the Hub could not start a Space."""
    if not (folder / "README.md").is_file():
        raise FileNotFoundError(f"{folder / 'README.md'} is missing; a Space has one")
    header = space_header(folder)
    if header.get("sdk") != "static" and not (folder / "requirements.txt").is_file():
        raise FileNotFoundError(f"{folder / 'requirements.txt'} is missing; a Space that runs a program has one")
    missing = [name for name in SPACE_FIELDS if name not in header]
    if missing:
        raise ValueError(f"{folder / 'README.md'}: the front matter lacks {', '.join(missing)}")
    if not (folder / header["app_file"]).is_file():
        raise FileNotFoundError(f"{folder / header['app_file']} is missing, which the front matter calls app_file")


def space_header(folder: Path) -> dict:
    """The front matter of a Space's README.md."""
    text = (folder / "README.md").read_text(encoding="utf-8-sig")
    if not text.startswith("---\n"):
        raise ValueError(f"{folder / 'README.md'} has no front matter, which tells the Hub how to start the Space")
    return yaml.safe_load(text.split("---\n", 2)[1])
