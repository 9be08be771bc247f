package apigatewayv2

import (
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/boundedre"
	"brume/internal/edge"
	"brume/internal/jsonmodel"
	"brume/internal/vtl"
)

// A socketStage is what a stage of a WebSocket API serves.
type socketStage struct {
	connect, disconnect, fallback *socketRoute
	routes                        map[string]*socketRoute // those that messages choose
	selection                     *selection
	keyFromAuthorizer             bool
	logging                       logging // of events that no route takes
}

// A logging says what the execution log keeps: "INFO", "ERROR" or "" of nothing; trace keeps what events and results hold, too.
type logging struct {
	level string
	trace bool
}

type socketRoute struct {
	id, key       string
	authorization string
	authorizer    *authorizer // nil if there is none
	keyRequired   bool
	required      []string // parameters that must come with the handshake
	throttle      *edge.Limit
	integration   *socketIntegration
	respond       bool // what the integration returns goes to the client
	// models choose the schema of a message; schemas are by the keys that they evaluate to.
	models  *selection
	schemas map[string]*jsonmodel.Schema
	logging logging
	problem string // why a schema cannot be used: then no message passes
}

// A socketIntegration is an integration of a WebSocket API.
type socketIntegration struct {
	id, kind, uri, method string
	function, qualifier   string
	service               edge.ServiceTarget // of another service than Lambda
	credentials           string
	timeout               time.Duration
	passthrough, handling string
	templates             templates
	parameters            []socketParameter
	responses             []*socketResponse
	problem               string
}

// A socketParameter is a parameter of an integration and where its value comes from.
type socketParameter struct{ place, name, source string }

// templates are by the key that their selection evaluates to.
type templates struct {
	selection *selection // nil for none
	byKey     map[string]*vtl.Template
}

// A socketResponse says what becomes of results that it matches.
type socketResponse struct {
	key       string
	pattern   *boundedre.Regexp // nil for a key that is no pattern
	handling  string
	templates templates
}

func (st *stage) compileSocket(settings *api.Stage, def *definition, authorizers map[string]*authorizer) *socketStage {
	out := &socketStage{routes: map[string]*socketRoute{}, keyFromAuthorizer: value(def.KeySelection) == keyFromAuthorizer, logging: loggingOf(settings, "")}
	out.selection, _ = parseSelection(value(def.Selection), messageVariables) // it was checked when it was set
	integrations := map[string]*socketIntegration{}
	for i := range def.Integrations {
		integrations[*def.Integrations[i].IntegrationId] = st.compileSocketIntegration(&def.Integrations[i], def.IntegrationResponses)
	}
	models := def.jsonModels()
	for i := range def.Routes {
		row := &def.Routes[i]
		r := &socketRoute{
			id: *row.RouteId, key: *row.RouteKey, authorization: value(row.AuthorizationType), authorizer: authorizers[value(row.AuthorizerId)],
			keyRequired: value(row.ApiKeyRequired), throttle: throttleOf(settings, *row.RouteKey), integration: integrations[targetOf(row)], logging: loggingOf(settings, *row.RouteKey),
			respond: slices.ContainsFunc(def.RouteResponses, func(res routeResponse) bool { return res.Route == *row.RouteId }),
		}
		for name, c := range row.RequestParameters {
			if value(c.Required) {
				r.required = append(r.required, name)
			}
		}
		slices.Sort(r.required)
		if e := value(row.ModelSelectionExpression); e != "" && len(row.RequestModels) > 0 {
			r.models, _ = parseSelection(e, messageVariables)
			r.schemas = map[string]*jsonmodel.Schema{}
			for key, name := range row.RequestModels {
				schema, err := jsonmodel.Compile(name, models)
				if err != nil {
					r.problem = "the model " + name + ": " + err.Error()
					continue
				}
				r.schemas[key] = schema
			}
		}
		switch r.key {
		case connectRoute:
			out.connect = r
		case disconnectRoute:
			out.disconnect = r
		case defaultRoute:
			out.fallback = r
		default:
			out.routes[r.key] = r
		}
	}
	return out
}

func (st *stage) compileSocketIntegration(row *api.Integration, responses []integrationResponse) *socketIntegration {
	in := &socketIntegration{
		id: *row.IntegrationId, kind: *row.IntegrationType, uri: edge.SubstituteStageVariables(value(row.IntegrationUri), st.variables), method: value(row.IntegrationMethod),
		credentials: value(row.CredentialsArn), timeout: time.Duration(*row.TimeoutInMillis) * time.Millisecond,
		passthrough: value(row.PassthroughBehavior), handling: value(row.ContentHandlingStrategy),
		templates: compileTemplates(row.RequestTemplates, row.TemplateSelectionExpression, messageVariables),
	}
	for target, source := range row.RequestParameters {
		place, name, _ := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
		in.parameters = append(in.parameters, socketParameter{place, name, source})
	}
	slices.SortFunc(in.parameters, func(a, b socketParameter) int { return strings.Compare(a.place+a.name, b.place+b.name) })
	for i := range responses {
		r := &responses[i]
		if r.Integration != in.id {
			continue
		}
		c := &socketResponse{
			key: *r.IntegrationResponseKey, handling: value(r.ContentHandlingStrategy),
			templates: compileTemplates(r.ResponseTemplates, r.TemplateSelectionExpression, responseVariables),
		}
		if pattern, ok := patternOf(c.key); ok {
			c.pattern, _ = boundedre.Whole(pattern) // likewise checked
		}
		in.responses = append(in.responses, c)
	}
	if in.kind == api.IntegrationTypeAws || in.kind == api.IntegrationTypeAwsProxy {
		var ok bool
		if in.function, in.qualifier, ok = functionOf(in.uri); ok {
			return in
		}
		if in.service, in.problem = edge.ParseServiceURI(in.uri); in.problem == "" && (in.service.Service == "lambda" || in.kind == api.IntegrationTypeAwsProxy) {
			in.problem = "the URI names no function: " + clip(in.uri)
		}
	}
	return in
}

// loggingOf is what a stage sets for a route, or else for each of its routes.
func loggingOf(st *api.Stage, key string) (l logging) {
	own, all := st.RouteSettings[key], st.DefaultRouteSettings
	if all == nil {
		all = &api.RouteSettings{}
	}
	level, trace := own.LoggingLevel, own.DataTraceEnabled
	if level == nil {
		level = all.LoggingLevel
	}
	if trace == nil {
		trace = all.DataTraceEnabled
	}
	if value(level) != api.LoggingLevelOff {
		l.level, l.trace = value(level), value(trace)
	}
	return l
}

func compileTemplates(sources map[string]string, selection *string, variables func(string) bool) templates {
	t := templates{byKey: make(map[string]*vtl.Template, len(sources))}
	if e := value(selection); e != "" {
		t.selection, _ = parseSelection(e, variables)
	}
	for key, source := range sources {
		if parsed, err := vtl.Parse(source); err == nil {
			t.byKey[key] = parsed
		}
	}
	return t
}

// choose is the template for a key, that which is for all, or that for JSON; nil for none.
func (t *templates) choose(key string) *vtl.Template {
	for _, k := range [...]string{key, defaultRoute, "application/json"} {
		if found := t.byKey[k]; found != nil {
			return found
		}
	}
	return nil
}

// response is what a selector chooses: the first that matches it, or else that for all.
func (in *socketIntegration) response(selector string) *socketResponse {
	var fallback *socketResponse
	for _, r := range in.responses {
		switch {
		case r.key == defaultRoute:
			fallback = r
		case r.pattern != nil && r.pattern.MatchString(selector), r.pattern == nil && r.key == selector:
			return r
		}
	}
	return fallback
}
