package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The contract of Driver, as one suite for every driver.

func TestPlainContract(t *testing.T) {
	testContract(t, func(t *testing.T) Driver { return NewPlain(testOptions(t)) })
}

func testContract(t *testing.T, open func(*testing.T) Driver) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Driver)
	}{
		{"Exit", testExit},
		{"Inherits", testInherits},
		{"Output", testOutput},
		{"NoCommand", testNoCommand},
		{"BadConfig", testBadConfig},
		{"Canceled", testCanceled},
		{"Listen", testListen},
		{"KillsTree", testKillsTree},
		{"Freeze", testFreeze},
		{"Companions", testCompanions},
		{"CompanionsOutlive", testCompanionsOutlive},
		{"CompanionMissing", testCompanionMissing},
		{"Dial", testDial},
		{"CommandEndsTree", testCommandEndsTree},
		{"Stats", testStats},
		{"Busy", testBusy},
		{"Memory", testMemory},
		{"Close", testClose},
		{"Parallel", testParallel},
		{"Protections", testProtections},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t)
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			test.run(t, d)
		})
	}
}

func init() {
	roles["exit"] = func(args []string) int {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			panic(err)
		}
		return n
	}
	roles["signal"] = func(args []string) int {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			panic(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
			panic(err)
		}
		time.Sleep(time.Minute)
		return 1
	}
	roles["inherits"] = func([]string) int {
		for _, e := range os.Environ() {
			fmt.Println("env", e)
		}
		for fd := range 4096 {
			// Go's own poller and the like are opened after the start, close-on-exec.
			flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
			if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
				fmt.Println("fd", fd)
			}
		}
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			panic(err)
		}
		fmt.Println("nofile", limit.Max)
		if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
			panic(err)
		}
		fmt.Println("core", limit.Max)
		dir, err := os.Getwd()
		if err != nil {
			panic(err)
		}
		fmt.Println("dir", dir)
		if n, err := os.Stdin.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			panic(fmt.Sprint("stdin: ", n, err))
		}
		sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
		fmt.Println("session leader", int(sid) == os.Getpid())
		return 0
	}
	roles["output"] = func([]string) int {
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		return 0
	}
	roles["dial"] = func(args []string) int {
		for i := 0; i < len(args); i += 2 {
			conn, err := net.Dial(args[i], args[i+1])
			if err != nil {
				panic(err)
			}
			if _, err := conn.Write([]byte("ping " + args[i])); err != nil {
				panic(err)
			}
			b := make([]byte, 100)
			n, err := conn.Read(b)
			if err != nil {
				panic(err)
			}
			fmt.Println(string(b[:n]))
			conn.Close()
		}
		return 0
	}
	// A tree of processes: children "sleep", each of which marks its command line, and one that left its parent.
	roles["tree"] = func(args []string) int {
		for range 3 {
			spawnSelf("sleep", args[0])
		}
		fmt.Println("up")
		time.Sleep(time.Minute)
		return 0
	}
	roles["leave"] = func(args []string) int {
		spawnSelf("sleep", args[0])
		fmt.Println("up")
		return 7
	}
	roles["sleep"] = func([]string) int {
		time.Sleep(time.Minute)
		return 0
	}
	roles["burn"] = func([]string) int {
		var used syscall.Rusage
		for used.Utime.Nano()+used.Stime.Nano() < 300e6 {
			for begin := time.Now(); time.Since(begin) < time.Millisecond; {
			}
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
				panic(err)
			}
		}
		fill(40 << 20)
		fmt.Println("burnt")
		if _, err := os.Stdin.Read(make([]byte, 1)); err != io.EOF {
			panic(err)
		}
		time.Sleep(300 * time.Millisecond) // for drivers that sample
		return 0
	}
	roles["fill"] = func(args []string) int {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			panic(err)
		}
		fill(n)
		fmt.Println("filled")
		time.Sleep(time.Minute)
		return 0
	}
}

// spawnSelf starts the test binary again as a child, which keeps neither output nor input open.
func spawnSelf(role string, args ...string) {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = []string{roleEnv + "=" + role, raceOptions}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

// fill uses n bytes of memory, and no more of it under the race detector.
//
//go:norace
func fill(n int) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

func testExit(t *testing.T, d Driver) {
	for _, code := range []int{0, 1, 3, 127, 255} {
		exit := start(t, d, roleConfig(t, d, "exit", strconv.Itoa(code))).Wait()
		if exit.Code != code || exit.Signal != 0 || exit.OutOfMemory {
			t.Errorf("exit status %d: %+v", code, exit)
		}
	}
	// Also the signals that a first process of a pid namespace would ignore from itself.
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGABRT, syscall.SIGHUP} {
		r := start(t, d, roleConfig(t, d, "signal", strconv.Itoa(int(sig))))
		out := r.output(t)
		exit := r.Wait()
		// The Go runtime itself makes an exit status of SIGABRT.
		if sig == syscall.SIGABRT && exit.Code == 2 && strings.Contains(out, "SIGABRT") {
			continue
		}
		if exit.Code != -1 || exit.Signal != sig || exit.OutOfMemory {
			t.Errorf("signal %v: %+v", sig, exit)
		}
	}
}

func testInherits(t *testing.T, d Driver) {
	t.Setenv("SANDBOX_TEST_SECRET", "must not be seen")
	c := roleConfig(t, d, "inherits")
	c.Env = append(c.Env, "A=1", "EMPTY=", "B=x=y")
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &own); err != nil {
		t.Fatal(err)
	}
	dir, core := taskRoot, fmt.Sprint("core ", min(own.Max, 1))
	if !d.Features().PrivateRoot {
		dir, _ = self(t)
		core = "core 0"
	}
	want := []string{
		"env " + roleEnv + "=inherits", "env " + raceOptions, "env A=1", "env EMPTY=", "env B=x=y",
		"fd 0", "fd 1", "fd 2", "nofile 1024", core, "dir " + dir, "session leader true",
	}
	got := strings.Split(strings.TrimSpace(start(t, d, c).ok(t)), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func testOutput(t *testing.T, d Driver) {
	dir := t.TempDir()
	var err error
	c := roleConfig(t, d, "output")
	if c.Stdout, err = os.Create(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	defer c.Stdout.Close()
	if c.Stderr, err = os.Create(filepath.Join(dir, "err")); err != nil {
		t.Fatal(err)
	}
	defer c.Stderr.Close()
	p, err := d.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	for name, want := range map[string]string{"out": "to stdout\n", "err": "to stderr\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	c.Stdout, c.Stderr = nil, nil
	if p, err = d.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if exit := p.Wait(); exit.Code != 0 {
		t.Errorf("without output: %+v", exit)
	}
}

func testNoCommand(t *testing.T, d Driver) {
	c := roleConfig(t, d, "exit")
	c.Command = []string{"/no/such/program"}
	_, err := d.Start(t.Context(), c)
	if !errors.Is(err, syscall.ENOENT) && (err == nil || !strings.Contains(err.Error(), syscall.ENOENT.Error())) ||
		!strings.HasPrefix(err.Error(), "sandbox: execute /no/such/program: ") {
		t.Errorf("no such program: %v", err)
	}
	// What is there, but is no program.
	c.Command = []string{"/usr/lib/os-release"}
	if _, err := d.Start(t.Context(), c); err == nil {
		t.Error("a text file was executed")
	}
}

func testBadConfig(t *testing.T, d Driver) {
	for name, change := range map[string]func(*Config){
		"no command":        func(c *Config) { c.Command = nil },
		"relative command":  func(c *Config) { c.Command = []string{"true"} },
		"relative dir":      func(c *Config) { c.Dir = "x" },
		"unclean bind":      func(c *Config) { c.Binds = append(c.Binds, Bind{"/usr/../etc", "/etc"}) },
		"unclean target":    func(c *Config) { c.Binds = append(c.Binds, Bind{"/etc", "/x/../etc"}) },
		"bind over root":    func(c *Config) { c.Binds = append(c.Binds, Bind{"/etc", "/"}) },
		"bind into proc":    func(c *Config) { c.Binds = append(c.Binds, Bind{"/etc", "/proc/x"}) },
		"bind over dev":     func(c *Config) { c.Binds = append(c.Binds, Bind{"/etc", "/dev"}) },
		"bind twice":        func(c *Config) { c.Binds = append(c.Binds, c.Binds[0]) },
		"file over bind":    func(c *Config) { c.Files = append(c.Files, File{Path: c.Binds[0].Target}) },
		"NUL in argument":   func(c *Config) { c.Command = append(c.Command, "a\x00b") },
		"NUL in variable":   func(c *Config) { c.Env = append(c.Env, "A=\x00") },
		"tiny memory":       func(c *Config) { c.MemoryBytes = MinMemoryBytes - 1 },
		"negative memory":   func(c *Config) { c.MemoryBytes = -1 },
		"negative tmp":      func(c *Config) { c.TmpBytes = -1 },
		"unknown network":   func(c *Config) { c.Listen = []ListenSpec{{"unix", "/x"}} },
		"named address":     func(c *Config) { c.Listen = []ListenSpec{{"tcp", "localhost:80"}} },
		"no port":           func(c *Config) { c.Listen = []ListenSpec{{"tcp", "127.0.0.1"}} },
		"too many sockets":  func(c *Config) { c.Listen = make([]ListenSpec, MaxListen+1) },
		"files too big":     func(c *Config) { c.Files = []File{{Path: "/f", Data: make([]byte, MaxFileBytes+1)}} },
		"host name too big": func(c *Config) { c.Hostname = strings.Repeat("h", 65) },
	} {
		c := roleConfig(t, d, "exit", "0")
		change(c)
		if p, err := d.Start(t.Context(), c); err == nil {
			t.Errorf("%s: started", name)
			p.Kill()
		}
	}
}

func testCanceled(t *testing.T, d Driver) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Start(ctx, roleConfig(t, d, "sleep")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	// Canceled at any moment: it is started or it is not, and nothing of it is left.
	for delay := range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cause")
		time.AfterFunc(time.Duration(delay)*500*time.Microsecond, func() { cancel(cause) })
		p, err := d.Start(ctx, roleConfig(t, d, "sleep"))
		if err == nil {
			p.Kill()
			p.Wait()
		} else if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("canceled meanwhile: %v", err)
		}
		cancel(nil)
	}
	// Later, the context is of no account.
	ctx, cancel = context.WithCancel(t.Context())
	p, err := d.Start(ctx, roleConfig(t, d, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-p.Done():
		t.Error("canceled after the start, and dead")
	case <-time.After(50 * time.Millisecond):
	}
}

// echo answers one message on each socket.
func echo(t *testing.T, sockets []Socket) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, s := range sockets {
		wg.Go(func() {
			b := make([]byte, 100)
			if s.Packet != nil {
				n, from, err := s.Packet.ReadFrom(b)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Packet.WriteTo(append([]byte("re: "), b[:n]...), from); err != nil {
					t.Error(err)
				}
				return
			}
			conn, err := s.Listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			n, err := conn.Read(b)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.Write(append([]byte("re: "), b[:n]...)); err != nil {
				t.Error(err)
			}
		})
	}
	return &wg
}

func testListen(t *testing.T, d Driver) {
	specs := []ListenSpec{{"tcp", "127.0.0.1:9001"}, {"tcp", "127.0.0.1:443"}, {"udp", "127.0.0.1:53"}}
	if ipv6(t) {
		specs = append(specs, ListenSpec{"tcp", "[::1]:9001"}, ListenSpec{"udp", "[::1]:53"})
	}
	c := roleConfig(t, d, "sleep")
	c.Listen = specs
	r := start(t, d, c)
	if got := len(r.Sockets()); got != len(specs) {
		t.Fatalf("%d sockets", got)
	}
	for i, s := range r.Sockets() {
		if d.Features().FixedAddresses && s.Addr().String() != specs[i].Address {
			t.Errorf("socket %d at %s, not %s", i, s.Addr(), specs[i].Address)
		}
		if s.Addr().Network() != specs[i].Network {
			t.Errorf("socket %d of network %s", i, s.Addr().Network())
		}
	}
	r.Kill()
	r.output(t)
	r.Wait()
	for i, s := range r.Sockets() {
		var err error
		if s.Listener != nil {
			_, err = s.Listener.Accept()
		} else {
			_, _, err = s.Packet.ReadFrom(make([]byte, 1))
		}
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("socket %d after the end: %v", i, err)
		}
	}

	if !d.Features().FixedAddresses {
		return // the program could not be told the addresses
	}
	c = roleConfig(t, d, "dial")
	c.Listen = specs
	for _, s := range specs {
		c.Command = append(c.Command, s.Network, s.Address)
	}
	r = start(t, d, c)
	wg := echo(t, r.Sockets())
	want := ""
	for _, s := range specs {
		want += "re: ping " + s.Network + "\n"
	}
	if got := r.ok(t); got != want {
		t.Errorf("got %q", got)
	}
	wg.Wait()
}

// ipv6 says whether the machine has it.
func ipv6(t *testing.T) bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Log("without IPv6:", err)
		return false
	}
	l.Close()
	return true
}

// marker is an argument that no other process has.
func marker(t testing.TB) string {
	return fmt.Sprintf("marker-%d-%d", os.Getpid(), time.Now().UnixNano())
}

// marked counts the processes of this machine that have the argument m.
func marked(t testing.TB, m string) int {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no /proc")
	}
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil && slices.Contains(strings.Split(string(b), "\x00"), m) {
			n++
		}
	}
	return n
}

func testKillsTree(t *testing.T, d Driver) {
	m := marker(t)
	r := start(t, d, roleConfig(t, d, "tree", m))
	if got := r.line(t); got != "up" {
		t.Fatal(got)
	}
	if got := marked(t, m); got != 4 {
		t.Errorf("%d processes, not 4", got)
	}
	r.Kill()
	r.Kill()
	r.output(t)
	exit := r.Wait()
	if exit.Code != -1 || exit.Signal != syscall.SIGKILL || exit.OutOfMemory {
		t.Errorf("%+v", exit)
	}
	waitNone(t, d, m)
	r.Kill() // of what is gone: nothing
}

func testCommandEndsTree(t *testing.T, d Driver) {
	m := marker(t)
	r := start(t, d, roleConfig(t, d, "leave", m))
	if got := r.line(t); got != "up" {
		t.Fatal(got)
	}
	r.output(t)
	if exit := r.Wait(); exit.Code != 7 {
		t.Errorf("%+v", exit)
	}
	waitNone(t, d, m)
}

// waitNone checks that no process has the argument m. A sandbox's have to be gone by now; those of the plain driver have
// been killed, but nobody can wait for them.
func waitNone(t *testing.T, d Driver, m string) {
	deadline := time.Now().Add(20 * time.Second)
	for marked(t, m) > 0 {
		if d.Features().PrivateRoot || time.Now().After(deadline) {
			t.Fatalf("%d processes are left", marked(t, m))
		}
		time.Sleep(time.Millisecond)
	}
}

func testStats(t *testing.T, d Driver) {
	r := start(t, d, roleConfig(t, d, "burn"))
	if got := r.line(t); got != "burnt" {
		t.Fatal(got)
	}
	check := func(when string, s Stats) {
		if s.CPUTime < 300*time.Millisecond || s.CPUTime > 30*time.Second {
			t.Errorf("%s: CPU time %v", when, s.CPUTime)
		}
		if s.MaxMemoryBytes > 256<<20 || s.MaxMemoryBytes < 40<<20 && when == "at the end" {
			t.Errorf("%s: memory %d", when, s.MaxMemoryBytes)
		}
	}
	check("while it runs", r.Stats())
	r.ok(t)
	check("at the end", r.Wait().Stats)
	check("at the end", r.Stats())
}

func testBusy(t *testing.T, d Driver) {
	if !d.Features().PrivateRoot && !samplesMemory {
		t.Skip("this driver cannot know")
	}
	becomes := func(r Process, busy bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); r.Busy() != busy; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not busy=%t in 30 s", busy)
			}
		}
	}
	r := start(t, d, roleConfig(t, d, "burn"))
	becomes(r, true)
	r.Kill()
	r.output(t)
	r.Wait()
	becomes(r, false)
	r = start(t, d, roleConfig(t, d, "sleep"))
	becomes(r, false)
}

func testMemory(t *testing.T, d Driver) {
	if !d.Features().PrivateRoot && !samplesMemory {
		t.Skip("this driver does not limit memory")
	}
	m := marker(t)
	c := roleConfig(t, d, "fill", "400", m)
	c.Command = []string{c.Command[0], strconv.Itoa(400 << 20), m}
	c.MemoryBytes = 96 << 20
	other := start(t, d, roleConfig(t, d, "sleep"))
	begin := time.Now()
	r := start(t, d, c)
	out := r.output(t)
	exit := r.Wait()
	if !exit.OutOfMemory || exit.Signal != syscall.SIGKILL || exit.Code != -1 {
		t.Errorf("%+v\n%s", exit, out)
	}
	if exit.MaxMemoryBytes > c.MemoryBytes || exit.MaxMemoryBytes < c.MemoryBytes/2 {
		t.Errorf("memory %d", exit.MaxMemoryBytes)
	}
	t.Log("killed after", time.Since(begin))
	waitNone(t, d, m)
	select {
	case <-other.Done():
		t.Error("the other sandbox died too")
	default:
	}
	other.Kill()
	other.output(t)

	// Below the limit it lives.
	c = roleConfig(t, d, "fill", strconv.Itoa(60<<20))
	c.MemoryBytes = 128 << 20
	r = start(t, d, c)
	if got := r.line(t); got != "filled" {
		t.Error(got)
	}
	select {
	case <-r.Done():
		t.Errorf("killed below its limit: %+v", r.Wait())
	case <-time.After(300 * time.Millisecond):
	}
	r.Kill()
	r.output(t)
	if exit := r.Wait(); exit.OutOfMemory {
		t.Errorf("killed, not out of memory: %+v", exit)
	}
}

func testClose(t *testing.T, d Driver) {
	m := marker(t)
	var runs []*run
	for range 3 {
		runs = append(runs, start(t, d, roleConfig(t, d, "sleep", m)))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		select {
		case <-r.Done():
		default:
			t.Error("not done after Close")
		}
		r.output(t)
	}
	waitNone(t, d, m)
	if _, err := d.Start(t.Context(), roleConfig(t, d, "sleep")); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	// And once more, by the suite.
}

func testParallel(t *testing.T, d Driver) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p, err := d.Start(t.Context(), roleConfig(t, d, "exit", strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			if exit := p.Wait(); exit.Code != i {
				t.Errorf("%d: %+v", i, exit)
			}
		})
	}
	// Close in the middle of starts.
	wg.Wait()
	for range 8 {
		wg.Go(func() {
			p, err := d.Start(t.Context(), roleConfig(t, d, "sleep"))
			if err == nil {
				p.Wait()
			} else if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func testProtections(t *testing.T, d Driver) {
	for _, p := range d.Protections() {
		if p.Name == "" || p.Detail == "" {
			t.Errorf("%+v", p)
		}
		if !d.Features().PrivateRoot && p.Active {
			t.Errorf("the plain driver claims %+v", p)
		}
		t.Logf("%-22s %-5v %s", p.Name, p.Active, p.Detail)
	}
}

func TestHostPath(t *testing.T) {
	c := &Config{Binds: []Bind{{"/srv/code", "/var/task"}, {"/srv/layers/a", "/opt"}, {"/srv/x", "/opt/x"}}}
	for in, want := range map[string]string{
		"/var/task":        "/srv/code",
		"/var/task/a/b.py": "/srv/code/a/b.py",
		"/var/taskforce":   "/var/taskforce",
		"/opt/python":      "/srv/layers/a/python",
		"/opt/x/y":         "/srv/x/y",
		"/usr/bin/node":    "/usr/bin/node",
		"/":                "/",
	} {
		if got := c.HostPath(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
