"""A backbone that stays as it is answers the same about the same photo: nine tenths of a training, once per photo."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BackboneOutput

MOST_BYTES = 2 << 30  # about 500 photos and their mirror images


@contextmanager
def remembered_maps(backbone: PreTrainedModel) -> Iterator[None]:
    """
    Meanwhile the feature maps of a photo are computed once, and kept in memory while there is room for them.

    Args:
        backbone: frozen, its batch normalizations too.
    """
    forward, remembered, room = backbone.forward, {}, [MOST_BYTES]

    @torch.no_grad()
    def remembering(pixel_values: torch.Tensor, **kwargs) -> BackboneOutput:
        keys = [hashlib.blake2b(image.cpu().contiguous().numpy(), digest_size=16).digest() for image in pixel_values]
        found = {key: remembered[key] for key in keys if key in remembered}
        for key, image in zip(keys, pixel_values, strict=True):
            if key not in found:
                maps = forward(image[None], **kwargs).feature_maps  # (1, 3, H, W) -> each (1, C, h, w)
                found[key] = maps
                size = sum(map_.nbytes for map_ in maps)
                if size <= room[0]:
                    remembered[key], room[0] = maps, room[0] - size
        return BackboneOutput(feature_maps=tuple(torch.cat(maps) for maps in zip(*map(found.get, keys), strict=True)))

    backbone.forward = remembering
    try:
        yield
    finally:
        del backbone.forward
