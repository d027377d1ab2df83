import json

import pytest
from report import argument_parser, markdown_table, publish

COLUMNS = {"name": ("", ""), "ms": ("min ms", ".1f")}
ROWS = [{"name": "one", "ms": 12.34, "more": 1}, {"name": "another", "ms": None}, {"name": "third"}]


def test_table_rounds_and_shows_what_is_unknown_as_a_dash():
    assert markdown_table(ROWS, COLUMNS).splitlines() == [
        "|         | min ms |",
        "|---------|--------|",
        "| one     | 12.3   |",
        "| another | -      |",
        "| third   | -      |",
    ]


def test_output_holds_the_conditions_and_every_figure(tmp_path, capsys):
    path = tmp_path / "new" / "figures.json"
    options = argument_parser("doc", repeats=3).parse_args(["--threads", "2", "--output", str(path)])
    publish(options, ROWS, COLUMNS, size=64)
    written = json.loads(path.read_text())
    assert written["rows"] == ROWS
    assert written["run"]["size"] == 64
    assert written["run"]["threads"] == 2
    assert len(written["run"]["load_average"]) == 3
    printed = capsys.readouterr().out
    assert "repeats 3" in printed
    assert markdown_table(ROWS, COLUMNS) in printed


@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_help_names_the_common_options(option, capsys):
    with pytest.raises(SystemExit):
        argument_parser("what it measures", repeats=3).parse_args(["--help"])
    printed = capsys.readouterr().out
    assert option in printed
    assert "what it measures" in printed
