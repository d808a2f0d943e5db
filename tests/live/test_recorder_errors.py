"""What else can keep `ebpf-rec capture` from recording, each tried for real: one line, its status, and no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live import bench

A_PID = str(os.getpid())
BCC = "/usr/lib/python3/dist-packages/bcc"

# name -> (what a mount namespace does to the host, what the line must name)
BROKEN = {
    "tracefs is not mounted": (
        "umount -l /sys/kernel/debug/tracing 2>/dev/null; umount -l /sys/kernel/tracing;"
        " ! mountpoint -q /sys/kernel/debug || umount -l /sys/kernel/debug",
        "mount -t tracefs",
    ),
    "another package is called bcc": (f"mount --bind {{folder}} {BCC}", "python3-bpfcc"),
    "the kernel is locked down": (
        "mount -t tmpfs tmpfs /sys/kernel/security &&"
        " echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown",
        "lockdown",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_host_that_cannot_record_says_why(what: str, tmp_path: Path) -> None:
    script, word = BROKEN[what]
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("class Lattice: ...\n")
    prefix = ("unshare", "--mount", "sh", "-c", f'{script.format(folder=folder)}; exec "$@"', "sh")
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--pid", A_PID, prefix=prefix)
    assert done.returncode == 4, done.stderr
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "x.cap").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--", "no-such-command"), 127, "no-such-command: command not found"),
        (("--", "/etc/passwd"), 126, "/etc/passwd: not executable"),
        (("--pid", "0"), 2, "--pid"),
        (("--user", "no-such-user", "--pid", A_PID), 2, "no such user: no-such-user"),
        (("--cgroup", "/no/such/group"), 4, "/no/such/group"),
        (("--port", "70000"), 2, "--port"),
        (("--ring-size", "1K", "--pid", A_PID), 2, "--ring-size"),
        (("--max-size", "1", "--pid", A_PID), 2, "--max-size"),
        (("--keep", "3", "--pid", A_PID), 2, "--keep"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words: tuple[str, ...], status: int, said: str, tmp_path: Path) -> None:
    done = bench.capture("--quiet", "-o", str(tmp_path / "x.cap"), *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "x.cap").exists()


def test_a_script_without_an_interpreter_is_reported_after_the_fork(tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = bench.capture("-o", str(tmp_path / "x.cap"), "--", str(script))
    assert done.returncode == 126
    assert "No such file" in done.stderr


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


def test_doctor_finds_this_host_able_and_proves_it(tmp_path: Path) -> None:
    import json
    import subprocess

    from fixtures import running

    done = subprocess.run([running.tool("ebpf-rec"), "doctor", "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["capable"] is True
    names = [check["name"] for check in report["checks"]]
    assert {"kernel", "BTF", "bcc", "headers", "read/write", "readv/writev", "sendfile", "cost"} <= set(names)
