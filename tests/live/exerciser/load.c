/* More than the kernel program's ceilings, and many threads and connections at once. */
#include "exerciser.h"

/* bpf/transfer.h: STEPS steps of 33 programs, of at most 16,320 bytes or one iovec (or message header) each. */
#define CALL_STEPS (68 * 33)
#define STEP_BYTES 16320

static void more_bytes(void)
{
	size_t total = 40 << 20, captured = (size_t)CALL_STEPS * STEP_BYTES;
	struct end a, b;
	pthread_t thread;
	char *buffer = malloc(total);

	connect_pair(TCP4, &a, &b);
	receive_in_thread(&b, total, &thread);
	fill(&a, buffer, total);
	CHECK(write(a.fd, buffer, total) == (ssize_t)total);
	note_data(&a, SEND, captured);
	note_gap(&a, SEND, total - captured, "size-limit");
	pthread_join(thread, NULL);
	close_both(&a, &b);
	free(buffer);
}

static void more_messages(void)
{
	static struct mmsghdr headers[1024];
	static struct iovec vectors[1024][2];
	static char buffer[4096];
	struct end a, b;
	size_t steps = CALL_STEPS, captured = 0;
	pthread_t thread;

	connect_pair(UNIX, &a, &b);
	receive_in_thread(&b, 2048, &thread);
	fill(&a, buffer, 2048);
	for (int i = 0; i < 1024; i++) {
		vectors[i][0] = (struct iovec){ buffer + 2 * i, 1 };
		vectors[i][1] = (struct iovec){ buffer + 2 * i + 1, 1 };
		headers[i].msg_hdr = (struct msghdr){ .msg_iov = vectors[i], .msg_iovlen = 2 };
	}
	CHECK(sendmmsg(a.fd, headers, 1024, 0) == 1024);
	pthread_join(thread, NULL);
	/* a step each for a message's header, each iovec, each copy */
	for (; steps >= 5; steps -= 5)
		captured += 2;
	captured += steps >= 3;
	note_data(&a, SEND, captured);
	note_gap(&a, SEND, 2048 - captured, "message-limit");
	close_both(&a, &b);
}

void run_limits(void)
{
	more_bytes();
	more_messages();
}

#define THREADS 4
#define ROUNDS 2000

struct crowd { struct end *end; size_t received; };

static void *crowd_send(void *argument)
{
	struct crowd *crowd = argument;
	unsigned char buffer[256];
	unsigned seed = (uintptr_t)&buffer;

	for (int i = 0; i < ROUNDS; i++) {
		size_t count = 1 + rand_r(&seed) % sizeof(buffer);

		memset(buffer, rand_r(&seed), count);
		CHECK(send(crowd->end->fd, buffer, count, 0) == (ssize_t)count);
		__atomic_fetch_add(&crowd->end->sent, count, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *crowd_receive(void *argument)
{
	struct crowd *crowd = argument;
	char buffer[300];
	ssize_t got;

	while ((got = recv(crowd->end->fd, buffer, sizeof(buffer), 0)) > 0)
		__atomic_fetch_add(&crowd->received, got, __ATOMIC_RELAXED);
	CHECK(got == 0);
	return NULL;
}

/* Threads that share both ends: what was sent and what was received must be the same recorded bytes in the same order. */
static void crowd(enum transport transport)
{
	struct end a, b;
	struct crowd senders = { &a, 0 }, receivers = { &b, 0 };
	pthread_t sending[THREADS], receiving[THREADS];

	connect_pair(transport, &a, &b);
	for (int i = 0; i < THREADS; i++) {
		CHECK(pthread_create(&receiving[i], NULL, crowd_receive, &receivers) == 0);
		CHECK(pthread_create(&sending[i], NULL, crowd_send, &senders) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(sending[i], NULL);
	CHECK(shutdown(a.fd, SHUT_WR) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(receiving[i], NULL);
	CHECK(a.sent == receivers.received);
	a.received = a.sent; /* into the log as a total */
	a.sent = 0;
	note_gap(&a, SEND, a.received, "total");
	b.received = 0;
	note_gap(&b, RECEIVE, receivers.received, "total");
	close_both(&a, &b);
}

#define SHORT_CONNECTIONS 10007
#define PARALLEL 503

static void short_connections(void)
{
	int listener = listen_on(TCP4);
	struct end a, b;

	for (int i = 0; i < SHORT_CONNECTIONS; i++) {
		connect_to(TCP4, listener, &a, &b);
		plain_send(&a, 40);
		plain_receive(&b, 40);
		plain_send(&b, 60);
		plain_receive(&a, 60);
		close_both(&a, &b);
	}
	CHECK(close(listener) == 0);
}

static void parallel_connections(void)
{
	static struct end a[PARALLEL], b[PARALLEL];
	int listener = listen_on(UNIX);

	for (int i = 0; i < PARALLEL; i++)
		connect_to(UNIX, listener, &a[i], &b[i]);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < PARALLEL; i++)
			plain_send(&a[i], 10 + i);
		for (int i = PARALLEL; i-- > 0;)
			plain_receive(&b[i], 10 + i);
	}
	for (int i = 0; i < PARALLEL; i++)
		close_both(&a[i], &b[i]);
	CHECK(close(listener) == 0);
}

void run_stress(void)
{
	crowd(TCP4);
	crowd(PAIR);
	short_connections();
	parallel_connections();
}
