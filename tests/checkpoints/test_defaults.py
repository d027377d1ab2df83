"""Configurations that promise the settings of a shipped checkpoint as their defaults keep the promise."""

import json

import pytest
from transformers import AutoConfig

from hf_refseg.checkpoints import checkpoint_path

OPEN = {"vocab_size", "num_trained_words"}  # what was said in the training
PARTS = {"backbone_config", "detector_config"}  # have settings of their own


@pytest.mark.parametrize("name", ["refseg-photos", "refseg-photos-rmi"])
def test_defaults_are_the_settings_of_the_checkpoint(name):
    shipped = AutoConfig.from_pretrained(checkpoint_path(name))
    assert f"`{name}`" in type(shipped).__doc__
    stored, default = (json.loads(config.to_json_string(use_diff=False)) for config in (shipped, type(shipped)()))
    fields = type(shipped).__annotations__.keys() - OPEN - PARTS
    assert {field: stored[field] for field in fields} == {field: default[field] for field in fields}
