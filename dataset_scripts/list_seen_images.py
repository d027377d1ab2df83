"""Lists the evaluation images a checkpoint has seen in training; exit status 1 if there are any.

    python dataset_scripts/list_seen_images.py --trained-on instances_train2014.json image_data.json \\
        --evaluated-on built/refcoco --partition unc --split val > seen.txt
    python dataset_scripts/build_phrasecut.py --raw DIR --out built/phrasecut --exclude-images seen.txt

A training source is a COCO file (its `images` count), Visual Genome's image_data.json, PhraseCut's
image_data_split.json, a list of images (coco:581857 a line), or NAME_OR_FOLDER@SPLIT[@PARTITION] of a data set.
The first file is what --exclude-images of the builders reads.
"""

import argparse
import sys
from pathlib import Path

from hf_refseg.data import load
from hf_refseg.data.leaks import seen_images


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained-on", nargs="+", required=True, metavar="SOURCE", help="what the checkpoint has seen")
    parser.add_argument("--evaluated-on", required=True, metavar="NAME_OR_FOLDER", help="data set of the evaluation")
    parser.add_argument("--split", required=True, help="its split")
    parser.add_argument("--partition", help="its partition, where it has several")
    options = parser.parse_args(arguments)
    try:
        rows = load(options.evaluated_on, options.split, images=False, partition=options.partition)
        seen = seen_images([_source(source) for source in options.trained_on], rows)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for record in seen:
        print(f"{record['identities'][0]}  # {record['file_name']}, {record['rows']} rows of {record['source']}")
    affected = sum(record["rows"] for record in seen)
    print(f"{len(seen)} images, {affected} of {len(rows)} rows, were trained on", file=sys.stderr)
    return 1 if seen else 0


def _source(text: str):
    if "@" not in text:
        return Path(text)
    name, split, *partition = text.split("@")
    return load(name, split, images=False, partition=partition[0] if partition else None)


if __name__ == "__main__":
    sys.exit(main())
