/* The system calls that are looked at, one line each: number (x86-64), name, direction, shape, and the flags argument.
 *
 * The numbers are the kernel's arch/x86/entry/syscalls/syscall_64.tbl. Law: a table; what a shape does is transfer.h's
 * and descriptors.h's. FLAGS says which argument holds MSG_* flags, 7 if none.
 */

enum shape {
	SHAPE_BUFFER,   /* (fd, buffer, length, ...) */
	SHAPE_VECTOR,   /* (fd, iovec, count, ...) */
	SHAPE_MESSAGE,  /* (fd, msghdr, flags) */
	SHAPE_MESSAGES, /* (fd, mmsghdr, count, flags): returns how many messages */
	SHAPE_SENDFILE, /* (out_fd, in_fd, offset, count) */
	SHAPE_SPLICE,   /* (fd_in, off_in, fd_out, off_out, length, flags) */
	SHAPE_ACCEPT,
	SHAPE_CONNECT,
	SHAPE_CLOSE,
	SHAPE_DUP,      /* (old, new): new is closed without a word */
	SHAPE_CLOSE_RANGE,
	SHAPE_SHUTDOWN,
	SHAPE_PAIR,
	SHAPE_IO_URING,
	SHAPE_SETSOCKOPT,
	SHAPE_PROCESS_VM,
};

#define NO_FLAGS 7

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
	CALL(54, setsockopt, NONE, SETSOCKOPT, NO_FLAGS) \
	CALL(275, splice, NONE, SPLICE, NO_FLAGS) \
	CALL(288, accept4, NONE, ACCEPT, NO_FLAGS) \
	CALL(292, dup3, NONE, DUP, NO_FLAGS) \
	CALL(299, recvmmsg, RECEIVE, MESSAGES, 3) \
	CALL(307, sendmmsg, SEND, MESSAGES, 3) \
	CALL(310, process_vm_readv, NONE, PROCESS_VM, NO_FLAGS) \
	CALL(327, preadv2, RECEIVE, VECTOR, NO_FLAGS) /* legal on a socket with offset -1 */ \
	CALL(328, pwritev2, SEND, VECTOR, NO_FLAGS) \
	CALL(425, io_uring_setup, NONE, IO_URING, NO_FLAGS) \
	CALL(426, io_uring_enter, NONE, IO_URING, NO_FLAGS) \
	CALL(436, close_range, NONE, CLOSE_RANGE, NO_FLAGS)
