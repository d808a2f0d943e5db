"""Forced loss: what verify calls missing is, to the byte, what the two programs themselves know to have passed."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from fixtures import running
from fixtures.asking import report

CONNECTIONS = 31  # a prime number, from several threads at once so that a ring of 64 KiB overflows
THREADS = 8
# Each connection is asked for SIZE bytes as "SIZE\n" and padding; the server answers with as many bytes.
SERVER = """
import socket, threading
def serve(peer):
    with peer, peer.makefile("rb") as lines:
        for line in lines:
            peer.sendall(b"a" * int(line.split()[0]))
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def converse(port: int, seed: int) -> tuple[str, int, int]:
    """One connection: its client's address, and the bytes it sent and received by its own count."""
    chance = random.Random(seed)
    sent = received = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        address = "{}:{}".format(*client.getsockname())
        for _ in range(40):
            size = chance.randrange(1, 60_000)
            question = f"{size} {'q' * chance.randrange(20_000)}\n".encode()
            client.sendall(question)
            sent += len(question)
            left = size
            while left:
                left -= len(client.recv(min(left, 65_536)))
            received += size
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    return address, sent, received


def converse_all(port: int) -> dict[str, tuple[int, int]]:
    """All connections: client address -> (sent, received)."""
    known: dict[str, tuple[int, int]] = {}

    def work(first: int) -> None:
        for seed in range(first, CONNECTIONS, THREADS):
            address, sent, received = converse(port, seed)
            known[address] = sent, received

    threads = [threading.Thread(target=work, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return known


def accounted(direction: dict[str, Any]) -> int:
    """Bytes of one direction that verify knows: captured and missing."""
    return int(direction["captured"]) + sum(direction.get("gaps", {}).values())


def test_the_missing_bytes_are_those_that_client_and_server_know_to_have_passed(tmp_path: Path) -> None:
    capture = tmp_path / "small.cap"
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        port = int(server.stdout.readline())
        with running.recording(capture, "--pid", str(server.pid), "--ring-size", "65536") as recorder:
            known = converse_all(port)
    finally:
        server.terminate()
        server.wait()
    assert "lost: nothing" not in recorder.said
    rows = {row["remote"]: row for row in report(capture)["connections"]}
    assert rows.keys() == known.keys()
    assert {a: (accounted(row["received"]), accounted(row["sent"])) for a, row in rows.items()} == known
    missing = sum(sum(row[way].get("gaps", {}).values()) for row in rows.values() for way in ("received", "sent"))
    captured = sum(row[way]["captured"] for row in rows.values() for way in ("received", "sent"))
    assert missing == sum(map(sum, known.values())) - captured > 0
