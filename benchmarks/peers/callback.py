"""A recorder as bcc's examples write it: one wake-up and one Python callback per event. `callback.py PID OUT`"""

import json
import signal
import sys

from bcc import BPF

TEXT = r"""
#include <linux/ptrace.h>
struct sample { u64 time; u32 fd; u32 captured; char data[4096]; };
BPF_PERF_OUTPUT(samples);
BPF_PERCPU_ARRAY(scratch, struct sample, 1);
RAW_TRACEPOINT_PROBE(sys_exit)
{
    struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
    s64 ret = ctx->args[1];
    u64 number = 0, fd = 0, buffer = 0;
    int zero = 0;
    if ((bpf_get_current_pid_tgid() >> 32) != TARGET || ret <= 0)
        return 0;
    bpf_probe_read_kernel(&number, 8, &regs->orig_ax);
    if (number != 0 && number != 1 && number != 44 && number != 45)
        return 0;
    struct sample *sample = scratch.lookup(&zero);
    if (!sample)
        return 0;
    bpf_probe_read_kernel(&fd, 8, &regs->di);
    bpf_probe_read_kernel(&buffer, 8, &regs->si);
    sample->time = bpf_ktime_get_ns();
    sample->fd = fd;
    u32 size = ret > 4095 ? 4095 : ret;
    sample->captured = size;
    bpf_probe_read_user(sample->data, size & 4095, (void *)buffer);
    samples.perf_submit(ctx, sample, (16 + size) & 8191);
    return 0;
}
"""

received = lost = 0
stopped = False


def on_sample(cpu, data, size):
    global received
    program["samples"].event(data)
    received += 1


def on_lost(count):
    global lost
    lost += count


def on_signal(*_):
    global stopped
    stopped = True


program = BPF(text=TEXT, cflags=["-DTARGET=" + sys.argv[1]])
program["samples"].open_perf_buffer(on_sample, page_cnt=64, lost_cb=on_lost)
signal.signal(signal.SIGINT, on_signal)
with open(sys.argv[2], "w") as out:
    while not stopped:
        program.perf_buffer_poll(timeout=100)
    json.dump({"received": received, "lost": lost}, out)
