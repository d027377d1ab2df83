import pytest
from choices import choices, find_choice

from hf_refseg.checkpoints import DEFAULT_CHECKPOINT, checkpoint_names


def test_every_shipped_checkpoint_that_answers_expressions_can_be_chosen():
    names = [one.name for one in choices()]
    assert set(checkpoint_names()) - set(names) == {"refseg-shapes-mask-rcnn"}  # a detector, which reads no words
    assert names[0] == DEFAULT_CHECKPOINT


def test_what_it_was_trained_on_is_told():
    assert {one.name: one.on_shapes for one in choices()} == {
        one.name: one.name.startswith("refseg-shapes") for one in choices()
    }


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no system 'sam3'; choose one of refseg-photos"):
        find_choice("sam3")
