"""What the recorder's live tests share: a talker to record, a recorder to start and stop, looks at what it holds."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

from capfile.event import Direction, Event, Kind
from capfile.frames import Chunk, End, Frame
from capfile.reader import Reader, decompressed
from capfile.records import records
from fixtures import running
from recorder.drain import FLUSH_SECONDS

TIMEOUT = 60.0

# One TCP connection on loopback; for each line on standard input (or MESSAGES times) a message there and back.
TALKER = """
import socket, sys
messages, size = int(sys.argv[1]), int(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname()[:2])
server, _ = listener.accept()
def talk(number):
    payload = (b"%08d" % number) * (size // 8)
    for source, sink in ((client, server), (server, client)):
        source.sendall(payload)
        left = size
        while left:
            left -= len(sink.recv(left))
if messages:
    for number in range(messages):
        talk(number)
else:
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin):
        talk(number)
        print("done", flush=True)
"""


def talker(messages: int, size: int = 64) -> list[str]:
    """The words that start a talker; `messages` 0: one for each line it is given."""
    return [sys.executable, "-c", TALKER, str(messages), str(size)]


def started(words: Sequence[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def say(process: subprocess.Popen[str], messages: int = 1) -> None:
    """Have an interactive talker talk."""
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(messages):
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def command() -> list[str]:
    """The words that every recording begins with."""
    return [running.tool("ebpf-rec"), "capture"]


def capture(*words: str, prefix: Sequence[str] = (), **options: object) -> subprocess.CompletedProcess[str]:
    """Run `ebpf-rec capture` to its end."""
    return subprocess.run([*prefix, *command(), *words], capture_output=True, text=True, timeout=TIMEOUT, **options)  # type: ignore[call-overload,no-any-return]


def recorder(path: Path, *words: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A recorder that runs: its output is there with a header."""
    process = subprocess.Popen(
        [*prefix, *command(), "-o", str(path), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(path, process)
    return process


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the recording has begun."""
    end = time.monotonic() + TIMEOUT
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


def reading(fifo: Path, process: subprocess.Popen[str]) -> FileIO:
    """The reading end of the FIFO that a recorder writes to, once it does."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    end = time.monotonic() + TIMEOUT
    while not select.select([descriptor], [], [], 0.1)[0]:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
    os.set_blocking(descriptor, True)
    return FileIO(descriptor)


def finished(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    """Send a signal, wait for the end; what it said on standard error."""
    process.send_signal(number)
    return process.communicate(timeout=TIMEOUT)[1]


def frames(path: Path) -> list[Frame]:
    """All frames of a file that must be undamaged."""
    with Reader.open(path) as reader:
        found = list(reader)
        assert reader.damage == []
        return found


def events(found: Sequence[Frame]) -> Iterator[Event]:
    for frame in found:
        if isinstance(frame, Chunk):
            yield from (event for event in records(decompressed(frame)) if isinstance(event, Event))


def sent(found: Sequence[Frame]) -> int:
    """Payload bytes of TCP sends that are in the file."""
    return sum(e.captured for e in events(found) if e.kind == Kind.DATA and e.direction == Direction.SEND)


def end_reason(found: Sequence[Frame]) -> str:
    assert isinstance(found[-1], End)
    return found[-1].reason


def bpf_objects(pid: int) -> set[tuple[str, int]]:
    """("prog" | "map" | "link", id) of every BPF object that a process holds open."""
    held = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        text = path.read_text()
        held |= {
            (kind, int(number)) for kind, number in re.findall(r"^(prog|map|link)_id:\t(\d+)$", text, re.MULTILINE)
        }
    return held


_NEXT_ID = {"prog": 11, "map": 12, "link": 31}  # BPF_*_GET_NEXT_ID
_libc = ctypes.CDLL(None, use_errno=True)


def exists(kind: str, number: int) -> bool:
    """Whether the kernel still has the BPF object. Asked by number alone: a descriptor of it would keep it, and one
    that is closed while the kernel clears a map of programs makes it clear the map twice and forget to free it."""
    attributes = (ctypes.c_uint32 * 32)(number - 1)
    return _libc.syscall(321, _NEXT_ID[kind], attributes, ctypes.sizeof(attributes)) == 0 and attributes[1] == number


def gone(held: set[tuple[str, int]], seconds: float = 60.0) -> bool:
    """Whether all of them are freed within some time (the kernel frees after a grace period)."""
    end = time.monotonic() + seconds
    while any(exists(kind, number) for kind, number in held):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def sleep_a_flush() -> None:
    """Give the drain time for a pass of its own."""
    time.sleep(2 * FLUSH_SECONDS)


def conversation(found: Sequence[Frame]) -> dict[tuple[int, int], bytes]:
    """(socket, direction) -> all its bytes in the order of their positions."""
    parts: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
    for event in events(found):
        if event.kind == Kind.DATA:
            parts.setdefault((event.socket, event.direction), []).append((event.position, bytes(event.payload)))
    return {key: b"".join(data for _, data in sorted(pieces)) for key, pieces in parts.items()}
