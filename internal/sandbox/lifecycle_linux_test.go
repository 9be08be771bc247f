//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	// A server that starts a sandbox with a tree of processes, says so, and waits to be killed.
	roles["server"] = func(args []string) int {
		d, err := New(Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err != nil {
			panic(err)
		}
		exe, err := os.Executable()
		if err != nil {
			panic(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		for _, role := range [...]string{"tree", "stubborn"} {
			p, err := d.Start(context.Background(), &Config{
				Binds:   append(system(), Bind{filepath.Dir(exe), taskRoot}),
				Command: []string{taskRoot + "/" + filepath.Base(exe), args[0]},
				Env:     []string{roleEnv + "=" + role, raceOptions}, Stdout: w, Stderr: w, TmpBytes: 1 << 20,
			})
			if err != nil {
				panic(err)
			}
			b := make([]byte, 3)
			if _, err := r.Read(b); err != nil || string(b) != "up\n" {
				panic(fmt.Sprintf("%q %v", b, err))
			}
			fmt.Println(p.PID())
		}
		if lin, ok := d.(*driver); ok && lin.tree != nil {
			for _, dir := range treeDirs(lin.tree) {
				fmt.Println(dir)
			}
		}
		fmt.Println("ready")
		time.Sleep(time.Minute)
		return 1
	}
	// A command that does what it can to outlive the server.
	roles["stubborn"] = func(args []string) int {
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
			panic(err)
		}
		for s := unix.Signal(1); s < 32; s++ {
			_ = unix.Kill(1, s) // to no effect
		}
		if _, err := unix.Setsid(); err != nil && err != unix.EPERM {
			panic(err)
		}
		spawnSelf("sleep", args[0])
		fmt.Println("up")
		time.Sleep(time.Minute)
		return 1
	}
	roles["spin"] = func([]string) int {
		for begin := time.Now(); time.Since(begin) < time.Second; {
		}
		return 0
	}
}

func treeDirs(t cgroupTree) []string {
	switch t := t.(type) {
	case *tree1:
		dirs := slices.Collect(func(yield func(string) bool) {
			for _, d := range t.dirs {
				if !yield(d) {
					return
				}
			}
		})
		slices.Sort(dirs)
		return slices.Compact(dirs)
	case *tree2:
		return []string{t.dir}
	}
	return nil
}

// TestServerKilled: a server that dies by SIGKILL takes its sandboxes along, and what cgroups it leaves go with the next.
func TestServerKilled(t *testing.T) {
	openLinux(t).Close()
	m := marker(t)
	cmd := exec.Command(selfFile(t), m)
	cmd.Env = append(os.Environ(), roleEnv+"=server")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var pids []int
	var dirs []string
	for lines.Scan() && lines.Text() != "ready" {
		if pid, err := strconv.Atoi(lines.Text()); err == nil {
			pids = append(pids, pid)
		} else {
			dirs = append(dirs, lines.Text())
		}
	}
	// The server, 4 processes of the tree, and 2 stubborn ones.
	if n := marked(t, m); n != 7 || len(pids) != 2 {
		t.Errorf("%d processes, %d sandboxes", n, len(pids))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("not killed")
	}
	deadline := time.Now().Add(20 * time.Second)
	for marked(t, m) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := marked(t, m); n > 0 {
		t.Fatalf("%d processes have outlived the server", n)
	}
	if len(dirs) == 0 {
		return
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			t.Logf("%s is gone already: another Brume, of another test perhaps, has started meanwhile", dir)
		}
	}
	openLinux(t).Close()
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

// belongings is what a server has in the kernel.
func belongings(t *testing.T, d *driver) map[string]int {
	t.Helper()
	count := make(map[string]int)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	count["descriptors"] = len(fds)
	count["processes"] = len(descendants(os.Getpid()))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	count["mounts"] = bytes.Count(mounts, []byte("\n"))
	for _, dir := range treeDirs(d.tree) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				count["cgroups"]++
			}
		}
	}
	d.mu.Lock()
	count["running"] = len(d.running) + len(d.ids)
	d.mu.Unlock()
	return count
}

func TestLeavesNothing(t *testing.T) {
	d := openLinux(t)
	m := marker(t)
	cycle := func(i int) {
		c := roleConfig(t, d, "tree", m)
		c.Listen = []ListenSpec{{"tcp", "127.0.0.1:9001"}, {"udp", "127.0.0.1:53"}}
		switch i % 4 {
		case 0: // killed at work
			r := start(t, d, c)
			r.line(t)
			r.Kill()
			r.output(t)
			r.Wait()
		case 1: // ended by itself
			c.Env = []string{roleEnv + "=exit", raceOptions}
			c.Command = []string{c.Command[0], "0"}
			start(t, d, c).ok(t)
		case 2: // failed to start
			c.Command[0] = "/none"
			if _, err := d.Start(t.Context(), c); err == nil {
				t.Error("started")
			}
		case 3: // failed early
			c.Listen = append(c.Listen, c.Listen[0])
			if _, err := d.Start(t.Context(), c); !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("the same address twice: %v", err)
			}
		}
	}
	for i := range 4 {
		cycle(i)
	}
	before := belongings(t, d)
	if before["cgroups"]+before["running"] != 0 {
		t.Errorf("before: %v", before)
	}
	for i := range 100 {
		cycle(i)
	}
	after := belongings(t, d)
	for k := range after {
		if after[k] != before[k] {
			t.Errorf("%s: %d before, %d after", k, before[k], after[k])
		}
	}
	if n := marked(t, m); n > 0 {
		t.Errorf("%d processes are left", n)
	}
	dirs := treeDirs(d.tree)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left", dir)
		}
	}
}

// A spawner that dies costs no sandbox, and is replaced.
func TestSpawnerDies(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	r := start(t, d, roleConfig(t, d, "sleep"))
	killed := false
	for _, pid := range descendants(os.Getpid()) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		// The first process of the sandbox is a clone of the spawner.
		if err == nil && pid != r.PID() && string(b) == strings.Join([]string{"brume", InitArg, spawnArg, ""}, "\x00") {
			if err := syscall.Kill(pid, syscall.SIGTERM); err != nil { // which it ignores
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed = true
		}
	}
	if !killed {
		t.Fatal("no spawner")
	}
	time.Sleep(20 * time.Millisecond)
	select {
	case <-r.Done():
		t.Error("the sandbox has died with the spawner")
	default:
	}
	start(t, d, roleConfig(t, d, "exit", "0")).ok(t)
	r.Kill()
	r.output(t)
	r.Wait()
}

func TestProcessorShare(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	if ok, why := d.controls("cpu"); !ok {
		t.Skip(why)
	}
	c := roleConfig(t, d, "spin")
	c.CPUs = 0.2
	r := start(t, d, c)
	r.ok(t)
	if used := r.Wait().CPUTime; used > 600*time.Millisecond {
		t.Errorf("used %v of a second with a fifth of a processor", used)
	}
}

// Sandboxes that want more than there is get it by their shares.
func TestProcessorShares(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	if ok, why := d.controls("cpu"); !ok {
		t.Skip(why)
	}
	// The kernel may leave the two that have much on one processor for a while: a good round shows that shares count.
	shares := []float64{1, 8}
	var used []time.Duration
	for range 8 {
		used = useProcessors(t, d, shares)
		if used[1] >= 2*used[0] {
			return
		}
	}
	t.Errorf("with the shares %v they used %v", shares, used)
}

// useProcessors has as many sandboxes of each share as there are processors spin for a second, and returns what they used.
func useProcessors(t *testing.T, d *driver, shares []float64) []time.Duration {
	t.Helper()
	used := make([]time.Duration, len(shares))
	var runs []*run
	for range runtime.NumCPU() {
		for _, share := range shares {
			c := roleConfig(t, d, "spin")
			c.CPUShare = share
			runs = append(runs, start(t, d, c))
		}
	}
	for i, r := range runs {
		r.ok(t)
		used[i%len(shares)] += r.Wait().CPUTime
	}
	return used
}

// The paths that lead to a bind need not be open to others when Brume is root.
func TestClosedPath(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	closed := t.TempDir()
	dir := filepath.Join(closed, "code")
	if err := errors.Join(os.Mkdir(dir, 0o755), copyFile(dir+"/program", selfFile(t)), os.Chmod(closed, 0o700)); err != nil {
		t.Fatal(err)
	}
	c := roleConfig(t, d, "exit", "0")
	c.Binds = append(c.Binds, Bind{dir, "/opt"})
	c.Command[0] = "/opt/program"
	start(t, d, c).ok(t)

	c.Stdout, c.Stderr = nil, nil
	c.Binds[len(c.Binds)-1].Source = filepath.Join(closed, "none")
	if _, err := d.Start(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bind of nothing: %v", err)
	}
}

// The driver says which step has failed.
func TestStepError(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	c := roleConfig(t, d, "exit", "0")
	c.Dir = "/none"
	_, err := d.Start(t.Context(), c)
	if !errors.Is(err, unix.ENOENT) || err.Error() != "sandbox: chdir /none: no such file or directory" {
		t.Errorf("%v", err)
	}
	c = roleConfig(t, d, "exit", "0")
	c.Files = []File{{Path: taskRoot + "/none"}}
	if _, err = d.Start(t.Context(), c); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "file "+taskRoot+"/none") {
		t.Errorf("%v", err)
	}
	if !strings.HasPrefix(d.names(t)[0], "standard") {
		t.Error("steps have no names")
	}
}

// names are the steps of a script, for the record.
func (d *driver) names(t *testing.T) []string {
	s, err := d.assemble(&Config{Command: []string{"/bin/true"}, TmpBytes: 1 << 20}, part{})
	if err != nil {
		t.Fatal(err)
	}
	return s.names
}
