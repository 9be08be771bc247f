//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A cgroupTree is a part of the host's cgroups that is the driver's own: one directory, in each hierarchy that is of use,
// that holds one cgroup for each sandbox. There is one type for each cgroup version.
type cgroupTree interface {
	// create makes the cgroup for one sandbox.
	create(name string, l limits) (cgroup, error)
	// controls says whether the tree can limit "memory", "pids" or "cpu", and how or why not.
	controls(controller string) (bool, string)
	// close removes the tree, which must be empty of processes.
	close() error
}

// limits are what a cgroup holds its processes to.
type limits struct {
	memory int64 // without /tmp; 0: none
	tmp    int64 // how much more memory /tmp may take
	pids   int
	cpus   float64 // 0: none
	share  float64 // of the processors, beside others; 0: 1
}

// cpuPeriod is the period over which the share of processor time is measured, the kernel's default.
const cpuPeriod = 100 * time.Millisecond

// quota is the processor time per period, not below the kernel's smallest.
func (l limits) quota() int64 {
	return max(int64(l.cpus*float64(cpuPeriod/time.Microsecond)), 1000)
}

// weight is the share in the kernel's terms, of which unit is 1. Its bounds are those of cpu.weight and cpu.shares.
func (l limits) weight(unit, least, most int64) string {
	share := cmp.Or(l.share, 1)
	return strconv.FormatInt(min(max(int64(share*float64(unit)), least), most), 10)
}

// A cgroup holds the processes of one sandbox.
type cgroup interface {
	// directory is the descriptor of the cgroup that a process can be cloned into, -1 if it has to enter by itself.
	directory() int
	// tasks are the descriptors to which a process writes "0" to enter.
	tasks() []int
	// entered says that the descriptors are of no more use.
	entered()
	// stats are the kernel's counts; the memory includes /tmp.
	stats() (Stats, error)
	// memory is the memory that is in use and cannot be reclaimed, including what is in /tmp, and all that is charged,
	// page cache included, which is what pressed goes by.
	memory() (inUse, charged int64, err error)
	// pressed blocks until the limit without /tmp may have been exceeded, if only by what is in /tmp. It is for one
	// goroutine, and fails with os.ErrClosed after remove.
	pressed() error
	// allow is told how much of the memory is in /tmp.
	allow(tmp int64) error
	// freeze stops or continues all processes, or fails with errors.ErrUnsupported.
	freeze(on bool) error
	// oomKills is how many processes the kernel has killed for want of memory.
	oomKills() (int, error)
	// remove removes the cgroup, which must be empty of processes.
	remove() error
}

// treePrefix begins the names of all our trees; owner and a random part follow.
const treePrefix = "brume."

// serverPrefix begins the name, before that of the tree, of the cgroup that the server itself moved to.
const serverPrefix = "server-"

// treeName is a name that says whose tree it is: the process, and when it was started, as ids are used again.
func treeName() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s%d.%d.%s", treePrefix, os.Getpid(), start, hex.EncodeToString(random[:])), nil
}

// abandoned says whether name is that of a tree whose owner is gone.
func abandoned(name string) bool {
	rest, ok := strings.CutPrefix(name, treePrefix)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return false
	}
	pid, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	return errors.Is(err, fs.ErrNotExist) || err == nil && strconv.FormatUint(start, 10) != parts[1]
}

// startTime is when a process was started, in clock ticks after boot.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses, which may hold anything; the start time is the 22nd.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return 0, fmt.Errorf("sandbox: /proc/%d/stat is too short", pid)
	}
	return strconv.ParseUint(f[19], 10, 64)
}

// removeAbandoned removes the trees that an earlier Brume left when it was killed, with what still runs there. It looks
// where newTree1 and newTree2 do. What belongs to another user stays.
func removeAbandoned() error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	own, err := ownCgroups()
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		controller := "" // version 2
		if m.version == 1 {
			i := slices.IndexFunc(controllers1[:], m.has)
			if i < 0 {
				continue
			}
			controller = controllers1[i]
		}
		for dir := m.dir(own[controller]); ; dir = filepath.Dir(dir) {
			errs = append(errs, removeAbandonedIn(dir))
			if dir == m.point {
				break
			}
		}
	}
	return errors.Join(errs...)
}

func removeAbandonedIn(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if leaf, ok := strings.CutPrefix(e.Name(), serverPrefix); ok && abandoned(leaf) {
			_ = os.Remove(name) // if nobody is there
		} else if abandoned(e.Name()) {
			if err := removeTree(name); !errors.Is(err, fs.ErrPermission) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeTree kills what is in the cgroup dir and below, and removes it all. It may be gone already.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		pids, err := cgroupProcs(dirs[i])
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return err
			}
		}
		if err := removeCgroup(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}

func cgroupProcs(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// removeCgroup removes one cgroup. The kernel may take a moment after the death of the last process.
func removeCgroup(dir string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || wait > time.Second {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
		time.Sleep(wait)
	}
}

// findCgroups makes a tree where the server may. It returns nil, and why, if there is no place. A controller is in the
// unified hierarchy or in one of version 1, never in both: where version 1 has those that we use, version 2 is empty.
func findCgroups() (cgroupTree, string) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err.Error()
	}
	own, err := ownCgroups()
	if err != nil {
		return nil, err.Error()
	}
	if slices.ContainsFunc(mounts, func(m cgroupMount) bool {
		return m.version == 1 && slices.ContainsFunc(controllers1[:], m.has)
	}) {
		tree, err := newTree1(mounts, own)
		if err != nil {
			return nil, err.Error()
		}
		return tree, ""
	}
	for _, m := range mounts {
		if m.version != 2 {
			continue
		}
		tree, err := newTree2(m, own[""])
		if err == nil {
			return tree, ""
		}
		if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
			return nil, err.Error() + "; systemd gives an ordinary user one with: systemd-run --user --scope -p Delegate=yes brume serve"
		}
		return nil, err.Error()
	}
	return nil, "no cgroup file system is mounted"
}

// A cgroupMount is a mounted hierarchy.
type cgroupMount struct {
	version     int
	root, point string   // what part of the hierarchy is mounted, and where
	controllers []string // of version 1
}

func (m cgroupMount) has(controller string) bool { return slices.Contains(m.controllers, controller) }

// dir is the directory of the cgroup that /proc/self/cgroup calls path, and the mount point if that is not in sight. It is
// at or below the mount point.
func (m cgroupMount) dir(path string) string {
	rel, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/"))
	if !ok {
		return m.point
	}
	dir := filepath.Join(m.point, rel)
	// Outside of our cgroup namespace the path begins with "/..".
	if _, err := os.Stat(dir); err != nil || !under(dir, m.point) {
		return m.point
	}
	return dir
}

func cgroupMounts() ([]cgroupMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var mounts []cgroupMount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m, ok := parseCgroupMount(lines.Text()); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts, lines.Err()
}

// parseCgroupMount reads a line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
func parseCgroupMount(line string) (cgroupMount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if !ok || len(l) < 6 || len(r) < 3 {
		return cgroupMount{}, false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
	m := cgroupMount{root: unescape(l[3]), point: unescape(l[4])}
	switch r[0] {
	case "cgroup2":
		m.version = 2
	case "cgroup":
		m.version = 1
		m.controllers = strings.Split(r[2], ",")
	default:
		return cgroupMount{}, false
	}
	return m, true
}

// ownCgroups is where the server itself is: paths by controller, by "" in version 2.
func ownCgroups() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parseOwnCgroups(string(b)), nil
}

// parseOwnCgroups reads /proc/self/cgroup, see cgroups(7).
func parseOwnCgroups(s string) map[string]string {
	own := make(map[string]string)
	for line := range strings.Lines(s) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			own[c] = parts[2]
		}
	}
	return own
}

// writeFile writes a value to a cgroup's file in one call, as the kernel wants it.
func writeFile(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// readInt reads a file that holds one number.
func readInt(dir, name string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}

// readKeys reads the values of keys from a file of lines "key value"; what is not there is 0.
func readKeys(dir, name string, keys ...string) ([]int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(keys))
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		for i := range keys {
			if keys[i] == k {
				if values[i], err = strconv.ParseInt(v, 10, 64); err != nil {
					return nil, fmt.Errorf("sandbox: %s/%s: %w", dir, name, err)
				}
			}
		}
	}
	return values, nil
}
