/* Who is recorded: one byte per process number, so that the test every system call of the machine pays for is an
 * array access that the JIT inlines, not a hash.
 *
 * A process that once matched stays a target until it ends. Law: decides, emits nothing.
 */

static __always_inline u8 *target_byte(u32 tgid)
{
	u32 word = tgid >> 3;
	u64 *bytes = targets.lookup(&word);

	return bytes ? (u8 *)bytes + (tgid & 7) : 0;
}

#if FILTER_COMM
struct comm {
	char name[16];
};
BPF_HASH(filter_comm, struct comm, u8, 64);
#endif
#if FILTER_UID
BPF_HASH(filter_uid, u32, u8, 64);
#endif

/* The tests of a process that nobody has named by its number; all that are given must hold. */
static __always_inline int matches_filters(void)
{
#if FILTER_PIDS
	return 0;
#endif
#if FILTER_UID
	u32 uid = bpf_get_current_uid_gid();
	if (!filter_uid.lookup(&uid))
		return 0;
#endif
#if FILTER_CGROUP
	if (bpf_get_current_ancestor_cgroup_id(FILTER_CGROUP_LEVEL) != FILTER_CGROUP_ID)
		return 0;
#endif
#if FILTER_COMM
	struct comm comm = {};
	bpf_get_current_comm(&comm, sizeof(comm));
	if (!filter_comm.lookup(&comm))
		return 0;
#endif
	return 1;
}

static __always_inline int is_target(u32 tgid)
{
	u8 *byte = target_byte(tgid);

	if (!byte)
		return 0;
	if (*byte)
		return *byte == TARGET_YES;
	if (!matches_filters())
		return 0;
	*byte = TARGET_YES;
	return 1;
}
