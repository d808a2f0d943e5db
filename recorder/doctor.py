"""What this host can record, found out by looking: one row per question, each failure with the command that mends it.

Each check reads and returns; nothing is changed. The proof by recording is recorder/proof.py.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recorder import compiled, headers, host, kept, ownership, privileges, rings
from recorder.errors import RecorderError

OLDEST_KERNEL: Final = (5, 10)
MEMLOCK_UNTIL: Final = (5, 11)  # later kernels charge BPF memory to the cgroup
LOOKUP_SINCE: Final = (5, 19)  # from here on a map that is held open can be read without CAP_BPF
BTF: Final = Path("/sys/kernel/btf/vmlinux")
HEADERS_MEND: Final = {"debian": headers.DEBIAN, "fedora": headers.FEDORA}
SECURITYFS_HINT: Final = "mount -t securityfs securityfs /sys/kernel/security"
TRACEFS_HINT: Final = "mount -t tracefs tracefs /sys/kernel/tracing"


@dataclass(frozen=True, slots=True)
class Check:
    """One row. `state`: "ok", "note" (works, but know this) or "fails"; `mend`: distribution -> command."""

    name: str
    state: str
    detail: str
    mend: dict[str, str] = field(default_factory=dict)


def everywhere(command: str) -> dict[str, str]:
    """The same mend on every distribution."""
    return {"any": command}


def _itself() -> Path | str:
    """How sudo finds this program: its PATH is not the caller's."""
    beside = Path(sys.executable).parent / "ebpf-rec"
    return beside if beside.is_file() else "ebpf-rec"


def packages(debian: str, fedora: str) -> dict[str, str]:
    """The mend by package name."""
    return {"debian": f"apt-get install {debian}", "fedora": f"dnf install {fedora}"}


def kernel() -> Check:
    """The kernel's version and the machine's architecture."""
    release, machine = os.uname().release, platform.machine()
    if machine != "x86_64":
        return Check("kernel", "fails", f"{release} on {machine}: only x86_64 is supported")
    if host.kernel_version(release) < OLDEST_KERNEL:
        mend = {"debian": "apt-get install linux-image-amd64", "fedora": "dnf upgrade kernel"}
        return Check("kernel", "fails", f"{release} is older than {'.'.join(map(str, OLDEST_KERNEL))}", mend)
    return Check("kernel", "ok", f"{release} on {machine}")


def btf() -> Check:
    """Whether the kernel describes its own types."""
    if BTF.is_file():
        return Check("BTF", "ok", f"{BTF}, {BTF.stat().st_size:,} bytes")
    return Check("BTF", "fails", f"no {BTF}", everywhere("boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"))


def tracefs() -> Check:
    """Whether the tracepoints can be seen."""
    for events in host.EVENTS:
        if events.is_dir():
            return Check("tracefs", "ok", str(events.parent))
    return Check("tracefs", "fails", "not mounted", everywhere(TRACEFS_HINT))


def lockdown(path: Path = host.LOCKDOWN) -> Check:
    """The kernel's lockdown mode."""
    mode = re.search(r"\[(\w+)\]", path.read_text()) if path.is_file() else None
    try:
        host.check_lockdown(path)
    except RecorderError as error:
        return Check("lockdown", "fails", error.message, everywhere(error.mend))
    if mode is None:
        return Check("lockdown", "note", f"unknown: there is no {path}", everywhere(SECURITYFS_HINT))
    return Check("lockdown", "ok", mode[1])


def memlock() -> Check:
    """RLIMIT_MEMLOCK, where it counts for BPF."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    amount = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,} bytes"
    if host.kernel_version(os.uname().release) >= MEMLOCK_UNTIL:
        return Check("memlock", "ok", f"{amount} (not counted against BPF by this kernel)")
    enough = soft == resource.RLIM_INFINITY
    return Check("memlock", "ok" if enough else "note", amount, {} if enough else everywhere("ulimit -l unlimited"))


def capabilities(environment: Mapping[str, str]) -> Check:
    """What this process may do, and who the recordings of this caller would belong to."""
    status = Path("/proc/self/status").read_text()
    lacking = privileges.missing(privileges.effective_capabilities(status), changes_user=False)
    if lacking:
        return Check("capabilities", "fails", f"missing {', '.join(lacking)}", everywhere(f"sudo {_itself()} doctor"))
    identity = privileges.invoking_identity(environment)
    return Check("capabilities", "ok", f"enough; recordings will belong to {identity.name} ({identity.why})")


def program_files() -> Check:
    """Whether root runs files that others may change."""
    remark = ownership.remark()
    if not remark:
        return Check("program files", "ok", "only root may change them")
    return Check(
        "program files", "note", f"{remark}: no matter where they may do all as root", everywhere(ownership.MEND)
    )


def bcc() -> Check:
    """Which bcc would be loaded, and whether PyPI's unrelated package of that name is about."""
    found = [package for package in compiled.BCC_PACKAGES if package.is_file()]
    impostor = importlib.util.find_spec("bcc")
    mend = packages("python3-bpfcc", "python3-bcc")
    if not found:
        what = f"{impostor.origin} is PyPI's package about lattices" if impostor else "not installed"
        return Check("bcc", "fails", what, mend)
    try:
        module = compiled.load_bcc()
    except RecorderError as error:
        return Check("bcc", "fails", error.message, mend)
    version = getattr(module, "__version__", "unknown version")
    if impostor and impostor.origin and Path(impostor.origin) not in found:
        return Check("bcc", "note", f"{version} at {found[0].parent}; ignoring PyPI's `bcc` at {impostor.origin}")
    return Check("bcc", "ok", f"{version} at {found[0].parent}")


def compiler_headers() -> Check:
    """Where the compiler finds kernel headers, and whether they are this kernel's."""
    release = os.uname().release
    try:
        headers.check()
    except RecorderError as error:
        other = {"debian, if that is not to be had": headers.DEBIAN_OTHER}
        return Check("headers", "fails", error.message, {**HEADERS_MEND, **other})
    if headers.installed() is None:
        detail = f"{headers.ARCHIVE}, unpacked for each recording: the headers package saves that time"
        return Check("headers", "note", detail, HEADERS_MEND)
    target = (headers.MODULES / release / "build").resolve()
    if release in target.name or target.is_relative_to(headers.MODULES / release):
        return Check("headers", "ok", f"{target}, this kernel's own")
    return Check("headers", "ok", f"{target}, another kernel's: no matter, offsets come from BTF")


def kept_program() -> Check:
    """Whether a start can do without the compiler."""
    if kept.folder_is_there():
        return Check("kept program", "ok", f"{kept.FOLDER}, where the next start finds it compiled")
    detail = f"compiled at each start, unless root makes a folder for it (install -d -m 700 {kept.FOLDER})"
    return Check("kept program", "ok", detail)


def hooks() -> Check:
    """Which tracepoints will be used."""
    try:
        available = host.available_hooks()
    except RecorderError as error:
        return Check("hooks", "fails", error.message, everywhere(error.mend or TRACEFS_HINT))
    used = ", ".join(hook.probe(host.needs_classic()) for hook in available)
    missing = [hook for hook in host.HOOKS if hook not in available]
    if missing:
        names = ", ".join(f"{hook.category}:{hook.tracepoint}" for hook in missing)
        return Check("hooks", "note", f"{used}; this kernel lacks {names}: fewer sockets are named inside the call")
    return Check("hooks", "ok", used)


def memory() -> Check:
    """What the rings will take."""
    cpus = rings.online_cpus()
    available = rings.available_memory(Path("/proc/meminfo").read_text())
    size = rings.default_ring_size(len(cpus), available)
    total = len(cpus) * (size + rings.control_ring_size(size))
    text = f"{size >> 10:,} KiB for data on each of {len(cpus)} CPUs, {total >> 20:,} MiB in all"
    if size < rings.DEFAULT_RING_SIZE:
        return Check("ring memory", "note", f"{text}: less than the default, memory is scarce")
    return Check("ring memory", "ok", text)


CHECKS: Final[tuple[Callable[[], Check], ...]] = (
    kernel,
    btf,
    tracefs,
    lockdown,
    memlock,
    bcc,
    compiler_headers,
    kept_program,
    hooks,
    memory,
    program_files,
)


def examine(environment: Mapping[str, str]) -> list[Check]:
    """Every check, in order; `environment` is the caller's and says who that is."""
    return [*map(answer, CHECKS), capabilities(environment)]


def answer(check: Callable[[], Check]) -> Check:
    """What a check says; a row too where this user may not look (tracefs is root's alone)."""
    try:
        return check()
    except PermissionError as error:
        name = check.__name__.replace("_", " ")
        return Check(
            name, "fails", f"{error.filename} is not readable for this user", everywhere(f"sudo {_itself()} doctor")
        )
