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
		strings.ReplaceAll(petsDocument, "integrations/f\"", "integrations/g\""):      "Unable to resolve reference",
		strings.ReplaceAll(petsDocument, `"http_proxy"`, `"what"`):                    "integration types",
		strings.ReplaceAll(petsDocument, `[{"fn": []}]`, `[{"fn": []}, {"jwt": []}]`): "several security requirements",
		strings.ReplaceAll(petsDocument, `[{"fn": []}]`, `[{"fn": [], "jwt": []}]`):   "several security requirements",
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

// What an exported REST API has that an HTTP API has not is told, and whether it stops the import is the caller's to say. AWS's
// variables stand for the account and region.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-open-api.html#http-api-import.validation
// https://docs.aws.amazon.com/apigateway/latest/developerguide/import-api-aws-variables.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
func TestImportNotes(t *testing.T) {
	g := newTester(t)
	const document = `{"openapi":"3.0.1","info":{"title":"x","version":"1"},"x-amazon-apigateway-gateway-responses":{},
		"paths":{
			"/a":{"get":{"requestBody":{"content":{}},"x-amazon-apigateway-integration":{"type":"AWS","httpMethod":"POST","uri":"` + functionARN + `","payloadFormatVersion":"1.0"}}},
			"/b":{"get":{"security":[{"autofind":["read"]}],"x-amazon-apigateway-integration":{"type":"AWS_PROXY","payloadFormatVersion":1.0,"passthroughBehavior":"when_no_match",
				"uri":"arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:f/invocations",
				"credentials":"arn:aws:iam::${AWS::AccountId}:role/r"}}},
			"/c":{"get":{"security":[{"fn":[]}]}}},
		"components":{"schemas":{"Pet":{"type":"object"}},"securitySchemes":{
			"autofind":{"type":"openIdConnect","openIdConnectUrl":"https://cognito-idp.us-east-1.amazonaws.com/pool/.well-known/openid-configuration",
				"x-amazon-apigateway-authorizer":{"type":"jwt","jwtConfiguration":{"audience":["a"]},"identitySource":"$request.header.Authorization"}},
			"fn":{"type":"apiKey","name":"A","in":"header","x-amazon-apigateway-authorizer":{"type":"request","identitySource":["$request.header.A","$request.querystring.q"],"authorizerUri":"` + functionARN + `",
				"authorizerPayloadFormatVersion":2,"authorizerResultTtlInSeconds":"60"}}}}}`
	_, err := g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(document), FailOnWarnings: new(true)})
	wantError(t, err, "BadRequestException", "Warnings found during import: The route GET /a has an integration of the type AWS.")
	a := must(g.ImportApi(g.ctx, &api.ImportApiInput{Body: new(document)}))
	if len(a.Warnings) != 1 || len(a.ImportInfo) != 3 || !strings.HasPrefix(a.ImportInfo[2], "#/paths/a/get/requestBody ") {
		t.Errorf("%q %q", a.Warnings, a.ImportInfo)
	}
	integrations := must(g.GetIntegrations(g.ctx, &api.GetIntegrationsInput{ApiId: a.ApiId})).Items
	if len(integrations) != 1 || !strings.Contains(*integrations[0].IntegrationUri, "functions/"+functionARN+"/") || *integrations[0].PayloadFormatVersion != "1.0" || *integrations[0].CredentialsArn != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v", integrations)
	}
	for _, z := range must(g.GetAuthorizers(g.ctx, &api.GetAuthorizersInput{ApiId: a.ApiId})).Items {
		switch *z.Name {
		case "autofind":
			if *z.JwtConfiguration.Issuer != "https://cognito-idp.us-east-1.amazonaws.com/pool" {
				t.Errorf("%+v", z.JwtConfiguration)
			}
		case "fn":
			if *z.AuthorizerResultTtlInSeconds != 60 || *z.AuthorizerPayloadFormatVersion != "2.0" || len(z.IdentitySource) != 2 || value(z.EnableSimpleResponses) {
				t.Errorf("%+v", z)
			}
		}
	}
	// Policies see the role as it will be.
	checks, _, err := g.Checks(g.ctx, "ImportApi", &api.ImportApiInput{Body: new(document)})
	if err != nil || len(checks) != 2 || checks[1].Resource != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v %v", checks, err)
	}
}

// Whatever a document is, reading it ends in an API whose parts fit together, or in an error that a client may see.
func FuzzDocument(f *testing.F) {
	f.Add(petsDocument)
	f.Add("openapi: 3.0.0\ninfo: {title: x}\npaths: {/a: {get: {}}}")
	f.Fuzz(func(t *testing.T, body string) {
		d, err := readDocument(scope{"1", "r"}, body, new("prepend"))
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
