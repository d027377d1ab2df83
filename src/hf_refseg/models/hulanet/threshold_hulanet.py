"""
The search for the value of HULANet's map above which a pixel belongs to the target, over a validation set:

    python -m hf_refseg.models.hulanet.threshold_hulanet runs/hulanet --dataset phrasecut --split val

writes it into the configuration of the model, whose logits are relative to it from then on. Two rules:

`mean_iou`: of 0.05, 0.10 ... 0.95 the one whose masks have the best mean IoU.
`share`: where a given share of all pixels is foreground, as the original searched; shares of 0.14 to 0.20 were tried.
"""

import argparse
import logging
from collections.abc import Sequence

import numpy as np
import torch
from accelerate.utils import send_to_device
from tqdm import tqdm

from ...data import load
from ...data.collator import ReferringSegmentationCollator
from ...metrics import ThresholdSearch

logger = logging.getLogger(__name__)

CANDIDATES = tuple(round(0.05 * step, 2) for step in range(1, 20))
RULES = ("mean_iou", "share")


class MeanIouSearch:
    """Mean IoU at each of the candidates."""

    def __init__(self, candidates: Sequence[float] = CANDIDATES):
        self.candidates = np.asarray(candidates)
        self.sums, self.count = np.zeros(len(candidates)), 0

    def add(self, probabilities: np.ndarray, target: np.ndarray) -> None:
        """One answer (H, W) in [0, 1] and its mask (H, W); pixels strictly above a candidate are foreground."""
        # above how many of the candidates each pixel lies; so one pass serves them all
        above = np.searchsorted(self.candidates, probabilities.ravel(), side="left")
        bins = len(self.candidates) + 1
        of_target = np.bincount(above[target.ravel()], minlength=bins)[::-1].cumsum()[::-1][1:]
        of_all = np.bincount(above, minlength=bins)[::-1].cumsum()[::-1][1:]
        union = of_all + target.sum() - of_target
        self.sums += np.divide(of_target, union, out=np.zeros(bins - 1), where=union > 0)
        self.count += 1

    def compute(self) -> tuple[float, float]:
        """The best candidate, the lowest of several, and its mean IoU.

        Raises:
            ValueError: nothing was added.
        """
        if not self.count:
            raise ValueError("no answer was added: there is nothing to search")
        best = int(self.sums.argmax())
        return float(self.candidates[best]), float(self.sums[best] / self.count)


@torch.no_grad()
def search_threshold(
    model, processor, rows: Sequence[dict], rule: str = "mean_iou", share: float = 0.16, batch_size: int = 8
) -> float:
    """
    The threshold that a rule finds for a model over rows; the model is left as it is.

    Args:
        model, processor: HULANet's.
        rows: of a validation split.
        rule: `"mean_iou"` or `"share"`, see above.
        share: of all pixels, for the rule `"share"`.

    Raises:
        ValueError: an unknown rule, or no rows.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; choose one of {list(RULES)}")
    search = MeanIouSearch() if rule == "mean_iou" else ThresholdSearch()
    collator = ReferringSegmentationCollator(processor, sentence="all", labels=False)
    before, model.config.mask_threshold = model.config.mask_threshold, 0.5  # the map itself, not relative to anything
    try:
        for start in tqdm(range(0, len(rows), batch_size), "threshold", leave=False):
            some = [rows[index] for index in range(start, min(start + batch_size, len(rows)))]
            outputs = model.eval()(**send_to_device(collator(some), model.device))
            targets = [np.asarray(row["mask"]) for row in map(collator.prepare, some) for _ in row["sentences"]]
            for index, target in enumerate(targets):
                _, probabilities = processor.draw_mask(outputs, index, target.shape, 0.5, "clean")
                values = probabilities.float().cpu().numpy()
                if rule == "mean_iou":
                    search.add(values, target)
                else:
                    search.add(values.clip(0, 1))
    finally:
        model.config.mask_threshold = before
    if rule == "mean_iou":
        threshold, mean_iou = search.compute()
        logger.warning(f"mean IoU {mean_iou:.4f} at threshold {threshold}")
        return threshold
    (threshold,) = search.compute([share])
    return threshold


def main(arguments: list[str] | None = None) -> None:
    from transformers import AutoModel, AutoProcessor

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained HULANet; its config.json is written anew")
    parser.add_argument("--dataset", required=True, help="a name or folder, as hf-refseg evaluate takes it")
    parser.add_argument("--split", default="val", help="(%(default)s)")
    parser.add_argument("--root", help="folder in which a named data set lies")
    parser.add_argument("--limit", type=int, help="only so many rows, from the beginning")
    parser.add_argument("--rule", choices=RULES, default=RULES[0], help="(%(default)s)")
    parser.add_argument("--share", type=float, default=0.16, help="of all pixels, for --rule share (%(default)s)")
    options = parser.parse_args(arguments)
    model = AutoModel.from_pretrained(options.model)
    processor = AutoProcessor.from_pretrained(options.model)
    rows = load(options.dataset, options.split, root=options.root, num_samples=options.limit)
    model.config.mask_threshold = search_threshold(model, processor, rows, options.rule, options.share)
    model.config.save_pretrained(options.model)
    logger.warning(f"mask_threshold is {model.config.mask_threshold:.4f} now, in {options.model}/config.json")


if __name__ == "__main__":
    main()
