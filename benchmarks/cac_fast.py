"""
What fewer proposals, CAC's fast setting, do to its boxes and masks: `python benchmarks/cac_fast.py`.

The checkpoint that ships (another one by `--model FOLDER`), on scenes of RefShapes' test split: overall IoU, mean IoU,
box accuracy, and the processor time of a whole answer. Its `num_proposals` is 50 where the published one is 300, so
read the effect of a half, a quarter and so on.
"""

import torch
from mattnet_fast import PROPOSALS, answers
from report import argument_parser, publish
from transformers.utils import logging

from hf_refseg.data import RefShapes

COLUMNS = {
    "proposals": ("proposals", ""),
    "oIoU": ("oIoU", ".3f"),
    "mIoU": ("mIoU", ".3f"),
    "box_acc": ("box accuracy", ".3f"),
    "cpu_ms": ("CPU ms per scene", ".0f"),
}


def main():
    parser = argument_parser(__doc__, repeats=1)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--model", default="refseg-shapes-cac", help="shipped name or folder (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable_progress_bar()
    shapes = RefShapes(split="test", num_samples=options.scenes)
    scenes = [shapes[index] for index in range(options.scenes)]
    rows = [{**answers(options.model, n, scenes, options.repeats), "proposals": n} for n in PROPOSALS]
    publish(options, rows, COLUMNS, scenes=options.scenes)


if __name__ == "__main__":
    main()
