package apigatewayv2

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/kv/memkv"
	"brume/internal/policy"
)

const (
	testAccount = "123456789012"
	testRegion  = "us-east-1"
	functionARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
	testIssuer  = "https://issuer.example"
)

// fakeLambda runs what a test says.
type fakeLambda struct {
	calls []*edge.LambdaInvocation
	run   func(ctx context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error)
}

func (f *fakeLambda) Invoke(ctx context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
	f.calls = append(f.calls, in)
	return f.run(ctx, in)
}

func returns(payload string) func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
	return func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
		return &edge.LambdaResult{Payload: []byte(payload)}, nil
	}
}

// fakeHTTP answers what a test says.
type fakeHTTP struct {
	last *edge.HTTPCall
	res  *edge.HTTPResult
	err  error
}

func (f *fakeHTTP) Send(_ context.Context, c *edge.HTTPCall) (*edge.HTTPResult, error) {
	f.last = c
	return f.res, f.err
}

// aliceOnly lets alice do everything, and others nothing.
type aliceOnly struct{}

func (aliceOnly) Authorize(ctx context.Context, checks []policy.Check) error {
	info, policies := call.From(ctx), &policy.Policies{}
	if info.Principal.Name == "alice" {
		all, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, policy.Identity)
		if err != nil {
			return err
		}
		policies.Identity = append(policies.Identity, all)
	}
	return policy.Authorize(info, policies, checks)
}

// fakeKeys are those of one issuer.
type fakeKeys struct{ set *jose.JSONWebKeySet }

func (f fakeKeys) SigningKeys(_ context.Context, issuer string, _ []string, _ bool) (*jose.JSONWebKeySet, error) {
	if issuer != testIssuer || f.set == nil {
		return nil, errors.New("nobody knows this issuer")
	}
	return f.set, nil
}

// A tester is a Service with the calls that tests make of it.
type tester struct {
	testing.TB
	*Service
	ctx    context.Context
	lambda *fakeLambda
	http   *fakeHTTP
}

func newTester(t testing.TB) *tester {
	l, h := &fakeLambda{run: returns(`{"statusCode":200,"body":"ok"}`)}, &fakeHTTP{res: &edge.HTTPResult{Status: 200, Body: []byte("there")}}
	s := New(Config{
		Store: memkv.New(), Lambda: l, HTTP: h, Authorizer: aliceOnly{}, Keys: fakeKeys{}, Buckets: edge.NewBuckets(), Log: slog.New(slog.DiscardHandler),
		Endpoint: func(id, region string) string { return "http://" + id + ".execute-api." + region + ".localhost" },
	})
	ctx := call.With(t.Context(), &call.Info{Account: testAccount, Region: testRegion, Principal: call.Principal{Type: call.Account, Account: testAccount}})
	return &tester{t, s, ctx, l, h}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// api makes an API whose default stage deploys every change.
func (g *tester) api(cors *api.Cors) string {
	id := *must(g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("test"), ProtocolType: new("HTTP"), CorsConfiguration: cors})).ApiId
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("$default"), AutoDeploy: new(true)}))
	return id
}

// lambdaRoute makes a route to the function, with a payload format.
func (g *tester) lambdaRoute(id, key, version string, change ...func(*api.CreateRouteInput)) *api.CreateRouteOutput {
	i := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{
		ApiId: &id, IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), PayloadFormatVersion: &version,
	}))
	in := &api.CreateRouteInput{ApiId: &id, RouteKey: &key, Target: new("integrations/" + *i.IntegrationId)}
	for _, c := range change {
		c(in)
	}
	return must(g.CreateRoute(g.ctx, in))
}

func request(apiID, method, path string, header ...edge.Field) *edge.Request {
	path, query, _ := strings.Cut(path, "?")
	stage, rest := strings.TrimPrefix(path, "/"), ""
	if i := strings.IndexByte(stage, '/'); i >= 0 {
		stage, rest = stage[:i], stage[i:]
	}
	return &edge.Request{
		API: apiID, Stage: stage, Method: method, Path: rest, RawQuery: query, Query: edge.ParseQuery(query), Header: header,
		Host: apiID + ".execute-api.us-east-1.localhost:4566", SourceIP: netip.MustParseAddr("192.0.2.7"), Port: 4566, Protocol: "HTTP/1.1", Time: time.Now(),
	}
}

func (g *tester) send(r *edge.Request) *edge.Response {
	g.Helper()
	res, ok := g.Invoke(context.Background(), r)
	if !ok {
		g.Fatal("the API is not there")
	}
	return res
}

// want fails the test unless a request is answered so.
func (g *tester) want(r *edge.Request, status int, body string) *edge.Response {
	g.Helper()
	res := g.send(r)
	if res.Status != status || string(res.Body) != body {
		g.Errorf("%s /%s%s: got %d %s; want %d %s", r.Method, r.Stage, r.Path, res.Status, res.Body, status, body)
	}
	return res
}

func headerOf(r *edge.Response, name string) string {
	v, _ := joined(r.Header, name, true)
	return v
}

// event is what the function got last.
func (g *tester) event() map[string]any {
	var e map[string]any
	if err := json.Unmarshal(g.lambda.calls[len(g.lambda.calls)-1].Payload, &e); err != nil {
		g.Fatal(err)
	}
	return e
}

// wantError fails the test unless err has the code and its message the part.
func wantError(t *testing.T, err error, code, part string) {
	t.Helper()
	var known interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if !errors.As(err, &known) || known.ErrorCode() != code || !strings.Contains(known.ErrorMessage(), part) {
		t.Errorf("got %v; want %s with %q", err, code, part)
	}
}
