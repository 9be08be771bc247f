package apigateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
)

// What can be patched of each resource, and how, as https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html lists
// it: operations that go "+", that fail with what stands behind "-".
var patchTable = map[string]string{
	"Account": `
replace /cloudwatchRoleArn arn:aws:iam::123456789012:role/logs +
add /features UsagePlans +
remove /features UsagePlans +
replace /throttleSettings 1 -Invalid patch path  '/throttleSettings' specified for op 'replace'. Must be one of: [/cloudwatchRoleArn]`,
	"ApiKey": `
replace /name n +
replace /description d +
replace /customerId c +
replace /enabled false +
replace /enabled maybe -Invalid value 'maybe' specified for path '/enabled'
add /stages API/dev +
remove /stages API/dev +
add /stages API/none -Invalid stage identifier specified
replace /value 12345678901234567890 -Must be one of: [/name, /description, /customerId, /enabled]`,
	"Authorizer": `
replace /name n +
replace /authType custom +
replace /authorizerUri FUNCTION +
replace /authorizerCredentials arn:aws:iam::123456789012:role/auth +
replace /authorizerCredentials x -Invalid ARN
replace /authorizerResultTtlInSeconds 3600 +
replace /authorizerResultTtlInSeconds 3601 -Invalid authorizer result TTL
replace /authorizerResultTtlInSeconds x -Invalid value 'x'
replace /identitySource method.request.header.X +
replace /identityValidationExpression [a-z]+ +
replace /identityValidationExpression ( -Invalid identity validation expression
add /providerARNs arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_pool -
replace /id x -Invalid patch path`,
	"BasePathMapping": `
replace /basePath other +
replace /basePath base +
replace /restapiId API +
replace /restapiId none -Invalid
replace /stage dev +
replace /stage none -
add /stage dev -Invalid patch path`,
	"ClientCertificate": `
replace /description d +
replace /pem x -Must be one of: [/description]`,
	"Deployment": `
replace /description d +
replace /id x -Must be one of: [/description]`,
	"DocumentationPart": `
replace /properties {"description":"d"} +
replace /properties x -must be a valid JSON object
replace /location x -Must be one of: [/properties]`,
	"DocumentationVersion": `
replace /description d +
replace /version 2 -Must be one of: [/description]`,
	"DomainName": `
replace /certificateName n +
replace /certificateArn arn:aws:acm:us-east-1:123456789012:certificate/1 +
replace /securityPolicy TLS_1_2 +
replace /securityPolicy SSL -Invalid value 'SSL'
replace /ownershipVerificationCertificateArn arn:aws:acm:us-east-1:123456789012:certificate/3 +
replace /endpointConfiguration/types/EDGE REGIONAL +
replace /regionalCertificateName n +
replace /regionalCertificateArn arn:aws:acm:us-east-1:123456789012:certificate/2 +
replace /endpointConfiguration/types/EDGE REGIONAL -Invalid value
replace /endpointConfiguration/types/REGIONAL PRIVATE -Invalid value
replace /mutualTlsAuthentication/truststoreUri s3://b/k -does not implement
replace /domainName x -Invalid patch path`,
	"GatewayResponse": `
replace /statusCode 404 +
replace /statusCode x -Invalid status code
add /responseParameters/gatewayresponse.header.X 'a' +
replace /responseParameters/gatewayresponse.header.X 'b' +
remove /responseParameters/gatewayresponse.header.X +
add /responseParameters/x 'a' -Invalid mapping expression parameter
add /responseTemplates/application~1json {} +
remove /responseTemplates/application~1json +
replace /responseType X -Invalid patch path`,
	"Integration": `
replace /httpMethod POST +
replace /uri http://backend.example/x +
replace /uri ftp://x -Invalid HTTP endpoint
replace /type HTTP +
replace /credentials arn:aws:iam::123456789012:role/x +
remove /credentials +
replace /passthroughBehavior NEVER +
replace /passthroughBehavior x -
replace /contentHandling CONVERT_TO_TEXT +
remove /contentHandling +
replace /timeoutInMillis 50 +
replace /timeoutInMillis 49 -Timeout should be between 50 ms and 29000 ms
replace /cacheNamespace n +
add /cacheKeyParameters/method.request.querystring.q +
remove /cacheKeyParameters/method.request.querystring.q +
add /requestParameters/integration.request.querystring.q method.request.querystring.q +
replace /requestParameters/integration.request.querystring.q 'x' +
remove /requestParameters/integration.request.querystring.q +
add /requestParameters/integration.request.header.X method.request.header.Gone -Invalid mapping expression parameter specified
add /requestTemplates/application~1json {} +
remove /requestTemplates/application~1json +
replace /tlsConfig/insecureSkipVerification true +
replace /connectionType VPC_LINK -
replace /integrationResponses x -Invalid patch path`,
	"IntegrationResponse": `
replace /selectionPattern 4\d{2} +
replace /selectionPattern ( -Invalid selection pattern
replace /contentHandling CONVERT_TO_BINARY +
replace /contentHandling x -Invalid content handling
add /responseParameters/method.response.header.X 'a' +
remove /responseParameters/method.response.header.X +
add /responseParameters/method.response.header.Y 'a' -Invalid mapping expression parameter
add /responseTemplates/application~1json {} +
remove /responseTemplates/application~1json +
replace /statusCode 201 -Invalid patch path`,
	"Method": `
replace /authorizationType AWS_IAM +
replace /authorizationType x -Invalid authorization type
replace /authorizationType NONE +
replace /apiKeyRequired true +
replace /operationName op +
replace /requestValidatorId VALIDATOR +
replace /requestValidatorId none -
remove /requestValidatorId +
add /requestParameters/method.request.header.X true +
replace /requestParameters/method.request.header.X false +
remove /requestParameters/method.request.header.X +
add /requestParameters/x true -Invalid mapping expression
add /requestModels/application~1json Empty +
add /requestModels/application~1json None -
remove /requestModels/application~1json +
replace /httpMethod POST -Invalid patch path`,
	"MethodResponse": `
add /responseParameters/method.response.header.Z true +
remove /responseParameters/method.response.header.Z +
add /responseParameters/x true -Invalid mapping expression
add /responseModels/application~1json Empty +
remove /responseModels/application~1json +
replace /statusCode 201 -Invalid patch path`,
	"Model": `
replace /description d +
replace /schema {"type":"object"} +
replace /schema x -Invalid model schema
replace /name n -Must be one of: [/description, /schema]`,
	"RequestValidator": `
replace /name n +
replace /validateRequestBody true +
replace /validateRequestParameters false +
replace /validateRequestParameters x -Invalid value
replace /id x -Invalid patch path`,
	"Resource": `
replace /pathPart other +
replace /pathPart a/b -
replace /parentId none -
replace /path x -Must be one of: [/pathPart, /parentId]`,
	"RestApi": `
replace /name n +
replace /name  -API name cannot be empty
replace /description d +
replace /apiKeySource AUTHORIZER +
replace /apiKeySource x -Invalid API key source
replace /disableExecuteApiEndpoint true +
replace /minimumCompressionSize 0 +
replace /minimumCompressionSize -1 -Invalid minimum compression size
replace /minimumCompressionSize  +
replace /policy {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]} +
replace /policy {} -Invalid policy document
replace /policy  +
add /binaryMediaTypes/image~1png +
replace /binaryMediaTypes/image~1png image/gif +
remove /binaryMediaTypes/image~1gif +
add /binaryMediaTypes/png -Invalid binary media type
replace /endpointConfiguration/types/EDGE REGIONAL +
replace /endpointConfiguration/types/0 EDGE +
replace /endpointConfiguration/types/0 x -Invalid endpoint type
replace /endpointConfiguration/types/0 PRIVATE -does not implement
add /endpointConfiguration/vpcEndpointIds/vpce-1 -only supported for PRIVATE
replace /id x -Invalid patch path
test /name n -Invalid patch path
move /name n -Invalid patch path`,
	"Stage": `
replace /deploymentId DEPLOYMENT +
replace /deploymentId none -
replace /description d +
replace /cacheClusterEnabled true +
replace /cacheClusterSize 0.5 +
replace /clientCertificateId CERTIFICATE +
replace /documentationVersion 1 +
replace /tracingEnabled true +
replace /variables/v 1 +
remove /variables/v +
add /variables/a-b 1 -
replace /accessLogSettings/destinationArn arn:aws:logs:us-east-1:123456789012:log-group:access +
replace /accessLogSettings/format $context.requestId +
remove /accessLogSettings +
replace /*/*/metrics/enabled true +
replace /*/*/logging/loglevel ERROR +
replace /*/*/logging/loglevel LOUD -Invalid value 'LOUD'
replace /*/*/logging/dataTrace true +
replace /*/*/throttling/burstLimit 5 +
replace /*/*/throttling/rateLimit 1.5 +
replace /*/*/throttling/rateLimit x -Invalid value 'x'
replace /*/*/caching/enabled true +
replace /*/*/caching/ttlInSeconds 5 +
replace /*/*/caching/dataEncrypted true +
replace /*/*/caching/requireAuthorizationForCacheControl false +
replace /*/*/caching/unauthorizedCacheControlHeaderStrategy FAIL_WITH_403 +
replace /~1a/GET/throttling/rateLimit 2 +
remove /~1a/GET +
remove /~1a/GET -Invalid method setting path
remove /*/* +
replace /canarySettings/percentTraffic 10 +
replace /canarySettings/percentTraffic 101 -must be between 0.0 and 100.0
replace /canarySettings/useStageCache true +
replace /canarySettings/deploymentId DEPLOYMENT +
add /canarySettings/stageVariableOverrides/v 2 +
remove /canarySettings/stageVariableOverrides/v +
remove /canarySettings +
replace /stageName x -Invalid patch path`,
	"Usage": `
replace /remaining 5 +
replace /remaining x -Invalid value
add /remaining 5 -Must be one of: []`,
	"UsagePlan": `
replace /name n +
replace /description d +
replace /productCode p +
remove /apiStages API:dev +
remove /apiStages API:dev -API Stage not found
add /apiStages API -Invalid value
add /apiStages API:none -
add /apiStages API:dev +
replace /apiStages/API:dev/throttle//a/GET/rateLimit 1 +
replace /apiStages/API:dev/throttle//a/GET/burstLimit 2 +
replace /apiStages/API:dev/throttle/~1a~1GET/rateLimit 3 +
remove /apiStages/API:dev/throttle//a/GET +
add /apiStages/API:dev/throttle {"/a/GET":{"rateLimit":1,"burstLimit":1}} +
remove /apiStages/API:dev/throttle +
replace /apiStages/API:none/throttle//a/GET/rateLimit 1 -API Stage not found
replace /throttle/rateLimit 10 +
replace /throttle/burstLimit 20 +
remove /throttle +
replace /quota/limit 10 +
replace /quota/period WEEK +
replace /quota/offset 6 +
replace /quota/offset 7 -between zero and six
replace /quota/period YEAR -
remove /quota +
replace /id x -Invalid patch path`,
}

func TestPatches(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	res := g.resource(id, "/a")
	get := new("GET")
	must(g.PutMethod(g.ctx, &api.PutMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, AuthorizationType: new("NONE"), RequestParameters: map[string]bool{"method.request.querystring.q": false}}))
	must(g.PutIntegration(g.ctx, &api.PutIntegrationInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, Type: new("HTTP"), IntegrationHttpMethod: get, Uri: new("http://backend.example/")}))
	must(g.PutMethodResponse(g.ctx, &api.PutMethodResponseInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, StatusCode: new("200"), ResponseParameters: map[string]bool{"method.response.header.X": false}}))
	must(g.PutIntegrationResponse(g.ctx, &api.PutIntegrationResponseInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, StatusCode: new("200")}))
	validator := must(g.CreateRequestValidator(g.ctx, &api.CreateRequestValidatorInput{RestApiId: &id, Name: new("v")})).Id
	must(g.CreateModel(g.ctx, &api.CreateModelInput{RestApiId: &id, Name: new("M"), ContentType: new("application/json"), Schema: new("{}")}))
	authorizer := must(g.CreateAuthorizer(g.ctx, &api.CreateAuthorizerInput{RestApiId: &id, Name: new("a"), Type: new("TOKEN"), AuthorizerUri: new(functionURI), IdentitySource: new("method.request.header.A")})).Id
	must(g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: ops("replace /cloudwatchRoleArn " + logRole)}))
	deployment := new(g.deploy(id, "dev"))
	key, plan := "", ""
	_, key, plan = g.key(id, "dev", nil, &api.QuotaSettings{Limit: new(int32(100)), Period: new("DAY")})
	_, _, other := g.key(id, "dev", nil, nil)
	part := must(g.CreateDocumentationPart(g.ctx, &api.CreateDocumentationPartInput{RestApiId: &id, Location: &api.DocumentationPartLocation{Type: new("API")}, Properties: new("{}")})).Id
	must(g.CreateDocumentationVersion(g.ctx, &api.CreateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1")}))
	certificate := must(g.GenerateClientCertificate(g.ctx, &api.GenerateClientCertificateInput{})).ClientCertificateId
	must(g.CreateDomainName(g.ctx, &api.CreateDomainNameInput{DomainName: new("api.example.com"), CertificateArn: new("arn:aws:acm:us-east-1:123456789012:certificate/1")}))
	must(g.CreateBasePathMapping(g.ctx, &api.CreateBasePathMappingInput{DomainName: new("api.example.com"), BasePath: new("base"), RestApiId: &id, Stage: new("dev")}))
	base := "base"

	update := map[string]func(o []api.PatchOperation) error{
		"Account": func(o []api.PatchOperation) error {
			_, err := g.UpdateAccount(g.ctx, &api.UpdateAccountInput{PatchOperations: o})
			return err
		},
		"ApiKey": func(o []api.PatchOperation) error {
			_, err := g.UpdateApiKey(g.ctx, &api.UpdateApiKeyInput{ApiKey: &key, PatchOperations: o})
			return err
		},
		"Authorizer": func(o []api.PatchOperation) error {
			_, err := g.UpdateAuthorizer(g.ctx, &api.UpdateAuthorizerInput{RestApiId: &id, AuthorizerId: authorizer, PatchOperations: o})
			return err
		},
		"BasePathMapping": func(o []api.PatchOperation) error {
			out, err := g.UpdateBasePathMapping(g.ctx, &api.UpdateBasePathMappingInput{DomainName: new("api.example.com"), BasePath: &base, PatchOperations: o})
			if err == nil {
				base = *out.BasePath
			}
			return err
		},
		"ClientCertificate": func(o []api.PatchOperation) error {
			_, err := g.UpdateClientCertificate(g.ctx, &api.UpdateClientCertificateInput{ClientCertificateId: certificate, PatchOperations: o})
			return err
		},
		"Deployment": func(o []api.PatchOperation) error {
			_, err := g.UpdateDeployment(g.ctx, &api.UpdateDeploymentInput{RestApiId: &id, DeploymentId: deployment, PatchOperations: o})
			return err
		},
		"DocumentationPart": func(o []api.PatchOperation) error {
			_, err := g.UpdateDocumentationPart(g.ctx, &api.UpdateDocumentationPartInput{RestApiId: &id, DocumentationPartId: part, PatchOperations: o})
			return err
		},
		"DocumentationVersion": func(o []api.PatchOperation) error {
			_, err := g.UpdateDocumentationVersion(g.ctx, &api.UpdateDocumentationVersionInput{RestApiId: &id, DocumentationVersion: new("1"), PatchOperations: o})
			return err
		},
		"DomainName": func(o []api.PatchOperation) error {
			_, err := g.UpdateDomainName(g.ctx, &api.UpdateDomainNameInput{DomainName: new("api.example.com"), PatchOperations: o})
			return err
		},
		"GatewayResponse": func(o []api.PatchOperation) error {
			_, err := g.UpdateGatewayResponse(g.ctx, &api.UpdateGatewayResponseInput{RestApiId: &id, ResponseType: new("THROTTLED"), PatchOperations: o})
			return err
		},
		"Integration": func(o []api.PatchOperation) error {
			_, err := g.UpdateIntegration(g.ctx, &api.UpdateIntegrationInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, PatchOperations: o})
			return err
		},
		"IntegrationResponse": func(o []api.PatchOperation) error {
			_, err := g.UpdateIntegrationResponse(g.ctx, &api.UpdateIntegrationResponseInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, StatusCode: new("200"), PatchOperations: o})
			return err
		},
		"Method": func(o []api.PatchOperation) error {
			_, err := g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, PatchOperations: o})
			return err
		},
		"MethodResponse": func(o []api.PatchOperation) error {
			_, err := g.UpdateMethodResponse(g.ctx, &api.UpdateMethodResponseInput{RestApiId: &id, ResourceId: &res, HttpMethod: get, StatusCode: new("200"), PatchOperations: o})
			return err
		},
		"Model": func(o []api.PatchOperation) error {
			_, err := g.UpdateModel(g.ctx, &api.UpdateModelInput{RestApiId: &id, ModelName: new("M"), PatchOperations: o})
			return err
		},
		"RequestValidator": func(o []api.PatchOperation) error {
			_, err := g.UpdateRequestValidator(g.ctx, &api.UpdateRequestValidatorInput{RestApiId: &id, RequestValidatorId: validator, PatchOperations: o})
			return err
		},
		"Resource": func(o []api.PatchOperation) error {
			_, err := g.UpdateResource(g.ctx, &api.UpdateResourceInput{RestApiId: &id, ResourceId: &res, PatchOperations: o})
			return err
		},
		"RestApi": func(o []api.PatchOperation) error {
			_, err := g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: o})
			return err
		},
		"Stage": func(o []api.PatchOperation) error {
			_, err := g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: o})
			return err
		},
		"Usage": func(o []api.PatchOperation) error {
			_, err := g.UpdateUsage(g.ctx, &api.UpdateUsageInput{UsagePlanId: &plan, KeyId: &key, PatchOperations: o})
			return err
		},
		"UsagePlan": func(o []api.PatchOperation) error {
			_, err := g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: &other, PatchOperations: o})
			return err
		},
	}
	fill := strings.NewReplacer("API/", id+"/", "API:", id+":", " API ", " "+id+" ", "FUNCTION", functionURI, "VALIDATOR", *validator, "DEPLOYMENT", *deployment, "CERTIFICATE", *certificate)
	for kind, table := range patchTable {
		for line := range strings.SplitSeq(strings.TrimPrefix(table, "\n"), "\n") {
			do, want, good := line, "", false
			if cut, ok := strings.CutSuffix(line, " +"); ok {
				do, good = cut, true
			} else if i := strings.LastIndex(line, " -"); i >= 0 {
				do, want = line[:i], line[i+2:]
			}
			op, rest, _ := strings.Cut(do, " ")
			path, v, _ := strings.Cut(rest, " ")
			path, v = fill.Replace(path), strings.Trim(fill.Replace(" "+v+" "), " ")
			err := update[kind]([]api.PatchOperation{{Op: &op, Path: &path, Value: &v}})
			var known awserr.Error
			switch {
			case good && err != nil:
				t.Errorf("%s: %s: %v", kind, line, err)
			case !good && (!errors.As(err, &known) || !strings.Contains(strings.ToLower(known.ErrorMessage()), strings.ToLower(want))):
				t.Errorf("%s: %s: got %v", kind, line, err)
			}
		}
		for _, path := range []string{"", "/", "//", "name", "/~", "/nope/nope", "/name/", "/" + strings.Repeat("a/", 10_000)} {
			err := update[kind](ops("replace " + path + " x"))
			var known awserr.Error
			if !errors.As(err, &known) || known.ErrorCode() != "BadRequestException" || !strings.HasPrefix(known.ErrorMessage(), "Invalid patch path") {
				t.Errorf("%s: %.40q: %v", kind, path, err)
			}
		}
	}
	// Both ways of writing a method name the same throttle.
	must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: &other, PatchOperations: ops("replace /apiStages/"+id+":dev/throttle//a/GET/rateLimit 1", "replace /apiStages/"+id+":dev/throttle/~1a~1GET/burstLimit 2")}))
	if got := must(g.GetUsagePlan(g.ctx, &api.GetUsagePlanInput{UsagePlanId: &other})).ApiStages[0].Throttle; len(got) != 1 || fmt.Sprint(*got["/a/GET"].RateLimit, *got["/a/GET"].BurstLimit) != "1 2" {
		t.Errorf("%+v", got)
	}
}
