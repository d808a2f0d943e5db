/* Bytes that never are in the caller's memory, or that another path than a system call moves. */
#include "exerciser.h"
#include <linux/io_uring.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

/* A file that holds the next `count` bytes of what the end will send. */
static int file_for(struct end *end, size_t count)
{
	char *buffer = malloc(count);
	int fd = memfd_create("exerciser-body", 0);

	CHECK(fd >= 0);
	fill(end, buffer, count);
	CHECK(write(fd, buffer, count) == (ssize_t)count);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	free(buffer);
	return fd;
}

static void file_sent(struct end *a, struct end *b)
{
	int file = file_for(a, 300000);
	pthread_t thread;
	size_t left = 300000;

	receive_in_thread(b, left, &thread);
	while (left) {
		ssize_t sent = sendfile(a->fd, file, NULL, left);

		CHECK(sent > 0);
		note_gap(a, SEND, sent, "sendfile");
		left -= sent;
	}
	pthread_join(thread, NULL);
	CHECK(close(file) == 0);
}

static void spliced(struct end *a, struct end *b)
{
	int pipes[2], copy[2];
	char buffer[4096];

	CHECK(pipe(pipes) == 0 && pipe(copy) == 0);
	fill(a, buffer, 1000);
	CHECK(write(pipes[1], buffer, 1000) == 1000);
	/* tee(2) works between pipes alone: no byte of a socket */
	CHECK(tee(pipes[0], copy[1], 1000, 0) == 1000 && read(copy[0], buffer, 1000) == 1000);
	CHECK(splice(pipes[0], NULL, a->fd, NULL, 1000, 0) == 1000);
	note_gap(a, SEND, 1000, "splice");
	plain_send(a, 500);
	for (size_t left = 1000; left;) {
		ssize_t got = splice(b->fd, NULL, pipes[1], NULL, left, 0);

		CHECK(got > 0 && read(pipes[0], buffer, got) == got);
		check(b, buffer, got);
		note_gap(b, RECEIVE, got, "splice");
		left -= got;
	}
	plain_receive(b, 500);
	CHECK(close(pipes[0]) == 0 && close(pipes[1]) == 0 && close(copy[0]) == 0 && close(copy[1]) == 0);
}

static void zero_copy(enum transport transport, struct end *a, struct end *b)
{
	static char buffer[20000];
	struct msghdr message = {};
	char control[128];

	if (!is_tcp(transport) || setsockopt(a->fd, SOL_SOCKET, SO_ZEROCOPY, &(int){ 1 }, sizeof(int)))
		return;
	fill(a, buffer, sizeof(buffer));
	CHECK(send(a->fd, buffer, sizeof(buffer), MSG_ZEROCOPY) == sizeof(buffer));
	note_data(a, SEND, sizeof(buffer));
	note(a, "zerocopy");
	note_process("mark-zerocopy");
	plain_receive(b, sizeof(buffer));
	message.msg_control = control;
	message.msg_controllen = sizeof(control);
	usleep(1000);
	recvmsg(a->fd, &message, MSG_ERRQUEUE); /* the completion: no byte of the stream */
}

/* The least of an io_uring: one submission at a time, its completion awaited. */
struct ring { int fd; unsigned *tail, *mask, *array, *head, *cq_tail, *cq_mask; struct io_uring_sqe *entries;
	      struct io_uring_cqe *done; };

static int open_ring(struct ring *ring)
{
	struct io_uring_params parameters = {};
	char *queue;

	ring->fd = syscall(SYS_io_uring_setup, 4, &parameters);
	if (ring->fd < 0 || !(parameters.features & IORING_FEAT_SINGLE_MMAP))
		return 0;
	queue = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->entries = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (queue == MAP_FAILED)
		queue = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	CHECK(queue != MAP_FAILED && ring->entries != MAP_FAILED);
	ring->tail = (unsigned *)(queue + parameters.sq_off.tail);
	ring->mask = (unsigned *)(queue + parameters.sq_off.ring_mask);
	ring->array = (unsigned *)(queue + parameters.sq_off.array);
	ring->head = (unsigned *)(queue + parameters.cq_off.head);
	ring->cq_tail = (unsigned *)(queue + parameters.cq_off.tail);
	ring->cq_mask = (unsigned *)(queue + parameters.cq_off.ring_mask);
	ring->done = (struct io_uring_cqe *)(queue + parameters.cq_off.cqes);
	return 1;
}

static int submit(struct ring *ring, int operation, int fd, void *buffer, unsigned count, unsigned flags)
{
	unsigned slot = *ring->tail & *ring->mask, head;
	int result;

	ring->entries[slot] = (struct io_uring_sqe){ .opcode = operation, .fd = fd, .addr = (uintptr_t)buffer,
						      .len = count, .flags = flags };
	ring->array[slot] = slot;
	__atomic_store_n(ring->tail, *ring->tail + 1, __ATOMIC_RELEASE);
	CHECK(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
	head = *ring->head;
	CHECK(head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE));
	result = ring->done[head & *ring->cq_mask].res;
	__atomic_store_n(ring->head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static void by_io_uring(struct end *a, struct end *b)
{
	struct ring ring;
	char buffer[1000];

	if (!open_ring(&ring))
		return;
	note_process("mark-io-uring");
	plain_send(a, 10);
	fill(a, buffer, 700);
	CHECK(submit(&ring, IORING_OP_SEND, a->fd, buffer, 700, 0) == 700);
	note_gap(a, SEND, 700, "io-uring");
	plain_receive(b, 10);
	CHECK(submit(&ring, IORING_OP_RECV, b->fd, buffer, sizeof(buffer), 0) == 700);
	check(b, buffer, 700);
	note_gap(b, RECEIVE, 700, "io-uring");
	fill(a, buffer, 800); /* by a thread of io_uring's own */
	CHECK(submit(&ring, IORING_OP_SEND, a->fd, buffer, 800, IOSQE_ASYNC) == 800);
	note_gap(a, SEND, 800, "io-uring");
	CHECK(submit(&ring, IORING_OP_RECV, b->fd, buffer, sizeof(buffer), IOSQE_ASYNC) == 800);
	note_gap(b, RECEIVE, 800, "io-uring");
	plain_send(a, 30);
	plain_receive(b, 30);
	CHECK(close(ring.fd) == 0);
}

/* A 32-bit system call from 64-bit code: the numbers and structs of i386, addresses below 4 GiB. */
static long call32(long number, long a, long b, long c, long d)
{
	long result;

	__asm__ volatile("movq %6, %%rsi\n\tint $0x80"
			 : "=a"(result)
			 : "0"(number), "b"(a), "c"(b), "d"(c), "D"(0L), "r"(d)
			 : "rsi", "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void by_32_bit(struct end *a, struct end *b)
{
	char *low = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t *words = (uint32_t *)(low + 4096), base = (uintptr_t)low, arguments = (uintptr_t)words;

	CHECK(low != MAP_FAILED);
	fill(a, low, 100);
	if (call32(4 /* write */, a->fd, base, 100, 0) != 100)
		return; /* a kernel without IA32_EMULATION */
	note_data(a, SEND, 100);
	note_process("mark-compat");
	CHECK(call32(3 /* read */, b->fd, base, 4096, 0) == 100);
	check(b, low, 100);
	note_data(b, RECEIVE, 100);
	fill(a, low, 60);
	words[0] = base, words[1] = 20, words[2] = base + 20, words[3] = 40;
	CHECK(call32(146 /* writev */, a->fd, arguments, 2, 0) == 60);
	note_data(a, SEND, 60);
	memset(words, 0, 4096);
	words[0] = b->fd, words[1] = base, words[2] = 4096;
	CHECK(call32(102 /* socketcall */, 10 /* SYS_RECV */, arguments, 0, 0) == 60);
	check(b, low, 60);
	note_data(b, RECEIVE, 60);
	fill(a, low, 50);
	memset(words, 0, 4096);
	words[2] = arguments + 64, words[3] = 2; /* struct msghdr's msg_iov, msg_iovlen */
	words[16] = base, words[17] = 10, words[18] = base + 10, words[19] = 40;
	CHECK(call32(370 /* sendmsg */, a->fd, arguments, 0, 0) == 50);
	note_data(a, SEND, 50);
	plain_receive(b, 50);
	CHECK(munmap(low, 65536) == 0);
}

/* A caller's page that is gone when the call returns. The send is longer than the buffers, so that it blocks; what has
 * been taken from its first pages by then is taken away from us. */
struct blocked_send { struct end *end; char *buffer; size_t count; };

static void *blocked_send_main(void *argument)
{
	struct blocked_send *send = argument;

	CHECK(write(send->end->fd, send->buffer, send->count) == (ssize_t)send->count);
	return NULL;
}

#define GONE 16384

static void pages_gone(struct end *a, struct end *b)
{
	size_t total = 16 << 20;
	struct blocked_send send = { a, mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), total };
	pthread_t thread;

	CHECK(send.buffer != MAP_FAILED);
	fill(a, send.buffer, total);
	CHECK(pthread_create(&thread, NULL, blocked_send_main, &send) == 0);
	for (int queued = 0; queued < 2 * GONE; usleep(1000))
		CHECK(ioctl(b->fd, FIONREAD, &queued) == 0);
	usleep(20000);
	CHECK(mprotect(send.buffer, GONE, PROT_NONE) == 0);
	plain_receive(b, total);
	pthread_join(thread, NULL);
	note_gap(a, SEND, GONE, "fault");
	note_data(a, SEND, total - GONE);
	CHECK(munmap(send.buffer, total) == 0);
}

static void kernel_tls(enum transport transport)
{
	struct end a, b;

	if (!is_tcp(transport))
		return;
	connect_pair(transport, &a, &b);
	if (setsockopt(a.fd, IPPROTO_TCP, 31 /* TCP_ULP */, "tls", 3) == 0)
		note(&a, "ktls");
	plain_send(&a, 10);
	plain_receive(&b, 10);
	close_both(&a, &b);
}

void run_blind_spots(enum transport transport)
{
	struct end a, b;

	connect_pair(transport, &a, &b);
	file_sent(&a, &b);
	spliced(&a, &b);
	zero_copy(transport, &a, &b);
	by_io_uring(&a, &b);
	by_32_bit(&a, &b);
	pages_gone(&a, &b);
	plain_send(&b, 99);
	plain_receive(&a, 99);
	close_both(&a, &b);
	kernel_tls(transport);
}
