"""`serve` answers as was recorded, `send` asks again and compares; each proves the other."""

import http.client
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

import replay
from replay import serving
from replay.cli import main
from tests.answers import hostile, shop
from tests.answers.examples import body, exchange, get, request, response


@contextmanager
def served(exchanges):
    with serving.server(serving.Answers(exchanges), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def asked(port, method, target, data=None, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, target, data, dict(headers))
    answer = connection.getresponse()
    found = answer.status, answer.reason, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def send(path, port, *more):
    return main(["send", str(path), "--to", f"http://127.0.0.1:{port}", *more])


def test_what_is_served_is_what_was_recorded(tmp_path, capsys):
    path = shop.record(tmp_path / "shop.cap")
    with served(replay.open(path)) as port:
        assert send(path, port) == 0
    assert capsys.readouterr().out == "3 requests: 3 answered as recorded, 0 otherwise, 0 not at all\n"


def test_an_answer_that_changed_is_told_by_field(tmp_path, capsys):
    path = shop.record(tmp_path / "shop.cap")
    with served(replay.open(shop.record(tmp_path / "new.cap", total="99", status="500 Oops"))) as port:
        assert send(path, port) == 1
    assert capsys.readouterr().out == (
        "1-1  POST /pay?key=k1\n"
        "    response.status\n      - recorded 200\n      + answered 500\n"
        '    response.reason\n      - recorded "OK"\n      + answered "Oops"\n'
        "    response.body.json.total\n      - recorded 12.5\n      + answered 99\n"
        "3 requests: 2 answered as recorded, 1 otherwise, 0 not at all\n"
    )


def test_answers_recorded_more_than_once_come_in_turn():
    with served([get("/n", data=b"1"), get("/n", data=b"2")]) as port:
        assert [asked(port, "GET", "/n")[3] for _ in range(4)] == [b"1", b"2", b"1", b"2"]


def test_methods_statuses_and_framing_are_the_connection_s_own():
    gzip = body(b"\x1f\x8bx", decoded=b"hello", content_encoding="gzip")
    chunked = (("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
    recorded = [
        exchange(request("PURGE", "/x"), response(204)),
        exchange(request("HEAD", "/x"), response(200, (("X", "1"),))),
        exchange(request("GET", "/gzip"), response(200, chunked, body=gzip)),
    ]
    with served(recorded) as port:
        assert asked(port, "PURGE", "/x")[0] == 204
        assert asked(port, "HEAD", "/x")[2]["X"] == "1"
        status, _, headers, data = asked(port, "GET", "/gzip")
    assert (status, data, headers["Content-Encoding"], headers["Content-Length"]) == (200, b"\x1f\x8bx", "gzip", "3")
    assert "Transfer-Encoding" not in headers


def test_what_was_not_recorded_is_not_answered_with_less():
    half = exchange(request("GET", "/half"), response(body=body(b"ab", size=10, captured=2)))
    with served([half, exchange(request("GET", "/lost"), None)]) as port:
        assert asked(port, "GET", "/half")[0] == 502
        assert asked(port, "GET", "/lost")[0] == 404
        assert asked(port, "POST", "/half", b"x" * 1000)[0] == 404


def test_bodies_of_requests_are_read_or_the_connection_ends():
    with served([get("/a")]) as port, socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        one.sendall(
            b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /a HTTP/1.1\r\n\r\n"
        )
        seen = b""
        while part := one.recv(65536):
            seen += part
    assert re.findall(rb"HTTP/1.1 (\d+)", seen) == [b"404", b"200", b"404"]


def test_hostile_answers_cannot_split_the_response():
    evil = exchange(request("GET", "/evil"), response(200, (("X", "a\r\nInjected: 1"), ("Y", "ok")), reason="OK"))
    with served([evil, *(e for e in hostile.exchanges() if isinstance(e, replay.Exchange))]) as port:
        headers = asked(port, "GET", "/evil")[2]
    assert "Injected" not in headers
    assert headers["Y"] == "ok"


def test_hostile_requests_are_sent_in_one_piece_or_not_at_all(tmp_path, capsys, monkeypatch):
    evil = [e for e in hostile.exchanges() if isinstance(e, replay.Exchange)]
    monkeypatch.setattr(replay.Exchanges, "where", lambda self, text: evil)
    with served(evil) as port:
        assert send(tmp_path / "any.cap", port) == 1
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert "not sent, or no answer" in out


def test_a_server_that_is_not_there_and_incomplete_requests_are_counted(tmp_path, capsys):
    path = shop.record(tmp_path / "shop.cap")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert send(path, taken.getsockname()[1]) == 1
    assert capsys.readouterr().out.endswith("0 answered as recorded, 0 otherwise, 3 not at all\n")


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://h", "http://", "http://h/path", "http://h:99999", "http://h?x"])
def test_a_url_that_is_no_server_is_a_usage_error(tmp_path, url):
    assert main(["send", str(shop.record(tmp_path / "shop.cap")), "--to", url]) == 2


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    path = shop.record(tmp_path / "shop.cap")
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{code}; from replay.cli import main; import sys; sys.exit(main())"
    command = [sys.executable, "-c", run, "serve", str(path), "--filter", 'path == "/cart"']
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    found = re.match(r"http://127\.0\.0\.1:(\d+) answers 1 recorded request\b", process.stderr.readline())
    assert asked(int(found[1]), "GET", "/cart")[3] == b"two\nlines\n"
    process.send_signal(2)
    assert process.wait(10) == 0
    process.stderr.close()
    assert main(["serve", str(path), "--filter", "status == 999"]) == 2
    assert main(["serve", str(path), "--port", "70000"]) == 2
