package apigatewayv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
)

// fakeSocket is a client.
type fakeSocket struct {
	in  chan []byte // from the client
	out chan []byte // to the client

	once   sync.Once
	closed chan struct{}
	how    *edge.SocketClosed
}

func newSocket() *fakeSocket {
	return &fakeSocket{in: make(chan []byte), out: make(chan []byte, 100), closed: make(chan struct{})}
}

func (f *fakeSocket) Receive() ([]byte, error) {
	select {
	case m := <-f.in:
		return m, nil
	case <-f.closed:
		return nil, f.how
	}
}

func (f *fakeSocket) Send(_ context.Context, m []byte) error {
	select {
	case <-f.closed:
		return errors.New("closed")
	default:
		f.out <- slices.Clone(m)
		return nil
	}
}

func (f *fakeSocket) hangUp(how *edge.SocketClosed) {
	f.once.Do(func() {
		f.how = how
		close(f.closed)
	})
}

func (f *fakeSocket) Close(status int, reason string) {
	f.hangUp(&edge.SocketClosed{Status: status, Reason: reason})
}

// A client is an open connection.
type client struct {
	*fakeSocket
	*connection
	served chan struct{}
}

func (g *tester) handshake(r *edge.Request) (*connection, *edge.Response) {
	g.Helper()
	session, refusal, ok := g.Connect(g.T().Context(), r)
	if !ok {
		g.Fatal("no WebSocket API")
	}
	if refusal != nil {
		return nil, refusal
	}
	return session.(*connection), nil
}

func (g *tester) T() *testing.T { return g.TB.(*testing.T) }

// dial opens a connection.
func (g *tester) dial(r *edge.Request) *client {
	g.Helper()
	c, refusal := g.handshake(r)
	if refusal != nil {
		g.Fatalf("%d %s", refusal.Status, refusal.Body)
	}
	cl := &client{newSocket(), c, make(chan struct{})}
	go func() {
		defer close(cl.served)
		c.Serve(context.Background(), cl.fakeSocket)
	}()
	synctest.Wait()
	return cl
}

// say sends a message and returns what comes back; "" for nothing.
func (cl *client) say(m string) string {
	cl.in <- []byte(m)
	synctest.Wait()
	select {
	case out := <-cl.out:
		return string(out)
	default:
		return ""
	}
}

func toSocket(id string, header ...edge.Field) *edge.Request {
	return request(id, "GET", "/dev", header...)
}

// quiet is a test in virtual time after which no connection, and nothing of any, is left.
func quiet(t *testing.T, run func(t *testing.T, g *tester)) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		run(t, g)
		g.EndConnections(t.Context())
		if n := len(g.connections.byID); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// The events of a connection, and what becomes of what functions return.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
func TestConnection(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$connect", toFunction())
		g.route(id, "$disconnect", toFunction())
		g.route(id, "$default", toFunction())
		g.twoWay(id, g.route(id, "echo", toFunction()))
		r := toSocket(id, edge.Field{"Host", "x"}, edge.Field{"Sec-Websocket-Key", "k"}, edge.Field{"Connection", "Upgrade"}, edge.Field{"User-Agent", "test"})
		r.RawQuery, r.Query = "a=1&a=2", edge.ParseQuery("a=1&a=2")
		cl := g.dial(r)

		e := g.event()
		c := e["requestContext"].(map[string]any)
		headers := e["headers"].(map[string]any)
		if c["routeKey"] != "$connect" || c["eventType"] != "CONNECT" || c["connectionId"] != cl.id || c["messageDirection"] != "IN" || c["stage"] != "dev" || c["apiId"] != id ||
			c["domainName"] != id+".execute-api.us-east-1.amazonaws.com" || c["requestId"] != c["extendedRequestId"] || int64(c["connectedAt"].(float64)) != r.Time.UnixMilli() ||
			int64(c["requestTimeEpoch"].(float64)) != r.Time.UnixMilli() || c["messageId"] != nil || c["disconnectStatusCode"] != nil || c["authorizer"] != nil ||
			fmt.Sprint(c["identity"]) != "map[sourceIp:192.0.2.7 userAgent:test]" {
			t.Errorf("%v", c)
		}
		if headers["Sec-WebSocket-Key"] != "k" || headers["X-Forwarded-For"] != "192.0.2.7" || headers["X-Forwarded-Port"] != "4566" || headers["Connection"] != nil || headers["Host"] != "x" ||
			fmt.Sprint(e["queryStringParameters"]) != "map[a:2]" || fmt.Sprint(e["multiValueQueryStringParameters"]) != "map[a:[1 2]]" || e["isBase64Encoded"] != false || e["body"] != nil {
			t.Errorf("%v", e)
		}
		if in := g.lambda.calls[0]; in.SourceARN != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/$connect" || in.FunctionARN != functionARN || in.SourceAccount != testAccount {
			t.Errorf("%+v", in)
		}

		// One way: nothing comes back.
		if got := cl.say(`{"action":"other"}`); got != "" {
			t.Errorf("got %q", got)
		}
		e = g.event()
		c = e["requestContext"].(map[string]any)
		if c["routeKey"] != "$default" || c["eventType"] != "MESSAGE" || c["messageId"] == nil || c["connectionId"] != cl.id || e["body"] != `{"action":"other"}` || e["headers"] != nil || e["queryStringParameters"] != nil {
			t.Errorf("%v", e)
		}
		if got := cl.say("no JSON"); got != "" || g.event()["requestContext"].(map[string]any)["routeKey"] != "$default" {
			t.Errorf("got %q", got)
		}
		// Two ways.
		g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			var e struct{ Body string }
			if err := json.Unmarshal(in.Payload, &e); err != nil {
				return nil, err
			}
			out, err := json.Marshal(map[string]any{"statusCode": 200, "body": "heard " + e.Body})
			return &edge.LambdaResult{Payload: out}, err
		}
		if got := cl.say(`{"action":"echo"}`); got != `heard {"action":"echo"}` {
			t.Errorf("got %q", got)
		}
		// A message cannot choose the routes that API Gateway chooses.
		n := len(g.lambda.calls)
		for _, key := range []string{"$connect", "$disconnect"} {
			cl.say(`{"action":"` + key + `"}`)
			if got := g.event()["requestContext"].(map[string]any)["routeKey"]; got != "$default" {
				t.Errorf("%s led to %v", key, got)
			}
		}
		if len(g.lambda.calls) != n+2 {
			t.Errorf("%d calls", len(g.lambda.calls)-n)
		}

		cl.hangUp(&edge.SocketClosed{Status: 1005, Reason: ""})
		<-cl.served
		e = g.event()
		c = e["requestContext"].(map[string]any)
		if c["routeKey"] != "$disconnect" || c["eventType"] != "DISCONNECT" || c["disconnectStatusCode"] != 1005.0 || c["disconnectReason"] != "" || c["connectionId"] != cl.id ||
			e["headers"].(map[string]any)["Host"] != id+".execute-api.us-east-1.amazonaws.com" || e["body"] != nil {
			t.Errorf("%v", e)
		}
		if len(slices.Collect(maps.Keys(e["headers"].(map[string]any)))) != 4 {
			t.Errorf("%v", e["headers"])
		}
	})
}

// $connect decides. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-routes-about-connect.html
func TestConnectDecides(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		refused := func(what string, r *edge.Request, status int, message string) {
			t.Helper()
			c, res := g.handshake(r)
			if res == nil {
				c.Abort()
				t.Errorf("%s: was let in", what)
				return
			}
			var body map[string]string
			if message != "" && (json.Unmarshal(res.Body, &body) != nil || body["message"] != message || len(body["connectionId"]) != 16 || len(body["requestId"]) != 16) ||
				message == "" && len(res.Body) != 0 || res.Status != status || headerOf(res, "x-amzn-RequestId") == "" {
				t.Errorf("%s: %d %s", what, res.Status, res.Body)
			}
		}
		// Without a $connect route everybody is let in.
		cl := g.dial(toSocket(id))
		cl.hangUp(&edge.SocketClosed{Status: 1000})
		refused("no such stage", request(id, "GET", "/prod"), 403, "Forbidden")
		refused("a path", request(id, "GET", "/dev/a"), 403, "Forbidden")
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
		long := toSocket(id)
		long.RawQuery = strings.Repeat("x", 4096-len("wss://"+long.Host+"/dev?"))
		g.dial(long).hangUp(&edge.SocketClosed{Status: 1000})
		long = toSocket(id)
		long.RawQuery = strings.Repeat("x", 4097-len("wss://"+long.Host+"/dev?"))
		refused("a URL of 4097 bytes", long, 414, "URI Too Long")
		if _, _, ok := g.Connect(t.Context(), request("nothing", "GET", "/dev")); ok {
			t.Error("an API that is not there")
		}
		if _, _, ok := g.Connect(t.Context(), request(g.api(nil), "GET", "/dev")); ok {
			t.Error("an HTTP API")
		}
		if res := g.send(toSocket(id)); res.Status != 403 || string(res.Body) != `{"message":"Missing Authentication Token"}` {
			t.Errorf("no handshake: %d %s", res.Status, res.Body)
		}

		g.twoWay(id, g.route(id, "$connect", toFunction()))
		for what, tt := range map[string]struct {
			run     func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error)
			status  int
			message string
		}{
			"the function says no":        {returns(`{"statusCode":401}`), 401, ""},
			"the function answers as 302": {returns(`{"statusCode":302}`), 302, ""},
			"no object":                   {returns(`"ok"`), 502, "Internal server error"},
			"nothing":                     {returns(`null`), 502, "Internal server error"},
			"no status":                   {returns(`{"statusCode":"x"}`), 502, "Internal server error"},
			"the function fails": {func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				return &edge.LambdaResult{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"x"}`)}, nil
			}, 502, "Internal server error"},
			"no permission": {func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				return nil, awserr.New("AccessDeniedException", "no")
			}, 500, "Internal server error"},
			"a fault of ours": {func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				return nil, errors.New("disk")
			}, 500, "Internal server error"},
			"too late": {func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				begin := time.Now()
				<-ctx.Done()
				if d := time.Since(begin); d != 29*time.Second {
					t.Errorf("after %v", d)
				}
				return nil, ctx.Err()
			}, 504, "Endpoint request timed out"},
		} {
			g.lambda.run = tt.run
			refused(what, toSocket(id), tt.status, tt.message)
		}
		// What is answered goes on where the route has a response.
		g.lambda.run = returns(`{"statusCode":400,"body":"because"}`)
		if _, res := g.handshake(toSocket(id)); res == nil || res.Status != 400 || string(res.Body) != "because" {
			t.Errorf("%+v", res)
		}
		g.lambda.run = returns(`{"statusCode":204,"headers":{"sec-websocket-protocol":"chat.v2"}}`)
		cl = g.dial(toSocket(id))
		if cl.Protocol() != "chat.v2" {
			t.Errorf("the protocol is %q", cl.Protocol())
		}
		g.lambda.run = returns(`{}`) // as REST APIs have it: 200
		g.dial(toSocket(id))

		must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, DisableExecuteApiEndpoint: new(true)}))
		refused("a disabled endpoint", toSocket(id), 403, "Forbidden")
		r := toSocket(id)
		r.Custom = &edge.CustomName{}
		g.dial(r)
	})
}

func TestConnectAuthorization(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		connect := g.route(id, "$connect", toFunction(), func(in *api.CreateRouteInput) { in.AuthorizationType = new("AWS_IAM") })
		g.route(id, "$default", toFunction())
		status := func(r *edge.Request) int {
			c, res := g.handshake(r)
			if res != nil {
				return res.Status
			}
			c.Abort()
			return 101
		}
		signedBy := func(name, account string) *edge.Request {
			r := toSocket(id)
			r.Authenticate = func(context.Context, string) (call.Principal, error) {
				if name == "" {
					return call.Principal{}, &edge.SignatureFault{Kind: "INVALID_SIGNATURE"}
				}
				return call.Principal{Type: call.User, Account: account, Name: name, ARN: "arn:aws:iam::" + account + ":user/" + name, ID: "AIDA", AccessKeyID: "AKIA"}, nil
			}
			return r
		}
		for what, tt := range map[string]struct {
			r    *edge.Request
			want int
		}{
			"unsigned": {toSocket(id), 403}, "badly signed": {signedBy("", ""), 403}, "may": {signedBy("alice", testAccount), 101}, "may not": {signedBy("bob", testAccount), 403},
			"another account": {signedBy("alice", "999999999999"), 403},
		} {
			if got := status(tt.r); got != tt.want {
				t.Errorf("%s: %d", what, got)
			}
		}
		cl := g.dial(signedBy("alice", testAccount))
		cl.say("x")
		if got := g.event()["requestContext"].(map[string]any)["identity"].(map[string]any); got["userArn"] != "arn:aws:iam::123456789012:user/alice" || got["caller"] != "AIDA" || got["accessKey"] != "AKIA" {
			t.Errorf("%v", got)
		}

		// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
		a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN),
			IdentitySource: []string{"route.request.querystring.token", "route.request.header.X-Who"}}))
		must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: connect.RouteId, AuthorizationType: new("CUSTOM"), AuthorizerId: a.AuthorizerId}))
		withToken := func() *edge.Request {
			r := toSocket(id, edge.Field{"x-who", "me"})
			r.Query = []edge.Field{{"token", "t"}}
			return r
		}
		answer := ""
		var asked map[string]any
		g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			if !strings.Contains(in.SourceARN, "/authorizers/") {
				return &edge.LambdaResult{Payload: []byte(`{"statusCode":200}`)}, nil
			}
			asked = nil
			if err := json.Unmarshal(in.Payload, &asked); err != nil {
				return nil, err
			}
			if after, ok := strings.CutPrefix(answer, "fail "); ok {
				return &edge.LambdaResult{FunctionError: "Handled", Payload: []byte(`{"errorMessage":"` + after + `"}`)}, nil
			}
			return &edge.LambdaResult{Payload: []byte(answer)}, nil
		}
		arn := "arn:aws:execute-api:us-east-1:123456789012:" + id + "/dev/$connect"
		allow := `{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"` + arn + `"}]},"context":{"s":"x","n":1,"b":true}}`
		for what, tt := range map[string]struct {
			answer string
			r      *edge.Request
			want   int
		}{
			"allowed":           {allow, withToken(), 101},
			"denied":            {strings.ReplaceAll(allow, "Allow", "Deny"), withToken(), 403},
			"of another route":  {strings.ReplaceAll(allow, "$connect", "POST/a"), withToken(), 403},
			"nobody":            {"fail Unauthorized", withToken(), 401},
			"broken":            {"fail x", withToken(), 500},
			"no policy":         {`{}`, withToken(), 500},
			"8 KB":              {allow + strings.Repeat(" ", 8<<10-len(allow)), withToken(), 101},
			"more than 8 KB":    {allow + strings.Repeat(" ", 8<<10-len(allow)+1), withToken(), 500},
			"without identity":  {allow, toSocket(id), 401},
			"with half of that": {allow, toSocket(id, edge.Field{"x-who", "me"}), 401},
		} {
			answer = tt.answer
			if got := status(tt.r); got != tt.want {
				t.Errorf("%s: %d", what, got)
			}
		}
		answer = allow
		cl = g.dial(withToken())
		if asked["type"] != "REQUEST" || asked["methodArn"] != arn || asked["queryStringParameters"].(map[string]any)["token"] != "t" || asked["stageVariables"] == nil ||
			asked["requestContext"].(map[string]any)["eventType"] != "CONNECT" || asked["isBase64Encoded"] != nil {
			t.Errorf("%v", asked)
		}
		cl.say("x")
		got := g.event()["requestContext"].(map[string]any)["authorizer"].(map[string]any)
		if got["principalId"] != "me" || got["s"] != "x" || got["n"] != "1" || got["b"] != "true" || got["integrationLatency"] == nil {
			t.Errorf("%v", got)
		}
		must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: connect.RouteId, RequestParameters: map[string]api.ParameterConstraints{
			"route.request.querystring.room": {Required: new(true)}, "route.request.querystring.opt": {Required: new(false)}}}))
		if _, res := g.handshake(withToken()); res == nil || res.Status != 400 || !strings.Contains(string(res.Body), "Missing required request parameters: [room]") {
			t.Errorf("%+v", res)
		}
	})
}

// An authorizer that is told by the context who connects does not hide from templates what it then says of them.
func TestContextBeforeAuthorizer(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		in := toFunction()
		in.IntegrationType, in.RequestTemplates, in.TemplateSelectionExpression = new("AWS"), map[string]string{"$default": `{"who":"$context.authorizer.principalId","key":"$context.identity.apiKeyId"}`}, new("\\$default")
		a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN),
			IdentitySource: []string{"context.identity.sourceIp"}}))
		g.route(id, "$connect", in, func(in *api.CreateRouteInput) { in.AuthorizationType, in.AuthorizerId = new("CUSTOM"), a.AuthorizerId })
		payload := ""
		g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			if !strings.Contains(in.SourceARN, "/authorizers/") {
				payload = string(in.Payload)
				return &edge.LambdaResult{Payload: []byte(`{}`)}, nil
			}
			return &edge.LambdaResult{Payload: []byte(`{"principalId":"me","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}]}}`)}, nil
		}
		g.dial(toSocket(id))
		if !strings.HasPrefix(payload, `{"who":"me"`) {
			t.Errorf("%s", payload)
		}
	})
}

// A stage that is deleted while $connect runs has no connection then.
func TestStageGoneMeanwhile(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$connect", toFunction())
		g.lambda.run = func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			must(g.DeleteStage(g.ctx, &api.DeleteStageInput{ApiId: &id, StageName: new("dev")}))
			return &edge.LambdaResult{Payload: []byte(`{"statusCode":200}`)}, nil
		}
		cl := g.dial(toSocket(id))
		select {
		case <-cl.served:
		default:
			t.Error("the connection stays")
		}
	})
}

// A message whose handling panics is nobody's but its sender's.
func TestPanicInMessage(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$default", toFunction())
		cl := g.dial(toSocket(id))
		g.lambda.run = func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) { panic("of a message") }
		cl.say("x")
		g.lambda.run = returns(`{"statusCode":200}`)
		cl.say("y")
		if got := g.event()["body"]; got != "y" {
			t.Errorf("%v", got)
		}
	})
}

// What clients are told of faults.
func TestErrorFrames(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		cl := g.dial(toSocket(id))
		frame := func(got, message string) {
			t.Helper()
			var f map[string]string
			if json.Unmarshal([]byte(got), &f) != nil || f["message"] != message || f["connectionId"] != cl.id || f["requestId"] == "" || !strings.HasPrefix(got, `{"message": "`+message+`", "connectionId":"`) {
				t.Errorf("got %s, want %s", got, message)
			}
		}
		frame(cl.say("x"), "Forbidden") // no route takes it
		r := g.route(id, "a", toFunction())
		for message, run := range map[string]func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error){
			"Internal server error": returns("null"),
			"Endpoint request timed out": func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		} {
			g.lambda.run = run
			cl.in <- []byte(`{"action":"a"}`)
			frame(string(<-cl.out), message)
		}
		g.lambda.run = returns(`{"statusCode":200}`)
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("dev"), RouteSettings: map[string]api.RouteSettings{"a": {ThrottlingBurstLimit: new(int32(2)), ThrottlingRateLimit: new(1.0)}}}))
		for range 2 {
			if got := cl.say(`{"action":"a"}`); got != "" {
				t.Errorf("got %s", got)
			}
		}
		frame(cl.say(`{"action":"a"}`), "Too Many Requests")
		time.Sleep(time.Second)
		if got := cl.say(`{"action":"a"}`); got != "" {
			t.Errorf("got %s", got)
		}
		time.Sleep(2 * time.Second)
		// 128 KB come back, and not a byte more.
		g.twoWay(id, r)
		for _, n := range []int{edge.MaxMessage, edge.MaxMessage + 1} {
			g.lambda.run = returns(`{"statusCode":200,"body":"` + strings.Repeat("x", n) + `"}`)
			if got := cl.say(`{"action":"a"}`); n == edge.MaxMessage && len(got) != n {
				t.Errorf("%d bytes came", len(got))
			} else if n > edge.MaxMessage {
				frame(got, "Internal server error")
			}
		}
		g.lambda.run = returns(`{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}`)
		time.Sleep(2 * time.Second)
		if got := cl.say(`{"action":"a"}`); got != "hi" {
			t.Errorf("got %s", got)
		}
		// The stage goes, and the connection with it.
		must(g.DeleteStage(g.ctx, &api.DeleteStageInput{ApiId: &id, StageName: new("dev")}))
		<-cl.served
		if cl.how.Status != 1001 {
			t.Errorf("%+v", cl.how)
		}
	})
}

// Connections end: after ten minutes of silence, after two hours, with their API, and with Brume.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
func TestConnectionsEnd(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$disconnect", toFunction())
		g.route(id, "$default", toFunction())
		ended := func(cl *client, after time.Duration, begin time.Time) {
			t.Helper()
			<-cl.served
			if d := time.Since(begin); d != after || cl.how.Status != 1001 || cl.how.Reason != "Going away" {
				t.Errorf("ended after %v with %+v; want %v", d, cl.how, after)
			}
			if c := g.event()["requestContext"].(map[string]any); c["eventType"] != "DISCONNECT" || c["disconnectStatusCode"] != 1001.0 || c["disconnectReason"] != "Going away" {
				t.Errorf("%v", c)
			}
		}
		begin := time.Now()
		ended(g.dial(toSocket(id)), 10*time.Minute, begin)

		// Messages in either direction, and pings, keep a connection; for two hours at most.
		begin = time.Now()
		cl := g.dial(toSocket(id))
		for i := range 11 {
			time.Sleep(10*time.Minute - time.Second)
			switch i % 3 {
			case 0:
				cl.say("x")
			case 1:
				if err := cl.send(t.Context(), []byte("x")); err != nil {
					t.Error(err)
				}
			default:
				cl.Touch()
			}
		}
		ended(cl, 2*time.Hour-11*time.Second, begin) // ten minutes after the last one
		begin = time.Now()
		cl = g.dial(toSocket(id))
		for range 119 {
			time.Sleep(time.Minute)
			cl.Touch()
		}
		ended(cl, 2*time.Hour, begin)

		cl = g.dial(toSocket(id))
		other := g.dial(toSocket(g.socketAPI()))
		must(g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &id}))
		<-cl.served
		if cl.how.Status != 1001 {
			t.Errorf("%+v", cl.how)
		}
		if got := other.say("x"); !strings.Contains(got, "Forbidden") {
			t.Errorf("the other API's connection: %s", got)
		}
		g.EndConnections(t.Context())
		<-other.served
		if other.how.Status != 1001 {
			t.Errorf("%+v", other.how)
		}
		if _, res := g.handshake(other.req); res == nil || res.Status != 503 {
			t.Errorf("%+v", res)
		}
	})
}

// Brume waits for what is under way when it stops, but not for ever.
func TestEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		id := g.socketAPI()
		g.route(id, "$default", toFunction())
		g.route(id, "$disconnect", toFunction())
		g.lambda.run = func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second):
			}
			return nil, ctx.Err()
		}
		cl := g.dial(toSocket(id))
		cl.say("x")
		begin := time.Now()
		bounded, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		g.EndConnections(bounded)
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
		<-cl.served
	})
}

// A client that sends faster than its messages are handled waits; none is lost.
func TestMessagesInFlight(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$default", toFunction())
		var mu sync.Mutex
		running, most, all := 0, 0, 0
		g.lambda = nil
		g.Lambda = lambdaFunc(func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			mu.Lock()
			running++
			all++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return &edge.LambdaResult{Payload: []byte(`{"statusCode":200}`)}, nil
		})
		cl := g.dial(toSocket(id))
		for range 3 * maxInFlight {
			cl.in <- []byte("x")
		}
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if most != maxInFlight || all != 3*maxInFlight {
			t.Errorf("%d at once, %d in all", most, all)
		}
	})
}

type lambdaFunc func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error)

func (f lambdaFunc) Invoke(ctx context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
	return f(ctx, in)
}

// 500 connections a second and account, and no more.
func TestConnectionsAreThrottled(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		for i := range 501 {
			c, res := g.handshake(toSocket(id))
			if (res == nil) != (i < 500) || res != nil && res.Status != 429 {
				t.Fatalf("%d: %+v", i, res)
			}
			if c != nil {
				c.Abort()
			}
		}
		time.Sleep(10 * time.Millisecond)
		c, res := g.handshake(toSocket(id))
		if res != nil {
			t.Fatalf("%+v", res)
		}
		c.Abort()
	})
}

// A handshake that is not completed ends what $connect began.
func TestAbortedHandshake(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$disconnect", toFunction())
		c, _ := g.handshake(toSocket(id))
		posted := make(chan error)
		go func() { posted <- c.send(t.Context(), []byte("x")) }()
		synctest.Wait()
		c.Abort()
		if err := <-posted; !errors.Is(err, errGone) {
			t.Errorf("%v", err)
		}
		if got := g.event()["requestContext"].(map[string]any)["disconnectStatusCode"]; got != 1006.0 {
			t.Errorf("%v", got)
		}
	})
}

// fakeAPIKeys admit one key.
type fakeAPIKeys struct{ last edge.KeyUse }

func (f *fakeAPIKeys) AdmitKey(_ context.Context, use edge.KeyUse) (*edge.APIKey, error) {
	f.last = use
	switch use.Value {
	case "good":
		return &edge.APIKey{ID: "id", Value: use.Value}, nil
	case "fast":
		return nil, edge.ErrKeyThrottled
	case "much":
		return nil, edge.ErrKeyQuota
	}
	return nil, edge.ErrKey
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html#apigateway-websocket-api-apikey-selection-expressions
func TestSocketAPIKeys(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		keys := &fakeAPIKeys{}
		g.APIKeys = keys
		id := g.socketAPI()
		connect := g.route(id, "$connect", toFunction(), func(in *api.CreateRouteInput) { in.ApiKeyRequired = new(true) })
		g.route(id, "guarded", toFunction(), func(in *api.CreateRouteInput) { in.ApiKeyRequired = new(true) })
		g.route(id, "$default", toFunction())
		with := func(key string) *edge.Request {
			if key == "" {
				return toSocket(id)
			}
			return toSocket(id, edge.Field{"x-api-key", key})
		}
		for key, want := range map[string]int{"": 403, "bad": 403, "fast": 429, "much": 429, "good": 101} {
			c, res := g.handshake(with(key))
			if got := 101; res != nil {
				if got = res.Status; got != want {
					t.Errorf("%q: %d", key, got)
				}
			} else if c.Abort(); want != 101 {
				t.Errorf("%q was let in", key)
			}
		}
		cl := g.dial(with("good"))
		if want := (edge.KeyUse{Account: testAccount, Region: testRegion, API: id, Stage: "dev", Method: "$connect", Value: "good"}); keys.last != want {
			t.Errorf("%+v", keys.last)
		}
		cl.say("x")
		if got := g.event()["requestContext"].(map[string]any)["identity"].(map[string]any); got["apiKey"] != "good" || got["apiKeyId"] != "id" {
			t.Errorf("%v", got)
		}
		// What was shown in the handshake goes for messages.
		if got := cl.say(`{"action":"guarded"}`); got != "" || keys.last.Method != "guarded" {
			t.Errorf("%s, %+v", got, keys.last)
		}
		must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: connect.RouteId, ApiKeyRequired: new(false)}))
		if got := g.dial(with("")).say(`{"action":"guarded"}`); !strings.Contains(got, "Forbidden") {
			t.Errorf("got %s", got)
		}
		// The key that an authorizer names.
		a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN)}))
		must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, ApiKeySelectionExpression: new("$context.authorizer.usageIdentifierKey")}))
		must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: connect.RouteId, ApiKeyRequired: new(true), AuthorizationType: new("CUSTOM"), AuthorizerId: a.AuthorizerId}))
		for key, want := range map[string]bool{"good": true, "bad": false} {
			g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
				if strings.Contains(in.SourceARN, "/authorizers/") {
					return &edge.LambdaResult{Payload: []byte(`{"principalId":"me","usageIdentifierKey":"` + key + `","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"*","Effect":"Allow","Resource":"*"}]}}`)}, nil
				}
				return &edge.LambdaResult{Payload: []byte(`{"statusCode":200}`)}, nil
			}
			c, res := g.handshake(with("good"))
			if (res == nil) != want {
				t.Errorf("%s: %+v", key, res)
			}
			if c != nil {
				c.Abort()
			}
		}
	})
}
