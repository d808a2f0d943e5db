/* The event: what crosses from the kernel program to the recorder, to the file and to every reader.
 *
 * This file is its only definition in C; capfile/event.py mirrors it and a test compares the two field by field.
 * Fixed-width scalars in descending need of alignment, no padding, payload last. Fields are only ever appended
 * (capfile/FORMAT.md, "Evolution"); a reader finds them by the layout that the Header frame carries.
 */
#ifndef EBPF_REC_EVENT_H
#define EBPF_REC_EVENT_H

#define EVENT_ABI 1

/* kind: data and gap travel in the data ring, all the others in the control ring, so that a flood of bytes
 * cannot push out the news that a connection opened or closed. Each ring has its own sequence per CPU. */
enum event_kind {
	EVENT_DATA = 1,      /* bytes [position, position + size) of one direction; the first `captured` of them follow */
	EVENT_SOCKET = 2,    /* a socket seen for the first time, or its addresses now known; payload: struct socket_facts */
	EVENT_SHUTDOWN = 3,  /* shutdown(2); `ret` 0; direction says which half (3: both) */
	EVENT_CLOSE = 4,     /* the socket's last descriptor is gone, or the kernel reports its final state */
	EVENT_STATE = 5,     /* TCP state change of a known socket (sock:inet_sock_set_state); ret = old state << 8 | new state */
	EVENT_FORK = 6,      /* a target made a child process: tgid = parent, ret = the child's tgid */
	EVENT_EXEC = 7,      /* a target replaced its program; payload: its comm (16 bytes) */
	EVENT_EXIT = 8,      /* the last thread of a target is gone */
	EVENT_MARK = 9,      /* a blind spot was met (enum mark_code in ret): said once per process or socket */
	EVENT_AUDIT = 10,    /* the kernel's own byte counts of a socket: payload: struct socket_audit */
};

enum event_direction { DIRECTION_NONE = 0, DIRECTION_RECEIVE = 1, DIRECTION_SEND = 2, DIRECTION_BOTH = 3 };

/* reason: why `size - captured` bytes of this event are not here; 0 when none is missing */
enum event_reason {
	REASON_NONE = 0,
	REASON_SNAPLEN = 1,      /* the user's limit of bytes per call */
	REASON_RING_FULL = 2,    /* the ring had no room (computed by the reader, or sent later by the kernel program) */
	REASON_FAULT = 3,        /* EFAULT: the caller's memory could not be read */
	REASON_SENDFILE = 4,     /* sendfile(2): the bytes never were in user memory */
	REASON_SPLICE = 5,       /* splice(2), tee(2), vmsplice(2) */
	REASON_MSG_TRUNC = 6,    /* recv(MSG_TRUNC) on TCP discards the bytes */
	REASON_IOVEC_LIMIT = 7,  /* more iovecs than the loop's ceiling */
	REASON_SIZE_LIMIT = 8,   /* more bytes per call than the loop's ceiling */
	REASON_COMPAT = 9,       /* a 32-bit caller */
	REASON_IO_URING = 10,    /* moved by io_uring, seen only by its length */
	REASON_UNKNOWN = 11,     /* the kernel counted bytes that no call of ours explains */
	REASON_TURN_LIMIT = 12,  /* the user's limit of bytes per turn of the direction */
	REASON_MESSAGE_LIMIT = 13, /* sendmmsg/recvmmsg: more messages than the loop's ceiling */
	REASON_SCRATCH_BUSY = 14,  /* the per-CPU scratch was in use (preempted program) */
	REASON_DAMAGED = 15,     /* computed by the reader: the file is cut or damaged there */
	REASON_PACKET_LOSS = 16, /* an imported packet recording does not hold the packets that carried them */
	REASON_REDACTED = 17,    /* left out of a copy on purpose: they could not be searched for secrets */
};

enum event_flag {
	FLAG_EOF = 1,             /* receive returned 0: the peer sent FIN */
	FLAG_JOINED = 2,          /* the socket existed before the capture: position 0 is its first seen byte */
	FLAG_ACCEPTED = 4,        /* the traced process accepted this socket */
	FLAG_CONNECTED = 8,       /* the traced process connected this socket */
	FLAG_IDENTITY_UNSURE = 16, /* the descriptor may have been closed and reused while the call was blocked */
	FLAG_COMPAT = 32,         /* 32-bit system call */
	FLAG_ZEROCOPY = 64,       /* MSG_ZEROCOPY: the payload was read at exit and may have changed before it was sent */
	FLAG_PAIR = 128,          /* made by socketpair(2) */
	FLAG_RESET = 256,         /* ended by a reset */
	FLAG_FILE_NAME = 512,     /* a sendfile gap: the payload is the file's name, not bytes of the stream */
};

enum mark_code { MARK_IO_URING = 1, MARK_COMPAT = 2, MARK_KTLS = 3, MARK_ZEROCOPY = 4, MARK_PROCESS_VM = 5 };

struct event {
	u16 abi;         /* EVENT_ABI */
	u8 kind;         /* enum event_kind */
	u8 direction;    /* enum event_direction, seen from the traced process */
	u32 captured;    /* payload bytes that follow this struct */
	u64 sequence;    /* per CPU and ring, counted also when the submit fails */
	u64 time;        /* CLOCK_MONOTONIC, ns, at the call's exit */
	u64 socket;      /* inode number of the socket; 0 for process events */
	u64 generation;  /* number given to this socket when first seen; never reused in a recording */
	u64 position;    /* offset of the first byte in its direction of the socket */
	u64 size;        /* bytes this event stands for; size - captured are missing, for `reason` */
	s64 ret;         /* what the system call returned */
	u32 tgid;        /* the process */
	u32 tid;         /* the thread */
	s32 fd;          /* the descriptor named in the call, -1 if none */
	u32 syscall;     /* x86-64 system call number (the caller's own table if FLAG_COMPAT) */
	u16 reason;      /* enum event_reason */
	u16 flags;       /* enum event_flag, or-ed */
	u32 depth;       /* which iovec or message of the call this part came from */
};

#define UNIX_PATH_BYTES 108

/* payload of EVENT_SOCKET */
struct socket_facts {
	u16 family;          /* AF_UNIX 1, AF_INET 2, AF_INET6 10 */
	u16 type;            /* SOCK_STREAM 1 */
	u16 protocol;        /* IPPROTO_TCP 6, IPPROTO_MPTCP 262, 0 for Unix */
	u16 state;           /* TCP state, or the Unix socket's; as of this event */
	u16 local_port;      /* host order */
	u16 remote_port;     /* host order */
	u32 netns;           /* inode number of the network namespace */
	u8 local_address[16];   /* network order; IPv4 in the first 4 bytes */
	u8 remote_address[16];
	u64 peer_socket;     /* Unix: inode number of the peer, 0 if unknown */
	u64 cgroup;          /* cgroup v2 id of the process */
	u8 local_path[UNIX_PATH_BYTES];  /* Unix: sun_path, NUL padded; first byte NUL: abstract */
	u8 remote_path[UNIX_PATH_BYTES];
};

/* payload of EVENT_AUDIT: bytes moved through this socket since it was first seen, as the kernel counts them */
struct socket_audit {
	u64 received;  /* by the process, from this socket */
	u64 sent;      /* by the process, into this socket */
	u32 source;    /* 1: sock_send_length/sock_recv_length, 2: tcp_sock counters */
	u32 reserved;
};

#endif
