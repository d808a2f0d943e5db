/* Calls that make, name or end a socket: accept, connect, socketpair, shutdown, setsockopt, close and what closes in
 * passing. Law: sends control events only.
 */

static __always_inline void send_control(void *ctx, u64 id, u64 time, struct socket_state *state, u8 kind, s64 ret)
{
	struct event event;

	event_header(&event, kind, id, time);
	event.socket = state->inode;
	event.generation = state->generation;
	event.ret = ret;
	event.fd = (s32)state->descriptor;
	event.flags = state->flags;
	submit_control(ctx, &event, sizeof(event));
}

static __always_inline void send_audit(void *ctx, u64 id, u64 time, struct socket_state *state)
{
	struct { struct event event; struct socket_audit audit; } record;

	event_header(&record.event, EVENT_AUDIT, id, time);
	record.event.socket = state->inode;
	record.event.generation = state->generation;
	record.event.captured = sizeof(record.audit);
	record.event.size = sizeof(record.audit);
	record.event.flags = state->flags;
#if HAVE_LENGTHS
	record.audit.received = state->position[0];
	record.audit.sent = state->position[1];
	record.audit.source = 1;
#else
	record.audit.received = state->counted[0];
	record.audit.sent = state->counted[1];
	record.audit.source = 2;
#endif
	record.audit.reserved = 0;
	submit_control(ctx, &record.event, sizeof(record));
}

static __always_inline int is_recorded(struct socket_state *state)
{
	return state->state & SOCKET_ANNOUNCED && !(state->state & SOCKET_IGNORED);
}

static __always_inline void introduce(void *ctx, struct call *call, s32 fd, u16 flags)
{
	struct socket_state *state = socket_by_descriptor(call, fd);

	if (!state)
		return;
	call->fd = fd;
	remember_descriptor(call, state, fd);
	announce(ctx, call, state, flags);
}

#define EINPROGRESS 115

/* connect(2), accept(2) and socketpair(2), which makes two: the sockets they give addresses to. */
static __always_inline void introduce_made(void *ctx, struct call *call)
{
	s32 fds[2] = { call->argument[0], -1 };
	u16 flags = FLAG_CONNECTED;

	if (call->ret < 0 && !(call->shape == SHAPE_CONNECT && call->ret == -EINPROGRESS))
		return;
	if (call->shape == SHAPE_ACCEPT) {
		fds[0] = call->ret;
		flags = FLAG_ACCEPTED;
	}
	if (call->shape == SHAPE_PAIR) {
		read_user(fds, sizeof(fds), (void *)call->argument[3]);
		flags = FLAG_PAIR;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++)
		introduce(ctx, call, fds[i], flags);
}

/* "how: SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2" (shutdown(2)), which are enum event_direction's values less one. */
static __always_inline void shut_down(void *ctx, struct call *call, struct socket_state *state)
{
	struct event event;

	if (!is_recorded(state))
		return;
	event_header(&event, EVENT_SHUTDOWN, call->id, call->time);
	event.socket = state->inode;
	event.generation = state->generation;
	event.direction = (call->argument[1] & 3) + 1;
	event.fd = call->argument[0];
	event.syscall = call->syscall;
	submit_control(ctx, &event, sizeof(event));
}

#define TCP_ULP 31 /* include/uapi/linux/tcp.h; the upper layer protocol that anybody sets is "tls" */

static __always_inline int sets_protocol(struct call *call)
{
	return call->shape == SHAPE_OPTION && call->argument[1] == IPPROTO_TCP && call->argument[2] == TCP_ULP;
}

/* shutdown(2), and setsockopt(2) as far as it matters. */
static __always_inline void changed(void *ctx, struct call *call)
{
	struct socket_state *state;

	if (call->shape != SHAPE_SHUTDOWN && !sets_protocol(call))
		return;
	state = socket_by_descriptor(call, call->argument[0]);
	if (!state)
		return;
	if (call->shape == SHAPE_SHUTDOWN)
		shut_down(ctx, call, state);
	else
		mark_once(ctx, call->id, state->inode, state->generation, MARK_KTLS);
}

/* The socket has no descriptor any more: its last counts, its end, and it is forgotten. */
static __always_inline void end_socket(void *ctx, u64 id, u64 time, u64 sk, struct socket_state *state)
{
	if (is_recorded(state)) {
		if (HAVE_LENGTHS || state->state & SOCKET_COUNTERS) /* nobody counts Unix sockets on older kernels */
			send_audit(ctx, id, time, state);
		send_control(ctx, id, time, state, EVENT_CLOSE, 0);
	}
	facts_of.delete(&state->generation);
	sockets.delete(&sk);
	count(COUNT_SOCKETS_GONE, 1);
}

/* A socket has ended when its struct socket has let go of the struct sock (inet_release and unix_release clear it, in
 * __fput), or when its file is about to: the count is at its end but __fput waits for the return to user mode. */
static __always_inline int has_ended(u64 sk, struct socket_state *state)
{
	u64 file = 0;
	s64 references = 0;

	if (sock_of_socket(state->socket) != sk)
		return 1;
	KERNEL_READ(file, state->socket, O_socket_file);
	if (!file)
		return 1;
	KERNEL_READ(references, file, FILE_COUNT);
	return references < FILE_COUNT_ALIVE;
}

/* A descriptor was closed. While somebody else holds its socket, it stays remembered: the answer can only be late. */
static __always_inline void closed(void *ctx, u64 id, u64 time, s32 fd)
{
	u64 descriptor = descriptor_key(id, fd), sk;
	u64 *found = descriptors.lookup(&descriptor);
	struct socket_state *state;

	if (!found)
		return;
	sk = *found;
	state = sockets.lookup(&sk);
	if (state && !has_ended(sk, state))
		return;
	descriptors.delete(&descriptor);
	if (state)
		end_socket(ctx, id, time, sk, state);
}

/* Descriptors that one program looks at, and programs that follow each other (at most 33): some 1,000 descriptors. More
 * steps cost the verifier 4,000 instructions each. */
#define CLOSING_STEPS 32

/* Goes on in a program of the caller's own kind. `which` is a constant here: its address, once taken, would leave the
 * other program array in the program, which the kernel refuses. */
static __always_inline void close_more(void *ctx, u32 which)
{
	if (which == CLOSING_PROCESS)
		end_stages.call(ctx, 0);
	else
		stages.call(ctx, STAGE_CLOSE_RANGE);
}

static __always_inline void close_some(void *ctx, u32 which)
{
	u32 key = which;
	struct closing *closing = closings.lookup(&key);

	if (!closing)
		return;
	for (u32 i = 0; i < CLOSING_STEPS; i++) {
		if (closing->next > closing->last)
			return;
		closed(ctx, closing->id, closing->time, closing->next);
		closing->next++;
	}
	close_more(ctx, which);
}

/* Looks at the descriptors first..last of a process, as far as it is known to have any. */
static __always_inline void close_all(void *ctx, u32 which, u64 id, u32 first, u32 last)
{
	u32 tgid = id >> 32, key = which;
	u32 *highest = highest_descriptor.lookup(&tgid);
	struct closing *closing = closings.lookup(&key);

	if (!highest || !closing)
		return;
	closing->id = id;
	closing->time = bpf_ktime_get_ns();
	closing->next = first;
	closing->last = last < *highest ? last : *highest;
	close_more(ctx, which);
}
