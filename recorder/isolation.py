"""Root without the caller's environment: isolated mode demanded, and only harmless variables kept.

Imported before everything else, and itself imports nothing that looks at the environment: OpenSSL, for one, loads code
that OPENSSL_CONF names. What this keeps out and what it cannot is in docs/security.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from typing import Final

SAFE_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
# What the recorder itself may know of the caller: the terminal and the language.
KEPT: Final = frozenset({"TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})
HIDDEN: Final = "EBPF_REC_GCONV_PATH"  # where scripts/ebpf-rec puts GCONV_PATH


def enter(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Take the caller's variables out of this process; returns them, for the command that is to be recorded.

    Ends the process when it is root's and not isolated (man python3(1), option -I): it may have run other code already.
    """
    if os.geteuid() == 0 and not sys.flags.isolated:
        sys.exit("ebpf-rec: root starts it in isolated mode only: as ebpf-rec, or as python3 -I -m recorder")
    caller = dict(environment)
    if HIDDEN in caller:
        caller["GCONV_PATH"] = caller.pop(HIDDEN)
    clean(environment)
    return caller


def clean(environment: MutableMapping[str, str]) -> None:
    """Keep only harmless variables, and a PATH of root's own: for this process and the libraries it loads."""
    for name in set(environment) - KEPT:
        del environment[name]
    environment["PATH"] = SAFE_PATH
