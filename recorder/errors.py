"""What can keep the host from recording: one tree of errors, each with what is wrong and the command that mends it."""

from __future__ import annotations


class RecorderError(Exception):
    """The host cannot record. `mend` is what the user can do about it, "" when there is nothing."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(f"{message}: {mend}" if mend else message)
        self.message = message
        self.mend = mend


class NotRoot(RecorderError):
    """The process lacks the capabilities that loading and attaching need."""


class NoBcc(RecorderError):
    """bcc is not installed, or what is installed under that name is another package."""


class NoHeaders(RecorderError):
    """No kernel headers where bcc looks for them."""


class NoBtf(RecorderError):
    """The kernel does not describe its own types."""


class NoTracefs(RecorderError):
    """tracefs is not mounted, or a hook that is needed is not there."""


class Lockdown(RecorderError):
    """Kernel lockdown forbids reading kernel memory from a BPF program."""


class Memlock(RecorderError):
    """RLIMIT_MEMLOCK is too low (kernels before 5.11 account BPF memory against it)."""


class CompileFailed(RecorderError):
    """The C compiler refused the kernel program."""


class LoadRefused(RecorderError):
    """The kernel's verifier refused a program, or an attachment failed."""


class BadFilter(RecorderError):
    """A filter's value cannot exist on this host."""


class RingError(RecorderError):
    """The kernel gives no ring of this size."""


class PrivilegeError(RecorderError):
    """A privilege could not be given up."""


class UsageError(Exception):
    """The user asked for something that cannot be. `mend` is what to ask instead, "" when there is nothing to say."""

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(f"{message}: {mend}" if mend else message)
        self.message = message
        self.mend = mend


class TargetError(UsageError):
    """The process, user, group or command to be recorded is not there."""


class OutputError(UsageError):
    """The output cannot be opened or written."""
