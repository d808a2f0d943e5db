"""`make vm-test`: the machine up, the live tests inside, captures out and replayed without root: same exchanges.

With EBPF_REC_VM=emulated (or a file .vagrant-emulated) the box is built from Debian's packages and runs under software
emulation; otherwise Vagrant's own provider and box are used as the Vagrantfile says.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import box
import debian
import readme
from debian import ROOT, VmError
from session import Session

REPLAY = [str(ROOT / ".venv/bin/ebpf-replay"), "show", "--side", "both", "--format", "jsonl"]
# Each recording compiles the kernel program, ten times slower under emulation: the others would take an hour.
EMULATED_TESTS = ("tests/live/test_exerciser.py", "tests/live/test_filters.py")
REQUESTS = 101  # whole_machine.py's number


class Machine(Protocol):
    """Something that runs vagrant."""

    def vagrant(self, *words: str, timeout: float = 1800, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run vagrant in the project's folder."""
        ...


class Ordinary:
    """The user's own Vagrant and provider."""

    def vagrant(self, *words: str, timeout: float = 1800, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run vagrant in the project's folder; `VmError` when it fails."""
        done = subprocess.run(
            ["vagrant", *words], cwd=ROOT, text=True, timeout=timeout, check=False, capture_output=words[0] == "ssh"
        )
        if check and done.returncode:
            raise VmError(f"vagrant {words[0]} failed ({done.returncode}): {(done.stderr or '').strip()[-1500:]}")
        return done


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """The machine, up and provisioned; destroyed afterwards where it is emulated, halted where it is the user's."""
    if emulated():
        debian.require("qemu-system-x86_64", "mmdebstrap", "mke2fs", "qemu-img", "vagrant", "libvirtd", "rsync")
        with Session() as session:
            session.vagrant("box", "add", "--name", "ebpf-rec-local", str(box.build()))
            session.vagrant("up", "--provider", "libvirt")
            yield session
    else:
        ordinary = Ordinary()
        ordinary.vagrant("up")
        yield ordinary
        ordinary.vagrant("halt")


def emulated() -> bool:
    """Whether the machine runs under software emulation, from the box made here."""
    return os.environ.get("EBPF_REC_VM") == "emulated" or (ROOT / ".vagrant-emulated").exists()


def live_tests() -> str:
    """The command inside: all live tests, or under emulation, at once, the modules where one compilation serves many.

    A test that would skip itself fails there: this machine is made to record.
    """
    variables, paths = "CI=true EBPF_REC_REQUIRE_LIVE=1", ("tests/live",)
    if emulated():
        variables, paths = f"{variables} EBPF_REC_SLOWNESS=10", EMULATED_TESTS
    pytest = f"sudo {variables} .venv/bin/python -m pytest -q -p no:cacheprovider"
    return f"cd /vagrant && printf '%s\\n' {' '.join(paths)} | xargs -P 2 -n 1 {pytest}"


def fetch(guest: Machine, path: str, folder: Path) -> Path:
    """A file out of the guest."""
    text = guest.vagrant("ssh", "-c", f"sudo base64 -w0 {path}").stdout
    out = folder / Path(path).name
    out.write_bytes(base64.b64decode(text))
    return out


def exchanges(text: str) -> list[dict[str, object]]:
    """The exchanges of a JSON Lines output."""
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if row.get("kind", "exchange") == "exchange"]


def compare(guest: Machine, folder: Path) -> None:
    """Each capture replayed inside and out gives the same lines, and they are what curl saw."""
    seen = json.loads(fetch(guest, "/tmp/vm-test/seen.json", folder).read_text())
    for name in ("whole", "cgroup"):
        capture = fetch(guest, f"/tmp/vm-test/{name}.cap", folder)
        outside = subprocess.run([*REPLAY, str(capture)], capture_output=True, text=True, check=True).stdout
        command = f"ebpf-replay show --side both --format jsonl /tmp/vm-test/{name}.cap"
        inside = guest.vagrant("ssh", "-c", command).stdout
        if exchanges(inside) != exchanges(outside):
            raise VmError(f"{name}.cap: the exchanges inside and outside the machine differ")
        found = exchanges(outside)
        bodies = {side: [] for side in ("client", "server")}  # type: dict[str, list[str]]
        for row in found:
            if str(row["request"]["target"]).startswith(f"/{name}/"):  # type: ignore[index]
                bodies[row["connection"]["side"]].append(row["response"]["body"]["data"])  # type: ignore[index]
        wanted = [f"{line}\n" for line in seen[name]]
        if len(wanted) != REQUESTS or bodies["client"] != wanted:
            raise VmError(f"{name}.cap: curl saw {len(wanted)} answers, its recording holds {len(bodies['client'])}")
        if name == "whole" and bodies["server"] != wanted:
            raise VmError(f"whole.cap: nginx's side holds {len(bodies['server'])} of {len(wanted)} answers")
        if name == "cgroup" and bodies["server"]:
            raise VmError("cgroup.cap: a process outside the cgroup was recorded")
        print(f"vm-test: {name}.cap: {len(wanted)} answers, the same inside, outside and as curl saw them", flush=True)


def follow_readme(guest: Machine) -> None:
    """The README's commands after `vagrant up`, word by word: the last one shows what curl asked and got."""
    _, record, replay = readme.commands()
    guest.vagrant(*record)
    shown = guest.vagrant(*replay).stdout
    if not re.search(r"curl\[\d+\] +GET +200 ", shown):
        raise VmError(f"the README's commands show no request of curl: {shown[:500]}")


def main() -> None:
    """Everything, with the time each step took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, machine() as guest:
        print(f"vm-test: up after {time.monotonic() - started:.0f} s", flush=True)
        follow_readme(guest)
        guest.vagrant("ssh", "-c", "sudo /vagrant/.venv/bin/python /vagrant/tests/vm/whole_machine.py /tmp/vm-test")
        compare(guest, Path(name))
        print(f"vm-test: whole machine after {time.monotonic() - started:.0f} s", flush=True)
        done = guest.vagrant("ssh", "-c", live_tests(), check=False, timeout=5400)
        print("\n".join(done.stdout.strip().splitlines()[-30:]), flush=True)
        if done.returncode:
            raise VmError(f"the live tests inside the machine failed ({done.returncode})")
    print(f"vm-test: passed after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except VmError as error:
        print(f"vm-test: {error}", file=sys.stderr)
        sys.exit(1)
