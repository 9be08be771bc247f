package apigateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
	"brume/internal/kv/memkv"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
func TestModels(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	list := must(g.GetModels(g.ctx, &api.GetModelsInput{RestApiId: &id})).Items
	if len(list) != 2 || *list[0].Name != "Empty" || *list[1].Name != "Error" {
		t.Errorf("a new API has the models %+v", list)
	}
	create := func(name, schema string) error {
		_, err := g.CreateModel(g.ctx, &api.CreateModelInput{RestApiId: &id, Name: &name, ContentType: new("application/json"), Schema: &schema})
		return err
	}
	wantError(t, create("a-b", "{}"), "BadRequestException", "Model name must be alphanumeric: a-b")
	wantError(t, create("bad", "{"), "BadRequestException", "Invalid model schema specified")
	wantError(t, create("bad", "[]"), "BadRequestException", "Invalid model schema specified")
	wantError(t, create("big", `{"x":"`+strings.Repeat("a", maxSchema)+`"}`), "BadRequestException", "larger than the maximum")
	must(0, create("Tag", `{"type":"string"}`))
	must(0, create("Pet", `{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},"tags":{"type":"array","items":{"$ref":"https://apigateway.amazonaws.com/restapis/`+id+`/models/Tag"}}}}`))
	wantError(t, create("Pet", "{}"), "ConflictException", "Model name already exists for this REST API")

	flat := must(g.GetModel(g.ctx, &api.GetModelInput{RestApiId: &id, ModelName: new("Pet"), Flatten: new(true)}))
	var schema struct {
		Definitions map[string]any
		Properties  map[string]struct{ Items map[string]string }
	}
	if err := json.Unmarshal([]byte(*flat.Schema), &schema); err != nil || schema.Definitions["Tag"] == nil || schema.Properties["tags"].Items["$ref"] != "#/definitions/Tag" {
		t.Errorf("flattened: %s %v", *flat.Schema, err)
	}
	template := must(g.GetModelTemplate(g.ctx, &api.GetModelTemplateInput{RestApiId: &id, ModelName: new("Pet")}))
	for _, part := range []string{"#set($inputRoot = $input.path('$'))", `"id" : $inputRoot.id`, `"name" : "$inputRoot.name"`, "#foreach($elem in $inputRoot.tags)"} {
		if !strings.Contains(*template.Value, part) {
			t.Errorf("the template lacks %s:\n%s", part, *template.Value)
		}
	}

	got := must(g.UpdateModel(g.ctx, &api.UpdateModelInput{RestApiId: &id, ModelName: new("Tag"), PatchOperations: ops("replace /description d", `replace /schema {"type":"number"}`)}))
	if *got.Description != "d" || *got.Schema != `{"type":"number"}` {
		t.Errorf("%+v", got)
	}
	_, err := g.UpdateModel(g.ctx, &api.UpdateModelInput{RestApiId: &id, ModelName: new("Tag"), PatchOperations: ops("replace /schema {")})
	wantError(t, err, "BadRequestException", "Invalid model schema specified")

	// A model that something refers to stays.
	remove := func(name string) error {
		_, err := g.DeleteModel(g.ctx, &api.DeleteModelInput{RestApiId: &id, ModelName: &name})
		return err
	}
	wantError(t, remove("Tag"), "ConflictException", "Cannot delete model 'Tag', is referenced in model: Pet")
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE"), RequestModels: map[string]string{"application/json": "Pet"}}))
	wantError(t, remove("Pet"), "ConflictException", "Cannot delete model 'Pet', is referenced in method request: //GET")
	_, err = g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), PatchOperations: ops("add /requestModels/text~1x Nope")})
	wantError(t, err, "BadRequestException", "Invalid model identifier specified: Nope")
	must(g.DeleteMethod(g.ctx, &api.DeleteMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
	must(0, remove("Pet"))
	must(0, remove("Tag"))
	wantError(t, remove("Tag"), "NotFoundException", "Invalid model name specified: Tag")
}

// Models that refer to each other in a circle are followed once.
func TestFlattenFollowsCirclesOnce(t *testing.T) {
	ref := func(name string) string {
		return `{"$ref":"https://apigateway.amazonaws.com/restapis/x/models/` + name + `"}`
	}
	all := map[string]string{"A": `{"properties":{"b":` + ref("B") + `}}`, "B": `{"properties":{"a":` + ref("A") + `}}`}
	flat, err := flattenSchema(all["A"], all)
	if err != nil || strings.Count(flat, `"#/definitions/A"`) != 1 || strings.Count(flat, `"#/definitions/B"`) != 2 {
		t.Errorf("%s %v", flat, err)
	}
}

func TestRequestValidators(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	v := must(g.CreateRequestValidator(g.ctx, &api.CreateRequestValidatorInput{RestApiId: &id, Name: new("body"), ValidateRequestBody: new(true)}))
	if len(*v.Id) != 6 || !*v.ValidateRequestBody || *v.ValidateRequestParameters {
		t.Errorf("%+v", v)
	}
	v = must(g.UpdateRequestValidator(g.ctx, &api.UpdateRequestValidatorInput{RestApiId: &id, RequestValidatorId: v.Id, PatchOperations: ops("replace /name both", "replace /validateRequestParameters true")}))
	if again := must(g.GetRequestValidator(g.ctx, &api.GetRequestValidatorInput{RestApiId: &id, RequestValidatorId: v.Id})); *again.Name != "both" || !*again.ValidateRequestParameters {
		t.Errorf("%+v", again)
	}
	put := func(validator *string) error {
		_, err := g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE"), RequestValidatorId: validator})
		return err
	}
	wantError(t, put(new("nope")), "BadRequestException", "Invalid Request Validator identifier specified")
	must(0, put(v.Id))
	_, err := g.DeleteRequestValidator(g.ctx, &api.DeleteRequestValidatorInput{RestApiId: &id, RequestValidatorId: v.Id})
	wantError(t, err, "ConflictException", "Cannot delete validator 'both'")
	must(g.DeleteMethod(g.ctx, &api.DeleteMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
	must(g.DeleteRequestValidator(g.ctx, &api.DeleteRequestValidatorInput{RestApiId: &id, RequestValidatorId: v.Id}))
	_, err = g.GetRequestValidator(g.ctx, &api.GetRequestValidatorInput{RestApiId: &id, RequestValidatorId: v.Id})
	wantError(t, err, "NotFoundException", "Invalid Request Validator identifier specified")
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html
func TestAuthorizers(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	create := func(change func(in *api.CreateAuthorizerInput)) (*api.Authorizer, error) {
		in := &api.CreateAuthorizerInput{RestApiId: &id, Name: new("a"), Type: new("TOKEN"), AuthorizerUri: new(functionURI), IdentitySource: new("method.request.header.Authorization")}
		change(in)
		return g.CreateAuthorizer(g.ctx, in)
	}
	a := must(create(func(*api.CreateAuthorizerInput) {}))
	if *a.AuthorizerResultTtlInSeconds != 300 || *a.AuthType != "custom" {
		t.Errorf("%+v", a)
	}
	for _, tt := range []struct {
		change     func(in *api.CreateAuthorizerInput)
		code, want string
	}{
		{func(*api.CreateAuthorizerInput) {}, "ConflictException", "Authorizer name must be unique. Authorizer a already exists in this RestApi."},
		{func(in *api.CreateAuthorizerInput) { in.Type = new("X") }, "BadRequestException", "Invalid authorizer type"},
		{func(in *api.CreateAuthorizerInput) { in.AuthorizerUri = new("http://x") }, "BadRequestException", "Invalid Authorizer URI: http://x."},
		{func(in *api.CreateAuthorizerInput) { in.IdentitySource = nil }, "BadRequestException", "identity source"},
		{func(in *api.CreateAuthorizerInput) { in.IdentitySource = new("method.request.querystring.t") }, "BadRequestException", "identity source"},
		{func(in *api.CreateAuthorizerInput) {
			in.Type, in.IdentitySource = new("REQUEST"), new("method.request.header.A, nonsense")
		}, "BadRequestException", "Invalid mapping expression specified: nonsense"},
		{func(in *api.CreateAuthorizerInput) { in.Type, in.IdentitySource = new("REQUEST"), nil }, "BadRequestException", "identity source"},
		{func(in *api.CreateAuthorizerInput) { in.AuthorizerResultTtlInSeconds = new(int32(3601)) }, "BadRequestException", "TTL"},
		{func(in *api.CreateAuthorizerInput) { in.AuthorizerResultTtlInSeconds = new(int32(-1)) }, "BadRequestException", "TTL"},
		{func(in *api.CreateAuthorizerInput) { in.IdentityValidationExpression = new("(") }, "BadRequestException", "identity validation expression"},
		{func(in *api.CreateAuthorizerInput) { in.AuthorizerCredentials = new("x") }, "BadRequestException", "Invalid ARN"},
		{func(in *api.CreateAuthorizerInput) { in.Type = new("COGNITO_USER_POOLS") }, "BadRequestException", "at least one provider ARN"},
		{func(in *api.CreateAuthorizerInput) {
			in.Type, in.ProviderARNs = new("COGNITO_USER_POOLS"), []string{"arn:aws:s3:::x"}
		}, "BadRequestException", "Invalid ARN"},
	} {
		_, err := create(tt.change)
		wantError(t, err, tt.code, tt.want)
	}
	must(create(func(in *api.CreateAuthorizerInput) {
		in.Name, in.Type, in.IdentitySource, in.AuthorizerResultTtlInSeconds = new("b"), new("REQUEST"), new("method.request.header.A,method.request.querystring.q,stageVariables.v,context.identity.sourceIp"), new(int32(3600))
	}))
	must(create(func(in *api.CreateAuthorizerInput) {
		in.Name, in.Type, in.ProviderARNs = new("c"), new("COGNITO_USER_POOLS"), []string{"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_x"}
	}))
	if list := must(g.GetAuthorizers(g.ctx, &api.GetAuthorizersInput{RestApiId: &id})).Items; len(list) != 3 {
		t.Errorf("%+v", list)
	}
	a = must(g.UpdateAuthorizer(g.ctx, &api.UpdateAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id, PatchOperations: ops("replace /name z", "replace /authorizerResultTtlInSeconds 0")}))
	if *a.Name != "z" || *a.AuthorizerResultTtlInSeconds != 0 {
		t.Errorf("%+v", a)
	}
	_, err := g.UpdateAuthorizer(g.ctx, &api.UpdateAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id, PatchOperations: ops("replace /name b")})
	wantError(t, err, "ConflictException", "Authorizer name must be unique")
	must(g.DeleteAuthorizer(g.ctx, &api.DeleteAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id}))
	_, err = g.GetAuthorizer(g.ctx, &api.GetAuthorizerInput{RestApiId: &id, AuthorizerId: a.Id})
	wantError(t, err, "NotFoundException", "Invalid Authorizer identifier specified")
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func TestGatewayResponses(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	list := must(g.GetGatewayResponses(g.ctx, &api.GetGatewayResponsesInput{RestApiId: &id})).Items
	if len(list) != 21 || *list[0].ResponseType != "ACCESS_DENIED" || *list[0].StatusCode != "403" || !*list[0].DefaultResponse || list[0].ResponseTemplates["application/json"] != defaultTemplate {
		t.Errorf("%d: %+v", len(list), list)
	}
	row := must(g.PutGatewayResponse(g.ctx, &api.PutGatewayResponseInput{
		RestApiId: &id, ResponseType: new("THROTTLED"), StatusCode: new("503"), ResponseParameters: map[string]string{"gatewayresponse.header.Retry-After": "'1'"},
	}))
	if *row.DefaultResponse || *row.StatusCode != "503" || row.ResponseTemplates["application/json"] != defaultTemplate {
		t.Errorf("%+v", row)
	}
	row = must(g.UpdateGatewayResponse(g.ctx, &api.UpdateGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED"), PatchOperations: ops("replace /statusCode 429", "add /responseTemplates/application~1json {}", "remove /responseParameters/gatewayresponse.header.Retry-After")}))
	if got := must(g.GetGatewayResponse(g.ctx, &api.GetGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED")})); fmt.Sprint(*got.StatusCode, got.ResponseTemplates, got.ResponseParameters) != "429map[application/json:{}] map[]" {
		t.Errorf("%+v after %+v", got, row)
	}
	for _, in := range []api.PutGatewayResponseInput{
		{ResponseType: new("NOPE")},
		{ResponseType: new("THROTTLED"), StatusCode: new("99")},
		{ResponseType: new("THROTTLED"), StatusCode: new("6000")},
		{ResponseType: new("THROTTLED"), ResponseParameters: map[string]string{"method.response.header.X": "'1'"}},
		{ResponseType: new("THROTTLED"), ResponseParameters: map[string]string{"gatewayresponse.header.X": "nonsense"}},
		{ResponseType: new("THROTTLED"), ResponseParameters: map[string]string{"gatewayresponse.header.X": "'a\r\nb'"}},
	} {
		in.RestApiId = &id
		_, err := g.PutGatewayResponse(g.ctx, &in)
		wantError(t, err, "BadRequestException", "nvalid")
	}
	must(g.DeleteGatewayResponse(g.ctx, &api.DeleteGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED")}))
	if got := must(g.GetGatewayResponse(g.ctx, &api.GetGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED")})); !*got.DefaultResponse {
		t.Errorf("%+v", got)
	}
	_, err := g.DeleteGatewayResponse(g.ctx, &api.DeleteGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED")})
	wantError(t, err, "NotFoundException", "Gateway response type not defined on api")
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_DocumentationPartLocation.html
func TestDocumentation(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/pets", "GET", false)
	g.deploy(id, "dev")
	create := func(l api.DocumentationPartLocation, properties string) (*api.DocumentationPart, error) {
		return g.CreateDocumentationPart(g.ctx, &api.CreateDocumentationPartInput{RestApiId: &id, Location: &l, Properties: &properties})
	}
	part := must(create(api.DocumentationPartLocation{Type: new("METHOD"), Path: new("/pets"), Method: new("GET")}, `{"description":"all pets"}`))
	for _, tt := range []struct {
		l          api.DocumentationPartLocation
		properties string
		code, want string
	}{
		{api.DocumentationPartLocation{Type: new("METHOD"), Path: new("/pets"), Method: new("GET")}, "{}", "ConflictException", "already exists"},
		{api.DocumentationPartLocation{Type: new("NOPE")}, "{}", "BadRequestException", "type specified: NOPE"},
		{api.DocumentationPartLocation{Type: new("API"), Path: new("/")}, "{}", "BadRequestException", "'path' is not supported for the type API"},
		{api.DocumentationPartLocation{Type: new("MODEL")}, "{}", "BadRequestException", "'name' is required for the type MODEL"},
		{api.DocumentationPartLocation{Type: new("API")}, "[]", "BadRequestException", "must be a valid JSON object"},
	} {
		_, err := create(tt.l, tt.properties)
		wantError(t, err, tt.code, tt.want)
	}
	if any := must(create(api.DocumentationPartLocation{Type: new("RESPONSE")}, "{}")); *any.Location.Path != "/" || *any.Location.Method != "*" || *any.Location.StatusCode != "*" || any.Location.Name != nil {
		t.Errorf("%+v", any.Location)
	}
	if found := must(g.GetDocumentationParts(g.ctx, &api.GetDocumentationPartsInput{RestApiId: &id, Type: new("METHOD"), Path: new("/pets")})).Items; len(found) != 1 || *found[0].Id != *part.Id {
		t.Errorf("%+v", found)
	}
	undocumented := must(g.GetDocumentationParts(g.ctx, &api.GetDocumentationPartsInput{RestApiId: &id, LocationStatus: new("UNDOCUMENTED"), Type: new("RESOURCE")})).Items
	if len(undocumented) != 2 {
		t.Errorf("%+v", undocumented)
	}

	must(g.CreateDocumentationVersion(g.ctx, &api.CreateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1"), StageName: new("dev")}))
	_, err := g.CreateDocumentationVersion(g.ctx, &api.CreateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1")})
	wantError(t, err, "ConflictException", "Version already exists")
	if st := must(g.GetStage(g.ctx, &api.GetStageInput{RestApiId: &id, StageName: new("dev")})); *st.DocumentationVersion != "1" {
		t.Errorf("%+v", st)
	}
	must(g.UpdateDocumentationVersion(g.ctx, &api.UpdateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1"), PatchOperations: ops("replace /description first")}))
	if v := must(g.GetDocumentationVersion(g.ctx, &api.GetDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1")})); *v.Description != "first" {
		t.Errorf("%+v", v)
	}
	_, err = g.DeleteDocumentationVersion(g.ctx, &api.DeleteDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1")})
	wantError(t, err, "ConflictException", "is published to stage: dev")
	must(g.UpdateDocumentationPart(g.ctx, &api.UpdateDocumentationPartInput{RestApiId: &id, DocumentationPartId: part.Id, PatchOperations: ops(`replace /properties {"x":1}`)}))
	if p := must(g.GetDocumentationPart(g.ctx, &api.GetDocumentationPartInput{RestApiId: &id, DocumentationPartId: part.Id})); *p.Properties != `{"x":1}` {
		t.Errorf("%+v", p)
	}
	must(g.DeleteDocumentationPart(g.ctx, &api.DeleteDocumentationPartInput{RestApiId: &id, DocumentationPartId: part.Id}))
	_, err = g.GetDocumentationPart(g.ctx, &api.GetDocumentationPartInput{RestApiId: &id, DocumentationPartId: part.Id})
	wantError(t, err, "NotFoundException", "Invalid Documentation part identifier specified")
}

// Nothing of a deleted API is left in the store.
func TestDeleteRestApiTakesItsChildren(t *testing.T) {
	store := memkv.New()
	g := newGatewayOn(t, store)
	id, _ := g.api()
	must(g.CreateRequestValidator(g.ctx, &api.CreateRequestValidatorInput{RestApiId: &id, Name: new("v")}))
	must(g.CreateDocumentationVersion(g.ctx, &api.CreateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1")}))
	must(g.PutGatewayResponse(g.ctx, &api.PutGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED")}))
	must(g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: &id}))
	if n := store.Len(); n > 0 {
		t.Errorf("%d rows are left", n)
	}
}
