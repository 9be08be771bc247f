// Package environment runs functions: it starts execution environments, hands them one invocation at a time, keeps them
// for the next one, and ends them.
//
// The package promises:
//
//   - An environment serves one version of one function, in one configuration, for its whole life. After Retire no new
//     invocation gets an older one; the invocation that runs in one is finished first.
//   - An environment has one invocation at a time. When all are busy another one is started, up to the limits that come
//     with the invocation; of several idle ones the one used last is taken. Only so many start at one time; an invocation
//     that waits for that takes one that becomes idle before.
//   - An invocation ends at the function's timeout, whatever the function does: the whole environment is killed. Extensions
//     that want to know of the end live on for two seconds at most, and the runtime does not.
//   - An environment with extensions that ends for another reason has its runtime terminated before they are told.
//   - An environment without an invocation does not run: soon after its last one it is frozen, until the next.
//   - An environment ends before the credentials that it was given do, and after it was idle for IdleTimeout or when the machine
//     is short of memory, unless Provision keeps it.
//   - What a function writes ends up in its log in the order in which it was written, between the START and END lines of
//     the invocation that wrote it. Logs are stored off the path of invocations and within bounds.
//   - External extensions are processes beside the runtime's. What they write is in the function's log too, and extensions that
//     have subscribed to telemetry get everything in the order of the log, while the environment is not frozen. None of it,
//     and no subscriber, makes an invocation wait: package telemetry buffers and drops.
//   - After Close no process, goroutine, socket or file is left.
//
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
package environment

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
)

// A Function is one version of a function as it is to be run. It does not change: another configuration is another
// Function, with a higher Generation.
type Function struct {
	Account, Region string
	Name            string
	Version         string // "$LATEST" or a number
	ARN             string // with the version
	// Generation grows with each change of the version's code or configuration.
	Generation int64

	Runtime    string // as AWS names it: "python3.12"
	RuntimeARN string // of the runtime's version, for the log
	Handler    string
	Role       string // ARN of the execution role
	DeadLetter string // ARN of what gets failed events; not used here
	// Architecture is what the function was made for: "x86_64" or "arm64".
	Architecture string
	MemoryMB     int
	TmpMB        int // size of /tmp
	Timeout      time.Duration
	// Code names the deployment package, in the words of Config.Code.
	Code string
	// Layers name the packages that lie one over the other in /opt, in the words of Config.Code.
	Layers    []string
	Variables map[string]string

	LogGroup string
	// LogFormat is "Text" or "JSON". The levels are for JSON only.
	LogFormat           string
	ApplicationLogLevel string
	SystemLogLevel      string

	// initialization is why an environment is made: on-demand, if it is empty.
	initialization string
}

// provisionedConcurrency is the initialization of environments that Provision keeps.
const provisionedConcurrency = "provisioned-concurrency"

func (f *Function) initializationType() string {
	if f.initialization == "" {
		return "on-demand"
	}
	return f.initialization
}

// An Invocation is one event for a function.
type Invocation struct {
	RequestID string
	// FunctionARN is as the caller named the function: with the version or alias, if there was one.
	FunctionARN string
	Payload     []byte
	// ClientContext is a JSON document, or empty.
	ClientContext string
	// TraceID is the tracing header that the caller sent, if it did.
	TraceID string
	// Tail asks for the end of the log.
	Tail bool
	// Stream, if it is set, gets the response: up to runtimeapi.MaxStreamed bytes if the function streams it.
	Stream Stream
	// Limits are those on how many invocations may run at the same time.
	Limits Limits
}

// Limits bound how many invocations run at one time.
type Limits struct {
	// Reserved is the function's own number; negative if it has none.
	Reserved int
	// Unreserved is for all functions together, in one account and region, that have no number of their own.
	Unreserved int
}

// A Result is how an invocation ended.
type Result struct {
	// Payload is the function's response, unless that went to the Stream, or the JSON that describes its error. A function
	// that fails while it streams has an error besides what the Stream got.
	Payload []byte
	// Failed says that it is an error.
	Failed bool
	// LogTail is the end of the log, at most 4 KiB, if it was asked for.
	LogTail []byte
	Usage   Usage
}

// Usage is what an invocation cost.
type Usage struct {
	Duration time.Duration
	// Init is how long the environment took to start, if this was its first invocation.
	Init time.Duration
	// Billed is both, in whole milliseconds.
	Billed    time.Duration
	MemoryMB  int
	MaxMemory int64 // bytes
	// Provisioned says that it ran in an environment of a provision, which has a price of its own.
	Provisioned bool
}

// A ThrottledError says that an invocation would have been over a limit.
type ThrottledError struct {
	// Reason is AWS's: "ReservedFunctionConcurrentInvocationLimitExceeded" or "ConcurrentInvocationLimitExceeded".
	Reason string
}

func (e *ThrottledError) Error() string { return "environment: " + e.Reason }

var (
	// ErrClosed is returned by Invoke after Close was called.
	ErrClosed = errors.New("environment: the manager is closed")
	// ErrRoleDenied says that the function's role cannot be assumed.
	ErrRoleDenied = errors.New("environment: the role cannot be assumed")
)

// Runtimes finds what runs a function.
type Runtimes interface {
	// Find returns the runtime with a name, or a *runtimes.UnavailableError.
	Find(ctx context.Context, name string) (*runtimes.Runtime, error)
}

// Code gives out the files of functions.
type Code interface {
	// Acquire returns the directory of a deployment package.
	Acquire(ctx context.Context, name string) (*code.Dir, error)
	// AcquireLayers returns the directory in which packages lie one over the other.
	AcquireLayers(ctx context.Context, names []string) (*code.Dir, error)
}

// Roles gives out the credentials of execution roles.
type Roles interface {
	// IssueRoleSession returns credentials of a session of the role, for d if that is possible. It fails with
	// ErrRoleDenied if there is no such role or Lambda may not assume it. The call.Info of ctx says who asks, as of every
	// call that an environment makes: lambda.amazonaws.com, in the name of the function that is SourceARN.
	IssueRoleSession(ctx context.Context, roleARN, sessionName string, d time.Duration) (*Credentials, error)
}

// Credentials are those of a role session.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiry                                     time.Time
}

// A Gateway is what functions find behind the names of AWS.
type Gateway interface {
	// Attach serves sockets, which it owns from then on, until detach is called. Any of them may be nil.
	Attach(sockets Sockets, id Identity) (detach func())
}

// Sockets are those of one environment that lead to the Gateway.
type Sockets struct {
	DNS  net.PacketConn
	TLS  net.Listener
	HTTP net.Listener
	// Link carries the Ethernet frames of the environment's interface to the world.
	Link *os.File
	MTU  int
}

// An Identity says whose environment it is.
type Identity struct {
	Account, Region string
	FunctionARN     string // with the version
	Environment     string // unique
}

// A Meter is told what each invocation cost, when all of that is known.
type Meter interface {
	Record(f *Function, u *Usage)
}

// Config is what a Manager needs.
type Config struct {
	Driver   sandbox.Driver
	Runtimes Runtimes
	Code     Code
	Roles    Roles
	Logs     Logs
	Gateway  Gateway
	Logger   *slog.Logger
	// Meter may be nil.
	Meter Meter

	// CABundle and CACertificate are files of this machine: the authorities that functions trust, and Brume's own alone.
	CABundle, CACertificate string
	// Endpoint is Brume's address for functions that run without a network of their own: "http://127.0.0.1:4566".
	Endpoint string

	// Outside says that environments get an interface to the world, at the other end of which is the Gateway.
	Outside bool
	// Prebooted is how many sandboxes of each kind in use wait for a function, with their interpreter up; 0 means
	// DefaultPrebooted, and negative none.
	Prebooted int
	// IdleTimeout is how long an environment waits for its next invocation; 0 means DefaultIdleTimeout.
	IdleTimeout time.Duration
	// InitTimeout bounds the init phase; 0 means DefaultInitTimeout.
	InitTimeout time.Duration
	// SessionDuration is for how long credentials are asked for; 0 means DefaultSessionDuration.
	SessionDuration time.Duration
}

const (
	// DefaultIdleTimeout keeps what is used every now and then.
	DefaultIdleTimeout = 10 * time.Minute
	// DefaultInitTimeout is Lambda's.
	// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
	DefaultInitTimeout = 10 * time.Second
	// DefaultSessionDuration is the longest that a role session can have.
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	DefaultSessionDuration = 12 * time.Hour
)
