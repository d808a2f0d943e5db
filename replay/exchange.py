"""The exchange vocabulary: what the pipeline yields, and what every output, filter and test reads.

Frozen facts. Times are ns of CLOCK_MONOTONIC of the recorded host (`started_at` is ns since 1970, from the file's clock
anchor); sizes and positions are bytes. Header names and values are kept as they stood on the wire, decoded as latin-1.
They are msgspec Structs because a frozen dataclass costs twelve times as much to make; change a copy of one with
`msgspec.structs.replace`. None can be part of a cycle, so the garbage collector need not look at them (gc=False).
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec import Struct

from replay.stream import Flow, Side

# The end of a request target of which only the beginning was seen. Targets are decoded as latin-1, which does not have
# this character: no target that was sent ends so.
TARGET_CUT: Final = "\N{HORIZONTAL ELLIPSIS}"

Headers = tuple[tuple[str, str], ...]  # (name, value) in the order and case of the wire

# How much of an exchange is known. "complete": every byte of both messages; the others name the first reason.
Completeness = Literal[
    "complete",
    "request-only",  # the capture holds no byte of a final response
    "response-only",  # a response nobody asked for in this capture
    "gap",  # bytes are missing inside a message (see problems: offset, length, reason)
    "truncated-by-close",  # the connection ended inside a message
    "truncated-by-end",  # the recording ended inside a message
    "open",  # the recording ended while the response was awaited
]


class Problem(Struct, frozen=True, gc=False):
    """One named deviation or loss (docs/problems.md lists the codes). `offset` counts from the start of the message's
    first byte in its direction of the connection; it is negative where whole messages before that one are missing."""

    code: str
    side: Flow
    offset: int | None = None
    length: int | None = None
    reason: str = ""
    detail: str = ""


class Digest(Protocol):
    """A hash of a large body, which is made beside everything else; equal to its text."""

    def hexdigest(self) -> str:
        """Waits for it."""


class Body(Struct, frozen=True, gc=False):
    """A de-framed message body (chunking removed, content codings untouched)."""

    size: int  # bytes after de-framing, missing ones included where their number is known
    captured: int  # bytes of those that were seen
    data: bytes  # the captured bytes, up to the limit MAX_BODY_KEPT; holes are not filled
    digest: str | Digest  # see `sha256`
    decoded: bytes | None = None  # content codings undone, bounded; None if there are none or it failed
    content_encoding: str = ""
    decoded_size: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()  # (offset in the body, length) of the missing parts

    @property
    def sha256(self) -> str:
        """Of the captured bytes, in hexadecimal; the body's own hash when captured == size."""
        return self.digest if isinstance(self.digest, str) else self.digest.hexdigest()


class Informational(Struct, frozen=True, gc=False):
    """A 1xx response that came before the final one."""

    status: int
    reason: str
    headers: Headers
    time: int  # of its first byte
    position: int = 0
    end_position: int = 0


class Request(Struct, frozen=True, gc=False):
    """A request as it stood on the wire."""

    method: str
    target: str  # with TARGET_CUT behind it where its end was not seen (`target-cut`)
    version: str
    headers: Headers
    body: Body
    trailers: Headers = ()
    raw_head: bytes = b""
    position: int = 0  # of its first byte in its direction
    end_position: int = 0  # one past its last byte
    first_byte_time: int = 0
    last_byte_time: int = 0
    longest_stall_ns: int = 0  # longest pause between two reads or writes that carried it
    longest_stall_position: int = 0  # of the byte that ended that pause


class Response(Struct, frozen=True, gc=False):
    """A final response as it stood on the wire; where none came, the last interim one (`no-final-response`)."""

    status: int  # 0 for HTTP/0.9 alone, whose responses have none
    reason: str
    version: str
    headers: Headers
    body: Body
    trailers: Headers = ()
    informational: tuple[Informational, ...] = ()
    raw_head: bytes = b""
    position: int = 0
    end_position: int = 0
    first_byte_time: int = 0
    last_byte_time: int = 0
    longest_stall_ns: int = 0  # longest pause between two reads or writes that carried it
    longest_stall_position: int = 0  # of the byte that ended that pause


class ProcessFacts(Struct, frozen=True, gc=False):
    """The traced process on whose socket the exchange was seen."""

    pid: int
    comm: str = ""
    exe: str = ""
    command_line: tuple[str, ...] = ()
    cgroup: str = ""
    container: str = ""


class Connection(Struct, frozen=True, gc=False):
    """One socket of the traced process, as its exchanges show it."""

    id: str
    family: Literal["inet", "inet6", "unix"]
    client: str  # "127.0.0.1:40112", "[::1]:80", or a Unix socket's path
    server: str
    side: Side
    tls: bool = False
    socket: int = 0
    generation: int = 0
    joined_midstream: bool = False
    opened_at: int = 0


class Exchange(Struct, frozen=True, gc=False):
    """One request and its response. Either may be None where it was not seen, never both."""

    id: str  # connection id, "-", ordinal in the connection from 1
    protocol: str
    connection: Connection
    process: ProcessFacts | None
    started_at: int  # ns since 1970, UTC
    duration_ns: int | None  # first byte of the request to last byte of the response; None without either
    request_ns: int | None  # first to last byte of the request (HAR: send)
    wait_ns: int | None  # last byte of the request to first byte of the final response (HAR: wait)
    response_ns: int | None  # first to last byte of the response (HAR: receive)
    request: Request | None
    response: Response | None
    completeness: Completeness
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every byte of both messages is known."""
        return self.completeness == "complete"


class OpaqueConnection(Struct, frozen=True, gc=False):
    """A connection whose bytes are not (or no longer) HTTP/1: listed with counts, never as false exchanges."""

    connection: Connection
    process: ProcessFacts | None
    protocol: str  # "tls", "http/2", "websocket", "tunnel", "unknown", "empty", …
    request_bytes: int  # client to server
    response_bytes: int
    missing_bytes: int = 0
    detail: str = ""
