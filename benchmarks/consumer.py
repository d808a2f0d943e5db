"""What recording costs: the recorder's CPU per event, ns per recorded call, ns per call of processes nobody records."""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import BIN, Row, Section, compiled, full_form, ratios, rounds, running, shown
from benchmarks.recorders import ALTERNATIVES, Outcome, Server, installed, kept, nothing, ours

EVENT_HEADER = 88  # bytes: struct event without payload
BODY = 64 << 10  # bytes


class Pump:
    """The C program that calls write and read in a loop; it waits until a recorder is ready."""

    def __init__(self, folder: Path) -> None:
        self.program = compiled("pump.c", folder)
        self.folder = folder

    def run(
        self, count: int, size: int, recorder: Callable[..., object], outcome: Outcome, bystander: bool = False
    ) -> float:
        """ns per write and read (of size 0: per getppid) while the pump is recorded, or a sleeper for a bystander."""
        words = [str(self.program), str(count), str(size)]
        with (
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as pump,
            _sleeper() as other,
        ):
            target = other.pid if bystander else pump.pid
            with recorder(Server([target], 9), self.folder, outcome):  # type: ignore[attr-defined]
                assert pump.stdin
                assert pump.stdout
                pump.stdin.write("\n")
                pump.stdin.flush()
                return float(pump.stdout.readline())


@contextmanager
def _sleeper() -> Iterator[subprocess.Popen[bytes]]:
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        yield sleeper
    finally:
        sleeper.terminate()
        sleeper.wait()


def cpu_per_event(pump: Pump, section: Section, repeats: int, count: int) -> None:
    """CPU seconds of the recorder per million events of 256 bytes, and what was lost at that pace."""
    names = {
        "ebpf-rec": ours(),
        "ebpf-rec --no-compress": ours("--no-compress"),
        "ebpf-rec --redact": ours("--redact"),  # Python looks at every event
        "bcc callbacks": ALTERNATIVES["bcc callbacks"][0],
    }
    lost = dict.fromkeys(names, 0)
    pace: list[float] = []

    def contest(name: str) -> float:
        outcome = Outcome()
        pair = pump.run(count, 256 - EVENT_HEADER, names[name], outcome)
        if name in ("ebpf-rec", "ebpf-rec --no-compress"):
            pace.append(2e9 / pair)
        lost[name] += outcome.lost or 0
        return outcome.cpu / (2 * count) * 1e6

    values = rounds({name: (lambda name=name: contest(name)) for name in names}, repeats)
    peers = "; ".join(f"{name} {shown(values[name])} s" for name in list(names)[1:])
    best = sorted(values["ebpf-rec"])[repeats // 2]
    section.rows.append(
        Row(
            "Recorder: at most 0.3 CPU s per million events of 256 bytes",
            f"{shown(values['ebpf-rec'])} s",
            best <= 0.3,
            peers,
        )
    )
    rate = sorted(pace)[len(pace) // 2]
    others = "; ".join(f"{name} lost {lost[name]}" for name in list(names)[1:])
    section.rows.append(
        Row("Recorder: 500,000 events/s of 256 bytes without loss", f"{rate:,.0f} events/s, lost {lost['ebpf-rec']}",
            rate >= 500_000 and not lost["ebpf-rec"], others)
    )  # fmt: skip


def cost_per_call(pump: Pump, section: Section, repeats: int, count: int) -> None:
    """ns that recording adds to a write+read pair of a target, and to a system call of a bystander."""
    recorders = {"none": nothing, "ebpf-rec": ours("--no-compress")}
    pairs = rounds({k: (lambda k=k: pump.run(count, 168, recorders[k], Outcome())) for k in recorders}, repeats)
    added = [(a - b) / 2 for a, b in zip(pairs["ebpf-rec"], pairs["none"], strict=True)]
    section.rows.append(Row("Cost of one recorded call of 168 bytes", f"{shown(added, '.0f')} ns", None))
    others = {"none": nothing, "ebpf-rec": ours(), **{n: ALTERNATIVES[n][0] for n in installed(["strace", "bpftrace"])}}
    calls = rounds(
        {k: (lambda k=k: pump.run(count * 4, 0, others[k], Outcome(), bystander=True)) for k in others}, repeats
    )
    extra = {k: [a - b for a, b in zip(calls[k], calls["none"], strict=True)] for k in others if k != "none"}
    peers = "; ".join(f"{name} {shown(values, '.0f')} ns" for name, values in extra.items() if name != "ebpf-rec")
    reached = sorted(extra["ebpf-rec"])[repeats // 2] <= 160
    section.rows.append(
        Row(
            "Cost on a process that is not a target: at most 160 ns per system call",
            f"{shown(extra['ebpf-rec'], '.0f')} ns",
            reached,
            peers,
        )
    )


def large_bodies(pump: Pump, section: Section, repeats: int, size: int) -> None:
    """Bodies of 64 KiB as fast as the program can send them, which is more than a disk takes."""
    speeds: dict[str, list[float]] = {"disk": [], "ebpf-rec": []}
    lost, passed, counted = 0, 0, True
    for _ in range(repeats):
        outcome = Outcome()
        speeds["disk"].append(_disk_speed(pump.folder, size))
        pair = pump.run(size // (2 * BODY), BODY, ours("--no-compress"), outcome)
        speeds["ebpf-rec"].append(outcome.captured / (pair * (size // (2 * BODY)) / 1e9) / 1e6)
        lost += outcome.missing
        passed += outcome.captured + outcome.missing
        counted = counted and outcome.counted
    said = f"{shown(speeds['ebpf-rec'], '.0f')} MB/s, {shown(ratios(speeds['ebpf-rec'], speeds['disk']))} of the disk"
    kept = f"{100 * lost / passed:.1f} % lost, {'every byte of it counted' if counted else 'NOT all of it counted'}"
    target = "Whole 64 KiB bodies without a pause: recorded at the disk's own speed, every lost byte counted"
    reached = counted and statistics.median(ratios(speeds["ebpf-rec"], speeds["disk"])) >= 1
    section.rows.append(
        Row(target, f"{said}; {kept}", reached, f"write and fdatasync: {shown(speeds['disk'], '.0f')} MB/s")
    )


def _disk_speed(folder: Path, size: int) -> float:
    """MB/s of writing `size` bytes to a file in pieces of 1 MiB and having them on the disk."""
    piece = random.randbytes(1 << 20)
    start = time.perf_counter()
    with open(folder / "disk", "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(piece)
        os.fdatasync(file.fileno())
    speed = size / (time.perf_counter() - start) / 1e6
    (folder / "disk").unlink()
    return speed


def curves(pump: Pump, section: Section, count: int) -> None:
    """ns per recorded write+read pair as payload grows, with and without a snap length."""
    lines: dict[str, list[tuple[float, float]]] = {"none": [], "ebpf-rec": [], "ebpf-rec --snaplen 1024": []}
    recorders = {
        "none": nothing,
        "ebpf-rec": ours("--no-compress"),
        "ebpf-rec --snaplen 1024": ours("--no-compress", "--snaplen", "1024"),
    }
    for size in (64, 256, 1024, 4096, 16384, 65536):
        for name, recorder in recorders.items():
            lines[name].append((size, pump.run(max(2000, count * 256 // size), size, recorder, Outcome())))
    section.curves["ns per write+read pair over payload bytes"] = lines


def startup(section: Section, repeats: int) -> None:
    """Seconds until it records, with and without the compiler; CPU of `--version` over a bare interpreter."""

    def cpu(words: list[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = [str(BIN / "python"), "-c", "pass"]
    values = rounds(
        {"version": lambda: cpu([str(BIN / "ebpf-replay"), "--version"]), "bare": lambda: cpu(bare)}, repeats * 3
    )
    over = [(a - b) * 1000 for a, b in zip(values["version"], values["bare"], strict=True)]
    section.rows.append(
        Row(
            "`ebpf-replay --version`: at most 100 ms CPU over a bare interpreter",
            f"{shown(over, '.0f')} ms",
            sorted(over)[len(over) // 2] <= 100,
        )
    )
    _wait_for_recording(kept())  # compiles, and keeps
    starts = rounds({"compiled": _wait_for_recording, "kept": lambda: _wait_for_recording(kept())}, repeats)
    section.rows.append(
        Row(
            "`ebpf-rec capture` from start to recording: at most 2.5 s with the compiler",
            f"{shown(starts['compiled'])} s; with the program kept {shown(starts['kept'])} s",
            sorted(starts["compiled"])[repeats // 2] <= 2.5,
        )
    )


def _wait_for_recording(program: Sequence[str | Path] = (BIN / "ebpf-rec",)) -> float:
    """Seconds from the start of the recorder to its output, which is there when the probes are attached."""
    with tempfile.TemporaryDirectory() as folder, _sleeper() as target:
        output = Path(folder) / "x.cap"
        words = [*program, "capture", "-o", output, "--quiet", "--pid", str(target.pid)]
        start = time.perf_counter()
        with running(words, output.exists):
            return time.perf_counter() - start


def main(full: bool) -> None:
    """Run all and keep the section."""
    repeats, count = 5, 1_000_000 if full else 300_000
    section = Section("What recording costs", full)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        pump = Pump(Path(name))
        cpu_per_event(pump, section, repeats, count)
        cost_per_call(pump, section, repeats, count)
        large_bodies(pump, section, repeats, (4 if full else 2) << 30)
        curves(pump, section, count // 4)
    startup(section, repeats)
    section.save("consumer")


if __name__ == "__main__":
    main(full_form(__doc__))
