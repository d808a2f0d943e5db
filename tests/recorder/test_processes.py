"""What /proc says, on made-up folders and on this very process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recorder import processes

STAT = b"%d (%s) S %d 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 %d 1000000 100 0"
CONTAINER = "4f" * 32


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1)):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_bytes(STAT % (pid, b"a b) c", parent, 7000 + pid))
    (tmp_path / "self").mkdir()
    return tmp_path


def test_a_process_is_read_from_its_folder(proc: Path) -> None:
    folder = proc / "10"
    (folder / "cmdline").write_bytes(b"nginx: worker\0-g\0\xff\0")
    (folder / "cgroup").write_bytes(b"0::/system.slice/docker-%s.scope\n" % CONTAINER.encode())
    (folder / "status").write_bytes(b"Name:\tx\nUid:\t33\t33\t33\t33\n")
    (folder / "exe").symlink_to("/usr/sbin/nginx")
    found = processes.facts(10, 99, proc)
    assert found is not None
    assert (found.comm, found.parent, found.start_time, found.time) == ("a b) c", 1, 7010, 99)
    assert found.command_line == ["nginx: worker", "-g", "\\xff"]
    assert (found.exe, found.uid, found.container) == ("/usr/sbin/nginx", 33, CONTAINER)


def test_what_cannot_be_read_stays_empty(proc: Path) -> None:
    found = processes.facts(11, 0, proc)
    assert found is not None
    assert (found.exe, found.command_line, found.cgroup, found.uid) == ("", [], "", -1)


def test_a_process_that_is_gone_is_none(proc: Path) -> None:
    assert processes.facts(99, 0, proc) is None


def test_descendants_are_found_through_generations(proc: Path) -> None:
    parents = processes.parents(proc)
    assert parents == {10: 1, 11: 10, 12: 11, 13: 1}
    assert processes.descendants([10], parents) == {11, 12}
    assert processes.descendants([10, 11], parents) == {12}
    assert processes.descendants([13], parents) == set()


def test_a_circle_of_parents_ends() -> None:
    assert processes.descendants([1], {1: 2, 2: 1, 3: 2}) == {2, 3}


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"/system.slice/docker-{CONTAINER}.scope", CONTAINER),
        (f"/docker/{CONTAINER}", CONTAINER),
        (f"/kubepods/burstable/pod1/cri-containerd-{CONTAINER}.scope", CONTAINER),
        (f"/kubepods.slice/pod1/crio-{CONTAINER}/child", CONTAINER),
        ("/user.slice/user-1000.slice", ""),
        (f"/x/{CONTAINER}ab", ""),
    ],
)
def test_container_ids_are_read_from_cgroup_names(cgroup: str, container: str) -> None:
    assert processes.container_id(cgroup) == container


def test_the_unified_hierarchy_wins_unless_it_is_only_the_root() -> None:
    assert processes.cgroup_path(b"4:memory:/old\n0::/new\n") == "/new"
    assert processes.cgroup_path(b"4:memory:/old\n0::/\n") == "/old"
    assert processes.cgroup_path(b"0::/\n") == "/"
    assert processes.cgroup_path(b"") == ""


def test_long_command_lines_are_cut() -> None:
    assert sum(map(len, processes.command_line(b"x" * 100_000))) == processes.MAX_COMMAND_LINE


def test_this_very_process() -> None:
    found = processes.facts(os.getpid())
    assert found is not None
    assert found.exe == os.path.realpath("/proc/self/exe")
    assert found.parent == os.getppid()
    assert processes.executables()[os.getpid(), found.start_time] == found.exe
    assert processes.alive(os.getpid())


def test_a_zombie_is_not_alive() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not processes.alive(pid)
    os.waitpid(pid, 0)
    assert not processes.alive(pid)
