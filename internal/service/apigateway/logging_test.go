package apigateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
)

// fakeLogs keeps lines by group.
type fakeLogs struct {
	lines map[string][]string
	role  string
}

func (f *fakeLogs) Put(_ context.Context, stream gatewaylog.Stream, events []gatewaylog.Event) error {
	if f.lines == nil {
		f.lines = map[string][]string{}
	}
	f.role = stream.RoleARN
	for _, e := range events {
		f.lines[stream.Group] = append(f.lines[stream.Group], e.Message)
	}
	return nil
}

const logRole = "arn:aws:iam::123456789012:role/logs"

// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
func TestLogging(t *testing.T) {
	g := newGateway(t)
	logs := &fakeLogs{}
	g.logs = gatewaylog.NewQueue(logs, g.log)
	id, _ := g.api()
	g.proxy(id, "/pets/{id}", "GET", false)
	g.deploy(id, "dev")
	patch := func(list ...string) error {
		_, err := g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: ops(list...)})
		return err
	}
	access := "arn:aws:logs:us-east-1:123456789012:log-group:access"
	wantError(t, patch("replace /*/*/logging/loglevel INFO"), "BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging")
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn " + logRole)}))
	wantError(t, patch("replace /accessLogSettings/destinationArn arn:aws:s3:::x"), "BadRequestException", "Invalid ARN")
	wantError(t, patch("replace /accessLogSettings/format $context.status"), "BadRequestException", "must include one of $context.requestId")
	wantError(t, patch("replace /accessLogSettings/format a\n$context.requestId"), "BadRequestException", "single line")
	must(0, patch("replace /*/*/logging/loglevel ERROR", "replace /accessLogSettings/destinationArn "+access,
		`replace /accessLogSettings/format $context.requestId $context.httpMethod $context.resourcePath $context.status $context.responseLength $context.integrationStatus $context.error.message [$context.authorizer.x] $context.identity.sourceIp.`))
	send := func(path string) string {
		t.Helper()
		res := g.Invoke(context.Background(), request(id, "dev", "GET", path))
		g.logs.Write(context.Background())
		return shownID(res)
	}
	requestID := send("/pets/1")
	if got := logs.lines["access"]; len(got) != 1 || got[0] != requestID+" GET /pets/{id} 200 2 200 - [-] 192.0.2.7." {
		t.Errorf("%q", got)
	}
	if logs.role != logRole || len(logs.lines) != 1 {
		t.Errorf("a request that went well is not logged at ERROR: %v", logs.lines)
	}
	requestID = send("/nope")
	if got := logs.lines["access"]; got[1] != requestID+" GET - 403 42 - Missing Authentication Token [-] 192.0.2.7." {
		t.Errorf("%q", got)
	}
	group := "API-Gateway-Execution-Logs_" + id + "/dev"
	must(0, patch("replace /~1pets~1{id}/GET/logging/loglevel INFO"))
	requestID = send("/pets/1")
	all := strings.Join(logs.lines[group], "\n")
	if !strings.Contains(all, "("+requestID+") Starting execution for request: "+requestID) || !strings.Contains(all, "Method completed with status: 200") || strings.Contains(all, "body") {
		t.Errorf("%s", all)
	}
	must(0, patch("replace /~1pets~1{id}/GET/logging/dataTrace true"))
	send("/pets/1")
	if all := strings.Join(logs.lines[group], "\n"); !strings.Contains(all, "Endpoint response body before transformations: {") {
		t.Errorf("%s", all)
	}
	// A value cannot begin a line.
	must(0, patch("replace /accessLogSettings/format $context.requestId $context.identity.userAgent"))
	res := g.Invoke(context.Background(), request(id, "dev", "GET", "/pets/1", Field{"User-Agent", "a\tb"}))
	g.logs.Write(context.Background())
	if got := logs.lines["access"]; got[len(got)-1] != shownID(res)+" a b" {
		t.Errorf("%q", got[len(got)-1])
	}
	// Without the role nothing is written any more.
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("remove /cloudwatchRoleArn")}))
	n := len(logs.lines["access"])
	send("/pets/1")
	if len(logs.lines["access"]) != n {
		t.Error("a line without a role")
	}
}

func shownID(r *Response) string {
	for _, f := range r.Header {
		if f.Name == "x-amzn-RequestId" {
			return f.Value
		}
	}
	return ""
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/canary-release.html
func TestCanary(t *testing.T) {
	g := newGateway(t)
	id := g.mockAPI("stable $stageVariables.v")
	must(g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: new("prod"), DeploymentId: new(g.deploy(id, "dev")), Variables: map[string]string{"v": "1", "w": "2"}}))
	g.want(request(id, "prod", "GET", "/"), 200, "stable 1")
	g.template(id, "canary $stageVariables.v$stageVariables.w $context.isCanaryRequest")
	_, err := g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, StageName: new("new"), CanarySettings: &api.DeploymentCanarySettings{}})
	wantError(t, err, "BadRequestException", "a stage that exists")
	canary := must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, StageName: new("prod"), CanarySettings: &api.DeploymentCanarySettings{
		PercentTraffic: new(100.0), StageVariableOverrides: map[string]string{"v": "9"},
	}}))
	g.want(request(id, "prod", "GET", "/"), 200, "canary 92 true")
	patch := func(list ...api.PatchOperation) (*api.Stage, error) {
		return g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("prod"), PatchOperations: list})
	}
	must(patch(ops("replace /canarySettings/percentTraffic 0")...))
	g.want(request(id, "prod", "GET", "/"), 200, "stable 1")
	must(patch(ops("replace /canarySettings/percentTraffic 30")...))
	hits := 0
	for range 2000 {
		if _, body := g.send(request(id, "prod", "GET", "/")); strings.HasPrefix(body, "canary") {
			hits++
		}
	}
	if hits < 480 || hits > 720 { // six standard deviations
		t.Errorf("%d of 2000 went to the canary", hits)
	}
	_, err = patch(ops("replace /canarySettings/percentTraffic 101")...)
	wantError(t, err, "BadRequestException", "between 0.0 and 100.0")
	_, err = g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{RestApiId: &id, DeploymentId: canary.Id})
	wantError(t, err, "BadRequestException", "Active stages")
	// Promotion: the stage takes over what the canary has, and the canary goes.
	st := must(patch(api.PatchOperation{Op: new("copy"), Path: new("/deploymentId"), From: new("/canarySettings/deploymentId")},
		api.PatchOperation{Op: new("copy"), Path: new("/variables"), From: new("/canarySettings/stageVariableOverrides")},
		api.PatchOperation{Op: new("remove"), Path: new("/canarySettings")}))
	if *st.DeploymentId != *canary.Id || st.Variables["v"] != "9" || st.Variables["w"] != "2" || st.CanarySettings != nil {
		t.Errorf("%+v", st)
	}
	g.want(request(id, "prod", "GET", "/"), 200, "canary 92 ")
}

// mockAPI makes an API whose root answers with a template.
func (g *gateway) mockAPI(template string) string {
	id, root := g.api()
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE")}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), Type: new("MOCK"), RequestTemplates: map[string]string{"application/json": `{"statusCode":200}`}}))
	must(g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), StatusCode: new("200")}))
	g.template(id, template)
	return id
}

func (g *gateway) template(id, template string) {
	root := g.resource(id, "/")
	must(g.PutIntegrationResponse(g.ctx, &api.PutIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), StatusCode: new("200"),
		ResponseTemplates: map[string]string{"application/json": template}}))
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gzip-compression-decompression.html
func TestCompression(t *testing.T) {
	g := newGateway(t)
	id := g.mockAPI("0123456789")
	send := func(h ...Field) *Response {
		return g.Invoke(context.Background(), request(id, "dev", "GET", "/", h...))
	}
	compressed := func(r *Response) bool { return r.has("Content-Encoding") }
	g.deploy(id, "dev")
	if compressed(send(Field{"Accept-Encoding", "gzip"})) {
		t.Error("compressed though it is not enabled")
	}
	for _, tt := range []struct {
		from, accept string
		want         bool
	}{{"10", "gzip", true}, {"11", "gzip", false}, {"0", "deflate, gzip;q=0.5", true}, {"0", "gzip;q=0", false}, {"0", "identity", false}, {"0", "*", true}} {
		must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: ops("replace /minimumCompressionSize " + tt.from)}))
		g.deploy(id, "dev")
		r := send(Field{"Accept-Encoding", tt.accept})
		if compressed(r) != tt.want {
			t.Errorf("from %s, %s: %v", tt.from, tt.accept, compressed(r))
		}
		if tt.want {
			body := must(io.ReadAll(must(gzip.NewReader(bytes.NewReader(r.Body)))))
			if string(body) != "0123456789" {
				t.Errorf("%q", body)
			}
		}
	}
	zip := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write(data)
		w.Close()
		return b.Bytes()
	}
	g.proxy(id, "/in", "POST", false)
	g.deploy(id, "dev")
	g.answers(func(string) string { return "" })
	post := func(body []byte, encoding string) (int, string) {
		r := request(id, "dev", "POST", "/in", Field{"Content-Encoding", encoding})
		r.Body = body
		return g.send(r)
	}
	if status, body := post(zip([]byte("hello")), "gzip"); status != 200 || !strings.Contains(body, `"body":"hello"`) || strings.Contains(body, "Content-Encoding") {
		t.Errorf("%d %s", status, body)
	}
	for _, tt := range []struct {
		body     []byte
		encoding string
		status   int
	}{{[]byte("no gzip"), "gzip", 400}, {zip(make([]byte, MaxBody+1)), "gzip", 413}, {[]byte("x"), "br", 415}} {
		if status, body := post(tt.body, tt.encoding); status != tt.status {
			t.Errorf("%s: %d %s", tt.encoding, status, body)
		}
	}
}

func TestCloneFrom(t *testing.T) {
	g := newGateway(t)
	from := g.mockAPI("hello")
	id := *must(g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("clone"), CloneFrom: &from})).Id
	g.template(from, "changed")
	g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", "/"), 200, "hello")
	if len(must(g.GetStages(g.ctx, &api.GetStagesInput{RestApiId: &from})).Item) != 0 {
		t.Error("stages")
	}
	_, err := g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("clone"), CloneFrom: new("nope")})
	wantError(t, err, "NotFoundException", "Invalid API identifier specified")
}

// The lines before an execution, none longer than 1,024 bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func TestExecutionLog(t *testing.T) {
	g := newGateway(t)
	logs := &fakeLogs{}
	g.logs = gatewaylog.NewQueue(logs, g.log)
	id, _ := g.api()
	g.proxy(id, "/keyed", "GET", true)
	g.proxy(id, "/free", "GET", false)
	g.deploy(id, "dev")
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn " + logRole)}))
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: ops("replace /*/*/logging/loglevel INFO", "replace /*/*/logging/dataTrace true")}))
	key, _, _ := g.key(id, "dev", &api.ThrottleSettings{RateLimit: new(0.001), BurstLimit: new(int32(1))}, nil)
	send := func(path string, header ...Field) string {
		t.Helper()
		logs.lines = nil
		r := request(id, "dev", "GET", path, header...)
		r.Body = []byte(strings.Repeat("é", 2000))
		requestID := shownID(g.Invoke(t.Context(), r))
		g.logs.Write(t.Context())
		var out []string
		for _, line := range logs.lines["API-Gateway-Execution-Logs_"+id+"/dev"] {
			if len(line) > 1024 {
				t.Errorf("a line of %d bytes", len(line))
			}
			line = strings.ReplaceAll(strings.ReplaceAll(line, requestID, "ID"), id, "API")
			if rest, ok := strings.CutPrefix(line, "(ID) "); ok && !strings.HasPrefix(rest, "Extended Request Id: ") {
				out = append(out, rest)
			}
		}
		return strings.Join(out, "\n")
	}
	masked := strings.Repeat("*", len(key)-6) + key[len(key)-6:]
	got := send("/keyed", Field{"X-Api-Key", key})
	want := "Verifying Usage Plan for request: ID. API Key: " + masked + " API Stage: API/dev\nAPI Key " + masked + " authorized because method 'GET /keyed' requires API Key. Request will contribute to throttle or quota limits\n" +
		"Usage Plan check succeeded for API Key " + masked + " and API Stage API/dev\nStarting execution for request: ID\nHTTP Method: GET, Resource Path: /keyed\n"
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\nSuccessfully completed execution\nMethod completed with status: 200") || strings.Count(got, "[TRUNCATED]") != 2 {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got = send("/keyed", Field{"X-Api-Key", key}); !strings.HasSuffix(got, "throttle or quota limits\nToo Many Requests\nMethod completed with status: 429") {
		t.Errorf("got\n%s", got)
	}
	if got = send("/free"); !strings.HasPrefix(got, "Verifying Usage Plan for request: ID. API Key:  API Stage: API/dev\nAPI Key  authorized because method 'GET /free' does not require API Key. Request will not contribute to throttle or quota limits\n") {
		t.Errorf("got\n%s", got)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
func TestAccessLogVariables(t *testing.T) {
	g := newGateway(t)
	logs := &fakeLogs{}
	g.logs = gatewaylog.NewQueue(logs, g.log)
	id, _ := g.api()
	g.proxy(id, "/a", "GET", false)
	res := g.proxy(id, "/signed", "GET", false)
	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("GET"), PatchOperations: ops("replace /authorizationType AWS_IAM")}))
	g.deploy(id, "dev")
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn " + logRole)}))
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: []api.PatchOperation{
		{Op: new("replace"), Path: new("/accessLogSettings/destinationArn"), Value: new("arn:aws:logs:us-east-1:123456789012:log-group:access")},
		{Op: new("replace"), Path: new("/accessLogSettings/format"), Value: new("$context.requestId|$context.status|$context.integration.status|$context.integration.requestId|$context.awsEndpointRequestId|" +
			"$context.integrationErrorMessage|$context.authenticate.status|$context.authorize.status|$context.customDomain.basePathMatched|$context.path")}}}))
	line := func(r *Request) string {
		logs.lines = nil
		g.Invoke(t.Context(), r)
		g.logs.Write(t.Context())
		_, rest, _ := strings.Cut(strings.Join(logs.lines["access"], "\n"), "|")
		return rest
	}
	if got := line(request(id, "dev", "GET", "/a")); got != "200|200|lambda-request|lambda-request|-|-|-|-|/dev/a" {
		t.Error(got)
	}
	if got := line(request(id, "dev", "GET", "/signed")); got != "403|-|-|-|-|403|-|-|/dev/signed" {
		t.Error(got)
	}
	r := request(id, "dev", "GET", "/a")
	r.Custom = &edge.CustomName{BasePath: "base", Prefix: "/base"}
	g.lambda.invoke = returns("[]")
	if got := line(r); got != "502|200|lambda-request|lambda-request|Execution failed due to configuration error: Malformed Lambda proxy response|-|-|base|/base/a" {
		t.Error(got)
	}
	if payload := string(g.lambda.calls[len(g.lambda.calls)-1].Payload); !strings.Contains(payload, `"path":"/base/a","httpMethod"`) || !strings.Contains(payload, `"path":"/base/a","accountId"`) {
		t.Error(payload)
	}
}
