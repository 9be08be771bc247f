package apigateway

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
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
	segments := expandPath(table, op, in)
	check := policy.Check{
		Action: "apigateway:" + op.Method, Resource: "arn:aws:apigateway:" + sc.region + "::/" + strings.Join(segments, "/"), ResourceAccount: sc.account,
		Context: map[string][]string{},
	}
	tags, err := s.tagsAt(ctx, sc, segments)
	if err != nil {
		return nil, true, err
	}
	for k, v := range tags {
		check.Context["aws:ResourceTag/"+k] = []string{v}
	}
	requestTags(check.Context, in)
	checks = append(checks, check)
	for _, role := range passedRoles(in) {
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

// expandPath is the path of a call, in segments, with the input's values in it. Slashes and colons within a value are
// encoded, as they are in the ARNs of tags: "tags/arn%3Aaws%3A…".
func expandPath(table *schema.Service, op *schema.Operation, in schema.Struct) []string {
	values := uriValues{shape: &table.Shapes[op.Input], found: map[string]string{}}
	in.EncodeMembers(&values)
	path, _, _ := strings.Cut(op.Path, "?")
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		if name, _, ok := paramName(s); ok {
			segments[i] = strings.ReplaceAll(url.PathEscape(values.found[name]), ":", "%3A")
		}
	}
	return segments
}

// uriValues is an Encoder that keeps the members that travel in the path, and nothing else.
type uriValues struct {
	shape  *schema.Shape
	member int
	depth  int
	found  map[string]string // by the name in the path
}

func (u *uriValues) Member(i int) { u.member = i }

func (u *uriValues) String(v string) {
	if m := &u.shape.Members[u.member]; u.depth == 0 && m.Location == schema.URI {
		u.found[m.Wire] = v
	}
}

func (u *uriValues) BeginList(int)        { u.depth++ }
func (u *uriValues) EndList()             { u.depth-- }
func (u *uriValues) BeginMap(int)         { u.depth++ }
func (u *uriValues) EndMap()              { u.depth-- }
func (u *uriValues) Key(string)           {}
func (u *uriValues) Bool(bool)            {}
func (u *uriValues) Int(int64)            {}
func (u *uriValues) Float(float64)        {}
func (u *uriValues) Blob([]byte)          {}
func (u *uriValues) Time(time.Time)       {}
func (u *uriValues) Struct(schema.Struct) {}

// tagsAt returns the tags of what a path lies in: the API, the key or the plan. What does not exist has none.
func (s *Service) tagsAt(ctx context.Context, sc scope, segments []string) (tags map[string]string, err error) {
	if len(segments) < 2 {
		return nil, nil
	}
	err = s.store.View(ctx, func(r kv.Reader) error {
		switch segments[0] {
		case "restapis":
			row, err := get[api.RestApi](r, restAPIKey(sc, segments[1]))
			if row != nil {
				tags = row.Tags
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
			row, err := get[domainRow](r, domainKey(foldDomain(segments[1])))
			if row != nil && row.Account == sc.account && row.Region == sc.region {
				tags = row.Domain.Tags
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

// passedRoles lists the roles that a call hands to API Gateway.
func passedRoles(in schema.Struct) (roles []string) {
	patched := func(ops []api.PatchOperation, path string) {
		for _, op := range ops {
			if value(op.Path) == path && value(op.Value) != "" {
				roles = append(roles, *op.Value)
			}
		}
	}
	switch in := in.(type) {
	case *api.PutIntegrationInput:
		if value(in.Credentials) != "" {
			roles = append(roles, *in.Credentials)
		}
	case *api.UpdateIntegrationInput:
		patched(in.PatchOperations, "/credentials")
	case *api.CreateAuthorizerInput:
		if value(in.AuthorizerCredentials) != "" {
			roles = append(roles, *in.AuthorizerCredentials)
		}
	case *api.UpdateAuthorizerInput:
		patched(in.PatchOperations, "/authorizerCredentials")
	case *api.ImportRestApiInput:
		return rolesInDocument(in.Body)
	case *api.PutRestApiInput:
		return rolesInDocument(in.Body)
	case *api.UpdateAccountInput:
		patched(in.PatchOperations, "/cloudwatchRoleArn")
	}
	return roles
}

// rolesInDocument lists the roles that a document hands over. One that cannot be read hands over none, and is refused later.
func rolesInDocument(body []byte) (roles []string) {
	def, err := openapi.Parse(body, openapi.Options{})
	if err != nil {
		return nil
	}
	add := func(role *string) {
		if r := value(role); r != "" && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	for _, m := range def.Methods {
		if m.MethodIntegration != nil {
			add(m.MethodIntegration.Credentials)
		}
	}
	for _, a := range def.Authorizers {
		add(a.AuthorizerCredentials)
	}
	return roles
}
