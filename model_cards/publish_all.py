"""
Everything that this project publishes, prepared as the Hub would hold it, or published.

    python model_cards/publish_all.py OWNER --output prepared --dry-run        # a folder tree and its sizes, no network
    HF_TOKEN=... python model_cards/publish_all.py OWNER --private

Models are the checkpoints that ship, Spaces the folders of `spaces/`, data sets the builds in `--datasets`. Each
becomes OWNER/NAME, in one commit of its own; what is on the Hub already and has not changed is left alone.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from hf_refseg.checkpoints import checkpoint_names
from hf_refseg.data.builders.building import STATE_FILE
from hf_refseg.data.builders.publishing import NoPermissionError
from hf_refseg.hub.contents import KINDS
from hf_refseg.hub.publishing import publish

ROOT = Path(__file__).resolve().parents[1]


def everything(datasets: Path | None) -> list[tuple[str, str | Path, str]]:
    """Kind, what `publish` takes, and name of each repository."""
    builds = sorted(path.parent for path in datasets.glob(f"*/{STATE_FILE}")) if datasets else []
    spaces = sorted(path.parent for path in (ROOT / "spaces").glob("*/README.md"))
    return [
        *(("model", name, name) for name in checkpoint_names()),
        *(("dataset", folder, folder.name) for folder in builds),
        *(("space", folder, folder.name) for folder in spaces),
    ]


def prepare(kind: str, path: str | Path, repo: str, output: Path) -> int:
    """Write the files of one repository below `output`; returns their size in bytes."""
    with tempfile.TemporaryDirectory() as temporary:
        files = KINDS[kind].prepare(path, Path(temporary), repo, False)
        for name, file in files.items():
            target = output / f"{kind}s" / repo / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        return sum(file.stat().st_size for file in files.values())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("owner", help="user or organization on the Hub")
    parser.add_argument("--datasets", type=Path, metavar="DIR", help="a folder of builds of dataset_scripts/")
    parser.add_argument("--dry-run", action="store_true", help="only write the folder tree, and say what is in it")
    parser.add_argument("--output", type=Path, default=Path("prepared"), help="of the dry run, new (%(default)s)")
    parser.add_argument("--private", action="store_true", help="make new repositories private")
    options = parser.parse_args(arguments)
    if options.dry_run and options.output.exists():
        parser.error(f"{options.output} exists: choose a new folder, or remove it first")
    left_out = 0
    for kind, path, name in everything(options.datasets):
        repo = f"{options.owner}/{name}"
        try:
            if options.dry_run:
                size = prepare(kind, path, repo, options.output)
                print(f"{kind:8} {repo}: {size / 1e6:.1f} MB in {options.output / f'{kind}s' / repo}")
            else:
                _, url = publish(kind, path, repo, private=options.private)
                print(f"{kind:8} {repo}: {url or 'nothing to publish'}")
        except NoPermissionError as error:
            left_out += 1
            print(f"{kind:8} {repo}: left out. {error}", file=sys.stderr)
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
