"""What every benchmark shares: programs started and ended, rounds that alternate, medians with their spread, results.

A number is only compared with a number of the same round: the machine drifts, ratios do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv/bin"
RESULTS = ROOT / ".cache/bench"
TICKS = os.sysconf("SC_CLK_TCK")
# Installed programs have their bytecode; compiling the sources anew would be a third of each start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def full_form(what: str | None) -> bool:
    """Whether the command line asks for the full form; `--help` says `what` the benchmark is."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the full form: more rounds and larger inputs")
    full: bool = parser.parse_args().full
    return full


@dataclass
class Row:
    """One line of docs/performance.md: a target, what was measured, and the peers of the same run."""

    target: str
    measured: str
    reached: bool | None = None  # None: nothing was promised
    peers: str = ""
    note: str = ""


@dataclass
class Section:
    """What one benchmark found: rows for the table and curves for the plots; which form it ran in, and how long."""

    title: str
    full: bool
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    curves: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)  # plot -> line -> points

    def save(self, name: str) -> None:
        """Keep the section until the report is written."""
        self.seconds = time.monotonic() - self.began
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(asdict(self), indent=1))
        for row in self.rows:
            print(f"  {row.target}: {row.measured}" + (f"  [{row.peers}]" if row.peers else ""), flush=True)


def rounds(contestants: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Run every contestant `repeats` times, in an order that rotates from round to round."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            values[name].append(contestants[name]())
    return values


def ratios(values: list[float], base: list[float]) -> list[float]:
    """Each value over the base value of its own round."""
    return [value / reference for value, reference in zip(values, base, strict=True)]


def shown(values: list[float], form: str = ".2f") -> str:
    """Median with the smallest and largest value."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# A process begins with the peak of the one that started it (setmax_mm_hiwater_rss in fs/exec.c): a small one starts it.
_SMALL = """import json, os, resource, sys, time
began = time.perf_counter()
status = os.spawnvp(os.P_WAIT, sys.argv[2], sys.argv[2:])
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
found = [status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
os.write(int(sys.argv[1]), json.dumps(found).encode())"""


def peak_memory(words: list[str | Path], **options: object) -> tuple[float, float, float]:
    """Run a program to its end: (seconds, CPU seconds, peak resident MB) of it and its children."""
    found, told = os.pipe()
    small = [sys.executable, "-I", "-S", "-c", _SMALL, str(told)]
    with open(found) as answer:
        subprocess.run([*small, *map(str, words)], pass_fds=[told], check=True, **options)  # type: ignore[call-overload]
        os.close(told)
        status, seconds, cpu, memory = json.loads(answer.read())
    if status:
        raise SystemExit(f"benchmark: {words[0]} ended with {status}")
    return seconds, cpu, memory


@contextmanager
def running(
    words: list[str | Path], ready: Callable[[], bool], grace: float = 120
) -> Iterator[subprocess.Popen[bytes]]:
    """A program while the block runs: waited for until `ready()`, then interrupted and waited for."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(process, ready, grace)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], grace: float) -> None:
    deadline = time.monotonic() + grace
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"benchmark: {process.args} did not start")
        time.sleep(0.02)


def timed(name: str, part: Callable[[], object]) -> None:
    """Run a part of a benchmark, and say how long it took."""
    started = time.perf_counter()
    part()
    print(f"  ({name}: {time.perf_counter() - started:.0f} s)", flush=True)


def have(*programs: str) -> bool:
    """Whether the alternatives are installed; a row is left out, and said so, where they are not."""
    return all(shutil.which(name) for name in programs)


def compiled(source: str, folder: Path) -> Path:
    """A program beside this file in C, built into `folder`."""
    program = folder / Path(source).stem
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).parent / source], check=True)
    return program


def machine() -> str:
    """Where the figures are from, without a name."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"
