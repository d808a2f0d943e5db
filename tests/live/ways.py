"""`python -I ways.py WAY capture …`: the recorder as it is on other kernels, or with less room, tried on this one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any, Final

from recorder import isolation, program
from recorder.cli import main
from recorder.constants import Filters, Limits

SOCKETS: Final = 256  # instead of 65,536
# Options of `Program.load` and fields of its `Limits`. Before 6.3: without the sock_*_length tracepoints; from 7.0 on:
# with classic tracepoints.
WAYS: Final[dict[str, tuple[dict[str, bool], dict[str, int]]]] = {
    "older": ({"lengths": False}, {}),
    "classic": ({"classic": True}, {}),
    "crowded": ({}, {"sockets": SOCKETS}),
}
load = program.Program.load


def load_in_this_way(filters: Filters, limits: Limits, **options: Any) -> program.Program:
    chosen, fewer = WAYS[sys.argv[1]]
    return load(filters, replace(limits, **fewer), **options, **chosen)


if __name__ == "__main__":
    program.Program.load = load_in_this_way  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[2:], isolation.enter(os.environ)))
