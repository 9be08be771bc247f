package apigatewayv2

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/kv/memkv"
)

// socketAPI makes a WebSocket API whose stage "dev" deploys every change.
func (g *tester) socketAPI() string {
	id := *must(g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("chat"), ProtocolType: new("WEBSOCKET"), RouteSelectionExpression: new("$request.body.action")})).ApiId
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("dev"), AutoDeploy: new(true)}))
	return id
}

// route makes a route with an integration.
func (g *tester) route(id, key string, in api.CreateIntegrationInput, change ...func(*api.CreateRouteInput)) *api.CreateRouteOutput {
	in.ApiId = &id
	i := must(g.CreateIntegration(g.ctx, &in))
	r := &api.CreateRouteInput{ApiId: &id, RouteKey: &key, Target: new("integrations/" + *i.IntegrationId)}
	for _, c := range change {
		c(r)
	}
	return must(g.CreateRoute(g.ctx, r))
}

func toFunction() api.CreateIntegrationInput {
	return api.CreateIntegrationInput{IntegrationType: new("AWS_PROXY"), IntegrationUri: new("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" + functionARN + "/invocations"), IntegrationMethod: new("POST")}
}

// twoWay gives a route its response.
func (g *tester) twoWay(id string, r *api.CreateRouteOutput) {
	must(g.CreateRouteResponse(g.ctx, &api.CreateRouteResponseInput{ApiId: &id, RouteId: r.RouteId, RouteResponseKey: new("$default")}))
}

func TestSocketControlPlane(t *testing.T) {
	g := newTester(t)
	id := g.socketAPI()
	a := must(g.GetApi(g.ctx, &api.GetApiInput{ApiId: &id}))
	if *a.ProtocolType != "WEBSOCKET" || *a.RouteSelectionExpression != "$request.body.action" || *a.ApiKeySelectionExpression != "$request.header.x-api-key" ||
		*a.ApiEndpoint != "ws://"+id+".execute-api.us-east-1.localhost" {
		t.Errorf("%+v", a)
	}
	r := g.route(id, "$connect", toFunction())
	i := must(g.GetIntegration(g.ctx, &api.GetIntegrationInput{ApiId: &id, IntegrationId: new(targetOf((*api.Route)(r)))}))
	if *i.TimeoutInMillis != 29000 || *i.PassthroughBehavior != "WHEN_NO_MATCH" || i.IntegrationResponseSelectionExpression != nil || *r.ApiKeyRequired {
		t.Errorf("%+v", i)
	}
	mock := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("MOCK"), RequestTemplates: map[string]string{"$default": `{"statusCode":200}`}}))
	if *mock.IntegrationResponseSelectionExpression != "${integration.response.statuscode}" {
		t.Errorf("%+v", mock)
	}

	model := must(g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("Join"), Schema: new(`{"type":"object","properties":{"room":{"type":"string"}},"required":["room"]}`)}))
	template := must(g.GetModelTemplate(g.ctx, &api.GetModelTemplateInput{ApiId: &id, ModelId: model.ModelId}))
	if !strings.Contains(*template.Value, `"room" : "$inputRoot.room"`) {
		t.Errorf("%s", *template.Value)
	}
	join := must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("join"), Target: new("integrations/" + *mock.IntegrationId),
		ModelSelectionExpression: new("$default"), RequestModels: map[string]string{"$default": "Join"}, RouteResponseSelectionExpression: new("$default")}))
	_, err := g.DeleteModel(g.ctx, &api.DeleteModelInput{ApiId: &id, ModelId: model.ModelId})
	wantError(t, err, "ConflictException", "referenced in route: join")
	_, err = g.UpdateModel(g.ctx, &api.UpdateModelInput{ApiId: &id, ModelId: model.ModelId, Name: new("Other")})
	wantError(t, err, "ConflictException", "referenced in route: join")
	if m := must(g.UpdateModel(g.ctx, &api.UpdateModelInput{ApiId: &id, ModelId: model.ModelId, Description: new("d")})); *m.Description != "d" || *m.Name != "Join" {
		t.Errorf("%+v", m)
	}
	if n := len(must(g.GetModels(g.ctx, &api.GetModelsInput{ApiId: &id})).Items); n != 1 {
		t.Errorf("%d models", n)
	}

	response := must(g.CreateRouteResponse(g.ctx, &api.CreateRouteResponseInput{ApiId: &id, RouteId: join.RouteId, RouteResponseKey: new("$default")}))
	_, err = g.CreateRouteResponse(g.ctx, &api.CreateRouteResponseInput{ApiId: &id, RouteId: join.RouteId, RouteResponseKey: new("$default")})
	wantError(t, err, "ConflictException", "already exists")
	must(g.UpdateRouteResponse(g.ctx, &api.UpdateRouteResponseInput{ApiId: &id, RouteId: join.RouteId, RouteResponseId: response.RouteResponseId, ResponseModels: map[string]string{"a": "Join"}}))
	if got := must(g.GetRouteResponse(g.ctx, &api.GetRouteResponseInput{ApiId: &id, RouteId: join.RouteId, RouteResponseId: response.RouteResponseId})); got.ResponseModels["a"] != "Join" {
		t.Errorf("%+v", got)
	}
	_, err = g.GetRouteResponse(g.ctx, &api.GetRouteResponseInput{ApiId: &id, RouteId: r.RouteId, RouteResponseId: response.RouteResponseId})
	wantError(t, err, "NotFoundException", "Unable to find RouteResponse")
	if n := len(must(g.GetRouteResponses(g.ctx, &api.GetRouteResponsesInput{ApiId: &id, RouteId: join.RouteId})).Items); n != 1 {
		t.Errorf("%d route responses", n)
	}

	for _, key := range []string{"$default", "/4\\d\\d/", "200"} {
		must(g.CreateIntegrationResponse(g.ctx, &api.CreateIntegrationResponseInput{ApiId: &id, IntegrationId: mock.IntegrationId, IntegrationResponseKey: &key}))
	}
	responses := must(g.GetIntegrationResponses(g.ctx, &api.GetIntegrationResponsesInput{ApiId: &id, IntegrationId: mock.IntegrationId, MaxResults: new("2")}))
	if len(responses.Items) != 2 || responses.NextToken == nil {
		t.Errorf("%+v", responses)
	}
	one := responses.Items[0].IntegrationResponseId
	must(g.UpdateIntegrationResponse(g.ctx, &api.UpdateIntegrationResponseInput{ApiId: &id, IntegrationId: mock.IntegrationId, IntegrationResponseId: one, ResponseTemplates: map[string]string{"$default": "x"}}))
	if got := must(g.GetIntegrationResponse(g.ctx, &api.GetIntegrationResponseInput{ApiId: &id, IntegrationId: mock.IntegrationId, IntegrationResponseId: one})); got.ResponseTemplates["$default"] != "x" {
		t.Errorf("%+v", got)
	}
	must(g.DeleteIntegrationResponse(g.ctx, &api.DeleteIntegrationResponseInput{ApiId: &id, IntegrationId: mock.IntegrationId, IntegrationResponseId: one}))

	must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: r.RouteId, RequestParameters: map[string]api.ParameterConstraints{"route.request.querystring.token": {Required: new(true)}}}))
	must(g.DeleteRouteRequestParameter(g.ctx, &api.DeleteRouteRequestParameterInput{ApiId: &id, RouteId: r.RouteId, RequestParameterKey: new("route.request.querystring.token")}))
	_, err = g.DeleteRouteRequestParameter(g.ctx, &api.DeleteRouteRequestParameterInput{ApiId: &id, RouteId: r.RouteId, RequestParameterKey: new("route.request.querystring.token")})
	wantError(t, err, "NotFoundException", "RequestParameter")

	// Every change was deployed; one that changed nothing was not.
	before := must(g.GetStage(g.ctx, &api.GetStageInput{ApiId: &id, StageName: new("dev")}))
	must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, Description: new("d")}))
	same := must(g.GetStage(g.ctx, &api.GetStageInput{ApiId: &id, StageName: new("dev")}))
	must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, RouteSelectionExpression: new("${request.body.type}")}))
	after := must(g.GetStage(g.ctx, &api.GetStageInput{ApiId: &id, StageName: new("dev")}))
	if *before.DeploymentId != *same.DeploymentId || *same.DeploymentId == *after.DeploymentId {
		t.Errorf("%s, %s, %s", *before.DeploymentId, *same.DeploymentId, *after.DeploymentId)
	}

	// With a route its responses go, and with an integration its own.
	must(g.DeleteRoute(g.ctx, &api.DeleteRouteInput{ApiId: &id, RouteId: join.RouteId}))
	must(g.DeleteIntegration(g.ctx, &api.DeleteIntegrationInput{ApiId: &id, IntegrationId: mock.IntegrationId}))
	must(g.DeleteModel(g.ctx, &api.DeleteModelInput{ApiId: &id, ModelId: model.ModelId}))
	row, err := g.viewAPI(g.ctx, id)
	if err != nil || len(row.RouteResponses) != 0 || len(row.IntegrationResponses) != 0 || len(row.Models) != 0 {
		t.Errorf("%+v %v", row, err)
	}
	must(g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &id}))
	if n := g.Store.(*memkv.Store).Len(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestSocketRefusals(t *testing.T) {
	g := newTester(t)
	id := g.socketAPI()
	connect := g.route(id, "$connect", toFunction())
	proxy := targetOf((*api.Route)(connect))
	fails := func(what, code, part string, err error) {
		t.Helper()
		t.Run(what, func(t *testing.T) { wantError(t, err, code, part) })
	}
	for what, in := range map[string]api.CreateApiInput{
		"Invalid routeSelectionExpression":  {},
		"Invalid routeSelectionExpression ": {RouteSelectionExpression: new("$request.header.a")},
		"CORS":                              {RouteSelectionExpression: new("a"), CorsConfiguration: &api.Cors{}},
		"Quick create":                      {RouteSelectionExpression: new("a"), Target: new(functionARN)},
		"Invalid apiKeySelectionExpression": {RouteSelectionExpression: new("a"), ApiKeySelectionExpression: new("$request.header.key")},
	} {
		in.Name, in.ProtocolType = new("x"), new("WEBSOCKET")
		_, err := g.CreateApi(g.ctx, &in)
		fails(what, "BadRequestException", strings.TrimSpace(what), err)
	}
	for what, in := range map[string]api.CreateRouteInput{
		"The provided route key is not formatted properly":                      {RouteKey: new("$getauthorized")},
		"The provided route key is not formatted properly ":                     {RouteKey: new(strings.Repeat("a", 129))},
		"Currently, authorization is restricted to the $connect route only":     {RouteKey: new("a"), AuthorizationType: new("AWS_IAM")},
		"JWT authorization is not supported":                                    {RouteKey: new("a"), AuthorizationType: new("JWT")},
		"Invalid routeResponseSelectionExpression":                              {RouteKey: new("a"), RouteResponseSelectionExpression: new("a")},
		"Invalid modelSelectionExpression":                                      {RouteKey: new("a"), ModelSelectionExpression: new("${")},
		"Invalid mapping expression parameter specified: method.request.path.x": {RouteKey: new("a"), RequestParameters: map[string]api.ParameterConstraints{"method.request.path.x": {}}},
	} {
		in.ApiId = &id
		_, err := g.CreateRoute(g.ctx, &in)
		fails(what, "BadRequestException", strings.TrimSpace(what), err)
	}
	_, err := g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("a"), RequestModels: map[string]string{"a": "None"}})
	fails("a model that is not there", "NotFoundException", "Unable to find Model by name None", err)
	_, err = g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("$connect")})
	fails("a key twice", "ConflictException", "already exists", err)
	if _, err := g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new(strings.Repeat("a", 128))}); err != nil {
		t.Error(err)
	}
	for what, in := range map[string]api.CreateIntegrationInput{
		"Invalid integration URI":      {IntegrationType: new("AWS_PROXY"), IntegrationUri: new("arn:x")},
		"HttpMethod must be":           {IntegrationType: new("HTTP"), IntegrationUri: new("https://x.example")},
		"Invalid HTTP endpoint":        {IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("ftp://x"), IntegrationMethod: new("GET")},
		"Timeout should be between":    {IntegrationType: new("MOCK"), TimeoutInMillis: new(int32(29001))},
		"IntegrationSubtype":           {IntegrationType: new("MOCK"), IntegrationSubtype: new("SQS-SendMessage")},
		"VPC links":                    {IntegrationType: new("MOCK"), ConnectionType: new("VPC_LINK"), ConnectionId: new("x")},
		"TlsConfig":                    {IntegrationType: new("MOCK"), TlsConfig: &api.TlsConfigInput{}},
		"ResponseParameters":           {IntegrationType: new("MOCK"), ResponseParameters: map[string]map[string]string{"200": {"a": "b"}}},
		"PayloadFormatVersion":         {IntegrationType: new("MOCK"), PayloadFormatVersion: new("2.0")},
		"Invalid mapping template":     {IntegrationType: new("MOCK"), RequestTemplates: map[string]string{"a": "#if("}},
		"Invalid templateSelection":    {IntegrationType: new("MOCK"), TemplateSelectionExpression: new("$integration.response.statuscode")},
		"parameter specified: a":       {IntegrationType: new("MOCK"), RequestParameters: map[string]string{"a": "'x'"}},
		"expression specified: method": {IntegrationType: new("MOCK"), RequestParameters: map[string]string{"integration.request.header.a": "method.request.header.a"}},
	} {
		in.ApiId = &id
		_, err := g.CreateIntegration(g.ctx, &in)
		fails(what, "BadRequestException", what, err)
	}
	_, err = g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("MOCK"), TimeoutInMillis: new(int32(29000)), RequestParameters: map[string]string{
		"integration.request.header.a": "route.request.multivalueheader.A", "integration.request.path.b": "route.request.body.a.b", "integration.request.querystring.c": "context.connectionId",
		"integration.request.querystring.d": "'static'", "integration.request.querystring.e": "stageVariables.v"}})
	if err != nil {
		t.Error(err)
	}
	for what, in := range map[string]api.CreateAuthorizerInput{
		"type REQUEST":                   {AuthorizerType: new("JWT"), IdentitySource: []string{"route.request.header.a"}},
		"Invalid authorizer URI":         {AuthorizerType: new("REQUEST"), AuthorizerUri: new("x")},
		"AuthorizerPayloadFormatVersion": {AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN), AuthorizerPayloadFormatVersion: new("1.0")},
		"Invalid mapping expression":     {AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN), IdentitySource: []string{"$request.header.a"}},
	} {
		in.ApiId, in.Name = &id, new("a")
		_, err := g.CreateAuthorizer(g.ctx, &in)
		fails(what, "BadRequestException", what, err)
	}
	_, err = g.CreateRouteResponse(g.ctx, &api.CreateRouteResponseInput{ApiId: &id, RouteId: connect.RouteId, RouteResponseKey: new("other")})
	fails("a route response's key", "BadRequestException", "Invalid routeResponseKey", err)
	_, err = g.CreateIntegrationResponse(g.ctx, &api.CreateIntegrationResponseInput{ApiId: &id, IntegrationId: &proxy, IntegrationResponseKey: new("$default")})
	fails("responses of a proxy", "BadRequestException", "proxy integrations", err)
	mock := must(g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("MOCK")}))
	for _, key := range []string{"", "/(/", "$other", strings.Repeat("a", 257)} {
		_, err = g.CreateIntegrationResponse(g.ctx, &api.CreateIntegrationResponseInput{ApiId: &id, IntegrationId: mock.IntegrationId, IntegrationResponseKey: &key})
		fails("the key "+key[:min(len(key), 9)], "BadRequestException", "Invalid integrationResponseKey", err)
	}
	_, err = g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("a b"), Schema: new("{}")})
	fails("a model's name", "BadRequestException", "alphanumeric", err)
	_, err = g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("a"), Schema: new("[")})
	fails("a model's schema", "BadRequestException", "Invalid model schema", err)
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("$default")})
	fails("a default stage", "BadRequestException", "Stage name only allows", err)
	_, err = g.ExportApi(g.ctx, &api.ExportApiInput{ApiId: &id, Specification: new("OAS30"), OutputType: new("JSON")})
	fails("an export", "BadRequestException", "only supported for HTTP APIs", err)
	_, err = g.ReimportApi(g.ctx, &api.ReimportApiInput{ApiId: &id, Body: new(petsDocument)})
	fails("an import", "BadRequestException", "only supported for HTTP APIs", err)
	_, err = g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, RouteSelectionExpression: new("$request.method $request.path")})
	fails("the selection of HTTP APIs", "BadRequestException", "Invalid routeSelectionExpression", err)
	logged := &api.UpdateStageInput{ApiId: &id, StageName: new("dev"), DefaultRouteSettings: &api.RouteSettings{LoggingLevel: new("INFO"), DataTraceEnabled: new(true)}}
	_, err = g.UpdateStage(g.ctx, logged)
	fails("logs without a role", "BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging", err)
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("more"), RouteSettings: map[string]api.RouteSettings{"$connect": {LoggingLevel: new("ERROR")}}})
	fails("logs of a route without a role", "BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging", err)
	g.LogRoles = logRole("arn:aws:iam::123456789012:role/logs")
	if _, err := g.UpdateStage(g.ctx, logged); err != nil {
		t.Error(err)
	}

	// What HTTP APIs do not have.
	plain := g.api(nil)
	r := g.lambdaRoute(plain, "GET /a", "2.0")
	_, err = g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &plain, Name: new("a"), Schema: new("{}")})
	fails("models of HTTP APIs", "BadRequestException", "HTTP APIs", err)
	_, err = g.CreateRouteResponse(g.ctx, &api.CreateRouteResponseInput{ApiId: &plain, RouteId: r.RouteId, RouteResponseKey: new("$default")})
	fails("route responses of HTTP APIs", "BadRequestException", "HTTP APIs", err)
	_, err = g.CreateIntegrationResponse(g.ctx, &api.CreateIntegrationResponseInput{ApiId: &plain, IntegrationId: new("x"), IntegrationResponseKey: new("$default")})
	fails("integration responses of HTTP APIs", "BadRequestException", "HTTP APIs", err)
}

func TestModelsAreBounded(t *testing.T) {
	g := newTester(t)
	id := g.socketAPI()
	for i := range maxModels {
		must(g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new(fmt.Sprint("m", i)), Schema: new("{}")}))
	}
	_, err := g.CreateModel(g.ctx, &api.CreateModelInput{ApiId: &id, Name: new("one"), Schema: new("{}")})
	wantError(t, err, "BadRequestException", "Maximum number of models")
}
