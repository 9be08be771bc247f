package apigatewayv2

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions it needs. The actions are HTTP methods, and the resources are
// the paths of the operations: apigateway:POST on arn:aws:apigateway:REGION::/apis makes an API.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
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
	segments := edge.ExpandPath(table, op, in, customdomain.FoldLabel)[1:] // without "v2"
	check := policy.Check{
		Action: "apigateway:" + op.Method, Resource: arnPrefix(sc) + strings.Join(segments, "/"), ResourceAccount: sc.account,
		Context: map[string][]string{},
	}
	at := segments
	if segments[0] == "tags" && len(segments) == 2 {
		arn, _ := url.PathUnescape(segments[1])
		at = pathOfARN(sc, arn)
	}
	err = s.Store.View(ctx, func(r kv.Reader) error {
		tags, err := tagsAt(r, sc, at)
		for k, v := range tags {
			check.Context["aws:ResourceTag/"+k] = []string{v}
		}
		return err
	})
	if err != nil {
		return nil, true, err
	}
	requestTags(sc, check.Context, in)
	checks = append(checks, check)
	if enablesLog(in) {
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
		checks = append(checks, policy.Check{Action: "logs:CreateLogDelivery", Resource: "*", ResourceAccount: sc.account})
	}
	for _, role := range passedRoles(sc, in) {
		checks = append(checks, policy.Check{
			Action: "iam:PassRole", Resource: role, Context: map[string][]string{"iam:PassedToService": {"apigateway.amazonaws.com"}},
		})
	}
	return checks, true, nil
}

// enablesLog says whether a call has a stage write an access log.
func enablesLog(in schema.Struct) bool {
	var l *api.AccessLogSettings
	switch in := in.(type) {
	case *api.CreateStageInput:
		l = in.AccessLogSettings
	case *api.UpdateStageInput:
		l = in.AccessLogSettings
	}
	return l != nil && value(l.DestinationArn) != ""
}

// implemented lists the operations that Service has.
func implemented() []string {
	return []string{
		"CreateApi", "CreateApiMapping", "CreateAuthorizer", "CreateDeployment", "CreateDomainName", "CreateIntegration",
		"CreateIntegrationResponse", "CreateModel", "CreateRoute", "CreateRouteResponse", "CreateStage", "DeleteAccessLogSettings",
		"DeleteApi", "DeleteApiMapping", "DeleteAuthorizer", "DeleteCorsConfiguration", "DeleteDeployment", "DeleteDomainName",
		"DeleteIntegration", "DeleteIntegrationResponse", "DeleteModel", "DeleteRoute", "DeleteRouteRequestParameter",
		"DeleteRouteResponse", "DeleteRouteSettings", "DeleteStage", "ExportApi", "GetApi", "GetApiMapping", "GetApiMappings", "GetApis",
		"GetAuthorizer", "GetAuthorizers", "GetDeployment", "GetDeployments", "GetDomainName", "GetDomainNames", "GetIntegration",
		"GetIntegrationResponse", "GetIntegrationResponses", "GetIntegrations", "GetModel", "GetModelTemplate", "GetModels", "GetRoute",
		"GetRouteResponse", "GetRouteResponses", "GetRoutes", "GetStage", "GetStages", "GetTags", "ImportApi", "ReimportApi",
		"ResetAuthorizersCache", "TagResource", "UntagResource", "UpdateApi", "UpdateApiMapping", "UpdateAuthorizer", "UpdateDeployment",
		"UpdateDomainName", "UpdateIntegration", "UpdateIntegrationResponse", "UpdateModel", "UpdateRoute", "UpdateRouteResponse",
		"UpdateStage",
	}
}

// requestTags adds the condition keys for the tags that a request carries.
func requestTags(sc scope, conditions map[string][]string, in schema.Struct) {
	var tags map[string]string
	switch in := in.(type) {
	case *api.CreateApiInput:
		tags = in.Tags
	case *api.CreateStageInput:
		tags = in.Tags
	case *api.CreateDomainNameInput:
		tags = in.Tags
	case *api.ImportApiInput:
		// A document that cannot be read has none, and is refused later.
		if d, err := readDocument(sc, value(in.Body), in.Basepath); err == nil {
			tags = d.Tags
		}
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
func passedRoles(sc scope, in schema.Struct) (roles []string) {
	add := func(role *string) {
		if r := value(role); r != "" && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	switch in := in.(type) {
	case *api.CreateApiInput:
		add(in.CredentialsArn)
	case *api.UpdateApiInput:
		add(in.CredentialsArn)
	case *api.CreateIntegrationInput:
		add(in.CredentialsArn)
	case *api.UpdateIntegrationInput:
		add(in.CredentialsArn)
	case *api.CreateAuthorizerInput:
		add(in.AuthorizerCredentialsArn)
	case *api.UpdateAuthorizerInput:
		add(in.AuthorizerCredentialsArn)
	case *api.ImportApiInput:
		return rolesInDocument(sc, in.Body)
	case *api.ReimportApiInput:
		return rolesInDocument(sc, in.Body)
	}
	return roles
}
