"""Where fuzzing begins: small captures of each kind."""

from __future__ import annotations

from tests.build import Capture
from tests.capfile.files import frames, written


def seeds() -> dict[str, bytes]:
    """Name -> bytes."""
    capture = Capture(cpus=2, drain_every=3)
    server = capture.process(100)
    server.accept().receive(b"GET / HTTP/1.1\r\n\r\n").send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").close()
    server.accept("/run/x").receive(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n").close()
    server.connect().send(b"HEAD /x HTTP/1.1\r\n\r\n").receive(b"HTTP/1.1 404 N\r\nContent-Length: 9\r\n\r\n").close()
    return {
        "frames": written(frames(2)),
        "no end": written(frames(1), end=False),
        "http": capture.bytes(),
        "http, killed": capture.bytes(end=False),
    }
