/* The bytes of one call, out of the caller's memory and into events.
 *
 * The wish: every byte of every iovec of every message, in order. The obstacle: the verifier must see each loop end and
 * each copy stay inside the scratch. The solution: one flattened loop; a step either fetches the next iovec (or message)
 * or copies at most STEP_BYTES; all that changes lives in `struct call`, a map value, so that the verifier sees the same
 * state after every step and its work grows with the number of steps alone; the program calls itself again by tail call.
 * Law: nothing here asks which socket it is or whether it is wanted.
 */

/* Steps of one program, and programs of one call (the kernel's MAX_TAIL_CALL_CNT is 33). A step takes one iovec or
 * STEP_BYTES, so a call is captured up to 2,048 steps: 1,024 iovecs (the kernel's own UIO_MAXIOV) of any small size,
 * and 31 MiB in one buffer. What is over is a gap with its reason. */
#define STEPS 64
#define PROGRAMS 32

#define STAGE_TRANSFER 0
#define STAGE_DESCRIPTORS 1

struct user_iovec { u64 base, length; };
struct user_message { u64 name; u32 name_length, pad; u64 vector, vectors, control, control_length; u32 flags, pad2; };
struct user_mmessage { struct user_message header; u32 length, pad; };

/* Sends the waiting payload as one event that stands for `missing` more bytes. */
static __always_inline void flush(void *ctx, struct record *record, struct call *call, u64 missing, u16 reason)
{
	u32 used = call->used;
	struct event *event = &record->event;

	event_header(event, EVENT_DATA, call->id, call->time);
	event->direction = call->direction;
	event->socket = call->inode;
	event->generation = call->generation;
	event->position = call->position;
	event->size = used + missing;
	event->ret = call->ret;
	event->fd = call->fd;
	event->syscall = call->syscall;
	event->reason = reason;
	event->flags = call->flags;
	event->depth = call->depth;
	call->position += used + missing;
	call->used = 0;
	submit_data(ctx, record, used);
}

static __always_inline int next_message(struct call *call)
{
	struct user_mmessage message = {};

	if (!call->messages)
		return 0;
	if (bpf_probe_read_user(&message, sizeof(message), (void *)call->message))
		return 0;
	call->vector = message.header.vector;
	call->vectors = message.header.vectors;
	call->message_left = message.length;
	call->message += sizeof(message);
	call->messages--;
	return 1;
}

static __always_inline int next_vector(struct call *call)
{
	struct user_iovec vector = {};

	if (!call->message_left || !call->vectors)
		return next_message(call);
	if (bpf_probe_read_user(&vector, sizeof(vector), (void *)call->vector))
		return 0;
	if (vector.length > call->message_left)
		vector.length = call->message_left;
	call->base = vector.base;
	call->length = vector.length;
	call->message_left -= vector.length;
	call->vector += sizeof(vector);
	call->vectors--;
	call->part++;
	return 1;
}

/* One step; 0 when there is nothing more to capture. */
static __always_inline int step(void *ctx, struct record *record, struct call *call)
{
	u64 length = call->length;
	u64 used;

	if (!call->allowed)
		return 0;
	if (!length)
		return next_vector(call);
	if (call->used > STEP_BYTES)
		flush(ctx, record, call, 0, REASON_NONE);
	if (!call->used)
		call->depth = call->part;
	if (length > call->allowed)
		length = call->allowed;
	if (length > STEP_BYTES)
		length = STEP_BYTES;
	used = call->used;
	if (used > STEP_BYTES)
		return 0;
	if (bpf_probe_read_user(record->payload + used, length, (void *)call->base)) {
		count(COUNT_FAULTS, 1);
		flush(ctx, record, call, length, REASON_FAULT);
	} else {
		call->used = used + length;
	}
	call->base += length;
	call->length -= length;
	call->total -= length;
	call->allowed -= length;
	return 1;
}

/* The last event of a call: what waits, and all that is not captured. */
static __always_inline void finish(void *ctx, struct record *record, struct call *call, u16 reason)
{
	if (call->used || call->total || call->flags & FLAG_EOF)
		flush(ctx, record, call, call->total, call->total ? reason : REASON_NONE);
	call->total = 0;
	record->busy = 0;
}

static __always_inline u16 ceiling_reason(struct call *call)
{
	if (call->messages)
		return REASON_MESSAGE_LIMIT;
	return call->vectors ? REASON_IOVEC_LIMIT : REASON_SIZE_LIMIT;
}

/* One program's share of the steps; the program that contains it is stage STAGE_TRANSFER. */
static __always_inline void transfer(void *ctx)
{
	u32 zero = 0;
	struct call *call = calls.lookup(&zero);
	struct record *record = scratch.lookup(&zero);

	if (!call || !record)
		return;
	for (int i = 0; i < STEPS; i++) {
		if (!step(ctx, record, call)) {
			/* iovecs that cannot be read end the walk with `allowed` bytes still wanted */
			finish(ctx, record, call, call->allowed ? REASON_FAULT : call->limit_reason);
			return;
		}
	}
	stages.call(ctx, STAGE_TRANSFER);
	finish(ctx, record, call, ceiling_reason(call));
}
