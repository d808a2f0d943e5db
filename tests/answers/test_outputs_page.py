"""docs/outputs.md: every format and every option that it should name."""

import re
from pathlib import Path

import pytest

from replay.cli import main
from replay.output.formats import FORMATS
from replay.stats.templates import _ROWS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "outputs.md").read_text()


def test_the_page_has_a_row_for_every_format_and_no_other():
    assert re.findall(r"(?m)^\| `(\w+)` \|", PAGE) == list(FORMATS)


def test_the_page_names_every_template():
    assert all(f"`{name}`" in PAGE for name, _ in _ROWS)


@pytest.mark.parametrize("command", ["stats", "diff"])
def test_the_page_names_the_options(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help", "--side", "--rules"}
    assert options
    assert all(option in PAGE for option in options)
