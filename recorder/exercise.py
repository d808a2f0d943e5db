"""The doctor's patient: one exchange on loopback through each family of system calls, and what a call cost.

Runs as the recorded command, unprivileged. Knows nothing of the recorder.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Final

REQUEST: Final = b"GET /doctor HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ROUNDS: Final = 2000  # enough that a call's cost stands out from the clock's and the scheduler's
LIMIT: Final = 4096

Pair = tuple[socket.socket, socket.socket]
Send = Callable[[socket.socket, bytes], object]
Receive = Callable[[socket.socket], object]
Exchange = Callable[[Pair], None]


def _both(
    pair: Pair, send: Callable[[socket.socket, bytes], object], receive: Callable[[socket.socket], object]
) -> None:
    client, server = pair
    send(client, REQUEST)
    receive(server)
    send(server, RESPONSE)
    receive(client)


def read_write(pair: Pair) -> None:
    """read(2), write(2)."""
    _both(pair, lambda s, data: os.write(s.fileno(), data), lambda s: os.read(s.fileno(), LIMIT))


def recv_send(pair: Pair) -> None:
    """recvfrom(2), sendto(2)."""
    _both(pair, socket.socket.sendall, lambda s: s.recv(LIMIT))


def recvmsg_sendmsg(pair: Pair) -> None:
    """recvmsg(2), sendmsg(2)."""
    _both(pair, lambda s, data: s.sendmsg([data[:5], data[5:]]), lambda s: s.recvmsg(LIMIT))


def readv_writev(pair: Pair) -> None:
    """readv(2), writev(2)."""
    _both(
        pair,
        lambda s, data: os.writev(s.fileno(), [data[:5], data[5:]]),
        lambda s: os.readv(s.fileno(), [array.array("B", bytes(7)), array.array("B", bytes(LIMIT))]),
    )


def sendfile(pair: Pair) -> None:
    """sendfile(2): its bytes never are in user memory."""
    client, server = pair
    client.sendall(REQUEST)
    server.recv(LIMIT)
    with tempfile.TemporaryFile() as file:
        file.write(RESPONSE)
        file.flush()
        os.sendfile(server.fileno(), file.fileno(), 0, len(RESPONSE))
    client.recv(LIMIT)


FAMILIES: Final[dict[str, Exchange]] = {
    "read/write": read_write,
    "recvfrom/sendto": recv_send,
    "recvmsg/sendmsg": recvmsg_sendmsg,
    "readv/writev": readv_writev,
    "sendfile": sendfile,
}


def tcp_pair(family: socket.AddressFamily, address: str) -> Pair:
    """(client, server): a TCP connection on loopback."""
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
        return client, server


def unix_pair(folder: str) -> Pair:
    """(client, server): a Unix stream connection through a path."""
    path = os.path.join(folder, "doctor.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        server, _ = listener.accept()
        return client.dup(), server


def cost(rounds: int = ROUNDS) -> float:
    """ns per call, of write(2) and read(2) of 64 bytes through a socket."""
    client, server = socket.socketpair()
    with client, server:
        one, other, payload = client.fileno(), server.fileno(), bytes(64)
        start = time.perf_counter_ns()
        for _ in range(rounds):
            os.write(one, payload)
            os.read(other, 64)
        return (time.perf_counter_ns() - start) / rounds / 2


def run() -> dict[str, float]:
    """Every exchange once; the cost of a call."""
    for exchange in FAMILIES.values():
        _run(exchange, tcp_pair(socket.AF_INET, "127.0.0.1"))
    with tempfile.TemporaryDirectory() as folder:
        _run(recv_send, unix_pair(folder))
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        _run(recv_send, tcp_pair(socket.AF_INET6, "::1"))
    return {"ns_per_call": cost()}


def _run(exchange: Exchange, pair: Pair) -> None:
    with pair[0], pair[1]:
        exchange(pair)


if __name__ == "__main__":
    json.dump(run(), sys.stdout)
