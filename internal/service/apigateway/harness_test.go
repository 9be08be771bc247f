package apigateway

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/memkv"
)

// fakeLambda is a Lambda under the test's control.
type fakeLambda struct {
	calls  []*LambdaInvocation
	invoke func(ctx context.Context, in *LambdaInvocation) (*LambdaResult, error)
}

func (f *fakeLambda) Invoke(ctx context.Context, in *LambdaInvocation) (*LambdaResult, error) {
	f.calls = append(f.calls, in)
	if f.invoke == nil {
		return &LambdaResult{Payload: []byte(`{"statusCode":200,"body":"ok"}`), RequestID: "lambda-request", ExecutedVersion: "$LATEST"}, nil
	}
	return f.invoke(ctx, in)
}

func returns(payload string) func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
	return func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
		return &LambdaResult{Payload: []byte(payload), RequestID: "lambda-request", ExecutedVersion: "$LATEST"}, nil
	}
}

const (
	testAccount  = "123456789012"
	testRegion   = "us-east-1"
	functionURI  = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations"
	functionARN  = "arn:aws:lambda:us-east-1:123456789012:function:f"
	testUserARN  = "arn:aws:iam::123456789012:user/alice"
	testUserID   = "AIDAALICE"
	testAccessID = "AKIATEST"
)

func callContext(ctx context.Context) context.Context {
	return call.With(ctx, &call.Info{
		Account: testAccount, Region: testRegion, UserAgent: "aws-cli",
		Principal: call.Principal{Type: call.User, Account: testAccount, ARN: testUserARN, ID: testUserID, Name: "alice", AccessKeyID: testAccessID},
	})
}

// A gateway is a Service with the calls that tests make of it.
type gateway struct {
	*testing.T
	*Service
	ctx    context.Context
	lambda *fakeLambda
}

func newGateway(t *testing.T) *gateway { return newGatewayOn(t, memkv.New()) }

func newGatewayOn(t *testing.T, store kv.Store) *gateway {
	l := &fakeLambda{}
	return &gateway{t, New(Config{
		Store: store, Lambda: l, HTTP: &fakeHTTP{}, Services: &fakeServices{}, Authorizer: everyone{}, Keys: fakeKeys{}, Issuers: map[string]string{"us-east-1_pool": testIssuer},
		Buckets: edge.NewBuckets(), Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:4566"}, Log: slog.New(slog.DiscardHandler),
	}), callContext(t.Context()), l}
}

// must returns v, or ends the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// api makes an API and returns its id and that of the root resource.
func (g *gateway) api() (id, root string) {
	rest := must(g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("test")}))
	return *rest.Id, *rest.RootResourceId
}

// resource makes the resources of a path, and returns the id of the last.
func (g *gateway) resource(apiID, path string) string {
	all := must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: &apiID, Limit: new(int32(500))})).Items
	have := map[string]string{}
	for _, r := range all {
		have[*r.Path] = *r.Id
	}
	id, at := have["/"], ""
	for _, part := range splitPath(path) {
		at += "/" + part
		if have[at] == "" {
			have[at] = *must(g.CreateResource(g.ctx, &api.CreateResourceInput{RestApiId: &apiID, ParentId: &id, PathPart: &part})).Id
		}
		id = have[at]
	}
	return id
}

// proxy makes a method with a Lambda proxy integration.
func (g *gateway) proxy(apiID, path, httpMethod string, keyRequired bool) (resourceID string) {
	id := g.resource(apiID, path)
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &apiID, ResourceId: &id, HttpMethod: &httpMethod, AuthorizationType: new("NONE"), ApiKeyRequired: &keyRequired}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{
		RestApiId: &apiID, ResourceId: &id, HttpMethod: &httpMethod, Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"), Uri: new(functionURI),
	}))
	return id
}

func (g *gateway) deploy(apiID, stage string) string {
	return *must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &apiID, StageName: &stage})).Id
}

// key makes an enabled key in a new plan on a stage, and returns its value, its id and the plan's.
func (g *gateway) key(apiID, stage string, throttle *api.ThrottleSettings, quota *api.QuotaSettings) (keyValue, keyID, planID string) {
	k := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Name: new("key"), Enabled: new(true)}))
	p := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{
		Name: new("plan"), ApiStages: []api.ApiStage{{ApiId: &apiID, Stage: &stage}}, Throttle: throttle, Quota: quota,
	}))
	must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: p.Id, KeyId: k.Id, KeyType: new("API_KEY")}))
	return *k.Value, *k.Id, *p.Id
}

func request(apiID, stage, method, path string, header ...Field) *Request {
	path, query, _ := strings.Cut(path, "?")
	return &Request{
		API: apiID, Stage: stage, Method: method, Path: path, Query: edge.ParseQuery(query), Header: header, Host: apiID + ".execute-api.us-east-1.localhost:4566",
		SourceIP: netip.MustParseAddr("192.0.2.7"), Port: 4566, Protocol: "HTTP/1.1", Time: time.Now(),
	}
}

// send sends a request and returns status and body.
func (g *gateway) send(r *Request) (int, string) {
	res := g.Invoke(context.Background(), r)
	return res.Status, string(res.Body)
}

// want fails the test unless a request is answered so.
func (g *gateway) want(r *Request, status int, body string) {
	g.Helper()
	if s, b := g.send(r); s != status || b != body {
		g.Errorf("%s %s: got %d %s; want %d %s", r.Method, r.Path, s, b, status, body)
	}
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
