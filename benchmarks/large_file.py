"""A large synthetic capture, listed, verified and replayed: time and peak memory of each, in a process of its own.

The file (plain chunks; the same compressed afterwards) is written by the project's own writer from one drain's worth of
exchanges, with positions, times, sequence numbers and generations moved on for each chunk, so that all of it is one
valid recording.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import BIN, peak_memory
from capfile.codec import pack
from capfile.event import EVENT_SIZE, Direction, Event, Flag, Kind, SocketFacts, encode, layout
from capfile.frames import Chunk, Counters, End, Header, Process, Ring
from capfile.writer import Writer

EXCHANGES_PER_SOCKET = 50
SOCKETS_PER_CHUNK = 20
BODY = bytes(range(32, 127)) * 80  # 7,600 bytes
START = 1_000_000_000


def chunk_events(number: int) -> Iterator[tuple[int, Event]]:
    """(ring, event) of chunk `number`: its own sockets, opened, used and closed."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    address, no_path = b"\x7f\0\0\1" + bytes(12), bytes(108)
    facts = SocketFacts(2, 1, 6, 1, 80, 40000, 1, address, address, 0, 0, no_path, no_path)
    for each in range(SOCKETS_PER_CHUNK):
        generation = number * SOCKETS_PER_CHUNK + each + 1
        base = Event(1, 0, 0, 0, 0, 0, 1000 + generation, generation, 0, 0, 0, 10, 10, 5, 0, 0, 0, 0)
        remote = facts._replace(remote_port=1024 + generation % 60000).pack()
        yield Ring.CONTROL, base._replace(kind=Kind.SOCKET, flags=Flag.ACCEPTED, captured=len(remote), payload=remote)
        places = [0, 0, 0]
        for ordinal in range(EXCHANGES_PER_SOCKET):
            request = f"GET /item/{generation}/{ordinal} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            for direction, payload in ((Direction.RECEIVE, request), (Direction.SEND, head + BODY)):
                size, position = len(payload), places[direction]
                places[direction] += size
                moved = base._replace(direction=direction, captured=size, size=size, ret=size, position=position)
                yield Ring.DATA, moved._replace(kind=Kind.DATA, payload=payload)
        yield Ring.CONTROL, base._replace(kind=Kind.CLOSE)


def write(path: Path, size: int, zstd: bool) -> int:
    """Write the capture; how many exchanges are in it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    writer = Writer(fd, tag=1)
    rows_of_event = [list(row) for row in layout()]
    writer.write(Header(1, rows_of_event, EVENT_SIZE, wall_time=START, monotonic_time=START, recording_id="large"))
    writer.write(Process(10, comm="server", exe="/usr/bin/server"))
    clock, number, written = START, 0, 0
    sequence = {Ring.DATA: 0, Ring.CONTROL: 0}
    while written < size:
        rings = {Ring.CONTROL: bytearray(), Ring.DATA: bytearray()}
        first = clock + 1
        for ring, event in chunk_events(number):
            clock += 1000
            rings[Ring(ring)] += encode(event._replace(time=clock, sequence=sequence[Ring(ring)]))
            sequence[Ring(ring)] += 1
        for ring, data in rings.items():
            packed = pack([bytes(data)]) if zstd else None
            plain = Chunk(0, ring, first, clock, len(data), "zstd" if packed else "none")
            writer.chunk(plain, [packed or bytes(data)])
            written += len(data)
        number += 1
    rows = {ring.name.lower(): [[count, 0]] for ring, count in sequence.items()}
    writer.write(Counters(clock, {}, rows))
    writer.write(End(clock, "interrupt"))
    os.close(fd)
    return number * SOCKETS_PER_CHUNK * EXCHANGES_PER_SOCKET


def main() -> None:
    """Write, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gib", nargs="?", type=float, default=2.0, metavar="GIB", help="bytes of rings (default: 2)")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(".cache"), help="for the file (default: .cache)")
    arguments = parser.parse_args()
    gib, folder = arguments.gib, arguments.folder
    folder.mkdir(exist_ok=True)
    print("| chunks | file | command | seconds | MB/s of rings | exchanges/s | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for zstd in (False, True):
        path = folder / "large.cap"
        exchanges = write(path, int(gib * (1 << 30)), zstd)
        file = f"| {'zstd' if zstd else 'plain'} | {path.stat().st_size / (1 << 20):,.0f} MiB"
        for command in (["info"], ["verify"], ["show", "--format", "jsonl"]):
            seconds, _, peak = peak_memory([BIN / "ebpf-replay", *command, path], stdout=subprocess.DEVNULL)
            rate = f"{gib * (1 << 30) / 1e6 / seconds:,.0f}"
            shown = f"{exchanges / seconds:,.0f}" if command[0] == "show" else ""
            print(f"{file} | {' '.join(command)} | {seconds:.1f} | {rate} | {shown} | {peak:.0f} MiB |", flush=True)
        path.unlink()


if __name__ == "__main__":
    main()
