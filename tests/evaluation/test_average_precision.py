"""COCO's average precision of masks and boxes."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from hf_refseg.data import encode_mask
from hf_refseg.evaluation.average_precision import average_precision, detections_of


def things(*squares: tuple[int, int, int], score: float | None = None, label: int = 0) -> list[dict]:
    """Squares (x, y, side) in an image of 40 x 60."""
    found = []
    for x, y, side in squares:
        mask = np.zeros((40, 60), bool)
        mask[y : y + side, x : x + side] = True
        thing = {"label": label, "box": [float(x), float(y), float(x + side), float(y + side)]}
        found.append(thing | {"mask": encode_mask(mask)} | ({} if score is None else {"score": score}))
    return found


def image_of(truths, found):
    return {"size": (40, 60), "truths": truths, "found": found}


SQUARES = (2, 3, 10), (30, 5, 20)


def test_perfect_detections_have_an_average_precision_of_one():
    images = [image_of(things(*SQUARES), things(*SQUARES, score=0.9)) for _ in range(2)]
    images.append(image_of(things((5, 5, 9), label=2), things((5, 5, 9), label=2, score=0.1)))
    numbers = average_precision(images, ["cat", "dog", "bird"])
    assert numbers == pytest.approx({"mask_AP": 1, "mask_AP50": 1, "box_AP": 1, "box_AP50": 1, "num": 3})


def test_wrong_and_missing_detections_have_an_average_precision_of_zero():
    for found in ([], things((50, 30, 9), score=0.9), things(*SQUARES, score=0.9, label=1)):
        numbers = average_precision([image_of(things(*SQUARES), found)], ["cat", "dog"])
        assert numbers == {"mask_AP": 0, "mask_AP50": 0, "box_AP": 0, "box_AP50": 0, "num": 1}


def test_boxes_and_masks_are_counted_apart():
    found = things(*SQUARES, score=0.9)
    for thing in found:
        thing["mask"] = encode_mask(np.zeros((40, 60), bool))
    numbers = average_precision([image_of(things(*SQUARES), found)], ["cat"])
    assert numbers["box_AP"] == pytest.approx(1) and numbers["mask_AP"] == 0


def test_without_any_object_there_is_no_average_precision():
    numbers = average_precision([image_of([], things(*SQUARES, score=0.9))], ["cat"])
    assert np.isnan(numbers["mask_AP"]) and np.isnan(numbers["box_AP50"]) and numbers["num"] == 1


def test_detections_keep_their_masks_as_run_lengths():
    masks = torch.zeros(1, 40, 60, dtype=torch.bool)
    masks[0, 3:9, 5:20] = True
    info = {"id": 0, "label_id": 4, "score": 0.5, "box": [5.0, 3.0, 20.0, 9.0]}
    (found,) = detections_of({"segmentation": masks, "segments_info": [info]})
    assert (found["label"], found["score"], found["box"]) == (4, 0.5, info["box"])
    np.testing.assert_array_equal(coco_mask.decode(found["mask"]), masks[0].numpy())
