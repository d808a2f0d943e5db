"""`-- COMMAND`: a child that waits before exec until it is recorded, then runs as the invoking user.

Forked before the kernel program is compiled, while this process has one thread and no descriptor worth keeping.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from recorder.errors import TargetError
from recorder.privileges import Identity, become_for_command

NOT_FOUND: Final = 127  # as sh(1), env(1) and timeout(1) report it
NOT_EXECUTABLE: Final = 126
SIGNAL_BASE: Final = 128

# Python ignores these; a program expects the default.
_RESTORED: Final = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CommandError(TargetError):
    """The command cannot be run; `status` is what a shell would say."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, "check its name and the PATH of the user it runs as")
        self.status = status


class Command:
    """The child. `pid` is its process; `status` its exit status once `wait` has seen it end."""

    def __init__(self, words: Sequence[str], identity: Identity, environment: Mapping[str, str]) -> None:
        self._words = list(words)
        self._environment = user_environment(environment, identity)
        self.file = find(words[0], self._environment.get("PATH", os.defpath))
        child_start, self._start = os.pipe()
        self._error, child_error = os.pipe()
        self.status: int | None = None
        self.released = False
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._start)
            self._child(identity, child_start, child_error)
        os.close(child_start)
        os.close(child_error)
        self.pidfd = os.pidfd_open(self.pid)

    def _child(self, identity: Identity, start: int, error: int) -> NoReturn:
        try:
            for number in _RESTORED:
                signal.signal(number, signal.SIG_DFL)
            become_for_command(identity)
            if os.read(start, 1) == b"":  # the recorder is gone
                os._exit(NOT_EXECUTABLE)
            os.execvpe(self._words[0], self._words, self._environment)
        except OSError as failure:
            os.write(error, str(failure.errno or 0).encode())
        finally:
            os._exit(NOT_EXECUTABLE)

    def release(self) -> None:
        """Let it run; `CommandError` when exec failed."""
        self.released = True
        os.write(self._start, b"\n")
        os.close(self._start)
        failure = os.read(self._error, 16)  # end of file: exec closed the other end
        os.close(self._error)
        if failure:
            self.wait()
            raise CommandError(f"{self._words[0]}: {os.strerror(int(failure))}", NOT_EXECUTABLE)

    def abandon(self) -> None:
        """End a child that was never released; one that runs is left alone."""
        if self.status is None and not self.released:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def poll(self) -> bool:
        """Whether it has ended; never waits."""
        return self._reap(os.WNOHANG)

    def wait(self) -> None:
        """Wait for its end."""
        self._reap(0)

    def _reap(self, options: int) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else SIGNAL_BASE - code
        return self.status is not None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def find(name: str, path: str) -> str:
    """The command's file; `CommandError` before anything was started when there is none."""
    found = shutil.which(name, path=path)
    if found is None:
        if os.path.isfile(name):
            raise CommandError(f"{name}: not executable", NOT_EXECUTABLE)
        raise CommandError(f"{name}: command not found", NOT_FOUND)
    return found


def user_environment(environment: Mapping[str, str], identity: Identity) -> dict[str, str]:
    """The caller's environment with the names of the user the command runs as, and without sudo's own."""
    result = {name: value for name, value in environment.items() if not name.startswith("SUDO_")}
    if identity.why != "self":
        result.update(HOME=identity.home, USER=identity.name, LOGNAME=identity.name, SHELL=identity.shell)
    return result
