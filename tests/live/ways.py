"""`python -I ways.py WAY capture …`: the recorder's way on other kernels, tried on this one."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from recorder import isolation, program
from recorder.cli import main

# before 6.3: without the sock_*_length tracepoints; from 7.0 on: with classic tracepoints
WAYS: Final[dict[str, dict[str, bool]]] = {"older": {"lengths": False}, "classic": {"classic": True}}
load = program.Program.load


def load_in_this_way(*arguments: Any, **options: Any) -> program.Program:
    return load(*arguments, **options, **WAYS[sys.argv[1]])


if __name__ == "__main__":
    program.Program.load = load_in_this_way  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:], isolation.enter(os.environ)))
