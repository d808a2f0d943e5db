"""What the kernel program is compiled with: every offset, limit and filter as a -D constant.

Turns the running kernel's BTF, the user's filters and limits into compiler flags. Knows names and numbers, no C.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder import host, probes
from recorder.bpf_call import possible_cpus
from recorder.btf import Btf
from recorder.errors import BadFilter

# struct and member, as the C files name them: O_<struct>_<member>.
OFFSETS: Final[tuple[tuple[str, str], ...]] = (
    ("task_struct", "files"),
    ("task_struct", "pid"),
    ("task_struct", "tgid"),
    ("task_struct", "flags"),
    ("task_struct", "signal"),
    ("task_struct", "thread_info"),
    ("thread_info", "status"),
    ("signal_struct", "live"),
    ("files_struct", "fdt"),
    ("fdtable", "max_fds"),
    ("fdtable", "fd"),
    ("file", "f_inode"),
    ("file", "private_data"),
    ("file", "f_path"),
    ("path", "dentry"),
    ("dentry", "d_name"),
    ("qstr", "name"),
    ("inode", "i_mode"),
    ("inode", "i_ino"),
    ("socket_alloc", "socket"),
    ("socket_alloc", "vfs_inode"),
    ("socket", "sk"),
    ("socket", "file"),
    ("sock", "sk_socket"),
    ("sock", "sk_type"),
    ("sock", "sk_protocol"),
    ("sock", "sk_shutdown"),
    ("sock_common", "skc_family"),
    ("sock_common", "skc_state"),
    ("sock_common", "skc_daddr"),
    ("sock_common", "skc_rcv_saddr"),
    ("sock_common", "skc_dport"),
    ("sock_common", "skc_num"),
    ("sock_common", "skc_v6_daddr"),
    ("sock_common", "skc_v6_rcv_saddr"),
    ("sock_common", "skc_net"),
    ("net", "ns.inum"),
    ("unix_sock", "addr"),
    ("unix_sock", "peer"),
    ("unix_address", "len"),
    ("unix_address", "name"),
    ("sock_common", "skc_flags"),
    ("tcp_sock", "copied_seq"),
    ("tcp_sock", "rcv_nxt"),
    ("tcp_sock", "write_seq"),
    ("inet_connection_sock", "icsk_ulp_ops"),
    ("tcp_ulp_ops", "name"),
)

# tracepoint and fields of its record, as bpf/context.h names them: F_<tracepoint>_<field>.
FIELDS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("raw_syscalls", "sys_exit"): ("ret",),
    ("task", "task_newtask"): ("pid", "clone_flags"),
    ("sock", "sock_send_length"): ("sk", "ret"),
    ("sock", "sock_recv_length"): ("sk", "ret", "flags"),
}

# BPF_FETCH, "bpf: Add BPF_FETCH field / create atomic_fetch_add instruction" (kernel/bpf/core.c)
FETCH_ADD_SINCE: Final = (5, 12)
# "bpf: Add bpf_task_pt_regs() helper" (kernel/trace/bpf_trace.c); bpf_get_current_task_btf is older
TYPED_TASK_SINCE: Final = (5, 15)
PID_MAX: Final = Path("/proc/sys/kernel/pid_max")
COMM_BYTES: Final = 16  # TASK_COMM_LEN, with its NUL
MOUNTS: Final = Path("/proc/self/mountinfo")


def cgroup_mount(mounts: Path = MOUNTS) -> Path:
    """Where the cgroup v2 hierarchy is mounted (proc_pid_mountinfo(5)): not /sys/fs/cgroup itself beside version 1."""
    for line in mounts.read_text().splitlines():
        about, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            return Path(about.split()[4])
    raise BadFilter("no cgroup v2 hierarchy is mounted", "mount -t cgroup2 none /sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup v2 by the kernel's id (the inode number of its directory) and its depth below the root."""

    id: int
    level: int

    @classmethod
    def at(cls, path: str, mount: Path | None = None) -> Cgroup:
        """The cgroup at a path, absolute or relative to the v2 mount; `BadFilter` when it is none."""
        top = (mount or cgroup_mount()).resolve()
        directory = (Path(path) if Path(path).is_relative_to(top) else top / path.lstrip("/")).resolve()
        if not directory.is_relative_to(top) or not (directory / "cgroup.procs").is_file():
            raise BadFilter(f"{path} is no cgroup v2", f"take a directory below {top} that holds cgroup.procs")
        return cls(directory.stat().st_ino, len(directory.relative_to(top).parts))


@dataclass(frozen=True, slots=True)
class Filters:
    """Whom to record. Kinds are joined by and, values of one kind by or; no value at all: every process.

    `pids` are thread group numbers. A process that once matched stays recorded until it ends; with `follow_forks`
    its later children are recorded too.
    """

    pids: frozenset[int] = frozenset()
    comms: frozenset[str] = frozenset()
    uids: frozenset[int] = frozenset()
    cgroup: Cgroup | None = None
    ports: frozenset[int] = frozenset()
    follow_forks: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How much to record. `snaplen`: bytes per call; `turn_limit`: bytes of a direction until it turns; None: all."""

    snaplen: int | None = None
    turn_limit: int | None = None
    # 65,536 sockets of some 150 bytes are 10 MB of kernel memory; the idle ones go first when there are more.
    sockets: int = 65_536


def pid_limit(path: Path = PID_MAX) -> int:
    """One more than the highest process number the kernel will give."""
    return int(path.read_text())


def _offsets(btf: Btf) -> list[str]:
    flags = [f"-DO_{struct}_{member.replace('.', '_')}={btf.offset(struct, member)}" for struct, member in OFFSETS]
    return [*flags, f"-DSIZE_sock_sk_protocol={btf.field('sock', 'sk_protocol').size}"]


def _file_count(btf: Btf) -> list[str]:
    """Where a struct file counts its references, and from which value on it is alive.

    Since 6.13 (include/linux/file_ref.h) 0 means one reference and what is below 0 none; before, the count was plain.
    """
    member, alive = ("f_ref", 0) if btf.has("file", "f_ref") else ("f_count", 1)
    return [f"-DFILE_COUNT={btf.offset('file', member)}", f"-DFILE_COUNT_ALIVE={alive}"]


def _fields(lengths: bool) -> list[str]:
    """Where the fields stand in the records that classic tracepoints hand to their programs."""
    folder = probes.events_folder()
    flags = []
    for (category, tracepoint), names in FIELDS.items():
        if lengths or category != "sock":
            offsets = probes.offsets((folder / category / tracepoint / "format").read_text())
            flags += [f"-DF_{tracepoint}_{name}={offsets[name]}" for name in names]
    return flags


def _filters(filters: Filters) -> list[str]:
    cgroup = filters.cgroup
    named = {
        "FILTER_PIDS": bool(filters.pids),
        "FILTER_COMM": bool(filters.comms),
        "FILTER_UID": bool(filters.uids),
        "FILTER_PORTS": bool(filters.ports),
        "FILTER_CGROUP": cgroup is not None,
        "FILTER_CGROUP_ID": f"{cgroup.id if cgroup else 0}ULL",
        "FILTER_CGROUP_LEVEL": cgroup.level if cgroup else 0,
        "FOLLOW_FORKS": filters.follow_forks,
    }
    return [f"-D{name}={int(value) if isinstance(value, bool) else value}" for name, value in named.items()]


def compiler_flags(btf: Btf, filters: Filters, limits: Limits, *, lengths: bool, classic: bool) -> list[str]:
    """All -D constants; `NoBtf` when a member is missing.

    `lengths`: the kernel has the sock_*_length tracepoints; `classic`: hooks are classic tracepoints where they can be.
    """
    kernel = host.kernel_version(os.uname().release)
    return [
        *_offsets(btf),
        *_file_count(btf),
        *_filters(filters),
        f"-DTARGET_WORDS={-(-pid_limit() // 8)}",
        f"-DSOCKETS_MAX={limits.sockets}",
        f"-DSNAPLEN={limits.snaplen or 0}",
        f"-DTURN_LIMIT={limits.turn_limit or 0}",
        f"-DHAVE_LENGTHS={int(lengths)}",
        f"-DCLASSIC_TRACEPOINTS={int(classic)}",
        *(_fields(lengths) if classic else []),
        f"-DHAVE_FETCH_ADD={int(kernel >= FETCH_ADD_SINCE)}",
        f"-DHAVE_TYPED_TASK={int(kernel >= TYPED_TASK_SINCE)}",
        f"-DCPUS={possible_cpus()}",
        f"-DKERNEL_PAGE={os.sysconf('SC_PAGE_SIZE')}",
    ]
