package apigatewayv2

import (
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
)

const petsDocument = `{
  "openapi": "3.0.1", "info": {"title": "Pets", "version": "1", "description": "all of them"},
  "servers": [{"url": "https://x.example/base/more"}],
  "tags": [{"name": "team", "x-amazon-apigateway-tag-value": "a"}],
  "x-amazon-apigateway-cors": {"allowOrigins": ["*"], "allowMethods": ["GET"], "maxAge": 5},
  "paths": {
    "/pets/{id}": {"get": {"operationId": "getPet", "responses": {}, "security": [{"jwt": ["read"]}],
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "x-amazon-apigateway-integration": {"type":"http_proxy","httpMethod":"GET","uri":"https://up.example/{id}","payloadFormatVersion":"1.0","timeoutInMillis":1000,
        "requestParameters":{"append:header.x":"$request.path.id"},"responseParameters":{"404":{"overwrite:statuscode":"410"}}}}},
    "/any/{proxy+}": {"x-amazon-apigateway-any-method": {"responses": {}, "security": [{"fn": []}], "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/f"}}},
    "/signed": {"post": {"responses": {}, "security": [{"sigv4": []}], "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/f"}}},
    "/$default": {"x-amazon-apigateway-any-method": {"responses": {}, "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/f"}}}
  },
  "components": {
    "x-amazon-apigateway-integrations": {"f": {"type": "aws_proxy", "uri": "` + functionARN + `", "payloadFormatVersion": "2.0", "httpMethod": "POST"}},
    "securitySchemes": {
      "jwt": {"type": "oauth2", "flows": {}, "x-amazon-apigateway-authorizer": {"type": "jwt", "identitySource": "$request.header.Authorization", "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["app"]}}},
      "fn": {"type": "apiKey", "name": "Auth", "in": "header", "x-amazon-apigateway-authorizer": {"type": "request", "identitySource": "$request.header.Auth,$request.querystring.q", "authorizerUri": "` + functionARN + `",
        "authorizerPayloadFormatVersion": "2.0", "enableSimpleResponses": true, "authorizerResultTtlInSeconds": 0}},
      "sigv4": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
    }
  }
}`

// What is imported works, and what is exported is valid and imports again as the same.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html
func TestImportAndExport(t *testing.T) {
	g := newTester(t)
	a := must(g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(petsDocument), FailOnWarnings: new(true)}))
	if *a.Name != "Pets" || a.Tags["team"] != "a" || a.CorsConfiguration == nil || *a.CorsConfiguration.MaxAge != 5 {
		t.Errorf("%+v", a)
	}
	id := *a.ApiId
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("prod"), AutoDeploy: new(true)}))
	g.want(request(id, "GET", "/prod/other"), 200, "ok")
	g.want(request(id, "GET", "/prod/pets/1"), 401, `{"message":"Unauthorized"}`)
	g.want(request(id, "POST", "/prod/signed"), 403, `{"message":"Forbidden"}`)
	g.lambda.run = returns(`{"isAuthorized":true,"statusCode":200,"body":"ok"}`)
	g.want(request(id, "GET", "/prod/any/thing?q=1", edge.Field{"Auth", "x"}), 200, "ok")
	if n := len(must(g.GetIntegrations(g.ctx, &api.GetIntegrationsInput{ApiId: &id})).Items); n != 2 {
		t.Errorf("%d integrations: one that is shared is one", n)
	}

	export := func(id, output string, stage *string, extensions bool) []byte {
		return must(g.ExportApi(g.ctx, &api.ExportApiInput{ApiId: &id, Specification: new("OAS30"), OutputType: &output, StageName: stage, IncludeExtensions: &extensions})).Body
	}
	for _, output := range []string{"JSON", "YAML"} {
		for _, extensions := range []bool{true, false} {
			doc := must(openapi3.NewLoader().LoadFromData(export(id, output, new("prod"), extensions)))
			if err := doc.Validate(t.Context()); err != nil {
				t.Errorf("%s: %v", output, err)
			}
		}
	}
	first := export(id, "JSON", nil, true)
	again := must(g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(string(export(id, "YAML", nil, true))), FailOnWarnings: new(true)}))
	second := strings.ReplaceAll(string(export(*again.ApiId, "JSON", nil, true)), *again.ApiId, id)
	if string(first) != second {
		t.Errorf("first %s\nsecond %s", first, second)
	}
	must(g.ReimportApi(g.ctx, &api.ReimportApiInput{ApiId: &id, Body: new(`{"openapi":"3.0.1","info":{"title":"New","version":"2"},"paths":{"/new":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","uri":"` + functionARN + `","payloadFormatVersion":"1.0"}}}}}`)}))
	g.want(request(id, "GET", "/prod/new"), 200, "ok")
	g.want(request(id, "GET", "/prod/other"), 404, `{"message":"Not Found"}`)
	for mode, key := range map[string]string{"prepend": "/base/more/pets/{id}", "split": "/more/pets/{id}", "ignore": "/pets/{id}"} {
		b := must(g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(petsDocument), Basepath: &mode}))
		found := false
		for _, r := range must(g.GetRoutes(g.ctx, &api.GetRoutesInput{ApiId: b.ApiId})).Items {
			found = found || *r.RouteKey == "GET "+key
		}
		if !found {
			t.Errorf("%s: no route GET %s", mode, key)
		}
	}
	for body, part := range map[string]string{
		`{`: "Unable to parse", `{"swagger":"2.0"}`: "Unsupported OpenAPI version", `{"openapi":"3.0.1","info":{}}`: "info.title",
		strings.ReplaceAll(petsDocument, "integrations/f\"", "integrations/g\""): "Unable to resolve reference",
		strings.ReplaceAll(petsDocument, `"http_proxy"`, `"mock"`):               "integration types",
	} {
		_, err := g.ImportApi(g.ctx, &api.ImportApiInput{Body: &body})
		wantError(t, err, "BadRequestException", part)
	}
	// A scheme that is not understood lets nobody in.
	open := must(g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(strings.ReplaceAll(petsDocument, `"security": [{"fn": []}]`, `"security": [{"what": []}]`))}))
	if len(open.Warnings) != 1 {
		t.Errorf("%v", open.Warnings)
	}
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: open.ApiId, StageName: new("prod"), AutoDeploy: new(true)}))
	g.want(request(*open.ApiId, "GET", "/prod/any/thing"), 403, `{"message":"Forbidden"}`)
}

// Whatever a document is, reading it ends in an API whose parts fit together, or in an error that a client may see.
func FuzzDocument(f *testing.F) {
	f.Add(petsDocument)
	f.Add("openapi: 3.0.0\ninfo: {title: x}\npaths: {/a: {get: {}}}")
	f.Fuzz(func(t *testing.T, body string) {
		d, err := readDocument(body, new("prepend"))
		if err != nil {
			if messageOf(err) == "" {
				t.Error("an error without words")
			}
			return
		}
		for i := range d.Routes {
			if id := targetOf(&d.Routes[i]); id != "" {
				if _, found := find(d.Integrations, id, integrationID); !found {
					t.Errorf("%+v", d.Routes[i])
				}
			}
		}
	})
}
