"""What keeps `ebpf-rec capture` from recording, each tried for real: one line with the mend, its status, and no file.

The other ways in which a recording goes wrong have tests of their own: a full disk, a reader that goes away, signals,
SIGKILL, recorders beside and inside each other in test_recorder_ends.py and test_recorder_leftovers.py, each capability
missing alone in test_recorder_privileges.py, what the verifier refuses in test_verifier.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import running
from tests.live import bench

USAGE, CANNOT_CAPTURE = 2, 4
A_PID = str(os.getpid())
BCC = "/usr/lib/python3/dist-packages/bcc"
NO_PID = str(1 << 22)  # the kernel's largest is one less (man proc(5), pid_max)


@dataclass(frozen=True)
class Refusal:
    """`says` are words of the line. `host` is what a shell does to a mount namespace first; {folder} is the test's."""

    says: Sequence[str]
    status: int = CANNOT_CAPTURE
    words: Sequence[str] = ("-o", "{folder}/x.cap", "--pid", A_PID)
    host: str = ""
    prefix: Sequence[str] = ()


def asked(*words: str, says: str, status: int = USAGE) -> Refusal:
    """Something that cannot be asked for."""
    return Refusal((says,), status, ("-o", "{folder}/x.cap", *words))


def put(output: str, says: str, host: str = "") -> Refusal:
    """An output that cannot be."""
    return Refusal((says,), USAGE, ("-o", output, "--pid", A_PID), host)


REFUSED = {
    # of the caller: in a user namespace without a mapping root is an ordinary user who can still read this clone
    "no root": Refusal(("CAP_BPF", "sudo"), prefix=("unshare", "--user")),
    "a root without capabilities": Refusal(
        ("CAP_BPF", "container"), prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    ),
    # of the host
    "no bcc": Refusal(("not installed", "python3-bpfcc"), host=f"mount --bind {{folder}}/empty {BCC}"),
    "another package called bcc": Refusal(("python3-bpfcc",), host=f"mount --bind {{folder}}/lattice {BCC}"),
    "no headers": Refusal(("linux-headers",), host="mount --bind {folder}/empty /lib/modules"),
    "a folder of headers that is empty": Refusal(("linux-headers",), host="mount --bind {folder}/modules /lib/modules"),
    "no BTF": Refusal(("BTF",), host="mount --bind {folder}/empty /sys/kernel/btf"),
    "tracefs is not mounted": Refusal(
        ("mount -t tracefs",),
        host="umount -l /sys/kernel/debug/tracing 2>/dev/null; umount -l /sys/kernel/tracing;"
        " ! mountpoint -q /sys/kernel/debug || umount -l /sys/kernel/debug",
    ),
    # A real lockdown cannot be lifted before the next boot, so the kernel's file is covered by one that says so.
    "lockdown in confidentiality mode": Refusal(
        ("lockdown=integrity",),
        host="mount -t tmpfs tmpfs /sys/kernel/security &&"
        " echo 'none integrity [confidentiality]' >/sys/kernel/security/lockdown",
    ),
    # of what is to be recorded
    "the process is gone": asked("--pid", NO_PID, says=f"no process {NO_PID}"),
    "one of several processes is gone": asked("--pid", A_PID, "--pid", NO_PID, says=f"no process {NO_PID}"),
    "the command is not found": asked("--", "no-such-command", says="no-such-command: command not found", status=127),
    "the command is not executable": asked("--", "/etc/passwd", says="/etc/passwd: not executable", status=126),
    "no such user": asked("--user", "no-such-user", "--pid", A_PID, says="no such user: no-such-user"),
    "no such cgroup": asked("--cgroup", "/no/such/group", says="/no/such/group", status=CANNOT_CAPTURE),
    # of the options
    "a pid that is none": asked("--pid", "0", says="--pid"),
    "a port that is none": asked("--port", "70000", says="--port"),
    "a ring too small": asked("--ring-size", "1K", "--pid", A_PID, says="--ring-size"),
    "a file too small": asked("--max-size", "1", "--pid", A_PID, says="--max-size"),
    "segments kept without rotation": asked("--keep", "3", "--pid", A_PID, says="--keep"),
    "a rotated pipe": Refusal(("rotation needs a file",), USAGE, ("-o", "-", "--rotate-size", "1M", "--pid", A_PID)),
    # of the output
    "the output exists": put("{folder}/precious", "--force"),
    "the output is a link": put("{folder}/link", "symbolic link"),
    "the output is a folder": put("{folder}/empty", "is not a file"),
    "the output's folder is missing": put("{folder}/missing/x.cap", "mkdir -p"),
    "the output's folder is read-only": put(
        "{folder}/empty/x.cap", "not writable", "mount -t tmpfs -o ro tmpfs {folder}/empty"
    ),
    "old segments are there": Refusal(
        ("x.000000.cap exists", "--force"), USAGE, ("-o", "{folder}/old/x.cap", "--rotate-size", "1M", "--pid", A_PID)
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the refusals mention."""
    for name in ("empty", "lattice", "old", f"modules/{os.uname().release}/build"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lattice/__init__.py").write_text("class Lattice: ...\n")
    (tmp_path / "old/x.000000.cap").write_text("precious")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to("precious")
    return tmp_path


def contents(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("what", REFUSED)
def test_one_line_says_what_is_wrong_and_nothing_is_written(what: str, folder: Path) -> None:
    refusal, before = REFUSED[what], contents(folder)
    host = ("unshare", "--mount", "sh", "-c", f'{refusal.host}; exec "$@"', "sh") if refusal.host else ()
    words = [
        word.replace("{folder}", str(folder)) for word in (*host, *refusal.prefix, *bench.command(), *refusal.words)
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=bench.TIMEOUT)
    assert done.returncode == refusal.status, done.stderr
    assert all(word in done.stderr for word in refusal.says), done.stderr
    assert done.stderr.startswith("ebpf-rec: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""
    assert contents(folder) == before


@pytest.mark.parametrize(
    "what", [what for what, refusal in REFUSED.items() if refusal.host and "the output" not in what]
)
def test_the_doctor_says_the_same_of_the_host(what: str, folder: Path) -> None:
    """The same reading as capture's: a row fails, with what mends it, and nothing is recorded to prove anything."""
    refusal = REFUSED[what]
    script = f'{refusal.host.replace("{folder}", str(folder))}; exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", running.tool("ebpf-rec"), "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=bench.TIMEOUT)
    assert done.returncode == CANNOT_CAPTURE, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["capable"] is False
    failed = [check for check in report["checks"] if check["state"] == "fails"]
    assert failed
    assert all(check["mend"] for check in failed)
    assert any(refusal.says[-1] in json.dumps(check) for check in failed)
    assert "cost" not in {check["name"] for check in report["checks"]}


def test_the_kernels_own_lockdown_is_read_and_integrity_does_not_matter(tmp_path: Path) -> None:
    """With securityfs mounted, where this kernel has the file: whatever it says here, this host can record."""
    script = 'mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security; exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", *bench.command(), "-o", str(tmp_path / "x.cap")]
    done = subprocess.run([*words, "--", *bench.talker(3)], capture_output=True, text=True, timeout=bench.TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert bench.sent(bench.frames(tmp_path / "x.cap")) == 2 * 3 * 64


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("capture -o - --pid $PPID >&-", USAGE, "standard output is closed"),
        ("doctor >&-", USAGE, "standard output is closed"),
        ("probes list >&-", USAGE, "standard output is closed"),
        ("probes list '*accept4' >/dev/full", USAGE, "standard output: No space left on device"),
        ("probes list | head -n 1", 0, ""),
    ],
)
def test_a_standard_output_that_is_closed_or_full_is_told_in_one_line(script: str, status: int, said: str) -> None:
    words = ["bash", "-o", "pipefail", "-c", f"{running.tool('ebpf-rec')} {script}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=bench.TIMEOUT)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == bool(said)
    assert said in done.stderr


def test_closed_streams_are_not_taken_for_files(tmp_path: Path) -> None:
    """Every stream closed: what would be printed goes nowhere, not into the recording that got its number."""
    output = tmp_path / "x.cap"
    words = " ".join(["exec", *bench.command(), "-o", str(output), "--", "true", "<&-", ">&-", "2>&-"])
    assert subprocess.run(["sh", "-c", words], timeout=bench.TIMEOUT).returncode == 0
    assert bench.end_reason(bench.frames(output)) == "child-exit"


def test_a_script_without_an_interpreter_is_reported_after_the_fork(tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", str(script))
    assert done.returncode == 126
    assert "No such file" in done.stderr
    assert bench.end_reason(bench.frames(tmp_path / "x.cap")) == "command-failed"


def test_force_replaces_a_file_but_does_not_write_into_it(tmp_path: Path) -> None:
    output, other_name = tmp_path / "x.cap", tmp_path / "other-name"
    output.write_text("precious")
    os.link(output, other_name)
    done = bench.capture("--force", "-o", str(output), "--", *bench.talker(3))
    assert done.returncode == 0, done.stderr
    assert other_name.read_text() == "precious"
    assert bench.sent(bench.frames(output)) == 2 * 3 * 64


def test_debugging_shows_the_kernel_programs_own_lines(tmp_path: Path) -> None:
    done = bench.capture("--debug-bpf", "-o", str(tmp_path / "x.cap"), "--", *bench.talker(3))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ebpf-rec ring 0 kind 1 ")]
    assert len(lines) == 4 * 3  # sent and received, there and back


def test_doctor_finds_this_host_able_and_proves_it() -> None:
    words = [running.tool("ebpf-rec"), "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=2 * bench.TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["capable"] is True
    names = [check["name"] for check in report["checks"]]
    assert {"kernel", "BTF", "bcc", "headers", "read/write", "readv/writev", "sendfile", "cost"} <= set(names)


def test_doctor_answers_a_user_without_rights_row_by_row() -> None:
    """An ordinary user, to whom tracefs is closed; after the imports, since this clone may be closed to him too."""
    script = (
        "import json, os; from recorder import doctor; os.setgroups([]); os.setresuid(65534, 65534, 65534);"
        "print(json.dumps({check.name: check.state for check in doctor.examine({})}))"
    )
    words = [sys.executable, "-I", "-c", script]
    states = json.loads(subprocess.run(words, capture_output=True, timeout=bench.TIMEOUT, check=True).stdout)
    assert states["tracefs"] == states["hooks"] == states["capabilities"] == "fails"
    assert states["kernel"] == "ok"
