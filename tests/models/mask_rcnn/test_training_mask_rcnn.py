"""The detector's batches, and a training of a few steps by its recipe."""

import pytest
import torch
from tiny import tiny_rmi
from transformers import AutoImageProcessor, AutoModel

from hf_refseg.data import HeldRows, RefShapes, decode_mask
from hf_refseg.data.refshapes.scene import CATEGORIES
from hf_refseg.evaluation.results import read_eval_results
from hf_refseg.models.mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor
from hf_refseg.models.mask_rcnn.training_mask_rcnn import DetectionCollator, one_row_per_image
from hf_refseg.training.run import prepare


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


def test_crops_show_fewer_objects_and_larger_ones(rows):
    plain, cropped = make_collator()(rows), make_collator(crop_probability=1.0)(rows)
    for one, other in zip(plain["labels"], cropped["labels"], strict=True):
        assert 1 <= len(other["class_labels"]) == len(other["boxes"]) == len(other["masks"]) <= len(one["boxes"])
    assert max(one["masks"].sum((1, 2)).max() for one in cropped["labels"]) > max(
        one["masks"].sum((1, 2)).max() for one in plain["labels"]
    )


def test_objects_of_the_next_row_are_pasted(rows):
    plain = make_collator()(rows)
    first, next_row = rows[0] | {"instances": []}, rows[1]
    pasted = make_collator(paste_probability=1.0)([first, next_row])
    labels = [CATEGORIES[label] for label in pasted["labels"][0]["class_labels"]]
    assert labels and set(labels) <= {thing["category"] for thing in next_row["instances"]}
    assert not torch.equal(pasted["pixel_values"][0], plain["pixel_values"][0])
    # nothing to paste in the other direction
    assert torch.equal(pasted["pixel_values"][1], plain["pixel_values"][1])
    assert torch.equal(pasted["labels"][1]["masks"], plain["labels"][1]["masks"])


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


def test_rows_that_do_not_fit_are_refused(rows):
    collator = make_collator()
    with pytest.raises(ValueError, match="row refshapes.* train of image .* has no field instances"):
        collator([{**rows[0], "instances": None}])
    strange = [{**rows[0]["instances"][0], "category": "dodecahedron"}]
    with pytest.raises(ValueError, match=r"holds \['dodecahedron'\]; the detector knows \['circle'"):
        collator([{**rows[0], "instances": strange}])


def test_a_data_set_of_expressions_gives_each_image_once(rows):
    repeated = HeldRows([rows[0], {**rows[0], "ref_id": 77}, rows[1], {**rows[0], "ref_id": 78}])
    assert [row["image_id"] for row in one_row_per_image(repeated)] == [rows[0]["image_id"], rows[1]["image_id"]]


# ---- A training by its recipe ----

RECIPE = "mask_rcnn_refshapes"
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
    metrics = train([RECIPE, *overrides(tmp_path / "run")])
    assert metrics["num"] == 3 and 0 <= metrics["mask_AP"] <= 1
    assert read_eval_results(tmp_path / "run")["metrics"]["mask_AP"] == metrics["mask_AP"]
    model = AutoModel.from_pretrained(tmp_path / "run")
    assert [model.config.id2label[label] for label in range(len(CATEGORIES))] == list(CATEGORIES)
    assert AutoImageProcessor.from_pretrained(tmp_path / "run").size["shortest_edge"] == 64
    with pytest.raises(FileExistsError, match="--resume"):
        train([RECIPE, *overrides(tmp_path / "run")])
    train([RECIPE, *overrides(tmp_path / "run", max_steps=4), "--resume"])
    assert (tmp_path / "run" / "checkpoint-4").is_dir()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embeddings": "glove-wiki-gigaword-50"}, "'embeddings' .*refseg_mask_rcnn does not read it"),
        ({"detector": "somewhere"}, "'detector' .*refseg_mask_rcnn does not read it"),
        ({"vocabulary": "words.txt"}, "'vocabulary' .*refseg_mask_rcnn does not read it"),
        ({"evaluation.protocol": "hu2016"}, "'evaluation.protocol' .*refseg_mask_rcnn does not read it"),
        ({"freeze": "stem_and_first_stage"}, "frozen parameters would stay random"),
        (
            {"freeze": "vgg_convolutions"},
            "unknown freeze 'vgg_convolutions': the scopes of refseg_mask_rcnn are kernels",
        ),
        ({"dataset": "refcoco_unc"}, "refcoco_unc does not read|refcoco_unc is not in"),
    ],
)
def test_recipes_that_make_no_sense_for_a_detector(train, tmp_path, settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train([RECIPE, *overrides(tmp_path / "run", **settings)])


def test_a_backbone_comes_from_a_model_that_has_the_same_and_from_no_other(train, tmp_path):
    train([RECIPE, *overrides(tmp_path / "first", max_steps=1)])
    again = overrides(tmp_path / "second", max_steps=1, learning_rate=0.0, **{"weights.backbone": tmp_path / "first"})
    train([RECIPE, *again, "--freeze", "stem_and_first_stage"])
    first, second = (AutoModel.from_pretrained(tmp_path / name).backbone.state_dict() for name in ("first", "second"))
    name = "stem.convolution.weight"
    assert torch.equal(first[name], second[name])
    tiny_rmi().save_pretrained(tmp_path / "rmi")
    with pytest.raises(ValueError, match=r"weights.backbone: .*rmi does not fit .*missing .*other shapes"):
        train([RECIPE, *overrides(tmp_path / "third", **{"weights.backbone": tmp_path / "rmi"})])
    with pytest.raises(ValueError, match="weights.all: .*rmi holds a refseg_rmi, but a refseg_mask_rcnn is needed"):
        train([RECIPE, *overrides(tmp_path / "third", **{"weights.all": tmp_path / "rmi"})])


def test_a_training_starts_from_a_detector(train, tmp_path):
    train([RECIPE, *overrides(tmp_path / "first", max_steps=1)])
    settings = {"max_steps": 1, "learning_rate": 0.0, "weights.all": tmp_path / "first", "processor.size": 80}
    train([RECIPE, *overrides(tmp_path / "second", **settings)])
    first, second = (
        dict(AutoModel.from_pretrained(tmp_path / name).named_parameters()) for name in ("first", "second")
    )
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert AutoImageProcessor.from_pretrained(tmp_path / "second").size["shortest_edge"] == 80


def test_a_detector_trains_on_rows_kept_in_memory(train, tmp_path):
    assert train([RECIPE, *overrides(tmp_path / "run", in_memory=True, max_steps=1)])["num"] == 3


def test_things_of_other_categories_are_left_out(tmp_path):
    task = prepare(RECIPE, overrides(tmp_path, num_categories=3)).task
    names = list(CATEGORIES[:3])
    assert [task.model.config.id2label[label] for label in range(3)] == names and task.model.config.num_labels == 3
    kept = [thing["category"] for index in range(8) for thing in task.train_rows[index]["instances"]]
    every = [thing["category"] for row in RefShapes("train", size=48, num_samples=8) for thing in row["instances"]]
    assert kept == [category for category in every if category in names] and kept != every
    assert set(task.collator([task.train_rows[0]])["labels"][0]["class_labels"].tolist()) <= {0, 1, 2}
    assert 0 <= task.evaluators.evaluate(task.model, task.eval_rows)["mask_AP"] <= 1
