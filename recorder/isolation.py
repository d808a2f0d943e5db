"""Root without the caller's environment: Python restarted in isolated mode, and only harmless variables kept.

What this keeps out and what it cannot is in docs/security.md. Source: man python3(1), options -I and -B.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Final

SAFE_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
# What the recorder itself may know of the caller: the terminal and the language.
KEPT: Final = frozenset({"TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})


def restart(words: Sequence[str]) -> None:
    """As root, replace this process by the same program under `python -I`; otherwise, or when done already, return.

    Isolated mode ignores PYTHONPATH and its kin, the user's site-packages and the current folder.
    """
    if os.geteuid() != 0 or sys.flags.isolated:
        return
    os.execv(sys.executable, [sys.executable, "-I", *_bytecode_option(), "-m", "recorder", *words])


def _bytecode_option() -> list[str]:
    """No bytecode files of root in a folder of another user: he could not remove them."""
    return [] if os.stat(os.path.dirname(__file__)).st_uid == 0 else ["-B"]


def clean(environment: MutableMapping[str, str]) -> None:
    """Keep only harmless variables, and a PATH of root's own: for this process and the libraries it loads."""
    for name in set(environment) - KEPT:
        del environment[name]
    environment["PATH"] = SAFE_PATH
