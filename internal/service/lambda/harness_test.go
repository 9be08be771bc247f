package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/blob/fileblob"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
	"brume/internal/obs"
	"brume/internal/outbox"
	"brume/internal/policy"
	"brume/internal/runtimes"
	"brume/internal/schema"
	"brume/internal/seal"
	"brume/internal/service/lambda/code"
	"brume/internal/service/lambda/environment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "123456789012"
	region  = "eu-central-1"
	roleARN = "arn:aws:iam::123456789012:role/lambda-role"
	fnARN   = "arn:aws:lambda:eu-central-1:123456789012:function:"
)

// A fixture is a service with everything around it made up, called as from outside: validated and authorised.
type fixture struct {
	*Service
	t        testing.TB
	store    *pebblekv.Store
	outbox   *outbox.Outbox
	calls    *dispatch.Dispatcher
	policies map[string]*policy.Policies // by the principal's ARN
	ids      map[string]string           // likewise
	roles    *fakeRoles
	envs     *fakeEnvironments
	to       *fakeDestinations
	streams  *fakeStreams
	links    *SignedLinks
	blobDir  string
}

type fakeRoles struct{ denied map[string]bool }

func (r *fakeRoles) MayAssume(_ context.Context, role, function string) error {
	if r.denied[role] || !strings.HasPrefix(function, "arn:aws:lambda:") {
		return ErrRoleDenied
	}
	return nil
}

// fakeRuntimes has the runtimes of a good machine.
type fakeRuntimes struct{}

func (fakeRuntimes) Find(_ context.Context, name string) (*runtimes.Runtime, error) {
	switch name {
	case "python3.12", "nodejs22.x", "provided.al2023":
		return &runtimes.Runtime{Name: name}, nil
	}
	return nil, &runtimes.UnavailableError{Runtime: name, Install: "apt-get install " + name, Available: []string{"python3.12"}}
}

// fakeEnvironments records what is run.
type fakeEnvironments struct {
	mu      sync.Mutex
	runs    []environment.Invocation
	ran     []*environment.Function
	retired []string
	// provisioned are the numbers of environments by version.
	provisioned map[string]int
	run         func(f *environment.Function, inv *environment.Invocation) (*environment.Result, error)
	// during, if it is set, is what a run waits for.
	during func(f *environment.Function)
}

func (e *fakeEnvironments) Invoke(_ context.Context, f *environment.Function, inv *environment.Invocation) (*environment.Result, error) {
	if e.during != nil {
		e.during(f)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs, e.ran = append(e.runs, *inv), append(e.ran, f)
	if e.run != nil {
		return e.run(f, inv)
	}
	return &environment.Result{Payload: inv.Payload, LogTail: []byte("log")}, nil
}

func (e *fakeEnvironments) Retire(account, region, name, version string, generation int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retired = append(e.retired, name+" "+version)
}

func (e *fakeEnvironments) Prepare(*environment.Function) {}

func (e *fakeEnvironments) Provision(f *environment.Function, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.provisioned == nil {
		e.provisioned = map[string]int{}
	}
	e.provisioned[f.Version] = n
}

func (e *fakeEnvironments) Provisioned(_, _, _, version string) environment.ProvisionStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.provisioned[version]
	return environment.ProvisionStatus{Requested: n, Allocated: n, Available: n}
}

func (f *fixture) PoliciesFor(_ context.Context, p *call.Principal) (*policy.Policies, error) {
	if own := f.policies[p.ARN]; own != nil {
		return own, nil
	}
	return &policy.Policies{}, nil
}

// PrincipalID knows the ids that a test has given.
func (f *fixture) PrincipalID(_ context.Context, arn string) (string, error) { return f.ids[arn], nil }

func newFixture(t testing.TB) *fixture {
	t.Helper()
	store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "store", FS: vfs.NewMem()})
	must(t, err)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	f := &fixture{
		t: t, store: store, outbox: outbox.New(outbox.Options{Store: store}), policies: map[string]*policy.Policies{}, ids: map[string]string{},
		roles: &fakeRoles{denied: map[string]bool{}}, envs: &fakeEnvironments{}, to: &fakeDestinations{}, streams: &fakeStreams{}, blobDir: filepath.Join(dir, "blobs"),
	}
	blobs, err := fileblob.Open(t.Context(), fileblob.Options{Dir: f.blobDir})
	must(t, err)
	cache, err := code.OpenCache(filepath.Join(dir, "cache"))
	must(t, err)
	t.Cleanup(cache.Close)
	master, err := seal.ParseMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, seal.KeySize)))
	must(t, err)
	box, err := master.Box("lambda")
	must(t, err)
	packages := NewPackages(store, blobs, cache)
	f.links = NewSignedLinks("http://127.0.0.1:4566/", []byte("key"), packages)
	f.calls = dispatch.New(f, obs.NewMetrics())
	f.Service = New(Config{
		Authorizer: f.calls, Principals: f, Destinations: f.to, Streams: f.streams,
		Store: store, Sealer: box, Roles: f.roles, Runtimes: fakeRuntimes{}, Environments: f.envs, Packages: packages,
		Meter: NewMeter(store, slog.New(slog.DiscardHandler)),
		Links: f.links, Logger: slog.New(slog.DiscardHandler), Architecture: api.ArchitectureX8664,
	})
	f.calls.Add(api.Schema(), api.Handlers(f.Service), f.Checks)
	f.outbox.Handle(CodeQueue, 4, packages.Remove)
	f.outbox.Handle(DestinationQueue, DestinationConcurrency, f.Deliver)
	f.outbox.HandleLanes(EventQueue, f.EventLanes(), f.DeliverEvent)
	return f
}

// runOutbox delivers jobs until the test ends.
func (f *fixture) runOutbox() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.outbox.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
}

func as(p call.Principal) context.Context {
	return call.With(context.Background(), &call.Info{
		RequestID: newUUID(), Account: p.Account, Region: region, Principal: p, SourceIP: netip.MustParseAddr("127.0.0.1"),
		Secure: true, Time: time.Now(), Service: "lambda",
	})
}

func root() context.Context {
	return as(call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account})
}

// user returns a context with a user as the caller who has a policy.
func (f *fixture) user(name, document string) context.Context {
	f.t.Helper()
	p := call.Principal{Type: call.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name, ID: "AIDA" + name, Name: name}
	doc, err := policy.Parse(document, policy.Identity)
	must(f.t, err)
	f.policies[p.ARN] = &policy.Policies{Identity: []*policy.Document{doc}}
	return as(p)
}

// do calls an operation.
func do[Out any](f *fixture, ctx context.Context, operation string, in schema.Struct) (*Out, error) {
	f.t.Helper()
	return dispatch.Run[Out](ctx, f.calls, "lambda", operation, in)
}

// ok calls an operation as the root, which has to work.
func ok[Out any](f *fixture, operation string, in schema.Struct) *Out {
	f.t.Helper()
	out, err := do[Out](f, root(), operation, in)
	must(f.t, err)
	return out
}

// refused calls an operation as the root, which has to fail.
func refused[Out any](f *fixture, operation string, in schema.Struct, code, message string) {
	f.t.Helper()
	_, err := do[Out](f, root(), operation, in)
	expectError(f.t, err, code, message)
}

func expectError(t testing.TB, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[awserr.Error](err)
	if !ok || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Errorf("the error is %v, want %s: %s", err, code, message)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// zipFile makes an archive of one file.
func zipFile(t testing.TB, name, body string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	e, err := w.Create(name)
	must(t, err)
	_, err = io.WriteString(e, body)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

// input is a request for a function that works.
func (f *fixture) input(name string) *api.CreateFunctionInput {
	return &api.CreateFunctionInput{
		FunctionName: &name, Runtime: new("python3.12"), Role: new(roleARN), Handler: new("index.handler"),
		Code: &api.FunctionCode{ZipFile: zipFile(f.t, "index.py", "def handler(e, c): return '"+name+"'")},
	}
}

func (f *fixture) create(name string) *api.FunctionConfiguration {
	f.t.Helper()
	return ok[api.FunctionConfiguration](f, "CreateFunction", f.input(name))
}

// eventually waits until done is true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 30 s", what)
		}
	}
}

type (
	kvReader = kv.Reader
	kvRange  = kv.Range
)

func callPrincipal(account string) call.Principal {
	return call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account}
}
