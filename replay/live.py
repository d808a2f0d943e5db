"""A block of code in, its capture out: runs `ebpf-rec capture` around the block, or falls back to a stored capture.

The recorder is another program and reached as one, through its command line (ARCHITECTURE: replay never imports it).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NoReturn

from replay.api import Capture

Mode = Literal["auto", "always", "never"]

# Seconds. Compiling the kernel program takes 2 to 10 of them on a small machine; what was recorded is then flushed.
START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 30.0
POLL: Final = 0.02


class CannotRecord(Exception):
    """This host cannot record, or the recording failed; the message is the recorder's own."""


@contextmanager
def recorded(
    stored: Path, folder: Path, pid: int, mode: Mode, update: bool, give_up: Callable[[str], NoReturn]
) -> Iterator[Capture]:
    """Record what process `pid` and its children say while the block runs, into `folder`; where that cannot be, the
    capture is `stored`, or `give_up` is told why there is none. CannotRecord if `mode` is "always", or later."""
    fresh, why, process = folder / stored.name, "it is turned off", None
    if mode != "never":
        try:
            process = start(fresh, pid)
        except CannotRecord as error:
            if mode == "always":
                raise
            why = str(error)
    if process is None:
        if not stored.exists():
            give_up(f"cannot record ({why}), and there is no stored {stored.name}")
        yield Capture([str(stored)])
        return
    try:
        yield Capture([str(fresh)], live=True)
    finally:
        stop(process, fresh)
    if update:
        shutil.copyfile(fresh, stored)


def start(output: Path, pid: int) -> subprocess.Popen[bytes]:
    """A recorder that is attached: the output is there (ARCHITECTURE §4). CannotRecord if it ends before that."""
    command = [_program(), "capture", "--pid", str(pid), "--quiet", "--force", "--output", str(output)]
    output.unlink(missing_ok=True)  # of an earlier block: its presence must mean that this recorder is attached
    with _messages(output).open("wb") as messages:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
    deadline = time.monotonic() + START_TIMEOUT
    while not (output.exists() and output.stat().st_size):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise CannotRecord(_said(output) or f"ebpf-rec did not start within {START_TIMEOUT:.0f} s")
        time.sleep(POLL)
    return process


def stop(process: subprocess.Popen[bytes], output: Path) -> None:
    """Let the recorder write what is left and end. CannotRecord if it failed."""
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise CannotRecord(f"ebpf-rec did not end within {STOP_TIMEOUT:.0f} s") from None
    if status:
        raise CannotRecord(_said(output) or f"ebpf-rec ended with status {status}")


def _program() -> str:
    beside = Path(sys.executable).with_name("ebpf-rec")
    found = str(beside) if beside.exists() else shutil.which("ebpf-rec")
    if found is None:
        raise CannotRecord("there is no ebpf-rec on the path")
    return found


def _messages(output: Path) -> Path:
    return output.with_name(f"{output.name}.messages")


def _said(output: Path) -> str:
    """The recorder's first line."""
    lines = _messages(output).read_text(errors="replace").strip().splitlines()
    return lines[0] if lines else ""
