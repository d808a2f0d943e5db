"""`ebpf-rec capture --redact`: the secret never reaches the file, and the exchanges replay with tokens in its place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capfile.frames import Header
from capfile.reader import Reader
from capfile.redaction import NAMES
from fixtures import running
from tests.live import bench

SECRET = "s3cr3t-Of-8919-THE-test"
# Ask a server three times, the last time with the head in two calls that two drain passes see. The secret comes by the
# environment, because command lines are recorded.
ASKING = """
import os, socket, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
secret = os.environ["TOLD"]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        assert secret in self.headers["Authorization"] and secret in self.headers["X-Api-Key"]
        self.send_response(200)
        self.send_header("Set-Cookie", "id=" + secret)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with socket.create_connection(server.server_address) as client:
    for pause in (0, 0, 1):
        fields = (f"GET /{pause} HTTP/1.1", "Host: h", f"X-Api-Key: {secret}", f"Authorization: Bearer {secret}")
        data = "\\r\\n".join([*fields, "", ""]).encode()
        cut = len(data) - 10 if pause else len(data)
        client.sendall(data[:cut])
        time.sleep(pause)
        client.sendall(data[cut:])
        answer = b""
        while not answer.endswith(b"hello"):
            answer += client.recv(65536)
server.shutdown()
"""


def header_values(exchange: dict, message: str, name: str) -> list[str]:
    return [value for known, value in exchange[message]["headers"] if known.lower() == name.lower()]


def test_a_secret_never_reaches_the_file_and_the_exchanges_replay_with_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLD", SECRET)
    output = tmp_path / "x.cap"
    words = ("--no-compress", "--redact", "--redact-header", "X-Api-Key", "-o", str(output))
    done = bench.capture(*words, "--", sys.executable, "-c", ASKING)
    assert done.returncode == 0, done.stderr
    assert "redacted: " in done.stderr
    assert SECRET.encode() not in output.read_bytes()
    assert SECRET[-8:].encode() not in output.read_bytes()  # the part that came by the second call
    with Reader.open(output) as reader:
        described = next(iter(reader))
    assert isinstance(described, Header)
    assert described.redaction["headers"] == [*NAMES, "X-Api-Key"]

    shown = subprocess.run(
        [running.tool("ebpf-replay"), "show", "--format", "jsonl", str(output)], capture_output=True, check=True
    )
    exchanges = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(each["request"]["target"], each["response"]["status"]) for each in exchanges] == [
        ("/0", 200),
        ("/0", 200),
        ("/1", 200),
    ]
    assert all(each["complete"] and each["response"]["body"]["data"] == "hello" for each in exchanges)
    keys = [header_values(each, "request", "X-Api-Key")[0] for each in exchanges]
    cookies = [header_values(each, "response", "Set-Cookie")[0] for each in exchanges]
    passes = [header_values(each, "request", "Authorization")[0] for each in exchanges]
    assert len({*keys}) == len({*cookies}) == 1  # equal secrets stay equal
    assert passes[0] == passes[1]
    assert all(word.startswith("Bearer ") and len(word) == len("Bearer " + SECRET) for word in passes)
    verified = subprocess.run([running.tool("ebpf-replay"), "verify", str(output)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout


def test_equal_secrets_stay_equal_over_segments_and_each_header_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last request's head comes a second after the others: in another segment."""
    monkeypatch.setenv("TOLD", SECRET)
    output = tmp_path / "x.cap"
    words = (
        "--no-compress",
        "--redact",
        "--redact-header",
        "X-Api-Key",
        "--rotate-seconds",
        "400ms",
        "-o",
        str(output),
    )
    done = bench.capture(*words, "--", sys.executable, "-c", ASKING)
    assert done.returncode == 0, done.stderr
    segments = [*sorted(tmp_path.glob("x.0*.cap")), output]
    assert len(segments) > 1
    for segment in segments:
        assert SECRET[-8:].encode() not in segment.read_bytes()
        with Reader.open(segment) as reader:
            described = next(iter(reader))
        assert isinstance(described, Header)
        assert described.redaction["headers"] == [*NAMES, "X-Api-Key"]
    shown = subprocess.run(
        [running.tool("ebpf-replay"), "show", "--format", "jsonl", *map(str, segments)], capture_output=True, check=True
    )
    exchanges = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [each["request"]["target"] for each in exchanges] == ["/0", "/0", "/1"]
    assert len({header_values(each, "request", "X-Api-Key")[0] for each in exchanges}) == 1
    assert len({header_values(each, "response", "Set-Cookie")[0] for each in exchanges}) == 1


def test_without_redact_the_same_recording_holds_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above cannot pass by recording nothing of it."""
    monkeypatch.setenv("TOLD", SECRET)
    output = tmp_path / "x.cap"
    done = bench.capture("--no-compress", "-o", str(output), "--", sys.executable, "-c", ASKING)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes().count(SECRET.encode()) >= 3
    assert SECRET[-8:].encode() in output.read_bytes()
