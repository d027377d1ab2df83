"""`hf-refseg finetune`. Heavy imports happen only when the command runs."""

import argparse
import logging
from pathlib import Path

from . import DEFAULT_BASE, DEFAULT_VECTORS

DESCRIPTION = """\
Teach a model what is in your photos: 20 to 500 of them, with masks and expressions, in one of these layouts.

  FOLDER/masks/mug.png, mug.txt   a mask, and expressions, one per line; the photo is images/mug.jpg
                                  (a second thing in the same photo: mug_2.png, mug_2.txt)
  FOLDER/metadata.jsonl           {"file_name": "1.jpg", "mask": "1.png", "text": ["the mug", "the red mug"]}
  COCO JSON                       unpacked exports of CVAT, Label Studio and Roboflow, with polygons or masks; the
                                  expressions are an attribute `expression`, or are made of the labels
  RefCOCO's                       refs.json, instances.json, images/

The new folder holds the model with its code and card (hf-refseg publish takes it as it is), curve.png, before_after.png
and eval_results.json, measured on photos that were held out; before/eval_results.json is the base on the same photos.
"""


def add_commands(commands) -> None:
    """Adds the command to the subparsers of the command line."""
    finetune = commands.add_parser(
        "finetune",
        help="teach a model what is in your photos",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    finetune.add_argument("photos", type=Path, metavar="FOLDER", help="your photos, in one of the layouts above")
    finetune.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder for the model")
    finetune.add_argument(
        "--base",
        default=DEFAULT_BASE,
        help="shipped name, folder or Hub id of an RMI or LSTM-CNN, which answer at every pixel (%(default)s); "
        "MAttNet, CAC and HULANet choose among what their detector finds, and it finds nothing new",
    )
    finetune.add_argument(
        "--learn",
        choices=("words", "network"),
        default="words",
        help="words: only the new words; all it answered before stays as it was. network: everything but the backbone, "
        "for things that known words name; it may forget (%(default)s)",
    )
    finetune.add_argument(
        "--vectors",
        default=DEFAULT_VECTORS,
        metavar="FILE",
        help="word vectors by which new words start from their neighbors (%(default)s, which ships)",
    )
    finetune.add_argument("--steps", type=int, metavar="N", help="at most; it ends where nothing improves (200)")
    finetune.add_argument(
        "--val-share", type=float, default=0.2, help="of the photos, held out to measure by (%(default)s)"
    )
    finetune.add_argument("--license", help="of the card; default: that of the base")
    finetune.add_argument("--seed", type=int, default=0, help="of all draws (%(default)s)")
    finetune.set_defaults(run=run_finetune)


def run_finetune(options: argparse.Namespace) -> None:
    logging.basicConfig(format="%(message)s")
    from .options import FineTuning
    from .run import finetune

    names = FineTuning.__dataclass_fields__
    done = finetune(FineTuning(**{name: value for name, value in vars(options).items() if name in names}))
    print(f"wrote {options.output}: mIoU {done.before['mIoU']:.3f} before, {done.after['mIoU']:.3f} after")
