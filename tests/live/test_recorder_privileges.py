"""Root given up: no capability in any thread while it records, and an output that is the user's alone."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfile.frames import Process
from tests.live import bench

NOBODY = pwd.getpwnam("nobody")
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def capability_sets(pid: int) -> Iterator[dict[str, int]]:
    """The capability sets of each thread."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        rows = (line.split(":\t") for line in (task / "status").read_text().splitlines() if line.startswith("Cap"))
        yield {name: int(value, 16) for name, value in rows}


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder that everybody may write to, on a path that everybody may walk."""
    folder = Path(f"/tmp/ebpf-rec-test-{os.getpid()}")
    folder.mkdir(mode=0o777)
    folder.chmod(0o1777)
    yield folder
    subprocess.run(["rm", "-r", str(folder)], check=True)


def test_no_thread_has_a_capability_while_it_records(tmp_path: Path) -> None:
    talker = bench.started(bench.talker(0))
    process = bench.recorder(tmp_path / "x.cap", "--pid", str(talker.pid))
    bench.say(talker, 3)
    sets = list(capability_sets(process.pid))
    bench.say(talker, 4)
    said = bench.finished(process)
    bench.stop(talker)
    assert len(sets) >= 2
    assert all(rows[name] == 0 for rows in sets for name in CAPABILITY_SETS)
    assert "without any capability" in said
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 2 * 7 * 64


def test_under_sudo_the_recording_belongs_to_the_user_who_called(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY.pw_uid))
    talker = bench.started(bench.talker(0))
    process = bench.recorder(public / "x.cap", "--pid", str(talker.pid))
    status = Path(f"/proc/{process.pid}/status").read_text()
    bench.say(talker, 7)
    said = bench.finished(process)
    bench.stop(talker)
    assert f"Uid:\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\n" in status
    assert "ran as user nobody" in said
    found = os.stat(public / "x.cap")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, 0o600)
    frames = bench.frames(public / "x.cap")
    assert bench.sent(frames) == 2 * 7 * 64
    executables = {frame.exe for frame in frames if isinstance(frame, Process) and frame.pid == talker.pid}
    assert executables == {os.path.realpath(f"/proc/{os.getpid()}/exe")}  # read while root still could


def test_under_sudo_a_command_runs_as_the_user_who_called(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY.pw_uid))
    monkeypatch.setenv("SUDO_GID", str(NOBODY.pw_gid))
    done = bench.capture("-o", str(public / "x.cap"), "--", "sh", "-c", "id -u; id -G; echo $HOME $SUDO_UID")
    assert done.returncode == 0, done.stderr
    groups = " ".join(map(str, os.getgrouplist(NOBODY.pw_name, NOBODY.pw_gid)))
    assert done.stdout.splitlines() == [str(NOBODY.pw_uid), groups, NOBODY.pw_dir]


def test_a_folder_that_is_not_the_users_is_refused_before_anything_is_loaded(public: Path) -> None:
    public.chmod(0o755)
    done = bench.capture("-o", str(public / "x.cap"), "--user", "nobody", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith(f"ebpf-rec: {public} is not writable")
    assert not (public / "x.cap").exists()


def restricted(capabilities: str) -> tuple[str, ...]:
    """Root with a bounding set of some capabilities alone (setpriv(1))."""
    return ("setpriv", f"--bounding-set={capabilities}", "--inh-caps=-all")


# CAP_SYS_ADMIN stands in for both of the needed ones, so nothing is missed that is taken alone from a whole root.
TAKEN = (
    "sys_admin", "bpf", "perfmon", "ipc_lock", "setpcap", "sys_ptrace", "dac_override", "dac_read_search", "net_admin",
    "kill", "sys_nice", "setuid", "setgid",
)  # fmt: skip


@pytest.mark.parametrize("capabilities", [*(f"-{name}" for name in TAKEN), "-all,+bpf,+perfmon"])
def test_root_without_one_capability_records_and_so_does_root_with_the_two_needed(
    capabilities: str, tmp_path: Path
) -> None:
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", *bench.talker(7), prefix=restricted(capabilities))
    assert done.returncode == 0, done.stderr
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 2 * 7 * 64


@pytest.mark.parametrize(("there", "missing"), [("perfmon", "CAP_BPF"), ("bpf", "CAP_PERFMON")])
def test_each_of_the_two_missing_is_named_by_capture_and_doctor(there: str, missing: str, tmp_path: Path) -> None:
    prefix = restricted(f"-all,+{there}")
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", "true", prefix=prefix)
    assert done.returncode == 4
    assert f"recording needs {missing} (" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x.cap").exists()
    asked = subprocess.run([*prefix, bench.running.tool("ebpf-rec"), "doctor"], capture_output=True, text=True)
    assert asked.returncode == 4
    assert f"FAILS capabilities     missing {missing} (" in asked.stdout


@pytest.mark.parametrize("capability", ["setuid", "setgid"])
def test_without_the_right_to_become_the_user_it_does_not_record(
    capability: str, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY.pw_uid))
    prefix = ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")
    done = bench.capture("-o", str(public / "x.cap"), "--", "true", prefix=prefix)
    assert done.returncode == 4
    assert f"CAP_{capability.upper()}" in done.stderr
    assert not (public / "x.cap").exists()
