"""Feature maps that are computed once."""

import torch

from hf_refseg.finetuning import frozen_backbone
from hf_refseg.finetuning.frozen_backbone import remembered_maps
from tests.tiny import tiny_context_rmi


def test_every_photo_is_computed_once(monkeypatch):
    torch.manual_seed(0)
    model, photos = tiny_context_rmi(), torch.randn(3, 3, 32, 32)
    backbone = model.backbone
    with torch.no_grad():
        expected = backbone(photos).feature_maps
    computed = []
    handle = backbone.stem.register_forward_hook(lambda *_: computed.append(1))
    with remembered_maps(backbone):
        for order in ([0, 1, 2], [2, 0], [1, 1]):
            for found, map_ in zip(backbone(photos[order]).feature_maps, expected, strict=True):
                torch.testing.assert_close(found, map_[order], rtol=1e-5, atol=1e-6)
                assert not found.requires_grad
    assert len(computed) == 3
    backbone(photos[:1])
    assert len(computed) == 4, "afterwards it computes again"
    monkeypatch.setattr(frozen_backbone, "MOST_BYTES", 0)
    with remembered_maps(backbone):
        backbone(photos[:1])
        backbone(photos[:1])
    assert len(computed) == 6, "without room nothing is kept"
    handle.remove()
