"""To the Hub in one commit: whole or not at all, with a look at what would change before."""

import hashlib
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from .contents import KINDS, Files, space_header

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_TRIES = (1, 4)


@dataclass(frozen=True)
class Change:
    """One file of a plan: its path in the repository, its size in bytes, and what happens to it."""

    path: str
    size: int
    kind: Literal["new", "changed", "same", "removed"]


@dataclass(frozen=True)
class Plan:
    """
    What publishing would do.

    Args:
        files: the files of the repository.
        kind: "model", "dataset" or "space".
        repo: user/name.
        revision: the branch.
        parent: the commit that the branch is at; None where there is no such repository or branch yet.
        changes: one per file, and per remote file that would go.
    """

    files: Files
    kind: str
    repo: str
    revision: str
    parent: str | None
    changes: tuple[Change, ...]

    def is_needed(self) -> bool:
        """Whether anything would change."""
        return any(change.kind != "same" for change in self.changes)

    def operations(self) -> list[CommitOperationAdd | CommitOperationDelete]:
        """Of the one commit. They read the files when they are carried out."""
        added = [change.path for change in self.changes if change.kind in ("new", "changed")]
        removed = [change.path for change in self.changes if change.kind == "removed"]
        return [CommitOperationAdd(path, self.files[path]) for path in added] + [
            CommitOperationDelete(path) for path in removed
        ]


def publish(
    kind: Literal["model", "dataset", "space"],
    path: str | Path,
    repo: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    revision: str = "main",
    dry_run: bool = False,
    have_permission: bool = False,
) -> tuple[Plan, str | None]:
    """
    Publish a model, a data set or a Space, in one commit.

    The token is the Hub's own: the environment's `HF_TOKEN`, or that of `hf auth login`.

    Args:
        kind: what it is. A model gets the code that it needs where this package is not installed; a data set is a build
            of `dataset_scripts/`; a Space that needs this package gets a copy of it.
        path: a folder; of a model also the name of a shipped checkpoint.
        repo: user/name; made where it does not exist.
        private: make a new repository private.
        create_pr: open a pull request instead of writing to the branch.
        revision: the branch; made where it does not exist.
        dry_run: only look at what would change.
        have_permission: the owners of the data allow what their license does not.

    Returns: the plan, and the URL of the commit or pull request; None in a dry run, and where nothing would change.

    Raises:
        ValueError: there are pickles, a license is missing or forbids it, weights are damaged, or there is no token.
        FileNotFoundError: a file is missing that such a repository needs.
        OSError: the Hub refuses, or cannot be reached in three tries. The branch then is as it was.
    """
    with tempfile.TemporaryDirectory() as temporary:
        files = KINDS[kind].prepare(path, Path(temporary), repo, have_permission)
        api = HfApi()
        plan = make_plan(api, files, kind, repo, revision)
        if dry_run or not plan.is_needed():
            return plan, None
        if get_token() is None:
            raise ValueError("there is no token for the Hub: run `hf auth login`, or set HF_TOKEN")
        sdk = space_header(Path(path))["sdk"] if kind == "space" else None
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        if revision != "main":
            api.create_branch(repo, repo_type=kind, branch=revision, exist_ok=True)
        return plan, commit(api, plan, create_pr)


def make_plan(api: HfApi, files: Files, kind: str, repo: str, revision: str = "main") -> Plan:
    """Compare files with a branch of a repository, by the hashes that the Hub keeps."""
    try:
        parent = api.repo_info(repo, repo_type=kind, revision=revision).sha
        tree = api.list_repo_tree(repo, repo_type=kind, revision=parent, recursive=True)
        remote = {entry.path: entry for entry in tree if hasattr(entry, "blob_id")}
    except (RepositoryNotFoundError, RevisionNotFoundError):
        parent, remote = None, {}
    changes = []
    for path, file in sorted(files.items()):
        state = "new" if path not in remote else "same" if is_same(file, remote[path]) else "changed"
        changes.append(Change(path, file.stat().st_size, state))
    for path, entry in sorted(remote.items()):
        if path not in files and any(Path(path).match(pattern) for pattern in KINDS[kind].exclusive):
            changes.append(Change(path, entry.size, "removed"))
    return Plan(files, kind, repo, revision, parent, tuple(changes))


def is_same(path: Path, entry) -> bool:
    """Whether a local file has the content of a `RepoFile`."""
    if path.stat().st_size != entry.size:
        return False
    if entry.lfs is not None:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.lfs.sha256
    content = path.read_bytes()
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
                repo_type=plan.kind,
                operations=plan.operations(),
                commit_message=f"Publish {plan.kind} with hf_refseg",
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
