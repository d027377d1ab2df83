"""What comes back from a model is checked before masks are made of it."""

import numpy as np
import pytest
import torch
from PIL import Image

from hf_refseg.outputs import ReferringSegmentationOutput
from hf_refseg.processing.answer_checks import check_finite, check_threshold, checked_sizes, image_sizes


def test_sizes_of_every_kind():
    expected = [(4, 5), (6, 7)]
    for sizes in (expected, np.array(expected), torch.tensor(expected), [torch.tensor(row) for row in expected]):
        assert checked_sizes(sizes) == expected


@pytest.mark.parametrize(
    "sizes",
    [
        [(0, 0)],
        [(-1, 4)],
        [(4, 5, 3)],
        [(4.0, 5.0)],
        torch.tensor([[4.5, 5.5]]),
        [("4", "5")],
        [(True, None)],
        (4, 5),
        4,
        "4x5",
        [(10**6, 10**6)],
        torch.zeros(1, 2, device="meta"),
        torch.ones(1, 2, dtype=torch.int64).to_sparse(),
    ],
)
def test_sizes_of_no_image(sizes):
    with pytest.raises(ValueError, match="target_sizes is .*; give one .height, width. per image, in whole pixels"):
        checked_sizes(sizes)


def test_size_limit_is_that_of_images(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert checked_sizes([(10**6, 10**6)]) == [(10**6, 10**6)]


@pytest.mark.parametrize("threshold", ["0.5", None, True, [0.5], 1j])
def test_thresholds_of_another_type(threshold):
    with pytest.raises(TypeError, match="threshold is .*; give a number such as 0.5"):
        check_threshold(threshold)


def test_thresholds_that_are_no_probability():
    for threshold in (-0.1, 50, np.nan):
        with pytest.raises(ValueError, match="threshold is .*; it is a probability"):
            check_threshold(threshold)
    for threshold in (0, 1, np.float32(0.5)):
        check_threshold(threshold)


@pytest.mark.parametrize("outputs", [None, {}, (torch.zeros(1, 2, 2),), torch.zeros(1, 2, 2)])
def test_what_no_model_returned(outputs):
    with pytest.raises(TypeError, match="outputs is a .*; give what the model returned, without return_dict=False"):
        image_sizes(outputs, [(2, 2)])


@pytest.mark.parametrize("name", ["logits", "scores", "pred_boxes"])
def test_numbers_that_are_not_finite_name_the_expression(name):
    fields = {"logits": torch.zeros(3, 4, 5), "scores": torch.zeros(3), "pred_boxes": torch.zeros(3, 4)}
    check_finite(ReferringSegmentationOutput(**fields))
    for value in (torch.nan, torch.inf):
        broken = {key: tensor.clone() for key, tensor in fields.items()}
        broken[name][1:, ...] = value
        with pytest.raises(ValueError, match=rf"the {name} of expression 1 are not finite \(2 of 3 expressions\)"):
            check_finite(ReferringSegmentationOutput(**broken))
