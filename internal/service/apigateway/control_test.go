package apigateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigateway"
)

func ops(list ...string) (out []api.PatchOperation) {
	for _, s := range list {
		part := strings.SplitN(s, " ", 3)
		op := api.PatchOperation{Op: &part[0], Path: &part[1]}
		if len(part) == 3 {
			op.Value = &part[2]
		}
		out = append(out, op)
	}
	return out
}

func TestRestApiLifeCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		created := must(g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("a"), Description: new("d"), Tags: map[string]string{"team": "x"}, BinaryMediaTypes: []string{"image/png"}}))
		if len(*created.Id) != 10 || *created.ApiKeySource != "HEADER" || created.EndpointConfiguration.Types[0] != "EDGE" || *created.DisableExecuteApiEndpoint ||
			!created.CreatedDate.Equal(time.Now()) || created.RootResourceId == nil {
			t.Errorf("%+v", created)
		}
		id := created.Id
		got := must(g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: id}))
		if *got.Name != "a" || got.Tags["team"] != "x" || *got.RootResourceId != *created.RootResourceId {
			t.Errorf("%+v", got)
		}
		got = must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: id, PatchOperations: ops("replace /name b", "remove /description", "add /binaryMediaTypes/text~1x",
			"remove /binaryMediaTypes/image~1png", "replace /endpointConfiguration/types/EDGE REGIONAL", "replace /minimumCompressionSize 100", "replace /apiKeySource AUTHORIZER")}))
		if *got.Name != "b" || got.Description != nil || fmt.Sprint(got.BinaryMediaTypes, got.EndpointConfiguration.Types) != "[text/x] [REGIONAL]" || *got.MinimumCompressionSize != 100 || *got.ApiKeySource != "AUTHORIZER" {
			t.Errorf("%+v", got)
		}
		for patch, want := range map[string]string{
			"replace /nope x":                          "Invalid patch path  '/nope' specified for op 'replace'. Must be one of: [/name, /description, /version, /apiKeySource,",
			"test /name x":                             "Invalid patch path  '/name' specified for op 'test'. Must be one of: []",
			"replace name x":                           "Invalid patch path  'name'",
			"replace / x":                              "Invalid patch path  '/'",
			"replace /name":                            "API name cannot be empty",
			"replace /apiKeySource X":                  "Invalid API key source",
			"replace /minimumCompressionSize x":        "Invalid value 'x' specified for path '/minimumCompressionSize'",
			"replace /minimumCompressionSize -1":       "Invalid minimum compression size",
			"replace /disableExecuteApiEndpoint maybe": "Invalid value 'maybe'",
			"replace /endpointConfiguration/types/9 X": "Invalid value 'X'",
			"replace /endpointConfiguration/types/0 X": "Invalid endpoint type: X",
			"add /binaryMediaTypes/nonsense":           "Invalid binary media type",
		} {
			_, err := g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: id, PatchOperations: ops(patch)})
			wantError(t, err, "BadRequestException", want)
		}
		if again := must(g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: id})); *again.Name != "b" || *again.MinimumCompressionSize != 100 {
			t.Errorf("a refused patch changed %+v", again)
		}
		must(g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: id}))
		_, err := g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: id})
		wantError(t, err, "NotFoundException", "Invalid API identifier specified 123456789012:"+*id)
		_, err = g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: id})
		wantError(t, err, "NotFoundException", "Invalid API identifier specified")
	})
}

// What would keep requests out, or is not there, is refused when it is set.
func TestUnsupportedIsRefused(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	refused := func(err error) {
		t.Helper()
		wantError(t, err, "NotImplemented", "Brume does not implement")
	}
	_, err := g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("x"), EndpointConfiguration: &api.EndpointConfiguration{Types: []string{"PRIVATE"}}})
	refused(err)
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), AuthorizationType: new("NONE")}))
	_, err = g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET"), PatchOperations: ops("replace /authorizationType CUSTOM")})
	wantError(t, err, "BadRequestException", "requires a valid authorizer")
	for _, in := range []api.PutIntegrationInput{
		{Type: new("AWS"), IntegrationHttpMethod: new("POST"), Uri: new("arn:aws:apigateway:us-east-1:sqs:path/1/q")},
		{Type: new("MOCK"), ConnectionType: new("VPC_LINK")},
		{Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"), Uri: new(functionURI), Credentials: new("arn:aws:iam::*:user/*")},
	} {
		in.RestApiId, in.ResourceId, in.HttpMethod = &id, &root, new("GET")
		_, err = g.PutIntegration(g.ctx, &in)
		refused(err)
	}
}

func TestResources(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	create := func(parent, part string) (*api.Resource, error) {
		return g.CreateResource(g.ctx, &api.CreateResourceInput{RestApiId: &id, ParentId: &parent, PathPart: &part})
	}
	pets := must(create(root, "pets"))
	if *pets.Path != "/pets" || *pets.ParentId != root || len(*pets.Id) != 6 {
		t.Errorf("%+v", pets)
	}
	one := must(create(*pets.Id, "{id}"))
	toys := must(create(*one.Id, "toys"))
	if *toys.Path != "/pets/{id}/toys" {
		t.Errorf("%s", *toys.Path)
	}
	_, err := create(root, "pets")
	wantError(t, err, "ConflictException", "Another resource with the same parent already has this name: pets")
	_, err = create(*pets.Id, "{other}")
	wantError(t, err, "BadRequestException", "A sibling ({id}) of this resource already has a variable path part -- only one is allowed")
	greedy := must(create(root, "{proxy+}"))
	_, err = create(*greedy.Id, "x")
	wantError(t, err, "BadRequestException", "Cannot create a child of a resource with a greedy path variable: {proxy+}")
	for _, part := range []string{"", "a/b", "a b", "{", "}", "{}", "{+}", "{a", "a}", "{a}b", "{a+b}", "é", strings.Repeat("a", 256)} {
		_, err = create(root, part)
		wantError(t, err, "BadRequestException", "Resource's path part only allow")
	}
	for _, part := range []string{"a.b_c-d:e", "A1"} {
		must(create(root, part))
	}
	_, err = create("nope", "x")
	wantError(t, err, "NotFoundException", "Invalid Resource identifier specified")
	_, err = g.CreateResource(g.ctx, &api.CreateResourceInput{RestApiId: new("nope"), ParentId: &root, PathPart: new("x")})
	wantError(t, err, "NotFoundException", "Invalid API identifier specified 123456789012:nope")

	// Moving and renaming carries the subtree along.
	moved := must(g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: pets.Id, PatchOperations: ops("replace /pathPart animals")}))
	if *moved.Path != "/animals" || *must(g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: toys.Id})).Path != "/animals/{id}/toys" {
		t.Errorf("%+v", moved)
	}
	must(g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: one.Id, PatchOperations: ops("replace /pathPart one", "replace /parentId "+root)}))
	if path := *must(g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: toys.Id})).Path; path != "/one/toys" {
		t.Errorf("%s", path)
	}
	for _, patch := range []string{"replace /parentId " + *toys.Id, "replace /parentId " + *one.Id} {
		_, err = g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: one.Id, PatchOperations: ops(patch)})
		wantError(t, err, "BadRequestException", "A resource cannot be moved below itself")
	}
	_, err = g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: one.Id, PatchOperations: ops("replace /pathPart animals")})
	wantError(t, err, "ConflictException", "animals")
	_, err = g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: &root, PatchOperations: ops("replace /pathPart x")})
	wantError(t, err, "BadRequestException", "Root resource")

	must(g.DeleteResource(g.ctx, &api.DeleteResourceInput{RestApiId: &id, ResourceId: one.Id}))
	_, err = g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: toys.Id})
	wantError(t, err, "NotFoundException", "Invalid Resource identifier specified")
	_, err = g.DeleteResource(g.ctx, &api.DeleteResourceInput{RestApiId: &id, ResourceId: &root})
	wantError(t, err, "BadRequestException", "Root resource cannot be deleted")
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_GetResources.html
func TestPages(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	for i := range 30 {
		must(g.CreateResource(g.ctx, &api.CreateResourceInput{RestApiId: &id, ParentId: &root, PathPart: new(fmt.Sprint("r", i))}))
	}
	seen := map[string]bool{}
	var position *string
	for pages := 0; ; pages++ {
		out := must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: &id, Position: position, Limit: new(int32(7))}))
		for _, r := range out.Items {
			if seen[*r.Id] {
				t.Fatalf("%s twice", *r.Path)
			}
			seen[*r.Id] = true
		}
		if position = out.Position; position == nil {
			if pages != 4 || len(seen) != 31 {
				t.Errorf("%d pages with %d resources", pages+1, len(seen))
			}
			break
		}
	}
	if out := must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: &id})); len(out.Items) != defaultPage || out.Position == nil {
		t.Errorf("%d on a page", len(out.Items))
	}
	if out := must(g.GetResources(g.ctx, &api.GetResourcesInput{RestApiId: &id, Limit: new(int32(31))})); len(out.Items) != 31 || out.Position != nil {
		t.Errorf("%d on a page, %v", len(out.Items), out.Position)
	}
	for _, bad := range []api.GetResourcesInput{{Limit: new(int32(0))}, {Limit: new(int32(-1))}, {Position: new("%")}, {Position: new("")}} {
		bad.RestApiId = &id
		_, err := g.GetResources(g.ctx, &bad)
		wantError(t, err, "BadRequestException", "Invalid")
	}
}

func TestMethodsAndIntegrations(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	put := func(in api.PutMethodInput) error {
		in.RestApiId, in.ResourceId = &id, &root
		if in.HttpMethod == nil {
			in.HttpMethod = new("POST")
		}
		if in.AuthorizationType == nil {
			in.AuthorizationType = new("NONE")
		}
		_, err := g.PutMethod(g.ctx, &in)
		return err
	}
	if err := put(api.PutMethodInput{RequestParameters: map[string]bool{"method.request.querystring.q": true}, RequestModels: map[string]string{"application/json": "Empty"}, OperationName: new("op")}); err != nil {
		t.Fatal(err)
	}
	wantError(t, put(api.PutMethodInput{}), "ConflictException", "Method already exists for this resource")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("TRACE")}), "BadRequestException", "Invalid HttpMethod specified")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("GET"), AuthorizationType: new("X")}), "BadRequestException", "Invalid Authorization type specified")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("GET"), RequestParameters: map[string]bool{"method.request.body.x": true}}), "BadRequestException", "Invalid mapping expression")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("GET"), RequestModels: map[string]string{"a/b": "Nope"}}), "BadRequestException", "Invalid model")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("GET"), RequestValidatorId: new("abc")}), "BadRequestException", "Invalid Request Validator")
	wantError(t, put(api.PutMethodInput{HttpMethod: new("GET"), AuthorizerId: new("abc")}), "NotFoundException", "Invalid Authorizer")

	_, err := g.GetMethod(g.ctx, &api.GetMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")})
	wantError(t, err, "NotFoundException", "Invalid Method identifier specified")
	m := must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), PatchOperations: ops("replace /apiKeyRequired true",
		"add /requestParameters/method.request.header.X false", "remove /requestParameters/method.request.querystring.q", "add /requestModels/text~1x Error", "remove /operationName")}))
	if !*m.ApiKeyRequired || fmt.Sprint(m.RequestParameters, m.RequestModels) != "map[method.request.header.X:false] map[application/json:Empty text/x:Error]" || m.OperationName != nil {
		t.Errorf("%+v", m)
	}

	// Integrations.
	_, err = g.GetIntegration(g.ctx, &api.GetIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST")})
	wantError(t, err, "NotFoundException", "Invalid Integration identifier specified")
	_, err = g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id})
	wantError(t, err, "BadRequestException", "No integration defined for method")
	for _, tt := range []struct {
		in   api.PutIntegrationInput
		want string
	}{
		{api.PutIntegrationInput{Type: new("X")}, "Invalid integration type"},
		{api.PutIntegrationInput{Type: new("AWS_PROXY"), Uri: new(functionURI)}, "Enumeration value for HttpMethod must be non-empty"},
		{api.PutIntegrationInput{Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST")}, "Invalid ARN specified in the request"},
		{api.PutIntegrationInput{Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"), Uri: new("arn:aws:apigateway:us-east-1:lambda:x")}, "AWS ARN for integration must contain path or action"},
		{api.PutIntegrationInput{Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"), Uri: new("arn:aws:apigateway:us-east-1:lambda:path/x")}, "Invalid function ARN or invalid uri"},
		{api.PutIntegrationInput{Type: new("MOCK"), TimeoutInMillis: new(int32(49))}, "Timeout should be between 50 ms and 29000 ms"},
		{api.PutIntegrationInput{Type: new("MOCK"), TimeoutInMillis: new(int32(29001))}, "Timeout should be between 50 ms and 29000 ms"},
		{api.PutIntegrationInput{Type: new("MOCK"), PassthroughBehavior: new("X")}, "Invalid passthrough behavior"},
		{api.PutIntegrationInput{Type: new("MOCK"), ContentHandling: new("X")}, "Invalid content handling"},
		{api.PutIntegrationInput{Type: new("MOCK"), Credentials: new("role")}, "Invalid ARN"},
		{api.PutIntegrationInput{Type: new("MOCK"), RequestTemplates: map[string]string{"a/b": strings.Repeat("x", 300<<10+1)}}, "Mapping template is larger"},
	} {
		tt.in.RestApiId, tt.in.ResourceId, tt.in.HttpMethod = &id, &root, new("POST")
		_, err := g.PutIntegration(g.ctx, &tt.in)
		wantError(t, err, "BadRequestException", tt.want)
	}
	in := must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), Type: new("MOCK"), RequestTemplates: map[string]string{"application/json": "{}"}}))
	if *in.PassthroughBehavior != "WHEN_NO_MATCH" || *in.TimeoutInMillis != 29000 || *in.CacheNamespace != root || in.CacheKeyParameters == nil {
		t.Errorf("%+v", in)
	}
	in = must(g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"),
		PatchOperations: ops("replace /requestTemplates/application~1json {\"a\":1}", "add /requestTemplates/text~1x x", "replace /timeoutInMillis 50")}))
	if in.RequestTemplates["application/json"] != `{"a":1}` || in.RequestTemplates["text/x"] != "x" || *in.TimeoutInMillis != 50 {
		t.Errorf("%+v", in)
	}

	// Responses.
	putIntegrationResponse := func(status, pattern string, params map[string]string) error {
		_, err := g.PutIntegrationResponse(g.ctx, &api.PutIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: &status, SelectionPattern: &pattern, ResponseParameters: params})
		return err
	}
	wantError(t, putIntegrationResponse("200", "", nil), "NotFoundException", "Invalid Response status code specified")
	must(g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("200"),
		ResponseParameters: map[string]bool{"method.response.header.X-A": true}, ResponseModels: map[string]string{"application/json": "Empty"}}))
	_, err = g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("200")})
	wantError(t, err, "ConflictException", "Response already exists for this resource")
	_, err = g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("201"), ResponseParameters: map[string]bool{"x": true}})
	wantError(t, err, "BadRequestException", "Invalid mapping expression")
	wantError(t, putIntegrationResponse("200", "(", nil), "BadRequestException", "Invalid selection pattern")
	wantError(t, putIntegrationResponse("200", "", map[string]string{"method.response.header.X-B": "'x'"}), "BadRequestException", "Invalid mapping expression parameter specified: method.response.header.X-B")
	wantError(t, putIntegrationResponse("200", "", map[string]string{"method.response.header.X-A": "x"}), "BadRequestException", "Invalid mapping expression specified: x")
	wantError(t, putIntegrationResponse("200", "", map[string]string{"method.response.header.X-A": "'a\nb'"}), "BadRequestException", "Invalid mapping expression specified")
	if err := putIntegrationResponse("200", "ok", map[string]string{"method.response.header.X-A": "'x'"}); err != nil {
		t.Fatal(err)
	}
	r := must(g.UpdateIntegrationResponse(g.ctx, &api.UpdateIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("200"),
		PatchOperations: ops("replace /selectionPattern", "replace /responseTemplates/application~1json hi", "replace /responseParameters/method.response.header.X-A 'y'")}))
	if r.SelectionPattern != nil || r.ResponseTemplates["application/json"] != "hi" || r.ResponseParameters["method.response.header.X-A"] != "'y'" {
		t.Errorf("%+v", r)
	}
	mr := must(g.UpdateMethodResponse(g.ctx, &api.UpdateMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: new("200"),
		PatchOperations: ops("add /responseParameters/method.response.header.X-C true", "remove /responseModels/application~1json")}))
	if len(mr.ResponseParameters) != 2 || len(mr.ResponseModels) != 0 {
		t.Errorf("%+v", mr)
	}
	got := must(g.GetMethod(g.ctx, &api.GetMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST")}))
	if *got.MethodIntegration.IntegrationResponses["200"].StatusCode != "200" || *got.MethodResponses["200"].StatusCode != "200" {
		t.Errorf("%+v", got)
	}

	// With and without methods embedded.
	res := must(g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: &root}))
	if m, ok := res.ResourceMethods["POST"]; !ok || m.HttpMethod != nil {
		t.Errorf("%+v", res)
	}
	res = must(g.GetResource(g.ctx, &api.GetResourceInput{RestApiId: &id, ResourceId: &root, Embed: []string{"methods"}}))
	if m := res.ResourceMethods["POST"]; m.MethodIntegration == nil {
		t.Errorf("%+v", res)
	}

	status := new("200")
	must(g.DeleteIntegrationResponse(g.ctx, &api.DeleteIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: status}))
	_, err = g.GetIntegrationResponse(g.ctx, &api.GetIntegrationResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: status})
	wantError(t, err, "NotFoundException", "Invalid Integration Response identifier")
	must(g.DeleteMethodResponse(g.ctx, &api.DeleteMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: status}))
	_, err = g.GetMethodResponse(g.ctx, &api.GetMethodResponseInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST"), StatusCode: status})
	wantError(t, err, "NotFoundException", "Invalid Response status code specified")
	must(g.DeleteIntegration(g.ctx, &api.DeleteIntegrationInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST")}))
	must(g.DeleteMethod(g.ctx, &api.DeleteMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("POST")}))
	_, err = g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id})
	wantError(t, err, "BadRequestException", "The REST API doesn't contain any methods")
}

func TestDeploymentsAndStages(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/a", "GET", true)
	first := must(g.CreateDeployment(g.ctx, &api.CreateDeploymentInput{RestApiId: &id, Description: new("one")}))
	if first.ApiSummary != nil || *first.Description != "one" {
		t.Errorf("%+v", first)
	}
	d := must(g.GetDeployment(g.ctx, &api.GetDeploymentInput{RestApiId: &id, DeploymentId: first.Id, Embed: []string{"apisummary"}}))
	if s := d.ApiSummary["/a"]["GET"]; s.ApiKeyRequired == nil || !*s.ApiKeyRequired || *s.AuthorizationType != "NONE" {
		t.Errorf("%+v", d.ApiSummary)
	}
	st := must(g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: new("prod"), DeploymentId: first.Id, Variables: map[string]string{"a": "b"}, Tags: map[string]string{"t": "v"}}))
	if *st.CacheClusterStatus != "NOT_AVAILABLE" || *st.TracingEnabled || st.Variables["a"] != "b" || st.MethodSettings == nil {
		t.Errorf("%+v", st)
	}
	_, err := g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: new("prod"), DeploymentId: first.Id})
	wantError(t, err, "ConflictException", "Stage already exists")
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: new("x"), DeploymentId: new("nope")})
	wantError(t, err, "NotFoundException", "Invalid Deployment identifier specified")
	for _, name := range []string{"", "a b", "a/b", "$default", strings.Repeat("s", 129)} {
		_, err = g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: &name, DeploymentId: first.Id})
		wantError(t, err, "BadRequestException", "Stage name only allows a-zA-Z0-9_-")
	}
	_, err = g.CreateStage(g.ctx, &api.CreateStageInput{RestApiId: &id, StageName: new("x"), DeploymentId: first.Id, Variables: map[string]string{"a": "b c"}})
	wantError(t, err, "BadRequestException", "must match")

	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn " + logRole)}))
	st = must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("prod"), PatchOperations: ops("replace /variables/c d", "remove /variables/a", "replace /description x",
		"replace /tracingEnabled true", "replace /*/*/logging/loglevel INFO", "replace /~1a~1b/GET/throttling/rateLimit 5.5", "replace /~1a~1b/GET/throttling/burstLimit 7", "replace /a/GET/metrics/enabled true",
		"replace /accessLogSettings/format $context.requestId", "replace /accessLogSettings/destinationArn arn:aws:logs:us-east-1:123456789012:log-group:x")}))
	if fmt.Sprint(st.Variables) != "map[c:d]" || *st.MethodSettings["*/*"].LoggingLevel != "INFO" || *st.MethodSettings["*/*"].ThrottlingRateLimit != 10000 ||
		*st.MethodSettings["~1a~1b/GET"].ThrottlingRateLimit != 5.5 || *st.MethodSettings["~1a~1b/GET"].ThrottlingBurstLimit != 7 || !*st.MethodSettings["a/GET"].MetricsEnabled || *st.AccessLogSettings.Format != "$context.requestId" {
		t.Errorf("%+v", st)
	}
	for patch, want := range map[string]string{
		"replace /nope x":                        "Invalid patch path  '/nope' specified for op 'replace'",
		"replace /GET/throttling/rateLimit 1":    "Invalid method setting path",
		"replace /*/*/throttling/rateLimit x":    "Invalid value 'x'",
		"replace /*/*/throttling/rateLimit NaN":  "Invalid value 'NaN'",
		"replace /*/*/throttling/burstLimit 1e9": "Invalid value",
		"replace /*/*/logging/loglevel LOUD":     "Invalid value 'LOUD'",
		"replace /*/*/throttling/other 1":        "Invalid patch path",
		"replace /variables/x a b":               "must match",
		"copy /deploymentId":                     "Must be: /canarySettings/deploymentId",
		"copy /description":                      "Invalid patch path",
	} {
		_, err := g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("prod"), PatchOperations: ops(patch)})
		wantError(t, err, "BadRequestException", want)
	}
	_, err = g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("prod"), PatchOperations: ops("replace /deploymentId nope")})
	wantError(t, err, "NotFoundException", "Invalid Deployment identifier")
	_, err = g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("prod"), PatchOperations: ops("remove /x/POST")})
	wantError(t, err, "NotFoundException", "Invalid method setting path")

	// A second deployment makes its stage, or moves one.
	second := g.deploy(id, "dev")
	g.deploy(id, "dev")
	if n := len(must(g.GetStages(g.ctx, &api.GetStagesInput{RestApiId: &id})).Item); n != 2 {
		t.Errorf("%d stages", n)
	}
	if item := must(g.GetStages(g.ctx, &api.GetStagesInput{RestApiId: &id, DeploymentId: first.Id})).Item; len(item) != 1 || *item[0].StageName != "prod" {
		t.Errorf("%+v", item)
	}
	if n := len(must(g.GetDeployments(g.ctx, &api.GetDeploymentsInput{RestApiId: &id})).Items); n != 3 {
		t.Errorf("%d deployments", n)
	}
	if d := must(g.UpdateDeployment(g.ctx, &api.UpdateDeploymentInput{RestApiId: &id, DeploymentId: &second, PatchOperations: ops("replace /description two")})); *d.Description != "two" {
		t.Errorf("%+v", d)
	}
	must(g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{RestApiId: &id, DeploymentId: &second}))
	_, err = g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{RestApiId: &id, DeploymentId: first.Id})
	wantError(t, err, "BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
	must(g.DeleteStage(g.ctx, &api.DeleteStageInput{RestApiId: &id, StageName: new("prod")}))
	must(g.DeleteDeployment(g.ctx, &api.DeleteDeploymentInput{RestApiId: &id, DeploymentId: first.Id}))
	_, err = g.GetStage(g.ctx, &api.GetStageInput{RestApiId: &id, StageName: new("prod")})
	wantError(t, err, "NotFoundException", "Invalid stage identifier specified")
	_, err = g.GetDeployment(g.ctx, &api.GetDeploymentInput{RestApiId: &id, DeploymentId: first.Id})
	wantError(t, err, "NotFoundException", "Invalid Deployment identifier specified")
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateApiKey.html
func TestApiKeys(t *testing.T) {
	g := newGateway(t)
	k := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Name: new("alpha"), CustomerId: new("c")}))
	if len(*k.Value) != 40 || *k.Enabled || len(*k.Id) != 10 {
		t.Errorf("%+v", k)
	}
	own := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Name: new("beta"), Value: new(strings.Repeat("v", 20)), Enabled: new(true)}))
	must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Value: new(strings.Repeat("w", 128))}))
	for value, want := range map[string]string{strings.Repeat("v", 19): "at least 20", strings.Repeat("v", 129): "at most 128", strings.Repeat("v ", 20): "printable ASCII"} {
		_, err := g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Value: &value})
		wantError(t, err, "BadRequestException", want)
	}
	_, err := g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Value: own.Value})
	wantError(t, err, "ConflictException", "API Key already exists")

	if got := must(g.GetApiKey(g.ctx, &api.GetApiKeyInput{ApiKey: k.Id})); got.Value != nil {
		t.Error("the value is shown unasked")
	}
	if got := must(g.GetApiKey(g.ctx, &api.GetApiKeyInput{ApiKey: k.Id, IncludeValue: new(true)})); *got.Value != *k.Value {
		t.Errorf("%+v", got)
	}
	list := must(g.GetApiKeys(g.ctx, &api.GetApiKeysInput{NameQuery: new("al"), IncludeValues: new(true)}))
	if len(list.Items) != 1 || *list.Items[0].Value != *k.Value {
		t.Errorf("%+v", list)
	}
	if list := must(g.GetApiKeys(g.ctx, &api.GetApiKeysInput{CustomerId: new("c")})); len(list.Items) != 1 || list.Items[0].Value != nil {
		t.Errorf("%+v", list)
	}
	if list := must(g.GetApiKeys(g.ctx, &api.GetApiKeysInput{})); len(list.Items) != 3 {
		t.Errorf("%+v", list)
	}
	up := must(g.UpdateApiKey(g.ctx, &api.UpdateApiKeyInput{ApiKey: k.Id, PatchOperations: ops("replace /name gamma", "replace /enabled true", "replace /description d")}))
	if *up.Name != "gamma" || !*up.Enabled || up.Value != nil {
		t.Errorf("%+v", up)
	}
	_, err = g.UpdateApiKey(g.ctx, &api.UpdateApiKeyInput{ApiKey: k.Id, PatchOperations: ops("replace /value x")})
	wantError(t, err, "BadRequestException", "Invalid patch path  '/value'")
	must(g.DeleteApiKey(g.ctx, &api.DeleteApiKeyInput{ApiKey: own.Id}))
	_, err = g.GetApiKey(g.ctx, &api.GetApiKeyInput{ApiKey: own.Id})
	wantError(t, err, "NotFoundException", "Invalid API Key identifier specified")
	must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Value: own.Value})) // its value is free again
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateUsagePlan.html
func TestUsagePlans(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/a", "GET", true)
	g.deploy(id, "dev")
	g.deploy(id, "prod")
	stage := func(name string) api.ApiStage { return api.ApiStage{ApiId: &id, Stage: &name} }
	plan := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("p"), ApiStages: []api.ApiStage{stage("dev")},
		Throttle: &api.ThrottleSettings{RateLimit: new(250.0), BurstLimit: new(int32(500))}, Quota: &api.QuotaSettings{Limit: new(int32(9)), Period: new("WEEK"), Offset: new(int32(6))}}))
	for _, tt := range []struct {
		in         api.CreateUsagePlanInput
		code, want string
	}{
		{api.CreateUsagePlanInput{Name: new(" ")}, "BadRequestException", "name cannot be empty"},
		{api.CreateUsagePlanInput{Name: new("x"), ApiStages: []api.ApiStage{stage("nope")}}, "NotFoundException", "API Stage not found: " + id + ":nope"},
		{api.CreateUsagePlanInput{Name: new("x"), ApiStages: []api.ApiStage{stage("dev"), stage("dev")}}, "ConflictException", "more than once"},
		{api.CreateUsagePlanInput{Name: new("x"), Throttle: &api.ThrottleSettings{RateLimit: new(-1.0)}}, "BadRequestException", "must not be negative"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(-1)), Period: new("DAY")}}, "BadRequestException", "quota limit"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(1))}}, "BadRequestException", "quota period"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(1)), Period: new("YEAR")}}, "BadRequestException", "quota period"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(1)), Period: new("DAY"), Offset: new(int32(1))}}, "BadRequestException", "must be zero in the DAY period"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(1)), Period: new("WEEK"), Offset: new(int32(7))}}, "BadRequestException", "in the WEEK period"},
		{api.CreateUsagePlanInput{Name: new("x"), Quota: &api.QuotaSettings{Limit: new(int32(1)), Period: new("MONTH"), Offset: new(int32(28))}}, "BadRequestException", "in the MONTH period"},
	} {
		_, err := g.CreateUsagePlan(g.ctx, &tt.in)
		wantError(t, err, tt.code, tt.want)
	}
	p := must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops("replace /name q", "remove /quota", "replace /throttle/rateLimit 7.5", "add /apiStages "+id+":prod",
		"add /apiStages/"+id+":prod/throttle {\"/a/GET\":{\"rateLimit\":1,\"burstLimit\":2}}", "replace /apiStages/"+id+":dev/throttle/~1a~1GET/burstLimit 3", "replace /apiStages/"+id+":dev/throttle/~1a~1GET/rateLimit 4")}))
	if *p.Name != "q" || p.Quota != nil || *p.Throttle.RateLimit != 7.5 || *p.Throttle.BurstLimit != 500 || len(p.ApiStages) != 2 ||
		*p.ApiStages[1].Throttle["/a/GET"].BurstLimit != 2 || *p.ApiStages[0].Throttle["/a/GET"].RateLimit != 4 {
		t.Errorf("%+v", p)
	}
	p = must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops("replace /quota/limit 5", "replace /quota/period MONTH", "remove /throttle", "remove /apiStages/"+id+":dev/throttle/~1a~1GET")}))
	if *p.Quota.Limit != 5 || *p.Quota.Period != "MONTH" || p.Throttle != nil || len(p.ApiStages[0].Throttle) != 0 {
		t.Errorf("%+v", p)
	}
	for patch, want := range map[string]string{"add /apiStages nonsense": "Invalid value", "replace /apiStages/" + id + ":dev/throttle {": "Invalid value", "replace /x y": "Invalid patch path"} {
		_, err := g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops(patch)})
		wantError(t, err, "BadRequestException", want)
	}
	_, err := g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops("remove /apiStages x:y")})
	wantError(t, err, "NotFoundException", "API Stage not found: x:y")

	// Keys.
	k := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Name: new("key")}))
	join := func(planID string) error {
		_, err := g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: &planID, KeyId: k.Id, KeyType: new("API_KEY")})
		return err
	}
	pk := must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: k.Id, KeyType: new("API_KEY")}))
	if *pk.Id != *k.Id || *pk.Type != "API_KEY" || *pk.Value != *k.Value || *pk.Name != "key" {
		t.Errorf("%+v", pk)
	}
	wantError(t, join(*plan.Id), "ConflictException", "already exists")
	wantError(t, join("nope"), "NotFoundException", "Invalid Usage Plan ID specified")
	rival := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("rival"), ApiStages: []api.ApiStage{stage("prod")}}))
	wantError(t, join(*rival.Id), "ConflictException", "more than one usage plan")
	friend := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("friend")}))
	if err := join(*friend.Id); err != nil {
		t.Fatal(err)
	}
	_, err = g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: friend.Id, PatchOperations: ops("add /apiStages " + id + ":prod")})
	wantError(t, err, "ConflictException", "more than one usage plan")
	_, err = g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: k.Id, KeyType: new("X")})
	wantError(t, err, "BadRequestException", "API_KEY")

	if list := must(g.GetUsagePlans(g.ctx, &api.GetUsagePlansInput{KeyId: k.Id})); len(list.Items) != 2 {
		t.Errorf("%+v", list)
	}
	if list := must(g.GetUsagePlanKeys(g.ctx, &api.GetUsagePlanKeysInput{UsagePlanId: plan.Id, NameQuery: new("ke")})); len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
	for range 3 {
		other := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{}))
		must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: other.Id, KeyType: new("API_KEY")}))
	}
	var ids []string
	for position := (*string)(nil); ; {
		list := must(g.GetUsagePlanKeys(g.ctx, &api.GetUsagePlanKeysInput{UsagePlanId: plan.Id, Limit: new(int32(3)), Position: position}))
		for _, k := range list.Items {
			ids = append(ids, *k.Id)
		}
		if position = list.Position; position == nil {
			break
		}
	}
	if len(ids) != 4 || !slices.IsSorted(ids) {
		t.Errorf("keys %v", ids)
	}

	_, err = g.DeleteUsagePlan(g.ctx, &api.DeleteUsagePlanInput{UsagePlanId: plan.Id})
	wantError(t, err, "BadRequestException", "has associated API stages")
	must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: ops("remove /apiStages "+id+":dev", "remove /apiStages "+id+":prod")}))
	must(g.DeleteUsagePlan(g.ctx, &api.DeleteUsagePlanInput{UsagePlanId: plan.Id}))
	if list := must(g.GetUsagePlans(g.ctx, &api.GetUsagePlansInput{KeyId: k.Id})); len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
	_, err = g.GetUsagePlan(g.ctx, &api.GetUsagePlanInput{UsagePlanId: plan.Id})
	wantError(t, err, "NotFoundException", "Invalid Usage Plan ID specified")
}

func TestTagsAndAccount(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/a", "GET", true)
	g.deploy(id, "dev")
	k := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{}))
	p := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("p")}))
	for _, path := range []string{"restapis/" + id, "restapis/" + id + "/stages/dev", "apikeys/" + *k.Id, "usageplans/" + *p.Id} {
		arn := "arn:aws:apigateway:us-east-1::/" + path
		must(g.TagResource(g.ctx, &api.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"a": "1", "b": "2"}}))
		must(g.UntagResource(g.ctx, &api.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a", "none"}}))
		if got := must(g.GetTags(g.ctx, &api.GetTagsInput{ResourceArn: &arn})); fmt.Sprint(got.Tags) != "map[b:2]" {
			t.Errorf("%s: %v", path, got.Tags)
		}
		_, err := g.TagResource(g.ctx, &api.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"aws:x": "1"}})
		wantError(t, err, "BadRequestException", "Invalid tag")
	}
	for arn, code := range map[string]string{"arn:aws:apigateway:us-east-1::/restapis/nope": "NotFoundException", "arn:aws:apigateway:us-east-1::/other/x": "NotFoundException", "x": "BadRequestException",
		"arn:aws:apigateway:eu-west-1::/restapis/" + id: "BadRequestException"} {
		_, err := g.GetTags(g.ctx, &api.GetTagsInput{ResourceArn: &arn})
		wantError(t, err, code, "Invalid")
	}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	_, err := g.CreateRestApi(g.ctx, &api.CreateRestApiInput{Name: new("x"), Tags: many})
	wantError(t, err, "BadRequestException", "exceeds the limit of 50")

	a := must(g.GetAccount(g.ctx, &api.GetAccountInput{}))
	if *a.ThrottleSettings.RateLimit != 10000 || *a.ThrottleSettings.BurstLimit != 5000 || a.Features[0] != "UsagePlans" || a.CloudwatchRoleArn != nil {
		t.Errorf("%+v", a)
	}
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn arn:aws:iam::123456789012:role/r")}))
	if a := must(g.GetAccount(g.ctx, &api.GetAccountInput{})); *a.CloudwatchRoleArn != "arn:aws:iam::123456789012:role/r" {
		t.Errorf("%+v", a)
	}
	_, err = g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn x")})
	wantError(t, err, "BadRequestException", "role ARN")
}
