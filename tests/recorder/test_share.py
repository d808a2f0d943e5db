"""Man pages and completion say what the parsers say, and each tool can read its file."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import share

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


def test_files_are_written_where_shells_look(tmp_path: Path) -> None:
    share.main(str(tmp_path))
    assert (tmp_path / "man/man1/ebpf-rec.1").read_text().startswith(".TH EBPF-REC 1\n")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 8
