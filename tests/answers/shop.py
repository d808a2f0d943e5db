"""A small shop's recording, in as many variants as a test asks for."""

from dataclasses import replace
from pathlib import Path

from tests.build import Capture


def record(path: Path, total: str = "12.5", status: str = "200 OK", port: int = 8080, pid: int = 100, **more) -> Path:
    """POST /pay and GET /cart on one connection, GET /health on another."""
    capture = Capture()
    capture.header = replace(capture.header, recording_id=more.get("recording", "shop"))
    capture.wait(more.get("wait", 0))
    shop = capture.process(pid, comm="shop")
    server, client = f"127.0.0.1:{port}", f"127.0.0.1:{40000 + pid}"
    one = shop.accept(server, client)
    _answer(one.receive(_pay(port)), status, f'{{"total": {total}, "items": [{{"id": 7}}]}}', more.get("extra", ""))
    capture.wait(more.get("slow", 1_000_000))
    one.receive(f"GET {more.get('cart', '/cart')} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
    _answer(one, "200 OK", more.get("text", "two\nlines\n"), "", "text/plain").close()
    if more.get("health", True):
        two = shop.accept(server, f"127.0.0.1:{41000 + pid}")
        two.receive(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n").send(b"HTTP/1.1 204 No Content\r\n\r\n").close()
    return capture.write(path)


def _pay(port: int) -> bytes:
    head = f"POST /pay?key=k1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer s3cret\r\n"
    return f"{head}Cookie: sid=s3cret; a=b\r\nContent-Length: 2\r\n\r\n{{}}".encode()


def _answer(socket, status: str, body: str, extra: str = "", kind: str = "application/json"):
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Date: now\r\nContent-Length: {len(body)}\r\n\r\n"
    return socket.send((head + body).encode())
