"""Real servers, recorded by strace and by tcpdump at once: both imports say what the client itself saw.

Needs no BPF: only root, strace and tcpdump, and records the test's own server and port alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures import running
from fixtures.asking import Client, differences, exchanges
from fixtures.servers.routes import content
from replay.cli import main

MISSING = [program for program in ("strace", "tcpdump") if shutil.which(program) is None]
needs_both = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")

SETTLED_SECONDS = 0.5
SIZES = (0, 1, 4_095, 65_537, 300_007)
SERVERS: dict[str, Callable[[Path], running.Running]] = {
    "gin": running.gin,
    "python": running.python,
    "node": running.node,
    "uvicorn": running.uvicorn,
    "python on IPv6": lambda folder: running.python(folder, "[::1]:0"),
    "gunicorn's forked workers": lambda folder: running.gunicorn(folder, running.free_address()),
}


@contextmanager
def beside(words: list[str], ready: str, folder: Path) -> Iterator[None]:
    """Another recorder while the block runs: started once it says `ready` on standard error."""
    said = folder / f"{words[0]}.said"
    with said.open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        running.wait_until(lambda: re.search(ready, said.read_text()) is not None, f"{words[0]} {ready}", process)
        yield
    finally:
        running.stop(process)


@contextmanager
def recorded(server: running.Server, folder: Path, *options: str) -> Iterator[None]:
    """strace on the server's processes and threads, tcpdump on its port."""
    time.sleep(SETTLED_SECONDS)  # a server may still be forking its workers
    log, packets = str(folder / "strace.log"), str(folder / "packets.pcap")
    strace = ["strace", "-f", "-tt", *options, "-e", "trace=network,desc", "-o", log, "-p", str(server.pid)]
    for child in children(server.pid):
        strace += ["-p", str(child)]
    port = server.address.rpartition(":")[2]
    dump = [
        "tcpdump",
        "-i",
        "lo",
        "-w",
        packets,
        "--immediate-mode",
        "-U",
        "-s",
        "0",
        "-B",
        "65536",
        "-Z",
        "root",
        f"tcp port {port}",
    ]
    with beside(dump, "listening on", folder), beside(strace, "attached", folder):
        yield
        time.sleep(SETTLED_SECONDS)  # and it closes its end after the client has its answer


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def ask(server: running.Server) -> Client:
    """13 requests on two connections and one more each."""
    client = Client(server)
    for size in SIZES:
        client.ask("GET", f"/bytes/{size}")
    for size in SIZES[:4]:
        client.ask("POST", "/echo", content(size))
    client.ask("HEAD", "/bytes/4095")
    client.close()
    client.ask("GET", "/chunked/10007")
    client.close()
    client.ask("GET", "/ebpf/", keep=False)
    client.ask("GET", "/lost", keep=False)
    assert len(client.asked) == 13
    return client


def imported(kind: str, recording: Path) -> Path:
    capture = recording.with_suffix(".cap")
    assert main(["import", kind, str(recording), "-o", str(capture), "--force"]) == 0
    return capture


@needs_both
@pytest.mark.parametrize("name", SERVERS)
def test_strace_and_tcpdump_recordings_of_one_run_say_what_its_client_saw(name: str, tmp_path: Path) -> None:
    try:
        with SERVERS[name](tmp_path) as server, recorded(server, tmp_path, "-xx", "-s", "1000000"):
            client = ask(server)
    except running.NotHere as missing:
        pytest.skip(str(missing))
    assert differences(client.asked, exchanges(imported("strace", tmp_path / "strace.log"))) == []
    assert differences(client.asked, exchanges(imported("pcap", tmp_path / "packets.pcap"))) == []


@needs_both
@pytest.mark.parametrize("style", [["-yy"], ["-y", "-x"], ["-T", "-r"]], ids="".join)
def test_every_style_of_log_says_the_same(style: list[str], tmp_path: Path) -> None:
    with running.python(tmp_path) as server, recorded(server, tmp_path, *style, "-s", "1000000"):
        client = ask(server)
    assert differences(client.asked, exchanges(imported("strace", tmp_path / "strace.log"))) == []


@needs_both
def test_strings_that_strace_cut_are_gaps_that_add_up(tmp_path: Path) -> None:
    """With strace's default of 32 bytes a string, as in the worked example."""
    with running.gin(tmp_path) as server, recorded(server, tmp_path):
        client = ask(server)
    documents = exchanges(imported("strace", tmp_path / "strace.log"))
    seen = [(d["request"]["method"], d["request"]["target"], d["response"]["status"]) for d in documents]
    assert sorted(seen) == sorted((asked.method, asked.target, asked.status) for asked in client.asked.values())
    reasons = {p["reason"] for d in documents for p in d["problems"] if p["code"] == "gap"}
    assert reasons == {"snaplen"}
