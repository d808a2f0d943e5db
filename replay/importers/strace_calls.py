"""Which system call means what: one line per call. What is not in the table says nothing about stream sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from replay.importers import strace_bytes as moving
from replay.importers import strace_making as making
from replay.importers import strace_sharing as sharing
from replay.importers.strace_lines import Call, Result
from replay.importers.strace_sockets import Sockets
from replay.importers.strace_values import Value

Handler = Callable[[Sockets, Call, list[Value], Result], None]

# system call -> (what it means here, its number on x86-64)
_TABLE: Final[tuple[tuple[str, Handler, int], ...]] = (
    ("read", moving.receive, 0),
    ("readv", moving.receive, 19),
    ("preadv2", moving.receive, 327),
    ("recv", moving.receive, 45),
    ("recvfrom", moving.receive, 45),
    ("recvmsg", moving.receive, 47),
    ("recvmmsg", moving.messages, 299),
    ("write", moving.send, 1),
    ("writev", moving.send, 20),
    ("pwritev2", moving.send, 328),
    ("send", moving.send, 44),
    ("sendto", moving.send, 44),
    ("sendmsg", moving.send, 46),
    ("sendmmsg", moving.messages, 307),
    ("sendfile", moving.sendfile, 40),
    ("sendfile64", moving.sendfile, 40),
    ("splice", moving.splice, 275),
    ("socket", making.socket, 41),
    ("socketpair", making.socketpair, 53),
    ("accept", making.accept, 43),
    ("accept4", making.accept, 288),
    ("bind", making.bind, 49),
    ("getsockname", making.bind, 51),
    ("getpeername", making.getpeername, 52),
    ("connect", making.connect, 42),
    ("shutdown", sharing.shutdown, 48),
    ("close", sharing.close, 3),
    ("close_range", sharing.close_range, 436),
    ("dup", sharing.dup, 32),
    ("dup2", sharing.dup, 33),
    ("dup3", sharing.dup, 292),
    ("fcntl", sharing.fcntl, 72),
    ("fcntl64", sharing.fcntl, 72),
    ("clone", sharing.fork, 56),
    ("fork", sharing.fork, 57),
    ("vfork", sharing.fork, 58),
    ("clone3", sharing.fork, 435),
    ("execve", sharing.execute, 59),
    ("execveat", sharing.execute, 322),
    ("pipe", making.pipe, 22),
    ("pipe2", making.pipe, 293),
    ("io_uring_setup", making.io_uring, 425),
    ("open", making.other, 2),
    ("creat", making.other, 85),
    ("openat", making.other, 257),
    ("openat2", making.other, 437),
    ("open_by_handle_at", making.other, 304),
    ("epoll_create", making.other, 213),
    ("epoll_create1", making.other, 291),
    ("eventfd", making.other, 284),
    ("eventfd2", making.other, 290),
    ("timerfd_create", making.other, 283),
    ("signalfd", making.other, 282),
    ("signalfd4", making.other, 289),
    ("inotify_init", making.other, 253),
    ("inotify_init1", making.other, 294),
    ("memfd_create", making.other, 319),
    ("userfaultfd", making.other, 323),
    ("pidfd_open", making.other, 434),
    ("perf_event_open", making.other, 298),
)
CALLS: Final[dict[str, Handler]] = {name: handler for name, handler, _ in _TABLE}
NUMBERS: Final[dict[str, int]] = {name: number for name, _, number in _TABLE}
