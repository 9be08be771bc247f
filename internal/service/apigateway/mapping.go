package apigateway

import (
	"fmt"
	"strconv"
	"strings"

	"brume/internal/mapping"
	"brume/internal/vtl"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html

// input is $input: a body and the parameters of the method request.
func (x *exchange) input(body []byte) *mapping.Input {
	return &mapping.Input{Body: body, Params: requestParameters{x}}
}

// requestParameters are those of a method request, for templates.
type requestParameters struct{ x *exchange }

func (p requestParameters) All() *vtl.Map {
	all := lenientMap(nil)
	all.Set("path", lenientMap(p.x.params))
	all.Set("querystring", lenientMap(p.x.req.Query))
	all.Set("header", lenientMap(p.x.req.Header))
	return all
}

func (p requestParameters) One(name string) any {
	v, _ := p.x.param(name)
	return v
}

// param looks a parameter up in the path, the query and the headers, in this order.
func (x *exchange) param(name string) (any, bool) {
	for _, f := range x.params {
		if f.Name == name {
			return f.Value, true
		}
	}
	for i := len(x.req.Query) - 1; i >= 0; i-- {
		if x.req.Query[i].Name == name {
			return x.req.Query[i].Value, true
		}
	}
	if v, ok := x.req.header(name); ok {
		return v, true
	}
	return "", false
}

func lenientMap(fields []Field) *vtl.Map { return mapping.Lenient(fields) }

// contextMap is $context of a mapping template.
func (x *exchange) contextMap() *vtl.Map {
	domain, prefix := x.domain()
	m := lenientMap([]Field{
		{"accountId", x.stage.account}, {"apiId", x.stage.apiID}, {"deploymentId", x.stage.deploymentID}, {"domainName", domain}, {"domainPrefix", prefix},
		{"extendedRequestId", x.extendedID}, {"httpMethod", x.httpMethod}, {"path", x.contextPath()}, {"protocol", x.req.Protocol},
		{"requestId", x.requestID}, {"requestTime", x.requestTime()}, {"stage", x.stage.name}, {"xrayTraceId", x.traceID},
	})
	if x.method != nil { // a request that no method is for has none
		m.Set("resourceId", x.method.resource.id)
		m.Set("resourcePath", x.method.resource.path)
		if x.method.operationName != "" {
			m.Set("operationName", x.method.operationName)
		}
	}
	if x.req.Custom != nil {
		base := x.req.Custom.BasePath
		if base == "" {
			base = noBasePath
		}
		m.Set("customDomain", lenientMap([]Field{{"basePathMatched", base}}))
	}
	if x.stage.isCanary || x.stage.canary != nil {
		m.Set("isCanaryRequest", x.stage.isCanary)
	}
	if a := x.authorized; a != nil {
		authorizer := lenientMap([]Field{{"principalId", a.principalID}})
		authorizer.Set("integrationLatency", a.latency.Milliseconds())
		authorizer.Set("latency", a.latency.Milliseconds())
		authorizer.Set("status", int64(200))
		for _, name := range a.context.Keys {
			v, _ := a.context.Get(name)
			authorizer.Set(name, v)
		}
		m.Set("authorizer", authorizer)
	}
	m.Set("requestTimeEpoch", x.req.Time.UnixMilli())
	identity := lenientMap([]Field{{"sourceIp", x.sourceIP()}, {"userAgent", x.userAgent()}})
	if x.key != nil {
		identity.Set("apiKey", x.key.value)
		identity.Set("apiKeyId", x.key.id)
	}
	if x.caller != nil {
		identity.Set("apiKey", testAPIKey)
		identity.Set("apiKeyId", testAPIKeyID)
	}
	if who := x.who(); who != nil {
		identity.Set("accountId", who.accountID)
		identity.Set("accessKey", who.accessKey)
		identity.Set("caller", who.id)
		identity.Set("user", who.id)
		identity.Set("userArn", who.arn)
	}
	m.Set("identity", identity)
	override := lenientMap(nil)
	override.Set("header", lenientMap(nil))
	m.Set("responseOverride", override)
	request := lenientMap(nil)
	for _, place := range []string{"path", "querystring", "header"} {
		request.Set(place, lenientMap(nil))
	}
	m.Set("requestOverride", request)
	return m
}

// A lazyContext is the $context of one run of an integration, made when something looks at it: many templates do not.
type lazyContext struct {
	x    *exchange
	vars *vtl.Map // nil until then
}

func (c *lazyContext) get() *vtl.Map {
	if c.vars == nil {
		c.vars = c.x.contextMap()
	}
	if c.x.endpointRequestID != "" { // it may have come since
		c.vars.Set("awsEndpointRequestId", c.x.endpointRequestID)
	}
	return c.vars
}

// override returns what templates have set of one of the overrides, nil if no template has run.
func (c *lazyContext) override(name string) *vtl.Map {
	if c.vars == nil {
		return nil
	}
	v, _ := c.vars.Get(name)
	m, _ := v.(*vtl.Map)
	return m
}

// render runs a mapping template over body.
func (x *exchange) render(t *vtl.Template, vars *lazyContext, body []byte) ([]byte, error) {
	if text, ok := t.Text(); ok {
		return []byte(text), nil
	}
	out, err := t.Execute(vtl.Scope{
		"input": x.input(body), "context": vars.get(), "stageVariables": lenientMap(x.stage.variableFields), "util": mapping.Util{},
	})
	return []byte(out), err
}

var errUnsupportedMedia = misconfigured("Unsupported media type")

// integrationRequest makes the payload of an integration that is no proxy: by the template for the request's content type,
// or as it came, as the passthrough behaviour says.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
func (x *exchange) integrationRequest(vars *lazyContext) ([]byte, error) {
	in := x.method.integration
	contentType, _ := x.req.header("Content-Type")
	media := mediaType(contentType)
	if media == "" {
		media = "application/json"
	}
	body, err := converted(in.contentHandling, x.req.Body, isBinary(x.stage.binaryTypes, media))
	if err != nil {
		return nil, err
	}
	if t := in.requestTemplates[media]; t != nil {
		return x.render(t, vars, body)
	}
	switch {
	case in.passthrough == "NEVER", in.passthrough == "WHEN_NO_TEMPLATES" && len(in.requestTemplates) > 0:
		return nil, errUnsupportedMedia
	}
	return body, nil
}

// An integrationResult is what an integration that is no proxy answered.
type integrationResult struct {
	// selector is what selection patterns are matched against: the status of MOCK, the error message of a function.
	selector string
	status   int // shown where nothing matches
	header   []Field
	body     []byte
}

// methodResponse maps an integration's result to the response of the method.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
func (x *exchange) methodResponse(vars *lazyContext, result *integrationResult) (*Response, error) {
	chosen := x.method.integration.selectResponse(result.selector)
	if chosen == nil {
		return nil, misconfigured("No match for output mapping and no default output mapping configured. Endpoint Response Status Code: %d", result.status)
	}
	if !x.method.responses[chosen.statusCode] {
		return nil, misconfigured("Output mapping refers to an invalid method response: %s", chosen.statusCode)
	}
	resultType := ""
	for _, f := range result.header {
		if strings.EqualFold(f.Name, "Content-Type") {
			resultType = f.Value
		}
	}
	body, err := converted(x.responseHandling(chosen.handling), result.body, isBinary(x.stage.binaryTypes, mediaType(resultType)))
	if err != nil {
		return nil, err
	}
	r := &Response{Body: body}
	if r.Status, _ = strconv.Atoi(chosen.statusCode); r.Status < 200 {
		return nil, misconfigured("Invalid status code %s", chosen.statusCode)
	}
	contentType := "application/json"
	if resultType != "" {
		contentType = resultType
	}
	if len(chosen.templates) > 0 {
		accept, _ := x.req.header("Accept")
		first, _, _ := strings.Cut(accept, ",")
		name := mediaType(first)
		t := chosen.templates[name]
		if t == nil {
			name = chosen.defaultType
			t = chosen.templates[name]
		}
		body, err := x.render(t, vars, r.Body)
		if err != nil {
			return nil, misconfigured("Unable to transform response: %v", err)
		}
		r.Body, contentType = body, name
	}
	r.add("Content-Type", contentType)
	for _, p := range chosen.parameters {
		v, ok, err := x.responseParameter(p.source, vars, result)
		if err != nil {
			return nil, err
		}
		if ok {
			r.set(p.header, v)
		}
	}
	if err := overrideResponse(r, vars); err != nil {
		return nil, err
	}
	for _, f := range r.Header {
		if !validHeader(f) {
			return nil, misconfigured("Invalid response header %q", f.Name)
		}
	}
	return r, nil
}

// responseParameter evaluates the right side of a response parameter.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
func (x *exchange) responseParameter(source string, vars *lazyContext, result *integrationResult) (string, bool, error) {
	if len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' {
		return source[1 : len(source)-1], true, nil
	}
	var v any
	switch {
	case strings.HasPrefix(source, "integration.response.header."), strings.HasPrefix(source, "integration.response.multivalueheader."):
		_, name, _ := strings.Cut(strings.TrimPrefix(source, "integration.response."), ".")
		values := valuesOf(result.header, name, true)
		if len(values) == 0 {
			return "", false, nil
		}
		return values[len(values)-1], true, nil
	case source == "integration.response.body":
		v = string(result.body)
	case strings.HasPrefix(source, "integration.response.body."):
		in := x.input(result.body)
		var err error
		if v, err = in.Path("$" + strings.TrimPrefix(source, "integration.response.body")); err != nil {
			return "", false, nil // a body without the value maps to no header
		}
	case strings.HasPrefix(source, "stageVariables."):
		value, ok := x.stage.variables[strings.TrimPrefix(source, "stageVariables.")]
		return value, ok, nil
	case strings.HasPrefix(source, "context."):
		text, ok := contextText(vars.get(), strings.TrimPrefix(source, "context."))
		return text, ok, nil
	}
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	}
	s, err := vtl.JSON(v)
	return s, err == nil, err
}

// overrideResponse applies $context.responseOverride, which a template may have set.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-override-request-response-parameters.html
func overrideResponse(r *Response, vars *lazyContext) error {
	override := vars.override("responseOverride")
	if override == nil {
		return nil
	}
	if v, ok := override.Get("status"); ok && v != nil {
		text := fmt.Sprint(v)
		status, err := strconv.Atoi(text)
		if err != nil || status < 200 || status > 599 {
			return misconfigured("Invalid status code override %q", clip(text))
		}
		r.Status = status
	}
	v, _ := override.Get("header")
	if headers, ok := v.(*vtl.Map); ok {
		for _, name := range headers.Keys {
			v, _ := headers.Get(name)
			if s, ok := v.(string); ok {
				r.set(name, s)
			} else if v != nil {
				s, err := vtl.JSON(v)
				if err != nil {
					return err
				}
				r.set(name, s)
			}
		}
	}
	return nil
}
