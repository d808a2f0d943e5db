"""Replay beside the packet tools: the same traffic as a capture and as a pcap, read by each in the same run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.harness import BIN, Row, Section, full_form, have, peak_memory, ratios, shown, timed
from benchmarks.traffic import Traffic, write_capture, write_pcap

TSHARK = "tshark (one pass, fields)"
REPLAY = [BIN / "ebpf-replay", "show", "--format", "jsonl"]
TSHARK_FIELDS = [
    "-T",
    "fields",
    "-e",
    "tcp.stream",
    "-e",
    "http.request.method",
    "-e",
    "http.request.uri",
    "-e",
    "http.response.code",
]


@dataclass
class Run:
    """One run of one program over a traffic."""

    rate: float  # exchanges per second of wall time
    cpu: float  # microseconds of CPU per exchange, of the program and its children
    memory: float  # peak, MB


def _run(words: list[str | Path], exchanges: int) -> Run:
    seconds, cpu, memory = peak_memory(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Run(exchanges / seconds, cpu / exchanges * 1e6, memory)


def _peers(pcap: Path, flows: Path) -> dict[str, list[str | Path]]:
    """The packet tools that are here. mitmproxy is none: it reads no pcap."""
    peers: dict[str, list[str | Path]] = {}
    if have("tshark"):
        peers[TSHARK] = ["tshark", "-r", pcap, "-Y", "http", *TSHARK_FIELDS]
    if have("tcpflow"):
        peers["tcpflow (HTTP bodies)"] = ["tcpflow", "-q", "-a", "-o", flows, "-r", pcap]
    return peers


def _said(runs: list[Run]) -> str:
    rate = shown([run.rate for run in runs], ",.0f")
    return f"{rate}/s, {shown([run.cpu for run in runs], '.1f')} µs CPU, {max(run.memory for run in runs):.0f} MB"


def speeds(section: Section, folder: Path, traffic: Traffic, repeats: int) -> None:
    """Replay, replay with two jobs, verify, and the peers, in rounds that alternate.

    Programs of one process are compared by their CPU time, which others on the machine disturb least; two jobs against
    one by the time on the clock, since that is what they are for.
    """
    capture, pcap = folder / "traffic.cap", folder / "traffic.pcap"
    write_capture(traffic, capture)
    write_pcap(traffic, pcap)
    # tcpflow makes a file of each body: disks take minutes to forget so many
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="bench", dir=memory if memory.is_dir() else folder) as flows:
        _rounds(section, traffic, repeats, capture, _peers(pcap, Path(flows)))


def _rounds(
    section: Section, traffic: Traffic, repeats: int, capture: Path, peers: dict[str, list[str | Path]]
) -> None:
    words: dict[str, list[str | Path]] = {
        "replay": [*REPLAY, capture],
        "jobs": [*REPLAY, "--jobs", "2", capture],
        "verify": [BIN / "ebpf-replay", "verify", capture],
        **peers,
    }
    runs: dict[str, list[Run]] = {name: [] for name in words}
    for turn in range(repeats):
        for name in sorted(words, key=list(words).index, reverse=bool(turn % 2)):
            runs[name].append(_run(words[name], traffic.exchanges))
    kind = "every head another" if traffic.varied else "heads that repeat"
    _rows(section, kind, runs, "; ".join(f"{name}: {_said(runs[name])}" for name in peers))


def _rows(section: Section, kind: str, runs: dict[str, list[Run]], peers: str) -> None:
    cpu = {name: [run.cpu for run in each] for name, each in runs.items()}
    base = f"replay {_said(runs['replay'])}"
    if TSHARK in runs:
        over = ratios(cpu[TSHARK], cpu["replay"])
        row = f"{shown(over, '.1f')}; {base}"
        section.rows.append(Row(f"Replay, {kind}: at least 10 times tshark", row, median(over) >= 10, peers))
    else:
        section.rows.append(Row(f"Replay, {kind} (tshark is not installed)", base, None, peers))
    jobs = ratios([run.rate for run in runs["jobs"]], [run.rate for run in runs["replay"]])
    said = f"{shown(jobs)}; {_said(runs['jobs'])}"
    section.rows.append(Row(f"`--jobs 2`, {kind}: at least 1.7 times one process", said, median(jobs) >= 1.7))
    check = ratios(cpu["replay"], cpu["verify"])
    said = f"{shown(check)}; {_said(runs['verify'])}"
    section.rows.append(Row(f"`verify`, {kind}: at least twice as fast as replay", said, median(check) >= 2))


def sizes(section: Section, folder: Path, exchanges: int) -> None:
    """Bytes of file per exchange beside the pcap of the same traffic; `merge` compresses the builder's plain chunks."""
    capture, pcap, packed = folder / "traffic.cap", folder / "traffic.pcap", folder / "packed.cap"
    subprocess.run([BIN / "ebpf-replay", "merge", "--force", "-o", packed, capture], check=True, capture_output=True)
    ratio = packed.stat().st_size / pcap.stat().st_size
    each = f"{packed.stat().st_size / exchanges:.0f} against {pcap.stat().st_size / exchanges:.0f} bytes per exchange"
    section.rows.append(Row("File size per exchange: at most half of the pcap", f"{ratio:.2f} ({each})", ratio <= 0.5))


def growth(section: Section, folder: Path, largest: int) -> None:
    """Memory and time as the number of exchanges grows."""
    capture = folder / "growth.cap"
    memory, time = [], []
    counts = [n for n in (1_000, 10_000, 100_000, 300_000, 1_000_000) if n <= largest]
    for count in counts:
        write_capture(Traffic(count), capture)
        run = _run([*REPLAY, capture], count)
        memory.append((float(count), run.memory))
        time.append((float(count), run.cpu))
    section.curves["peak memory (MB) over exchanges"] = {"replay": memory}
    section.curves["us of CPU per exchange over exchanges"] = {"replay": time}
    said = " ".join(f"{peak:.0f}" for _, peak in memory)
    section.rows.append(
        Row(
            f"Replay memory flat, at most 100 MB, to {counts[-1]:,} exchanges",
            f"{said} MB at {', '.join(f'{count:,}' for count in counts)}",
            max(peak for _, peak in memory) <= 100,
        )
    )


def shapes(section: Section, folder: Path, count: int) -> None:
    """Time per exchange as connections get shorter, as more of them are open, and as less of each call is kept."""
    shape: dict[str, dict[float, Traffic]] = {
        "exchanges on each connection": {each: Traffic(count, per_connection=each) for each in (1, 3, 10, 100, 1_000)},
        "connections at once": {each: Traffic(count, per_connection=20, at_once=each) for each in (1, 10, 100, 1_000)},
        "bytes kept of each call (bodies of 16 kB)": {
            each: Traffic(count, body=16_000, snaplen=each) for each in (256, 1_024, 4_096, 16_384)
        },
    }
    for name, traffics in shape.items():
        line = []
        for value, traffic in traffics.items():
            write_capture(traffic, folder / "shape.cap")
            line.append((float(value), _run([*REPLAY, folder / "shape.cap"], count).cpu))
        section.curves[f"us of CPU per exchange over {name}"] = {"replay": line}


def bodies(section: Section, folder: Path, largest: int) -> None:
    """How speed depends on the body's size, and MB/s on the clock of `largest` bytes in large ones: their hash is made
    beside the reading, which CPU time does not show."""
    capture = folder / "bodies.cap"
    line = []
    for body in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        count = min(50_000, (largest if body == 10_000_000 else largest // 8) // body)
        write_capture(Traffic(count, per_connection=10, at_once=4, body=body), capture)
        size = capture.stat().st_size / 1e6
        seconds, cpu, peak = peak_memory([*REPLAY, capture], stdout=subprocess.DEVNULL)
        line.append((float(body), size / cpu))
    section.curves["MB per CPU second over body bytes"] = {"replay": line}
    section.rows.append(
        Row(
            f"Large bodies ({size / 1e3:.1f} GB of 10 MB each): at least 500 MB/s, at most 100 MB of memory",
            f"{size / seconds:.0f} MB/s on the clock, {line[-1][1]:.0f} MB per CPU second, {peak:.0f} MB of memory",
            size / seconds >= 500 and peak <= 100,
        )
    )


def main(full: bool) -> None:
    """Run all and keep the section."""
    section = Section("Replay, beside the packet tools on the same traffic", full)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        exchanges = 200_000 if full else 50_000
        parts: dict[str, Callable[[], None]] = {
            "every head another": lambda: speeds(section, folder, Traffic(exchanges, varied=True), 5 if full else 3),
            "heads that repeat": lambda: speeds(section, folder, Traffic(exchanges), 5 if full else 3),
            "sizes": lambda: sizes(section, folder, exchanges),
            "growth": lambda: growth(section, folder, 1_000_000 if full else 100_000),
            "shapes": lambda: shapes(section, folder, 20_000 if full else 10_000),
            "bodies": lambda: bodies(section, folder, 1 << 30),
        }
        for what, part in parts.items():
            timed(what, part)
    section.save("offline")


if __name__ == "__main__":
    main(full_form(__doc__))
