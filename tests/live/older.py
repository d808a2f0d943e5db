"""`python -I older.py capture …`: the recorder as on kernels before 6.3, without the sock_*_length tracepoints."""

from __future__ import annotations

import os
import sys
from typing import Any

from recorder import isolation, program
from recorder.cli import main

load = program.Program.load


def load_without_lengths(*arguments: Any, **options: Any) -> program.Program:
    return load(*arguments, **options, lengths=False)


if __name__ == "__main__":
    program.Program.load = load_without_lengths  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:], isolation.enter(os.environ)))
