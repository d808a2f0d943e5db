/* What a tracepoint hands to its program.
 *
 * A raw tracepoint's program is given the tracepoint's arguments. Kernels from 7.0 on let other threads preempt it, and
 * leave out a run that meets another of the same program on that CPU (__bpf_trace_run of kernel/trace/bpf_trace.c). A
 * classic tracepoint's program is given the record that the tracepoint's format file describes (F_<tracepoint>_<field>),
 * and no thread preempts it on any kernel. Law: the only file that knows which of the two it is.
 */

#if CLASSIC_TRACEPOINTS
#define TRACED(ctx, type, tracepoint, field, argument) (*(type *)((u64)(ctx) + F_##tracepoint##_##field))
#else
#define TRACED(ctx, type, tracepoint, field, argument) \
	((type)((struct bpf_raw_tracepoint_args *)(ctx))->args[argument])
#endif

/* sys_exit's struct pt_regs. */
static __always_inline u64 registers_of(void *ctx)
{
#if CLASSIC_TRACEPOINTS
	return bpf_task_pt_regs(bpf_get_current_task_btf());
#else
	return TRACED(ctx, u64, sys_exit, regs, 0);
#endif
}

/* task_newtask's thread number. */
static __always_inline u32 new_thread(void *ctx)
{
	u32 pid = 0;

#if CLASSIC_TRACEPOINTS
	pid = TRACED(ctx, u32, task_newtask, pid, 0);
#else
	KERNEL_READ(pid, TRACED(ctx, u64, task_newtask, task, 0), O_task_struct_pid);
#endif
	return pid;
}
