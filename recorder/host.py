"""What a kernel recording needs of the host, asked before anything is compiled: each lack an error with its mend.

Knows files under /proc and /sys and what compilers and verifiers print. Never loads anything.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
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


class Hook(NamedTuple):
    """A function of bpf/program.c and the tracepoint it is for; an optional one may be missing in the kernel."""

    function: str
    category: str
    tracepoint: str
    optional: bool = False


HOOKS: Final = (
    Hook("on_fork", "sched", "sched_process_fork"),
    Hook("on_exec", "sched", "sched_process_exec"),
    Hook("on_exit", "sched", "sched_process_exit"),
    Hook("on_free", "sched", "sched_process_free"),
    Hook("on_state", "sock", "inet_sock_set_state", optional=True),
    Hook("on_send_length", "sock", "sock_send_length", optional=True),
    Hook("on_recv_length", "sock", "sock_recv_length", optional=True),
    Hook("on_sys_exit", "raw_syscalls", "sys_exit"),
)
# Programs that only a tail call reaches, by their place in the map `stages`.


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
