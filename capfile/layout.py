"""Where the fields of an event stand: the table of a Header frame in, a decoder of events out.

A file says itself how its events are laid out. Fields are found by name; names that this program does not know are
skipped and listed in `unknown`; a table that no event could have is a `DamagedFrame`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from capfile.errors import DamagedFrame
from capfile.event import EVENT_SIZE, FIELDS
from capfile.limits import MAX_EVENT_SIZE, MAX_LAYOUT_FIELDS

_WIDTH: Final = {"B": 1, "b": 1, "H": 2, "h": 2, "I": 4, "i": 4, "Q": 8, "q": 8}
_OURS: Final = [list(row) for row in FIELDS]
_SIGNED: Final = {name for name, code, _ in FIELDS if code.islower()}


class EventLayout:
    """The layout of one segment's events. `size` is the bytes before the payload."""

    def __init__(self, rows: Sequence[Sequence[Any]], size: int) -> None:
        """Check the table; `DamagedFrame` where it is impossible or lacks a field that every event has."""
        if not len(FIELDS) <= len(rows) <= MAX_LAYOUT_FIELDS or not 1 <= size <= MAX_EVENT_SIZE:
            raise DamagedFrame(f"impossible event layout: {len(rows)} fields in {size} bytes")
        self.size = size
        self.is_ours = rows == _OURS and size == EVENT_SIZE
        places = sorted(_place(row, size) for row in rows)
        names = [name for _, _, name in places]
        _refuse_overlap(places)
        known = {name for name, _, _ in FIELDS}
        if len(set(names)) < len(names) or not known <= set(names):
            raise DamagedFrame("impossible event layout: fields missing or named twice")
        self.unknown = tuple(name for name in names if name not in known)
        wanted = [place for place in places if place[2] in known]
        order = [name for _, _, name in wanted]
        self._struct = struct.Struct(_format(wanted))
        self._pick = itemgetter(*(order.index(name) for name, _, _ in FIELDS))

    def fields(self, raw: bytes | memoryview, offset: int) -> tuple[int, ...]:
        """The known fields of the event at `offset`, in the order of `Event`. `size` bytes must be there."""
        picked: tuple[int, ...] = self._pick(self._struct.unpack_from(raw, offset))
        return picked


def _place(row: Sequence[Any], size: int) -> tuple[int, str, str]:
    """One row as (offset, code, name)."""
    match row:
        case [str(name), str(code), int(offset), *_]:
            # `bool` is an `int` to isinstance, not to a file
            possible = code in _WIDTH and offset is not True and offset is not False
            if (
                possible
                and 0 <= offset <= size - _WIDTH[code]
                and (code.islower() == (name in _SIGNED) or not _known(name))
            ):
                return offset, code, name
    raise DamagedFrame(f"impossible event layout: field {str(row)[:80]}")


def _known(name: str) -> bool:
    return any(name == known for known, _, _ in FIELDS)


def _refuse_overlap(places: list[tuple[int, str, str]]) -> None:
    end = 0
    for offset, code, name in places:
        if offset < end:
            raise DamagedFrame(f"impossible event layout: field {name[:40]!r} overlaps the one before it")
        end = offset + _WIDTH[code]


def _format(places: list[tuple[int, str, str]]) -> str:
    """The struct format of the known fields, what lies between them skipped."""
    parts, at = ["<"], 0
    for offset, code, _ in places:
        parts.append(f"{offset - at}x{code}")
        at = offset + _WIDTH[code]
    return "".join(parts)


OURS: Final = EventLayout(_OURS, EVENT_SIZE)
