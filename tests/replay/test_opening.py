"""Where `-o OUT` goes, for every command that has one: private, never through a link, never half, never over a file
that nobody gave up."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.cli import main
from replay.errors import UsageError
from replay.output import opening
from tests.build import Capture
from tests.importers.packet_files import Talk

REQUEST, ANSWER = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def capture(folder: Path) -> Path:
    built = Capture()
    built.process(100).accept().receive(REQUEST).send(ANSWER).close()
    return built.write(folder / "in.cap")


def packets(folder: Path) -> Path:
    path = folder / "in.pcap"
    path.write_bytes(Talk().open().send(0, REQUEST).send(1, ANSWER).close().file())
    return path


# every command with an output: its words before the input, and what makes an input for it
COMMANDS: dict[str, tuple[list[str], Callable[[Path], Path]]] = {
    "show": (["show"], capture),
    "show in full": (["show", "1-1"], capture),
    "show jsonl": (["show", "--format", "jsonl"], capture),
    "show har": (["show", "--format", "har"], capture),
    "show pcapng": (["show", "--format", "pcapng"], capture),
    "show curl": (["show", "--format", "curl"], capture),
    "show by two": (["show", "--jobs", "2"], capture),
    "show evidence": (["show", "--evidence", "1-1"], capture),
    "follow": (["show", "--follow"], capture),
    "slice": (["slice"], capture),
    "merge": (["merge"], capture),
    "redact": (["redact"], capture),
    "import": (["import", "pcap"], packets),
}
every_command = pytest.mark.parametrize("name", COMMANDS)


class Run:
    """A command with its input, ready to be run with one output after the other."""

    def __init__(self, name: str, folder: Path) -> None:
        self.words, make = COMMANDS[name]
        self.input = make(folder)

    def __call__(self, output: Path | str, *more: str) -> int:
        return main([*self.words, str(self.input), "-o", str(output), *more])


@every_command
def test_an_output_is_new_private_and_nothing_else_is_left(name: str, tmp_path: Path) -> None:
    run, folder = Run(name, tmp_path), tmp_path / "out"
    folder.mkdir()
    assert run(folder / "x") == 0
    assert stat.S_IMODE((folder / "x").stat().st_mode) == 0o600
    assert (folder / "x").stat().st_size > 0
    assert os.listdir(folder) == ["x"]


@every_command
def test_a_file_that_is_there_stays_without_force_and_is_replaced_whole_with_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = Run(name, tmp_path), tmp_path / "x"
    out.write_text("mine")
    out.chmod(0o644)
    other = tmp_path / "other-name"
    other.hardlink_to(out)
    assert run(out) == 2
    assert capsys.readouterr().err == f"ebpf-replay: {out} exists; --force replaces it\n"
    assert out.read_text() == "mine"
    assert run(out, "--force") == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert b"mine" not in out.read_bytes()
    assert other.read_text() == "mine", "a file under another name is another file"


@every_command
@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_links_folders_missing_folders_and_the_input_are_usage_errors(
    name: str, force: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(name, tmp_path)
    before = run.input.read_bytes()
    (tmp_path / "link").symlink_to(run.input)
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "same").hardlink_to(run.input)
    (tmp_path / "folder").mkdir()
    for output in ("link", "dangling", "same", "folder", "missing/x", run.input.name, f"{run.input.name}/x"):
        assert run(tmp_path / output, *force) == 2, output
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert output in said
    assert run.input.read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


@every_command
def test_standard_output_gets_the_same_bytes(
    name: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run = Run(name, tmp_path)
    assert run(tmp_path / "x") == 0
    capfdbinary.readouterr()
    assert run("-") == 0
    assert capfdbinary.readouterr().out == (tmp_path / "x").read_bytes()


@every_command
def test_a_pipe_is_written_to_as_it_stands(name: str, tmp_path: Path) -> None:
    run, pipe = Run(name, tmp_path), tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    assert run(pipe) == 0
    reader.join()
    assert run(tmp_path / "x") == 0
    assert read == [(tmp_path / "x").read_bytes()]
    assert run("/dev/null") == 0


def refusing(name: str) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return refuse


@pytest.mark.parametrize("name", ["slice", "merge", "redact", "import"])
def test_a_full_disk_leaves_the_old_file_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = Run(name, tmp_path), tmp_path / "x"
    out.write_text("mine")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(os, "writev", refusing(name))
    assert run(out, "--force") == 2
    assert f"{out}: No space left on device" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == before


def test_an_error_in_the_middle_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")

    def half() -> None:
        with opening.opened(str(tmp_path / "x"), force=True) as file:
            file.write(b"half")
            raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        half()
    assert (tmp_path / "x").read_text() == "mine"
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "x"

    def write() -> None:
        with opening.opened(str(out)) as file:
            file.write(b"ours")
            out.write_text("theirs")

    with pytest.raises(UsageError, match="exists"):
        write()
    assert out.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["x"]


def test_where_there_are_no_hard_links_the_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with opening.opened(str(tmp_path / "x")) as file:
        file.write(b"ours")
    with pytest.raises(UsageError, match="exists"), opening.opened(str(tmp_path / "y")) as file:
        (tmp_path / "y").write_text("theirs")
    assert ((tmp_path / "x").read_text(), (tmp_path / "y").read_text()) == ("ours", "theirs")


def test_another_users_file_or_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("theirs")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for name in ("file", "pipe"):
        with (
            pytest.raises(UsageError, match="another user"),
            opening.opened(str(tmp_path / name), force=True),
        ):
            pass
    assert (tmp_path / "file").read_text() == "theirs"


def test_what_is_followed_is_there_while_it_is_written(tmp_path: Path) -> None:
    with opening.opened(str(tmp_path / "x"), at_once=True) as file:
        file.write(b"one\n")
        assert (tmp_path / "x").read_bytes() == b"one\n"


def test_a_full_standard_output_is_one_line(tmp_path: Path) -> None:
    program = "import sys; from replay.cli import main; sys.exit(main(sys.argv[1:]))"
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-c", program, "show", str(capture(tmp_path))]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "ebpf-replay: standard output: No space left on device\n")


def test_bodies_take_a_folder_that_is_no_link_and_replace_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["show", str(capture(tmp_path)), "--format", "bodies", "-o"]
    (tmp_path / "link").symlink_to(tmp_path)
    assert main([*words, str(tmp_path / "link")]) == 2
    assert main([*words, str(tmp_path / "in.cap" / "x")]) == 2
    assert main([*words, str(tmp_path / "new"), "--force"]) == 2
    assert main([*words, str(tmp_path / "new")]) == 0
    assert capsys.readouterr().err.count("\n") == 3


def test_a_report_of_the_run_before_gives_way_but_never_a_recording(tmp_path: Path) -> None:
    path = capture(tmp_path)
    assert main(["test", str(path), "--update"]) == 0
    for _ in range(2):
        assert main(["test", str(path), "--junit", str(tmp_path / "report.xml")]) == 0
    before = path.read_bytes()
    for read in (path, path.with_suffix(".expected.jsonl")):
        assert main(["test", str(path), "--junit", str(read)]) == 2
    assert path.read_bytes() == before
