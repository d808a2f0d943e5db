/* Calls that make, name or end a socket: accept, connect, shutdown, close and what closes in passing.
 *
 * Law: sends control events only.
 */

static __always_inline void send_control(void *ctx, struct call *call, struct socket_state *state, u8 kind, u8 direction)
{
	struct event event;

	event_header(&event, kind, call->id, call->time);
	event.socket = state->inode;
	event.generation = state->generation;
	event.direction = direction;
	event.ret = call->ret;
	event.fd = call->fd;
	event.syscall = call->syscall;
	event.flags = state->flags;
	submit_control(ctx, &event, sizeof(event));
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

/* The socket has no descriptor any more: its last counts, its end, and it is forgotten. */
static __always_inline void end_socket(void *ctx, struct call *call, struct socket_state *state)
{
	if (!(state->state & (SOCKET_IGNORED | SOCKET_CLOSED)) && state->state & SOCKET_ANNOUNCED) {
		state->state |= SOCKET_CLOSED;
		send_audit(ctx, call, state);
		send_control(ctx, call, state, EVENT_CLOSE, DIRECTION_NONE);
	}
	facts_of.delete(&state->generation);
	sockets.delete(&call->socket);
	count(COUNT_SOCKETS_GONE, 1);
}

/* A descriptor was closed: the socket has ended if its struct socket has let go of the struct sock (inet_release and
 * unix_release clear it, in __fput, which close(2) runs before it returns where nobody else holds the file). */
static __always_inline void closed(void *ctx, struct call *call, s32 fd)
{
	u64 descriptor = (call->id & 0xffffffff00000000ULL) | (u32)fd;
	u64 *sk = descriptors.lookup(&descriptor);
	struct socket_state *state;

	if (!sk)
		return;
	call->socket = *sk;
	call->fd = fd;
	descriptors.delete(&descriptor);
	state = sockets.lookup(&call->socket);
	if (state && sock_of_socket(state->socket) != call->socket)
		end_socket(ctx, call, state);
}
