"""The additions to the paper: off by default, and the same numbers on every path when on."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from tiny import tiny_caffe_resnet_config, tiny_rmi

from hf_refseg.models.rmi.configuration_rmi import RmiConfig
from hf_refseg.models.rmi.context_decoder import ContextDecoder
from hf_refseg.models.rmi.modeling_rmi import safe_atanh

ADDITIONS = {
    "word_similarity": True,
    "visual_size": 10,
    "context_size": 8,
    "detail_size": 6,
    "loss": "dice_and_cross_entropy",
    "backbone_config": tiny_caffe_resnet_config(out_features=["stage1", "stage4"]),
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return tiny_rmi(**ADDITIONS)


def test_plain_rmi_has_none_of_them():
    names = set(tiny_rmi().state_dict())
    assert {"classifier.weight", "classifier.bias"} <= names
    assert not any("similarity" in name or "context" in name for name in names)


def test_masks_have_the_stride_of_the_detail_map(model):
    output = model(torch.randn(1, 3, 64, 48), torch.tensor([[3, 4]]))
    assert output.grid_logits.shape == (1, 16, 12)  # stride 4, where the last map has stride 8
    assert output.logits.shape == (1, 64, 48)


def test_inference_of_many_equals_training_path_of_one(model):
    pixels = torch.randn(2, 3, 64, 64)
    words, image_index = torch.tensor([[0, 5, 6], [7, 8, 9], [0, 0, 4]]), torch.tensor([0, 1, 1])
    with torch.no_grad():
        together = model(pixels, words, image_index=image_index).grid_logits
    for row, image, logits in zip(words, image_index, together, strict=True):
        alone = model(pixels[image, None], row[row > 0][None]).grid_logits[0]
        torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


def test_training_of_packed_expressions_equals_the_whole_batch_wherever_the_padding_lies(model):
    words = torch.tensor([[5, 0, 6, 0], [7, 8, 9, 4], [0, 0, 0, 0], [0, 3, 0, 2], [6, 0, 0, 0]])
    arguments = model.get_image_features(torch.randn(2, 3, 64, 64)), words, words != 0, torch.tensor([0, 1, 1, 1, 0])
    whole, _ = model._segment_batch(*arguments, output_attentions=False)
    packed = model._segment_packed(*arguments)
    torch.testing.assert_close(packed, whole, rtol=1e-4, atol=1e-5)
    for name in ("multimodal_lstm.state_gates.weight", "word_embeddings.weight", "visual_projection.weight"):
        gradients = [
            torch.autograd.grad((logits**2).sum(), model.get_parameter(name), retain_graph=True)[0]
            for logits in (packed, whole)
        ]
        assert gradients[0].abs().sum() > 0
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_loss_at_the_size_of_the_input_sees_every_pixel():
    torch.manual_seed(0)
    grid, full = tiny_rmi(), tiny_rmi(loss_size="input")
    full.load_state_dict(grid.state_dict())
    pixels, words, labels = torch.randn(1, 3, 64, 64), torch.tensor([[3, 4]]), torch.zeros(1, 64, 64)
    output = full(pixels, words, labels=labels)
    expected = torch.nn.functional.softplus(output.logits).sum()  # cross-entropy with an empty mask
    torch.testing.assert_close(output.loss, expected)
    labels[:, 1, 1] = 1  # between the pixels that the grid's target is made of
    assert grid(pixels, words, labels=labels).loss == grid(pixels, words, labels=torch.zeros(1, 64, 64)).loss
    torch.testing.assert_close(full(pixels, words, labels=labels).loss, expected - output.logits[0, 1, 1])


def test_every_added_parameter_gets_a_gradient(model):
    model(torch.randn(1, 3, 64, 64), torch.tensor([[3, 4]]), labels=torch.ones(1, 64, 64)).loss.backward()
    added = {name: parameter.grad for name, parameter in model.named_parameters() if "backbone" not in name}
    assert not [name for name, gradient in added.items() if gradient is None or not gradient.abs().sum() > 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"word_similarity": True, "visual_size": 7}, "visual_size is 7"), ({"detail_size": 4}, "context_size")],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(StrictDataclassError, match=message):
        RmiConfig(word_embedding_size=10, **settings)


def test_gradients_of_the_context_are_right_in_bfloat16():
    """oneDNN's are not, of a dilated depthwise convolution in the channels-last layout."""
    torch.manual_seed(0)
    decoder = ContextDecoder(hidden_size=8, context_size=64, detail_channels=0, detail_size=0)
    state, gradients = torch.randn(3, 8, 32, 32).relu(), []
    for autocast in (False, True):
        decoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            decoder(state).float().square().mean().backward()
        gradients.append([layer.weight.grad.clone() for layer in decoder.context.spread])
    for exact, rounded in zip(*gradients, strict=True):
        assert (exact - rounded).norm() < 0.2 * exact.norm()  # rounding makes 0.04 to 0.08, the wrong ones NaN or 1


def test_saturated_state_stays_finite_in_bfloat16():
    state = torch.tensor([-1.0, 1.0], dtype=torch.bfloat16, requires_grad=True)
    output = safe_atanh(state)
    output.sum().backward()
    assert output.isfinite().all() and state.grad.isfinite().all()
