"""One run, recorded three times at once: by ebpf-rec, by strace and by tcpdump. All three say what the client saw.

Compared are, of every request: method, target, status, and of both bodies the size and the SHA-256 where the body is
whole; where it is not, how many bytes are missing for which reason. The packets are always whole. What sendfile(2)
moved never was in user memory, so that ebpf-rec and strace have gaps there, of the same sizes. Unix sockets have no
packets. Each recorder is told of the test's own processes or port alone.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fixtures import record, running
from fixtures.asking import Asked, Client, Document, differences, exchanges, number_of
from fixtures.record import SCENES, Live
from fixtures.servers.routes import content
from replay.cli import main
from tests.live import exercised
from tests.live.servers import SERVERS

MISSING = [program for program in ("strace", "tcpdump") if shutil.which(program) is None]
needs_both = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")

SETTLED_SECONDS = 0.5
BUFFER_KIB = 65536  # tcpdump -B: more than all that a test sends, so that nothing is dropped on loopback
SIZES = (0, 1, 4_095, 65_537, 300_007)
SHORTEST = 8  # bytes at the beginning of any stream of the exerciser's, printed by strace whatever its -s

Body = tuple[int, str | dict[str, int]]  # size, and its SHA-256 or the bytes missing by reason
Told = tuple[str, str, int, Body, Body]


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


def ask_files(server: running.Server) -> Client:
    """7 requests that a server of files can answer, the last of them on a connection of its own."""
    client = Client(server)
    for size in SIZES:
        client.ask("GET", f"/bytes/{size}")
    client.ask("HEAD", "/bytes/4095")
    client.close()
    client.ask("GET", "/lost", keep=False)
    assert len(client.asked) == 7
    return client


# Every scene of the fixtures (curl's has a test of its own), and larger bodies on every family of addresses
RUNS: dict[str, Live] = {
    **{name: scene for name, scene in SCENES.items() if isinstance(scene, Live)},
    **{
        name: Live(SERVERS[name], ask)
        for name in ("python on IPv6", "gin on a Unix socket", "gunicorn's forked workers")
    },
    "nginx that sends large files with sendfile": Live(record.nginx(sendfile=True, sizes=SIZES), ask_files),
}


# -- the three recorders


@contextmanager
def beside(words: list[str], ready: str, folder: Path) -> Iterator[Path]:
    """Another recorder while the block runs: started once it says `ready` on standard error; what it says."""
    said = folder / f"{words[0]}.said"
    with said.open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        running.wait_until(lambda: re.search(ready, said.read_text()) is not None, f"{words[0]} {ready}", process)
        yield said
    finally:
        running.stop(process, signal.SIGINT)


@contextmanager
def strace(server: running.Server, folder: Path, *options: str) -> Iterator[None]:
    """The server's processes and threads, into strace.log."""
    words = ["strace", "-f", "-tt", *options, "-e", "trace=network,desc", "-o", str(folder / "strace.log")]
    for pid in (server.pid, *children(server.pid)):
        words += ["-p", str(pid)]
    with beside(words, "attached", folder):
        yield


@contextmanager
def tcpdump(server: running.Server, folder: Path) -> Iterator[None]:
    """Its port, into packets.pcap; no packet is dropped. Nothing where there are no packets."""
    if server.address.startswith("/"):
        yield
        return
    words = ["tcpdump", "-i", "lo", "-w", str(folder / "packets.pcap"), "--immediate-mode", "-U", "-s", "0"]
    words += ["-B", str(BUFFER_KIB), "-Z", "root", f"tcp port {server.address.rpartition(':')[2]}"]
    with beside(words, "listening on", folder) as said:
        yield
    assert re.search(r"^0 packets dropped by kernel", said.read_text(), re.MULTILINE), said.read_text()


@contextmanager
def all_three(server: running.Server, folder: Path) -> Iterator[None]:
    """Into live.cap, strace.log and packets.pcap."""
    time.sleep(SETTLED_SECONDS)  # a server may still be forking its workers
    with ExitStack() as stack:
        stack.enter_context(tcpdump(server, folder))
        stack.enter_context(running.recording(folder / "live.cap", "--pid", str(server.pid)))
        stack.enter_context(strace(server, folder, "-xx", "-s", "1000000"))
        yield
        time.sleep(SETTLED_SECONDS)  # and it closes its end after the client has its answer


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def imported(kind: str, recording: Path) -> list[Document]:
    """The exchanges of another recorder's file."""
    capture = recording.with_suffix(".cap")
    assert main(["import", kind, str(recording), "-o", str(capture)]) == 0
    return exchanges(capture)


# -- what they say


def told(documents: list[Document]) -> dict[str, Told]:
    """Of every exchange, by the number that its request carries, what is compared."""
    assert len({number_of(document) for document in documents}) == len(documents)
    return {number_of(document): _told(document) for document in documents}


def _told(document: Document) -> Told:
    request, response = document["request"], document["response"]
    bodies = [_body(document, side) for side in ("request", "response")]
    return request["method"], request["target"], response["status"], bodies[0], bodies[1]


def _body(document: Document, side: str) -> Body:
    body = document[side]["body"]
    if body["captured"] == body["size"]:
        return body["size"], body["sha256"]
    missing: Counter[str] = Counter()
    for problem in document["problems"]:
        if (problem["code"], problem["side"]) == ("gap", side):
            missing[problem["reason"]] += problem["length"]
    assert missing.total() == body["size"] - body["captured"]
    return body["size"], dict(missing)


def remembered(asked: Asked, sendfile: bool) -> Told:
    """What a recording has to say of a request; `sendfile`: what was sent from files is missing."""
    sent: Body = asked.request_size, asked.request_sha256
    came: Body = asked.response_size, asked.response_sha256
    if sendfile and asked.status == 200 and asked.response_size:
        came = asked.response_size, {"sendfile": asked.response_size}
    return asked.method, asked.target, asked.status, sent, came


@needs_both
@pytest.mark.parametrize("name", RUNS)
def test_three_recordings_of_one_run_say_what_its_client_saw(name: str, tmp_path: Path) -> None:
    with RUNS[name].start(tmp_path) as server, all_three(server, tmp_path):
        client = RUNS[name].ask(server)
    seen = {number: remembered(asked, "sendfile" in name) for number, asked in client.asked.items()}
    assert told(exchanges(tmp_path / "live.cap")) == seen, "ebpf-rec"
    assert told(imported("strace", tmp_path / "strace.log")) == seen, "strace"
    if not server.address.startswith("/"):
        whole = {number: remembered(asked, False) for number, asked in client.asked.items()}
        assert told(imported("pcap", tmp_path / "packets.pcap")) == whole, "tcpdump"


@needs_both
def test_three_recordings_of_curl_as_the_client_say_what_it_saw(tmp_path: Path) -> None:
    """ebpf-rec records strace and its child, which is curl; strace itself has no socket."""
    with running.python(tmp_path) as server, tcpdump(server, tmp_path):
        words, client = record.curl_asks(server)
        log = str(tmp_path / "strace.log")
        beneath = ["strace", "-f", "-ttt", "-s", "1000000", "-e", "trace=network,desc,process", "-o", log, *words]
        with running.recording(tmp_path / "live.cap", "--", *beneath) as recorder:
            recorder.process.wait(running.STOP_SECONDS)
        time.sleep(SETTLED_SECONDS)  # the server closes its end
    seen = {number: remembered(asked, False) for number, asked in client.asked.items()}
    live, log_said = exchanges(tmp_path / "live.cap"), imported("strace", tmp_path / "strace.log")
    assert told(live) == told(log_said) == told(imported("pcap", tmp_path / "packets.pcap")) == seen
    for documents in (live, log_said):
        assert {document["connection"]["side"] for document in documents} == {"client"}
        assert {document["process"]["comm"] for document in documents} == {"curl"}


@needs_both
def test_three_recordings_of_a_proxy_and_its_upstream_say_what_its_client_saw(tmp_path: Path) -> None:
    """nginx before gunicorn's forked workers on a Unix socket: of that connection there are no packets."""
    with (
        record.unix_gunicorn(tmp_path) as upstream,
        running.nginx(tmp_path, sendfile=False, upstream=upstream.address) as server,
        all_three(server, tmp_path),
    ):
        client = Client(server)
        for size in (0, 1, 4_097, 100_003):
            client.ask("GET", f"/app/bytes/{size}")
            client.ask("POST", "/app/echo", content(size))
        client.close()
    seen = {number: remembered(asked, False) for number, asked in client.asked.items()}
    for documents in (exchanges(tmp_path / "live.cap"), imported("strace", tmp_path / "strace.log")):
        front = [each for each in documents if each["connection"]["family"] == "inet"]
        back = [each for each in documents if each["connection"]["family"] == "unix"]
        assert told(front) == seen
        assert {n: (t[0], "/app" + t[1], *t[2:]) for n, t in told(back).items()} == seen
        assert {each["connection"]["side"] for each in back} == {"client"}
    assert told(imported("pcap", tmp_path / "packets.pcap")) == seen


@needs_both
@pytest.mark.parametrize("style", [[], ["-y"], ["-yy", "-xx"]], ids=["plain", "-y", "-yy-xx"])
def test_every_call_of_the_exerciser_is_in_its_log_at_the_same_place(style: list[str], tmp_path: Path) -> None:
    """All calls that move bytes through sockets, on TCP and Unix sockets, through descriptors of every origin. Left out
    are streams in which io_uring moved bytes (named, of no size), and those that reach limits of ebpf-rec's own."""
    program, truth, log = exercised.build(tmp_path), tmp_path / "truth.log", tmp_path / "strace.log"
    words = [
        "strace",
        "-f",
        *style,
        "-e",
        "trace=network,desc,process",
        "-o",
        str(log),
        str(program),
        str(truth),
        "all",
    ]
    subprocess.run(words, input=b"go\n", check=True, timeout=exercised.SECONDS, stdout=subprocess.DEVNULL)
    assert main(["import", "strace", str(log), "-o", str(tmp_path / "strace.cap")]) == 0
    found = exercised.Recording.read(tmp_path / "strace.cap").flows
    expected = exercised.Log.read(truth).flows
    assert len([flow for flow in found.values() if flow.runs]) == len(expected)
    unknown = {"io-uring", "size-limit", "message-limit"}
    told = Counter((way, _places(flow)) for (_, way), flow in expected.items() if not unknown & _kinds(flow))
    assert told.total() > 100
    assert not told - Counter((way, _places(flow)) for (_, way), flow in found.items())


def _kinds(flow: exercised.Flow) -> set[str]:
    return {run.kind for run in flow.runs}


def _places(flow: exercised.Flow) -> tuple[exercised.Run, ...]:
    """Runs of one kind; a string that strace cut is data that passed. And its first bytes, which tell the stream."""
    runs = exercised.joined([run._replace(kind="data") if run.kind == "snaplen" else run for run in flow.runs])
    return (*runs, exercised.Run(flow.bytes()[:SHORTEST].hex(), 0, 0))


@needs_both
@pytest.mark.parametrize("style", [["-yy"], ["-y", "-x"], ["-T", "-r"]], ids="".join)
def test_every_style_of_log_says_the_same(style: list[str], tmp_path: Path) -> None:
    with running.python(tmp_path) as server, strace(server, tmp_path, *style, "-s", "1000000"):
        client = ask(server)
        time.sleep(SETTLED_SECONDS)
    assert differences(client.asked, imported("strace", tmp_path / "strace.log")) == []


@needs_both
def test_strings_that_strace_cut_are_gaps_that_add_up(tmp_path: Path) -> None:
    """With strace's default of 32 bytes a string, as in the worked example."""
    with running.gin(tmp_path) as server, strace(server, tmp_path):
        client = ask(server)
        time.sleep(SETTLED_SECONDS)
    documents = imported("strace", tmp_path / "strace.log")
    seen = Counter((asked.method, asked.target, asked.status) for asked in client.asked.values())
    whole = [each for each in documents if each["request"]]
    told = Counter((d["request"]["method"], d["request"]["target"], d["response"]["status"]) for d in whole)
    assert told <= seen, "nothing is invented"
    # A request line behind a head of which the length is cut off may be a body's: its response then stands alone.
    alone = [each for each in documents if not each["request"]]
    assert len(whole) + len(alone) == len(client.asked)
    assert len(alone) < len(whole)
    assert all("undecided-pair" in {problem["code"] for problem in each["problems"]} for each in alone)
    reasons = {p["reason"] for d in documents for p in d["problems"] if p["code"] == "gap"}
    assert reasons == {"snaplen"}
