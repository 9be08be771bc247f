package lambda

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/service/lambda/environment"
)

// recorded is a URLResponse that keeps what it gets.
type recorded struct {
	status  int
	header  map[string]string
	body    string
	flushed int
	aborted bool
}

func (r *recorded) Head(status int, header []URLField) {
	r.status, r.header = status, map[string]string{}
	for _, f := range header {
		if before := r.header[f.Name]; before != "" {
			f.Value = before + "|" + f.Value
		}
		r.header[f.Name] = f.Value
	}
}
func (r *recorded) Write(p []byte) (int, error) { r.body += string(p); return len(p), nil }
func (r *recorded) Flush() error                { r.flushed++; return nil }
func (r *recorded) Abort()                      { r.aborted = true }

func (f *fixture) url(in *api.CreateFunctionUrlConfigInput) (id string) {
	f.t.Helper()
	out := ok[api.CreateFunctionUrlConfigOutput](f, "CreateFunctionUrlConfig", in)
	id, _, found := strings.Cut(strings.TrimPrefix(*out.FunctionUrl, "http://"), ".")
	if !found || len(id) != 32 || !strings.HasSuffix(*out.FunctionUrl, ".lambda-url.eu-central-1.localhost:4566/") {
		f.t.Errorf("%s", *out.FunctionUrl)
	}
	return id
}

// public lets everybody call a function by its URL.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
func (f *fixture) public(name string) {
	f.t.Helper()
	ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{
		FunctionName: &name, StatementId: new("url"), Action: new("lambda:InvokeFunctionUrl"), Principal: new("*"), FunctionUrlAuthType: new("NONE"),
	})
	ok[api.AddPermissionOutput](f, "AddPermission", &api.AddPermissionInput{
		FunctionName: &name, StatementId: new("invoke"), Action: new("lambda:InvokeFunction"), Principal: new("*"), InvokedViaFunctionUrl: new(true),
	})
}

func (f *fixture) get(id string, p call.Principal, req *URLRequest) *recorded {
	f.t.Helper()
	u, err := f.FindURL(f.t.Context(), id)
	must(f.t, err)
	info := *call.From(as(p))
	info.Account, info.Region = u.Account, u.Region
	res := &recorded{}
	f.InvokeURL(call.With(f.t.Context(), &info), u, req, res)
	return res
}

var anonymous = call.Principal{Type: call.Anonymous}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html
func TestFunctionURLConfigs(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	ok[api.AliasConfiguration](f, "CreateAlias", &api.CreateAliasInput{FunctionName: new("f"), Name: new("prod"), FunctionVersion: new("1")})
	in := &api.CreateFunctionUrlConfigInput{FunctionName: new("f"), AuthType: new("NONE")}
	id := f.url(in)
	refused[api.CreateFunctionUrlConfigOutput](f, "CreateFunctionUrlConfig", in, "ResourceConflictException", "FunctionUrlConfig exists for this Lambda function")
	aliased := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("f"), Qualifier: new("prod"), AuthType: new("AWS_IAM"), Cors: &api.Cors{AllowOrigins: []string{"*"}, MaxAge: new(int32(5))}})

	list := ok[api.ListFunctionUrlConfigsOutput](f, "ListFunctionUrlConfigs", &api.ListFunctionUrlConfigsInput{FunctionName: new("f"), MaxItems: new(int32(1))})
	if len(list.FunctionUrlConfigs) != 1 || list.NextMarker == nil || *list.FunctionUrlConfigs[0].InvokeMode != "BUFFERED" {
		t.Errorf("%+v", list)
	}
	list = ok[api.ListFunctionUrlConfigsOutput](f, "ListFunctionUrlConfigs", &api.ListFunctionUrlConfigsInput{FunctionName: new("f"), Marker: list.NextMarker})
	if len(list.FunctionUrlConfigs) != 1 || *list.FunctionUrlConfigs[0].FunctionArn != fnARN+"f:prod" || *list.FunctionUrlConfigs[0].Cors.MaxAge != 5 {
		t.Errorf("%+v", list)
	}
	updated := ok[api.UpdateFunctionUrlConfigOutput](f, "UpdateFunctionUrlConfig", &api.UpdateFunctionUrlConfigInput{FunctionName: new("f"), InvokeMode: new("RESPONSE_STREAM")})
	if *updated.InvokeMode != "RESPONSE_STREAM" || *updated.AuthType != "NONE" || !strings.Contains(*updated.FunctionUrl, id) {
		t.Errorf("%+v", updated)
	}
	ok[api.DeleteFunctionUrlConfigOutput](f, "DeleteFunctionUrlConfig", &api.DeleteFunctionUrlConfigInput{FunctionName: new("f")})
	refused[api.GetFunctionUrlConfigOutput](f, "GetFunctionUrlConfig", &api.GetFunctionUrlConfigInput{FunctionName: new("f")}, "ResourceNotFoundException", "does not exist")
	ok[api.DeleteAliasOutput](f, "DeleteAlias", &api.DeleteAliasInput{FunctionName: new("f"), Name: new("prod")})
	last := f.url(in)
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")})
	for _, gone := range []string{id, aliased, last} {
		if _, err := f.FindURL(t.Context(), gone); err != ErrNoFunctionURL {
			t.Errorf("%s: %v", gone, err)
		}
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
func TestWhoMayUseAFunctionURL(t *testing.T) {
	f := newFixture(t)
	f.create("open")
	f.create("signed")
	open := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("open"), AuthType: new("NONE")})
	signed := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("signed"), AuthType: new("AWS_IAM")})
	req := &URLRequest{Method: "GET"}
	if res := f.get(open, anonymous, req); res.status != 403 || res.body != forbidden {
		t.Errorf("without a policy: %+v", res)
	}
	f.public("open")
	f.public("signed")
	if res := f.get(open, anonymous, req); res.status != 200 {
		t.Errorf("with both permissions: %+v", res)
	}
	if res := f.get(signed, anonymous, req); res.status != 403 {
		t.Errorf("the policy is for URLs without signatures: %+v", res)
	}
	// Either permission alone is not enough.
	for _, sid := range []string{"url", "invoke"} {
		ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("open"), StatementId: &sid})
		if res := f.get(open, anonymous, req); res.status != 403 {
			t.Errorf("without %s: %+v", sid, res)
		}
		ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("open"), StatementId: new(map[string]string{"url": "invoke", "invoke": "url"}[sid])})
		f.public("open")
	}
	may := call.From(f.user("may", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["lambda:InvokeFunctionUrl","lambda:InvokeFunction"],"Resource":"`+fnARN+`signed",
		"Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"AWS_IAM"},"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}}`)).Principal
	if res := f.get(signed, may, req); res.status != 200 {
		t.Errorf("%+v", res)
	}
	ok[api.RemovePermissionOutput](f, "RemovePermission", &api.RemovePermissionInput{FunctionName: new("signed"), StatementId: new("invoke")})
	half := call.From(f.user("half", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:InvokeFunctionUrl","Resource":"*"}}`)).Principal
	if res := f.get(signed, half, req); res.status != 403 {
		t.Errorf("with one permission: %+v", res)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload
func TestFunctionURLEvents(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	f.public("f")
	id := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("f"), AuthType: new("NONE")})
	f.get(id, anonymous, &URLRequest{
		Method: "POST", Path: "/a%20b/", Query: "x=1&x=2&y=%C3%A4&=z", Host: id + ".lambda-url.eu-central-1.localhost:4566", Protocol: "HTTP/1.1", Port: 4566,
		Header: map[string][]string{"content-type": {"application/json; charset=utf-8"}, "cookie": {"a=1; b=2"}, "x-h": {"1", "2"}}, Body: []byte(`{"a":1}`),
	})
	var e map[string]any
	must(t, json.Unmarshal(f.envs.runs[0].Payload, &e))
	rc := e["requestContext"].(map[string]any)
	for what, c := range map[string][2]any{
		"path": {e["rawPath"], "/a%20b/"}, "query": {e["rawQueryString"], "x=1&x=2&y=%C3%A4&=z"}, "cookies": {e["cookies"], "[a=1 b=2]"},
		"parameters": {e["queryStringParameters"], "map[:z x:1,2 y:ä]"}, "body": {e["body"], `{"a":1}`}, "base64": {e["isBase64Encoded"], "false"},
		"header": {e["headers"].(map[string]any)["x-h"], "1,2"}, "account": {rc["accountId"], "anonymous"}, "api": {rc["apiId"], id},
		"domain": {rc["domainName"], id + ".lambda-url.eu-central-1.localhost"}, "method": {rc["http"].(map[string]any)["method"], "POST"},
		"source": {rc["http"].(map[string]any)["sourceIp"], "127.0.0.1"}, "version": {e["version"], "2.0"}, "stage": {rc["stage"], "$default"},
	} {
		if fmt.Sprint(c[0]) != c[1] {
			t.Errorf("%s: %v, want %v", what, c[0], c[1])
		}
	}
	f.get(id, anonymous, &URLRequest{Method: "POST", Header: map[string][]string{"content-type": {"application/x-www-form-urlencoded"}}, Body: []byte("a=b")})
	if p := string(f.envs.runs[1].Payload); !strings.Contains(p, `"body":"YT1i","isBase64Encoded":true`) || !strings.Contains(p, `"rawPath":"/"`) {
		t.Error(p)
	}
	// Each request has a trace, which the function's invocation continues.
	if trace := e["headers"].(map[string]any)["x-amzn-trace-id"]; !strings.HasPrefix(fmt.Sprint(trace), "Root=1-") || !strings.HasPrefix(f.envs.runs[0].TraceID, fmt.Sprint(trace)+";") {
		t.Errorf("trace %v, %s", trace, f.envs.runs[0].TraceID)
	}
	const sent = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
	if res := f.get(id, anonymous, &URLRequest{Method: "GET", Header: map[string][]string{"x-amzn-trace-id": {sent}}}); res.header["x-amzn-trace-id"] != sent {
		t.Errorf("%v", res.header)
	}
	if p := string(f.envs.runs[2].Payload); !strings.Contains(p, `"x-amzn-trace-id":"`+sent+`"`) || !strings.HasPrefix(f.envs.runs[2].TraceID, sent+";") {
		t.Error(p, f.envs.runs[2].TraceID)
	}
	if res := f.get(id, anonymous, &URLRequest{Method: "POST", Body: make([]byte, 5<<20)}); res.status != 413 {
		t.Errorf("a body that is too large in base64: %+v", res.status)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload
func TestFunctionURLAnswers(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	f.public("f")
	id := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("f"), AuthType: new("NONE"), Cors: &api.Cors{
		AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"GET"}, AllowHeaders: []string{"x-a", "x-b"}, ExposeHeaders: []string{"x-c"}, AllowCredentials: new(true), MaxAge: new(int32(60)),
	}})
	for _, c := range []struct{ payload, want string }{
		{`"Hello, world!"`, `200 application/json "Hello, world!"`},
		{`{"message":"hi"}`, `200 application/json {"message":"hi"}`},
		{`{"statusCode":201,"headers":{"Content-Type":"text/plain","X-N":1},"body":"b","cookies":["a=1","b=2"]}`, `201 text/plain b`},
		{`{"statusCode":"200","body":"aGk=","isBase64Encoded":true}`, `200 application/json hi`},
		{`{"statusCode":200,"body":{"a":1}}`, `200 application/json {"a":1}`},
		{`{"statusCode":"x"}`, `502 application/json Internal Server Error`},
		{`{"statusCode":200,"headers":{"x":"a\r\nb: c"}}`, `200 application/json `},
		{`null`, `200 application/json null`},
	} {
		f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
			return &environment.Result{Payload: []byte(c.payload)}, nil
		}
		res := f.get(id, anonymous, &URLRequest{Method: "GET"})
		if got := fmt.Sprint(res.status, " ", res.header["content-type"], " ", res.body); got != c.want {
			t.Errorf("%s: %s, want %s", c.payload, got, c.want)
		}
		if res.status == 201 && (res.header["set-cookie"] != "a=1|b=2" || res.header["x-n"] != "1") {
			t.Errorf("%+v", res.header)
		}
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return &environment.Result{Payload: []byte(`{"errorType":"E"}`), Failed: true}, nil
	}
	if res := f.get(id, anonymous, &URLRequest{Method: "GET"}); res.status != 502 || res.body != "Internal Server Error" {
		t.Errorf("%+v", res)
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return nil, &environment.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}
	}
	before := len(f.envs.runs)
	if res := f.get(id, anonymous, &URLRequest{Method: "GET"}); res.status != 429 {
		t.Errorf("%+v", res)
	}

	// Browsers: https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors
	preflight := func(origin, method string) *recorded {
		return f.get(id, anonymous, &URLRequest{Method: "OPTIONS", Header: map[string][]string{"origin": {origin}, "access-control-request-method": {method}}})
	}
	res := preflight("https://a.example", "GET")
	if res.status != 200 || res.header["access-control-allow-origin"] != "https://a.example" || res.header["access-control-allow-headers"] != "x-a,x-b" ||
		res.header["access-control-max-age"] != "60" || res.header["access-control-allow-credentials"] != "true" {
		t.Errorf("%+v", res)
	}
	for _, res := range []*recorded{preflight("https://b.example", "GET"), preflight("https://a.example", "DELETE")} {
		if res.status != 200 || res.header["access-control-allow-origin"] != "" {
			t.Errorf("%+v", res)
		}
	}
	if len(f.envs.runs) != before+1 {
		t.Error("a preflight request ran the function")
	}
	f.envs.run = nil
	res = f.get(id, anonymous, &URLRequest{Method: "GET", Header: map[string][]string{"origin": {"https://a.example"}}})
	if res.header["access-control-expose-headers"] != "x-c" || res.header["vary"] != "Origin" {
		t.Errorf("%+v", res)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
func TestFunctionURLStreams(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	f.public("f")
	id := f.url(&api.CreateFunctionUrlConfigInput{FunctionName: new("f"), AuthType: new("NONE"), InvokeMode: new("RESPONSE_STREAM")})
	play := func(contentType string, failed bool, pieces ...string) *recorded {
		f.envs.run = func(_ *environment.Function, inv *environment.Invocation) (*environment.Result, error) {
			if contentType != "none" {
				inv.Stream.Begin(contentType)
			}
			for _, p := range pieces {
				if _, err := inv.Stream.Write([]byte(p)); err != nil {
					break
				}
			}
			return &environment.Result{Failed: failed}, nil
		}
		return f.get(id, anonymous, &URLRequest{Method: "GET"})
	}
	zeros := strings.Repeat("\x00", 8)
	if res := play("text/html", false, "a", "b"); res.status != 200 || res.header["content-type"] != "text/html" || res.body != "ab" || res.flushed != 2 {
		t.Errorf("%+v", res)
	}
	if res := play(streamedHTTP, false, `{"statusCode":418,"hea`, `ders":{"X-A":"1"},"cookies":["c=1"]}`+zeros[:3], zeros[3:]+"tea", "pot"); res.status != 418 || res.header["x-a"] != "1" || res.header["set-cookie"] != "c=1" || res.body != "teapot" {
		t.Errorf("%+v", res)
	}
	if res := play(streamedHTTP, false, "no head"); res.status != 502 || res.aborted {
		t.Errorf("%+v", res)
	}
	if res := play(streamedHTTP, false, strings.Repeat("x", maxPrelude+1), "y"); res.status != 502 || res.body != "Internal Server Error" {
		t.Errorf("%+v", res)
	}
	if res := play("none", true); res.status != 502 {
		t.Errorf("%+v", res)
	}
	if res := play("text/plain", true, "half"); !res.aborted || res.body != "half" {
		t.Errorf("%+v", res)
	}
}

// Whatever a function sends as the head of a stream or as its answer, no header of a response breaks out of it.
func FuzzURLAnswer(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"},"cookies":["c=d"],"body":"x"}`))
	f.Add([]byte(`{"statusCode":"404","headers":{"a\r\n":null,"b":[1]},"isBase64Encoded":true,"body":"="}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		check := func(fields []URLField) {
			for _, h := range fields {
				if !edge.ValidHeader(edge.Field{Name: h.Name, Value: h.Value}) {
					t.Errorf("%q: %q", h.Name, h.Value)
				}
			}
		}
		if a, ok := edge.ReadAnswer(payload); ok {
			if a.Status < 100 || a.Status > 599 {
				t.Error(a.Status)
			}
			check(answerFields(a, nil))
		}
		res := &recorded{}
		s := &urlStream{to: res}
		s.Begin(streamedHTTP)
		if _, err := s.Write(append(payload, preludeEnd...)); err == nil && res.status == 0 {
			t.Error("no head")
		}
	})
}
