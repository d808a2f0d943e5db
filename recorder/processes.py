"""What /proc says about a process, as a Process frame; and which processes are there.

After root is given up the kernel still shows everybody's stat, command line, cgroup and status, but the link to the
executable only of the own user's processes: what cannot be read stays empty.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from capfile.frames import Process

MAX_COMMAND_LINE: Final = 4096  # bytes kept of a command line: enough to recognise it
PROC: Final = Path("/proc")
_CONTAINER: Final = re.compile(r"(?:^|[/:\-.])([0-9a-f]{64})(?:\.scope)?(?:$|/)")


def facts(pid: int, time: int = 0, proc: Path = PROC) -> Process | None:
    """The process as it is now; None when it is gone."""
    folder = proc / str(pid)
    try:
        comm, parent, start_time = parse_stat((folder / "stat").read_bytes())
    except (OSError, ValueError):
        return None
    cgroup = cgroup_path(_read(folder / "cgroup"))
    return Process(
        pid=pid,
        start_time=start_time,
        parent=parent,
        comm=comm,
        exe=_link(folder / "exe"),
        command_line=command_line(_read(folder / "cmdline")),
        cgroup=cgroup,
        container=container_id(cgroup),
        uid=_uid(_read(folder / "status")),
        time=time,
    )


def executables(proc: Path = PROC) -> dict[tuple[int, int], str]:
    """(pid, start time) -> executable of every process: taken while root may still read all the links."""
    found = {}
    for name in os.listdir(proc):
        if name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                link = _link(proc / name / "exe")
                if link:
                    found[int(name), parse_stat((proc / name / "stat").read_bytes())[2]] = link
    return found


def is_elf(path: str) -> bool:
    """Whether the file is a program of its own, not a script for another one."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"
    return False


def parse_stat(stat: bytes) -> tuple[str, int, int]:
    """(comm, parent, start time in clock ticks) of /proc/PID/stat; the comm may hold spaces and brackets."""
    opening, closing = stat.index(b"("), stat.rindex(b")")
    fields = stat[closing + 2 :].split()
    return text(stat[opening + 1 : closing]), int(fields[1]), int(fields[19])


def text(raw: bytes) -> str:
    """Bytes of the kernel as text that every msgpack library takes; what is not UTF-8 is shown as \\xNN."""
    return raw.decode("utf-8", "backslashreplace")


def command_line(raw: bytes) -> list[str]:
    """The arguments, of at most MAX_COMMAND_LINE bytes in all."""
    return [text(word) for word in raw[:MAX_COMMAND_LINE].removesuffix(b"\0").split(b"\0")] if raw else []


def cgroup_path(raw: bytes) -> str:
    """The path in the unified hierarchy, or, without one, in the first of the old ones that is not the root."""
    rows = [text(line).split(":", 2) for line in raw.splitlines()]
    rows = [row for row in rows if len(row) == 3]
    unified = [path for number, _, path in rows if number == "0"]
    named = [path for number, _, path in rows if number != "0" and path != "/"]
    return next(iter([path for path in unified if path != "/"] + named + unified), "")


def container_id(cgroup: str) -> str:
    """The 64 hexadecimal digits that Docker, containerd, podman and CRI-O put into a cgroup's name; or nothing."""
    matches = _CONTAINER.findall(cgroup)
    return matches[-1] if matches else ""


def _uid(status: bytes) -> int:
    match = re.search(rb"^Uid:\t(\d+)", status, re.MULTILINE)
    return int(match[1]) if match else -1


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def _link(path: Path) -> str:
    with contextlib.suppress(OSError):
        return text(os.fsencode(os.readlink(path)))
    return ""


def parents(proc: Path = PROC) -> dict[int, int]:
    """Every process's parent."""
    found = {}
    for name in os.listdir(proc):
        if name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                found[int(name)] = parse_stat((proc / name / "stat").read_bytes())[1]
    return found


def descendants(roots: Iterable[int], parent_of: dict[int, int]) -> set[int]:
    """The processes below `roots`, without them."""
    children: dict[int, list[int]] = {}
    for pid, parent in parent_of.items():
        children.setdefault(parent, []).append(pid)
    roots = set(roots)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        new = [child for child in children.get(todo.pop(), []) if child not in found and child not in roots]
        found.update(new)
        todo.extend(new)
    return found


def alive(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    with contextlib.suppress(OSError, ValueError):
        stat = (PROC / str(pid) / "stat").read_bytes()
        return stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] not in (b"Z", b"X")
    return False
