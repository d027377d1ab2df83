"""`hf-refseg bundle` and `hf-refseg publish`. Heavy imports happen only when a command runs."""

import argparse
from pathlib import Path


def add_commands(commands) -> None:
    """Adds the two commands to the subparsers of the command line."""
    bundle = commands.add_parser("bundle", help="write a model folder that works without this package")
    bundle.add_argument("checkpoint", help="shipped name, folder or Hub id")
    bundle.add_argument("output", type=Path, metavar="DIR", help="a new folder")
    bundle.set_defaults(run=run_bundle)

    publish = commands.add_parser("publish", help="publish on the Hub, in one commit")
    kinds = publish.add_subparsers(title="what to publish", required=True)
    model = kinds.add_parser("model", help="a model, with the code that it needs where this package is not installed")
    model.add_argument("path", help="shipped name or folder")
    model.add_argument("repo", help="user/name, made where it does not exist")
    model.add_argument("--private", action="store_true", help="make a new repository private")
    model.add_argument("--create-pr", action="store_true", help="open a pull request instead of writing to the branch")
    model.add_argument("--revision", default="main", metavar="BRANCH", help="the branch (%(default)s)")
    model.add_argument("--dry-run", action="store_true", help="list the files and what would change, and stop")
    model.set_defaults(run=run_publish_model)


def run_bundle(options: argparse.Namespace) -> None:
    from .bundle import bundle

    print(f"wrote {bundle(options.checkpoint, options.output)}")


def run_publish_model(options: argparse.Namespace) -> None:
    from .publishing import publish_model

    plan, url = publish_model(
        options.path, options.repo, options.private, options.create_pr, options.revision, options.dry_run
    )
    for change in plan.changes:
        print(f"{change.kind:8} {change.size:>12,}  {change.path}")
    total = sum(change.size for change in plan.changes if change.kind in ("new", "changed"))
    target = f"{plan.repo}@{plan.revision}{'' if plan.parent else ' (new)'}"
    if url is not None:
        print(f"published {total / 1e6:.1f} MB as {url}")
    elif not plan.is_needed():
        print(f"{target} is already as the folder: nothing to publish")
    else:
        print(f"dry run: {total / 1e6:.1f} MB would go to {target}")
