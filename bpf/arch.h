/* What differs between processor architectures: where a system call's number and arguments stand at its exit.
 *
 * struct pt_regs is user ABI (arch/x86/include/uapi/asm/ptrace.h), so its layout may be relied on. One copy of the part
 * that is needed costs less than seven reads.
 */

#define TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h: a 32-bit system call is under way */

struct registers {
	u64 bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
};
#define O_registers (4 * 8) /* bp's place in pt_regs: after r15, r14, r13, r12 */

/* Of current's system call; `pt_regs`: where they are, for kernels that do not say it. */
static __always_inline void read_registers(u64 pt_regs, struct registers *registers)
{
#if HAVE_TYPED_TASK
	*registers = *(struct registers *)(bpf_task_pt_regs(bpf_get_current_task_btf()) + O_registers);
#else
	bpf_probe_read_kernel(registers, sizeof(*registers), (void *)(pt_regs + O_registers));
#endif
}

static __always_inline void native_arguments(struct registers *registers, u64 *argument)
{
	argument[0] = registers->di;
	argument[1] = registers->si;
	argument[2] = registers->dx;
	argument[3] = registers->r10;
	argument[4] = registers->r8;
	argument[5] = registers->r9;
}

static __always_inline void compat_arguments(struct registers *registers, u64 *argument)
{
	argument[0] = (u32)registers->bx;
	argument[1] = (u32)registers->cx;
	argument[2] = (u32)registers->dx;
	argument[3] = (u32)registers->si;
	argument[4] = (u32)registers->di;
	argument[5] = (u32)registers->bp;
}

/* Whether current is inside a 32-bit system call, which has numbers and struct layouts of its own. */
static __always_inline int is_compat_call(void)
{
	u32 status = 0;

	CURRENT_READ(status, CURRENT(), O_task_struct_thread_info + O_thread_info_status);
	return status & TS_COMPAT;
}
