"""What one drain pass took from all data rings in, the same bytes with tokens for the secret headers' values out.

Works in place on a copy; lengths, records and framing stay. The matcher and the tokens are capfile.redaction's; this
knows in which order the events of several rings belong together, and which pieces of a direction are still at hand. A
value that has begun when the pass ends is replaced as far as it came: nothing of it waits for the next pass.
"""

from __future__ import annotations

import heapq
import secrets
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

from capfile.event import EVENT_SIZE, FIELDS, PERF_HEADER, PERF_RECORD_SAMPLE, Event, Flag, Kind
from capfile.records import records
from capfile.redaction import NAMES, SCHEME, Secret, SecretFinder, Tokens

MAX_FLOWS: Final = 16_384  # directions with state, about 1 KiB each; of the one unused longest the state is forgotten
KEY_BYTES: Final = 32  # HMAC-SHA-256's own strength
_RAW: Final = PERF_HEADER.size + 4  # where the event starts in a sample
_TIME: Final = struct.Struct("<Q")
_TIME_OFFSET: Final = _RAW + next(offset for name, _, offset in FIELDS if name == "time")
Flow = tuple[int, int]  # generation, direction
Spots = list[tuple[int, memoryview]]  # position and bytes of the events that a value may stand in


class Redactor:
    """Finds and replaces the values of the headers `names`, under a key that lives and dies with it."""

    def __init__(self, names: Sequence[str] = NAMES, max_flows: int = MAX_FLOWS) -> None:
        self.names = tuple(names)
        self.count = 0  # values replaced, a part of one counted for itself
        self._tokens = Tokens(secrets.token_bytes(KEY_BYTES))
        self._max_flows = max_flows
        self._finders: OrderedDict[Flow, SecretFinder] = OrderedDict()

    def facts(self) -> dict[str, Any]:
        """What the Header says of it; never the key."""
        return {"at": "capture", "headers": list(self.names), "scheme": SCHEME}

    def replace(self, copies: Sequence[bytearray]) -> None:
        """Replace in place in `copies`: what a pass took from each ring, whole records. Raises `EventError`."""
        spots: dict[Flow, Spots] = {}
        for event in heapq.merge(*map(_searched, copies), key=attrgetter("time")):
            flow = (event.generation, event.direction)
            finder, places = self._finder(flow), spots.setdefault(flow, [])
            assert isinstance(event.payload, memoryview)
            places.append((event.position, event.payload))
            self._put(finder.feed(bytes(event.payload), event.position), places)
            if not finder.inside:
                places.clear()
        for flow, places in spots.items():
            self._put(self._finders[flow].part(), places)
        while len(self._finders) > self._max_flows:
            self._finders.popitem(last=False)

    def _finder(self, flow: Flow) -> SecretFinder:
        finder = self._finders.get(flow)
        if finder is None:
            finder = self._finders[flow] = SecretFinder(self.names)
        self._finders.move_to_end(flow)
        return finder

    def _put(self, found: Sequence[Secret], places: Spots) -> None:
        for secret in found:
            self.count += 1
            token = self._tokens.token(secret.value)
            for start, payload in places:
                first = max(secret.position, start)
                last = min(secret.position + len(token), start + len(payload))
                if first < last:
                    payload[first - start : last - start] = token[first - secret.position : last - secret.position]


def _searched(copy: bytearray) -> Iterator[Event]:
    """The events with bytes of a stream, their payloads views of `copy`."""
    for event in records(memoryview(copy)):
        if isinstance(event, Event) and event.kind == Kind.DATA and event.payload and not event.flags & Flag.FILE_NAME:
            yield event


def length_until(copy: bytearray, time: int) -> int:
    """How many bytes of `copy` are whole records before the first event later than `time` (ns of CLOCK_MONOTONIC)."""
    offset = 0
    while offset < len(copy):
        kind, _, size = PERF_HEADER.unpack_from(copy, offset)
        if kind == PERF_RECORD_SAMPLE and size >= _RAW + EVENT_SIZE:
            (then,) = _TIME.unpack_from(copy, offset + _TIME_OFFSET)
            if then > time:
                break
        offset += max(size, PERF_HEADER.size)
    return offset
