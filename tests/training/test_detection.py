"""The detector's batches, COCO's average precision, and a training of a few steps by its recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from transformers import AutoImageProcessor, AutoModel

from hf_refseg.data import RefShapes, decode_mask, encode_mask
from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.training.detection import DetectionCollator, NumberedCollator, average_precision, detections_of

ROOT = Path(__file__).resolve().parents[2]


def make_collator(**kwargs) -> DetectionCollator:
    processor = MaskRcnnImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    return DetectionCollator(processor, CATEGORIES, **kwargs)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return list(RefShapes("train", size=48, num_samples=3))


# ---- Batches ----


def test_a_batch_holds_every_object(rows):
    batch = make_collator()(rows)
    assert batch["pixel_values"].shape == (3, 3, 96, 96)
    for row, labels in zip(rows, batch["labels"], strict=True):
        assert [CATEGORIES[label] for label in labels["class_labels"]] == [i["category"] for i in row["instances"]]
        assert labels["masks"].shape == (len(row["instances"]), 96, 96)
        for instance, mask in zip(row["instances"], labels["masks"], strict=True):
            area = decode_mask(instance["mask"]).sum()
            assert mask.sum() == pytest.approx(4 * area, rel=0.2)


def test_flips_turn_pictures_boxes_and_masks_around(rows):
    plain, flipped = make_collator()(rows), make_collator(flip_probability=1.0)(rows)
    assert torch.equal(flipped["pixel_values"], plain["pixel_values"].flip(-1))
    for one, other in zip(plain["labels"], flipped["labels"], strict=True):
        assert torch.equal(other["masks"], one["masks"].flip(-1))
        assert torch.equal(one["class_labels"], other["class_labels"])
        width = one["boxes"][:, 2] - one["boxes"][:, 0]
        torch.testing.assert_close(other["boxes"][:, 2] - other["boxes"][:, 0], width)


def test_flips_are_drawn_from_seed_epoch_and_row(rows):
    def flips(collator):
        pixels = collator(rows)["pixel_values"]
        return [torch.equal(*pair) for pair in zip(pixels, make_collator()(rows)["pixel_values"], strict=True)]

    drawn = set()
    for epoch in range(8):
        collator = make_collator(flip_probability=0.5)
        collator.set_epoch(epoch)
        assert flips(collator) == flips(collator)
        drawn.add(tuple(flips(collator)))
    assert len(drawn) > 1


def test_an_image_without_objects_is_a_batch_too(rows):
    batch = make_collator()([{**rows[0], "instances": []}])
    assert batch["labels"][0]["masks"].shape == (0, 96, 96) and batch["labels"][0]["boxes"].shape == (0, 4)


@pytest.mark.parametrize("wrap", [lambda collator: collator, lambda c: lambda rows: NumberedCollator(c)([(0, *rows)])])
def test_rows_that_do_not_fit_are_refused(rows, wrap):
    collator = wrap(make_collator())
    with pytest.raises(ValueError, match="row refshapes.* train of image .* has no field instances"):
        collator([{**rows[0], "instances": None}])
    strange = [{**rows[0]["instances"][0], "category": "dodecahedron"}]
    with pytest.raises(ValueError, match=r"holds \['dodecahedron'\]; the model knows \['circle'"):
        collator([{**rows[0], "instances": strange}])


# ---- Average precision ----


def things(*squares: tuple[int, int, int], score: float | None = None, label: int = 0) -> list[dict]:
    """Squares (x, y, side) in an image of 40 x 60."""
    found = []
    for x, y, side in squares:
        mask = np.zeros((40, 60), bool)
        mask[y : y + side, x : x + side] = True
        thing = {"label": label, "box": [float(x), float(y), float(x + side), float(y + side)]}
        found.append(thing | {"mask": encode_mask(mask)} | ({} if score is None else {"score": score}))
    return found


def image_of(truths, found):
    return {"size": (40, 60), "truths": truths, "found": found}


SQUARES = (2, 3, 10), (30, 5, 20)


def test_perfect_detections_have_an_average_precision_of_one():
    images = [image_of(things(*SQUARES), things(*SQUARES, score=0.9)) for _ in range(2)]
    images.append(image_of(things((5, 5, 9), label=2), things((5, 5, 9), label=2, score=0.1)))
    numbers = average_precision(images, ["cat", "dog", "bird"])
    assert numbers == pytest.approx({"mask_AP": 1, "mask_AP50": 1, "box_AP": 1, "box_AP50": 1, "num": 3})


def test_wrong_and_missing_detections_have_an_average_precision_of_zero():
    for found in ([], things((50, 30, 9), score=0.9), things(*SQUARES, score=0.9, label=1)):
        numbers = average_precision([image_of(things(*SQUARES), found)], ["cat", "dog"])
        assert numbers == {"mask_AP": 0, "mask_AP50": 0, "box_AP": 0, "box_AP50": 0, "num": 1}


def test_boxes_and_masks_are_counted_apart():
    found = things(*SQUARES, score=0.9)
    for thing in found:
        thing["mask"] = encode_mask(np.zeros((40, 60), bool))
    numbers = average_precision([image_of(things(*SQUARES), found)], ["cat"])
    assert numbers["box_AP"] == pytest.approx(1) and numbers["mask_AP"] == 0


def test_without_any_object_there_is_no_average_precision():
    numbers = average_precision([image_of([], things(*SQUARES, score=0.9))], ["cat"])
    assert np.isnan(numbers["mask_AP"]) and np.isnan(numbers["box_AP50"]) and numbers["num"] == 1


def test_detections_keep_their_masks_as_run_lengths():
    masks = torch.zeros(1, 40, 60, dtype=torch.bool)
    masks[0, 3:9, 5:20] = True
    info = {"id": 0, "label_id": 4, "score": 0.5, "box": [5.0, 3.0, 20.0, 9.0]}
    (found,) = detections_of({"segmentation": masks, "segments_info": [info]})
    assert (found["label"], found["score"], found["box"]) == (4, 0.5, info["box"])
    np.testing.assert_array_equal(coco_mask.decode(found["mask"]), masks[0].numpy())


# ---- A training by its recipe ----

SETTINGS = {
    "max_steps": 3, "train_samples": 8, "eval_samples": 3, "image_size": 48, "processor.size": 64, "use_cpu": True,
    "per_device_train_batch_size": 2, "per_device_eval_batch_size": 2, "model.backbone_config.hidden_sizes": [16, 32],
    "model.backbone_config.stem_size": 8, "model.backbone_config.depths": [1, 1], "head_size": 16,
    "mask_hidden_size": 8, "rpn_hidden_size": 8, "rpn_batch_size": 16, "roi_batch_size": 8, "post_nms_top_n": 10,
    "dataloader_num_workers": 0, "logging_steps": 1, "save_steps": 2, "eval_strategy": "no", "disable_tqdm": True,
    "load_best_model_at_end": False, "report_to": "none",
}  # fmt: skip


def overrides(output_dir, **settings) -> list[str]:
    values = {**SETTINGS, "output_dir": output_dir, **settings}
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def test_the_recipe_trains_a_tiny_detector_and_resumes(train, tmp_path):
    recipe = str(ROOT / "configs" / "mask_rcnn_refshapes.yaml")
    metrics = train([recipe, *overrides(tmp_path / "run")])
    assert metrics["eval_num"] == 3 and 0 <= metrics["eval_mask_AP"] <= 1
    model = AutoModel.from_pretrained(tmp_path / "run")
    assert [model.config.id2label[label] for label in range(len(CATEGORIES))] == list(CATEGORIES)
    assert AutoImageProcessor.from_pretrained(tmp_path / "run").size["shortest_edge"] == 64
    with pytest.raises(SystemExit, match="--resume"):
        train([recipe, *overrides(tmp_path / "run")])
    train([recipe, *overrides(tmp_path / "run", max_steps=4), "--resume"])
    assert (tmp_path / "run" / "checkpoint-4").is_dir()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"word_vectors": "glove-wiki-gigaword-50"}, "model.word_vectors is for models that read words"),
        ({"detector_checkpoint": "somewhere"}, "model.detector_checkpoint is for models that read words"),
        ({"freeze": "stem_and_first_stage"}, "random|pretrained"),
        ({"dataset": "refer_folder", "path": "PATH"}, "has no list of categories"),
    ],
)
def test_recipes_that_make_no_sense_for_a_detector(train, tmp_path, shared_dir, settings, message):
    path = str(shared_dir / "data" / "coco_cc_expressions")
    settings = {name: path if value == "PATH" else value for name, value in settings.items()}
    with pytest.raises(ValueError, match=message):
        train([str(ROOT / "configs" / "mask_rcnn_refshapes.yaml"), *overrides(tmp_path / "run", **settings)])


def test_a_detector_trains_on_rows_kept_in_memory(train, tmp_path):
    recipe = str(ROOT / "configs" / "mask_rcnn_refshapes.yaml")
    assert train([recipe, *overrides(tmp_path / "run", in_memory=True, max_steps=1)])["eval_num"] == 3
