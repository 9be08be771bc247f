package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// apiRequest makes a request to the endpoint of an API, whose name need not be resolved.
func apiRequest(t *testing.T, method, endpoint, path, body string) *http.Request {
	t.Helper()
	u := ok(url.Parse(endpoint))(t)
	req := ok(http.NewRequestWithContext(t.Context(), method, brume.Endpoint+path, strings.NewReader(body)))(t)
	req.Host = u.Host
	return req
}

// What the Serverless Framework's httpApi, SAM and CDK make: an API, an integration with a function, routes, a default stage
// that deploys itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop.html
func TestHTTPAPIToLambda(t *testing.T) {
	w := newWorld(t, "")
	w.function("f", `
import json
def handler(e, c):
  return {"route": e["routeKey"], "id": e.get("pathParameters", {}).get("id"), "q": e.get("queryStringParameters"), "stage": e["requestContext"]["stage"]}
`, nil)
	ctx := t.Context()
	client := apigatewayv2.NewFromConfig(w.config)
	function := *ok(w.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("f")}))(t).Configuration.FunctionArn
	api := ok(client.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("http"), ProtocolType: types.ProtocolTypeHttp, CorsConfiguration: &types.Cors{AllowOrigins: []string{"*"}}}))(t)
	integration := ok(client.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{
		ApiId: api.ApiId, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: &function, PayloadFormatVersion: aws.String("2.0"), IntegrationMethod: aws.String("POST"),
	}))(t)
	route := ok(client.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("GET /pets/{id}"), Target: aws.String("integrations/" + *integration.IntegrationId)}))(t)
	ok(client.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: api.ApiId, StageName: aws.String("$default"), AutoDeploy: aws.Bool(true)}))(t)

	resp, body := send(t, apiRequest(t, "GET", *api.ApiEndpoint, "/pets/7?q=1", ""))
	if resp.StatusCode != 500 || body != `{"message":"Internal Server Error"}` {
		t.Errorf("without the function's permission: %s %s", resp.Status, body)
	}
	ok(w.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String("f"), StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com"),
		SourceArn: aws.String("arn:aws:execute-api:" + region + ":" + w.account + ":" + *api.ApiId + "/*/*/pets/{id}"),
	}))(t)
	req := apiRequest(t, "GET", *api.ApiEndpoint, "/pets/7?q=1&q=2", "")
	req.Header.Set("Origin", "https://a.example")
	resp, body = send(t, req)
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || got["id"] != "7" || got["route"] != "GET /pets/{id}" || got["stage"] != "$default" ||
		resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Apigw-Requestid") == "" {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body)
	}
	resp, body = send(t, apiRequest(t, "POST", *api.ApiEndpoint, "/pets/7", ""))
	if resp.StatusCode != 404 || body != `{"message":"Not Found"}` {
		t.Errorf("%s %s", resp.Status, body)
	}
	// The path form, for clients without wildcard names.
	plain := ok(http.NewRequestWithContext(ctx, "GET", brume.Endpoint+"/_aws/execute-api/"+*api.ApiId+"/pets/8", nil))(t)
	if resp, body = send(t, plain); resp.StatusCode != 200 || !strings.Contains(body, `"8"`) {
		t.Errorf("%s %s", resp.Status, body)
	}

	// Signed by a user who may, and by one who may not.
	ok(client.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: api.ApiId, RouteId: route.RouteId, AuthorizationType: types.AuthorizationTypeAwsIam}))(t)
	_, may := newUser(t, w.config, "may", allow("execute-api:Invoke", "arn:aws:execute-api:"+region+":"+w.account+":"+*api.ApiId+"/$default/GET/pets/*"))
	_, mayNot := newUser(t, w.config, "maynot", allow("execute-api:Invoke", "arn:aws:execute-api:*:*:other/*"))
	signed := func(cfg aws.Config) int {
		req := apiRequest(t, "GET", *api.ApiEndpoint, "/pets/1", "")
		sum := sha256.Sum256(nil)
		if err := v4.NewSigner().SignHTTP(ctx, ok(cfg.Credentials.Retrieve(ctx))(t), req, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, _ := send(t, req)
		return resp.StatusCode
	}
	same(t, "with permission", signed(may), 200)
	same(t, "without permission", signed(mayNot), 403)
	resp, _ = send(t, apiRequest(t, "GET", *api.ApiEndpoint, "/pets/1", ""))
	same(t, "unsigned", resp.StatusCode, 403)
}

// Every operation of the control plane through the SDK, and what it refuses.
func TestHTTPAPIOperations(t *testing.T) {
	ctx, account := t.Context(), newAccount()
	root := rootOf(account)
	client := apigatewayv2.NewFromConfig(root)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.Method + " " + r.RequestURI)) }))
	defer backend.Close()

	quick := ok(client.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("quick"), ProtocolType: types.ProtocolTypeHttp, Target: aws.String(backend.URL + "/fixed"), RouteKey: aws.String("GET /here")}))(t)
	if resp, body := send(t, apiRequest(t, "GET", *quick.ApiEndpoint, "/here?a=1", "")); resp.StatusCode != 200 || body != "GET /fixed?a=1" {
		t.Errorf("%s %s", resp.Status, body)
	}
	api := ok(client.ImportApi(ctx, &apigatewayv2.ImportApiInput{Body: aws.String(`{"openapi":"3.0.1","info":{"title":"imported","version":"1"},"paths":{"/out/{proxy+}":{"x-amazon-apigateway-any-method":{
		"x-amazon-apigateway-integration":{"type":"http_proxy","httpMethod":"ANY","uri":"` + backend.URL + `/up/{proxy}","payloadFormatVersion":"1.0"}}}}}`)}))(t)
	id := api.ApiId
	ok(client.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: id, StageName: aws.String("dev")}))(t)
	if resp, _ := send(t, apiRequest(t, "PUT", *api.ApiEndpoint, "/dev/out/a", "")); resp.StatusCode != 404 {
		t.Errorf("before the deployment: %s", resp.Status)
	}
	deployment := ok(client.CreateDeployment(ctx, &apigatewayv2.CreateDeploymentInput{ApiId: id, StageName: aws.String("dev")}))(t)
	if resp, body := send(t, apiRequest(t, "PUT", *api.ApiEndpoint, "/dev/out/a%20b?q=1", "x")); resp.StatusCode != 200 || body != "PUT /up/a%20b?q=1" {
		t.Errorf("%s %s", resp.Status, body)
	}
	authorizer := ok(client.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{
		ApiId: id, Name: aws.String("jwt"), AuthorizerType: types.AuthorizerTypeJwt, IdentitySource: []string{"$request.header.Authorization"},
		JwtConfiguration: &types.JWTConfiguration{Issuer: aws.String("https://127.0.0.1:1"), Audience: []string{"app"}},
	}))(t)
	routes := ok(client.GetRoutes(ctx, &apigatewayv2.GetRoutesInput{ApiId: id}))(t).Items
	ok(client.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: id, RouteId: routes[0].RouteId, AuthorizationType: types.AuthorizationTypeJwt, AuthorizerId: authorizer.AuthorizerId, AuthorizationScopes: []string{"read"}}))(t)
	ok(client.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: id, StageName: aws.String("dev"), AutoDeploy: aws.Bool(true), StageVariables: map[string]string{"a": "b"}}))(t)
	resp, body := send(t, apiRequest(t, "PUT", *api.ApiEndpoint, "/dev/out/a", ""))
	if resp.StatusCode != 401 || body != `{"message":"Unauthorized"}` || resp.Header.Get("Www-Authenticate") != "Bearer" {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body)
	}
	export := ok(client.ExportApi(ctx, &apigatewayv2.ExportApiInput{ApiId: id, Specification: aws.String("OAS30"), OutputType: aws.String("JSON"), StageName: aws.String("dev")}))(t)
	if !json.Valid(export.Body) || !strings.Contains(string(export.Body), `"x-amazon-apigateway-any-method"`) {
		t.Errorf("%s", export.Body)
	}
	arn := aws.String("arn:aws:apigateway:" + region + "::/apis/" + *id + "/stages/dev")
	ok(client.TagResource(ctx, &apigatewayv2.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"k": "v"}}))(t)
	same(t, "tags", ok(client.GetTags(ctx, &apigatewayv2.GetTagsInput{ResourceArn: arn}))(t).Tags["k"], "v")
	ok(client.UntagResource(ctx, &apigatewayv2.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"k"}}))(t)
	same(t, "APIs", len(ok(client.GetApis(ctx, &apigatewayv2.GetApisInput{}))(t).Items), 2)

	_, err := client.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: aws.String("nothing")})
	is[*types.NotFoundException](t, err, "Invalid API identifier")
	_, err = client.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: id, StageName: aws.String("dev")})
	is[*types.ConflictException](t, err, "already exists")
	_, err = client.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: id, RouteKey: aws.String("x")})
	is[*types.BadRequestException](t, err, "route key")
	_, user := newUser(t, root, "reader", allow("apigateway:GET", "arn:aws:apigateway:"+region+"::/apis/"+*id))
	reader := apigatewayv2.NewFromConfig(user)
	ok(reader.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: id}))(t)
	_, err = reader.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: quick.ApiId})
	hasCode(t, err, 403, "AccessDeniedException", "apigateway:GET on resource: arn:aws:apigateway:"+region+"::/apis/"+*quick.ApiId)
	_, err = reader.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: id})
	hasCode(t, err, 403, "AccessDeniedException", "apigateway:DELETE")

	ok(client.DeleteStage(ctx, &apigatewayv2.DeleteStageInput{ApiId: id, StageName: aws.String("dev")}))(t)
	ok(client.DeleteDeployment(ctx, &apigatewayv2.DeleteDeploymentInput{ApiId: id, DeploymentId: deployment.DeploymentId}))(t)
	_, err = client.DeleteAuthorizer(ctx, &apigatewayv2.DeleteAuthorizerInput{ApiId: id, AuthorizerId: authorizer.AuthorizerId})
	hasCode(t, err, 409, "ConflictException", "referenced in route")
	ok(client.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: id}))(t)
	if resp, _ := send(t, apiRequest(t, "GET", *api.ApiEndpoint, "/", "")); resp.StatusCode != 403 && resp.StatusCode != 404 {
		t.Errorf("a deleted API: %s", resp.Status)
	}
}

// One custom domain name for an HTTP API and a REST API, made in one service and known in the other.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
func TestCustomDomainOfTwoKinds(t *testing.T) {
	ctx, account := t.Context(), newAccount()
	root := rootOf(account)
	client, restClient := apigatewayv2.NewFromConfig(root), apigateway.NewFromConfig(root)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.Method + " " + r.RequestURI)) }))
	defer backend.Close()
	quick := ok(client.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("quick"), ProtocolType: types.ProtocolTypeHttp, Target: aws.String(backend.URL + "/http"), DisableExecuteApiEndpoint: aws.Bool(true)}))(t)
	rest := ok(restClient.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: []byte(`{"openapi":"3.0.1","info":{"title":"rest","version":"1"},"paths":{"/r":{"get":{
		"x-amazon-apigateway-integration":{"type":"http_proxy","httpMethod":"GET","uri":"` + backend.URL + `/rest"}}}}}`)}))(t)
	ok(restClient.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: rest.Id, StageName: aws.String("dev")}))(t)

	name := aws.String("api-" + account + ".example.com")
	ok(client.CreateDomainName(ctx, &apigatewayv2.CreateDomainNameInput{DomainName: name, Tags: map[string]string{"team": "a"}, DomainNameConfigurations: []types.DomainNameConfiguration{{
		CertificateArn: aws.String("arn:aws:acm:us-east-1:" + account + ":certificate/x"), EndpointType: types.EndpointTypeRegional,
	}}}))(t)
	_, err := restClient.CreateDomainName(ctx, &apigateway.CreateDomainNameInput{DomainName: name})
	hasCode(t, err, 409, "ConflictException", "The domain name you provided already exists.")
	first := ok(client.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: name, ApiId: quick.ApiId, Stage: aws.String("$default")}))(t)
	ok(client.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: name, ApiId: rest.Id, Stage: aws.String("dev"), ApiMappingKey: aws.String("deep/down")}))(t)
	ok(restClient.CreateBasePathMapping(ctx, &apigateway.CreateBasePathMappingInput{DomainName: name, RestApiId: rest.Id, Stage: aws.String("dev"), BasePath: aws.String("old")}))(t)
	get := func(path string) string {
		req := apiRequest(t, "GET", "http://"+*name, path, "")
		resp, body := send(t, req)
		return resp.Status[:3] + " " + body
	}
	same(t, "the HTTP API", get("/x"), "200 GET /http/x")
	same(t, "the REST API by a path of two levels", get("/deep/down/r"), "200 GET /rest")
	same(t, "the REST API by its own service's mapping", get("/old/r"), "200 GET /rest")
	same(t, "a path of the longer mapping alone", get("/deep"), "200 GET /http/deep")
	if resp, _ := send(t, apiRequest(t, "GET", *quick.ApiEndpoint, "/x", "")); resp.StatusCode != 404 {
		t.Errorf("the disabled endpoint answers %s", resp.Status)
	}
	mine := ok(restClient.GetDomainName(ctx, &apigateway.GetDomainNameInput{DomainName: name}))(t)
	if mine.Tags["team"] != "a" || *mine.RegionalCertificateArn != "arn:aws:acm:us-east-1:"+account+":certificate/x" {
		t.Errorf("%+v", mine)
	}
	same(t, "mappings of one level", len(ok(restClient.GetBasePathMappings(ctx, &apigateway.GetBasePathMappingsInput{DomainName: name}))(t).Items), 2)
	same(t, "mappings", len(ok(client.GetApiMappings(ctx, &apigatewayv2.GetApiMappingsInput{DomainName: name}))(t).Items), 3)
	same(t, "names", len(ok(client.GetDomainNames(ctx, &apigatewayv2.GetDomainNamesInput{}))(t).Items), 1)
	ok(client.UpdateApiMapping(ctx, &apigatewayv2.UpdateApiMappingInput{DomainName: name, ApiMappingId: first.ApiMappingId, ApiId: quick.ApiId, ApiMappingKey: aws.String("http")}))(t)
	same(t, "a path that is mapped no more", get("/x"), `403 {"message":"Forbidden"}`)
	same(t, "the new path", get("/http/x"), "200 GET /http/http/x")
	ok(client.UpdateDomainName(ctx, &apigatewayv2.UpdateDomainNameInput{DomainName: name, DomainNameConfigurations: []types.DomainNameConfiguration{{CertificateName: aws.String("new")}}}))(t)
	same(t, "the certificate", *ok(client.GetDomainName(ctx, &apigatewayv2.GetDomainNameInput{DomainName: name}))(t).DomainNameConfigurations[0].CertificateName, "new")
	_, err = client.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: quick.ApiId})
	hasCode(t, err, 400, "BadRequestException", "Please remove all API mappings")
	ok(client.DeleteApiMapping(ctx, &apigatewayv2.DeleteApiMappingInput{DomainName: name, ApiMappingId: first.ApiMappingId}))(t)
	_, err = client.GetApiMapping(ctx, &apigatewayv2.GetApiMappingInput{DomainName: name, ApiMappingId: first.ApiMappingId})
	hasCode(t, err, 404, "NotFoundException", "")
	ok(client.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: quick.ApiId}))(t)
	ok(client.DeleteDomainName(ctx, &apigatewayv2.DeleteDomainNameInput{DomainName: name}))(t)
	_, err = restClient.GetDomainName(ctx, &apigateway.GetDomainNameInput{DomainName: name})
	hasCode(t, err, 404, "NotFoundException", "Invalid domain name identifier specified")
}

// The access log of a stage is in CloudWatch Logs, without a role of the account: but only who may have logs delivered can
// switch it on.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
func TestHTTPAPIAccessLog(t *testing.T) {
	ctx, account := t.Context(), newAccount()
	root := rootOf(account)
	client, logs := apigatewayv2.NewFromConfig(root), cloudwatchlogs.NewFromConfig(root)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202) }))
	defer backend.Close()
	quick := ok(client.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("quick"), ProtocolType: types.ProtocolTypeHttp, Target: aws.String(backend.URL)}))(t)
	group := aws.String("/aws/vendedlogs/api")
	ok(logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}))(t)
	in := &apigatewayv2.UpdateStageInput{ApiId: quick.ApiId, StageName: aws.String("$default"), AccessLogSettings: &types.AccessLogSettings{
		DestinationArn: aws.String("arn:aws:logs:" + region + ":" + account + ":log-group:" + *group), Format: aws.String(`{"id":"$context.requestId","status":"$context.status","path":"$context.path","integration":$context.integrationStatus}`),
	}}
	_, mayNot := newUser(t, root, "maynot", allow("apigateway:*", "*"))
	_, err := apigatewayv2.NewFromConfig(mayNot).UpdateStage(ctx, in)
	hasCode(t, err, 403, "AccessDeniedException", "logs:CreateLogDelivery")
	ok(client.UpdateStage(ctx, in))(t)
	resp, _ := send(t, apiRequest(t, "GET", *quick.ApiEndpoint, "/some/path", ""))
	want := `{"id":"` + resp.Header.Get("Apigw-Requestid") + `","status":"202","path":"/some/path","integration":202}`
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		events := ok(logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group}))(t).Events
		if len(events) > 0 {
			same(t, "the line", *events[0].Message, want)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no line")
		}
	}
}
