"""The calls of an strace log that move bytes: what they moved, through which socket, and what of it is not in the log.

A call that failed moved nothing; a peek moves nothing. Strings that strace cut (-s) are gaps of exact size, for the
reason "snaplen"; bytes that never were in user memory (sendfile, splice) are gaps of their own reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from capfile.event import AF_UNIX, Direction, Flag, Reason
from replay.importers.recording import NO_FLAGS, Caller
from replay.importers.strace_buffers import buffers_of, descriptors_in, flags_of, message_buffers
from replay.importers.strace_descriptors import OpenFile
from replay.importers.strace_lines import Call, Result
from replay.importers.strace_sockets import Sockets
from replay.importers.strace_values import Items, Structure, Text, Value, Word

# the place of the flags among the arguments
FLAGS_AT: Final = {"recvfrom": 3, "recv": 3, "recvmsg": 2, "sendto": 3, "send": 3, "sendmsg": 2}
# of a receive: the bytes stay, or are none of the stream
NOTHING_MOVED: Final = frozenset(("MSG_PEEK", "MSG_OOB", "MSG_ERRQUEUE"))


def receive(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """read(2), recv(2) and their relatives."""
    _transfer(sockets, call, values, Direction.RECEIVE, outcome)


def send(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """write(2), send(2) and their relatives."""
    _transfer(sockets, call, values, Direction.SEND, outcome)


def messages(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """recvmmsg(2), sendmmsg(2): `outcome` messages, each with its own length."""
    direction = Direction.RECEIVE if call.name == "recvmmsg" else Direction.SEND
    flags = flags_of(values, 3)
    vector = values[1]
    count = max(outcome.value or 0, 0)
    shown = vector.values[:count] if isinstance(vector, Items) else ()
    for message in shown:
        if isinstance(message, Structure):
            header, length = message.fields.get("msg_hdr"), message.fields.get("msg_len")
            buffers, size = message_buffers(header)
            moved = Result(length.number if isinstance(length, Word) else 0, "", outcome.error)
            _hand_over(sockets, call, values[0], direction, header)
            _move(sockets, call, values[0], direction, buffers, size, flags, moved)
    file = sockets.file(call, values[0], network=True) if len(shown) < count else None
    if file is not None and file.stream:  # how many bytes they had, the log does not say
        left_out = count - len(shown)
        sockets.remarks["messages-missing", "message", "that strace left out: bytes are missing"] += left_out


def sendfile(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """sendfile(2): bytes that never were in user memory."""
    _unseen(sockets, call, values[0], Direction.SEND, outcome, Reason.SENDFILE)


def splice(sockets: Sockets, call: Call, values: list[Value], outcome: Result) -> None:
    """splice(2): one end is a pipe, the other may be a socket."""
    _unseen(sockets, call, values[0], Direction.RECEIVE, outcome, Reason.SPLICE)
    _unseen(sockets, call, values[2], Direction.SEND, outcome, Reason.SPLICE)


def _transfer(sockets: Sockets, call: Call, values: list[Value], direction: Direction, outcome: Result) -> None:
    """One call, one message."""
    flags = flags_of(values, FLAGS_AT.get(call.name))
    buffers, size = buffers_of(call.name, values)
    if call.name in ("recvmsg", "sendmsg") and not outcome.error:
        _hand_over(sockets, call, values[0], direction, values[1])
    _move(sockets, call, values[0], direction, buffers, size, flags, outcome)


def _hand_over(sockets: Sockets, call: Call, through: Value, direction: Direction, header: Value | None) -> None:
    """The descriptors that a message carries (SCM_RIGHTS)."""
    hand = sockets.take if direction == Direction.RECEIVE else sockets.pass_on
    hand(call, through, descriptors_in(header))


def _move(
    sockets: Sockets,
    call: Call,
    descriptor: Value,
    direction: Direction,
    buffers: Sequence[tuple[Text, int]],
    size: int | None,
    flags: Sequence[str],
    outcome: Result,
) -> None:
    """`outcome` bytes through `buffers` (each with its length), `size` asked for."""
    moved = outcome.value
    if moved is None or moved < 0 or outcome.error:
        return
    if direction == Direction.RECEIVE and not NOTHING_MOVED.isdisjoint(flags):
        return
    if direction == Direction.SEND and "MSG_OOB" in flags:
        moved = max(
            moved - 1, 0
        )  # the last byte is the urgent one (tcp(7)), which the peer does not read in the stream
    file = sockets.file(call, descriptor, network=call.name.startswith(("recv", "send")))
    if file is None:
        file = sockets.presume(call, descriptor, buffers)
    if not file.stream:
        return
    socket = sockets.introduce(file, call)
    caller = sockets.caller(call, descriptor)
    if direction == Direction.RECEIVE and moved == 0:
        if size != 0 and not socket.closed:
            sockets.recording.eof(socket, call.time, caller)
        return
    if direction == Direction.RECEIVE and "MSG_TRUNC" in flags and file.family != AF_UNIX:
        _data(sockets, file, call, direction, b"", moved, Reason.MSG_TRUNC, caller)  # tcp(7): the bytes are discarded
        return
    zero_copy = Flag.ZEROCOPY if "MSG_ZEROCOPY" in flags else NO_FLAGS
    for text, length in buffers:
        part = min(length, moved)
        _data(sockets, file, call, direction, text.data[:part], part, Reason.SNAPLEN, caller, zero_copy)
        moved -= part
    _data(sockets, file, call, direction, b"", moved, Reason.SNAPLEN, caller)


def _unseen(
    sockets: Sockets, call: Call, descriptor: Value, direction: Direction, outcome: Result, reason: Reason
) -> None:
    file = sockets.file(call, descriptor) if outcome.value and outcome.value > 0 else None
    if file is not None and file.stream:
        sockets.introduce(file, call)
        _data(sockets, file, call, direction, b"", outcome.value or 0, reason, sockets.caller(call, descriptor))


def _data(
    sockets: Sockets,
    file: OpenFile,
    call: Call,
    direction: Direction,
    data: bytes,
    size: int,
    reason: Reason,
    caller: Caller,
    flags: Flag = NO_FLAGS,
) -> None:
    if size and file.socket is not None and not file.socket.closed:
        sockets.recording.data(
            file.socket, direction, call.time, data, size=size, reason=reason, caller=caller, flags=flags
        )
