package apigateway

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/vtl"
)

type (
	HTTP       = edge.HTTP
	HTTPCall   = edge.HTTPCall
	HTTPResult = edge.HTTPResult

	Services    = edge.Services
	ServiceCall = edge.ServiceCall
)

// A parameterMapping is an entry of an integration's request parameters, compiled.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
type parameterMapping struct{ place, name, source string }

// An outgoing is a request of an integration before it is addressed.
type outgoing struct {
	path   map[string]string
	query  []Field
	header []Field
	body   []byte
}

// outgoing maps the request parameters of an integration and takes in what the template has overridden.
func (x *exchange) outgoing(vars *lazyContext, body []byte) *outgoing {
	in := x.method.integration
	out := &outgoing{path: map[string]string{}, body: body}
	for _, m := range in.parameters {
		for _, v := range x.sourceValues(m.source) {
			switch m.place {
			case "path":
				out.path[m.name] = v
			case "querystring":
				out.query = append(out.query, Field{m.name, v})
			case "header":
				out.header = append(out.header, Field{m.name, v})
			}
		}
	}
	if m := vars.override("requestOverride"); m != nil {
		eachText(m, "path", func(name, v string) { out.path[name] = v })
		eachText(m, "querystring", func(name, v string) { out.query = append(withoutField(out.query, name), Field{name, v}) })
		eachText(m, "header", func(name, v string) { out.header = append(withoutField(out.header, name), Field{name, v}) })
	}
	return out
}

func eachText(m *vtl.Map, member string, do func(name, v string)) {
	v, _ := m.Get(member)
	values, ok := v.(*vtl.Map)
	if !ok {
		return
	}
	for _, name := range values.Keys {
		if text, ok := contextText(values, name); ok {
			do(name, text)
		}
	}
}

func withoutField(fields []Field, name string) []Field {
	kept := fields[:0]
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// sourceValues evaluates the right side of a request parameter. Only multi-value sources have more than one value.
func (x *exchange) sourceValues(source string) []string {
	if len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' {
		return []string{source[1 : len(source)-1]}
	}
	if name, ok := strings.CutPrefix(source, "method.request.multivaluequerystring."); ok {
		return valuesOf(x.req.Query, name, false)
	}
	if name, ok := strings.CutPrefix(source, "method.request.multivalueheader."); ok {
		return valuesOf(x.req.Header, name, true)
	}
	if source == "method.request.body" {
		return []string{string(x.req.Body)}
	}
	if path, ok := strings.CutPrefix(source, "method.request.body."); ok {
		v, err := x.input(x.req.Body).Path("$." + path)
		if err != nil || v == nil {
			return nil
		}
		if s, ok := v.(string); ok {
			return []string{s}
		}
		if s, err := vtl.JSON(v); err == nil {
			return []string{s}
		}
		return nil
	}
	if v, ok := x.requestValue(source); ok {
		return []string{v}
	}
	return nil
}

func valuesOf(fields []Field, name string, fold bool) (out []string) {
	for _, f := range fields {
		if f.Name == name || fold && strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// checkRequestParameters checks the mappings of an integration.
func checkRequestParameters(parameters map[string]string) error {
	for target, source := range parameters {
		place, name, _ := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
		ok := strings.HasPrefix(target, "integration.request.") && name != "" && (place == "path" || place == "querystring" || place == "header" && validHeader(Field{Name: name}))
		if !ok {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", clip(target))
		}
		ok = len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' || source == "method.request.body"
		for _, prefix := range []string{"method.request.path.", "method.request.querystring.", "method.request.header.", "method.request.multivaluequerystring.",
			"method.request.multivalueheader.", "method.request.body.", "stageVariables.", "context."} {
			ok = ok || strings.HasPrefix(source, prefix) && len(source) > len(prefix)
		}
		if !ok {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: %s]", clip(source))
		}
	}
	return nil
}

// checkDeclared checks that the parameters of the request that an integration maps are declared by its method.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
func checkDeclared(m *api.Method, parameters map[string]string) error {
	for _, target := range sortedKeys(parameters) {
		place, isRequest := strings.CutPrefix(parameters[target], "method.request.")
		if !isRequest || place == "body" || strings.HasPrefix(place, "body.") {
			continue
		}
		if _, ok := m.RequestParameters["method.request."+strings.TrimPrefix(place, "multivalue")]; !ok {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", clip(parameters[target]))
		}
	}
	return nil
}

func compileParameters(parameters map[string]string) []parameterMapping {
	out := make([]parameterMapping, 0, len(parameters))
	for _, target := range sortedKeys(parameters) {
		place, name, _ := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
		out = append(out, parameterMapping{place, name, parameters[target]})
	}
	return out
}

// fillPath puts values in the place of "{name}" and "{name+}" in a path or URL. One without a value is a fault.
func fillPath(template string, values map[string]string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(template, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", misconfigured("Illegal character in path")
		}
		v, found := values[strings.TrimSuffix(name, "+")]
		if !found {
			return "", misconfigured("Invalid endpoint address")
		}
		// What came encoded stays so: a value cannot become more than one segment unless it is a greedy one.
		b.WriteString(edge.EscapePath(v))
		template = after
	}
}

// httpProxy hands the whole request to an endpoint and takes the whole answer from it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/setup-http-integrations.html
func (s *Service) httpProxy(ctx context.Context, x *exchange) *Response {
	out := x.outgoing(&lazyContext{x: x}, x.req.Body)
	for _, f := range x.req.Query {
		if _, mapped := last(out.query, f.Name); !mapped {
			out.query = append(out.query, f)
		}
	}
	mapped := out.header
	for _, f := range x.headers() {
		switch {
		case strings.EqualFold(f.Name, "Host"), strings.EqualFold(f.Name, "Via"), strings.EqualFold(f.Name, "Content-Encoding"):
		case len(valuesOf(mapped, f.Name, true)) == 0:
			out.header = append(out.header, f)
		}
	}
	result, refusal := s.sendHTTP(ctx, x, out)
	if refusal != nil {
		return refusal
	}
	r := &Response{Status: result.Status, Header: withoutField(remapHeaders(result.Header), "Via"), Body: result.Body}
	if !r.has("Content-Type") {
		r.add("Content-Type", "application/json")
	}
	// Clients that did not ask for binary data get it as text.
	if types := valuesOf(r.Header, "Content-Type", true); x.responseHandling("") == "CONVERT_TO_TEXT" && isBinary(x.stage.binaryTypes, mediaType(types[0])) {
		r.Body = base64.StdEncoding.AppendEncode(nil, r.Body)
	}
	return s.logResponse(x, r)
}

// httpCustom maps the request to an endpoint's, and its answer to the response of the method.
func (s *Service) httpCustom(ctx context.Context, x *exchange) *Response {
	vars := &lazyContext{x: x}
	payload, err := x.integrationRequest(vars)
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	out := x.outgoing(vars, payload)
	if len(valuesOf(out.header, "Content-Type", true)) == 0 && len(payload) > 0 {
		contentType, _ := x.req.header("Content-Type")
		if contentType == "" {
			contentType = "application/json"
		}
		out.header = append(out.header, Field{"Content-Type", contentType})
	}
	if len(valuesOf(out.header, "Accept", true)) == 0 {
		out.header = append(out.header, Field{"Accept", "application/json"})
	}
	out.header = append(out.header, Field{"X-Amzn-Trace-Id", x.traceID})
	result, refusal := s.sendHTTP(ctx, x, out)
	if refusal != nil {
		return refusal
	}
	return s.mapResult(ctx, x, vars, result)
}

// sendHTTP sends a request to the endpoint of an integration. On failure it returns the response to give.
func (s *Service) sendHTTP(ctx context.Context, x *exchange, out *outgoing) (*HTTPResult, *Response) {
	in := x.method.integration
	address, err := fillPath(in.uri, out.path)
	if err != nil {
		return nil, s.failMapping(ctx, x, err)
	}
	if q := edge.EncodeQuery(out.query); q != "" {
		sep := "?"
		if strings.Contains(address, "?") {
			sep = "&"
		}
		address += sep + q
	}
	method := in.httpMethod
	if method == "ANY" || method == "" {
		method = x.httpMethod
	}
	if len(valuesOf(out.header, "User-Agent", true)) == 0 {
		out.header = append(out.header, Field{"User-Agent", "AmazonAPIGateway_" + x.stage.apiID})
	}
	out.header = append(out.header, Field{"x-amzn-apigateway-api-id", x.stage.apiID})
	for _, f := range out.header {
		if !validHeader(f) {
			return nil, s.failMapping(ctx, x, misconfigured("Invalid request header %q", clip(f.Name)))
		}
	}
	s.logEndpointRequest(x, address, out)
	bounded, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	begin := time.Now()
	result, err := s.http.Send(bounded, &HTTPCall{Method: method, URL: address, Header: out.header, Body: out.body, InsecureTLS: in.insecureTLS})
	switch {
	case err == nil:
		s.logResult(x, result, begin)
		return result, nil
	case errors.Is(err, edge.ErrTooLarge):
		return nil, s.refuse(ctx, x, badGateway(), "Execution failed due to configuration error: Integration response is larger than allowed maximum of 10485760 bytes.")
	case bounded.Err() != nil:
		return nil, s.refuse(ctx, x, integrationTimeout(), "Execution failed due to a timeout error")
	}
	return nil, s.refuse(ctx, x, integrationFailure(), "Execution failed due to a network error communicating with endpoint: "+err.Error())
}

// callService calls another service of AWS.
func (s *Service) callService(ctx context.Context, x *exchange) *Response {
	in := x.method.integration
	vars := &lazyContext{x: x}
	payload, err := x.integrationRequest(vars)
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	out := x.outgoing(vars, payload)
	path, err := fillPath(in.service.Path, out.path)
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	path, rawQuery, _ := strings.Cut(path, "?")
	if q := edge.EncodeQuery(out.query); q != "" {
		rawQuery = strings.TrimPrefix(rawQuery+"&"+q, "&")
	}
	c := &ServiceCall{
		Service: in.service.Service, Region: in.service.Region, Action: in.service.Action, Method: in.httpMethod, Path: path, Query: rawQuery,
		Header: out.header, Body: out.body, RoleARN: in.credentials, SourceARN: x.sourceARN(), SourceAccount: x.stage.account,
	}
	if in.credentials == edge.CallerCredentials {
		if c.Principal, c.RoleARN = x.principal, ""; c.Principal == nil {
			return s.failMapping(ctx, x, misconfigured("The credentials of the caller are asked for, but the method does not authorize by AWS_IAM"))
		}
		if c.Principal.Account != x.stage.account { // whoever made the API would act in the name of its visitors
			return s.failMapping(ctx, x, misconfigured("The credentials of the caller are those of another account"))
		}
	} else if in.credentials == "" {
		return s.failMapping(ctx, x, misconfigured("AWS integration requires credentials"))
	}
	s.logEndpointRequest(x, in.uri, out)
	bounded, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	begin := time.Now()
	result, err := s.services.Call(bounded, c)
	if err != nil {
		var known awserr.Error
		switch {
		case bounded.Err() != nil:
			return s.refuse(ctx, x, integrationTimeout(), "Execution failed due to a timeout error")
		case errors.As(err, &known):
			return s.failMapping(ctx, x, misconfigured("API Gateway does not have permission to assume the provided role: %s", known.ErrorMessage()))
		}
		s.log.ErrorContext(ctx, "API Gateway could not call a service", slog.String("service", c.Service), slog.String("request_id", x.requestID), slog.String("error", err.Error()))
		return s.refuse(ctx, x, configurationError(), "Execution failed due to an internal error")
	}
	s.logResult(x, result, begin)
	return s.mapResult(ctx, x, vars, result)
}

// mapResult maps an endpoint's answer to the response of the method: selection patterns match its status.
func (s *Service) mapResult(ctx context.Context, x *exchange, vars *lazyContext, result *HTTPResult) *Response {
	r, err := x.methodResponse(vars, &integrationResult{selector: strconv.Itoa(result.Status), status: result.Status, header: result.Header, body: result.Body})
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	return s.logResponse(x, r)
}

func (s *Service) logEndpointRequest(x *exchange, address string, out *outgoing) {
	if x.log == nil {
		return
	}
	x.log.printf("Endpoint request URI: %s", clip(address))
	x.log.trace("Endpoint request headers: %s", logFields(out.header))
	x.log.trace("Endpoint request body after transformations: %s", clip(string(out.body)))
	x.log.printf("Sending request to %s", clip(address))
}

func (s *Service) logResult(x *exchange, result *HTTPResult, begin time.Time) {
	x.integrated, x.integrationStatus, x.integrationLatency = true, result.Status, time.Since(begin)
	if x.method.integration.service.Service != "" {
		x.endpointRequestID, _ = last(result.Header, "x-amzn-RequestId")
	}
	if x.log == nil {
		return
	}
	x.log.printf("Received response. Status: %d, Integration latency: %d ms", result.Status, time.Since(begin).Milliseconds())
	x.log.trace("Endpoint response headers: %s", logFields(result.Header))
	x.log.trace("Endpoint response body before transformations: %s", clip(string(result.Body)))
}

// responseHandling is the contentHandling of a response: what is set, or else what the client accepts, where the API has
// binary media types at all.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html
func (x *exchange) responseHandling(set string) string {
	if set != "" || len(x.stage.binaryTypes) == 0 {
		return set
	}
	accept, _ := x.req.header("Accept")
	first, _, _ := strings.Cut(accept, ",")
	switch media := mediaType(first); {
	case media == "" || media == "*/*" && !isBinary(x.stage.binaryTypes, media):
		return "" // the client does not say: the body goes out as it is
	case isBinary(x.stage.binaryTypes, media):
		return "CONVERT_TO_BINARY"
	}
	return "CONVERT_TO_TEXT"
}

// converted changes a body as contentHandling says: to text is to Base64 where it is binary, to binary from Base64 where
// it is text.
func converted(handling string, body []byte, binary bool) ([]byte, error) {
	switch {
	case handling == "CONVERT_TO_TEXT" && binary:
		return base64.StdEncoding.AppendEncode(nil, body), nil
	case handling == "CONVERT_TO_BINARY" && !binary:
		// The output of a function is a JSON string, with its quotes.
		out, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimSpace(string(body)), `"`))
		if err != nil {
			return nil, misconfigured("Unable to base64 decode the body.")
		}
		return out, nil
	}
	return body, nil
}
