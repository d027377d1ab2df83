"""Builds the photos that `refseg-photos` is trained on, with written expressions and ones made from the masks.

    python dataset_scripts/build_photos.py --raw ../shared/data --out built/photos

DIR of --raw holds coco_cc_expressions, coco_mini_instances, photo_sets/{coco_full,coco_more,coco_person_road,
voc2012_objects,ccp_clothing} and authored_expressions; photos of refcoco_mini beside them are left out. No photo of a
val split is in train: the build compares COCO ids, and the content of photos that have none.

added_expressions.jsonl, beside this file, holds further expressions about these photos. A language model wrote them for
this project, looking at the photos beside the outlines of their objects; nobody read them again.
"""

import argparse
import logging
import sys
from pathlib import Path

from hf_refseg.data.photos.building import build_photos

ADDED = Path(__file__).with_name("added_expressions.jsonl")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, metavar="DIR", help="folder that holds the raw folders")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder of the built data set")
    parser.add_argument("--added", type=Path, default=ADDED, metavar="FILE", help="further written expressions")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        report = build_photos(options.raw, options.out, options.added)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for split, found in report["datasets"]["photos"].items():
        print(f"{split}: {found['images']:,} photos, {found['rows']:,} rows, {found['sentences']:,} sentences")
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
