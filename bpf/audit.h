/* The kernel's own count of what went through a socket, and the name of the socket that a call really used.
 *
 * sock:sock_send_length and sock:sock_recv_length (6.3 and later) fire on the calling thread inside the call, with the
 * struct sock itself: also for io_uring and sendfile, and whatever the descriptor means by the time the call returns.
 * The count is the position: where bytes were counted and no event stands for them, the recording has a hole of just
 * that size. Law: gives places; sends only the gaps of calls that no sys_exit will explain.
 */

#define NOT_IN_STREAM (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)

#define PF_IO_WORKER 0x10 /* include/linux/sched.h: io_uring's own threads, SQPOLL's too */
#define NR_io_submit 209
#define NR_io_uring_enter 426

/* How the thread that is being counted came here. */
static __always_inline int is_io_uring(u64 syscall)
{
	u32 flags = 0;

	if (syscall == NR_io_uring_enter)
		return 1;
	CURRENT_READ(flags, CURRENT(), O_task_struct_flags);
	return flags & PF_IO_WORKER;
}

/* Calls that count more than once: sendfile, splice, recvmmsg, sendmmsg; in 32-bit callers, their own numbers. */
static __always_inline int counts_often(u32 syscall)
{
	switch (syscall) {
	case 40: case 275: case 299: case 307:
	case 102: case 187: case 239: case 313: case 337: case 345: case 417:
		return 1;
	}
	return 0;
}

static __always_inline int is_part(struct last_call *last)
{
	return !last->syscall && !last->memory; /* read(2) has number 0, but a buffer */
}

/* The counted call of another thread that was preempted before its sys_exit, which is to find it. */
static __always_inline void put_aside(struct last_call *last, u64 id)
{
	if (last->id && last->id != id)
		long_calls.update(&last->id, last);
}

/* A thread may wait between two parts of such a call and other calls be counted on this CPU meanwhile. */
static __always_inline void count_part(u64 id, u64 sk, u64 generation, u64 position, u64 bytes, u8 direction)
{
	struct last_call *known = long_calls.lookup(&id);
	struct last_call fresh = {};

	if (known && is_part(known) && known->generation == generation && known->direction == direction) {
		if (known->position + known->bytes == position)
			known->bytes += bytes; /* else another thread's bytes are between: what follows stays a hole */
		return;
	}
	fresh.id = id;
	fresh.socket = sk;
	fresh.generation = generation;
	fresh.position = position;
	fresh.bytes = bytes;
	fresh.direction = direction;
	long_calls.update(&id, &fresh);
}

static __always_inline void io_uring_gap(void *ctx, u64 id, struct socket_state *state, u64 position, u64 bytes,
					 u8 direction, u64 syscall)
{
	struct event event;
	u16 reason = is_io_uring(syscall) ? REASON_IO_URING : REASON_UNKNOWN;

	if (reason == REASON_IO_URING)
		mark_once(ctx, id, 0, 0, MARK_IO_URING);
	if (state->state & SOCKET_IGNORED)
		return;
	event_header(&event, EVENT_DATA, id, bpf_ktime_get_ns());
	event.socket = state->inode;
	event.generation = state->generation;
	event.direction = direction;
	event.position = position;
	event.ret = bytes;
	event.syscall = syscall;
	event.flags = bytes ? 0 : FLAG_EOF;
	submit_gap(ctx, &event, bytes, reason);
}

static __always_inline void on_length(void *ctx, u64 sk, s64 ret, u32 flags, u8 direction)
{
	u64 id = bpf_get_current_pid_tgid(), position;
	u32 cpu = bpf_get_smp_processor_id();
	struct registers registers = {};
	struct last_call *last;
	struct socket_state *state;

	if (ret < 0 || flags & NOT_IN_STREAM || !is_target(id >> 32))
		return;
	state = state_of(sk);
	last = last_calls.lookup(&cpu);
	if (!state || !last)
		return;
	read_registers(bpf_task_pt_regs(bpf_get_current_task_btf()), &registers);
	position = fetch_add(&state->position[index_of(direction)], ret);
	if (is_io_uring(registers.orig_ax) || registers.orig_ax == NR_io_submit) {
		io_uring_gap(ctx, id, state, position, ret, direction, registers.orig_ax);
		return;
	}
	if (counts_often(registers.orig_ax)) {
		count_part(id, sk, state->generation, position, ret, direction);
		return;
	}
	put_aside(last, id);
	last->id = id;
	last->socket = sk;
	last->generation = state->generation;
	last->position = position;
	last->bytes = ret;
	last->memory = registers.si;
	last->syscall = registers.orig_ax;
	last->direction = direction;
}
