package apigateway

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
)

// The log in API Gateway's form. https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-test-method.html
func TestTestInvokeMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		resourceID := g.proxy(id, "/pets/{id}", "POST", true) // it needs no key for a test
		out := must(g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{
			RestApiId: &id, ResourceId: &resourceID, HttpMethod: new("POST"), PathWithQueryString: new("/pets/7?x=1&x=2"), Body: new(`{"a":1}`),
			Headers: map[string]string{"Content-Type": "application/json", "X-Two": "lost"}, MultiValueHeaders: map[string][]string{"X-Two": {"a", "b"}},
			StageVariables: map[string]string{"v": "w"},
		}))
		if *out.Status != 200 || *out.Body != "ok" || out.Headers["Content-Type"] != "application/json" || len(out.MultiValueHeaders["X-Amzn-Trace-Id"]) != 1 {
			t.Errorf("%+v", out)
		}
		payload := string(g.lambda.calls[0].Payload)
		requestID := regexp.MustCompile(`"requestId":"([^"]+)"`).FindStringSubmatch(payload)[1]
		text := strings.NewReplacer(clip(payload), "EVENT", requestID, "REQUEST", id, "API").Replace(*out.Log)
		text = regexp.MustCompile(`Root=1-[0-9a-f]+-[0-9a-f]+`).ReplaceAllString(text, "TRACE")
		at := "Sat Jan 01 00:00:00 UTC 2000 : "
		want := strings.Join([]string{
			"Execution log for request REQUEST",
			at + "Starting execution for request: REQUEST",
			at + "HTTP Method: POST, Resource Path: /pets/{id}",
			at + "Method request path: {id=7}",
			at + "Method request query string: {x=1, x=2}",
			at + "Method request headers: {Content-Type=application/json, X-Two=a, X-Two=b}",
			at + `Method request body before transformations: {"a":1}`,
			at + "Endpoint request URI: https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/" + functionARN + "/invocations",
			at + "Endpoint request headers: {X-Amz-Date=20000101T000000Z, x-amzn-apigateway-api-id=API, Accept=application/json, User-Agent=AmazonAPIGateway_API, " +
				"X-Amzn-Trace-Id=TRACE, Content-Type=application/json, X-Amz-Source-Arn=arn:aws:execute-api:us-east-1:123456789012:API/test-invoke-stage/POST/pets/{id}}",
			at + "Endpoint request body after transformations: EVENT",
			at + "Sending request to https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/" + functionARN + "/invocations",
			at + "Received response. Status: 200, Integration latency: 0 ms",
			at + "Endpoint response headers: {Content-Type=application/json, Content-Length=30, x-amzn-RequestId=lambda-request, X-Amz-Executed-Version=$LATEST, X-Amzn-Trace-Id=TRACE}",
			at + `Endpoint response body before transformations: {"statusCode":200,"body":"ok"}`,
			at + "Method response body after transformations: ok",
			at + "Method response headers: {Content-Type=application/json, X-Amzn-Trace-Id=TRACE}",
			at + "Successfully completed execution",
			at + "Method completed with status: 200",
			"",
		}, "\n")
		if text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}

		var e struct {
			Path                  string
			PathParameters        map[string]string
			QueryStringParameters map[string]string
			MultiValueHeaders     map[string][]string
			StageVariables        map[string]string
			RequestContext        struct {
				Stage, Path, DomainName, DomainPrefix string
				Identity                              map[string]any
			}
		}
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatal(err)
		}
		id2 := e.RequestContext.Identity
		if e.Path != "/pets/7" || e.PathParameters["id"] != "7" || e.QueryStringParameters["x"] != "2" || e.StageVariables["v"] != "w" || len(e.MultiValueHeaders["X-Two"]) != 2 ||
			e.RequestContext.Stage != "test-invoke-stage" || e.RequestContext.Path != "/pets/7" || e.RequestContext.DomainName != "testPrefix.testDomainName" ||
			id2["apiKey"] != "test-invoke-api-key" || id2["apiKeyId"] != "test-invoke-api-key-id" || id2["sourceIp"] != "test-invoke-source-ip" ||
			id2["userArn"] != testUserARN || id2["accessKey"] != testAccessID || id2["accountId"] != testAccount || id2["caller"] != testUserID || id2["user"] != testUserID || id2["userAgent"] != "aws-cli" {
			t.Errorf("%s", payload)
		}
	})
}

// The live method is tested, and what went wrong stands in the log.
func TestTestInvokeMethodFailures(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	resourceID := g.proxy(id, "/x", "ANY", false)
	test := func(method string) *api.TestInvokeMethodOutput {
		return must(g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &resourceID, HttpMethod: &method}))
	}
	for name, tt := range map[string]struct {
		invoke func(context.Context, *LambdaInvocation) (*LambdaResult, error)
		status int32
		line   string
	}{
		"malformed": {returns(`[]`), 502, "Execution failed due to configuration error: Malformed Lambda proxy response"},
		"permission": {func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, awserr.New("AccessDeniedException", "x")
		}, 500, "Execution failed due to configuration error: Invalid permissions on Lambda function"},
		"no function": {func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, awserr.New("ResourceNotFoundException", "x")
		}, 500, "Execution failed due to configuration error: Invalid permissions on Lambda function"},
		"throttled": {func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return nil, awserr.New("TooManyRequestsException", "Rate Exceeded.").WithStatus(429)
		}, 500, "Lambda invocation failed with status: 429. Message: Rate Exceeded."},
		"function error": {func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return &LambdaResult{Payload: []byte(`{"errorMessage":"boom"}`), FunctionError: "Unhandled", RequestID: "r1"}, nil
		}, 502, "Lambda execution failed with status 200 due to customer function error: boom. Lambda request id: r1"},
	} {
		g.lambda.invoke = tt.invoke
		out := test("DELETE")
		if *out.Status != tt.status || *out.Body != bodyInternal || !strings.Contains(*out.Log, " : "+tt.line+"\n") || !strings.HasSuffix(*out.Log, "Method completed with status: "+map[int32]string{500: "500", 502: "502"}[tt.status]+"\n") {
			t.Errorf("%s: %d %s\n%s", name, *out.Status, *out.Body, *out.Log)
		}
	}
	_, err := g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")})
	wantError(t, err, "NotFoundException", "Invalid Method identifier specified")
	_, err = g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: new("none"), HttpMethod: new("GET")})
	wantError(t, err, "NotFoundException", "Invalid Resource identifier specified")
	_, err = g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &resourceID, HttpMethod: new("GET"), PathWithQueryString: new("x")})
	wantError(t, err, "BadRequestException", "Invalid path")

	must(g.DeleteIntegration(g.ctx, &api.DeleteIntegrationInput{RestApiId: &id, ResourceId: &resourceID, HttpMethod: new("ANY")}))
	if out := test("GET"); *out.Status != 500 || !strings.Contains(*out.Log, "No integration defined for method") {
		t.Errorf("%d\n%s", *out.Status, *out.Log)
	}
}
