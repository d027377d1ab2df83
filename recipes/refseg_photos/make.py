"""
The checkpoint `refseg-photos` from the published detector and the photos, in four steps.

python -m recipes.refseg_photos.make --weights WEIGHTS --photos built/photos --output runs/refseg_photos

A step whose result is there is not done again, and a training that was killed is resumed.
"""

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_refseg.models.nanodet.convert_nanodet import convert
from hf_refseg.training.checkpointing import last_complete_checkpoint
from hf_refseg.training.run import prepare

logger = logging.getLogger(__name__)

DONE = "eval_results.json"  # what a training writes last of all
LEFT_OUT = ("checkpoint-*", "runs", "*.png", "*.bin", "_training.lock", "region_views.safetensors")


def train(recipe: str, output: Path, settings: Sequence[str]) -> Path:
    """The folder of a model that a recipe trains; one that is there is left as it is."""
    if not (output / DONE).is_file():
        words = ["--output_dir", str(output), *settings]
        prepare(recipe, words, resume=last_complete_checkpoint(output) is not None).start()
    return output


def shrink(model: Path, output: Path) -> Path:
    """A copy of a model's folder whose weights are float16 to be small. They load as float32, as config.json says."""
    if output.exists():
        shutil.rmtree(output)
    shutil.copytree(model, output, ignore=shutil.ignore_patterns(*LEFT_OUT))
    weights = {
        name: (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()
        for name, tensor in load_file(model / SAFE_WEIGHTS_NAME).items()
    }
    save_file(weights, output / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
    return output


def make(photos: Path, output: Path, weights: Path | None, detector: Path | None, settings: Sequence[str]) -> Path:
    """
    The folder of the checkpoint.

    Args:
        photos: what `dataset_scripts/build_photos.py` built.
        output: a folder for everything that is made.
        weights: of the published NanoDet; not needed beside `detector`.
        detector: folder of a NanoDet that has a mask head already.
        settings: words of the command line for what is trained, such as `["--use_cpu", "true"]`: keys that both
            recipes have, or any key of the matcher's recipe beside `detector`.

    Raises:
        ValueError: neither weights nor a detector.
    """
    if detector is None:
        if weights is None:
            raise ValueError("give --weights, the published NanoDet, or --detector, a folder of one with a mask head")
        published = output / "nanodet"
        if not published.exists():
            convert(weights, published)
        words = ["--path", str(photos), "--detector", str(published), *settings]
        detector = train("nanodet_photos_masks", output / "detector", words)
    matcher = train(
        "refseg_photos", output / "matcher", ["--path", str(photos), "--detector", str(detector), *settings]
    )
    return shrink(matcher, output / "checkpoint")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="the published NanoDet, .safetensors")
    parser.add_argument("--photos", type=Path, required=True, help="folder that dataset_scripts/build_photos.py made")
    parser.add_argument("--output", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--detector", type=Path, help="a NanoDet that has a mask head already")
    options, settings = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logger.info("%s", make(options.photos, options.output, options.weights, options.detector, settings))


if __name__ == "__main__":
    main()
