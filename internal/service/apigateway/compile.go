package apigateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/boundedre"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/jsonmodel"
	"brume/internal/policy"
	"brume/internal/vtl"
)

// A snapshot is what a deployment keeps of an API: everything that the data plane needs, as it was at that moment.
type snapshot struct {
	Resources                 []api.Resource `json:"resources"`
	BinaryMediaTypes          []string       `json:"binaryMediaTypes,omitempty"`
	APIKeySource              string         `json:"apiKeySource,omitempty"`
	DisableExecuteAPIEndpoint bool           `json:"disableExecuteApiEndpoint,omitempty"`
	// API is the API's own row. The rest are its parts, as they were.
	API              *api.RestApi            `json:"api,omitempty"`
	Models           []*api.Model            `json:"models,omitempty"`
	Validators       []*api.RequestValidator `json:"validators,omitempty"`
	Authorizers      []*api.Authorizer       `json:"authorizers,omitempty"`
	GatewayResponses []*api.GatewayResponse  `json:"gatewayResponses,omitempty"`
}

// A stage is a deployment with its stage's settings, compiled for requests. It is never changed.
type stage struct {
	account, region   string
	apiID, name       string
	deploymentID      string
	variables         map[string]string
	variableFields    []Field // the same, sorted
	binaryTypes       []string
	keyFromAuthorizer bool
	disabled          bool
	routes            router
	// policy is the API's resource policy, nil for none. With policyFault nothing passes.
	policy      *policy.Document
	policyFault error
	logging     stageLog
	// canary is what a share of the requests goes to instead, nil for none.
	canary           *stage
	canaryPercent    float64
	isCanary         bool
	compressFrom     int // bytes from which on bodies are compressed; -1 for never
	authorizers      map[string]*authorizer
	gatewayResponses map[string]*customResponse
	models           *jsonmodel.Set // while the stage is compiled, and if a method checks bodies
}

type resource struct {
	id, path string
	params   []string // names, in the order of the path
	methods  map[string]*method
}

// method returns the method for an HTTP method: its own, or else ANY, which stands for those that API Gateway supports.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
func (r *resource) method(httpMethod string) *method {
	if !isSupportedMethod(httpMethod) {
		return nil
	}
	if m := r.methods[httpMethod]; m != nil {
		return m
	}
	return r.methods["ANY"]
}

func isSupportedMethod(httpMethod string) bool {
	switch httpMethod {
	case "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT":
		return true
	}
	return false
}

type method struct {
	resource       *resource
	httpMethod     string // "ANY" among them
	authorization  string
	authorizer     *authorizer // nil if there is none
	scopes         []string
	check          *requestCheck // nil if nothing is checked
	apiKeyRequired bool
	operationName  string
	throttle       *limit // set on the stage; nil for none
	logLevel       string // of the execution log: ERROR or INFO, "" for none
	dataTrace      bool
	// planKey is what a usage plan's throttles for single methods name it: "pets/{id}/GET".
	planKey     string
	bucket      string // names its buckets
	responses   map[string]bool
	integration *integration // nil if there is none
}

type integration struct {
	kind             string // AWS, AWS_PROXY, HTTP, HTTP_PROXY or MOCK
	target           lambdaTarget
	service          edge.ServiceTarget // of an AWS integration with another service than Lambda
	uri, httpMethod  string
	insecureTLS      bool
	parameters       []parameterMapping
	contentHandling  string
	credentials      string
	timeout          time.Duration
	passthrough      string
	requestTemplates map[string]*vtl.Template
	responses        []integrationResponse
	// problem is why the integration cannot run, as the execution log says it.
	problem error
}

type integrationResponse struct {
	statusCode  string
	pattern     *boundedre.Regexp // nil for the default response
	parameters  []responseParameter
	templates   map[string]*vtl.Template
	handling    string // CONVERT_TO_BINARY, CONVERT_TO_TEXT or nothing
	defaultType string // the template for clients that ask for no type that is there
}

type responseParameter struct{ header, source string }

// selectResponse returns the response whose pattern matches all of s, or else the default one. nil if there is none.
func (in *integration) selectResponse(s string) *integrationResponse {
	var fallback *integrationResponse
	for i := range in.responses {
		r := &in.responses[i]
		if r.pattern == nil {
			if fallback == nil {
				fallback = r
			}
		} else if r.pattern.MatchBeginning(s) {
			return r
		}
	}
	return fallback
}

// compileStage makes a stage ready for requests. Faults in single integrations are kept for those who call them.
func compileStage(sc scope, apiID string, st *api.Stage, snap *snapshot, account *accountRow) *stage {
	s := &stage{
		account: sc.account, region: sc.region, apiID: apiID, name: *st.StageName, deploymentID: *st.DeploymentId,
		variables: st.Variables, variableFields: fieldsOf(st.Variables), binaryTypes: snap.BinaryMediaTypes,
		keyFromAuthorizer: snap.APIKeySource == "AUTHORIZER", disabled: snap.DisableExecuteAPIEndpoint,
	}
	s.compileParts(snap)
	if account != nil {
		s.logging.roleARN = value(account.CloudwatchRoleArn)
	}
	if l := st.AccessLogSettings; l != nil && value(l.Format) != "" {
		s.logging.group, _ = gatewaylog.GroupOf(value(l.DestinationArn), sc.account, sc.region) // without a destination there is no access log
		s.logging.format = *l.Format
	}
	for i := range snap.Resources {
		if len(snap.Resources[i].ResourceMethods) > 0 {
			s.routes.add(s.compileResource(&snap.Resources[i], snap, st.MethodSettings))
		}
	}
	s.models = nil
	return s
}

// compileParts makes ready what methods refer to.
func (s *stage) compileParts(snap *snapshot) {
	if snap.API != nil && value(snap.API.Policy) != "" {
		s.policy, s.policyFault = policy.Parse(*snap.API.Policy, policy.Resource)
	}
	s.compressFrom = -1
	if snap.API != nil && snap.API.MinimumCompressionSize != nil {
		s.compressFrom = int(*snap.API.MinimumCompressionSize)
	}
	s.authorizers = make(map[string]*authorizer, len(snap.Authorizers))
	for _, a := range snap.Authorizers {
		s.authorizers[*a.Id] = compileAuthorizer(a, s.variables)
	}
	s.gatewayResponses = make(map[string]*customResponse, len(snap.GatewayResponses))
	for _, g := range snap.GatewayResponses {
		if c, err := compileGatewayResponse(g); err == nil { // one with a faulty template is answered as if it were not there
			s.gatewayResponses[*g.ResponseType] = c
		}
	}
}

func (s *stage) compileResource(row *api.Resource, snap *snapshot, settings map[string]api.MethodSetting) *resource {
	r := &resource{id: *row.Id, path: *row.Path, methods: make(map[string]*method, len(row.ResourceMethods))}
	for name := range row.ResourceMethods {
		m := row.ResourceMethods[name]
		r.methods[name] = s.compileMethod(r, &m, snap, settings)
	}
	return r
}

func (s *stage) compileMethod(r *resource, row *api.Method, snap *snapshot, settings map[string]api.MethodSetting) *method {
	m := &method{
		resource: r, httpMethod: *row.HttpMethod, authorization: value(row.AuthorizationType), apiKeyRequired: value(row.ApiKeyRequired),
		operationName: value(row.OperationName), responses: make(map[string]bool, len(row.MethodResponses)),
		planKey: strings.TrimPrefix(r.path, "/") + "/" + *row.HttpMethod,
		bucket:  s.apiID + "/" + s.name + "/" + r.id + "/" + *row.HttpMethod,
	}
	m.throttle = stageThrottle(settings, m.planKey)
	m.logLevel, m.dataTrace = stageLogging(settings, m.planKey)
	m.authorizer, m.scopes = s.authorizers[value(row.AuthorizerId)], row.AuthorizationScopes
	m.check = s.compileCheck(row, snap)
	for code := range row.MethodResponses {
		m.responses[code] = true
	}
	if row.MethodIntegration != nil {
		m.integration = compileIntegration(row.MethodIntegration, s.variables)
	}
	return m
}

// stageLogging is how a stage logs the execution of a method, or else of all.
func stageLogging(settings map[string]api.MethodSetting, planKey string) (level string, dataTrace bool) {
	for key, setting := range settings {
		path := methodSettingPath(key)
		if path != planKey && (path != "*/*" || level != "") {
			continue
		}
		if level, dataTrace = value(setting.LoggingLevel), value(setting.DataTraceEnabled); path == planKey {
			break
		}
	}
	if level == "OFF" {
		level = ""
	}
	return level, dataTrace
}

// stageThrottle is the limit that a stage sets for a method, or else for all its methods, each on its own.
func stageThrottle(settings map[string]api.MethodSetting, planKey string) *limit {
	var all *limit
	for key, setting := range settings {
		if setting.ThrottlingRateLimit == nil || setting.ThrottlingBurstLimit == nil || *setting.ThrottlingRateLimit < 0 || *setting.ThrottlingBurstLimit < 0 {
			continue // a negative number takes a limit away
		}
		l := &limit{*setting.ThrottlingRateLimit, int(*setting.ThrottlingBurstLimit)}
		switch methodSettingPath(key) {
		case planKey:
			return l
		case "*/*":
			all = l
		}
	}
	return all
}

// methodSettingPath is "pets/{id}/GET" for the key "~1pets~1{id}/GET", which is how the settings of a method are named.
func methodSettingPath(key string) string {
	return strings.TrimPrefix(strings.ReplaceAll(key, "~1", "/"), "/")
}

func compileIntegration(row *api.Integration, variables map[string]string) *integration {
	in := &integration{
		kind: *row.Type, credentials: substituteStageVariables(value(row.Credentials), variables),
		timeout: maxIntegrationTimeout, passthrough: value(row.PassthroughBehavior), httpMethod: value(row.HttpMethod),
		uri: substituteStageVariables(value(row.Uri), variables), parameters: compileParameters(row.RequestParameters),
		contentHandling: value(row.ContentHandling), insecureTLS: row.TlsConfig != nil && value(row.TlsConfig.InsecureSkipVerification),
	}
	if row.TimeoutInMillis != nil {
		in.timeout = time.Duration(*row.TimeoutInMillis) * time.Millisecond
	}
	fail := func(format string, args ...any) {
		if in.problem == nil {
			in.problem = misconfigured(format, args...)
		}
	}
	if in.kind == "AWS" || in.kind == "AWS_PROXY" {
		if isLambdaURI(in.uri) {
			in.target, in.problem = parseLambdaURI(in.uri)
		} else {
			var problem string
			if in.service, problem = edge.ParseServiceURI(in.uri); problem != "" {
				in.problem = misconfigured("%s", problem)
			}
		}
	}
	if in.kind == "AWS_PROXY" || in.kind == "HTTP_PROXY" {
		return in
	}
	in.requestTemplates = make(map[string]*vtl.Template, len(row.RequestTemplates))
	for media, src := range row.RequestTemplates {
		t, err := vtl.Parse(src)
		if err != nil {
			fail("Unable to parse the request template for %s: %v", media, err)
			continue
		}
		in.requestTemplates[mediaType(media)] = t
	}
	for _, code := range slices.Sorted(maps.Keys(row.IntegrationResponses)) {
		row := row.IntegrationResponses[code]
		r := integrationResponse{statusCode: code, handling: value(row.ContentHandling), templates: make(map[string]*vtl.Template, len(row.ResponseTemplates))}
		if p := value(row.SelectionPattern); p != "" {
			re, err := boundedre.Whole(p)
			if err != nil {
				fail("Invalid selection pattern: %v", err)
				continue
			}
			r.pattern = re
		}
		for _, media := range slices.Sorted(maps.Keys(row.ResponseTemplates)) {
			t, err := vtl.Parse(row.ResponseTemplates[media])
			if err != nil {
				fail("Unable to parse the response template for %s: %v", media, err)
				continue
			}
			media = mediaType(media)
			r.templates[media] = t
			if r.defaultType == "" || media == "application/json" {
				r.defaultType = media
			}
		}
		for _, target := range slices.Sorted(maps.Keys(row.ResponseParameters)) {
			if name, ok := strings.CutPrefix(target, "method.response.header."); ok {
				r.parameters = append(r.parameters, responseParameter{name, row.ResponseParameters[target]})
			}
		}
		in.responses = append(in.responses, r)
	}
	return in
}

// maxIntegrationTimeout is the default and the longest timeout of an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const maxIntegrationTimeout = 29 * time.Second

// value is what p points to, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
