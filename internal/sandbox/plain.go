package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// plainArg is the argument after InitArg with which the plain driver executes its own binary. The limit of RLIMIT_DATA and
// the command follow.
const plainArg = "plain"

// plain is the Driver for systems without sandboxes: ordinary processes, with the server's user and file system. It
// keeps the contract where it can: the exact environment, no descriptor but the standard ones, resource limits, sockets,
// and a process group of its own that is killed as one. Binds, Files and /tmp do not exist; Dir and Command[0] are taken
// to where Config.HostPath says they are.
type plain struct {
	reason string
	logger *slog.Logger

	mu      sync.Mutex
	closed  bool
	running map[*plainProcess]bool
	starts  sync.WaitGroup
}

// NewPlain returns the plain driver, whatever the machine could do.
func NewPlain(o Options) Driver { return newPlain(o, "not asked for") }

func newPlain(o Options, reason string) *plain {
	return &plain{reason: reason, logger: o.logger(), running: make(map[*plainProcess]bool)}
}

func (d *plain) Features() Features { return Features{} }

func (d *plain) Protections() []Protection {
	missing := func(name, what string) Protection {
		return Protection{name, false, what + ": " + d.reason}
	}
	ps := []Protection{
		missing("processes", "functions see and can signal the processes of Brume's user"),
		missing("file system", "functions can read and write what Brume's user can"),
		missing("network", "functions have the host's network"),
		missing("unprivileged user", "functions run as Brume's user"),
		missing("no privileges to gain", "set-user-id programs work"),
		missing("system calls", "not filtered"),
		missing("/proc", "the host's"),
	}
	if samplesMemory {
		ps = append(ps, missing("memory limit", "sampled, not exact"))
	} else {
		ps = append(ps, missing("memory limit", "none"))
	}
	ps = append(ps, missing("process limit", "none"), missing("processor share", "none"))
	if diesWithServer {
		return append(ps, missing("ends with Brume", "only the function's first process does"))
	}
	return append(ps, missing("ends with Brume", "functions outlive a Brume that is killed"))
}

func (d *plain) Start(ctx context.Context, c *Config) (_ Process, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	d.starts.Add(1)
	d.mu.Unlock()
	defer d.starts.Done()

	p := &plainProcess{limit: c.MemoryBytes, logger: d.logger, dying: make(chan struct{}), done: make(chan struct{}), killed: make(chan struct{})}
	p.ended = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, p)
	}
	if p.sockets, err = listen(c.Listen); err != nil {
		return nil, err
	}
	failed, theirs, err := os.Pipe()
	if err != nil {
		p.closeSockets()
		return nil, err
	}
	defer failed.Close()

	self, err := os.Executable()
	if err != nil {
		p.closeSockets()
		_ = theirs.Close()
		return nil, err
	}
	var data int64
	if c.MemoryBytes > 0 {
		data = 2*c.MemoryBytes + 1<<30 // well above what runtimes map without using it
	}
	program := func(command, env []string, stdout, stderr *os.File) *exec.Cmd {
		cmd := exec.Command(self, slices.Concat(
			[]string{InitArg, plainArg, strconv.FormatInt(data, 10), c.HostPath(command[0])}, command)...)
		cmd.Env = append([]string{}, env...) // never nil, which would mean the server's own
		cmd.Dir = "/"
		if c.Dir != "" {
			cmd.Dir = c.HostPath(c.Dir)
		}
		if stdout != nil {
			cmd.Stdout = stdout
		}
		if stderr != nil {
			cmd.Stderr = stderr
		}
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.SysProcAttr = plainAttr()
		return cmd
	}
	cmds := []*exec.Cmd{program(c.Command, c.Env, c.Stdout, c.Stderr)}
	for _, companion := range c.Companions {
		cmds = append(cmds, program(companion.Command, companion.Env, c.CompanionOutput, c.CompanionOutput))
	}

	started := make(chan error)
	go p.run(c, cmds, started)
	err = <-started
	_ = theirs.Close()
	if err != nil {
		<-p.done
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	d.mu.Lock()
	d.running[p] = true
	d.mu.Unlock()
	stop := context.AfterFunc(ctx, p.Kill)
	msg, err := io.ReadAll(failed)
	switch {
	case !stop():
		err = context.Cause(ctx)
	case err == nil && len(msg) > 0:
		err = fmt.Errorf("execute %s", msg)
	}
	if err != nil {
		p.Kill()
		<-p.done
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	return p, nil
}

// listen opens the sockets at free ports.
func listen(specs []ListenSpec) (sockets []Socket, err error) {
	for _, l := range specs {
		addr := netip.AddrPortFrom(netip.MustParseAddrPort(l.Address).Addr(), 0).String() // as Config.check did
		var s Socket
		if l.Network == "udp" {
			s.Packet, err = net.ListenPacket("udp", addr)
		} else {
			s.Listener, err = net.Listen("tcp", addr)
		}
		if err != nil {
			for _, s := range sockets {
				s.close()
			}
			return nil, fmt.Errorf("sandbox: %w", err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func (d *plain) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.starts.Wait()
	d.mu.Lock()
	running := slices.Collect(maps.Keys(d.running))
	d.mu.Unlock()
	for _, p := range running {
		p.Kill()
		<-p.done
	}
	return nil
}

// plainProcess is a process of the plain driver.
type plainProcess struct {
	sockets []Socket
	limit   int64
	logger  *slog.Logger
	ended   func()

	mu      sync.Mutex
	pid     int   // also of its process group
	groups  []int // that, and those of the companions
	alive   bool
	killed  chan struct{} // closed by Kill
	oom     bool
	sampled int64
	exit    Exit

	dying chan struct{}
	done  chan struct{}
}

func (p *plainProcess) PID() int              { return p.pid }
func (p *plainProcess) Sockets() []Socket     { return p.sockets }
func (p *plainProcess) Done() <-chan struct{} { return p.done }

// Freeze and Thaw reach what is in the process groups.
func (p *plainProcess) Freeze() error { return p.signal(syscall.SIGSTOP) }
func (p *plainProcess) Thaw() error   { return p.signal(syscall.SIGCONT) }

func (p *plainProcess) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, group := range p.groups {
		if err := syscall.Kill(-group, sig); err != nil && err != syscall.ESRCH {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Dial reaches the loopback that all functions and this machine have.
func (p *plainProcess) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String())
}

// Link needs a network of the process's own.
func (p *plainProcess) Link() *os.File { return nil }

// Attach needs a file system of the process's own.
func (p *plainProcess) Attach([]Bind) error { return errors.ErrUnsupported }

func (p *plainProcess) Wait() Exit {
	<-p.done
	return p.exit
}

func (p *plainProcess) closeSockets() {
	for _, s := range p.sockets {
		s.close()
	}
}

func (p *plainProcess) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kill()
}

func (p *plainProcess) SignalCommand(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.alive {
		return
	}
	to := p.pid
	if sig == syscall.SIGKILL {
		to = -p.pid // its group
	}
	if err := syscall.Kill(to, sig); err != nil && err != syscall.ESRCH {
		p.logger.Error("sandbox: kill", "pid", p.pid, "error", err)
	}
}

func (p *plainProcess) kill() {
	if !p.alive {
		return
	}
	select {
	case <-p.killed:
	default:
		close(p.killed)
	}
	for _, group := range p.groups {
		if err := syscall.Kill(-group, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			p.logger.Error("sandbox: kill", "pid", group, "error", err)
		}
	}
}

// exitOf says how a process has ended that was waited for.
func exitOf(cmd *exec.Cmd) Exit {
	exit := Exit{Code: -1, Signal: syscall.SIGKILL}
	if state := cmd.ProcessState; state != nil {
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			exit.Signal = ws.Signal()
		} else {
			exit.Code, exit.Signal = state.ExitCode(), 0
		}
	}
	return exit
}

// wait waits for the end of a process.
func (p *plainProcess) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	var exitErr *exec.ExitError
	if err != nil && !errors.As(err, &exitErr) {
		p.logger.Error("sandbox: wait", "pid", cmd.Process.Pid, "error", err)
	}
}

func (p *plainProcess) Stats() Stats {
	select {
	case <-p.done:
		return p.exit.Stats
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{MaxMemoryBytes: p.sampled, CPUTime: plainCPUTime(p.pid)}
}

func (p *plainProcess) Busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive && plainBusy(p.pid)
}

// run starts the processes, waits for their end, cleans up and says so.
func (p *plainProcess) run(c *Config, cmds []*exec.Cmd, started chan<- error) {
	// The parent-death signal comes when the thread ends that has started the process; see spawner.keep.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	defer p.closeSockets()
	cmd := cmds[0]
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.mu.Lock()
	p.pid, p.groups, p.alive = cmd.Process.Pid, []int{cmd.Process.Pid}, true
	p.mu.Unlock()
	var failed error
	var companions sync.WaitGroup
	for i, companion := range cmds[1:] {
		if failed = companion.Start(); failed != nil {
			p.Kill()
			break
		}
		p.mu.Lock()
		p.groups = append(p.groups, companion.Process.Pid)
		p.mu.Unlock()
		companions.Go(func() {
			p.wait(companion)
			select {
			case <-p.killed:
			default:
				if ended := c.Companions[i].Ended; ended != nil {
					ended(exitOf(companion))
				}
			}
		})
	}
	started <- failed

	var watcher sync.WaitGroup
	watcher.Go(func() {
		watchPlain(p.pid, p.limit, p.dying, func(used int64) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.sampled = max(p.sampled, used)
		}, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.oom = true
			p.kill()
		})
	})
	p.wait(cmd)
	if c.Ended != nil {
		c.Ended(exitOf(cmd))
		gone := make(chan struct{})
		go func() {
			companions.Wait()
			close(gone)
		}()
		select {
		case <-gone:
		case <-p.killed:
		}
	}
	close(p.dying)
	p.mu.Lock()
	p.kill() // the rest of the groups
	p.alive = false
	p.mu.Unlock()
	companions.Wait()
	watcher.Wait()

	exit := exitOf(cmd)
	if state := cmd.ProcessState; state != nil {
		exit.CPUTime = state.UserTime() + state.SystemTime()
		if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
			exit.MaxMemoryBytes = max(p.sampled, maxrssBytes(ru))
		}
	}
	if p.limit > 0 {
		exit.MaxMemoryBytes = min(exit.MaxMemoryBytes, p.limit)
	}
	exit.OutOfMemory = p.oom
	p.exit = exit
	p.ended()
}

// failedFD is the pipe to which plainInit writes why it cannot execute the command.
const failedFD = 3

// plainInit limits itself as a Lambda function is limited, and executes the command. It does not return.
func plainInit() {
	args := os.Args[min(len(os.Args), 2):]
	if len(args) < 4 || args[0] != plainArg {
		fmt.Fprintln(os.Stderr, "brume: "+InitArg+" is for Brume's own use")
		os.Exit(2)
	}
	syscall.CloseOnExec(failedFD)
	err := plainExec(args[1], args[2], args[3:])
	_, _ = os.NewFile(failedFD, "failed").WriteString(args[3] + ": " + err.Error()) // to whom else
	os.Exit(127)
}

func plainExec(data, file string, argv []string) error {
	limit := func(resource int, n uint64) error {
		var own syscall.Rlimit
		if err := syscall.Getrlimit(resource, &own); err != nil {
			return os.NewSyscallError("getrlimit", err)
		}
		own.Max = min(own.Max, n)
		own.Cur = min(own.Cur, n)
		return os.NewSyscallError("setrlimit", syscall.Setrlimit(resource, &own))
	}
	bytes, err := strconv.ParseUint(data, 10, 64)
	if err != nil {
		return err
	}
	if bytes > 0 {
		if err := limit(syscall.RLIMIT_DATA, bytes); err != nil {
			return err
		}
	}
	if err := errors.Join(limit(syscall.RLIMIT_CORE, 0), limit(syscall.RLIMIT_NOFILE, MaxOpenFiles)); err != nil {
		return err
	}
	// What Brume itself was started with beyond the standard descriptors is not for functions.
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	syscall.Umask(0o022)
	return syscall.Exec(file, argv, os.Environ())
}
