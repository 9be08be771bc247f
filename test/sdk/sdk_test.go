// Package sdk holds every service to what the AWS SDK for Go v2 makes of it: that inputs reach the operations, outputs and
// errors come back as the SDK's own types, pages follow one another, and that each operation does what AWS documents.
package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"brume/test/story"
)

// brume is the server that all tests share; each test has accounts of its own.
var brume *story.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "brume-sdk")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs("../..")
	if err != nil {
		return fail(err)
	}
	binary, err := story.BuildIn(ctx, root, dir)
	if err != nil {
		return fail(err)
	}
	if brume, err = story.StartServer(ctx, binary, filepath.Join(dir, "data"), "127.0.0.1:0", "--test-credentials"); err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := brume.Stop(); err != nil {
		return fail(fmt.Errorf("stopping: %w\n%s", err, brume.LogTail()))
	}
	// The log of a server that only met clients' mistakes knows no faults of its own.
	log, err := os.ReadFile(filepath.Join(dir, "brume.log"))
	if err != nil {
		return fail(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
			return fail(errors.New("in the server's log: " + line))
		}
	}
	return code
}

const region = "eu-central-1"

var accounts atomic.Int64

// newAccount is the id of an account that nobody has used yet.
func newAccount() string { return fmt.Sprintf("%012d", 100_000_000_000+accounts.Add(1)) }

// as is the configuration of clients with given credentials.
func as(id, secret, token string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &brume.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
		// An error that would go away by itself is an error of this server's.
		HTTPClient: &http.Client{Transport: bodiesInMemory{}},
		Retryer:    func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 1) },
	}
}

// bodiesInMemory sends requests at once. The SDK's own bodies go out piece by piece, and it closes them when the answer
// begins: an answer as quick as this server's can come before net/http is done with them, which then ends the connection.
type bodiesInMemory struct{}

func (bodiesInMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultTransport.RoundTrip(r)
}

// rootOf is the configuration of the root of an account.
func rootOf(account string) aws.Config { return as(account, "test", "") }

// is requires that err is the SDK's typed exception E, with a message that contains part.
func is[E error](t *testing.T, err error, part string) {
	t.Helper()
	var typed E
	if !errors.As(err, &typed) {
		t.Errorf("got %v, want a %s", err, reflect.TypeFor[E]())
		return
	}
	if !strings.Contains(err.Error(), part) {
		t.Errorf("got %q, want a message with %q", err, part)
	}
}

// hasCode requires an error that the SDK has no type for.
func hasCode(t *testing.T, err error, status int, code, part string) {
	t.Helper()
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) || api.ErrorCode() != code || response.HTTPStatusCode() != status {
		t.Errorf("got %v, want %d %s", err, status, code)
		return
	}
	if !strings.Contains(api.ErrorMessage(), part) {
		t.Errorf("got message %q, want one with %q", api.ErrorMessage(), part)
	}
}

// ok returns v, and ends the test on an error: ok(t)(client.Call(…)) reads as the call.
func ok[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// same requires that got is want.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
