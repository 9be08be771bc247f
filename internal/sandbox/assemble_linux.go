//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A host is what assemble has to know of the machine, found out once.
type host struct {
	// privileged says that the sandbox is assembled with the server's own privileges over the host and gets its user
	// namespace last. Otherwise it begins with one, and assembles itself with the capabilities that gives.
	privileged bool
	// proc says that a fresh /proc can be mounted.
	proc bool
	// cover is a directory of the host over which the sandbox's root is mounted while it is assembled, in its own
	// mount namespace.
	cover string
	// maskFiles and maskDirs are the parts of /proc that are hidden, without "/proc/".
	maskFiles, maskDirs []string
	devices             []string // paths below /dev
	lastCap             int
	filter              []byte // the seccomp program; nil if the kernel has no seccomp
}

// A part is what belongs to one sandbox beside its Config.
type part struct {
	cgroupSlots int // how many descriptors of cgroup v1 task files follow slotCgroups
	// limitProcesses bounds processes by RLIMIT_NPROC, for want of a pids cgroup.
	limitProcesses bool
	// limitData bounds each process's private writable memory, for want of a memory cgroup; 0 means not.
	limitData uint64
	// stdioPipes are the slots of pipes, which are to become the sandbox user's own.
	stdioPipes []int
	// owner is the host's id of the sandbox's user.
	owner uint32
	// probe leaves out the command: the first process ends when everything else has worked.
	probe bool
}

// Messages that a script writes to slotControl, each answered with one byte.
const (
	msgMap   = 'M' // the process is in its user namespace and needs its ids mapped
	msgReady = 'R' // all is set up; carries the sockets, and a descriptor of /tmp if there is one
)

// shmBytes is the size of /dev/shm. It counts as memory.
const shmBytes = 64 << 20

// maskable are the files and directories of /proc that tell of the host, or act on it, and that no program needs. Most
// are for root only anyway.
var maskableFiles = [...]string{
	"cmdline", "config.gz", "diskstats", "interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "latency_stats",
	"modules", "partitions", "sched_debug", "timer_list", "timer_stats",
}

var maskableDirs = [...]string{"acpi", "asound", "bus", "driver", "fs", "irq", "scsi"}

// namespaces are those that the script makes for itself; user and pid namespaces come with the clone.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

const atCwd = unix.AT_FDCWD

// securebits lock every way in which a user id alone could bring back a capability.
const securebits = 1<<0 | 1<<1 | // SECBIT_NOROOT, locked
	1<<2 | 1<<3 | // SECBIT_NO_SETUID_FIXUP, locked
	1<<5 | // SECBIT_KEEP_CAPS_LOCKED
	1<<6 | 1<<7 // SECBIT_NO_CAP_AMBIENT_RAISE, locked

// assemble writes the script for one sandbox.
func (h *host) assemble(c *Config, p part) (*script, error) {
	s := newScript()
	s.call("standard output", unix.SYS_DUP3, slot(slotStdout), num(1), num(0))
	s.call("standard error", unix.SYS_DUP3, slot(slotStderr), num(2), num(0))
	s.call("standard input", unix.SYS_DUP3, slot(slotStdout), num(0), num(0)) // until there is a /dev/null
	// So that the server may write uid_map even if the binary itself may not be read.
	s.call("dumpable", unix.SYS_PRCTL, num(unix.PR_SET_DUMPABLE), num(1))
	if !h.privileged {
		s.exchange(msgMap, nil)
	}
	for i := range p.cgroupSlots {
		s.call("enter cgroup", unix.SYS_WRITE, slot(slotCgroups+i), s.str("0"), num(1))
	}
	s.call("setsid", unix.SYS_SETSID)
	// The first to go when the machine, not the sandbox, runs out of memory. Not where the server runs at more already.
	fd := s.callFD("open oom_score_adj", unix.SYS_OPENAT, num(atCwd), s.str("/proc/self/oom_score_adj"),
		num(unix.O_WRONLY|unix.O_CLOEXEC), num(0))
	s.call("write oom_score_adj", unix.SYS_WRITE, num(fd), s.str("500"), num(3)).forgive = forgiveAny
	s.close(fd)
	s.call("unshare namespaces", unix.SYS_UNSHARE, num(namespaces))
	var later []int // for attach and Dial to come in by
	for _, ns := range h.entrances(c) {
		later = append(later, s.callFD("open "+ns, unix.SYS_OPENAT, num(atCwd), s.str("/proc/self/ns/"+ns),
			num(unix.O_RDONLY|unix.O_CLOEXEC), num(0)))
	}
	hostname := c.Hostname
	if hostname == "" {
		hostname = "sandbox"
	}
	s.call("sethostname", unix.SYS_SETHOSTNAME, s.str(hostname), num(len(hostname)))
	sockets := h.network(s, c)
	if c.Link {
		sockets = append(sockets, s.link())
	}
	if err := h.files(s, c); err != nil {
		return nil, err
	}
	if c.TmpBytes > 0 {
		sockets = append(sockets, s.callFD("open /tmp", unix.SYS_OPENAT, num(atCwd), s.str("/tmp"),
			num(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC), num(0)))
	}
	sockets = append(sockets, later...)
	h.drop(s, c, p)
	// From here on the sandbox dies with the server. Should the server have died before this call, then the exchange that
	// follows finds no one there.
	s.call("parent death", unix.SYS_PRCTL, num(unix.PR_SET_PDEATHSIG), num(int(unix.SIGKILL)))
	s.exchange(msgReady, sockets)
	for _, fd := range sockets {
		s.close(fd)
	}
	if h.filter != nil {
		prog := s.words(num(len(h.filter)/8), s.bytes(h.filter))
		s.call("seccomp", unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(0), prog)
	}
	if !p.probe {
		s.fork(func() { s.execute(c.Command, c.Env) })
		for _, companion := range c.Companions {
			s.fork(func() {
				s.call("standard output", unix.SYS_DUP3, slot(slotCompanions), num(1), num(0))
				s.call("standard error", unix.SYS_DUP3, slot(slotCompanions), num(2), num(0))
				s.execute(companion.Command, companion.Env)
			})
		}
	}
	return s, s.err
}

// execute makes a process of its own session, with signals as they are by default, a program.
func (s *script) execute(command, env []string) {
	s.call("setsid", unix.SYS_SETSID)
	s.call("unblock signals", unix.SYS_RT_SIGPROCMASK, num(unix.SIG_SETMASK), s.words(num(0)), num(0), num(8))
	// Signals that whoever started the server ignores would stay ignored through the execution.
	ignoreNothing := s.bytes(make([]byte, 32)) // a struct sigaction: SIG_DFL, no flags, no mask
	for sig := 1; sig <= 64; sig++ {
		if sig != int(unix.SIGKILL) && sig != int(unix.SIGSTOP) {
			s.call("default signals", unix.SYS_RT_SIGACTION, num(sig), ignoreNothing, num(0), num(8))
		}
	}
	s.call("execute "+command[0], unix.SYS_EXECVE, s.str(command[0]), s.strs(command), s.strs(env))
}

// exchange writes one byte, with descriptors, to the driver, and waits for its answer.
func (s *script) exchange(msg byte, fds []int) {
	iov := s.words(s.bytes([]byte{msg}), num(1))
	control, controlLen := num(0), 0
	if len(fds) > 0 {
		oob := unix.UnixRights(fds...)
		control, controlLen = s.bytes(oob), len(oob)
	}
	hdr := s.words(num(0), num(0), iov, num(1), control, num(controlLen), num(0))
	s.call("tell the driver", unix.SYS_SENDMSG, slot(slotControl), hdr, num(unix.MSG_NOSIGNAL)).want = 1
	s.call("wait for the driver", unix.SYS_READ, slot(slotControl), s.bytes(make([]byte, 8)), num(1)).want = 1
}

// network brings the loopback interface up and opens the sockets.
func (h *host) network(s *script, c *Config) []int {
	fd := s.callFD("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0))
	s.call("loopback up", unix.SYS_IOCTL, num(fd), num(unix.SIOCSIFFLAGS),
		s.bytes(ifreq("lo", flags(unix.IFF_UP|unix.IFF_RUNNING))))
	s.close(fd)

	var fds []int
	for _, l := range c.Listen {
		addr := netip.MustParseAddrPort(l.Address) // as Config.check did
		family, sa := sockaddr(addr)
		typ := unix.SOCK_STREAM
		if l.Network == "udp" {
			typ = unix.SOCK_DGRAM
		}
		name := "listen on " + l.Address
		fd := s.callFD(name, unix.SYS_SOCKET, num(family), num(typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
		s.call(name, unix.SYS_BIND, num(fd), s.bytes(sa), num(len(sa)))
		if l.Network == "tcp" {
			s.call(name, unix.SYS_LISTEN, num(fd), num(128))
		}
		fds = append(fds, fd)
	}
	return fds
}

func sockaddr(a netip.AddrPort) (family int, sa []byte) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		sa = binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
		sa = binary.BigEndian.AppendUint16(sa, a.Port())
		sa = append(sa, ip.AsSlice()...)
		return unix.AF_INET, append(sa, make([]byte, 8)...)
	}
	sa = binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
	sa = binary.BigEndian.AppendUint16(sa, a.Port())
	sa = append(sa, make([]byte, 4)...)
	sa = append(sa, ip.AsSlice()...)
	return unix.AF_INET6, append(sa, make([]byte, 4)...)
}

// mountAttr puts a struct mount_attr that sets flags into the arena.
func (s *script) mountAttr(set int) arg {
	return s.words(num(set), num(0), num(0), num(0))
}

const sizeofMountAttr = 32

// bindAttr is what all binds have.
const bindAttr = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// tree opens a detached copy of what is mounted at path, and restricts it.
func (s *script) tree(name, path string, attr arg) int {
	fd := s.callFD(name, unix.SYS_OPEN_TREE, num(atCwd), s.str(path),
		num(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE))
	s.call(name, unix.SYS_MOUNT_SETATTR, num(fd), s.str(""), num(unix.AT_EMPTY_PATH|unix.AT_RECURSIVE), attr,
		num(sizeofMountAttr))
	return fd
}

// attach mounts a detached tree at path, relative to the root under construction.
func (s *script) attach(name string, fd int, path string) {
	s.call(name, unix.SYS_MOVE_MOUNT, num(fd), s.str(""), num(atCwd), s.str(path), num(unix.MOVE_MOUNT_F_EMPTY_PATH))
	s.close(fd)
}

// files builds the root directory and moves into it.
func (h *host) files(s *script, c *Config) error {
	readOnly := s.mountAttr(bindAttr)
	device := s.mountAttr(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC)
	masked := s.mountAttr(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NODEV)

	s.call("private mounts", unix.SYS_MOUNT, num(0), s.str("/"), num(0), num(unix.MS_REC|unix.MS_PRIVATE), num(0))

	// Everything of the host is opened before the new root covers a part of it.
	binds := slices.Clone(c.Binds)
	slices.SortFunc(binds, func(a, b Bind) int { return strings.Compare(a.Target, b.Target) })
	trees := make([]int, len(binds))
	for i, b := range binds {
		trees[i] = s.tree("bind "+b.Source, b.Source, readOnly)
	}
	devices := make([]int, len(h.devices))
	for i, d := range h.devices {
		devices[i] = s.tree("bind /dev/"+d, "/dev/"+d, device)
	}

	size := 1 << 20
	for _, f := range c.Files {
		size += (len(f.Data) + 4095) &^ 4095
	}
	s.tmpfs("root", h.cover, unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size="+strconv.Itoa(size))
	s.call("enter root", unix.SYS_CHDIR, s.str(h.cover))
	s.call("umask", unix.SYS_UMASK, num(0))

	made := map[string]bool{"/": true}
	for i, b := range binds {
		st, err := os.Stat(b.Source)
		if err != nil {
			return fmt.Errorf("sandbox: bind: %w", err)
		}
		if !h.covered(binds[:i], b.Target) {
			s.mkdirs(made, path.Dir(b.Target))
			if st.IsDir() {
				s.mkdirs(made, b.Target)
			} else {
				s.file("mount point "+b.Target, b.Target, nil, 0o444)
			}
		}
		s.attach("bind "+b.Source+" at "+b.Target, trees[i], b.Target[1:])
	}

	for _, p := range c.Later {
		if h.covered(binds, p) {
			return fmt.Errorf("sandbox: %s lies in a bind", p)
		}
		s.mkdirs(made, p)
		s.tmpfs("mount point "+p, p[1:], unix.MS_NOSUID|unix.MS_NODEV|unix.MS_RDONLY, "mode=0755,size=4k")
	}

	for i, f := range c.Files {
		mode := f.Mode.Perm()
		if mode == 0 {
			mode = 0o444
		}
		if !h.covered(binds, f.Path) {
			s.mkdirs(made, path.Dir(f.Path))
			s.file("file "+f.Path, f.Path, f.Data, mode)
			continue
		}
		// A file over a bind: it is made elsewhere, mounted, and its first name removed.
		name := "/.file" + strconv.Itoa(i)
		s.file("file "+f.Path, name, f.Data, mode)
		s.attach("file "+f.Path, s.tree("file "+f.Path, name[1:], readOnly), f.Path[1:])
		s.call("file "+f.Path, unix.SYS_UNLINKAT, num(atCwd), s.str(name[1:]), num(0))
	}

	s.mkdirs(made, "/dev/shm")
	for i, d := range h.devices {
		s.file("mount point /dev/"+d, "/dev/"+d, nil, 0o444)
		s.attach("mount /dev/"+d, devices[i], "dev/"+d)
	}
	for _, l := range [...][2]string{
		{"/proc/self/fd", "dev/fd"}, {"fd/0", "dev/stdin"}, {"fd/1", "dev/stdout"}, {"fd/2", "dev/stderr"},
	} {
		s.call("symlink /"+l[1], unix.SYS_SYMLINKAT, s.str(l[0]), num(atCwd), s.str(l[1]))
	}
	s.tmpfs("/dev/shm", "dev/shm", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, tmpfsOptions(shmBytes))
	s.mkdirs(made, "/proc")
	if h.proc {
		h.mountProc(s, masked, device)
	}
	if c.TmpBytes > 0 {
		s.mkdirs(made, "/tmp")
		s.tmpfs("/tmp", "tmp", unix.MS_NOSUID|unix.MS_NODEV, tmpfsOptions(c.TmpBytes))
	}

	fd := s.callFD("open /dev/null", unix.SYS_OPENAT, num(atCwd), s.str("dev/null"), num(unix.O_RDONLY|unix.O_CLOEXEC))
	s.call("standard input", unix.SYS_DUP3, num(fd), num(0), num(0))
	s.close(fd)

	// The old root comes to lie over the new one, at ".", and is taken away from there.
	s.call("pivot_root", unix.SYS_PIVOT_ROOT, s.str("."), s.str("."))
	s.call("detach the host", unix.SYS_UMOUNT2, s.str("."), num(unix.MNT_DETACH))
	s.call("chdir /", unix.SYS_CHDIR, s.str("/"))
	s.call("read-only root", unix.SYS_MOUNT_SETATTR, num(atCwd), s.str("/"), num(0), readOnly, num(sizeofMountAttr))
	return nil
}

// covered says whether p lies below one of the binds, so that nothing can be made there.
func (h *host) covered(binds []Bind, p string) bool {
	return slices.ContainsFunc(binds, func(b Bind) bool { return under(p, b.Target) })
}

// tmpfsOptions are for a file system that anyone in the sandbox may write to. Each inode is kernel memory too, so there
// are as many as there are pages.
func tmpfsOptions(size int64) string {
	return "mode=1777,size=" + strconv.FormatInt(size, 10) + ",nr_inodes=" + strconv.FormatInt(max(size/4096, 16), 10)
}

func (s *script) tmpfs(name, target string, flags int, options string) {
	s.call("mount "+name, unix.SYS_MOUNT, s.str("tmpfs"), s.str(target), s.str("tmpfs"), num(flags), s.str(options))
}

// mkdirs makes the directory p, and what leads to it, unless made already.
func (s *script) mkdirs(made map[string]bool, p string) {
	if made[p] {
		return
	}
	s.mkdirs(made, path.Dir(p))
	made[p] = true
	s.call("mkdir "+p, unix.SYS_MKDIRAT, num(atCwd), s.str(p[1:]), num(0o755))
}

// file makes the file p.
func (s *script) file(name, p string, data []byte, mode os.FileMode) {
	fd := s.callFD(name, unix.SYS_OPENAT, num(atCwd), s.str(p[1:]),
		num(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), num(uint32(mode)))
	if len(data) > 0 {
		s.call(name, unix.SYS_WRITE, num(fd), s.bytes(data), num(len(data))).want = int64(len(data))
	}
	s.close(fd)
}

// mountProc mounts the new pid namespace's /proc, read-only and without processes that one may not trace, and covers what
// is masked.
func (h *host) mountProc(s *script, masked, device arg) {
	empty := make([]int, len(h.maskDirs))
	for i, d := range h.maskDirs {
		empty[i] = s.tree("mask /proc/"+d, "proc", masked) // still an empty directory
	}
	s.call("mount /proc", unix.SYS_MOUNT, s.str("proc"), s.str("proc"), s.str("proc"),
		num(unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY), s.str("hidepid=2"))
	for i, d := range h.maskDirs {
		s.attach("mask /proc/"+d, empty[i], "proc/"+d)
	}
	for _, f := range h.maskFiles {
		s.attach("mask /proc/"+f, s.tree("mask /proc/"+f, "dev/null", device), "proc/"+f)
	}
}

// drop takes away what the set-up needed.
func (h *host) drop(s *script, c *Config, p part) {
	for _, i := range p.stdioPipes {
		// A process that opens /dev/stdout again must own the pipe.
		s.call("own output", unix.SYS_FCHOWN, slot(i), num(p.owner), num(p.owner))
	}
	if h.privileged {
		s.call("drop groups", unix.SYS_SETGROUPS, num(0), num(0))
		s.call("unshare user namespace", unix.SYS_UNSHARE, num(unix.CLONE_NEWUSER))
		s.exchange(msgMap, nil)
		s.call("setresgid", unix.SYS_SETRESGID, num(GID), num(GID), num(GID))
		s.call("setresuid", unix.SYS_SETRESUID, num(UID), num(UID), num(UID))
	}
	// A second line behind the filter, which has no keyctl: a kernel without keyrings, or a user whose quota of keys is
	// used up, does without.
	s.call("new keyring", unix.SYS_KEYCTL, num(unix.KEYCTL_JOIN_SESSION_KEYRING), num(0)).forgive = forgiveAny
	for _, l := range h.rlimits(c, p) {
		s.call("rlimit "+strconv.Itoa(l.resource), unix.SYS_PRLIMIT64, num(0), num(l.resource),
			s.words(num(l.soft), num(l.hard)), num(0))
	}
	s.call("umask", unix.SYS_UMASK, num(0o022))
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	s.call("chdir "+dir, unix.SYS_CHDIR, s.str(dir))
	byDefault := s.words(num(0), num(0), num(0), num(0)) // struct sigaction
	for i := 1; i <= 31; i++ {
		if sig := unix.Signal(i); sig != unix.SIGKILL && sig != unix.SIGSTOP {
			// Handlers are gone with the clone; this is for what the server's own parent had it ignore.
			s.call("default signals", unix.SYS_RT_SIGACTION, num(i), byDefault, num(0), num(8))
		}
	}
	s.call("securebits", unix.SYS_PRCTL, num(unix.PR_SET_SECUREBITS), num(securebits))
	for i := 0; i <= h.lastCap; i++ {
		s.call("bounding set", unix.SYS_PRCTL, num(unix.PR_CAPBSET_DROP), num(i))
	}
	s.call("ambient set", unix.SYS_PRCTL, num(unix.PR_CAP_AMBIENT), num(unix.PR_CAP_AMBIENT_CLEAR_ALL), num(0), num(0), num(0))
	s.call("drop capabilities", unix.SYS_CAPSET, s.words(num(uint64(unix.LINUX_CAPABILITY_VERSION_3))),
		s.bytes(make([]byte, 24)))
	s.call("no_new_privs", unix.SYS_PRCTL, num(unix.PR_SET_NO_NEW_PRIVS), num(1), num(0), num(0), num(0))
	// This process, which stays as the first of the sandbox, is not for the command to look into. Executing it makes the
	// command itself dumpable again.
	s.call("not dumpable", unix.SYS_PRCTL, num(unix.PR_SET_DUMPABLE), num(0))
}

type rlimit struct {
	resource   int
	soft, hard uint64
}

// rlimits are the limits that every process of the sandbox starts with, none above what the server itself may have.
func (h *host) rlimits(c *Config, p part) []rlimit {
	limits := []rlimit{
		// Not 0: that does not keep the kernel from piping a core to the host's handler of core files, as root. 1 does.
		// https://man7.org/linux/man-pages/man5/core.5.html, "Piping core dumps to a program"
		{unix.RLIMIT_CORE, 1, 1},
		{unix.RLIMIT_NOFILE, MaxOpenFiles, MaxOpenFiles},
		{unix.RLIMIT_STACK, 8 << 20, unix.RLIM_INFINITY},
		{unix.RLIMIT_MEMLOCK, 64 << 10, 64 << 10},
		{unix.RLIMIT_MSGQUEUE, 0, 0},
		{unix.RLIMIT_NICE, 0, 0},
		{unix.RLIMIT_RTPRIO, 0, 0},
	}
	if p.limitProcesses {
		n := uint64(c.pids()) + 1 // and the sandbox's first process
		limits = append(limits, rlimit{unix.RLIMIT_NPROC, n, n})
	}
	if p.limitData > 0 {
		limits = append(limits, rlimit{unix.RLIMIT_DATA, p.limitData, p.limitData})
	}
	for i := range limits {
		var own unix.Rlimit
		if err := unix.Getrlimit(limits[i].resource, &own); err == nil {
			limits[i].hard = min(limits[i].hard, own.Max)
			limits[i].soft = min(limits[i].soft, limits[i].hard)
		}
	}
	return limits
}

func (c *Config) pids() int {
	if c.PIDs == 0 {
		return DefaultPIDs
	}
	return c.PIDs
}
