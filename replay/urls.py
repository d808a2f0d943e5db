"""A request's target taken apart: scheme, authority, path and query, by the four forms of RFC 9112 §3.2.

Text in, text out; nothing is percent-decoded, nothing is refused: a target that has no path has an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass

from replay.exchange import Connection, Headers, Request


@dataclass(frozen=True, slots=True)
class Target:
    """`scheme://authority/path?query` of a request; `query` is without its question mark."""

    scheme: str
    authority: str
    path: str
    query: str

    @property
    def url(self) -> str:
        """The target URI (RFC 9110 §7.1)."""
        return f"{self.scheme}://{self.authority}{self.rooted_path}" + (f"?{self.query}" if self.query else "")

    @property
    def rooted_path(self) -> str:
        """The path as it stands in a URL: a target of no known form must not run into the authority."""
        return self.path if not self.path or self.path.startswith("/") else f"/{self.path}"


def header(headers: Headers, name: str) -> str | None:
    """The first value of the header `name`, compared without case (RFC 9110 §5.1); None where it is absent."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def header_values(headers: Headers, name: str) -> list[str]:
    """All values of the header `name`, in their order."""
    wanted = name.lower()
    return [value for key, value in headers if key.lower() == wanted]


def target(request: Request, connection: Connection) -> Target:
    """The parts of a request's target URI: an absolute form wins over Host (RFC 9112 §3.2.2), which wins over the
    server's address."""
    scheme = "https" if connection.tls else "http"
    host = header(request.headers, "host") or address(connection)
    text = request.target
    if request.method == "CONNECT":  # authority-form, §3.2.3
        return Target(scheme, text, "", "")
    if text == "*":  # asterisk-form, §3.2.4: the URI has no path
        return Target(scheme, host, "", "")
    head, separator, rest = text.partition("://")
    if separator and not text.startswith("/") and head.isalnum():
        scheme, (host, text) = head.lower(), _authority(rest)
    path, _, query = text.partition("?")
    return Target(scheme, host, path, query)


def _authority(rest: str) -> tuple[str, str]:
    """`host/path?query` cut before the path; an empty path is `/` (RFC 9110 §4.2.3)."""
    cut = min((at for at in (rest.find("/"), rest.find("?"), len(rest)) if at >= 0), default=len(rest))
    path = rest[cut:]
    return rest[:cut], path if path.startswith("/") else f"/{path}"


def address(connection: Connection) -> str:
    """What stands for the server in a URL that names none; tools that speak over a Unix socket send "localhost"."""
    return connection.server if connection.family != "unix" else "localhost"
