"""A finished slot in, an `Exchange` out: completeness, timing, problems. Pure."""

from __future__ import annotations

from replay.exchange import Completeness, Connection, Exchange, Problem, ProcessFacts, Request, Response
from replay.http1.limits import MAX_PROBLEMS
from replay.http1.message import Loss, Message
from replay.http1.slot import Slot, losses_of


def build_exchange(
    slot: Slot, connection: Connection, process: ProcessFacts | None, clock_offset_ns: int, ordinal: int
) -> Exchange | None:
    """The facts of one exchange; None where no start line of it is known."""
    request = slot.request.request() if slot.request else None
    response = slot.response.response(tuple(slot.informational)) if slot.response else None
    final = response is not None
    if response is None:
        response = _interim(slot)
    if request is None and response is None:
        return None
    started = _started(slot, request, response)
    request_ns = request.last_byte_time - request.first_byte_time if request else None
    response_ns = response.last_byte_time - response.first_byte_time if response and final else None
    wait_ns = duration_ns = None
    if request and response and final:
        wait_ns = max(response.first_byte_time - request.last_byte_time, 0)
        duration_ns = max(response.last_byte_time, request.last_byte_time) - request.first_byte_time
    return Exchange(
        f"{connection.id}-{ordinal}",
        _protocol(request, response),
        connection,
        process,
        clock_offset_ns + started,
        duration_ns,
        request_ns,
        wait_ns,
        response_ns,
        request,
        response,
        _completeness(slot, request, response),
        _problems(slot),
    )


def _interim(slot: Slot) -> Response | None:
    """RFC 9110 §15.2: where no final response came, the last interim one is what the client knew; the others before."""
    last = slot.interim
    if last is None:
        return None
    slot.problems.append(Problem("no-final-response", "response"))
    return last.response(tuple([each for each in slot.informational if each.position != last.position]))


def lost_with(slot: Slot) -> list[Loss]:
    """What is known of an exchange that is none, because no start line of it is known: losses, and bytes that were
    seen in the place of a start line."""
    losses: list[Loss] = []
    for message in (slot.request, slot.response):
        if message is not None:
            losses += [Loss("unframed", message.position, len(message.raw_head))] if message.raw_head else []
            losses += losses_of(message)
    return losses


def _started(slot: Slot, request: Request | None, response: Response | None) -> int:
    if request:
        return request.first_byte_time
    assert response is not None
    return min([response.first_byte_time] + [interim.time for interim in slot.informational])


def _protocol(request: Request | None, response: Response | None) -> str:
    version = (request.version if request else "") or (response.version if response else "")
    return version.lower() or "http/1.1"


def _completeness(slot: Slot, request: Request | None, response: Response | None) -> Completeness:
    asked, answered = slot.request, slot.response or slot.interim
    if slot.lost or slot.request_lost or _gap(asked) or _gap(answered) or slot.is_inferred:
        return "gap"
    if asked is None:
        return "response-only"
    for message in (asked, answered):
        if message is not None and message.truncated:
            return message.truncated  # type: ignore[return-value]
    if slot.response is None:
        return "open" if slot.closed == "end-of-capture" else "request-only"
    return "complete"


def _gap(message: Message | None) -> bool:
    return message is not None and message.gap


def _problems(slot: Slot) -> tuple[Problem, ...]:
    problems = list(slot.request.problems) if slot.request else []
    problems += slot.problems
    if slot.response:
        problems += slot.response.problems
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS + 1
        problems[MAX_PROBLEMS - 1 :] = [Problem("more-problems", problems[-1].side, detail=f"{rest} more")]
    return tuple(problems)
