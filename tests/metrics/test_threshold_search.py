"""Shares of pixels that a histogram of 100 bins can tell exactly, and between them."""

import numpy as np
import pytest
import torch

from hf_refseg.metrics import ThresholdSearch


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_uniform_scores(kind):
    search = ThresholdSearch()
    search.add(kind((np.arange(1000).reshape(20, 50) + 0.5) / 1000))
    assert search.compute([0.2, 0.145, 1.0]) == pytest.approx([0.8, 0.855, 0.0])


def test_extreme_scores_have_a_bin():
    search = ThresholdSearch()
    search.add([0.0, 1.0])
    assert search.compute([0.5, 0.25]) == pytest.approx([0.01, 0.995])


def test_errors_teach():
    with pytest.raises(ValueError, match="scores from -1.0 to 2.0"):
        ThresholdSearch().add([-1.0, 2.0])
    with pytest.raises(ValueError, match="must lie in"):
        ThresholdSearch().add([np.nan, 0.5])
    with pytest.raises(ValueError, match="no score was added"):
        ThresholdSearch().compute()
    with pytest.raises(TypeError, match="cannot merge a int into a ThresholdSearch"):
        ThresholdSearch().merge(5)
    search = ThresholdSearch()
    search.add([0.5])
    with pytest.raises(ValueError, match=r"lies in \(0, 1\], got 14"):
        search.compute([14])
