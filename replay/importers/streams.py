"""Stream rows in (JSON Lines, one observation per row), sockets and their bytes out.

A row introduces a connection, carries bytes at an offset of one direction, names bytes that passed unseen, or ends a
direction (docs/corpora.md, "Stream rows"). Offsets that do not join up are no error: bytes already seen are
dropped (the first seen win), bytes jumped over are a gap. A row that is not of this shape raises `InputError` with its
line number: nobody can say what it meant.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass
from typing import Any, Final

from capfile.event import AF_INET, AF_INET6, AF_UNIX, Direction, Flag, Reason, SocketFacts
from replay.importers.errors import InputError, WrongKind
from replay.importers.recording import ImportedSocket, Recording, facts
from replay.importers.source import Source

MAX_LINE: Final = 64 << 20  # a row of 48 MiB of data in base64; the largest in the known corpora is under 1 MiB
MAX_CONNECTIONS: Final = 1 << 20  # about 300 MB of state
MAX_OFFSET: Final = 1 << 62  # a position must still fit after any length is added to it
MAX_SHOWN: Final = 60  # characters of a wrong value in a message
MAX_SECONDS: Final = 1 << 33  # the year 2242

DIRECTIONS: Final = {"c2s": Direction.RECEIVE, "s2c": Direction.SEND}  # the traced side is the server


@dataclass(slots=True)
class _Conversation:
    socket: ImportedSocket
    ended: set[Direction]


class StreamRows:
    """`feed` one line after the other into `recording`."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._conversations: dict[int | str, _Conversation] = {}
        self._line = 0
        self.read = 0  # rows

    def feed(self, line: bytes) -> None:
        """One line; an empty one is skipped. `InputError` when it is no row."""
        self._line += 1
        if line.strip():
            try:
                self._row(_object(line))
            except _BadRow as error:
                raise (InputError if self.read else WrongKind)(str(error), line=self._line) from None
            self.read += 1

    def _row(self, row: dict[str, Any]) -> None:
        key = _field(row, "conn")
        if not isinstance(key, int | str):
            raise _BadRow("conn must be a number or a string")
        if "open" in row:
            self._open(key, row)
            return
        conversation = self._conversations.get(key)
        if conversation is None:
            raise _BadRow(f"connection {_shown(key)} was not opened by an earlier row")
        direction = _direction(row)
        time = _nanoseconds(row, "ts")
        if "ev" in row:
            self._end(conversation, direction, time, row["ev"])
        else:
            self._bytes(conversation, direction, time, row)

    def _open(self, key: int | str, row: dict[str, Any]) -> None:
        if key in self._conversations:
            raise _BadRow(f"connection {_shown(key)} is opened twice")
        if len(self._conversations) >= MAX_CONNECTIONS:
            raise _BadRow(f"more than {MAX_CONNECTIONS} connections")
        flags = Flag.ACCEPTED if row.get("syn", True) else Flag.ACCEPTED | Flag.JOINED
        socket = self._recording.socket(_nanoseconds(row, "open"), _facts(row), flags)
        self._conversations[key] = _Conversation(socket, set())

    def _bytes(self, conversation: _Conversation, direction: Direction, time: int, row: dict[str, Any]) -> None:
        data = _bytes(row["data"]) if "data" in row else b""
        length = len(data) if "data" in row else _count(row, "gap")
        offset = _count(row, "off")
        socket = conversation.socket
        if direction in conversation.ended or socket.closed:
            self._recording.mark("bytes-after-end", time, f"{length} bytes at {offset} ({row['dir']}) not kept", socket)
            return
        known = socket.received if direction == Direction.RECEIVE else socket.sent
        if offset > known:
            self._recording.data(socket, direction, time, b"", size=offset - known, reason=Reason.PACKET_LOSS)
        skip = max(known - offset, 0)
        if length > skip:
            self._recording.data(socket, direction, time, data[skip:], size=length - skip, reason=Reason.PACKET_LOSS)

    def _end(self, conversation: _Conversation, direction: Direction, time: int, how: object) -> None:
        socket = conversation.socket
        if how == "rst":
            self._recording.close(socket, time, Flag.RESET)
        elif how != "fin":
            raise _BadRow(f'ev must be "fin" or "rst", not {_shown(how)}')
        elif direction not in conversation.ended and not socket.closed:
            conversation.ended.add(direction)
            if direction == Direction.RECEIVE:
                self._recording.eof(socket, time)
            else:
                self._recording.shutdown(socket, Direction.SEND, time)
            if len(conversation.ended) == len(DIRECTIONS):
                self._recording.close(socket, time)


class _BadRow(Exception):
    """Why a line is no row."""


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except RecursionError:
        raise _BadRow("nested too deeply") from None
    except ValueError:  # UnicodeDecodeError too
        raise _BadRow("not JSON") from None
    if not isinstance(row, dict):
        raise _BadRow("a row must be a JSON object")
    return row


def _shown(value: object) -> str:
    """A value as it stood in the row, or its beginning."""
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _field(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise _BadRow(f"{name} is missing")
    return row[name]


def _direction(row: dict[str, Any]) -> Direction:
    name = _field(row, "dir")
    direction = DIRECTIONS.get(name) if isinstance(name, str) else None
    if direction is None:
        raise _BadRow(f'dir must be "c2s" or "s2c", not {_shown(name)}')
    return direction


def _nanoseconds(row: dict[str, Any], name: str) -> int:
    seconds = _field(row, name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _BadRow(f"{name} must be a number of seconds, not {_shown(seconds)}")
    if not 0 <= seconds <= MAX_SECONDS:
        raise _BadRow(f"{name} must be between 0 and {MAX_SECONDS} seconds")
    return round(seconds * 1_000_000_000)


def _count(row: dict[str, Any], name: str) -> int:
    value = _field(row, name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_OFFSET:
        raise _BadRow(f"{name} must be a number of bytes, not {_shown(value)}")
    return value


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)  # type: ignore[arg-type]  # what is no text raises TypeError
    except (TypeError, ValueError):
        raise _BadRow("data is not base64") from None


def _facts(row: dict[str, Any]) -> SocketFacts:
    """The traced side is the server. An end that is no [ip, port] pair is the path of a Unix socket."""
    ends = [_address(row, "server"), _address(row, "client")]
    families = {family for family, _ in ends}
    if len(families) > 1:
        raise _BadRow("client and server are of different address families")
    return facts(families.pop(), ends[0][1], ends[1][1])


def _address(row: dict[str, Any], name: str) -> tuple[int, tuple[bytes, int] | bytes]:
    end = _field(row, name)
    if isinstance(end, str):
        return AF_UNIX, end.encode("utf-8", "replace")
    if not isinstance(end, list) or len(end) != 2 or not isinstance(end[0], str):
        raise _BadRow(f"{name} must be [ip, port] or a path, not {_shown(end)}")
    if isinstance(end[1], bool) or not isinstance(end[1], int) or not 0 <= end[1] <= 65535:
        raise _BadRow(f"{name}: a port is a number between 0 and 65535, not {_shown(end[1])}")
    try:
        address = ipaddress.ip_address(end[0])
    except ValueError:
        raise _BadRow(f"{name}: {_shown(end[0])} is no IP address") from None
    return (AF_INET if address.version == 4 else AF_INET6), (address.packed, end[1])


def read_streams(source: Source, recording: Recording) -> list[str]:
    """Import all rows. Returns what the user should know; `InputError` for the first row that is none."""
    rows = StreamRows(recording)
    number = 0
    while line := source.line(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            raise InputError(f"longer than {MAX_LINE} bytes", line=number)
        rows.feed(line)
    if source.damage:
        raise InputError(source.damage, line=number + 1)
    if not rows.read:
        raise WrongKind("no row stands in it")
    recording.finish("imported")
    return []
