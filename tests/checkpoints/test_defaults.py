"""Configurations that promise the settings of a shipped checkpoint as their defaults keep the promise."""

import pytest
from transformers import AutoConfig

from hf_refseg.checkpoints import checkpoint_path

OPEN = {"vocab_size", "num_trained_words"}  # what was said in the training


@pytest.mark.parametrize("name", ["refseg-photos", "refseg-photos-rmi"])
def test_defaults_are_the_settings_of_the_checkpoint(name):
    shipped = AutoConfig.from_pretrained(checkpoint_path(name))
    default = type(shipped)()
    assert f"`{name}`" in type(shipped).__doc__
    for field in type(shipped).__annotations__.keys() - OPEN:
        value, promised = getattr(shipped, field), getattr(default, field)
        if not field.endswith("_config"):  # a part has settings of its own
            assert value == (list(promised) if isinstance(value, list) else promised), field
