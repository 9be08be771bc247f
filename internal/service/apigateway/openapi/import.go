package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/openapidoc"
)

const (
	// maxRefs is how many references are followed one after the other.
	maxRefs = 32
	// maxExpanded bounds what references stand for, in bytes of JSON: a small document could name something large often.
	maxExpanded = 4 * openapidoc.MaxDocument
)

// How much a document may have. AWS has 300 resources and 2,000 documentation parts unless more are asked for, and documents no
// limit of models.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
const (
	MaxPaths  = 5000
	MaxModels = 2000
	MaxParts  = 10_000
)

// Options are what the caller of an import says besides the document.
type Options struct {
	// BasePath says what to do with the base path: "ignore", "prepend" or "split".
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api-basePath.html
	BasePath string
	// IgnoreDocumentation leaves the documentation out.
	IgnoreDocumentation bool
	// RestAPI is the id that references to models are to bear.
	RestAPI string
	// Account and Region are those that the document's variables stand for.
	Account, Region string
}

// Parse reads a document.
func Parse(data []byte, o Options) (*Definition, error) {
	doc, err := decode(openapidoc.Resolve(data, o.Account, o.Region))
	if err != nil {
		return nil, err
	}
	r := &reader{doc: doc, options: o, def: &Definition{}, modelNames: map[string]string{}}
	switch {
	case text(doc, "swagger") == "2.0":
		r.two = true
	case strings.HasPrefix(text(doc, "openapi"), "3.0."):
	case text(doc, "openapi") != "":
		return nil, &Error{Reason: "OpenAPI specification version " + text(doc, "openapi") + " is not supported. Supported are Swagger 2.0 and OpenAPI 3.0.x"}
	default:
		return nil, &Error{Reason: "Invalid OpenAPI input: the document says neither \"swagger\": \"2.0\" nor \"openapi\": \"3.0.x\""}
	}
	if len(child(doc, "paths")) > MaxPaths || len(child(r.components(), "schemas")) > MaxModels || r.two && len(child(doc, "definitions")) > MaxModels {
		return nil, &Error{Reason: fmt.Sprintf("The document has more than %d paths or %d models", MaxPaths, MaxModels)}
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	if r.expanded > maxExpanded {
		return nil, &Error{Reason: "The document is too large when its references are followed"}
	}
	return r.def, nil
}

// A reader reads one document.
type reader struct {
	doc     object
	two     bool // Swagger 2.0
	options Options
	def     *Definition
	// modelNames are the names of models by the names of their schemas.
	modelNames map[string]string
	security   map[string]scheme
	// expanded is what references have stood for so far, sizes what each stands for, in bytes.
	expanded int
	sizes    map[string]int
}

// charge counts what a reference stands for. It is false when that has become too much.
func (r *reader) charge(ref string, target object) bool {
	n, ok := r.sizes[ref]
	if !ok {
		data, err := json.Marshal(target)
		if err != nil {
			return false
		}
		if n = len(data); r.sizes == nil {
			r.sizes = map[string]int{}
		}
		r.sizes[ref] = n
	}
	r.expanded += n
	return r.expanded <= maxExpanded
}

// A scheme is what a security scheme of the document means.
type scheme struct {
	apiKey, sigv4 bool
	authorizer    string // its name
	cognito       bool
}

func (r *reader) warn(format string, args ...any) {
	if len(r.def.Warnings) < 1000 {
		r.def.Warnings = append(r.def.Warnings, fmt.Sprintf(format, args...))
	}
}

// resolve follows a reference within the document, and those behind it.
func (r *reader) resolve(v any) object {
	o, _ := v.(object)
	for range maxRefs {
		ref := text(o, "$ref")
		if ref == "" {
			return o
		}
		rest, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			r.warn("The reference '%s' leads out of the document and is ignored", ref)
			return nil
		}
		at := any(r.doc)
		for segment := range strings.SplitSeq(rest, "/") {
			segment = strings.ReplaceAll(strings.ReplaceAll(segment, "~1", "/"), "~0", "~")
			if s, err := url.PathUnescape(segment); err == nil {
				segment = s
			}
			parent, _ := at.(object)
			at = parent[segment]
		}
		if o, _ = at.(object); o == nil {
			r.warn("The reference '%s' leads nowhere and is ignored", ref)
			return nil
		}
		if !r.charge(ref, o) {
			return nil
		}
	}
	r.warn("A chain of more than %d references is ignored", maxRefs)
	return nil
}

func (r *reader) components() object {
	if r.two {
		return r.doc
	}
	return child(r.doc, "components")
}

func (r *reader) read() error {
	d, info := r.def, child(r.doc, "info")
	d.Name, d.Description, d.Version = text(info, "title"), text(info, "description"), text(info, "version")
	if d.Name == "" {
		d.Name = "Untitled API"
		r.warn("The document has no info.title; the API is called '%s'", d.Name)
	}
	d.BasePath = r.basePath()
	d.BinaryMediaTypes = texts(r.doc, "x-amazon-apigateway-binary-media-types")
	d.MinimumCompressionSize = integer(r.doc, "x-amazon-apigateway-minimum-compression-size")
	d.APIKeySource = strings.ToUpper(text(r.doc, "x-amazon-apigateway-api-key-source"))
	endpoint := child(r.doc, "x-amazon-apigateway-endpoint-configuration")
	d.EndpointTypes = texts(endpoint, "types")
	d.DisableExecuteAPI = truth(endpoint, "disableExecuteApiEndpoint")
	if policy, ok := r.doc["x-amazon-apigateway-policy"]; ok {
		data, err := json.Marshal(policy)
		if err != nil {
			return err
		}
		d.Policy = string(data)
	}
	if err := r.models(); err != nil {
		return err
	}
	r.validators()
	r.schemes()
	if err := r.gatewayResponses(); err != nil {
		return err
	}
	if err := r.paths(); err != nil {
		return err
	}
	if r.options.IgnoreDocumentation {
		return nil
	}
	return r.documentation()
}

// basePath is that of the document, "" for none.
func (r *reader) basePath() string {
	base := text(r.doc, "basePath")
	if !r.two {
		server := object{}
		if servers := list(r.doc, "servers"); len(servers) > 0 {
			server, _ = servers[0].(object)
		}
		base = text(server, "url")
		if _, rest, ok := strings.Cut(base, "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			base = "/" + path
		}
		for name, v := range child(server, "variables") {
			variable, _ := v.(object)
			base = strings.ReplaceAll(base, "{"+name+"}", strings.TrimPrefix(text(variable, "default"), "/"))
		}
	}
	base = strings.Trim(base, "/")
	if base == "" {
		return ""
	}
	return "/" + base
}

// place is where a path of the document goes in the API.
func (r *reader) place(path string) string {
	base := ""
	switch r.options.BasePath {
	case "prepend":
		base = r.def.BasePath
	case "split":
		// The part up to the first slash is the stage's; the rest stays.
		_, rest, ok := strings.Cut(strings.TrimPrefix(r.def.BasePath, "/"), "/")
		if ok {
			base = "/" + rest
		}
	}
	full := base + "/" + strings.Trim(path, "/")
	if full != "/" {
		full = strings.TrimSuffix(full, "/")
	}
	return full
}

// modelName makes a name that models may have: letters and digits.
func modelName(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, s)
}

func (r *reader) models() error {
	schemas := child(r.components(), "schemas")
	if r.two {
		schemas = child(r.doc, "definitions")
	}
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		as := modelName(name)
		if as == "" || taken[as] {
			r.warn("The schema '%s' has no name that a model can have and is ignored", name)
			continue
		}
		taken[as] = true
		r.modelNames[name] = as
	}
	for _, name := range slices.Sorted(maps.Keys(r.modelNames)) {
		schema, _ := schemas[name].(object)
		if err := r.addModel(r.modelNames[name], schema); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) addModel(name string, schema object) error {
	data, err := json.Marshal(r.refsToModels(schema, 0))
	if err != nil {
		return err
	}
	m := api.Model{Name: &name, ContentType: new("application/json"), Schema: new(string(data))}
	if description := text(schema, "description"); description != "" {
		m.Description = &description
	}
	r.def.Models = append(r.def.Models, m)
	return nil
}

// refsToModels is a schema whose references lead to models.
func (r *reader) refsToModels(v any, depth int) any {
	if depth > openapidoc.MaxDepth {
		return nil
	}
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for k, item := range v {
			if ref, ok := item.(string); ok && k == "$ref" {
				if name, ok := r.modelOf(ref); ok {
					item = ModelRef(r.options.RestAPI, name)
				}
			}
			out[k] = r.refsToModels(item, depth+1)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = r.refsToModels(item, depth+1)
		}
		return out
	}
	return v
}

// modelOf is the model that a reference names.
func (r *reader) modelOf(ref string) (string, bool) {
	for _, prefix := range []string{"#/definitions/", "#/components/schemas/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			model, ok := r.modelNames[name]
			return model, ok
		}
	}
	return "", false
}

// modelFor is the model for a schema that stands in an operation: the one that it refers to, or a new one.
func (r *reader) modelFor(schema object, name string) (string, error) {
	if ref := text(schema, "$ref"); ref != "" {
		if model, ok := r.modelOf(ref); ok {
			return model, nil
		}
		r.warn("The schema '%s' is not defined", ref)
		return "", nil
	}
	if len(schema) == 0 {
		return "", nil
	}
	name = modelName(name)
	for n := 0; slices.ContainsFunc(r.def.Models, func(m api.Model) bool { return *m.Name == name }); n++ {
		name = fmt.Sprintf("%s%d", strings.TrimRight(name, "0123456789"), n)
	}
	return name, r.addModel(name, schema)
}

func (r *reader) validators() {
	all := child(r.doc, "x-amazon-apigateway-request-validators")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v, _ := all[name].(object)
		r.def.Validators = append(r.def.Validators, api.RequestValidator{
			Name: &name, ValidateRequestBody: new(truth(v, "validateRequestBody")), ValidateRequestParameters: new(truth(v, "validateRequestParameters")),
		})
	}
}

func (r *reader) schemes() {
	r.security = map[string]scheme{}
	all := child(r.components(), "securitySchemes")
	if r.two {
		all = child(r.doc, "securityDefinitions")
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := r.resolve(all[name])
		kind, header := text(s, "x-amazon-apigateway-authtype"), text(s, "name")
		auth := child(s, "x-amazon-apigateway-authorizer")
		switch {
		case auth != nil:
			r.security[name] = r.authorizer(name, s, auth)
		case strings.EqualFold(kind, "awsSigv4"):
			r.security[name] = scheme{sigv4: true}
		case text(s, "type") == "apiKey" && strings.EqualFold(header, "x-api-key"):
			r.security[name] = scheme{apiKey: true}
		default:
			r.warn("The security scheme '%s' has no x-amazon-apigateway-authorizer and is ignored", name)
		}
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authorizer.html
func (r *reader) authorizer(name string, s, auth object) scheme {
	kind := strings.ToUpper(text(auth, "type"))
	a := api.Authorizer{
		Name: &name, Type: &kind, AuthType: optional(text(s, "x-amazon-apigateway-authtype")), AuthorizerUri: optional(text(auth, "authorizerUri")),
		AuthorizerCredentials: optional(text(auth, "authorizerCredentials")), IdentitySource: optional(text(auth, "identitySource")),
		IdentityValidationExpression: optional(text(auth, "identityValidationExpression")),
		AuthorizerResultTtlInSeconds: integer(auth, "authorizerResultTtlInSeconds"), ProviderARNs: texts(auth, "providerARNs"),
	}
	if a.IdentitySource == nil && kind != "REQUEST" {
		a.IdentitySource = new("method.request.header." + text(s, "name"))
	}
	r.def.Authorizers = append(r.def.Authorizers, a)
	return scheme{authorizer: name, cognito: kind == "COGNITO_USER_POOLS"}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-gateway-responses.html
func (r *reader) gatewayResponses() error {
	all := child(r.doc, "x-amazon-apigateway-gateway-responses")
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		g, _ := all[kind].(object)
		parameters, err := textMap(g, "responseParameters")
		if err != nil {
			return err
		}
		templates, err := textMap(g, "responseTemplates")
		if err != nil {
			return err
		}
		r.def.GatewayResponses = append(r.def.GatewayResponses, api.GatewayResponse{
			ResponseType: &kind, StatusCode: optional(text(g, "statusCode")), ResponseParameters: parameters, ResponseTemplates: templates,
		})
	}
	return nil
}

// operations are the members of a path that are methods, with the method that each is.
func operations() map[string]string {
	return map[string]string{
		"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "patch": "PATCH", "options": "OPTIONS", "head": "HEAD",
		"x-amazon-apigateway-any-method": "ANY",
	}
}

func (r *reader) paths() error {
	paths := child(r.doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		item := r.resolve(paths[path])
		at := r.place(path)
		r.def.Paths = append(r.def.Paths, at)
		for _, name := range slices.Sorted(maps.Keys(item)) {
			httpMethod, ok := operations()[name]
			if !ok {
				if name != "parameters" && name != "summary" && name != "description" && name != "servers" && !strings.HasPrefix(name, "x-") {
					r.warn("The operation '%s' of the path '%s' is not supported and is ignored", name, path)
				}
				continue
			}
			op := r.resolve(item[name])
			m, err := r.operation(at, httpMethod, item, op)
			if err != nil {
				return err
			}
			r.def.Methods = append(r.def.Methods, *m)
		}
	}
	return nil
}

func (r *reader) operation(path, httpMethod string, item, op object) (*Method, error) {
	m := &Method{Path: path, Method: api.Method{
		HttpMethod: &httpMethod, AuthorizationType: new("NONE"), ApiKeyRequired: new(false), OperationName: optional(text(op, "operationId")),
	}}
	if err := r.request(m, item, op); err != nil {
		return nil, err
	}
	if err := r.responses(m, op); err != nil {
		return nil, err
	}
	r.authorization(m, op)
	validator := text(op, "x-amazon-apigateway-request-validator")
	if validator == "" {
		validator = text(r.doc, "x-amazon-apigateway-request-validator")
	}
	if validator != "" {
		if !slices.ContainsFunc(r.def.Validators, func(v api.RequestValidator) bool { return *v.Name == validator }) {
			return nil, &Error{Reason: fmt.Sprintf("Unable to find the request validator '%s' of the operation %s %s", validator, httpMethod, path)}
		}
		m.RequestValidatorId = &validator
	}
	in := op["x-amazon-apigateway-integration"]
	if in == nil {
		in = item["x-amazon-apigateway-integration"]
	}
	if in != nil {
		var err error
		if m.MethodIntegration, err = r.integration(r.resolve(in)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// request reads parameters and body. Those of the operation go before those of the path.
func (r *reader) request(m *Method, item, op object) error {
	seen := map[string]bool{}
	for _, from := range [][]any{list(op, "parameters"), list(item, "parameters")} {
		for _, v := range from {
			p := r.resolve(v)
			place, name := text(p, "in"), text(p, "name")
			if seen[place+" "+name] {
				continue
			}
			seen[place+" "+name] = true
			switch place {
			case "path", "query", "header":
				if place == "query" {
					place = "querystring"
				}
				if m.RequestParameters == nil {
					m.RequestParameters = map[string]bool{}
				}
				m.RequestParameters["method.request."+place+"."+name] = truth(p, "required")
			case "body":
				types := texts(op, "consumes")
				if len(types) == 0 {
					types = texts(r.doc, "consumes")
				}
				if err := r.body(m, types, child(p, "schema")); err != nil {
					return err
				}
			default:
				r.warn("The parameter '%s' in '%s' of %s %s is not supported and is ignored", name, place, *m.HttpMethod, m.Path)
			}
		}
	}
	content := child(r.resolve(op["requestBody"]), "content")
	for _, contentType := range slices.Sorted(maps.Keys(content)) {
		media, _ := content[contentType].(object)
		if err := r.body(m, []string{contentType}, child(media, "schema")); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) body(m *Method, types []string, schema object) error {
	model, err := r.modelFor(schema, value(m.OperationName)+"Request"+modelName(m.Path)+*m.HttpMethod)
	if err != nil || model == "" {
		return err
	}
	if len(types) == 0 {
		types = []string{"application/json"}
	}
	if m.RequestModels == nil {
		m.RequestModels = map[string]string{}
	}
	for _, t := range types {
		m.RequestModels[t] = model
	}
	return nil
}

func (r *reader) responses(m *Method, op object) error {
	all := child(op, "responses")
	for _, status := range slices.Sorted(maps.Keys(all)) {
		if status == "default" || strings.HasPrefix(status, "x-") {
			continue
		}
		if len(status) != 3 || strings.Trim(status, "0123456789") != "" {
			r.warn("The response '%s' of %s %s is not supported and is ignored", status, *m.HttpMethod, m.Path)
			continue
		}
		response := r.resolve(all[status])
		row := api.MethodResponse{StatusCode: &status}
		for name := range child(response, "headers") {
			if row.ResponseParameters == nil {
				row.ResponseParameters = map[string]bool{}
			}
			row.ResponseParameters["method.response.header."+name] = false
		}
		content := map[string]object{}
		if schema := child(response, "schema"); schema != nil {
			types := texts(op, "produces")
			if len(types) == 0 {
				types = texts(r.doc, "produces")
			}
			if len(types) == 0 {
				types = []string{"application/json"}
			}
			for _, t := range types {
				content[t] = schema
			}
		}
		for t, v := range child(response, "content") {
			media, _ := v.(object)
			content[t] = child(media, "schema")
		}
		for _, t := range slices.Sorted(maps.Keys(content)) {
			model, err := r.modelFor(content[t], value(m.OperationName)+"Response"+status+modelName(m.Path)+*m.HttpMethod)
			if err != nil {
				return err
			}
			if model == "" {
				continue
			}
			if row.ResponseModels == nil {
				row.ResponseModels = map[string]string{}
			}
			row.ResponseModels[t] = model
		}
		if m.MethodResponses == nil {
			m.MethodResponses = map[string]api.MethodResponse{}
		}
		m.MethodResponses[status] = row
	}
	return nil
}

// authorization reads the security requirements of an operation, or else those of the document.
func (r *reader) authorization(m *Method, op object) {
	requirements, own := op["security"].([]any)
	if !own {
		requirements = list(r.doc, "security")
	}
	for _, v := range requirements {
		requirement, _ := v.(object)
		for _, name := range slices.Sorted(maps.Keys(requirement)) {
			s, known := r.security[name]
			switch {
			case !known:
				r.warn("The security requirement '%s' of %s %s is ignored", name, *m.HttpMethod, m.Path)
			case s.apiKey:
				m.ApiKeyRequired = new(true)
			case s.sigv4:
				m.AuthorizationType = new("AWS_IAM")
			case s.cognito:
				m.AuthorizationType, m.AuthorizerId, m.AuthorizationScopes = new("COGNITO_USER_POOLS"), &s.authorizer, texts(requirement, name)
			default:
				m.AuthorizationType, m.AuthorizerId = new("CUSTOM"), &s.authorizer
			}
		}
	}
	if auth := child(op, "x-amazon-apigateway-auth"); strings.EqualFold(text(auth, "type"), "AWS_IAM") {
		m.AuthorizationType, m.AuthorizerId = new("AWS_IAM"), nil
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html
func (r *reader) integration(o object) (*api.Integration, error) {
	parameters, err := textMap(o, "requestParameters")
	if err != nil {
		return nil, err
	}
	templates, err := textMap(o, "requestTemplates")
	if err != nil {
		return nil, err
	}
	in := &api.Integration{
		Type: new(strings.ToUpper(text(o, "type"))), HttpMethod: optional(text(o, "httpMethod")), Uri: optional(text(o, "uri")),
		Credentials: optional(text(o, "credentials")), ConnectionType: optional(text(o, "connectionType")), ConnectionId: optional(text(o, "connectionId")),
		RequestParameters: parameters, RequestTemplates: templates, PassthroughBehavior: optional(strings.ToUpper(text(o, "passthroughBehavior"))),
		ContentHandling: optional(text(o, "contentHandling")), TimeoutInMillis: integer(o, "timeoutInMillis"),
		CacheNamespace: optional(text(o, "cacheNamespace")), CacheKeyParameters: texts(o, "cacheKeyParameters"),
	}
	if tls := child(o, "tlsConfig"); tls != nil {
		in.TlsConfig = &api.TlsConfig{InsecureSkipVerification: new(truth(tls, "insecureSkipVerification"))}
	}
	responses := child(o, "responses")
	for _, pattern := range slices.Sorted(maps.Keys(responses)) {
		response, _ := responses[pattern].(object)
		row := api.IntegrationResponse{StatusCode: optional(text(response, "statusCode")), ContentHandling: optional(text(response, "contentHandling"))}
		if row.StatusCode == nil {
			row.StatusCode = new("200")
		}
		if pattern != "default" {
			row.SelectionPattern = &pattern
		}
		if row.ResponseParameters, err = textMap(response, "responseParameters"); err != nil {
			return nil, err
		}
		if row.ResponseTemplates, err = textMap(response, "responseTemplates"); err != nil {
			return nil, err
		}
		if in.IntegrationResponses == nil {
			in.IntegrationResponses = map[string]api.IntegrationResponse{}
		}
		if _, taken := in.IntegrationResponses[*row.StatusCode]; taken {
			r.warn("Two integration responses lead to the status code %s; the pattern '%s' is ignored", *row.StatusCode, pattern)
			continue
		}
		in.IntegrationResponses[*row.StatusCode] = row
	}
	return in, nil
}
