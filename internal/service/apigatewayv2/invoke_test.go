package apigatewayv2

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
)

// The events, field by field.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func TestEvents(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "POST /two/{name}", "2.0")
	g.lambdaRoute(id, "POST /one/{name}", "1.0")
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), StageVariables: map[string]string{"v": "x"}}))
	at := time.Date(2026, 3, 12, 19, 3, 58, 390e6, time.UTC)
	send := func(path string) map[string]any {
		r := request(id, "POST", path+"?a=1&a=2&b=x%20y", edge.Field{"Header1", "v1"}, edge.Field{"Header1", "v2"}, edge.Field{"Cookie", "c1=1; c2=2"},
			edge.Field{"Content-Type", "application/json"}, edge.Field{"User-Agent", "agent"}, edge.Field{"X-Amzn-Trace-Id", "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"})
		r.Body, r.Time = []byte(`{"k":"ü"}`), at
		g.want(r, 200, "ok")
		e := g.event()
		delete(e["requestContext"].(map[string]any), "requestId")
		delete(e["requestContext"].(map[string]any), "extendedRequestId")
		return e
	}
	same := func(got map[string]any, want string) {
		t.Helper()
		var w map[string]any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(want, "API", id)), &w); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, w) {
			text, _ := json.MarshalIndent(got, "", " ")
			t.Errorf("got %s\nwant %s", text, want)
		}
	}
	same(send("/two/a%20b"), `{"version":"2.0","routeKey":"POST /two/{name}","rawPath":"/two/a b","rawQueryString":"a=1&a=2&b=x%20y","cookies":["c1=1","c2=2"],
		"headers":{"header1":"v1,v2","content-type":"application/json","user-agent":"agent","x-amzn-trace-id":"Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
			"x-forwarded-for":"192.0.2.7","x-forwarded-port":"4566","x-forwarded-proto":"http"},
		"queryStringParameters":{"a":"1,2","b":"x y"},"pathParameters":{"name":"a b"},"stageVariables":{"v":"x"},"body":"{\"k\":\"ü\"}","isBase64Encoded":false,
		"requestContext":{"accountId":"123456789012","apiId":"API","domainName":"API.execute-api.us-east-1.localhost","domainPrefix":"API","routeKey":"POST /two/{name}",
			"http":{"method":"POST","path":"/two/a b","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"agent"},
			"stage":"$default","time":"12/Mar/2026:19:03:58 +0000","timeEpoch":1773342238390}}`)
	same(send("/one/a%20b"), `{"version":"1.0","resource":"/one/{name}","path":"/one/a b","httpMethod":"POST",
		"headers":{"header1":"v2","cookie":"c1=1; c2=2","content-type":"application/json","user-agent":"agent","x-amzn-trace-id":"Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
			"x-forwarded-for":"192.0.2.7","x-forwarded-port":"4566","x-forwarded-proto":"http"},
		"multiValueHeaders":{"header1":["v1","v2"],"cookie":["c1=1; c2=2"],"content-type":["application/json"],"user-agent":["agent"],"x-amzn-trace-id":["Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"],
			"x-forwarded-for":["192.0.2.7"],"x-forwarded-port":["4566"],"x-forwarded-proto":["http"]},
		"queryStringParameters":{"a":"2","b":"x y"},"multiValueQueryStringParameters":{"a":["1","2"],"b":["x y"]},
		"pathParameters":{"name":"a b"},"stageVariables":{"v":"x"},"body":"{\"k\":\"ü\"}","isBase64Encoded":false,
		"requestContext":{"accountId":"123456789012","apiId":"API","domainName":"API.execute-api.us-east-1.localhost","domainPrefix":"API","httpMethod":"POST",
			"identity":{"accessKey":null,"accountId":null,"caller":null,"cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"cognitoIdentityId":null,
				"cognitoIdentityPoolId":null,"principalOrgId":null,"sourceIp":"192.0.2.7","user":null,"userAgent":"agent","userArn":null},
			"path":"/one/a b","protocol":"HTTP/1.1","requestTime":"12/Mar/2026:19:03:58 +0000","requestTimeEpoch":1773342238390,
			"resourceId":"POST /one/{name}","resourcePath":"/one/{name}","stage":"$default"}}`)
	r := request(id, "POST", "/two/x", edge.Field{"Content-Type", "image/png"})
	r.Body = []byte{0xff, 0}
	g.want(r, 200, "ok")
	if e := g.event(); e["body"] != "/wA=" || e["isBase64Encoded"] != true {
		t.Errorf("%v", e)
	}
	if in := g.lambda.calls[0]; in.SourceARN != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/$default/POST/two/{name}" || in.FunctionARN != functionARN || in.RoleARN != "" {
		t.Errorf("%+v", in)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.response
func TestResponses(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "GET /two", "2.0")
	g.lambdaRoute(id, "GET /one", "1.0")
	const broken = `{"message":"Internal Server Error"}`
	for _, tt := range []struct {
		path, output string
		status       int
		body, header string
	}{
		{"/two", `{"message":"Hello"}`, 200, `{"message":"Hello"}`, "content-type: application/json"},
		{"/two", `"text"`, 200, "text", "content-type: application/json"},
		{"/two", `[1]`, 200, "[1]", "content-type: application/json"},
		{"/two", `{"statusCode":201,"body":"b","headers":{"X-A":1},"cookies":["c=1"]}`, 201, "b", "content-type: text/plain;charset=UTF-8"},
		{"/two", `{"statusCode":201,"headers":{"X-A":1}}`, 201, "", "x-a: 1"},
		{"/two", `{"statusCode":200,"cookies":["c=1"]}`, 200, "", "set-cookie: c=1"},
		{"/two", `{"statusCode":200,"headers":{"a\r\nb":"c","x":"y\r\nz"}}`, 200, "", "x: "},
		{"/two", `{"statusCode":200,"body":"aGk=","isBase64Encoded":true}`, 200, "hi", ""},
		{"/two", `{"statusCode":"teapot"}`, 500, broken, ""},
		{"/one", `{"statusCode":200,"multiValueHeaders":{"A":["1","2"]},"body":"b"}`, 200, "b", "a: 1,2"},
		{"/one", `{"message":"Hello"}`, 500, broken, ""},
		{"/two", `{`, 500, broken, ""},
	} {
		g.lambda.run = returns(tt.output)
		res := g.want(request(id, "GET", tt.path), tt.status, tt.body)
		if name, want, ok := strings.Cut(tt.header, ": "); ok && headerOf(res, name) != want {
			t.Errorf("%s: headers %v", tt.output, res.Header)
		}
		if headerOf(res, "apigw-requestid") == "" {
			t.Errorf("%v", res.Header)
		}
	}
	for _, tt := range []struct {
		result *edge.LambdaResult
		err    error
		status int
		body   string
	}{
		{&edge.LambdaResult{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"x"}`)}, nil, 500, broken},
		{nil, awserr.New("AccessDeniedException", "no"), 500, broken},
		{nil, awserr.New("TooManyRequestsException", "later"), 503, `{"message":"Service Unavailable"}`},
		{nil, errors.New("disk on fire"), 500, broken},
	} {
		g.lambda.run = func(context.Context, *edge.LambdaInvocation) (*edge.LambdaResult, error) { return tt.result, tt.err }
		g.want(request(id, "GET", "/two"), tt.status, tt.body)
	}
}

// 30 seconds, or what the integration says.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		id := g.api(nil)
		r := g.lambdaRoute(id, "$default", "2.0")
		g.lambda.run = func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		integration := targetOf((*api.Route)(r))
		for _, limit := range []time.Duration{30 * time.Second, 2 * time.Second} {
			must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{ApiId: &id, IntegrationId: &integration, TimeoutInMillis: new(int32(limit.Milliseconds()))}))
			begin := time.Now()
			g.want(request(id, "GET", "/"), 503, `{"message":"Service Unavailable"}`)
			if d := time.Since(begin); d != limit {
				t.Errorf("after %v", d)
			}
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
func TestThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		id := g.api(nil)
		g.lambdaRoute(id, "GET /own", "2.0")
		g.lambdaRoute(id, "GET /a", "2.0")
		g.lambdaRoute(id, "GET /b", "2.0")
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{
			ApiId: &id, StageName: new("$default"), DefaultRouteSettings: &api.RouteSettings{ThrottlingRateLimit: new(10.0), ThrottlingBurstLimit: new(int32(5))},
			RouteSettings: map[string]api.RouteSettings{"GET /own": {ThrottlingRateLimit: new(1.0), ThrottlingBurstLimit: new(int32(2))}},
		}))
		count := func(path string) (n int) {
			for range 50 {
				if res := g.send(request(id, "GET", path)); res.Status == 200 {
					n++
				} else if string(res.Body) != `{"message":"Too Many Requests"}` || res.Status != 429 {
					t.Errorf("%d %s", res.Status, res.Body)
				}
			}
			return n
		}
		if own, a, b := count("/own"), count("/a"), count("/b"); own != 2 || a != 5 || b != 5 {
			t.Errorf("%d %d %d", own, a, b)
		}
		time.Sleep(time.Second)
		if own, a := count("/own"), count("/a"); own != 1 || a != 5 {
			t.Errorf("%d %d", own, a)
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
func TestCors(t *testing.T) {
	g := newTester(t)
	id := g.api(&api.Cors{AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"GET", "POST"}, AllowHeaders: []string{"x-a"}, ExposeHeaders: []string{"x-b"}, MaxAge: new(int32(60)), AllowCredentials: new(true)})
	g.lambdaRoute(id, "GET /a", "2.0")
	origin := edge.Field{"Origin", "https://a.example"}
	res := g.want(request(id, "OPTIONS", "/whatever", origin, edge.Field{"Access-Control-Request-Method", "GET"}), 204, "")
	for name, want := range map[string]string{"allow-origin": "https://a.example", "allow-methods": "GET,POST", "allow-headers": "x-a", "max-age": "60", "allow-credentials": "true"} {
		if got := headerOf(res, "access-control-"+name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	g.lambda.run = returns(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"},"body":"ok"}`)
	if res = g.want(request(id, "GET", "/a", origin), 200, "ok"); headerOf(res, "access-control-allow-origin") != "https://a.example" || headerOf(res, "access-control-expose-headers") != "x-b" {
		t.Errorf("%v", res.Header)
	}
	if res = g.want(request(id, "GET", "/a", edge.Field{"Origin", "https://evil.example"}), 200, "ok"); headerOf(res, "access-control-allow-origin") != "" {
		t.Errorf("%v", res.Header)
	}
	if res = g.want(request(id, "GET", "/none", origin), 404, `{"message":"Not Found"}`); headerOf(res, "access-control-allow-origin") != "https://a.example" {
		t.Errorf("%v", res.Header)
	}
	must(g.DeleteCorsConfiguration(g.ctx, &api.DeleteCorsConfigurationInput{ApiId: &id}))
	g.want(request(id, "OPTIONS", "/whatever", origin, edge.Field{"Access-Control-Request-Method", "GET"}), 404, `{"message":"Not Found"}`)
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
func TestHTTPProxy(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), StageVariables: map[string]string{"host": "up.example", "v": "var"}}))
	i := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://${stageVariables.host}/base/{proxy}?k=1"), IntegrationMethod: new("ANY")}))
	must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("ANY /out/{proxy+}"), Target: new("integrations/" + *i.IntegrationId)}))
	g.want(request(id, "PATCH", "/out/a%20b/c?q=x%20y", edge.Field{"Host", "here"}, edge.Field{"X-One", "1"}), 200, "there")
	header := func(name string) string { v, _ := joined(g.http.last.Header, name, true); return v }
	if c := g.http.last; c.Method != "PATCH" || c.URL != "https://up.example/base/a%20b/c?k=1&q=x%20y" || header("x-one") != "1" || header("host") != "" || !strings.HasPrefix(header("forwarded"), "for=192.0.2.7;host="+id) {
		t.Errorf("%+v", c)
	}
	must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{
		ApiId: &id, IntegrationId: i.IntegrationId,
		RequestParameters: map[string]string{
			"append:header.x-one": "$request.querystring.q", "overwrite:header.x-two": "${request.path.proxy}-${stageVariables.v}-${context.stage}", "remove:header.x-three": "''",
			"overwrite:querystring.q": "$request.body.a.list[1]", "append:querystring.n": "static", "overwrite:path": "/new/${request.header.x-one}",
		},
		ResponseParameters: map[string]map[string]string{"200": {"overwrite:statuscode": "203", "append:header.x-body": "$response.body.deep.v", "overwrite:header.x-from": "$response.header.x-up", "remove:header.x-up": ""}},
	}))
	g.http.res = &edge.HTTPResult{Status: 200, Header: []edge.Field{{"X-Up", "up"}, {"Connection", "close"}}, Body: []byte(`{"deep":{"v":7}}`)}
	r := request(id, "POST", "/out/a/b?q=1", edge.Field{"X-One", "one"}, edge.Field{"X-Three", "3"})
	r.Body = []byte(`{"a":{"list":[0,"second"]}}`)
	res := g.want(r, 203, `{"deep":{"v":7}}`)
	if c := g.http.last; c.URL != "https://up.example/new/one?k=1&n=static&q=second" && c.URL != "https://up.example/new/one?k=1&q=second&n=static" || header("x-one") != "one,1" || header("x-two") != "a/b-var-$default" || header("x-three") != "" {
		t.Errorf("%+v", c)
	}
	if headerOf(res, "x-body") != "7" || headerOf(res, "x-from") != "up" || headerOf(res, "x-up") != "" || headerOf(res, "connection") != "" {
		t.Errorf("%v", res.Header)
	}
	// An entry that is set to nothing is taken out.
	if p := must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{ApiId: &id, IntegrationId: i.IntegrationId, RequestParameters: map[string]string{"append:header.x-one": ""}, ResponseParameters: map[string]map[string]string{"200": {}}})); len(p.RequestParameters) != 5 || len(p.ResponseParameters) != 0 {
		t.Errorf("%+v", p)
	}
	// The default route's integration gets the whole path.
	d := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://up.example/base?k=1"), IntegrationMethod: new("ANY")}))
	must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("$default"), Target: new("integrations/" + *d.IntegrationId)}))
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("dev"), AutoDeploy: new(true)}))
	g.http.res = &edge.HTTPResult{Status: 200}
	for path, want := range map[string]string{"/store/check%20out?q=1": "https://up.example/base/store/check%20out?k=1&q=1", "/": "https://up.example/base?k=1", "/dev/a%2Fb": "https://up.example/base/dev/a%2Fb?k=1"} {
		if g.send(request(id, "GET", path)); g.http.last.URL != want {
			t.Errorf("%s goes to %s", path, g.http.last.URL)
		}
	}
	must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{ApiId: &id, IntegrationId: d.IntegrationId, RequestParameters: map[string]string{"overwrite:path": "$request.path"}}))
	if g.send(request(id, "GET", "/dev/a")); g.http.last.URL != "https://up.example/a?k=1" {
		t.Error(g.http.last.URL)
	}
	g.http.err = errors.New("connection refused")
	g.want(request(id, "GET", "/out/a"), 503, `{"message":"Service Unavailable"}`)
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
func TestJWT(t *testing.T) {
	g := newTester(t)
	key, other, curve := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	g.Keys = fakeKeys{&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}, {Key: curve.Public(), KeyID: "k2"}}}}
	g.Issuers = map[string]string{"us-east-1_pool": testIssuer}
	id := g.api(nil)
	a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{
		ApiId: &id, Name: new("jwt"), AuthorizerType: new("JWT"), IdentitySource: []string{"$request.header.Authorization"},
		JwtConfiguration: &api.JWTConfiguration{Issuer: new(testIssuer), Audience: []string{"app", "other"}},
	}))
	secured := func(scopes ...string) func(*api.CreateRouteInput) {
		return func(in *api.CreateRouteInput) {
			in.AuthorizationType, in.AuthorizerId, in.AuthorizationScopes = new("JWT"), a.AuthorizerId, scopes
		}
	}
	g.lambdaRoute(id, "GET /plain", "2.0", secured())
	g.lambdaRoute(id, "GET /scoped", "2.0", secured("read", "admin"))
	g.lambdaRoute(id, "GET /old", "1.0", secured("read"))
	pool := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{
		ApiId: &id, Name: new("pool"), AuthorizerType: new("JWT"), IdentitySource: []string{"$request.header.Authorization"},
		JwtConfiguration: &api.JWTConfiguration{Issuer: new("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_pool"), Audience: []string{"app"}},
	}))
	g.lambdaRoute(id, "GET /pool", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType, in.AuthorizerId = new("JWT"), pool.AuthorizerId })
	signed := func(algorithm jose.SignatureAlgorithm, by any, keyID string, change map[string]any) string {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: by, KeyID: keyID}}, nil))
		all := map[string]any{"iss": testIssuer, "sub": "ada", "aud": "app", "exp": time.Now().Add(time.Hour).Unix(), "groups": []string{"a", "b"}}
		for k, v := range change {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
		return "Bearer " + must(jwt.Signed(signer).Claims(all).Serialize())
	}
	token := func(by *rsa.PrivateKey, change map[string]any) string { return signed(jose.RS256, by, "k1", change) }
	for _, tt := range []struct {
		what, path, token string
		status            int
		challenge         string
	}{
		{"good", "/plain", token(key, nil), 200, ""},
		{"bare", "/plain", strings.TrimPrefix(token(key, nil), "Bearer "), 200, ""},
		{"no token", "/plain", "", 401, "Bearer"},
		{"a key without a name", "/plain", signed(jose.RS256, key, "", nil), 401, "invalid_token"},
		{"a key of another name", "/plain", signed(jose.RS256, key, "k2", nil), 401, "invalid_token"},
		{"an elliptic curve", "/plain", signed(jose.ES256, curve, "k2", nil), 401, "invalid_token"},
		{"of a user pool that is elsewhere", "/pool", token(key, nil), 200, ""},
		{"no token at all", "/plain", "Bearer x", 401, `Bearer scope="" error="invalid_token" error_description="the token is not valid"`},
		{"another's signature", "/plain", token(other, nil), 401, "invalid_token"},
		{"another issuer", "/plain", token(key, map[string]any{"iss": "https://evil.example"}), 401, "invalid_token"},
		{"expired", "/plain", token(key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), 401, `error_description="the token has expired"`},
		{"without end", "/plain", token(key, map[string]any{"exp": nil}), 401, "invalid_token"},
		{"not yet", "/plain", token(key, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 401, "invalid_token"},
		{"another audience", "/plain", token(key, map[string]any{"aud": "x"}), 401, `Bearer scope="" error="invalid_token" error_description="the token does not have a valid audience"`},
		{"client_id", "/plain", token(key, map[string]any{"aud": nil, "client_id": "other"}), 200, ""},
		{"client_id beside aud", "/plain", token(key, map[string]any{"aud": "x", "client_id": "app"}), 401, "valid audience"},
		{"no scope", "/scoped", token(key, nil), 403, `error="insufficient_scope"`},
		{"a scope", "/scoped", token(key, map[string]any{"scope": "x read"}), 200, ""},
		{"scp", "/scoped", token(key, map[string]any{"scp": []string{"admin"}}), 200, ""},
	} {
		var header []edge.Field
		if tt.token != "" {
			header = []edge.Field{{"authorization", tt.token}}
		}
		body := map[int]string{200: "ok", 401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}[tt.status]
		res := g.want(request(id, "GET", tt.path, header...), tt.status, body)
		if c := headerOf(res, "www-authenticate"); !strings.Contains(c, tt.challenge) || tt.status == 200 && c != "" {
			t.Errorf("%s: %q", tt.what, c)
		}
	}
	for issuer, ok := range map[string]bool{"http://localhost:8080/realm": true, "http://issuer.example": false} {
		_, err := g.UpdateAuthorizer(g.ctx, &api.UpdateAuthorizerInput{ApiId: &id, AuthorizerId: pool.AuthorizerId, JwtConfiguration: &api.JWTConfiguration{Issuer: &issuer, Audience: []string{"app"}}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	g.want(request(id, "GET", "/scoped", edge.Field{"Authorization", token(key, map[string]any{"scope": "read", "n": 5, "b": true})}), 200, "ok")
	got, _ := json.Marshal(g.event()["requestContext"].(map[string]any)["authorizer"])
	if s := string(got); !strings.Contains(s, `"groups":"[a b]"`) || !strings.Contains(s, `"n":"5"`) || !strings.Contains(s, `"b":"true"`) || !strings.HasSuffix(s, `"scopes":["read"]}}`) || !strings.HasPrefix(s, `{"jwt":{"claims":{`) {
		t.Error(s)
	}
	g.want(request(id, "GET", "/old", edge.Field{"Authorization", token(key, map[string]any{"scope": "read"})}), 200, "ok")
	if a := g.event()["requestContext"].(map[string]any)["authorizer"].(map[string]any); a["claims"].(map[string]any)["sub"] != "ada" {
		t.Errorf("%v", a)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
func TestLambdaAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		id := g.api(nil)
		guard := func(key, version string, simple bool, ttl int32) {
			a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{
				ApiId: &id, Name: &key, AuthorizerType: new("REQUEST"), IdentitySource: []string{"$request.header.Auth", "$request.querystring.q"}, AuthorizerUri: new("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + functionARN + "-auth/invocations"),
				AuthorizerPayloadFormatVersion: &version, EnableSimpleResponses: &simple, AuthorizerResultTtlInSeconds: &ttl,
			}))
			g.lambdaRoute(id, key, "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType, in.AuthorizerId = new("CUSTOM"), a.AuthorizerId })
		}
		guard("GET /simple", "2.0", true, 60)
		guard("GET /policy", "1.0", false, 0)
		var answer string
		asked, event := 0, map[string]any{}
		g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			if !strings.HasSuffix(in.FunctionARN, "-auth") {
				return &edge.LambdaResult{Payload: []byte(`{"statusCode":200,"body":"ok"}`)}, nil
			}
			asked++
			event = map[string]any{}
			return &edge.LambdaResult{Payload: []byte(answer)}, json.Unmarshal(in.Payload, &event)
		}
		send := func(path, auth string) *edge.Request {
			return request(id, "GET", path+"?q=1", edge.Field{"Auth", auth})
		}
		const no, broken = `{"message":"Forbidden"}`, `{"message":"Internal Server Error"}`
		g.want(request(id, "GET", "/simple"), 401, `{"message":"Unauthorized"}`)
		if asked != 0 {
			t.Error("it was asked for nobody")
		}
		answer = `{"isAuthorized":true,"context":{"who":"ada","n":1}}`
		g.want(send("/simple", "a"), 200, "ok")
		if a := g.event()["requestContext"].(map[string]any)["authorizer"]; !reflect.DeepEqual(a, map[string]any{"lambda": map[string]any{"who": "ada", "n": 1.0}}) {
			t.Errorf("%v", a)
		}
		if event["version"] != "2.0" || event["type"] != "REQUEST" || event["routeArn"] != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/$default/GET/simple" || !reflect.DeepEqual(event["identitySource"], []any{"a", "1"}) || event["routeKey"] != "GET /simple" {
			t.Errorf("%v", event)
		}
		answer = `{"isAuthorized":false}`
		g.want(send("/simple", "a"), 200, "ok") // remembered
		g.want(send("/simple", "b"), 403, no)
		time.Sleep(61 * time.Second)
		g.want(send("/simple", "a"), 403, no)
		must(g.ResetAuthorizersCache(g.ctx, &api.ResetAuthorizersCacheInput{ApiId: &id, StageName: new("$default")}))
		answer = `{"isAuthorized":true}`
		g.want(send("/simple", "a"), 200, "ok")
		answer = `{"yes":true}`
		g.want(send("/simple", "c"), 500, broken)

		document := func(effect, resource string) string {
			return `{"principalId":"p","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"execute-api:Invoke","Resource":"` + resource + `"}]},"context":{"k":"v"}}`
		}
		answer = document("Allow", "arn:aws:execute-api:*:*:"+id+"/$default/GET/policy")
		g.want(send("/policy", "a"), 200, "ok")
		if event["version"] != "1.0" || event["methodArn"] != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/$default/GET/policy" || event["identitySource"] != "a,1" || event["resource"] != "/policy" {
			t.Errorf("%v", event)
		}
		answer = document("Allow", "arn:aws:execute-api:*:*:other/*")
		g.want(send("/policy", "a"), 403, no)
		answer = document("Deny", "*")
		g.want(send("/policy", "a"), 403, no)
		answer = `{"isAuthorized":true}`
		g.want(send("/policy", "a"), 500, broken)
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
func TestIAM(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "GET /", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType = new("AWS_IAM") })
	send := func(account, name string, err error) *edge.Request {
		r := request(id, "GET", "/")
		r.Authenticate = func(context.Context, string) (call.Principal, error) {
			return call.Principal{Type: call.User, Account: account, Name: name, ARN: "arn:aws:iam::" + account + ":user/" + name, ID: "AIDA", AccessKeyID: "AKIA"}, err
		}
		return r
	}
	g.want(request(id, "GET", "/"), 403, `{"message":"Forbidden"}`)
	g.want(send(testAccount, "alice", &edge.SignatureFault{Kind: "INVALID_SIGNATURE"}), 403, `{"message":"Forbidden"}`)
	g.want(send(testAccount, "bob", nil), 403, `{"message":"Forbidden"}`)
	g.want(send("999999999999", "alice", nil), 403, `{"message":"Forbidden"}`)
	g.want(send(testAccount, "alice", nil), 200, "ok")
	if a := g.event()["requestContext"].(map[string]any)["authorizer"].(map[string]any)["iam"].(map[string]any); a["userArn"] != "arn:aws:iam::123456789012:user/alice" || a["accessKey"] != "AKIA" {
		t.Errorf("%v", a)
	}
}

// A route that takes OPTIONS, by ANY or as the default route, takes preflights too: with its authorizer, and with its
// integration's answer, to which the API's headers come.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html#http-api-cors.default-route
func TestPreflightOfRoutes(t *testing.T) {
	g := newTester(t)
	id := g.api(&api.Cors{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}})
	g.lambdaRoute(id, "GET /get", "2.0")
	g.lambdaRoute(id, "ANY /any/{proxy+}", "2.0")
	g.lambdaRoute(id, "ANY /signed", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType = new("AWS_IAM") })
	preflight := func(path string) *edge.Request {
		return request(id, "OPTIONS", path, edge.Field{"Origin", "https://a.example"}, edge.Field{"Access-Control-Request-Method", "GET"})
	}
	g.want(preflight("/get"), 204, "")
	g.want(preflight("/signed"), 403, `{"message":"Forbidden"}`)
	if res := g.want(preflight("/any/x"), 200, "ok"); headerOf(res, "access-control-allow-origin") != "*" || headerOf(res, "access-control-allow-methods") != "*" {
		t.Errorf("%v", res.Header)
	}
	g.lambdaRoute(id, "$default", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType = new("AWS_IAM") })
	g.want(preflight("/get"), 403, `{"message":"Forbidden"}`)
	g.lambdaRoute(id, "OPTIONS /{proxy+}", "2.0")
	g.want(preflight("/get"), 200, "ok")
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation
func TestPayloadLimit(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "$default", "2.0")
	r := request(id, "POST", "/")
	r.TooLong = true
	g.want(r, 413, `{"message":"Request Entity Too Large"}`)
	if len(g.lambda.calls) != 0 {
		t.Error("the function got a request without its body")
	}
	g.lambda.run = returns(`{"statusCode":200,"body":"` + strings.Repeat("x", edge.MaxBody+1) + `"}`)
	g.want(request(id, "POST", "/"), 500, `{"message":"Internal Server Error"}`)
}

// What cannot be mapped, and what is not there to be mapped.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html#http-api-mapping-reserved-headers
func TestMappingEdges(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	for _, name := range []string{"Access-Control-Allow-Origin", "apigw-x", "Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Location", "Forwarded", "Host", "Keep-Alive",
		"Origin", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding", "Upgrade", "x-amz-x", "x-amzn-x", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"} {
		in := &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://up.example"), IntegrationMethod: new("GET"), RequestParameters: map[string]string{"append:header." + name: "x"}}
		_, err := g.CreateIntegration(g.ctx, in)
		wantError(t, err, "BadRequestException", "Operations on header "+strings.ToLower(name)+" are restricted")
		in.RequestParameters, in.ResponseParameters = nil, map[string]map[string]string{"200": {"remove:header." + name: "''"}}
		_, err = g.CreateIntegration(g.ctx, in)
		wantError(t, err, "BadRequestException", "are restricted")
	}
	i := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{
		ApiId: &id, IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://up.example"), IntegrationMethod: new("GET"),
		RequestParameters: map[string]string{"append:header.a": "$request.header.none", "overwrite:header.b": "$request.header.none", "append:header.header2": "$request.header.header1", "remove:header.header1": "''",
			"overwrite:querystring.q": "$request.querystring.none", "append:header.c": "${request.header.none}-x"},
	}))
	must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("$default"), Target: new("integrations/" + *i.IntegrationId)}))
	g.want(request(id, "GET", "/?q=1", edge.Field{"A", "1"}, edge.Field{"B", "2"}, edge.Field{"Header1", "moved"}), 200, "there")
	for name, want := range map[string]string{"a": "1", "b": "", "header1": "", "header2": "moved", "c": "-x"} {
		if got, _ := joined(g.http.last.Header, name, true); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if g.http.last.URL != "https://up.example" {
		t.Error(g.http.last.URL)
	}
}

// A Lambda authorizer has ten seconds.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
func TestAuthorizerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTester(t)
		id := g.api(nil)
		a := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{
			ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN), AuthorizerPayloadFormatVersion: new("2.0"),
		}))
		g.lambdaRoute(id, "$default", "2.0", func(in *api.CreateRouteInput) { in.AuthorizationType, in.AuthorizerId = new("CUSTOM"), a.AuthorizerId })
		g.lambda.run = func(ctx context.Context, _ *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begin := time.Now()
		g.want(request(id, "GET", "/"), 500, `{"message":"Internal Server Error"}`)
		if d := time.Since(begin); d != 10*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestDisabledEndpoint(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "$default", "2.0")
	must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, DisableExecuteApiEndpoint: new(true)}))
	g.want(request(id, "GET", "/"), 404, `{"message":"Not Found"}`)
}
