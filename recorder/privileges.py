"""Root given up: who the recording belongs to, and how every capability goes before its file is opened.

`drop` leaves no capability in any set of any thread and raises if one is left; kernels before 5.19 need CAP_BPF kept.
Source: man capabilities(7), credentials(7).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recorder import linux
from recorder.errors import NotRoot, PrivilegeError, TargetError

CAP_SYS_ADMIN: Final = 21
CAP_BPF: Final = 39
# What recording takes, and what for. CAP_SYS_ADMIN stands in for the first two (and is all there was before Linux 5.8).
NEEDED: Final[tuple[tuple[str, int, str], ...]] = (
    ("CAP_BPF", CAP_BPF, "load the kernel program"),
    ("CAP_PERFMON", 38, "attach it to tracepoints and open the rings"),
)
NEEDED_TO_CHANGE_USER: Final[tuple[tuple[str, int, str], ...]] = (
    ("CAP_SETUID", 7, "become the user who called"),
    ("CAP_SETGID", 6, "take that user's groups"),
)
# Before it, kernel.unprivileged_bpf_disabled forbade to read even a map whose descriptor is open, and the counters are
# such maps ("bpf: refine kernel.unprivileged_bpf_disabled behaviour", kernel/bpf/syscall.c).
READS_MAPS_WITHOUT_CAPABILITY: Final = (5, 19)
CAP_LAST: Final = 63  # the kernel's own last one is lower; above it PR_CAPBSET_DROP says EINVAL

# Who called us through another program: (variable, names a user by number)
_CALLERS: Final = (("SUDO_UID", True), ("PKEXEC_UID", True), ("DOAS_USER", False))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who records and owns the output. `why`: "sudo", "--user" or "self"."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    shell: str
    why: str

    @classmethod
    def of(cls, account: pwd.struct_passwd, why: str) -> Identity:
        """The identity of an account, with its supplementary groups."""
        groups = tuple(os.getgrouplist(account.pw_name, account.pw_gid))
        return cls(
            account.pw_uid, account.pw_gid, groups, account.pw_name, account.pw_dir, account.pw_shell or "/bin/sh", why
        )


def invoking_identity(environment: Mapping[str, str], user: str | None = None) -> Identity:
    """Who to become: `--user`, else who called sudo, pkexec or doas, else who runs this (root, without power)."""
    if user is not None:
        return Identity.of(_account(user), "--user")
    if os.geteuid() == 0:
        for variable, number in _CALLERS:
            value = environment.get(variable, "")
            if value and not (number and not value.isdecimal()):
                return Identity.of(_account(value), "sudo")
    return _self()


def _self() -> Identity:
    uid, gid = os.getuid(), os.getgid()
    with contextlib.suppress(KeyError):
        account = pwd.getpwuid(uid)
        return Identity(
            uid, gid, tuple(os.getgroups()), account.pw_name, account.pw_dir, account.pw_shell or "/bin/sh", "self"
        )
    return Identity(uid, gid, tuple(os.getgroups()), str(uid), "/", "/bin/sh", "self")


def _account(user: str) -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    raise TargetError(f"no such user: {user}", "name a user of this machine (getent passwd)")


def effective_capabilities(status: str) -> int:
    """CapEff of a /proc/PID/status text."""
    return _capability_sets(status)["CapEff"]


def _capability_sets(status: str) -> dict[str, int]:
    rows = (line.split(":\t", 1) for line in status.splitlines() if line.startswith("Cap"))
    return {name: int(value, 16) for name, value in rows}


def missing(effective: int, changes_user: bool) -> list[str]:
    """The capabilities that recording lacks, each with what it is for; empty when all are there."""
    administrator = 1 << CAP_SYS_ADMIN
    wanted = [(name, 1 << number | administrator, use) for name, number, use in NEEDED]
    if changes_user:
        wanted += [(name, 1 << number, use) for name, number, use in NEEDED_TO_CHANGE_USER]
    return [f"{name} (to {use})" for name, either, use in wanted if not effective & either]


def check(changes_user: bool, status: Path = Path("/proc/self/status")) -> None:
    """`NotRoot` when this process cannot record."""
    lacking = missing(effective_capabilities(status.read_text()), changes_user)
    if lacking:
        mend = "run it with sudo" if os.geteuid() else "this root is restricted: allow them in its container or unit"
        raise NotRoot(f"recording needs {', '.join(lacking)}", mend)


def kept_while_recording(release: str) -> int:
    """The capabilities that this kernel asks for until the end of a recording, as a bit mask: CAP_BPF or none."""
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    return 0 if version >= READS_MAPS_WITHOUT_CAPABILITY else 1 << CAP_BPF


def drop(identity: Identity, kept: int = 0) -> None:
    """Become `identity` for good and keep no capability but `kept`; call it while there is one thread only."""
    with contextlib.suppress(OSError):  # without CAP_SETPCAP the bounding set stays; with no_new_privs it gives nothing
        _drop_bounding_set()
    kept &= effective_capabilities(Path("/proc/self/status").read_text())
    linux.prctl(linux.PR_SET_KEEPCAPS, int(bool(kept)))
    if (os.geteuid(), os.getegid()) != (identity.uid, identity.gid):
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    with contextlib.suppress(OSError):  # Linux 4.3
        linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.set_capabilities(kept)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    # Not to be traced by the user's other processes: its descriptors still reach the kernel program's maps.
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    os.umask(0o077)
    _verify(identity, kept)


def _drop_bounding_set() -> None:
    for capability in range(CAP_LAST + 1):
        try:
            linux.prctl(linux.PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == 22:  # EINVAL: past the kernel's last capability
                return
            raise


def _verify(identity: Identity, kept: int) -> None:
    for task in Path("/proc/self/task").iterdir():
        sets = _capability_sets((task / "status").read_text())
        left = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if sets.get(name, 0) & ~kept]
        if left:
            raise PrivilegeError(f"thread {task.name} still has capabilities ({', '.join(left)})")
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise PrivilegeError(f"did not become user {identity.name}")


def become_for_command(identity: Identity) -> None:
    """In the child that is to run the command: the invoking user with all his groups; root stays what it is."""
    if os.geteuid() != identity.uid:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
