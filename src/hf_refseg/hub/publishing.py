"""A model to the Hub in one commit: whole or not at all, with a look at what would change before."""

import hashlib
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError, safe_open

from .bundle import bundle, find_folder

logger = logging.getLogger(__name__)

# What unpickling could run anything of; a training's own state is left out, other pickles are refused.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
STATE_OF_TRAINING = ("training_args.bin", "optimizer.*", "scheduler.*", "scaler.*", "rng_state*")
# Of these no old ones stay beside new ones.
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
SECONDS_BETWEEN_TRIES = (1, 4)


@dataclass(frozen=True)
class Change:
    """One file of a plan: its path in the repository, its size in bytes, and what happens to it."""

    path: str
    size: int
    kind: str  # "new", "changed", "same" or "removed"


@dataclass(frozen=True)
class Plan:
    """
    What publishing a folder would do.

    Args:
        folder: the files as the repository would hold them.
        repo: user/name.
        revision: the branch.
        parent: the commit that the branch is at; None where there is no such repository yet.
        changes: one per file of the folder, and per remote file that would go.
    """

    folder: Path
    repo: str
    revision: str
    parent: str | None
    changes: tuple[Change, ...]

    def is_needed(self) -> bool:
        """Whether anything would change."""
        return any(change.kind != "same" for change in self.changes)

    def operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        """Of the one commit. They read the folder when they are carried out."""
        added = [change.path for change in self.changes if change.kind in ("new", "changed")]
        removed = [change.path for change in self.changes if change.kind == "removed"]
        return [CommitOperationAdd(path, self.folder / path) for path in added] + [
            CommitOperationDelete(path) for path in removed
        ]


def publish_model(
    path: str | Path,
    repo: str,
    private: bool = False,
    create_pr: bool = False,
    revision: str = "main",
    dry_run: bool = False,
) -> tuple[Plan, str | None]:
    """
    Publish a model as a folder that works with and without this package.

    The token is the Hub's own: the environment's `HF_TOKEN`, or that of `hf auth login`.

    Args:
        path: name of a shipped checkpoint, or a folder of a system or the detector.
        repo: user/name; made where it does not exist.
        private: make a new repository private.
        create_pr: open a pull request instead of writing to the branch.
        revision: the branch.
        dry_run: only look at what would change.

    Returns: the plan, and the URL of the commit or pull request; None in a dry run, and where nothing would change.

    Raises:
        ValueError: the folder holds pickles, its card names no license, its weights are damaged, or there is no token.
        OSError: the Hub refuses, or cannot be reached in three tries. The repository then is as it was.
    """
    source = find_folder(path)
    check_no_pickles(source)
    api = HfApi()
    with tempfile.TemporaryDirectory() as temporary:
        folder = bundle(source, Path(temporary) / "bundle")
        check_card(folder / "README.md")
        check_weights(folder)
        plan = make_plan(api, folder, repo, revision)
        if dry_run or not plan.is_needed():
            return plan, None
        if get_token() is None:
            raise ValueError("there is no token for the Hub: run `hf auth login`, or set HF_TOKEN")
        if plan.parent is None:
            api.create_repo(repo, private=private, exist_ok=True)
        if revision != "main":
            api.create_branch(repo, branch=revision, exist_ok=True)
        return plan, commit(api, plan, create_pr)


def make_plan(api: HfApi, folder: Path, repo: str, revision: str = "main") -> Plan:
    """Compare a folder with a branch of a model repository, by the hashes that the Hub keeps."""
    try:
        parent = api.repo_info(repo, revision=revision).sha
        remote = {entry.path: entry for entry in api.list_repo_tree(repo, revision=parent) if hasattr(entry, "blob_id")}
    except (RepositoryNotFoundError, RevisionNotFoundError):
        parent, remote = None, {}
    changes = []
    for path in sorted(folder.iterdir()):
        kind = "new" if path.name not in remote else "same" if is_same(path, remote[path.name]) else "changed"
        changes.append(Change(path.name, path.stat().st_size, kind))
    for name, entry in sorted(remote.items()):
        if not (folder / name).exists() and any(Path(name).match(pattern) for pattern in WEIGHTS):
            changes.append(Change(name, entry.size, "removed"))
    return Plan(folder, repo, revision, parent, tuple(changes))


def is_same(path: Path, entry) -> bool:
    """Whether a local file has the content of a `RepoFile`."""
    content = path.read_bytes()
    if entry.lfs is not None:
        return hashlib.sha256(content).hexdigest() == entry.lfs.sha256
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id


def commit(api: HfApi, plan: Plan, create_pr: bool) -> str:
    """
    The one commit, tried three times where the connection breaks or the server fails; returns its URL.

    Raises:
        OSError: the last try failed. The branch is as it was: a commit is all or nothing.
    """
    for pause in (*SECONDS_BETWEEN_TRIES, None):
        try:
            done = api.create_commit(
                repo_id=plan.repo,
                operations=plan.operations(),
                commit_message="Publish model with hf_refseg",
                revision=plan.revision,
                create_pr=create_pr,
                parent_commit=plan.parent,
            )
            return done.pr_url if create_pr else done.commit_url
        except OSError as error:
            refused = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
            if refused or pause is None:
                raise
            logger.warning("%s; trying again in %d s", error, pause)
            time.sleep(pause)
    raise AssertionError("unreachable")


def check_no_pickles(folder: Path) -> None:
    """Raises ValueError for a pickle that is not a training's own state, which is left out anyway."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in PICKLES and not any(path.match(pattern) for pattern in STATE_OF_TRAINING):
            raise ValueError(
                f"{path} is a pickle, which can run anything on the machine that loads it: save the model as "
                "safetensors with save_pretrained, and remove this file"
            )


def check_card(path: Path) -> None:
    """Raises ValueError where a model card names no license, or one that has to be named further and is not."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: a model is published with its card, which names its license")
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
