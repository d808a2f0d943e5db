"""`replay.toml` in, rules out: what of a recording is not to be compared, and how (docs/testing.md).

One type per table of the file, so that a wrong key or type is named with its place. Patterns are RE2's (linear time),
and match the whole value.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from replay.errors import UsageError
from replay.patterns import Pattern, PatternError
from replay.tester import json_paths

RULES_FILE: Final = "replay.toml"
# Values that varied in every pair of recordings, or hold what must not be committed.
IGNORED_HEADERS: Final = ("Date", "Age")
SECRET_HEADERS: Final = ("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie")


class HeaderRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[headers]`: names whose values are not compared, and names whose values must match a pattern."""

    ignore: tuple[str, ...] = ()
    match: dict[str, str] = {}


class JsonRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[json]`: paths in JSON bodies, likewise."""

    ignore: tuple[str, ...] = ()
    match: dict[str, str] = {}


class IdRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[ids]`: patterns of generated names; each distinct one becomes {id 1}, {id 2}, … in order of appearance."""

    match: tuple[str, ...] = ()


class SecretRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[secrets]`: what is masked beside the usual headers, before anything is compared or written."""

    headers: tuple[str, ...] = ()
    json: tuple[str, ...] = ()
    query: tuple[str, ...] = ()


class TimingRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[timings]`: `max_ratio` compares durations (0, the default, does not): 3.0 allows a third to three times."""

    max_ratio: float = 0.0
    floor_ms: float = 5.0


class ConnectionRules(Struct, forbid_unknown_fields=True, frozen=True):
    """`[connections]`: whether port numbers are compared."""

    ports: Literal["ignore", "compare"] = "ignore"


class RulesDocument(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file. Every table and every key may be left out."""

    headers: HeaderRules = HeaderRules()
    json: JsonRules = JsonRules()
    ids: IdRules = IdRules()
    secrets: SecretRules = SecretRules()
    timings: TimingRules = TimingRules()
    connections: ConnectionRules = ConnectionRules()


JsonPath = tuple[json_paths.Step, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """A rules file, ready for use: names in lower case, patterns and paths compiled."""

    ignored_headers: frozenset[str] = field(default_factory=lambda: frozenset(map(str.lower, IGNORED_HEADERS)))
    secret_headers: frozenset[str] = field(default_factory=lambda: frozenset(map(str.lower, SECRET_HEADERS)))
    header_patterns: dict[str, Pattern] = field(default_factory=dict)
    ignored_json: tuple[JsonPath, ...] = ()
    json_patterns: tuple[tuple[JsonPath, Pattern], ...] = ()
    ids: tuple[Pattern, ...] = ()
    secret_json: tuple[JsonPath, ...] = ()
    secret_query: frozenset[str] = frozenset()
    timings: TimingRules = field(default_factory=TimingRules)
    compare_ports: bool = False


def rules_for(capture: Path, top: Path) -> Rules:
    """The rules of the nearest `replay.toml` from the capture's folder up to `top`; UsageError where it is wrong."""
    top = top.resolve()
    for folder in capture.resolve().parents:
        if (folder / RULES_FILE).is_file():
            return load(folder / RULES_FILE)
        if folder == top or top not in folder.parents:
            break
    return Rules()


def load(path: Path) -> Rules:
    """Read one rules file; UsageError naming the file and the place where it is wrong."""
    try:
        document = msgspec.convert(tomllib.loads(path.read_text()), RulesDocument)
        return _compiled(document)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, PatternError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None


def _compiled(document: RulesDocument) -> Rules:
    return Rules(
        ignored_headers=frozenset(name.lower() for name in (*IGNORED_HEADERS, *document.headers.ignore)),
        secret_headers=frozenset(name.lower() for name in (*SECRET_HEADERS, *document.secrets.headers)),
        header_patterns={name.lower(): Pattern(text) for name, text in document.headers.match.items()},
        ignored_json=tuple(map(json_paths.parse, document.json.ignore)),
        json_patterns=tuple((json_paths.parse(path), Pattern(text)) for path, text in document.json.match.items()),
        ids=tuple(map(Pattern, document.ids.match)),
        secret_json=tuple(map(json_paths.parse, document.secrets.json)),
        secret_query=frozenset(document.secrets.query),
        timings=document.timings,
        compare_ports=document.connections.ports == "compare",
    )
