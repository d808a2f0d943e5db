"""Exchanges as JSON Lines documents in, the same in normal form out: what two recordings of one behaviour share.

By nature vary, and are left out: absolute times, durations (unless a rule compares them), process numbers and paths,
port numbers, byte positions, ids of connections (they become c1, c2, … by order) and what follows from other fields
(sizes and hashes of whole bodies). Then the rules of `replay.toml` apply, secrets first. Normalising twice is the same
as once, so expectations may be normal forms or plain `show --format jsonl` output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

from replay.patterns import Pattern
from replay.tester import json_bodies, json_paths
from replay.tester.rules import Rules

Json = dict[str, Any]

MASK: Final = "***"
_KEPT_CONNECTION: Final = ("family", "client", "server", "side", "tls", "joined_midstream")
# Content-Length follows from the body, which is compared itself (a wrong one is among the problems); where a rule
# ignores a part of the body, its length must not come in by the back door.
_DERIVED: Final = {"content-length": Pattern(r"[0-9]+")}
_PORT: Final = re.compile(r":(\d+)$", re.ASCII)


def normal_form(documents: Iterable[Json], rules: Rules) -> list[Json]:
    """The documents in normal form, in the order of their connections and within each of its exchanges."""
    names = _Names(rules)
    documents = list(documents)
    numbers = _numbers(documents)
    ordinals: dict[int, int] = {}
    found = []
    for document in sorted(documents, key=lambda each: numbers[each["connection"]["id"]]):
        number = numbers[document["connection"]["id"]]
        ordinals[number] = ordinals.get(number, 0) + 1
        found.append(_document(document, f"c{number}", ordinals[number], names))
    return found


def _numbers(documents: list[Json]) -> dict[str, int]:
    """connection id -> its number, by the start of its first exchange (a normal form has no times, and is in order)."""
    starts: dict[str, str] = {}
    for document in documents:
        connection, start = document["connection"]["id"], document.get("started_at", "")
        starts[connection] = min(start, starts.get(connection, start))
    return {connection: number for number, connection in enumerate(sorted(starts, key=starts.__getitem__), 1)}


class _Names:
    """The text rules of one capture: the server's port, generated ids (numbered over the capture), secrets."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._ids: dict[str, str] = {}

    def text(self, text: str, hosts: Iterable[str]) -> str:
        """`text` with ports and ids normalised."""
        if not self.rules.compare_ports:
            for host in hosts:
                text = text.replace(host, _PORT.sub(":*", host))
        for pattern in self.rules.ids:
            text = pattern.map(self._id, text)
        return text

    def _id(self, found: str) -> str:
        return self._ids.setdefault(found, f"{{id {len(self._ids) + 1}}}")


def _document(document: Json, connection: str, ordinal: int, names: _Names) -> Json:
    hosts = _hosts(document)
    found: Json = {
        "id": f"{connection}-{ordinal}",
        "kind": document.get("kind", "exchange"),
        "protocol": document["protocol"],
        "connection": _connection(document["connection"], connection, names),
        "process": _process(document.get("process")),
    }
    if found["kind"] == "connection":
        return found | {"missing": bool(document.get("missing_bytes", document.get("missing", 0)))}
    if names.rules.timings.max_ratio:
        found["duration_ns"] = document.get("duration_ns")
    for side in ("request", "response"):
        message = document.get(side)
        found[side] = None if message is None else _message(message, names, hosts)
    return found | {
        "completeness": document["completeness"],
        "problems": [_problem(problem) for problem in document.get("problems", [])],
    }


def _connection(connection: Json, name: str, names: _Names) -> Json:
    kept = {"id": name} | {key: connection[key] for key in _KEPT_CONNECTION if key in connection}
    if not names.rules.compare_ports and connection["family"] != "unix":
        kept["client"], kept["server"] = (_PORT.sub(":*", kept[key]) for key in ("client", "server"))
    return kept


def _process(process: Json | None) -> Json | None:
    return None if process is None else {"comm": process.get("comm", "")}


def _hosts(document: Json) -> list[str]:
    """How this exchange names its server with a port: its address, and the Host header if it has the same port."""
    connection = document["connection"]
    port = _PORT.search(connection["server"])
    if connection["family"] == "unix" or port is None:
        return []
    request = document.get("request") or {}
    named = [value for name, value in request.get("headers", []) if name.lower() == "host"]
    return list(dict.fromkeys([connection["server"], *(host for host in named if host.endswith(port[0]))]))


def _message(message: Json, names: _Names, hosts: list[str]) -> Json:
    kept: Json = {key: message[key] for key in ("method", "target", "status", "reason", "version") if key in message}
    if "target" in kept:
        kept["target"] = names.text(_query(kept["target"], names.rules), hosts)
    kept["headers"] = _headers(message.get("headers", []), names, hosts)
    kept["trailers"] = _headers(message.get("trailers", []), names, hosts)
    kept["body"] = _body(message.get("body", {}), names, hosts)
    if "informational" in message:
        kept["informational"] = [
            {"status": early["status"], "headers": _headers(early["headers"], names, hosts)}
            for early in message["informational"]
        ]
    return kept


def _headers(headers: list[list[str]], names: _Names, hosts: list[str]) -> list[list[str]]:
    ignored = names.rules.ignored_headers
    return [[n, _header(n.lower(), value, names, hosts)] for n, value in headers if n.lower() not in ignored]


def _header(name: str, value: str, names: _Names, hosts: list[str]) -> str:
    rules = names.rules
    if name in rules.secret_headers:
        return _masked(name, value)
    pattern = rules.header_patterns.get(name) or _DERIVED.get(name)
    return _matched(value, pattern) if pattern else names.text(value, hosts)


def _masked(name: str, value: str) -> str:
    """The secret itself goes; the scheme, the cookies' names and their attributes tell too much to lose."""
    if name == "cookie":
        return "; ".join(_pair(part) for part in value.split(";"))
    if name == "set-cookie":
        first, *attributes = value.split(";")
        return ";".join([_pair(first), *(a for a in attributes if not a.strip().lower().startswith("expires="))])
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} {MASK}" if blank and name.endswith("authorization") else MASK


def _pair(text: str) -> str:
    return f"{text.partition('=')[0].strip()}={MASK}"


def _matched(value: str, pattern: Pattern) -> str:
    return f"{{matches {pattern.text}}}" if pattern.fullmatch(value) else value


def _query(target: str, rules: Rules) -> str:
    path, mark, query = target.partition("?")
    if not (mark and rules.secret_query):
        return target
    parts = (part.partition("=") for part in query.split("&"))
    shown = (f"{n}={MASK}" if unquote_plus(n) in rules.secret_query else f"{n}{eq}{v}" for n, eq, v in parts)
    return f"{path}?{'&'.join(shown)}"


def _body(body: Json, names: _Names, hosts: list[str]) -> Json:
    """`json` where the body is JSON, else `text` or `base64`; sizes only where a part is missing."""
    kept: Json = {}
    if body.get("content_encoding"):
        kept["content_encoding"] = body["content_encoding"]
    if "part" in body:
        kept["part"] = body["part"]
    elif body.get("captured", 0) != body.get("size", 0) or body.get("kept") is not None:
        kept["part"] = {key: body[key] for key in ("size", "captured", "sha256")}
    text, binary = _content(body)
    if binary is not None:
        return kept | {"base64": binary}
    if "json" in body:
        value = body["json"]
    elif not text:
        return kept
    else:
        try:
            value = json_bodies.parse(text)
        except json_bodies.NotJson:
            return kept | {"text": names.text(text, hosts)}
    return kept | {"json": _ruled(value, names, hosts)}


def _content(body: Json) -> tuple[str, str | None]:
    if "data" in body:
        return (body["data"], None) if body.get("encoding", "utf-8") == "utf-8" else ("", body["data"])
    return body.get("text", ""), body.get("base64")


def _ruled(value: Any, names: _Names, hosts: list[str]) -> Any:
    rules = names.rules
    for path in rules.secret_json:
        json_paths.replace(value, path, lambda _: MASK)
    for path in rules.ignored_json:
        json_paths.remove(value, path)
    for path, pattern in rules.json_patterns:
        json_paths.replace(value, path, partial(_matched_json, pattern))
    return _texts(value, lambda text: names.text(text, hosts))


def _matched_json(pattern: Pattern, value: Any) -> Any:
    if isinstance(value, dict | list) or value is None:
        return value
    shown = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    matched = _matched(shown, pattern)
    return matched if matched != shown else value


def _texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _texts(each, change) for key, each in value.items()}
    return [_texts(each, change) for each in value] if isinstance(value, list) else value


def _problem(problem: Json) -> Json:
    return {key: problem[key] for key in ("code", "side", "length", "reason") if problem.get(key) not in (None, "")}
