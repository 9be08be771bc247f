package apigateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/kv/memkv"
)

const (
	bodyMissing   = `{"message":"Missing Authentication Token"}`
	bodyForbidden = `{"message":"Forbidden"}`
	bodyInternal  = `{"message": "Internal server error"}`
)

func headerOf(r *Response, name string) string {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func TestGatewayAnswers(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/open", "GET", false)
	g.proxy(id, "/closed", "GET", true)
	g.deploy(id, "dev")
	keyValue, keyID, planID := g.key(id, "dev", nil, nil)
	lone := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Enabled: new(true)}))

	g.want(request("nothing", "dev", "GET", "/open"), 403, bodyForbidden)
	g.want(request(id, "prod", "GET", "/open"), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/nope"), 403, bodyMissing)
	g.want(request(id, "dev", "POST", "/open"), 403, bodyMissing)
	g.want(request(id, "dev", "GET", "/open"), 200, "ok")
	g.want(request(id, "dev", "GET", "/open/"), 200, "ok")
	g.want(request(id, "dev", "GET", "/closed"), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/closed", Field{"x-api-key", ""}), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/closed", Field{"x-api-key", "wrong"}), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/closed", Field{"x-api-key", keyValue + "x"}), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/closed", Field{"x-api-key", *lone.Value}), 403, bodyForbidden)
	withKey := request(id, "dev", "GET", "/closed", Field{"X-API-KEY", keyValue})
	g.want(withKey, 200, "ok")

	// Keys and plans count from the next request on.
	enable := func(v string) {
		must(g.UpdateApiKey(g.ctx, &api.UpdateApiKeyInput{ApiKey: &keyID, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/enabled"), Value: &v}}}))
	}
	enable("false")
	g.want(withKey, 403, bodyForbidden)
	enable("true")
	g.want(withKey, 200, "ok")
	must(g.DeleteUsagePlanKey(g.ctx, &api.DeleteUsagePlanKeyInput{UsagePlanId: &planID, KeyId: &keyID}))
	g.want(withKey, 403, bodyForbidden)
	must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: &planID, KeyId: &keyID, KeyType: new("API_KEY")}))
	g.want(withKey, 200, "ok")
	g.deploy(id, "other") // not in the plan
	g.want(request(id, "other", "GET", "/closed", Field{"x-api-key", keyValue}), 403, bodyForbidden)
	must(g.DeleteApiKey(g.ctx, &api.DeleteApiKeyInput{ApiKey: &keyID}))
	g.want(withKey, 403, bodyForbidden)

	// Ids and error types.
	for path, errorType := range map[string]string{"/nope": "MissingAuthenticationTokenException", "/closed": "ForbiddenException", "/open": ""} {
		r := g.Invoke(t.Context(), request(id, "dev", "GET", path))
		if got := headerOf(r, "x-amzn-ErrorType"); got != errorType {
			t.Errorf("%s: error type %q", path, got)
		}
		if headerOf(r, "Content-Type") != "application/json" || len(headerOf(r, "x-amzn-RequestId")) != 36 || len(headerOf(r, "x-amz-apigw-id")) != 16 {
			t.Errorf("%s: headers %v", path, r.Header)
		}
	}
}

// Editing changes nothing until it is deployed; a stage moves at once.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
func TestDeploymentsAreSnapshots(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	resourceID := g.proxy(id, "/a", "GET", false)
	first := g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", "/a"), 200, "ok")

	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &resourceID, HttpMethod: new("GET"),
		PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/apiKeyRequired"), Value: new("true")}}}))
	g.proxy(id, "/b", "GET", false)
	g.want(request(id, "dev", "GET", "/a"), 200, "ok")
	g.want(request(id, "dev", "GET", "/b"), 403, bodyMissing)
	g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", "/a"), 403, bodyForbidden)
	g.want(request(id, "dev", "GET", "/b"), 200, "ok")

	must(g.DeleteResource(g.ctx, &api.DeleteResourceInput{RestApiId: &id, ResourceId: &resourceID}))
	g.want(request(id, "dev", "GET", "/a"), 403, bodyForbidden)

	// Back to the first deployment.
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"),
		PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/deploymentId"), Value: &first}}}))
	g.want(request(id, "dev", "GET", "/a"), 200, "ok")
	g.want(request(id, "dev", "GET", "/b"), 403, bodyMissing)
	must(g.DeleteStage(g.ctx, &api.DeleteStageInput{RestApiId: &id, StageName: new("dev")}))
	g.want(request(id, "dev", "GET", "/a"), 403, bodyForbidden)

	g.deploy(id, "dev")
	must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/disableExecuteApiEndpoint"), Value: new("true")}}}))
	g.want(request(id, "dev", "GET", "/b"), 200, "ok")
	g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", "/b"), 403, bodyForbidden)
	must(g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: &id}))
	g.want(request(id, "dev", "GET", "/b"), 403, bodyForbidden)
	if n := g.store.(*memkv.Store).Len(); n != 0 {
		t.Errorf("%d rows are left of a deleted API", n)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
func TestLambdaFailures(t *testing.T) {
	tests := []struct {
		name   string
		invoke func(context.Context, *LambdaInvocation) (*LambdaResult, error)
		status int
		body   string
	}{
		{"malformed", returns(`"text"`), 502, bodyInternal},
		{"extra members", returns(`{"statusCode":200,"other":1}`), 502, bodyInternal},
		{"too large", returns(`{"body":"` + strings.Repeat("x", MaxBody+1) + `"}`), 502, bodyInternal},
		{"largest", returns(`{"body":"` + strings.Repeat("x", MaxBody) + `"}`), 200, strings.Repeat("x", MaxBody)},
		{"function error", func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return &LambdaResult{Payload: []byte(`{"errorMessage":"boom"}`), FunctionError: "Unhandled"}, nil
		}, 502, bodyInternal},
		{"not allowed", func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, awserr.New("AccessDeniedException", "no").WithStatus(403)
		}, 500, bodyInternal},
		{"throttled", func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, awserr.New("TooManyRequestsException", "no").WithStatus(429)
		}, 500, bodyInternal},
		{"our fault", func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, errors.New("disk on fire")
		}, 500, bodyInternal},
		{"response", returns(`{"statusCode":201,"headers":{"X-A":"1","content-type":"text/plain"},"multiValueHeaders":{"Set-Cookie":["a","b"]},"body":"hi"}`), 201, "hi"},
	}
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/", "GET", false)
	g.deploy(id, "dev")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g.lambda.invoke = tt.invoke
			r := g.Invoke(t.Context(), request(id, "dev", "GET", "/"))
			if r.Status != tt.status || string(r.Body) != tt.body {
				t.Errorf("got %d %.200s", r.Status, r.Body)
			}
		})
	}
	r := g.Invoke(t.Context(), request(id, "dev", "GET", "/"))
	if headerOf(r, "content-type") != "text/plain" || headerOf(r, "X-A") != "1" || !strings.HasPrefix(headerOf(r, "X-Amzn-Trace-Id"), "Root=1-") {
		t.Errorf("headers %v", r.Header)
	}
	cookies := 0
	for _, f := range r.Header {
		if f.Name == "Set-Cookie" {
			cookies++
		}
	}
	if cookies != 2 {
		t.Errorf("%d cookies", cookies)
	}
}

func TestIntegrationTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		resourceID := g.proxy(id, "/", "GET", false)
		g.deploy(id, "dev")
		g.lambda.invoke = func(ctx context.Context, _ *LambdaInvocation) (*LambdaResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begin := time.Now()
		// A client that has gone away makes no difference.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r := g.Invoke(gone, request(id, "dev", "GET", "/"))
		if r.Status != 504 || string(r.Body) != `{"message": "Endpoint request timed out"}` || time.Since(begin) != 29*time.Second {
			t.Errorf("%d %s after %v", r.Status, r.Body, time.Since(begin))
		}
		must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{RestApiId: &id, ResourceId: &resourceID, HttpMethod: new("GET"),
			PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/timeoutInMillis"), Value: new("50")}}}))
		g.deploy(id, "dev")
		begin = time.Now()
		if r := g.Invoke(t.Context(), request(id, "dev", "GET", "/")); r.Status != 504 || time.Since(begin) != 50*time.Millisecond {
			t.Errorf("%d after %v", r.Status, time.Since(begin))
		}
	})
}

func TestIntegrationURIs(t *testing.T) {
	const prefix, suffix = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/", "/invocations"
	tests := []struct{ uri, arn, qualifier string }{
		{prefix + functionARN + suffix, functionARN, ""},
		{prefix + functionARN + ":live" + suffix, functionARN, "live"},
		{"arn:aws:apigateway:us-east-1:lambda:path//2015-03-31/functions/" + functionARN + suffix, functionARN, ""},
	}
	for _, tt := range tests {
		got, err := parseLambdaURI(tt.uri)
		if err != nil || got.arn != tt.arn || got.qualifier != tt.qualifier {
			t.Errorf("%s: %+v, %v", tt.uri, got, err)
		}
	}
	for _, uri := range []string{"", "https://example.com", prefix, prefix + suffix, prefix + functionARN, prefix + "f" + suffix,
		prefix + functionARN + ":a:b" + suffix, prefix + "arn:aws:sqs:us-east-1:1:function:f" + suffix, "arn:aws:apigateway:us-east-1:lambda:path/functions"} {
		if got, err := parseLambdaURI(uri); err == nil {
			t.Errorf("%s: %+v", uri, got)
		}
	}
	vars := map[string]string{"fn": "f", "alias": "live"}
	if got := substituteStageVariables("a:${stageVariables.fn}:${stageVariables.alias}:${stageVariables.no}${stageVariables.x", vars); got != "a:f:live:${stageVariables.x" {
		t.Errorf("got %s", got)
	}
}

// The function may be chosen by a stage variable, and the role too.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/aws-api-gateway-stage-variables-reference.html
func TestStageVariables(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE")}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"),
		Uri:         new("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.fn}/invocations"),
		Credentials: new("arn:aws:iam::123456789012:role/${stageVariables.role}")}))
	must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, StageName: new("dev"), Variables: map[string]string{"fn": "g:blue", "role": "r"}}))
	g.want(request(id, "dev", "GET", "/"), 200, "ok")
	if in := g.lambda.calls[0]; in.FunctionARN != "arn:aws:lambda:us-east-1:123456789012:function:g" || in.Qualifier != "blue" || in.RoleARN != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v", in)
	}
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: []api.PatchOperation{{Op: new("remove"), Path: new("/variables/fn")}}}))
	g.want(request(id, "dev", "GET", "/"), 500, bodyInternal)
}

func BenchmarkInvokeMock(b *testing.B) {
	t := &testing.T{}
	g := &gateway{t, New(Config{Store: memkv.New(), Buckets: edge.NewBuckets(), Lambda: &fakeLambda{}}), callContext(b.Context()), nil}
	id, root := g.api()
	g.mock(id, root, "GET", `{"statusCode": 200}`, nil)
	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"),
		PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/apiKeyRequired"), Value: new("true")}}}))
	g.deploy(id, "dev")
	keyValue, _, _ := g.key(id, "dev", &api.ThrottleSettings{RateLimit: new(1e9), BurstLimit: new(int32(1e9))}, nil)
	r := request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue})
	b.ReportAllocs()
	for b.Loop() {
		g.Invoke(b.Context(), r)
	}
}
