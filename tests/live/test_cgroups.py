"""`--cgroup`: who is in the cgroup or below it is recorded, and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.constants import cgroup_mount
from recorder.errors import BadFilter
from tests.live.exercised import CAPTURE, SECONDS, Recording

# Enters a cgroup, moves `size` bytes over a Unix pair, and lets a child move one byte more.
TALK = """
import os, socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
def talk(size):
    a, b = socket.socketpair(); a.sendall(b"x" * size); b.recv(99999)
talk(int(sys.argv[2]))
child = os.fork()
if not child:
    talk(int(sys.argv[2]) + 1)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.fixture
def hierarchy(tmp_path: Path) -> Iterator[Path]:
    """A cgroup with a child and a sibling, removed afterwards."""
    try:
        top = cgroup_mount()
    except BadFilter:
        pytest.skip("no cgroup v2 hierarchy is mounted")
    ours = top / f"ebpf-rec-test-{os.getpid()}"
    folders = [ours, ours / "wanted", ours / "wanted" / "below", ours / "beside"]
    try:
        for folder in folders:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield ours
    for folder in reversed(folders):
        folder.rmdir()


def recorded(hierarchy: Path, output: Path, *options: str) -> set[int]:
    """The sizes of what was recorded while processes in each of the four cgroups talk."""
    wanted = hierarchy / "wanted"
    recorder = subprocess.Popen([*CAPTURE, "-o", str(output), *options])
    try:
        deadline = time.monotonic() + SECONDS
        while not output.exists():
            assert recorder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for size, folder in ((1000, hierarchy), (2000, wanted), (3000, wanted / "below"), (4000, hierarchy / "beside")):
            words = [sys.executable, "-c", TALK, str(folder), str(size)]
            subprocess.run(words, check=True, timeout=SECONDS)
    finally:
        recorder.terminate()
        status = recorder.wait(SECONDS)
    assert status == 0
    return {flow.total for flow in Recording.read(output).flows.values() if flow.total}


def test_cgroup_records_its_processes_and_those_of_the_cgroups_below_it(hierarchy: Path, tmp_path: Path) -> None:
    path = str(hierarchy / "wanted")
    assert recorded(hierarchy, tmp_path / "cgroup.cap", "--cgroup", path) == {2000, 2001, 3000, 3001}


def test_cgroup_without_children_still_has_the_processes_that_are_in_it(hierarchy: Path, tmp_path: Path) -> None:
    """Children are in their parent's cgroup: they match by themselves. The path begins at the hierarchy's root."""
    options = ("--cgroup", f"/{hierarchy.name}/wanted", "--no-follow-forks")
    assert recorded(hierarchy, tmp_path / "cgroup.cap", *options) == {2000, 2001, 3000, 3001}
