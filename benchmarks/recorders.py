"""The recorders that are compared: how each is started on a server, when it is ready, and how it says what it lost.

Each records the same processes (or, for tcpdump, the same port of the loopback interface) into a file on the same disk.
"""

from __future__ import annotations

import atexit
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.harness import BIN, ROOT, cpu_seconds, have, running


@dataclass
class Server:
    """What is recorded: the processes and the port of one server."""

    pids: list[int]
    port: int


@dataclass
class Outcome:
    """What the recorder cost and lost. `lost` counts events or packets; None where the program does not say.

    `captured` and `missing`: bytes; `counted`: captured and missing together are what the kernel counted.
    """

    cpu: float = 0.0
    lost: int | None = None
    size: int = 0
    captured: int = 0
    missing: int = 0
    counted: bool = False


Recorder = Callable[[Server, Path, Outcome], "Iterator[None]"]


@contextmanager
def nothing(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
    """The base: nobody records."""
    yield


@cache
def kept() -> list[str | Path]:
    """`ebpf-rec` with a folder of its own for the compiled program: only the first start of a kind waits for bcc."""
    folder = tempfile.TemporaryDirectory(prefix="bench-kept")
    atexit.register(folder.cleanup)
    return [BIN / "python", "-I", ROOT / "tests/live/keeping.py", folder.name, "with-bcc"]


def ours(*options: str) -> Callable[..., object]:
    """`ebpf-rec capture` of the server's processes."""

    @contextmanager
    def record(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
        capture = folder / "ours.cap"
        pids = [word for pid in server.pids for word in ("--pid", str(pid))]
        words = [*kept(), "capture", "-o", capture, "--quiet", "--force", *pids, *options]
        with running(words, capture.exists) as process:
            before = cpu_seconds(process.pid)
            yield
            outcome.cpu = cpu_seconds(process.pid) - before
        outcome.size = capture.stat().st_size
        done = subprocess.run([BIN / "ebpf-replay", "verify", "--json", capture], capture_output=True, check=False)
        report = json.loads(done.stdout)
        outcome.lost = sum(ring["lost"] for ring in report["rings"])
        outcome.captured = report["totals"]["captured"]
        outcome.missing = sum(report["totals"]["gaps"].values())
        outcome.counted = report["totals"]["audited"] > 0 and not report["totals"]["unbalanced"]
        capture.unlink()

    return record


@contextmanager
def tcpdump(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
    """tcpdump on the loopback interface, whole packets, its own buffer as large as our rings."""
    capture, log = folder / "tcpdump.pcap", folder / "tcpdump.log"
    words = f"exec tcpdump -i lo -s 0 -B 65536 -U -Z root -w {capture} tcp port {server.port} 2>{log}"
    with running(["sh", "-c", words], lambda: log.exists() and "listening" in log.read_text()) as process:
        before = cpu_seconds(process.pid)
        yield
        outcome.cpu = cpu_seconds(process.pid) - before
    dropped = re.search(r"(\d+) packets dropped by kernel", log.read_text())
    outcome.lost = int(dropped[1]) if dropped else None
    outcome.size = capture.stat().st_size
    capture.unlink()
    log.unlink()


@contextmanager
def strace(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
    """strace with whole strings."""
    log = folder / "strace.log"
    pids = [word for pid in server.pids for word in ("-p", str(pid))]
    words = ["strace", "-f", "-ttt", "-s", "65536", "-e", "trace=network,desc", "-o", log, *pids]
    with running(words, log.exists):
        yield
    outcome.size = log.stat().st_size
    log.unlink()


BPFTRACE = """
tracepoint:syscalls:sys_exit_read,tracepoint:syscalls:sys_exit_recvfrom,tracepoint:syscalls:sys_exit_write,
tracepoint:syscalls:sys_exit_writev,tracepoint:syscalls:sys_exit_sendto
/pid == %d/ { printf("%%d %%d %%d\\n", nsecs, tid, args->ret); }
"""


@contextmanager
def bpftrace(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
    """bpftrace printing a line per call, without payload."""
    out = folder / "bpftrace.log"
    script = 'BEGIN { printf("ready\\n"); }' + BPFTRACE % server.pids[-1]
    with running(["bpftrace", "-B", "full", "-o", out, "-e", script], lambda: out.exists(), 40):
        yield
    found = re.findall(r"Lost (\d+) events", out.read_text(errors="replace"))
    outcome.lost = sum(map(int, found))
    out.unlink()


@contextmanager
def callbacks(server: Server, folder: Path, outcome: Outcome) -> Iterator[None]:
    """bcc's own way: one wake-up and one Python callback per event (peers/callback.py)."""
    out = folder / "callback.out"
    words = ["/usr/bin/python3", ROOT / "benchmarks/peers/callback.py", str(server.pids[-1]), out]
    with running(words, out.exists) as process:
        before = cpu_seconds(process.pid)
        yield
        outcome.cpu = cpu_seconds(process.pid) - before
    outcome.lost = json.loads(out.read_text() or "{}").get("lost")
    out.unlink()


# name -> (recorder, programs it needs)
ALTERNATIVES = {
    "tcpdump": (tcpdump, ("tcpdump",)),
    "strace": (strace, ("strace",)),
    "bpftrace": (bpftrace, ("bpftrace",)),
    "bcc callbacks": (callbacks, ()),
}


def installed(names: list[str]) -> list[str]:
    """Those of the alternatives that this machine has."""
    return [name for name in names if have(*ALTERNATIVES[name][1])]
