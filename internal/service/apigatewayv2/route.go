package apigatewayv2

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/kv"
)

func routeID(v *api.Route) string             { return *v.RouteId }
func integrationID(v *api.Integration) string { return *v.IntegrationId }
func authorizerID(v *api.Authorizer) string   { return *v.AuthorizerId }

func noRoute(id string) error       { return notFound("Unable to find Route by id %s", clip(id)) }
func noIntegration(id string) error { return notFound("Unable to find Integration by id %s", clip(id)) }
func noAuthorizer(id string) error  { return notFound("Unable to find Authorizer by id %s", clip(id)) }

// targetOf is the integration of a route, "" for none.
func targetOf(r *api.Route) string {
	id, _ := strings.CutPrefix(value(r.Target), "integrations/")
	return id
}

// addRoute adds a route, with an id of its own.
func (row *apiRow) addRoute(r *api.Route) error {
	if len(row.Routes) >= maxRoutes {
		return invalid("Maximum number of routes for this API has been reached: %d", maxRoutes)
	}
	r.RouteId = new(newID(7))
	if r.AuthorizationType == nil {
		r.AuthorizationType = new(api.AuthorizationTypeNone)
	}
	if r.ApiKeyRequired == nil {
		r.ApiKeyRequired = new(false)
	}
	if err := row.checkRoute(r); err != nil {
		return err
	}
	row.Routes = insert(row.Routes, *r, routeID)
	return nil
}

func (row *apiRow) checkRoute(r *api.Route) error {
	check := checkHTTPRoute
	if row.isSocket() {
		check = row.checkSocketRoute
	}
	if err := check(r); err != nil {
		return err
	}
	for i := range row.Routes {
		if other := &row.Routes[i]; *other.RouteKey == *r.RouteKey && *other.RouteId != *r.RouteId {
			return conflict("Route with key %s already exists for this API", clip(*r.RouteKey))
		}
	}
	if t := value(r.Target); t != "" {
		id, ok := strings.CutPrefix(t, "integrations/")
		if !ok {
			return invalid("Invalid target: it has the form integrations/<integration-id>")
		}
		if _, found := find(row.Integrations, id, integrationID); !found {
			return notFound("Unable to find Integration by id %s", clip(id))
		}
	}
	kind := ""
	if id := value(r.AuthorizerId); id != "" {
		i, found := find(row.Authorizers, id, authorizerID)
		if !found {
			return noAuthorizer(id)
		}
		kind = *row.Authorizers[i].AuthorizerType
	}
	switch t := *r.AuthorizationType; {
	case t == api.AuthorizationTypeJwt && kind != api.AuthorizerTypeJwt, t == api.AuthorizationTypeCustom && kind != api.AuthorizerTypeRequest:
		return invalid("The authorization type %s needs an authorizer of that kind", t)
	case len(r.AuthorizationScopes) > 0 && t != api.AuthorizationTypeJwt:
		return invalid("authorizationScopes are for routes with a JWT authorizer")
	case len(r.AuthorizationScopes) > maxScopes:
		return invalid("Maximum number of authorization scopes for a route has been reached: %d", maxScopes)
	}
	return nil
}

// CreateRoute adds a route to an API.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html#CreateRoute
func (s *Service) CreateRoute(ctx context.Context, in *api.CreateRouteInput) (*api.CreateRouteOutput, error) {
	r := &api.Route{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		*r = api.Route{}
		merge(r, in)
		return row.addRoute(r)
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateRouteOutput)(r), nil
}

func (s *Service) GetRoute(ctx context.Context, in *api.GetRouteInput) (*api.GetRouteOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Routes, *in.RouteId, routeID)
	if !found {
		return nil, noRoute(*in.RouteId)
	}
	return (*api.GetRouteOutput)(&row.Routes[i]), nil
}

func (s *Service) GetRoutes(ctx context.Context, in *api.GetRoutesInput) (*api.GetRoutesOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Routes, routeID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetRoutesOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateRoute(ctx context.Context, in *api.UpdateRouteInput) (*api.UpdateRouteOutput, error) {
	out := &api.UpdateRouteOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Routes, *in.RouteId, routeID)
		if !found {
			return noRoute(*in.RouteId)
		}
		r := &row.Routes[i]
		if in.RouteKey != nil && *in.RouteKey != *r.RouteKey && value(r.ApiGatewayManaged) {
			return invalid("The route key of a route that is managed by API Gateway cannot be changed: update the API's routeKey")
		}
		merge(r, in)
		if in.AuthorizationType != nil && in.AuthorizerId == nil && (*in.AuthorizationType == api.AuthorizationTypeNone || *in.AuthorizationType == api.AuthorizationTypeAwsIam) {
			r.AuthorizerId = nil
		}
		*out = api.UpdateRouteOutput(*r)
		return row.checkRoute(r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteRoute(ctx context.Context, in *api.DeleteRouteInput) (*api.DeleteRouteOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Routes, *in.RouteId, routeID)
		if !found {
			return noRoute(*in.RouteId)
		}
		row.Routes = append(row.Routes[:i], row.Routes[i+1:]...)
		row.RouteResponses = slices.DeleteFunc(row.RouteResponses, func(r routeResponse) bool { return r.Route == *in.RouteId })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteRouteOutput), nil
}

// newIntegration makes an integration, with an id of its own.
func newIntegration(in *api.CreateIntegrationInput) (*api.Integration, error) {
	i := &api.Integration{IntegrationId: new(newID(7)), ConnectionType: new(api.ConnectionTypeInternet), TimeoutInMillis: new(int32(maxTimeout.Milliseconds()))}
	merge(i, in)
	if in.TlsConfig != nil {
		i.TlsConfig = (*api.TlsConfig)(in.TlsConfig)
	}
	if i.PayloadFormatVersion == nil {
		i.PayloadFormatVersion = new("1.0")
	}
	return i, checkIntegration(i)
}

// checkIntegration refuses what requests could not use.
func checkIntegration(i *api.Integration) error {
	switch *i.IntegrationType {
	case api.IntegrationTypeAwsProxy:
		if i.IntegrationSubtype != nil {
			return awserr.NotImplemented("an integration with the subtype " + *i.IntegrationSubtype)
		}
		if _, _, ok := functionOf(value(i.IntegrationUri)); !ok && !strings.Contains(value(i.IntegrationUri), "${stageVariables.") {
			return invalid("Invalid integration URI specified: it is the ARN of a Lambda function")
		}
		if v := value(i.PayloadFormatVersion); v != "1.0" && v != "2.0" {
			return invalid("Invalid payloadFormatVersion: it is 1.0 or 2.0")
		}
	case api.IntegrationTypeHttpProxy:
		uri := value(i.IntegrationUri)
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
			return invalid("Invalid HTTP endpoint specified for URI")
		}
		m := value(i.IntegrationMethod)
		if m == "" || !strings.Contains(methods, " "+m+" ") {
			return invalid("HTTP integrations need an integrationMethod, one of%s", strings.TrimRight(methods, " "))
		}
		if value(i.PayloadFormatVersion) != "1.0" {
			return invalid("The payloadFormatVersion of HTTP integrations is 1.0")
		}
	default:
		return invalid("HTTP APIs have the integration types AWS_PROXY and HTTP_PROXY")
	}
	if *i.ConnectionType != api.ConnectionTypeInternet {
		return awserr.NotImplemented("an integration over a VPC link")
	}
	if len(i.RequestTemplates) > 0 || i.TemplateSelectionExpression != nil {
		return invalid("Templates are not supported for HTTP APIs")
	}
	_, err := compileMappings(i)
	return err
}

// functionOf reads the URI of a Lambda integration or an authorizer: a function's ARN, or what REST APIs have in its place.
func functionOf(uri string) (arn, qualifier string, ok bool) {
	if f, ok := edge.ParseFunctionURI(uri); ok {
		uri = f
	}
	arn, qualifier, _, ok = edge.ParseFunctionARN(uri)
	return arn, qualifier, ok
}

// CreateIntegration adds an integration to an API.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html#CreateIntegration
func (s *Service) CreateIntegration(ctx context.Context, in *api.CreateIntegrationInput) (*api.CreateIntegrationOutput, error) {
	var i *api.Integration
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) (err error) {
		if i, err = s.newIntegrationFor(row, in); err != nil {
			return err
		}
		if len(row.Integrations) >= maxIntegrations {
			return invalid("Maximum number of integrations for this API has been reached: %d", maxIntegrations)
		}
		row.Integrations = insert(row.Integrations, *i, integrationID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateIntegrationOutput)(i), nil
}

func (s *Service) GetIntegration(ctx context.Context, in *api.GetIntegrationInput) (*api.GetIntegrationOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Integrations, *in.IntegrationId, integrationID)
	if !found {
		return nil, noIntegration(*in.IntegrationId)
	}
	return (*api.GetIntegrationOutput)(&row.Integrations[i]), nil
}

func (s *Service) GetIntegrations(ctx context.Context, in *api.GetIntegrationsInput) (*api.GetIntegrationsOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Integrations, integrationID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetIntegrationsOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateIntegration(ctx context.Context, in *api.UpdateIntegrationInput) (*api.UpdateIntegrationOutput, error) {
	out := &api.UpdateIntegrationOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Integrations, *in.IntegrationId, integrationID)
		if !found {
			return noIntegration(*in.IntegrationId)
		}
		integration := &row.Integrations[i]
		merge(integration, in)
		if in.TlsConfig != nil {
			integration.TlsConfig = (*api.TlsConfig)(in.TlsConfig)
		}
		*out = api.UpdateIntegrationOutput(*integration)
		return s.checkIntegrationFor(row, integration)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteIntegration(ctx context.Context, in *api.DeleteIntegrationInput) (*api.DeleteIntegrationOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Integrations, *in.IntegrationId, integrationID)
		if !found {
			return noIntegration(*in.IntegrationId)
		}
		if value(row.Integrations[i].ApiGatewayManaged) {
			return invalid("An integration that is managed by API Gateway cannot be deleted")
		}
		for j := range row.Routes {
			if targetOf(&row.Routes[j]) == *in.IntegrationId {
				return conflict("Cannot delete Integration '%s'. Integration is referenced by route '%s'.", clip(*in.IntegrationId), clip(*row.Routes[j].RouteKey))
			}
		}
		row.Integrations = append(row.Integrations[:i], row.Integrations[i+1:]...)
		row.IntegrationResponses = slices.DeleteFunc(row.IntegrationResponses, func(r integrationResponse) bool { return r.Integration == *in.IntegrationId })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteIntegrationOutput), nil
}
