"""What can be wrong with a recording that is to be imported. Never the importer's fault, never a traceback."""

from __future__ import annotations

from capfile.errors import CapfileError


class InputError(CapfileError):
    """The recording to import is at fault. `line` (from 1) or `offset` (bytes) says where, if it is known."""

    def __init__(self, message: str, *, line: int | None = None, offset: int | None = None) -> None:
        place = f"line {line}: " if line is not None else f"offset {offset}: " if offset is not None else ""
        super().__init__(place + message, offset)
        self.line = line


class WrongKind(InputError):
    """It is no such recording at all; what it may be instead, `kinds.hint` knows."""
