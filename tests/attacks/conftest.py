"""What every attack is measured by."""

import gc
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

MOST_MEGABYTES, MOST_SECONDS = 300, 20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def kilobytes(field: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field))


@pytest.fixture
def harmless():
    """`with harmless("name"):` is a call that is refused, with the name in its message, in little memory and time."""

    @contextmanager
    def attack(*names: str):
        gc.collect()
        measured = CLEAR.exists() and STATUS.exists()
        if measured:
            CLEAR.write_text("5")  # forget the highest use of memory so far
        before, start = kilobytes("VmRSS") if measured else 0, time.process_time()
        with pytest.raises((ValueError, TypeError, OSError)) as refusal:
            yield
        message = str(refusal.value)
        assert time.process_time() - start < MOST_SECONDS
        assert any(name in message for name in names), message
        assert len(message) < 3_000
        if measured:
            used = (kilobytes("VmHWM") - before) / 1_000
            assert used < MOST_MEGABYTES, f"{used:.0f} MB"

    return attack


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A whole model and its processor, to be copied and spoiled."""
    from hf_refseg import RmiImageProcessor, RmiProcessor
    from hf_refseg.processing.tokenization import tokenizer_from_sentences
    from tests.tiny import tiny_rmi

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = tokenizer_from_sentences(["the red dog on the left"])
    tiny_rmi(vocab_size=len(tokenizer)).save_pretrained(folder)
    RmiProcessor(RmiImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder
