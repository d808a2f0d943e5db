"""How much a server slows down while it is recorded: nginx and uvicorn under full load, beside the alternatives."""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import BIN, Row, Section, cpu_seconds, full_form, ratios, rounds, running, shown
from benchmarks.recorders import ALTERNATIVES, Outcome, Server, installed, nothing, ours

NGINX = """daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 100000000; sendfile off;
  server {{ listen 127.0.0.1:{port}; root {folder}; location = /small {{ return 200 "{small}"; }} }} }}
"""
PORT = 18_080
SMALL = "x" * 120
UVICORN = "async def app(s, r, send):\n  await send({'type':'http.response.start','status':200,'headers':[]})\n"
UVICORN += "  await send({'type':'http.response.body','body':b'hello'})\n"


def _rows(size: int) -> bytes:
    """JSON as services answer it: names repeat, values do not. The same bytes each time."""
    chosen = random.Random(1)
    lines = []
    while sum(map(len, lines)) < size:
        row = {"id": chosen.randrange(10**9), "name": f"item {chosen.randrange(5000)}", "price": chosen.random()}
        lines.append(json.dumps({**row, "tags": chosen.sample(["new", "sale", "red", "blue", "small"], 2)}) + "\n")
    return "".join(lines).encode()[:size]


def _listening(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"
    return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in open("/proc/net/tcp") if ":" in line)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """nginx with one worker, a small answer at /small and 64 KiB at /large."""
    (folder / "large").write_bytes(_rows(64 << 10))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=PORT, small=SMALL))
    with running(["nginx", "-c", folder / "nginx.conf"], lambda: _listening(PORT)) as process:
        yield Server([process.pid, *_children(process.pid)], PORT)


@contextmanager
def uvicorn(folder: Path) -> Iterator[Server]:
    """uvicorn with its smallest application."""
    (folder / "app.py").write_text(UVICORN)
    words = [BIN / "python", "-m", "uvicorn", "--app-dir", folder, "--port", str(PORT), "--no-access-log", "app:app"]
    with running([*words, "--log-level", "error"], lambda: _listening(PORT)) as process:
        yield Server([process.pid], PORT)


def _load(url: str, seconds: int, sockets: int) -> float:
    """Requests per second that wrk reaches over so many connections."""
    words = ["wrk", "-t1", f"-c{sockets}", f"-d{seconds}s", url]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert found, text
    return float(found[1])


def measure(
    serve: Callable[[Path], object],
    path: str,
    recorders: dict[str, Callable[..., object]],
    repeats: int,
    seconds: int,
    sockets: int = 16,
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, Outcome]]:
    """(requests/s, server CPU s per request, what each recorder lost in all) for every recorder, in rounds."""
    cpu: dict[str, list[float]] = {name: [] for name in recorders}
    outcomes = {name: Outcome(lost=0) for name in recorders}
    with tempfile.TemporaryDirectory(prefix="bench") as name, serve(Path(name)) as server:  # type: ignore[attr-defined]
        worker = server.pids[-1]

        def contest(recorder: str) -> float:
            outcome = Outcome()
            with recorders[recorder](server, Path(name), outcome):  # type: ignore[attr-defined]
                time.sleep(0.2)
                before = cpu_seconds(worker)
                rate = _load(f"http://127.0.0.1:{PORT}{path}", seconds, sockets)
                cpu[recorder].append((cpu_seconds(worker) - before) / (rate * seconds))
            total = outcomes[recorder]
            total.cpu += outcome.cpu / (rate * seconds) / repeats
            total.size += round(outcome.size / (rate * seconds) / repeats)
            total.lost = None if outcome.lost is None or total.lost is None else total.lost + outcome.lost
            return rate

        contest("none")  # warm-up
        cpu["none"].clear()
        values = rounds({key: (lambda key=key: contest(key)) for key in recorders}, repeats)
    return values, cpu, outcomes


def _table(
    title: str, result: tuple[dict[str, list[float]], dict[str, list[float]], dict[str, Outcome]]
) -> dict[str, str]:
    rates, _, outcomes = result
    print(f" {title}: base {shown(rates['none'], '.0f')} requests/s", flush=True)
    said = {}
    for name in rates:
        lost = outcomes[name].lost
        said[name] = shown(ratios(rates[name], rates["none"]))
        extra = f", lost {lost if lost is not None else '?'}, {outcomes[name].cpu * 1e6:.2f} us CPU/request"
        print(f"   {name}: {said[name]}{extra if name != 'none' else ''}", flush=True)
    return said


def _peers(said: dict[str, str], outcomes: dict[str, Outcome], own: str) -> str:
    names = [name for name in said if name not in ("none", own)]
    return "; ".join(
        f"{name} {said[name]}" + (f", lost {outcomes[name].lost}" if outcomes[name].lost else "") for name in names
    )


def curves(section: Section, repeats: int, seconds: int) -> None:
    """nginx's throughput while recorded, over the number of connections and over the snap length."""
    contest = {"none": nothing, "ebpf-rec": ours()}
    over_sockets = []
    for sockets in (1, 4, 16, 64, 256):
        rates, _, _ = measure(nginx, "/small", contest, repeats, seconds, sockets)
        over_sockets.append((float(sockets), statistics.median(ratios(rates["ebpf-rec"], rates["none"]))))
    section.curves["nginx, small body: throughput of base over concurrent connections"] = {"ebpf-rec": over_sockets}
    lengths = [256, 1024, 4096, 16384, 65536]
    contest = {"none": nothing, **{str(length): ours("--snaplen", str(length)) for length in lengths}}
    rates, _, _ = measure(nginx, "/large", contest, repeats, seconds)
    over_lengths = [(float(each), statistics.median(ratios(rates[str(each)], rates["none"]))) for each in lengths]
    section.curves["nginx, 64 KiB bodies: throughput of base over --snaplen"] = {"ebpf-rec": over_lengths}


def main(full: bool) -> None:
    """Run all and keep the section."""
    repeats, seconds = 7, 3 if full else 1
    section = Section("Server throughput while recorded, as a ratio to the unrecorded server", full)
    others = {name: ALTERNATIVES[name][0] for name in installed(["tcpdump", "strace", "bpftrace", "bcc callbacks"])}
    base = {"none": nothing}
    small = measure(nginx, "/small", {**base, "ebpf-rec": ours(), **others}, repeats, seconds)
    _report(section, "nginx, small body: throughput", 0.88, small, "ebpf-rec")
    use = ratios(small[1]["ebpf-rec"], small[1]["none"])
    section.rows.append(
        Row(
            "nginx, small body: server CPU per request at most 1.15 of base", shown(use), statistics.median(use) <= 1.15
        )
    )
    pair = {"tcpdump": others["tcpdump"]} if "tcpdump" in others else {}
    contest = {**base, "ebpf-rec": ours(), "ebpf-rec --snaplen 4096": ours("--snaplen", "4096"), **pair}
    large = measure(nginx, "/large", contest, repeats // 2 + 1, seconds)
    _report(section, "nginx, 64 KiB bodies, --snaplen 4096: throughput", 0.85, large, "ebpf-rec --snaplen 4096")
    if pair:
        over = ratios(large[0]["ebpf-rec"], large[0]["tcpdump"])
        lost = f", lost {large[2]['ebpf-rec'].lost} records (tcpdump {large[2]['tcpdump'].lost} packets)"
        target = "nginx, 64 KiB bodies, whole payload: at least 1.4 times tcpdump's throughput"
        section.rows.append(Row(target, shown(over) + lost, statistics.median(over) >= 1.4))
    # more rounds: its own speed differs by a third from run to run
    python = measure(uvicorn, "/", {**base, "ebpf-rec": ours(), **pair}, repeats + 2, seconds)
    _report(section, "uvicorn: throughput", 0.95, python, "ebpf-rec")
    curves(section, 3 if full else 1, seconds)
    section.save("server")


def _report(section: Section, title: str, target: float, result: tuple[object, ...], own: str) -> None:
    said = _table(title, result)  # type: ignore[arg-type]
    rates, _, outcomes = result
    reached = statistics.median(ratios(rates[own], rates["none"])) >= target and not outcomes[own].lost  # type: ignore[index]
    measured = f"{said[own]}, lost {outcomes[own].lost}"  # type: ignore[index]
    section.rows.append(
        Row(f"{title} at least {target} of base, 0 lost", measured, reached, _peers(said, outcomes, own))
    )  # type: ignore[arg-type]


if __name__ == "__main__":
    main(full_form(__doc__))
