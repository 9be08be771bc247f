// Package sandbox runs a process with nothing but what it was given.
//
// The caller names the host directories and small files the process may read, its command line, its environment, its
// limits, and the addresses on its own loopback at which the caller will answer it. The Linux driver gives it exactly
// that, in namespaces of its own, and nothing else: no other file, process, network, capability or system call. The
// plain driver, for systems where that cannot be had, starts an ordinary process with the same contract and says in
// Protections what is missing.
//
// A driver promises:
//
//   - Start returns after the command has been executed, or returns an error and leaves nothing behind.
//   - When Done is closed every process of the sandbox is gone, and so are its mounts, namespaces, sockets and cgroups.
//   - Killing the sandbox, or killing Brume with SIGKILL, ends the whole tree of processes. (The plain driver: only what
//     stays in the process group, and only by Kill.)
//   - What the process does to its own limits ends the process, never Brume: a full /tmp is ENOSPC, too many processes
//     are EAGAIN, too much memory is a kill that Exit reports as such.
//
// The binary that uses this package must call Init first thing in main when IsInit says so: the drivers execute the
// running binary again in that role. DESIGN.md has the threat model and the reasons.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// InitArg is the first argument with which a driver executes its own binary; see Init.
const InitArg = "sandbox-init"

// IsInit says whether these arguments of the program, os.Args, are those for Init.
func IsInit(args []string) bool { return len(args) > 1 && args[1] == InitArg }

// The user and group of every process in a Linux sandbox, the ones Lambda uses (sbx_user1051, 990). On the host they
// are an id that owns nothing when Brume runs as root, and Brume's own user otherwise.
const (
	UID = 993
	GID = 990
)

// What is at the sandbox's end of Config.Link. The address is one that is used on links alone, as Lambda's is.
const (
	LinkName    = "eth0"
	LinkAddress = "169.254.76.1"
	LinkGateway = "169.254.76.2"
	// LinkMTU is large, as no wire is behind the interface. Frames to the sandbox may have it, and an Ethernet header. Those
	// from it may be larger, as it may leave cutting them to others: up to the 64 KiB of an IP packet.
	LinkMTU = 32 << 10
)

// Bounds that Config is held to.
const (
	// MinMemoryBytes is the smallest memory limit: less does not hold an interpreter. Lambda's own minimum is 128 MiB.
	MinMemoryBytes = 16 << 20
	// MaxFileBytes is the most that all Files of one Config may hold together.
	MaxFileBytes = 16 << 20
	// MaxListen is the most sockets one Config may ask for.
	MaxListen = 32
	// MaxCompanions is the most companions of one Config: as many as Lambda allows extensions.
	MaxCompanions = 10
	// MaxOpenFiles is RLIMIT_NOFILE inside, as in Lambda.
	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	MaxOpenFiles = 1024
	// DefaultPIDs is the limit of processes and threads, as in Lambda.
	// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
	DefaultPIDs = 1024
)

var (
	// ErrClosed is returned by Start after Close.
	ErrClosed = errors.New("sandbox: driver is closed")
	// ErrEnded is returned by what needs a process that runs.
	ErrEnded = errors.New("sandbox: the process has ended")
)

// Config says what one sandbox holds. Paths are absolute and clean.
type Config struct {
	// Binds are the host directories and files that appear in the sandbox, always read-only, nosuid and nodev. When
	// Brume runs as root, what they contain must be readable for others; the directories that lead to them need not be.
	Binds []Bind
	// Later are directories inside, empty at first, at which Process.Attach can show something. They lie in no Bind. It
	// needs a driver with Features.Attach.
	Later []string
	// Files are small files that exist only in the sandbox, read-only for the process.
	Files []File
	// Command is the program, as an absolute path inside, and its arguments; Command[0] is also its argv[0].
	Command []string
	// Dir is the working directory inside; "/" if empty.
	Dir string
	// Env is the whole environment, "NAME=value".
	Env []string
	// Hostname is the host name inside; "sandbox" if empty.
	Hostname string

	// MemoryBytes is the most memory that all processes together may use; what lies in /tmp does not count. 0 means no
	// limit.
	MemoryBytes int64
	// PIDs is the most processes and threads at one time; 0 means DefaultPIDs.
	PIDs int
	// CPUs is how many processors' worth of time the sandbox may use, 0.5 for half of one; 0 means no limit.
	CPUs float64
	// CPUShare is what counts when processors are scarce: each sandbox that wants more than it gets has time in proportion to
	// it. 0 means 1.
	CPUShare float64
	// TmpBytes is the size of /tmp, the only place that can be written to. 0 means that there is no /tmp.
	TmpBytes int64

	// Listen are the sockets to open in the sandbox's network, and to hand to the caller.
	Listen []ListenSpec

	// Link gives the sandbox an Ethernet interface besides its loopback, LinkAddress on LinkName, with a default route, at
	// whose other end is Process.Link and nothing else. It needs a driver with Features.Link.
	Link bool

	// Dial makes Process.Dial work.
	Dial bool

	// Companions run beside the command from the start. They share all of the sandbox with it, and end with it.
	Companions []Companion
	// CompanionOutput is the standard output and error of all companions; nil means /dev/null. Start does not close it.
	CompanionOutput *os.File
	// Ended, if it is set, is called when the command has ended, and companions live on until Kill. Otherwise all ends with it.
	Ended func(Exit)

	// Stdout and Stderr become the process's, typically the writing ends of pipes; nil means /dev/null. Start does not
	// close them. Standard input is always /dev/null.
	Stdout, Stderr *os.File
}

// A Bind shows the host's Source at Target inside.
type Bind struct {
	Source string
	Target string
}

// A File is a small file made for the sandbox. It may lie over a file that a Bind shows, and then hides that.
type File struct {
	Path string
	Data []byte
	Mode os.FileMode // 0 means 0444
}

// A Companion is a further program of a sandbox.
type Companion struct {
	// Command and Env are as those of Config.
	Command []string
	Env     []string
	// Ended is called if the companion ends before the sandbox does. Like Config.Ended it is called by the goroutine that
	// cleans up after the sandbox, and must not wait; Stats are not set.
	Ended func(Exit)
}

// A ListenSpec is an address of the sandbox's own loopback.
type ListenSpec struct {
	Network string // "tcp" or "udp"
	Address string // IP address and port, "127.0.0.1:9001"
}

// Features are what a caller has to know of a driver to make its Config and the command's environment.
type Features struct {
	// PrivateRoot says that the process sees its own file system: Binds, Files and /tmp. Without it the process sees the
	// host's, and the caller builds the command's arguments and environment with Config.HostPath.
	PrivateRoot bool
	// FixedAddresses says that the sockets have the very addresses that Config.Listen names. Without it they have the
	// same IP address and a free port, to be read from Process.Sockets; a caller that has to tell the process in its
	// environment opens a socket of its own before the start instead.
	FixedAddresses bool
	// Attach says that Config.Later and Process.Attach work.
	Attach bool
	// Link says that Config.Link works.
	Link bool
}

// A Driver starts sandboxes. Its methods may be called concurrently.
type Driver interface {
	// Start runs a command. The context bounds the start only: a sandbox that Start has returned lives until it ends,
	// is killed, or the driver is closed.
	Start(ctx context.Context, c *Config) (Process, error)
	Features() Features
	// Protections lists what is in force and what is missing and why, in a fixed order.
	Protections() []Protection
	// Close kills what runs, waits for it, and removes what the driver made. Start fails with ErrClosed afterwards.
	Close() error
}

// A Process is a running sandbox. Its methods may be called concurrently, and after it has ended.
type Process interface {
	// PID is the id, on the host, of the sandbox's first process. It is for logs.
	PID() int
	// Sockets are open from Start until the process has ended, in the order of Config.Listen. The caller need not close
	// them.
	Sockets() []Socket
	// Link carries the Ethernet frames of the interface that Config.Link has made, one with each read and write; nil without.
	// It is open as long as the sockets.
	Link() *os.File
	// Attach shows more of the host, in the same way as Config.Binds, at directories of Config.Later. What runs inside sees
	// it from then on.
	Attach(binds []Bind) error
	// Dial connects to what listens at a TCP port of the sandbox's own loopback, and to nothing else. It needs Config.Dial.
	Dial(ctx context.Context, port uint16) (net.Conn, error)
	// Freeze stops every process of the sandbox where it is, until Thaw. Frozen processes can be killed. Both are for one
	// goroutine at a time.
	Freeze() error
	Thaw() error
	// Kill ends every process of the sandbox. It does not wait.
	Kill()
	// SignalCommand sends a signal to the command, and SIGKILL also to what that has started.
	SignalCommand(sig syscall.Signal)
	// Done is closed after everything of the sandbox is gone.
	Done() <-chan struct{}
	// Wait waits for Done and says how the process ended.
	Wait() Exit
	// Stats says what the sandbox has used so far, or in all once it has ended.
	Stats() Stats
	// Busy says whether a thread of the sandbox runs, or would if it had a processor. Where that cannot be found out none does.
	Busy() bool
}

// A Socket is one of the sandbox's addresses, held by the caller. Exactly one of the two is set.
type Socket struct {
	Listener net.Listener   // for "tcp"
	Packet   net.PacketConn // for "udp"
}

// Addr is the address at which the process inside reaches the socket.
func (s Socket) Addr() net.Addr {
	if s.Listener != nil {
		return s.Listener.Addr()
	}
	return s.Packet.LocalAddr()
}

func (s Socket) close() {
	if s.Listener != nil {
		_ = s.Listener.Close() // its only error is that the caller has closed it already
	}
	if s.Packet != nil {
		_ = s.Packet.Close()
	}
}

// Exit says how the command ended.
type Exit struct {
	// Code is the exit status, and -1 if a signal ended the command.
	Code int
	// Signal is the signal that ended the command, 0 if none did.
	Signal syscall.Signal
	// OutOfMemory says that it was killed because the sandbox had used up its memory.
	OutOfMemory bool
	Stats
}

// Stats is what all processes of a sandbox have used together.
type Stats struct {
	// MaxMemoryBytes is the most memory in use at one time, never more than Config.MemoryBytes. Where there is a memory
	// cgroup it is the kernel's count, which has the page cache in it, and otherwise the largest of the samples taken.
	MaxMemoryBytes int64
	// CPUTime is user and system time.
	CPUTime time.Duration
}

// A Protection is one layer of the sandbox.
type Protection struct {
	Name   string // "memory limit"
	Active bool
	// Detail says by what means it is in force, or why it is not and what would help.
	Detail string
}

// Options are for a driver.
type Options struct {
	// Logger gets what goes wrong in the background, such as a cgroup that could not be removed; nil means slog.Default.
	Logger *slog.Logger
}

func (o Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.Default()
	}
	return o.Logger
}

// HostPath returns where p, a path inside, lies on the host: under the deepest of the Binds that holds it, and p itself
// where none does. It is how a caller finds its files again when the driver has no PrivateRoot.
func (c *Config) HostPath(p string) string {
	best, found := Bind{}, false
	for _, b := range c.Binds {
		if under(p, b.Target) && (!found || len(b.Target) > len(best.Target)) {
			best, found = b, true
		}
	}
	if !found {
		return p
	}
	return path.Join(best.Source, strings.TrimPrefix(p, best.Target))
}

// under says whether p is dir or lies below it.
func under(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// reserved are the places that the driver fills itself.
var reserved = [...]string{"/proc", "/dev", "/tmp"}

// check holds c to what the field comments say.
func (c *Config) check() error {
	switch {
	case len(c.Command) == 0:
		return errors.New("sandbox: no command")
	case c.MemoryBytes != 0 && c.MemoryBytes < MinMemoryBytes:
		return fmt.Errorf("sandbox: a memory limit of %d bytes is less than %d", c.MemoryBytes, MinMemoryBytes)
	case c.TmpBytes < 0, c.PIDs < 0, c.CPUs < 0, c.CPUShare < 0:
		return errors.New("sandbox: negative limit")
	case len(c.Listen) > MaxListen:
		return fmt.Errorf("sandbox: %d sockets are more than %d", len(c.Listen), MaxListen)
	case len(c.Companions) > MaxCompanions:
		return fmt.Errorf("sandbox: %d companions are more than %d", len(c.Companions), MaxCompanions)
	case len(c.Hostname) > 64:
		return fmt.Errorf("sandbox: host name %q is longer than 64 bytes", c.Hostname)
	}
	for _, program := range append([]Companion{{Command: c.Command, Env: c.Env}}, c.Companions...) {
		for _, s := range slices.Concat(program.Command, program.Env) {
			if strings.IndexByte(s, 0) >= 0 {
				return errors.New("sandbox: NUL byte in the command or the environment")
			}
		}
		if len(program.Command) == 0 {
			return errors.New("sandbox: a companion without a command")
		}
		if err := checkPath(program.Command[0]); err != nil {
			return err
		}
	}
	if c.Dir != "" {
		if err := checkPath(c.Dir); err != nil {
			return err
		}
	}
	targets := make(map[string]bool, len(c.Binds)+len(c.Files))
	taken := func(target string) error {
		if target == "/" {
			return errors.New("sandbox: nothing can be bound to /")
		}
		for _, r := range reserved {
			if under(target, r) {
				return fmt.Errorf("sandbox: %s is the driver's own", target)
			}
		}
		if targets[target] {
			return fmt.Errorf("sandbox: %s is given twice", target)
		}
		targets[target] = true
		return nil
	}
	for _, b := range c.Binds {
		if err := errors.Join(checkPath(b.Source), checkPath(b.Target)); err != nil {
			return err
		}
		if err := taken(b.Target); err != nil {
			return err
		}
	}
	for _, p := range c.Later {
		if err := checkPath(p); err != nil {
			return err
		}
		if err := taken(p); err != nil {
			return err
		}
	}
	size := 0
	for _, f := range c.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if err := taken(f.Path); err != nil {
			return err
		}
		size += len(f.Data)
	}
	if size > MaxFileBytes {
		return fmt.Errorf("sandbox: the files hold %d bytes, more than %d", size, MaxFileBytes)
	}
	for _, l := range c.Listen {
		if l.Network != "tcp" && l.Network != "udp" {
			return fmt.Errorf("sandbox: cannot listen on network %q", l.Network)
		}
		if _, err := netip.ParseAddrPort(l.Address); err != nil {
			return fmt.Errorf("sandbox: cannot listen: %w", err)
		}
	}
	return nil
}

func checkPath(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.IndexByte(p, 0) >= 0 {
		return fmt.Errorf("sandbox: path %q is not absolute and clean", p)
	}
	return nil
}
