//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stepError is the failure of a step of a script.
type stepError struct {
	name string
	err  error
}

func (e *stepError) Error() string { return "sandbox: " + e.name + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// errWrongResult is the error of a step that has succeeded with a result that the script does not expect.
var errWrongResult = errors.New("unexpected result")

// cleanup is what remains to be undone, in reverse order.
type cleanup []func()

func (c *cleanup) add(f func()) { *c = append(*c, f) }

func (c *cleanup) run() {
	for i := len(*c) - 1; i >= 0; i-- {
		(*c)[i]()
	}
	*c = nil
}

// start starts a sandbox. As a probe it has one made that ends when it would execute its command.
func (d *driver) start(ctx context.Context, c *Config, probe bool) (_ *process, err error) {
	p, pt, serial, err := d.admit(c, probe)
	if err != nil {
		return nil, err
	}
	var undo cleanup // of what lives as long as the process, should it not live
	defer func() {
		if err != nil {
			if d.isClosed() {
				err = ErrClosed // whatever came of it
			}
			undo.run()
			close(p.dying)
			p.watchers.Wait()
			p.ended()
			close(p.done)
		}
	}()
	if d.tree != nil {
		p.cgroup, err = d.tree.create(serial, limits{
			memory: c.MemoryBytes, tmp: c.TmpBytes, pids: c.pids() + 1, // one for the first process
			cpus: c.CPUs, share: c.CPUShare,
		})
		if err != nil {
			return nil, fmt.Errorf("sandbox: cgroup: %w", err)
		}
		undo.add(func() { p.complain(p.cgroup.remove()) })
		pt.cgroupSlots = len(p.cgroup.tasks())
	}

	failures, err := d.launch(c, p, &pt)
	if err != nil {
		return nil, err
	}
	defer failures.Close()
	undo.add(func() {
		p.Kill()
		_, err := p.wait()
		p.complain(errors.Join(err, p.control.Close()))
		p.release()
	})
	stop := context.AfterFunc(ctx, p.Kill)
	err = d.converse(c, p, pt, failures)
	if !stop() {
		return nil, fmt.Errorf("sandbox: start: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	if probe {
		go p.run()
		return p, nil
	}

	memoryCgroup, _ := d.controls("memory")
	d.mu.Lock()
	closed := d.closed
	if !closed {
		p.watch(memoryCgroup)
		go p.run()
	}
	d.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return p, nil
}

func (d *driver) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// admit makes a process that counts as running, though it does not yet.
func (d *driver) admit(c *Config, probe bool) (p *process, pt part, serial string, err error) {
	memoryCgroup, _ := d.controls("memory")
	pidsCgroup, _ := d.controls("pids")
	pt = part{limitProcesses: !pidsCgroup, probe: probe}
	if !memoryCgroup && c.MemoryBytes > 0 {
		// Well above what runtimes map without using it, and yet an end to what happens between two samples.
		pt.limitData = uint64(2*c.MemoryBytes) + 1<<30
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, pt, "", ErrClosed
	}
	d.serial++
	pt.owner = d.id()
	p = &process{
		driver: d, limit: c.MemoryBytes, tmp: -1, pidfd: -1, logger: d.logger, targets: c.Later,
		companions: c.Companions, over: c.Ended,
		dying: make(chan struct{}), done: make(chan struct{}),
	}
	p.ended = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, p)
		delete(d.ids, pt.owner)
	}
	d.running[p] = true
	return p, pt, strconv.FormatUint(d.serial, 10), nil
}

// launch has the first process cloned. It sets p's control, pid and pidfd, and returns the pipe in which failures come.
func (d *driver) launch(c *Config, p *process, pt *part) (failures *os.File, err error) {
	var clean cleanup // of what only the new process is to have
	defer clean.run()
	passed := make([]int, slotCgroups)
	for i, f := range [...]*os.File{c.Stdout, c.Stderr, c.CompanionOutput} {
		var isPipe bool
		if passed[slotStdout+i], isPipe, err = outputFD(f); err != nil {
			return nil, fmt.Errorf("sandbox: standard output: %w", err)
		}
		clean.add(func() { _ = unix.Close(passed[slotStdout+i]) })
		if isPipe && d.privileged {
			pt.stdioPipes = append(pt.stdioPipes, slotStdout+i)
		}
	}
	s, err := d.assemble(c, *pt)
	if err != nil {
		return nil, err
	}
	memfd, err := s.memfd()
	if err != nil {
		return nil, err
	}
	clean.add(func() { _ = unix.Close(memfd) })

	control, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	passed[slotControl] = control[1]
	clean.add(func() { _ = unix.Close(control[1]) })
	var pipe [2]int
	if err = unix.Pipe2(pipe[:], unix.O_CLOEXEC); err == nil {
		passed[slotErrors] = pipe[1]
		clean.add(func() { _ = unix.Close(pipe[1]) })
		failures = os.NewFile(uintptr(pipe[0]), "sandbox failures")
		err = unix.SetNonblock(control[0], true)
	}
	p.control = os.NewFile(uintptr(control[0]), "sandbox control")
	defer func() {
		if err != nil {
			_ = p.control.Close()
			if failures != nil {
				_ = failures.Close()
			}
		}
	}()
	if err != nil {
		return failures, os.NewSyscallError("pipe", err)
	}

	req := spawnRequest{flags: unix.CLONE_NEWPID}
	if !d.privileged {
		req.flags |= unix.CLONE_NEWUSER
	}
	fds := []int{memfd}
	if p.cgroup != nil && p.cgroup.directory() >= 0 {
		req.inCgroup = true
		fds = append(fds, p.cgroup.directory())
	}
	fds = append(fds, passed...)
	if p.cgroup != nil {
		fds = append(fds, p.cgroup.tasks()...)
	}
	p.names = s.names
	pid, pidfd, err := d.spawner.spawn(req, fds)
	p.born(pid, pidfd)
	if p.cgroup != nil {
		p.cgroup.entered()
	}
	return failures, err
}

// outputFD is a descriptor of f for the sandbox, of /dev/null if f is nil. It does not use File.Fd, which would make the
// caller's pipe a blocking one.
func outputFD(f *os.File) (fd int, isPipe bool, err error) {
	if f == nil {
		fd, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		return fd, false, err
	}
	st, err := f.Stat()
	if err != nil {
		return -1, false, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	var dupErr error
	err = conn.Control(func(orig uintptr) { fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, st.Mode()&os.ModeNamedPipe != 0, errors.Join(err, dupErr)
}

// converse answers the process until it has executed its command or failed.
func (d *driver) converse(c *Config, p *process, pt part, failures *os.File) error {
	for {
		msg, fds, err := receive(p.control)
		if err != nil {
			return err
		}
		switch msg {
		case msgMap:
			err = d.mapIDs(p.pid, pt.owner)
		case msgReady:
			err = p.take(c, fds, d.entrances(c))
		case 0: // it has ended
			if err := p.failure(failures); err != nil {
				return err
			}
			return errors.New("sandbox: it was killed while starting")
		}
		if err != nil {
			return err
		}
		// A process that has died meanwhile shows at the next turn.
		if _, err := p.control.Write([]byte{msg}); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
			return err
		}
		if msg == msgReady {
			return p.failure(failures)
		}
	}
}

// take takes the descriptors that came with msgReady: sockets, the link, /tmp, and the namespaces.
func (p *process) take(c *Config, fds []int, namespaces []string) (err error) {
	want := len(c.Listen) + len(namespaces)
	if c.Link {
		want++
	}
	if c.TmpBytes > 0 {
		want++
	}
	if len(fds) != want { // the kernel drops what a process with too many files cannot hold
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return fmt.Errorf("sandbox: got %d of %d descriptors: %w", len(fds), want, unix.EMFILE)
	}
	fds, rest := fds[:len(c.Listen)], fds[len(c.Listen):]
	if c.Link {
		p.link, rest = os.NewFile(uintptr(rest[0]), "sandbox link"), rest[1:]
	}
	if c.TmpBytes > 0 {
		p.tmp, rest = rest[0], rest[1:]
	}
	p.later = make(map[string]int, len(namespaces))
	for i, name := range namespaces {
		p.later[name] = rest[i]
	}
	p.sockets, err = takeSockets(c.Listen, fds)
	return err
}

// failure waits until the command was executed or the process has ended, and says which step has failed.
func (p *process) failure(failures *os.File) error { return readFailure(failures, p.names) }

// readFailure waits until the other end of failures is closed, and says which of the steps with these names has failed.
func readFailure(failures *os.File, names []string) error {
	var f failure
	n, err := failures.Read(asBytes(&f))
	if n == int(unsafe.Sizeof(f)) && int(f.step) < len(names) {
		e := &stepError{name: names[f.step], err: unix.Errno(f.errno)}
		if f.errno == 0 {
			e.err = errWrongResult
		}
		return e
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("sandbox: start: %w", err)
}

// receive reads one message and the descriptors with it; 0 means that there will be no more.
func receive(control *os.File) (msg byte, fds []int, err error) {
	conn, err := control.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4*(MaxListen+5))) // and the link, /tmp and namespaces
	var n, oobn int
	var recvErr error
	err = conn.Read(func(fd uintptr) bool {
		n, oobn, _, _, recvErr = unix.Recvmsg(int(fd), b[:], oob, unix.MSG_CMSG_CLOEXEC)
		return recvErr != unix.EAGAIN && recvErr != unix.EINTR
	})
	if recvErr == unix.ECONNRESET {
		return 0, nil, nil // it has ended without reading our last answer
	}
	if err = errors.Join(err, os.NewSyscallError("recvmsg", recvErr)); err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, nil
	}
	fds, err = rights(oob[:oobn])
	return b[0], fds, err
}

// mapIDs gives the user namespace of a process its one user and one group.
func (d *driver) mapIDs(pid int, owner uint32) error {
	uid, gid := owner, owner
	if !d.privileged {
		uid, gid = uint32(os.Getuid()), uint32(os.Getgid())
	}
	proc := "/proc/" + strconv.Itoa(pid)
	return errors.Join(
		writeFile(proc, "setgroups", "deny"),
		writeFile(proc, "uid_map", fmt.Sprintf("%d %d 1", UID, uid)),
		writeFile(proc, "gid_map", fmt.Sprintf("%d %d 1", GID, gid)),
	)
}
