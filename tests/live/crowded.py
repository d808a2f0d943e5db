"""`python -I crowded.py capture …`: the recorder with room for 256 sockets instead of 65,536."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

from recorder import isolation, program
from recorder.cli import main
from recorder.constants import Filters, Limits

SOCKETS = 256
load = program.Program.load


def load_with_little_room(filters: Filters, limits: Limits, **options: Any) -> program.Program:
    return load(filters, replace(limits, sockets=SOCKETS), **options)


if __name__ == "__main__":
    program.Program.load = load_with_little_room  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[1:], isolation.enter(os.environ)))
