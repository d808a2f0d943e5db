"""Where the recording goes: a new file, a FIFO, a device or standard output; never through a symbolic link.

Runs after root has been given up, so what is created belongs to the invoking user. Knows nothing of frames.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder.errors import OutputError

STANDARD_OUTPUT: Final = "-"
MODE: Final = 0o600  # other people's conversations: for the owner's eyes alone
FIFO_POLL_SECONDS: Final = 0.05  # how often a FIFO is asked whether its reader has come


@dataclass(frozen=True, slots=True)
class Target:
    """An output as it stands before it is opened. `kind`: "new", "existing", "fifo", "device" or "stream"."""

    path: str
    kind: str

    @property
    def is_file(self) -> bool:
        """Whether it takes space on a disk, can be cut and rotated."""
        return self.kind in ("new", "existing")


def inspect(path: str, force: bool) -> Target:
    """Say what `path` is, or raise `OutputError` when it must not be written to."""
    if path == STANDARD_OUTPUT:
        return Target(path, "stream")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return _new(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    if stat.S_ISLNK(mode):
        raise OutputError(f"{path} is a symbolic link", "name the file itself: a link is never followed")
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return Target(path, "fifo" if stat.S_ISFIFO(mode) else "device")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path} is not a file", "name a file, a FIFO or - for standard output")
    if not force:
        raise OutputError(f"{path} exists", "choose another name, or --force to replace it")
    return Target(path, "existing")


def check_standard_output(binary: bool = True) -> None:
    """`OutputError` when standard output is closed, or is a terminal and what comes is not for eyes."""
    if sys.stdout is None:
        raise OutputError("standard output is closed", "send it to a file or a pipe")
    if binary and sys.stdout.isatty():
        raise OutputError("a capture is not for the terminal", "pipe it, or name a file with -o")


def _new(path: str) -> Target:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise OutputError(f"{folder}: no such folder", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} is not writable for this user", "choose a folder that you may write to")
    return Target(path, "new")


def open_output(target: Target, cancelled: Callable[[], bool]) -> int:
    """Open the output for writing; the descriptor. Waits for a FIFO's reader until `cancelled` says true."""
    try:
        if target.kind == "stream":
            return os.dup(1)
        if target.kind == "fifo":
            return _open_fifo(target.path, cancelled)
        if target.kind == "device":
            return os.open(target.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
        return create(target.path, replace=target.kind == "existing")
    except OSError as error:
        raise OutputError(f"{target.path}: {error.strerror}") from error


def create(path: str, replace: bool = False) -> int:
    """A new file of mode 0600. An existing one is unlinked, never written into: it may have other names and readers."""
    if replace:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def _open_fifo(path: str, cancelled: Callable[[], bool]) -> int:
    while not cancelled():
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads it yet
                raise
            time.sleep(FIFO_POLL_SECONDS)
            continue
        os.set_blocking(fd, True)
        return fd
    raise OutputError(f"{path}: no reader came")


def segment_path(path: str, number: int) -> str:
    """The name of the finished segment `number`: `x.cap` becomes `x.000000.cap`."""
    plain = Path(path)
    return str(plain.with_name(f"{plain.stem}.{number:06d}{plain.suffix}"))


def old_segments(path: str) -> list[str]:
    """Finished segments that lie beside `path` already."""
    plain = Path(path)
    pattern = f"{glob.escape(plain.stem)}.{'[0-9]' * 6}{glob.escape(plain.suffix)}"
    return sorted(str(found) for found in plain.parent.glob(pattern))


def move_new(old: str, new: str) -> None:
    """Rename without ever replacing a file that is there (`FileExistsError`)."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(new):  # a file system without hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
        os.rename(old, new)
        return
    os.unlink(old)
