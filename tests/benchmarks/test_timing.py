import pytest
from timing import TimedProcess, contender, take_turns

WORK = """
import os

def prepare(row):
    print("this must not mix with the answers")
    if row["size"] < 0:
        raise ValueError(f"size {row['size']}")
    return lambda: print([0] * row["size"], os.environ["OMP_NUM_THREADS"])
"""


@pytest.fixture
def work(tmp_path):
    file = tmp_path / "work.py"
    file.write_text(WORK)
    return file


def test_contenders_take_turns_and_the_first_round_does_not_count():
    calls = []
    timings = take_turns({name: contender(calls.append, name) for name in "ab"}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(timings[name].walls) for name in "ab"] == [2, 2]


def test_milliseconds_are_the_minimum_and_the_medians():
    turns = iter([(9, 9), (0.003, 0.001), (0.002, 0.006), (0.007, 0.002)])
    (timings,) = take_turns({"a": lambda: next(turns)}, repeats=3).values()
    assert timings.milliseconds("x_") == pytest.approx({"x_min_ms": 2, "x_median_ms": 3, "x_cpu_ms": 2})


def test_a_process_of_its_own_is_timed(work):
    with TimedProcess(work, {"size": 10, "threads": 1}) as process:
        wall, cpu = process()
        assert 0 < wall < 10
        assert 0 <= cpu < 10
        assert process.ask("peak") > 1
    assert process.process.returncode is not None


def test_a_process_that_ends_says_why(work):
    with TimedProcess(work, {"size": -1, "threads": 1}) as process, pytest.raises(RuntimeError, match="size -1"):
        process()
