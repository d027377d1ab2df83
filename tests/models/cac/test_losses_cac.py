import torch

from hf_refseg.layers.nearest_resize import resize_nearest
from hf_refseg.models.cac.losses_cac import response_loss


def test_loss_is_the_mean_over_each_images_own_cells():
    generator = torch.Generator().manual_seed(0)
    response = torch.randn(2, 4, 5, generator=generator, requires_grad=True)
    masks = [torch.rand(64, 80, generator=generator) > 0.5, torch.rand(40, 32, generator=generator) > 0.5]
    loss = response_loss(response, masks, [(4, 5), (3, 2)])
    first, second = (
        torch.nn.functional.binary_cross_entropy_with_logits(logits, resize_nearest(mask, tuple(logits.shape)).float())
        for logits, mask in zip((response[0], response[1, :3, :2]), masks, strict=True)
    )
    torch.testing.assert_close(loss, (first + second) / 2)
    loss.backward()
    assert response.grad[0].all() and not response.grad[1, 3:].any() and not response.grad[1, :, 2:].any()
