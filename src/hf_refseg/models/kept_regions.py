"""What a frozen detector says of regions: computed once, kept in a file, and read by the next training."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.utils import logging

from ..writing import write_whole

logger = logging.get_logger(__name__)

NOT_OF_REGIONS = ("_name_or_path", "architectures", "transformers_version")  # of a configuration
Described = dict[str, torch.Tensor]  # of one image: tensors whose first dimension is its regions


def read_or_describe(
    file: str | Path | None, key: str, names: Sequence[str], describe: Callable[[], list[Described]]
) -> list[Described]:
    """
    What `describe` returns for all images. All of it is in memory while it is being made; what was read stays in the
    file until it is used.

    Args:
        file: where it is kept; None: nowhere.
        key: a fingerprint of all that it depends on; what was kept under another one is made again.
        names: of the tensors of an image.
    """
    if file is not None and Path(file).is_file():
        with safe_open(file, "pt") as kept:
            if (kept.metadata() or {}).get("key") == key:
                return unpack({name: kept.get_tensor(name) for name in ("counts", *names)}, names)
        logger.warning(f"{file} holds the regions of other photos or of another detector: they are found again")
    described = describe()
    if file is not None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        packed = pack(described, names)
        write_whole(file, lambda temporary: save_file(packed, temporary, metadata={"key": key}))
    return described


def fingerprint(settings: object, images: Iterable[Mapping], detector: PreTrainedModel) -> str:
    """
    A key for `read_or_describe`.

    Args:
        settings: what JSON can say, of how images are read.
        images: records with `image_id` and `file_name`.
        detector: whose weights and configuration count.
    """
    config = {name: value for name, value in detector.config.to_dict().items() if name not in NOT_OF_REGIONS}
    text = hashlib.sha256(json.dumps([settings, config], sort_keys=True).encode())
    for record in images:
        text.update(f"{record['image_id']} {record['file_name']}".encode())
    for name, tensor in detector.state_dict().items():
        text.update(f"{name} {tensor.double().sum().item():.6g} {tensor.double().abs().sum().item():.6g}".encode())
    return text.hexdigest()


def pack(described: Sequence[Described], names: Sequence[str]) -> Described:
    """The tensors of all images, one after the other, and how many regions each has."""
    counts = torch.tensor([len(of_image[names[0]]) for of_image in described])
    return {"counts": counts, **{name: torch.cat([of_image[name] for of_image in described]) for name in names}}


def unpack(packed: Described, names: Sequence[str]) -> list[Described]:
    """What `pack` did, undone."""
    counts = packed["counts"].tolist()
    columns = (packed[name].split(counts) for name in names)
    return [dict(zip(names, of_image, strict=True)) for of_image in zip(*columns, strict=True)]


__all__ = ["fingerprint", "read_or_describe"]
