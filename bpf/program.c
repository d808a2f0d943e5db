/* The kernel program: which hook does what. Read this file first, then bpf/syscalls.h and bpf/transfer.h.
 *
 *   sys_exit ── target? ── row of the table ── socket ── bytes (transfer.h) → data ring
 *                                           └─ accept, connect, close, … (descriptors.h) → control ring
 *   sched_process_{fork,exec,exit}, inet_sock_set_state → control ring
 *   sock_{send,recv}_length → counts (audit.h)
 *
 * recorder/program.py joins the files that are included here into one text, because bcc rewrites map methods in the main
 * file alone; nothing else is done to it. Constants (O_*, FILTER_*, SNAPLEN, …) come as -D.
 */
#include <uapi/linux/ptrace.h>
#include "maps.h"
#include "kernel.h"
#include "arch.h"
#include "targets.h"
#include "emit.h"
#include "sockets.h"
#include "syscalls.h"
#include "transfer.h"
#include "audit.h"
#include "descriptors.h"

#define CASE(number, name, way, kind, flags_argument) \
	case number: \
		call->direction = DIRECTION_##way; \
		call->shape = SHAPE_##kind; \
		flags_at = flags_argument; \
		break;

/* The socket of a data call: the one the kernel named inside the call, else the one behind the descriptor. */
static __always_inline struct socket_state *identify(struct call *call)
{
	u32 zero = 0;
	struct last_call *last = last_calls.lookup(&zero);

	if (last && last->id == call->id) {
		last->id = 0;
		call->socket = last->socket;
		return state_of(call->socket, 0);
	}
	return socket_by_descriptor(call, call->fd);
}

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

/* Everything that needs no look into the caller's memory for its length. */
static __always_inline int prepare(struct call *call)
{
	struct user_message message = {};

	call->total = call->ret;
	call->message_left = call->ret;
	call->messages = 0;
	call->vectors = 0;
	call->length = 0;
	call->part = 0;
	switch (call->shape) {
	case SHAPE_BUFFER:
		call->base = call->argument[1];
		call->length = call->ret;
		return 1;
	case SHAPE_VECTOR:
		call->vector = call->argument[1];
		call->vectors = call->argument[2];
		return 1;
	case SHAPE_MESSAGE:
		bpf_probe_read_user(&message, sizeof(message), (void *)call->argument[1]);
		call->vector = message.vector;
		call->vectors = message.vectors;
		return 1;
	}
	return 0;
}

static __always_inline void data_call(struct bpf_raw_tracepoint_args *ctx, struct call *call)
{
	u32 zero = 0;
	struct record *record = scratch.lookup(&zero);
	struct socket_state *state;
	u64 descriptor;

	if (!record || call->message_flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))
		return;
	if (!call->ret && call->direction == DIRECTION_SEND)
		return;
	state = identify(call);
	if (!state)
		return;
	descriptor = (call->id & 0xffffffff00000000ULL) | (u32)call->fd;
	if (state->descriptor != descriptor)
		remember_descriptor(call, state, call->fd);
	if (!(state->state & SOCKET_ANNOUNCED))
		announce(ctx, call, state, FLAG_JOINED);
	if (state->state & SOCKET_IGNORED || !prepare(call))
		return;
	call->inode = state->inode;
	call->generation = state->generation;
	call->flags = call->ret ? 0 : FLAG_EOF;
	call->used = 0;
	call->position = __sync_fetch_and_add(&state->position[index_of(call->direction)], call->total);
	apply_limits(call, state);
	if (record->busy) {
		count(COUNT_SCRATCH_BUSY, 1);
		return;
	}
	record->busy = 1;
	stages.call(ctx, STAGE_TRANSFER);
	record->busy = 0;
	count(COUNT_TAIL_CALL_FAILED, 1);
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 zero = 0, flags_at = NO_FLAGS;
	struct registers registers;
	struct call *call;

	if (!is_target(id >> 32))
		return 0;
	call = calls.lookup(&zero);
	if (!call)
		return 0;
	read_registers(ctx->args[0], &registers);
	switch ((u32)registers.orig_ax) {
	SYSCALLS(CASE)
	default:
		return 0;
	}
	call->ret = ctx->args[1];
	call->id = id;
	call->syscall = registers.orig_ax;
	call->fd = registers.di;
	arguments_of(&registers, call->argument);
	call->message_flags = 0;
	if (flags_at == 2)
		call->message_flags = registers.dx;
	if (flags_at == 3)
		call->message_flags = registers.r10;
	if (call->shape <= SHAPE_MESSAGE) {
		if (call->ret < 0)
			return 0;
		call->time = bpf_ktime_get_ns();
		data_call(ctx, call);
		return 0;
	}
	call->time = bpf_ktime_get_ns();
	stages.call(ctx, STAGE_DESCRIPTORS);
	return 0;
}

int on_transfer(struct bpf_raw_tracepoint_args *ctx)
{
	transfer(ctx);
	return 0;
}

#define EINPROGRESS 115

int on_descriptors(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0;
	struct call *call = calls.lookup(&zero);
	struct socket_state *state;

	if (!call)
		return 0;
	if (call->shape == SHAPE_CLOSE)
		closed(ctx, call, call->argument[0]);
	if (call->shape == SHAPE_CONNECT && (call->ret == 0 || call->ret == -EINPROGRESS))
		introduce(ctx, call, call->argument[0], FLAG_CONNECTED);
	if (call->ret < 0)
		return 0;
	if (call->shape == SHAPE_ACCEPT)
		introduce(ctx, call, call->ret, FLAG_ACCEPTED);
	if (call->shape == SHAPE_SHUTDOWN) {
		state = socket_by_descriptor(call, call->argument[0]);
		if (state && state->state & SOCKET_ANNOUNCED && !(state->state & SOCKET_IGNORED))
			send_control(ctx, call, state, EVENT_SHUTDOWN, (call->argument[1] & 3) + 1);
	}
	return 0;
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 child = 0;
	u8 *byte;
	struct event event;

	READ(child, ctx->args[1], O_task_struct_tgid);
	if (child == id >> 32)
		return 0; /* a thread */
	byte = target_byte(id >> 32);
	if (!byte || *byte != TARGET_YES)
		return 0;
#if FOLLOW_FORKS
	byte = target_byte(child);
	if (byte)
		*byte = TARGET_YES;
#endif
	event_header(&event, EVENT_FORK, id, bpf_ktime_get_ns());
	event.ret = child;
	submit_control(ctx, &event, sizeof(event));
	return 0;
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct { struct event event; char comm[16]; } record;
	u64 id = bpf_get_current_pid_tgid();

	if (!is_target(id >> 32))
		return 0;
	event_header(&record.event, EVENT_EXEC, id, bpf_ktime_get_ns());
	record.event.captured = sizeof(record.comm);
	record.event.size = sizeof(record.comm);
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	submit_control(ctx, &record.event, sizeof(record));
	return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), signal = 0, task = bpf_get_current_task();
	u8 *byte = target_byte(id >> 32);
	s32 live = 0;
	struct event event;

	if (!byte || *byte != TARGET_YES)
		return 0;
	READ(signal, task, O_task_struct_signal);
	READ(live, signal, O_signal_struct_live);
	if (live)
		return 0;
	*byte = 0;
	event_header(&event, EVENT_EXIT, id, bpf_ktime_get_ns());
	submit_control(ctx, &event, sizeof(event));
	return 0;
}

#if HAVE_LENGTHS
int on_send_length(struct bpf_raw_tracepoint_args *ctx)
{
	on_length(ctx, ctx->args[0], (s32)ctx->args[1], 0, DIRECTION_SEND);
	return 0;
}

int on_recv_length(struct bpf_raw_tracepoint_args *ctx)
{
	on_length(ctx, ctx->args[0], (s32)ctx->args[1], ctx->args[2], DIRECTION_RECEIVE);
	return 0;
}
#endif

#define TCP_CLOSE 7

int on_state(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0];
	struct socket_state *state = sockets.lookup(&sk);
	struct event event;

	if (!state || !(state->state & SOCKET_ANNOUNCED) || state->state & (SOCKET_IGNORED | SOCKET_CLOSED))
		return 0;
	event_header(&event, EVENT_STATE, bpf_get_current_pid_tgid(), bpf_ktime_get_ns());
	event.socket = state->inode;
	event.generation = state->generation;
	event.ret = (u8)ctx->args[1] << 8 | (u8)ctx->args[2];
	submit_control(ctx, &event, sizeof(event));
	return 0;
}
