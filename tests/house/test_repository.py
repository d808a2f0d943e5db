"""What the repository says of itself is so: links resolve, commands exist, nothing belongs to one machine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Spelled in pieces, so that this file does not find itself.
FORBIDDEN = [
    re.compile(word.replace("~", ""))
    for word in (r"(?<![\w.<}])/~work/", r"/~root/", r"/~home/\w", r"py~pi\.org", r"npm~js\.org", r"deb~\.debian\.org")
]


def tracked() -> Iterator[Path]:
    """The files that a clone has."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git clone: the list of files comes from git")
    yield from (ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def documents() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def test_no_file_names_a_path_of_one_machine_or_the_host_of_a_registry() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("latin-1")
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for pattern in FORBIDDEN for m in pattern.finditer(text)]
    assert not found


def slug(heading: str) -> str:
    """A heading's anchor, as the common Markdown hosts make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(document: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)}


def links(document: Path) -> list[str]:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(), flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def is_broken(document: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return False
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_every_link_between_documents_resolves() -> None:
    broken = [f"{d.relative_to(ROOT)}: {link}" for d in documents() for link in links(d) if is_broken(d, link)]
    assert not broken


def targets() -> dict[str, str]:
    """Makefile target -> the script it calls."""
    found = re.findall(r"^([\w./-]+): ; @(scripts/\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return dict(found)


def test_every_make_target_calls_a_script_that_can_run() -> None:
    assert {"demo", "test", "check"} <= targets().keys()
    assert not [script for script in targets().values() if not os.access(ROOT / script, os.X_OK)]


def test_every_make_command_in_the_documents_is_a_target() -> None:
    named = {m for d in documents() for m in re.findall(r"(?:^|`)make ([a-z][\w-]*)", d.read_text(), re.MULTILINE)}
    assert named <= targets().keys() | {"help"}


def test_the_readme_lists_every_make_target() -> None:
    listed = set(re.findall(r"`make ([\w-]+)", (ROOT / "README.md").read_text()))
    assert {name for name in targets() if not name.startswith(".")} <= listed
