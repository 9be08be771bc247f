//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tree1 is a cgroupTree of version 1: a directory per hierarchy.
type tree1 struct {
	dirs    map[string]string // by controller
	reasons map[string]string // for the controllers that are not there
}

// controllers1 are the controllers of use; cpuacct only counts.
var controllers1 = [...]string{"memory", "pids", "cpu", "cpuacct"}

func newTree1(mounts []cgroupMount, own map[string]string) (*tree1, error) {
	name, err := treeName()
	if err != nil {
		return nil, err
	}
	t := &tree1{dirs: make(map[string]string), reasons: make(map[string]string)}
	for _, c := range controllers1 {
		i := slices.IndexFunc(mounts, func(m cgroupMount) bool { return m.version == 1 && m.has(c) })
		if i < 0 {
			t.reasons[c] = "the kernel offers no cgroup v1 hierarchy for it"
			continue
		}
		parent := mounts[i].dir(own[c])
		dir := filepath.Join(parent, name)
		// A hierarchy with several controllers, "cpu,cpuacct", is met more than once.
		if err := os.Mkdir(dir, 0o755); err != nil && !(errors.Is(err, os.ErrExist) && t.has(dir)) {
			t.reasons[c] = fmt.Sprintf("cgroup v1: %v", err)
			continue
		}
		t.dirs[c] = dir
	}
	if dir, ok := t.dirs["cpu"]; ok {
		// All sandboxes together count as much as one thread on each processor, and not as one thread: Brume itself, beside the
		// tree, has several.
		if err := writeFile(dir, "cpu.shares", strconv.Itoa(shares1*runtime.NumCPU())); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	if len(t.dirs) == 0 {
		return nil, errors.New(t.reasons["memory"])
	}
	return t, nil
}

// has says whether dir serves a controller already.
func (t *tree1) has(dir string) bool {
	for _, d := range t.dirs {
		if d == dir {
			return true
		}
	}
	return false
}

func (t *tree1) controls(controller string) (bool, string) {
	if _, ok := t.dirs[controller]; !ok {
		return false, t.reasons[controller]
	}
	return true, "cgroup v1"
}

func (t *tree1) close() error {
	var errs []error
	for _, d := range t.dirs {
		errs = append(errs, removeTree(d))
	}
	return errors.Join(errs...)
}

// shares1 are the kernel's cpu.shares of an ordinary thread.
const shares1 = 1024

// cgroup1 is the cgroup of one sandbox in every hierarchy.
type cgroup1 struct {
	dirs map[string]string
	fds  []int

	threshold int64 // the limit without /tmp

	mu      sync.Mutex
	event   *os.File // counts how often the memory in use has crossed the threshold; nil until pressed was called
	removed bool
}

func (t *tree1) create(name string, l limits) (_ cgroup, err error) {
	g := &cgroup1{dirs: make(map[string]string, len(t.dirs))}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.remove())
		}
	}()
	for c, parent := range t.dirs {
		dir := filepath.Join(parent, name)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) && g.has(dir) {
			g.dirs[c] = dir
			continue
		}
		if err != nil {
			return nil, err
		}
		g.dirs[c] = dir
		fd, err := unix.Open(filepath.Join(dir, "tasks"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: dir + "/tasks", Err: err}
		}
		g.fds = append(g.fds, fd)
	}
	if dir, ok := g.dirs["memory"]; ok && l.memory > 0 {
		total := strconv.FormatInt(l.memory+l.tmp, 10)
		if err := writeFile(dir, "memory.limit_in_bytes", total); err != nil {
			return nil, err
		}
		// Present only where the kernel counts swap.
		if err := writeFile(dir, "memory.memsw.limit_in_bytes", total); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		g.threshold = l.memory
	}
	if dir, ok := g.dirs["pids"]; ok && l.pids > 0 {
		if err := writeFile(dir, "pids.max", strconv.Itoa(l.pids)); err != nil {
			return nil, err
		}
	}
	if dir, ok := g.dirs["cpu"]; ok {
		if err := writeFile(dir, "cpu.shares", l.weight(shares1, 2, 1<<18)); err != nil {
			return nil, err
		}
	}
	if dir, ok := g.dirs["cpu"]; ok && l.cpus > 0 {
		if err := writeFile(dir, "cpu.cfs_period_us", strconv.FormatInt(cpuPeriod.Microseconds(), 10)); err != nil {
			return nil, err
		}
		if err := writeFile(dir, "cpu.cfs_quota_us", strconv.FormatInt(l.quota(), 10)); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *cgroup1) has(dir string) bool {
	for _, d := range g.dirs {
		if d == dir {
			return true
		}
	}
	return false
}

// arm asks for an event when the memory in use crosses the threshold.
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, "Memory thresholds"
func (g *cgroup1) arm() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed {
		return os.ErrClosed
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	g.event = os.NewFile(uintptr(fd), "memory threshold")
	dir := g.dirs["memory"]
	usage, err := unix.Open(filepath.Join(dir, "memory.usage_in_bytes"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir + "/memory.usage_in_bytes", Err: err}
	}
	defer unix.Close(usage)
	return writeFile(dir, "cgroup.event_control", fmt.Sprintf("%d %d %d", fd, usage, g.threshold))
}

func (g *cgroup1) directory() int { return -1 }
func (g *cgroup1) tasks() []int   { return g.fds }

func (g *cgroup1) entered() {
	for _, fd := range g.fds {
		_ = unix.Close(fd)
	}
	g.fds = nil
}

func (g *cgroup1) stats() (Stats, error) {
	var s Stats
	var errs [2]error
	if dir, ok := g.dirs["memory"]; ok {
		s.MaxMemoryBytes, errs[0] = readInt(dir, "memory.max_usage_in_bytes")
	}
	if dir, ok := g.dirs["cpuacct"]; ok {
		var ns int64
		ns, errs[1] = readInt(dir, "cpuacct.usage")
		s.CPUTime = time.Duration(ns)
	}
	return s, errors.Join(errs[:]...)
}

func (g *cgroup1) memory() (inUse, charged int64, err error) {
	charged, err = readInt(g.dirs["memory"], "memory.usage_in_bytes")
	if err != nil {
		return 0, 0, err
	}
	// "cache" counts shared memory and tmpfs too, which cannot be reclaimed.
	v, err := readKeys(g.dirs["memory"], "memory.stat", "total_cache", "total_shmem")
	if err != nil {
		return 0, 0, err
	}
	return charged - (v[0] - v[1]), charged, nil
}

// pressed returns at once the first time, after it has asked for the events: that takes the kernel an RCU grace period, ten
// milliseconds or more, which the start of a sandbox is not to wait for.
func (g *cgroup1) pressed() error {
	if g.event == nil {
		return g.arm()
	}
	var count [8]byte
	_, err := g.event.Read(count[:])
	return err
}

func (g *cgroup1) allow(int64) error { return nil }

// freeze: what the freezer of version 1 has frozen cannot be killed, not even by the end of the server.
func (g *cgroup1) freeze(bool) error { return errors.ErrUnsupported }

func (g *cgroup1) oomKills() (int, error) {
	if _, ok := g.dirs["memory"]; !ok {
		return 0, nil
	}
	v, err := readKeys(g.dirs["memory"], "memory.oom_control", "oom_kill")
	if err != nil {
		return 0, err
	}
	return int(v[0]), nil
}

func (g *cgroup1) remove() error {
	g.entered()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed {
		return nil
	}
	g.removed = true
	var errs []error
	if g.event != nil {
		errs = append(errs, g.event.Close())
	}
	for _, dir := range g.dirs {
		errs = append(errs, removeCgroup(dir))
	}
	return errors.Join(errs...)
}
