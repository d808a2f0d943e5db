"""The small parts of an HTTP Archive that need rules of their own: URIs, cookies, query strings, texts and addresses.

Recorded bytes may be anything: every function answers something its schema allows, and raises nothing.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from replay.exchange import TARGET_CUT, Connection, Headers
from replay.output.moments import moment as moment  # re-exported: it is one of an archive's parts
from replay.urls import Target, header_values

Json = dict[str, Any]

# RFC 3986: what stands for itself in a path (pchar and "/"), a query, a registered name; "%" only before two digits.
_PATH: Final = "/:@!$&'()*+,;=-._~"
_QUERY: Final = _PATH + "?"
_NAME: Final = "!$&'()*+,;=-._~"
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT: Final = re.compile(r":([0-9]*)$", re.ASCII)


def uri(target: Target) -> str:
    """The target as a valid URI (RFC 3986): whatever is not allowed where it stands is percent-encoded."""
    text = f"{_escaped(target.scheme, '+-.')}://{_authority(target.authority)}{_escaped(target.rooted_path, _PATH)}"
    return text + (f"?{_escaped(target.query, _QUERY)}" if target.query else "")


def _escaped(text: str, safe: str) -> str:
    # Recorded text is latin-1, one character per byte, but for what stands for the rest of a target.
    parts = _STRAY_PERCENT.sub("%25", text).split(TARGET_CUT)
    return quote(TARGET_CUT.encode().join(part.encode("latin-1", "replace") for part in parts), safe=safe + "%")


def _authority(text: str) -> str:
    name, port = text, ""
    if found := _PORT.search(text):
        name, port = text[: found.start()], found[0]
    if name.startswith("[") and name.endswith("]") and _is_ip(name[1:-1]):
        return name + port
    return _escaped(name, _NAME) + port


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def ip_address(connection: Connection) -> str | None:
    """The server's address without its port; None for a Unix socket."""
    if connection.family == "unix":
        return None
    host = connection.server.rpartition(":")[0].strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def query(text: str) -> list[Json]:
    """The parameters of a query, decoded as forms are (`+` is a space)."""
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [{"name": _unquoted(name), "value": _unquoted(value)} for name, _, value in pairs]


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="replace")


def request_cookies(headers: Headers) -> list[Json]:
    """The pairs of every Cookie header (RFC 6265 §4.2.1)."""
    pairs = (part.strip().partition("=") for value in header_values(headers, "cookie") for part in value.split(";"))
    return [{"name": name, "value": value} for name, _, value in pairs if name]


def response_cookies(headers: Headers) -> list[Json]:
    """Every Set-Cookie header with the attributes HAR knows (RFC 6265 §4.1)."""
    return [_cookie(value) for value in header_values(headers, "set-cookie")]


def _cookie(text: str) -> Json:
    pair, *attributes = text.split(";")
    name, _, value = pair.strip().partition("=")
    cookie: Json = {"name": name, "value": value, "httpOnly": False, "secure": False}
    for attribute in attributes:
        key, _, argument = attribute.strip().partition("=")
        match key.lower():
            case "path" | "domain" as known:
                cookie[known] = argument
            case "secure":
                cookie["secure"] = True
            case "httponly":
                cookie["httpOnly"] = True
            case "expires" if (moment := _date(argument)) is not None:
                cookie["expires"] = moment
    return cookie


def _date(text: str) -> str | None:
    try:
        found = parsedate_to_datetime(text)
        # A date with the zone "-0000" comes without one; the machine's own zone must not decide.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # a date that is none; the header itself stands in `headers`


def text(data: bytes) -> Json:
    """A body as HAR's `text`: as it is when it is UTF-8 without NUL, else base64."""
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        decoded = "\0"
    if "\0" in decoded:
        return {"text": base64.b64encode(data).decode("ascii"), "encoding": "base64"}
    return {"text": decoded}
