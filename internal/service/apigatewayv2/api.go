package apigatewayv2

import (
	"context"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
)

// Quotas of an API. https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const (
	maxRoutes       = 300
	maxIntegrations = 300
	maxAuthorizers  = 10
	maxStages       = 10
	maxAPIs         = 600
	maxAudiences    = 50 // of an authorizer
	maxScopes       = 10 // of a route
	maxVariables    = 100
)

func apiID(v *api.Api) string { return *v.ApiId }

// CreateApi makes an API. With a target it is there at once: a default route to it, and a default stage with auto-deploy.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html#CreateApi
func (s *Service) CreateApi(ctx context.Context, in *api.CreateApiInput) (*api.CreateApiOutput, error) {
	check := newHTTPAPI
	if *in.ProtocolType == api.ProtocolTypeWebsocket {
		check = newSocketAPI
	}
	if err := check(in); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	row := &apiRow{}
	err := s.Store.Update(ctx, func(tx kv.Tx) error {
		*row = s.newAPI(tx, sc, api.Api{
			Name: in.Name, Description: in.Description, Version: in.Version, Tags: in.Tags, DisableExecuteApiEndpoint: in.DisableExecuteApiEndpoint,
			DisableSchemaValidation: in.DisableSchemaValidation, ProtocolType: in.ProtocolType, RouteSelectionExpression: in.RouteSelectionExpression,
			ApiKeySelectionExpression: in.ApiKeySelectionExpression,
		}, in.CorsConfiguration)
		if in.Target != nil {
			if err := row.quickCreate(tx, in); err != nil {
				return err
			}
		}
		if err := s.checkCount(tx, sc); err != nil {
			return err
		}
		return putAPI(tx, sc, row)
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateApiOutput)(&row.API), nil
}

// httpRouteSelection is how every HTTP API chooses routes.
const httpRouteSelection = "$request.method $request.path"

func newHTTPAPI(in *api.CreateApiInput) error {
	if err := checkCors(in.CorsConfiguration); err != nil {
		return err
	}
	if in.Target == nil && (in.RouteKey != nil || in.CredentialsArn != nil) {
		return invalid("Invalid request: routeKey and credentialsArn are for an API that is created with a target")
	}
	return checkHTTPSelection(in.RouteSelectionExpression)
}

func checkHTTPSelection(e *string) error {
	if e := value(e); e != "" && e != httpRouteSelection {
		return invalid("Invalid routeSelectionExpression: HTTP APIs have %s", httpRouteSelection)
	}
	return nil
}

func (s *Service) newAPI(tx kv.Tx, sc scope, a api.Api, cors *api.Cors) apiRow {
	a.ApiId, a.CreatedDate, a.CorsConfiguration = new(newID(10)), new(tx.Now()), cors
	a.ApiEndpoint = new(s.Endpoint(*a.ApiId, sc.region))
	if value(a.ProtocolType) == api.ProtocolTypeWebsocket {
		a.ApiEndpoint = new("ws" + strings.TrimPrefix(*a.ApiEndpoint, "http")) // wss for https
	} else {
		a.ProtocolType, a.RouteSelectionExpression = new(api.ProtocolTypeHttp), new(httpRouteSelection)
	}
	if value(a.ApiKeySelectionExpression) == "" {
		a.ApiKeySelectionExpression = new(keyInHeader)
	}
	if a.DisableExecuteApiEndpoint == nil {
		a.DisableExecuteApiEndpoint = new(false)
	}
	return apiRow{API: a, definition: definition{Cors: cors}}
}

func (s *Service) checkCount(tx kv.Tx, sc scope) error {
	n := 0
	for _, err := range tx.Scan(kv.Prefix(apisPrefix(sc))) {
		if err != nil {
			return err
		}
		n++
	}
	if n >= maxAPIs {
		return &api.TooManyRequestsException{LimitType: new("Maximum number of APIs"), Message: new("Maximum number of HTTP APIs for this account has been reached. Please contact AWS if you need additional HTTP APIs.")}
	}
	return nil
}

// quickCreate gives an API the route, the integration and the stage that a target asks for. API Gateway manages them.
func (row *apiRow) quickCreate(tx kv.Tx, in *api.CreateApiInput) error {
	integration := &api.CreateIntegrationInput{IntegrationUri: in.Target, CredentialsArn: in.CredentialsArn}
	if strings.HasPrefix(*in.Target, "arn:") {
		integration.IntegrationType, integration.PayloadFormatVersion = new(api.IntegrationTypeAwsProxy), new("2.0")
	} else {
		integration.IntegrationType, integration.IntegrationMethod, integration.PayloadFormatVersion = new(api.IntegrationTypeHttpProxy), new("ANY"), new("1.0")
	}
	i, err := newIntegration(integration)
	if err != nil {
		return err
	}
	key := value(in.RouteKey)
	if key == "" {
		key = defaultRoute
	}
	r := &api.Route{RouteKey: &key, Target: new("integrations/" + *i.IntegrationId)}
	i.ApiGatewayManaged, r.ApiGatewayManaged = new(true), new(true)
	row.API.ApiGatewayManaged = new(false)
	row.Integrations = insert(row.Integrations, *i, integrationID)
	if err := row.addRoute(r); err != nil {
		return err
	}
	row.Stages = []api.Stage{{
		StageName: new(defaultStage), AutoDeploy: new(true), ApiGatewayManaged: new(true), CreatedDate: new(tx.Now()), LastUpdatedDate: new(tx.Now()),
		DefaultRouteSettings: &api.RouteSettings{DetailedMetricsEnabled: new(false)}, StageVariables: map[string]string{}, RouteSettings: map[string]api.RouteSettings{},
	}}
	return nil
}

func (s *Service) GetApi(ctx context.Context, in *api.GetApiInput) (*api.GetApiOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	return (*api.GetApiOutput)(&row.API), nil
}

func (s *Service) GetApis(ctx context.Context, in *api.GetApisInput) (*api.GetApisOutput, error) {
	var all []api.Api
	err := s.Store.View(ctx, func(r kv.Reader) error {
		all = nil
		for row, err := range jsonrow.All[apiRow](r, kv.Prefix(apisPrefix(scopeOf(ctx)))) {
			if err != nil {
				return err
			}
			row.API.CorsConfiguration = row.Cors
			all = append(all, row.API)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(all, apiID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetApisOutput{Items: items, NextToken: next}, nil
}

// UpdateApi changes an API. A target changes the integration that was made with it.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid.html#UpdateApi
func (s *Service) UpdateApi(ctx context.Context, in *api.UpdateApiInput) (*api.UpdateApiOutput, error) {
	if err := checkCors(in.CorsConfiguration); err != nil {
		return nil, err
	}
	out := &api.UpdateApiOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		if row.isSocket() {
			if in.CorsConfiguration != nil {
				return invalid("CORS configuration is not supported for WebSocket APIs")
			}
			if err := checkSocketAPI(in.RouteSelectionExpression, in.ApiKeySelectionExpression, false); err != nil {
				return err
			}
		} else if err := checkHTTPSelection(in.RouteSelectionExpression); err != nil {
			return err
		}
		if in.Target != nil || in.RouteKey != nil || in.CredentialsArn != nil {
			if err := row.changeQuick(in); err != nil {
				return err
			}
		}
		merge(&row.API, in)
		if in.CorsConfiguration != nil {
			row.Cors = in.CorsConfiguration
		}
		*out = api.UpdateApiOutput(row.API)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeQuick changes what an API was quickly created with.
func (row *apiRow) changeQuick(in *api.UpdateApiInput) error {
	for i := range row.Integrations {
		managed := &row.Integrations[i]
		if !value(managed.ApiGatewayManaged) {
			continue
		}
		for j := range row.Routes {
			if r := &row.Routes[j]; in.RouteKey != nil && value(r.ApiGatewayManaged) {
				if _, err := parseRouteKey(*in.RouteKey); err != nil {
					return err
				}
				r.RouteKey = in.RouteKey
			}
		}
		if in.Target != nil {
			managed.IntegrationUri = in.Target
		}
		if in.CredentialsArn != nil {
			managed.CredentialsArn = in.CredentialsArn
		}
		return checkIntegration(managed)
	}
	return invalid("target, routeKey and credentialsArn can be changed only of an API that was created with a target")
}

func (s *Service) DeleteApi(ctx context.Context, in *api.DeleteApiInput) (*api.DeleteApiOutput, error) {
	sc := scopeOf(ctx)
	err := s.Store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.ApiId); err != nil {
			return err
		}
		domain, err := customdomain.LeadsTo(tx, sc.account, sc.region, *in.ApiId)
		if err != nil {
			return err
		}
		if domain != "" {
			return invalid("Deleting API %s failed. Please remove all API mappings for the API from your custom domain names.", *in.ApiId)
		}
		if err := tx.Delete(indexKey(*in.ApiId)); err != nil {
			return err
		}
		if err := jsonrow.DeleteRange(tx, kv.Prefix(snapshotsPrefix(*in.ApiId))); err != nil {
			return err
		}
		return tx.Delete(apiKey(sc, *in.ApiId))
	})
	if err != nil {
		return nil, err
	}
	s.connections.end(edge.StageID{API: *in.ApiId}, goingAway, "Going away")
	return new(api.DeleteApiOutput), nil
}

func (s *Service) DeleteCorsConfiguration(ctx context.Context, in *api.DeleteCorsConfigurationInput) (*api.DeleteCorsConfigurationOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		row.Cors = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteCorsConfigurationOutput), nil
}

// checkCors refuses what no browser takes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
func checkCors(c *api.Cors) error {
	if c == nil {
		return nil
	}
	for _, o := range c.AllowOrigins {
		scheme, host, ok := strings.Cut(o, "://")
		switch {
		case o == "*" && value(c.AllowCredentials):
			return invalid("allowCredentials is not supported with the origin *")
		case o != "*" && (!ok || scheme == "" || host == "" || strings.ContainsAny(o, " ,\r\n")):
			return invalid("Invalid format for origin %s", clip(o))
		}
	}
	for _, m := range c.AllowMethods {
		if m != "*" && !strings.Contains(methods, " "+m+" ") {
			return invalid("Invalid HTTP method: %s", clip(m))
		}
	}
	for _, list := range [][]string{c.AllowHeaders, c.ExposeHeaders} {
		for _, h := range list {
			if !edge.ValidHeader(edge.Field{Name: h}) {
				return invalid("Invalid header name: %s", clip(h))
			}
		}
	}
	return nil
}
