/* From a data call to its socket and the place of its bytes in the stream.
 *
 * Where the kernel counted the call itself (audit.h) that count names the socket and the place; a descriptor closed and
 * reused while the call was blocked changes nothing. Elsewhere the descriptor table is walked at each call, and the bytes
 * are placed in the order in which calls return. Law: never a guess; what cannot be placed is counted and stays a hole.
 */

#if HAVE_LENGTHS
static __always_inline int is_this_call(struct last_call *last, struct call *call)
{
	return last->id == call->id && last->syscall == call->syscall && last->memory == call->memory &&
	       last->direction == call->direction;
}

static __always_inline struct socket_state *take(struct last_call *last, struct call *call)
{
	struct socket_state *state = sockets.lookup(&last->socket);

	last->id = 0;
	if (!state || state->generation != last->generation)
		return 0;
	call->socket = last->socket;
	call->position = last->position;
	call->counted = last->bytes;
	return state;
}

static __always_inline int may_count_parts(struct call *call)
{
	return call->shape >= SHAPE_MESSAGES || call->compat;
}

/* A call that was counted in parts, or put aside while its thread was preempted. */
static __always_inline struct socket_state *take_long(struct call *call)
{
	struct last_call *last = long_calls.lookup(&call->id);
	struct socket_state *state;

	if (!last || last->direction != call->direction)
		return 0;
	if (is_part(last) ? !may_count_parts(call) : !is_this_call(last, call))
		return 0;
	state = take(last, call);
	long_calls.delete(&call->id);
	return state;
}

/* This thread's last call, when another CPU has counted it; it is taken from there. */
static __always_inline void fetch_from_other_cpu(struct last_call *here, u64 id)
{
	for (u32 cpu = 0; cpu < CPUS; cpu++) {
		u32 key = cpu;
		struct last_call *there = last_calls.lookup(&key);

		if (there && there->id == id && there != here) {
			put_aside(here, id);
			*here = *there;
			/* that CPU may have put it aside and counted another call at this moment */
			if (__sync_val_compare_and_swap(&there->id, id, 0) != id)
				here->id = 0;
			return;
		}
	}
}

static __always_inline struct socket_state *place(struct call *call)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct last_call *last = last_calls.lookup(&cpu);
	struct socket_state *state;

	if (!last)
		return 0;
	if (is_this_call(last, call))
		return take(last, call);
	if (may_count_parts(call)) {
		state = take_long(call);
		if (state)
			return state;
	}
	/* Most calls that come here are on files and pipes. A socket's call was counted on another CPU, or put aside. */
	if (!socket_by_descriptor(call, call->fd))
		return 0;
	fetch_from_other_cpu(last, call->id);
	if (is_this_call(last, call))
		return take(last, call);
	state = take_long(call);
	if (!state)
		count(COUNT_UNPLACED_CALLS, call->ret != 0);
	return state;
}
#else
#define SOCK_DONE_BIT 1 /* enum sock_flags, net/sock.h */

static __always_inline u32 read_sequence(u64 sk, u32 offset)
{
	u32 value = 0;

	KERNEL_READ(value, sk, offset);
	return value;
}

/* Bytes that the process has read: copied_seq less the number that a FIN takes once it has been read past (tcp_fin sets
 * SOCK_DONE, tcp_recvmsg_locked steps over the FIN in whichever call reaches it). */
static __always_inline u32 read_received(u64 sk)
{
	u32 received = read_sequence(sk, O_tcp_sock_copied_seq);
	u64 flags = 0;

	KERNEL_READ(flags, sk, O_sock_common_skc_flags);
	if (flags & 1 << SOCK_DONE_BIT && received == read_sequence(sk, O_tcp_sock_rcv_nxt))
		received--;
	return received;
}

/* Bytes that the process has written: write_seq less the number of a FIN that shutdown(2) has queued. */
static __always_inline u32 read_sent(u64 sk)
{
	return read_sequence(sk, O_tcp_sock_write_seq) - is_shut_for_send(sk);
}

/* What a counter has advanced by since the last reading, taken into `counted`: always the distance from the first reading,
 * so that threads which read at once agree, and a reading older than another's changes nothing. */
static __always_inline u32 follow_counter(struct socket_state *state, u32 index, u32 reading)
{
	u64 before = state->counted[index];
	u32 more = reading - state->sequence[index] - (u32)before;

	if ((s32)more > 0)
		state->counted[index] = before + more;
	return more;
}

/* At first sight the call's own bytes are already in the counters. A call that moved other bytes than they say was
 * perhaps on another socket: its descriptor was reused while it was blocked. */
static __always_inline void follow_counters(struct call *call, struct socket_state *state)
{
	u32 received = read_received(call->socket), sent = read_sent(call->socket);
	bool sends = call->direction == DIRECTION_SEND;

	if (!(state->state & SOCKET_COUNTERS)) {
		state->state |= SOCKET_COUNTERS;
		state->sequence[0] = received - (call->direction == DIRECTION_RECEIVE ? call->total : 0);
		state->sequence[1] = sent - (sends ? call->total : 0);
	}
	received = follow_counter(state, 0, received);
	sent = follow_counter(state, 1, sent);
	call->unsure = (sends ? sent : received) != (u32)call->total;
}

static __always_inline struct socket_state *place(struct call *call)
{
	return socket_by_descriptor(call, call->fd);
}
#endif

/* Gives bytes a place that the kernel's tracepoints do not count: all of them on older kernels; splice from a socket. */
static __always_inline void place_here(struct call *call, struct socket_state *state)
{
	call->position = fetch_add(&state->position[index_of(call->direction)], call->total);
}
