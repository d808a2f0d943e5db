"""`python -I refused.py WHY capture …`: the recorder with one more hook, whose program the verifier must refuse."""

from __future__ import annotations

import os
import sys
from typing import Final

from recorder import host, program
from recorder.cli import main
from recorder.source import program_text

HOOK: Final = host.Hook("on_refused", "sched", "sched_process_exit")
FUNCTION: Final = """
int on_refused(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0, sum = 0;
	struct record *record = scratch.lookup(&zero);

%s
	return sum;
}
"""
# What is wrong with the function -> the statement that makes it so. `ctx->args` are numbers that nobody knows.
STATEMENTS: Final = {
    "unchecked": "u64 nobody = 0; struct socket_state *state = sockets.lookup(&nobody); sum = state->state;",
    "outside": "if (record) sum = record->payload[PAYLOAD_BYTES];",
    "unbounded": "if (record) sum = record->payload[ctx->args[0]];",
    "endless": "while (bpf_ktime_get_ns()) sum = 1;",
    "too-long": "for (u32 i = 0; i < 1 << 24; i++) sum += bpf_ktime_get_ns();",
}


if __name__ == "__main__":
    function = FUNCTION % STATEMENTS[sys.argv[1]]
    host.HOOKS = (*host.HOOKS, HOOK)  # type: ignore[misc]
    program.program_text = lambda: program_text() + function  # type: ignore[assignment]
    sys.exit(main(sys.argv[2:], os.environ))
