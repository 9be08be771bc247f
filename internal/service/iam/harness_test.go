package iam

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	api "brume/internal/api/iam"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/kv/pebblekv"
	"brume/internal/obs"
	"brume/internal/schema"
	"brume/internal/seal"
)

const account = "123456789012"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fixture is a service over a store of its own, called as from outside: validated and authorised.
type fixture struct {
	*Service
	store *pebblekv.Store
	calls *dispatch.Dispatcher
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "store", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return over(t, store)
}

// over returns a fixture with a new service over a store.
func over(t testing.TB, store *pebblekv.Store) *fixture {
	t.Helper()
	master, err := seal.ParseMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	box, err := master.Box("access keys")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Service: New(store, box, slog.New(slog.DiscardHandler)), store: store}
	f.calls = dispatch.New(f.Service, obs.NewMetrics())
	f.calls.Add(api.Schema(), api.Handlers(f.Service), f.Checks)
	return f
}

// as returns a context with a caller.
func as(p call.Principal) context.Context {
	return call.With(context.Background(), &call.Info{
		Account: p.Account, Region: "us-east-1", Principal: p, SourceIP: netip.MustParseAddr("127.0.0.1"), Secure: true,
		Time: time.Now(), Service: "iam",
	})
}

func root() context.Context { return as(rootPrincipal(account, "AKIAROOT")) }

// user creates a user and returns a context with them as the caller.
func (f *fixture) user(t testing.TB, name string) context.Context {
	t.Helper()
	u := must(run[api.CreateUserOutput](f, root(), &api.CreateUserInput{UserName: &name}))(t).User
	return as(call.Principal{Type: call.User, Account: account, ARN: *u.Arn, ID: *u.UserId, Name: *u.UserName, AccessKeyID: "AKIA" + name})
}

// run calls the operation that an input belongs to.
func run[Out any](f *fixture, ctx context.Context, in schema.Struct) (*Out, error) {
	return dispatch.Run[Out](ctx, f.calls, "iam", operationOf(in), in)
}

// do calls an operation whose output does not matter.
func (f *fixture) do(ctx context.Context, in schema.Struct) error {
	info := *call.From(ctx)
	info.Operation = operationOf(in)
	_, err := f.calls.Call(call.With(ctx, &info), f.calls.Operation("iam", operationOf(in)), in)
	return err
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails checks the code and the message of an error; an empty message is not looked at.
func fails(t testing.TB, err error, code, message string) {
	t.Helper()
	var e awserr.Error
	if !errors.As(err, &e) || e.ErrorCode() != code || message != "" && e.ErrorMessage() != message {
		t.Errorf("got %v\nwant %s: %s", err, code, message)
	}
}

const (
	allowAll    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	powerUser   = "arn:aws:iam::aws:policy/PowerUserAccess"
)

// statement is a policy with one statement.
func statement(effect, action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"}}`
}
