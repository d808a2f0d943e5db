/* Reading the kernel's own structs: every offset is an O_* constant that recorder/program.py took from BTF.
 *
 * Law: reads, never interprets. No kernel header's struct is used here: the installed headers may be another kernel's.
 */

#define KERNEL_READ(destination, base, offset) \
	bpf_probe_read_kernel(&(destination), sizeof(destination), (void *)((base) + (offset)))

/* The same behind current, and behind the pointers that lead on from there: where the verifier knows their types
 * (bpf_get_current_task_btf and bpf_task_pt_regs, 5.15 and later) a plain load, which reads 0 where nothing is. */
#if HAVE_TYPED_TASK
#define CURRENT() ((u64)bpf_get_current_task_btf())
#define CURRENT_READ(destination, base, offset) ((destination) = *(typeof(destination) *)((base) + (offset)))
#else
#define CURRENT() bpf_get_current_task()
#define CURRENT_READ KERNEL_READ
#endif

/* bpf_probe_read_user by its number: under its own name bcc would read the whole of /proc/kallsyms to see whether the kernel
 * has it, a tenth of the time that compiling takes. It has, since 5.5. */
static long (*read_user)(void *destination, u32 size, const void *source) = (void *)BPF_FUNC_probe_read_user;

/* Keeps the compiler from splitting a value's test from its use: the verifier knows the range of the tested register
 * alone. */
#define BOUND(value) asm volatile("" : "+r"(value))

/* Adds and returns what was there before. Kernels before 5.12 have no instruction that does both (BPF_FETCH): there two
 * threads in one direction of one socket may be given the same place, which the reader sees as an overlap and says. */
static __always_inline u64 fetch_add(u64 *value, u64 amount)
{
#if HAVE_FETCH_ADD
	return __sync_fetch_and_add(value, amount);
#else
	u64 before = *(volatile u64 *)value;

	*(volatile u64 *)value = before + amount;
	return before;
#endif
}

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* current's struct file behind a descriptor, 0 if there is none. */
static __always_inline u64 file_of(s32 fd)
{
	u64 files = 0, table = 0, slots = 0, file = 0;
	u32 most = 0;

	CURRENT_READ(files, CURRENT(), O_task_struct_files);
	if (!files)
		return 0;
	CURRENT_READ(table, files, O_files_struct_fdt);
	if (!table)
		return 0;
	CURRENT_READ(most, table, O_fdtable_max_fds);
	if ((u32)fd >= most)
		return 0;
	CURRENT_READ(slots, table, O_fdtable_fd);
	KERNEL_READ(file, slots, (u64)(u32)fd * 8);
	return file;
}

/* The struct socket of a file, 0 if the file is something else. */
static __always_inline u64 socket_of_file(u64 file)
{
	u64 inode = 0, socket = 0;
	u16 mode = 0;

	if (!file)
		return 0;
	KERNEL_READ(inode, file, O_file_f_inode);
	KERNEL_READ(mode, inode, O_inode_i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return 0;
	KERNEL_READ(socket, file, O_file_private_data);
	return socket;
}

static __always_inline u64 sock_of_socket(u64 socket)
{
	u64 sk = 0;

	if (socket)
		KERNEL_READ(sk, socket, O_socket_sk);
	return sk;
}

static __always_inline u64 socket_of_sock(u64 sk)
{
	u64 socket = 0;

	KERNEL_READ(socket, sk, O_sock_sk_socket);
	return socket;
}

/* struct socket_alloc holds the socket and its inode side by side (include/net/sock.h, SOCK_INODE). */
static __always_inline u64 inode_number(u64 socket)
{
	u64 inode = 0;

	KERNEL_READ(inode, socket, O_socket_alloc_vfs_inode - O_socket_alloc_socket + O_inode_i_ino);
	return inode;
}

/* A socket that a process made has a file; one of the kernel's own (NFS, a subflow of MPTCP) has none. */
static __always_inline int has_file(u64 socket)
{
	u64 file = 0;

	KERNEL_READ(file, socket, O_socket_file);
	return file != 0;
}

#define RCV_SHUTDOWN 1
#define SEND_SHUTDOWN 2

/* Whether the receiving half is at its end: FIN came, the Unix peer is gone, or shutdown(SHUT_RD). */
static __always_inline int is_shut_for_receive(u64 sk)
{
	u8 shutdown = 0;

	KERNEL_READ(shutdown, sk, O_sock_sk_shutdown);
	return shutdown & RCV_SHUTDOWN;
}

/* Whether kernel TLS has been set on a TCP socket (struct tcp_ulp_ops of net/tls is named "tls"). */
static __always_inline int has_ktls(u64 sk)
{
	u64 operations = 0;
	u32 name = 0;

	KERNEL_READ(operations, sk, O_inet_connection_sock_icsk_ulp_ops);
	if (operations)
		KERNEL_READ(name, operations, O_tcp_ulp_ops_name);
	return name == ('t' | 'l' << 8 | 's' << 16);
}

static __always_inline int is_shut_for_send(u64 sk)
{
	u8 shutdown = 0;

	KERNEL_READ(shutdown, sk, O_sock_sk_shutdown);
	return (shutdown & SEND_SHUTDOWN) != 0;
}

/* The last component of a file's name. */
static __always_inline s64 read_file_name(u64 file, u8 *destination, u32 bytes)
{
	u64 dentry = 0, name = 0;

	KERNEL_READ(dentry, file, O_file_f_path + O_path_dentry);
	KERNEL_READ(name, dentry, O_dentry_d_name + O_qstr_name);
	return bpf_probe_read_kernel_str(destination, bytes, (void *)name);
}
