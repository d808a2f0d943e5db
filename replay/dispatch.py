"""Which layer reads a connection: a table from protocol to layer, and the hand-over from one layer to the next.

A layer is sans-IO: it takes the events of both flows and gives back exchanges. A protocol without a layer is counted
and listed as an `OpaqueConnection`, never read as something it is not. Knows no socket and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Protocol

from replay.exchange import Connection, Exchange, OpaqueConnection, ProcessFacts
from replay.http1.connection import Handover, Http1Connection
from replay.http1.message import Loss
from replay.recognise import EMPTY, HTTP1, LOOKED_AT, UNDECIDED, UNKNOWN, recognise
from replay.stream import Bytes, Eof, Flow, Gap, StreamEvent

Result = Exchange | OpaqueConnection
LayerFactory = Callable[[Connection, ProcessFacts | None, int], "Layer"]


class Layer(Protocol):
    """What reads one protocol. `handover` names the next one once the bytes are no longer this layer's."""

    handover: Handover | None
    unplaced: list[Loss]  # after `finish`: what was lost and belongs to no exchange

    def feed(self, flow: Flow, event: StreamEvent) -> list[Exchange]:
        """Take one event; the exchanges it finished."""
        ...

    def finish(self, time: int) -> list[Exchange]:
        """Nothing follows: what is unfinished, as it stands."""
        ...


# protocol -> the layer that reads it; a protocol that is not here is opaque. The names are those of
# `replay.recognise`, of the Upgrade header field ("websocket", "h2c") and "tunnel" for CONNECT.
LAYERS: Final[dict[str, LayerFactory]] = {HTTP1: Http1Connection}
# What HTTP/1 may still turn out to be: it waits for the first believable start line and says so if none comes.
_PERHAPS_HTTP1: Final = frozenset({EMPTY, UNDECIDED, UNKNOWN})


class Conversation:
    """One connection's two flows on their way through the layers."""

    __slots__ = (
        "_clock",
        "_first",
        "_held",
        "_last",
        "_layer",
        "_layers",
        "_missing",
        "_open",
        "connection",
        "process",
    )

    def __init__(
        self,
        connection: Connection,
        process: ProcessFacts | None,
        clock_offset_ns: int,
        layers: Mapping[str, LayerFactory] = LAYERS,
    ) -> None:
        self.connection = connection
        self.process = process
        self._clock = clock_offset_ns
        self._layers = layers
        self._layer: Layer | _Opaque | None = None
        self._held: list[tuple[Flow, StreamEvent]] = []  # until enough bytes are there to recognise the protocol
        self._first: dict[Flow, int] = {}  # position where each flow began
        self._last: dict[Flow, StreamEvent] = {}  # the event before this one: what follows a hand-over may be in it
        self._missing: dict[Flow, int] = {"request": 0, "response": 0}
        self._open = 2

    def feed(self, flow: Flow, event: StreamEvent) -> list[Result]:
        """Take one event; what it finished."""
        layer = self._layer
        results: list[Result] = [] if layer is None else layer.feed(flow, event)  # type: ignore[assignment]
        if layer is not None and layer.handover is None and type(event) is Bytes:
            self._last[flow] = event
            return results
        return self._unusual(layer, flow, event, results)

    def _unusual(
        self, layer: Layer | _Opaque | None, flow: Flow, event: StreamEvent, results: list[Result]
    ) -> list[Result]:
        """What is not the next bytes of a layer that goes on: the beginning, a gap, the end, a hand-over."""
        if layer is None:
            self._first.setdefault(flow, event.position)
            results += self._recognise(flow, event)
        elif layer.handover is not None:
            results += self._hand_over(layer, layer.handover, flow, event)
        self._last[flow] = event
        if type(event) is not Bytes:
            if isinstance(event, Gap):
                self._missing[flow] += event.length or 0
            else:
                self._open -= 1
                results += [] if self._open else self._finish(event.time)
        return results

    def _recognise(self, flow: Flow, event: StreamEvent) -> list[Result]:
        """Hold what comes until the protocol is known, then let the layer have it all."""
        self._held.append((flow, event))
        first = b"".join(e.data for f, e in self._held if f == flow and isinstance(e, Bytes))
        protocol = recognise(first)
        if protocol in (EMPTY, UNDECIDED) and isinstance(event, Bytes) and len(first) < LOOKED_AT:
            return []
        if protocol == EMPTY and isinstance(event, Eof) and self._open > 1:
            return []  # the other flow may still say something
        self._layer = self._choose(protocol)
        held, self._held = self._held, []
        results: list[Result] = []
        for held_flow, held_event in held:
            results += self._layer.feed(held_flow, held_event)
            handover = self._layer.handover
            if handover is not None:
                results += self._hand_over(self._layer, handover, held_flow, held_event)
            self._last[held_flow] = held_event
        return results

    def _choose(self, protocol: str) -> Layer | _Opaque:
        if protocol in _PERHAPS_HTTP1:
            protocol = HTTP1
        factory = self._layers.get(protocol)
        if factory is None:
            return _Opaque(protocol, self._first.get("request", 0), self._first.get("response", 0))
        return factory(self.connection, self.process, self._clock)

    def _hand_over(self, layer: Layer | _Opaque, to: Handover, flow: Flow, event: StreamEvent) -> list[Result]:
        """End this layer, start the next, and give it the part of the last events that is behind the hand-over."""
        if isinstance(layer, _Opaque):
            return []
        results: list[Result] = [*layer.finish(to.time or event.time)]
        starts: dict[Flow, int] = {"request": to.request_position, "response": to.response_position}
        factory = self._layers.get(to.protocol)
        if factory is None or to.cause == "not-http":
            self._layer = _Opaque(to.protocol, to.request_position, to.response_position)
            return results
        self._layer = factory(self.connection, self.process, self._clock)
        for each, seen in {**self._last, flow: event}.items():
            results += self._layer.feed(each, rest) if (rest := _after(seen, starts[each])) is not None else []
        return results

    def _finish(self, time: int) -> list[Result]:
        layer = self._layer
        if layer is None:
            return []
        if isinstance(layer, _Opaque):
            return [self._opaque(layer)]
        results: list[Result] = [*layer.finish(time)]
        if layer.handover is not None:
            to = layer.handover
            results.append(self._opaque(_Opaque(to.protocol, to.request_position, to.response_position)))
        elif lost := sum(loss.length or 0 for loss in layer.unplaced if loss.code == "gap"):
            results.append(
                OpaqueConnection(self.connection, self.process, HTTP1, 0, 0, lost, "bytes lost that no exchange has")
            )
        return results

    def _opaque(self, layer: _Opaque) -> OpaqueConnection:
        request, response = (self._bytes(flow, layer.starts[flow]) for flow in ("request", "response"))
        missing = sum(self._missing.values())
        return OpaqueConnection(
            self.connection, self.process, layer.protocol, request, response, min(missing, request + response)
        )

    def _bytes(self, flow: Flow, start: int) -> int:
        """Bytes from `start` (or where the flow was first seen) to its end, those that were not captured included."""
        last = self._last.get(flow)
        if last is None:
            return 0
        end = last.position + (len(last.data) if isinstance(last, Bytes) else 0)
        return max(0, end - max(start, self._first.get(flow, 0)))


class _Opaque:
    """Where a protocol without a layer begins in each flow; the conversation knows the rest."""

    handover = None
    unplaced: ClassVar[list[Loss]] = []

    def __init__(self, protocol: str, request_position: int, response_position: int) -> None:
        self.protocol = protocol
        self.starts: dict[Flow, int] = {"request": request_position, "response": response_position}

    def feed(self, flow: Flow, event: StreamEvent) -> list[Exchange]:
        """Nothing is read."""
        return []


def _after(event: StreamEvent, position: int) -> StreamEvent | None:
    """The part of an event from `position` on; None if nothing is left of it."""
    if event.position >= position:
        return event
    if isinstance(event, Bytes):
        left = event.data[position - event.position :]
        return Bytes(position, event.time, left) if left else None
    if isinstance(event, Gap) and event.length is not None and event.position + event.length > position:
        return Gap(position, event.time, event.position + event.length - position, event.reason, event.detail)
    return None
