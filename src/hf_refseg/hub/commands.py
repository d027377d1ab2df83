"""`hf-refseg bundle`, `publish` and `convert-back`. Heavy imports happen only when a command runs."""

import argparse
from pathlib import Path


def add_commands(commands) -> None:
    """Adds the three commands to the subparsers of the command line."""
    bundle = commands.add_parser("bundle", help="write a model folder that works without this package")
    bundle.add_argument("checkpoint", help="shipped name, folder or Hub id")
    bundle.add_argument("output", type=Path, metavar="DIR", help="a new folder")
    bundle.set_defaults(run=run_bundle)

    back = commands.add_parser("convert-back", help="write weights under the names of the original program")
    back.add_argument("model", help="shipped name, folder or Hub id")
    back.add_argument(
        "--like",
        required=True,
        metavar="CKPT",
        help="an original checkpoint of the same network, for shapes and the rest",
    )
    back.add_argument("--output", required=True, type=Path, metavar="FILE", help="a new .npz, .safetensors or .pth")
    back.set_defaults(run=run_convert_back)

    publish = commands.add_parser("publish", help="publish on the Hub, in one commit")
    kinds = publish.add_subparsers(title="what to publish", required=True)
    for kind, path, help_ in (
        ("model", "shipped name or folder", "a model, with the code that it needs where this package is not installed"),
        ("dataset", "a build of dataset_scripts/", "a data set, where its license allows it"),
        ("space", "a folder such as spaces/refseg_metric", "a Space, with a copy of this package where it needs it"),
    ):
        command = kinds.add_parser(kind, help=help_)
        command.add_argument("path", help=path)
        command.add_argument("repo", help="user/name, made where it does not exist")
        command.add_argument("--private", action="store_true", help="make a new repository private")
        command.add_argument("--create-pr", action="store_true", help="open a pull request, don't write to the branch")
        command.add_argument("--revision", default="main", metavar="BRANCH", help="the branch (%(default)s)")
        command.add_argument("--dry-run", action="store_true", help="list the files and what would change, and stop")
        if kind == "dataset":
            command.add_argument("--i-have-permission", action="store_true", help="of the owners of the data")
        command.set_defaults(run=run_publish, kind=kind, i_have_permission=False)


def run_bundle(options: argparse.Namespace) -> None:
    from .bundle import bundle

    print(f"wrote {bundle(options.checkpoint, options.output)}")


def run_convert_back(options: argparse.Namespace) -> None:
    from transformers import AutoModel

    from ..checkpoints import resolve_checkpoint
    from ..conversion.originals import write_arrays
    from .originals import to_original

    write_arrays(
        to_original(AutoModel.from_pretrained(resolve_checkpoint(options.model)), options.like), options.output
    )
    print(f"wrote {options.output}")


def run_publish(options: argparse.Namespace) -> None:
    from .publishing import publish

    plan, url = publish(
        options.kind,
        options.path,
        options.repo,
        private=options.private,
        create_pr=options.create_pr,
        revision=options.revision,
        dry_run=options.dry_run,
        have_permission=options.i_have_permission,
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
