//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// process is a sandbox of the Linux driver.
type process struct {
	driver  *driver
	pid     int
	sockets []Socket
	limit   int64 // Config.MemoryBytes
	link    *os.File
	cgroup  cgroup
	control *os.File // the driver's end of slotControl
	tmp     int      // descriptor of /tmp, -1 if there is none
	names   []string // of the steps of its script
	targets []string // Config.Later
	logger  *slog.Logger
	ended   func() // tells the driver

	companions []Companion
	over       func(Exit) // Config.Ended

	attach sync.Mutex     // held while somebody uses later
	later  map[string]int // descriptors of the namespaces that can be entered; none after the end

	stopped []int // the processes that Freeze has stopped one by one

	mu      sync.Mutex
	pidfd   int // -1 once waited for
	oom     bool
	sampled int64 // the most memory that a watcher has seen
	exit    Exit

	watchers sync.WaitGroup
	dying    chan struct{} // closed when the first process is gone
	done     chan struct{}
}

func (p *process) PID() int              { return p.pid }
func (p *process) Sockets() []Socket     { return p.sockets }
func (p *process) Link() *os.File        { return p.link }
func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) Wait() Exit {
	<-p.done
	return p.exit
}

// born says that there is a process now.
func (p *process) born(pid, pidfd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid, p.pidfd = pid, pidfd
}

// complain logs what cannot be returned any more.
func (p *process) complain(err error) {
	if err != nil {
		p.logger.Error("sandbox", "pid", p.pid, "error", err)
	}
}

// release closes what the process held with us.
func (p *process) release() {
	for _, s := range p.sockets {
		s.close()
	}
	if p.link != nil {
		_ = p.link.Close() // the caller may have closed it already
	}
	if p.tmp >= 0 {
		_ = unix.Close(p.tmp)
	}
	p.attach.Lock()
	defer p.attach.Unlock()
	p.closeLater()
}

func (p *process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kill()
}

// kill is Kill under the lock. That the process is gone already is no error.
func (p *process) kill() {
	if p.pidfd < 0 {
		return
	}
	if err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		p.complain(fmt.Errorf("kill: %w", err))
	}
}

func (p *process) killForMemory() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oom = true
	p.kill()
}

func (p *process) Stats() Stats {
	select {
	case <-p.done:
		return p.exit.Stats
	default:
	}
	s, err := p.stats()
	if err != nil {
		select {
		case <-p.done: // and its cgroup with it
			return p.exit.Stats
		default:
			p.complain(err)
		}
	}
	return s
}

// stats asks the cgroup, and completes the answer from samples and /proc.
func (p *process) stats() (Stats, error) {
	var s Stats
	if p.cgroup != nil {
		var err error
		if s, err = p.cgroup.stats(); err != nil {
			return s, ifNotGone(err)
		}
	}
	p.mu.Lock()
	sampled := p.sampled
	p.mu.Unlock()
	// The kernel's maximum includes what was in /tmp, or in the page cache, at that time. Above the limit it says no more
	// than that, and the watcher knows better.
	if s.MaxMemoryBytes == 0 || p.limit > 0 && s.MaxMemoryBytes > p.limit && sampled > 0 {
		s.MaxMemoryBytes = sampled
	}
	if s.CPUTime == 0 {
		for _, pid := range descendants(p.pid) {
			s.CPUTime += cpuTime(pid)
		}
	}
	if p.limit > 0 {
		s.MaxMemoryBytes = min(s.MaxMemoryBytes, p.limit)
	}
	return s, nil
}

func (p *process) Busy() bool {
	return !p.gone() && slices.ContainsFunc(descendants(p.pid), wantsProcessor)
}

// run waits for the end, cleans up and says so. It is the process's own goroutine.
func (p *process) run() {
	exit := p.reports()
	rusage, err := p.wait()
	errs := []error{err}
	close(p.dying)
	exit.Stats, err = p.stats()
	errs = append(errs, err)
	// Without a cgroup: what the first process has waited for, which at its end is all.
	if exit.CPUTime == 0 {
		exit.CPUTime = time.Duration(rusage.Utime.Nano() + rusage.Stime.Nano())
	}
	exit.OutOfMemory, err = p.outOfMemory(exit)
	errs = append(errs, err)
	errs = append(errs, p.control.Close())
	if p.cgroup != nil {
		errs = append(errs, p.cgroup.remove()) // which ends the watcher
	}
	p.watchers.Wait()
	p.release()
	p.complain(errors.Join(errs...))
	p.exit = exit
	p.ended()
	close(p.done)
}

// reports reads how the programs have ended, until all is over, and returns how the command has.
func (p *process) reports() Exit {
	command := Exit{Code: -1, Signal: syscall.SIGKILL} // unless there is a report that says otherwise
	for {
		var r report
		// An error or nothing means that the first process has ended.
		if n, _ := p.control.Read(asBytes(&r)); n != int(unsafe.Sizeof(r)) {
			return command
		}
		exit := Exit{Code: -1}
		if ws := syscall.WaitStatus(r.status); ws.Exited() {
			exit.Code = ws.ExitStatus()
		} else {
			exit.Signal = ws.Signal()
		}
		exit.OutOfMemory, _ = p.outOfMemory(exit) // what is wrong with the cgroup is said when all is over
		switch {
		case r.which > 0:
			if i := int(r.which) - 1; i < len(p.companions) && p.companions[i].Ended != nil {
				p.companions[i].Ended(exit)
			}
		case p.over != nil:
			command = exit
			p.over(exit)
		default:
			command = exit
			p.Kill()
		}
	}
}

// outOfMemory says whether a program was killed for want of memory.
func (p *process) outOfMemory(exit Exit) (bool, error) {
	p.mu.Lock()
	oom := p.oom
	p.mu.Unlock()
	if oom || exit.Signal != syscall.SIGKILL || p.cgroup == nil {
		return oom && exit.Signal == syscall.SIGKILL, nil
	}
	kills, err := p.cgroup.oomKills()
	return kills > 0, err
}

// commandPID is the id of the command inside: it is the first program that the first process starts.
const commandPID = "2"

func (p *process) SignalCommand(sig syscall.Signal) {
	if p.gone() {
		return
	}
	for _, pid := range descendants(p.pid)[1:] {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil || idInside(status) != commandPID {
			continue
		}
		pids := []int{pid}
		if sig == syscall.SIGKILL {
			pids = descendants(pid) // the parent first: it starts nobody in place of the others
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
				p.complain(fmt.Errorf("kill: %w", err))
			}
		}
		return
	}
}

// idInside is the id of a process in the innermost of its pid namespaces.
func idInside(status []byte) string {
	for line := range bytes.Lines(status) {
		if ids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			if f := bytes.Fields(ids); len(f) > 0 {
				return string(f[len(f)-1])
			}
		}
	}
	return ""
}

// wait waits for the first process, with whose end the kernel has ended all others.
func (p *process) wait() (unix.Rusage, error) {
	p.mu.Lock()
	pidfd := p.pidfd
	p.mu.Unlock()
	rusage, err := waitFor(pidfd)
	p.mu.Lock()
	p.pidfd = -1
	p.mu.Unlock()
	_ = unix.Close(pidfd)
	return rusage, err
}

func waitFor(pidfd int) (unix.Rusage, error) {
	var rusage unix.Rusage
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED, &rusage)
		if err != unix.EINTR {
			return rusage, os.NewSyscallError("waitid", err)
		}
	}
}

// watch starts what keeps the memory to its limit.
func (p *process) watch(memoryCgroup bool) {
	saw := func(used int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sampled = max(p.sampled, used)
	}
	switch {
	case !memoryCgroup:
		p.watchers.Go(func() { watchProc(p.pid, p.limit, p.dying, saw, p.killForMemory) })
	case p.limit > 0 && p.tmp >= 0:
		p.watchers.Go(func() {
			if err := watchCgroup(p.cgroup, p.tmp, p.limit, p.dying, saw, p.killForMemory); err != nil {
				// A limit that is not watched is no limit.
				p.complain(fmt.Errorf("watch memory: %w", err))
				p.Kill()
			}
		})
	}
}

// takeSockets makes the sockets of a sandbox out of their descriptors, all of which it closes or keeps.
func takeSockets(specs []ListenSpec, fds []int) (sockets []Socket, err error) {
	defer func() {
		if err != nil {
			for _, s := range sockets {
				s.close()
			}
			sockets = nil
		}
	}()
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), specs[i].Address)
		if err == nil {
			var s Socket
			var e error
			if specs[i].Network == "udp" {
				s.Packet, e = net.FilePacketConn(f)
			} else {
				s.Listener, e = net.FileListener(f)
			}
			if e != nil {
				err = fmt.Errorf("sandbox: listen on %s: %w", specs[i].Address, e)
			} else {
				sockets = append(sockets, s)
			}
		}
		_ = f.Close() // net has duplicated it
	}
	return sockets, err
}
