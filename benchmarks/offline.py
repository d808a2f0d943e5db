"""Replay beside the packet tools: the same traffic as a capture and as a pcap, read by each in the same run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import BIN, Row, Section, have, peak_memory, ratios, shown
from benchmarks.traffic import Traffic, write_capture, write_pcap

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


def _speed(words: list[str | Path], exchanges: int) -> tuple[float, float]:
    """(exchanges per second, peak MB)."""
    seconds, _, memory = peak_memory(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return exchanges / seconds, memory


def _peers(pcap: Path, folder: Path) -> dict[str, list[str | Path]]:
    peers: dict[str, list[str | Path]] = {}
    if have("tshark"):
        peers["tshark (one pass, fields)"] = ["tshark", "-r", pcap, "-Y", "http", *TSHARK_FIELDS]
    if have("tcpflow"):
        peers["tcpflow (HTTP bodies)"] = ["tcpflow", "-q", "-a", "-o", folder / "flows", "-r", pcap]
    return peers


def speeds(section: Section, folder: Path, exchanges: int, repeats: int) -> None:
    """Replay, replay with two jobs, verify, and the peers, in rounds."""
    capture, pcap = folder / "traffic.cap", folder / "traffic.pcap"
    traffic = Traffic(exchanges)
    write_capture(traffic, capture)
    write_pcap(traffic, pcap)
    words: dict[str, list[str | Path]] = {
        "replay": [*REPLAY, capture],
        "replay --jobs 2": [*REPLAY, "--jobs", "2", capture],
        "verify": [BIN / "ebpf-replay", "verify", capture],
        **_peers(pcap, folder),
    }
    values: dict[str, list[float]] = {name: [] for name in words}
    memory: dict[str, float] = {}
    for _ in range(repeats):
        for name in words:
            rate, peak = _speed(words[name], exchanges)
            values[name].append(rate)
            memory[name] = max(memory.get(name, 0), peak)
    peers = "; ".join(
        f"{n} {shown(v, ',.0f')}/s, {memory[n]:.0f} MB" for n, v in values.items() if n not in list(words)[:3]
    )
    base = f"{shown(values['replay'], ',.0f')} exchanges/s, {memory['replay']:.0f} MB"
    if "tshark (one pass, fields)" in values:
        over = ratios(values["replay"], values["tshark (one pass, fields)"])
        section.rows.append(
            Row(
                "Replay to JSON Lines: at least 10 times tshark",
                f"{shown(over, '.1f')}; {base}",
                min(over) >= 10,
                peers,
            )
        )
    jobs = ratios(values["replay --jobs 2"], values["replay"])
    section.rows.append(Row("Replay with `--jobs 2`: at least 1.7 times one process", shown(jobs), min(jobs) >= 1.7))
    check = ratios(values["verify"], values["replay"])
    section.rows.append(Row("`verify`: at least twice as fast as replay", shown(check), min(check) >= 2))


def sizes(section: Section, folder: Path, exchanges: int) -> None:
    """Bytes of file per exchange beside the pcap of the same traffic; `merge` compresses the builder's plain chunks."""
    capture, pcap, packed = folder / "traffic.cap", folder / "traffic.pcap", folder / "packed.cap"
    subprocess.run([BIN / "ebpf-replay", "merge", "--force", "-o", packed, capture], check=True, capture_output=True)
    ratio = packed.stat().st_size / pcap.stat().st_size
    each = f"{packed.stat().st_size / exchanges:.0f} against {pcap.stat().st_size / exchanges:.0f} bytes per exchange"
    section.rows.append(Row("File size per exchange: at most half of the pcap", f"{ratio:.2f} ({each})", ratio <= 0.5))


def growth(section: Section, folder: Path, largest: int) -> None:
    """Memory and time as the number of exchanges, of connections at once, and the body grow."""
    capture = folder / "growth.cap"
    memory, time = [], []
    counts = [n for n in (1_000, 10_000, 100_000, 300_000, 1_000_000) if n <= largest]
    for count in counts:
        write_capture(Traffic(count), capture)
        rate, peak = _speed([*REPLAY, capture], count)
        memory.append((float(count), peak))
        time.append((float(count), 1e6 / rate))
    section.curves["peak memory (MB) over exchanges"] = {"replay": memory}
    section.curves["us per exchange over exchanges"] = {"replay": time}
    said = " ".join(f"{peak:.0f}" for _, peak in memory)
    section.rows.append(
        Row(
            f"Replay memory flat, at most 100 MB, to {counts[-1]:,} exchanges",
            f"{said} MB at {counts}",
            max(p for _, p in memory) <= 100,
        )
    )
    lines = []
    for at_once in (1, 10, 100, 1_000):
        write_capture(Traffic(20_000, per_connection=20, at_once=at_once), capture)
        lines.append((float(at_once), 1e6 / _speed([*REPLAY, capture], 20_000)[0]))
    section.curves["us per exchange over connections at once"] = {"replay": lines}


def bodies(section: Section, folder: Path, total: int) -> None:
    """MB/s of large bodies, and how speed depends on the body's size."""
    capture = folder / "bodies.cap"
    line = []
    for body in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        count = max(1, total // body)
        write_capture(Traffic(min(count, 50_000), per_connection=10, at_once=4, body=body), capture)
        size = capture.stat().st_size / 1e6
        seconds, _, peak = peak_memory([*REPLAY, capture], stdout=subprocess.DEVNULL)
        line.append((float(body), size / seconds))
    section.curves["MB/s over body bytes"] = {"replay": line}
    section.rows.append(
        Row(
            f"Large bodies ({total >> 20} MiB of 10 MB each): at least 500 MB/s",
            f"{line[-1][1]:.0f} MB/s, {peak:.0f} MB",
            line[-1][1] >= 500,
        )
    )


def main(full: bool) -> None:
    """Run all and keep the section."""
    section = Section("Replay, beside the packet tools on the same traffic")
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        exchanges = 200_000 if full else 50_000
        speeds(section, folder, exchanges, 5 if full else 3)
        sizes(section, folder, exchanges)
        growth(section, folder, 1_000_000 if full else 100_000)
        bodies(section, folder, (1 << 30) if full else (256 << 20))
    section.save("offline")


if __name__ == "__main__":
    main("--full" in sys.argv)
