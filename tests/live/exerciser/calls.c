/* Every call that moves bytes, and the flags that change what it means. */
#include "exerciser.h"

#define MANY 1024 /* UIO_MAXIOV */

static void plain_calls(struct end *a, struct end *b)
{
	char buffer[4096];

	fill(a, buffer, 100);
	CHECK(write(a->fd, buffer, 100) == 100);
	note_data(a, SEND, 100);
	CHECK(read(b->fd, buffer, sizeof(buffer)) == 100);
	note_data(b, RECEIVE, 100);

	fill(a, buffer, 200);
	CHECK(send(a->fd, buffer, 200, 0) == 200);
	note_data(a, SEND, 200);
	CHECK(recv(b->fd, buffer, sizeof(buffer), 0) == 200);
	note_data(b, RECEIVE, 200);
	plain_send(b, 77);
	plain_receive(a, 77);
}

/* Splits a buffer into iovecs of the given lengths. */
static void split(struct iovec *vector, int count, const size_t *lengths, char *buffer)
{
	for (int i = 0; i < count; i++) {
		vector[i] = (struct iovec){ buffer, lengths[i] };
		buffer += lengths[i];
	}
}

static void vectors(struct end *a, struct end *b)
{
	static const size_t sent[] = { 0, 3, 0, 0, 50000, 1, 7 }, received[] = { 1, 0, 40000, 0, 10009, 5 };
	struct iovec vector[7];
	char *buffer = malloc(65536);
	struct msghdr message = { .msg_iov = vector };

	fill(a, buffer, 50011);
	split(vector, 7, sent, buffer);
	CHECK(writev(a->fd, vector, 7) == 50011);
	note_data(a, SEND, 50011);
	CHECK(ioctl(b->fd, FIONREAD, &(int){ 0 }) == 0);
	for (size_t left = 50011; left;) {
		ssize_t got;

		split(vector, 6, received, buffer);
		got = readv(b->fd, vector, 6);
		CHECK(got > 0);
		check(b, buffer, got);
		note_data(b, RECEIVE, got);
		left -= got;
	}
	fill(a, buffer, 50011);
	split(vector, 7, sent, buffer);
	message.msg_iovlen = 7;
	CHECK(sendmsg(a->fd, &message, 0) == 50011);
	note_data(a, SEND, 50011);
	for (size_t left = 50011; left;) {
		ssize_t got;

		split(vector, 6, received, buffer);
		message.msg_iovlen = 6;
		got = recvmsg(b->fd, &message, 0);
		CHECK(got > 0);
		check(b, buffer, got);
		note_data(b, RECEIVE, got);
		left -= got;
	}
	/* "if the offset argument is -1, then the current file offset is used" (pwritev2(2)): legal on a socket */
	fill(a, buffer, 4);
	vector[0] = (struct iovec){ buffer, 1 };
	vector[1] = (struct iovec){ buffer + 1, 3 };
	CHECK(pwritev2(a->fd, vector, 2, -1, 0) == 4);
	note_data(a, SEND, 4);
	CHECK(preadv2(b->fd, vector, 2, -1, 0) == 4);
	note_data(b, RECEIVE, 4);
	/* and illegal with another */
	CHECK(preadv(b->fd, vector, 2, 0) < 0 && pread(b->fd, buffer, 1, 0) < 0);
	free(buffer);
}

static void thousand_vectors(struct end *a, struct end *b, size_t each)
{
	static struct iovec vector[MANY];
	size_t total = MANY * each;
	char *buffer = malloc(total);
	pthread_t thread;

	receive_in_thread(b, total, &thread);
	fill(a, buffer, total);
	for (int i = 0; i < MANY; i++)
		vector[i] = (struct iovec){ buffer + i * each, each };
	CHECK(writev(a->fd, vector, MANY) == (ssize_t)total);
	note_data(a, SEND, total);
	pthread_join(thread, NULL);
	free(buffer);
}

static void messages(struct end *a, struct end *b)
{
	struct mmsghdr headers[5] = {};
	struct iovec vectors[5][2];
	char out[5][64], in[5][64];
	int got, sent;

	for (int i = 0; i < 5; i++) {
		struct end part = *a;

		part.sent += i * 30;
		fill(&part, out[i], 30);
		vectors[i][0] = (struct iovec){ out[i], 10 };
		vectors[i][1] = (struct iovec){ out[i] + 10, 20 };
		headers[i].msg_hdr = (struct msghdr){ .msg_iov = vectors[i], .msg_iovlen = 2 };
	}
	sent = sendmmsg(a->fd, headers, 5, 0);
	CHECK(sent == 5);
	note_data(a, SEND, 150);
	for (int i = 0; i < 5; i++) {
		vectors[i][0] = (struct iovec){ in[i], 7 };
		vectors[i][1] = (struct iovec){ in[i] + 7, 30 };
	}
	for (size_t left = 150; left;) {
		got = recvmmsg(b->fd, headers, 5, MSG_WAITFORONE, NULL);
		CHECK(got > 0);
		for (int i = 0; i < got; i++) {
			check(b, in[i], headers[i].msg_len);
			note_data(b, RECEIVE, headers[i].msg_len);
			left -= headers[i].msg_len;
		}
	}
}

static void big(struct end *a, struct end *b, size_t total)
{
	pthread_t thread;

	receive_in_thread(b, total, &thread);
	plain_send(a, total);
	pthread_join(thread, NULL);
}

static void flags(enum transport transport, struct end *a, struct end *b)
{
	char buffer[4096] = {};
	struct iovec vector = { buffer, sizeof(buffer) };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

	plain_send(a, 300);
	CHECK(recv(b->fd, buffer, 100, MSG_PEEK) == 100);
	CHECK(recvmsg(b->fd, &message, MSG_PEEK) == 300);
	/* "for TCP, MSG_TRUNC causes the received bytes to be discarded" (tcp(7)); a Unix stream socket fills the buffer */
	memset(buffer, 'z', sizeof(buffer));
	CHECK(recv(b->fd, buffer, 50, MSG_TRUNC) == 50);
	note_gap(b, RECEIVE, 50, is_tcp(transport) ? "msg-trunc" : "data");
	plain_receive(b, 250);
	CHECK(recvmsg(b->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0 || !is_tcp(transport));
	CHECK(recv(b->fd, buffer, 10, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	/* nothing asked for is nothing received, and no end */
	CHECK(read(b->fd, buffer, 0) == 0);
	plain_send(a, 5);
	CHECK(recv(b->fd, buffer, 0, 0) == 0);
	CHECK(recv(b->fd, buffer, 5, MSG_WAITALL) == 5);
	note_data(b, RECEIVE, 5);
}

/* "the last byte is urgent" (tcp(7)): the others stay in the stream. */
static void out_of_band(struct end *a, struct end *b)
{
	struct pollfd urgent = { .fd = b->fd, .events = POLLPRI };
	char buffer[16];

	fill(a, buffer, 9);
	if (send(a->fd, buffer, 10, MSG_OOB) != 10)
		return; /* Unix sockets before 5.15 */
	note_data(a, SEND, 9);
	CHECK(poll(&urgent, 1, -1) == 1); /* recv does not wait for an urgent byte that is still under way */
	CHECK(recv(b->fd, buffer, 1, MSG_OOB) == 1);
	note(b, "urgent");
	plain_receive(b, 9);
	plain_send(a, 20);
	plain_receive(b, 20);
}

static void failures(struct end *a, struct end *b)
{
	char *buffer = malloc(1 << 24);
	ssize_t sent;
	pthread_t thread;

	CHECK(write(-1, buffer, 1) < 0 && read(99999, buffer, 1) < 0);
	fill(a, buffer, 1 << 24);
	CHECK(fcntl(a->fd, F_SETFL, O_NONBLOCK) == 0);
	sent = write(a->fd, buffer, 1 << 24); /* a short write */
	CHECK(sent > 0 && sent < 1 << 24);
	note_data(a, SEND, sent);
	while ((sent = write(a->fd, buffer, 0)) > 0) {}
	CHECK(fcntl(a->fd, F_SETFL, 0) == 0);
	receive_in_thread(b, a->sent - b->received, &thread);
	pthread_join(thread, NULL);
	CHECK(syscall(SYS_write, a->fd, 8L, 100L) < 0 && errno == EFAULT);
	free(buffer);
}

static void ends(enum transport transport, struct end *a, struct end *b)
{
	char byte;

	plain_send(a, 10);
	CHECK(shutdown(a->fd, SHUT_WR) == 0);
	note(a, "shutdown-send");
	plain_receive(b, 10);
	CHECK(read(b->fd, &byte, 1) == 0);
	note(b, "eof");
	CHECK(write(a->fd, "x", 1) < 0 && errno == EPIPE);
	plain_send(b, 30);
	plain_receive(a, 30);
	(void)transport;
}

void run_calls(enum transport transport)
{
	struct end a, b;

	connect_pair(transport, &a, &b);
	plain_calls(&a, &b);
	vectors(&a, &b);
	messages(&a, &b);
	flags(transport, &a, &b);
	out_of_band(&a, &b);
	thousand_vectors(&a, &b, 1);
	thousand_vectors(&b, &a, 1000);
	big(&a, &b, 1 << 20);
	big(&b, &a, (5 << 20) + 13);
	failures(&a, &b);
	ends(transport, &a, &b);
	close_both(&a, &b);
}
