"""Man pages and completion say what the parsers say, and each tool can read its file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import share

SHARE = Path(__file__).parents[2] / "docs/share"
PROGRAMS = {program.name: program for program in map(share.program, share.MODULES)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_option_is_in_the_man_page_and_in_each_completion(name: str) -> None:
    described = PROGRAMS[name]
    options = {text for c in described.commands for action in c.options for text in action.option_strings}
    assert "--help" in options
    page = share.man(described).replace("\\-", "-")
    assert all(option in page for option in options)
    assert all(option in share.bash(described) and option in share.zsh(described) for option in options)
    assert all(f" -l {o[2:]}" in share.fish(described) for o in options if o.startswith("--"))


def test_nested_commands_are_described() -> None:
    names = [command.name for command in PROGRAMS["ebpf-rec"].commands]
    assert {"capture", "doctor", "probes", "probes list", "probes show"} <= set(names)


@pytest.mark.parametrize("name", PROGRAMS)
def test_defaults_are_filled_in(name: str) -> None:
    assert "%(" not in "".join(share.texts(PROGRAMS[name]).values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_bash_takes_its_completion_and_answers(name: str) -> None:
    first = PROGRAMS[name].commands[0].name
    script = share.bash(PROGRAMS[name]) + (
        f"COMP_WORDS=({name} {first[:3]}); COMP_CWORD=1; _{name.replace('-', '_')}; echo ${{COMPREPLY[0]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (first, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_other_shells_take_theirs(shell: str, name: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    (tmp_path / "completion").write_text(getattr(share, shell)(PROGRAMS[name]))
    done = subprocess.run([shell, "-n", str(tmp_path / "completion")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_man_formats_the_page_without_a_warning(name: str, tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff on this machine")
    (tmp_path / "page.1").write_text(share.man(PROGRAMS[name]))
    words = ["groff", "-man", "-Tutf8", "-ww", "-rLL=100n", str(tmp_path / "page.1")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stderr == ""
    assert "EXIT STATUS" in re.sub(".\b", "", done.stdout)  # bold is a letter over itself


@pytest.mark.parametrize("name", PROGRAMS)
def test_mandoc_finds_nothing_wrong_with_the_page(name: str, tmp_path: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc on this machine")
    (tmp_path / "page.1").write_text(share.man(PROGRAMS[name]))
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", tmp_path / "page.1"], capture_output=True, text=True)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_fish_offers_commands_and_options(name: str, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish on this machine")
    first = PROGRAMS[name].commands[0].name
    (tmp_path / "it.fish").write_text(share.fish(PROGRAMS[name]))
    script = f"source {tmp_path}/it.fish; complete -C '{name} {first[:2]}'; complete -C '{name} {first} --he'"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, env=environment)
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert {first, "--help"} <= set(offered)


def test_the_files_in_the_repository_are_what_the_parsers_say(tmp_path: Path) -> None:
    """`make share` writes them again."""
    share.main(str(tmp_path))
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    there = {path.relative_to(SHARE): path.read_text() for path in SHARE.rglob("*") if path.is_file()}
    assert len(made) == 8
    assert there == made


def test_the_unit_is_one_that_systemd_takes() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this machine")
    unit = SHARE.parent / "examples/ebpf-rec.service"
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_recorder_takes_its_options() -> None:
    """Every option that the unit gives is one of capture's."""
    capture = next(command for command in PROGRAMS["ebpf-rec"].commands if command.name == "capture")
    known = {text for action in capture.options for text in action.option_strings}
    line = (
        (SHARE.parent / "examples/ebpf-rec.service")
        .read_text()
        .partition("bin/ebpf-rec capture")[2]
        .partition("\n\n")[0]
    )
    given = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", line.partition("StateDirectory")[0]))
    assert len(given) >= 7
    assert given <= known
