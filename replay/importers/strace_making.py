"""The calls of an strace log that make sockets and other descriptors, and those that tell a socket's addresses."""

from __future__ import annotations

from capfile.event import AF_INET
from replay.importers import strace_addresses as addresses
from replay.importers.strace_buffers import closes_on_exec
from replay.importers.strace_descriptors import OpenFile
from replay.importers.strace_lines import Call, Result
from replay.importers.strace_sockets import OTHER, Sockets
from replay.importers.strace_values import Items, Value, Word


def socket(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """socket(2)."""
    sockets.put(call, outcome.value, _made(values), outcome.note, cloexec=closes_on_exec(values))


def socketpair(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """socketpair(2): two sockets that are each other's peer."""
    pair = values[3]
    numbers = [each for each in pair.values if isinstance(each, Word)] if isinstance(pair, Items) else []
    if outcome.value != 0 or len(numbers) != 2:
        return
    files = [_made(values), _made(values)]
    for file, other, number in zip(files, reversed(files), numbers, strict=True):
        file.peer, file.role, file.local = other, "pair", b""
        sockets.put(call, number.number, file, number.note, cloexec=closes_on_exec(values))


def accept(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """accept(2), accept4(2): the address is the peer's; the own one is the listening socket's."""
    if outcome.value is None or outcome.value < 0:
        return
    listening = sockets.file(call, values[0])
    remote = addresses.sockaddr(values[1])
    family = remote[0] if remote else listening.family if listening else 0
    if listening is not None and not listening.stream and not remote:
        return
    file = OpenFile(True, family or AF_INET, role="accepted", remote=remote[1] if remote else None)
    file.local = listening.local if listening else None
    sockets.put(call, outcome.value, file, outcome.note, cloexec=closes_on_exec(values[3:]))
    if file.stream:
        sockets.introduce(file, call)


def bind(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """bind(2) and getsockname(2): the own address."""
    found = _addressed(sockets, call, values) if outcome.value == 0 else None
    if found is not None:
        file, end = found
        file.local = end
        sockets.tell(file, call)


def connect(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """connect(2): also when it is only under way."""
    begun = outcome.value == 0 or outcome.error == "EINPROGRESS"
    found = _addressed(sockets, call, values) if begun else None
    if found is not None:
        file, end = found
        file.remote = end
        file.role = file.role or "connected"
        sockets.introduce(file, call)
        sockets.tell(file, call)


def getpeername(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """getpeername(2)."""
    found = _addressed(sockets, call, values) if outcome.value == 0 else None
    if found is not None:
        file, end = found
        file.remote = end
        sockets.tell(file, call)


def other(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """A call that gives a descriptor of something else."""
    sockets.put(call, outcome.value, OTHER, "", cloexec=closes_on_exec(values))


def pipe(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """pipe(2)."""
    ends = values[0]
    for end in ends.values if isinstance(ends, Items) and outcome.value == 0 else ():
        sockets.put(call, end.number if isinstance(end, Word) else None, OTHER, "", cloexec=closes_on_exec(values))


def io_uring(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """io_uring_setup(2): what moves through the ring is in no log."""
    other(sockets, call, values, outcome)
    if outcome.value is not None and outcome.value >= 0:
        sockets.recording.mark("io_uring", call.time, "bytes moved by io_uring are not in the log", pid=call.pid)


def _made(values: list[Value]) -> OpenFile:
    """What socket(2) and socketpair(2) make."""
    family = addresses.FAMILIES.get(values[0].text, 0) if isinstance(values[0], Word) else 0
    stream = isinstance(values[1], Word) and "SOCK_STREAM" in values[1].names
    return OpenFile(True, family) if stream and family else OTHER


def _addressed(sockets: Sockets, call: Call, values: list[Value]) -> tuple[OpenFile, addresses.Endpoint] | None:
    """The stream socket that a call tells an address of, its family as told, and the address; None for all others."""
    known = addresses.sockaddr(values[1])
    file = sockets.file(call, values[0]) if known else None
    if file is None or known is None or not file.stream:
        return None
    file.family, end = known
    return file, end
