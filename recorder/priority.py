"""The drain goes before other programs: what it does not take in time is lost, and what it has to do does not grow.

Niceness belongs to a thread and is inherited by the threads that it starts (man sched(7), setpriority(2)).
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

NICENESS: Final = -10  # about nine times the share of an ordinary thread


def advance() -> None:
    """This thread before others, with those it starts until `stand_back`: needs CAP_SYS_NICE, does without it.

    Who started the recorder with a niceness of his own has said what he wants.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) == 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def stand_back() -> None:
    """This thread again like any other."""
    if os.getpriority(os.PRIO_PROCESS, 0) == NICENESS:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
