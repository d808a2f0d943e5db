"""The Header frame of a segment: on which host, when and how it was recorded. Reads /proc and the clocks."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from capfile.event import EVENT_SIZE, layout
from capfile.frames import FORMAT_VERSION, Header
from capfile.version import VERSION
from recorder.options import Options
from recorder.processes import text

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def program() -> str:
    """This program's name and version, as the Header and `--version` say it."""
    return f"ebpf-rec {VERSION}"


def header(
    options: Options,
    segment: int,
    recording_id: str,
    probes: Sequence[str],
    ring_size: int,
    redaction: dict[str, Any] | None = None,
) -> Header:
    """The Header of `segment`, as of now: both clocks are read one after the other."""
    host = os.uname()
    limits: dict[str, Any] = {**options.limits.as_dict(), **options.kernel_limits, "ring_size": ring_size}
    return Header(
        version=FORMAT_VERSION,
        layout=[list(row) for row in layout()],
        event_size=EVENT_SIZE,
        boot_id=BOOT_ID.read_text().strip(),
        host=host.nodename,
        kernel=host.release,
        machine=platform.machine(),
        wall_time=time.time_ns(),
        monotonic_time=time.monotonic_ns(),
        command_line=[text(os.fsencode(word)) for word in options.words],
        filters=options.filters,
        limits=limits,
        probes=list(probes),
        recorder=program(),
        recorder_pid=os.getpid(),
        segment=segment,
        recording_id=recording_id,
        redaction=redaction or {},
    )
