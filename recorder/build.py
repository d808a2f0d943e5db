"""`make bpf`: compile the kernel program and, as root, load it without recording; print each program's size.

`python -m recorder.build [BPF_CFLAGS …]`. Exit status 0: built; 4: the host cannot, with the mend on standard error.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence

from recorder.bpf_call import ProgramInfo
from recorder.constants import Filters, Limits
from recorder.errors import RecorderError
from recorder.program import Program

HOST_CANNOT = 4


def table(counts: dict[str, ProgramInfo]) -> str:
    """One line per program: its instructions and the steps that the verifier took to accept it."""
    rows = [f"{name:18} {info.instructions:12,} {info.verified or '-':>14}" for name, info in counts.items()]
    return "\n".join([f"{'program':18} {'instructions':>12} {'verifier steps':>14}", *rows])


def build(cflags: Sequence[str]) -> str:
    """Compile and load with these further compiler flags; what was built, for people. Raises `RecorderError`."""
    started = time.monotonic()
    with Program.load(Filters(pids=frozenset({os.getpid()})), Limits(), cflags=cflags) as program:
        taken = time.monotonic() - started
        return f"{table(program.instruction_counts())}\ncompiled and loaded in {taken:.1f} s, nothing attached"


def main(words: Sequence[str]) -> int:
    """The command."""
    try:
        print(build([flag for word in words for flag in shlex.split(word)]))
    except RecorderError as error:
        print(f"bpf: {error}", file=sys.stderr)
        return HOST_CANNOT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
