"""The kernel counts every connection, however the connection, its process and the recording end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures import running
from fixtures.asking import report
from tests.live.exercised import CAPTURE, SECONDS

TALK = """
import os, signal, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"x" * 1009)
server.recv(100)
server.sendall(b"y" * 53)
client.recv(9999)
a, b = socket.socketpair()
a.sendall(b"unix" * 10)
b.recv(20)
"""
ENDS = {
    "closed": "client.close(); server.close(); a.close(); b.close()",
    "left open at a clean exit": "pass",
    "left open at _exit": "os._exit(0)",
    "left open by a killed child": "os.fork() or os.kill(os.getpid(), signal.SIGKILL); os.wait()",
}


def assert_counted(found: dict[str, Any]) -> None:
    """Every byte that TALK moved was captured and counted."""
    assert (found["verdict"], found["missing"], found["uncounted"]) == ("complete", [], 0)
    flows = [connection[way] for connection in found["connections"] for way in ("received", "sent")]
    counts = sorted(flow["counted"] for flow in flows)
    assert counts == [0, 0, 20, 40, 53, 53, 100, 1009]
    assert [flow.get("captured", 0) for flow in flows] == [flow["counted"] for flow in flows]


@pytest.mark.parametrize("end", list(ENDS))
def test_recorded_command_s_connections_are_all_counted(end: str, tmp_path: Path) -> None:
    capture = tmp_path / "ends.cap"
    command = [*CAPTURE, "-o", str(capture), "--", "python3", "-c", TALK + ENDS[end]]
    subprocess.run(command, check=True, timeout=SECONDS)
    assert_counted(report(capture))


def test_connections_still_open_when_the_recording_ends_are_counted(tmp_path: Path) -> None:
    capture = tmp_path / "open.cap"
    code = "import sys; sys.stdin.readline()" + TALK + "print('done', flush=True); sys.stdin.readline()"
    words = ["python3", "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as talker:
        assert talker.stdin
        assert talker.stdout
        with running.recording(capture, "--pid", str(talker.pid)):
            talker.stdin.write("go\n")
            talker.stdin.flush()
            assert talker.stdout.readline() == "done\n"
        talker.stdin.close()
        assert talker.wait(SECONDS) == 0
    assert_counted(report(capture))
