/* The system calls that are looked at, one line each: number, name, direction, shape, and which argument holds MSG_* flags.
 *
 * Numbers: arch/x86/entry/syscalls/syscall_64.tbl and syscall_32.tbl of the kernel. Law: a table; what a shape does is
 * transfer.h's and descriptors.h's.
 */

enum shape {
	/* bytes in the caller's memory */
	SHAPE_BUFFER,   /* (fd, buffer, length, ...) */
	SHAPE_VECTOR,   /* (fd, iovec, count, ...) */
	SHAPE_MESSAGE,  /* (fd, msghdr, flags) */
	SHAPE_MESSAGES, /* (fd, mmsghdr, count, flags): returns how many messages */
	/* bytes that never are there */
	SHAPE_SENDFILE, /* (out_fd, in_fd, offset, count) */
	SHAPE_SPLICE,   /* (fd_in, off_in, fd_out, off_out, length, flags) */
	/* descriptors */
	SHAPE_ACCEPT,   /* (fd, ...): returns the new descriptor */
	SHAPE_CONNECT,  /* (fd, ...) */
	SHAPE_CLOSE,    /* (fd) */
	SHAPE_DUP,      /* (old, new): new is closed without a word */
	SHAPE_CLOSE_RANGE, /* (first, last, flags) */
	SHAPE_SHUTDOWN, /* (fd, how) */
	SHAPE_PAIR,     /* (family, type, protocol, int[2]) */
	SHAPE_OPTION,   /* setsockopt(fd, level, name, ...) */
	SHAPE_IO_URING, /* io_uring_setup, io_uring_enter */
	SHAPE_SOCKETCALL, /* 32-bit: socketcall(number, arguments) */
};

#define NO_FLAGS 6 /* no argument has this number */

/* include/linux/socket.h */
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define MSG_ZEROCOPY 0x4000000
#define MSG_FASTOPEN 0x20000000

#define SYSCALLS(CALL) \
	CALL(0, read, RECEIVE, BUFFER, NO_FLAGS) \
	CALL(1, write, SEND, BUFFER, NO_FLAGS) \
	CALL(3, close, NONE, CLOSE, NO_FLAGS) \
	CALL(19, readv, RECEIVE, VECTOR, NO_FLAGS) \
	CALL(20, writev, SEND, VECTOR, NO_FLAGS) \
	CALL(33, dup2, NONE, DUP, NO_FLAGS) \
	CALL(40, sendfile, SEND, SENDFILE, NO_FLAGS) \
	CALL(42, connect, NONE, CONNECT, NO_FLAGS) \
	CALL(43, accept, NONE, ACCEPT, NO_FLAGS) \
	CALL(44, sendto, SEND, BUFFER, 3) \
	CALL(45, recvfrom, RECEIVE, BUFFER, 3) \
	CALL(46, sendmsg, SEND, MESSAGE, 2) \
	CALL(47, recvmsg, RECEIVE, MESSAGE, 2) \
	CALL(48, shutdown, NONE, SHUTDOWN, NO_FLAGS) \
	CALL(53, socketpair, NONE, PAIR, NO_FLAGS) \
	CALL(54, setsockopt, NONE, OPTION, NO_FLAGS) \
	CALL(275, splice, NONE, SPLICE, NO_FLAGS) \
	CALL(288, accept4, NONE, ACCEPT, NO_FLAGS) \
	CALL(292, dup3, NONE, DUP, NO_FLAGS) \
	CALL(299, recvmmsg, RECEIVE, MESSAGES, 3) \
	CALL(307, sendmmsg, SEND, MESSAGES, 3) \
	CALL(327, preadv2, RECEIVE, VECTOR, NO_FLAGS) /* legal on a socket with offset -1 */ \
	CALL(328, pwritev2, SEND, VECTOR, NO_FLAGS) \
	CALL(425, io_uring_setup, NONE, IO_URING, NO_FLAGS) \
	CALL(426, io_uring_enter, NONE, IO_URING, NO_FLAGS) \
	CALL(436, close_range, NONE, CLOSE_RANGE, NO_FLAGS)

#define COMPAT_SYSCALLS(CALL) \
	CALL(3, read, RECEIVE, BUFFER, NO_FLAGS) \
	CALL(4, write, SEND, BUFFER, NO_FLAGS) \
	CALL(6, close, NONE, CLOSE, NO_FLAGS) \
	CALL(63, dup2, NONE, DUP, NO_FLAGS) \
	CALL(102, socketcall, NONE, SOCKETCALL, NO_FLAGS) \
	CALL(145, readv, RECEIVE, VECTOR, NO_FLAGS) \
	CALL(146, writev, SEND, VECTOR, NO_FLAGS) \
	CALL(187, sendfile, SEND, SENDFILE, NO_FLAGS) \
	CALL(239, sendfile64, SEND, SENDFILE, NO_FLAGS) \
	CALL(313, splice, NONE, SPLICE, NO_FLAGS) \
	CALL(330, dup3, NONE, DUP, NO_FLAGS) \
	CALL(337, recvmmsg, RECEIVE, MESSAGES, 3) \
	CALL(345, sendmmsg, SEND, MESSAGES, 3) \
	CALL(360, socketpair, NONE, PAIR, NO_FLAGS) \
	CALL(362, connect, NONE, CONNECT, NO_FLAGS) \
	CALL(364, accept4, NONE, ACCEPT, NO_FLAGS) \
	CALL(366, setsockopt, NONE, OPTION, NO_FLAGS) \
	CALL(369, sendto, SEND, BUFFER, 3) \
	CALL(370, sendmsg, SEND, MESSAGE, 2) \
	CALL(371, recvfrom, RECEIVE, BUFFER, 3) \
	CALL(372, recvmsg, RECEIVE, MESSAGE, 2) \
	CALL(373, shutdown, NONE, SHUTDOWN, NO_FLAGS) \
	CALL(378, preadv2, RECEIVE, VECTOR, NO_FLAGS) \
	CALL(379, pwritev2, SEND, VECTOR, NO_FLAGS) \
	CALL(417, recvmmsg_time64, RECEIVE, MESSAGES, 3) \
	CALL(425, io_uring_setup, NONE, IO_URING, NO_FLAGS) \
	CALL(426, io_uring_enter, NONE, IO_URING, NO_FLAGS) \
	CALL(436, close_range, NONE, CLOSE_RANGE, NO_FLAGS)

/* socketcall's own numbers: include/uapi/linux/net.h, SYS_* */
#define SOCKETCALLS(CALL) \
	CALL(3, connect, NONE, CONNECT, NO_FLAGS) \
	CALL(5, accept, NONE, ACCEPT, NO_FLAGS) \
	CALL(8, socketpair, NONE, PAIR, NO_FLAGS) \
	CALL(9, send, SEND, BUFFER, 3) \
	CALL(10, recv, RECEIVE, BUFFER, 3) \
	CALL(11, sendto, SEND, BUFFER, 3) \
	CALL(12, recvfrom, RECEIVE, BUFFER, 3) \
	CALL(13, shutdown, NONE, SHUTDOWN, NO_FLAGS) \
	CALL(14, setsockopt, NONE, OPTION, NO_FLAGS) \
	CALL(16, sendmsg, SEND, MESSAGE, 2) \
	CALL(17, recvmsg, RECEIVE, MESSAGE, 2) \
	CALL(18, accept4, NONE, ACCEPT, NO_FLAGS) \
	CALL(19, recvmmsg, RECEIVE, MESSAGES, 3) \
	CALL(20, sendmmsg, SEND, MESSAGES, 3)
