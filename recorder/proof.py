"""The doctor's proof: this program records an exchange of its own through each family of calls and reads it back.

The recorded process is started for it and recorded alone. Nothing is left behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from capfile.event import Event, Flag, Kind, Reason
from capfile.frames import Chunk, Ring
from capfile.reader import Reader, decompressed
from capfile.records import records
from capfile.words import counted
from recorder import exercise
from recorder.doctor import Check

TIMEOUT: Final = 300.0  # s: compiling takes 2 on an idle machine, and more than 60 on a busy one that is emulated
PYTHON: Final = (sys.executable, "-I", "-B", "-m")
# x86-64 system call numbers of each family: what carries the request, then the response
CALLS: Final[dict[str, tuple[int, ...]]] = {
    "read/write": (0, 1),
    "recvfrom/sendto": (45, 44),
    "recvmsg/sendmsg": (47, 46),
    "readv/writev": (19, 20),
    "sendfile": (40,),
}
BOTH_WAYS: Final = len(exercise.REQUEST) + len(exercise.RESPONSE)


def prove() -> list[Check]:
    """Record, read back, compare; one row per family of calls and one for the cost."""
    try:
        bare = _exercise([*PYTHON, "recorder.exercise"])
        with tempfile.TemporaryDirectory(prefix="ebpf-rec-doctor-") as folder:
            path = Path(folder) / "proof.cap"
            capture = [*PYTHON, "recorder", "capture", "--quiet", "--user", "root", "-o", str(path), "--"]
            recorded = _exercise([*capture, *PYTHON, "recorder.exercise"])
            moved = bytes_by_call(path)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        return [Check("proof", "fails", f"the trial recording failed: {detail.strip()}")]
    return [*(verdict(family, moved) for family in CALLS), cost(bare, recorded)]


def _exercise(words: list[str]) -> float:
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return float(json.loads(done.stdout)["ns_per_call"])


def bytes_by_call(path: Path) -> Counter[tuple[int, bool]]:
    """(system call, whether the bytes are there) -> bytes, over all data events of a file."""
    moved: Counter[tuple[int, bool]] = Counter()
    with Reader.open(path) as reader:
        for frame in reader:
            if isinstance(frame, Chunk) and frame.ring == Ring.DATA:
                for event in records(decompressed(frame)):
                    if isinstance(event, Event) and event.kind == Kind.DATA:
                        there = 0 if event.flags & Flag.FILE_NAME else event.captured
                        moved[event.syscall, True] += there
                        moved[event.syscall, False] += event.size - there
    return moved


def verdict(family: str, moved: Counter[tuple[int, bool]]) -> Check:
    """What came back of one family."""
    seen, missing = (sum(moved[call, there] for call in CALLS[family]) for there in (True, False))
    if family == "sendfile":
        expected = len(exercise.RESPONSE)
        state = "ok" if missing == expected else "fails"
        return Check(
            family, state, f"{missing} of {counted(expected, 'byte')} counted as a gap ({Reason.SENDFILE.label})"
        )
    if seen < 2 * BOTH_WAYS:
        return Check(
            family, "fails", f"{counted(seen, 'byte')} came back, at least {2 * BOTH_WAYS} were sent and received"
        )
    return Check(family, "ok", f"{counted(seen, 'byte')} came back, {missing or 'none'} missing")


def cost(bare: float, recorded: float) -> Check:
    """What recording adds to a call of 64 bytes."""
    if recorded <= bare:
        return Check("cost", "ok", f"lost in the noise of this machine ({bare:,.0f} ns a call of 64 bytes unrecorded)")
    return Check("cost", "ok", f"+{recorded - bare:,.0f} ns per event of 64 bytes ({bare:,.0f} ns a call unrecorded)")
