/* The bytes of one call, out of the caller's memory and into events.
 *
 * The wish: every byte of every iovec of every message, in order. The obstacle: the verifier must see each loop end and
 * each copy stay inside the scratch. The solution: one flattened loop; a step either fetches the next iovec (or message)
 * or copies at most STEP_BYTES; all that changes lives in `struct call`, a map value, so that the verifier sees the same
 * state after every step and its work grows with the number of steps alone; the program calls itself again by tail call.
 * Law: nothing here asks which socket it is or whether it is wanted.
 */

/* Steps of one program. The kernel lets 33 programs follow each other (MAX_TAIL_CALL_CNT), of which at least 31 are these.
 * A step takes one iovec or STEP_BYTES, so a call is captured up to 2,108 steps: 1,024 iovecs (the kernel's own UIO_MAXIOV)
 * of any small size, and 32 MiB in one buffer. What is over is a gap with its reason. */
#define STEPS 68

struct user_iovec { u64 base, length; };
struct compat_iovec { u32 base, length; };
struct user_message { u64 name; u32 name_length, pad; u64 vector, vectors, control, control_length; u32 flags, pad2; };
struct user_messages { struct user_message header; u32 length, pad; };
struct compat_messages { u32 name, name_length, vector, vectors, control, control_length, flags, length; };

static __always_inline void fill_event(struct event *event, struct call *call, u64 size, u16 reason)
{
	event_header(event, EVENT_DATA, call->id, call->time);
	event->direction = call->direction;
	event->socket = call->inode;
	event->generation = call->generation;
	event->position = call->position;
	event->size = size;
	event->ret = call->ret;
	event->fd = call->fd;
	event->syscall = call->syscall;
	event->reason = reason;
	event->flags = call->flags;
	event->depth = call->depth;
}

/* Sends the waiting payload as one event that stands for `missing` more bytes. */
static __always_inline void flush(void *ctx, struct record *record, struct call *call, u64 missing, u16 reason)
{
	u32 used = call->used;

	fill_event(&record->event, call, used + missing, reason);
	call->position += used + missing;
	call->used = 0;
	submit_data(ctx, &record->event, used);
}

/* Takes the message header at `at` (struct msghdr, or struct mmsghdr with its length behind); 0 on a fault. */
static __always_inline int take_message(struct call *call, u64 at)
{
	struct user_messages native = {};
	struct compat_messages compat = {};
	u32 whole = call->shape == SHAPE_MESSAGES;

	if (call->compat) {
		if (read_user(&compat, whole ? sizeof(compat) : sizeof(compat) - 4, (void *)at))
			return 0;
		call->vector = compat.vector;
		call->vectors = compat.vectors;
		call->message_left = whole ? compat.length : call->total;
		call->message = at + sizeof(compat);
		return 1;
	}
	if (read_user(&native, whole ? sizeof(native) : sizeof(native.header), (void *)at))
		return 0;
	call->vector = native.header.vector;
	call->vectors = native.header.vectors;
	call->message_left = whole ? native.length : call->total;
	call->message = at + sizeof(native);
	return 1;
}

static __always_inline int next_message(struct call *call)
{
	if (!call->messages)
		return 0;
	call->messages--;
	return take_message(call, call->message);
}

static __always_inline int read_vector(struct call *call, struct user_iovec *vector)
{
	struct compat_iovec compat = {};

	if (!call->compat) {
		s64 failed = read_user(vector, sizeof(*vector), (void *)call->vector);

		call->vector += sizeof(*vector);
		return !failed;
	}
	if (read_user(&compat, sizeof(compat), (void *)call->vector))
		return 0;
	vector->base = compat.base;
	vector->length = compat.length;
	call->vector += sizeof(compat);
	return 1;
}

static __always_inline int next_vector(struct call *call)
{
	struct user_iovec vector = {};

	if (!call->message_left || !call->vectors)
		return next_message(call);
	if (!read_vector(call, &vector))
		return 0;
	if (vector.length > call->message_left)
		vector.length = call->message_left;
	call->base = vector.base;
	call->length = vector.length;
	call->message_left -= vector.length;
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
	if (!read_user(record->payload + used, length, (void *)call->base)) {
		call->used = used + length;
	} else {
		/* some page of it is not there: one page at a time, so that no more is missing than must be */
		u64 page = KERNEL_PAGE - (call->base & (KERNEL_PAGE - 1));

		if (length > page)
			length = page;
		BOUND(length);
		if (length > STEP_BYTES)
			return 0;
		if (!read_user(record->payload + used, length, (void *)call->base)) {
			call->used = used + length;
		} else {
			count(COUNT_FAULTS, 1);
			flush(ctx, record, call, length, REASON_FAULT);
		}
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

/* Sends all of a call's bytes as one gap. A file's name may follow instead of bytes (FLAG_FILE_NAME). */
static __always_inline void whole_gap(void *ctx, struct record *record, struct call *call, u16 reason, u32 name_bytes)
{
	u64 total = call->total;

	call->used = 0;
	call->depth = 0;
	if (name_bytes)
		call->flags |= FLAG_FILE_NAME;
	fill_event(&record->event, call, total, reason);
	submit_data(ctx, &record->event, name_bytes);
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
