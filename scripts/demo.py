"""The demonstration: a small server is recorded live while it is asked a few things, then the recording is replayed."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fixtures import running

FIXTURE: Final = running.ROOT / "fixtures" / "gin-answers-as-in-the-worked-example.cap"
NOBODY: Final = 65534
REQUESTS: Final = (
    ("GET", "/ebpf/"),
    ("GET", "/bytes/100003"),
    ("POST", "/digest"),
    ("DELETE", "/nothing"),
    ("GET", "/lost"),
)


def say(text: str = "") -> None:
    """One line for the reader, in order with what the programs print."""
    print(text, flush=True)


def server(folder: Path) -> running.Running:
    """The worked example's Go server where Go is installed, else Python's own."""
    try:
        running.build_gin()
    except (running.NotHere, subprocess.CalledProcessError) as reason:
        say(f"serving:   Python's http.server ({reason})")
        return running.python(folder)
    say("serving:   a Go server, gin")
    return running.gin(folder)


def ask(running_server: running.Server) -> None:
    """Five requests on one connection, as any client would make them."""
    client = http.client.HTTPConnection(running_server.address)
    client.sock = running_server.connect()
    for method, target in REQUESTS:
        client.request(method, target, b"some words" if method == "POST" else None)
        client.getresponse().read()
    client.close()


def record(folder: Path) -> Path:
    """Record those requests from the kernel; `RecorderFailed` where this host cannot."""
    capture = folder / "demo.cap"
    with server(folder) as started:
        say(f"recording: ebpf-rec capture -o demo.cap --pid {started.pid}")
        with running.recording(capture, "--pid", str(started.pid)) as recorder:
            ask(started)
        say("".join(f"           {line}\n" for line in recorder.said.splitlines()).rstrip())
    return capture


def unprivileged(capture: Path) -> Sequence[str]:
    """Words that make a command run as nobody, where root runs this and nobody can reach our programs; else none."""
    if os.geteuid() != 0 or not (setpriv := shutil.which("setpriv")):
        return ()
    shutil.chown(capture, NOBODY, NOBODY)
    shutil.chown(capture.parent, NOBODY, NOBODY)
    words = (
        setpriv,
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    )
    # setpriv still has its capabilities while it executes; a shell between has none, so that the try is honest
    words = (*words, "/bin/sh", "-c", 'exec "$0" "$@"')
    tried = subprocess.run([*words, running.tool("ebpf-replay"), "--version"], capture_output=True)
    return () if tried.returncode else words


def replay(capture: Path, prefix: Sequence[str]) -> int:
    """Both views of the recording; the status of the worse one."""
    who = " as user nobody" if prefix else ""
    status = 0
    for words in (("show",), ("verify",)):
        say(f"\nreplaying{who}: ebpf-replay {words[0]} {capture.name}")
        status = max(status, subprocess.run([*prefix, running.tool("ebpf-replay"), *words, str(capture)]).returncode)
    return status


def main() -> int:
    """Live if it can be, else from the fixture; 0 when the replay found everything."""
    with tempfile.TemporaryDirectory(prefix="ebpf-rec-demo-") as name:
        try:
            capture = record(Path(name))
        except running.RecorderFailed as reason:
            say(f"not live:  {reason}")
            say("           A live run needs root, BPF, python3-bpfcc and kernel headers; see `ebpf-rec doctor`.")
            say(f"           This is the recording that lies in fixtures/{FIXTURE.name}.")
            return replay(FIXTURE, ())
        return replay(capture, unprivileged(capture))


if __name__ == "__main__":
    sys.exit(main())
