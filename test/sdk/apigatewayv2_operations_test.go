package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

// contains says whether JSON has all that other JSON has: members of objects, and lists item by item.
func contains(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, v := range want {
			ok = ok && contains(g[k], v)
		}
		return ok
	case []any:
		g, ok := got.([]any)
		ok = ok && len(g) == len(want)
		for i := range want {
			ok = ok && contains(g[i], want[i])
		}
		return ok
	}
	return reflect.DeepEqual(got, want)
}

// decoded is a value as JSON has it.
func decoded(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// Every operation for HTTP APIs: what it answers, and how it refuses.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/resources.html
func TestEveryOperationOfHTTPAPIs(t *testing.T) {
	ctx, account := t.Context(), newAccount()
	c := apigatewayv2.NewFromConfig(rootOf(account))
	const function = "arn:aws:lambda:us-east-1:123456789012:function:f"
	none, name := aws.String("nothing"), aws.String("table-"+account+".example.com")
	var id, authorizer, integration, route, deployment, mapping, stageARN *string
	document := func(title string) *string {
		return aws.String(`{"openapi":"3.0.1","info":{"title":"` + title + `","version":"7"},"paths":{"/p":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","uri":"` + function + `","payloadFormatVersion":"2.0"}}}}}`)
	}
	used := map[string]bool{}
	// Each row is an operation with its input, and what it answers: JSON that the answer contains, or the code of an error and a
	// part of its message.
	for _, row := range []struct {
		operation string
		call      func() (any, error)
		want      string
	}{
		{"CreateApi", func() (any, error) {
			out, err := c.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("api"), ProtocolType: types.ProtocolTypeHttp, Description: aws.String("d"), Version: aws.String("v1"), Tags: map[string]string{"k": "v"},
				CorsConfiguration: &types.Cors{AllowOrigins: []string{"https://a.example"}, AllowCredentials: aws.Bool(true), MaxAge: aws.Int32(300)}})
			if err == nil {
				id = out.ApiId
			}
			return out, err
		}, `{"Name":"api","Description":"d","Version":"v1","ProtocolType":"HTTP","RouteSelectionExpression":"$request.method $request.path","ApiKeySelectionExpression":"$request.header.x-api-key",
			"DisableExecuteApiEndpoint":false,"Tags":{"k":"v"},"CorsConfiguration":{"AllowOrigins":["https://a.example"],"AllowCredentials":true,"MaxAge":300}}`},
		{"CreateApi", func() (any, error) {
			return c.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("x"), ProtocolType: types.ProtocolTypeHttp, CorsConfiguration: &types.Cors{AllowOrigins: []string{"a.example"}}})
		}, "BadRequestException Invalid format for origin a.example"},
		{"CreateApi", func() (any, error) {
			return c.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("x"), ProtocolType: types.ProtocolTypeHttp, RouteSelectionExpression: aws.String("$request.body.action")})
		}, "BadRequestException routeSelectionExpression"},
		{"GetApi", func() (any, error) { return c.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: id}) }, `{"Name":"api","Tags":{"k":"v"}}`},
		{"GetApi", func() (any, error) { return c.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: none}) }, "NotFoundException Invalid API identifier specified " + account + ":nothing"},
		{"UpdateApi", func() (any, error) {
			return c.UpdateApi(ctx, &apigatewayv2.UpdateApiInput{ApiId: id, Name: aws.String("new")})
		}, `{"Name":"new","Description":"d","CorsConfiguration":{"MaxAge":300}}`},
		{"UpdateApi", func() (any, error) {
			return c.UpdateApi(ctx, &apigatewayv2.UpdateApiInput{ApiId: id, Target: aws.String(function)})
		}, "BadRequestException created with a target"},
		{"GetApis", func() (any, error) { return c.GetApis(ctx, &apigatewayv2.GetApisInput{}) }, `{"Items":[{"Name":"new"}],"NextToken":null}`},
		{"GetApis", func() (any, error) { return c.GetApis(ctx, &apigatewayv2.GetApisInput{MaxResults: aws.String("x")}) }, "BadRequestException maxResults"},
		{"DeleteCorsConfiguration", func() (any, error) {
			return c.DeleteCorsConfiguration(ctx, &apigatewayv2.DeleteCorsConfigurationInput{ApiId: id})
		}, `{}`},
		{"DeleteCorsConfiguration", func() (any, error) {
			return c.DeleteCorsConfiguration(ctx, &apigatewayv2.DeleteCorsConfigurationInput{ApiId: none})
		}, "NotFoundException Invalid API identifier"},
		{"GetApi", func() (any, error) { return c.GetApi(ctx, &apigatewayv2.GetApiInput{ApiId: id}) }, `{"CorsConfiguration":null}`},

		{"CreateIntegration", func() (any, error) {
			out, err := c.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: id, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: aws.String(function), PayloadFormatVersion: aws.String("2.0"),
				RequestParameters: map[string]string{"append:header.a": "$context.requestId"}, ResponseParameters: map[string]map[string]string{"500": {"overwrite:statuscode": "502"}}})
			if err == nil {
				integration = out.IntegrationId
			}
			return out, err
		}, `{"IntegrationType":"AWS_PROXY","ConnectionType":"INTERNET","PayloadFormatVersion":"2.0","TimeoutInMillis":30000,"RequestParameters":{"append:header.a":"$context.requestId"},"ResponseParameters":{"500":{"overwrite:statuscode":"502"}}}`},
		{"CreateIntegration", func() (any, error) {
			return c.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: id, IntegrationType: types.IntegrationTypeMock})
		}, "BadRequestException AWS_PROXY and HTTP_PROXY"},
		{"CreateIntegration", func() (any, error) {
			return c.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: id, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: aws.String(function), TimeoutInMillis: aws.Int32(30001)})
		}, "BadRequestException 30000"},
		{"GetIntegration", func() (any, error) {
			return c.GetIntegration(ctx, &apigatewayv2.GetIntegrationInput{ApiId: id, IntegrationId: integration})
		}, `{"IntegrationUri":"` + function + `"}`},
		{"GetIntegration", func() (any, error) {
			return c.GetIntegration(ctx, &apigatewayv2.GetIntegrationInput{ApiId: id, IntegrationId: none})
		}, "NotFoundException Unable to find Integration by id nothing"},
		{"UpdateIntegration", func() (any, error) {
			return c.UpdateIntegration(ctx, &apigatewayv2.UpdateIntegrationInput{ApiId: id, IntegrationId: integration, TimeoutInMillis: aws.Int32(50), RequestParameters: map[string]string{"append:header.a": ""}})
		}, `{"TimeoutInMillis":50,"PayloadFormatVersion":"2.0","RequestParameters":{}}`},
		{"UpdateIntegration", func() (any, error) {
			return c.UpdateIntegration(ctx, &apigatewayv2.UpdateIntegrationInput{ApiId: id, IntegrationId: none})
		}, "NotFoundException Integration"},
		{"GetIntegrations", func() (any, error) { return c.GetIntegrations(ctx, &apigatewayv2.GetIntegrationsInput{ApiId: id}) }, `{"Items":[{"TimeoutInMillis":50}]}`},

		{"CreateAuthorizer", func() (any, error) {
			out, err := c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: id, Name: aws.String("a"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: aws.String(function), AuthorizerPayloadFormatVersion: aws.String("2.0"),
				EnableSimpleResponses: aws.Bool(true), IdentitySource: []string{"$request.header.Auth"}, AuthorizerResultTtlInSeconds: aws.Int32(60)})
			if err == nil {
				authorizer = out.AuthorizerId
			}
			return out, err
		}, `{"Name":"a","AuthorizerType":"REQUEST","EnableSimpleResponses":true,"AuthorizerResultTtlInSeconds":60,"IdentitySource":["$request.header.Auth"]}`},
		{"CreateAuthorizer", func() (any, error) {
			return c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: id, Name: aws.String("a"), AuthorizerType: types.AuthorizerTypeJwt, IdentitySource: []string{"$request.header.A"},
				JwtConfiguration: &types.JWTConfiguration{Issuer: aws.String("https://i.example"), Audience: []string{"x"}}})
		}, "ConflictException Authorizer name a already exists"},
		{"CreateAuthorizer", func() (any, error) {
			return c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: id, Name: aws.String("b"), AuthorizerType: types.AuthorizerTypeJwt, IdentitySource: []string{"$request.header.A"},
				JwtConfiguration: &types.JWTConfiguration{Issuer: aws.String("http://i.example"), Audience: []string{"x"}}})
		}, "BadRequestException Invalid issuer: http://i.example. Issuer must have a valid URL ( https://{domain}/ )"},
		{"CreateAuthorizer", func() (any, error) {
			return c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: id, Name: aws.String("b"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: aws.String(function), AuthorizerPayloadFormatVersion: aws.String("2.0"),
				IdentitySource: []string{"method.request.header.Auth"}})
		}, "BadRequestException Invalid mapping expression specified: method.request.header.Auth"},
		{"GetAuthorizer", func() (any, error) {
			return c.GetAuthorizer(ctx, &apigatewayv2.GetAuthorizerInput{ApiId: id, AuthorizerId: authorizer})
		}, `{"Name":"a"}`},
		{"GetAuthorizer", func() (any, error) {
			return c.GetAuthorizer(ctx, &apigatewayv2.GetAuthorizerInput{ApiId: id, AuthorizerId: none})
		}, "NotFoundException Unable to find Authorizer by id nothing"},
		{"UpdateAuthorizer", func() (any, error) {
			return c.UpdateAuthorizer(ctx, &apigatewayv2.UpdateAuthorizerInput{ApiId: id, AuthorizerId: authorizer, Name: aws.String("b")})
		}, `{"Name":"b","AuthorizerResultTtlInSeconds":60}`},
		{"UpdateAuthorizer", func() (any, error) {
			return c.UpdateAuthorizer(ctx, &apigatewayv2.UpdateAuthorizerInput{ApiId: id, AuthorizerId: authorizer, AuthorizerPayloadFormatVersion: aws.String("1.0"), IdentitySource: []string{}})
		}, "BadRequestException EnableSimpleResponses is only supported with AuthorizerPayloadFormatVersion 2.0"},
		{"GetAuthorizers", func() (any, error) { return c.GetAuthorizers(ctx, &apigatewayv2.GetAuthorizersInput{ApiId: id}) }, `{"Items":[{"Name":"b"}]}`},

		{"CreateDeployment", func() (any, error) { return c.CreateDeployment(ctx, &apigatewayv2.CreateDeploymentInput{ApiId: id}) }, "BadRequestException At least one route is required before deploying the Api."},
		{"CreateRoute", func() (any, error) {
			out, err := c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: id, RouteKey: aws.String("GET /pets/{id}"), OperationName: aws.String("getPet"), Target: aws.String("integrations/" + *integration),
				AuthorizationType: types.AuthorizationTypeCustom, AuthorizerId: authorizer})
			if err == nil {
				route = out.RouteId
			}
			return out, err
		}, `{"RouteKey":"GET /pets/{id}","OperationName":"getPet","ApiKeyRequired":false,"AuthorizationType":"CUSTOM"}`},
		{"CreateRoute", func() (any, error) {
			return c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: id, RouteKey: aws.String("GET /pets/{id}")})
		}, "ConflictException Route with key GET /pets/{id} already exists for this API"},
		{"CreateRoute", func() (any, error) {
			return c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: id, RouteKey: aws.String("TRACE /pets")})
		}, "BadRequestException The provided route key is not formatted properly for HTTP protocol. Format should be"},
		{"CreateRoute", func() (any, error) {
			return c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: id, RouteKey: aws.String("GET /x"), Target: aws.String("integrations/nothing")})
		}, "NotFoundException Unable to find Integration by id nothing"},
		{"GetRoute", func() (any, error) { return c.GetRoute(ctx, &apigatewayv2.GetRouteInput{ApiId: id, RouteId: route}) }, `{"RouteKey":"GET /pets/{id}"}`},
		{"GetRoute", func() (any, error) { return c.GetRoute(ctx, &apigatewayv2.GetRouteInput{ApiId: id, RouteId: none}) }, "NotFoundException Unable to find Route by id nothing"},
		{"UpdateRoute", func() (any, error) {
			return c.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: id, RouteId: route, RouteKey: aws.String("ANY /pets/{proxy+}")})
		}, `{"RouteKey":"ANY /pets/{proxy+}","OperationName":"getPet"}`},
		{"UpdateRoute", func() (any, error) {
			return c.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: id, RouteId: route, AuthorizationScopes: []string{"x"}})
		}, "BadRequestException authorizationScopes"},
		{"GetRoutes", func() (any, error) { return c.GetRoutes(ctx, &apigatewayv2.GetRoutesInput{ApiId: id}) }, `{"Items":[{"RouteKey":"ANY /pets/{proxy+}"}]}`},

		{"CreateDeployment", func() (any, error) {
			out, err := c.CreateDeployment(ctx, &apigatewayv2.CreateDeploymentInput{ApiId: id, Description: aws.String("first")})
			if err == nil {
				deployment = out.DeploymentId
			}
			return out, err
		}, `{"Description":"first","DeploymentStatus":"DEPLOYED","AutoDeployed":false}`},
		{"CreateStage", func() (any, error) {
			return c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: id, StageName: aws.String("dev"), DeploymentId: deployment, Description: aws.String("d"), StageVariables: map[string]string{"a": "b"}, Tags: map[string]string{"k": "v"},
				DefaultRouteSettings: &types.RouteSettings{ThrottlingRateLimit: aws.Float64(10), ThrottlingBurstLimit: aws.Int32(5)}, RouteSettings: map[string]types.RouteSettings{"ANY /pets/{proxy+}": {ThrottlingRateLimit: aws.Float64(1)}}})
		}, `{"StageName":"dev","AutoDeploy":false,"StageVariables":{"a":"b"},"Tags":{"k":"v"},"DefaultRouteSettings":{"ThrottlingRateLimit":10,"ThrottlingBurstLimit":5},"RouteSettings":{"ANY /pets/{proxy+}":{"ThrottlingRateLimit":1}}}`},
		{"CreateStage", func() (any, error) {
			return c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: id, StageName: aws.String("dev")})
		}, "ConflictException Stage already exists"},
		{"CreateStage", func() (any, error) {
			return c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: id, StageName: aws.String("x"), DeploymentId: none})
		}, "NotFoundException Unable to find Deployment by id nothing"},
		{"GetStage", func() (any, error) {
			return c.GetStage(ctx, &apigatewayv2.GetStageInput{ApiId: id, StageName: aws.String("dev")})
		}, `{"Description":"d"}`},
		{"GetStage", func() (any, error) { return c.GetStage(ctx, &apigatewayv2.GetStageInput{ApiId: id, StageName: none}) }, "NotFoundException Unable to find Stage by name nothing"},
		{"UpdateStage", func() (any, error) {
			return c.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: id, StageName: aws.String("dev"), StageVariables: map[string]string{"c": "d"}, AccessLogSettings: &types.AccessLogSettings{
				DestinationArn: aws.String("arn:aws:logs:" + region + ":" + account + ":log-group:g:*"), Format: aws.String("$context.requestId")}})
		}, `{"StageVariables":{"a":"b","c":"d"},"AccessLogSettings":{"Format":"$context.requestId"}}`},
		{"UpdateStage", func() (any, error) {
			return c.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: id, StageName: aws.String("dev"), AccessLogSettings: &types.AccessLogSettings{DestinationArn: aws.String("arn:aws:s3:::b"), Format: aws.String("$context.requestId")}})
		}, "BadRequestException Invalid ARN specified in the request. ARNs must start with 'arn:'"},
		{"UpdateStage", func() (any, error) {
			return c.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: id, StageName: aws.String("dev"), RouteSettings: map[string]types.RouteSettings{"GET /none": {}}})
		}, "NotFoundException Unable to find Route by key GET /none within the provided RouteSettings"},
		{"UpdateStage", func() (any, error) {
			return c.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: id, StageName: aws.String("dev"), DefaultRouteSettings: &types.RouteSettings{LoggingLevel: types.LoggingLevelInfo}})
		}, "BadRequestException Execution logs are not supported"},
		{"DeleteRouteSettings", func() (any, error) {
			return c.DeleteRouteSettings(ctx, &apigatewayv2.DeleteRouteSettingsInput{ApiId: id, StageName: aws.String("dev"), RouteKey: aws.String("ANY /pets/{proxy+}")})
		}, `{}`},
		{"DeleteRouteSettings", func() (any, error) {
			return c.DeleteRouteSettings(ctx, &apigatewayv2.DeleteRouteSettingsInput{ApiId: id, StageName: aws.String("dev"), RouteKey: aws.String("ANY /pets/{proxy+}")})
		}, "NotFoundException RouteSettings"},
		{"DeleteAccessLogSettings", func() (any, error) {
			return c.DeleteAccessLogSettings(ctx, &apigatewayv2.DeleteAccessLogSettingsInput{ApiId: id, StageName: aws.String("dev")})
		}, `{}`},
		{"DeleteAccessLogSettings", func() (any, error) {
			return c.DeleteAccessLogSettings(ctx, &apigatewayv2.DeleteAccessLogSettingsInput{ApiId: id, StageName: none})
		}, "NotFoundException Unable to find Stage"},
		{"GetStages", func() (any, error) { return c.GetStages(ctx, &apigatewayv2.GetStagesInput{ApiId: id}) }, `{"Items":[{"StageName":"dev","AccessLogSettings":null,"RouteSettings":{}}]}`},
		{"ResetAuthorizersCache", func() (any, error) {
			return c.ResetAuthorizersCache(ctx, &apigatewayv2.ResetAuthorizersCacheInput{ApiId: id, StageName: aws.String("dev")})
		}, `{}`},
		{"ResetAuthorizersCache", func() (any, error) {
			return c.ResetAuthorizersCache(ctx, &apigatewayv2.ResetAuthorizersCacheInput{ApiId: id, StageName: none})
		}, "NotFoundException Unable to find Stage"},

		{"GetDeployment", func() (any, error) {
			return c.GetDeployment(ctx, &apigatewayv2.GetDeploymentInput{ApiId: id, DeploymentId: deployment})
		}, `{"Description":"first"}`},
		{"GetDeployment", func() (any, error) {
			return c.GetDeployment(ctx, &apigatewayv2.GetDeploymentInput{ApiId: id, DeploymentId: none})
		}, "NotFoundException Unable to find Deployment by id nothing"},
		{"UpdateDeployment", func() (any, error) {
			return c.UpdateDeployment(ctx, &apigatewayv2.UpdateDeploymentInput{ApiId: id, DeploymentId: deployment, Description: aws.String("second")})
		}, `{"Description":"second"}`},
		{"UpdateDeployment", func() (any, error) {
			return c.UpdateDeployment(ctx, &apigatewayv2.UpdateDeploymentInput{ApiId: id, DeploymentId: none})
		}, "NotFoundException Deployment"},
		{"GetDeployments", func() (any, error) { return c.GetDeployments(ctx, &apigatewayv2.GetDeploymentsInput{ApiId: id}) }, `{"Items":[{"Description":"second"}]}`},
		{"DeleteDeployment", func() (any, error) {
			return c.DeleteDeployment(ctx, &apigatewayv2.DeleteDeploymentInput{ApiId: id, DeploymentId: deployment})
		}, "BadRequestException Active stages pointing to this deployment must be moved or deleted"},

		{"TagResource", func() (any, error) {
			stageARN = aws.String("arn:aws:apigateway:" + region + "::/apis/" + *id + "/stages/dev")
			return c.TagResource(ctx, &apigatewayv2.TagResourceInput{ResourceArn: stageARN, Tags: map[string]string{"x": "y"}})
		}, `{}`},
		{"TagResource", func() (any, error) {
			return c.TagResource(ctx, &apigatewayv2.TagResourceInput{ResourceArn: stageARN, Tags: map[string]string{"aws:x": "y"}})
		}, "BadRequestException Invalid tag"},
		{"UntagResource", func() (any, error) {
			return c.UntagResource(ctx, &apigatewayv2.UntagResourceInput{ResourceArn: stageARN, TagKeys: []string{"k"}})
		}, `{}`},
		{"UntagResource", func() (any, error) {
			return c.UntagResource(ctx, &apigatewayv2.UntagResourceInput{ResourceArn: aws.String(*stageARN + "x"), TagKeys: []string{"k"}})
		}, "NotFoundException Unable to find Stage by name devx"},
		{"GetTags", func() (any, error) { return c.GetTags(ctx, &apigatewayv2.GetTagsInput{ResourceArn: stageARN}) }, `{"Tags":{"x":"y","k":null}}`},
		{"GetTags", func() (any, error) {
			return c.GetTags(ctx, &apigatewayv2.GetTagsInput{ResourceArn: aws.String("arn:aws:s3:::b")})
		}, "BadRequestException Invalid resource ARN specified in the request"},

		{"CreateDomainName", func() (any, error) {
			return c.CreateDomainName(ctx, &apigatewayv2.CreateDomainNameInput{DomainName: name, DomainNameConfigurations: []types.DomainNameConfiguration{{CertificateArn: aws.String("arn:c"), EndpointType: types.EndpointTypeRegional}}})
		}, `{"ApiMappingSelectionExpression":"$request.basepath","DomainNameConfigurations":[{"CertificateArn":"arn:c","EndpointType":"REGIONAL","SecurityPolicy":"TLS_1_2","DomainNameStatus":"AVAILABLE"}]}`},
		{"CreateDomainName", func() (any, error) {
			return c.CreateDomainName(ctx, &apigatewayv2.CreateDomainNameInput{DomainName: name, DomainNameConfigurations: []types.DomainNameConfiguration{{}}})
		}, "ConflictException The domain name you provided already exists."},
		{"GetDomainName", func() (any, error) { return c.GetDomainName(ctx, &apigatewayv2.GetDomainNameInput{DomainName: name}) }, `{"DomainName":"` + *name + `"}`},
		{"GetDomainName", func() (any, error) { return c.GetDomainName(ctx, &apigatewayv2.GetDomainNameInput{DomainName: none}) }, "NotFoundException Invalid domain name identifier specified"},
		{"UpdateDomainName", func() (any, error) {
			return c.UpdateDomainName(ctx, &apigatewayv2.UpdateDomainNameInput{DomainName: name, DomainNameConfigurations: []types.DomainNameConfiguration{{CertificateArn: aws.String("arn:d")}}})
		}, `{"DomainNameConfigurations":[{"CertificateArn":"arn:d"}]}`},
		{"UpdateDomainName", func() (any, error) {
			return c.UpdateDomainName(ctx, &apigatewayv2.UpdateDomainNameInput{DomainName: name, DomainNameConfigurations: []types.DomainNameConfiguration{{EndpointType: types.EndpointTypeEdge}}})
		}, "BadRequestException Only REGIONAL domain names can be managed through the API Gateway V2 API."},
		{"GetDomainNames", func() (any, error) { return c.GetDomainNames(ctx, &apigatewayv2.GetDomainNamesInput{}) }, `{"Items":[{"DomainName":"` + *name + `"}]}`},
		{"CreateApiMapping", func() (any, error) {
			out, err := c.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: name, ApiId: id, Stage: aws.String("dev"), ApiMappingKey: aws.String("a/b")})
			if err == nil {
				mapping = out.ApiMappingId
			}
			return out, err
		}, `{"ApiMappingKey":"a/b","Stage":"dev"}`},
		{"CreateApiMapping", func() (any, error) {
			return c.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: name, ApiId: id, Stage: aws.String("dev"), ApiMappingKey: aws.String("a/b")})
		}, "ConflictException ApiMapping key already exists for this domain name"},
		{"GetApiMapping", func() (any, error) {
			return c.GetApiMapping(ctx, &apigatewayv2.GetApiMappingInput{DomainName: name, ApiMappingId: mapping})
		}, `{"ApiMappingKey":"a/b"}`},
		{"GetApiMapping", func() (any, error) {
			return c.GetApiMapping(ctx, &apigatewayv2.GetApiMappingInput{DomainName: name, ApiMappingId: none})
		}, "NotFoundException Invalid ApiMapping identifier specified"},
		{"UpdateApiMapping", func() (any, error) {
			return c.UpdateApiMapping(ctx, &apigatewayv2.UpdateApiMappingInput{DomainName: name, ApiMappingId: mapping, ApiId: id, ApiMappingKey: aws.String("c")})
		}, `{"ApiMappingKey":"c","Stage":"dev"}`},
		{"UpdateApiMapping", func() (any, error) {
			return c.UpdateApiMapping(ctx, &apigatewayv2.UpdateApiMappingInput{DomainName: name, ApiMappingId: mapping, ApiId: none})
		}, "NotFoundException Invalid API identifier"},
		{"GetApiMappings", func() (any, error) { return c.GetApiMappings(ctx, &apigatewayv2.GetApiMappingsInput{DomainName: name}) }, `{"Items":[{"ApiMappingKey":"c"}]}`},
		{"DeleteApi", func() (any, error) { return c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: id}) }, "BadRequestException Please remove all API mappings for the API from your custom domain names."},
		{"DeleteApiMapping", func() (any, error) {
			return c.DeleteApiMapping(ctx, &apigatewayv2.DeleteApiMappingInput{DomainName: name, ApiMappingId: mapping})
		}, `{}`},
		{"DeleteApiMapping", func() (any, error) {
			return c.DeleteApiMapping(ctx, &apigatewayv2.DeleteApiMappingInput{DomainName: name, ApiMappingId: mapping})
		}, "NotFoundException Invalid ApiMapping identifier specified"},
		{"DeleteDomainName", func() (any, error) {
			return c.DeleteDomainName(ctx, &apigatewayv2.DeleteDomainNameInput{DomainName: name})
		}, `{}`},
		{"DeleteDomainName", func() (any, error) {
			return c.DeleteDomainName(ctx, &apigatewayv2.DeleteDomainNameInput{DomainName: name})
		}, "NotFoundException Invalid domain name identifier specified"},

		{"ExportApi", func() (any, error) {
			out, err := c.ExportApi(ctx, &apigatewayv2.ExportApiInput{ApiId: id, Specification: aws.String("OAS30"), OutputType: aws.String("JSON"), StageName: aws.String("dev")})
			if err != nil {
				return nil, err
			}
			return json.RawMessage(out.Body), nil
		}, `{"openapi":"3.0.1","info":{"title":"new","version":"v1"},"paths":{"/pets/{proxy+}":{"x-amazon-apigateway-any-method":{"operationId":"getPet","x-amazon-apigateway-integration":{"type":"aws_proxy","timeoutInMillis":50}}}}}`},
		{"ExportApi", func() (any, error) {
			return c.ExportApi(ctx, &apigatewayv2.ExportApiInput{ApiId: id, Specification: aws.String("OAS20"), OutputType: aws.String("JSON")})
		}, "BadRequestException OAS30"},
		{"ImportApi", func() (any, error) {
			out, err := c.ImportApi(ctx, &apigatewayv2.ImportApiInput{Body: document("imported")})
			if err != nil {
				return out, err
			}
			_, err = c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: out.ApiId})
			return out, err
		}, `{"Name":"imported","Version":"7","Warnings":null}`},
		{"ImportApi", func() (any, error) {
			return c.ImportApi(ctx, &apigatewayv2.ImportApiInput{Body: aws.String(`{"swagger":"2.0"}`)})
		}, "BadRequestException Unsupported OpenAPI version"},
		{"ReimportApi", func() (any, error) {
			return c.ReimportApi(ctx, &apigatewayv2.ReimportApiInput{ApiId: id, Body: document("again")})
		}, `{"Name":"again","Tags":{"k":"v"}}`},
		{"ReimportApi", func() (any, error) {
			return c.ReimportApi(ctx, &apigatewayv2.ReimportApiInput{ApiId: none, Body: document("again")})
		}, "NotFoundException Invalid API identifier"},
		{"GetRoutes", func() (any, error) {
			out, err := c.GetRoutes(ctx, &apigatewayv2.GetRoutesInput{ApiId: id})
			if err == nil {
				route, integration = out.Items[0].RouteId, aws.String(strings.TrimPrefix(*out.Items[0].Target, "integrations/"))
			}
			return out, err
		}, `{"Items":[{"RouteKey":"GET /p"}]}`},

		{"DeleteIntegration", func() (any, error) {
			return c.DeleteIntegration(ctx, &apigatewayv2.DeleteIntegrationInput{ApiId: id, IntegrationId: integration})
		}, "ConflictException referenced by route"},
		{"DeleteRoute", func() (any, error) {
			return c.DeleteRoute(ctx, &apigatewayv2.DeleteRouteInput{ApiId: id, RouteId: route})
		}, `{}`},
		{"DeleteRoute", func() (any, error) {
			return c.DeleteRoute(ctx, &apigatewayv2.DeleteRouteInput{ApiId: id, RouteId: route})
		}, "NotFoundException Unable to find Route by id"},
		{"DeleteIntegration", func() (any, error) {
			return c.DeleteIntegration(ctx, &apigatewayv2.DeleteIntegrationInput{ApiId: id, IntegrationId: integration})
		}, `{}`},
		{"CreateAuthorizer", func() (any, error) {
			out, err := c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: id, Name: aws.String("c"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: aws.String(function), AuthorizerPayloadFormatVersion: aws.String("1.0"), IdentitySource: []string{}})
			if err == nil {
				authorizer = out.AuthorizerId
			}
			return out, err
		}, `{"AuthorizerResultTtlInSeconds":0,"EnableSimpleResponses":false}`},
		{"DeleteAuthorizer", func() (any, error) {
			return c.DeleteAuthorizer(ctx, &apigatewayv2.DeleteAuthorizerInput{ApiId: id, AuthorizerId: authorizer})
		}, `{}`},
		{"DeleteAuthorizer", func() (any, error) {
			return c.DeleteAuthorizer(ctx, &apigatewayv2.DeleteAuthorizerInput{ApiId: id, AuthorizerId: authorizer})
		}, "NotFoundException Unable to find Authorizer by id"},
		{"DeleteStage", func() (any, error) {
			return c.DeleteStage(ctx, &apigatewayv2.DeleteStageInput{ApiId: id, StageName: aws.String("dev")})
		}, `{}`},
		{"DeleteStage", func() (any, error) {
			return c.DeleteStage(ctx, &apigatewayv2.DeleteStageInput{ApiId: id, StageName: aws.String("dev")})
		}, "NotFoundException Unable to find Stage by name dev"},
		{"DeleteDeployment", func() (any, error) {
			return c.DeleteDeployment(ctx, &apigatewayv2.DeleteDeploymentInput{ApiId: id, DeploymentId: deployment})
		}, `{}`},
		{"DeleteApi", func() (any, error) { return c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: id}) }, `{}`},
		{"DeleteApi", func() (any, error) { return c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: id}) }, "NotFoundException Invalid API identifier"},
	} {
		used[row.operation] = true
		out, err := row.call()
		if !strings.HasPrefix(row.want, "{") {
			code, part, _ := strings.Cut(row.want, " ")
			var known smithy.APIError
			if !errors.As(err, &known) || known.ErrorCode() != code || !strings.Contains(known.ErrorMessage(), part) {
				t.Errorf("%s: got %v; want %s", row.operation, err, row.want)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", row.operation, err)
		}
		data := ok(json.Marshal(out))(t)
		if !contains(decoded(t, data), decoded(t, []byte(row.want))) {
			t.Errorf("%s:\n got %s\nwant %s", row.operation, data, row.want)
		}
	}
	for m := range reflect.TypeFor[*apigatewayv2.Client]().Methods() {
		// What is for WebSocket APIs and for portals, and VPC links, stand elsewhere or are not there.
		other := m.Name == "Options" || strings.Contains(m.Name, "Portal") || strings.Contains(m.Name, "Page") || strings.Contains(m.Name, "RoutingRule") || strings.Contains(m.Name, "VpcLink") ||
			strings.Contains(m.Name, "Model") || strings.Contains(m.Name, "RouteResponse") || strings.Contains(m.Name, "IntegrationResponse") || m.Name == "DeleteRouteRequestParameter"
		if !other && !used[m.Name] {
			t.Errorf("%s is not in the table", m.Name)
		}
	}
}

// What deploys HTTP APIs makes the same calls as CloudFormation does for its templates: the Serverless Framework's httpApi, SAM's
// AWS::Serverless::HttpApi, and CDK's HttpApi with its authorizers. Each is made, answers, and goes away again.
// https://www.serverless.com/framework/docs/providers/aws/events/http-api
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-httpapi.html
// https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_apigatewayv2-readme.html
func TestWhatToolsMakeOfHTTPAPIs(t *testing.T) {
	w := newWorld(t, "")
	w.function("f", `
import json
def handler(e, c):
  return {"statusCode": 200, "body": json.dumps({"route": e["routeKey"], "who": e["requestContext"].get("authorizer")})}
`, nil)
	w.function("auth", `
def handler(e, c):
  return {"isAuthorized": (e.get("identitySource") or ["yes"])[0] == "yes", "context": {"by": "auth"}}
`, nil)
	ctx := t.Context()
	c := apigatewayv2.NewFromConfig(w.config)
	arn := func(name string) string {
		return "arn:aws:lambda:" + region + ":" + w.account + ":function:" + name
	}
	invocation := func(name string) string {
		return "arn:aws:apigateway:" + region + ":lambda:path/2015-03-31/functions/" + arn(name) + "/invocations"
	}
	permissions := 0
	permit := func(function, api, path string) {
		permissions++
		ok(w.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
			FunctionName: &function, StatementId: aws.String(fmt.Sprint("api", permissions)), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com"),
			SourceArn: aws.String("arn:aws:execute-api:" + region + ":" + w.account + ":" + api + path),
		}))(t)
	}
	get := func(endpoint, path string, header ...string) string {
		req := apiRequest(t, "GET", endpoint, path, "")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, body := send(t, req)
		return fmt.Sprint(resp.StatusCode, " ", body)
	}

	// The Serverless Framework.
	api := ok(c.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("dev-service"), ProtocolType: types.ProtocolTypeHttp, Tags: map[string]string{"team": "a"}, CorsConfiguration: &types.Cors{
		AllowHeaders: []string{"Content-Type", "X-Amz-Date", "Authorization", "X-Api-Key", "X-Amz-Security-Token", "X-Amz-User-Agent", "X-Amzn-Trace-Id"}, AllowMethods: []string{"OPTIONS", "GET"}, AllowOrigins: []string{"*"},
	}}))(t)
	ok(c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: api.ApiId, StageName: aws.String("$default"), AutoDeploy: aws.Bool(true), Tags: map[string]string{"team": "a"},
		DefaultRouteSettings: &types.RouteSettings{DetailedMetricsEnabled: aws.Bool(false)}, AccessLogSettings: &types.AccessLogSettings{
			DestinationArn: aws.String("arn:aws:logs:" + region + ":" + w.account + ":log-group:/aws/http-api/service-dev:*"),
			Format:         aws.String(`{"requestTime":"$context.requestTime","requestId":"$context.requestId","apiId":"$context.apiId","resourcePath":"$context.routeKey","ip":"$context.identity.sourceIp"}`),
		}}))(t)
	authorizer := ok(c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: api.ApiId, Name: aws.String("custom"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: aws.String(invocation("auth")),
		IdentitySource: []string{"$request.header.Auth"}, EnableSimpleResponses: aws.Bool(true), AuthorizerPayloadFormatVersion: aws.String("2.0")}))(t)
	integration := ok(c.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: api.ApiId, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: aws.String(arn("f")), PayloadFormatVersion: aws.String("2.0"), TimeoutInMillis: aws.Int32(30000)}))(t)
	target := aws.String("integrations/" + *integration.IntegrationId)
	ok(c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("GET /open/{id}"), Target: target}))(t)
	ok(c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("GET /guarded"), Target: target, AuthorizationType: types.AuthorizationTypeCustom, AuthorizerId: authorizer.AuthorizerId}))(t)
	ok(c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: api.ApiId, RouteKey: aws.String("$default"), Target: target, AuthorizationType: types.AuthorizationTypeAwsIam}))(t)
	permit("f", *api.ApiId, "/*")
	permit("auth", *api.ApiId, "/*")
	same(t, "Serverless, open", get(*api.ApiEndpoint, "/open/1"), `200 {"route": "GET /open/{id}", "who": null}`)
	same(t, "Serverless, guarded", get(*api.ApiEndpoint, "/guarded", "Auth", "yes"), `200 {"route": "GET /guarded", "who": {"lambda": {"by": "auth"}}}`)
	same(t, "Serverless, refused", get(*api.ApiEndpoint, "/guarded", "Auth", "no"), `403 {"message":"Forbidden"}`)
	same(t, "Serverless, the default route", get(*api.ApiEndpoint, "/else"), `403 {"message":"Forbidden"}`)
	ok(c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: api.ApiId}))(t)

	// SAM.
	imported := ok(c.ImportApi(ctx, &apigatewayv2.ImportApiInput{FailOnWarnings: aws.Bool(true), Body: aws.String(`{"openapi":"3.0.1","info":{"version":"1.0","title":"stack"},
		"paths":{
			"/basic":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","payloadFormatVersion":"2.0","uri":"` + invocation("f") + `"},"responses":{},"security":[{"LambdaAuth":[]}]}},
			"$default":{"x-amazon-apigateway-any-method":{"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","payloadFormatVersion":"2.0","uri":"` + invocation("f") + `"},"isDefaultRoute":true,"responses":{}}}},
		"components":{"securitySchemes":{
			"LambdaAuth":{"type":"apiKey","name":"Unused","in":"header","x-amazon-apigateway-authorizer":{"type":"request","authorizerUri":"` + invocation("auth") + `","identitySource":["$request.header.Auth","$request.querystring.petId","$stageVariables.stageVar"],
				"authorizerResultTtlInSeconds":60,"authorizerPayloadFormatVersion":2.0,"enableSimpleResponses":true}},
			"OAuth2":{"type":"oauth2","x-amazon-apigateway-authorizer":{"type":"jwt","identitySource":"$request.header.Authorization","jwtConfiguration":{"audience":["MyApi"],"issuer":"https://www.example.com/v1/connect/oidc"}}}}},
		"tags":[{"name":"httpapi:createdBy","x-amazon-apigateway-tag-value":"SAM"}],
		"x-amazon-apigateway-cors":{"allowOrigins":["https://example.com"],"allowHeaders":["x-apigateway-header"],"allowMethods":["GET"],"maxAge":600,"allowCredentials":true}}`)}))(t)
	same(t, "SAM's tag", imported.Tags["httpapi:createdBy"], "SAM")
	ok(c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: imported.ApiId, StageName: aws.String("Prod"), AutoDeploy: aws.Bool(true), Tags: map[string]string{"httpapi:createdBy": "SAM"}, StageVariables: map[string]string{"stageVar": "x"},
		RouteSettings: map[string]types.RouteSettings{"GET /basic": {ThrottlingBurstLimit: aws.Int32(500)}}}))(t)
	permit("f", *imported.ApiId, "/*/*")
	permit("auth", *imported.ApiId, "/authorizers/*")
	same(t, "SAM, the default route", get(*imported.ApiEndpoint, "/Prod/any"), `200 {"route": "$default", "who": null}`)
	same(t, "SAM, guarded", get(*imported.ApiEndpoint, "/Prod/basic?petId=1", "Auth", "yes"), `200 {"route": "GET /basic", "who": {"lambda": {"by": "auth"}}}`)
	same(t, "SAM, without an identity source", get(*imported.ApiEndpoint, "/Prod/basic", "Auth", "yes"), `401 {"message":"Unauthorized"}`)
	ok(c.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: imported.ApiId}))(t)

	// CDK, with a custom domain name.
	cdk := ok(c.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("MyHttpApi"), ProtocolType: types.ProtocolTypeHttp}))(t)
	ok(c.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: cdk.ApiId, StageName: aws.String("$default"), AutoDeploy: aws.Bool(true)}))(t)
	simple := ok(c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: cdk.ApiId, Name: aws.String("my-simple-authorizer"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: aws.String(invocation("auth")),
		IdentitySource: []string{"$request.header.X-API-Key"}, EnableSimpleResponses: aws.Bool(true), AuthorizerPayloadFormatVersion: aws.String("2.0"), AuthorizerResultTtlInSeconds: aws.Int32(300)}))(t)
	ok(c.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: cdk.ApiId, Name: aws.String("UserPoolAuthorizer"), AuthorizerType: types.AuthorizerTypeJwt, IdentitySource: []string{"$request.header.Authorization"},
		JwtConfiguration: &types.JWTConfiguration{Issuer: aws.String("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_abc"), Audience: []string{"client"}}}))(t)
	integration = ok(c.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: cdk.ApiId, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: aws.String(arn("f")), PayloadFormatVersion: aws.String("2.0")}))(t)
	target = aws.String("integrations/" + *integration.IntegrationId)
	ok(c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: cdk.ApiId, RouteKey: aws.String("GET /"), Target: target, AuthorizationType: types.AuthorizationTypeCustom, AuthorizerId: simple.AuthorizerId}))(t)
	ok(c.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: cdk.ApiId, RouteKey: aws.String("ANY /v1/mything/{proxy+}"), Target: target, AuthorizationType: types.AuthorizationTypeNone}))(t)
	permit("f", *cdk.ApiId, "/*/*/")
	permit("auth", *cdk.ApiId, "/authorizers/"+*simple.AuthorizerId)
	same(t, "CDK, guarded", get(*cdk.ApiEndpoint, "/", "X-API-Key", "yes"), `200 {"route": "GET /", "who": {"lambda": {"by": "auth"}}}`)
	same(t, "CDK, without the permission for a route", get(*cdk.ApiEndpoint, "/v1/mything/x"), `500 {"message":"Internal Server Error"}`)
	permit("f", *cdk.ApiId, "/*/*/v1/mything/{proxy+}")
	same(t, "CDK", get(*cdk.ApiEndpoint, "/v1/mything/x"), `200 {"route": "ANY /v1/mything/{proxy+}", "who": null}`)
	domain := aws.String("cdk-" + w.account + ".example.com")
	ok(c.CreateDomainName(ctx, &apigatewayv2.CreateDomainNameInput{DomainName: domain, DomainNameConfigurations: []types.DomainNameConfiguration{{CertificateArn: aws.String("arn:aws:acm:us-east-1:111111111111:certificate"), EndpointType: types.EndpointTypeRegional}}}))(t)
	ok(c.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: domain, ApiId: cdk.ApiId, Stage: aws.String("$default"), ApiMappingKey: aws.String("orders/v1")}))(t)
	same(t, "CDK, by its own name", get("http://"+*domain, "/orders/v1/v1/mything/x"), `200 {"route": "ANY /v1/mything/{proxy+}", "who": null}`)
}
