"""A training of the mask head of a few steps by its recipe."""

import pytest
import torch
from tiny import tiny_nanodet, tiny_rmi
from transformers import AutoImageProcessor, AutoModel

from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.models.nanodet.image_processing_nanodet import NanoDetImageProcessor

RECIPE = "nanodet_coco_masks"
SETTINGS = {
    "max_steps": 3, "dataset": "refshapes/refcoco", "path": "null", "train_split": "train", "eval_split": "val",
    "train_samples": 8, "eval_samples": 3, "image_size": 48, "use_cpu": True, "per_device_train_batch_size": 2,
    "per_device_eval_batch_size": 2, "mask_hidden_size": 8, "detail_size": 4, "crop_size": 6, "max_detections": 10,
    "warmup_steps": 1, "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2, "eval_strategy": "no",
    "disable_tqdm": True, "load_best_model_at_end": False, "report_to": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A folder as the converter writes it."""
    folder = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    tiny_nanodet(has_masks=False, id2label=dict(enumerate(CATEGORIES)), num_labels=len(CATEGORIES)).save_pretrained(
        folder
    )
    NanoDetImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(folder)
    return folder


def overrides(output_dir, **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def test_the_mask_head_is_trained_and_nothing_else(train, detector, tmp_path):
    metrics = train([RECIPE, *overrides(tmp_path / "run", detector=detector)])
    assert metrics["num"] == 3 and 0 <= metrics["mask_AP"] <= 1
    before, after = AutoModel.from_pretrained(detector), AutoModel.from_pretrained(tmp_path / "run")
    published = before.state_dict()
    assert published and all(torch.equal(after.state_dict()[name], tensor) for name, tensor in published.items())
    assert after.config.has_masks and not before.config.has_masks
    assert [after.config.id2label[label] for label in range(len(CATEGORIES))] == list(CATEGORIES)
    assert AutoImageProcessor.from_pretrained(tmp_path / "run").size["longest_edge"] == 64

    settings = {"max_steps": 1, "warmup_steps": 0, "weights.all": tmp_path / "run", "detector": "null"}
    train([RECIPE, *overrides(tmp_path / "more", **settings)])
    moved = AutoModel.from_pretrained(tmp_path / "more").mask_head.state_dict()
    assert any(not torch.equal(tensor, after.mask_head.state_dict()[name]) for name, tensor in moved.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "null"}, "the mask head is trained over a detector: give its folder as --detector"),
        ({"has_masks": False}, "has_masks .* can't be chosen: it follows from what is trained"),
        ({"num_bins": 4}, "num_bins .* can't be chosen: it follows from the detector"),
        ({"embeddings": "glove-wiki-gigaword-50"}, "'embeddings' .*refseg_nanodet does not read it"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(train, detector, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train([RECIPE, *overrides(tmp_path / "run", **{"detector": detector, **settings})])


def test_another_model_is_no_detector(train, tmp_path):
    tiny_rmi().save_pretrained(tmp_path / "rmi")
    with pytest.raises(ValueError, match="weights.detector: .*rmi holds a refseg_rmi, but a refseg_nanodet is needed"):
        train([RECIPE, *overrides(tmp_path / "run", detector=tmp_path / "rmi")])
