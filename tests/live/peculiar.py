"""Servers that do with descriptors what ordinary ones do rarely. Each answers /bytes/N, prints "listening on ADDRESS".

python -m tests.live.peculiar MODE
"""

from __future__ import annotations

import array
import os
import socket
import sys
from collections.abc import Callable

from fixtures.servers.routes import content


def read_head(connection: socket.socket) -> bytes:
    """One request's head (no bodies here); empty when the peer is gone."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(4096)
        if not part:
            return b""
        head += part
    return head


def answer_to(head: bytes) -> bytes:
    body = content(int(head.split()[1].rpartition(b"/")[2]))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def plain(connection: socket.socket) -> None:
    while head := read_head(connection):
        connection.sendall(answer_to(head))


def through_a_duplicate(connection: socket.socket) -> None:
    """Each answer goes out through another descriptor of the same socket, the last one after the first is closed."""
    while head := read_head(connection):
        other = os.dup(connection.fileno())
        high = os.dup2(other, 200)
        os.close(other)
        rest = memoryview(answer_to(head))
        while rest:
            rest = rest[os.write(high, rest) :]
        os.close(high)


def in_a_child(connection: socket.socket) -> None:
    """A forked child answers on the inherited descriptor while the parent has closed its own."""
    if os.fork() == 0:
        plain(connection)
        os._exit(0)


def in_a_process_that_was_sent_it(connection: socket.socket) -> None:
    """The descriptor travels over a Unix socket (SCM_RIGHTS) to a worker."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        connection.close()
        _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        plain(socket.socket(fileno=fds[0]))
        os._exit(0)
    socket.send_fds(ours, [b"x"], array.array("i", [connection.fileno()]).tolist())
    ours.close()
    theirs.close()


MODES: dict[str, Callable[[socket.socket], None]] = {
    "plain": plain,
    "duplicate": through_a_duplicate,
    "child": in_a_child,
    "sent": in_a_process_that_was_sent_it,
}


def main(mode: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        connection, _ = listener.accept()
        MODES[mode](connection)
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
