/* Events into the rings: sequence numbers, the submit, and the count of what failed.
 *
 * Law: the only place that submits. A failed submit is counted and its sequence number is spent, so that a reader sees
 * the hole; nothing here knows what an event means.
 */

#define RING_DATA 0
#define RING_CONTROL 1
#define CONTROL_BUSY 2

static __always_inline void count(u32 which, u64 amount)
{
	u64 *value = counters.lookup(&which);

	if (value)
		__sync_fetch_and_add(value, amount);
}

static __always_inline u64 next_sequence(u32 ring)
{
	u64 *next = sequences.lookup(&ring);

	return next ? (*next)++ : 0;
}

static __always_inline void event_header(struct event *event, u8 kind, u64 id, u64 time)
{
	event->abi = EVENT_ABI;
	event->kind = kind;
	event->direction = DIRECTION_NONE;
	event->captured = 0;
	event->sequence = 0;
	event->time = time;
	event->socket = 0;
	event->generation = 0;
	event->position = 0;
	event->size = 0;
	event->ret = 0;
	event->tgid = id >> 32;
	event->tid = (u32)id;
	event->fd = -1;
	event->syscall = 0;
	event->reason = REASON_NONE;
	event->flags = 0;
	event->depth = 0;
}

/* A line for the kernel's trace_pipe, for `--debug-bpf` alone: DEBUG is 0 in every other build. */
static __always_inline void trace(u32 ring, struct event *event)
{
#if DEBUG
	bpf_trace_printk("ebpf-rec ring %d kind %d tgid %d\n", ring, event->kind, event->tgid);
#endif
}

/* Submits an event of the control ring. A softirq may come between the sequence number and the submit and would then
 * stand in the ring before it: whoever meets the in-use mark sends nothing and is counted. */
static __always_inline void submit_control(void *ctx, struct event *event, u32 size)
{
	u32 busy_key = CONTROL_BUSY;
	u64 *busy = sequences.lookup(&busy_key);

	if (!busy)
		return;
	if (*busy) {
		count(COUNT_CONTROL_BUSY, 1);
		return;
	}
	*busy = 1;
	event->sequence = next_sequence(RING_CONTROL);
	if (control_ring.perf_submit(ctx, event, size) < 0)
		count(COUNT_CONTROL_LOST, 1);
	trace(RING_CONTROL, event);
	*busy = 0;
}

/* Submits an event of the data ring with `captured` payload bytes behind it. */
static __always_inline void submit_data(void *ctx, struct event *event, u64 captured)
{
	event->sequence = next_sequence(RING_DATA);
	event->captured = captured;
	if (event->size > captured || event->flags & FLAG_FILE_NAME)
		count(COUNT_GAP_BYTES, event->flags & FLAG_FILE_NAME ? event->size : event->size - captured);
	BOUND(captured);
	if (captured > PAYLOAD_BYTES)
		return;
	trace(RING_DATA, event);
	if (data_ring.perf_submit(ctx, event, sizeof(struct event) + captured) < 0) {
		count(COUNT_DATA_LOST, 1);
		count(COUNT_LOST_BYTES, captured);
	}
}

/* A gap without a byte of payload: the event stands on the stack. */
static __always_inline void submit_gap(void *ctx, struct event *event, u64 size, u16 reason)
{
	event->size = size;
	event->reason = reason;
	event->sequence = next_sequence(RING_DATA);
	count(COUNT_GAP_BYTES, size);
	if (data_ring.perf_submit(ctx, event, sizeof(*event)) < 0)
		count(COUNT_DATA_LOST, 1);
}

/* Says once per process (or, with a generation, per socket) that a blind spot was met. */
static __always_inline void mark_once(void *ctx, u64 id, u64 inode, u64 generation, u32 code)
{
	struct mark_key key = {};
	u8 yes = 1;
	struct event event;

	key.who = generation ? generation : id >> 32;
	key.code = code;
	key.of_socket = generation != 0;
	if (marks.lookup(&key))
		return;
	marks.update(&key, &yes);
	event_header(&event, EVENT_MARK, id, bpf_ktime_get_ns());
	event.socket = inode;
	event.generation = generation;
	event.ret = code;
	submit_control(ctx, &event, sizeof(event));
}
