"""An exchange in, the recorded events it was made from out: those of its socket whose bytes overlap its byte ranges.

Reads the recording again; the exchange itself holds no event. Also the control events of the socket while it lasted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from capfile.event import Direction, Event, Flag, Kind, Reason
from replay.events import ordered
from replay.exchange import Exchange
from replay.ledger import Ledger
from replay.output.escaping import shortened, visible
from replay.output.moments import moment
from replay.source import Recording

PREVIEW: Final = 60  # characters of a payload that are shown
Range = tuple[int, int]


def evidence(recording: Recording, exchange: Exchange) -> Iterator[Event]:
    """The events, in the order in which the replay takes them."""
    connection, outlook = exchange.connection, recording.outlook()
    ranges = ranges_of(exchange)
    for item in ordered(recording.frames(), outlook, Ledger(outlook.counters)):
        if (
            type(item) is Event
            and item.generation == connection.generation
            and item.socket == connection.socket
            and (item.kind != Kind.DATA or _overlaps(item, ranges.get(item.direction)))
        ):
            yield item


def ranges_of(exchange: Exchange) -> dict[int, Range]:
    """Direction of the socket -> [first byte, one past the last) that the exchange occupies there."""
    server = exchange.connection.side == "server"
    ranges: dict[int, Range] = {}
    if exchange.request is not None:
        direction = Direction.RECEIVE if server else Direction.SEND
        ranges[direction] = (exchange.request.position, exchange.request.end_position)
    if exchange.response is not None:
        direction = Direction.SEND if server else Direction.RECEIVE
        first = min([exchange.response.position, *(one.position for one in exchange.response.informational)])
        ranges[direction] = (first, exchange.response.end_position)
    return ranges


def _overlaps(event: Event, wanted: Range | None) -> bool:
    return wanted is not None and event.position < wanted[1] and event.position + event.size > wanted[0]


def event_line(event: Event, clock_offset_ns: int) -> str:
    """One event as a line of text: what, when, who, which bytes, why some are missing, and how they begin."""
    words = [
        moment(event.time + clock_offset_ns),
        _name(Kind, event.kind),
        f"pid={event.tgid} tid={event.tid} fd={event.fd} syscall={event.syscall}",
    ]
    if event.kind == Kind.DATA:
        words.append(f"{_name(Direction, event.direction)} {event.position}..{event.position + event.size}")
        captured = 0 if event.flags & Flag.FILE_NAME else event.captured
        if captured < event.size:
            words.append(f"captured={captured} reason={_name(Reason, event.reason)}")
    if event.flags:
        words.append("flags=" + ",".join(flag.name.lower() for flag in Flag(event.flags & ~(~0 << 11)) if flag.name))
    if event.kind == Kind.DATA and event.payload:
        words.append(preview(bytes(event.payload[: PREVIEW + 1])))
    return "  ".join(words)


def preview(data: bytes) -> str:
    """The beginning of a payload between quotes, line ends as \\r\\n."""
    text = data.decode("latin-1").replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
    return f'"{shortened(visible(text), PREVIEW)}"'


def _name(names: type[Kind] | type[Direction] | type[Reason], value: int) -> str:
    try:
        return names(value).name.lower().replace("_", "-")
    except ValueError:
        return str(value)
