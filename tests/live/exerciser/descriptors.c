/* One socket under many descriptors, processes and programs, and descriptors that change their meaning meanwhile. */
#include "exerciser.h"
#include <linux/close_range.h>

static struct end through(struct end *end, int fd)
{
	struct end other = *end;

	CHECK(fd >= 0);
	other.fd = fd;
	return other;
}

/* Does something with another descriptor of the same end, and closes it. */
static void use(struct end *end, int fd, void (*action)(struct end *, size_t))
{
	struct end other = through(end, fd);

	action(&other, 11);
	end->sent = other.sent;
	end->received = other.received;
	CHECK(close(fd) == 0);
}

static void duplicates(struct end *a, struct end *b)
{
	use(a, dup(a->fd), plain_send);
	use(a, dup2(a->fd, 200), plain_send);
	use(a, dup3(a->fd, 201, O_CLOEXEC), plain_send);
	use(a, fcntl(a->fd, F_DUPFD, 202), plain_send);
	use(a, fcntl(a->fd, F_DUPFD_CLOEXEC, 203), plain_send);
	for (int i = 0; i < 5; i++)
		use(b, dup(b->fd), plain_receive);
}

static void last_descriptor_is_a_duplicate(enum transport transport)
{
	struct end a, b;
	int copy;

	connect_pair(transport, &a, &b);
	plain_send(&a, 5);
	copy = dup(a.fd);
	CHECK(close(a.fd) == 0);
	a.fd = copy;
	plain_send(&a, 6);
	plain_receive(&b, 11);
	CHECK(dup2(0, a.fd) == a.fd); /* closes the socket without a word */
	note(&a, "closed");
	CHECK(read(b.fd, &copy, 1) == 0);
	note(&b, "eof");
	CHECK(close(a.fd) == 0 && close(b.fd) == 0);
	note(&b, "closed");
}

static void closed_by_range(enum transport transport)
{
	struct end a, b;

	connect_pair(transport, &a, &b);
	CHECK(dup2(a.fd, 500) == 500 && dup2(b.fd, 501) == 501 && close(a.fd) == 0 && close(b.fd) == 0);
	a.fd = 500;
	b.fd = 501;
	plain_send(&a, 21);
	plain_receive(&b, 21);
	if (syscall(SYS_close_range, 500, 501, 0) == 0) {
		note(&a, "closed");
		note(&b, "closed");
	}
}

static void passed(enum transport transport)
{
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } control = {};
	struct end a, b, carrier, other;
	char byte = 'p';
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	connect_pair(transport, &a, &b);
	connect_pair(PAIR, &carrier, &other);
	plain_send(&a, 8);
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &a.fd, sizeof(int));
	fill(&carrier, &byte, 1);
	CHECK(sendmsg(carrier.fd, &message, 0) == 1);
	note_data(&carrier, SEND, 1);
	CHECK(close(a.fd) == 0); /* it lives on in the message */
	CHECK(recvmsg(other.fd, &message, 0) == 1);
	note_data(&other, RECEIVE, 1);
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(int));
	a.fd = fd;
	plain_send(&a, 9);
	plain_receive(&b, 17);
	close_both(&a, &b);
	close_both(&carrier, &other);
}

static void finish_child(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forked(enum transport transport)
{
	struct end a, b;
	pid_t child;
	char buffer[64];

	connect_pair(transport, &a, &b);
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		fill(&a, buffer, 40);
		_exit(write(a.fd, buffer, 40) != 40);
	}
	CHECK(close(a.fd) == 0);
	finish_child(child);
	note_data(&a, SEND, 40);
	note(&a, "closed-by-child");
	plain_receive(&b, 40);
	CHECK(read(b.fd, buffer, 1) == 0);
	note(&b, "eof");
	CHECK(close(b.fd) == 0);
	note(&b, "closed");
}

static void inherited_by_exec(enum transport transport)
{
	struct end a, b;
	char fd[16], out[16], in[16];
	pid_t child;

	connect_pair(transport, &a, &b);
	snprintf(fd, sizeof(fd), "%d", a.fd);
	snprintf(out, sizeof(out), "%u", a.out);
	snprintf(in, sizeof(in), "%u", a.in);
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(execl("/proc/self/exe", "exerciser", "child", fd, out, in, NULL));
	plain_send(&b, 33);
	finish_child(child);
	note_data(&a, RECEIVE, 33);
	note_data(&a, SEND, 44);
	plain_receive(&b, 44);
	close_both(&a, &b);
}

int run_child(char **arguments)
{
	struct end end = { .fd = atoi(arguments[2]), .out = atoi(arguments[3]), .in = atoi(arguments[4]) };
	char buffer[64];

	CHECK(recv(end.fd, buffer, 33, MSG_WAITALL) == 33);
	check(&end, buffer, 33);
	fill(&end, buffer, 44);
	CHECK(write(end.fd, buffer, 44) == 44);
	return 0;
}

struct blocked { struct end *end; int fd; _Atomic pid_t tid; };

static void *blocked_main(void *argument)
{
	struct blocked *blocked = argument;
	char buffer[64];

	blocked->tid = syscall(SYS_gettid);
	CHECK(recv(blocked->fd, buffer, sizeof(buffer), 0) == 16);
	check(blocked->end, buffer, 16);
	note_data(blocked->end, RECEIVE, 16);
	return NULL;
}

/* What /proc says of a thread; empty while it has not told its number. */
static void thread_file(pid_t tid, const char *name, char *line, int size)
{
	char path[64];
	FILE *file;

	*line = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	file = fopen(path, "r");
	if (!file)
		return;
	CHECK(fgets(line, size, file));
	fclose(file);
}

/* Until the thread sleeps in its receive: on a busy machine it may take long to come there, and a tracer stops it before
 * (proc(5): the number of the call, and the state behind the name in parentheses). */
static void wait_until_blocked(struct blocked *blocked)
{
	char call[256], state[256];

	do {
		usleep(1000);
		thread_file(blocked->tid, "syscall", call, sizeof(call));
		thread_file(blocked->tid, "stat", state, sizeof(state));
	} while (strncmp(call, "45 ", 3) || !strstr(state, ") S "));
}

/* The descriptor of a blocked receive is given to another socket before the bytes come. */
static void reused_while_blocked(enum transport transport)
{
	struct end a, b, c, d;
	struct blocked blocked;
	pthread_t thread;

	connect_pair(transport, &a, &b);
	connect_pair(transport, &c, &d);
	plain_send(&c, 3);
	plain_receive(&d, 3);
	blocked = (struct blocked){ &b, b.fd, 0 };
	CHECK(pthread_create(&thread, NULL, blocked_main, &blocked) == 0);
	wait_until_blocked(&blocked);
	CHECK(dup2(d.fd, b.fd) == b.fd);
	note(&b, "reused-while-blocked");
	note(&d, "reused-while-blocked");
	plain_send(&a, 16);
	pthread_join(thread, NULL);
	plain_send(&c, 7);
	plain_receive(&d, 7);
	CHECK(close(b.fd) == 0);
	CHECK(close(a.fd) == 0);
	note(&a, "closed");
	close_both(&c, &d);
}

void run_descriptors(enum transport transport)
{
	struct end a, b;

	connect_pair(transport, &a, &b);
	duplicates(&a, &b);
	close_both(&a, &b);
	last_descriptor_is_a_duplicate(transport);
	closed_by_range(transport);
	passed(transport);
	forked(transport);
	inherited_by_exec(transport);
	reused_while_blocked(transport);
}

/* What there was before the recording began: a connection with bytes behind it, a blocked receive, a listener. */
static struct end early_a, early_b, waiting_a, waiting_b;
static struct blocked early_blocked;
static pthread_t early_thread;
static int early_listener;

void prepare_early(void)
{
	connect_pair(TCP4, &early_a, &early_b);
	CHECK(write(early_a.fd, "unseen", 6) == 6);
	CHECK(recv(early_b.fd, (char[6]){ 0 }, 6, MSG_WAITALL) == 6);
	connect_pair(TCP6, &waiting_a, &waiting_b);
	early_blocked = (struct blocked){ &waiting_b, waiting_b.fd, 0 };
	CHECK(pthread_create(&early_thread, NULL, blocked_main, &early_blocked) == 0);
	wait_until_blocked(&early_blocked);
	early_listener = listen_on(UNIX);
}

void run_early(void)
{
	struct end a, b;

	note(&early_a, "joined");
	note(&early_b, "joined");
	note(&waiting_b, "joined");
	plain_send(&early_a, 60);
	plain_receive(&early_b, 60);
	plain_send(&waiting_a, 16);
	pthread_join(early_thread, NULL);
	connect_to(UNIX, early_listener, &a, &b);
	plain_send(&a, 12);
	plain_receive(&b, 12);
	close_both(&a, &b);
	close_both(&early_a, &early_b);
	close_both(&waiting_a, &waiting_b);
}
