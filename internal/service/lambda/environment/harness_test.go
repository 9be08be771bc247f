package environment

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brume/internal/call"
	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.InitArg {
		sandbox.Init()
	}
	goleak.VerifyTestMain(m)
}

// A harness runs functions for a test.
type harness struct {
	t       testing.TB
	manager *Manager
	logs    *memoryLogs
	roles   *fakeRoles
	gateway *fakeGateway
	code    *code.Cache
	catalog *runtimes.Catalog
	config  Config

	mu       sync.Mutex
	archives map[string][]byte
	requests int
}

// fakeRoles gives out credentials that say how many were given out.
type fakeRoles struct {
	mu     sync.Mutex
	issued int
	first  time.Time     // when the first were issued
	life   time.Duration // instead of what is asked for
	err    error
}

func (r *fakeRoles) IssueRoleSession(ctx context.Context, role, name string, d time.Duration) (*Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	if info := call.From(ctx); info.Principal.ARN != "lambda.amazonaws.com" || info.SourceARN != "arn:aws:lambda:us-east-1:000000000000:function:f" || info.Account != "000000000000" {
		return nil, fmt.Errorf("asked for by %+v", info)
	}
	if r.issued++; r.issued == 1 {
		r.first = time.Now()
	}
	if r.life != 0 {
		d = r.life
	}
	id := fmt.Sprint(r.issued)
	return &Credentials{"ASIA" + id, "secret" + id, "token of " + role + " " + name, time.Now().Add(d)}, nil
}

// fakeGateway counts what is attached.
type fakeGateway struct {
	mu       sync.Mutex
	attached map[string]Identity
	attach   func(Sockets, Identity) func()
}

func (g *fakeGateway) Attach(s Sockets, id Identity) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.attached[id.Environment] = id
	detach := func() {}
	if g.attach != nil {
		detach = g.attach(s, id)
	}
	return func() {
		detach()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.attached, id.Environment)
	}
}

// newHarness starts a Manager over the best sandbox of this machine, or over ordinary processes.
func newHarness(t testing.TB, plain bool, change func(*Config)) *harness {
	t.Helper()
	var driver sandbox.Driver
	if plain {
		driver = sandbox.NewPlain(sandbox.Options{Logger: discard()})
	} else {
		var err error
		driver, err = sandbox.New(sandbox.Options{Logger: discard()})
		must(t, err)
		if !driver.Features().PrivateRoot {
			driver.Close()
			t.Skipf("no sandbox on this machine: %v", driver.Protections())
		}
	}
	dir := t.TempDir()
	h := &harness{
		t: t, logs: &memoryLogs{}, roles: &fakeRoles{}, gateway: &fakeGateway{attached: map[string]Identity{}},
		archives: map[string][]byte{}, catalog: runtimes.NewCatalog(sharedCatalog(t), os.Getenv("PATH"), os.Getenv("HOME")),
	}
	h.catalog.OfferAny("ruby")
	var err error
	h.code, err = code.OpenCache(filepath.Join(dir, "code"))
	must(t, err)
	bundle, certificate := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "ca.pem")
	must(t, os.WriteFile(bundle, []byte("# authorities\n"), 0o644))
	must(t, os.WriteFile(certificate, []byte("# authority\n"), 0o644))
	h.config = Config{
		Driver: driver, Runtimes: h.catalog, Code: h, Roles: h.roles, Logs: h.logs, Gateway: h.gateway,
		Logger: discard(), CABundle: bundle, CACertificate: certificate, Endpoint: "http://127.0.0.1:1",
	}
	if change != nil {
		change(&h.config)
	}
	h.manager = New(h.config)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		h.manager.Close(ctx)
		if all, idle := h.manager.Environments(); all != 0 || idle != 0 {
			t.Errorf("%d environments are left, %d of them idle", all, idle)
		}
		if len(h.gateway.attached) != 0 {
			t.Errorf("the gateway is still attached to %v", h.gateway.attached)
		}
		must(t, driver.Close())
		h.code.Close()
	})
	return h
}

// sharedCatalog is a directory that keeps what the interpreters said from one run of the tests to the next.
func sharedCatalog(t testing.TB) string {
	base, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	return filepath.Join(base, "brume-test-runtimes")
}

// Acquire makes the harness the source of code.
func (h *harness) AcquireLayers(ctx context.Context, digests []string) (*code.Dir, error) {
	var dirs []*code.Dir
	for _, digest := range digests {
		dir, err := h.Acquire(ctx, digest)
		if err != nil {
			return nil, err
		}
		defer dir.Release()
		dirs = append(dirs, dir)
	}
	return h.code.AcquireMerged(ctx, dirs)
}

func (h *harness) Acquire(ctx context.Context, digest string) (*code.Dir, error) {
	return h.code.Acquire(ctx, digest, func() (code.Archive, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		data, ok := h.archives[digest]
		if !ok {
			return nil, fmt.Errorf("no archive %s", digest)
		}
		return archive{bytes.NewReader(data)}, nil
	})
}

type archive struct{ *bytes.Reader }

func (archive) Close() error { return nil }

// runtime returns the name of a runtime of this machine that begins with prefix, one with an SDK if there is one, or skips
// the test.
func (h *harness) runtime(prefix string) string {
	h.t.Helper()
	all, err := h.catalog.All(h.t.Context())
	must(h.t, err)
	name := ""
	for _, r := range all {
		if strings.HasPrefix(r.Name, prefix) && (name == "" || r.SDK != "") {
			name = r.Name
		}
	}
	if name == "" && os.Getenv("CI") != "" {
		h.t.Fatalf("no %s on this machine", prefix)
	}
	if name == "" {
		h.t.Skipf("no %s on this machine", prefix)
	}
	return name
}

// function makes a Function of one file. The first lines of the file's name say how it is called.
func (h *harness) function(runtime, file, source string) *Function {
	h.t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	head := &zip.FileHeader{Name: file, Method: zip.Deflate}
	head.SetMode(0o755)
	e, err := w.CreateHeader(head)
	must(h.t, err)
	_, err = io.WriteString(e, source)
	must(h.t, err)
	must(h.t, w.Close())
	sum := sha256.Sum256(buf.Bytes())
	digest := hex.EncodeToString(sum[:])
	h.mu.Lock()
	h.archives[digest] = buf.Bytes()
	h.mu.Unlock()
	name, _, _ := strings.Cut(file, ".")
	return &Function{
		Account: "000000000000", Region: "us-east-1", Name: "f", Version: "$LATEST",
		ARN: "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", Generation: 1,
		Runtime: runtime, RuntimeARN: "arn:aws:lambda:us-east-1::runtime:0", Handler: name + ".handler",
		Role: "arn:aws:iam::000000000000:role/r", MemoryMB: 128, TmpMB: 512, Timeout: 10 * time.Second,
		Code: digest, LogGroup: "/aws/lambda/f", LogFormat: "Text",
	}
}

func (h *harness) python(source string) *Function {
	return h.function(h.runtime("python3"), "index.py", source)
}

func (h *harness) node(source string) *Function {
	return h.function(h.runtime("nodejs"), "index.js", source)
}

var noLimits = Limits{Reserved: -1, Unreserved: 1000}

// try invokes f.
func (h *harness) try(f *Function, payload string) (*Result, error) {
	h.mu.Lock()
	h.requests++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", h.requests)
	h.mu.Unlock()
	return h.manager.Invoke(h.t.Context(), f, &Invocation{
		RequestID: id, FunctionARN: f.ARN, Payload: []byte(payload), Tail: true, Limits: noLimits,
	})
}

// invoke invokes f, which has to work.
func (h *harness) invoke(f *Function, payload string) string {
	h.t.Helper()
	r, err := h.try(f, payload)
	must(h.t, err)
	if r.Failed {
		h.t.Fatalf("the function failed: %s\n%s", r.Payload, r.LogTail)
	}
	return string(r.Payload)
}

// fails invokes f, which has to fail.
func (h *harness) fails(f *Function, payload string) *Result {
	h.t.Helper()
	r, err := h.try(f, payload)
	must(h.t, err)
	if !r.Failed {
		h.t.Fatalf("the function did not fail: %s\n%s", r.Payload, r.LogTail)
	}
	return r
}

// drivers runs a test with each driver of the machine.
func drivers(t *testing.T, change func(*Config), test func(t *testing.T, h *harness)) {
	for name, plain := range map[string]bool{"sandbox": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHarness(t, plain, change))
		})
	}
}
