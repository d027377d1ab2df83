"""What is no checkpoint of a referring segmentation model is refused before any part of it is loaded."""

import json

import pytest

from hf_refseg.checkpoints.loading import load_model, load_processor, pipeline


@pytest.mark.parametrize("load", [load_model, load_processor, lambda folder: pipeline(model=folder)])
@pytest.mark.parametrize("model_type", ["refseg_mask_rcnn", "refseg_vgg_fcn", "bert", None, 5])
def test_models_that_read_no_expressions_are_refused(tmp_path, load, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(
        ValueError, match=f"is a model of type {model_type!r}, which reads no expressions; refseg_cac, "
    ):
        load(str(tmp_path))


@pytest.mark.parametrize("load", [load_model, load_processor, lambda folder: pipeline(model=folder)])
def test_folders_and_files_that_are_no_model_are_refused(tmp_path, load):
    for name in (tmp_path / "none", "./none", "a/b/c", "~/none"):
        with pytest.raises(
            FileNotFoundError, match="there is no folder .*; give one that save_pretrained wrote, or a Hub"
        ):
            load(str(name))
    with pytest.raises(FileNotFoundError, match="has no config.json: it is no folder that save_pretrained wrote"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="config.json holds a list"):
        load(str(tmp_path))
    with pytest.raises(ValueError, match="config.json is a file; a model is a folder"):
        load(str(tmp_path / "config.json"))
