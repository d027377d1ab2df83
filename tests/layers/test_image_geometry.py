"""Boxes and masks between photos and the network's input."""

import pytest
import torch

from hf_refseg.layers.image_geometry import (
    ImageGeometry,
    exclusive_to_inclusive,
    finite_logits,
    inclusive_to_exclusive,
    run_by_size,
)


def padded_pair() -> dict[str, torch.Tensor]:
    """A photo of 30 x 40 pixels at twice its size, and one of 25 x 10 at three times its size, in one batch."""
    mask = torch.zeros(2, 75, 80, dtype=torch.long)
    mask[0, :60, :80], mask[1, :75, :30] = 1, 1
    return {
        "pixel_values": torch.zeros(2, 3, 75, 80),
        "pixel_mask": mask,
        "original_sizes": torch.tensor([[30, 40], [25, 10]]),
        "image_scales": torch.tensor([2.0, 3.0]),
    }


def test_everything_that_a_processor_returns_is_understood():
    geometry = ImageGeometry.of(**padded_pair(), input_ids=torch.ones(2, 3), labels=None)
    assert geometry.input_sizes == ((60, 80), (75, 30)) and geometry.canvas == (75, 80)
    assert geometry.original_sizes.tolist() == [[30, 40], [25, 10]] and geometry.image_scales.tolist() == [2, 3]


def test_without_sizes_and_scales_the_photos_are_the_input_itself():
    inputs = padded_pair()
    plain = ImageGeometry.of(inputs["pixel_values"])
    assert plain.input_sizes == ((75, 80),) * 2
    assert plain.original_sizes.tolist() == [[75, 80]] * 2 and plain.image_scales.tolist() == [1, 1]
    padded = ImageGeometry.of(inputs["pixel_values"], inputs["pixel_mask"])
    assert padded.original_sizes.tolist() == [[60, 80], [75, 30]] and padded.image_scales.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["original_sizes", "image_scales"])
def test_sizes_without_scales_are_refused(name):
    inputs = padded_pair()
    with pytest.raises(ValueError, match=f"only {name} is given; pass both"):
        ImageGeometry.of(inputs["pixel_values"], **{name: inputs[name]})


def test_sizes_of_another_number_of_images_are_refused():
    inputs = padded_pair()
    inputs["original_sizes"] = inputs["original_sizes"][:1]
    with pytest.raises(ValueError, match=r"shapes \(1, 2\) and \(2,\), but there are 2 images"):
        ImageGeometry.of(**inputs)


@pytest.mark.parametrize("padded", [True, False])
def test_the_images_of_expressions(padded):
    inputs = padded_pair()
    geometry = ImageGeometry.of(**inputs if padded else {"pixel_values": inputs["pixel_values"]})
    taken = geometry.take(torch.tensor([1, 0, 1]))
    assert taken.input_sizes == tuple(geometry.input_sizes[image] for image in (1, 0, 1))
    assert torch.equal(taken.original_sizes, geometry.original_sizes[[1, 0, 1]])
    assert torch.equal(taken.image_scales, geometry.image_scales[[1, 0, 1]])


def test_corners_inside_and_outside():
    boxes = torch.rand(6, 4) * 50
    assert inclusive_to_exclusive(torch.tensor([1.0, 2, 3, 4])).tolist() == [1, 2, 4, 5]
    torch.testing.assert_close(exclusive_to_inclusive(inclusive_to_exclusive(boxes)), boxes)


def test_boxes_of_photos_in_the_network():
    boxes = torch.tensor([[1, 2, 11, 22], [0, 0, 10, 25]], dtype=torch.float64)
    moved = ImageGeometry.of(**padded_pair()).to_network(boxes, torch.tensor([0, 1]))
    assert moved.tolist() == [[2, 4, 20, 42], [0, 0, 27, 72]] and moved.dtype == torch.float32


def test_small_masks_in_the_network():
    geometry = ImageGeometry.of(**padded_pair())
    boxes = torch.tensor([[1.0, 2, 11, 22], [0, 0, 10, 25]])
    pasted = geometry.paste(torch.ones(2, 4, 4), boxes, torch.tensor([0, 1]))
    assert pasted.shape == (2, 75, 80)
    assert pasted[0, 4:44, 2:22].eq(1).all() and pasted[0].sum() == 40 * 20
    assert pasted[1, :75, :30].eq(1).all() and pasted[1].sum() == 75 * 30


def test_whole_masks_in_the_network():
    geometry = ImageGeometry.of(**padded_pair())
    first, second = torch.zeros(30, 40, dtype=torch.bool), torch.ones(25, 10, dtype=torch.bool)
    first[10:20, 5:15] = True
    resized = geometry.resize((second, first), torch.tensor([1, 0]))
    assert resized.shape == (2, 75, 80)
    assert (resized[0] > 0.5).sum() == 75 * 30 and not resized[0, :, 30:].any()
    inside = torch.zeros(75, 80, dtype=torch.bool)
    inside[20:40, 10:30] = True
    assert torch.equal(resized[1] > 0.5, inside)


def test_masks_keep_their_edges_and_their_sureness_under_autocast():
    """An evaluation of a training in bfloat16 draws masks; 1 - 1e-6 is 1 there, whose logit is infinite."""
    geometry = ImageGeometry.of(**padded_pair())
    small, boxes, index = torch.rand(1, 4, 4).round(), torch.tensor([[1.0, 2, 11, 22]]), torch.tensor([0])
    expected = finite_logits(geometry.paste(small, boxes, index))
    with torch.autocast("cpu", torch.bfloat16):
        logits = finite_logits(geometry.paste(small, boxes, index))
    assert torch.equal(logits, expected) and logits.isfinite().all()
    sure = finite_logits(torch.tensor([0, 1], dtype=torch.bfloat16))
    assert sure.isfinite().all() and sure.dtype == torch.float32


def test_images_of_one_size_run_together_and_without_padding():
    images, sizes, seen = torch.arange(3.0)[:, None, None, None].expand(3, 1, 4, 4), [(4, 2), (3, 4), (4, 2)], []

    def run(same):
        seen.append(tuple(same.shape))
        return same.amax((1, 2, 3))

    assert run_by_size(run, images, sizes) == [0, 1, 2]
    assert seen == [(2, 1, 4, 2), (1, 1, 3, 4)]
