"""Photos to the detector's input, true objects beside them, and detections back in photos."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.modeling_mask_rcnn import MaskRcnnOutput
from hf_refseg.processing.mask_pasting import paste_masks
from tests.tiny import tiny_mask_rcnn_config

MEAN = [122.7717, 115.9465, 102.9801]


def picture(height, width, seed=0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def small() -> MaskRcnnImageProcessor:
    return MaskRcnnImageProcessor(size={"shortest_edge": 60, "longest_edge": 100})


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (600, 800)), ((640, 480), (800, 600)), ((300, 900), (333, 1000)), ((427, 640), (600, 899)),
     ((600, 1000), (600, 1000)), ((1200, 1200), (600, 600)), ((3, 3000), (1, 1000)), ((300, 500), (600, 1000))],
)  # fmt: skip
def test_the_rule_of_600_and_1000(size, expected):
    processor = MaskRcnnImageProcessor()
    box = processor.placement(size)
    assert box.inner == box.canvas == expected and (box.top, box.left) == (0, 0)
    scale = processor.scale_of(size)
    assert scale == pytest.approx(600 / min(size)) or scale == pytest.approx(1000 / max(size))


def test_one_image(small):
    inputs = small(picture(30, 40))
    assert inputs["pixel_values"].shape == (1, 3, 60, 80) and inputs["pixel_values"].dtype == torch.float32
    assert inputs["original_sizes"].tolist() == [[30, 40]] and inputs["image_scales"].tolist() == [2.0]
    assert "pixel_mask" not in inputs and "labels" not in inputs


def test_means_are_caffes_in_gray_levels_of_rgb():
    pixels = MaskRcnnImageProcessor(do_resize=False)(Image.new("RGB", (4, 3), (200, 100, 50)))["pixel_values"]
    torch.testing.assert_close(pixels[0, :, 0, 0], torch.tensor([200.0, 100, 50]) - torch.tensor(MEAN))


def test_images_of_mixed_sizes_are_padded_with_zeros(small):
    images = [picture(30, 40), picture(50, 20, 1), picture(20, 60, 2)]
    inputs = small(images)
    sizes = [(60, 80), (100, 40), (33, 100)]
    assert inputs["pixel_values"].shape == (3, 3, 100, 100)
    torch.testing.assert_close(inputs["image_scales"], torch.tensor([2.0, 2.0, 100 / 60]))
    for row, (image, (height, width)) in enumerate(zip(images, sizes, strict=True)):
        mask = inputs["pixel_mask"][row].bool()
        assert mask[:height, :width].all() and mask.sum() == height * width
        assert not inputs["pixel_values"][row][:, ~mask].any()
        alone = small(image)["pixel_values"][0]
        assert torch.equal(inputs["pixel_values"][row, :, :height, :width], alone)


def test_without_resizing_the_scale_is_one():
    processor = MaskRcnnImageProcessor(do_resize=False)
    inputs = processor(picture(30, 40))
    assert inputs["pixel_values"].shape[-2:] == (30, 40) and inputs["image_scales"].tolist() == [1.0]
    once = MaskRcnnImageProcessor()(picture(30, 40), do_resize=False)
    assert torch.equal(once["pixel_values"], inputs["pixel_values"]) and once["image_scales"].tolist() == [1.0]


def test_another_size_for_one_call(small):
    inputs = small(picture(30, 40), size={"shortest_edge": 90, "longest_edge": 200})
    assert inputs["pixel_values"].shape[-2:] == (90, 120) and inputs["image_scales"].tolist() == [3.0]
    with pytest.raises(ValueError, match="'shortest_edge': ..., 'longest_edge': ..."):
        small(picture(30, 40), size={"height": 90, "width": 120})


def test_numpy_arrays_on_request(small):
    inputs = small([picture(30, 40), picture(20, 40)], return_tensors="np")
    assert all(isinstance(value, np.ndarray) for value in inputs.values())
    np.testing.assert_array_equal(inputs["image_scales"], small([picture(30, 40), picture(20, 40)])["image_scales"])


def test_masks_of_expressions_follow_the_image(small):
    mask = np.zeros((30, 40), bool)
    mask[10:20, 5:30] = True
    labels = small(picture(30, 40), mask)["labels"]
    assert labels.shape == (1, 60, 80) and labels[0, 20:40, 10:60].all() and labels.sum() == 20 * 50


def test_save_and_load(small, tmp_path):
    small.save_pretrained(tmp_path)
    tiny_mask_rcnn_config().save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is MaskRcnnImageProcessor
    first, second = (processor(picture(30, 40)) for processor in (small, loaded))
    assert torch.equal(first["pixel_values"], second["pixel_values"])


def test_size_of_side_keeps_the_papers_ratio():
    assert MaskRcnnImageProcessor.size_of_side(600) == MaskRcnnImageProcessor().size == {
        "shortest_edge": 600, "longest_edge": 1000,
    }  # fmt: skip


def test_batches_cannot_be_left_unpadded(small):
    """The setting is the canvas's; folders saved before say true, which is what happens anyway."""
    assert "do_pad" not in small.to_dict() and MaskRcnnImageProcessor(do_pad=True)(picture(30, 40))
    for refuse in (lambda: MaskRcnnImageProcessor(do_pad=False), lambda: small(picture(30, 40), do_pad=False)):
        with pytest.raises(ValueError, match="do_pad is False, but the images of a batch are always padded"):
            refuse()


# ---- Annotations ----


def annotation(height=30, width=40, boxes=((5, 10, 30, 20), (0, 0, 40, 30))) -> dict:
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return {"boxes": [list(box) for box in boxes], "masks": masks, "class_labels": list(range(len(boxes)))}


@pytest.mark.parametrize("return_tensors", ["pt", "np"])
def test_annotations_are_scaled_with_their_image(small, return_tensors):
    nothing = annotation(50, 20, ())
    inputs = small(
        [picture(30, 40), picture(50, 20)], annotations=[annotation(), nothing], return_tensors=return_tensors
    )
    labels, empty = inputs["labels"]
    # [5, 10, 29, 19] with both corners inside, times 2, and the second corner outside again
    assert labels["boxes"].tolist() == [[10, 20, 59, 39], [0, 0, 79, 59]]
    assert labels["masks"].shape == (2, 100, 80) and labels["masks"].dtype == torch.bool
    assert labels["masks"][0, 20:40, 10:60].all() and labels["masks"][0].sum() == 20 * 50
    assert labels["masks"][1, :60].all() and not labels["masks"][1, 60:].any()
    assert labels["class_labels"].tolist() == [0, 1]
    assert empty["boxes"].shape == (0, 4) and empty["masks"].shape == (0, 100, 80) and len(empty["class_labels"]) == 0


def test_annotations_of_images_that_are_not_resized():
    labels = MaskRcnnImageProcessor()(picture(30, 40), annotations=[annotation()], do_resize=False)["labels"][0]
    assert labels["boxes"].tolist() == [[5, 10, 30, 20], [0, 0, 40, 30]]
    assert labels["masks"][0].sum() == 250


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_labels": [1]}, "has 2 boxes, 1 class_labels"),
        ({"boxes": [[0, 0, 5, 5]]}, "has 1 boxes, 2 class_labels"),
        ({"masks": np.zeros((2, 60, 80), bool)}, "masks of \\(2, 60, 80\\); its image of 30 x 40 pixels"),
        ({"masks": np.zeros((30, 40), bool)}, "masks of \\(30, 40\\)"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(small, changes, message):
    with pytest.raises(ValueError, match=message):
        small(picture(30, 40), annotations=[annotation() | changes])


def test_as_many_annotations_as_images(small):
    with pytest.raises(ValueError, match="1 annotations for 2 images; give one dict per image"):
        small([picture(30, 40)] * 2, annotations=[annotation()])


# ---- Detections back in photos ----


def detections(scores=(0.6, 0.9, 0.7, 0.8), images=(0, 0, 2, 2)) -> MaskRcnnOutput:
    number = len(scores)
    corners = torch.tensor([[2.0, 3], [10, 5], [0, 0], [4.5, 2.5]])[:number]
    return MaskRcnnOutput(
        pred_boxes=torch.cat([corners, corners + 12], 1),
        scores=torch.tensor(scores),
        class_labels=torch.arange(number),
        mask_probabilities=torch.rand(number, 14, 14, generator=torch.Generator().manual_seed(0)),
        image_index=torch.tensor(images, dtype=torch.long),
    )


SIZES = [(20, 30), (25, 25), (16, 40)]


@pytest.mark.parametrize("sizes", [SIZES, torch.tensor(SIZES)], ids=["list", "tensor"])
def test_each_image_gets_its_detections_the_surest_first(small, sizes):
    outputs = detections()
    results = small.post_process_instance_segmentation(outputs, sizes)
    assert [[info["label_id"] for info in result["segments_info"]] for result in results] == [[1, 0], [], [3, 2]]
    assert [tuple(result["segmentation"].shape) for result in results] == [(2, 20, 30), (0, 25, 25), (2, 16, 40)]
    info = results[2]["segments_info"][0]
    assert info == {"id": 0, "label_id": 3, "score": pytest.approx(0.8), "box": [4.5, 2.5, 16.5, 14.5]}
    expected = paste_masks(outputs.mask_probabilities[3:], outputs.pred_boxes[3:], (16, 40))[0]
    assert torch.equal(results[2]["segmentation"][0], expected)


def test_thresholds_and_protocols(small):
    outputs = detections()
    results = small.post_process_instance_segmentation(outputs, SIZES, threshold=0.75)
    assert [len(result["segments_info"]) for result in results] == [1, 0, 1]
    clean = small.post_process_instance_segmentation(outputs, SIZES, mask_threshold=0.2)
    assert (
        clean[0]["segmentation"].sum()
        > small.post_process_instance_segmentation(outputs, SIZES)[0]["segmentation"].sum()
    )
    paper = small.post_process_instance_segmentation(outputs, SIZES, interpolation="paper")
    of_paper = MaskRcnnImageProcessor(interpolation="paper").post_process_instance_segmentation(outputs, SIZES)
    for one, other in zip(paper, of_paper, strict=True):
        assert torch.equal(one["segmentation"], other["segmentation"])
    expected = paste_masks(outputs.mask_probabilities[1:2], outputs.pred_boxes[1:2], (20, 30), interpolation="paper")
    assert torch.equal(paper[0]["segmentation"][:1], expected)


def test_no_detections_at_all(small):
    for interpolation in ("clean", "paper"):
        results = small.post_process_instance_segmentation(detections((), ()), SIZES, interpolation=interpolation)
        assert [tuple(result["segmentation"].shape) for result in results] == [(0, *size) for size in SIZES]
        assert all(result["segments_info"] == [] for result in results)


def test_post_processing_says_what_does_not_fit(small):
    with pytest.raises(ValueError, match="detections in image 2, but target_sizes has only 2 rows"):
        small.post_process_instance_segmentation(detections(), SIZES[:2])
    with pytest.raises(ValueError, match="unknown interpolation 'original'"):
        small.post_process_instance_segmentation(detections(), SIZES, interpolation="original")
    with pytest.raises(ValueError, match="interpolation='paper' cuts at 122 of 255"):
        small.post_process_instance_segmentation(detections(), SIZES, mask_threshold=0.3, interpolation="paper")
