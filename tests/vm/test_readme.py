"""The three commands from a clone to a recording in the virtual machine stand in three places and are the same."""

from __future__ import annotations

import pytest

from tests.vm import readme

ROOT = readme.README.parent


@pytest.mark.parametrize(("path", "prefix"), [("docs/virtual-machine.md", ""), ("Vagrantfile", "#   ")])
def test_page_and_vagrantfile_give_the_commands_of_the_readme(path: str, prefix: str) -> None:
    text = (ROOT / path).read_text()
    assert "".join(f"{prefix}{line}\n" for line in readme.lines()) in text


def test_commands_are_up_then_record_then_replay() -> None:
    up, record, replay = readme.commands()
    assert up == ["up"]
    assert record[:2] == replay[:2] == ["ssh", "-c"]
    assert record[2].startswith("sudo ebpf-rec capture ")
    assert replay[2].startswith("ebpf-replay ")
