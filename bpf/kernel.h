/* Reading the kernel's own structs: every offset is an O_* constant that recorder/program.py took from BTF.
 *
 * Law: reads, never interprets. No kernel header's struct is used here: the installed headers may be another kernel's.
 */

#define READ(destination, base, offset) \
	bpf_probe_read_kernel(&(destination), sizeof(destination), (void *)((base) + (offset)))

/* Keeps the compiler from splitting a value's test from its use: the verifier knows the range of the tested register
 * alone. */
#define BOUND(value) asm volatile("" : "+r"(value))

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* current's struct file behind a descriptor, 0 if there is none. */
static __always_inline u64 file_of(s32 fd)
{
	u64 task = bpf_get_current_task(), files = 0, table = 0, slots = 0, file = 0;
	u32 most = 0;

	READ(files, task, O_task_struct_files);
	if (!files)
		return 0;
	READ(table, files, O_files_struct_fdt);
	READ(most, table, O_fdtable_max_fds);
	if ((u32)fd >= most)
		return 0;
	READ(slots, table, O_fdtable_fd);
	READ(file, slots, (u64)(u32)fd * 8);
	return file;
}

/* The struct socket of a file, 0 if the file is something else. */
static __always_inline u64 socket_of_file(u64 file)
{
	u64 inode = 0, socket = 0;
	u16 mode = 0;

	if (!file)
		return 0;
	READ(inode, file, O_file_f_inode);
	READ(mode, inode, O_inode_i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return 0;
	READ(socket, file, O_file_private_data);
	return socket;
}

static __always_inline u64 sock_of_socket(u64 socket)
{
	u64 sk = 0;

	if (socket)
		READ(sk, socket, O_socket_sk);
	return sk;
}

static __always_inline u64 socket_of_sock(u64 sk)
{
	u64 socket = 0;

	READ(socket, sk, O_sock_sk_socket);
	return socket;
}

/* struct socket_alloc holds the socket and its inode side by side (include/net/sock.h, SOCK_INODE). */
static __always_inline u64 inode_number(u64 socket)
{
	u64 inode = 0;

	READ(inode, socket, O_socket_alloc_vfs_inode - O_socket_alloc_socket + O_inode_i_ino);
	return inode;
}
