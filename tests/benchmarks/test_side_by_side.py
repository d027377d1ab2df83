import json
import sys

import pytest
import side_by_side
from side_by_side import Row, run

WORK = (
    "def prepare(row):\n    import torch\n    maps = torch.randn(row['size'], 4)\n    return lambda: maps @ maps.mT\n"
)
THEIRS = "def prepare(row):\n    return lambda: sum(range(10 ** row['size']))\n"
ROWS = [Row("small", {"size": 3, "expressions": 2}, original_ms=5.0), Row("smaller", {"size": 2})]


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Runs the command line with tiny work in place of ours and of the machine's rate; returns the written figures."""
    for name, text in {"ours": WORK, "theirs": THEIRS, "rate": THEIRS.replace("row['size']", "3")}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(side_by_side, "MACHINE_RATE", tmp_path / "rate.py")
    monkeypatch.chdir(tmp_path)

    def command_line(*arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["speed.py", "--threads", "1", "--output", "figures.json", *arguments])
        run("doc", "ours.py", ROWS, repeats=1)
        return json.loads((tmp_path / "figures.json").read_text())

    return command_line


def test_figures_of_another_machine_are_scaled_by_the_rates(measure, capsys):
    written = measure()
    small, smaller = written["rows"]
    assert small["gflop"] == pytest.approx(2 * 3 * 3 * 4 / 1e9)
    assert small["ratio"] == pytest.approx(5.0 / small["min_ms"])
    rate = small["float32_gflops"]
    assert small["ratio_at_its_rate"] == pytest.approx(small["ratio"] * side_by_side.ORIGINAL_RATE / rate)
    assert small["expressions_per_second"] == pytest.approx(2e3 / small["median_ms"])
    assert "ratio" not in smaller
    assert "elsewhere" in capsys.readouterr().out


def test_an_original_is_measured_in_the_same_run(measure, capsys):
    (row,) = measure("--rows", "smaller", "--original", "theirs.py", "--python", sys.executable)["rows"]
    assert row["ratio"] == pytest.approx(row["original_min_ms"] / row["min_ms"])
    assert row["original_cpu_ms"] >= 0
    assert "elsewhere" not in capsys.readouterr().out


def test_a_name_that_no_row_has_lists_the_rows(measure, capsys):
    with pytest.raises(SystemExit):
        measure("--rows", "CAC")
    assert "no row's name contains 'CAC'; the rows are small; smaller" in capsys.readouterr().err
