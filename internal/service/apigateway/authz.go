package apigateway

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/service/apigateway/openapi"
)

// Checks maps the input of an operation to the permissions it needs. The actions are HTTP methods, and the resources are
// the paths of the operations: apigateway:POST on arn:aws:apigateway:REGION::/restapis makes an API.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-create-and-manage-api.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	if !slices.Contains(implemented(), operation) {
		return nil, false, nil
	}
	table := api.Schema()
	i := slices.IndexFunc(table.Operations, func(op schema.Operation) bool { return op.Name == operation })
	if i < 0 {
		return nil, false, nil
	}
	op := &table.Operations[i]
	sc := scopeOf(ctx)
	segments := edge.ExpandPath(table, op, in, customdomain.FoldLabel)
	check := policy.Check{
		Action: "apigateway:" + op.Method, Resource: arnPrefix(sc) + strings.Join(segments, "/"), ResourceAccount: sc.account,
		Context: map[string][]string{},
	}
	tagged := segments
	if len(segments) == 2 && segments[0] == "tags" {
		tagged = taggedPath(sc, segments[1])
	}
	tags, err := s.tagsAt(ctx, sc, tagged)
	if err != nil {
		return nil, true, err
	}
	for k, v := range tags {
		check.Context["aws:ResourceTag/"+k] = []string{v}
	}
	requestTags(check.Context, in)
	checks = append(checks, check)
	given := givenIn(sc, in)
	if given.policy {
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html
		check.Action = "apigateway:UpdateRestApiPolicy"
		checks = append(checks, check)
	}
	for _, role := range given.roles {
		checks = append(checks, policy.Check{
			Action: "iam:PassRole", Resource: role, Context: map[string][]string{"iam:PassedToService": {"apigateway.amazonaws.com"}},
		})
	}
	return checks, true, nil
}

// implemented lists the operations that Service has.
func implemented() []string {
	return []string{
		"CreateApiKey", "CreateAuthorizer", "CreateBasePathMapping", "CreateDeployment", "CreateDocumentationPart",
		"CreateDocumentationVersion", "CreateDomainName", "CreateModel", "CreateRequestValidator", "CreateResource", "CreateRestApi",
		"CreateStage", "CreateUsagePlan", "CreateUsagePlanKey", "DeleteApiKey", "DeleteAuthorizer", "DeleteBasePathMapping",
		"DeleteClientCertificate", "DeleteDeployment", "DeleteDocumentationPart", "DeleteDocumentationVersion", "DeleteDomainName",
		"DeleteGatewayResponse", "DeleteIntegration", "DeleteIntegrationResponse", "DeleteMethod", "DeleteMethodResponse",
		"DeleteModel", "DeleteRequestValidator", "DeleteResource", "DeleteRestApi", "DeleteStage", "DeleteUsagePlan",
		"DeleteUsagePlanKey", "FlushStageAuthorizersCache", "FlushStageCache", "GenerateClientCertificate", "GetAccount",
		"GetApiKey", "GetApiKeys", "GetAuthorizer", "GetAuthorizers", "GetBasePathMapping", "GetBasePathMappings",
		"GetClientCertificate", "GetClientCertificates", "GetDeployment", "GetDeployments", "GetDocumentationPart",
		"GetDocumentationParts", "GetDocumentationVersion", "GetDocumentationVersions", "GetDomainName", "GetDomainNames",
		"GetExport", "GetGatewayResponse", "GetGatewayResponses", "GetIntegration", "GetIntegrationResponse", "GetMethod",
		"GetMethodResponse", "GetModel", "GetModelTemplate", "GetModels", "GetRequestValidator", "GetRequestValidators",
		"GetResource", "GetResources", "GetRestApi", "GetRestApis", "GetSdk", "GetSdkType", "GetSdkTypes", "GetStage", "GetStages",
		"GetTags", "GetUsage", "GetUsagePlan", "GetUsagePlanKey", "GetUsagePlanKeys", "GetUsagePlans", "ImportApiKeys",
		"ImportDocumentationParts", "ImportRestApi", "PutGatewayResponse", "PutIntegration", "PutIntegrationResponse", "PutMethod",
		"PutMethodResponse", "PutRestApi", "TagResource", "TestInvokeAuthorizer", "TestInvokeMethod", "UntagResource",
		"UpdateAccount", "UpdateApiKey", "UpdateAuthorizer", "UpdateBasePathMapping", "UpdateClientCertificate", "UpdateDeployment",
		"UpdateDocumentationPart", "UpdateDocumentationVersion", "UpdateDomainName", "UpdateGatewayResponse", "UpdateIntegration",
		"UpdateIntegrationResponse", "UpdateMethod", "UpdateMethodResponse", "UpdateModel", "UpdateRequestValidator",
		"UpdateResource", "UpdateRestApi", "UpdateStage", "UpdateUsage", "UpdateUsagePlan",
	}
}

// taggedPath is the path in the ARN that an operation on tags names, in segments; nil if it is none of ours.
func taggedPath(sc scope, escaped string) []string {
	arn, err := url.PathUnescape(escaped)
	path, ok := strings.CutPrefix(arn, arnPrefix(sc))
	if err != nil || !ok {
		return nil
	}
	return strings.Split(path, "/")
}

// tagsAt returns the tags of what a path lies in: the API with its stage, the key or the plan. What does not exist has none.
func (s *Service) tagsAt(ctx context.Context, sc scope, segments []string) (tags map[string]string, err error) {
	if len(segments) < 2 {
		return nil, nil
	}
	err = s.store.View(ctx, func(r kv.Reader) error {
		switch segments[0] {
		case "restapis":
			row, err := get[api.RestApi](r, restAPIKey(sc, segments[1]))
			if err != nil || row == nil {
				return err
			}
			tags = row.Tags
			if len(segments) < 4 || segments[2] != "stages" {
				return nil
			}
			// A stage has the tags of its API too, unless it has its own.
			// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
			st, err := get[api.Stage](r, stageKey(sc, segments[1], segments[3]))
			if st != nil && len(st.Tags) > 0 {
				tags = maps.Clone(tags)
				if tags == nil {
					tags = map[string]string{}
				}
				maps.Copy(tags, st.Tags)
			}
			return err
		case "apikeys":
			row, err := get[api.ApiKey](r, keyKey(sc, segments[1]))
			if row != nil {
				tags = row.Tags
			}
			return err
		case "clientcertificates":
			row, err := get[api.ClientCertificate](r, certificateKey(sc, segments[1]))
			if row != nil {
				tags = row.Tags
			}
			return err
		case "domainnames":
			row, err := customdomain.Get(r, sc.account, sc.region, segments[1])
			if row != nil {
				tags = row.Tags
			}
			return err
		case "usageplans":
			row, err := get[api.UsagePlan](r, planKey(sc, segments[1]))
			if row != nil {
				tags = row.Tags
			}
			return err
		}
		return nil
	})
	return tags, err
}

// requestTags adds the condition keys for the tags that a request carries.
func requestTags(conditions map[string][]string, in schema.Struct) {
	var tags map[string]string
	switch in := in.(type) {
	case *api.CreateRestApiInput:
		tags = in.Tags
	case *api.CreateStageInput:
		tags = in.Tags
	case *api.CreateApiKeyInput:
		tags = in.Tags
	case *api.CreateUsagePlanInput:
		tags = in.Tags
	case *api.GenerateClientCertificateInput:
		tags = in.Tags
	case *api.CreateDomainNameInput:
		tags = in.Tags
	case *api.TagResourceInput:
		tags = in.Tags
	case *api.UntagResourceInput:
		conditions["aws:TagKeys"] = in.TagKeys
	}
	if len(tags) > 0 {
		conditions["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	}
	for k, v := range tags {
		conditions["aws:RequestTag/"+k] = []string{v}
	}
}

// A given is what a call hands to API Gateway that takes permissions of its own.
type given struct {
	roles []string
	// policy says that the resource policy of an API is set or removed.
	policy bool
}

func (g *given) role(arn *string) {
	if r := value(arn); r != "" && !slices.Contains(g.roles, r) {
		g.roles = append(g.roles, r)
	}
}

func (g *given) patched(ops []api.PatchOperation, path string) {
	for i := range ops {
		if value(ops[i].Path) == path {
			g.role(ops[i].Value)
		}
	}
}

func givenIn(sc scope, in schema.Struct) (g given) {
	switch in := in.(type) {
	case *api.PutIntegrationInput:
		g.role(in.Credentials)
	case *api.UpdateIntegrationInput:
		g.patched(in.PatchOperations, "/credentials")
	case *api.CreateAuthorizerInput:
		g.role(in.AuthorizerCredentials)
	case *api.UpdateAuthorizerInput:
		g.patched(in.PatchOperations, "/authorizerCredentials")
	case *api.UpdateAccountInput:
		g.patched(in.PatchOperations, "/cloudwatchRoleArn")
	case *api.CreateRestApiInput:
		g.policy = value(in.Policy) != ""
	case *api.UpdateRestApiInput:
		g.policy = slices.ContainsFunc(in.PatchOperations, func(op api.PatchOperation) bool { return value(op.Path) == "/policy" })
	case *api.ImportRestApiInput:
		g.document(sc, in.Body, in.Parameters)
	case *api.PutRestApiInput:
		g.document(sc, in.Body, in.Parameters)
	}
	return g
}

// document adds what a document hands over. One that cannot be read, in the way in which the import will read it, hands over
// nothing, and is refused later.
func (g *given) document(sc scope, body []byte, parameters map[string]string) {
	options, err := importOptions(sc, parameters)
	if err != nil {
		return
	}
	def, err := openapi.Parse(body, options)
	if err != nil {
		return
	}
	g.policy = def.Policy != ""
	for _, m := range def.Methods {
		if m.MethodIntegration != nil {
			g.role(m.MethodIntegration.Credentials)
		}
	}
	for _, a := range def.Authorizers {
		g.role(a.AuthorizerCredentials)
	}
}
