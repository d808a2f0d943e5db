"""The compiled program kept for the next start: it needs no compiler then, and only root's own file is believed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import compiled, kept
from recorder.constants import Filters, Limits
from recorder.program import Program
from tests.live import bench

NOBODY = 65534
MESSAGES, SIZE = 3, 64
CANNOT_CAPTURE = 4


def capture(folder: Path, bcc: str, output: Path) -> subprocess.CompletedProcess[str]:
    keeping = [sys.executable, "-I", str(Path(__file__).parent / "keeping.py"), str(folder), bcc, "capture"]
    words = [*keeping, "--force", "-o", str(output), "--", *bench.talker(MESSAGES, SIZE)]
    return subprocess.run(words, capture_output=True, text=True, timeout=bench.TIMEOUT)


def sent(output: Path) -> int:
    return bench.sent(bench.frames(output))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first start has kept its program."""
    base = tmp_path_factory.mktemp("kept")
    made = base / "kept"
    made.mkdir(mode=0o700)
    done = capture(made, "with-bcc", base / "first.cap")
    assert done.returncode == 0, done.stderr
    assert sent(base / "first.cap") == 2 * MESSAGES * SIZE
    return made


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(first, tmp_path / "kept")
    return tmp_path / "kept"


def file_of(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_second_start_needs_no_compiler_and_records_the_same(folder: Path, tmp_path: Path) -> None:
    assert file_of(folder).stat().st_mode & 0o777 == 0o600
    done = capture(folder, "without-bcc", tmp_path / "x.cap")
    assert done.returncode == 0, done.stderr
    assert sent(tmp_path / "x.cap") == 2 * MESSAGES * SIZE


def test_nothing_is_kept_where_no_folder_was_made(tmp_path: Path) -> None:
    done = capture(tmp_path / "kept", "with-bcc", tmp_path / "x.cap")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "kept").exists()


def _refused(path: Path) -> None:
    document = json.loads(path.read_text())
    document["functions"]["on_sys_exit"] = "00" * 8
    path.write_text(json.dumps(document))


def _emptied(path: Path) -> None:
    path.write_text("{}")


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:1000])


def _foreign(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def _writable(path: Path) -> None:
    path.chmod(0o620)


def _linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


@pytest.mark.parametrize("spoil", [_refused, _emptied, _cut, _foreign, _writable, _linked])
def test_a_kept_program_that_cannot_be_used_is_compiled_anew(
    spoil: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    spoil(file_of(folder))
    assert capture(folder, "without-bcc", tmp_path / "x.cap").returncode == CANNOT_CAPTURE
    done = capture(folder, "with-bcc", tmp_path / "x.cap")
    assert done.returncode == 0, done.stderr
    assert capture(folder, "without-bcc", tmp_path / "x.cap").returncode == 0


@pytest.mark.parametrize("spoil", [_foreign, _writable], ids=["foreign", "writable"])
def test_a_folder_that_others_may_change_is_not_believed(
    spoil: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    assert capture(folder, "without-bcc", tmp_path / "x.cap").returncode == CANNOT_CAPTURE


def test_program_of_classic_tracepoints_is_kept_and_attached_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    filters = Filters(pids=frozenset({os.getpid()}))
    Program.load(filters, Limits(), classic=True).close()
    monkeypatch.setattr(compiled, "BCC_PACKAGES", ())
    one, other = socket.socketpair()
    with Program.load(filters, Limits(), classic=True) as program, one, other:
        one.send(b"before")
        program.attach()
        one.send(b"during")
        program.detach()
        one.send(b"after")
        assert sum(program.counters()["lost_bytes"]) == len(b"during")  # nobody has given it a ring


def test_the_name_holds_all_that_the_program_depends_on() -> None:
    names = [kept.key("text", ["-DA=1"]), kept.key("text", ["-DA=2"]), kept.key("other", ["-DA=1"])]
    assert len(set(names)) == len(names)
