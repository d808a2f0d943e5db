"""What can be wrong with a capture file: one tree of errors, each with what and where. Never the reader's fault."""

from __future__ import annotations


class CapfileError(Exception):
    """The capture file is at fault. `offset` is the byte position in the file, if one is known."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class NotACapture(CapfileError):
    """The input does not begin like a capture file."""


class UnsupportedVersion(CapfileError):
    """The file was written by a newer major version of the format."""


class DamagedFrame(CapfileError):
    """A frame's checksum, length or content is wrong."""


class LimitExceeded(CapfileError):
    """A length, count, nesting or decompressed size is over its named limit."""


class EventError(CapfileError):
    """Bytes in a chunk that cannot be an event."""
