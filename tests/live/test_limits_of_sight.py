"""What the kernel program cannot hold or cannot see: said, counted, and never taken for something else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures import running
from fixtures.asking import exchanges, report
from tests.live.exercised import CAPTURE, HAS_LENGTHS, OTHER_WAY, SECONDS
from tests.live.ways import SOCKETS

CROWDED = [*OTHER_WAY, "crowded", "capture"]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# Pairs that are all open at once; each has one exchange in every round.
CROWD = """
import socket, sys
pairs = [socket.socketpair() for _ in range(int(sys.argv[1]))]
for turn in range(2):
    for number, (client, server) in enumerate(pairs):
        client.sendall(b"GET /%d/%d HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % (turn, number))
        server.recv(4096)
        server.sendall(sys.argv[2].encode())
        client.recv(4096)
"""

# Both ends of a TCP connection through io_submit(2): struct iocb of include/uapi/linux/aio_abi.h.
AIO = """
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
context = ctypes.c_ulong()
assert libc.syscall(206, 8, ctypes.byref(context)) == 0
def submitted(operation, descriptor, buffer):
    at, size = ctypes.addressof(buffer), len(buffer)
    row = struct.pack("<QIIHhIQQqQII", 1, 0, 0, operation, 0, descriptor, at, size, 0, 0, 0, 0)
    block = ctypes.create_string_buffer(row, len(row))
    rows = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    assert libc.syscall(209, context, ctypes.c_long(1), rows) == 1
    events = ctypes.create_string_buffer(32)
    assert libc.syscall(208, context, ctypes.c_long(1), ctypes.c_long(1), events, None) == 1
    return struct.unpack("<QQqq", events.raw)[2]
client.sendall(b"by send")
assert server.recv(100) == b"by send"
assert submitted(1, client.fileno(), ctypes.create_string_buffer(b"x" * 300, 300)) == 300
assert submitted(0, server.fileno(), ctypes.create_string_buffer(300)) == 300
client.sendall(b"by send again")
assert server.recv(100) == b"by send again"
client.close()
server.close()
"""


def forgotten(capture: Path) -> int:
    words = [running.tool("ebpf-replay"), "info", "--json", str(capture)]
    found: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True).stdout)
    return int(found["losses"].get("sockets_forgotten", 0))


@pytest.mark.parametrize("pairs", [50, 600])
def test_sockets_that_make_room_for_others_are_counted_and_lose_no_byte(pairs: int, tmp_path: Path) -> None:
    capture = tmp_path / "crowded.cap"
    words = [*CROWDED, "-o", str(capture), "--", sys.executable, "-c", CROWD, str(pairs), ANSWER.decode()]
    told = subprocess.run(words, check=True, capture_output=True, text=True, timeout=SECONDS).stderr
    found = report(capture)
    seen = found["totals"]["connections"]
    targets = sorted(f"/{turn}/{number}" for turn in (0, 1) for number in range(pairs))
    moved = (len(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n") + len(ANSWER) for target in targets)
    assert found["totals"]["captured"] == 2 * sum(moved)
    if 2 * pairs <= SOCKETS // 2:
        assert (seen, forgotten(capture), "made room" in told) == (2 * pairs, 0, False)
        return
    assert 0 < seen - 2 * pairs <= forgotten(capture) <= found["uncounted"]
    assert f"{forgotten(capture):,} sockets made room for others" in told
    assert not found["proven"]
    assert sorted(each["request"]["target"] for each in exchanges(capture)) == targets


@pytest.mark.skipif(not HAS_LENGTHS, reason="before Linux 6.3 nobody counts what io_submit moves")
def test_bytes_of_io_submit_are_gaps_of_their_size(tmp_path: Path) -> None:
    capture = tmp_path / "aio.cap"
    subprocess.run([*CAPTURE, "-o", str(capture), "--", sys.executable, "-c", AIO], check=True, timeout=SECONDS)
    found = report(capture)
    assert found["totals"]["gaps"] == {"unknown": 600}
    flows = [each[way] for each in found["connections"] for way in ("received", "sent") if each[way].get("captured")]
    assert [(flow["captured"], flow["counted"], flow["gaps"]) for flow in flows] == [(20, 320, {"unknown": 300})] * 2
