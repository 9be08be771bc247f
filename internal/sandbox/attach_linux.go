//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// entrances are the namespaces through which something comes into the sandbox of c after its start, as /proc/self/ns calls
// them. An ordinary user has no power over the others but in the sandbox's own user namespace.
func (h *host) entrances(c *Config) (names []string) {
	if len(c.Later) > 0 {
		names = append(names, "mnt")
	}
	if c.Dial {
		names = append(names, "net")
	}
	if len(names) > 0 && !h.privileged {
		names = append(names, "user")
	}
	return names
}

// The descriptors that a script which enters a sandbox is given, in place of those for output and cgroups.
const (
	slotEntered = slotStdout // the mount or network namespace
	slotUserNS  = slotStderr
)

// newEntering begins a script of a process without a sandbox, which has none of the server's descriptors, and as an ordinary
// user is in the sandbox's user namespace.
func (h *host) newEntering() *script {
	s := newScript()
	for fd := range 3 {
		s.call("standard descriptor", unix.SYS_DUP3, slot(slotErrors), num(fd), num(unix.O_CLOEXEC))
	}
	if !h.privileged {
		s.call("enter user namespace", unix.SYS_SETNS, slot(slotUserNS), num(unix.CLONE_NEWUSER))
	}
	return s
}

// assembleAttach writes the script of a process that takes trees of the host into a sandbox. As an ordinary user it enters
// the sandbox's user namespace first, and takes them from a copy of the host's mounts, as the sandbox did at its start.
func (h *host) assembleAttach(binds []Bind) (*script, error) {
	s := h.newEntering()
	if !h.privileged {
		s.call("copy mounts", unix.SYS_UNSHARE, num(unix.CLONE_NEWNS))
		s.call("private mounts", unix.SYS_MOUNT, num(0), s.str("/"), num(0), num(unix.MS_REC|unix.MS_PRIVATE), num(0))
	}
	attr := s.mountAttr(bindAttr)
	trees := make([]int, len(binds))
	for i, b := range binds {
		trees[i] = s.tree("bind "+b.Source, b.Source, attr)
	}
	for i, b := range binds {
		// A mount over a directory changes nothing for who is in there already. pivot_root does: it takes along every process
		// whose working directory is the old root, which is what waits at b.Target.
		name := "bind " + b.Source + " at " + b.Target
		s.call("enter mount namespace", unix.SYS_SETNS, slot(slotEntered), num(unix.CLONE_NEWNS))
		s.call(name+": chdir", unix.SYS_CHDIR, s.str(b.Target))
		s.call(name+": chroot", unix.SYS_CHROOT, s.str("."))
		s.call(name, unix.SYS_MOVE_MOUNT, num(trees[i]), s.str(""), num(atCwd), s.str("."), num(unix.MOVE_MOUNT_F_EMPTY_PATH))
		s.call(name+": fchdir", unix.SYS_FCHDIR, num(trees[i]))
		s.call(name+": pivot_root", unix.SYS_PIVOT_ROOT, s.str("."), s.str("."))
		s.call(name+": detach what was there", unix.SYS_UMOUNT2, s.str("."), num(unix.MNT_DETACH))
		s.close(trees[i])
	}
	return s, s.err
}

// Attach has a process do it that enters the sandbox's namespaces before it is in anyone's reach: nothing of the server's
// comes near the function.
func (p *process) Attach(binds []Bind) error {
	for _, b := range binds {
		if err := errors.Join(checkPath(b.Source), checkPath(b.Target)); err != nil {
			return err
		}
		if !slices.Contains(p.targets, b.Target) {
			return fmt.Errorf("sandbox: %s is not a place for later", b.Target)
		}
	}
	s, err := p.driver.assembleAttach(slices.SortedFunc(slices.Values(binds),
		func(a, b Bind) int { return strings.Compare(a.Target, b.Target) }))
	if err != nil {
		return err
	}
	return p.enter(s, "mnt", -1, func() error { return nil })
}

// enter has a script run that enters one of the sandbox's namespaces, and waits for its end. control becomes its slotControl,
// if it is not negative, and talk is called meanwhile.
func (p *process) enter(s *script, namespace string, control int, talk func() error) error {
	p.attach.Lock()
	defer p.attach.Unlock()
	ns, ok := p.later[namespace]
	if !ok {
		return ErrEnded
	}
	given := []int{ns}
	if user, ok := p.later["user"]; ok {
		given = append(given, user)
	}
	d := p.driver
	memfd, err := s.memfd()
	if err != nil {
		return err
	}
	defer unix.Close(memfd)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	failures := os.NewFile(uintptr(pipe[0]), "sandbox failures")
	defer failures.Close()
	if control < 0 { // there is nothing to say on it
		control = pipe[1]
	}
	fds := append([]int{memfd, control, pipe[1]}, given...)
	_, pidfd, err := d.spawner.spawn(spawnRequest{}, fds)
	_ = unix.Close(pipe[1])
	if err != nil {
		return err
	}
	talked := talk()
	failed := readFailure(failures, s.names)
	_, err = waitFor(pidfd)
	if failed == nil { // which would say why nobody was there to talk to
		failed = talked
	}
	return errors.Join(failed, err, unix.Close(pidfd))
}

// closeLater closes what Attach and Dial need. p.attach is held.
func (p *process) closeLater() {
	for _, fd := range p.later {
		_ = unix.Close(fd)
	}
	p.later = nil
}
