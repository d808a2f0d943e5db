"""Inside a guest of the kernel matrix: run the checks in turn, leave results.json and a capture in a folder.

`python3 guest.py FOLDER`. Every check is tried even where an earlier one failed; the first failure is the verdict.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import verdict

from capfile.frames import Header
from capfile.reader import Reader
from recorder.host import HOOKS

HERE = Path(__file__).parent
REC = [sys.executable, "-I", "-m", "recorder"]
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--durations=9"]
EXERCISER = "tests/live/test_exerciser.py"
IDENTITY = "generation|both_ends|unix_connection|socket_says"  # words in the names of its tests
LIMITS = "(limit_of_bytes or more_and_larger_iovecs)"  # the tests that make a recording of their own
LENGTHS = Path("/sys/kernel/tracing/events/sock/sock_recv_length")
VERIFIER = "tests/live/test_verifier.py"
REQUESTS = 31  # a prime number, small because the capture becomes a fixture
NGINX = """worker_processes 2; pid /tmp/nginx.pid; error_log /tmp/nginx.error; user root;
events { worker_connections 64; }
http { access_log off; sendfile on; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
server { listen 127.0.0.1:8080; root /tmp/www; location = /small { return 200 "hello\\n"; } } }
"""


def run(words: list[str], timeout: float = 900, **options: Any) -> subprocess.CompletedProcess[str]:
    """A program with its output, never waiting for input."""
    return subprocess.run(
        words, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL, **options
    )


def doctor() -> dict[str, Any]:
    """What `ebpf-rec doctor` says."""
    done = run([*REC, "doctor", "--json"])
    (OUT / "doctor.json").write_text(done.stdout)
    text = verdict.of_doctor(done.returncode, done.stdout, done.stderr)
    return {
        "doctor": text,
        **({} if done.returncode == 0 else {"failed": f"doctor: {text}"}),
    }


def live_tests(name: str, path: str, words: str) -> dict[str, Any]:
    """Run the live tests of one module that pytest selects by `words`, with a report; {"failed": why} or nothing."""
    report = OUT / f"{name}.xml"
    command = [*PYTEST, f"--junitxml={report}", path, "-k", words]
    done = run(command, timeout=2400, cwd=HERE)
    (OUT / f"{name}.log").write_text(done.stdout + done.stderr)
    tests = verdict.tests(report.read_text()) if report.exists() else {}
    if done.returncode == 0 and set(tests.values()) == {"passed"}:
        return {}
    return {"failed": f"{name}: exit {done.returncode}, {verdict.reason(done.stdout if tests else done.stderr)}"}


def exerciser() -> dict[str, Any]:
    """The system-call exerciser's tests; the way of older kernels is tried on these themselves."""
    return live_tests("exerciser", EXERCISER, f"not {LIMITS}{' and not older' * LENGTHS.exists()}")


def limits() -> dict[str, Any]:
    """The exerciser's tests of calls that are captured in part."""
    return live_tests("exerciser-limits", EXERCISER, LIMITS)


def refusals() -> dict[str, Any]:
    """Programs that this kernel's verifier refuses: one line with its reason."""
    return live_tests("refusals", VERIFIER, "unchecked or endless")  # each is a compilation


def counted() -> dict[str, str]:
    """The states of all live tests; those about a socket's identity apart from the exerciser's others."""
    tests = {path.stem: verdict.tests(path.read_text()) for path in OUT.glob("*.xml")}
    refused = tests.pop("refusals", {})
    exerciser = {name: state for states in tests.values() for name, state in states.items()}
    identity = {name: state for name, state in exerciser.items() if re.search(IDENTITY, name)}
    rest = {name: state for name, state in exerciser.items() if name not in identity}
    columns = {"identity": identity, "exerciser": rest, "refusals": refused}
    return {name: verdict.counts(states) for name, states in columns.items()}


def hooks(capture: Path) -> dict[str, str]:
    """Which hooks the recording did without, and so where its byte counts come from, by its own header."""
    with Reader.open(capture) as reader:
        header = next(frame for frame in reader if isinstance(frame, Header))
    attached = {probe.rpartition(":")[2] for probe in header.probes}
    lacking = [hook.tracepoint for hook in HOOKS if hook.tracepoint not in attached]
    lengths = any(name.endswith("_length") for name in attached)
    return {
        "tracepoints": "raw" if all(probe.startswith("raw_") for probe in header.probes) else "classic",
        "lacking": ", ".join(lacking) or "none",
        "audit": "sock_*_length" if lengths else "tcp_sock by BTF",
    }


def nginx() -> dict[str, Any]:
    """nginx with sendfile, asked by curl, recorded, audited: as many exchanges as requests, and nothing unexplained."""
    Path("/tmp/www").mkdir(exist_ok=True)
    Path("/tmp/www/file").write_bytes(b"0123456789abcdef" * 1024)
    Path("/tmp/nginx.conf").write_text(NGINX)
    server = subprocess.Popen(["nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off;"])
    time.sleep(3)
    capture = OUT / "nginx.cap"
    recorder = subprocess.Popen(
        [*REC, "capture", "-o", str(capture), "--pid", str(server.pid)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 600
    while not capture.exists() and recorder.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    if capture.exists():
        urls = [f"http://127.0.0.1:8080/{'file' if n % 10 == 0 else 'small'}?{n}" for n in range(REQUESTS)]
        run(["curl", "-s", "-o", "/dev/null", *" -o /dev/null ".join(urls).split()])
        time.sleep(1)
        recorder.send_signal(2)
    said = recorder.communicate(timeout=120)[1]
    (OUT / "recorder.txt").write_text(said)
    server.terminate()
    if not capture.exists():
        return {"nginx": "not recorded", "failed": f"capture: {verdict.reason(said)}"}
    shown = run([*REPLAY, "show", "--format", "jsonl", str(capture)])
    exchanges = [row for row in map(json.loads, shown.stdout.splitlines()) if row.get("kind", "exchange") == "exchange"]
    audit = json.loads(run([*REPLAY, "verify", "--json", str(capture)]).stdout or "{}")
    (OUT / "verify.json").write_text(json.dumps(audit, indent=1))
    right = len(exchanges) == REQUESTS and all(
        row["response"] and row["response"]["status"] == 200 for row in exchanges
    )
    text = f"{len(exchanges)} of {REQUESTS} exchanges, {'balanced' if verdict.balanced(audit) else 'NOT balanced'}"
    bad = not right or not verdict.balanced(audit)
    return hooks(capture) | {"nginx": text, **({"failed": f"nginx: {text}; {verdict.reason(said)}"} if bad else {})}


OUT = Path(sys.argv[1])
Check = Callable[[], dict[str, Any]]


def tried(check: Check) -> dict[str, Any]:
    """What a check found; an exception is a failure of this check alone."""
    started = time.monotonic()
    try:
        found = check()
    except Exception as error:  # a check must not keep the others from running
        found = {"failed": f"{type(error).__name__}: {verdict.reason(str(error))}"}
    print(f"{check.__name__}, {time.monotonic() - started:.0f} s:", found, flush=True)
    return found


def main() -> None:
    """All checks, one per processor at a time; the first failure is the verdict.

    Compilations take most of the time. Doctor's comes first and is kept; the programs to be refused have their own.
    """
    row: dict[str, Any] = {"bcc": run(["dpkg-query", "-Wf", "${Version}", "python3-bpfcc"]).stdout}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(tried, (doctor, refusals, exerciser, limits, nginx)):
            row = found | row if "failed" in row else row | found
    row |= counted()
    if "no tests" in row.values():
        row.setdefault("failed", "a column without tests")
    (OUT / "results.json").write_text(json.dumps(row))


main()
