"""Bytes of one direction of an HTTP/1 connection in, the places of secrets in them out; and what to put there.

Knows header lines, nothing of messages: a line that begins with one of the names, a colon, and a value up to the line's
end. So it also acts on such lines inside a body (a body is changed, its length is not), and on nothing else: secrets in
targets, in bodies, in other headers and in HTTP/2 stay. Folded values (RFC 9112 §5.2) are part of the value.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

NAMES: Final = ("Authorization", "Cookie", "Set-Cookie", "Proxy-Authorization")
MAX_VALUE: Final = 1 << 20  # a longer value is replaced in parts of this size: equal ones stay equal all the same
MAX_NAME: Final = 256
SCHEME: Final = "hmac-sha256+shake256"  # how `Tokens` makes them, as a Header says it
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2
_FOLD: Final = re.compile(rb"[\r\n]+[ \t]*")  # RFC 9112 §5.2: without the space the next line would be another field
_COLON_OR_END: Final = re.compile(rb"[:\n]")
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"  # base32's: legal in every one of those values


def is_field_name(name: str) -> bool:
    """Whether a header may be called so."""
    return _FIELD_NAME.fullmatch(name) is not None


class Secret(NamedTuple):
    """A value found: `value` stands at `position` of its direction."""

    position: int
    value: bytes


class SecretFinder:
    """Finds the values of header fields in one direction's bytes, whatever pieces they come in."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self._names = frozenset(name.lower().encode("latin-1") for name in names)
        self._line = bytearray()  # of the line so far: the name, while it may still become one of ours
        self._line_start = True
        self._value: bytearray | None = None  # of a field that is ours
        self._value_at = 0
        self._ended = False  # the value's line has ended: the next byte says whether it is folded
        self._position = 0

    def feed(self, data: bytes, position: int | None = None) -> list[Secret]:
        """The secrets that end in `data`. A `position` that does not follow begins anew: bytes are missing between."""
        found: list[Secret] = []
        if position is not None and position != self._position:
            found += self.finish()
            self._line.clear()
            self._line_start, self._position = False, position
        at = 0
        while at < len(data):
            at = self._in_value(data, at, found) if self._value is not None else self._in_line(data, at)
        self._position += len(data)
        return found

    def finish(self) -> list[Secret]:
        """The secret that the end of the bytes ends."""
        found: list[Secret] = []
        self._close(found)
        return found

    @property
    def inside(self) -> bool:
        """Whether a value has begun that has not ended."""
        return self._value is not None

    def part(self) -> list[Secret]:
        """The secret that has begun, as far as it came: for whoever cannot wait. The rest is one of its own."""
        found: list[Secret] = []
        if self._value is not None:
            self._emit(found)
            self._value, self._value_at = bytearray(), self._position
        return found

    def _in_line(self, data: bytes, at: int) -> int:
        """Read up to a colon or the line's end."""
        if not self._line_start:
            end = data.find(b"\n", at)
            if end < 0:
                return len(data)
            self._line.clear()
            self._line_start = True
            return end + 1
        stop = min(len(data), at + MAX_NAME + 1 - len(self._line))
        match = _COLON_OR_END.search(data, at, stop)
        end = match.start() if match else stop
        self._line += data[at:end]
        if match is None:
            self._line_start = len(self._line) <= MAX_NAME
        elif data[end] == 0x0A:
            self._line.clear()
        else:
            if bytes(self._line).lower().strip(b" \t\r") in self._names:
                self._value, self._value_at, self._ended = bytearray(), self._position + end + 1, False
            self._line_start = False
        return end + 1 if match else stop

    def _in_value(self, data: bytes, at: int, found: list[Secret]) -> int:
        """Read up to the line's end, and beyond it where the next line begins with a space or tab."""
        assert self._value is not None
        if self._ended:
            if data[at] not in b" \t":
                self._close(found)
                return at
            self._ended = False
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        stop = min(stop, at + MAX_VALUE - len(self._value))
        self._value += data[at:stop]
        self._ended = end >= 0 and stop == end + 1
        if len(self._value) >= MAX_VALUE and not self._ended:
            self._emit(found)
            self._value, self._value_at = bytearray(), self._position + stop
        return stop

    def _close(self, found: list[Secret]) -> None:
        if self._value is not None:
            self._emit(found)
            self._value = None
            self._line.clear()
            self._line_start, self._ended = True, False

    def _emit(self, found: list[Secret]) -> None:
        """The value without the spaces around it (RFC 9112 §5.1)."""
        assert self._value is not None
        value = bytes(self._value)
        inner = value.strip(b" \t\r\n")
        if inner:
            found.append(Secret(self._value_at + value.index(inner), inner))


class Tokens:
    """What stands for a secret: as long as it was, and the same for the same secret under one key.

    A scheme word ("Bearer ", "Basic ") and, in a folded value, line ends with the space after them stay, so that the
    message stays what it was.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, secret: bytes) -> bytes:
        """The same length, from HMAC-SHA-256 of the secret (RFC 2104) stretched by SHAKE-256."""
        digest = hmac.digest(self._key, secret, "sha256")
        stream = hashlib.shake_256(digest).digest(len(secret))
        kept = _scheme(secret)
        token = bytearray(_ALPHABET[byte & 31] for byte in stream)
        token[:kept] = secret[:kept]
        for fold in _FOLD.finditer(secret, kept):
            token[fold.start() : fold.end()] = fold[0]
        return bytes(token)


_SCHEMES: Final = (b"basic ", b"bearer ", b"digest ", b"negotiate ", b"ntlm ")


def _scheme(secret: bytes) -> int:
    """Length of an authentication scheme (RFC 9110 §11.1) at the front; of none 0."""
    return next((len(word) for word in _SCHEMES if secret[: len(word)].lower() == word), 0)
