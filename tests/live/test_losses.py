"""Many requests under load: nothing lost and every one there; or, with rings too small, exactly what is missing."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fixtures import running
from fixtures.asking import Asked, Client, Document, differences, exchanges, number_of, report, seen, verify
from fixtures.servers.routes import content

REQUESTS = 1_009
CLIENTS = 16
SMALL = tuple(range(0, 40_000, 397))  # bytes: each size once, so that an answer tells its question


def serve_files(folder: Path, sizes: tuple[int, ...]) -> None:
    (folder / "files" / "bytes").mkdir(parents=True)
    for size in sizes:
        (folder / "files" / "bytes" / str(size)).write_bytes(content(size))


def ask_from_many(server: running.Server, sizes: tuple[int, ...]) -> dict[str, Asked]:
    """REQUESTS requests from CLIENTS threads, every fifth on a connection of its own."""
    clients = [Client(server, prefix=f"{number}.") for number in range(CLIENTS)]

    def work(client: Client, numbers: range) -> None:
        for number in numbers:
            client.ask("GET", f"/bytes/{sizes[number % len(sizes)]}", keep=number % 5 != 0)
        client.close()

    threads = [
        threading.Thread(target=work, args=(client, range(first, REQUESTS, CLIENTS)))
        for first, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {number: asked for client in clients for number, asked in client.asked.items()}


@contextmanager
def a_busy_machine(folder: Path) -> Iterator[None]:
    """Another nginx, not recorded, kept busy on every processor for as long as the block lasts."""
    folder.mkdir()
    serve_files(folder, (1_009,))
    with running.nginx(folder, sendfile=True) as other:
        words = [running.program("wrk", "wrk"), "-t2", "-c8", "-d60", f"http://{other.address}/bytes/1009"]
        wrk = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            running.stop(wrk)


def lost(said: str) -> str:
    """What the recorder's summary says of losses."""
    return next(line for line in said.splitlines() if "lost:" in line)


def test_a_thousand_and_nine_requests_through_nginx_under_load_are_all_there(tmp_path: Path) -> None:
    serve_files(tmp_path, SMALL)
    capture = tmp_path / "load.cap"
    with (
        running.nginx(tmp_path, sendfile=False) as server,
        a_busy_machine(tmp_path / "other"),
        running.recording(capture, "--pid", str(server.pid)) as recorder,
    ):
        asked = ask_from_many(server, SMALL)
    assert len(asked) == REQUESTS
    assert differences(asked, exchanges(capture)) == []
    status, text = verify(capture)
    assert (status, "complete" in text) == (0, True), text
    assert "lost: nothing" in lost(recorder.said)


def pairs_that_do_not_belong(documents: list[Document]) -> list[Document]:
    """Exchanges whose answer, by its declared length, is not the answer to their question."""
    return [d for d in documents if d["request"] and d["response"] and not belongs(d)]


def belongs(document: Document) -> bool:
    declared = {name.lower(): value for name, value in document["response"]["headers"]}
    return declared["content-length"] == re.sub("^/bytes/", "", document["request"]["target"])


def is_inferred(document: Document) -> bool:
    """Whether the exchange says itself that its pairing is an inference."""
    return any(problem["code"] == "paired-by-inference" for problem in document["problems"])


def test_with_rings_too_small_verify_names_what_is_missing_and_the_rest_pairs_rightly(tmp_path: Path) -> None:
    serve_files(tmp_path, SMALL)
    capture = tmp_path / "small.cap"
    with (
        running.nginx(tmp_path, sendfile=False) as server,
        running.recording(capture, "--pid", str(server.pid), "--ring-size", "65536") as recorder,
    ):
        asked = ask_from_many(server, SMALL)
    assert "lost: nothing" not in lost(recorder.said)
    status, text = verify(capture)
    assert status == 1
    assert "ring-full" in text

    documents = exchanges(capture)
    whole = [d for d in documents if d["complete"] and not is_inferred(d)]
    assert 0 < len(whole) < REQUESTS
    assert [d for d in whole if seen(d) != asked[number_of(d)]] == []
    assert [d for d in pairs_that_do_not_belong(documents) if not is_inferred(d)] == []

    found = report(capture)
    assert found["complete"] is False
    audited = [c for c in found["connections"] if c["balanced"] is not None]
    assert audited
    assert all(c["balanced"] for c in audited), "what was captured and what is missing is what the kernel counted"
