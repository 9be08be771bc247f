//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The spawner is a copy of the Brume binary, started once per driver, from which every sandbox is cloned. It is small and
// has nothing to hide, so a clone of it is cheap and leaks nothing, the server neither pays for the page tables of a fork
// nor for a fresh Go runtime per start, and its own memory is never shared with a process that is half a sandbox.
//
// Sandboxes are cloned with CLONE_PARENT: they are children of the server, which waits for them itself, and they outlive
// a spawner that dies. Their parent-death signal follows the server's thread that started the spawner; hence keep.

// spawnRequest is one message to the spawner. Descriptors travel with it: the script's memfd, the cgroup's directory if
// inCgroup, and then those for the slots.
type spawnRequest struct {
	flags    uint64 // for clone3
	inCgroup bool
	_        [7]byte
}

// spawnReply is the answer. The pidfd travels with it unless errno is set.
type spawnReply struct {
	pid   int32
	errno int32
}

const (
	spawnArg   = "spawn" // the argument after InitArg
	spawnerFD  = 3       // the spawner's end of the socket
	maxSpawnFD = 2 + slotCgroups + maxCgroupFDs
	// spawnTimeout bounds one clone. The kernel does it in a millisecond; more than this and the spawner is stuck.
	spawnTimeout = 10 * time.Second
)

func asBytes[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// spawnerMain serves requests until the server closes its end of the socket. It does not return.
func spawnerMain() {
	// The pidfds and messages are handled on one thread, the one that clones.
	runtime.LockOSThread()
	// A service manager or a terminal that stops the server signals the spawner too, but running sandboxes need none and
	// the server decides when it ends.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	b := &birth{sigs: ^uint64(0)}
	oob := make([]byte, unix.CmsgSpace(4*maxSpawnFD))
	for {
		var req spawnRequest
		n, oobn, _, _, err := unix.Recvmsg(spawnerFD, asBytes(&req), oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			os.Exit(0)
		}
		fds, err := rights(oob[:oobn])
		if err != nil || n != int(unsafe.Sizeof(req)) {
			os.Exit(2)
		}
		pid, err := b.serve(&req, fds)
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		reply := spawnReply{pid: int32(pid)}
		var send []byte
		if err == nil {
			send = unix.UnixRights(int(b.pidfd))
		} else {
			reply.errno = int32(unix.EINVAL)
			var errno unix.Errno
			if errors.As(err, &errno) {
				reply.errno = int32(errno)
			}
		}
		err2 := unix.Sendmsg(spawnerFD, asBytes(&reply), send, nil, unix.MSG_NOSIGNAL)
		if err == nil {
			_ = unix.Close(int(b.pidfd))
		}
		if err2 != nil {
			os.Exit(0)
		}
	}
}

// serve clones one sandbox.
func (b *birth) serve(req *spawnRequest, fds []int) (int, error) {
	if len(fds) < 1 {
		return 0, unix.EINVAL
	}
	img, err := mapImage(fds[0])
	if err != nil {
		return 0, err
	}
	defer func() { _ = img.unmap() }() // of a mapping just made
	fds = fds[1:]
	b.args = cloneArgs{
		flags: req.flags | unix.CLONE_PARENT | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		pidfd: uint64(uintptr(unsafe.Pointer(&b.pidfd))),
	}
	if req.inCgroup {
		if len(fds) < 1 {
			return 0, unix.EINVAL
		}
		b.args.flags |= unix.CLONE_INTO_CGROUP
		b.args.cgroup = uint64(fds[0])
		fds = fds[1:]
	}
	if len(fds) > len(b.fds) {
		return 0, unix.EINVAL
	}
	b.img, b.nfds = img, uintptr(len(fds))
	for i, fd := range fds {
		if fd >= slotBase {
			return 0, unix.EMFILE
		}
		b.fds[i] = uintptr(fd)
	}
	pid, errno := b.clone()
	if errno != 0 {
		return 0, errno
	}
	return pid, nil
}

// rights returns the descriptors of a message's control data.
func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range msgs {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// A spawner is the server's side.
type spawner struct {
	mu     sync.Mutex
	fd     int // -1 while there is none
	closed bool
	starts chan chan<- startedSpawner // to keep
	kept   sync.WaitGroup
}

type startedSpawner struct {
	fd  int
	err error
}

func newSpawner() *spawner {
	s := &spawner{fd: -1, starts: make(chan chan<- startedSpawner)}
	s.kept.Go(s.keep)
	return s
}

// keep starts spawner processes, one at a time, on a thread that lives as long as the driver: the kernel sends the
// parent-death signal of a process, and of all that it clones with CLONE_PARENT, when the thread that started it ends.
// Therefore the thread is locked and never unlocked: it ends with keep, and takes along whatever is still running.
func (s *spawner) keep() {
	runtime.LockOSThread()
	var proc *os.Process
	wait := func() {
		if proc != nil {
			_ = proc.Kill() // it has ended if its socket was closed, unless it is stuck
			_, _ = proc.Wait()
		}
	}
	for answer := range s.starts {
		wait()
		var started startedSpawner
		started.fd, proc, started.err = execSpawner()
		answer <- started
	}
	wait()
}

func execSpawner() (int, *os.Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("sandbox: socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "spawner")
	defer theirs.Close()
	tv := unix.NsecToTimeval(int64(spawnTimeout))
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		_ = unix.Close(pair[0])
		return -1, nil, fmt.Errorf("sandbox: setsockopt: %w", err)
	}
	proc, err := os.StartProcess("/proc/self/exe", []string{"brume", InitArg, spawnArg}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=single"},
		Files: []*os.File{nil, nil, os.Stderr, theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		_ = unix.Close(pair[0])
		return -1, nil, fmt.Errorf("sandbox: start spawner: %w", err)
	}
	return pair[0], proc, nil
}

// spawn clones a process that runs the script in fds[0]. A spawner that has died is replaced once.
func (s *spawner) spawn(req spawnRequest, fds []int) (pid, pidfd int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for try := 0; ; try++ {
		if s.closed {
			return 0, -1, ErrClosed
		}
		if s.fd < 0 {
			answer := make(chan startedSpawner)
			s.starts <- answer
			started := <-answer
			if started.err != nil {
				return 0, -1, started.err
			}
			s.fd = started.fd
		}
		var reply spawnReply
		reply, pidfd, err = s.exchange(&req, fds)
		if err == nil {
			if reply.errno != 0 {
				return 0, -1, os.NewSyscallError("clone3", unix.Errno(reply.errno))
			}
			return int(reply.pid), pidfd, nil
		}
		_ = unix.Close(s.fd)
		s.fd = -1
		if try > 0 {
			return 0, -1, fmt.Errorf("sandbox: spawner: %w", err)
		}
	}
}

func (s *spawner) exchange(req *spawnRequest, fds []int) (reply spawnReply, pidfd int, err error) {
	if err := unix.Sendmsg(s.fd, asBytes(req), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
		return reply, -1, os.NewSyscallError("sendmsg", err)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(s.fd, asBytes(&reply), oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return reply, -1, os.NewSyscallError("recvmsg", err)
		}
		if n != int(unsafe.Sizeof(reply)) {
			return reply, -1, errors.New("it has died")
		}
		got, err := rights(oob[:oobn])
		if err != nil {
			return reply, -1, err
		}
		if reply.errno != 0 {
			return reply, -1, nil
		}
		if len(got) != 1 {
			return reply, -1, errors.New("no pidfd in its answer")
		}
		return reply, got[0], nil
	}
}

// close ends the spawner, and with the thread that kept it every sandbox that still runs.
func (s *spawner) close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
	close(s.starts)
	s.mu.Unlock()
	s.kept.Wait()
}
