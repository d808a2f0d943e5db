/* A call that moved bytes: what of it is recorded, and where the rest goes.
 *
 * Law: decides reasons and limits; places come from place.h, bytes from transfer.h.
 */

/* How much of the call may be captured, and why not more. */
static __always_inline void apply_limits(struct call *call, struct socket_state *state)
{
	call->allowed = call->total;
	call->limit_reason = REASON_NONE;
#if SNAPLEN
	if (call->allowed > SNAPLEN) {
		call->allowed = SNAPLEN;
		call->limit_reason = REASON_SNAPLEN;
	}
#endif
#if TURN_LIMIT
	u64 before = state->turn_direction == call->direction ? state->turn : 0;
	u64 room = before > TURN_LIMIT ? 0 : TURN_LIMIT - before;

	state->turn_direction = call->direction;
	state->turn = before + call->total;
	if (call->allowed > room) {
		call->allowed = room;
		call->limit_reason = REASON_TURN_LIMIT;
	}
#endif
}

/* Points the walk of transfer.h at the first byte. */
static __always_inline void begin_walk(struct call *call)
{
	call->used = 0;
	call->part = 0;
	call->length = 0;
	call->messages = 0;
	call->vectors = 0;
	call->message_left = call->total;
	if (call->shape == SHAPE_BUFFER) {
		call->base = call->argument[1];
		call->length = call->total;
	} else if (call->shape == SHAPE_VECTOR) {
		call->vector = call->argument[1];
		call->vectors = call->argument[2];
	} else {
		call->message = call->argument[1];
		call->messages = call->shape == SHAPE_MESSAGES ? call->ret : 1;
	}
}

#define UIO_MAXIOV 1024 /* the kernel takes no more messages or iovecs in one call */

/* The bytes of all messages of recvmmsg and sendmmsg, from the lengths that the kernel wrote back. */
static __always_inline u64 sum_of_messages(struct call *call)
{
	u64 sum = 0, at = call->argument[1] + (call->compat ? 28 : 56), each = call->compat ? 32 : 64;

	for (u32 i = 0; i < UIO_MAXIOV && i < call->ret; i++) {
		u32 length = 0;

		read_user(&length, sizeof(length), (void *)(at + i * each));
		sum += length;
	}
	return sum;
}

/* How many bytes the call moved, and their place. */
static __always_inline void measure(struct call *call, struct socket_state *state)
{
#if HAVE_LENGTHS
	call->total = call->counted;
#else
	call->total = call->shape == SHAPE_MESSAGES ? sum_of_messages(call) : call->ret;
	place_here(call, state);
	if (state->protocol == IPPROTO_TCP)
		follow_counters(call, state);
#endif
	if (call->direction == DIRECTION_SEND && call->message_flags & MSG_OOB && call->total) {
		/* "the last byte is urgent": it leaves the stream, the others before it do not (tcp(7)) */
		call->total--;
		__sync_fetch_and_add(&state->position[1], -1);
		__sync_fetch_and_add(&state->counted[1], -1);
		__sync_fetch_and_add(&state->sequence[1], 1); /* tcp_sock's counter has it all the same */
	}
}

/* The reason why no byte of this call is in the caller's memory, REASON_NONE if they are. */
static __always_inline u16 absent_reason(struct call *call, struct socket_state *state)
{
	if (call->shape == SHAPE_SENDFILE)
		return REASON_SENDFILE;
	if (call->shape == SHAPE_SPLICE)
		return REASON_SPLICE;
	/* "for TCP, MSG_TRUNC causes the received bytes to be discarded" (tcp(7)); Unix sockets fill the buffer */
	if (call->direction == DIRECTION_RECEIVE && call->message_flags & MSG_TRUNC && state->family != AF_UNIX)
		return REASON_MSG_TRUNC;
	return REASON_NONE;
}

#define FILE_NAME_BYTES 256 /* NAME_MAX and its NUL */

static __always_inline void send_absent(void *ctx, struct record *record, struct call *call, u16 reason)
{
	s64 bytes = 0;

	if (call->shape == SHAPE_SENDFILE)
		bytes = read_file_name(file_of(call->argument[1]), record->payload, FILE_NAME_BYTES);
	whole_gap(ctx, record, call, reason, bytes > 1 && bytes <= FILE_NAME_BYTES ? bytes - 1 : 0);
}

static __always_inline void meet(void *ctx, struct call *call, struct socket_state *state)
{
	u16 flags = call->message_flags & MSG_FASTOPEN ? FLAG_CONNECTED : FLAG_JOINED;

	remember_descriptor(call, state, call->fd);
	if (state->state & SOCKET_ANNOUNCED)
		return;
	announce(ctx, call, state, flags);
	if (state->protocol == IPPROTO_TCP && has_ktls(call->socket))
		mark_once(ctx, call->id, state->inode, state->generation, MARK_KTLS);
}

static __always_inline void mark_zerocopy(void *ctx, struct call *call)
{
	if (call->message_flags & MSG_ZEROCOPY && call->direction == DIRECTION_SEND)
		mark_once(ctx, call->id, 0, 0, MARK_ZEROCOPY);
}

/* The call's flags; 0 if it is none that an event stands for. */
static __always_inline int set_flags(struct call *call)
{
	call->flags = call->compat ? FLAG_COMPAT : 0;
	if (call->unsure) {
		call->flags |= FLAG_IDENTITY_UNSURE;
		count(COUNT_IDENTITY_UNSURE, 1);
	}
	if (call->message_flags & MSG_ZEROCOPY && call->direction == DIRECTION_SEND)
		call->flags |= FLAG_ZEROCOPY;
	if (call->total)
		return 1;
	call->flags |= FLAG_EOF;
	return call->direction == DIRECTION_RECEIVE && is_shut_for_receive(call->socket);
}

/* The bytes of a placed call; hands over to on_transfer where they can be read. `usual` is a constant: what is_usual has
 * ruled out is not compiled. */
static __always_inline void send_bytes(void *ctx, struct call *call, struct socket_state *state, int usual)
{
	u32 zero = 0;
	struct record *record = scratch.lookup(&zero);
	u16 absent;

	call->time = bpf_ktime_get_ns();
	if (!usual)
		meet(ctx, call, state);
	measure(call, state);
	if (!record || state->state & SOCKET_IGNORED)
		return;
	if (!usual)
		mark_zerocopy(ctx, call);
	if (!set_flags(call))
		return;
	call->inode = state->inode;
	call->generation = state->generation;
	if (record->busy) {
		count(COUNT_SCRATCH_BUSY, 1);
		return;
	}
	record->busy = 1;
	absent = usual ? REASON_NONE : absent_reason(call, state);
	if (absent) {
		send_absent(ctx, record, call, absent);
	} else {
		begin_walk(call);
		apply_limits(call, state);
		stages.call(ctx, STAGE_TRANSFER);
		count(COUNT_TAIL_CALL_FAILED, 1);
	}
	record->busy = 0;
}

/* Whether a call is one like most: on a socket that was announced, by the descriptor it was seen with, and nothing of it
 * needs more than its bytes. */
static __always_inline int is_usual(struct call *call, struct socket_state *state)
{
	return state->state & SOCKET_ANNOUNCED && state->descriptor == descriptor_key(call->id, call->fd) &&
	       call->shape <= SHAPE_MESSAGES && !(call->message_flags & (MSG_TRUNC | MSG_ZEROCOPY));
}

static __always_inline int is_in_stream(struct call *call)
{
	return !(call->message_flags & (call->direction == DIRECTION_SEND ? MSG_ERRQUEUE : NOT_IN_STREAM));
}

/* A native call that moved bytes; all but the usual are on_data's. */
static __always_inline void data_call(void *ctx, struct call *call)
{
	struct socket_state *state = place(call);

	if (!state)
		return;
	if (is_usual(call, state)) {
		send_bytes(ctx, call, state, 1);
		return;
	}
	call->placed = state->generation;
	stages.call(ctx, STAGE_DATA);
	count(COUNT_TAIL_CALL_FAILED, 1);
}

/* splice: the socket may be at either end, the other is a pipe. */
static __always_inline struct socket_state *place_splice(struct call *call)
{
	struct socket_state *state;

	call->direction = DIRECTION_RECEIVE;
	call->fd = call->argument[0];
	state = socket_by_descriptor(call, call->fd);
#if HAVE_LENGTHS
	if (state) { /* the kernel counts no splice from a socket */
		call->total = call->ret;
		call->counted = call->ret;
		place_here(call, state);
	}
#endif
	return state;
}

/* The socket of a call that on_sys_exit has placed, or that is placed now. */
static __always_inline struct socket_state *placed(struct call *call)
{
	struct socket_state *state;

	if (call->placed) {
		state = sockets.lookup(&call->socket);
		if (state && state->generation == call->placed)
			return state;
		count(COUNT_UNPLACED_CALLS, 1);
		return 0;
	}
	if (call->shape == SHAPE_SPLICE) {
		call->direction = DIRECTION_SEND;
		call->fd = call->argument[2];
	}
	state = place(call);
	if (!state && call->shape == SHAPE_SPLICE)
		state = place_splice(call);
	return state;
}
