"""Where `-o OUT` goes: a file that only its owner reads, never through a link, never over the recording itself."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from replay.errors import UsageError


@contextmanager
def opened(path: str | None, inputs: Iterable[str] = (), unbuffered: bool = False) -> Iterator[BinaryIO]:
    """Standard output for None and "-", else `path`: created with mode 0600, or emptied if it is the user's own file.

    Raises UsageError for a symbolic link, for anything but a regular file or a pipe, for another user's file and for
    one of `inputs`; OSError as `open`.
    """
    if path is None or path == "-":
        yield _AtOnce(sys.stdout.buffer) if unbuffered else sys.stdout.buffer  # type: ignore[misc]
        return
    with os.fdopen(_create(path, inputs), "wb") as file:
        yield _AtOnce(file) if unbuffered else file  # type: ignore[misc]


class _AtOnce:
    """A file of which somebody waits for every line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.isatty, self.fileno = file.isatty, file.fileno

    def write(self, data: bytes) -> int:
        """Write and flush."""
        written = self._file.write(data)
        self._file.flush()
        return written


def _create(path: str, inputs: Iterable[str]) -> int:
    if os.path.islink(path):
        raise UsageError(f"{path} is a symbolic link; name the file itself")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _refuse(path, os.fstat(descriptor), inputs)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse(path: str, facts: os.stat_result, inputs: Iterable[str]) -> None:
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode) or stat.S_ISCHR(facts.st_mode)):
        raise UsageError(f"{path} is neither a file nor a pipe")
    if stat.S_ISREG(facts.st_mode) and facts.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user")
    for name in inputs:
        if name != "-" and os.path.exists(name) and os.path.samestat(os.stat(name), facts):
            raise UsageError(f"{path} is the recording that is being read")
