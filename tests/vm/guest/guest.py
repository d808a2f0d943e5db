"""Inside a guest of the kernel matrix: run the checks in turn, leave results.json and a capture in a folder.

`python3 guest.py FOLDER`. Every check is tried even where an earlier one failed; the first failure is the verdict.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import verdict

HERE = Path(__file__).parent
REC = [sys.executable, "-I", "-m", "recorder"]
REPLAY = [sys.executable, "-c", "import sys; from replay.cli import main; sys.exit(main())"]
EXERCISER = "tests/live/test_exerciser.py"
IDENTITY = "generation|both_ends|unix_connection|socket_says"  # words in the names of its tests
LENGTHS = Path("/sys/kernel/tracing/events/sock/sock_recv_length")
REQUESTS = 101  # a prime number, small because the guest is emulated
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
    """What `ebpf-rec doctor` says, and which byte counts the kernel offers."""
    done = run([*REC, "doctor", "--json"])
    (OUT / "doctor.json").write_text(done.stdout)
    text = verdict.of_doctor(done.returncode, done.stdout, done.stderr)
    return {
        "doctor": text,
        "audit": "sock_*_length" if LENGTHS.exists() else "tcp_sock by BTF",
        **({} if done.returncode == 0 else {"failed": f"doctor: {text}"}),
    }


def exerciser() -> dict[str, Any]:
    """The system-call exerciser's tests, once; those about a socket's identity are counted apart."""
    report = OUT / "exerciser.xml"
    words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", EXERCISER]
    if LENGTHS.exists():  # the way of older kernels is tried on these themselves
        words += ["-k", "not older"]
    done = run([sys.executable, "-m", "pytest", *words], timeout=1200, cwd=HERE)
    (OUT / "exerciser.log").write_text(done.stdout + done.stderr)
    if not report.exists():
        return {"exerciser": "no tests", "failed": f"exerciser: exit {done.returncode}, {verdict.reason(done.stderr)}"}
    tests = verdict.tests(report.read_text())
    identity = {name: state for name, state in tests.items() if re.search(IDENTITY, name)}
    rest = {name: state for name, state in tests.items() if name not in identity}
    row = {"identity": verdict.counts(identity), "exerciser": verdict.counts(rest)}
    if done.returncode or set(tests.values()) != {"passed"} or not identity or not rest:
        row["failed"] = f"exerciser: {verdict.reason(done.stdout)}"
    return row


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
    deadline = time.monotonic() + 120
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
    return {"nginx": text, **({"failed": f"nginx: {text}; {verdict.reason(said)}"} if bad else {})}


OUT = Path(sys.argv[1])


def main() -> None:
    """All checks; the first failure stays the verdict."""
    row: dict[str, Any] = {"bcc": run(["dpkg-query", "-Wf", "${Version}", "python3-bpfcc"]).stdout}
    for check in (doctor, exerciser, nginx):
        try:
            found = check()
        except Exception as error:  # a check must not keep the others from running
            found = {"failed": f"{type(error).__name__}: {verdict.reason(str(error))}"}
        failed = row.get("failed")
        row.update(found)
        if failed:
            row["failed"] = failed
    (OUT / "results.json").write_text(json.dumps(row))


main()
