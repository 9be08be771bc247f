//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// maxStopRounds bounds how often Freeze looks for processes that were made while it stopped others.
const maxStopRounds = 100

// Freeze has the cgroup do it where that can be killed all the same, and otherwise stops one process after the other, until
// there is none that runs: what is stopped cannot make others, nor continue any. The first process stays out of it, for
// nothing but the end of others wakes it.
func (p *process) Freeze() error {
	if p.cgroup != nil {
		if err := p.cgroup.freeze(true); !errors.Is(err, errors.ErrUnsupported) {
			return ifNotGone(err)
		}
	}
	if p.gone() { // and its id may be another's
		return nil
	}
	for range maxStopRounds {
		more := false
		for _, pid := range descendants(p.pid)[1:] {
			if slices.Contains(p.stopped, pid) {
				continue
			}
			more = true
			if err := unix.Kill(pid, unix.SIGSTOP); err != nil && err != unix.ESRCH {
				return os.NewSyscallError("kill", err)
			}
			p.stopped = append(p.stopped, pid)
		}
		if !more {
			return nil
		}
	}
	return errors.New("sandbox: processes are made faster than they can be stopped")
}

// gone says whether the first process is.
func (p *process) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pidfd < 0
}

func (p *process) Thaw() error {
	if p.cgroup != nil {
		if err := p.cgroup.freeze(false); !errors.Is(err, errors.ErrUnsupported) {
			return ifNotGone(err)
		}
	}
	if p.gone() {
		return nil
	}
	var errs []error
	// Children first: a parent does not see that they were stopped.
	for _, pid := range slices.Backward(p.stopped) {
		if err := unix.Kill(pid, unix.SIGCONT); err != nil && err != unix.ESRCH {
			errs = append(errs, os.NewSyscallError("kill", err))
		}
	}
	p.stopped = p.stopped[:0]
	return errors.Join(errs...)
}
