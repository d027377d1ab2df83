from pathlib import Path

import pytest

from hf_refseg.finetuning.options import FineTuning


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(({"steps": steps}, f"steps is {steps}; give 1 or more") for steps in (0, -5)),
        *(({"val_share": share}, "val_share is .*above 0 and below 1") for share in (0, 1, 5, -0.2, float("nan"))),
        *(({"seed": seed}, "seed is .*; give 0 to 4,294,967,295") for seed in (-1, 2**70)),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_loaded(wrong, message):
    with pytest.raises(ValueError, match=message):
        FineTuning(Path("photos"), Path("model"), **wrong)
