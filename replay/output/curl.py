"""Exchanges in, a shell script of curl commands out: one per request, everything recorded inside quotes.

The words are plain single-quoted strings wherever they are printable ASCII; others are `$'…'` strings, which bash, zsh,
ksh and POSIX.1-2024's sh read. What curl cannot be made to send as it was recorded is left out, and a comment says so.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from capfile.words import counted
from replay import urls
from replay.exchange import TARGET_CUT, Connection, Exchange, Headers, OpaqueConnection, Request
from replay.output import har_parts
from replay.output.escaping import shortened, visible

# Linux takes at most 128 KiB for one argument (MAX_ARG_STRLEN, 32 pages); quoting may take four characters a byte.
MAX_ARGUMENT: Final = 30_000
# curl asks "Expect: 100-continue" by itself from 1 MiB on, older versions from 1 KiB.
EXPECT_SIZE: Final = 1024

# RFC 9110 §5.6.2: a method or a field name is a token. It cannot start with "@", which curl would take for a file.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What curl writes itself, from the URL and the body.
_OWN: Final = frozenset({"content-length", "host"})
# What curl would add: taken away where the recorded request had none.
_ADDED: Final = ("User-Agent", "Accept")
_VERSIONS: Final = {"HTTP/1.0": "--http1.0", "HTTP/1.1": "--http1.1"}


def write(items: Iterable[Exchange | OpaqueConnection], out: BinaryIO) -> None:
    """Write one command for each exchange, a comment for each that has no request."""
    for item in items:
        if isinstance(item, Exchange):
            out.write(("\n".join(_lines(item)) + "\n").encode("ascii"))


def _lines(exchange: Exchange) -> Iterator[str]:
    request = exchange.request
    if request is None:
        yield _comment(f"{exchange.id}: the request was not seen")
        return
    status = f" -> {exchange.response.status}" if exchange.response else ""
    yield _comment(f"{exchange.id}: {request.method} {shortened(request.target, 100)}{status}")
    if not _TOKEN.fullmatch(request.method) or len(request.method) > MAX_ARGUMENT:
        yield _comment("left out: its method is not a token, so curl cannot send it")
        return
    if request.target.endswith(TARGET_CUT):
        yield _comment("left out: only the beginning of its target was seen")
        return
    yield from _omissions(request)
    words = [*_words(request, exchange.connection)]
    command = " \\\n  ".join(words)
    yield f"{_piped(request.body.data)} | {command}" if _needs_pipe(request.body.data) else command


def _comment(text: str) -> str:
    return "# " + visible(text).encode("ascii", "backslashreplace").decode("ascii")


def _omissions(request: Request) -> Iterator[str]:
    body = request.body
    if len(body.data) < body.size:
        yield _comment(f"its body is incomplete: {len(body.data)} of {counted(body.size, 'byte')}")
    for name, value in request.headers:
        if not _sendable(name, value):
            shown = shortened(name, 60)
            yield _comment(
                f"left out: header {shown!r}, {counted(len(value), 'byte')}: curl cannot send it as it stood"
            )


def _sendable(name: str, value: str) -> bool:
    fits = len(name) + len(value) < MAX_ARGUMENT
    return fits and _TOKEN.fullmatch(name) is not None and not set(value) & {"\r", "\n", "\0"}


def _words(request: Request, connection: Connection) -> Iterator[str]:
    """The words of the command, one group per line."""
    target = urls.target(request, connection)
    # Nothing from ~/.curlrc, no `[1-9]` patterns, no tidying of `/../`, headers shown.
    yield "curl --disable --globoff --path-as-is --include " + _VERSIONS.get(request.version, "--http1.1")
    yield from _route(target, connection)
    if request.method == "HEAD":
        yield "--head"
    elif request.method != "GET" or request.body.data:
        yield f"--request {quoted(request.method)}"
    yield from _headers(request)
    if _needs_pipe(request.body.data):
        yield "--data-binary @-"
    elif request.body.data:
        yield f"--data-raw {quoted(request.body.data.decode('latin-1'))}"
    if request.method == "CONNECT" or request.target == "*":
        yield f"--request-target {quoted(request.target)}"
    yield f"--url {quoted(har_parts.uri(target))}"


def _route(target: urls.Target, connection: Connection) -> Iterator[str]:
    """To the server that was recorded, whatever the URL's name resolves to today."""
    if connection.family == "unix":
        yield f"--unix-socket {quoted(connection.server)}"
    elif target.authority != connection.server:
        yield f"--connect-to {quoted('::' + connection.server)}"


def _headers(request: Request) -> Iterator[str]:
    headers = [(n, v) for n, v in request.headers if n.lower() not in _OWN and _sendable(n, v)]
    for name, value in headers:
        # "Name;" is curl's way to send a header without a value ("Name:" would remove it).
        yield f"--header {quoted(f'{name}: {value}' if value else f'{name};')}"
    for name in _ADDED:
        if not _has(request.headers, name):
            yield f"--header {quoted(f'{name}:')}"
    if request.body.data and not _has(request.headers, "Content-Type"):
        yield "--header 'Content-Type:'"
    if len(request.body.data) >= EXPECT_SIZE and not _has(request.headers, "Expect"):
        yield "--header 'Expect:'"


def _has(headers: Headers, name: str) -> bool:
    return urls.header(headers, name) is not None


def _needs_pipe(data: bytes) -> bool:
    """A NUL cannot be in an argument, nor can much."""
    return b"\0" in data or len(data) > MAX_ARGUMENT


def _piped(data: bytes) -> str:
    # printf is the shell's own: its arguments are not limited by the kernel.
    return f"printf %s '{base64.b64encode(data).decode('ascii')}' | base64 -d"


def quoted(text: str) -> str:
    """One word of a shell, whatever is in `text` (latin-1, as recorded; a NUL cannot be there and is dropped)."""
    if all(" " <= char <= "~" for char in text):
        return "'" + text.replace("'", "'\\''") + "'"
    return "$'" + "".join(_ansi_c(byte) for byte in text.encode("latin-1", "backslashreplace")) + "'"


def _ansi_c(byte: int) -> str:
    if byte == 0:
        return ""
    # Three octal digits end by themselves (\x would swallow a following hexadecimal digit); "!" is history to a shell.
    return chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in "\\'!" else f"\\{byte:03o}"
