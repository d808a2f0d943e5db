/* The kernel's own count of what went through a socket, and the name of the socket a call really used.
 *
 * sock:sock_send_length and sock:sock_recv_length (6.3 and later) fire on the calling thread inside the call, with the
 * struct sock itself: also for io_uring and sendfile, and whatever the descriptor means when the call returns.
 * Law: counts and names; sends only the gaps of calls that will never reach sys_exit with a socket.
 */

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define MSG_ZEROCOPY 0x4000000

static __always_inline void on_length(void *ctx, u64 sk, s64 ret, u32 flags, u8 direction)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 zero = 0;
	struct last_call *last;
	struct socket_state *state;

	if (ret < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) || !is_target(id >> 32))
		return;
	state = state_of(sk, 0);
	last = last_calls.lookup(&zero);
	if (!state || !last)
		return;
	__sync_fetch_and_add(&state->counted[index_of(direction)], ret);
	last->id = id;
	last->socket = sk;
}

static __always_inline void send_audit(void *ctx, struct call *call, struct socket_state *state)
{
	struct { struct event event; struct socket_audit audit; } record;

	event_header(&record.event, EVENT_AUDIT, call->id, call->time);
	record.event.socket = state->inode;
	record.event.generation = state->generation;
	record.event.captured = sizeof(record.audit);
	record.event.size = sizeof(record.audit);
	record.event.flags = state->flags;
	record.audit.received = state->counted[0];
	record.audit.sent = state->counted[1];
	record.audit.source = 1;
	record.audit.reserved = 0;
	submit_control(ctx, &record.event, sizeof(record));
}
