"""Runs inside the project's own virtual machine only: what must not be tried on a shared host.

`sudo whole_machine.py FOLDER` records the whole machine without a filter while nginx and curl talk in cgroups of their
own, then only curl's cgroup; leaves both captures and what curl saw in FOLDER.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REC = "/usr/local/bin/ebpf-rec"
REQUESTS = 101  # a prime number
SERVER_UNIT, CLIENT_SLICE = "ebpf-rec-nginx", "ebpf-rec-client.slice"
NGINX = """worker_processes 2; pid /run/ebpf-rec-nginx.pid; error_log stderr; events { worker_connections 64; }
http { access_log off; server { listen 127.0.0.1:8081; location / { return 200 "hello from $request_uri\\n"; } } }
"""


def run(*words: str) -> str:
    """A program's output; it must succeed."""
    return subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def curl(name: str) -> list[str]:
    """curl's requests in a cgroup of its own, one connection; the bodies it got."""
    urls = [f"http://127.0.0.1:8081/{name}/{number}" for number in range(REQUESTS)]
    words = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--slice={CLIENT_SLICE}", "curl", "-s", *urls]
    return run(*words).splitlines()


def record(capture: Path, name: str, *filters: str) -> list[str]:
    """Record while curl asks; the bodies that curl got."""
    recorder = subprocess.Popen([REC, "capture", "-o", str(capture), "--force", *filters])
    deadline = time.monotonic() + 600  # a compilation takes minutes on a busy host that emulates
    while not capture.exists():
        if recorder.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"whole_machine: the recorder did not start ({recorder.poll()})")
        time.sleep(0.2)
    bodies = curl(name)
    time.sleep(1)
    recorder.send_signal(2)
    if recorder.wait(300):
        sys.exit(f"whole_machine: the recorder ended with {recorder.returncode}")
    return bodies


def main() -> None:
    """Both recordings."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, os.environ.get("SUDO_USER", "root"))  # the recorder writes as the user who called sudo
    (folder / "nginx.conf").write_text(NGINX)
    words = ["systemd-run", "--quiet", "--collect", f"--unit={SERVER_UNIT}", "nginx", "-c", str(folder / "nginx.conf")]
    run(*words, "-g", "daemon off;")
    try:
        time.sleep(3)
        seen = {"whole": record(folder / "whole.cap", "whole")}
        # the slice lives while a unit is in it: one that sleeps keeps it for the filter
        run("systemd-run", "--quiet", "--collect", "--unit=ebpf-rec-keep", f"--slice={CLIENT_SLICE}", "sleep", "300")
        path = run("systemctl", "show", "-P", "ControlGroup", CLIENT_SLICE).strip()
        seen["cgroup"] = record(folder / "cgroup.cap", "cgroup", "--cgroup", f"/sys/fs/cgroup{path}")
        (folder / "seen.json").write_text(json.dumps(seen))
    finally:
        for unit in (SERVER_UNIT, "ebpf-rec-keep"):
            subprocess.run(["systemctl", "stop", unit], check=False, capture_output=True)


main()
