"""The few system calls that Python does not offer: numbers in, numbers out, `OSError` when they fail.

Knows no policy. Numbers and structures are the kernel's user ABI (man perf_event_open(2), capset(2), prctl(2)).
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)

# uapi/asm/unistd_64.h and uapi/asm-generic/unistd.h
_NUMBERS: Final[dict[str, dict[str, int]]] = {
    "x86_64": {"perf_event_open": 298, "capset": 126, "membarrier": 324},
    "aarch64": {"perf_event_open": 241, "capset": 91, "membarrier": 283},
}
_MEMBARRIER_PRIVATE_EXPEDITED: Final = 1 << 3
_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: Final = 1 << 4
_CAPABILITY_VERSION_3: Final = 0x20080522

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


def _syscall(name: str, *arguments: object) -> int:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise OSError(38, f"{name} is not known on {platform.machine()}")
    result: int = _libc.syscall(ctypes.c_long(numbers[name]), *arguments)
    if result < 0:
        raise _error(name)
    return result


def _error(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


def perf_event_open(attributes: bytes, cpu: int) -> int:
    """Open a perf event on one CPU for all processes, close-on-exec; returns its descriptor."""
    no_process, no_group, close_on_exec = -1, -1, 8
    return _syscall(
        "perf_event_open",
        ctypes.c_char_p(attributes),
        ctypes.c_int(no_process),
        ctypes.c_int(cpu),
        ctypes.c_int(no_group),
        ctypes.c_ulong(close_on_exec),
    )


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """prctl(2) with at most two numbers."""
    result: int = _libc.prctl(
        ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    if result < 0:
        raise _error("prctl")
    return result


def set_capabilities(kept: int = 0) -> None:
    """Make `kept` this thread's effective and permitted capabilities, as a bit mask, and leave none inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _syscall("capset", ctypes.byref(header), ctypes.byref(data))


def register_barrier() -> None:
    """Allow `barrier` in this process."""
    _syscall("membarrier", ctypes.c_int(_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED), ctypes.c_uint(0), ctypes.c_int(0))


def barrier() -> None:
    """A full memory barrier in this thread, for processors that reorder loads (membarrier(2))."""
    _syscall("membarrier", ctypes.c_int(_MEMBARRIER_PRIVATE_EXPEDITED), ctypes.c_uint(0), ctypes.c_int(0))
