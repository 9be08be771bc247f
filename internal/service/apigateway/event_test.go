package apigateway

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	api "brume/internal/api/apigateway"

	"brume/internal/edge"
)

// Every field of the documented event, and nothing else.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
func TestProxyEvent(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	resourceID := g.proxy(id, "/pets/{id}", "ANY", true)
	deploymentID := g.deploy(id, "dev")
	keyValue, keyID, _ := g.key(id, "dev", nil, nil)
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: []api.PatchOperation{
		{Op: new("replace"), Path: new("/variables/color"), Value: new("blue")}}}))

	r := request(id, "dev", "POST", "/pets/a%20b?x=1&y=%26&x=2", Field{"Accept", "*/*"}, Field{"Connection", "keep-alive"}, Field{"Content-Length", "4"},
		Field{"Content-Type", "application/json"}, Field{"Host", "h"}, Field{"User-Agent", "curl/8"}, Field{"X-Api-Key", keyValue},
		Field{"X-Forwarded-For", "203.0.113.9"}, Field{"X-Two", "a"}, Field{"X-Two", "b"})
	r.Body = []byte(`{"é"}`)
	r.Time = time.Date(2015, 4, 9, 12, 34, 56, 789e6, time.UTC)
	if status, body := g.send(r); status != 200 || body != "ok" {
		t.Fatalf("%d %s", status, body)
	}
	in := g.lambda.calls[0]
	if in.FunctionARN != functionARN || in.Qualifier != "" || in.SourceAccount != testAccount || in.Region != testRegion || in.RoleARN != "" ||
		in.SourceARN != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/POST/pets/{id}" {
		t.Errorf("invocation %+v", in)
	}
	text := string(in.Payload)
	mask := func(pattern, with string) { text = regexp.MustCompile(pattern).ReplaceAllString(text, with) }
	mask(`"requestId":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`, `"requestId":"UUID"`)
	mask(`"extendedRequestId":"[A-Za-z0-9+/]{15}="`, `"extendedRequestId":"EXT"`)
	mask(`Root=1-552671f0-[0-9a-f]{24}`, `TRACE`)
	for from, to := range map[string]string{id: "API", resourceID: "RES", deploymentID: "DEP", keyValue: "KEYVALUE", keyID: "KEYID"} {
		text = strings.ReplaceAll(text, from, to)
	}
	want := `{"resource":"/pets/{id}","path":"/pets/a%20b","httpMethod":"POST",` +
		`"headers":{"Accept":"*/*","Content-Type":"application/json","Host":"h","User-Agent":"curl/8","X-Amzn-Trace-Id":"TRACE","X-Api-Key":"KEYVALUE",` +
		`"X-Forwarded-For":"203.0.113.9, 192.0.2.7","X-Forwarded-Port":"4566","X-Forwarded-Proto":"http","X-Two":"b"},` +
		`"multiValueHeaders":{"Accept":["*/*"],"Content-Type":["application/json"],"Host":["h"],"User-Agent":["curl/8"],"X-Amzn-Trace-Id":["TRACE"],` +
		`"X-Api-Key":["KEYVALUE"],"X-Forwarded-For":["203.0.113.9, 192.0.2.7"],"X-Forwarded-Port":["4566"],"X-Forwarded-Proto":["http"],"X-Two":["a","b"]},` +
		`"queryStringParameters":{"x":"2","y":"&"},"multiValueQueryStringParameters":{"x":["1","2"],"y":["&"]},` +
		`"pathParameters":{"id":"a%20b"},"stageVariables":{"color":"blue"},` +
		`"requestContext":{"resourceId":"RES","resourcePath":"/pets/{id}","httpMethod":"POST","extendedRequestId":"EXT",` +
		`"requestTime":"09/Apr/2015:12:34:56 +0000","path":"/dev/pets/a%20b","accountId":"123456789012","protocol":"HTTP/1.1","stage":"dev",` +
		`"domainPrefix":"API","requestTimeEpoch":1428582896789,"requestId":"UUID",` +
		`"identity":{"cognitoIdentityPoolId":null,"accountId":null,"cognitoIdentityId":null,"apiKey":"KEYVALUE","apiKeyId":"KEYID","caller":null,` +
		`"sourceIp":"192.0.2.7","principalOrgId":null,"accessKey":null,"cognitoAuthenticationType":null,"cognitoAuthenticationProvider":null,` +
		`"userArn":null,"userAgent":"curl/8","user":null},"domainName":"API.execute-api.us-east-1.localhost","deploymentId":"DEP","apiId":"API"},` +
		`"body":"{\"é\"}","isBase64Encoded":false}`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// What a request does not have is null, not absent and not empty.
func TestProxyEventOfABareRequest(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/", "GET", false)
	g.deploy(id, "dev")
	r := request(id, "dev", "GET", "")
	r.Host = "127.0.0.1:4566" // a path form
	g.want(r, 200, "ok")
	var e struct {
		Path                            string
		Query, MultiQuery, Params, Vars *json.RawMessage
		RequestContext                  struct {
			Path, DomainName string
			Identity         map[string]any
		}
	}
	payload := g.lambda.calls[0].Payload
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		if string(all[name]) != "null" {
			t.Errorf("%s is %s", name, all[name])
		}
	}
	if e.Path != "/" || e.RequestContext.Path != "/dev" || e.RequestContext.DomainName != id+".execute-api.us-east-1.amazonaws.com" {
		t.Errorf("%+v", e)
	}
	if _, ok := e.RequestContext.Identity["apiKey"]; ok {
		t.Error("a method without a key has one in its event")
	}
	if ua, ok := e.RequestContext.Identity["userAgent"]; !ok || ua != nil {
		t.Errorf("userAgent %v %v", ua, ok)
	}
	if got := slices.Sorted(maps.Keys(all)); len(got) != 12 {
		t.Errorf("fields %v", got)
	}
}

func TestBinaryRequestAndResponse(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: []api.PatchOperation{{Op: new("add"), Path: new("/binaryMediaTypes/image~1png")}}}))
	g.proxy(id, "/", "POST", false)
	g.deploy(id, "dev")
	g.lambda.invoke = returns(`{"body":"AAH/","isBase64Encoded":true,"headers":{"content-type":"image/png"}}`)

	r := request(id, "dev", "POST", "/", Field{"Content-Type", "image/png"}, Field{"Accept", "image/png"})
	r.Body = []byte{0, 1, 255}
	g.want(r, 200, "\x00\x01\xff")
	var e struct {
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(g.lambda.calls[0].Payload, &e); err != nil || e.Body != "AAH/" || !e.IsBase64Encoded {
		t.Errorf("%+v %v", e, err)
	}
	g.want(request(id, "dev", "POST", "/", Field{"Accept", "text/plain"}), 200, "AAH/")

	g.lambda.invoke = returns(`{"body":"%%%","isBase64Encoded":true}`)
	g.want(request(id, "dev", "POST", "/", Field{"Accept", "image/png"}), 500, `{"message": "Internal server error"}`)
}

// Whatever a client sends, the event is valid JSON.
func FuzzProxyEvent(f *testing.F) {
	f.Add("/a", "n", "v", []byte("b"), "q=1&q=2&%zz=+")
	f.Add("/\xff\x00", "\xffn\"\\", "\x01\u2028", []byte{0xff, 0xfe, '"'}, "&&=&a")
	st := &stage{account: "1", region: "r", apiID: "a", name: "s", variables: map[string]string{}}
	m := &method{resource: &resource{id: "i", path: "/{proxy+}"}, httpMethod: "ANY"}
	f.Fuzz(func(t *testing.T, path, name, value string, body []byte, query string) {
		x := &exchange{
			req:   &Request{Path: path, Header: []Field{{name, value}, {"Z", value}, {name, path}}, Query: edge.ParseQuery(query), Body: body, Time: time.Unix(0, 0)},
			stage: st, method: m, httpMethod: "GET", params: []Field{{"proxy", path}},
		}
		event := x.proxyEvent()
		if !json.Valid(event) || !utf8.Valid(event) {
			t.Fatalf("%q", event)
		}
	})
}

func BenchmarkProxyEvent(b *testing.B) {
	st := &stage{account: testAccount, region: testRegion, apiID: "a1b2c3d4e5", name: "dev"}
	x := &exchange{
		req: request("a1b2c3d4e5", "dev", "POST", "/DynamoBackend", Field{"Accept", "*/*"}, Field{"Content-Type", "application/json"}, Field{"Host", "localhost"},
			Field{"User-Agent", "curl/8"}, Field{"X-Api-Key", strings.Repeat("k", 40)}),
		stage: st, method: &method{resource: &resource{id: "abc123", path: "/DynamoBackend"}}, httpMethod: "POST", requestID: newRequestID(), extendedID: newExtendedID(),
	}
	x.req.Body = []byte(`{"operation":"create","tableName":"t","payload":{"Item":{"id":"1"}}}`)
	b.ReportAllocs()
	for b.Loop() {
		x.proxyEvent()
	}
}

// A semicolon in a query string splits it; one that is encoded does not.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func TestSemicolonsInQueries(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/", "GET", false)
	g.deploy(id, "dev")
	r := request(id, "dev", "GET", "/")
	r.RawQuery = "a=1;b=2%3B3&a=4"
	g.want(r, 200, "ok")
	if payload := string(g.lambda.calls[0].Payload); !strings.Contains(payload, `"multiValueQueryStringParameters":{"a":["1","4"],"b":["2;3"]}`) {
		t.Error(payload)
	}
}
