"""curl commands: run by a real shell against a real server, they send what was recorded and nothing else."""

import io
import os
import re
import shutil
import socketserver
import subprocess
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from replay.output import curl
from tests.answers import hostile
from tests.answers.examples import CONNECTION, body, exchange, opaque, request, response

needs_curl = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash")


def written(*items):
    out = io.BytesIO()
    curl.write(items, out)
    return out.getvalue().decode("ascii")


class _Recorder(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while line := self.rfile.readline():
            head += line
            if line == b"\r\n":
                break
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        self.server.seen.append(head + self.rfile.read(int(length[1]) if length else 0))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Recorder) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def replayed(server, req):
    port = server.server_address[1]
    script = written(exchange(req, response(), connection=replace(CONNECTION, server=f"127.0.0.1:{port}")))
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=20, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, (done.stderr, script)
    head, _, sent = server.seen[-1].partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    return first, [tuple(line.split(": ", 1)) if ": " in line else (line, "") for line in headers], sent


@needs_curl
@pytest.mark.parametrize(
    ("method", "target", "data"),
    [
        ("GET", "/../a/./b?x=[1-9]{a,b}&y=%20", b""),
        ("POST", "/pay", b"a=1&b=2"),
        ("PUT", "/@file", b"@/etc/passwd"),
        ("DELETE", "/x", b""),
        ("POST", "/lines", b"one\r\ntwo\n\n"),
        ("PATCH", "/shell", hostile.SHELL.encode()),
        ("POST", "/nul", b"\x00\xff\x00"),
        ("POST", "/large", bytes(range(256)) * 200),
        ("POST", "/escapes", hostile.ESCAPES.encode("latin-1")),
    ],
)
def test_the_command_sends_the_recorded_request(server, method, target, data):
    headers = (("Host", "shop.example"), ("X-Quote", 'it\'s "$HOME" `id` \\'), ("X-Empty", ""), ("x-high", "\xe9\x80"))
    first, sent_headers, sent = replayed(server, request(method, target, headers, data=data))
    assert re.fullmatch(rf"{method} \S+ HTTP/1.1", first)
    assert first.split()[1].replace("%5B", "[").replace("%5D", "]").replace("%7B", "{").replace("%7D", "}") == target
    assert sent == data
    own = [(n, v) for n, v in sent_headers if n != "Content-Length"]
    assert [(name.rstrip(":"), value) for name, value in own] == list(headers)


@needs_curl
def test_nothing_recorded_reaches_the_shell_as_code(tmp_path):
    owned = tmp_path / "owned"
    script = written(*hostile.exchanges()).replace("/tmp/owned", str(owned))
    fake = tmp_path / "curl"
    fake.write_text('#!/bin/sh\ncat >/dev/null\nprintf "%s\\n" "$@" | grep -q "^--url$"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, stdin=subprocess.DEVNULL, timeout=60
    )
    assert done.returncode == 0
    assert not owned.exists()


@needs_curl
@settings(deadline=None)  # a shell is started for each
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=50))
def test_any_text_comes_out_of_the_shell_as_it_went_in(text):
    done = subprocess.run(["bash", "-c", f"printf %s {curl.quoted(text)}"], capture_output=True)
    assert done.stdout == text.encode("latin-1")


def test_the_script_is_printable_ascii_whatever_was_recorded():
    assert not re.search(r"[^\n -~]", written(*hostile.exchanges(), *hostile.ordinary()))


def test_what_curl_cannot_send_is_left_out_with_a_comment():
    script = written(*hostile.exchanges(), hostile.big())
    assert "@/etc/passwd" not in re.sub(r"(?m)^#.*", "", script)
    assert "# left out: header '@/etc/passwd'" in script
    assert "# left out: its method is not a token" in script
    assert re.search(r"# left out: header 'X-Big', [\d,]{10} bytes", script)
    assert len(script) < 100_000


def test_an_incomplete_body_and_a_missing_request_are_said_so():
    half = exchange(request("POST", body=body(b"ab", size=10, captured=2)), response())
    assert "# its body is incomplete: 2 of 10 bytes" in written(half)
    assert written(exchange(None, response()), opaque()) == "# c1-1: the request was not seen\n"


def test_a_unix_socket_and_an_odd_target_have_their_options():
    unix = replace(CONNECTION, family="unix", server="/run/app's.sock")
    script = written(exchange(request("OPTIONS", "*"), response(), connection=unix))
    assert "--unix-socket '/run/app'\\''s.sock'" in script
    assert "--request-target '*'" in script
