"""Regions of a batch of images: what a caller may write, and what is refused."""

import numpy as np
import pytest
import torch

from hf_refseg.layers.regions import Regions

SIZES = torch.tensor([[50, 70], [40, 30]])
FIRST, SECOND = [[1.5, 2, 20, 30], [40, 10, 70, 50]], [[0.0, 0, 30, 40]]


def discs() -> list[torch.Tensor]:
    """Two masks in the first image, one in the second."""
    rows, columns = torch.meshgrid(torch.arange(50), torch.arange(70), indexing="ij")
    first = torch.stack([(rows - y) ** 2 + (columns - x) ** 2 < r**2 for x, y, r in ((15, 15, 9), (50, 30, 14))])
    second = torch.zeros(1, 40, 30, dtype=torch.bool)
    second[0, 7, 4:9] = True
    return [first, second]


DISC_BOXES = [[7, 7, 24, 24], [37, 17, 64, 44], [4, 7, 9, 8]]


@pytest.mark.parametrize(
    "make", [torch.tensor, np.array, list, lambda rows: [np.array(row) for row in rows]],
    ids=["tensors", "arrays", "lists", "lists of arrays"],
)  # fmt: skip
def test_boxes_and_labels_in_whatever_they_come(make):
    regions = Regions.of([make(FIRST), make(SECOND)], [make([3, 1]), make([2])], image_sizes=SIZES)
    assert regions.boxes.tolist() == [*FIRST, *SECOND] and regions.counts == (2, 1)
    assert regions.labels.tolist() == [3, 1, 2] and regions.labels.dtype == torch.long
    assert regions.masks is None and regions.scores is None


def test_a_batch_of_as_many_boxes_per_image():
    boxes = torch.tensor([FIRST, [[0, 0, 5, 5], [1, 1, 30, 40]]])
    for given in (boxes, boxes.numpy(), boxes.tolist()):
        regions = Regions.of(given, torch.tensor([[1, 2], [3, 4]]), image_sizes=SIZES)
        assert regions.counts == (2, 2) and torch.equal(regions.boxes.float(), boxes.flatten(0, 1))
        assert regions.labels.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("given", "kept"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float32),
     (torch.int64, torch.float32)],
)  # fmt: skip
def test_the_precision_of_boxes_stays(given, kept):
    assert Regions.of([torch.tensor([[1, 2, 3, 4]]).to(given)] * 2, image_sizes=SIZES).boxes.dtype == kept


def test_numbers_of_python_and_numpy_have_double_precision():
    x = 10.1
    for boxes in ([[x, 2, 20.3, 30]], np.array([[x, 2, 20.3, 30]])):
        assert Regions.of([boxes, SECOND], image_sizes=SIZES).boxes[0].tolist() == [x, 2, 20.3, 30]


def test_an_image_without_regions():
    regions = Regions.of([[], FIRST[:1]], [[], [1]], image_sizes=SIZES)
    assert regions.counts == (0, 1) and regions.image_index.tolist() == [1]
    regions.require_some(torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="image 0 has no region to choose from"):
        regions.require_some(torch.tensor([1, 0]))


# ---- Masks ----


@pytest.mark.parametrize(
    "make",
    [
        lambda masks: masks,
        lambda masks: masks.numpy(),
        lambda masks: masks.long(),
        lambda masks: list(masks),
        lambda masks: [mask.numpy().astype(np.uint8) for mask in masks],
        lambda masks: [{"segmentation": mask.numpy(), "bbox": [0, 0, 1, 1], "area": 3} for mask in masks],
    ],
    ids=["tensors", "arrays", "whole numbers", "lists of tensors", "lists of arrays", "SAM's dicts"],
)
def test_masks_alone_have_tight_boxes(make):
    regions = Regions.of(region_masks=[make(masks) for masks in discs()], image_sizes=SIZES)
    assert regions.boxes.tolist() == DISC_BOXES and regions.counts == (2, 1)
    assert all(torch.equal(one, other) for one, other in zip(regions.masks, discs(), strict=True))
    chosen = regions.given_masks(torch.tensor([1, 0]), torch.tensor([0, 1]))
    assert torch.equal(chosen[0], discs()[1][0]) and torch.equal(chosen[1], discs()[0][1])


def test_masks_of_images_of_one_size_in_one_tensor():
    masks = torch.stack([discs()[0]] * 2)
    regions = Regions.of(region_masks=masks, image_sizes=SIZES[[0, 0]])
    assert regions.counts == (2, 2) and regions.boxes.tolist() == DISC_BOXES[:2] * 2


def test_boxes_beside_masks_stay_as_they_are():
    regions = Regions.of([FIRST, SECOND], region_masks=discs(), image_sizes=SIZES)
    assert regions.boxes.tolist() == [*FIRST, *SECOND] and len(regions.masks) == 2


def test_an_image_without_masks():
    regions = Regions.of(region_masks=[[], discs()[1]], image_sizes=SIZES)
    assert regions.counts == (0, 1) and regions.masks[0].shape == (0, 50, 70)


# ---- Packed and padded ----


def test_packed_and_padded():
    regions = Regions(torch.arange(12.0).view(3, 4), (1, 0, 2))
    assert regions.image_index.tolist() == [0, 2, 2] and regions.starts.tolist() == [0, 1, 1]
    assert [len(of_image) for of_image in regions.split(regions.boxes)] == [1, 0, 2]
    assert regions.pad(torch.tensor([5, 6, 7]), -1).tolist() == [[5, -1], [-1, -1], [6, 7]]
    assert regions.pad(regions.boxes).shape == (3, 2, 4)
    assert regions.rows(torch.tensor([2, 0, 2]), torch.tensor([1, 0, 0])).tolist() == [2, 0, 1]


# ---- Of the image of each expression ----

BOXES = torch.tensor([[0.0, 0, 5, 5], [1, 1, 6, 6], [2, 2, 7, 7], [3, 3, 8, 8]], dtype=torch.float64)


def regions(*counts: int, masks: bool = False) -> Regions:
    total = sum(counts)
    shapes = tuple(torch.full((count, 10, 10), True) for count in counts) if masks else None
    return Regions(BOXES[:total], counts, torch.arange(total), torch.arange(total) / 10, shapes)


def test_every_expression_takes_the_regions_of_its_image():
    for given in (regions(1, 3), regions(2, 2)):
        index = torch.tensor([1, 0, 1])
        taken = given.take(index)
        of_images = given.split(given.boxes)
        assert taken.counts == tuple(given.counts[image] for image in index.tolist())
        assert torch.equal(taken.boxes, torch.cat([of_images[image] for image in index.tolist()]))
        assert taken.boxes.dtype == torch.float64 and taken.masks is None
        for name in ("labels", "scores"):
            of_images_values = given.split(getattr(given, name))
            expected = torch.cat([of_images_values[image] for image in index.tolist()])
            assert torch.equal(getattr(taken, name), expected)


def test_taken_regions_may_have_neither_labels_nor_scores_but_masks():
    given = Regions(BOXES, (1, 3), masks=regions(1, 3, masks=True).masks)
    taken = given.take(torch.tensor([1]))
    assert taken.labels is None and taken.scores is None and taken.masks[0] is given.masks[1]


def test_an_image_without_regions_gives_none():
    taken = regions(0, 3).take(torch.tensor([0, 1, 0]))
    assert taken.counts == (0, 3, 0) and torch.equal(taken.image_index, torch.tensor([1, 1, 1]))


# ---- What is refused ----


def without_pixels() -> list[torch.Tensor]:
    masks = discs()
    masks[0][1] = False
    return masks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give region_boxes or region_masks too"),
        ({"region_labels": [[1], [2]]}, "region_labels are those of regions: give region_boxes or region_masks too"),
        ({"region_boxes": [FIRST]}, "region_boxes are of 1 images, but there are 2"),
        ({"region_boxes": FIRST}, r"region_boxes\[0\] has the shape \(4,\); give \(R_i, 4\)"),
        ({"region_boxes": [[[1, 2, 3]], SECOND]}, r"region_boxes\[0\] has the shape \(1, 3\)"),
        ({"region_boxes": [[[1, 2, 3, 4], [1, 2]], SECOND]}, r"region_boxes\[0\] is no tensor, array or list"),
        ({"region_boxes": [[[5, 5, 5, 9]], SECOND]}, r"region_boxes\[0\]\[0\] = \[5.0, 5.0, 5.0, 9.0\] has no area"),
        ({"region_boxes": [FIRST, [[0, 0, 9, 9], [9, 9, 4, 4]]]}, r"region_boxes\[1\]\[1\] .* has no area"),
        ({"region_boxes": [FIRST, [[30, 0, 40, 9]]]}, "lies outside its image of 40 x 30 pixels"),
        ({"region_boxes": [FIRST, [[-9, -9, 0, 9]]]}, "lies outside its image"),
        ({"region_boxes": [FIRST, [[0, 0, 1e30, 1e30]]]}, "is further away than any picture reaches"),
        ({"region_boxes": [FIRST, [[-3.4e38, 0, 9, 9]]]}, "is further away than any picture reaches"),
        ({"region_boxes": [FIRST, [[0, 0, float("inf"), 9]]]}, "is not made of finite numbers"),
        ({"region_boxes": [FIRST, [[0, float("nan"), 4, 9]]]}, "is not made of finite numbers"),
        (
            {"region_boxes": [FIRST, SECOND], "region_labels": [[1], [2]]},
            r"region_labels has \[1, 1\] entries per image, region_boxes \[2, 1\]",
        ),
        ({"region_boxes": [FIRST, SECOND], "region_labels": [[1, 2], [0.5]]}, r"region_labels\[1\] .* whole numbers"),
        (
            {"region_boxes": [FIRST, SECOND], "region_labels": [[True, False], [True]]},
            r"region_labels\[0\] .* torch.bool; give \(R_i,\) whole numbers",
        ),
        ({"region_boxes": [FIRST, SECOND], "region_labels": [[1, 2]]}, "region_labels are of 1 images"),
        (
            {"region_boxes": [FIRST, [[0.1, 0.2, 0.9, 1]]]},
            r"region_boxes\[1\]\[0\] = .* lies in one pixel; give boxes in pixels of the photo, not in shares",
        ),
        (
            {"region_boxes": [SECOND, SECOND], "region_masks": discs()},
            r"region_masks has \[2, 1\] entries per image, region_boxes \[1, 1\]",
        ),
        ({"region_masks": discs()[::-1]}, r"region_masks\[0\] are \[40, 30\], their image \[50, 70\]"),
        ({"region_masks": [discs()[0][0], discs()[1]]}, r"region_masks\[0\] has the shape \(50, 70\); give"),
        ({"region_masks": without_pixels()}, r"region_masks\[0\]\[1\] has no pixel"),
        ({"region_masks": [discs()[0] * 0.7, discs()[1]]}, r"region_masks\[0\]\[0\] is no mask: it holds 0, 0.7"),
        ({"region_masks": [[{"size": [9, 9], "counts": "abc"}], discs()[1]]}, "decode run lengths first"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Regions.of(**arguments, image_sizes=SIZES)
