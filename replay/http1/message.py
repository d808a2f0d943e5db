"""One message while it is being read: a plain record that the framer fills and the connection turns into facts."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from replay.exchange import Body, Headers, Informational, Problem, Request, Response
from replay.http1.bodies import EMPTY_BODY, BodyBuilder
from replay.http1.framing import NOTHING_DECLARED, Declared
from replay.http1.heads import RequestHead, ResponseHead
from replay.http1.limits import OBJECT_WEIGHT
from replay.stream import Flow, Gap


class Loss(Struct, frozen=True, gc=False):
    """Bytes that belong to no message that was begun: not seen ("gap") or not read ("unframed", "empty-lines", …)."""

    code: str
    position: int
    length: int | None
    reason: str = ""
    detail: str = ""

    @classmethod
    def of(cls, gap: Gap) -> Loss:
        """Bytes that were not seen."""
        return cls("gap", gap.position, gap.length, gap.reason, gap.detail)


class Message:
    """A message that began at `position` of its direction with a byte seen at `time`."""

    __slots__ = (
        "body",
        "declared",
        "end_position",
        "ended",
        "first_byte_time",
        "flow",
        "gap",
        "head",
        "last_byte_time",
        "longest_stall_ns",
        "longest_stall_position",
        "position",
        "problems",
        "raw_head",
        "trailers",
        "truncated",
    )

    def __init__(self, flow: Flow, position: int, time: int) -> None:
        self.flow: Flow = flow
        self.position = position
        self.end_position = position
        self.first_byte_time = time
        self.last_byte_time = time
        self.longest_stall_ns = 0
        self.longest_stall_position = 0
        self.raw_head = b""
        self.head: RequestHead | ResponseHead | None = None
        self.declared: Declared = NOTHING_DECLARED
        self.body: BodyBuilder | None = None
        self.trailers: Headers = ()
        self.problems: list[Problem] = []
        self.ended = False
        self.gap = False  # bytes of it are missing
        self.truncated = ""  # or how the direction ended inside it

    def carried(self, position: int, time: int) -> None:
        """A read or write that ended at `time` carried its byte at `position`."""
        pause = time - self.last_byte_time
        if pause > self.longest_stall_ns:
            self.longest_stall_ns = pause
            self.longest_stall_position = position
        self.last_byte_time = time

    def problem(
        self, code: str, position: int | None = None, length: int | None = None, reason: str = "", detail: str = ""
    ) -> None:
        """Name a deviation or a loss at `position` of its direction."""
        offset = None if position is None else position - self.position
        self.problems.append(Problem(code, self.flow, offset, length, reason, detail))

    def state_losses(self, losses: Iterable[Loss]) -> None:
        """State losses before or inside it."""
        for loss in losses:
            self.problem(loss.code, loss.position, loss.length, loss.reason, loss.detail)

    @property
    def weight(self) -> int:
        """Bytes it keeps in memory, about: a field of a few bytes weighs more in objects."""
        objects = len(self.problems) + (len(self.head.headers) if self.head else 0)
        return len(self.raw_head) + objects * OBJECT_WEIGHT + (self.body.kept if self.body else 0)

    def request(self) -> Request | None:
        """The facts; None where not even its request line is known."""
        head = self.head
        if not isinstance(head, RequestHead):
            return None
        return Request(
            head.method,
            head.target,
            head.version,
            head.headers,
            self._body(),
            self.trailers,
            self.raw_head,
            self.position,
            self.end_position,
            self.first_byte_time,
            self.last_byte_time,
            self.longest_stall_ns,
            self.longest_stall_position,
        )

    def response(self, informational: tuple[Informational, ...]) -> Response | None:
        """The facts; None where not even its status is known."""
        head = self.head
        if not isinstance(head, ResponseHead):
            return None
        return Response(
            head.status,
            head.reason,
            head.version,
            head.headers,
            self._body(),
            self.trailers,
            informational,
            self.raw_head,
            self.position,
            self.end_position,
            self.first_byte_time,
            self.last_byte_time,
            self.longest_stall_ns,
            self.longest_stall_position,
        )

    def _body(self) -> Body:
        if self.body is None:
            return EMPTY_BODY
        body, remark = self.body.build(self.declared.content_codings, self.declared.transfer_codings)
        if remark:
            self.problem("coding-error", detail=remark)
        if not self.body.kept_whole:
            self.problem("body-not-kept", detail=f"{self.body.kept} bytes kept")
        return body
