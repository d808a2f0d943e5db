"""Which buffers a system call names, and how long each is: strings, iovecs, messages. Pure functions on arguments."""

from __future__ import annotations

from replay.importers.strace_values import Items, Structure, Text, Value, Word


class Unreadable(ValueError):
    """Arguments that are not those of this call."""


def number_of(value: Value) -> int | None:
    """A descriptor or a length; None when it is a name, negative or beyond 31 bits."""
    number = value.number if isinstance(value, Word) else None
    return number if number is not None and 0 <= number < 1 << 31 else None


def flags_of(values: list[Value], at: int | None) -> list[str]:
    """The names in a flags argument."""
    if at is None or at >= len(values):
        return []
    value = values[at]
    return value.names if isinstance(value, Word) else []


def buffers_of(name: str, values: list[Value]) -> tuple[list[tuple[Text, int]], int | None]:
    """The buffers of a call, each with its length, and their length together (None: not known)."""
    if name in ("readv", "writev", "preadv2", "pwritev2"):  # the last two on a socket with offset -1 (readv(2))
        return vector_of(values[1])
    if name in ("recvmsg", "sendmsg"):
        return message_buffers(values[1])
    size = number_of(values[2])
    text = values[1]
    return ([(text, size if size is not None else len(text.data))] if isinstance(text, Text) else []), size


def message_buffers(header: Value | None) -> tuple[list[tuple[Text, int]], int | None]:
    """The buffers of a msghdr, as `buffers_of` gives them."""
    if not isinstance(header, Structure) or "msg_iov" not in header.fields:
        return [], None
    return vector_of(header.fields["msg_iov"])


def descriptors_in(header: Value | None) -> list[Word]:
    """The descriptors that a msghdr carries: `msg_control=[{cmsg_type=SCM_RIGHTS, cmsg_data=[5]}]` (unix(7))."""
    control = header.fields.get("msg_control") if isinstance(header, Structure) else None
    found: list[Word] = []
    for each in control.values if isinstance(control, Items) else ():
        kind = each.fields.get("cmsg_type") if isinstance(each, Structure) else None
        data = each.fields.get("cmsg_data") if isinstance(each, Structure) else None
        if isinstance(kind, Word) and kind.text == "SCM_RIGHTS" and isinstance(data, Items):
            found += [number for number in data.values if isinstance(number, Word)]
    return found


def vector_of(vector: Value) -> tuple[list[tuple[Text, int]], int | None]:
    """`[{iov_base="…", iov_len=5}, …]`. A base that is only an address has bytes that are not in the log."""
    buffers: list[tuple[Text, int]] = []
    for each in vector.values if isinstance(vector, Items) else ():
        if not isinstance(each, Structure):
            raise Unreadable("no iovec")
        base, length = each.fields.get("iov_base"), each.fields.get("iov_len")
        size = number_of(length) if length is not None else None
        if size is None:
            raise Unreadable("an iovec without a length")
        buffers.append((base if isinstance(base, Text) else Text(b"", True), size))
    cut = not isinstance(vector, Items) or vector.cut
    return buffers, None if cut else sum(size for _, size in buffers)


def closes_on_exec(values: list[Value]) -> bool:
    """Whether a flag of that name stands among these arguments (SOCK_CLOEXEC, O_CLOEXEC, EFD_CLOEXEC …)."""
    return any(isinstance(each, Word) and "CLOEXEC" in each.text for each in values)
