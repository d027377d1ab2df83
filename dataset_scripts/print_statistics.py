"""Prints the statistics of built data sets, as PhraseCut's paper compares them, beside the published figures.

python dataset_scripts/print_statistics.py built/referit built/refcoco built/phrasecut
"""

import argparse
import sys
from pathlib import Path

from hf_refseg.data.statistics import comparison_table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="what a build_*.py wrote")
    try:
        print(comparison_table(parser.parse_args(arguments).folders))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
