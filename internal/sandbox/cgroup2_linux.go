//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tree2 is a cgroupTree of version 2.
type tree2 struct {
	dir string
	// home is where the server was moved from, and leaf where to; both empty if it stayed.
	home, leaf string
	enabled    []string
	reasons    map[string]string
}

// controllers2 are the controllers of use, the most important first.
var controllers2 = [...]string{"memory", "pids", "cpu"}

// newTree2 makes the tree in the nearest place at or above the server's own cgroup that lets it: the place must be
// writable for us and hand on its controllers, and a place that has processes of its own cannot, unless it is the root.
// A service with delegated cgroups (systemd's Delegate=yes) finds itself in such a place; then it moves aside.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, "No Internal Process Constraint"
func newTree2(m cgroupMount, own string) (*tree2, error) {
	name, err := treeName()
	if err != nil {
		return nil, err
	}
	home := m.dir(own)
	var reasons []error
	for dir := home; ; dir = filepath.Dir(dir) {
		t := &tree2{dir: filepath.Join(dir, name), reasons: make(map[string]string)}
		err := t.make(dir, dir == home, name)
		if err == nil {
			return t, nil
		}
		reasons = append(reasons, err)
		if dir == m.point {
			return nil, fmt.Errorf("cgroup v2: %w", reasons[0])
		}
	}
}

// make makes the tree in parent.
func (t *tree2) make(parent string, isHome bool, name string) (err error) {
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	offered, err := readWords(parent, "cgroup.controllers")
	if err != nil {
		return err
	}
	if !slices.Contains(offered, "memory") && !slices.Contains(offered, "pids") {
		return fmt.Errorf("%s has no memory and no pids controller", parent)
	}
	for _, c := range controllers2 {
		if !slices.Contains(offered, c) {
			t.reasons[c] = fmt.Sprintf("cgroup v2: %s does not have the controller", parent)
			continue
		}
		err := writeFile(parent, "cgroup.subtree_control", "+"+c)
		if errors.Is(err, unix.EBUSY) && isHome && t.leaf == "" {
			if err := t.moveAside(parent, name); err != nil {
				return err
			}
			err = writeFile(parent, "cgroup.subtree_control", "+"+c)
		}
		if err == nil {
			err = writeFile(t.dir, "cgroup.subtree_control", "+"+c)
		}
		if err != nil && c == controllers2[0] {
			return err // elsewhere may be better
		}
		if err != nil {
			t.reasons[c] = fmt.Sprintf("cgroup v2: %v", err)
			continue
		}
		t.enabled = append(t.enabled, c)
	}
	return nil
}

// moveAside moves the server from its own cgroup into one below, if it is there alone.
func (t *tree2) moveAside(home, name string) error {
	pids, err := cgroupProcs(home)
	if err != nil {
		return err
	}
	if len(pids) != 1 || pids[0] != os.Getpid() {
		return fmt.Errorf("%s holds other processes than Brume", home)
	}
	leaf := filepath.Join(home, serverPrefix+name)
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := writeFile(leaf, "cgroup.procs", "0"); err != nil {
		return errors.Join(err, os.Remove(leaf))
	}
	t.home, t.leaf = home, leaf
	return nil
}

func readWords(dir, name string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return strings.Fields(string(b)), err
}

func (t *tree2) controls(controller string) (bool, string) {
	if slices.Contains(t.enabled, controller) {
		return true, "cgroup v2"
	}
	return false, t.reasons[controller]
}

// close removes the tree. The server goes back where it came from, for which the controllers must be off there again.
func (t *tree2) close() error {
	err := removeTree(t.dir)
	if t.leaf == "" {
		return err
	}
	for _, c := range t.enabled {
		err = errors.Join(err, writeFile(t.home, "cgroup.subtree_control", "-"+c))
	}
	err = errors.Join(err, writeFile(t.home, "cgroup.procs", "0"), removeCgroup(t.leaf))
	t.leaf = ""
	return err
}

// cgroup2 is the cgroup of one sandbox.
type cgroup2 struct {
	dir      string
	fd       int
	limit    int64
	memoryOn bool
	events   *os.File // memory.events, which says how often memory.high was exceeded; nil if there is no such limit
	high     int64    // how often that was when last looked at
	mu       sync.Mutex
	removed  bool
}

func (t *tree2) create(name string, l limits) (_ cgroup, err error) {
	g := &cgroup2{dir: filepath.Join(t.dir, name), fd: -1, limit: l.memory}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.remove())
		}
	}()
	if g.fd, err = unix.Open(g.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: g.dir, Err: err}
	}
	g.memoryOn = slices.Contains(t.enabled, "memory")
	if g.memoryOn && l.memory > 0 {
		if err := writeFile(g.dir, "memory.max", strconv.FormatInt(l.memory+l.tmp, 10)); err != nil {
			return nil, err
		}
		if err := writeFile(g.dir, "memory.oom.group", "1"); err != nil {
			return nil, err
		}
		// Present only where the kernel counts swap.
		if err := writeFile(g.dir, "memory.swap.max", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if l.tmp > 0 {
			if err := g.arm(); err != nil {
				return nil, err
			}
		}
	}
	if slices.Contains(t.enabled, "pids") && l.pids > 0 {
		if err := writeFile(g.dir, "pids.max", strconv.Itoa(l.pids)); err != nil {
			return nil, err
		}
	}
	if slices.Contains(t.enabled, "cpu") {
		if err := writeFile(g.dir, "cpu.weight", l.weight(100, 1, 10_000)); err != nil {
			return nil, err
		}
	}
	if slices.Contains(t.enabled, "cpu") && l.cpus > 0 {
		max := fmt.Sprintf("%d %d", l.quota(), cpuPeriod.Microseconds())
		if err := writeFile(g.dir, "cpu.max", max); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// arm sets memory.high, above which the kernel slows the sandbox down and tells us.
func (g *cgroup2) arm() error {
	if err := g.allow(0); err != nil {
		return err
	}
	fd, err := unix.Open(filepath.Join(g.dir, "memory.events"), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: g.dir + "/memory.events", Err: err}
	}
	g.events = os.NewFile(uintptr(fd), g.dir+"/memory.events")
	return nil
}

func (g *cgroup2) directory() int { return g.fd }
func (g *cgroup2) tasks() []int   { return nil }

func (g *cgroup2) entered() {
	if g.fd >= 0 {
		_ = unix.Close(g.fd)
		g.fd = -1
	}
}

func (g *cgroup2) stats() (Stats, error) {
	var s Stats
	v, err := readKeys(g.dir, "cpu.stat", "usage_usec")
	if err != nil {
		return s, err
	}
	s.CPUTime = time.Duration(v[0]) * time.Microsecond
	if g.memoryOn {
		s.MaxMemoryBytes, err = readInt(g.dir, "memory.peak")
		if errors.Is(err, os.ErrNotExist) { // before Linux 5.19
			s.MaxMemoryBytes, err = readInt(g.dir, "memory.current")
		}
	}
	return s, err
}

func (g *cgroup2) memory() (inUse, charged int64, err error) {
	charged, err = readInt(g.dir, "memory.current")
	if err != nil {
		return 0, 0, err
	}
	// "file" counts shared memory and tmpfs too, which cannot be reclaimed.
	v, err := readKeys(g.dir, "memory.stat", "file", "shmem", "slab_reclaimable")
	if err != nil {
		return 0, 0, err
	}
	return charged - (v[0] - v[1]) - v[2], charged, nil
}

// pressed waits for a change of memory.events, which the kernel tells pollers of, until the count of "high" has grown.
func (g *cgroup2) pressed() error {
	if g.events == nil {
		return os.ErrClosed
	}
	conn, err := g.events.SyscallConn()
	if err != nil {
		return err
	}
	var readErr error
	err = conn.Read(func(fd uintptr) bool {
		var buf [512]byte
		n, err := syscall.Pread(int(fd), buf[:], 0)
		if err != nil {
			readErr = err
			return true
		}
		for line := range strings.Lines(string(buf[:n])) {
			if v, ok := strings.CutPrefix(line, "high "); ok {
				high, err := strconv.ParseInt(strings.TrimSuffix(v, "\n"), 10, 64)
				if err != nil {
					readErr = err
					return true
				}
				grown := high > g.high
				g.high = high
				return grown
			}
		}
		return false
	})
	return errors.Join(err, readErr)
}

// allow raises memory.high by what is in /tmp: the kernel counts it, the sandbox's limit does not. It raises in steps, as
// the kernel slows down who writes to /tmp at the limit until we have raised it.
func (g *cgroup2) allow(tmp int64) error {
	const step = 16 << 20
	tmp = (tmp + step - 1) / step * step
	return writeFile(g.dir, "memory.high", strconv.FormatInt(g.limit+tmp, 10))
}

func (g *cgroup2) freeze(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return writeFile(g.dir, "cgroup.freeze", value)
}

func (g *cgroup2) oomKills() (int, error) {
	if !g.memoryOn {
		return 0, nil
	}
	v, err := readKeys(g.dir, "memory.events", "oom_kill")
	if err != nil {
		return 0, err
	}
	return int(v[0]), nil
}

func (g *cgroup2) remove() error {
	g.entered()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed {
		return nil
	}
	g.removed = true
	var err error
	if g.events != nil {
		err = g.events.Close()
	}
	return errors.Join(err, removeCgroup(g.dir))
}
