"""`ebpf-rec capture` where it cannot record: one clear line with the mend, the documented status, and no file left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures import running

USAGE, CANNOT_CAPTURE = 2, 4
A_PID = str(os.getpid())

# name -> (path hidden by an empty folder, what the line must name)
HIDDEN = {
    "bcc": ("/usr/lib/python3/dist-packages/bcc", "python3-bpfcc"),
    "headers": ("/lib/modules", "linux-headers"),
    "btf": ("/sys/kernel/btf", "BTF"),
}


def refused(done: subprocess.CompletedProcess[str], status: int, word: str) -> None:
    assert done.returncode == status, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("what", HIDDEN)
def test_without_a_part_of_the_host_it_names_the_part_and_the_mend(what: str, tmp_path: Path) -> None:
    """In a mount namespace of its own, where an empty folder covers the part."""
    path, word = HIDDEN[what]
    (tmp_path / "empty").mkdir()
    output = tmp_path / "x.cap"
    command = (
        f"mount --bind {tmp_path}/empty {path} && exec {running.tool('ebpf-rec')} capture -o {output} --pid {A_PID}"
    )
    refused(run("unshare", "--mount", "sh", "-c", command), CANNOT_CAPTURE, word)
    assert not output.exists()


def test_without_root_it_says_to_run_it_with_sudo(tmp_path: Path) -> None:
    """In a user namespace without a mapping root is an ordinary user who can still read this environment."""
    output = tmp_path / "x.cap"
    words = ["unshare", "--user", running.tool("ebpf-rec"), "capture", "-o", str(output), "--pid", A_PID]
    refused(run(*words), CANNOT_CAPTURE, "sudo")
    assert not output.exists()


def test_a_root_without_capabilities_is_told_which_it_lacks(tmp_path: Path) -> None:
    output = tmp_path / "x.cap"
    words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", running.tool("ebpf-rec"), "capture"]
    refused(run(*words, "-o", str(output), "--pid", A_PID), CANNOT_CAPTURE, "CAP_BPF")
    assert not output.exists()


def test_a_pid_that_does_not_exist_is_named(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    output = tmp_path / "x.cap"
    refused(run(running.tool("ebpf-rec"), "capture", "-o", str(output), "--pid", str(gone.pid)), USAGE, str(gone.pid))
    assert not output.exists()


def test_an_output_that_is_a_symbolic_link_is_refused_and_its_target_untouched(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "x.cap"
    target.write_text("precious")
    link.symlink_to(target)
    refused(run(running.tool("ebpf-rec"), "capture", "-o", str(link), "--pid", A_PID), USAGE, str(link))
    assert target.read_text() == "precious"


def test_an_output_in_a_missing_folder_is_refused_and_the_folder_not_made(tmp_path: Path) -> None:
    output = tmp_path / "missing" / "x.cap"
    refused(run(running.tool("ebpf-rec"), "capture", "-o", str(output), "--pid", A_PID), USAGE, str(output.parent))
    assert not output.parent.exists()


def test_a_folder_as_output_is_refused(tmp_path: Path) -> None:
    refused(run(running.tool("ebpf-rec"), "capture", "-o", str(tmp_path), "--pid", A_PID), USAGE, str(tmp_path))


def test_an_existing_file_is_not_lost(tmp_path: Path) -> None:
    output = tmp_path / "x.cap"
    output.write_text("precious")
    done = run(running.tool("ebpf-rec"), "capture", "-o", str(output), "--pid", A_PID)
    refused(done, USAGE, str(output))
    assert output.read_text() == "precious"
