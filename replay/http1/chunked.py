"""The chunked transfer coding (RFC 9112 §7.1): bytes in, body bytes and trailers out. A state machine of its own.

It never looks past the trailers' end and never joins a body's pieces. When the framing cannot be followed any more
it says so (`lost`) and leaves the rest to whoever looks for the next message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from replay.exchange import Headers, Problem
from replay.http1.bodies import BodyBuilder
from replay.http1.body_readers import Outcome
from replay.http1.heads import parse_trailers
from replay.http1.limits import MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES, MAX_LENGTH
from replay.stream import Flow

_SIZE: Final = re.compile(rb"([ \t]*)([0-9A-Fa-f]+)([ \t]*)(;[^\0]*)?")
_LOOKS_LIKE_START: Final = re.compile(rb"HTTP/[0-9]|[A-Z-]{3,20} [^ \r\n]+ HTTP/1\.")


class Chunk(Enum):
    """Where in the coding the next byte stands."""

    SIZE = auto()  # in a chunk-size line
    DATA = auto()
    DATA_END = auto()  # at the line end after a chunk's data
    TRAILERS = auto()  # after the last chunk
    DONE = auto()
    LOST = auto()


class ChunkedReader:
    """Reads one chunked body that begins `offset` bytes into its message."""

    __slots__ = (
        "_body",
        "_buffer",
        "_bytes_read",
        "_given_back",
        "_offset",
        "_remaining",
        "_side",
        "problems",
        "state",
        "trailers",
    )

    def __init__(self, body: BodyBuilder, side: Flow, offset: int) -> None:
        self.state = Chunk.SIZE
        self._given_back = b""
        self.trailers: Headers = ()
        self.problems: list[Problem] = []
        self._body = body
        self._side: Flow = side
        self._offset = offset
        self._bytes_read = 0  # of the coded body, up to the start of `_buffer`
        self._remaining = 0
        self._buffer = bytearray()  # a line that is not whole yet

    @property
    def outcome(self) -> Outcome:
        """Whether the body goes on."""
        return _OUTCOMES.get(self.state, Outcome.READING)

    @property
    def untouched(self) -> bool:
        """See `BodyReader`."""
        return not self._bytes_read and not self._buffer

    def give_back(self) -> bytes:
        """The start line that stood where a trailer may stand, as far as earlier calls took it."""
        return self._given_back

    def end(self, *, orderly: bool) -> bool:
        """Whole if all chunks were read and no trailer had begun: then only the last line end is missing."""
        if self.state is not Chunk.TRAILERS or bytes(self._buffer) not in (b"", b"\r"):
            return False
        self._problem("missing-last-crlf")
        return True

    def read(self, data: bytes, at: int) -> int:
        """Read `data` from `at`; the index of the first byte that is not part of the coding."""
        length = len(data)
        while at < length:
            step = _STEPS.get(self.state)
            if step is None:
                break
            at = step(self, data, at)
        return at

    def miss(self, length: int | None) -> int:
        """A gap in a chunk's data is skipped exactly, with the line end after it; in the framing it loses the end."""
        if self.state is not Chunk.DATA or length is None:
            self.state = Chunk.LOST
            return 0
        skipped = min(length, self._remaining)
        self._body.miss(skipped)
        self._advance_data(skipped)
        if length - skipped >= 2:
            self._bytes_read += 2  # the CRLF after a chunk's data has its place
            skipped += 2
            self.state = Chunk.SIZE
        if length > skipped:
            self.state = Chunk.LOST
        return skipped

    def _advance_data(self, length: int) -> None:
        self._bytes_read += length
        self._remaining -= length
        if not self._remaining:
            self.state = Chunk.DATA_END

    def _data(self, data: bytes, at: int) -> int:
        stop = min(len(data), at + self._remaining)
        self._body.add(data, at, stop)
        self._advance_data(stop - at)
        return stop

    def _data_end(self, data: bytes, at: int) -> int:
        if data[at] == 0x0D and not self._buffer:
            self._buffer += b"\r"
            return at + 1
        if data[at] != 0x0A:
            self._problem("chunk-data-without-crlf")
            return self._lose(at)
        if not self._buffer:
            self._problem("bare-lf")
        self._bytes_read += 1 + len(self._buffer)
        self._buffer.clear()
        self.state = Chunk.SIZE
        return at + 1

    def _size(self, data: bytes, at: int) -> int:
        line, stop = self._line(data, at, MAX_CHUNK_LINE_BYTES)
        if line is None:
            if self.state is Chunk.LOST:
                self._problem("chunk-line-too-long")
            return stop
        match = _SIZE.fullmatch(line[:-2] if line.endswith(b"\r\n") else line[:-1])
        if match is None:
            self._problem("chunk-size-invalid", line[:40].decode("latin-1").rstrip("\r\n"))
            return self._lose(stop)
        if not line.endswith(b"\r\n"):
            self._problem("bare-lf")
        return self._sized(match, len(line), stop)

    def _sized(self, match: re.Match[bytes], line_length: int, stop: int) -> int:
        before, digits, after, _extensions = match.groups()
        if before or (after and not match[4]):
            self._problem("chunk-size-whitespace")
        digits = digits.lstrip(b"0")
        size = int(digits, 16) if 0 < len(digits) <= 16 else 0
        if len(digits) > 16 or size > MAX_LENGTH:
            self._problem("chunk-size-overflow", digits[:40].decode())
            return self._lose(stop)
        self._bytes_read += line_length
        self._remaining = size
        self.state = Chunk.DATA if size else Chunk.TRAILERS
        return stop

    def _trailers(self, data: bytes, at: int) -> int:
        """The trailer section, line by line up to the empty one; a start line in its place ends the message too."""
        stop = data.find(b"\n", at) + 1
        before = len(self._buffer)
        self._buffer += data[at : stop or len(data)]
        if len(self._buffer) > MAX_HEAD_BYTES:
            self._problem("head-too-large")
            return self._lose(stop or len(data))
        if not stop:
            return len(data)
        line_start = self._buffer.rfind(b"\n", 0, -1) + 1
        line = bytes(self._buffer[line_start:])
        if line in (b"\r\n", b"\n"):
            self._finish(bytes(self._buffer))
        elif not line_start and _LOOKS_LIKE_START.match(line):
            self._problem("missing-last-crlf")
            self._given_back = bytes(self._buffer[:before])
            self.state = Chunk.DONE
            return at
        return stop

    def _finish(self, section: bytes) -> None:
        if len(section) > 2 or section == b"\n":
            self.trailers, problems = parse_trailers(section, self._side, self._offset + self._bytes_read)
            self.problems.extend(problems)
        self._buffer.clear()
        self.state = Chunk.DONE

    def _line(self, data: bytes, at: int, limit: int) -> tuple[bytes | None, int]:
        """The next whole line with its end, or None while it is not whole; and the index after what was used."""
        stop = data.find(b"\n", at) + 1
        if stop and not self._buffer and stop - at <= limit:
            return data[at:stop], stop
        self._buffer += data[at : stop or len(data)]
        if len(self._buffer) > limit:
            self._lose(stop)
            return None, stop or len(data)
        if not stop:
            return None, len(data)
        line = bytes(self._buffer)
        self._buffer.clear()
        return line, stop

    def _lose(self, stop: int) -> int:
        self.state = Chunk.LOST
        self._buffer.clear()
        return stop

    def _problem(self, code: str, detail: str = "") -> None:
        if not any(problem.code == code for problem in self.problems):  # one of each: a body may have 10^6 chunks
            self.problems.append(Problem(code, self._side, self._offset + self._bytes_read, detail=detail))


_STEPS: Final[dict[Chunk, Callable[[ChunkedReader, bytes, int], int]]] = {
    Chunk.SIZE: ChunkedReader._size,
    Chunk.DATA: ChunkedReader._data,
    Chunk.DATA_END: ChunkedReader._data_end,
    Chunk.TRAILERS: ChunkedReader._trailers,
}
_OUTCOMES: Final[dict[Chunk, Outcome]] = {Chunk.DONE: Outcome.DONE, Chunk.LOST: Outcome.LOST}
