/* pump COUNT SIZE: write and read COUNT messages of SIZE bytes over a Unix stream socket pair; prints ns per write+read pair.
 * pump COUNT 0: COUNT calls of getppid(2) instead, the cheapest system call: what a bystander pays; prints ns per call.
 * Waits for a line on standard input first, so that a recorder can attach. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long count = atol(argv[1]), size = atol(argv[2]);
	char *buffer = calloc(1, size + 1);
	int pair[2], line;
	if (argc < 3 || !buffer || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 1;
	for (unsigned long i = 0, random = 1; i < (unsigned long)size; i++) { /* letters that hardly repeat themselves */
		random = random * 6364136223846793005UL + 1442695040888963407UL;
		buffer[i] = 'a' + (random >> 33) % 26;
	}
	while ((line = getchar()) != '\n' && line != EOF)
		;
	double start = now();
	for (long i = 0; i < count; i++) {
		if (!size) {
			syscall(SYS_getppid);
			continue;
		}
		if (write(pair[0], buffer, size) != size)
			return 1;
		for (long got = 0; got < size;) {
			long n = read(pair[1], buffer + got, size - got);
			if (n <= 0)
				return 1;
			got += n;
		}
	}
	printf("%.1f\n", (now() - start) / count);
	return 0;
}
