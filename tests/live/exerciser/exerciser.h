/* The exerciser moves known bytes through sockets by every system call there is for it, and says what it moved.
 *
 * Each direction of each connection is a stream of its own number; the byte at position p of stream s is a function of
 * both, so that a reader can check any part of it without having seen the rest.
 */
#ifndef EXERCISER_H
#define EXERCISER_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum transport { TCP4, TCP6, UNIX, PAIR, TRANSPORTS };
enum side { RECEIVE, SEND };

/* One end of a connection: its descriptor, inode, the streams it writes and reads, and how far both are. */
struct end {
	int fd;
	unsigned long inode;
	unsigned out, in;
	size_t sent, received;
};

void fail(const char *what) __attribute__((noreturn));
#define CHECK(condition) do { if (!(condition)) fail(#condition); } while (0)

unsigned char pattern(unsigned stream, size_t position);
/* Writes the next `count` bytes of what the end will send. */
void fill(struct end *end, void *buffer, size_t count);
/* Checks received bytes against the stream, as the application sees them. */
void check(struct end *end, const void *buffer, size_t count);

/* Says that `count` bytes moved: data, or a gap of that reason. The order of calls is the order in the stream. */
void note_data(struct end *end, enum side side, size_t count);
void note_gap(struct end *end, enum side side, size_t count, const char *reason);
/* Says something of an end that a reader will look for: "eof", "joined", … */
void note(struct end *end, const char *what);
void note_process(const char *what);

void connect_pair(enum transport transport, struct end *a, struct end *b);
int listen_on(enum transport transport);
void connect_to(enum transport transport, int listener, struct end *client, struct end *server);
void adopt(struct end *a, struct end *b, int fd_a, int fd_b);
void close_both(struct end *a, struct end *b);
const char *transport_name(enum transport transport);
int is_tcp(enum transport transport);

/* The plainest calls, for scenarios that are about something else. */
void plain_send(struct end *end, size_t count);
void plain_receive(struct end *end, size_t count);
void receive_in_thread(struct end *end, size_t count, pthread_t *thread);

/* Each file of scenarios. */
void run_calls(enum transport transport);
void run_descriptors(enum transport transport);
void run_blind_spots(enum transport transport);
void run_limits(void);
void run_stress(void);
/* Before the recording begins and after. */
void prepare_early(void);
void run_early(void);
/* The part of another program: `exerciser child FD OUT IN` uses an inherited descriptor. */
int run_child(char **arguments);

#endif
