package apigateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	api "brume/internal/api/apigateway"
	"brume/internal/call"
	"brume/internal/jwks"
	"brume/internal/policy"
)

// everyone is an Authorizer by resource policies and, of users, a policy that allows alice everything.
type everyone struct{}

func (everyone) Authorize(ctx context.Context, checks []policy.Check) error {
	info := call.From(ctx)
	policies := &policy.Policies{}
	if info.Principal.Name == "alice" {
		all, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, policy.Identity)
		if err != nil {
			return err
		}
		policies.Identity = append(policies.Identity, all)
	}
	return policy.Authorize(info, policies, checks)
}

const testIssuer = "https://issuer.example/pool"

// fakeKeys knows one key.
type fakeKeys struct{ key *ecdsa.PrivateKey }

func (f fakeKeys) SigningKeys(_ context.Context, issuer string, _ []string, _ bool) (*jose.JSONWebKeySet, error) {
	if issuer != testIssuer || f.key == nil {
		return nil, errors.New("nobody knows this issuer")
	}
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: f.key.Public(), KeyID: "k1", Algorithm: "ES256"}}}, nil
}

// guarded makes an API whose method GET /pets/{id} asks an authorizer, and deploys it.
func (g *gateway) guarded(in *api.CreateAuthorizerInput, change func(*api.PutMethodInput)) (apiID string) {
	id, _ := g.api()
	in.RestApiId, in.Name = &id, new("auth")
	a := must(g.CreateAuthorizer(g.ctx, in))
	res := g.resource(id, "/pets/{id}")
	put := &api.PutMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("GET"), AuthorizationType: new("CUSTOM"), AuthorizerId: a.Id}
	if change != nil {
		change(put)
	}
	must(g.PutMethod(g.ctx, put))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{
		RestApiId: &id, ResourceId: &res, HttpMethod: new("GET"), Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"), Uri: new(functionURI),
	}))
	g.deploy(id, "dev")
	return id
}

const authURI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:auth/invocations"

// answers makes the authorizer's function answer by the token, and the other one return its event.
func (g *gateway) answers(by func(event string) string) (asked *int) {
	asked = new(int)
	g.lambda.invoke = func(_ context.Context, in *LambdaInvocation) (*LambdaResult, error) {
		if !strings.HasSuffix(in.FunctionARN, ":auth") {
			body := must(json.Marshal(string(in.Payload)))
			return &LambdaResult{Payload: []byte(`{"body":` + string(body) + `}`)}, nil
		}
		*asked++
		out := by(string(in.Payload))
		if message, failed := strings.CutPrefix(out, "error "); failed {
			return &LambdaResult{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"` + message + `"}`)}, nil
		}
		return &LambdaResult{Payload: []byte(out)}, nil
	}
	return asked
}

func allowing(effect, resource string) string {
	return `{"principalId":"ada","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"` + resource + `"}]},"context":{"level":3,"vip":true,"team":"x"}}`
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
func TestTokenAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id := g.guarded(&api.CreateAuthorizerInput{Type: new("TOKEN"), AuthorizerUri: new(authURI), IdentitySource: new("method.request.header.Authorization"),
			IdentityValidationExpression: new("[a-z ]+"), AuthorizerResultTtlInSeconds: new(int32(60))}, nil)
		var event string
		asked := g.answers(func(e string) string {
			event = e
			switch {
			case strings.Contains(e, `"all"`):
				return allowing("Allow", "*")
			case strings.Contains(e, `"one"`):
				return allowing("Allow", "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/GET/pets/1")
			case strings.Contains(e, `"deny"`):
				return allowing("Deny", "*")
			case strings.Contains(e, `"malformed"`):
				return `{"principalId":"x","policyDocument":{}}`
			case strings.Contains(e, `"nested"`):
				return `{"principalId":"x","policyDocument":{"Version":"2012-10-17","Statement":[]},"context":{"a":{}}}`
			case strings.Contains(e, `"crash"`):
				return "error boom"
			}
			return "error Unauthorized"
		})
		send := func(token, path string) (int, string) {
			var h []Field
			if token != "" {
				h = []Field{{"Authorization", token}}
			}
			return g.send(request(id, "dev", "GET", path, h...))
		}
		for _, tt := range []struct {
			token, path string
			status      int
			body        string
		}{
			{"", "/pets/1", 401, `{"message":"Unauthorized"}`},
			{"NOT IN FORM", "/pets/1", 401, `{"message":"Unauthorized"}`},
			{"who", "/pets/1", 401, `{"message":"Unauthorized"}`},
			{"deny", "/pets/1", 403, `{"Message":"User is not authorized to access this resource with an explicit deny in an identity-based policy"}`},
			{"one", "/pets/2", 403, `{"Message":"User is not authorized to access this resource"}`},
			{"malformed", "/pets/1", 500, `{"message":null}`},
			{"nested", "/pets/1", 500, `{"message":null}`},
			{"crash", "/pets/1", 500, `{"message":null}`},
		} {
			if status, body := send(tt.token, tt.path); status != tt.status || body != tt.body {
				t.Errorf("%s %s: %d %s", tt.token, tt.path, status, body)
			}
		}
		*asked = 0
		status, body := send("all", "/pets/1")
		if status != 200 || !strings.Contains(body, `"authorizer":{"principalId":"ada","integrationLatency":0,"level":"3","team":"x","vip":"true"}`) {
			t.Errorf("%d %s", status, body)
		}
		if want := `{"type":"TOKEN","methodArn":"arn:aws:execute-api:us-east-1:123456789012:` + id + `/dev/GET/pets/1","authorizationToken":"all"}`; event != want {
			t.Errorf("the event is %s", event)
		}
		// The answer is remembered for its time, whatever the path: its policy is evaluated anew.
		send("all", "/pets/2")
		time.Sleep(59 * time.Second)
		send("all", "/pets/3")
		if *asked != 1 {
			t.Errorf("asked %d times", *asked)
		}
		time.Sleep(2 * time.Second)
		send("all", "/pets/1")
		if *asked != 2 {
			t.Errorf("asked %d times after its time", *asked)
		}
		must(g.FlushStageAuthorizersCache(g.ctx, &api.FlushStageAuthorizersCacheInput{RestApiId: &id, StageName: new("dev")}))
		send("all", "/pets/1")
		if *asked != 3 {
			t.Errorf("asked %d times after a flush", *asked)
		}
		a := must(g.GetAuthorizers(g.ctx, &api.GetAuthorizersInput{RestApiId: &id})).Items[0]
		test := must(g.TestInvokeAuthorizer(g.ctx, &api.TestInvokeAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id, Headers: map[string]string{"Authorization": "all"}}))
		if *test.ClientStatus != 0 || *test.PrincipalId != "ada" || !strings.Contains(*test.Policy, "execute-api:Invoke") {
			t.Errorf("%+v", test)
		}
		if test = must(g.TestInvokeAuthorizer(g.ctx, &api.TestInvokeAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id})); *test.ClientStatus != 401 {
			t.Errorf("%+v", test)
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
func TestRequestAuthorizer(t *testing.T) {
	g := newGateway(t)
	id := g.guarded(&api.CreateAuthorizerInput{Type: new("REQUEST"), AuthorizerUri: new(authURI), IdentitySource: new("method.request.header.A, method.request.querystring.q, context.identity.sourceIp")}, nil)
	var event map[string]any
	asked := g.answers(func(e string) string {
		if err := json.Unmarshal([]byte(e), &event); err != nil {
			t.Error(err)
		}
		return allowing("Allow", "*")
	})
	g.want(request(id, "dev", "GET", "/pets/1?q=1"), 401, `{"message":"Unauthorized"}`)
	g.want(request(id, "dev", "GET", "/pets/1", Field{"A", "1"}), 401, `{"message":"Unauthorized"}`)
	if *asked != 0 {
		t.Error("nobody needs to be asked where an identity source is missing")
	}
	for _, r := range []*Request{
		request(id, "dev", "GET", "/pets/1?q=1", Field{"A", "1"}), request(id, "dev", "GET", "/pets/2?q=1", Field{"A", "1"}),
		request(id, "dev", "GET", "/pets/1?q=2", Field{"A", "1"}), request(id, "dev", "GET", "/pets/1?q=", Field{"A", "12"}),
	} {
		g.send(r)
	}
	if *asked != 2 {
		t.Errorf("asked %d times for two identities", *asked)
	}
	context, _ := event["requestContext"].(map[string]any)
	if event["type"] != "REQUEST" || event["resource"] != "/pets/{id}" || fmt.Sprint(event["pathParameters"]) != "map[id:1]" || context["resourcePath"] != "/pets/{id}" || event["body"] != nil {
		t.Errorf("%v", event)
	}
}

// The key of a request can be the authorizer's to name.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-key-source.html
func TestKeyFromAuthorizer(t *testing.T) {
	g := newGateway(t)
	id := g.guarded(&api.CreateAuthorizerInput{Type: new("TOKEN"), AuthorizerUri: new(authURI), IdentitySource: new("method.request.header.Authorization")},
		func(in *api.PutMethodInput) { in.ApiKeyRequired = new(true) })
	must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: ops("replace /apiKeySource AUTHORIZER")}))
	g.deploy(id, "dev")
	keyValue, _, _ := g.key(id, "dev", nil, nil)
	g.answers(func(e string) string {
		if strings.Contains(e, `"good"`) {
			return strings.Replace(allowing("Allow", "*"), `{`, `{"usageIdentifierKey":"`+keyValue+`",`, 1)
		}
		return allowing("Allow", "*")
	})
	if status, body := g.send(request(id, "dev", "GET", "/pets/1", Field{"Authorization", "good"})); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	g.want(request(id, "dev", "GET", "/pets/1", Field{"Authorization", "other"}, Field{"x-api-key", keyValue}), 403, `{"message":"Forbidden"}`)
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
func TestUserPoolAuthorizer(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	g := newGateway(t)
	g.keySource = fakeKeys{key}
	pool := []string{"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_pool"}
	plain := g.guarded(&api.CreateAuthorizerInput{Type: new("COGNITO_USER_POOLS"), ProviderARNs: pool, IdentitySource: new("method.request.header.Authorization")},
		func(in *api.PutMethodInput) { in.AuthorizationType = new("COGNITO_USER_POOLS") })
	scoped := g.guarded(&api.CreateAuthorizerInput{Type: new("COGNITO_USER_POOLS"), ProviderARNs: pool, IdentitySource: new("method.request.header.Authorization")},
		func(in *api.PutMethodInput) {
			in.AuthorizationType, in.AuthorizationScopes = new("COGNITO_USER_POOLS"), []string{"pets/read"}
		})
	g.answers(func(string) string { return "" })
	token := func(by *ecdsa.PrivateKey, claims map[string]any) string {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by, KeyID: "k1"}}, nil))
		all := map[string]any{"iss": testIssuer, "sub": "ada", "aud": "client", "token_use": "id", "exp": time.Now().Add(time.Hour).Unix(), "cognito:groups": []string{"a", "b"}}
		for k, v := range claims {
			all[k] = v
		}
		return must(jwt.Signed(signer).Claims(all).Serialize())
	}
	for _, tt := range []struct {
		api, token string
		status     int
	}{
		{plain, token(key, nil), 200},
		{plain, "Bearer " + token(key, nil), 200},
		{plain, token(other, nil), 401},
		{plain, token(key, map[string]any{"iss": "https://elsewhere.example"}), 401},
		{plain, token(key, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), 401},
		{plain, token(key, map[string]any{"exp": nil}), 401},
		{plain, token(key, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 401},
		{plain, token(key, map[string]any{"token_use": "access"}), 401},
		{plain, "nonsense", 401},
		{plain, strings.Repeat("x", jwks.MaxToken+1), 401},
		{scoped, token(key, map[string]any{"token_use": "access", "scope": "pets/read pets/write"}), 200},
		{scoped, token(key, map[string]any{"token_use": "access", "scope": "pets/write"}), 401},
		{scoped, token(key, nil), 401},
	} {
		status, body := g.send(request(tt.api, "dev", "GET", "/pets/1", Field{"Authorization", tt.token}))
		if status != tt.status {
			t.Errorf("%.40s: %d %s", tt.token, status, body)
		}
		if status == 200 && !strings.Contains(body, `"authorizer":{"claims":{"aud":"client","cognito:groups":"[\"a\",\"b\"]"`) {
			t.Errorf("%s", body)
		}
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
func TestResourcePolicyAndIAM(t *testing.T) {
	user := func(account, name string) func(context.Context, string) (call.Principal, error) {
		return func(context.Context, string) (call.Principal, error) {
			return call.Principal{Type: call.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name, ID: "AIDA", Name: name, AccessKeyID: "AKIA"}, nil
		}
	}
	fault := func(f SignatureFault) func(context.Context, string) (call.Principal, error) {
		return func(context.Context, string) (call.Principal, error) { return call.Principal{}, &f }
	}
	allowNet := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}}`
	denyNet := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/dev/*"},{"Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":["execute-api:/dev/GET/secret"]}]}`
	abroad := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"999999999999"},"Action":"execute-api:Invoke","Resource":"execute-api:/*"}}`
	const (
		signed = "AWS_IAM"
		open   = "NONE"
	)
	for _, tt := range []struct {
		name, policy, authorization, path, ip string
		who                                   func(context.Context, string) (call.Principal, error)
		status                                int
		body                                  string
	}{
		{"a policy lets the network in", allowNet, open, "/pets", "192.0.2.7", nil, 200, ""},
		{"and nobody else", allowNet, open, "/pets", "198.51.100.1", nil, 403, `{"Message":"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:ID/dev/GET/pets`},
		{"a deny wins", denyNet, open, "/secret", "192.0.2.7", nil, 403, "with an explicit deny"},
		{"a deny wins however the path is encoded", denyNet, open, "/%73ecret", "192.0.2.7", nil, 403, "with an explicit deny"},
		{"and however it ends", denyNet, open, "/secret/", "192.0.2.7", nil, 403, "with an explicit deny"},
		{"other paths are open", denyNet, open, "/pets", "192.0.2.7", nil, 200, ""},
		{"no signature", "", signed, "/pets", "192.0.2.7", fault(SignatureFault{Kind: "MISSING_AUTHENTICATION_TOKEN", ErrorType: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}), 403, `{"message":"Missing Authentication Token"}`},
		{"a wrong signature", "", signed, "/pets", "192.0.2.7", fault(SignatureFault{Kind: "INVALID_SIGNATURE", ErrorType: "InvalidSignatureException", Message: "wrong"}), 403, `{"message":"wrong"}`},
		{"a user with permission", "", signed, "/pets", "192.0.2.7", user(testAccount, "alice"), 200, `"accountId":"123456789012"`},
		{"a user without", "", signed, "/pets", "192.0.2.7", user(testAccount, "bob"), 403, "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:ID/dev/GET/pets because no identity-based policy allows the execute-api:Invoke action"},
		{"the policy of the API is enough within an account", allowNet, signed, "/pets", "192.0.2.7", user(testAccount, "bob"), 200, ""},
		{"abroad both must allow", abroad, signed, "/pets", "192.0.2.7", user("999999999999", "alice"), 200, ""},
		{"abroad the user's own policy is missing", abroad, signed, "/pets", "192.0.2.7", user("999999999999", "bob"), 403, "is not authorized"},
		{"abroad the API's policy is missing", "", signed, "/pets", "192.0.2.7", user("999999999999", "alice"), 403, "is not authorized"},
	} {
		g := newGateway(t)
		g.answers(func(string) string { return "" })
		in := &api.CreateRestApiInput{Name: new("x")}
		if tt.policy != "" {
			in.Policy = &tt.policy
		}
		id := *must(g.CreateRestApi(g.ctx, in)).Id
		res := g.proxy(id, "/{proxy+}", "GET", false)
		must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("GET"), PatchOperations: ops("replace /authorizationType " + tt.authorization)}))
		g.deploy(id, "dev")
		r := request(id, "dev", "GET", tt.path)
		r.SourceIP, r.Authenticate = netip.MustParseAddr(tt.ip), tt.who
		status, body := g.send(r)
		if status != tt.status || !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), strings.ReplaceAll(tt.body, "ID", id)) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	g := newGateway(t)
	_, err := g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("x"), Policy: new(`{"Statement":`)})
	wantError(t, err, "BadRequestException", "Invalid policy document")
	rest := must(g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("x"), Policy: &denyNet}))
	if !strings.Contains(*rest.Policy, `"Resource":["arn:aws:execute-api:us-east-1:123456789012:`+*rest.Id+`/dev/GET/secret"]`) {
		t.Errorf("%s", *rest.Policy)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
func TestRequestValidation(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	must(g.CreateModel(g.ctx, &api.CreateModelInput{RestApiId: &id, Name: new("Tag"), ContentType: new("application/json"), Schema: new(`{"type":"string","pattern":"^[a-z]+$"}`)}))
	must(g.CreateModel(g.ctx, &api.CreateModelInput{RestApiId: &id, Name: new("Pet"), ContentType: new("application/json"), Schema: new(
		`{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","required":["name"],"properties":{"name":{"type":"string"},"age":{"type":"integer","maximum":30,"exclusiveMaximum":true},
		"tags":{"type":"array","items":{"$ref":"https://apigateway.amazonaws.com/restapis/other/models/Tag"}},"parent":{"$ref":"#"}}}`)}))
	v := must(g.CreateRequestValidator(g.ctx, &api.CreateRequestValidatorInput{RestApiId: &id, Name: new("v"), ValidateRequestBody: new(true), ValidateRequestParameters: new(true)}))
	res := g.proxy(id, "/pets/{id}", "POST", false)
	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("POST"), PatchOperations: ops(
		"replace /requestValidatorId "+*v.Id, "add /requestModels/application~1json Pet", "add /requestParameters/method.request.querystring.q true",
		"add /requestParameters/method.request.header.X-H true", "add /requestParameters/method.request.querystring.optional false")}))
	must(g.PutGatewayResponse(g.ctx, &api.PutGatewayResponseInput{RestApiId: &id, ResponseType: new("BAD_REQUEST_BODY"), StatusCode: new("422"),
		ResponseTemplates:  map[string]string{"application/json": `{"m":$context.error.messageString,"t":"$context.error.responseType","why":"$util.escapeJavaScript($context.error.validationErrorString)"}`},
		ResponseParameters: map[string]string{"gatewayresponse.header.X-Q": "method.request.querystring.q", "gatewayresponse.header.X-S": "'static'"}}))
	g.deploy(id, "dev")
	send := func(path, body string, h ...Field) *Response {
		r := request(id, "dev", "POST", path, h...)
		r.Body = []byte(body)
		return g.Invoke(context.Background(), r)
	}
	xh := Field{"x-h", "1"}
	if r := send("/pets/1", `{"name":"x"}`); r.Status != 400 || string(r.Body) != `{"message": "Missing required request parameters: [X-H, q]"}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := send("/pets/1?q=+", `{"name":"x"}`, xh); r.Status != 400 || string(r.Body) != `{"message": "Missing required request parameters: [q]"}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for body, want := range map[string]int{
		`{"name":"x","age":29,"tags":["a"],"parent":{"name":"y"}}`: 200,
		`{"name":1}`:                        422,
		`{}`:                                422,
		`{"name":"x","age":30}`:             422, // exclusive, as in draft 4
		`{"name":"x","tags":["A"]}`:         422,
		`{"name":"x","parent":{"nom":"y"}}`: 422,
		``:                                  422,
		`{"name":"x"`:                       422,
		`{"name":"x"} {}`:                   422,
		strings.Repeat("[", 20000):          422,
		`{"name":"x","age":1e400,"tags":["abc"]}`: 422,
	} {
		r := send("/pets/1?q=v", body, xh)
		if r.Status != want {
			t.Errorf("%.60s: %d %s", body, r.Status, r.Body)
		}
		if want == 422 && (!strings.HasPrefix(string(r.Body), `{"m":"Invalid request body","t":"BAD_REQUEST_BODY","why":"[`) ||
			!strings.Contains(fmt.Sprint(r.Header), "{X-Q v}") || !strings.Contains(fmt.Sprint(r.Header), "{X-S static}")) {
			t.Errorf("%.60s: %s %v", body, r.Body, r.Header)
		}
	}
	if r := send("/pets/1?q=v", `whatever`, xh, Field{"Content-Type", "text/plain"}); r.Status != 200 {
		t.Errorf("a type without a model is not checked: %d %s", r.Status, r.Body)
	}
	test := must(g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("POST"), PathWithQueryString: new("/pets/1")}))
	if *test.Status != 400 {
		t.Errorf("%+v", test)
	}
}

// A customised DEFAULT_4XX counts for every 4xx that has none of its own, also where no method is found.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
func TestDefaultGatewayResponse(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/pets", "GET", true)
	must(g.PutGatewayResponse(g.ctx, &api.PutGatewayResponseInput{RestApiId: &id, ResponseType: new("DEFAULT_4XX"),
		ResponseTemplates: map[string]string{"text/plain": "$context.error.responseType of $context.resourcePath"}}))
	must(g.PutGatewayResponse(g.ctx, &api.PutGatewayResponseInput{RestApiId: &id, ResponseType: new("INVALID_API_KEY"), StatusCode: new("404")}))
	g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", "/nope"), 403, "MISSING_AUTHENTICATION_TOKEN of ")
	g.want(request(id, "dev", "GET", "/pets"), 404, `{"message":"Forbidden"}`)
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func TestMethodARNLimit(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	res := g.proxy(id, "/{p}", "GET", false)
	g.deploy(id, "dev")
	arn := len("arn:aws:execute-api:us-east-1:123456789012:" + id + "/dev/GET/")
	long := "/" + strings.Repeat("x", 1600-arn)
	g.want(request(id, "dev", "GET", long+"x"), 200, "ok") // nobody is authorised
	must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("GET"), PatchOperations: ops("replace /authorizationType AWS_IAM")}))
	g.deploy(id, "dev")
	g.want(request(id, "dev", "GET", long), 403, `{"message":"Missing Authentication Token"}`)
	g.want(request(id, "dev", "GET", long+"x"), 414, `{"message":"Request URI too long"}`)
}
