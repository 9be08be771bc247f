//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// New returns the best driver of this machine: the Linux sandbox, or the plain driver, whose Protections then say why.
// It tries a sandbox out, so that a Start that fails later fails for its Config.
func New(o Options) (Driver, error) {
	d, err := newDriver(o)
	if err == nil {
		return d, nil
	}
	var no *unsupportedError
	if errors.As(err, &no) {
		return newPlain(o, no.Error()), nil
	}
	return nil, err
}

// An unsupportedError says why this machine has no sandboxes.
type unsupportedError struct {
	err  error
	hint string
}

func (e *unsupportedError) Error() string {
	if e.hint == "" {
		return e.err.Error()
	}
	return e.err.Error() + " (" + e.hint + ")"
}

func (e *unsupportedError) Unwrap() error { return e.err }

// driver is the Linux sandbox.
type driver struct {
	host
	logger  *slog.Logger
	spawner *spawner
	tree    cgroupTree // nil if there are no cgroups for us
	noTree  string     // why
	noProc  string     // why /proc cannot be mounted
	noLink  string     // why there is no Config.Link; empty if there is

	// ids are the host's ids for sandbox users when we are privileged.
	idBase, idCount uint32

	closing  sync.Once
	closeErr error

	mu      sync.Mutex
	closed  bool
	running map[*process]bool // and those that start
	ids     map[uint32]bool   // that they have
	next    uint32            // id to try first
	serial  uint64            // of the cgroup made last
}

func newDriver(o Options) (_ *driver, err error) {
	d := &driver{logger: o.logger(), running: make(map[*process]bool), ids: make(map[uint32]bool)}
	if err := d.inspect(); err != nil {
		return nil, err
	}
	if err := removeAbandoned(); err != nil {
		d.logger.Warn("sandbox: cgroups of an earlier run", "error", err)
	}
	d.spawner = newSpawner()
	d.tree, d.noTree = findCgroups()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	return d, d.try()
}

// minKernel is the first kernel that has all that we use: mount_setattr came with 5.12, and with 5.14 RLIMIT_NPROC counts
// within a user namespace.
var minKernel = [2]int{5, 14}

// inspect finds out about the machine what can be read off it.
func (d *driver) inspect() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return os.NewSyscallError("uname", err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	if v, err := kernelVersion(release); err != nil {
		return err
	} else if slices.Compare(v[:], minKernel[:]) < 0 {
		return &unsupportedError{err: fmt.Errorf("the kernel is %s", release),
			hint: fmt.Sprintf("Linux %d.%d or later is needed", minKernel[0], minKernel[1])}
	}
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return &unsupportedError{err: err, hint: "/proc must be mounted"}
	}
	if d.lastCap, err = strconv.Atoi(string(bytes.TrimSpace(b))); err != nil {
		return err
	}
	for _, dir := range [...]string{"/tmp", "/usr", "/var", "/etc"} {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			d.cover = dir
			break
		}
	}
	if d.cover == "" {
		return &unsupportedError{err: errors.New("none of /tmp, /usr, /var and /etc is a directory")}
	}
	for _, dev := range [...]string{"null", "zero", "full", "random", "urandom"} {
		if _, err := os.Stat("/dev/" + dev); err != nil {
			return &unsupportedError{err: err}
		}
		d.devices = append(d.devices, dev)
	}
	for _, f := range maskableFiles {
		if st, err := os.Stat("/proc/" + f); err == nil && st.Mode().IsRegular() {
			d.maskFiles = append(d.maskFiles, f)
		}
	}
	for _, f := range maskableDirs {
		if st, err := os.Stat("/proc/" + f); err == nil && st.IsDir() {
			d.maskDirs = append(d.maskDirs, f)
		}
	}
	d.proc = true
	action := uint32(unix.SECCOMP_RET_ERRNO)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	if errno == 0 {
		d.filter = seccompFilter()
	}
	return nil
}

// kernelVersion takes major and minor version from a release such as "6.1.0-18-amd64".
func kernelVersion(release string) (v [2]int, err error) {
	if _, err := fmt.Sscanf(release, "%d.%d", &v[0], &v[1]); err != nil {
		return v, fmt.Errorf("sandbox: kernel release %q: %w", release, err)
	}
	return v, nil
}

// try starts sandboxes that end at once, and settles for the strongest that works.
func (d *driver) try() error {
	probe := func() error {
		once := func() error {
			p, err := d.start(context.Background(), &Config{TmpBytes: 1 << 20, Link: d.noLink == ""}, true)
			if err == nil {
				p.Wait()
			}
			return err
		}
		err := once()
		if step, ok := errors.AsType[*stepError](err); ok && strings.HasPrefix(step.name, linkSteps) {
			d.noLink = err.Error()
			err = once()
		}
		return err
	}
	privilegedErr := errors.New("not root")
	if os.Geteuid() == 0 {
		if privilegedErr = d.findIDs(); privilegedErr == nil {
			d.privileged = true
			if privilegedErr = probe(); privilegedErr == nil {
				return nil
			}
			d.privileged = false
		}
	}
	err := probe()
	var step *stepError
	if errors.As(err, &step) && step.name == "mount /proc" {
		// A container that hides parts of its own /proc may not mount a whole one.
		d.proc, d.noProc = false, err.Error()
		err = probe()
	}
	if err == nil {
		return nil
	}
	if os.Geteuid() == 0 {
		err = fmt.Errorf("%w; and with privileges: %w", err, privilegedErr)
	}
	return &unsupportedError{err: fmt.Errorf("no sandbox can be made: %w", err), hint: advice(err)}
}

// advice says what an administrator can do about an error of the probe.
func advice(err error) string {
	settings := [...]struct{ file, bad, say string }{
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run Brume as root"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1, or run Brume as root"},
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"},
	}
	for _, s := range settings {
		if b, e := os.ReadFile(s.file); e == nil && strings.TrimSpace(string(b)) == s.bad {
			return s.say
		}
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		return "in a container, its runtime must allow user namespaces and mounts"
	}
	return ""
}

// The ids for sandbox users: above those that systemd gives to containers, and below 2³¹.
// https://systemd.io/UIDS-GIDS/
const (
	highIDs   = 0x70000000
	highCount = 1 << 16
)

// findIDs chooses host ids for sandbox users. In a container they must be among those that are mapped there.
func (d *driver) findIDs() error {
	for _, file := range [...]string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		base, count, ok := chooseIDs(string(b))
		if !ok {
			return fmt.Errorf("%s has no ids to spare", file)
		}
		if d.idCount == 0 {
			d.idBase, d.idCount = base, count
		} else if d.idBase != base {
			return errors.New("uid_map and gid_map differ")
		}
	}
	return nil
}

// chooseIDs picks ids out of an id map, see user_namespaces(7).
func chooseIDs(idMap string) (base, count uint32, ok bool) {
	for line := range strings.Lines(idMap) {
		var inside, outside, size uint64
		if n, err := fmt.Sscan(line, &inside, &outside, &size); n != 3 || err != nil {
			continue
		}
		if inside <= highIDs && inside+size >= highIDs+highCount {
			return highIDs, highCount, true
		}
		// The end of the largest range, away from where accounts are.
		if size >= 10000 && size > uint64(count) {
			base, count, ok = uint32(inside+size-1000), 900, true
		}
	}
	return base, count, ok
}

// id reserves a host id, one that no running sandbox has if there are enough. It is called with the lock.
func (d *driver) id() uint32 {
	if !d.privileged {
		return 0
	}
	for range d.idCount {
		id := d.idBase + d.next%d.idCount
		d.next++
		if !d.ids[id] {
			d.ids[id] = true
			return id
		}
	}
	return d.idBase + d.next%d.idCount
}

func (d *driver) Features() Features {
	return Features{PrivateRoot: true, FixedAddresses: true, Attach: true, Link: d.noLink == ""}
}

// controls says whether a cgroup limits controller, and how or why not.
func (d *driver) controls(controller string) (bool, string) {
	if d.tree == nil {
		return false, d.noTree
	}
	return d.tree.controls(controller)
}

func (d *driver) Protections() []Protection {
	isolation := "user, pid, mount, network, ipc, uts and cgroup namespaces"
	link := ", and an interface that ends at Brume"
	if d.noLink != "" {
		link = "; no way to the Internet: " + d.noLink
	}
	user := "user namespace; on the host Brume's own user"
	if d.privileged {
		user = fmt.Sprintf("user namespace; on the host users %d to %d", d.idBase, d.idBase+d.idCount-1)
	}
	ps := []Protection{
		{"processes", true, isolation},
		{"file system", true, "read-only root of what was given; /tmp of limited size"},
		{"network", true, "only the sockets that Brume holds" + link},
		{"unprivileged user", true, user},
		{"no privileges to gain", true, "no capabilities, no_new_privs"},
	}
	if d.filter != nil {
		ps = append(ps, Protection{"system calls", true, "seccomp allow-list"})
	} else {
		ps = append(ps, Protection{"system calls", false, "the kernel has no seccomp filters"})
	}
	if d.proc {
		ps = append(ps, Protection{"/proc", true, "own processes only, read-only, masked"})
	} else {
		ps = append(ps, Protection{"/proc", true, "empty, as it cannot be mounted: " + d.noProc})
	}
	ok, how := d.controls("memory")
	if !ok {
		how = "sampled, not exact, as there is no memory cgroup: " + how
	}
	ps = append(ps, Protection{"memory limit", ok, how})
	ok, how = d.controls("pids")
	if !ok {
		ok, how = true, "RLIMIT_NPROC in the user namespace"
	}
	ps = append(ps, Protection{"process limit", ok, how})
	ok, how = d.controls("cpu")
	if !ok {
		how = "no cpu cgroup: " + how
	}
	ps = append(ps, Protection{"processor share", ok, how})
	return append(ps, Protection{"ends with Brume", true, "parent-death signal"})
}

func (d *driver) Start(ctx context.Context, c *Config) (Process, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p, err := d.start(ctx, c, false)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (d *driver) Close() error {
	d.closing.Do(func() {
		d.mu.Lock()
		d.closed = true
		running := slices.Collect(maps.Keys(d.running))
		d.mu.Unlock()
		for _, p := range running {
			p.Kill() // one that is only starting is ended by its start, which sees closed
		}
		for _, p := range running {
			<-p.done
		}
		d.spawner.close()
		if d.tree != nil {
			d.closeErr = d.tree.close()
		}
	})
	return d.closeErr
}
