"""A loaded program and a tracepoint in, a descriptor out: the program runs there until the descriptor is closed.

Both kinds of tracepoint, told apart as `recorder.host` says. Knows neither what compiled the program nor what it does.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from recorder import bpf_call, linux, probes
from recorder.errors import LoadRefused
from recorder.host import Hook, Kind

# struct perf_event_attr: type, size and config. Without a period it only counts, and not even that: our programs return
# 0, which ends it (perf_trace_run_bpf_submit of kernel/events/core.c).
_ATTRIBUTES: Final = struct.Struct("<IIQ112x")
_TYPE_TRACEPOINT: Final = 2
_IOC_ENABLE: Final = 0x2400
_IOC_SET_BPF: Final = 0x40042408


def attach(hook: Hook, kind: Kind, program_fd: int) -> int:
    """Have a program run at the hook's tracepoint, on every CPU. `LoadRefused` where the kernel refuses."""
    try:
        if kind == Kind.RAW:
            return bpf_call.open_raw_tracepoint(hook.tracepoint, program_fd)
        return _open_classic(hook, program_fd)
    except OSError as error:
        raise LoadRefused(f"cannot attach to {hook.tracepoint} ({error})") from error


def _open_classic(hook: Hook, program_fd: int) -> int:
    """The perf event of one CPU: a program that is set on it runs on them all."""
    number = int((probes.events_folder() / hook.category / hook.tracepoint / "id").read_text())
    event = linux.perf_event_open(
        _ATTRIBUTES.pack(_TYPE_TRACEPOINT, _ATTRIBUTES.size, number), min(os.sched_getaffinity(0))
    )
    try:
        fcntl.ioctl(event, _IOC_SET_BPF, program_fd)
        fcntl.ioctl(event, _IOC_ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return event
