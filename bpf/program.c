/* The kernel program: which hook does what. Read this file first, then bpf/syscalls.h, bpf/data.h and bpf/transfer.h.
 *
 *   sys_exit ── target? ── row of the table ─┬─ place.h, data.h, transfer.h → data ring
 *                                            └─ descriptors.h → control ring
 *   sock_{send,recv}_length → audit.h: which socket, which place, how many bytes
 *   task_newtask, sched_process_{exec,exit,free} → processes.h;  inet_sock_set_state → below
 *
 * recorder/source.py joins the files that are included here into one text, because bcc rewrites map methods in the main
 * file alone; nothing else is done to it. Constants (O_*, F_*, FILTER_*, SNAPLEN, …) come as -D. Programs that also run in
 * interrupts are those of raw tracepoints on every kernel, the others where context.h says so.
 */
#include "maps.h"
#include "kernel.h"
#include "arch.h"
#include "context.h"
#include "targets.h"
#include "emit.h"
#include "sockets.h"
#include "syscalls.h"
#include "audit.h"
#include "place.h"
#include "transfer.h"
#include "data.h"
#include "descriptors.h"
#include "processes.h"

#define CASE(number, name, way, kind, flags_argument) \
	case number: \
		call->direction = DIRECTION_##way; \
		call->shape = SHAPE_##kind; \
		flags_at = flags_argument; \
		break;

/* The row of the native table; 0 if the call is none of ours. */
static __always_inline int native_row(struct call *call, u32 number)
{
	u32 flags_at = NO_FLAGS;

	switch (number) {
	SYSCALLS(CASE)
	default:
		return 0;
	}
	call->message_flags = flags_at == 2 ? call->argument[2] : flags_at == 3 ? call->argument[3] : 0;
	return 1;
}

static __always_inline int compat_row(struct call *call, u32 number)
{
	u32 flags_at = NO_FLAGS;

	switch (number) {
	COMPAT_SYSCALLS(CASE)
	default:
		return 0;
	}
	call->message_flags = flags_at == 2 ? call->argument[2] : flags_at == 3 ? call->argument[3] : 0;
	return 1;
}

/* socketcall(number, arguments): the arguments stand in memory. */
static __always_inline int socketcall_row(struct call *call)
{
	u32 flags_at = NO_FLAGS, number = call->argument[0], words[6] = {};

	if (read_user(words, 4 * 4, (void *)call->argument[1]))
		return 0;
	for (int i = 0; i < 4; i++)
		call->argument[i] = words[i];
	switch (number) {
	SOCKETCALLS(CASE)
	default:
		return 0;
	}
	call->message_flags = flags_at == 2 ? call->argument[2] : flags_at == 3 ? call->argument[3] : 0;
	return 1;
}

/* Hands a call to the stage of its shape. Failed calls move nothing, but for a connect under way. `native`: the callers of
 * every day, whose bytes wait for no further program. */
static __always_inline void dispatch(void *ctx, struct call *call, int native)
{
	call->fd = call->argument[0];
	call->placed = 0;
	if (call->shape > SHAPE_SENDFILE) {
		call->time = bpf_ktime_get_ns();
		stages.call(ctx, STAGE_DESCRIPTORS);
	} else if (call->ret < 0 || !is_in_stream(call)) {
		return;
	} else if (native) {
		data_call(ctx, call);
		return;
	} else {
		stages.call(ctx, STAGE_DATA);
	}
	count(COUNT_TAIL_CALL_FAILED, 1);
}

int on_sys_exit(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 zero = 0;
	struct registers registers;
	struct call *call;

	if (!is_target(id >> 32))
		return 0;
	call = calls.lookup(&zero);
	if (!call)
		return 0;
	read_registers(registers_of(ctx), &registers);
	call->ret = TRACED(ctx, s64, sys_exit, ret, 1);
	call->id = id;
	call->syscall = registers.orig_ax;
	call->memory = registers.si;
	call->compat = 0;
	call->unsure = 0;
	if (is_compat_call()) {
		compat_arguments(&registers, call->argument);
		stages.call(ctx, STAGE_COMPAT);
		return 0;
	}
	native_arguments(&registers, call->argument);
	if (native_row(call, registers.orig_ax))
		dispatch(ctx, call, 1);
	return 0;
}

int on_compat(void *ctx)
{
	u32 zero = 0;
	struct call *call = calls.lookup(&zero);

	if (!call || !compat_row(call, call->syscall))
		return 0;
	if (call->shape == SHAPE_SOCKETCALL && !socketcall_row(call))
		return 0;
	call->compat = 1;
	mark_once(ctx, call->id, 0, 0, MARK_COMPAT);
	dispatch(ctx, call, 0);
	return 0;
}

int on_transfer(void *ctx)
{
	transfer(ctx);
	return 0;
}

#define CLOSE_RANGE_CLOEXEC 4 /* include/uapi/linux/close_range.h */

int on_descriptors(void *ctx)
{
	u32 zero = 0;
	struct call *call = calls.lookup(&zero);

	if (!call)
		return 0;
	/* close(2), whatever it returns: "the descriptor is always closed" */
	if (call->shape == SHAPE_CLOSE || (call->shape == SHAPE_DUP && call->ret >= 0))
		closed(ctx, call->id, call->time, call->argument[call->shape == SHAPE_DUP]);
	if (call->shape == SHAPE_CONNECT || call->shape == SHAPE_ACCEPT || call->shape == SHAPE_PAIR)
		introduce_made(ctx, call);
	if (call->ret < 0)
		return 0;
	changed(ctx, call);
	if (call->shape == SHAPE_IO_URING)
		mark_once(ctx, call->id, 0, 0, MARK_IO_URING);
	if (call->shape == SHAPE_SPLICE)
		stages.call(ctx, STAGE_DATA);
	if (call->shape == SHAPE_CLOSE_RANGE && !(call->argument[2] & CLOSE_RANGE_CLOEXEC))
		close_all(ctx, CLOSING_RANGE, call->id, call->argument[0], call->argument[1]);
	return 0;
}

int on_data(void *ctx)
{
	u32 zero = 0;
	struct call *call = calls.lookup(&zero);
	struct socket_state *state = call ? placed(call) : 0;

	if (state)
		send_bytes(ctx, call, state, 0);
	return 0;
}

int on_close_range(void *ctx)
{
	close_some(ctx, CLOSING_RANGE);
	return 0;
}

int on_close_process(struct bpf_raw_tracepoint_args *ctx)
{
	close_some(ctx, CLOSING_PROCESS);
	return 0;
}

int on_fork(void *ctx)
{
	forked(ctx, new_thread(ctx), TRACED(ctx, u64, task_newtask, clone_flags, 1));
	return 0;
}

int on_exec(void *ctx)
{
	executed(ctx);
	return 0;
}

int on_exit(void *ctx)
{
	exited(ctx);
	return 0;
}

int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	freed(ctx, ctx->args[0]);
	return 0;
}

#if HAVE_LENGTHS
int on_send_length(void *ctx)
{
	on_length(ctx, TRACED(ctx, u64, sock_send_length, sk, 0), TRACED(ctx, s32, sock_send_length, ret, 1), 0,
		  DIRECTION_SEND);
	return 0;
}

int on_recv_length(void *ctx)
{
	on_length(ctx, TRACED(ctx, u64, sock_recv_length, sk, 0), TRACED(ctx, s32, sock_recv_length, ret, 1),
		  TRACED(ctx, u32, sock_recv_length, flags, 2), DIRECTION_RECEIVE);
	return 0;
}
#endif

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8

/* inet_sock_set_state(sk, old, new), also in a softirq: current may be anybody, so the socket's last user is named. */
int on_state(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sk = ctx->args[0], id, time;
	u32 before = ctx->args[1], now = ctx->args[2];
	struct socket_state *state = sockets.lookup(&sk);

	if (!state)
		return 0;
	if (now == TCP_SYN_RECV) { /* a new connection at the address of one that has gone */
		sockets.delete(&sk);
		count(COUNT_SOCKETS_GONE, 1);
		return 0;
	}
	id = state->descriptor & 0xffffffff00000000ULL;
	time = bpf_ktime_get_ns();
	if (now == TCP_CLOSE && (before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT || before == TCP_FIN_WAIT1))
		state->flags |= FLAG_RESET;
	if (is_recorded(state))
		send_control(ctx, id, time, state, EVENT_STATE, (before & 0xff) << 8 | (now & 0xff));
	if (now == TCP_CLOSE && !socket_of_sock(sk))
		end_socket(ctx, id, time, sk, state);
	return 0;
}
