"""Real servers and clients, recorded live: every request, status and body hash is what the client itself saw."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import record, running
from fixtures.asking import Client, differences, exchanges, verify
from fixtures.servers.routes import content
from tests.live.servers import SERVERS, V4, V6

# bytes: nothing, one, around a page and a read buffer, over one event, over any socket buffer
SIZES = (0, 1, 4_095, 4_097, 65_537, 1_048_583, 5 * 1024 * 1024)


def ask_every_size(server: running.Server) -> Client:
    """19 requests: a prime number, so that no doubling or halving hides."""
    client = Client(server)
    for size in SIZES:
        client.ask("GET", f"/bytes/{size}")
    for size in SIZES[:6]:
        client.ask("POST", "/echo", content(size))
    client.ask("POST", "/digest", content(SIZES[-1]))
    client.ask("GET", "/chunked/100003")
    client.ask("HEAD", "/bytes/4097")
    client.ask("DELETE", "/nothing")
    client.close()
    client.ask("GET", "/ebpf/", keep=False)
    client.ask("GET", "/lost", keep=False)
    assert len(client.asked) == 19
    return client


@pytest.mark.parametrize("name", SERVERS)
def test_every_exchange_of_a_server_is_what_its_client_saw(name: str, tmp_path: Path) -> None:
    capture = tmp_path / "server.cap"
    with SERVERS[name](tmp_path) as server, running.recording(capture, "--pid", str(server.pid)) as recorder:
        client = ask_every_size(server)
    assert recorder.status == 0, recorder.said
    documents = exchanges(capture)
    assert differences(client.asked, documents) == []
    assert {d["connection"]["side"] for d in documents} == {"server"}
    assert verify(capture)[0] == 0, verify(capture)[1]


def test_the_address_and_the_family_of_each_connection_are_the_clients_own(tmp_path: Path) -> None:
    for address, family in ((V4, "inet"), (V6, "inet6"), (f"{tmp_path}/socket", "unix")):
        capture = tmp_path / f"{family}.cap"
        with running.python(tmp_path, address) as server, running.recording(capture, "--pid", str(server.pid)):
            client = Client(server)
            client.ask("GET", "/ebpf/")
            assert client.kept is not None
            ours = client.kept.sock.getsockname()
            client.close()
        connection = exchanges(capture)[0]["connection"]
        assert (connection["family"], connection["server"]) == (family, server.address)
        if family != "unix":
            assert connection["client"].endswith(f":{ours[1]}")


def peculiar(mode: str, folder: Path) -> running.Running:
    return running.announced([sys.executable, "-m", "tests.live.peculiar", mode], folder / f"{mode}.log")


@pytest.mark.parametrize("mode", ["plain", "duplicate", "child", "sent"])
def test_a_socket_is_one_connection_whatever_descriptor_and_process_use_it(mode: str, tmp_path: Path) -> None:
    capture = tmp_path / "peculiar.cap"
    with peculiar(mode, tmp_path) as server, running.recording(capture, "--pid", str(server.pid)):
        client = Client(server)
        for size in (1, 0, 65_537, 100_003, 7):
            client.ask("GET", f"/bytes/{size}")
        client.close()
    documents = exchanges(capture)
    assert differences(client.asked, documents) == []
    assert len({d["connection"]["id"] for d in documents}) == 1


def test_a_read_that_was_blocked_before_the_recording_began_is_recorded(tmp_path: Path) -> None:
    capture = tmp_path / "blocked.cap"
    with peculiar("plain", tmp_path) as server:
        client = Client(server)
        client.connect()  # accepted by the server, which now waits in recv
        running.wait_until(lambda: blocked_in_recv(server.pid), "the server waits in recv")
        with running.recording(capture, "--pid", str(server.pid)):
            for size in (1_009, 3):
                client.ask("GET", f"/bytes/{size}")
            client.close()
    assert differences(client.asked, exchanges(capture)) == []


def blocked_in_recv(pid: int) -> bool:
    """Whether the process is in recvfrom(2), system call 45 of x86-64."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "45"


def nginx_files(folder: Path, sizes: tuple[int, ...]) -> None:
    (folder / "files" / "bytes").mkdir(parents=True)
    for size in sizes:
        (folder / "files" / "bytes" / str(size)).write_bytes(content(size))


def ask_files(server: running.Server) -> Client:
    client = Client(server)
    for size in SIZES:
        client.ask("GET", f"/bytes/{size}")
        client.ask("HEAD", f"/bytes/{size}")
    client.ask("GET", "/lost")
    client.close()
    client.ask("GET", "/bytes/4097", keep=False)
    client.ask("GET", "/bytes/1048583", keep=False)
    assert len(client.asked) == 17
    return client


def test_nginx_that_writes_its_files_is_recorded_whole(tmp_path: Path) -> None:
    nginx_files(tmp_path, SIZES)
    capture = tmp_path / "nginx.cap"
    with (
        running.nginx(tmp_path, sendfile=False) as server,
        running.recording(capture, "--pid", str(server.pid)),
    ):
        client = ask_files(server)
    assert differences(client.asked, exchanges(capture)) == []
    assert verify(capture)[0] == 0, verify(capture)[1]


def test_nginx_that_uses_sendfile_leaves_a_gap_of_each_bodys_exact_size(tmp_path: Path) -> None:
    nginx_files(tmp_path, SIZES)
    capture = tmp_path / "nginx.cap"
    with (
        running.nginx(tmp_path, sendfile=True) as server,
        running.recording(capture, "--pid", str(server.pid)),
    ):
        client = ask_files(server)
    documents = exchanges(capture)
    assert [(d["request"]["method"], d["request"]["target"], d["response"]["status"]) for d in documents] == [
        (a.method, a.target, a.status) for a in client.asked.values()
    ]
    for document, asked in zip(documents, client.asked.values(), strict=True):
        body = document["response"]["body"]
        assert body["size"] == asked.response_size
        if asked.status == 200 and asked.response_size:
            gaps = [p for p in document["problems"] if p["code"] == "gap"]
            assert {p["reason"] for p in gaps} == {"sendfile"}
            assert sum(p["length"] for p in gaps) == asked.response_size - body["captured"] == asked.response_size
        else:
            assert document["complete"]
    status, text = verify(capture)
    assert status == 1
    assert "sendfile" in text


def test_a_proxy_and_its_upstream_on_a_unix_socket_are_both_recorded(tmp_path: Path) -> None:
    capture = tmp_path / "both.cap"
    with (
        record.unix_gunicorn(tmp_path) as upstream,
        running.nginx(tmp_path, sendfile=False, upstream=upstream.address) as server,
        running.recording(capture, "--pid", str(server.pid), "--pid", str(upstream.pid)),
    ):
        client = Client(server)
        for size in (0, 1, 4_097, 100_003, 1_048_583):
            client.ask("GET", f"/app/bytes/{size}")
            client.ask("POST", "/app/echo", content(size))
        client.ask("DELETE", "/app/nothing")
        client.close()
    documents = exchanges(capture)
    front = [d for d in documents if d["connection"]["family"] == "inet"]
    back = [d for d in documents if d["connection"]["family"] == "unix"]
    assert differences(client.asked, front) == []
    inside = {number: replace(a, target=a.target.removeprefix("/app")) for number, a in client.asked.items()}
    assert differences(inside, back) == []
    assert {d["connection"]["server"] for d in back} == {upstream.address}


def test_curl_is_recorded_as_the_client(tmp_path: Path) -> None:
    capture = tmp_path / "curl.cap"
    client = record.curl(capture)
    documents = exchanges(capture)
    assert differences(client.asked, documents) == []
    assert {d["connection"]["side"] for d in documents} == {"client"}
    assert {d["process"]["comm"] for d in documents} == {"curl"}


def test_wrk_is_recorded_as_the_client_and_its_own_count_is_met(tmp_path: Path) -> None:
    nginx_files(tmp_path, (1_009,))
    capture = tmp_path / "wrk.cap"
    connections = 5
    with running.nginx(tmp_path, sendfile=False) as server:
        wrk = running.program("wrk", "wrk")
        words = [wrk, "-t1", f"-c{connections}", "-d1", f"http://{server.address}/bytes/1009"]
        with running.recording(capture, "--", *words) as recorder:
            recorder.process.wait(running.STOP_SECONDS)
        counted = int(next(w for w in recorder.said.splitlines() if " requests in " in w).split()[0])
        served = len((tmp_path / "access.log").read_text().splitlines())
    documents = exchanges(capture)
    finished = [d for d in documents if d["complete"]]
    assert {(d["request"]["target"], d["response"]["status"]) for d in finished} == {("/bytes/1009", 200)}
    assert counted <= len(finished) <= served, "what wrk counted, what was recorded, what nginx logged"
    assert {d["response"]["body"]["sha256"] for d in finished} == {record.digest(content(1_009))}


def test_the_recorder_ends_with_its_child_and_passes_its_output_through(tmp_path: Path) -> None:
    capture = tmp_path / "echo.cap"
    words = [running.tool("ebpf-rec"), "capture", "-o", str(capture), "--", "echo", "said by the child"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout == "said by the child\n"
    assert done.returncode == 0
    assert exchanges(capture) == []
