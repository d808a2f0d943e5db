"""Filters in the kernel: who is recorded, and that nobody else is."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.live.exercised import CAPTURE, SECONDS, Recording

TALK = """
import socket, sys
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("127.0.0.1", port)); client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept(); client.sendall(b"x" * 101); server.recv(200)
a, b = socket.socketpair(); a.sendall(b"unix" * 10); b.recv(200)
"""
PORTS = ("25871", "25872")  # below the range that the kernel gives to outgoing connections


PYTHON = "/usr/bin/python3"  # not a wrapper script, and readable for every user


def talk(folder: Path, *options: str, name: str = "", **how: object) -> set[int]:
    """Record with these options while a process talks on two TCP ports and a Unix pair; the ports recorded, 0: Unix."""
    output, program = folder / "filtered.cap", Path(PYTHON)
    if name:
        program = folder / name
        program.symlink_to(PYTHON)
    recorder = subprocess.Popen([*CAPTURE, "-o", str(output), *options])
    try:
        deadline = time.monotonic() + SECONDS
        while not output.exists():
            assert recorder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        subprocess.run([str(program), "-c", TALK, *PORTS], check=True, timeout=SECONDS, **how)  # type: ignore[call-overload]
    finally:
        recorder.terminate()
        status = recorder.wait(SECONDS)
    assert status == 0
    recording = Recording.read(output)
    moved = {socket for (socket, _), flow in recording.flows.items() if flow.total}
    facts = [recording.facts[socket] for socket in moved]
    ports = {port for fact in facts for port in (fact.local_port, fact.remote_port)}
    return ports & {0, *map(int, PORTS)}


def test_comm_records_processes_of_that_name(tmp_path: Path) -> None:
    assert talk(tmp_path, "--comm", "talker", name="talker") >= {25871, 25872, 0}


def test_filter_that_matches_nobody_records_nothing(tmp_path: Path) -> None:
    assert talk(tmp_path, "--comm", "nobody-at-all") == set()


def test_port_records_its_connections_alone(tmp_path: Path) -> None:
    assert talk(tmp_path, "--comm", "talker2", "--port", PORTS[1], name="talker2") == {25872}


def test_uid_records_the_processes_of_that_user(tmp_path: Path) -> None:
    user = 64_037  # nobody's: no other process on the machine is recorded by mistake
    assert talk(tmp_path, "--uid", str(user), user=user, group=user) >= {25871, 25872, 0}
