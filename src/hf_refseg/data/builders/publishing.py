"""Publishes a built data set on the Hub, if its license allows it."""

import json
from pathlib import Path

from huggingface_hub import HfApi

from ..cards import family_page
from .building import STATE_FILE


class NoPermissionError(ValueError):
    """There is no license that allows publishing this data."""


def check_permission(family: str, with_images: bool, have_permission: bool) -> None:
    """Raises NoPermissionError if a license is missing and the user has not said that they have permission."""
    page = family_page(family)
    missing = []
    if page.push_needs_permission:
        missing.append(f"the annotations of {page.metadata['pretty_name']} have no license that allows publishing them")
    if with_images:
        missing.append("the photos belong to their photographers, under various terms")
    if missing and not have_permission:
        raise NoPermissionError(
            f"Not pushed: {' and '.join(missing)}. The built folder is for your own disk. If you have asked and got "
            "permission to publish it, say so with --i-have-permission."
        )


def push(out: Path, repo: str, private: bool = False, have_permission: bool = False) -> str:
    """Uploads a complete build to a dataset repository of the Hub, creating it if needed; returns the commit's URL.

    Raises:
        NoPermissionError: see `check_permission`.
        FileNotFoundError: the folder holds no build.
        ValueError: its build is not complete.
    """
    state = out / STATE_FILE
    if not state.is_file():
        raise FileNotFoundError(f"{state} is missing: {out} was not built by this package; build it first.")
    report = json.loads(state.read_text(encoding="utf-8"))
    if not report["complete"]:
        raise ValueError(f"the build in {out} is not complete; run the same command again to resume it.")
    identity = report["identity"]
    check_permission(identity["family"], identity["with_images"], have_permission)
    api = HfApi()
    api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    wanted = ["README.md", STATE_FILE, "*.json", *(f"{name}/*.parquet" for name in [*identity["names"], "images"])]
    return str(
        api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=str(out),
            allow_patterns=wanted,
            # Shards of an earlier build with other names would be read together with these.
            delete_patterns=["*.parquet"],
            commit_message=f"{', '.join(identity['names'])}, built by hf_refseg",
        )
    )
