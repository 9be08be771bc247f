package apigateway

import (
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html
func TestDomainNames(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/pets", "GET", false)
	g.deploy(id, "dev")
	create := func(name string) error {
		_, err := g.CreateDomainName(g.ctx, &api.CreateDomainNameInput{DomainName: &name, EndpointConfiguration: &api.EndpointConfiguration{Types: []string{"REGIONAL"}}})
		return err
	}
	for _, name := range []string{"", "nodot", "a..b", "-a.example.com", "exa mple.com", "a.*.example.com"} {
		wantError(t, create(name), "BadRequestException", "is invalid")
	}
	must(0, create("API.example.com"))
	must(0, create("*.wild.example.com"))
	wantError(t, create("api.example.com"), "ConflictException", "The domain name you provided already exists.")
	if d := must(g.GetDomainName(g.ctx, &api.GetDomainNameInput{DomainName: new("api.example.com")})); *d.DomainName != "api.example.com" || *d.DomainNameStatus != "AVAILABLE" || d.RegionalDomainName == nil {
		t.Errorf("%+v", d)
	}
	mapTo := func(domain, base string, stage *string) error {
		_, err := g.CreateBasePathMapping(g.ctx, &api.CreateBasePathMappingInput{DomainName: &domain, BasePath: &base, RestApiId: &id, Stage: stage})
		return err
	}
	wantError(t, mapTo("api.example.com", "v1", new("nope")), "NotFoundException", "stage")
	wantError(t, mapTo("other.example.com", "v1", nil), "NotFoundException", "Invalid domain name identifier specified")
	wantError(t, mapTo("api.example.com", "v 1", nil), "BadRequestException", "base path")
	must(0, mapTo("api.example.com", "v1", new("dev")))
	wantError(t, mapTo("api.example.com", "v1", new("dev")), "ConflictException", "Base path already exists")
	must(0, mapTo("api.example.com", "", nil))
	wantError(t, mapTo("*.wild.example.com", "v1/deep", new("dev")), "BadRequestException", "To create a multi-level base path mapping, use API Gateway V2.")
	_, err := g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: &id})
	wantError(t, err, "BadRequestException", "Please remove all base path mappings related to the RestApi in your domains: api.example.com")

	m := must(g.UpdateBasePathMapping(g.ctx, &api.UpdateBasePathMappingInput{DomainName: new("api.example.com"), BasePath: new("v1"), PatchOperations: ops("replace /basePath v2")}))
	if list := must(g.GetBasePathMappings(g.ctx, &api.GetBasePathMappingsInput{DomainName: new("api.example.com")})).Items; *m.BasePath != "v2" || len(list) != 2 || *list[1].BasePath != "(none)" {
		t.Errorf("%+v", list)
	}
	_, err = g.UpdateBasePathMapping(g.ctx, &api.UpdateBasePathMappingInput{DomainName: new("api.example.com"), BasePath: new("v2"), PatchOperations: ops("replace /basePath")})
	wantError(t, err, "ConflictException", "Base path already exists")
	must(g.DeleteBasePathMapping(g.ctx, &api.DeleteBasePathMappingInput{DomainName: new("api.example.com"), BasePath: new("v2")}))
	_, err = g.GetBasePathMapping(g.ctx, &api.GetBasePathMappingInput{DomainName: new("api.example.com"), BasePath: new("v2")})
	wantError(t, err, "NotFoundException", "Invalid base path mapping identifier specified")
	must(g.TagResource(g.ctx, &api.TagResourceInput{ResourceArn: new("arn:aws:apigateway:us-east-1::/domainnames/api.example.com"), Tags: map[string]string{"k": "v"}}))
	if d := must(g.UpdateDomainName(g.ctx, &api.UpdateDomainNameInput{DomainName: new("api.example.com"), PatchOperations: ops("replace /securityPolicy TLS_1_0")})); d.Tags["k"] != "v" || *d.SecurityPolicy != "TLS_1_0" {
		t.Errorf("%+v", d)
	}
	if list := must(g.GetDomainNames(g.ctx, &api.GetDomainNamesInput{})).Items; len(list) != 2 {
		t.Errorf("%+v", list)
	}
	must(g.DeleteDomainName(g.ctx, &api.DeleteDomainNameInput{DomainName: new("api.example.com")}))
	must(g.DeleteRestApi(g.ctx, &api.DeleteRestApiInput{RestApiId: &id}))
}

// A function sees the path as it was sent to the custom domain name.
func TestRequestByDomainName(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/pets", "GET", false)
	g.deploy(id, "dev")
	r := request(id, "dev", "GET", "/pets")
	r.Host, r.Custom = "api.example.com:4566", &edge.CustomName{BasePath: "v1", Prefix: "/v1"}
	g.want(r, 200, "ok")
	payload := string(g.lambda.calls[0].Payload)
	for _, part := range []string{`"path":"/v1/pets","httpMethod"`, `"path":"/v1/pets","accountId"`, `"domainName":"api.example.com"`, `"domainPrefix":"api"`} {
		if !strings.Contains(payload, part) {
			t.Errorf("no %s in %s", part, payload)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	g := newGateway(t)
	c := must(g.GenerateClientCertificate(g.ctx, &api.GenerateClientCertificateInput{Description: new("d")}))
	c = must(g.UpdateClientCertificate(g.ctx, &api.UpdateClientCertificateInput{ClientCertificateId: c.ClientCertificateId, PatchOperations: ops("replace /description e")}))
	if got := must(g.GetClientCertificate(g.ctx, &api.GetClientCertificateInput{ClientCertificateId: c.ClientCertificateId})); *got.Description != "e" || !got.ExpirationDate.After(*got.CreatedDate) {
		t.Errorf("%+v", got)
	}
	id, _ := g.api()
	g.proxy(id, "/", "GET", false)
	g.deploy(id, "dev")
	must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: ops("replace /clientCertificateId " + *c.ClientCertificateId)}))
	_, err := g.DeleteClientCertificate(g.ctx, &api.DeleteClientCertificateInput{ClientCertificateId: c.ClientCertificateId})
	wantError(t, err, "ConflictException", "in use by the stage dev")
	must(g.DeleteStage(g.ctx, &api.DeleteStageInput{RestApiId: &id, StageName: new("dev")}))
	must(g.DeleteClientCertificate(g.ctx, &api.DeleteClientCertificateInput{ClientCertificateId: c.ClientCertificateId}))
	_, err = g.GetClientCertificate(g.ctx, &api.GetClientCertificateInput{ClientCertificateId: c.ClientCertificateId})
	wantError(t, err, "NotFoundException", "Invalid client certificate ID")
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
func TestImportApiKeys(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/", "GET", true)
	g.deploy(id, "dev")
	plan := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("p"), ApiStages: []api.ApiStage{{ApiId: &id, Stage: new("dev")}}}))
	load := func(file string, strict bool) (*api.ApiKeyIds, error) {
		return g.ImportApiKeys(g.ctx, &api.ImportApiKeysInput{Format: new("csv"), Body: []byte(file), FailOnWarnings: &strict})
	}
	first := must(load("Enabled,Name,key,extra,UsageplanIds\ntrue,one,apikey1234abcdefghij0123456789,x,\""+*plan.Id+"\"\nFALSE,two,apikey1234abcdefghij0123456780,x,\n", false))
	if len(first.Ids) != 2 || len(first.Warnings) != 0 {
		t.Fatalf("%+v", first)
	}
	withKey := func(v string) *Request { return request(id, "dev", "GET", "/", Field{"x-api-key", v}) }
	g.want(withKey("apikey1234abcdefghij0123456789"), 200, "ok")
	g.want(withKey("apikey1234abcdefghij0123456780"), 403, `{"message":"Forbidden"}`)
	// The same value again changes the key that there is.
	again := must(load("name,key,enabled\nrenamed,apikey1234abcdefghij0123456789,false", false))
	if k := must(g.GetApiKey(g.ctx, &api.GetApiKeyInput{ApiKey: &again.Ids[0]})); again.Ids[0] != first.Ids[0] || *k.Name != "renamed" || *k.Enabled {
		t.Errorf("%+v", k)
	}
	g.want(withKey("apikey1234abcdefghij0123456789"), 403, `{"message":"Forbidden"}`)
	bad := "name,key,usageplanids\nok,apikey1234abcdefghij012345678a,nope\nshort,abc,"
	got := must(load(bad, false))
	if len(got.Ids) != 1 || len(got.Warnings) != 2 || got.Warnings[1] != "Line 3: API Key value should be at least 20 characters" {
		t.Errorf("%+v", got)
	}
	_, err := load(bad, true)
	wantError(t, err, "NotFoundException", "Usage Plan")
	for _, file := range []string{"", "name\nx", "name,key,enabled\nx,apikey1234abcdefghij0123456789,maybe"} {
		_, err := load(file, false)
		wantError(t, err, "BadRequestException", "")
	}
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte("Name,key,description,Enabled,usageplanIds\nMyFirstApiKey,apikey1234abcdefghij0123456789,An imported key,TRUE,c7y23b\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		keys, err := parseKeyFile(file)
		if err == nil && len(keys) > maxImportedKeys {
			t.Error("too many keys")
		}
	})
}
