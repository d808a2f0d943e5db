"""`--debug-bpf`: the kernel program's own lines out of the kernel's trace_pipe, onto standard error.

trace_pipe is one for the whole machine, and whoever reads a line takes it from all others: for debugging only. It is
opened while root may, and read until the recording ends.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from pathlib import Path
from typing import Final, TextIO

from recorder.host import EVENTS

MARKER: Final = b"ebpf-rec "  # what bpf/emit.h's trace() begins with
POLL_MILLISECONDS: Final = 100
READ_BYTES: Final = 1 << 16


class TracePipe:
    """A thread that prints our lines; `close` ends it."""

    def __init__(self, to: TextIO = sys.stderr) -> None:
        self._fd = os.open(_path(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._to = to
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trace-pipe", daemon=True)

    def start(self) -> None:
        """Begin to print; after root was given up, which has to be done by the only thread."""
        self._thread.start()

    def close(self) -> None:
        """Print what is left and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        rest = b""
        while True:
            last = self._stop.is_set()
            if poller.poll(0 if last else POLL_MILLISECONDS):
                rest = self._show(rest)
            if last:
                return

    def _show(self, rest: bytes) -> bytes:
        try:
            *lines, rest = (rest + os.read(self._fd, READ_BYTES)).split(b"\n")
        except BlockingIOError:
            return rest
        for line in ours(lines):
            print(line, file=self._to, flush=True)
        return rest


def ours(lines: list[bytes]) -> list[str]:
    """Of trace_pipe's lines, those that the kernel program wrote, without what stands before its own words."""
    return [line[line.index(MARKER) :].decode(errors="replace") for line in lines if MARKER in line]


def _path() -> Path:
    folders = [events.parent for events in EVENTS if events.is_dir()]
    return (folders[0] if folders else Path("/sys/kernel/tracing")) / "trace_pipe"
