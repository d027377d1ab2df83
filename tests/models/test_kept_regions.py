"""What a detector says of regions is kept, and found again where it would say something else."""

import pytest
import torch

from hf_refseg.models import kept_regions
from hf_refseg.models.kept_regions import fingerprint, read_or_describe
from tests.tiny import tiny_nanodet

DESCRIBED = [{"boxes": torch.rand(2, 4)}, {"boxes": torch.rand(3, 4)}]
IMAGES = [{"image_id": 1, "file_name": "1.png"}]


def test_what_is_kept_is_read_under_its_key(tmp_path):
    file = tmp_path / "new" / "regions.safetensors"
    read_or_describe(file, "key", ["boxes"], lambda: DESCRIBED)
    again = read_or_describe(file, "key", ["boxes"], lambda: pytest.fail("found again"))
    assert all(torch.equal(kept["boxes"], made["boxes"]) for kept, made in zip(again, DESCRIBED, strict=True))
    assert read_or_describe(file, "another", ["boxes"], lambda: DESCRIBED[:1]) == DESCRIBED[:1]


def test_a_write_that_is_cut_off_leaves_no_half_file(tmp_path, monkeypatch):
    def cut_off(tensors, file, metadata):
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("no space")

    file = tmp_path / "regions.safetensors"
    monkeypatch.setattr(kept_regions, "save_file", cut_off)
    with pytest.raises(OSError, match="no space"):
        read_or_describe(file, "key", ["boxes"], lambda: DESCRIBED)
    assert list(tmp_path.iterdir()) == []


def test_the_key_follows_the_detector_and_the_images():
    torch.manual_seed(0)
    model = tiny_nanodet()
    key = fingerprint([1], IMAGES, model)
    model.config._name_or_path = "elsewhere"
    assert fingerprint([1], IMAGES, model) == key
    assert fingerprint([2], IMAGES, model) != key and fingerprint([1], IMAGES * 2, model) != key
    model.config.nms_threshold = 0.123
    assert fingerprint([1], IMAGES, model) != key
    model.config.nms_threshold = tiny_nanodet().config.nms_threshold
    assert fingerprint([1], IMAGES, model) == key
    with torch.no_grad():
        model.heads[0].predictions.bias.add_(1)
    assert fingerprint([1], IMAGES, model) != key
