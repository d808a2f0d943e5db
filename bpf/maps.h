/* Every map of the kernel program. docs/kernel-program.md documents each by key, value and lifetime.
 *
 * Law: maps and the structs they hold, nothing else. All of them die with the recorder's descriptors.
 */
#include "event.h"

/* What one perf record carries at most. A per-CPU value may have 32,768 bytes (mm/percpu.c, PCPU_MIN_UNIT_SIZE);
 * a perf record over 65,516 payload bytes vanishes while the submit returns 0 (u16 perf_event_header.size). */
#define SCRATCH_BYTES 32768
#define PERF_RECORD_LIMIT 65516
/* One copy from user memory. Two copies of half the payload each is what lets the verifier see that `used + n` stays
 * inside: it knows the ranges of both, never their relation. */
#define STEP_BYTES 16320
#define PAYLOAD_BYTES (2 * STEP_BYTES)

struct record {
	u64 busy; /* in-use mark: a program that was preempted or interrupted here must not be overwritten */
	struct event event;
	u8 payload[PAYLOAD_BYTES];
};
_Static_assert(sizeof(struct record) <= SCRATCH_BYTES, "the per-CPU scratch is refused above 32,768 bytes");
_Static_assert(sizeof(struct event) + PAYLOAD_BYTES < PERF_RECORD_LIMIT, "a larger perf record vanishes");
_Static_assert(sizeof(struct event) == 88, "capfile/event.py mirrors this layout");

/* What is known of a socket. Key: the address of its struct sock; the inode number tells whether that address has
 * been given to another socket since. Index 0 of the arrays is receive, 1 is send. */
struct socket_state {
	u64 inode;
	u64 generation;
	u64 socket;       /* address of the struct socket: its ->sk is no longer ours once the last descriptor is gone */
	u64 position[2];  /* next byte's offset; with the sock_*_length tracepoints this is the kernel's own count */
	u64 turn;         /* bytes recorded since the direction last turned */
	u64 descriptor;   /* tgid << 32 | fd of the last call */
	u64 counted[2];   /* without the tracepoints: what tcp_sock's copied_seq and write_seq have advanced by */
	u32 sequence[2];  /* their first reading */
	u32 state;        /* enum socket_state_bit */
	u16 family;
	u16 protocol;
	u16 turn_direction;
	u16 flags;        /* enum event_flag bits of its EVENT_SOCKET */
	u32 reserved;
};

enum socket_state_bit {
	SOCKET_ANNOUNCED = 1, /* its EVENT_SOCKET was sent */
	SOCKET_IGNORED = 2,   /* the port filter says no */
	SOCKET_CLOSED = 4,    /* its EVENT_CLOSE was sent */
	SOCKET_COUNTERS = 8,  /* `sequence` holds a first reading */
};

/* The system call that is being looked at, handed from program to program through tail calls. */
struct call {
	u64 argument[6];
	u64 memory;       /* the raw second argument register, see struct last_call */
	s64 ret;
	u64 id;           /* pid_tgid */
	u64 time;
	u64 socket;       /* address of the struct sock */
	u64 inode;
	u64 generation;
	u64 position;     /* of the next byte to emit */
	u64 counted;      /* bytes that the kernel counted inside the call */
	u64 total;        /* bytes the call moved that are still to be emitted */
	u64 allowed;      /* of these, how many may be captured (snaplen, turn limit) */
	u64 vector;       /* address of the next iovec */
	u64 vectors;      /* how many are left of this message */
	u64 message;      /* address of the next mmsghdr */
	u64 messages;     /* how many are left */
	u64 message_left; /* bytes left of this message */
	u64 base;         /* rest of the current iovec */
	u64 length;
	u32 used;         /* payload bytes waiting in the scratch */
	u32 syscall;
	s32 fd;
	u32 depth;        /* iovec or message that the waiting payload began with */
	u32 part;         /* iovec or message reached */
	u16 flags;
	u16 limit_reason; /* why no more than `allowed` is captured */
	u8 direction;
	u8 shape;
	u8 compat;        /* the caller's structs are the 32-bit ones */
	u8 unsure;        /* the socket's own counters do not show this call */
	u32 message_flags;
	u64 placed;       /* generation of the socket, once the call has its place */
};

/* Descriptors that close without a call of their own, looked at one after the other. */
struct closing {
	u64 id;
	u64 time;
	u32 next;
	u32 last;
};

/* The last socket call that was counted on a CPU, written inside the call by sock:sock_{send,recv}_length: the very
 * socket that the call used, whatever its descriptor number means by now, and the place of its bytes. */
struct last_call {
	u64 id;         /* pid_tgid; 0: taken */
	u64 socket;
	u64 generation;
	u64 position;   /* of the first byte */
	u64 bytes;      /* of all its messages so far */
	u64 memory;     /* second argument: with the number, what tells this call from another of the thread */
	u64 reserved;   /* 64 bytes: one cache line per CPU */
	u32 syscall;
	u32 direction;
};

struct mark_key {
	u64 who;  /* tgid, or generation of a socket */
	u32 code; /* enum mark_code */
	u32 of_socket;
};

/* Every counter is per CPU; recorder/program.py reads them by this order. */
enum counter {
	COUNT_DATA_LOST,        /* submits to the data ring that failed */
	COUNT_CONTROL_LOST,
	COUNT_LOST_BYTES,       /* payload bytes of failed submits */
	COUNT_GAP_BYTES,        /* bytes of gaps of any reason */
	COUNT_FAULTS,           /* user memory that could not be read */
	COUNT_SCRATCH_BUSY,
	COUNT_CONTROL_BUSY,     /* control events not sent: an interrupt came in the middle of another */
	COUNT_SOCKETS_NEW,      /* less those gone and those in the map: dropped by the map to make room */
	COUNT_SOCKETS_GONE,
	COUNT_MAP_SOCKETS_FULL, /* an update that failed */
	COUNT_MAP_DESCRIPTORS_FULL,
	COUNT_UNPLACED_CALLS,   /* calls whose bytes could not be given a place: a hole of their size stays */
	COUNT_IDENTITY_UNSURE,
	COUNT_TAIL_CALL_FAILED,
	COUNTERS,
};

/* Programs that are reached by tail call; recorder/program.py puts them into `stages` by this order. A program calls its
 * own kind alone: on_close_process, which runs after on_free, stands in `end_stages`. */
enum stage {
	STAGE_TRANSFER,
	STAGE_DESCRIPTORS,
	STAGE_COMPAT,
	STAGE_DATA,
	STAGE_CLOSE_RANGE,
};

#define CLOSING_RANGE 0
#define CLOSING_PROCESS 1

#define TARGET_YES 1
#define TARGET_NEVER 2
#define TARGET_ENDED 3 /* its last thread has gone, its descriptors are being closed */

BPF_PERF_OUTPUT(data_ring);
BPF_PERF_OUTPUT(control_ring);
BPF_PERCPU_ARRAY(scratch, struct record, 1);
BPF_PERCPU_ARRAY(calls, struct call, 1);
BPF_PERCPU_ARRAY(counters, u64, COUNTERS);
BPF_PERCPU_ARRAY(sequences, u64, 3); /* data, control, and the control ring's in-use mark */
BPF_ARRAY(last_calls, struct last_call, CPUS); /* by CPU, readable from another one */
BPF_TABLE("lru_hash", u64, struct last_call, long_calls, 16384); /* by pid_tgid: counted in parts, or put aside */
BPF_ARRAY(generations, u64, 1);
BPF_ARRAY(targets, u64, TARGET_WORDS);
BPF_TABLE("lru_hash", u64, struct socket_state, sockets, SOCKETS_MAX);
BPF_TABLE("lru_hash", u64, struct socket_facts, facts_of, SOCKETS_MAX); /* by generation */
BPF_TABLE("lru_hash", u64, u64, descriptors, SOCKETS_MAX);
BPF_TABLE("lru_hash", struct mark_key, u8, marks, 16384);
BPF_TABLE("lru_hash", u32, u32, highest_descriptor, 16384); /* by tgid: how far bpf/descriptors.h looks at its end */
BPF_PERCPU_ARRAY(closings, struct closing, 2); /* 0: close_range, 1: a process that ended, in an interrupt perhaps */
BPF_PROG_ARRAY(stages, 8);
BPF_PROG_ARRAY(end_stages, 1);
