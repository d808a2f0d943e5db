/* Processes that come, change and go. Law: keeps the target byte and says so in control events. */

#define CLONE_THREAD 0x00010000 /* include/uapi/linux/sched.h */

/* task_newtask comes in the parent, before the child runs. */
static __always_inline void forked(void *ctx, u32 child, u64 clone_flags)
{
	u64 id = bpf_get_current_pid_tgid();
	u8 *byte = target_byte(id >> 32);
	struct event event;

	if (!byte || *byte != TARGET_YES || clone_flags & CLONE_THREAD)
		return;
#if FOLLOW_FORKS
	byte = target_byte(child);
	if (byte)
		*byte = TARGET_YES;
#endif
	event_header(&event, EVENT_FORK, id, bpf_ktime_get_ns());
	event.ret = child;
	submit_control(ctx, &event, sizeof(event));
}

#define COMM_BYTES 16 /* TASK_COMM_LEN */

static __always_inline void executed(void *ctx)
{
	struct { struct event event; char comm[COMM_BYTES]; } record;
	u64 id = bpf_get_current_pid_tgid();

	if (!is_target(id >> 32))
		return;
	event_header(&record.event, EVENT_EXEC, id, bpf_ktime_get_ns());
	record.event.captured = sizeof(record.comm);
	record.event.size = sizeof(record.comm);
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	submit_control(ctx, &record.event, sizeof(record));
}

/* sched_process_exit comes once per thread; do_exit() has already counted this one out of signal->live. */
static __always_inline void exited(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), signal = 0, task = bpf_get_current_task();
	u8 *byte = target_byte(id >> 32);
	s32 live = 0;
	struct event event;

	if (!byte || *byte != TARGET_YES)
		return;
	KERNEL_READ(signal, task, O_task_struct_signal);
	KERNEL_READ(live, signal, O_signal_struct_live);
	if (live)
		return;
	*byte = TARGET_ENDED;
	event_header(&event, EVENT_EXIT, id, bpf_ktime_get_ns());
	submit_control(ctx, &event, sizeof(event));
}

/* sched_process_free comes when the last reference to the task is gone: all its descriptors are closed by then. */
static __always_inline void freed(void *ctx, u64 task)
{
	u32 pid = 0, tgid = 0;
	u8 *byte;

	KERNEL_READ(tgid, task, O_task_struct_tgid);
	KERNEL_READ(pid, task, O_task_struct_pid);
	byte = target_byte(tgid);
	if (pid != tgid || !byte)
		return;
	if (*byte == TARGET_ENDED)
		*byte = 0;
	close_all(ctx, CLOSING_PROCESS, (u64)tgid << 32, 0, ~0U);
}
