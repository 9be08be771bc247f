package sdk

import (
	"archive/zip"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

func patch(op types.Op, path, value string) types.PatchOperation {
	p := types.PatchOperation{Op: op, Path: &path}
	if op != types.OpRemove {
		p.Value = &value
	}
	return p
}

// Every kind of part that an API has, made, read, listed, patched and deleted by the SDK.
// https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
func TestAPIGatewayParts(t *testing.T) {
	ctx := t.Context()
	c := apigateway.NewFromConfig(as(newAccount(), "test", ""))
	id := must(c.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("parts")})).Id
	root := must(c.GetResources(ctx, &apigateway.GetResourcesInput{RestApiId: id})).Items[0].Id
	missing := func(err error) {
		t.Helper()
		if e := new(types.NotFoundException); !errors.As(err, &e) {
			t.Errorf("got %v; want NotFoundException", err)
		}
	}

	must(c.CreateModel(ctx, &apigateway.CreateModelInput{RestApiId: id, Name: aws.String("Pet"), ContentType: aws.String("application/json"), Schema: aws.String(`{"type":"object"}`)}))
	if m := must(c.UpdateModel(ctx, &apigateway.UpdateModelInput{RestApiId: id, ModelName: aws.String("Pet"), PatchOperations: []types.PatchOperation{patch(types.OpReplace, "/description", "d")}})); *m.Description != "d" {
		t.Errorf("%+v", m)
	}
	if n := len(must(c.GetModels(ctx, &apigateway.GetModelsInput{RestApiId: id})).Items); n != 3 {
		t.Errorf("%d models", n)
	}
	if v := must(c.GetModelTemplate(ctx, &apigateway.GetModelTemplateInput{RestApiId: id, ModelName: aws.String("Pet")})).Value; !strings.HasPrefix(*v, "#set($inputRoot") {
		t.Errorf("%s", *v)
	}
	must(c.DeleteModel(ctx, &apigateway.DeleteModelInput{RestApiId: id, ModelName: aws.String("Pet")}))
	_, err := c.GetModel(ctx, &apigateway.GetModelInput{RestApiId: id, ModelName: aws.String("Pet")})
	missing(err)

	v := must(c.CreateRequestValidator(ctx, &apigateway.CreateRequestValidatorInput{RestApiId: id, Name: aws.String("v"), ValidateRequestBody: true}))
	if got := must(c.UpdateRequestValidator(ctx, &apigateway.UpdateRequestValidatorInput{RestApiId: id, RequestValidatorId: v.Id, PatchOperations: []types.PatchOperation{patch(types.OpReplace, "/validateRequestParameters", "true")}})); !got.ValidateRequestParameters || !got.ValidateRequestBody {
		t.Errorf("%+v", got)
	}
	must(c.DeleteRequestValidator(ctx, &apigateway.DeleteRequestValidatorInput{RestApiId: id, RequestValidatorId: v.Id}))
	_, err = c.GetRequestValidator(ctx, &apigateway.GetRequestValidatorInput{RestApiId: id, RequestValidatorId: v.Id})
	missing(err)

	a := must(c.CreateAuthorizer(ctx, &apigateway.CreateAuthorizerInput{RestApiId: id, Name: aws.String("a"), Type: types.AuthorizerTypeToken, IdentitySource: aws.String("method.request.header.Authorization"),
		AuthorizerUri: aws.String("arn:aws:apigateway:" + region + ":lambda:path/2015-03-31/functions/arn:aws:lambda:" + region + ":123456789012:function:f/invocations")}))
	if *a.AuthorizerResultTtlInSeconds != 300 {
		t.Errorf("%+v", a)
	}
	must(c.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: id, ResourceId: root, HttpMethod: aws.String("GET"), AuthorizationType: aws.String("CUSTOM"), AuthorizerId: a.Id}))
	_, err = c.DeleteAuthorizer(ctx, &apigateway.DeleteAuthorizerInput{RestApiId: id, AuthorizerId: a.Id})
	if e := new(types.ConflictException); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
	must(c.UpdateMethod(ctx, &apigateway.UpdateMethodInput{RestApiId: id, ResourceId: root, HttpMethod: aws.String("GET"), PatchOperations: []types.PatchOperation{
		patch(types.OpReplace, "/authorizationType", "NONE"), patch(types.OpRemove, "/authorizerId", "")}}))
	must(c.DeleteAuthorizer(ctx, &apigateway.DeleteAuthorizerInput{RestApiId: id, AuthorizerId: a.Id}))
	_, err = c.GetAuthorizer(ctx, &apigateway.GetAuthorizerInput{RestApiId: id, AuthorizerId: a.Id})
	missing(err)

	must(c.PutGatewayResponse(ctx, &apigateway.PutGatewayResponseInput{RestApiId: id, ResponseType: types.GatewayResponseTypeDefault4xx, StatusCode: aws.String("400")}))
	if got := must(c.GetGatewayResponse(ctx, &apigateway.GetGatewayResponseInput{RestApiId: id, ResponseType: types.GatewayResponseTypeDefault4xx})); got.DefaultResponse || *got.StatusCode != "400" {
		t.Errorf("%+v", got)
	}
	if n := len(must(c.GetGatewayResponses(ctx, &apigateway.GetGatewayResponsesInput{RestApiId: id})).Items); n != 21 {
		t.Errorf("%d gateway responses", n)
	}
	must(c.DeleteGatewayResponse(ctx, &apigateway.DeleteGatewayResponseInput{RestApiId: id, ResponseType: types.GatewayResponseTypeDefault4xx}))

	part := must(c.CreateDocumentationPart(ctx, &apigateway.CreateDocumentationPartInput{RestApiId: id, Location: &types.DocumentationPartLocation{Type: types.DocumentationPartTypeApi}, Properties: aws.String(`{"description":"d"}`)}))
	must(c.UpdateDocumentationPart(ctx, &apigateway.UpdateDocumentationPartInput{RestApiId: id, DocumentationPartId: part.Id, PatchOperations: []types.PatchOperation{patch(types.OpReplace, "/properties", `{"description":"e"}`)}}))
	must(c.CreateDocumentationVersion(ctx, &apigateway.CreateDocumentationVersionInput{RestApiId: id, DocumentationVersion: aws.String("1")}))
	if list := must(c.GetDocumentationVersions(ctx, &apigateway.GetDocumentationVersionsInput{RestApiId: id})).Items; len(list) != 1 || *list[0].Version != "1" {
		t.Errorf("%+v", list)
	}
	ids := must(c.ImportDocumentationParts(ctx, &apigateway.ImportDocumentationPartsInput{RestApiId: id, Mode: types.PutModeOverwrite, Body: []byte(
		`{"swagger":"2.0","info":{"title":"t","version":"1"},"x-amazon-apigateway-documentation":{"documentationParts":[{"location":{"type":"RESOURCE","path":"/"},"properties":{"description":"root"}}]}}`)})).Ids
	if list := must(c.GetDocumentationParts(ctx, &apigateway.GetDocumentationPartsInput{RestApiId: id})).Items; len(ids) != 1 || len(list) != 1 || *list[0].Properties != `{"description":"root"}` {
		t.Errorf("%v %+v", ids, list)
	}
	must(c.DeleteDocumentationVersion(ctx, &apigateway.DeleteDocumentationVersionInput{RestApiId: id, DocumentationVersion: aws.String("1")}))

	cert := must(c.GenerateClientCertificate(ctx, &apigateway.GenerateClientCertificateInput{Description: aws.String("d")}))
	if got := must(c.GetClientCertificate(ctx, &apigateway.GetClientCertificateInput{ClientCertificateId: cert.ClientCertificateId})); !strings.HasPrefix(*got.PemEncodedCertificate, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("%+v", got)
	}
	must(c.DeleteClientCertificate(ctx, &apigateway.DeleteClientCertificateInput{ClientCertificateId: cert.ClientCertificateId}))

	// A stage with everything that can be set on it.
	must(c.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: id, ResourceId: root, HttpMethod: aws.String("GET"), Type: types.IntegrationTypeMock}))
	first := must(c.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: id, StageName: aws.String("dev")}))
	second := must(c.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: id, StageName: aws.String("dev"), CanarySettings: &types.DeploymentCanarySettings{PercentTraffic: 10}}))
	st := must(c.UpdateStage(ctx, &apigateway.UpdateStageInput{RestApiId: id, StageName: aws.String("dev"), PatchOperations: []types.PatchOperation{
		{Op: types.OpCopy, From: aws.String("/canarySettings/deploymentId"), Path: aws.String("/deploymentId")}, patch(types.OpRemove, "/canarySettings", ""),
		patch(types.OpReplace, "/*/*/throttling/rateLimit", "100"), patch(types.OpReplace, "/*/*/throttling/burstLimit", "50")}}))
	if *st.DeploymentId != *second.Id || st.MethodSettings["*/*"].ThrottlingBurstLimit != 50 || *first.Id == *second.Id {
		t.Errorf("%+v", st)
	}
	must(c.FlushStageCache(ctx, &apigateway.FlushStageCacheInput{RestApiId: id, StageName: aws.String("dev")}))
	must(c.FlushStageAuthorizersCache(ctx, &apigateway.FlushStageAuthorizersCacheInput{RestApiId: id, StageName: aws.String("dev")}))

	name := "api.parts.example.com"
	must(c.CreateDomainName(ctx, &apigateway.CreateDomainNameInput{DomainName: &name, RegionalCertificateName: aws.String("c"), EndpointConfiguration: &types.EndpointConfiguration{Types: []types.EndpointType{types.EndpointTypeRegional}}}))
	must(c.CreateBasePathMapping(ctx, &apigateway.CreateBasePathMappingInput{DomainName: &name, BasePath: aws.String("v1"), RestApiId: id, Stage: aws.String("dev")}))
	if m := must(c.GetBasePathMapping(ctx, &apigateway.GetBasePathMappingInput{DomainName: &name, BasePath: aws.String("v1")})); *m.Stage != "dev" {
		t.Errorf("%+v", m)
	}
	must(c.DeleteBasePathMapping(ctx, &apigateway.DeleteBasePathMappingInput{DomainName: &name, BasePath: aws.String("v1")}))
	must(c.DeleteDomainName(ctx, &apigateway.DeleteDomainNameInput{DomainName: &name}))

	plan := must(c.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("p"), Quota: &types.QuotaSettings{Limit: 10, Period: types.QuotaPeriodTypeDay}, ApiStages: []types.ApiStage{{ApiId: id, Stage: aws.String("dev")}}}))
	keys := must(c.ImportApiKeys(ctx, &apigateway.ImportApiKeysInput{Format: types.ApiKeysFormatCsv, Body: []byte("Name,Key,UsagePlanIds\nk,apikey1234abcdefghij0123456789," + *plan.Id + "\n")}))
	usage := must(c.UpdateUsage(ctx, &apigateway.UpdateUsageInput{UsagePlanId: plan.Id, KeyId: &keys.Ids[0], PatchOperations: []types.PatchOperation{patch(types.OpReplace, "/remaining", "25")}}))
	if days := usage.Items[keys.Ids[0]]; len(days) != 1 || days[0][1] != 25 {
		t.Errorf("%+v", usage)
	}

	if kinds := must(c.GetSdkTypes(ctx, &apigateway.GetSdkTypesInput{})).Items; len(kinds) != 1 || *kinds[0].Id != "javascript" {
		t.Errorf("%+v", kinds)
	}
	sdk := must(c.GetSdk(ctx, &apigateway.GetSdkInput{RestApiId: id, StageName: aws.String("dev"), SdkType: aws.String("javascript")}))
	if _, err := zip.NewReader(bytes.NewReader(sdk.Body), int64(len(sdk.Body))); err != nil {
		t.Error(err)
	}
	_, err = c.GetSdk(ctx, &apigateway.GetSdkInput{RestApiId: id, StageName: aws.String("dev"), SdkType: aws.String("swift")})
	if e := new(types.BadRequestException); !errors.As(err, &e) || !strings.Contains(*e.Message, "Brume generates: javascript") {
		t.Errorf("got %v", err)
	}
	must(c.DeleteRestApi(ctx, &apigateway.DeleteRestApiInput{RestApiId: id}))
}
