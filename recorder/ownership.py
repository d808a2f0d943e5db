"""Who but root may change what root runs: this program's interpreter, its packages, and the folders above them.

Isolated mode keeps the caller's environment out; it cannot help where the program itself lies in a user's folder.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

PACKAGES: Final = ("recorder", "capfile", "bpf")
MEND: Final = "sudo python3 -m venv /opt/ebpf-rec && sudo /opt/ebpf-rec/bin/pip install ebpf_rec-*.whl"


def remark(paths: Iterable[Path] | None = None) -> str:
    """`root runs what USER may change (PATH)`, of the first such path; "" if there is none."""
    for path in program_paths() if paths is None else paths:
        who = others(os.stat(path))
        if who:
            return f"root runs what {who} may change ({path})"
    return ""


def program_paths() -> Iterator[Path]:
    """The folders of interpreter, standard library, packages and dependencies, those above them, and our own files."""
    home = Path(__file__).resolve().parent.parent
    folders = [Path(sys.executable).parent, Path(sys.executable).resolve().parent, Path(os.__file__).resolve().parent]
    folders += [Path(entry) for entry in sys.path if os.path.isdir(entry)]
    folders += [home / package for package in PACKAGES]
    yield from dict.fromkeys(above for folder in folders for above in (folder, *folder.parents))
    for package in PACKAGES:
        yield from (path for path in sorted((home / package).rglob("*")) if path.is_file())


def others(found: os.stat_result) -> str:
    """Who but root may write to a file, or put another in its place in a folder; "" for nobody.

    In a folder with the sticky bit nobody replaces what is another's (inode(7)).
    """
    if found.st_uid != 0:
        return _user(found.st_uid)
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    return _group(found.st_gid) if found.st_gid and found.st_mode & stat.S_IWGRP else ""


def _user(number: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return f"user {number}"


def _group(number: int) -> str:
    """A group that somebody is in: Debian's own `staff` may write to /usr/local, and has no member."""
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(number)
        return f"group {group.gr_name}" if group.gr_mem else ""
    return f"group {number}"
