package apigatewayv2

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/call"
	"brume/internal/kv/memkv"
)

// With a target an API is there at once.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html#CreateApi
func TestQuickCreate(t *testing.T) {
	g := newTester(t)
	a := must(g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("quick"), ProtocolType: new("HTTP"), Target: new(functionARN)}))
	g.want(request(*a.ApiId, "GET", "/any/path"), 200, "ok")
	if e := g.event(); e["version"] != "2.0" || e["routeKey"] != "$default" || e["rawPath"] != "/any/path" {
		t.Errorf("%v", e)
	}
	st := must(g.GetStage(g.ctx, &api.GetStageInput{ApiId: a.ApiId, StageName: new("$default")}))
	if !value(st.AutoDeploy) || !value(st.ApiGatewayManaged) || value(st.DeploymentId) == "" {
		t.Errorf("%+v", st)
	}
	must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: a.ApiId, Target: new(functionARN + ":live"), RouteKey: new("GET /only")}))
	g.want(request(*a.ApiId, "GET", "/any/path"), 404, `{"message":"Not Found"}`)
	g.want(request(*a.ApiId, "GET", "/only"), 200, "ok")
	if q := g.lambda.calls[1].Qualifier; q != "live" {
		t.Errorf("qualifier %q", q)
	}
}

// A stage serves what was deployed to it, and nothing later; one with auto-deploy serves every change.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html
func TestDeployments(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	r := g.lambdaRoute(id, "GET /a", "2.0")
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("prod")}))
	g.want(request(id, "GET", "/a"), 200, "ok")
	g.want(request(id, "GET", "/prod/a"), 404, `{"message":"Not Found"}`)
	d := must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{ApiId: &id, StageName: new("prod"), Description: new("first")}))
	must(g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: &id, RouteId: r.RouteId, RouteKey: new("GET /b")}))
	g.want(request(id, "GET", "/a"), 404, `{"message":"Not Found"}`)
	g.want(request(id, "GET", "/b"), 200, "ok")
	g.want(request(id, "GET", "/prod/a"), 200, "ok")
	if e := g.event(); e["rawPath"] != "/prod/a" || e["requestContext"].(map[string]any)["stage"] != "prod" {
		t.Errorf("%v", e)
	}
	// Automatic deployments do not pile up, those of somebody stay.
	all := must(g.GetDeployments(g.ctx, &api.GetDeploymentsInput{ApiId: &id})).Items
	if len(all) != 2 {
		t.Errorf("%d deployments", len(all))
	}
	_, err := g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{ApiId: &id, DeploymentId: d.DeploymentId})
	wantError(t, err, "BadRequestException", "Active stages")
	// What is no change of the API is no reason to deploy it.
	before := must(g.GetStage(g.ctx, &api.GetStageInput{ApiId: &id, StageName: new("$default")}))
	must(g.TagResource(g.ctx, &api.TagResourceInput{ResourceArn: new("arn:aws:apigateway:us-east-1::/apis/" + id), Tags: map[string]string{"a": "b"}}))
	after := must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), StageVariables: map[string]string{"v": "1", "w": "2"}}))
	if *before.DeploymentId != *after.DeploymentId || after.StageVariables["v"] != "1" {
		t.Errorf("%+v", after)
	}
	after = must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), StageVariables: map[string]string{"v": ""}}))
	if len(after.StageVariables) != 1 {
		t.Errorf("%v", after.StageVariables)
	}
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("prod"), AutoDeploy: new(true)}))
	g.want(request(id, "GET", "/prod/b"), 200, "ok")
	must(g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{ApiId: &id, DeploymentId: d.DeploymentId}))
	if tags := must(g.GetTags(g.ctx, &api.GetTagsInput{ResourceArn: new("arn:aws:apigateway:us-east-1::/apis/" + id)})).Tags; tags["a"] != "b" {
		t.Errorf("%v", tags)
	}
}

func TestRefusals(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	r := g.lambdaRoute(id, "GET /a", "2.0")
	fails := func(what, code, part string, err error) {
		t.Helper()
		t.Run(what, func(t *testing.T) { wantError(t, err, code, part) })
	}
	_, err := g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("x"), ProtocolType: new("HTTP"), CorsConfiguration: &api.Cors{AllowOrigins: []string{"*"}, AllowCredentials: new(true)}})
	fails("credentials for everybody", "BadRequestException", "allowCredentials", err)
	_, err = g.GetApi(g.ctx, &api.GetApiInput{ApiId: new("nothing")})
	fails("no API", "NotFoundException", "Invalid API identifier", err)
	_, err = g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("GET /a")})
	fails("a key twice", "ConflictException", "already exists", err)
	_, err = g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("nonsense")})
	fails("a bad key", "BadRequestException", "route key is not formatted", err)
	_, err = g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("GET /b"), Target: new("integrations/x")})
	fails("no integration", "NotFoundException", "Integration", err)
	_, err = g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new("GET /b"), AuthorizationType: new("JWT")})
	fails("no authorizer", "BadRequestException", "needs an authorizer", err)
	integration := targetOf((*api.Route)(r))
	_, err = g.DeleteIntegration(g.ctx, &api.DeleteIntegrationInput{ApiId: &id, IntegrationId: &integration})
	fails("an integration in use", "ConflictException", "referenced by route", err)
	for what, in := range map[string]api.CreateIntegrationInput{
		"Invalid integration URI": {IntegrationType: new("AWS_PROXY"), IntegrationUri: new("arn:x"), PayloadFormatVersion: new("2.0")},
		"payloadFormatVersion":    {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), PayloadFormatVersion: new("3.0")},
		"integrationMethod":       {IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("https://x.example")},
		"Invalid HTTP endpoint":   {IntegrationType: new("HTTP_PROXY"), IntegrationUri: new("ftp://x"), IntegrationMethod: new("GET")},
		"integration types":       {IntegrationType: new("MOCK")},
		"are restricted":          {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), RequestParameters: map[string]string{"overwrite:header.Authorization": "x"}},
		"parameter specified":     {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), RequestParameters: map[string]string{"append:path": "x"}},
		"expression specified":    {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), RequestParameters: map[string]string{"append:header.a": "$nothing.x"}},
		"Invalid status code":     {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), ResponseParameters: map[string]map[string]string{"99": {"overwrite:statuscode": "200"}}},
		"Templates are not":       {IntegrationType: new("AWS_PROXY"), IntegrationUri: new(functionARN), RequestTemplates: map[string]string{"a": "b"}},
	} {
		in.ApiId = &id
		_, err = g.CreateIntegration(g.ctx, &in)
		fails(what, "BadRequestException", what, err)
	}
	_, err = g.CreateIntegration(g.ctx, &api.CreateIntegrationInput{ApiId: &id, IntegrationType: new("AWS_PROXY"), IntegrationSubtype: new("SQS-SendMessage")})
	fails("a subtype", "NotImplemented", "SQS-SendMessage", err)
	_, err = g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new("a"), AuthorizerType: new("JWT"), IdentitySource: []string{"$request.header.Authorization"}})
	fails("a JWT authorizer without an issuer", "BadRequestException", "issuer", err)
	_, err = g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new("a"), AuthorizerType: new("REQUEST"), AuthorizerUri: new(functionARN)})
	fails("an authorizer without a format", "BadRequestException", "AuthorizerPayloadFormatVersion", err)
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("a/b")})
	fails("a bad stage", "BadRequestException", "Stage name", err)
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("$default")})
	fails("a stage twice", "ConflictException", "already exists", err)
	_, err = g.UpdateStage(g.ctx, &api.UpdateStageInput{ApiId: &id, StageName: new("$default"), RouteSettings: map[string]api.RouteSettings{"GET /nothing": {}}})
	fails("settings of no route", "NotFoundException", "Unable to find Route", err)
	_, err = g.GetRoutes(g.ctx, &api.GetRoutesInput{ApiId: &id, MaxResults: new("0")})
	fails("a page of nothing", "BadRequestException", "maxResults", err)
	_, err = g.TagResource(g.ctx, &api.TagResourceInput{ResourceArn: new("arn:aws:apigateway:us-east-1::/restapis/x"), Tags: map[string]string{"a": "b"}})
	fails("tags of another kind", "BadRequestException", "ARN", err)
}

func TestPages(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	for i := range 7 {
		must(g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new(fmt.Sprintf("GET /%d", i))}))
	}
	seen := map[string]bool{}
	in := &api.GetRoutesInput{ApiId: &id, MaxResults: new("3")}
	for page := 0; ; page++ {
		out := must(g.GetRoutes(g.ctx, in))
		for _, r := range out.Items {
			seen[*r.RouteKey] = true
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			if page != 2 || len(seen) != 7 {
				t.Errorf("%d pages, %d routes", page+1, len(seen))
			}
			break
		}
	}
}

// Nothing of one account or region shows in another, and nothing of a deleted API is left.
func TestApart(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "$default", "1.0")
	for _, other := range []call.Info{{Account: "999999999999", Region: testRegion}, {Account: testAccount, Region: "eu-west-1"}} {
		ctx := call.With(t.Context(), &other)
		if n := len(must(g.GetApis(ctx, &api.GetApisInput{})).Items); n != 0 {
			t.Errorf("%d APIs of others", n)
		}
		_, err := g.DeleteApi(ctx, &api.DeleteApiInput{ApiId: &id})
		wantError(t, err, "NotFoundException", "Invalid API identifier")
	}
	must(g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &id}))
	if _, there := g.Invoke(t.Context(), request(id, "GET", "/")); there {
		t.Error("a deleted API answers")
	}
	if n := g.Store.(*memkv.Store).Len(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// Quotas at their edges, and what an API that was quickly created does not let go of.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations-integrationid.html
func TestQuotas(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("x", i))
		}
		return list
	}
	jwt := func(audiences int) (*api.CreateAuthorizerOutput, error) {
		return g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{ApiId: &id, Name: new(fmt.Sprint("a", audiences)), AuthorizerType: new("JWT"), IdentitySource: []string{"$request.header.Authorization"},
			JwtConfiguration: &api.JWTConfiguration{Issuer: new(testIssuer), Audience: many(audiences)}})
	}
	a := must(jwt(50))
	_, err := jwt(51)
	wantError(t, err, "BadRequestException", "audiences")
	route := func(scopes int) error {
		_, err := g.CreateRoute(g.ctx, &api.CreateRouteInput{ApiId: &id, RouteKey: new(fmt.Sprint("GET /", scopes)), AuthorizationType: new("JWT"), AuthorizerId: a.AuthorizerId, AuthorizationScopes: many(scopes)})
		return err
	}
	must(0, route(10))
	wantError(t, route(11), "BadRequestException", "scopes")
	variables := func(n, key, value int) error {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("v", i)] = "x"
		}
		m["v0"] = strings.Repeat("x", value)
		delete(m, "v1")
		m[strings.Repeat("k", key)] = "x"
		_, err := g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new(fmt.Sprintf("s%d-%d-%d", n, key, value)), StageVariables: m})
		return err
	}
	must(0, variables(100, 64, 512))
	wantError(t, variables(101, 64, 512), "BadRequestException", "stage variables")
	wantError(t, variables(2, 65, 1), "BadRequestException", "Invalid stage variable")
	wantError(t, variables(2, 1, 513), "BadRequestException", "Invalid stage variable")

	quick := must(g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("quick"), ProtocolType: new("HTTP"), Target: new(functionARN)}))
	r := must(g.GetRoutes(g.ctx, &api.GetRoutesInput{ApiId: quick.ApiId})).Items[0]
	_, err = g.UpdateRoute(g.ctx, &api.UpdateRouteInput{ApiId: quick.ApiId, RouteId: r.RouteId, RouteKey: new("GET /")})
	wantError(t, err, "BadRequestException", "managed by API Gateway")
	_, err = g.DeleteIntegration(g.ctx, &api.DeleteIntegrationInput{ApiId: quick.ApiId, IntegrationId: new(targetOf(&r))})
	wantError(t, err, "BadRequestException", "managed by API Gateway")
}
