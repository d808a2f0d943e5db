"""The kernel's hook points and what they are called with: from tracefs (events, format files) and BTF (prototypes).

Answers "which hooks are there for accept?" and "what is its prototype, and which arguments has it?". Attaches nothing.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder.btf import Btf
from recorder.errors import NoTracefs, NotRoot, UsageError
from recorder.host import EVENTS, HOOKS, Kind, needs_classic

SYSCALLS: Final = "syscalls"  # made from raw_syscalls by the kernel: no raw tracepoints of their own
# `field:char * buf;	offset:24;	size:8;	signed:0;` of a format file
_FIELD: Final = re.compile(r"\s*field:(.+?);\s*offset:(\d+);\s*size:(\d+);\s*signed:(\d+);")
_DECLARATION: Final = re.compile(r"(.+?)\s*(\w+)(\[\w*\])?")
_COMMON: Final = "common_"  # the fields that every event has


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument or field. `offset`: bytes from the record's start; of a raw tracepoint, the argument's number."""

    name: str
    type: str
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One hook point."""

    kind: Kind
    category: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.category}:{self.name}"

    @property
    def used(self) -> bool:
        """Whether the kernel program attaches to it."""
        return str(self) in {hook.probe(needs_classic()) for hook in HOOKS}


def events_folder() -> Path:
    """Where tracefs shows the events; `NoTracefs` if it is not mounted."""
    for folder in EVENTS:
        if not os.access(folder.parent, os.R_OK | os.X_OK) and folder.parent.exists():
            raise NotRoot(f"{folder.parent} is not readable for this user", "run it with sudo")
        if (folder / "sched").is_dir():
            return folder
    raise NoTracefs("tracefs is not mounted", "mount -t tracefs tracefs /sys/kernel/tracing")


def probes(folder: Path) -> Iterator[Probe]:
    """Every hook point, by category and name."""
    for path in sorted(folder.glob("*/*/format")):
        category, name = path.parts[-3], path.parts[-2]
        yield Probe(Kind.CLASSIC, category, name)
        if category != SYSCALLS:
            yield Probe(Kind.RAW, category, name)


def matching(found: Iterable[Probe], glob: str) -> list[Probe]:
    """The probes whose whole name, or any end of it after a colon, matches."""
    return [
        probe
        for probe in found
        if any(fnmatch.fnmatchcase(text, glob) for text in (str(probe), f"{probe.category}:{probe.name}", probe.name))
    ]


def find(found: Iterable[Probe], name: str) -> Probe:
    """The one probe of this name; a tracepoint before the raw one. `UsageError` for none or several."""
    hits = matching(found, re.sub(r"([*?\[])", r"[\1]", name))
    kinds = [probe for probe in hits if probe.kind == Kind.CLASSIC] or hits
    if not kinds:
        raise UsageError(f"no hook point {name}", "ebpf-rec probes list '*NAME*' shows what there is")
    if len(kinds) > 1:
        raise UsageError(f"{name} is {' or '.join(map(str, kinds))}", "name one of them")
    return kinds[0]


def fields(format_text: str) -> list[Argument]:
    """The fields of a format file, without the common ones."""
    return [argument for argument in map(_field, _FIELD.findall(format_text)) if not argument.name.startswith(_COMMON)]


def offsets(format_text: str) -> dict[str, int]:
    """Field -> its place in the record, in bytes."""
    return {field.name: field.offset for field in fields(format_text)}


def _field(row: tuple[str, str, str, str]) -> Argument:
    declaration, offset, size, _ = row
    match = _DECLARATION.fullmatch(declaration)
    if match is None:
        return Argument(declaration, "", int(size), int(offset))
    return Argument(match[2], f"{match[1]}{match[3] or ''}", int(size), int(offset))


def raw_arguments(btf: Btf, probe: Probe) -> list[Argument]:
    """What a raw tracepoint is called with, after its `void *__data`: from the function that iterates its probes."""
    parameters = btf.function(f"__traceiter_{probe.name}") or btf.function(f"__bpf_trace_{probe.name}") or []
    return [
        Argument(name or f"arg{index}", btf.spelled(type_), btf.size(type_), index)
        for index, (name, type_) in enumerate(parameters[1:])
    ]


def prototype(probe: Probe, arguments: Sequence[Argument]) -> str:
    """The prototype in C: of the system call for its entry and exit, else of the tracepoint."""
    listed = ", ".join(_declared(argument) for argument in arguments) or "void"
    if probe.category == SYSCALLS:
        return f"long {re.sub('^sys_(enter|exit)_', '', probe.name)}({listed})"
    return f"void {probe.name}({listed})"


def _declared(argument: Argument) -> str:
    base, bracket, rest = argument.type.partition("[")
    return f"{base}{'' if base.endswith('*') else ' '}{argument.name}{bracket}{rest}"


def describe(probe: Probe, folder: Path, btf: Btf | None) -> tuple[str, list[Argument]]:
    """(prototype, arguments or fields) of a probe. A system call's exit shows its entry's prototype and `ret`."""
    if probe.kind == Kind.RAW:
        arguments = raw_arguments(btf, probe) if btf is not None else []
        return prototype(probe, arguments), arguments
    own = fields((folder / probe.category / probe.name / "format").read_text())
    if probe.category != SYSCALLS:
        raw = raw_arguments(btf, probe) if btf is not None else []
        return prototype(probe, raw or own), own
    entry = folder / SYSCALLS / probe.name.replace("sys_exit_", "sys_enter_", 1) / "format"
    called = fields(entry.read_text()) if entry.is_file() else own
    return prototype(probe, [argument for argument in called if argument.name != "__syscall_nr"]), own
