import torch

from hf_refseg.models.context_rmi.context_decoder import ContextDecoder


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


def test_every_cell_sees_the_whole_image():
    torch.manual_seed(0)
    decoder = ContextDecoder(hidden_size=4, context_size=8, detail_channels=0, detail_size=0)
    state = torch.rand(1, 4, 32, 32, requires_grad=True)
    decoder(state)[0, 0, 0, 0].backward()
    assert state.grad[0, :, 31, 31].any()


def test_masks_have_the_size_of_the_detail_map():
    decoder = ContextDecoder(hidden_size=4, context_size=8, detail_channels=3, detail_size=2)
    assert decoder(torch.rand(2, 4, 5, 6), torch.rand(2, 3, 10, 13)).shape == (2, 1, 10, 13)
