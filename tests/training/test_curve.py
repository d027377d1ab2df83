import pytest
from PIL import Image

from hf_refseg.training.curve import plot_training_curve

TRAINING = [{"step": step, "loss": 1 / step, "learning_rate": 0.1} for step in (10, 20, 30)]
EVALUATION = [{"step": 30, "eval_oIoU": 0.5, "eval_mIoU": 0.4, "eval_protocol": "hu2016"}]


def test_a_picture_with_and_without_evaluations(tmp_path):
    both = Image.open(plot_training_curve(TRAINING + EVALUATION, tmp_path / "both.png"))
    loss = Image.open(plot_training_curve(TRAINING, tmp_path / "loss.png"))
    assert both.height == 2 * loss.height and both.width == loss.width


def test_the_detectors_evaluations_are_drawn_too(tmp_path):
    precision = [{"step": 30, "eval_mask_AP": 0.5, "eval_mask_AP50": 0.9}]
    both = Image.open(plot_training_curve(TRAINING + precision, tmp_path / "both.png"))
    assert both.height == 2 * Image.open(plot_training_curve(TRAINING, tmp_path / "loss.png")).height


def test_nothing_logged_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="logging_steps"):
        plot_training_curve(EVALUATION, tmp_path / "curve.png")
