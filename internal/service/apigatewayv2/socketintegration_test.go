package apigatewayv2

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/kv"
)

// responses gives the integration of a route its responses, each with a template for all.
func (g *tester) responses(id string, r *api.CreateRouteOutput, templates map[string]string) {
	for key, template := range templates {
		in := &api.CreateIntegrationResponseInput{ApiId: &id, IntegrationId: new(targetOf((*api.Route)(r))), IntegrationResponseKey: &key}
		if template != "" {
			in.ResponseTemplates = map[string]string{"$default": template}
		}
		must(g.CreateIntegrationResponse(g.ctx, in))
	}
}

// Integrations that are no proxies: templates make their requests and responses.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
func TestSocketTemplates(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("dev"), StageVariables: map[string]string{"who": "dev"}}))
		// MOCK: the message chooses the template, its status the response.
		mock := g.route(id, "mock", api.CreateIntegrationInput{IntegrationType: new("MOCK"), TemplateSelectionExpression: new("${request.body.kind}"), RequestTemplates: map[string]string{
			"bad": `{"statusCode":$input.path('$.code')}`, "$default": `{"statusCode":200}`, "broken": "no JSON",
		}})
		g.twoWay(id, mock)
		g.responses(id, mock, map[string]string{"$default": `{"ok":"$context.connectionId $context.identity.sourceIp $stageVariables.who $context.routeKey $context.none"}`, `/4\d\d/`: `{"no":true}`, "418": "tea"})
		cl := g.dial(toSocket(id))
		for message, want := range map[string]string{
			`{"action":"mock"}`:                          `{"ok":"` + cl.id + ` 192.0.2.7 dev mock "}`,
			`{"action":"mock","kind":"other"}`:           `{"ok":"` + cl.id + ` 192.0.2.7 dev mock "}`,
			`{"action":"mock","kind":"bad","code":404}`:  `{"no":true}`,
			`{"action":"mock","kind":"bad","code":4040}`: `{"message": "Internal server error"`,
			`{"action":"mock","kind":"broken"}`:          `{"message": "Internal server error"`,
		} {
			if got := cl.say(message); got != want && !(strings.HasPrefix(want, `{"message"`) && strings.HasPrefix(got, want)) {
				t.Errorf("%s: got %s, want %s", message, got, want)
			}
		}
		// A key that is a text, and none that matches.
		only := g.route(id, "only", api.CreateIntegrationInput{IntegrationType: new("MOCK"), RequestTemplates: map[string]string{"application/json": `{"statusCode":$input.path('$.code')}`}})
		g.twoWay(id, only)
		g.responses(id, only, map[string]string{"418": "tea"})
		if got := cl.say(`{"action":"only","code":418}`); got != "tea" {
			t.Errorf("got %s", got)
		}
		if got := cl.say(`{"action":"only","code":200}`); !strings.Contains(got, "Internal server error") {
			t.Errorf("got %s", got)
		}

		// AWS: the function gets what the template made, and what it returns is mapped; where it fails, its message chooses.
		custom := toFunction()
		custom.IntegrationType, custom.RequestTemplates = new("AWS"), map[string]string{"$default": `{"from":"$context.connectionId","said":$input.json('$.text')}`}
		lambda := g.route(id, "lambda", custom)
		g.twoWay(id, lambda)
		g.responses(id, lambda, map[string]string{"$default": `{"got":$input.json('$.reply')}`, "/No .*/": `refused: $input.path('$.errorMessage')`})
		g.lambda.run = returns(`{"reply":{"a":1}}`)
		if got := cl.say(`{"action":"lambda","text":"hi"}`); got != `{"got":{"a":1}}` {
			t.Errorf("got %s", got)
		}
		if got := string(g.lambda.calls[len(g.lambda.calls)-1].Payload); got != `{"from":"`+cl.id+`","said":"hi"}` {
			t.Errorf("the function got %s", got)
		}
		for message, want := range map[string]string{"No entry": "refused: No entry", "else": `{"got":""}`} {
			g.lambda.run = func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				return &edge.LambdaResult{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"` + message + `"}`)}, nil
			}
			if got := cl.say(`{"action":"lambda","text":"hi"}`); got != want {
				t.Errorf("%s: got %s, want %s", message, got, want)
			}
		}

		// What no template is for, as the passthrough behaviour says.
		for behaviour, want := range map[string]string{"WHEN_NO_MATCH": "", "NEVER": "Unsupported Media Type", "WHEN_NO_TEMPLATES": "Unsupported Media Type"} {
			in := toFunction()
			in.IntegrationType, in.PassthroughBehavior, in.RequestTemplates, in.TemplateSelectionExpression = new("AWS"), &behaviour, map[string]string{"x": "{}"}, new("$request.body.action")
			g.route(id, behaviour, in)
			g.lambda.run = returns("{}")
			message := `{"action":"` + behaviour + `"}`
			if got := cl.say(message); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s: got %s", behaviour, got)
			}
			if want == "" && string(g.lambda.calls[len(g.lambda.calls)-1].Payload) != message {
				t.Error("the message was changed")
			}
		}

		// Bytes come and go in Base64.
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
		in := toFunction()
		in.IntegrationType, in.ContentHandlingStrategy = new("AWS"), new("CONVERT_TO_BINARY")
		g.route(id, "$default", in)
		if got := cl.say("eyJhIjoxfQ=="); got != "" || string(g.lambda.calls[len(g.lambda.calls)-1].Payload) != `{"a":1}` {
			t.Errorf("got %s", got)
		}
		if got := cl.say("%"); !strings.Contains(got, "Unable to base64 decode the body.") {
			t.Errorf("got %s", got)
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
func TestSocketModels(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		must(g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("Room"), Schema: new(`{"type":"object","required":["room"]}`)}))
		must(g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("Text"), Schema: new(`{"type":"object","required":["text"]}`)}))
		checked := func(in *api.CreateRouteInput) {
			in.ModelSelectionExpression, in.RequestModels = new("${request.body.kind}"), map[string]string{"join": "Room", "$default": "Text"}
		}
		g.route(id, "mock", api.CreateIntegrationInput{IntegrationType: new("MOCK"), RequestTemplates: map[string]string{"$default": `{"statusCode":200}`}}, checked)
		g.route(id, "proxy", toFunction(), checked)
		cl := g.dial(toSocket(id))
		for message, good := range map[string]bool{
			`{"action":"mock","kind":"join","room":1}`: true, `{"action":"mock","kind":"join"}`: false, `{"action":"mock","text":1}`: true, `{"action":"mock"}`: false,
			`{"action":"proxy"}`: true, // proxies check for themselves
		} {
			if got := cl.say(message); good != (got == "") || !good && !strings.Contains(got, `"Invalid request body"`) {
				t.Errorf("%s: %s", message, got)
			}
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
func TestSocketHTTP(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		connect := g.route(id, "$connect", api.CreateIntegrationInput{IntegrationType: new("HTTP_PROXY"), IntegrationMethod: new("ANY"), IntegrationUri: new("https://up.example/{path}"), RequestParameters: map[string]string{
			"integration.request.header.X-Connection": "context.connectionId", "integration.request.path.path": "route.request.querystring.room",
			"integration.request.querystring.all": "route.request.multivalueheader.X-Two", "integration.request.querystring.static": "'a b'",
		}})
		r := toSocket(id, edge.Field{"Host", "x"}, edge.Field{"X-Two", "1"}, edge.Field{"X-Two", "2"}, edge.Field{"Sec-Websocket-Key", "k"}, edge.Field{"Sec-Websocket-Protocol", "p"})
		r.Query = []edge.Field{{"room", "a/b"}}
		cl := g.dial(r)
		call := g.http.last
		header := func(name string) string {
			v, _ := joined(call.Header, name, true)
			return v
		}
		if call.Method != "GET" || call.URL != "https://up.example/a%2Fb?all=1&all=2&static=a%20b&room=a%2Fb" || header("X-Connection") != cl.id || header("Sec-WebSocket-Key") != "" ||
			header("Sec-WebSocket-Protocol") != "p" || header("Host") != "" || header("X-Forwarded-For") != "192.0.2.7" || header("User-Agent") != "AmazonAPIGateway_"+id {
			t.Errorf("%+v", call)
		}
		for room, want := range map[string]int{"..": 500, "": 500} {
			bad := toSocket(id)
			if room != "" {
				bad.Query = []edge.Field{{"room", room}}
			}
			if _, res := g.handshake(bad); res == nil || res.Status != want {
				t.Errorf("%q: %+v", room, res)
			}
		}
		g.http.res = &edge.HTTPResult{Status: 403, Body: []byte("no")}
		if _, res := g.handshake(r); res == nil || res.Status != 403 || len(res.Body) != 0 {
			t.Errorf("%+v", res)
		}
		must(g.DeleteRoute(g.ctx, &api.DeleteRouteInput{ApiId: &id, RouteId: connect.RouteId}))

		// Messages are bodies.
		g.twoWay(id, g.route(id, "proxy", api.CreateIntegrationInput{IntegrationType: new("HTTP_PROXY"), IntegrationMethod: new("POST"), IntegrationUri: new("https://up.example/in"), RequestParameters: map[string]string{
			"integration.request.header.X-Text": "route.request.body.text", "integration.request.header.X-None": "route.request.querystring.room"}}))
		custom := g.route(id, "custom", api.CreateIntegrationInput{IntegrationType: new("HTTP"), IntegrationMethod: new("PUT"), IntegrationUri: new("https://up.example/in?x=1"),
			RequestTemplates: map[string]string{"$default": `{"t":$input.json('$.text')}`}, RequestParameters: map[string]string{"integration.request.querystring.y": "stageVariables.none"}})
		g.twoWay(id, custom)
		must(g.CreateIntegrationResponse(g.ctx, &api.CreateIntegrationResponseInput{ApiId: &id, IntegrationId: new(targetOf((*api.Route)(custom))), IntegrationResponseKey: new("$default"),
			TemplateSelectionExpression: new("${integration.response.statuscode}-${integration.response.header.x-kind}"), ResponseTemplates: map[string]string{"201-a": `made $input.path('$.id')`, "$default": "else"}}))
		g.http.res = &edge.HTTPResult{Status: 201, Body: []byte(`{"id":7}`), Header: []edge.Field{{"X-Kind", "a"}}}
		message := `{"action":"proxy","text":"hi"}`
		if got := cl.say(message); got != `{"id":7}` {
			t.Errorf("got %s", got)
		}
		call = g.http.last
		if call.Method != "POST" || call.URL != "https://up.example/in" || string(call.Body) != message || header("X-Text") != "hi" || header("Content-Type") != "application/json" || header("X-None") != "" ||
			slices.ContainsFunc(call.Header, func(f edge.Field) bool { return strings.HasPrefix(f.Name, "Sec-") }) {
			t.Errorf("%+v", call)
		}
		if got := cl.say(`{"action":"custom","text":"hi"}`); got != "made 7" || g.http.last.URL != "https://up.example/in?x=1" || string(g.http.last.Body) != `{"t":"hi"}` || g.http.last.Method != "PUT" {
			t.Errorf("got %s; %+v", got, g.http.last)
		}
		g.http.res.Status = 500
		if got := cl.say(`{"action":"custom","text":"hi"}`); got != "else" {
			t.Errorf("got %s", got)
		}
		for _, err := range []error{edge.ErrTooLarge, fmt.Errorf("no route to host")} {
			g.http.err = err
			if got := cl.say(message); !strings.Contains(got, "Internal server error") {
				t.Errorf("%v: %s", err, got)
			}
		}
	})
}

// fakeServices knows DynamoDB alone.
type fakeServices struct {
	last *edge.ServiceCall
	err  error
}

func (f *fakeServices) Has(service string) bool { return service == "dynamodb" }

func (f *fakeServices) Call(_ context.Context, c *edge.ServiceCall) (*edge.HTTPResult, error) {
	f.last = c
	return &edge.HTTPResult{Status: 200, Body: []byte(`{"Count":2}`)}, f.err
}

// Other services are called with what templates make, as the integration's role: who is there goes straight into a table.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
func TestSocketServices(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		services := &fakeServices{}
		g.Services = services
		id := g.socketAPI()
		put := api.CreateIntegrationInput{IntegrationType: new("AWS"), IntegrationMethod: new("POST"), IntegrationUri: new("arn:aws:apigateway:us-east-1:dynamodb:action/PutItem"),
			CredentialsArn: new("arn:aws:iam::123456789012:role/x"), RequestTemplates: map[string]string{"$default": `{"TableName":"t","Item":{"id":{"S":"$context.connectionId"}}}`}}
		g.route(id, "$connect", put)
		scan := put
		scan.IntegrationUri, scan.RequestTemplates = new("arn:aws:apigateway:us-east-1:dynamodb:path/a/{b}?c=d"), map[string]string{"$default": "{}"}
		scan.RequestParameters = map[string]string{"integration.request.path.b": "route.request.body.b", "integration.request.querystring.e": "'f'", "integration.request.header.X-A": "'g'"}
		r := g.route(id, "scan", scan)
		g.twoWay(id, r)
		g.responses(id, r, map[string]string{"$default": `$input.path('$.Count') are there`})
		cl := g.dial(toSocket(id))
		c := services.last
		if c.Service != "dynamodb" || c.Action != "PutItem" || c.Region != "us-east-1" || c.RoleARN != "arn:aws:iam::123456789012:role/x" || string(c.Body) != `{"TableName":"t","Item":{"id":{"S":"`+cl.id+`"}}}` ||
			c.SourceARN != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/$connect" || c.SourceAccount != testAccount || c.Method != "POST" {
			t.Errorf("%+v", c)
		}
		if got := cl.say(`{"action":"scan","b":"x/y"}`); got != "2 are there" {
			t.Errorf("got %s", got)
		}
		if c = services.last; c.Path != "/a/x%2Fy" || c.Query != "c=d&e=f" || len(c.Header) != 1 || c.Action != "" {
			t.Errorf("%+v", c)
		}
		services.err = awserr.New("AccessDenied", "no")
		if got := cl.say(`{"action":"scan","b":"x"}`); !strings.Contains(got, "Internal server error") {
			t.Errorf("got %s", got)
		}
		bare := put
		bare.CredentialsArn = nil
		g.route(id, "bare", bare)
		bare.CredentialsArn = new(edge.CallerCredentials)
		g.route(id, "caller", bare)
		services.err = nil
		for _, key := range []string{"bare", "caller"} {
			if got := cl.say(`{"action":"` + key + `"}`); !strings.Contains(got, "Internal server error") {
				t.Errorf("%s: got %s", key, got)
			}
		}
		put.ApiId, put.IntegrationUri = &id, new("arn:aws:apigateway:us-east-1:sqs:path/1/q")
		_, err := g.CreateIntegration(g.ctx, &put)
		wantError(t, err, "NotImplemented", "sqs")
		put.IntegrationUri = new("arn:aws:apigateway:us-east-1:dynamodb:nothing")
		_, err = g.CreateIntegration(g.ctx, &put)
		wantError(t, err, "BadRequestException", "Invalid integration URI")
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
func TestSocketAccessLog(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		kept := &keptLines{}
		g.Logs = gatewaylog.NewQueue(kept, slog.New(slog.DiscardHandler))
		id := g.socketAPI()
		g.route(id, "$connect", toFunction())
		g.twoWay(id, g.route(id, "a", toFunction()))
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("dev"), AccessLogSettings: &api.AccessLogSettings{DestinationArn: new(logGroup),
			Format: new("$context.requestId $context.eventType $context.routeKey $context.connectionId $context.status $context.responseLength $context.integrationLatency $context.integrationStatus $context.error.message $context.error.responseType $context.identity.sourceIp $context.disconnectStatusCode")}}))
		g.lambda.run = func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			time.Sleep(7 * time.Millisecond)
			return &edge.LambdaResult{Payload: []byte(`{"statusCode":201,"body":"abc"}`)}, nil
		}
		cl := g.dial(toSocket(id))
		cl.in <- []byte(`{"action":"a"}`)
		time.Sleep(time.Second)
		cl.say(`{"action":"b"}`)
		cl.hangUp(&edge.SocketClosed{Status: 1000})
		<-cl.served
		g.Logs.Write(t.Context())
		var got []string
		for _, line := range kept.lines {
			_, rest, _ := strings.Cut(line, " ")
			if strings.Contains(rest, cl.id) {
				got = append(got, strings.ReplaceAll(rest, cl.id, "ID"))
			}
		}
		if want := []string{
			"CONNECT $connect ID 201 3 7 200 - - 192.0.2.7 -", "MESSAGE a ID 201 3 7 200 - - 192.0.2.7 -",
			"MESSAGE $default ID 403 -1 - - Forbidden ACCESS_DENIED 192.0.2.7 -", "DISCONNECT $disconnect ID 200 0 - - - - 192.0.2.7 1000",
		}; !slices.Equal(mask(got), want) {
			t.Errorf("got  %q\nwant %q", mask(got), want)
		}
	})
}

// mask puts -1 in the place of the length of an error frame.
func mask(lines []string) []string {
	for i, line := range lines {
		if f := strings.Fields(line); f[3] == "403" {
			f[4] = "-1"
			lines[i] = strings.Join(f, " ")
		}
	}
	return lines
}

// logRole is the role of every account.
type logRole string

func (l logRole) LogRole(_ kv.Reader, account, region string) (string, error) { return string(l), nil }

// What the execution log says, by its level, and with what events hold only where that is asked for.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
func TestSocketExecutionLog(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		kept := &keptLines{}
		g.Logs, g.LogRoles = gatewaylog.NewQueue(kept, slog.New(slog.DiscardHandler)), logRole("arn:aws:iam::123456789012:role/logs")
		id := g.socketAPI()
		g.route(id, "$connect", toFunction())
		g.route(id, "good", toFunction())
		g.route(id, "bad", api.CreateIntegrationInput{IntegrationType: new("MOCK"), RequestTemplates: map[string]string{"$default": "no JSON"}})
		level := func(level string, trace bool) {
			must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("dev"), DefaultRouteSettings: &api.RouteSettings{LoggingLevel: &level, DataTraceEnabled: &trace}}))
		}
		lines := func() string {
			kept.lines = nil
			g.Logs.Write(t.Context())
			return strings.Join(kept.lines, "\n")
		}
		level("INFO", true)
		cl := g.dial(toSocket(id, edge.Field{"User-Agent", "test"}))
		got := lines()
		for _, part := range []string{"WebSocket Request Route: [$connect]", "Client [UserAgent: test, SourceIp: 192.0.2.7] is connecting to WebSocket API [" + id + "].", "Sending request to " + functionARN,
			`Endpoint request body after transformations: {"headers":`, "Received response. Status: 200", `Endpoint response body before transformations: {"statusCode":200`, "Client [Connection Id: " + cl.id + "] connected to API [" + id + "] successfully."} {
			if !strings.Contains(got, part) {
				t.Errorf("there is no %q in\n%s", part, got)
			}
		}
		if kept.stream.Stream = ""; kept.stream != (gatewaylog.Stream{Account: testAccount, Region: testRegion, Group: "/aws/apigateway/" + id + "/dev", RoleARN: "arn:aws:iam::123456789012:role/logs"}) {
			t.Errorf("%+v", kept.stream)
		}
		long := `{"action":"good","x":"` + strings.Repeat("secret", 1000) + `"}`
		cl.say(long)
		got = lines()
		if !strings.Contains(got, "Method request body before transformations: "+long[:100]) || !strings.Contains(got, "Method completed with status: 200") {
			t.Errorf("%s", got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if len(line) > 1024 || !strings.HasPrefix(line, "(") {
				t.Errorf("%d bytes: %s", len(line), line)
			}
		}
		level("INFO", false)
		if cl.say(long); strings.Contains(lines(), "secret") {
			t.Error("data is logged without being asked for")
		}
		level("ERROR", false)
		if cl.say(`{"action":"good"}`); lines() != "" {
			t.Errorf("%s", kept.lines)
		}
		cl.say(`{"action":"bad"}`)
		if got := lines(); !strings.Contains(got, "Execution failed: Unable to parse statusCode") {
			t.Errorf("%s", got)
		}
		cl.say("nobody's")
		if got := lines(); !strings.Contains(got, "Execution failed: Forbidden") {
			t.Errorf("%s", got)
		}
		level("OFF", true)
		if cl.say(`{"action":"bad"}`); lines() != "" {
			t.Errorf("%s", kept.lines)
		}
		level("INFO", false)
		cl.hangUp(&edge.SocketClosed{Status: 1000})
		<-cl.served
		if got := lines(); !strings.Contains(got, "Client [Connection Id: "+cl.id+"] disconnected from API ["+id+"].") {
			t.Errorf("%s", got)
		}
	})
}
