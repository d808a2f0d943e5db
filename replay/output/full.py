"""One exchange in, all that is known of it out, as text for eyes: heads as they stood, bodies where they are text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from capfile.words import counted
from replay.exchange import Body, Exchange, Headers, OpaqueConnection, Problem, Request, Response
from replay.output.escaping import visible
from replay.output.moments import moment
from replay.output.table import duration_text, size_text
from replay.text import text_of

MAX_BODY_LINES: Final = 200  # of a body; `--format jsonl` or `bodies` gives all of it


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """One block per exchange, an empty line between two."""
    for number, item in enumerate(items):
        lines = exchange_lines(item) if isinstance(item, Exchange) else opaque_lines(item)
        text = "\n".join(lines) + "\n"
        out.write((("\n" if number else "") + text).encode("utf-8", "backslashreplace"))


def opaque_lines(item: OpaqueConnection) -> Iterator[str]:
    """A connection that holds no exchanges."""
    yield f"connection {item.connection.id}: {visible(item.protocol)}"
    yield from _where(item)
    yield f"bytes        {item.request_bytes:,} from the client, {item.response_bytes:,} from the server"
    if item.missing_bytes:
        yield f"missing      {counted(item.missing_bytes, 'byte')}"


def exchange_lines(exchange: Exchange) -> Iterator[str]:
    """Everything about one exchange."""
    yield f"exchange {exchange.id}: {exchange.protocol}, {exchange.completeness}"
    yield from _where(exchange)
    yield f"started      {moment(exchange.started_at)}"
    yield f"timing       {_timing(exchange)}"
    yield from map(_problem, exchange.problems)
    if exchange.request is not None:
        yield ""
        yield from _request(exchange.request)
    if exchange.response is not None:
        for one in exchange.response.informational:
            yield ""
            yield f"< {one.status} {visible(one.reason)}"
            yield from _headers("<", one.headers)
        yield ""
        yield from _response(exchange.response)


def _where(item: Exchange | OpaqueConnection) -> Iterator[str]:
    connection, process = item.connection, item.process
    joined = ", joined midstream" if connection.joined_midstream else ""
    client, server = connection.client or "(unnamed)", connection.server or "(unnamed)"
    seen = f"seen by the {connection.side}{joined}"
    yield f"connection   {connection.id}, {client} to {server} ({connection.family}), {seen}"
    if process is not None:
        yield f"process      {visible(process.comm)}[{process.pid}] {visible(process.exe)}".rstrip()
        if process.container:
            yield f"container    {visible(process.container)}"


def _timing(exchange: Exchange) -> str:
    phases = (
        ("request", exchange.request_ns),
        ("wait", exchange.wait_ns),
        ("response", exchange.response_ns),
        ("in all", exchange.duration_ns),
    )
    return ", ".join(f"{name} {duration_text(ns)}" for name, ns in phases if ns is not None)


def _problem(problem: Problem) -> str:
    words = [problem.code, f"in the {problem.side}"]
    if problem.offset is not None:
        words.append(f"at byte {problem.offset:,}")
    if problem.length is not None:
        words.append(counted(problem.length, "byte"))
    words += [visible(word) for word in (problem.reason, problem.detail) if word]
    return "problem      " + ", ".join(words)


def _request(request: Request) -> Iterator[str]:
    yield f"> {visible(request.method)} {visible(request.target)} {visible(request.version)}".rstrip()
    yield from _headers(">", request.headers)
    yield from _body(request.body, request.headers)
    yield from _headers(">", request.trailers)


def _response(response: Response) -> Iterator[str]:
    yield f"< {visible(response.version)} {response.status} {visible(response.reason)}".rstrip()
    yield from _headers("<", response.headers)
    yield from _body(response.body, response.headers)
    yield from _headers("<", response.trailers)


def _headers(mark: str, headers: Headers) -> Iterator[str]:
    for name, value in headers:
        yield f"{mark} {visible(name)}: {visible(value)}"


def _body(body: Body, headers: Headers) -> Iterator[str]:
    if not body.size and not body.captured:
        return
    yield ""
    if body.captured < body.size:
        yield f"[{body.captured:,} of {counted(body.size, 'byte')} captured]"
    content = body.data if body.decoded is None else body.decoded
    text, _ = text_of(content, headers)
    if text is None:
        yield f"[{size_text(len(content))} that are not text, sha256 {body.sha256}]"
        return
    lines = text.splitlines()
    yield from map(visible, lines[:MAX_BODY_LINES])
    if len(lines) > MAX_BODY_LINES:
        yield f"[… {len(lines) - MAX_BODY_LINES:,} more lines]"
