//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// The system call filter is an allow-list in classic BPF. What is not on it answers ENOSYS, as a kernel without that
// call would, which is the answer that C libraries and runtimes know how to live with (clone3, io_uring, …). What programs
// know to be privileged answers EPERM. A call for another architecture ends the process.
//
// We assemble it ourselves: go-seccomp-bpf builds tables of every architecture when the program starts, compares call
// numbers one by one, and cannot give each refusal its own errno.

// allowed are the calls that both architectures have and that are allowed with any arguments.
var allowed = [...]uint32{
	// files
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PREADV,
	unix.SYS_PWRITEV, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_CLOSE,
	unix.SYS_CLOSE_RANGE, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_LSEEK,
	unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_FTRUNCATE, unix.SYS_TRUNCATE,
	unix.SYS_FALLOCATE, unix.SYS_FADVISE64, unix.SYS_READAHEAD, unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_CHDIR,
	unix.SYS_FCHDIR, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2,
	unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_READLINKAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2,
	unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_UMASK, unix.SYS_STATFS, unix.SYS_FSTATFS,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_TEE,
	unix.SYS_VMSPLICE, unix.SYS_COPY_FILE_RANGE, unix.SYS_PIPE2, unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH,
	unix.SYS_INOTIFY_RM_WATCH, unix.SYS_GETXATTR, unix.SYS_LGETXATTR, unix.SYS_FGETXATTR, unix.SYS_LISTXATTR,
	unix.SYS_LLISTXATTR, unix.SYS_FLISTXATTR, unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR,
	unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	// waiting
	unix.SYS_PPOLL, unix.SYS_PSELECT6, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT,
	unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2, unix.SYS_SIGNALFD4, unix.SYS_TIMERFD_CREATE, unix.SYS_TIMERFD_SETTIME,
	unix.SYS_TIMERFD_GETTIME, unix.SYS_IO_SETUP, unix.SYS_IO_DESTROY, unix.SYS_IO_SUBMIT, unix.SYS_IO_CANCEL,
	unix.SYS_IO_GETEVENTS, unix.SYS_IO_PGETEVENTS,
	// memory
	unix.SYS_BRK, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MPROTECT, unix.SYS_PKEY_MPROTECT,
	unix.SYS_PKEY_ALLOC, unix.SYS_PKEY_FREE, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_MSYNC, unix.SYS_MLOCK,
	unix.SYS_MLOCK2, unix.SYS_MUNLOCK, unix.SYS_MLOCKALL, unix.SYS_MUNLOCKALL, unix.SYS_MEMFD_CREATE, unix.SYS_MEMBARRIER,
	unix.SYS_GET_MEMPOLICY, unix.SYS_MSEAL,
	// processes and threads
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_WAIT4, unix.SYS_WAITID,
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_SET_TID_ADDRESS, unix.SYS_SET_ROBUST_LIST,
	unix.SYS_GET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_FUTEX, unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE,
	unix.SYS_FUTEX_WAIT, unix.SYS_FUTEX_REQUEUE, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_SETSID,
	unix.SYS_GETSID, unix.SYS_SETPGID, unix.SYS_GETPGID, unix.SYS_GETRUSAGE, unix.SYS_GETRLIMIT, unix.SYS_TIMES, unix.SYS_GETPRIORITY, unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_GET,
	unix.SYS_IOPRIO_SET, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_SETAFFINITY,
	unix.SYS_SCHED_GETPARAM, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_GETSCHEDULER, unix.SYS_SCHED_SETSCHEDULER,
	unix.SYS_SCHED_GETATTR, unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_GET_PRIORITY_MAX, unix.SYS_SCHED_GET_PRIORITY_MIN,
	unix.SYS_SCHED_RR_GET_INTERVAL, unix.SYS_GETCPU, unix.SYS_RESTART_SYSCALL,
	// signals
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK,
	unix.SYS_RT_SIGPENDING, unix.SYS_RT_SIGTIMEDWAIT, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_RT_SIGSUSPEND, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	// identity; without capabilities they can change nothing
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETRESUID, unix.SYS_GETRESGID,
	unix.SYS_GETGROUPS, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID,
	unix.SYS_SETRESGID, unix.SYS_SETGROUPS, unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_CAPGET, unix.SYS_CAPSET,
	// time and the machine
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_GETITIMER, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_GETTIME,
	unix.SYS_TIMER_GETOVERRUN, unix.SYS_TIMER_DELETE, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRANDOM,
	// network, once a socket was allowed, and System V IPC, in its own namespace
	unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_GETSOCKNAME,
	unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
	unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_RECVMMSG, unix.SYS_SHUTDOWN, unix.SYS_SHMGET, unix.SYS_SHMAT,
	unix.SYS_SHMDT, unix.SYS_SHMCTL, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_SEMTIMEDOP, unix.SYS_SEMCTL,
	unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MSGCTL,
}

// privileged are the calls that answer EPERM.
var privileged = [...]uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSCONFIG, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE,
	unix.SYS_SETNS, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
	unix.SYS_KCMP, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD,
	unix.SYS_KEXEC_FILE_LOAD, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL,
	unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_SECCOMP, unix.SYS_MBIND, unix.SYS_SET_MEMPOLICY,
	unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
}

// flushes write back file systems that are the host's. They answer 0 and do nothing, as what can be written here has
// nothing to write back.
var flushes = [...]uint32{unix.SYS_SYNC, unix.SYS_SYNCFS}

// prctls are the options of prctl that are allowed: about the calling thread's own name, death, dumpability, memory and
// timers. Those about capabilities only read.
var prctls = [...]uint32{
	unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_PDEATHSIG, unix.PR_GET_PDEATHSIG, unix.PR_SET_DUMPABLE,
	unix.PR_GET_DUMPABLE, unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, unix.PR_SET_VMA, unix.PR_SET_THP_DISABLE,
	unix.PR_GET_THP_DISABLE, unix.PR_SET_TIMERSLACK, unix.PR_GET_TIMERSLACK, unix.PR_SET_CHILD_SUBREAPER,
	unix.PR_GET_CHILD_SUBREAPER, unix.PR_CAPBSET_READ, unix.PR_GET_SECUREBITS, unix.PR_GET_KEEPCAPS, unix.PR_GET_SECCOMP,
	unix.PR_SET_PTRACER, unix.PR_GET_SPECULATION_CTRL, unix.PR_GET_TID_ADDRESS,
	// arm64: vectors, pointer authentication, memory tags
	unix.PR_SVE_SET_VL, unix.PR_SVE_GET_VL, unix.PR_PAC_RESET_KEYS, unix.PR_SET_TAGGED_ADDR_CTRL,
	unix.PR_GET_TAGGED_ADDR_CTRL,
}

// forbiddenIoctls put characters into a terminal.
var forbiddenIoctls = [...]uint32{unix.TIOCSTI, unix.TIOCLINUX}

// newNamespaces are the flags of clone that make a namespace.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Offsets in struct seccomp_data.
const (
	dataNr   = 0
	dataArch = 4
	dataArg0 = 16 // the low half; the high half follows, on these little-endian machines
)

type filter []unix.SockFilter

func (p *filter) op(code int, k uint32, jt, jf uint8) {
	*p = append(*p, unix.SockFilter{Code: uint16(code), Jt: jt, Jf: jf, K: k})
}

func (p *filter) load(off uint32) { p.op(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, off, 0, 0) }
func (p *filter) ret(v uint32)    { p.op(unix.BPF_RET|unix.BPF_K, v, 0, 0) }

// retIn returns v if the accumulator is one of set, in which neighbours count as one range.
func (p *filter) retIn(set []uint32, v uint32) {
	set = slices.Clone(set)
	slices.Sort(set)
	for i := 0; i < len(set); {
		j := i + 1
		for j < len(set) && set[j]-set[j-1] <= 1 {
			j++
		}
		lo, hi := set[i], set[j-1]
		if lo == hi {
			p.op(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, lo, 0, 1)
		} else {
			p.op(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, lo, 0, 2)
			p.op(unix.BPF_JMP|unix.BPF_JGT|unix.BPF_K, hi, 1, 0)
		}
		p.ret(v)
		i = j
	}
}

// on appends body for the call nr, with the number in the accumulator before and after. The body returns on every path.
func (p *filter) on(nr uint32, body func(*filter)) {
	var b filter
	body(&b)
	p.op(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, nr, 0, uint8(len(b)))
	*p = append(*p, b...)
}

func refuse(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }

// socketRule allows UNIX sockets, TCP and UDP, and the netlink family that lists interfaces and routes. A family or
// protocol beyond these answers as in a kernel that was built without it. Raw sockets are EPERM.
func socketRule(b *filter) {
	const (
		domain   = dataArg0
		typ      = dataArg0 + 8
		protocol = dataArg0 + 16
	)
	jeq := unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	b.load(domain)
	b.op(jeq, unix.AF_UNIX, 0, 1)
	b.ret(unix.SECCOMP_RET_ALLOW)
	b.op(jeq, unix.AF_NETLINK, 0, 4)
	b.load(protocol)
	b.op(jeq, unix.NETLINK_ROUTE, 0, 1)
	b.ret(unix.SECCOMP_RET_ALLOW)
	b.ret(refuse(unix.EPROTONOSUPPORT))
	b.op(jeq, unix.AF_INET, 2, 0)
	b.op(jeq, unix.AF_INET6, 1, 0)
	b.ret(refuse(unix.EAFNOSUPPORT))
	b.load(typ)
	b.op(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0xf, 0, 0) // without SOCK_CLOEXEC and SOCK_NONBLOCK
	b.op(jeq, unix.SOCK_STREAM, 2, 0)
	b.op(jeq, unix.SOCK_DGRAM, 1, 0)
	b.ret(refuse(unix.EPERM))
	b.load(protocol)
	b.retIn([]uint32{unix.IPPROTO_IP, unix.IPPROTO_TCP, unix.IPPROTO_UDP}, unix.SECCOMP_RET_ALLOW)
	b.ret(refuse(unix.EPROTONOSUPPORT))
}

// seccompFilter assembles the program, as bytes in the kernel's layout.
func seccompFilter() []byte {
	var p filter
	jeq := unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	p.load(dataArch)
	p.op(jeq, auditArch, 1, 0)
	p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(dataNr)

	p.on(unix.SYS_CLONE, func(b *filter) {
		b.load(dataArg0)
		b.op(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, newNamespaces, 0, 1)
		b.ret(refuse(unix.EPERM))
		b.ret(unix.SECCOMP_RET_ALLOW)
	})
	p.on(unix.SYS_SOCKET, socketRule)
	p.on(unix.SYS_SOCKETPAIR, func(b *filter) {
		b.load(dataArg0)
		b.op(jeq, unix.AF_UNIX, 0, 1)
		b.ret(unix.SECCOMP_RET_ALLOW)
		b.ret(refuse(unix.EAFNOSUPPORT))
	})
	p.on(unix.SYS_PRCTL, func(b *filter) {
		b.load(dataArg0)
		b.retIn(prctls[:], unix.SECCOMP_RET_ALLOW)
		b.ret(refuse(unix.EPERM))
	})
	p.on(unix.SYS_PERSONALITY, func(b *filter) {
		b.load(dataArg0)
		b.retIn([]uint32{0, 0xffffffff}, unix.SECCOMP_RET_ALLOW) // plain Linux, and the question
		b.ret(refuse(unix.EPERM))
	})
	p.on(unix.SYS_IOCTL, func(b *filter) {
		b.load(dataArg0 + 8)
		b.retIn(forbiddenIoctls[:], refuse(unix.EPERM))
		b.ret(unix.SECCOMP_RET_ALLOW)
	})
	// The limit of core files stays what it is (see host.rlimits), while who only wants none is told that it worked.
	p.on(unix.SYS_SETRLIMIT, func(b *filter) {
		b.load(dataArg0)
		b.op(jeq, unix.RLIMIT_CORE, 0, 1)
		b.ret(refuse(0))
		b.ret(unix.SECCOMP_RET_ALLOW)
	})
	p.on(unix.SYS_PRLIMIT64, func(b *filter) {
		b.load(dataArg0 + 8)
		b.op(jeq, unix.RLIMIT_CORE, 1, 0)
		b.ret(unix.SECCOMP_RET_ALLOW)
		for _, half := range [...]uint32{dataArg0 + 16, dataArg0 + 20} { // no new limit: only a question
			b.load(half)
			b.op(jeq, 0, 1, 0)
			b.ret(refuse(0))
		}
		b.ret(unix.SECCOMP_RET_ALLOW)
	})
	p.retIn(slices.Concat(allowed[:], archAllowed[:]), unix.SECCOMP_RET_ALLOW)
	p.retIn(slices.Concat(privileged[:], archPrivileged[:]), refuse(unix.EPERM))
	p.retIn(flushes[:], refuse(0))
	p.ret(refuse(unix.ENOSYS))

	out := make([]byte, 0, 8*len(p))
	for _, in := range p {
		out = binary.NativeEndian.AppendUint16(out, in.Code)
		out = append(out, in.Jt, in.Jf)
		out = binary.NativeEndian.AppendUint32(out, in.K)
	}
	return out
}
