package apigatewayv2

import (
	"fmt"
	"strings"
	"sync"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
)

// maxTimeout is the default and the longest timeout of an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const maxTimeout = 30 * time.Second

// An apiCache holds the compiled APIs. What it holds is good for the very index row that it was made under.
type apiCache struct{ m sync.Map } // API id → *deployed

// deployed is an API with its stages, compiled for requests. It is never changed.
type deployed struct {
	index           string // the index row's bytes
	account, region string
	id              string
	disabled        bool
	socket          bool // a WebSocket API
	stages          map[string]*stage
}

// A stage is a deployment with its stage's settings.
type stage struct {
	api            *deployed
	name           string
	variables      map[string]string
	variableFields []edge.Field // the same, sorted
	routes         router
	cors           *api.Cors
	log            *accessLog   // nil for none
	socket         *socketStage // of a WebSocket API
}

type route struct {
	id, key0      string // key0 is the key as it is written
	key           *routeKey
	authorization string
	authorizer    *authorizer // nil if there is none
	scopes        []string
	operation     string
	throttle      *edge.Limit // nil for none
	integration   *integration
}

type integration struct {
	id, kind            string
	function, qualifier string
	uri, method         string
	credentials         string
	version             string
	timeout             time.Duration
	mappings            *mappings
	// problem is why it cannot run.
	problem string
}

type authorizer struct {
	id, kind            string
	function, qualifier string
	credentials         string
	sources             []string
	version             string
	simple              bool
	ttl                 time.Duration
	issuer              string
	audience            []string
}

// apiIn returns a compiled API, nil if there is none.
func (s *Service) apiIn(r kv.Reader, id string) (*deployed, error) {
	index, ok, err := r.Get(indexKey(id))
	if err != nil {
		return nil, err
	}
	if !ok {
		s.apis.m.Delete(id)
		return nil, nil
	}
	if v, ok := s.apis.m.Load(id); ok && v.(*deployed).index == string(index) {
		return v.(*deployed), nil
	}
	at, err := parseIndexRow(index)
	if err != nil {
		return nil, err
	}
	row, err := getAPI(r, at.scope, id)
	if err != nil {
		return nil, err
	}
	d := &deployed{
		index: string(index), account: at.account, region: at.region, id: strings.Clone(id), disabled: value(row.API.DisableExecuteApiEndpoint),
		socket: row.isSocket(), stages: map[string]*stage{},
	}
	for i := range row.Stages {
		st := &row.Stages[i]
		if value(st.DeploymentId) == "" {
			continue
		}
		def, err := jsonrow.Get[definition](r, snapshotKey(id, *st.DeploymentId))
		if err != nil {
			return nil, err
		}
		if def == nil {
			return nil, fmt.Errorf("apigatewayv2: stage %s of API %s has no deployment", *st.StageName, id)
		}
		d.stages[*st.StageName] = s.compile(d, st, def)
	}
	s.apis.m.Store(d.id, d)
	return d, nil
}

// compile makes a stage ready for requests. Faults in single integrations are kept for those who call them.
func (s *Service) compile(d *deployed, row *api.Stage, def *definition) *stage {
	st := &stage{api: d, name: *row.StageName, variables: row.StageVariables, variableFields: fieldsOf(row.StageVariables), cors: def.Cors,
		log: d.compileAccessLog(row.AccessLogSettings)}
	authorizers := s.compileAuthorizers(st, def)
	if d.socket {
		st.socket = st.compileSocket(row, def, authorizers)
		return st
	}
	integrations := map[string]*integration{}
	for i := range def.Integrations {
		integrations[*def.Integrations[i].IntegrationId] = st.compileIntegration(&def.Integrations[i])
	}
	for i := range def.Routes {
		r := &def.Routes[i]
		key, err := parseRouteKey(*r.RouteKey)
		if err != nil {
			continue // it was checked when it was made
		}
		st.routes.add(&route{
			id: *r.RouteId, key0: *r.RouteKey, key: key, authorization: value(r.AuthorizationType), authorizer: authorizers[value(r.AuthorizerId)],
			scopes: r.AuthorizationScopes, operation: value(r.OperationName), throttle: throttleOf(row, *r.RouteKey), integration: integrations[targetOf(r)],
		})
	}
	return st
}

func (s *Service) compileAuthorizers(st *stage, def *definition) map[string]*authorizer {
	authorizers := map[string]*authorizer{}
	for i := range def.Authorizers {
		a := &def.Authorizers[i]
		c := &authorizer{
			id: *a.AuthorizerId, kind: *a.AuthorizerType, credentials: value(a.AuthorizerCredentialsArn), sources: a.IdentitySource,
			version: value(a.AuthorizerPayloadFormatVersion), simple: value(a.EnableSimpleResponses),
			ttl: time.Duration(value(a.AuthorizerResultTtlInSeconds)) * time.Second,
		}
		if a.JwtConfiguration != nil {
			c.issuer, c.audience = s.issuerOf(value(a.JwtConfiguration.Issuer)), a.JwtConfiguration.Audience
		}
		c.function, c.qualifier, _ = functionOf(edge.SubstituteStageVariables(value(a.AuthorizerUri), st.variables))
		authorizers[c.id] = c
	}
	return authorizers
}

// throttleOf is the limit that a stage sets for a route, or else for each of its routes.
func throttleOf(st *api.Stage, key string) *edge.Limit {
	own, all := st.RouteSettings[key], st.DefaultRouteSettings
	if all == nil {
		all = &api.RouteSettings{}
	}
	rate, burst := own.ThrottlingRateLimit, own.ThrottlingBurstLimit
	if rate == nil {
		rate = all.ThrottlingRateLimit
	}
	if burst == nil {
		burst = all.ThrottlingBurstLimit
	}
	if rate == nil && burst == nil {
		return nil
	}
	l := edge.AccountLimit()
	if rate != nil {
		l.Rate = *rate
	}
	if burst != nil {
		l.Burst = int(*burst)
	}
	return &l
}

func (st *stage) compileIntegration(row *api.Integration) *integration {
	in := &integration{
		id: *row.IntegrationId, kind: *row.IntegrationType, method: value(row.IntegrationMethod), credentials: value(row.CredentialsArn),
		version: value(row.PayloadFormatVersion), timeout: maxTimeout, uri: edge.SubstituteStageVariables(value(row.IntegrationUri), st.variables),
	}
	if row.TimeoutInMillis != nil {
		in.timeout = time.Duration(*row.TimeoutInMillis) * time.Millisecond
	}
	var err error
	if in.mappings, err = compileMappings(row); err != nil {
		in.problem = err.Error()
	}
	if in.kind == api.IntegrationTypeAwsProxy {
		var ok bool
		if in.function, in.qualifier, ok = functionOf(in.uri); !ok {
			in.problem = "the URI names no function: " + clip(in.uri)
		}
	}
	return in
}
