"""Where `-o OUT` goes: a file that only its owner reads, never through a link, never over the recording itself.

What is there stays unless the user says `--force`, and then until the new file is whole: it is written beside it, under
a name of its own, and takes the place in one step. A run that fails leaves things as they were.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from replay.errors import UsageError

MODE: Final = 0o600  # other people's conversations: for the owner's eyes alone
# Bytes that go out together: of the usual 8 KiB each sixth line costs a system call. Less than a piece of a large body
# (`replay.output.long_line.PIECE`), which would be copied into it.
BUFFER: Final = 64 << 10
NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_NO_HARD_LINKS: Final = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))  # link(2): as on FAT
FORCE_HELP: Final = "replace OUT if it is there: once the new file is whole, and only a file of your own"


@contextmanager
def opened(
    path: str | None, inputs: Iterable[str] = (), *, force: bool = False, at_once: bool = False
) -> Iterator[BinaryIO]:
    """Standard output for None and "-", else `path`, created with mode 0600 when the block has ended without an error.

    A pipe or a device is written to as it stands. `at_once`: somebody waits for every line, so the file is there from
    the beginning. Raises UsageError where nothing may be written or can be: a symbolic link, a folder, another user's
    file, one of `inputs`, a file that is there without `force`, a folder that is not, a full disk.
    """
    if path is None or path == "-":
        with _standard_output() as file:
            yield _AtOnce(file) if at_once else file  # type: ignore[misc]
        return
    try:
        if _stands(path, inputs, force):
            with os.fdopen(_open(path), "wb", BUFFER) as file:
                yield _AtOnce(file) if at_once else file  # type: ignore[misc]
        elif at_once:
            if force:
                with suppress(FileNotFoundError):
                    os.unlink(path)
            with os.fdopen(_new(path, path), "wb") as file:
                yield _AtOnce(file)  # type: ignore[misc]
        else:
            with _beside(path, force) as file:
                yield file
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UsageError(f"{path}: {error.strerror}") from None


def create(path: str | os.PathLike[str]) -> int:
    """A descriptor of a new file of mode 0600; FileExistsError where anything is there, a link too."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """As `sys.stdout.buffer`, which it is where somebody looks at it or it is none of the system's files."""
    try:
        fd: int | None = sys.stdout.fileno()
    except (AttributeError, OSError):
        fd = None
    if fd is None or os.isatty(fd):
        yield sys.stdout.buffer
        return
    sys.stdout.flush()
    with os.fdopen(fd, "wb", BUFFER, closefd=False) as file:
        yield file


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


def _stands(path: str, inputs: Iterable[str], force: bool) -> bool:
    """Whether `path` is a pipe or a device, there to be written to; else a file is to be made. UsageError: neither."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise UsageError(f"{path}: there is no folder {folder}") from None
        return False
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if stat.S_ISLNK(facts.st_mode):
        raise UsageError(f"{path} is a symbolic link; name the file itself")
    if stat.S_ISCHR(facts.st_mode):
        return True
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISFIFO(facts.st_mode)):
        raise UsageError(f"{path} is neither a file nor a pipe")
    if facts.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user")
    for name in inputs:
        if name != "-" and os.path.exists(name) and os.path.samestat(os.stat(name), facts):
            raise UsageError(f"{path} is the recording that is being read")
    if stat.S_ISREG(facts.st_mode) and not force:
        raise _exists(path)
    return stat.S_ISFIFO(facts.st_mode)


def _exists(path: str) -> UsageError:
    return UsageError(f"{path} exists; --force replaces it")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _new(name: str, path: str) -> int:
    """The new file `name`, which is to become `path`."""
    try:
        return create(name)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


@contextmanager
def _beside(path: str, force: bool) -> Iterator[BinaryIO]:
    """A new file in the folder of `path`, which is given that name when it is whole."""
    part = os.path.join(os.path.dirname(path), f".ebpf-replay.{os.urandom(8).hex()}.part")
    with os.fdopen(_new(part, path), "wb", BUFFER) as file:
        try:
            yield file
            file.flush()
            if force:
                os.replace(part, path)
            else:
                _name(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)


def _name(part: str, path: str) -> None:
    """Give a file its name; never that of another, which may have come meanwhile."""
    try:
        os.link(part, path, follow_symlinks=False)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(path):
            raise _exists(path) from None
        os.rename(part, path)
