"""What is fuzzed: bytes in, nothing out; any exception but a `CapfileError` (or one the target names) is a bug.

Bytes alone would never get past a checksum, so each target also takes them with every frame's checksum put right.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from typing import Final

from capfile.codec import pieces
from capfile.errors import CapfileError
from capfile.event import Event, Kind, SocketFacts
from capfile.frames import Chunk, Socket
from capfile.reader import Reader
from capfile.records import records_of
from capfile.scan import HEAD
from capfile.wire import START, FrameHead
from replay.cli import main
from replay.pipeline import exchanges
from replay.source import recordings

MAX_EVENTS: Final = 20_000  # decoded per input: a small input may hold many minimal events by compression


def repaired(data: bytes) -> bytes:
    """The same bytes, the CRC of all that looks like a frame made right and its length cut to what is there."""
    out = bytearray(data)
    at = data.find(START)
    while at >= 0 and at + HEAD <= len(data):
        head = FrameHead.unpack(bytes(out[at : at + HEAD]))
        if head is not None:
            length = min(head.length, len(data) - at - HEAD)
            head = head._replace(length=length)
            payload = bytes(out[at + HEAD : at + HEAD + length])
            out[at : at + HEAD] = head._replace(crc=head.checksum((payload,))).pack()
        at = data.find(START, at + HEAD)
    return bytes(out)


def read(data: bytes) -> None:
    """The reader, its chunks and their events."""
    reader = Reader(io.BytesIO(data))
    with contextlib.suppress(CapfileError):
        for frame in reader:
            with contextlib.suppress(CapfileError):
                if isinstance(frame, Chunk):
                    _decode(frame, reader)
                elif isinstance(frame, Socket):
                    SocketFacts.unpack(frame.facts)
    assert reader.state in ("complete", "cut", "damaged")
    assert all(0 <= each.offset <= each.offset + each.length <= len(data) for each in reader.damage)


def _decode(chunk: Chunk, reader: Reader) -> None:
    for number, record in enumerate(records_of(pieces(chunk), reader.layout)):
        if number > MAX_EVENTS:
            break
        if isinstance(record, Event) and record.kind == Kind.SOCKET:
            SocketFacts.unpack(record.payload)


def replay(data: bytes) -> None:
    """The whole pipeline, from a file in memory."""
    fd = os.memfd_create("capture")
    try:
        os.write(fd, data)
        with contextlib.suppress(CapfileError):
            for recording in recordings([f"/proc/self/fd/{fd}"]):
                try:
                    for _ in exchanges(recording):
                        pass
                finally:
                    recording.close()
    finally:
        os.close(fd)


def tools(data: bytes) -> None:
    """The commands that look into a file or write another, on one from memory."""
    fd = os.memfd_create("capture")
    try:
        os.write(fd, data)
        path = f"/proc/self/fd/{fd}"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert main(["info", path]) in (0, 3)
            assert main(["dump", path]) in (0, 1, 3)
            for words in (["slice", "--from", "5us", path], ["merge", path], ["redact", path]):
                assert main([*words, "-o", "/dev/null"]) in (0, 1, 3)
    finally:
        os.close(fd)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"read": read, "replay": replay, "tools": tools}


def both(target: Callable[[bytes], None], data: bytes) -> None:
    """The bytes as they are, and with their checksums right."""
    target(data)
    target(repaired(data))
