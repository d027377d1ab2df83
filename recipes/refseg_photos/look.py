"""
Made sentences at random, to be judged by eye: each on a photo of its own, with the mask of what it is about.

python -m recipes.refseg_photos.look built/photos --output runs/look

It writes sheets of twenty; docs/photos_data.md says how many of a hundred were true and unambiguous.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hf_refseg.data import ReferringRows, load
from hf_refseg.data.photos.collection import MADE
from hf_refseg.plotting import overlay

logger = logging.getLogger(__name__)

OF_SHEET, COLUMNS, SIDE = 20, 5, 320  # SIDE: longest side of a photo in pixels


def draw_rows(rows: ReferringRows, count: int, seed: int) -> list[tuple[int, str]]:
    """Numbers of rows of made sentences about different photos, each with one of its sentences."""
    rng, image_ids, drawn = np.random.default_rng(seed), list(rows.image_ids()), {}
    for number in rng.permutation(len(rows)).tolist():
        if rows.source_of(number) == MADE and image_ids[number] not in drawn:
            drawn[image_ids[number]] = number, str(rng.choice(rows.sentences_of(number)))
        if len(drawn) == count:
            break
    return list(drawn.values())


def draw_sheets(rows: ReferringRows, drawn: Sequence[tuple[int, str]]) -> Iterator[Image.Image]:
    """The photos with masks, below each its place in `drawn` and the sentence."""
    for start in range(0, len(drawn), OF_SHEET):
        panels = []
        for place, (number, sentence) in enumerate(drawn[start : start + OF_SHEET], start + 1):
            row = rows[number]
            panel = overlay(row["image"], np.asarray(row["mask"]), labels=f"{place}: {sentence}", alpha=0.35)
            panel.thumbnail((SIDE, SIDE))
            panels.append(panel)
        sheet = Image.new("RGB", (SIDE * COLUMNS, SIDE * -(-len(panels) // COLUMNS)), "white")
        for place, panel in enumerate(panels):
            sheet.paste(panel, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
        yield sheet


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="what dataset_scripts/build_photos.py built")
    parser.add_argument("--output", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--count", type=int, default=100, help="sentences (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other sentences")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = load(options.photos, "train")
    options.output.mkdir(parents=True, exist_ok=True)
    for number, sheet in enumerate(draw_sheets(rows, draw_rows(rows, options.count, options.seed))):
        file = options.output / f"sheet_{number}.png"
        sheet.save(file)
        logger.info("%s", file)


if __name__ == "__main__":
    main()
