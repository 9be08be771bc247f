//go:build linux && (amd64 || arm64)

package sandbox

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file holds what runs in a cloned copy of the spawner. Such a copy has one thread and no Go runtime that could
// serve it: nothing here may allocate, grow the stack, take a lock or be preempted. Hence nosplit, raw system calls only,
// and everything it needs made beforehand. The race detector must not instrument it, nor may checkptr, which calls into
// the runtime.

// A failure is what the copy writes to slotErrors: which step, and with which error; 0 stands for a wrong result.
type failure struct {
	step  uint32
	errno uint32
}

// A report is what the sandbox's first process writes to slotControl when a program has ended.
type report struct {
	status uint32 // as wait4 gives it
	which  uint32 // 0 is the command, and the companions follow
	rusage unix.Rusage
}

// A birth is everything that the cloned copy needs, made before the clone.
type birth struct {
	args    cloneArgs
	pidfd   int32
	img     image
	fds     [slotCgroups + maxCgroupFDs]uintptr // goes to slots
	nfds    uintptr
	sigs    uint64 // every signal
	oldSigs uint64
	fail    failure
	report  report

	children  [1 + MaxCompanions]uintptr // the command, and the companions
	nchildren uintptr
}

// cloneArgs is struct clone_args of linux/sched.h, up to the cgroup (Linux 5.7).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// maxCgroupFDs is how many cgroup v1 hierarchies a sandbox can join.
const maxCgroupFDs = 4

// clone starts a process that runs b's script, and returns its id. Signals are blocked around the call, so that no handler
// of the Go runtime ever runs in the copy; the script unblocks them for the command.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (b *birth) clone() (int, syscall.Errno) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&b.sigs)),
		uintptr(unsafe.Pointer(&b.oldSigs)), 8, 0, 0)
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&b.args)), unsafe.Sizeof(b.args), 0)
	if errno == 0 && pid == 0 {
		b.run()
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&b.oldSigs)), 0, 8, 0, 0)
	return int(pid), errno
}

// run is the life of the copy. It does not return.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (b *birth) run() {
	for i := uintptr(0); i < b.nfds; i++ {
		if _, _, e := syscall.RawSyscall(unix.SYS_DUP3, b.fds[i], slotBase+i, unix.O_CLOEXEC); e != 0 {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
		}
	}
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 0, slotBase-1, 0)
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, slotBase+b.nfds, ^uintptr(0)>>32, 0)

	for i := uintptr(0); i < b.img.n; i++ {
		st := (*step)(unsafe.Add(b.img.steps, i*unsafe.Sizeof(step{})))
		for j := uintptr(0); j < 6; j++ {
			if st.ptrs&(1<<j) != 0 {
				*(*uint64)(unsafe.Add(unsafe.Pointer(&st.args), j*8)) += uint64(b.img.base)
			}
		}
		r, _, e := syscall.RawSyscall6(uintptr(st.nr), uintptr(st.args[0]), uintptr(st.args[1]), uintptr(st.args[2]),
			uintptr(st.args[3]), uintptr(st.args[4]), uintptr(st.args[5]))
		if e != 0 && st.forgive != forgiveAny && e != syscall.Errno(st.forgive) ||
			e == 0 && st.want != anyResult && r != uintptr(st.want) {
			b.fail.step, b.fail.errno = uint32(i), uint32(e)
			syscall.RawSyscall(unix.SYS_WRITE, slotBase+slotErrors, uintptr(unsafe.Pointer(&b.fail)), unsafe.Sizeof(b.fail))
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
		}
		if st.fork && r != 0 {
			b.children[b.nchildren%uintptr(len(b.children))] = r
			b.nchildren++
			i += uintptr(st.skip)
		}
	}
	if b.nchildren > 0 {
		b.reap()
	}
	syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
}

// reap is what the sandbox's first process does once it has started the programs: it collects every process that ends, as
// the first process of a pid namespace must, and reports the programs among them. When a command without companions has
// ended it exits, which kills the rest; with companions the driver ends it.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (b *birth) reap() {
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 0, slotBase+slotControl-1, 0)
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, slotBase+slotControl+1, ^uintptr(0)>>32, 0)
	for {
		pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&b.report.status)), 0,
			uintptr(unsafe.Pointer(&b.report.rusage)), 0, 0)
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
		}
		for i := uintptr(0); i < b.nchildren; i++ {
			if b.children[i%uintptr(len(b.children))] != pid {
				continue
			}
			b.children[i%uintptr(len(b.children))] = 0 // its id may be another's now
			b.report.which = uint32(i)
			syscall.RawSyscall(unix.SYS_WRITE, slotBase+slotControl, uintptr(unsafe.Pointer(&b.report)), unsafe.Sizeof(b.report))
			if b.nchildren == 1 {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		}
	}
}
