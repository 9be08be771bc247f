package apigatewayv2

import (
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/boundedre"
	"brume/internal/edge"
	"brume/internal/jsonmodel"
	"brume/internal/vtl"
)

// What is particular to WebSocket APIs in the control plane: their routes, integrations and authorizers, and what is refused
// of them.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-overview.html

// The routes that API Gateway itself chooses. That for messages which no other route takes is defaultRoute.
const (
	connectRoute    = "$connect"
	disconnectRoute = "$disconnect"
)

// Quotas of a WebSocket API.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	maxSocketTimeout = 29000 // milliseconds; the default, too
	maxModels        = 300   // a bound of ours
)

func (row *apiRow) isSocket() bool { return value(row.API.ProtocolType) == api.ProtocolTypeWebsocket }

// onlySockets refuses what HTTP APIs do not have.
func (row *apiRow) onlySockets(what string) error {
	if !row.isSocket() {
		return invalid("%s are not supported for HTTP APIs", what)
	}
	return nil
}

// newSocketAPI checks the members of a new WebSocket API and sets those that have defaults.
func newSocketAPI(in *api.CreateApiInput) error {
	switch {
	case in.CorsConfiguration != nil:
		return invalid("CORS configuration is not supported for WebSocket APIs")
	case in.Target != nil || in.RouteKey != nil || in.CredentialsArn != nil:
		return invalid("Quick create is not supported for WebSocket APIs")
	}
	return checkSocketAPI(in.RouteSelectionExpression, in.ApiKeySelectionExpression, true)
}

// The expressions by which a WebSocket API finds the API key of a client.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
const (
	keyInHeader       = "$request.header.x-api-key"
	keyFromAuthorizer = "$context.authorizer.usageIdentifierKey"
)

func checkSocketAPI(routes, keys *string, isNew bool) error {
	if routes != nil || isNew {
		if _, err := parseSelection(value(routes), messageVariables); err != nil {
			return invalid("Invalid routeSelectionExpression")
		}
	}
	if k := value(keys); k != "" && k != keyInHeader && k != keyFromAuthorizer {
		return invalid("Invalid apiKeySelectionExpression. Supported values are %s and %s", keyInHeader, keyFromAuthorizer)
	}
	return nil
}

// sync puts what is deployed of a WebSocket API's own members into its definition.
func (row *apiRow) sync() {
	if row.isSocket() {
		row.Selection, row.KeySelection = row.API.RouteSelectionExpression, row.API.ApiKeySelectionExpression
	}
}

func (row *apiRow) checkSocketRoute(r *api.Route) error {
	key := *r.RouteKey
	if key == "" || len(key) > 128 || strings.IndexFunc(key, isControl) >= 0 ||
		strings.HasPrefix(key, "$") && key != connectRoute && key != disconnectRoute && key != defaultRoute {
		return invalid("The provided route key is not formatted properly")
	}
	switch t := *r.AuthorizationType; {
	case t == api.AuthorizationTypeJwt || len(r.AuthorizationScopes) > 0:
		return invalid("JWT authorization is not supported for WebSocket APIs")
	case t != api.AuthorizationTypeNone && key != connectRoute:
		return invalid("Currently, authorization is restricted to the $connect route only")
	}
	if e := value(r.RouteResponseSelectionExpression); e != "" && e != defaultRoute {
		return invalid("Invalid routeResponseSelectionExpression. Supported value is %s", defaultRoute)
	}
	if e := value(r.ModelSelectionExpression); e != "" {
		if _, err := parseSelection(e, messageVariables); err != nil {
			return invalid("Invalid modelSelectionExpression")
		}
	}
	for name := range r.RequestParameters {
		if !isRouteParameter(name) {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", clip(name))
		}
	}
	return row.checkModels(r.RequestModels, "RequestModels")
}

// isRouteParameter says whether an expression names a parameter of the request to $connect.
func isRouteParameter(name string) bool {
	for _, place := range []string{"querystring.", "header.", "multivaluequerystring.", "multivalueheader."} {
		if p, ok := strings.CutPrefix(name, "route.request."+place); ok {
			return p != "" && strings.IndexFunc(p, isNotOfParameter) < 0
		}
	}
	return false
}

func isNotOfParameter(r rune) bool { return r == ':' || r != '$' && isNotOfVariable(r) }

// checkModels refuses models that the API does not have.
func (row *apiRow) checkModels(byKey map[string]string, where string) error {
	for _, name := range byKey {
		if row.modelNamed(name) == nil {
			return notFound("Unable to find Model by name %s within the provided %s", clip(name), where)
		}
	}
	return nil
}

func checkHTTPRoute(r *api.Route) error {
	if len(r.RequestModels) > 0 || len(r.RequestParameters) > 0 || r.ModelSelectionExpression != nil || r.RouteResponseSelectionExpression != nil {
		return invalid("Models, request parameters and response selection expressions are not supported for HTTP APIs")
	}
	if _, err := parseRouteKey(*r.RouteKey); err != nil {
		return err
	}
	if value(r.ApiKeyRequired) {
		return invalid("apiKeyRequired is not supported for HTTP APIs")
	}
	return nil
}

// newIntegrationFor makes an integration for an API of either kind, with an id of its own.
func (s *Service) newIntegrationFor(row *apiRow, in *api.CreateIntegrationInput) (*api.Integration, error) {
	if row.isSocket() {
		return s.newSocketIntegration(in)
	}
	return newIntegration(in)
}

func (s *Service) newSocketIntegration(in *api.CreateIntegrationInput) (*api.Integration, error) {
	i := &api.Integration{
		IntegrationId: new(newID(7)), ConnectionType: new(api.ConnectionTypeInternet), TimeoutInMillis: new(int32(maxSocketTimeout)),
		PassthroughBehavior: new(api.PassthroughBehaviorWhenNoMatch), PayloadFormatVersion: new("1.0"),
	}
	switch *in.IntegrationType {
	case api.IntegrationTypeAws:
		i.IntegrationResponseSelectionExpression = new("${integration.response.body.errorMessage}")
	case api.IntegrationTypeHttp, api.IntegrationTypeMock:
		i.IntegrationResponseSelectionExpression = new("${integration.response.statuscode}")
	}
	merge(i, in)
	if in.TlsConfig != nil {
		i.TlsConfig = (*api.TlsConfig)(in.TlsConfig)
	}
	return i, s.checkSocketIntegration(i)
}

// checkIntegrationFor refuses what requests could not use.
func (s *Service) checkIntegrationFor(row *apiRow, i *api.Integration) error {
	if row.isSocket() {
		return s.checkSocketIntegration(i)
	}
	return checkIntegration(i)
}

// checkSocketIntegration refuses what messages could not use.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
func (s *Service) checkSocketIntegration(i *api.Integration) error {
	uri := value(i.IntegrationUri)
	switch *i.IntegrationType {
	case api.IntegrationTypeAws, api.IntegrationTypeAwsProxy:
		if _, _, ok := functionOf(uri); ok || strings.Contains(uri, "${stageVariables.") {
			break
		}
		target, problem := edge.ParseServiceURI(uri)
		switch {
		case problem != "" || target.Service == "lambda" || *i.IntegrationType == api.IntegrationTypeAwsProxy:
			return invalid("Invalid integration URI specified")
		case s.Services == nil || !s.Services.Has(target.Service):
			return awserr.NotImplemented("an integration with the service " + clip(target.Service))
		}
	case api.IntegrationTypeHttp, api.IntegrationTypeHttpProxy:
		if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
			return invalid("Invalid HTTP endpoint specified for URI")
		}
		if m := value(i.IntegrationMethod); m == "" || !strings.Contains(methods, " "+m+" ") {
			return invalid("HttpMethod must be specified for HTTP integrations: one of%s", strings.TrimRight(methods, " "))
		}
	case api.IntegrationTypeMock:
	}
	switch {
	case i.IntegrationSubtype != nil:
		return invalid("IntegrationSubtype is only supported for HTTP APIs")
	case *i.ConnectionType != api.ConnectionTypeInternet || i.ConnectionId != nil:
		return invalid("VPC links are only supported for HTTP APIs")
	case i.TlsConfig != nil:
		return invalid("TlsConfig is only supported for HTTP APIs")
	case len(i.ResponseParameters) > 0:
		return invalid("ResponseParameters on an integration are only supported for HTTP APIs")
	case value(i.PayloadFormatVersion) != "1.0":
		return invalid("PayloadFormatVersion must be 1.0 for WebSocket APIs")
	case *i.TimeoutInMillis > maxSocketTimeout:
		return invalid("Timeout should be between 50 ms and %d ms", maxSocketTimeout)
	}
	if err := checkTemplates(i.RequestTemplates, i.TemplateSelectionExpression, messageVariables); err != nil {
		return err
	}
	for target, source := range i.RequestParameters {
		place, name, _ := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
		ok := strings.HasPrefix(target, "integration.request.") && name != "" &&
			(place == "path" || place == "querystring" || place == "header" && edge.ValidHeader(edge.Field{Name: name}))
		if !ok {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", clip(target))
		}
		if !isParameterSource(source) {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: %s]", clip(source))
		}
	}
	return nil
}

// isParameterSource says whether a value can be mapped to a parameter of an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
func isParameterSource(source string) bool {
	if len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' || source == "route.request.body" || isRouteParameter(source) {
		return true
	}
	for _, prefix := range []string{"route.request.body.", "stageVariables.", "context."} {
		if name, ok := strings.CutPrefix(source, prefix); ok && name != "" {
			return true
		}
	}
	return false
}

// checkTemplates refuses templates that cannot be run, and expressions that choose none.
func checkTemplates(templates map[string]string, selection *string, variables func(string) bool) error {
	for key, source := range templates {
		if _, err := vtl.Parse(source); err != nil {
			return invalid("Invalid mapping template specified for %s: %v", clip(key), err)
		}
	}
	if e := value(selection); e != "" {
		if _, err := parseSelection(e, variables); err != nil {
			return invalid("Invalid templateSelectionExpression")
		}
	}
	return nil
}

// newAuthorizerFor makes an authorizer for an API of either kind, with an id of its own.
func (row *apiRow) newAuthorizerFor(in *api.CreateAuthorizerInput) (*api.Authorizer, error) {
	if !row.isSocket() {
		return newAuthorizer(in)
	}
	a := &api.Authorizer{AuthorizerId: new(newID(6))}
	merge(a, in)
	return a, checkSocketAuthorizer(a)
}

func (row *apiRow) checkAuthorizerFor(a *api.Authorizer) error {
	if row.isSocket() {
		return checkSocketAuthorizer(a)
	}
	return checkAuthorizer(a)
}

// checkSocketAuthorizer refuses what could authorize nobody. What such authorizers said is not remembered.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
func checkSocketAuthorizer(a *api.Authorizer) error {
	if *a.AuthorizerType != api.AuthorizerTypeRequest || a.JwtConfiguration != nil {
		return invalid("WebSocket APIs only support authorizers of type REQUEST")
	}
	if _, _, ok := functionOf(value(a.AuthorizerUri)); !ok && !strings.Contains(value(a.AuthorizerUri), "${stageVariables.") {
		return invalid("Invalid authorizer URI: %s", clip(value(a.AuthorizerUri)))
	}
	if a.AuthorizerPayloadFormatVersion != nil || value(a.EnableSimpleResponses) {
		return invalid("AuthorizerPayloadFormatVersion and EnableSimpleResponses are only supported for HTTP APIs")
	}
	for _, source := range a.IdentitySource {
		if !isIdentitySource(source) {
			return invalid("Invalid mapping expression specified: %s", clip(source))
		}
	}
	return nil
}

func isIdentitySource(source string) bool {
	for _, prefix := range []string{"context.", "stageVariables."} {
		if name, ok := strings.CutPrefix(source, prefix); ok {
			return name != ""
		}
	}
	return isRouteParameter(source) && !strings.HasPrefix(source, "route.request.multi")
}

// checkResponseKey refuses keys of integration responses that match nothing: $default, a text, or a pattern between slashes.
func checkResponseKey(key string) error {
	if pattern, ok := patternOf(key); ok {
		if _, err := boundedre.Whole(pattern); err != nil {
			return invalid("Invalid integrationResponseKey: %s", clip(key))
		}
	}
	if key == "" || len(key) > 256 || strings.HasPrefix(key, "$") && key != defaultRoute {
		return invalid("Invalid integrationResponseKey: %s", clip(key))
	}
	return nil
}

// patternOf is the regular expression of "/…/".
func patternOf(key string) (string, bool) {
	if len(key) < 2 || key[0] != '/' || key[len(key)-1] != '/' {
		return "", false
	}
	return key[1 : len(key)-1], true
}

func (row *apiRow) modelNamed(name string) *api.Model {
	for i := range row.Models {
		if *row.Models[i].Name == name {
			return &row.Models[i]
		}
	}
	return nil
}

// jsonModels are the models of a definition that have schemas.
func (def *definition) jsonModels() []jsonmodel.Model {
	all := make([]jsonmodel.Model, len(def.Models))
	for i := range def.Models {
		all[i] = jsonmodel.Model{Name: *def.Models[i].Name, Schema: value(def.Models[i].Schema)}
	}
	return all
}
