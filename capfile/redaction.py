"""Bytes of one direction of an HTTP/1 connection in, the places of secrets in them out; and what to put there.

Knows header lines, nothing of messages: a line that begins with one of the names, a colon, and a value up to the line's
end. So it also acts on such lines inside a body (a body is changed, its length is not), and on nothing else: secrets in
targets, in bodies, in other headers and in HTTP/2 stay. Folded values (RFC 9112 §5.2) are part of the value.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple

NAMES: Final = ("Authorization", "Cookie", "Set-Cookie", "Proxy-Authorization")
MAX_VALUE: Final = 1 << 20  # a longer value is replaced in parts of this size: equal ones stay equal all the same
MAX_NAME: Final = 256
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz234567"  # base32's: legal in every one of those values


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

    def _in_line(self, data: bytes, at: int) -> int:
        """Read up to a colon or the line's end."""
        if not self._line_start:
            end = data.find(b"\n", at)
            if end < 0:
                return len(data)
            self._line.clear()
            self._line_start = True
            return end + 1
        byte = data[at]
        if byte == 0x3A and bytes(self._line).lower().strip(b" \t\r") in self._names:
            self._value, self._value_at, self._ended = bytearray(), self._position + at + 1, False
        elif byte == 0x0A:
            self._line.clear()
            return at + 1
        self._line.append(byte)
        self._line_start = byte != 0x3A and len(self._line) <= MAX_NAME
        return at + 1

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

    A scheme word ("Bearer ", "Basic ") and line ends inside a folded value stay, so that the message stays what it was.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, secret: bytes) -> bytes:
        """The same length, from HMAC-SHA-256 of the secret (RFC 2104) stretched by SHAKE-256."""
        digest = hmac.digest(self._key, secret, "sha256")
        stream = hashlib.shake_256(digest).digest(len(secret))
        kept = _scheme(secret)
        letters = bytes(_ALPHABET[byte & 31] for byte in stream)
        return secret[:kept] + bytes(
            old if old in b"\r\n" else new for old, new in zip(secret[kept:], letters[kept:], strict=True)
        )


_SCHEMES: Final = (b"basic ", b"bearer ", b"digest ", b"negotiate ", b"ntlm ")


def _scheme(secret: bytes) -> int:
    """Length of an authentication scheme (RFC 9110 §11.1) at the front; of none 0."""
    return next((len(word) for word in _SCHEMES if secret[: len(word)].lower() == word), 0)
