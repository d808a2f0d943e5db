"""The README's commands for the virtual machine, as words: `make vm-test` runs what a reader would."""

from __future__ import annotations

import shlex
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def lines() -> list[str]:
    """The lines that begin with `vagrant`, in their order."""
    return [line for line in README.read_text().splitlines() if line.startswith("vagrant ")]


def commands() -> list[list[str]]:
    """Each line's words without the program's name."""
    return [shlex.split(line)[1:] for line in lines()]
