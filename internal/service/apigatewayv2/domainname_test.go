package apigatewayv2

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/memkv"
)

// oneREST has one REST API with one stage.
type oneREST struct{}

func (oneREST) CheckStage(_ kv.Reader, account, region, apiID, stage string) (bool, error) {
	if apiID != "rest" || account != testAccount || region != testRegion {
		return false, nil
	}
	if stage != "dev" {
		return true, errors.New("no such stage")
	}
	return true, nil
}

func (g *tester) domain(name string) {
	must(g.CreateDomainName(g.ctx, &api.CreateDomainNameInput{DomainName: &name, DomainNameConfigurations: []api.DomainNameConfiguration{{
		EndpointType: new("REGIONAL"), CertificateArn: new("arn:aws:acm:us-east-1:123456789012:certificate/x"),
	}}}))
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
func TestDomainNames(t *testing.T) {
	g := newTester(t)
	g.REST = oneREST{}
	g.domain("API.example.com")
	create := func(name string, c ...api.DomainNameConfiguration) error {
		_, err := g.CreateDomainName(g.ctx, &api.CreateDomainNameInput{DomainName: &name, DomainNameConfigurations: c})
		return err
	}
	wantError(t, create("api.example.com", api.DomainNameConfiguration{}), "ConflictException", "The domain name you provided already exists.")
	wantError(t, create("nodot", api.DomainNameConfiguration{}), "BadRequestException", "is invalid")
	wantError(t, create("b.example.com"), "BadRequestException", "one domain name configuration")
	wantError(t, create("b.example.com", api.DomainNameConfiguration{EndpointType: new("EDGE")}), "BadRequestException", "Only REGIONAL domain names can be managed through the API Gateway V2 API.")
	wantError(t, create("b.example.com", api.DomainNameConfiguration{SecurityPolicy: new("TLS_1_0")}), "BadRequestException", "securityPolicy")
	_, err := g.CreateDomainName(g.ctx, &api.CreateDomainNameInput{
		DomainName: new("b.example.com"), DomainNameConfigurations: []api.DomainNameConfiguration{{}}, MutualTlsAuthentication: &api.MutualTlsAuthenticationInput{TruststoreUri: new("s3://b/k")},
	})
	wantError(t, err, "NotImplemented", "mutualTlsAuthentication")
	d := must(g.GetDomainName(g.ctx, &api.GetDomainNameInput{DomainName: new("api.example.com")}))
	if c := d.DomainNameConfigurations[0]; *d.ApiMappingSelectionExpression != "$request.basepath" || *c.EndpointType != "REGIONAL" || *c.DomainNameStatus != "AVAILABLE" || *c.SecurityPolicy != "TLS_1_2" || *c.ApiGatewayDomainName == "" || c.OwnershipVerificationCertificateArn != nil {
		t.Errorf("%+v", c)
	}
	u := must(g.UpdateDomainName(g.ctx, &api.UpdateDomainNameInput{DomainName: new("api.example.com"), DomainNameConfigurations: []api.DomainNameConfiguration{{CertificateArn: new("arn:new")}}}))
	if *u.DomainNameConfigurations[0].CertificateArn != "arn:new" {
		t.Errorf("%+v", u)
	}

	id := g.api(nil)
	mapTo := func(domain, key, apiID, stage string) error {
		_, err := g.CreateApiMapping(g.ctx, &api.CreateApiMappingInput{DomainName: &domain, ApiMappingKey: &key, ApiId: &apiID, Stage: &stage})
		return err
	}
	const domain = "api.example.com"
	for _, tt := range []struct{ domain, key, api, stage, code, part string }{
		{"other.example.com", "", id, "$default", "NotFoundException", "Invalid domain name identifier specified"},
		{domain, "a b", id, "$default", "BadRequestException", "An ApiMapping key may contain only letters, numbers and one of"},
		{domain, "/a", id, "$default", "BadRequestException", "should not start"},
		{domain, "a/", id, "$default", "BadRequestException", "should not start"},
		{domain, "a//b", id, "$default", "BadRequestException", "consecutive"},
		{domain, "a", "none", "$default", "NotFoundException", "Invalid API identifier"},
		{domain, "a", id, "none", "BadRequestException", "Invalid stage identifier specified"},
	} {
		wantError(t, mapTo(tt.domain, tt.key, tt.api, tt.stage), tt.code, tt.part)
	}
	if mapTo(domain, "rest", "rest", "none") == nil {
		t.Error("a REST API's stage that does not exist")
	}
	must(0, mapTo(domain, "", id, "$default"))
	must(0, mapTo(domain, "orders/v1", id, "$default"))
	must(0, mapTo(domain, "rest", "rest", "dev"))
	wantError(t, mapTo(domain, "orders/v1", id, "$default"), "ConflictException", "ApiMapping key already exists for this domain name")
	socket := *must(g.CreateApi(g.ctx, &api.CreateApiInput{Name: new("s"), ProtocolType: new("WEBSOCKET"), RouteSelectionExpression: new("$request.body.action")})).ApiId
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &socket, StageName: new("dev")}))
	wantError(t, mapTo(domain, "socket", socket, "dev"), "BadRequestException", "A WebSocket API cannot be mapped to the same custom domain name")
	g.domain("socket.example.com")
	must(0, mapTo("socket.example.com", "", socket, "dev"))
	wantError(t, mapTo("socket.example.com", "rest", "rest", "dev"), "BadRequestException", "A WebSocket API cannot be mapped to the same custom domain name")
	must(g.DeleteDomainName(g.ctx, &api.DeleteDomainNameInput{DomainName: new("socket.example.com")}))
	must(g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &socket}))
	list := must(g.GetApiMappings(g.ctx, &api.GetApiMappingsInput{DomainName: new(domain), MaxResults: new("2")}))
	if len(list.Items) != 2 || list.NextToken == nil {
		t.Errorf("%+v", list)
	}
	list = must(g.GetApiMappings(g.ctx, &api.GetApiMappingsInput{DomainName: new(domain)}))
	var orders, rest *api.ApiMapping
	for i, m := range list.Items {
		switch *m.ApiMappingKey {
		case "orders/v1":
			orders = &list.Items[i]
		case "rest":
			rest = &list.Items[i]
		}
	}
	_, err = g.UpdateApiMapping(g.ctx, &api.UpdateApiMappingInput{DomainName: new(domain), ApiMappingId: orders.ApiMappingId, ApiId: &id, ApiMappingKey: new("rest")})
	wantError(t, err, "ConflictException", "already exists")
	m := must(g.UpdateApiMapping(g.ctx, &api.UpdateApiMappingInput{DomainName: new(domain), ApiMappingId: orders.ApiMappingId, ApiId: &id, ApiMappingKey: new("orders/v2")}))
	if got := must(g.GetApiMapping(g.ctx, &api.GetApiMappingInput{DomainName: new(domain), ApiMappingId: m.ApiMappingId})); *got.ApiMappingKey != "orders/v2" || *got.Stage != "$default" || *got.ApiId != id {
		t.Errorf("%+v", got)
	}
	must(g.DeleteApiMapping(g.ctx, &api.DeleteApiMappingInput{DomainName: new(domain), ApiMappingId: rest.ApiMappingId}))
	_, err = g.GetApiMapping(g.ctx, &api.GetApiMappingInput{DomainName: new(domain), ApiMappingId: rest.ApiMappingId})
	wantError(t, err, "NotFoundException", "ApiMapping")
	_, err = g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &id})
	wantError(t, err, "BadRequestException", "Please remove all API mappings for the API from your custom domain names.")

	// A name for REST APIs alone.
	must(0, g.Store.Update(t.Context(), func(tx kv.Tx) error {
		return customdomain.Put(tx, &customdomain.Row{Account: testAccount, Region: testRegion, Name: "edge.example.com", Endpoint: customdomain.Edge})
	}))
	wantError(t, mapTo("edge.example.com", "", id, "$default"), "BadRequestException", "only REST APIs can be attached to EDGE domain names.")
	if names := must(g.GetDomainNames(g.ctx, &api.GetDomainNamesInput{})).Items; len(names) != 2 {
		t.Errorf("%+v", names)
	}
	for _, name := range []string{domain, "edge.example.com"} {
		must(g.DeleteDomainName(g.ctx, &api.DeleteDomainNameInput{DomainName: &name}))
	}
	must(g.DeleteApi(g.ctx, &api.DeleteApiInput{ApiId: &id}))
	if n := g.Store.(*memkv.Store).Len(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// A mapping names the stage, so no segment of the path does; functions see the path as it was sent. The API's own endpoint may
// be switched off.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
func TestRequestByDomainName(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.lambdaRoute(id, "GET /pets", "2.0")
	g.lambdaRoute(id, "GET /old", "1.0")
	must(g.CreateStage(g.ctx, &api.CreateStageInput{ApiId: &id, StageName: new("prod"), AutoDeploy: new(true)}))
	must(g.UpdateApi(g.ctx, &api.UpdateApiInput{ApiId: &id, DisableExecuteApiEndpoint: new(true)}))
	byName := func(stage, prefix, path string) *edge.Request {
		r := request(id, "GET", "/"+stage+path)
		r.Host, r.Custom = "api.example.com:4566", &edge.CustomName{BasePath: "v1", Prefix: prefix}
		return r
	}
	g.want(request(id, "GET", "/pets"), 404, `{"message":"Not Found"}`)
	for _, stage := range []string{"$default", "prod"} {
		g.want(byName(stage, "/v1", "/pets"), 200, "ok")
		e := g.event()
		c := e["requestContext"].(map[string]any)
		if e["rawPath"] != "/v1/pets" || c["http"].(map[string]any)["path"] != "/v1/pets" || c["stage"] != stage || c["domainName"] != "api.example.com" || c["domainPrefix"] != "api" {
			t.Errorf("%v", e)
		}
		g.want(byName(stage, "/v1", "/old"), 200, "ok")
		if e := g.event(); e["path"] != "/v1/old" || e["resource"] != "/old" {
			t.Errorf("%v", e)
		}
	}
	g.want(byName("other", "", "/pets"), 404, `{"message":"Not Found"}`)
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
func TestMappingLimits(t *testing.T) {
	g := newTester(t)
	id := g.api(nil)
	g.domain("api.example.com")
	add := func(key string) error {
		_, err := g.CreateApiMapping(g.ctx, &api.CreateApiMappingInput{DomainName: new("api.example.com"), ApiMappingKey: &key, ApiId: &id, Stage: new("$default")})
		return err
	}
	must(0, add(strings.Repeat("k", 300)))
	wantError(t, add(strings.Repeat("k", 301)), "BadRequestException", "ApiMapping key")
	for i := range customdomain.MaxMappings - 1 {
		must(0, add(fmt.Sprint("a/", i)))
	}
	wantError(t, add("more"), "TooManyRequestsException", "API mappings")
	// What is there can still be changed.
	first := must(g.GetApiMappings(g.ctx, &api.GetApiMappingsInput{DomainName: new("api.example.com"), MaxResults: new("1")})).Items[0]
	must(g.UpdateApiMapping(g.ctx, &api.UpdateApiMappingInput{DomainName: new("api.example.com"), ApiMappingId: first.ApiMappingId, ApiId: &id, ApiMappingKey: new("changed")}))
}
