// Package lambda is AWS Lambda: functions, their code, configuration, versions, aliases and permissions, and running
// them.
//
// The package promises:
//
//   - What an operation has acknowledged is durable. The code of a function is stored before the function that has it.
//   - An invocation sees the function as it was when the invocation began; the next one sees every update that was
//     acknowledged before it.
//   - An asynchronous invocation is durable before it is acknowledged, and runs at least once.
//   - Environment variables are kept sealed, and so are of no use to who gets hold of the store alone.
//
// How functions run is in package environment, what becomes of their archives in package code.
//
// https://docs.aws.amazon.com/lambda/latest/api/welcome.html
package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/runtimes"
	"brume/internal/service/lambda/environment"
	"brume/internal/service/lambda/eventsource"
)

// Service implements the operations. Create it with New.
type Service struct {
	api.Unimplemented
	store        Store
	sealer       Sealer
	roles        Roles
	runtimes     Runtimes
	environments Environments
	links        Links
	objects      Objects
	authorizer   Authorizer
	principals   Principals
	destinations Destinations
	streams      eventsource.Stream
	queues       eventsource.Queue
	provisions   provisions
	meter        ProvisionMeter
	packages     *Packages
	log          *slog.Logger
	architecture string
	concurrency  int
	cache        rowCache
}

var _ api.Service = (*Service)(nil)

// A Sealer encrypts what is secret; package seal has one.
type Sealer interface {
	Seal(plaintext, context []byte) []byte
	Open(sealed, context []byte) ([]byte, error)
}

// ErrRoleDenied says that Lambda may not assume a role, or that there is no such role.
var ErrRoleDenied = errors.New("lambda: the role cannot be assumed")

// Roles knows execution roles.
type Roles interface {
	// MayAssume returns nil if the role exists and lambda.amazonaws.com may assume it for the function, and otherwise
	// ErrRoleDenied.
	MayAssume(ctx context.Context, roleARN, functionARN string) error
}

// Runtimes finds what runs a function.
type Runtimes interface {
	// Find returns the runtime with a name, or a *runtimes.UnavailableError.
	Find(ctx context.Context, name string) (*runtimes.Runtime, error)
}

// Environments runs functions; *environment.Manager does.
type Environments interface {
	Invoke(ctx context.Context, f *environment.Function, inv *environment.Invocation) (*environment.Result, error)
	// Retire ends the environments of a version that are older than generation, of all versions if version is empty. It
	// does not wait for them.
	Retire(account, region, name, version string, generation int64)
	// Prepare says that f will be invoked soon.
	Prepare(f *environment.Function)
	// Provision keeps n environments of a version ready, from now on until it is called with another number.
	Provision(f *environment.Function, n int)
	// Provisioned says how far Provision has come.
	Provisioned(account, region, name, version string) environment.ProvisionStatus
}

// Links makes addresses at which clients can fetch code for a while, with no credentials but the address itself.
type Links interface {
	CodeURL(ctx context.Context, code blob.Ref, valid time.Duration) string
	// FunctionURL is the address of a function URL, which lasts as long as that.
	FunctionURL(id, region string) string
}

// An Authorizer decides what the caller of ctx may do, where no operation asks for it.
type Authorizer interface {
	// Authorize returns nil if all checks pass, and otherwise an awserr.Error with the code AccessDenied.
	Authorize(ctx context.Context, checks []policy.Check) error
}

// Principals knows whom policies name.
type Principals interface {
	// PrincipalID returns the unique id of the user or role that an ARN names now, empty if it names none.
	PrincipalID(ctx context.Context, arn string) (string, error)
}

// ErrNoObject says that there is no such object in S3.
var ErrNoObject = errors.New("lambda: no such object")

// Objects reads code out of S3, with the permissions of the caller of ctx.
type Objects interface {
	// Get returns an object of at most limit bytes; an empty version stands for the newest. It fails with ErrNoObject.
	Get(ctx context.Context, bucket, key, version string, limit int64) ([]byte, error)
}

// A Store is what the service stands on.
type Store interface {
	kv.Store
	kv.Watcher
}

// Config is what a Service needs.
type Config struct {
	Store        Store
	Sealer       Sealer
	Roles        Roles
	Runtimes     Runtimes
	Environments Environments
	Packages     *Packages
	Links        Links
	Authorizer   Authorizer
	Principals   Principals
	// Destinations may be nil: then nothing can be sent anywhere.
	Destinations Destinations
	// Streams are the event sources.
	Streams eventsource.Stream
	// Queues may be nil: then queues are refused as event sources.
	Queues eventsource.Queue
	// Objects may be nil: then code comes from requests only.
	Objects Objects
	Logger  *slog.Logger
	// Architecture is this machine's, as Lambda names it: "x86_64" or "arm64".
	Architecture string
	Meter        ProvisionMeter
	// Concurrency is how many invocations may run at one time in an account and region; 0 means DefaultConcurrency.
	Concurrency int
}

// DefaultConcurrency is the quota of a new account.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const DefaultConcurrency = 1000

// New returns the service. Jobs of CodeQueue are for its Packages, those of EventQueue and DestinationQueue for itself.
func New(c Config) *Service {
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	return &Service{
		store: c.Store, sealer: c.Sealer, roles: c.Roles, runtimes: c.Runtimes, environments: c.Environments,
		packages: c.Packages, links: c.Links, objects: c.Objects, authorizer: c.Authorizer, principals: c.Principals, destinations: c.Destinations, streams: c.Streams, queues: c.Queues, meter: c.Meter, log: c.Logger, architecture: c.Architecture, concurrency: c.Concurrency,
	}
}

// runtimeVersionARN names what runs functions of a runtime. Lambda's have a digest of the runtime's image at the end.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html
func runtimeVersionARN(region, runtime string) string {
	sum := sha256.Sum256([]byte("brume " + runtime))
	return "arn:aws:lambda:" + region + "::runtime:" + hex.EncodeToString(sum[:])
}
