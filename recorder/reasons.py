"""Why a recording ends: the first reason counts. Signals become reasons here; a second one ends the process at once.

Any thread may add a reason; `wake` is a pipe whose other end the session's loop waits for.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Final

STOP_SIGNALS: Final[dict[int, str]] = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
}
FAILURES: Final = frozenset({"disk-full", "output-error"})
# The command is asked to end with the recording for these; a full file or disk leaves it alone.
ENDS_COMMAND: Final = frozenset({*STOP_SIGNALS.values(), "duration", "output-closed", "internal-error"})
SIGNAL_STATUS: Final = 128  # what a shell adds to the number of the signal that ended a program


class Reasons:
    """The reasons so far, in order."""

    def __init__(self) -> None:
        self._reasons: deque[str] = deque()
        self.wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __bool__(self) -> bool:
        return bool(self._reasons)

    @property
    def first(self) -> str:
        """The one that counts; "" while there is none."""
        return self._reasons[0] if self._reasons else ""

    def add(self, reason: str) -> None:
        """One more, and wake the loop."""
        self._reasons.append(reason)
        self.notify()

    def notify(self) -> None:
        """Wake the loop; a pipe that is full will wake it anyway."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"w")

    def heard(self) -> None:
        """Empty the pipe."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)

    @contextlib.contextmanager
    def from_signals(self) -> Iterator[None]:
        """While inside: the first stop signal is a reason, the second ends the process; what was written opens."""
        before = {number: signal.signal(number, self._heed) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, _: FrameType | None) -> None:
        if any(reason in STOP_SIGNALS.values() for reason in self._reasons):
            os._exit(SIGNAL_STATUS + number)
        self.add(STOP_SIGNALS[number])


def foreground() -> bool:
    """Whether a Ctrl-C on the terminal reaches this process's whole group, a command included."""
    for fd in (0, 2):
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(fd) == os.getpgrp()
    return False
