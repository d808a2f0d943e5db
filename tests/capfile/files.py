"""Small capture files for the tests of this folder: known frames, known bytes, the same each time."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence

from capfile.errors import CapfileError
from capfile.event import EVENT_SIZE, Direction, Event, Kind, encode, encode_lost, layout
from capfile.frames import Chunk, Counters, End, Frame, Header, Mark, Process, Socket
from capfile.reader import Reader, compressed, decompressed
from capfile.scan import HEAD
from capfile.wire import FRAME_HEADER, FrameHead
from capfile.writer import Writer

TAG = 0x5EED


def event(sequence: int = 0, payload: bytes = b"hello", **more: int) -> Event:
    """A data event."""
    size = len(payload)
    plain = Event(
        1, Kind.DATA, Direction.SEND, size, sequence, 1000 + sequence, 7, 9, 0, size, size, 1, 1, 3, 1, 0, 0, 0
    )
    return plain._replace(payload=payload, **more)


def ring(first: int, count: int, payload: bytes = b"some bytes of a stream ") -> bytes:
    """Ring bytes of `count` events and one loss."""
    events = b"".join(encode(event(first + number, payload * (1 + number % 5))) for number in range(count))
    return events + encode_lost(3)


def header(**more: object) -> Header:
    """A header of this version."""
    return Header(1, layout(), EVENT_SIZE, host="h", recording_id="r", **more)  # type: ignore[arg-type]


def chunk(number: int, count: int = 6, zstd: bool = False) -> Chunk:
    """Chunk `number` of CPU 0's data ring."""
    data = ring(100 * number, count)
    plain = Chunk(0, 0, 1000 + 100 * number, 1099 + 100 * number, len(data), data=data)
    return compressed(plain) if zstd else plain


def frames(chunks: int = 6) -> list[Frame]:
    """One frame of each kind, and chunks, plain and compressed; without End (the writer's Index comes before it)."""
    facts = Socket(5, 6, b"facts")
    start: list[Frame] = [header(), Process(4, comm="caf\u00e9\udcff"), facts, Mark("io_uring", detail="pid 4")]
    middle: list[Frame] = [chunk(number, zstd=number % 2 == 1) for number in range(chunks)]
    return [*start, *middle, Counters(9, {"fault": [1, 2]}, {"data": [[9, 1]]})]


def written(content: Sequence[Frame], end: bool = True, tag: int = TAG) -> bytes:
    """The file of these frames."""
    with tempfile.TemporaryFile() as file:
        writer = Writer(file.fileno(), tag)
        for each in content:
            writer.write(each)
        if end:
            writer.write(End(99, "interrupt"))
        return os.pread(file.fileno(), writer.bytes, 0)


def raw_frames(file: bytes) -> list[bytes]:
    """The bytes of each frame of an undamaged file."""
    found, at = [], 0
    while at < len(file):
        size = HEAD + FRAME_HEADER.unpack_from(file, at)[-1]
        found.append(file[at : at + size])
        at += size
    return found


def raw_frame(kind: int, payload: bytes, sequence: int = 0, tag: int = TAG) -> bytes:
    """One frame with a right checksum, whatever is in it."""
    head = FrameHead(kind, tag, sequence, 0, len(payload))
    return head._replace(crc=head.checksum((payload,))).pack() + payload


def plain(frame: Frame) -> Frame:
    """The frame as one value that can be compared: chunk data decompressed."""
    if not isinstance(frame, Chunk):
        return frame
    data = bytes(decompressed(frame))
    return Chunk(frame.cpu, frame.ring, frame.first_time, frame.last_time, frame.size, "none", data)


def read(file: bytes) -> tuple[list[Frame], Reader]:
    """All frames of a file, and the reader with its report."""
    reader = Reader(io.BytesIO(file))
    return [plain(frame) for frame in reader], reader


def read_anything(file: bytes) -> tuple[list[Frame], str]:
    """The same of a hostile file: the reader's state, or the name of the error it may raise."""
    reader, found = Reader(io.BytesIO(file)), []
    try:
        for frame in reader:
            found.append(plain(frame))
    except CapfileError as error:
        return found, type(error).__name__
    return found, reader.state
