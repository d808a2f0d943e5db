"""Exchanges in, one line each out, for eyes. On a terminal it fits the width; elsewhere nothing is shortened.

Columns have fixed widths because lines are written as exchanges end; recorded bytes are escaped, so that no line can do
anything but be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final

from replay.exchange import Exchange, OpaqueConnection, Problem
from replay.output.escaping import shortened, visible
from replay.output.moments import moment

# (heading, width, right-aligned) of the columns before the target
_WIDE: Final = (
    ("ID", 7, False),
    ("START", 12, False),
    ("PROCESS", 15, False),
    ("METHOD", 7, False),
    ("STATUS", 6, True),
    ("SIZE", 9, True),
    ("DURATION", 9, True),
)
_NARROW: Final = tuple(column for column in _WIDE if column[0] not in ("START", "SIZE"))
_NARROW_WIDTH: Final = 110  # terminals below this many columns get those
_NOTES: Final = 20  # columns that notes may take from a long target
_TARGET_PIPED: Final = 32  # targets are padded to this where nothing is shortened


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """A heading, then one line per item."""
    out.write(heading(out))
    encode = encoder(out)
    for item in items:
        out.write(encode(item))


def heading(out: BinaryIO) -> bytes:
    """The names of the columns."""
    return _line(tuple(name for name, _, _ in _WIDE), "TARGET", "NOTES", terminal_width(out))


def encoder(out: BinaryIO) -> Callable[[Exchange | OpaqueConnection], bytes]:
    """What makes the line of one item, as wide as `out` allows."""
    width = terminal_width(out)
    return lambda item: _exchange(item, width) if isinstance(item, Exchange) else _opaque(item, width)


def terminal_width(out: BinaryIO) -> int | None:
    """Columns of the terminal that `out` is; None if it is none."""
    try:
        return os.get_terminal_size(out.fileno()).columns if out.isatty() else None
    except (OSError, AttributeError, ValueError):
        return None


def _exchange(exchange: Exchange, width: int | None) -> bytes:
    request, response = exchange.request, exchange.response
    cells = (
        exchange.id,
        moment(exchange.started_at)[11:23],
        _process(exchange),
        visible(request.method) if request else "-",
        str(response.status) if response else "-",
        size_text(response.body.size) if response else "-",
        "-" if exchange.duration_ns is None else duration_text(exchange.duration_ns),
    )
    return _line(cells, visible(request.target) if request else "-", notes(exchange), width)


def _opaque(item: OpaqueConnection, width: int | None) -> bytes:
    cells = (item.connection.id, "-", _process(item), "-", "-", size_text(item.response_bytes), "-")
    note = f"{visible(item.protocol)}, {item.detail or size_text(item.request_bytes) + ' sent by the client'}"
    missing = f", {size_text(item.missing_bytes)} missing" if item.missing_bytes else ""
    return _line(cells, visible(item.connection.server) or "-", note + missing, width)


def _process(item: Exchange | OpaqueConnection) -> str:
    process = item.process
    return "-" if process is None else f"{visible(process.comm) or '?'}[{process.pid}]"


def notes(exchange: Exchange) -> str:
    """What is not as it should be, shortest first: how complete it is, then each problem once."""
    words = [] if exchange.complete else [exchange.completeness.replace("-", " ")]
    words += dict.fromkeys(map(_problem, exchange.problems))
    return ", ".join(words)


def _problem(problem: Problem) -> str:
    if problem.code == "gap":
        length = "" if problem.length is None else f"{size_text(problem.length)} "
        return f"{length}{visible(problem.reason)}"
    return visible(problem.code)


def _line(cells: tuple[str, ...], target: str, note: str, width: int | None) -> bytes:
    """`cells` are those of _WIDE; a narrow terminal leaves some out."""
    shown = _NARROW if width is not None and width < _NARROW_WIDTH else _WIDE
    columns = [
        cell_text(cell, column[1], column[2], cut=width is not None)
        for cell, column in zip(cells, _WIDE, strict=True)
        if column in shown
    ]
    if width is None:
        columns += [target.ljust(_TARGET_PIPED), note]
        text = "  ".join(columns)
    else:
        left = max(width - sum(column[1] + 2 for column in shown), 8)
        text = ("  ".join(columns) + "  " + _target_and_note(target, note, left))[:width]
    return (text.rstrip() + "\n").encode("utf-8", "backslashreplace")


def _target_and_note(target: str, note: str, width: int) -> str:
    """Both in `width` columns: a line without notes gives their room to its target, and the other way round."""
    for_note = min(len(note), max(_NOTES, width - len(target) - 2), width // 2)
    if not for_note:
        return shortened(target, width)
    for_target = width - for_note - 2
    return f"{shortened(target, for_target).ljust(for_target)}  {shortened(note, for_note)}"


def cell_text(text: str, width: int, right: bool, cut: bool) -> str:
    """`text` in a column; too long a text is shortened in the middle only if `cut`."""
    text = shortened(text, width) if cut else text
    return text.rjust(width) if right else text.ljust(width)


def size_text(size: int) -> str:
    """Bytes, in powers of 1000 from 10 kB on."""
    if size < 10_000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_in = size / 1000
        size = size // 1000
        if size < 1000:
            return f"{size_in:.1f} {unit}"
    return f"{size} TB"


def duration_text(ns: int) -> str:
    """A duration with three significant digits or so: `950 µs`, `12.3 ms`, `4.56 s`."""
    if ns < 1_000_000:
        return f"{ns / 1000:.0f} µs"
    return f"{ns / 1e6:.1f} ms" if ns < 1_000_000_000 else f"{ns / 1e9:.2f} s"
