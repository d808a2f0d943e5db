"""Steps of sockets in, results of conversations out: which side a socket is, who uses it, and which other socket is the
other end of the same connection.

The only stage that knows both sockets and conversations. Reads no byte but the first ones of a socket of which nobody
saw who accepted or connected it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Literal, Protocol

from capfile.event import Direction, Flag, SocketFacts
from replay.addresses import Addresses, addresses, ends, names
from replay.both_ends import BUCKETS, MAX_HELD_IN_BUCKET, BothEnds, End, bucket_of, is_shown
from replay.dispatch import Conversation
from replay.exchange import Connection, ProcessFacts
from replay.processes import Processes
from replay.stream import Bytes, Eof, Flow, Side, StreamEvent
from replay.streams import SocketState, Step

# "auto" shows an exchange that was recorded at both ends once: as the server saw it, or the client if that end alone
# missed nothing of the connection.
SidePolicy = Literal["auto", "server", "client", "both"]
MAX_UNDECIDED_BYTES: Final = 64 << 10  # of a socket of unknown side: a request line is far shorter
NO_ADDRESSES: Final = Addresses("inet", "", "")
# Plain numbers, since operators of enums are Python code.
_JOINED, _ACCEPTED, _CONNECTED = int(Flag.JOINED), int(Flag.ACCEPTED), int(Flag.CONNECTED)


class Listener(Protocol):
    """What becomes of a connection once its side is known: a `Conversation`, or one that only listens."""

    connection: Connection

    def feed(self, flow: Flow, event: StreamEvent) -> list[Any]:
        """Take one event; what it finished."""
        ...


MakeListener = Callable[[Connection, ProcessFacts | None, int], Listener]


class _End(End):
    """A socket as this stage knows it."""

    __slots__ = (
        "addresses",
        "both",
        "conversation",
        "key",
        "pending",
        "pending_bytes",
        "request_direction",
        "shown",
        "twin",
    )

    def __init__(self) -> None:
        super().__init__()
        self.addresses = NO_ADDRESSES
        self.key: Hashable = None
        self.twin = False  # the other end of the connection is recorded too
        self.both: BothEnds | None = None  # while it is not decided which of the two is shown
        self.conversation: Listener | None = None
        self.request_direction = 0
        self.shown = True
        self.pending: list[tuple[int, StreamEvent]] = []  # until the side is known
        self.pending_bytes = 0


class Connections:
    """All connections of one recording."""

    def __init__(
        self,
        processes: Processes,
        clock_offset_ns: int = 0,
        side: SidePolicy = "auto",
        prefix: str = "",
        listener: MakeListener = Conversation,
        *,
        patient: bool = True,
    ) -> None:
        """`patient`: nobody waits for the results of a connection that goes on."""
        self._listener = listener
        self._processes = processes
        self._clock_offset_ns = clock_offset_ns
        self._policy = side
        self._prefix = prefix
        self._patient = patient
        self._living: dict[Hashable, _End] = {}
        self._undecided_ends: dict[int, BothEnds] = {}  # by their identity
        self._held = [0] * BUCKETS  # bytes of them

    def feed(self, step: Step) -> list[Any]:
        """Take one step of one socket; what it finished."""
        socket, direction, event = step
        end = socket.user
        if type(end) is not _End:
            end = socket.user = _End()
        if event is None:
            if socket.gone:
                self._forget(end)
            else:
                self._facts(socket, end)
            return []
        conversation = end.conversation
        if conversation is None:
            results = self._undecided(socket, end, direction, event)
        else:
            results = conversation.feed("request" if direction == end.request_direction else "response", event)
        if type(event) is not Bytes:
            end.note(event)
        return results if end.shown else self._hidden(end, event, results)

    def undecided(self) -> list[BothEnds]:
        """Those connections of which it is not decided yet which end is shown."""
        return sorted(self._undecided_ends.values(), key=lambda both: both.generation)

    def decide(self, both: BothEnds) -> list[Any]:
        """Which of the two ends is shown from now on; what was held of it."""
        side = both.decide()
        del self._undecided_ends[id(both)]
        self._held[both.bucket] -= both.weight
        for each in both.ends:
            assert isinstance(each, _End)
            each.both = None
            each.shown = is_shown(each.side, side)
        return both.release()

    # -- addresses and the other end

    def _facts(self, socket: SocketState, end: _End) -> None:
        facts = socket.facts
        assert facts is not None
        end.addresses = addresses(facts)
        self._forget(end)
        self._find_twin(socket, facts, end)

    def _find_twin(self, socket: SocketState, facts: SocketFacts, end: _End) -> None:
        key, other = ends(socket.socket, facts, end.addresses)
        if key is not None:
            end.key = key
            self._living[key] = end
        twin = self._living.get(other) if other is not None else None
        if twin is not None and twin is not end:
            if self._policy == "auto" and self._patient and not (end.twin or twin.twin):
                both = BothEnds((end, twin), bucket_of(*names(socket.socket, facts)), socket.generation)
                end.both = twin.both = both
                self._undecided_ends[id(both)] = both
            for each in (end, twin):
                each.twin = True
                self._decide_shown(each)

    def _hidden(self, end: _End, event: StreamEvent, results: list[Any]) -> list[Any]:
        """Results of an end that is not shown, or not yet."""
        both = end.both
        if both is None:
            return []
        before = both.weight
        over = both.hold(end, event, results)
        self._held[both.bucket] += both.weight - before
        if self._held[both.bucket] > MAX_HELD_IN_BUCKET:
            full = [each for each in self._undecided_ends.values() if each.bucket == both.bucket]
            return [result for each in full for result in self.decide(each)]
        return self.decide(both) if over else []

    def _forget(self, end: _End) -> None:
        if end.key is not None and self._living.get(end.key) is end:
            del self._living[end.key]

    def _decide_shown(self, end: _End) -> None:
        if self._policy == "both" or end.conversation is None:
            return
        side = end.conversation.connection.side
        if end.both is not None:
            end.shown = False
        else:
            end.shown = not (end.twin and side == "client") if self._policy == "auto" else side == self._policy

    # -- which side

    def _undecided(self, socket: SocketState, end: _End, direction: int, event: StreamEvent) -> list[Any]:
        """Hold what comes until the side is known, then begin the conversation with it."""
        end.pending.append((direction, event))
        if isinstance(event, Bytes):
            end.pending_bytes += len(event.data)
        side = _side_by_flags(socket) or side_by_bytes(end.pending)
        if side is None:
            over = end.pending_bytes > MAX_UNDECIDED_BYTES
            if not over and sum(isinstance(e, Eof) for _, e in end.pending) < 2:
                return []
            side = _side_by_ports(end.addresses)
        self._begin(socket, end, side)
        pending, end.pending = end.pending, []
        results: list[Any] = []
        assert end.conversation is not None
        for each, held in pending:
            flow: Flow = "request" if each == end.request_direction else "response"
            results += end.conversation.feed(flow, held)
        return results

    def _begin(self, socket: SocketState, end: _End, side: Side) -> None:
        known = end.addresses
        end.request_direction = int(Direction.RECEIVE if side == "server" else Direction.SEND)
        connection = Connection(
            f"{self._prefix}{socket.generation}",
            known.family,
            client=known.remote if side == "server" else known.local,
            server=known.local if side == "server" else known.remote,
            side=side,
            socket=socket.socket,
            generation=socket.generation,
            joined_midstream=bool(socket.flags & _JOINED),
            opened_at=socket.opened_at,
        )
        process = self._processes.facts(socket.tgid, socket.opened_at) if socket.tgid else None
        end.side = side
        end.missed |= connection.joined_midstream
        end.conversation = self._listener(connection, process, self._clock_offset_ns)
        self._decide_shown(end)


def _side_by_flags(socket: SocketState) -> Side | None:
    if socket.flags & _ACCEPTED:
        return "server"
    return "client" if socket.flags & _CONNECTED else None


def side_by_bytes(events: list[tuple[int, StreamEvent]]) -> Side | None:
    """The side that the first bytes of either direction show: who sends a request is the client."""
    for direction in (Direction.RECEIVE, Direction.SEND):
        first = b"".join(e.data for d, e in events if d == direction and isinstance(e, Bytes))
        sender = _role(first)
        if sender is not None:
            # what the traced process receives comes from the other side
            return sender if direction == Direction.SEND else ("server" if sender == "client" else "client")
    return None


def _role(first: bytes) -> Side | None:
    """Who sends a direction that begins with these bytes, if they show it."""
    if first.startswith((b"HTTP/1.", b"HTTP/0.")):
        return "server"
    if len(first) > 5 and first[:2] == b"\x16\x03" and first[5] in (1, 2):
        return "client" if first[5] == 1 else "server"  # RFC 8446 §4: client_hello(1), server_hello(2)
    line, end, _ = first.partition(b"\r\n")
    return "client" if end and b" HTTP/" in line else None


def _side_by_ports(known: Addresses) -> Side:
    """A server's port is the lower one, as a rule: the kernel gives clients ports from 32768 on."""
    return "client" if known.remote_port and known.remote_port < known.local_port else "server"
