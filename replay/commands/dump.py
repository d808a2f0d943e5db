"""`ebpf-replay dump FILE …`: every frame and every event in the order of the file, one line or JSON object each.

Exit status: 0 dumped whole; 1 parts of the file could not be read (they are in the output); 2 usage; 3 not a capture.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from typing import Any, Final

from capfile.codec import pieces
from capfile.damage import Damage
from capfile.errors import CapfileError
from capfile.event import Direction, Event, Flag, Kind, LostRecord, Reason
from capfile.frames import Chunk, Frame, Ring
from capfile.reader import Reader
from capfile.records import records_of
from capfile.words import counted
from replay.output.escaping import visible
from replay.source import naming, opened

PREVIEW: Final = 32  # payload bytes shown on a line; --json has all
MAX_TEXT: Final = 200  # characters of a frame's field on a line
# Of an event's JSON object: what names it comes first
_FIELDS: Final = tuple(name for name in Event._fields if name != "payload")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `dump`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help='capture files, or "-" for standard input')
    parser.add_argument("--json", action="store_true", help="a JSON object per line, payloads in hexadecimal")


def run(arguments: argparse.Namespace) -> int:
    """Dump each file."""
    status = 0
    write = _json if arguments.json else _line
    for name in arguments.files:
        with closing(opened(name)) as file, naming(name):
            for row in rows(Reader(file)):
                status = 1 if row["is"] in ("damage", "unreadable") else status
                sys.stdout.write(write(row) + "\n")
    return status


def rows(reader: Reader) -> Iterator[dict[str, Any]]:
    """Every frame, event, loss and damage as a map; "is" says which."""
    seen = 0
    for frame in reader:
        yield from map(_damage, reader.damage[seen:])
        seen = len(reader.damage)
        yield _frame(frame, reader.offset)
        if isinstance(frame, Chunk):
            yield from _chunk(frame, reader)
    yield from map(_damage, reader.damage[seen:])
    yield {"is": "file", "state": reader.state, "unknown": dict(reader.report.unknown)}


def _damage(damage: Damage) -> dict[str, Any]:
    return {"is": "damage", **{each.name: getattr(damage, each.name) for each in fields(damage)}}


def _frame(frame: Frame, offset: int) -> dict[str, Any]:
    values = {each.name: getattr(frame, each.name) for each in fields(frame) if each.name != "data"}
    if isinstance(frame, Chunk):
        values["stored"] = len(frame.data)
    return {"is": type(frame).__name__.lower(), "offset": offset, **values}


def _chunk(chunk: Chunk, reader: Reader) -> Iterator[dict[str, Any]]:
    where = {"cpu": chunk.cpu, "ring": _name(Ring, chunk.ring)}
    try:
        for record in records_of(pieces(chunk), reader.layout):
            if isinstance(record, LostRecord):
                yield {"is": "lost", **where, "lost": record.lost}
                continue
            yield {"is": "event", **where, **dict(zip(_FIELDS, record, strict=False)), "payload": bytes(record.payload)}
    except CapfileError as error:
        yield {"is": "unreadable", **where, "detail": str(error)}


def _name(names: type[Ring] | type[Kind] | type[Direction] | type[Reason], value: int) -> str:
    """The name of a number, or the number where this program knows none."""
    try:
        return names(value).name.lower().replace("_", "-")
    except ValueError:
        return str(value)


def _json(row: dict[str, Any]) -> str:
    """ASCII, so that nothing recorded can act on a terminal."""
    return json.dumps(row, default=lambda value: bytes(value).hex(), separators=(",", ":"))


def _line(row: dict[str, Any]) -> str:
    if row["is"] == "event":
        return _event_line(row)
    shown = (f"{name}={_text(value)}" for name, value in row.items() if name != "is" and value not in ("", [], {}))
    return f"{row['is']} " + " ".join(shown)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return counted(len(value), "byte")
    text = visible(value if isinstance(value, str) else str(value))
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def _event_line(row: dict[str, Any]) -> str:
    flags = "|".join(flag.name.lower().replace("_", "-") for flag in Flag if flag & row["flags"] and flag.name)
    missing = f" missing={row['size'] - row['captured']} reason={_name(Reason, row['reason'])}" if row["reason"] else ""
    return (
        f"{row['time']} cpu={row['cpu']} {row['ring']} #{row['sequence']} {_name(Kind, row['kind'])} "
        f"{_name(Direction, row['direction'])} socket={row['socket']}/{row['generation']} fd={row['fd']} "
        f"position={row['position']} size={row['size']} captured={row['captured']}{missing} "
        f"pid={row['tgid']} tid={row['tid']} syscall={row['syscall']} ret={row['ret']}"
        + (f" flags={flags}" if flags else "")
        + (f" {ascii(row['payload'][:PREVIEW])[1:]}" if row["payload"] else "")
        + ("..." if len(row["payload"]) > PREVIEW else "")
    )
