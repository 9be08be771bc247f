package apigateway

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
)

func petsDocument(t *testing.T) []byte {
	data, err := os.ReadFile("openapi/testdata/pets-swagger.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// Methods with authorizers are refused until they are checked.
	s := strings.ReplaceAll(string(data), "security: [{auth: []}]", "security: []")
	return []byte(strings.ReplaceAll(s, "security: [{sigv4: []}]", "security: []"))
}

func (g *gateway) paths(apiID string) []string {
	var out []string
	for _, r := range must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: &apiID, Limit: new(int32(500))})).Items {
		out = append(out, *r.Path)
	}
	slices.Sort(out)
	return out
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api-update.html
func TestImportAndPut(t *testing.T) {
	g := newGateway(t)
	rest := must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: petsDocument(t), Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL"}, FailOnWarnings: new(true)}))
	id := *rest.Id
	if *rest.Name != "Pets" || rest.EndpointConfiguration.Types[0] != "REGIONAL" || len(rest.Warnings) != 0 {
		t.Errorf("%+v", rest)
	}
	if got := strings.Join(g.paths(id), " "); got != "/ /pets /pets/{id}" {
		t.Error(got)
	}
	g.deploy(id, "dev")
	g.want(request(id, "dev", "PUT", "/pets/1"), 500, `{"message": "Internal server error"}`) // a mock without responses
	pets := g.resource(id, "/pets")
	m := must(g.GetMethod(g.ctx, &api.GetMethodInput{RestApiId: &id, ResourceId: &pets, HttpMethod: new("GET")}))
	v := must(g.GetRequestValidator(g.ctx, &api.GetRequestValidatorInput{RestApiId: &id, RequestValidatorId: m.RequestValidatorId}))
	if *v.Name != "all" {
		t.Errorf("%+v", v)
	}
	if model := must(g.GetModel(g.ctx, &api.GetModelInput{RestApiId: &id, ModelName: new("Pet")})); !strings.Contains(*model.Schema, "/restapis/"+id+"/models/Pet") {
		t.Errorf("%s", *model.Schema)
	}
	if parts := must(g.GetDocumentationParts(g.ctx, &api.GetDocumentationPartsInput{RestApiId: &id, Type: new("QUERY_PARAMETER")})).Items; len(parts) != 1 || *parts[0].Properties != `{"description":"how many"}` {
		t.Errorf("%+v", parts)
	}

	// Merging keeps what the document does not mention, overwriting removes it; ids stay.
	more := `{"openapi":"3.0.1","info":{"title":"More"},"paths":{"/pets":{"delete":{"responses":{"200":{"description":"ok"}},"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\":200}"},"responses":{"default":{"statusCode":"200"}}}}},"/new/{x}":{}}}`
	put := func(mode, body string) (*api.RestApi, error) {
		return g.PutRestApi(g.ctx, &api.PutRestApiInput{RestApiId: &id, Mode: &mode, Body: []byte(body)})
	}
	must(put("merge", more))
	if got := strings.Join(g.paths(id), " "); got != "/ /new /new/{x} /pets /pets/{id}" || g.resource(id, "/pets") != pets {
		t.Error(got)
	}
	must(put("overwrite", more))
	if got := strings.Join(g.paths(id), " "); got != "/ /new /new/{x} /pets" || g.resource(id, "/pets") != pets {
		t.Error(got)
	}
	if r := must(g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: &pets})); len(r.ResourceMethods) != 1 {
		t.Errorf("%+v", r)
	}
	if list := must(g.GetModels(g.ctx, &api.GetModelsInput{RestApiId: &id})).Items; len(list) != 2 {
		t.Errorf("%+v", list)
	}

	// A fault leaves everything as it was.
	before := strings.Join(g.paths(id), " ")
	for _, tt := range []struct{ mode, body, want string }{
		{"sideways", "{}", "Invalid mode specified: sideways"},
		{"merge", "{}", "Invalid OpenAPI input"},
		{"overwrite", `{"swagger":"2.0","info":{"title":"x"},"paths":{"/a b":{}}}`, "Unable to create resource at path '/a b': Resource's path part only allow"},
		{"merge", `{"swagger":"2.0","info":{"title":"x"},"paths":{"/new/{y}":{}}}`, "Unable to create resource at path '/new/{y}': A sibling"},
		{"overwrite", `{"swagger":"2.0","info":{"title":"x"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"nope"}}}}}`, "Unable to put integration on 'GET' for resource at path '/a': Invalid integration type"},
		{"overwrite", `{"swagger":"2.0","info":{"title":"x"},"paths":{},"x-amazon-apigateway-gateway-responses":{"NOPE":{}}}`, "Unable to put gateway response 'NOPE'"},
	} {
		_, err := put(tt.mode, tt.body)
		wantError(t, err, "BadRequestException", tt.want)
	}
	if got := strings.Join(g.paths(id), " "); got != before {
		t.Error(got)
	}
	_, err := g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: []byte(`{"swagger":"2.0","info":{}}`), FailOnWarnings: new(true)})
	wantError(t, err, "BadRequestException", "Warnings found during import:\n\tThe document has no info.title")
	if all := must(g.GetRestApis(g.ctx, &api.GetRestApisInput{})).Items; len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-lambda-proxy-integration-on-proxy-resource.html
// has methods without responses whose proxy integrations name one.
func TestImportOfAProxyResource(t *testing.T) {
	document := func(kind string) []byte {
		return []byte(`{"openapi": "3.0.0", "info": {"version": "1", "title": "Proxy"}, "paths": {"/{proxy+}": {"x-amazon-apigateway-any-method": {
			"parameters": [{"name": "proxy", "in": "path", "required": true, "schema": {"type": "string"}}],
			"responses": {},
			"x-amazon-apigateway-integration": {
				"responses": {"default": {"statusCode": "200"}}, "uri": "` + functionURI + `", "passthroughBehavior": "when_no_match",
				"httpMethod": "POST", "cacheNamespace": "roq9wj", "cacheKeyParameters": ["method.request.path.proxy"], "type": "` + kind + `"}}}}}`)
	}
	g := newGateway(t)
	id := *must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: document("aws_proxy"), FailOnWarnings: new(true)})).Id
	g.deploy(id, "dev")
	g.want(request(id, "dev", "PATCH", "/a/b"), 200, "ok")
	_, err := g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: document("aws")})
	wantError(t, err, "BadRequestException", "Invalid Response status code specified")
}

// Who imports a document must be allowed to pass the roles in it.
func TestImportPassesRoles(t *testing.T) {
	g := newGateway(t)
	checks, _, err := g.Checks(g.ctx, "ImportRestApi", &api.ImportRestApiInput{Body: petsDocument(t)})
	var passed []string
	for _, c := range checks {
		if c.Action == "iam:PassRole" {
			passed = append(passed, c.Resource)
		}
	}
	if err != nil || strings.Join(passed, " ") != "arn:aws:iam::123456789012:role/api arn:aws:iam::123456789012:role/auth" {
		t.Errorf("%q %v", passed, err)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
func TestExport(t *testing.T) {
	g := newGateway(t)
	id := *must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: petsDocument(t)})).Id
	g.deploy(id, "dev")
	must(g.CreateDocumentationVersion(g.ctx, &api.CreateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1"), StageName: new("dev")}))
	// What is edited afterwards is not deployed, and not exported.
	g.proxy(id, "/later", "GET", false)
	export := func(kind, extensions string, accepts *string) (*api.GetExportOutput, error) {
		return g.GetExport(g.ctx, &api.GetExportInput{RestApiId: &id, StageName: new("dev"), ExportType: &kind, Accepts: accepts, Parameters: map[string]string{"extensions": extensions}})
	}
	out := must(export("swagger", "integrations,postman", nil))
	var doc struct {
		Swagger, Host, BasePath string
		Schemes                 []string
		Paths                   map[string]map[string]map[string]any
	}
	if err := json.Unmarshal(out.Body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Swagger != "2.0" || doc.Host != "127.0.0.1:4566" || doc.BasePath != "/restapis/"+id+"/dev/_user_request_" || doc.Schemes[0] != "http" {
		t.Errorf("%+v", doc)
	}
	get := doc.Paths["/pets"]["get"]
	if doc.Paths["/later"] != nil || get["x-amazon-apigateway-integration"] == nil || get["x-amazon-apigateway-request-validator"] != nil || get["summary"] != "All pets" {
		t.Errorf("%+v", doc.Paths)
	}
	if *out.ContentType != "application/json" || *out.ContentDisposition != `attachment; filename="swagger_2024-01-01.json"` {
		t.Errorf("%s %s", *out.ContentType, *out.ContentDisposition)
	}
	plain := must(export("oas30", "", new("application/yaml")))
	if s := string(plain.Body); strings.Contains(s, "x-amazon-apigateway-integration") || !strings.HasPrefix(s, `"openapi": "3.0.1"`) {
		t.Error(s)
	}
	// An API made of an export is the same.
	full := must(export("oas30", "apigateway", nil))
	again := *must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: full.Body, FailOnWarnings: new(true)})).Id
	g.deploy(again, "dev")
	second := must(g.GetExport(g.ctx, &api.GetExportInput{RestApiId: &again, StageName: new("dev"), ExportType: new("oas30"), Parameters: map[string]string{"extensions": "apigateway"}}))
	strip := func(body []byte, apiID string) string {
		var doc map[string]any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(body), apiID, "ID")), &doc); err != nil {
			t.Fatal(err)
		}
		delete(doc, "x-amazon-apigateway-documentation") // it is not published on the new stage
		return string(must(json.MarshalIndent(doc["components"], "", " "))) + string(must(json.MarshalIndent(doc["x-amazon-apigateway-gateway-responses"], "", " ")))
	}
	if a, b := strip(full.Body, id), strip(second.Body, again); a != b {
		t.Errorf("%s\nbecame\n%s", a, b)
	}
	_, err := export("raml", "", nil)
	wantError(t, err, "BadRequestException", "Invalid export type specified: raml")
	_, err = export("swagger", "nope", nil)
	wantError(t, err, "BadRequestException", "extensions: nope")
	_, err = export("swagger", "", new("text/html"))
	wantError(t, err, "BadRequestException", "Invalid accepts value")
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/import-api-aws-variables.html
func TestImportVariables(t *testing.T) {
	g := newGateway(t)
	document := []byte("openapi: 3.0.1\ninfo: {title: tasks-api, version: v1.0}\npaths:\n  /:\n    get:\n      x-amazon-apigateway-integration:\n        type: aws_proxy\n        httpMethod: POST\n" +
		"        credentials: arn:aws:iam::${AWS::AccountId}:role/r\n" +
		"        uri: arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:f/invocations\n")
	id := must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: document})).Id
	root := must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: id})).Items[0]
	i := must(g.GetIntegration(g.ctx, &api.GetIntegrationInput{RestApiId: id, ResourceId: root.Id, HttpMethod: new("GET")}))
	if *i.Uri != "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations" || *i.Credentials != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v", i)
	}
	checks, _, err := g.Checks(g.ctx, "ImportRestApi", &api.ImportRestApiInput{Body: document})
	if err != nil || len(checks) != 2 || checks[1].Resource != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v %v", checks, err)
	}
}
