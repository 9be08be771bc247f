package apigatewayv2

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
)

// keptLines keeps the lines of streams.
type keptLines struct {
	stream gatewaylog.Stream
	lines  []string
}

func (k *keptLines) Put(_ context.Context, stream gatewaylog.Stream, events []gatewaylog.Event) error {
	k.stream = stream
	for _, e := range events {
		k.lines = append(k.lines, e.Message)
	}
	return nil
}

const logGroup = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/api"

// Every variable that is documented, with and without a value.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
func TestAccessLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		kept := &keptLines{}
		g.Logs = gatewaylog.NewQueue(kept, slog.New(slog.DiscardHandler))
		id := g.api(nil)
		g.lambdaRoute(id, "GET /plain/{x}", "2.0")
		g.lambdaRoute(id, "GET /signed", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType = new("AWS_IAM") })
		a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{
			ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN + "-auth"), AuthorizerPayloadFormatVersion: new("1.0"),
		}))
		g.lambdaRoute(id, "GET /guarded", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType, in.AuthorizerId = new("CUSTOM"), a.AuthorizerId })
		i := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://up.example"), IntegrationMethod: new("GET")}))
		must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("GET /http"), Target: new("integrations/" + *i.IntegrationId)}))
		at := time.Date(2026, 3, 12, 19, 3, 58, 0, time.UTC)
		answer := func(run func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error)) {
			g.lambda.run = run
		}
		send := func(format string, change ...func(*edge.Request)) string {
			t.Helper()
			must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), AccessLogSettings: &api.AccessLogSettings{DestinationArn: new(logGroup), Format: new("$context.requestId|" + format)}}))
			r := request(id, "GET", "/plain/7", edge.Field{"User-Agent", "agent"})
			r.Time = at
			for _, c := range change {
				c(r)
			}
			res := g.send(r)
			g.Logs.Write(t.Context())
			line, ok := strings.CutPrefix(kept.lines[len(kept.lines)-1], headerOf(res, "apigw-requestid")+"|")
			if !ok {
				t.Errorf("%q", kept.lines)
			}
			return line
		}
		to := func(path string) func(*edge.Request) {
			return func(r *edge.Request) {
				r.Stage, r.Path = strings.TrimPrefix(path, "/"), ""
			}
		}
		slow := func(payload string) func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			return func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				time.Sleep(25 * time.Millisecond)
				if strings.HasSuffix(in.FunctionARN, "-auth") {
					return &edge.LambdaResult{Payload: []byte(payload)}, nil
				}
				return &edge.LambdaResult{Payload: []byte(`{"statusCode":201,"body":"12345"}`), RequestID: "lambda-id"}, nil
			}
		}
		answer(slow(""))
		for format, want := range map[string]string{
			"$context.accountId $context.apiId $context.stage $context.routeKey $context.path $context.httpMethod $context.protocol":                                 "123456789012 " + id + " $default GET /plain/{x} /plain/7 GET HTTP/1.1",
			"$context.domainName $context.domainPrefix $context.customDomain.basePathMatched":                                                                        id + ".execute-api.us-east-1.localhost " + id + " -",
			"$context.requestTime $context.requestTimeEpoch $context.identity.sourceIp $context.identity.userAgent":                                                  "12/Mar/2026:19:03:58 +0000 1773342238 192.0.2.7 agent",
			"$context.status $context.responseLength $context.responseLatency $context.dataProcessed":                                                                "201 5 25 5",
			"$context.integrationLatency $context.integration.latency $context.integrationStatus $context.integration.integrationStatus $context.integration.status": "25 25 200 200 201",
			"$context.awsEndpointRequestId $context.integration.requestId $context.awsEndpointRequestId2":                                                            "lambda-id lambda-id -",
			"$context.integrationErrorMessage $context.integration.error $context.error.message $context.error.messageString $context.error.responseType":            "- - - - -",
			"$context.identity.accountId $context.identity.caller $context.identity.user $context.identity.userArn $context.identity.principalOrgId":                 "- - - - -",
			"$context.identity.cognitoIdentityId $context.identity.clientCert.subjectDN $context.authorizer.error $context.authorizer.principalId":                   "- - - -",
		} {
			if got := send(format); got != want {
				t.Errorf("%s: %q", format, got)
			}
		}
		if got := send("$context.status $context.routeKey $context.error.message $context.error.messageString $context.error.responseType $context.integrationLatency $context.integrationStatus", to("/none")); got != `404 - Not Found "Not Found" RESOURCE_NOT_FOUND - -` {
			t.Error(got)
		}
		if got := send("$context.domainName $context.domainPrefix $context.customDomain.basePathMatched $context.path", func(r *edge.Request) {
			r.Stage, r.Path, r.Host, r.Custom = "$default", "/plain/7", "api.example.com", &edge.CustomName{BasePath: "v1/a", Prefix: "/v1/a"}
		}); got != "api.example.com api v1/a /v1/a/plain/7" {
			t.Error(got)
		}
		if got := send("$context.identity.accountId $context.identity.caller $context.identity.user $context.identity.userArn", to("/signed"), func(r *edge.Request) {
			r.Authenticate = func(context.Context, string) (call.Principal, error) {
				return call.Principal{Type: call.User, Account: testAccount, Name: "alice", ARN: "arn:aws:iam::123456789012:user/alice", ID: "AIDA"}, nil
			}
		}); got != "123456789012 AIDA AIDA arn:aws:iam::123456789012:user/alice" {
			t.Error(got)
		}
		if got := send("$context.status $context.error.responseType", to("/signed")); got != "403 ACCESS_DENIED" {
			t.Error(got)
		}
		answer(slow(`{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}]},"context":{"key":"value","numKey":1,"boolKey":true}}`))
		if got := send("$context.authorizer.principalId $context.authorizer.key $context.authorizer.numKey $context.authorizer.boolKey $context.authorizer.error $context.integrationLatency $context.responseLatency", to("/guarded")); got != "p value 1 true - 25 50" {
			t.Error(got)
		}
		answer(slow(`{}`))
		if got := send("$context.status $context.authorizer.error|$context.error.responseType $context.integrationErrorMessage $context.integrationStatus", to("/guarded")); !strings.HasPrefix(got, "500 the authorizer's response is not valid") || !strings.HasSuffix(got, "|AUTHORIZER_FAILURE - -") {
			t.Error(got)
		}
		answer(func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			return nil, awserr.New("AccessDeniedException", "no")
		})
		if got := send("$context.status $context.integrationStatus $context.integration.status $context.integrationErrorMessage $context.error.responseType"); got != "500 403 - The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. Check the permissions and try again. INTEGRATION_FAILURE" {
			t.Error(got)
		}
		answer(func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if got := send("$context.status $context.error.responseType $context.integrationLatency"); got != "503 INTEGRATION_TIMEOUT 30000" {
			t.Error(got)
		}
		g.http.res = &edge.HTTPResult{Status: 404, Header: []edge.Field{{"X-Amzn-RequestId", "up-id"}, {"X-Amz-Id-2", "up-id-2"}}}
		if got := send("$context.status $context.integrationStatus $context.integration.status $context.awsEndpointRequestId $context.awsEndpointRequestId2 $context.error.message", to("/http")); got != "404 404 404 up-id up-id-2 -" {
			t.Error(got)
		}
		if kept.stream != (gatewaylog.Stream{Account: testAccount, Region: testRegion, Group: "/aws/vendedlogs/api", Stream: kept.stream.Stream}) || kept.stream.Stream == "" {
			t.Errorf("%+v", kept.stream)
		}
		must(g.DeleteAccessLogSettings(g.ctx, &api.DeleteAccessLogSettingsInput{ApiId: &id, StageName: new("$default")}))
		n := len(kept.lines)
		g.send(request(id, "GET", "/plain/7"))
		g.Logs.Write(t.Context())
		if len(kept.lines) != n {
			t.Error("a stage without an access log writes one")
		}
	})
}

func TestAccessLogSettings(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	for _, tt := range []struct{ arn, format, part string }{
		{"arn:aws:s3:::x", "$context.requestId", "Invalid ARN"},
		{logGroup, "$context.status", "must include one of $context.requestId"},
		{logGroup, "", "a destinationArn and a format"},
	} {
		settings := &api.AccessLogSettings{DestinationArn: &tt.arn, Format: &tt.format}
		_, err := g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), AccessLogSettings: settings})
		wantError(t, err, "BadRequestException", tt.part)
		_, err = g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("other"), AccessLogSettings: settings})
		wantError(t, err, "BadRequestException", tt.part)
	}
	// Who has a stage write a log needs permission for that too.
	checks, _, err := g.Checks(g.ctx, "CreateStage", &api.CreateStageInput{ApiId: &id, StageName: new("x"), AccessLogSettings: &api.AccessLogSettings{DestinationArn: new(logGroup)}})
	if err != nil || len(checks) != 2 || checks[1].Action != "logs:CreateLogDelivery" || checks[1].Resource != "*" {
		t.Errorf("%+v %v", checks, err)
	}
}
