/* The exerciser's frame: connections, the log of what moved, and the order of the scenarios. */
#include "exerciser.h"

static unsigned streams;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;

void fail(const char *what)
{
	fprintf(stderr, "exerciser: %s: %s\n", what, strerror(errno));
	exit(1);
}

unsigned char pattern(unsigned stream, size_t position)
{
	return position * 131 + (position >> 8) * 17 + stream * 29;
}

void fill(struct end *end, void *buffer, size_t count)
{
	for (size_t i = 0; i < count; i++)
		((unsigned char *)buffer)[i] = pattern(end->out, end->sent + i);
}

void check(struct end *end, const void *buffer, size_t count)
{
	for (size_t i = 0; i < count; i++)
		CHECK(((const unsigned char *)buffer)[i] == pattern(end->in, end->received + i));
}

static void say(struct end *end, enum side side, const char *kind, size_t count)
{
	pthread_mutex_lock(&log_lock);
	fprintf(log_file, "%lu %s %s %zu %u %zu\n", end->inode, side == SEND ? "send" : "receive", kind, count,
		side == SEND ? end->out : end->in, side == SEND ? end->sent : end->received);
	pthread_mutex_unlock(&log_lock);
}

void note_data(struct end *end, enum side side, size_t count) { note_gap(end, side, count, "data"); }

void note_gap(struct end *end, enum side side, size_t count, const char *reason)
{
	say(end, side, reason, count);
	if (side == SEND)
		end->sent += count;
	else
		end->received += count;
}

void note(struct end *end, const char *what)
{
	pthread_mutex_lock(&log_lock);
	fprintf(log_file, "%lu note %s\n", end->inode, what);
	pthread_mutex_unlock(&log_lock);
}

void note_process(const char *what)
{
	fprintf(log_file, "%d process %s\n", getpid(), what);
}

static unsigned long inode_of(int fd)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	return status.st_ino;
}

void adopt(struct end *a, struct end *b, int fd_a, int fd_b)
{
	unsigned first = streams;

	streams += 2;
	*a = (struct end){ .fd = fd_a, .inode = inode_of(fd_a), .out = first, .in = first + 1 };
	*b = (struct end){ .fd = fd_b, .inode = inode_of(fd_b), .out = first + 1, .in = first };
}

int is_tcp(enum transport transport) { return transport == TCP4 || transport == TCP6; }

const char *transport_name(enum transport transport)
{
	static const char *names[] = { "tcp4", "tcp6", "unix", "pair" };

	return names[transport];
}

int listen_on(enum transport transport)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	int fd = socket(transport == TCP4 ? AF_INET : transport == TCP6 ? AF_INET6 : AF_UNIX, SOCK_STREAM, 0);
	int bound;

	CHECK(fd >= 0);
	if (transport == TCP4)
		bound = bind(fd, (void *)&v4, sizeof(v4));
	else if (transport == TCP6)
		bound = bind(fd, (void *)&v6, sizeof(v6));
	else /* autobind: an abstract name that the kernel chooses (unix(7)) */
		bound = bind(fd, (void *)&local, sizeof(sa_family_t));
	CHECK(bound == 0 && listen(fd, 512) == 0);
	return fd;
}

void connect_to(enum transport transport, int listener, struct end *client, struct end *server)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd = socket(transport == TCP4 ? AF_INET : transport == TCP6 ? AF_INET6 : AF_UNIX, SOCK_STREAM, 0), other;

	CHECK(fd >= 0 && getsockname(listener, (void *)&address, &size) == 0);
	CHECK(connect(fd, (void *)&address, size) == 0);
	other = accept(listener, NULL, NULL);
	CHECK(other >= 0);
	adopt(client, server, fd, other);
}

void connect_pair(enum transport transport, struct end *a, struct end *b)
{
	int pair[2], listener;

	if (transport == PAIR) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		adopt(a, b, pair[0], pair[1]);
		return;
	}
	listener = listen_on(transport);
	connect_to(transport, listener, a, b);
	CHECK(close(listener) == 0);
}

void close_both(struct end *a, struct end *b)
{
	CHECK(close(a->fd) == 0 && close(b->fd) == 0);
	note(a, "closed");
	note(b, "closed");
}

void plain_send(struct end *end, size_t count)
{
	char *buffer = malloc(count);

	fill(end, buffer, count);
	CHECK(write(end->fd, buffer, count) == (ssize_t)count);
	note_data(end, SEND, count);
	free(buffer);
}

void plain_receive(struct end *end, size_t count)
{
	char *buffer = malloc(count);

	while (count) {
		ssize_t got = read(end->fd, buffer, count);

		CHECK(got > 0);
		check(end, buffer, got);
		note_data(end, RECEIVE, got);
		count -= got;
	}
	free(buffer);
}

struct receiver { struct end *end; size_t count; };

static void *receive_main(void *argument)
{
	struct receiver *receiver = argument;

	plain_receive(receiver->end, receiver->count);
	free(receiver);
	return NULL;
}

void receive_in_thread(struct end *end, size_t count, pthread_t *thread)
{
	struct receiver *receiver = malloc(sizeof(*receiver));

	*receiver = (struct receiver){ end, count };
	CHECK(pthread_create(thread, NULL, receive_main, receiver) == 0);
}

static void run_everything(void)
{
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		run_calls(transport);
		run_descriptors(transport);
		run_blind_spots(transport);
	}
	run_limits();
}

/* exerciser LOG early|all|stress: says "ready", waits for a line, works, writes its log. */
int main(int count, char **arguments)
{
	char line[8];

	signal(SIGPIPE, SIG_IGN);
	if (count == 5 && !strcmp(arguments[1], "child"))
		return run_child(arguments);
	CHECK(count == 3);
	CHECK((log_file = fopen(arguments[1], "w")) != NULL);
	if (!strcmp(arguments[2], "early"))
		prepare_early();
	puts("ready");
	fflush(stdout);
	CHECK(read(0, line, sizeof(line)) > 0);
	if (!strcmp(arguments[2], "early"))
		run_early();
	else if (!strcmp(arguments[2], "stress"))
		run_stress();
	else
		run_everything();
	CHECK(fclose(log_file) == 0);
	return 0;
}
