package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	api "brume/internal/api/apigateway"
)

// A Form is how a Definition is to be written.
type Form struct {
	Version3 bool // OpenAPI 3.0 rather than Swagger 2.0
	YAML     bool
	// Integrations adds the integrations, Authorizers the authorizers, and APIGateway all extensions, these two included.
	Integrations, Authorizers, APIGateway bool
	// Server is where the API is reached: scheme, host with port, and base path.
	Scheme, Host, BasePath string
	// RestAPI is the id that references to models bear.
	RestAPI string
}

// Write makes a document of a definition.
func (d *Definition) Write(f Form) ([]byte, error) {
	f.Integrations, f.Authorizers = f.Integrations || f.APIGateway, f.Authorizers || f.APIGateway
	w := &writer{def: d, form: f}
	doc, err := w.document()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if f.YAML {
		e := yaml.NewEncoder(&out)
		e.SetIndent(2)
		node := yamlNode(doc)
		if err := e.Encode(node); err != nil {
			return nil, err
		}
		return out.Bytes(), e.Close()
	}
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(doc)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// ordered is an object whose members keep their order.
type ordered []member

type member struct {
	name  string
	value any
}

// set adds a member unless its value is empty.
func (o *ordered) set(name string, v any) {
	switch v := v.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case *string:
		if value(v) != "" {
			*o = append(*o, member{name, *v})
		}
		return
	case []string:
		if len(v) == 0 {
			return
		}
	case ordered:
		if len(v) == 0 {
			return
		}
	case object:
		if len(v) == 0 {
			return
		}
	case map[string]string:
		if len(v) == 0 {
			return
		}
	case *int32:
		if v == nil {
			return
		}
	}
	*o = append(*o, member{name, v})
}

func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, v := range []any{m.name, m.value} {
			if j > 0 {
				b.WriteByte(':')
			}
			var one bytes.Buffer
			e := json.NewEncoder(&one)
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil {
				return nil, err
			}
			b.Write(bytes.TrimSuffix(one.Bytes(), []byte("\n")))
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// yamlNode is a value as a node, in the order of its members.
func yamlNode(v any) *yaml.Node {
	switch v := v.(type) {
	case ordered:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range v {
			n.Content = append(n.Content, yamlText(m.name), yamlNode(m.value))
		}
		return n
	case object:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, yamlText(k), yamlNode(v[k]))
		}
		return n
	case map[string]string:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, yamlText(k), yamlText(v[k]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			n.Content = append(n.Content, yamlNode(item))
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range v {
			n.Content = append(n.Content, yamlText(item))
		}
		return n
	case string:
		return yamlText(v)
	case *int32:
		return yamlNode(*v)
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		return yamlText("")
	}
	return n
}

// yamlText is a text, in quotes so that nothing takes it for something else.
func yamlText(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

type writer struct {
	def  *Definition
	form Form
}

func (w *writer) document() (ordered, error) {
	d, f := w.def, w.form
	var doc, info ordered
	info.set("title", d.Name)
	info.set("description", d.Description)
	version := d.Version
	if version == "" {
		version = "1.0"
	}
	info.set("version", version)
	for name, v := range child(w.documented("API", "", "", "", ""), "info") {
		if name != "title" && name != "version" && !slices.ContainsFunc(info, func(m member) bool { return m.name == name }) {
			info.set(name, v)
		}
	}
	if f.Version3 {
		doc.set("openapi", "3.0.1")
		doc.set("info", info)
		var server ordered
		server.set("url", f.Scheme+"://"+f.Host+"/{basePath}")
		server.set("variables", object{"basePath": object{"default": strings.TrimPrefix(f.BasePath, "/")}})
		doc.set("servers", []any{server})
	} else {
		doc.set("swagger", "2.0")
		doc.set("info", info)
		doc.set("host", f.Host)
		doc.set("basePath", f.BasePath)
		doc.set("schemes", []string{f.Scheme})
	}
	paths, err := w.paths()
	if err != nil {
		return nil, err
	}
	doc = append(doc, member{"paths", paths})
	schemas, err := w.schemas()
	if err != nil {
		return nil, err
	}
	schemes := w.schemes()
	if f.Version3 {
		var components ordered
		components.set("schemas", schemas)
		components.set("securitySchemes", schemes)
		doc.set("components", components)
	} else {
		doc.set("securityDefinitions", schemes)
		doc.set("definitions", schemas)
	}
	if f.APIGateway {
		if err := w.extensions(&doc); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// extensions adds what a document says of the API as a whole.
func (w *writer) extensions(doc *ordered) error {
	d := w.def
	var responses ordered
	for _, g := range d.GatewayResponses {
		var o ordered
		o.set("statusCode", g.StatusCode)
		o.set("responseParameters", g.ResponseParameters)
		o.set("responseTemplates", g.ResponseTemplates)
		responses = append(responses, member{*g.ResponseType, o})
	}
	doc.set("x-amazon-apigateway-gateway-responses", responses)
	var validators ordered
	for _, v := range d.Validators {
		validators = append(validators, member{*v.Name, object{
			"validateRequestBody": value(v.ValidateRequestBody), "validateRequestParameters": value(v.ValidateRequestParameters),
		}})
	}
	doc.set("x-amazon-apigateway-request-validators", validators)
	doc.set("x-amazon-apigateway-binary-media-types", d.BinaryMediaTypes)
	doc.set("x-amazon-apigateway-minimum-compression-size", d.MinimumCompressionSize)
	if d.APIKeySource != "HEADER" {
		doc.set("x-amazon-apigateway-api-key-source", d.APIKeySource)
	}
	var endpoint ordered
	endpoint.set("types", d.EndpointTypes)
	if d.DisableExecuteAPI {
		endpoint.set("disableExecuteApiEndpoint", true)
	}
	doc.set("x-amazon-apigateway-endpoint-configuration", endpoint)
	if d.Policy != "" {
		policy, err := parseJSON(d.Policy)
		if err != nil {
			return err
		}
		doc.set("x-amazon-apigateway-policy", policy)
	}
	if len(d.Documentation) > 0 {
		parts := make([]any, len(d.Documentation))
		for i, p := range d.Documentation {
			properties, err := parseJSON(value(p.Properties))
			if err != nil {
				return err
			}
			var l ordered
			l.set("type", p.Location.Type)
			l.set("path", p.Location.Path)
			l.set("method", p.Location.Method)
			l.set("statusCode", p.Location.StatusCode)
			l.set("name", p.Location.Name)
			parts[i] = ordered{{"location", l}, {"properties", properties}}
		}
		var o ordered
		o.set("version", d.DocumentationVersion)
		o.set("documentationParts", parts)
		doc.set("x-amazon-apigateway-documentation", o)
	}
	return nil
}

func parseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// documented is what the parts say of an entity. A part for every method or status code says it of each, unless a part
// of its own says something else.
func (w *writer) documented(kind, path, method, status, name string) object {
	out := object{}
	fits := func(p *string, want string) bool { return value(p) == want || value(p) == "*" }
	for _, p := range w.def.Documentation {
		l := p.Location
		if value(l.Type) != kind || value(l.Path) != path && !(value(l.Path) == "/" && path != "" && value(l.Method) == "*") ||
			!fits(l.Method, method) || !fits(l.StatusCode, status) || value(l.Name) != name {
			continue
		}
		properties, err := parseJSON(value(p.Properties))
		if err != nil {
			continue // it was checked when it was written
		}
		o, _ := properties.(object)
		exact := value(l.Method) == method && value(l.StatusCode) == status && value(l.Path) == path
		for k, v := range o {
			if _, there := out[k]; exact || !there {
				out[k] = v
			}
		}
	}
	return out
}

func (w *writer) paths() (ordered, error) {
	byPath := map[string]ordered{}
	var names []string
	for _, path := range w.def.Paths {
		if _, there := byPath[path]; !there {
			byPath[path] = ordered{}
			names = append(names, path)
		}
	}
	methods := slices.Clone(w.def.Methods)
	slices.SortStableFunc(methods, func(a, b Method) int { return strings.Compare(*a.HttpMethod, *b.HttpMethod) })
	for i := range methods {
		m := &methods[i]
		op, err := w.operation(m)
		if err != nil {
			return nil, err
		}
		name := strings.ToLower(*m.HttpMethod)
		if name == "any" {
			name = "x-amazon-apigateway-any-method"
		}
		if _, there := byPath[m.Path]; !there {
			names = append(names, m.Path)
		}
		byPath[m.Path] = append(byPath[m.Path], member{name, op})
	}
	slices.Sort(names)
	out := ordered{}
	for _, path := range names {
		out = append(out, member{path, byPath[path]})
	}
	return out, nil
}

// jsonModel is the model for JSON among those of a body, or any of them: Swagger has one schema for all.
func jsonModel(models map[string]string) string {
	if m := models["application/json"]; m != "" {
		return m
	}
	for _, t := range slices.Sorted(maps.Keys(models)) {
		return models[t]
	}
	return ""
}

func (w *writer) schemaRef(model string) object {
	if w.form.Version3 {
		return object{"$ref": "#/components/schemas/" + model}
	}
	return object{"$ref": "#/definitions/" + model}
}

// content is the OpenAPI 3 form of the models of a body.
func (w *writer) content(models map[string]string) ordered {
	var out ordered
	for _, t := range slices.Sorted(maps.Keys(models)) {
		out = append(out, member{t, object{"schema": w.schemaRef(models[t])}})
	}
	return out
}

func (w *writer) operation(m *Method) (ordered, error) {
	op := ordered{}
	for k, v := range w.documented("METHOD", m.Path, *m.HttpMethod, "", "") {
		op.set(k, v)
	}
	slices.SortFunc(op, func(a, b member) int { return strings.Compare(a.name, b.name) })
	op.set("operationId", m.OperationName)
	if !w.form.Version3 {
		op.set("consumes", slices.Sorted(maps.Keys(m.RequestModels)))
		produces := map[string]bool{}
		for _, r := range m.MethodResponses {
			for t := range r.ResponseModels {
				produces[t] = true
			}
		}
		op.set("produces", slices.Sorted(maps.Keys(produces)))
	}
	parameters := w.parameters(m)
	if model := jsonModel(m.RequestModels); model != "" && !w.form.Version3 {
		parameters = append(parameters, ordered{{"in", "body"}, {"name", model}, {"required", true}, {"schema", w.schemaRef(model)}})
	}
	if len(parameters) > 0 {
		op = append(op, member{"parameters", parameters})
	}
	if w.form.Version3 && len(m.RequestModels) > 0 {
		op.set("requestBody", ordered{{"content", w.content(m.RequestModels)}, {"required", true}})
	}
	op = append(op, member{"responses", w.responses(m)})
	if security := w.security(m); len(security) > 0 {
		op = append(op, member{"security", security})
	}
	if w.form.APIGateway {
		op.set("x-amazon-apigateway-request-validator", m.RequestValidatorId)
	}
	if w.form.Integrations && m.MethodIntegration != nil {
		op.set("x-amazon-apigateway-integration", integration(m.MethodIntegration))
	}
	return op, nil
}

func (w *writer) parameters(m *Method) []any {
	var out []any
	for _, name := range slices.Sorted(maps.Keys(m.RequestParameters)) {
		place, name, ok := strings.Cut(strings.TrimPrefix(name, "method.request."), ".")
		required := m.RequestParameters["method.request."+place+"."+name]
		kind := map[string]string{"path": "PATH_PARAMETER", "querystring": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}[place]
		if !ok || kind == "" {
			continue // multi-value forms have no place in a document
		}
		in := place
		if in == "querystring" {
			in = "query"
		}
		o := ordered{{"name", name}, {"in", in}}
		if description, ok := w.documented(kind, m.Path, *m.HttpMethod, "", name)["description"]; ok {
			o.set("description", description)
		}
		o = append(o, member{"required", required || place == "path"})
		if w.form.Version3 {
			o = append(o, member{"schema", object{"type": "string"}})
		} else {
			o = append(o, member{"type", "string"})
		}
		out = append(out, o)
	}
	// A document must name the parameters of its paths, whether the method does or not.
	for segment := range strings.SplitSeq(m.Path, "/") {
		name, isParam := strings.CutPrefix(strings.TrimSuffix(segment, "}"), "{")
		name = strings.TrimSuffix(name, "+")
		if _, there := m.RequestParameters["method.request.path."+name]; !isParam || there {
			continue
		}
		o := ordered{{"name", name}, {"in", "path"}, {"required", true}}
		if w.form.Version3 {
			o = append(o, member{"schema", object{"type": "string"}})
		} else {
			o = append(o, member{"type", "string"})
		}
		out = append(out, o)
	}
	return out
}

func (w *writer) responses(m *Method) ordered {
	out := ordered{}
	for _, status := range slices.Sorted(maps.Keys(m.MethodResponses)) {
		row := m.MethodResponses[status]
		description, _ := w.documented("RESPONSE", m.Path, *m.HttpMethod, status, "")["description"].(string)
		if description == "" {
			description = status + " response"
		}
		o := ordered{{"description", description}}
		var headers ordered
		for _, name := range slices.Sorted(maps.Keys(row.ResponseParameters)) {
			header := strings.TrimPrefix(name, "method.response.header.")
			if w.form.Version3 {
				headers = append(headers, member{header, object{"schema": object{"type": "string"}}})
			} else {
				headers = append(headers, member{header, object{"type": "string"}})
			}
		}
		o.set("headers", headers)
		if w.form.Version3 {
			content := w.content(row.ResponseModels)
			if len(content) > 0 {
				o.set("content", content)
			}
		} else if model := jsonModel(row.ResponseModels); model != "" {
			o.set("schema", w.schemaRef(model))
		}
		out = append(out, member{status, o})
	}
	if len(out) == 0 { // a document must have one
		out = append(out, member{"default", object{"description": "Default response"}})
	}
	return out
}

// sigv4Scheme and keyScheme are the names under which these two are written.
const (
	sigv4Scheme = "sigv4"
	keyScheme   = "api_key"
)

func (w *writer) security(m *Method) []any {
	var out []any
	switch value(m.AuthorizationType) {
	case "AWS_IAM":
		out = append(out, object{sigv4Scheme: []any{}})
	case "CUSTOM", "COGNITO_USER_POOLS":
		if w.form.Authorizers && value(m.AuthorizerId) != "" {
			scopes := []any{}
			for _, s := range m.AuthorizationScopes {
				scopes = append(scopes, s)
			}
			out = append(out, object{*m.AuthorizerId: scopes})
		}
	}
	if value(m.ApiKeyRequired) {
		out = append(out, object{keyScheme: []any{}})
	}
	return out
}

func (w *writer) schemes() ordered {
	var out ordered
	uses := func(test func(m *Method) bool) bool {
		return slices.ContainsFunc(w.def.Methods, func(m Method) bool { return test(&m) })
	}
	if uses(func(m *Method) bool { return value(m.ApiKeyRequired) }) {
		out = append(out, member{keyScheme, ordered{{"type", "apiKey"}, {"name", "x-api-key"}, {"in", "header"}}})
	}
	if uses(func(m *Method) bool { return value(m.AuthorizationType) == "AWS_IAM" }) {
		out = append(out, member{sigv4Scheme, ordered{{"type", "apiKey"}, {"name", "Authorization"}, {"in", "header"}, {"x-amazon-apigateway-authtype", "awsSigv4"}}})
	}
	if !w.form.Authorizers {
		return out
	}
	for _, a := range w.def.Authorizers {
		header := "Unused"
		if name, ok := strings.CutPrefix(value(a.IdentitySource), "method.request.header."); ok && !strings.Contains(name, ",") {
			header = name
		}
		var auth ordered
		auth.set("type", strings.ToLower(value(a.Type)))
		auth.set("authorizerUri", a.AuthorizerUri)
		auth.set("authorizerCredentials", a.AuthorizerCredentials)
		auth.set("identitySource", a.IdentitySource)
		auth.set("identityValidationExpression", a.IdentityValidationExpression)
		auth.set("authorizerResultTtlInSeconds", a.AuthorizerResultTtlInSeconds)
		auth.set("providerARNs", a.ProviderARNs)
		o := ordered{{"type", "apiKey"}, {"name", header}, {"in", "header"}}
		o.set("x-amazon-apigateway-authtype", a.AuthType)
		o.set("x-amazon-apigateway-authorizer", auth)
		out = append(out, member{*a.Name, o})
	}
	return out
}

// schemas are the models, their references within the document.
func (w *writer) schemas() (ordered, error) {
	used := map[string]bool{}
	for i := range w.def.Methods {
		for _, name := range w.def.Methods[i].RequestModels {
			used[name] = true
		}
		for _, r := range w.def.Methods[i].MethodResponses {
			for _, name := range r.ResponseModels {
				used[name] = true
			}
		}
	}
	var out ordered
	for _, m := range w.def.Models {
		if (*m.Name == "Empty" || *m.Name == "Error") && !used[*m.Name] {
			continue // every API has them
		}
		if !strings.Contains(value(m.ContentType), "json") {
			if used[*m.Name] {
				return nil, &Error{Reason: "Only found non-JSON body models for model '" + *m.Name + "'"}
			}
			continue
		}
		schema, err := parseJSON(value(m.Schema))
		if err != nil {
			schema = object{"type": "object"}
		}
		if o, ok := schema.(object); ok {
			delete(o, "$schema") // a schema of a document cannot say which one it follows
		}
		out = append(out, member{*m.Name, w.refsToDocument(schema)})
	}
	return out, nil
}

func (w *writer) refsToDocument(v any) any {
	switch v := v.(type) {
	case object:
		for k, item := range v {
			if ref, ok := item.(string); ok && k == "$ref" {
				if i := strings.LastIndex(ref, "/models/"); i >= 0 {
					v[k] = w.schemaRef(ref[i+len("/models/"):])["$ref"]
				}
				continue
			}
			v[k] = w.refsToDocument(item)
		}
	case []any:
		for i := range v {
			v[i] = w.refsToDocument(v[i])
		}
	}
	return v
}

func integration(in *api.Integration) ordered {
	var o ordered
	o.set("type", strings.ToLower(value(in.Type)))
	o.set("httpMethod", in.HttpMethod)
	o.set("uri", in.Uri)
	o.set("credentials", in.Credentials)
	if value(in.ConnectionType) != "INTERNET" {
		o.set("connectionType", in.ConnectionType)
	}
	o.set("connectionId", in.ConnectionId)
	var responses ordered
	for _, status := range slices.Sorted(maps.Keys(in.IntegrationResponses)) {
		r := in.IntegrationResponses[status]
		var response ordered
		response.set("statusCode", r.StatusCode)
		response.set("responseParameters", r.ResponseParameters)
		response.set("responseTemplates", r.ResponseTemplates)
		response.set("contentHandling", r.ContentHandling)
		pattern := value(r.SelectionPattern)
		if pattern == "" {
			pattern = "default"
		}
		responses = append(responses, member{pattern, response})
	}
	o.set("responses", responses)
	o.set("requestParameters", in.RequestParameters)
	o.set("requestTemplates", in.RequestTemplates)
	o.set("passthroughBehavior", strings.ToLower(value(in.PassthroughBehavior)))
	o.set("contentHandling", in.ContentHandling)
	o.set("timeoutInMillis", in.TimeoutInMillis)
	o.set("cacheNamespace", in.CacheNamespace)
	o.set("cacheKeyParameters", in.CacheKeyParameters)
	if in.TlsConfig != nil {
		o.set("tlsConfig", object{"insecureSkipVerification": value(in.TlsConfig.InsecureSkipVerification)})
	}
	return o
}
