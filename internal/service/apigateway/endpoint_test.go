package apigateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/call"

	"brume/internal/edge"
)

// fakeHTTP is an HTTP under the test's control.
type fakeHTTP struct {
	calls []*HTTPCall
	send  func(ctx context.Context, c *HTTPCall) (*HTTPResult, error)
}

func (f *fakeHTTP) Send(ctx context.Context, c *HTTPCall) (*HTTPResult, error) {
	f.calls = append(f.calls, c)
	return f.send(ctx, c)
}

// fakeServices knows DynamoDB alone.
type fakeServices struct {
	calls []*ServiceCall
	call  func(c *ServiceCall) (*HTTPResult, error)
}

func (f *fakeServices) Has(service string) bool { return service == "dynamodb" }

func (f *fakeServices) Call(_ context.Context, c *ServiceCall) (*HTTPResult, error) {
	f.calls = append(f.calls, c)
	return f.call(c)
}

func shownFields(fields []Field) string {
	var out []string
	for _, f := range sortFields(fields) {
		switch f.Name {
		case "X-Amzn-Trace-Id", "x-amzn-RequestId", "x-amz-apigw-id":
			continue
		}
		out = append(out, f.Name+"="+f.Value)
	}
	return strings.Join(out, " ")
}

// declared are the parameters that mappings refer to, as a method declares them.
func declared(mappings map[string]string) map[string]bool {
	out := map[string]bool{}
	for _, source := range mappings {
		if strings.HasPrefix(source, "method.request.") && !strings.HasPrefix(source, "method.request.body") {
			out[strings.Replace(source, ".multivalue", ".", 1)] = false
		}
	}
	return out
}

// endpoint makes and deploys an API with one method on /a/{p}/{rest+}.
func (g *gateway) endpoint(in api.PutIntegrationInput, responses map[string]api.PutIntegrationResponseInput) (apiID string) {
	id, _ := g.api()
	res := g.resource(id, "/a/{p}/{rest+}")
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("ANY"), AuthorizationType: new("NONE"), RequestParameters: declared(in.RequestParameters)}))
	in.RestApiId, in.ResourceId, in.HttpMethod = &id, &res, new("ANY")
	must(g.PutIntegration(g.ctx, &in))
	for status, r := range responses {
		parameters := map[string]bool{}
		for target := range r.ResponseParameters {
			parameters[target] = false
		}
		must(g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("ANY"), StatusCode: &status, ResponseParameters: parameters}))
		r.RestApiId, r.ResourceId, r.HttpMethod, r.StatusCode = &id, &res, new("ANY"), &status
		must(g.PutIntegrationResponse(g.ctx, &r))
	}
	must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, StageName: new("dev"), Variables: map[string]string{"host": "backend.example", "v": "7"}}))
	return id
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/setup-http-integrations.html
func TestHTTPProxy(t *testing.T) {
	g := newGateway(t)
	f := &fakeHTTP{send: func(context.Context, *HTTPCall) (*HTTPResult, error) {
		return &HTTPResult{Status: 418, Header: []Field{{"Content-Type", "text/x"}, {"Server", "s"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}, {"Transfer-Encoding", "chunked"}}, Body: []byte("tea")}, nil
	}}
	g.http = f
	id := g.endpoint(api.PutIntegrationInput{
		Type: new("HTTP_PROXY"), IntegrationHttpMethod: new("ANY"), Uri: new("https://${stageVariables.host}/x/{p}/{rest}?fixed=1"),
		RequestParameters: map[string]string{
			"integration.request.path.p": "method.request.path.p", "integration.request.path.rest": "method.request.path.rest",
			"integration.request.querystring.v": "stageVariables.v", "integration.request.header.X-Id": "context.apiId", "integration.request.header.X-Static": "'s'",
			"integration.request.header.X-From": "method.request.body.name", "integration.request.querystring.q": "method.request.querystring.q2",
		},
	}, nil)
	r := request(id, "dev", "PATCH", "/a/b%20c/d/e?q=1&z=%26", Field{"Accept", "text/plain"}, Field{"User-Agent", "me"}, Field{"X-Static", "client's"}, Field{"Connection", "close"},
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
		Field{"Authorization", "AWS4-HMAC-SHA256 Credential=a"}, Field{"Content-Encoding", "br"}, Field{"Content-MD5", "x"}, Field{"Max-Forwards", "1"}, Field{"Server", "x"},
		Field{"Via", "x"}, Field{"WWW-Authenticate", "x"}, Field{"Pragma", "p"}, Field{"Range", "r"})
	r.Body = []byte(`{"name":"Ada"}`)
	res := g.Invoke(context.Background(), r)
	if res.Status != 418 || string(res.Body) != "tea" || shownFields(res.Header) != "Content-Type=text/x Set-Cookie=a Set-Cookie=b x-amzn-Remapped-Server=s" {
		t.Errorf("%d %s %s", res.Status, shownFields(res.Header), res.Body)
	}
	c := f.calls[0]
	if c.Method != "PATCH" || c.URL != "https://backend.example/x/b%20c/d/e?fixed=1&v=7&q=1&z=%26" || string(c.Body) != `{"name":"Ada"}` {
		t.Errorf("%s %s %s", c.Method, c.URL, c.Body)
	}
	if got := shownFields(c.Header); got != "Accept=text/plain Pragma=p Range=r User-Agent=me X-Forwarded-For=192.0.2.7 X-Forwarded-Port=4566 X-Forwarded-Proto=http X-From=Ada X-Id="+id+" X-Static=s x-amzn-apigateway-api-id="+id {
		t.Errorf("%s", got)
	}
	r.Header = []Field{{"Authorization", "Bearer x"}}
	g.Invoke(context.Background(), r)
	if got := valuesOf(f.calls[1].Header, "Authorization", true); len(got) != 1 || len(valuesOf(f.calls[1].Header, "User-Agent", true)) != 1 {
		t.Errorf("%v", f.calls[1].Header)
	}
	for _, tt := range []struct {
		err    error
		status int
		body   string
	}{
		{errors.New("refused"), 504, `{"message": "Network error communicating with endpoint"}`},
		{edge.ErrTooLarge, 502, `{"message": "Internal server error"}`},
	} {
		f.send = func(context.Context, *HTTPCall) (*HTTPResult, error) { return nil, tt.err }
		g.want(request(id, "dev", "GET", "/a/b/c"), tt.status, tt.body)
	}
}

func TestHTTPTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		g.http = &fakeHTTP{send: func(ctx context.Context, _ *HTTPCall) (*HTTPResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		id := g.endpoint(api.PutIntegrationInput{Type: new("HTTP_PROXY"), IntegrationHttpMethod: new("GET"), Uri: new("http://x"), TimeoutInMillis: new(int32(50))}, nil)
		begin := time.Now()
		g.want(request(id, "dev", "GET", "/a/b/c"), 504, `{"message": "Endpoint request timed out"}`)
		if d := time.Since(begin); d != 50*time.Millisecond {
			t.Errorf("after %v", d)
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
func TestHTTPCustom(t *testing.T) {
	g := newGateway(t)
	f := &fakeHTTP{send: func(_ context.Context, c *HTTPCall) (*HTTPResult, error) {
		status := 200
		fmt.Sscanf(c.URL, "http://x/%d", &status)
		return &HTTPResult{Status: status, Header: []Field{{"Content-Type", "application/json"}, {"X-Up", "u1"}, {"X-Up", "u2"}}, Body: []byte(`{"n":5}`)}, nil
	}}
	g.http = f
	id := g.endpoint(api.PutIntegrationInput{
		Type: new("HTTP"), IntegrationHttpMethod: new("POST"), Uri: new("http://x/{p}"),
		RequestParameters: map[string]string{"integration.request.path.p": "method.request.path.p", "integration.request.querystring.all": "method.request.multivaluequerystring.q"},
		RequestTemplates: map[string]string{"application/json": `#set($context.requestOverride.header.X-Over = "o")#set($context.requestOverride.querystring.more = "m")` +
			`{"was":$input.json('$.a'),"h":"$input.params('X-In')"}`},
	}, map[string]api.PutIntegrationResponseInput{
		"200": {ResponseParameters: map[string]string{"method.response.header.X-Out": "integration.response.header.X-Up", "method.response.header.X-N": "integration.response.body.n"},
			ResponseTemplates: map[string]string{"application/json": `{"twice":$input.path('$.n')}`}},
		"404": {SelectionPattern: new(`4\d\d`), ResponseTemplates: map[string]string{"application/json": "gone"}},
	})
	r := request(id, "dev", "PUT", "/a/200/c?q=1&q=2&other=3", Field{"X-In", "i"}, Field{"Cookie", "secret"})
	r.Body = []byte(`{"a":[1,2]}`)
	res := g.Invoke(context.Background(), r)
	if res.Status != 200 || string(res.Body) != `{"twice":5}` || shownFields(res.Header) != "Content-Type=application/json X-N=5 X-Out=u2" {
		t.Errorf("%d %s %s", res.Status, shownFields(res.Header), res.Body)
	}
	c := f.calls[0]
	if c.Method != "POST" || c.URL != "http://x/200?all=1&all=2&more=m" || string(c.Body) != `{"was":[1,2],"h":"i"}` || strings.Contains(shownFields(c.Header), "Cookie") || !strings.Contains(shownFields(c.Header), "X-Over=o") {
		t.Errorf("%s %s %s %s", c.Method, c.URL, c.Body, shownFields(c.Header))
	}
	g.want(request(id, "dev", "GET", "/a/403/c"), 404, "gone")
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/getting-started-aws-proxy.html
func TestServiceIntegration(t *testing.T) {
	g := newGateway(t)
	f := &fakeServices{call: func(c *ServiceCall) (*HTTPResult, error) {
		if c.RoleARN == "arn:aws:iam::123456789012:role/none" {
			return nil, awserr.New("AccessDenied", "no")
		}
		return &HTTPResult{Status: 400, Body: []byte(`{"__type":"ValidationException"}`)}, nil
	}}
	g.services = f
	_, err := g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: new("x"), ResourceId: new("y"), HttpMethod: new("GET"), Type: new("AWS"), IntegrationHttpMethod: new("POST"),
		Uri: new("arn:aws:apigateway:us-east-1:sqs:path/1/q"), Credentials: new("arn:aws:iam::123456789012:role/r")})
	wantError(t, err, "NotImplemented", "an integration with the service sqs")
	mapping := map[string]api.PutIntegrationResponseInput{"200": {}, "422": {SelectionPattern: new("400"), ResponseTemplates: map[string]string{"application/json": "$input.path('$.__type')"}}}
	uri := new("arn:aws:apigateway:eu-west-1:dynamodb:action/PutItem")
	id := g.endpoint(api.PutIntegrationInput{Type: new("AWS"), IntegrationHttpMethod: new("POST"), Uri: uri, Credentials: new("arn:aws:iam::123456789012:role/r"),
		RequestTemplates: map[string]string{"application/json": `{"TableName":"t"}`}}, mapping)
	g.want(request(id, "dev", "POST", "/a/b/c"), 422, "ValidationException")
	c := f.calls[0]
	if c.Service != "dynamodb" || c.Region != "eu-west-1" || c.Action != "PutItem" || string(c.Body) != `{"TableName":"t"}` || c.RoleARN != "arn:aws:iam::123456789012:role/r" || c.Principal != nil ||
		c.SourceARN != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/POST/a/{p}/{rest+}" {
		t.Errorf("%+v", c)
	}
	for _, credentials := range []*string{new("arn:aws:iam::123456789012:role/none"), nil, new(edge.CallerCredentials)} {
		id := g.endpoint(api.PutIntegrationInput{Type: new("AWS"), IntegrationHttpMethod: new("POST"), Uri: uri, Credentials: credentials}, mapping)
		g.want(request(id, "dev", "POST", "/a/b/c"), 500, `{"message": "Internal server error"}`)
	}
	// The caller's own credentials, where the method knows the caller.
	id = g.endpoint(api.PutIntegrationInput{Type: new("AWS"), IntegrationHttpMethod: new("POST"), Uri: uri, Credentials: new(edge.CallerCredentials)}, mapping)
	res := g.resource(id, "/a/{p}/{rest+}")
	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("ANY"), PatchOperations: ops("replace /authorizationType AWS_IAM")}))
	g.deploy(id, "dev")
	r := request(id, "dev", "POST", "/a/b/c")
	r.Authenticate = func(context.Context, string) (call.Principal, error) {
		return call.Principal{Type: call.User, Account: testAccount, ARN: testUserARN, Name: "alice"}, nil
	}
	if status, body := g.send(r); status != 422 || f.calls[len(f.calls)-1].Principal.Name != "alice" {
		t.Errorf("%d %s", status, body)
	}
	// Nobody's API acts in the name of visitors from other accounts.
	abroad := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}}`
	must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/policy"), Value: &abroad}}}))
	g.deploy(id, "dev")
	r.Authenticate = func(context.Context, string) (call.Principal, error) {
		return call.Principal{Type: call.Account, Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", ID: "999999999999"}, nil
	}
	before := len(f.calls)
	if status, body := g.send(r); status != 500 || len(f.calls) != before {
		t.Errorf("%d %s", status, body)
	}
}

func TestRequestParametersAreChecked(t *testing.T) {
	for target, source := range map[string]string{
		"method.request.header.X": "'a'", "integration.request.body.x": "'a'", "integration.request.header.": "'a'", "integration.request.header.a b": "'a'",
		"integration.request.header.X": "nonsense", "integration.request.path.x": "method.request.cookie.x",
	} {
		if checkRequestParameters(map[string]string{target: source}) == nil {
			t.Errorf("%s = %s is taken", target, source)
		}
	}
}

// What an integration takes from the request must be declared by its method.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
func TestMappedParametersAreDeclared(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE"),
		RequestParameters: map[string]bool{"method.request.querystring.q": false, "method.request.header.X-A": true}}))
	put := func(source string) error {
		_, err := g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), Type: new("HTTP"), IntegrationHttpMethod: new("GET"),
			Uri: new("http://backend.example/"), RequestParameters: map[string]string{"integration.request.header.X": source}})
		return err
	}
	for _, source := range []string{"method.request.querystring.q", "method.request.multivaluequerystring.q", "method.request.header.X-A", "method.request.body", "method.request.body.a", "'s'", "context.stage", "stageVariables.v"} {
		if err := put(source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{"method.request.querystring.p", "method.request.path.q", "method.request.header.x-a", "method.request.multivalueheader.Y"} {
		wantError(t, put(source), "BadRequestException", "errors : [Invalid mapping expression parameter specified: "+source+"]")
		_, err := g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"),
			PatchOperations: ops("add /requestParameters/integration.request.header.Z " + source)})
		wantError(t, err, "BadRequestException", source)
	}
}
