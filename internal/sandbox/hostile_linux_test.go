//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An attempt is something that a function must not be able to do. It runs inside; env is what the test tells it.
type attempt struct {
	name string
	try  func(env func(string) string) error
	want []error // any of them
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return nil
}

func ptr(s string) uintptr {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return uintptr(unsafe.Pointer(p))
}

func read(path string) func(func(string) string) error {
	return func(func(string) string) error {
		_, err := os.ReadFile(path)
		return err
	}
}

func write(path string) func(func(string) string) error {
	return func(func(string) string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
		if err == nil {
			_, err = f.WriteString("x")
			f.Close()
		}
		return err
	}
}

// syscalls is an attempt of one call.
func syscalls(nr uintptr, args ...uintptr) func(func(string) string) error {
	return func(func(string) string) error { return call(nr, args...) }
}

func socket(domain, typ, protocol uintptr) func(func(string) string) error {
	return syscalls(unix.SYS_SOCKET, domain, typ, protocol)
}

// empty says that a file has nothing to tell.
func empty(path string) func(func(string) string) error {
	return func(func(string) string) error {
		b, err := os.ReadFile(path)
		if err == nil && len(b) == 0 {
			return errNothing
		}
		return err
	}
}

// addrNoRandomize is a flag of linux/personality.h.
const addrNoRandomize = 0x40000

var errNothing = errors.New("nothing")

func dial(network, address string) func(func(string) string) error {
	return func(env func(string) string) error {
		conn, err := net.Dial(network, os.Expand(address, env))
		if err == nil {
			conn.Close()
		}
		return err
	}
}

var readOnly = []error{unix.EROFS, unix.EACCES, unix.EPERM}[:3:3]

var attempts = []attempt{
	// files
	{"read a secret of the host", func(env func(string) string) error { _, err := os.ReadFile(env("SECRET")); return err },
		[]error{unix.ENOENT}},
	{"read /etc/shadow", read("/etc/shadow"), []error{unix.ENOENT}},
	{"list /root", read("/root"), []error{unix.ENOENT}},
	{"list /home", read("/home"), []error{unix.ENOENT}},
	{"list /sys", read("/sys"), []error{unix.ENOENT}},
	{"list the host's root through the first process", read("/proc/1/root/etc"), []error{unix.ENOENT}},
	{"climb out of /tmp", read("/tmp/../../../../../etc/shadow"), []error{unix.ENOENT}},
	{"write /", write("/x"), readOnly},
	{"write /etc/passwd", write("/etc/passwd"), readOnly},
	{"write /usr", write("/usr/x"), readOnly},
	{"write the code", write(taskRoot + "/x"), readOnly},
	{"write over the program", func(env func(string) string) error { return write(os.Args[0])(env) }, append(readOnly, unix.ETXTBSY)},
	{"write /dev", write("/dev/x"), readOnly},
	{"write /proc/sys", write("/proc/sys/kernel/core_pattern"), readOnly},
	{"write the OOM score", write("/proc/self/oom_score_adj"), readOnly},
	{"write uid_map", write("/proc/self/uid_map"), readOnly},
	{"write sysrq", write("/proc/sysrq-trigger"), append(readOnly, unix.ENOENT)},
	{"change the mode of a bound file", func(func(string) string) error { return os.Chmod(os.Args[0], 0o777) }, readOnly},
	{"link a bound file to /tmp", func(func(string) string) error { return os.Link(os.Args[0], "/tmp/link") },
		[]error{unix.EXDEV, unix.EPERM}},
	{"read kernel memory", read("/dev/mem"), []error{unix.ENOENT}},
	{"open the terminal", read("/dev/tty"), []error{unix.ENOENT}},
	{"read /proc/kcore", empty("/proc/kcore"), []error{errNothing, unix.EACCES, unix.ENOENT}},
	{"read /proc/keys", empty("/proc/keys"), []error{errNothing, unix.EACCES, unix.ENOENT}},
	{"read /proc/cmdline", empty("/proc/cmdline"), []error{errNothing}},
	{"make a device", syscalls(unix.SYS_MKNODAT, uintptr(0xffffffffffffff9c), ptr("/tmp/mem"), unix.S_IFCHR|0o666, 0x101),
		[]error{unix.EPERM}},
	{"open by handle", syscalls(unix.SYS_OPEN_BY_HANDLE_AT, 0, 0, 0), []error{unix.EPERM}},

	// mounts and namespaces
	{"mount", syscalls(unix.SYS_MOUNT, ptr("tmpfs"), ptr("/tmp"), ptr("tmpfs"), 0, 0), []error{unix.EPERM}},
	{"remount /", syscalls(unix.SYS_MOUNT, 0, ptr("/"), 0, unix.MS_REMOUNT|unix.MS_BIND, 0), []error{unix.EPERM}},
	{"unmount", syscalls(unix.SYS_UMOUNT2, ptr("/proc/kcore"), unix.MNT_DETACH), []error{unix.EPERM}},
	{"open_tree", syscalls(unix.SYS_OPEN_TREE, 0, ptr("/"), unix.OPEN_TREE_CLONE), []error{unix.EPERM}},
	{"fsopen", syscalls(unix.SYS_FSOPEN, ptr("tmpfs"), 0), []error{unix.EPERM}},
	{"pivot_root", syscalls(unix.SYS_PIVOT_ROOT, ptr("/"), ptr("/tmp")), []error{unix.EPERM}},
	{"chroot", syscalls(unix.SYS_CHROOT, ptr("/tmp")), []error{unix.EPERM}},
	{"unshare a user namespace", syscalls(unix.SYS_UNSHARE, unix.CLONE_NEWUSER), []error{unix.EPERM}},
	{"clone into a user namespace", syscalls(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD)), []error{unix.EPERM}},
	{"clone into a network namespace", syscalls(unix.SYS_CLONE, unix.CLONE_NEWNET|uintptr(unix.SIGCHLD)), []error{unix.EPERM}},
	{"clone3", syscalls(unix.SYS_CLONE3, 0, 0), []error{unix.ENOSYS}},
	{"setns", syscalls(unix.SYS_SETNS, 0, 0), []error{unix.EPERM}},

	// the kernel
	{"bpf", syscalls(unix.SYS_BPF, 0, 0, 0), []error{unix.EPERM}},
	{"perf_event_open", syscalls(unix.SYS_PERF_EVENT_OPEN), []error{unix.EPERM}},
	{"userfaultfd", syscalls(unix.SYS_USERFAULTFD, 0), []error{unix.EPERM}},
	{"io_uring", syscalls(unix.SYS_IO_URING_SETUP, 1, 0), []error{unix.ENOSYS}},
	{"keyctl", syscalls(unix.SYS_KEYCTL, 0, 0), []error{unix.EPERM}},
	{"add_key", syscalls(unix.SYS_ADD_KEY, 0, 0, 0, 0, 0), []error{unix.EPERM}},
	{"load a module", syscalls(unix.SYS_FINIT_MODULE, 0, ptr(""), 0), []error{unix.EPERM}},
	{"kexec", syscalls(unix.SYS_KEXEC_LOAD), []error{unix.EPERM}},
	{"reboot", syscalls(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, 0), []error{unix.EPERM}},
	{"read the kernel's log", syscalls(unix.SYS_SYSLOG, 10, 0, 0), []error{unix.EPERM}},
	{"set the clock", syscalls(unix.SYS_CLOCK_SETTIME, 0, 0), []error{unix.EPERM}},
	{"set the host name", syscalls(unix.SYS_SETHOSTNAME, ptr("x"), 1), []error{unix.EPERM}},
	{"swap", syscalls(unix.SYS_SWAPON, ptr("/tmp/x"), 0), []error{unix.EPERM}},
	{"no address randomization", syscalls(unix.SYS_PERSONALITY, addrNoRandomize), []error{unix.EPERM}},
	{"prctl of memory maps", syscalls(unix.SYS_PRCTL, unix.PR_SET_MM, 1, 0, 0, 0), []error{unix.EPERM}},
	{"prctl of capabilities", syscalls(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, 1, 0, 0), []error{unix.EPERM}},
	{"type into a terminal", syscalls(unix.SYS_IOCTL, 0, unix.TIOCSTI, ptr("x")), []error{unix.EPERM}},
	{"a system call of the future", syscalls(2000), []error{unix.ENOSYS}},

	// privileges
	{"setuid 0", syscalls(unix.SYS_SETUID, 0), []error{unix.EPERM, unix.EINVAL}},
	{"setgid 0", syscalls(unix.SYS_SETGID, 0), []error{unix.EPERM, unix.EINVAL}},
	{"setgroups", func(func(string) string) error { return unix.Setgroups([]int{0}) }, []error{unix.EPERM, unix.EINVAL}},
	{"gain capabilities", func(func(string) string) error {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
		return unix.Capset(&hdr, &data[0])
	}, []error{unix.EPERM}},
	{"more files", func(func(string) string) error {
		return unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: MaxOpenFiles + 1, Max: MaxOpenFiles + 1}, nil)
	}, []error{unix.EPERM}},
	{"a higher priority", func(func(string) string) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) }, []error{unix.EACCES, unix.EPERM}},
	{"a real-time priority", func(func(string) string) error {
		var priority int32 = 1
		return call(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&priority)))
	}, []error{unix.EPERM}},

	// other processes
	{"signal the host", func(env func(string) string) error {
		pid, err := strconv.Atoi(env("HOST_PID"))
		if err != nil {
			return err
		}
		return unix.Kill(pid, 0)
	}, []error{unix.ESRCH}},
	{"look at the host's processes", func(env func(string) string) error {
		return read("/proc/" + env("HOST_PID") + "/status")(env)
	}, []error{unix.ENOENT}},
	{"look at the first process", read("/proc/1/environ"), []error{unix.ENOENT, unix.EACCES}},
	{"ptrace", syscalls(unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1), []error{unix.EPERM}},
	{"ptrace oneself", syscalls(unix.SYS_PTRACE, unix.PTRACE_TRACEME), []error{unix.EPERM}},
	{"read memory", syscalls(unix.SYS_PROCESS_VM_READV, 1, 0, 0, 0, 0, 0), []error{unix.EPERM}},
	{"take a descriptor", syscalls(unix.SYS_PIDFD_GETFD, 0, 0, 0), []error{unix.EPERM}},

	// the network
	{"packet socket", socket(unix.AF_PACKET, unix.SOCK_RAW, 0), []error{unix.EAFNOSUPPORT}},
	{"raw socket", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), []error{unix.EPERM}},
	{"raw IPv6 socket", socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6), []error{unix.EPERM}},
	{"SCTP", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP), []error{unix.EPROTONOSUPPORT}},
	{"vsock", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0), []error{unix.EAFNOSUPPORT}},
	{"kernel crypto", socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), []error{unix.EAFNOSUPPORT}},
	{"netlink audit", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT), []error{unix.EPROTONOSUPPORT}},
	{"netlink netfilter", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), []error{unix.EPROTONOSUPPORT}},
	{"the host's loopback", dial("tcp", "$HOST_TCP"), []error{unix.ECONNREFUSED}},
	{"the host's abstract socket", dial("unix", "$HOST_UNIX"), []error{unix.ECONNREFUSED}},
	{"the outside", dial("tcp", "192.0.2.1:80"), []error{unix.ENETUNREACH}},
	{"a low port", func(func(string) string) error {
		l, err := net.Listen("tcp", "127.0.0.1:80")
		if err == nil {
			l.Close()
		}
		return err
	}, []error{unix.EACCES}},
	{"configure the loopback", func(func(string) string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		ifr.SetUint16(0)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
	}, []error{unix.EPERM}},
}

func init() {
	roles["hostile"] = func([]string) int {
		for _, a := range attempts {
			err := a.try(os.Getenv)
			ok := slices.ContainsFunc(a.want, func(w error) bool { return errors.Is(err, w) })
			fmt.Printf("%s\t%v\t%v\n", a.name, ok, err)
		}
		return 0
	}
	roles["id"] = func([]string) int {
		fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
		return 0
	}
	roles["pids"] = func([]string) int {
		dirs, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			panic(err)
		}
		fmt.Println(len(dirs), dirs)
		return 0
	}
	roles["kill"] = func([]string) int {
		// The first process takes no signal, not even this.
		if err := unix.Kill(1, unix.SIGKILL); err != nil {
			panic(err)
		}
		if err := unix.Kill(1, unix.SIGTERM); err != nil {
			panic(err)
		}
		fmt.Println("alive")
		return 0
	}
	roles["bomb"] = func([]string) int {
		n := 0
		var err error
		for ; n < 10000; n++ {
			if _, err = syscall.ForkExec("/bin/sleep", []string{"sleep", "60"}, nil); err != nil {
				break
			}
		}
		fmt.Println(n, err == syscall.EAGAIN)
		return 0
	}
	roles["flood"] = func(args []string) int {
		written, err := flood(args[0] + "/flood")
		fmt.Println(written, errors.Is(err, unix.ENOSPC))
		if len(args) > 1 {
			return roles["fill"](args[1:])
		}
		return 0
	}
	roles["inodes"] = func([]string) int {
		n := 0
		var err error
		for ; n < 1<<20; n++ {
			var f *os.File
			if f, err = os.Create("/tmp/" + strconv.Itoa(n)); err != nil {
				break
			}
			f.Close()
		}
		fmt.Println(n, errors.Is(err, unix.ENOSPC))
		return 0
	}
	roles["status"] = func([]string) int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			panic(err)
		}
		fmt.Print(string(b))
		h, err := os.Hostname()
		if err != nil {
			panic(err)
		}
		fmt.Println("Hostname:\t" + h)
		for _, p := range [...]string{"/etc/greeting", taskRoot + "/over"} {
			b, err := os.ReadFile(p)
			fmt.Printf("%s:\t%s%v\n", p, b, err)
		}
		return 0
	}
}

// flood writes to path until it fails.
func flood(path string) (written int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, 256<<10)
	for err == nil {
		var n int
		n, err = f.Write(b)
		written += int64(n)
	}
	return written, err
}

func TestHostile(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	abstract, err := net.Listen("unix", "@"+marker(t))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	c := roleConfig(t, d, "hostile")
	c.Files = []File{{Path: "/etc/passwd", Data: []byte("x:x:993:990::/:\n"), Mode: 0o644}}
	c.Env = append(c.Env, "SECRET="+secret, "HOST_PID="+strconv.Itoa(os.Getpid()), "HOST_TCP="+tcp.Addr().String(),
		"HOST_UNIX="+abstract.Addr().String())
	lines := strings.Split(strings.TrimSpace(start(t, d, c).ok(t)), "\n")
	if len(lines) != len(attempts) {
		t.Errorf("%d results of %d attempts", len(lines), len(attempts))
	}
	for i, line := range lines {
		name, result, _ := strings.Cut(line, "\t")
		if name != attempts[i].name || !strings.HasPrefix(result, "true\t") {
			t.Errorf("%s: %s, want %v", name, result, attempts[i].want)
		}
	}
}

// Those attempts that do no harm succeed outside of a sandbox: it is the sandbox that they fail for.
func TestHostileOutside(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SECRET": secret, "HOST_PID": strconv.Itoa(os.Getpid())}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	env["HOST_TCP"] = tcp.Addr().String()
	harmless := []string{"read a secret of the host", "signal the host", "look at the host's processes", "the host's loopback"}
	for _, a := range attempts {
		if slices.Contains(harmless, a.name) {
			if err := a.try(func(k string) string { return env[k] }); err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	want := fmt.Sprintf("%d %d %d %d\n", UID, UID, GID, GID)
	if got := start(t, d, roleConfig(t, d, "id")).ok(t); got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	// A set-user-id program gives nothing.
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	suid := filepath.Join(dir, "suid")
	if err := os.WriteFile(suid, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(suid, 0o6755|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	for p := dir; p != "/"; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err == nil && st.Mode().Perm()&0o005 == 0 && p == dir {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := roleConfig(t, d, "id")
	c.Binds = append(c.Binds, Bind{dir, "/opt"})
	c.Command[0] = "/opt/suid"
	if got := start(t, d, c).ok(t); got != want {
		t.Errorf("set-user-id: got %s, want %s", got, want)
	}
}

// The host's user of a sandbox is not root, and owns nothing but the sandbox.
func TestHostUser(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	var uids []uint32
	for range 2 {
		r := start(t, d, roleConfig(t, d, "sleep"))
		defer func() { r.Kill(); r.output(t) }()
		var st unix.Stat_t
		// The first process is not dumpable, and so not its own; its child is.
		pids := descendants(r.PID())
		if len(pids) < 2 {
			t.Fatalf("processes %v", pids)
		}
		if err := unix.Stat("/proc/"+strconv.Itoa(pids[1]), &st); err != nil {
			t.Fatal(err)
		}
		uids = append(uids, st.Uid)
	}
	if os.Geteuid() != 0 {
		if uids[0] != uint32(os.Geteuid()) {
			t.Errorf("user %d", uids[0])
		}
		return
	}
	if uids[0] < 1000 || uids[0] == uids[1] {
		t.Errorf("users %d", uids)
	}
}

func TestStatusInside(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	c := roleConfig(t, d, "status")
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/over", []byte("under"), 0o644),
		copyFile(dir+"/test", selfFile(t))); err != nil {
		t.Fatal(err)
	}
	for i := range c.Binds {
		if c.Binds[i].Target == taskRoot {
			c.Binds[i].Source = dir
		}
	}
	c.Command = []string{taskRoot + "/test"}
	c.Hostname = "function"
	c.Files = []File{{Path: "/etc/greeting", Data: []byte("hello")}, {Path: taskRoot + "/over", Data: []byte("over")}}
	out := start(t, d, c).ok(t)
	for _, want := range []string{
		"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
		"CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Uid:\t993\t993\t993\t993", "Gid:\t990\t990\t990\t990",
		"SigIgn:\t0000000000000000", "Umask:\t0022", "PPid:\t1",
		"Hostname:\tfunction", "/etc/greeting:\thello<nil>", taskRoot + "/over:\tover<nil>",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func selfFile(t testing.TB) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func TestOwnProcessesOnly(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	if got := start(t, d, roleConfig(t, d, "pids")).ok(t); !strings.HasPrefix(got, "1 [/proc/2]") {
		t.Errorf("sees %s", got)
	}
	r := start(t, d, roleConfig(t, d, "kill"))
	if got := r.ok(t); got != "alive\n" {
		t.Errorf("got %q", got)
	}
}

func TestForkBomb(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	c := roleConfig(t, d, "bomb")
	c.PIDs = 64
	var n int
	var again bool
	out := start(t, d, c).ok(t)
	if _, err := fmt.Sscan(out, &n, &again); err != nil {
		t.Fatal(err, out)
	}
	if !again || n < 30 || n > 64 {
		t.Errorf("%d processes, EAGAIN %v", n, again)
	}
}

func TestFullTmp(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	var n int64
	var full bool
	// Twice as much in /tmp as there is memory: the one does not count for the other.
	c := roleConfig(t, d, "flood", "/tmp")
	c.MemoryBytes, c.TmpBytes = 64<<20, 128<<20
	r := start(t, d, c)
	out := r.output(t)
	exit := r.Wait()
	if _, err := fmt.Sscan(out, &n, &full); err != nil {
		t.Fatal(err, out, exit)
	}
	if exit.Code != 0 || exit.OutOfMemory || !full || n < 120<<20 || n > 128<<20 {
		t.Errorf("%+v: %d bytes, ENOSPC %v", exit, n, full)
	}
	if exit.MaxMemoryBytes > 64<<20 {
		t.Errorf("memory %d", exit.MaxMemoryBytes)
	}

	// And with /tmp full, the memory has its limit still.
	c = roleConfig(t, d, "flood", "/tmp", strconv.Itoa(400<<20))
	c.MemoryBytes, c.TmpBytes = 64<<20, 128<<20
	r = start(t, d, c)
	out = r.output(t)
	if exit := r.Wait(); !exit.OutOfMemory || exit.Signal != syscall.SIGKILL {
		t.Errorf("%+v\n%s", exit, out)
	}

	// /dev/shm is memory, and bounded.
	c = roleConfig(t, d, "flood", "/dev/shm")
	c.MemoryBytes = 256 << 20
	out = start(t, d, c).ok(t)
	if _, err := fmt.Sscan(out, &n, &full); err != nil {
		t.Fatal(err, out)
	}
	if !full || n != shmBytes {
		t.Errorf("/dev/shm: %d bytes, ENOSPC %v", n, full)
	}

	// Small files are bounded too.
	c = roleConfig(t, d, "inodes")
	c.TmpBytes = 4 << 20
	out = start(t, d, c).ok(t)
	if _, err := fmt.Sscan(out, &n, &full); err != nil {
		t.Fatal(err, out)
	}
	if !full || n < 1000 || n > 1024 {
		t.Errorf("%d files, ENOSPC %v", n, full)
	}

	// Without /tmp there is none.
	c = roleConfig(t, d, "flood", "/tmp")
	c.TmpBytes = 0
	if out := start(t, d, c).ok(t); out != "0 false\n" {
		t.Errorf("without /tmp: %s", out)
	}
}

// Two sandboxes share no namespace, with the server or with each other.
func TestSandboxesApart(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	pids := []int{os.Getpid()}
	for range 2 {
		r := start(t, d, roleConfig(t, d, "sleep"))
		defer func() { r.Kill(); r.output(t) }()
		tree := descendants(r.PID())
		if len(tree) < 2 {
			t.Fatalf("processes %v", tree)
		}
		pids = append(pids, tree[1]) // the first process lets nobody look
	}
	for _, ns := range [...]string{"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"} {
		var links []string
		for _, pid := range pids {
			l, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + ns)
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, l)
		}
		slices.Sort(links)
		if len(slices.Compact(links)) != 3 {
			t.Errorf("%s namespaces: %v", ns, links)
		}
	}
}

// TestAsNobody runs the tests of this package once more as an ordinary user.
func TestAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	const nobody = 65534
	// Not t.TempDir, which others may not enter.
	dir, err := os.MkdirTemp("", "sandbox-nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "sandbox.test")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile(exe, selfFile(t))); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Chown(tmp, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.v", "-test.timeout=120s", "-test.skip=^TestPlain"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + tmp, "HOME=" + tmp, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
		return
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "SKIP") || strings.Contains(line, "memory limit") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if strings.Contains(string(out), "--- SKIP: TestHostile ") {
		t.Skipf("an ordinary user can make no sandbox here:\n%s", out)
	}
	if !strings.Contains(string(out), "--- PASS: TestHostile ") {
		t.Errorf("the sandbox was not tested:\n%s", out)
	}
}
