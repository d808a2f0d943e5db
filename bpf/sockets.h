/* From a system call to the socket it used: identity, generation, addresses.
 *
 * A connection is a struct sock, never a descriptor: dup, fork and SCM_RIGHTS give one socket many descriptors, and a
 * descriptor number is given to another file as soon as it is closed. Law: nothing is remembered about a descriptor that
 * a later call would trust; `descriptors` serves close(2) alone, where a stale answer can only say a true thing late.
 */

#define AF_UNIX 1 /* include/linux/socket.h */
#define IPPROTO_TCP 6 /* include/uapi/linux/in.h */

#define SKC(field) O_sock_common_##field

static __always_inline int index_of(u8 direction) { return (direction - 1) & 1; }

static __always_inline u16 protocol_of(u64 sk)
{
#if SIZE_sock_sk_protocol == 1
	u8 protocol = 0; /* a byte before 5.6 */
#else
	u16 protocol = 0;
#endif
	KERNEL_READ(protocol, sk, O_sock_sk_protocol);
	return protocol;
}

static __always_inline int is_stream(u64 sk, u16 *family)
{
	u16 type = 0;

	KERNEL_READ(*family, sk, SKC(skc_family));
	KERNEL_READ(type, sk, O_sock_sk_type);
	return type == 1 /* SOCK_STREAM */ && (*family == 1 || *family == 2 || *family == 10);
}

/* The state of a socket, made at first sight; 0 if it is not a stream socket or cannot be identified. */
static __always_inline struct socket_state *state_of(u64 sk)
{
	u64 socket = socket_of_sock(sk);
	struct socket_state *known = sockets.lookup(&sk);
	u64 inode;

	if (!socket)
		return 0; /* orphaned meanwhile */
	inode = inode_number(socket);
	if (known && known->inode == inode)
		return known;

	struct socket_state fresh = {};
	u32 zero = 0;
	u64 *generation = generations.lookup(&zero);

	if (!generation || !is_stream(sk, &fresh.family) || !has_file(socket))
		return 0;
	fresh.inode = inode;
	fresh.socket = socket;
	fresh.protocol = fresh.family == 1 ? 0 : protocol_of(sk);
	fresh.generation = fetch_add(generation, 1) + 1;
	if (sockets.update(&sk, &fresh)) {
		count(COUNT_MAP_SOCKETS_FULL, 1);
	} else {
		count(COUNT_SOCKETS_NEW, 1);
		count(COUNT_SOCKETS_GONE, known != 0); /* the one that had this address ended unseen */
	}
	return sockets.lookup(&sk);
}

/* Addresses as of now, from the socket itself: accept's sockaddr may be NULL, getsockname is another call. */
static __always_inline void read_inet(u64 sk, struct socket_facts *facts)
{
	u16 remote = 0;

	if (facts->family == 2) {
		bpf_probe_read_kernel(facts->local_address, 4, (void *)(sk + SKC(skc_rcv_saddr)));
		bpf_probe_read_kernel(facts->remote_address, 4, (void *)(sk + SKC(skc_daddr)));
	} else {
		bpf_probe_read_kernel(facts->local_address, 16, (void *)(sk + SKC(skc_v6_rcv_saddr)));
		bpf_probe_read_kernel(facts->remote_address, 16, (void *)(sk + SKC(skc_v6_daddr)));
	}
	KERNEL_READ(facts->local_port, sk, SKC(skc_num));
	KERNEL_READ(remote, sk, SKC(skc_dport));
	facts->remote_port = bpf_ntohs(remote);
}

/* sun_path of a Unix socket's own name (struct unix_address: int len, then struct sockaddr_un). */
static __always_inline void read_unix_path(u64 sk, u8 *path)
{
	u64 address = 0, bytes;
	s32 length = 0;

	KERNEL_READ(address, sk, O_unix_sock_addr);
	if (!address)
		return;
	KERNEL_READ(length, address, O_unix_address_len);
	bytes = (u32)length - 2; /* without sun_family */
	BOUND(bytes);
	if (bytes > UNIX_PATH_BYTES)
		return; /* unnamed: 2 bytes of sun_family alone, or less */
	bpf_probe_read_kernel(path, bytes, (void *)(address + O_unix_address_name + 2));
}

static __always_inline void read_unix(u64 sk, struct socket_facts *facts)
{
	u64 peer = 0, socket = 0;

	read_unix_path(sk, facts->local_path);
	KERNEL_READ(peer, sk, O_unix_sock_peer);
	if (!peer)
		return;
	read_unix_path(peer, facts->remote_path);
	socket = socket_of_sock(peer);
	if (socket)
		facts->peer_socket = inode_number(socket);
}

static __always_inline void read_facts(u64 sk, struct socket_state *state, struct socket_facts *facts)
{
	u64 net = 0;
	u8 tcp_state = 0;

	facts->family = state->family;
	facts->type = 1;
	facts->protocol = state->protocol;
	KERNEL_READ(tcp_state, sk, SKC(skc_state));
	facts->state = tcp_state;
	KERNEL_READ(net, sk, SKC(skc_net));
	KERNEL_READ(facts->netns, net, O_net_ns_inum);
	facts->cgroup = bpf_get_current_cgroup_id();
	if (state->family == 1)
		read_unix(sk, facts);
	else
		read_inet(sk, facts);
}

struct facts_record {
	struct event event;
	struct socket_facts facts;
};
BPF_PERCPU_ARRAY(facts_scratch, struct facts_record, 1);

#if FILTER_PORTS
BPF_HASH(filter_ports, u16, u8, 1024);

static __always_inline void apply_port_filter(struct socket_state *state, struct socket_facts *facts)
{
	if (filter_ports.lookup(&facts->local_port) || filter_ports.lookup(&facts->remote_port))
		state->state &= ~SOCKET_IGNORED;
	else
		state->state |= SOCKET_IGNORED;
}
#else
static __always_inline void apply_port_filter(struct socket_state *state, struct socket_facts *facts) {}
#endif

/* Sends EVENT_SOCKET: at first sight, and again when connect(2) has given the socket its addresses. */
static __always_inline void announce(void *ctx, struct call *call, struct socket_state *state, u16 flags)
{
	u32 zero = 0;
	struct facts_record *record = facts_scratch.lookup(&zero);

	if (!record)
		return;
	event_header(&record->event, EVENT_SOCKET, call->id, call->time);
	__builtin_memset(&record->facts, 0, sizeof(record->facts));
	read_facts(call->socket, state, &record->facts);
	apply_port_filter(state, &record->facts);
	state->state |= SOCKET_ANNOUNCED;
	state->flags |= flags;
	if (state->state & SOCKET_IGNORED)
		return;
	facts_of.update(&state->generation, &record->facts);
	record->event.socket = state->inode;
	record->event.generation = state->generation;
	record->event.ret = call->ret;
	record->event.fd = call->fd;
	record->event.syscall = call->syscall;
	record->event.flags = state->flags;
	record->event.captured = sizeof(record->facts);
	record->event.size = sizeof(record->facts);
	submit_control(ctx, &record->event, sizeof(*record));
}

static __always_inline u64 descriptor_key(u64 id, s32 fd)
{
	return (id & 0xffffffff00000000ULL) | (u32)fd;
}

static __always_inline void remember_descriptor(struct call *call, struct socket_state *state, s32 fd)
{
	u64 descriptor = descriptor_key(call->id, fd);
	u32 tgid = call->id >> 32, number = fd, *highest;

	if (state->descriptor == descriptor)
		return;
	highest = highest_descriptor.lookup(&tgid);
	if (!highest || *highest < number)
		highest_descriptor.update(&tgid, &number);
	state->descriptor = descriptor;
	if (descriptors.update(&descriptor, &call->socket))
		count(COUNT_MAP_DESCRIPTORS_FULL, 1);
}

/* The socket behind a descriptor as the table stands now. */
static __always_inline struct socket_state *socket_by_descriptor(struct call *call, s32 fd)
{
	u64 sk = fd < 0 ? 0 : sock_of_socket(socket_of_file(file_of(fd)));

	if (!sk)
		return 0;
	call->socket = sk;
	return state_of(sk);
}
