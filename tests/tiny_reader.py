"""A second reader of capture files, written from capfile/FORMAT.md alone: msgpack and zstd, nothing of the project.

`python tests/tiny_reader.py FILE…` lists the frames and sums the payload bytes of the data events. It stops at the
first frame that is not whole.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from typing import Any

import msgpack
from backports import zstd

MARKER = b"\xebREC\r\n\x1a\n"
KINDS = {1: "Header", 2: "Chunk", 3: "Process", 4: "Socket", 5: "Counters", 6: "Mark", 7: "Index", 8: "End"}


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """(kind, sequence, payload) of each whole frame."""
    unpacker = msgpack.Unpacker(io.BytesIO(data), max_buffer_size=len(data) + 1)
    found, start = [], 0
    try:
        for item in unpacker:
            marker, kind, _, sequence, crc, payload = item
            head = data[start : start + 27] + bytes(4) + data[start + 31 : start + 36]
            if marker != MARKER or zlib.crc32(payload, zlib.crc32(head)) != crc:
                break
            found.append((kind, sequence, payload))
            start = unpacker.tell()
    except (ValueError, TypeError, msgpack.UnpackException):
        pass
    return found


def field(ring: bytes, start: int, place: tuple[str, int]) -> int:
    """One number of the event at `start`."""
    value: int = struct.unpack_from("<" + place[0], ring, start + place[1])[0]
    return value


def data_bytes(ring: bytes, header: dict[str, Any]) -> int:
    """Payload bytes of the data events in a chunk."""
    place = {name: (code, offset) for name, code, offset in header["layout"]}
    total = at = 0
    while at < len(ring):
        record, _, size = struct.unpack_from("<IHH", ring, at)
        if record == 9:
            kind, captured = (field(ring, at + 12, place[name]) for name in ("kind", "captured"))
            total += captured if kind == 1 else 0
        at += size
    return total


def read(data: bytes) -> tuple[list[str], int]:
    """The names of the frames, and the sum."""
    names, total, header = [], 0, {}
    for kind, _, payload in frames(data):
        names.append(KINDS.get(kind, str(kind)))
        unpacker = msgpack.Unpacker(io.BytesIO(payload), max_buffer_size=len(payload) + 1, unicode_errors="replace")
        fields = unpacker.unpack()
        if kind == 1:
            header = fields
        elif kind == 2:
            ring = unpacker.unpack()
            total += data_bytes(zstd.decompress(ring) if fields["codec"] == "zstd" else ring, header)
    return names, total


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            listed, count = read(file.read())
        print(f"{path}: {len(listed)} frames, {count} payload bytes: {' '.join(listed)}")
