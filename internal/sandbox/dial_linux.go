//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A socket belongs to the network in which it was made, whoever holds it. So a process enters the sandbox's network, makes one
// and hands it out, and we connect it from here: it reaches what listens inside, and nothing else.

// assembleSocket writes the script of that process.
func (h *host) assembleSocket() (*script, error) {
	s := h.newEntering()
	s.call("enter network namespace", unix.SYS_SETNS, slot(slotEntered), num(unix.CLONE_NEWNET))
	fd := s.callFD("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
	s.exchange(msgReady, []int{fd})
	return s, s.err
}

// socket makes a TCP socket in the sandbox's network.
func (p *process) socket() (fd int, err error) {
	s, err := p.driver.assembleSocket()
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "sandbox control")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		_ = unix.Close(pair[0])
		return -1, os.NewSyscallError("fcntl", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "sandbox control")
	defer ours.Close()
	fd = -1
	err = p.enter(s, "net", pair[1], func() error {
		theirs.Close() // so that the end of the process shows
		msg, fds, err := receive(ours)
		switch {
		case err != nil:
			return err
		case msg != msgReady || len(fds) != 1:
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
			return unix.EMFILE // the kernel drops what we cannot hold; if the process has failed, it says why
		}
		fd = fds[0]
		_, err = ours.Write([]byte{msg})
		return err
	})
	if err != nil && fd >= 0 {
		_ = unix.Close(fd)
		fd = -1
	}
	return fd, err
}

func (p *process) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	fd, err := p.socket()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "sandbox connection")
	defer f.Close() // net has its own
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	begun, failed := false, error(nil)
	err = raw.Write(func(fd uintptr) bool {
		if !begun {
			begun = true
			failed = unix.Connect(int(fd), &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
			return failed != unix.EINPROGRESS
		}
		var errno int
		if errno, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); failed == nil && errno != 0 {
			failed = unix.Errno(errno)
		}
		return true
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil && failed != nil {
		err = os.NewSyscallError("connect", failed)
	}
	if err != nil {
		return nil, err
	}
	return net.FileConn(f)
}
