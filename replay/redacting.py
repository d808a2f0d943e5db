"""Which bytes of a recording are secrets: ordered events in, ranges per direction out; then events changed by them.

Two passes, because a value may be spread over events, and what stands for it depends on all of it. Connections that are
not HTTP/1 in clear (TLS, HTTP/2, WebSocket, unknown) cannot be searched: their payload is left out by `drop`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from capfile.event import Event, Flag, Kind, Reason
from capfile.redaction import Secret, SecretFinder, Tokens
from replay.stream import Bytes
from replay.streams import Step

Flow = tuple[int, int]  # generation, direction


@dataclass(slots=True)
class Secrets:
    """The secrets of each direction, replaced: (position, token) in order."""

    tokens: Tokens
    names: tuple[str, ...]
    opaque: frozenset[int]  # generations whose payload cannot be searched
    count: int = 0
    _finders: dict[Flow, SecretFinder] = field(default_factory=dict)
    _places: dict[Flow, list[int]] = field(default_factory=dict)
    _values: dict[Flow, list[bytes]] = field(default_factory=dict)

    def search(self, steps: Iterable[Step]) -> None:
        """Feed the streams of the recording."""
        for socket, direction, event in steps:
            flow = (socket.generation, direction)
            if isinstance(event, Bytes) and socket.generation not in self.opaque:
                finder = self._finders.get(flow)
                if finder is None:
                    finder = self._finders[flow] = SecretFinder(self.names)
                self._note(flow, finder.feed(event.data, event.position))

    def finish(self) -> None:
        """All streams have ended."""
        for flow, finder in self._finders.items():
            self._note(flow, finder.finish())
        self._finders.clear()

    def _note(self, flow: Flow, found: list[Secret]) -> None:
        for secret in found:
            self.count += 1
            self._places.setdefault(flow, []).append(secret.position)
            self._values.setdefault(flow, []).append(self.tokens.token(secret.value))

    def event(self, event: Event) -> Event:
        """The event with its part of each secret replaced; of a connection that cannot be searched without payload."""
        if event.kind != Kind.DATA or not event.payload or event.flags & Flag.FILE_NAME:
            return event
        if event.generation in self.opaque:
            return event._replace(captured=0, payload=b"", reason=Reason.REDACTED)
        flow = (event.generation, event.direction)
        places = self._places.get(flow)
        return event if not places else self._replaced(event, places, self._values[flow])

    def _replaced(self, event: Event, places: list[int], values: list[bytes]) -> Event:
        start, payload = event.position, bytearray(event.payload)
        number = max(0, bisect_right(places, start) - 1)
        while number < len(places) and places[number] < start + len(payload):
            place, value = places[number], values[number]
            first, last = max(place, start), min(place + len(value), start + len(payload))
            if first < last:
                payload[first - start : last - start] = value[first - place : last - place]
            number += 1
        return event._replace(payload=bytes(payload))
