"""Slow: two thousand calls of the pipeline in flat memory, and eight threads over one model (run with -m slow)."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hf_refseg.checkpoints.loading import pipeline

CALLS, WARM, MOST_MEGABYTES = 2_000, 200, 30
TEXTS = ["the cat on the left", "the dog", "the red ball behind the table"]
STATUS, DESCRIPTORS = Path("/proc/self/status"), Path("/proc/self/fd")


def photo(number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    height, width = rng.integers(30, 120, 2)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def memory() -> float:
    """In MB."""
    gc.collect()
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmRSS")) / 1_000


@pytest.fixture(scope="module")
def pipe():
    return pipeline()


@pytest.mark.slow
@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="needs /proc: Linux says what a process holds there")
def test_two_thousand_calls_hold_no_more_than_two_hundred(pipe, tmp_path):
    file = tmp_path / "photo.png"
    for number in range(CALLS):
        photo(number % 20).save(file)
        pipe(str(file), TEXTS[: 1 + number % len(TEXTS)])
        if number == WARM:
            before, opened = memory(), len(os.listdir(DESCRIPTORS))
    assert memory() - before < MOST_MEGABYTES
    assert len(os.listdir(DESCRIPTORS)) <= opened


@pytest.mark.slow
def test_eight_threads_give_the_numbers_of_one(pipe):
    expected = [pipe(photo(number), TEXTS) for number in range(8)]
    found = {}

    def ask(number: int) -> None:
        found[number] = [pipe(photo(number), TEXTS) for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answers in enumerate(expected):
        assert len(found[number]) == 5
        for again in found[number]:
            for one, other in zip(answers, again, strict=True):
                assert one["score"] == other["score"] and one["box"] == other["box"]
                assert np.array_equal(one["mask"], other["mask"])
