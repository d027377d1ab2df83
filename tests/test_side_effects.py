"""A library changes nothing outside itself: not the settings of the process, and not its random numbers."""

import os
import random
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from transformers.utils import logging

from hf_refseg.checkpoints.loading import pipeline
from hf_refseg.processing.images import load_image


def settings() -> dict:
    return {
        "filters": list(warnings.filters),
        "progress bars": logging.is_progress_bar_enabled(),
        "verbosity": logging.get_verbosity(),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "random": (random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
        "numpy": np.geterr(),
        "environment": dict(os.environ),
        "pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "folder": os.getcwd(),
    }


def test_a_pipeline_changes_nothing_outside_itself():
    load_image(np.zeros((4, 4), np.uint8))  # what is imported late may set itself up
    before = settings()
    pipe = pipeline()
    pipe(np.full((60, 80, 3), 90, np.uint8), ["the cat", "the dog"])
    after = settings()
    assert {name for name in before if before[name] != after[name]} == set()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path, monkeypatch):
    """Catching warnings in one thread while another does sets the filters back to the wrong ones."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    Image.new("L", (90, 90)).save(tmp_path / "large.png")  # of which Pillow warns
    before, refused = list(warnings.filters), []

    def read() -> None:
        for _ in range(20):
            try:
                load_image(tmp_path / "large.png")
            except ValueError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    assert len(refused) == 160 and all("more than the limit of 5000" in message for message in refused)
