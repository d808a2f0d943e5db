"""Literals in, comparable values out: one row per type of field, with its units.

Durations and times become ns, sizes bytes. A duration needs a unit; a size without one is bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal

from replay.filter.lexer import MAX_DIGITS, Token, unquoted

Type = Literal["integer", "text", "duration", "size", "time", "boolean"]
Value = int | str | bool

TIME_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # MICRO SIGN
    "μs": 1_000,  # GREEK SMALL LETTER MU
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


class BadValue(ValueError):
    """The literal cannot be a value of the field's type; the message says what can."""


def value(kind: Type, token: Token) -> Value:
    """The value of a literal for a field of type `kind`; BadValue where it is none."""
    return _READERS[kind](token)


def _integer(token: Token) -> int:
    return _number(token, {"": 1}, "a whole number, such as 200")


def _duration(token: Token) -> int:
    return _number(token, TIME_UNITS, "a duration with its unit, such as 200ms (ns, us, ms, s, min, h)")


def _size(token: Token) -> int:
    return _number(token, SIZE_UNITS, "a size, such as 100, 4KiB or 1MB (B, kB, MB, GB, KiB, MiB, GiB)")


def _number(token: Token, units: dict[str, int], wanted: str) -> int:
    digits = token.text.rstrip("".join(set("".join(units))) or " ")
    unit = token.text[len(digits) :]
    if token.kind != "number" or unit not in units or not digits[-1:].isdigit() or len(digits) > MAX_DIGITS:
        raise BadValue(f"expected {wanted}")
    number = Decimal(digits) * units[unit]
    if number != int(number):
        raise BadValue(f"expected {wanted}")
    return int(number)


def _text(token: Token) -> str:
    if token.kind != "string":
        raise BadValue(f'expected text in quotes, such as "{token.text}"')
    return unquoted(token)


def _boolean(token: Token) -> bool:
    if token.text not in ("true", "false"):
        raise BadValue("expected true or false")
    return token.text == "true"


def _time(token: Token) -> int:
    wanted = 'expected a UTC time in quotes, such as "2026-11-22T10:00:00.5Z"'
    try:
        moment = datetime.fromisoformat(_text(token))
    except ValueError:
        raise BadValue(wanted) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    past = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * 1_000_000_000 + past.microseconds * 1_000


_READERS: Final[dict[Type, Callable[[Token], Value]]] = {
    "integer": _integer,
    "text": _text,
    "duration": _duration,
    "size": _size,
    "time": _time,
    "boolean": _boolean,
}
