//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filterVM runs the filter as a program over struct seccomp_data.
func filterVM(t testing.TB) func(arch, nr uint32, args ...uint64) uint32 {
	b := seccompFilter()
	var program []bpf.Instruction
	for ; len(b) > 0; b = b[8:] {
		program = append(program, bpf.RawInstruction{
			Op: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:]),
		}.Disassemble())
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return func(arch, nr uint32, args ...uint64) uint32 {
		// This VM reads big-endian words where the kernel reads native ones.
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[dataNr:], nr)
		binary.BigEndian.PutUint32(data[dataArch:], arch)
		for i, a := range args {
			binary.BigEndian.PutUint32(data[dataArg0+8*i:], uint32(a))
			binary.BigEndian.PutUint32(data[dataArg0+8*i+4:], uint32(a>>32))
		}
		v, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(v)
	}
}

func TestFilter(t *testing.T) {
	run := filterVM(t)
	const allow = unix.SECCOMP_RET_ALLOW
	conditional := []uint32{unix.SYS_CLONE, unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_PRCTL, unix.SYS_PERSONALITY, unix.SYS_IOCTL,
		unix.SYS_SETRLIMIT, unix.SYS_PRLIMIT64}
	allowedHere := slices.Concat(allowed[:], archAllowed[:])
	privilegedHere := slices.Concat(privileged[:], archPrivileged[:])
	// Every call number there is, and some that there are not.
	for nr := range uint32(1024) {
		var want uint32
		switch {
		case slices.Contains(conditional, nr):
			continue
		case slices.Contains(allowedHere, nr):
			want = allow
			if slices.Contains(privilegedHere, nr) || slices.Contains(flushes[:], nr) {
				t.Errorf("call %d is on two lists", nr)
			}
		case slices.Contains(privilegedHere, nr):
			want = refuse(unix.EPERM)
		case slices.Contains(flushes[:], nr):
			want = refuse(0)
		default:
			want = refuse(unix.ENOSYS)
		}
		if got := run(auditArch, nr); got != want {
			t.Errorf("call %d: %#x, want %#x", nr, got, want)
		}
		if got := run(auditArch, nr|0x40000000); got != refuse(unix.ENOSYS) { // x32
			t.Errorf("call %d of x32: %#x", nr, got)
		}
		if got := run(unix.AUDIT_ARCH_I386, nr); got != unix.SECCOMP_RET_KILL_PROCESS {
			t.Errorf("call %d of i386: %#x", nr, got)
		}
	}

	const eperm = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	family, protocol := refuse(unix.EAFNOSUPPORT), refuse(unix.EPROTONOSUPPORT)
	const cloexec = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	for _, c := range []struct {
		name string
		nr   uint32
		args []uint64
		want uint32
	}{
		{"fork", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, allow},
		{"thread", unix.SYS_CLONE, []uint64{0x3d0f00}, allow},
		{"vfork", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, allow},
		{"user namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm},
		{"mount namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWNS}, eperm},
		{"pid namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWPID}, eperm},
		{"cgroup namespace", unix.SYS_CLONE, []uint64{unix.CLONE_NEWCGROUP}, eperm},
		{"thread in a namespace", unix.SYS_CLONE, []uint64{0x3d0f00 | unix.CLONE_NEWIPC}, eperm},
		{"uts namespace, with high bits", unix.SYS_CLONE, []uint64{1<<40 | unix.CLONE_NEWUTS}, eperm},

		{"unix stream", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM | cloexec, 0}, allow},
		{"unix seqpacket", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_SEQPACKET, 0}, allow},
		{"tcp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | cloexec, 0}, allow},
		{"tcp by name", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allow},
		{"udp", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_DGRAM | cloexec, unix.IPPROTO_UDP}, allow},
		{"icmp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, protocol},
		{"mptcp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, protocol},
		{"dccp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DCCP, 0}, eperm},
		{"raw", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, 0}, eperm},
		{"inet seqpacket", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_SEQPACKET, 0}, eperm},
		{"packet", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_DGRAM, 0}, family},
		{"route", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW | cloexec, unix.NETLINK_ROUTE}, allow},
		{"audit", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, protocol},
		{"alg", unix.SYS_SOCKET, []uint64{unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, family},
		{"unspecified", unix.SYS_SOCKET, []uint64{0, unix.SOCK_STREAM, 0}, family},
		{"unix pair", unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, allow},
		{"tipc pair", unix.SYS_SOCKETPAIR, []uint64{unix.AF_TIPC, unix.SOCK_STREAM, 0}, family},

		{"name", unix.SYS_PRCTL, []uint64{unix.PR_SET_NAME}, allow},
		{"securebits", unix.SYS_PRCTL, []uint64{unix.PR_SET_SECUREBITS}, eperm},
		{"seccomp by prctl", unix.SYS_PRCTL, []uint64{unix.PR_SET_SECCOMP}, eperm},
		{"speculation", unix.SYS_PRCTL, []uint64{unix.PR_SET_SPECULATION_CTRL}, eperm},
		{"which personality", unix.SYS_PERSONALITY, []uint64{0xffffffff}, allow},
		{"Linux", unix.SYS_PERSONALITY, []uint64{0}, allow},
		{"read implies exec", unix.SYS_PERSONALITY, []uint64{0x400000}, eperm},
		{"fewer files", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_NOFILE, 0x1000}, allow},
		{"ask for the core limit", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_CORE, 0, 0x1000}, allow},
		{"set the core limit", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_CORE, 0x1000}, refuse(0)},
		{"set it from a high address", unix.SYS_PRLIMIT64, []uint64{0, unix.RLIMIT_CORE, 1 << 32}, refuse(0)},
		{"set the core limit, as of old", unix.SYS_SETRLIMIT, []uint64{unix.RLIMIT_CORE, 0x1000}, refuse(0)},
		{"set the stack", unix.SYS_SETRLIMIT, []uint64{unix.RLIMIT_STACK, 0x1000}, allow},
		{"bytes to read", unix.SYS_IOCTL, []uint64{0, unix.TIOCINQ}, allow},
		{"type into a terminal", unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, eperm},
		{"the same, with high bits", unix.SYS_IOCTL, []uint64{0, 1<<32 | unix.TIOCSTI}, eperm},
	} {
		if got := run(auditArch, c.nr, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}
