"""What a kernel recording needs of the host, asked before anything is compiled: each lack an error with its mend.

Knows files under /proc and /sys and what compilers and verifiers print. Never loads anything.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from recorder.errors import LoadRefused, Lockdown, NoTracefs, RecorderError

EVENTS: Final = (Path("/sys/kernel/tracing/events"), Path("/sys/kernel/debug/tracing/events"))
LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")
# What a verifier's log holds beside its sentence: the program, the states of its registers, statistics, bcc's remarks.
LISTING: Final = re.compile(
    r"\d+:|;|R\d+\w*=|from \d+|processed \d+|libbpf|HINT|bpf:|-- |regs=|parent|last_idx|(cur|old) state:|mark_precise"
)
# Of a loop's end the sentence follows the jump on its line (is_state_visited of kernel/bpf/verifier.c).
JUMP: Final = re.compile(r"\d+: \(\w\w\) .*goto pc[+-]\d+ (?=[a-z])")


# From here on threads may preempt the program of a raw tracepoint; what meets it there is left out (bpf/context.h).
PREEMPTS_RAW_SINCE: Final = (7, 0)


def kernel_version(release: str) -> tuple[int, int]:
    """(6, 18) of `6.18.44-generic`."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def needs_classic(release: str | None = None) -> bool:
    """Whether raw tracepoints would lose runs on this kernel (or one of that release), and classic ones do not."""
    return kernel_version(release or os.uname().release) >= PREEMPTS_RAW_SINCE


class Kind(StrEnum):
    """What a program is attached to, as probes are named. Its number as a type of program is `recorder.bpf_call`'s."""

    RAW = "raw_tracepoint"
    CLASSIC = "tracepoint"


class Hook(NamedTuple):
    """A function of bpf/program.c and the tracepoint it is for; an optional one may be missing in the kernel.

    `interrupts`: it runs in interrupts too, where a classic tracepoint's program is left out if it meets another.
    """

    function: str
    category: str
    tracepoint: str
    optional: bool = False
    interrupts: bool = False

    def kind(self, classic: bool) -> Kind:
        """How it is attached; `classic`: where raw tracepoints lose runs."""
        return Kind.CLASSIC if classic and not self.interrupts else Kind.RAW

    def probe(self, classic: bool) -> str:
        """Its whole name, as `probes list` shows it."""
        return f"{self.kind(classic)}:{self.category}:{self.tracepoint}"


HOOKS: Final = (
    Hook("on_fork", "task", "task_newtask"),
    Hook("on_exec", "sched", "sched_process_exec"),
    Hook("on_exit", "sched", "sched_process_exit"),
    Hook("on_free", "sched", "sched_process_free", interrupts=True),
    Hook("on_state", "sock", "inet_sock_set_state", optional=True, interrupts=True),
    Hook("on_send_length", "sock", "sock_send_length", optional=True),
    Hook("on_recv_length", "sock", "sock_recv_length", optional=True),
    Hook("on_sys_exit", "raw_syscalls", "sys_exit"),
)


def _tracepoint_exists(hook: Hook) -> bool:
    return any((events / hook.category / hook.tracepoint).is_dir() for events in EVENTS)


def available_hooks() -> list[Hook]:
    """The hooks that this kernel has; `NoTracefs` when tracefs is not mounted or a needed one is missing."""
    if not any((events / "sched").is_dir() for events in EVENTS):
        raise NoTracefs("tracefs is not mounted", "mount -t tracefs tracefs /sys/kernel/tracing")
    missing = [hook for hook in HOOKS if not _tracepoint_exists(hook)]
    if needed := [f"{hook.category}:{hook.tracepoint}" for hook in missing if not hook.optional]:
        raise NoTracefs(
            f"the kernel lacks the tracepoint {', '.join(needed)}", "run a kernel built with CONFIG_FTRACE_SYSCALLS=y"
        )
    return [hook for hook in HOOKS if hook not in missing]


def check_lockdown(path: Path = LOCKDOWN) -> None:
    """`Lockdown` in confidentiality mode, where bpf_probe_read_kernel is refused; integrity mode permits it."""
    if path.is_file() and "[confidentiality]" in path.read_text():
        raise locked_down()


def refused(function: str, reason: str, failure: object) -> RecorderError:
    """What a program's refusal for this reason of the verifier's means.

    Where securityfs is not mounted this alone tells of a lockdown: the function has been there since Linux 5.5.
    """
    if reason.startswith("unknown func bpf_probe_read_kernel"):
        return locked_down()
    return LoadRefused(f"the kernel refused {function}: {reason} ({failure})")


def locked_down() -> Lockdown:
    """What confidentiality mode means."""
    what = "the kernel is locked down (confidentiality): BPF may not read kernel memory"
    return Lockdown(what, "boot with lockdown=integrity")


def compile_error(lines: Sequence[str]) -> str:
    """The compiler's first error, as one line."""
    errors = [line.strip() for line in lines if "error:" in line]
    return errors[0] if errors else (lines[-1].strip() if lines else "no message")


def verifier_reason(lines: Sequence[str], code: int = 0) -> str:
    """The verifier's sentence: the last line before its statistics that is not the program's listing.

    `code`: the errno of the load. bcc throws the log of E2BIG away and says "at most 4096", as before Linux 5.2.
    """
    texts = (JUMP.sub("", line.strip()) for line in reversed(lines))
    found = next((text for text in texts if text and not LISTING.match(text)), "")
    if not found and code == errno.E2BIG:
        return "it takes the verifier more than the million steps that it may make"
    return found or "no reason given"
