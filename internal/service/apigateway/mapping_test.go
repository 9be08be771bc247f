package apigateway

import (
	"context"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
)

// mock makes a MOCK method with a request template and these responses.
func (g *gateway) mock(apiID, resourceID, method, template string, responses []api.PutIntegrationResponseInput) {
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &apiID, ResourceId: &resourceID, HttpMethod: &method, AuthorizationType: new("NONE")}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &apiID, ResourceId: &resourceID, HttpMethod: &method, Type: new("MOCK"),
		RequestTemplates: map[string]string{"application/json": template}}))
	if responses == nil {
		responses = []api.PutIntegrationResponseInput{{StatusCode: new("200")}}
	}
	g.responses(apiID, resourceID, method, responses)
}

func (g *gateway) responses(apiID, resourceID, method string, responses []api.PutIntegrationResponseInput) {
	for _, r := range responses {
		r.RestApiId, r.ResourceId, r.HttpMethod = &apiID, &resourceID, &method
		declared := map[string]bool{}
		for name := range r.ResponseParameters {
			declared[name] = false
		}
		must(g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &apiID, ResourceId: &resourceID, HttpMethod: &method, StatusCode: r.StatusCode, ResponseParameters: declared}))
		must(g.PutIntegrationResponse(g.ctx, &r))
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
func TestMock(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	resourceID := g.resource(id, "/pets/{id}")
	g.mock(id, resourceID, "POST", `#set($p = $input.path('$.want'))
#if($p == 'teapot'){"statusCode": 418}#elseif($input.params('fail') == 'yes'){"statusCode": "500"}#elseif($p)$p#else{"statusCode": 200}#end`,
		[]api.PutIntegrationResponseInput{
			{StatusCode: new("200"), ResponseTemplates: map[string]string{
				"application/json": `{"id":"$input.params('id')","q":"$input.params().querystring.q","ua":"$input.params().header.get('User-Agent')",` +
					`"stage":"$context.stage","path":"$context.resourcePath","var":"$stageVariables.v","ip":"$context.identity.sourceIp","none":"$context.nothing$stageVariables.nothing"}`,
				"text/plain": "plain"},
				ResponseParameters: map[string]string{"method.response.header.X-Static": "'a b'", "method.response.header.X-Stage": "context.stage", "method.response.header.X-Var": "stageVariables.v",
					"method.response.header.X-None": "context.nothing", "method.response.header.Content-Language": "'en'"}},
			{StatusCode: new("404"), SelectionPattern: new("4\\d{2}"), ResponseTemplates: map[string]string{"application/json": ""}},
			{StatusCode: new("503"), SelectionPattern: new("5.."), ResponseTemplates: map[string]string{
				"application/json": `#set($context.responseOverride.status = 599)#set($context.responseOverride.header.X-Over = "1")over`}},
		})
	must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, StageName: new("dev"), Variables: map[string]string{"v": "blue"}}))

	post := func(path, body string, header ...Field) *Response {
		r := request(id, "dev", "POST", path, append(header, Field{"User-Agent", "ua"})...)
		r.Body = []byte(body)
		return g.Invoke(t.Context(), r)
	}
	r := post("/pets/7?q=x", "")
	if want := `{"id":"7","q":"x","ua":"ua","stage":"dev","path":"/pets/{id}","var":"blue","ip":"192.0.2.7","none":""}`; r.Status != 200 || string(r.Body) != want {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	if headerOf(r, "X-Static") != "a b" || headerOf(r, "X-Stage") != "dev" || headerOf(r, "X-Var") != "blue" || r.has("X-None") || headerOf(r, "Content-Type") != "application/json" {
		t.Errorf("headers %v", r.Header)
	}
	if r := post("/pets/7", "", Field{"Accept", "text/plain"}); string(r.Body) != "plain" || headerOf(r, "Content-Type") != "text/plain" {
		t.Errorf("got %s %v", r.Body, r.Header)
	}
	if r := post("/pets/7", `{"want":"teapot"}`); r.Status != 404 || len(r.Body) != 0 {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
	if r := post("/pets/7?fail=yes", `{}`); r.Status != 599 || string(r.Body) != "over" || headerOf(r, "X-Over") != "1" {
		t.Errorf("got %d %s %v", r.Status, r.Body, r.Header)
	}
	for name, body := range map[string]string{"no status": `{"want":"{}"}`, "not JSON": `{`, "text status": `{"want":"{\"statusCode\":\"x\"}"}`} {
		if r := post("/pets/7", body); r.Status != 500 || string(r.Body) != bodyInternal {
			t.Errorf("%s: got %d %s", name, r.Status, r.Body)
		}
	}
	// A content type without a template passes through; here the body itself says the status.
	if r := post("/pets/7", `{"statusCode":404}`, Field{"Content-Type", "application/x-other"}); r.Status != 404 {
		t.Errorf("got %d %s", r.Status, r.Body)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
func TestPassthrough(t *testing.T) {
	for _, tt := range []struct {
		behavior  string
		templates map[string]string
		media     string
		status    int
	}{
		{"WHEN_NO_MATCH", map[string]string{"application/json": `{"statusCode":200}`}, "text/x", 200},
		{"WHEN_NO_TEMPLATES", map[string]string{"application/json": `{"statusCode":200}`}, "text/x", 415},
		{"WHEN_NO_TEMPLATES", nil, "text/x", 200},
		{"NEVER", nil, "text/x", 415},
		{"NEVER", map[string]string{"application/json": `{"statusCode":200}`}, "", 200},
		{"NEVER", map[string]string{"application/json": `{"statusCode":200}`}, "Application/JSON; charset=utf-8", 200},
	} {
		g := newGateway(t)
		id, root := g.api()
		g.mock(id, root, "POST", "", nil)
		must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), Type: new("MOCK"), PassthroughBehavior: &tt.behavior, RequestTemplates: tt.templates}))
		must(g.PutIntegrationResponse(g.ctx, &api.PutIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("200")}))
		g.deploy(id, "dev")
		r := request(id, "dev", "POST", "/")
		if tt.media != "" {
			r.Header = append(r.Header, Field{"Content-Type", tt.media})
		}
		r.Body = []byte(`{"statusCode":200}`)
		if status, body := g.send(r); status != tt.status || tt.status == 415 && body != `{"message":"Unsupported Media Type"}` {
			t.Errorf("%+v: got %d %s", tt, status, body)
		}
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
func TestLambdaCustomIntegration(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), AuthorizationType: new("NONE")}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), Type: new("AWS"), IntegrationHttpMethod: new("POST"), Uri: new(functionURI),
		RequestTemplates: map[string]string{"application/json": `{"name":$input.json('$.name'),"all":$input.json('$'),"esc":"$util.escapeJavaScript($input.body)","b64":"$util.base64Encode('hi')$util.base64Decode('aGk=')",` +
			`"url":"$util.urlEncode('a b')$util.urlDecode('a%20b')","n":$util.parseJson('{"n":1}').n,"sum":#set($s = 0)#foreach($i in $input.path('$.l'))#set($s = $s + $i)#end$s}`}}))
	g.responses(id, root, "POST", []api.PutIntegrationResponseInput{
		{StatusCode: new("200"), ResponseTemplates: map[string]string{"application/json": `{"got":$input.json('$.x'),"raw":$input.body}`},
			ResponseParameters: map[string]string{"method.response.header.X-Deep": "integration.response.body.deep.v", "method.response.header.X-Gone": "integration.response.body.gone"}},
		{StatusCode: new("400"), SelectionPattern: new(".*bad.*"), ResponseTemplates: map[string]string{"application/json": `{"m":"$input.path('$.errorMessage')"}`}},
	})
	g.deploy(id, "dev")
	g.lambda.invoke = returns(`{"x":[1,2.50],"deep":{"v":7}}`)
	r := request(id, "dev", "POST", "/")
	r.Body = []byte(`{"name":"Ada","l":[1,2,3]}`)
	res := g.Invoke(t.Context(), r)
	if want := `{"got":[1,2.50],"raw":{"x":[1,2.50],"deep":{"v":7}}}`; res.Status != 200 || string(res.Body) != want || headerOf(res, "X-Deep") != "7" || res.has("X-Gone") {
		t.Errorf("got %d %s %v", res.Status, res.Body, res.Header)
	}
	want := `{"name":"Ada","all":{"name":"Ada","l":[1,2,3]},"esc":"{\"name\":\"Ada\",\"l\":[1,2,3]}","b64":"aGk=hi","url":"a+ba b","n":1,"sum":6}`
	if got := string(g.lambda.calls[0].Payload); got != want {
		t.Errorf("payload\n%s\nwant\n%s", got, want)
	}
	for message, status := range map[string]int{"something bad": 400, "fine": 200} {
		g.lambda.invoke = func(context.Context, *LambdaInvocation) (*LambdaResult, error) {
			return &LambdaResult{Payload: []byte(`{"errorMessage":"` + message + `"}`), FunctionError: "Unhandled"}, nil
		}
		if res := g.Invoke(t.Context(), r); res.Status != status {
			t.Errorf("%s: got %d %s", message, res.Status, res.Body)
		}
	}
}

func TestTemplateThatFails(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	for _, template := range []string{`#if(`, `$input.path('nonsense')`, `#foreach($i in [1..99999])#foreach($j in [1..99999])#end#end`, `$util.parseJson('{')`} {
		g.mock(id, root, "GET", template, nil)
		out := must(g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
		if *out.Status != 500 || *out.Body != bodyInternal || !strings.Contains(*out.Log, "Execution failed due to configuration error: Unable to ") {
			t.Errorf("%s: %d %s\n%s", template, *out.Status, *out.Body, *out.Log)
		}
		must(g.DeleteMethod(g.ctx, &api.DeleteMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
	}
}
