package apigatewayv2

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/mapping"
	"brume/internal/vtl"
)

// A socketResult is what an integration answered.
type socketResult struct {
	status int
	header []edge.Field
	body   []byte
}

// integrate runs the integration of a route.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-routes-integrations.html
func (s *Service) integrate(ctx context.Context, t *turn) (*socketResult, *socketFault) {
	in := t.route.integration
	switch {
	case in == nil:
		return nil, faultInternal("the route has no integration")
	case in.problem != "":
		return nil, faultInternal(in.problem)
	}
	if t.input == nil {
		t.input = &mapping.Input{Body: t.body}
	}
	t.integrated = true
	begin := time.Now()
	defer func() { t.latency = time.Since(begin) }()
	switch in.kind {
	case api.IntegrationTypeAwsProxy:
		return s.socketLambdaProxy(ctx, t)
	case api.IntegrationTypeHttpProxy:
		return s.sendTo(ctx, t, t.body)
	}
	body, fault := t.integrationRequest()
	if fault != nil {
		return nil, fault
	}
	switch {
	case in.service.Service != "":
		result, fault := s.callService(ctx, t, body)
		if fault != nil {
			return nil, fault
		}
		return t.mapResponse(strconv.Itoa(result.status), result)
	case in.kind == api.IntegrationTypeAws:
		return s.socketLambda(ctx, t, body)
	case in.kind == api.IntegrationTypeHttp:
		result, fault := s.sendTo(ctx, t, body)
		if fault != nil {
			return nil, fault
		}
		return t.mapResponse(strconv.Itoa(result.status), result)
	}
	return t.mock(body)
}

// socketLambdaProxy hands the event to a function and takes the response from it.
func (s *Service) socketLambdaProxy(ctx context.Context, t *turn) (*socketResult, *socketFault) {
	payload, err := json.Marshal(t.newEvent())
	if err != nil {
		return nil, faultOurs(err)
	}
	in := t.route.integration
	result, fault := s.runFunction(ctx, t, in.function, in.qualifier, in.credentials, t.arn(), in.timeout, payload)
	if fault != nil {
		return nil, fault
	}
	if result.FunctionError != "" {
		return nil, faultBackend("the function failed: " + clip(string(result.Payload)))
	}
	out, ok := readSocketAnswer(result.Payload)
	if !ok {
		return nil, faultBackend("Malformed Lambda proxy response")
	}
	return out, nil
}

// readSocketAnswer reads the response of a function: an object, as those to REST APIs are, whose statusCode is 200 if there is
// none.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
func readSocketAnswer(payload []byte) (*socketResult, bool) {
	var out struct {
		Status  json.RawMessage     `json:"statusCode"`
		Headers map[string]any      `json:"headers"`
		Multi   map[string][]string `json:"multiValueHeaders"`
		Body    json.RawMessage     `json:"body"`
		Base64  bool                `json:"isBase64Encoded"`
	}
	if trimmed := strings.TrimLeft(string(payload[:min(len(payload), 64)]), " \t\r\n"); !strings.HasPrefix(trimmed, "{") || json.Unmarshal(payload, &out) != nil {
		return nil, false
	}
	r := &socketResult{status: 200, header: fieldsOf(edge.ReadFields(out.Headers))}
	if len(out.Status) > 0 && string(out.Status) != "null" {
		var ok bool
		if r.status, ok = edge.ReadStatus(out.Status); !ok {
			return nil, false
		}
	}
	for name, values := range out.Multi {
		for _, v := range values {
			r.header = append(r.header, edge.Field{Name: strings.ToLower(name), Value: v})
		}
	}
	if text, ok := textOf(out.Body); ok {
		if c := out.Body[0]; c == '{' || c == '[' {
			return nil, false
		}
		r.body = []byte(text)
	}
	if out.Base64 {
		decoded, err := base64.StdEncoding.DecodeString(string(r.body))
		if err != nil {
			return nil, false
		}
		r.body = decoded
	}
	return r, true
}

// runFunction runs a function. A result may be that the function failed.
func (s *Service) runFunction(ctx context.Context, t *turn, function, qualifier, role, source string, timeout time.Duration, payload []byte) (*edge.LambdaResult, *socketFault) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t.sending(function, payload)
	result, err := s.Lambda.Invoke(bounded, &edge.LambdaInvocation{
		FunctionARN: function, Qualifier: qualifier, Payload: payload, SourceARN: source, SourceAccount: t.c.account, Region: t.c.region, RoleARN: role, TraceID: t.traceID,
	})
	var known awserr.Error
	switch {
	case err == nil:
		t.received(200, result.Payload)
		return result, nil
	case ctx.Err() != nil:
		return nil, faultUnavailable // Brume stops
	case bounded.Err() != nil:
		return nil, faultTimeout("the function did not answer in time")
	case errors.As(err, &known):
		return nil, faultInternal("the function could not be invoked: " + known.ErrorCode() + ": " + known.ErrorMessage())
	}
	return nil, faultOurs(err)
}

// sending and received are the two ends of a call to a backend, for the logs.
func (t *turn) sending(address string, payload []byte) {
	t.asked = time.Now()
	t.trace("Endpoint request body after transformations: %s", payload)
	t.note("Sending request to %s", address)
}

func (t *turn) received(status int, payload []byte) {
	t.integrationStatus = status
	t.note("Received response. Status: %d, Integration latency: %d ms", status, time.Since(t.asked).Milliseconds())
	t.trace("Endpoint response body before transformations: %s", payload)
}

// integrationRequest is the payload for an integration that is no proxy: what the chosen template makes of the message, or the
// message itself, as the passthrough behaviour says.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
func (t *turn) integrationRequest() ([]byte, *socketFault) {
	in := t.route.integration
	body, err := convert(in.handling, t.body)
	if err != nil {
		return nil, &socketFault{status: 400, message: "Unable to base64 decode the body."}
	}
	key := ""
	if sel := in.templates.selection; sel != nil {
		key, _ = sel.evaluate(t.input, nil)
	}
	if chosen := in.templates.choose(key); chosen != nil {
		out, err := t.render(chosen, body)
		if err != nil {
			return nil, faultInternal("Unable to transform request: " + err.Error())
		}
		return out, nil
	}
	if in.passthrough == api.PassthroughBehaviorNever || in.passthrough == api.PassthroughBehaviorWhenNoTemplates && len(in.templates.byKey) > 0 {
		return nil, &socketFault{status: 415, message: "Unsupported Media Type"}
	}
	return body, nil
}

// convert changes a payload as a contentHandlingStrategy says. Messages are texts; what of them is bytes comes in Base64.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
func convert(strategy string, body []byte) ([]byte, error) {
	switch strategy {
	case api.ContentHandlingStrategyConvertToBinary:
		return base64.StdEncoding.DecodeString(strings.TrimSpace(string(body)))
	case api.ContentHandlingStrategyConvertToText:
		return base64.StdEncoding.AppendEncode(nil, body), nil
	}
	return body, nil
}

// render runs a mapping template over a payload.
func (t *turn) render(template *vtl.Template, body []byte) ([]byte, error) {
	if text, ok := template.Text(); ok {
		return []byte(text), nil
	}
	out, err := template.Execute(vtl.Scope{
		"input": &mapping.Input{Body: body}, "context": t.context(), "stageVariables": mapping.Lenient(t.stage.variableFields), "util": mapping.Util{},
	})
	return []byte(out), err
}

// socketLambda hands what a template made to a function. Where the function fails, its message chooses the response.
func (s *Service) socketLambda(ctx context.Context, t *turn, body []byte) (*socketResult, *socketFault) {
	in := t.route.integration
	if len(strings.TrimSpace(string(body))) == 0 {
		body = []byte("{}")
	}
	result, fault := s.runFunction(ctx, t, in.function, in.qualifier, in.credentials, t.arn(), in.timeout, body)
	if fault != nil {
		return nil, fault
	}
	if result.FunctionError == "" {
		return t.mapResponse("", &socketResult{status: 200, body: result.Payload})
	}
	if t.event == "CONNECT" {
		return nil, faultBackend("the function failed: " + clip(string(result.Payload)))
	}
	return t.mapResponse(errorMessage(result.Payload), &socketResult{status: 200, body: result.Payload})
}

// mock answers with the status that the template names.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
func (t *turn) mock(body []byte) (*socketResult, *socketFault) {
	var out struct {
		Status json.RawMessage `json:"statusCode"`
	}
	if json.Unmarshal(body, &out) != nil {
		return nil, faultInternal("Unable to parse statusCode. It should be an integer that is at least 100.")
	}
	status, ok := edge.ReadStatus(out.Status)
	if !ok {
		return nil, faultInternal("Unable to parse statusCode. It should be an integer that is at least 100.")
	}
	return t.mapResponse(strconv.Itoa(status), &socketResult{status: status})
}

// mapResponse makes what the client gets of a result, by the integration response that its selector chooses. Where the client
// gets nothing, nothing is made.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-responses.html
func (t *turn) mapResponse(selector string, result *socketResult) (*socketResult, *socketFault) {
	if !t.route.respond {
		return result, nil
	}
	chosen := t.route.integration.response(selector)
	if chosen == nil {
		return nil, faultInternal("No match for output mapping and no default output mapping configured. Endpoint Response Status Code: " + strconv.Itoa(result.status))
	}
	body, err := convert(chosen.handling, result.body)
	if err != nil {
		return nil, faultInternal("Unable to base64 decode the response")
	}
	key := ""
	if sel := chosen.templates.selection; sel != nil {
		key, _ = sel.evaluate(t.input, func(variable string) string { return result.variable(variable) })
	}
	if template := chosen.templates.choose(key); template != nil {
		if body, err = t.render(template, body); err != nil {
			return nil, faultInternal("Unable to transform response: " + err.Error())
		}
	}
	return &socketResult{status: result.status, header: result.header, body: body}, nil
}

// variable is one of a selection expression over a result.
func (r *socketResult) variable(name string) string {
	if name == "integration.response.statuscode" {
		return strconv.Itoa(r.status)
	}
	if header, ok := strings.CutPrefix(name, "integration.response.header."); ok {
		v := ""
		for _, f := range r.header {
			if strings.EqualFold(f.Name, header) {
				v = f.Value
			}
		}
		return v
	}
	v, _ := joined(r.header, strings.TrimPrefix(name, "integration.response.multivalueheader."), true)
	return v
}

// parameters are those that the integration maps.
func (t *turn) parameters() (path map[string]string, query, header []edge.Field) {
	path = map[string]string{}
	for _, p := range t.route.integration.parameters {
		for _, v := range t.values(p.source) {
			switch f := (edge.Field{Name: p.name, Value: v}); {
			case p.place == "path":
				path[p.name] = v
			case p.place == "querystring":
				query = append(query, f)
			case edge.ValidHeader(f):
				header = append(header, f)
			}
		}
	}
	return path, query, header
}

// callService calls another service of AWS with what a template made.
func (s *Service) callService(ctx context.Context, t *turn, body []byte) (*socketResult, *socketFault) {
	in := t.route.integration
	path, query, header := t.parameters()
	address, fault := socketAddress(in.service.Path, path, query)
	if fault != nil {
		return nil, fault
	}
	c := &edge.ServiceCall{
		Service: in.service.Service, Region: in.service.Region, Action: in.service.Action, Method: in.method, Header: header, Body: body,
		RoleARN: in.credentials, SourceARN: t.arn(), SourceAccount: t.c.account,
	}
	c.Path, c.Query, _ = strings.Cut(address, "?")
	if c.Method == "" || c.Method == "ANY" {
		c.Method = "POST"
	}
	switch {
	case in.credentials == "":
		return nil, faultInternal("AWS integration requires credentials")
	case in.credentials == edge.CallerCredentials:
		if c.Principal, c.RoleARN = t.c.principal, ""; c.Principal == nil {
			return nil, faultInternal("The credentials of the caller are asked for, but $connect does not authorize by AWS_IAM")
		}
	}
	bounded, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	t.sending(in.uri, body)
	result, err := s.Services.Call(bounded, c)
	var known awserr.Error
	switch {
	case err == nil:
		t.received(result.Status, result.Body)
		return &socketResult{status: result.Status, header: result.Header, body: result.Body}, nil
	case ctx.Err() != nil:
		return nil, faultUnavailable
	case bounded.Err() != nil:
		return nil, faultTimeout("the service did not answer in time")
	case errors.As(err, &known):
		return nil, faultInternal("API Gateway does not have permission to assume the provided role: " + known.ErrorMessage())
	}
	return nil, faultOurs(err)
}

// sendTo sends a payload to the endpoint of an integration.
func (s *Service) sendTo(ctx context.Context, t *turn, body []byte) (*socketResult, *socketFault) {
	in := t.route.integration
	call := &edge.HTTPCall{Method: in.method, Body: body}
	if in.method == "ANY" {
		if call.Method = "POST"; t.event == "CONNECT" {
			call.Method = "GET"
		}
	}
	path, query, header := t.parameters()
	call.Header = header
	if in.kind == api.IntegrationTypeHttpProxy && t.event == "CONNECT" {
		// The whole handshake goes on, but for what is of this connection alone.
		mapped := call.Header
		for _, f := range t.handshakeHeaders() {
			name := strings.ToLower(f.Name)
			own := name == "host" || name == "content-length" || strings.HasPrefix(name, "sec-websocket-") && name != "sec-websocket-protocol"
			if !own && !slices.ContainsFunc(mapped, func(m edge.Field) bool { return strings.EqualFold(m.Name, f.Name) }) {
				call.Header = append(call.Header, f)
			}
		}
		query = append(query, t.c.req.Query...)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(call.Header, func(f edge.Field) bool { return strings.EqualFold(f.Name, name) })
	}
	if len(body) > 0 && !has("Content-Type") {
		call.Header = append(call.Header, edge.Field{Name: "Content-Type", Value: "application/json"})
	}
	if !has("User-Agent") {
		call.Header = append(call.Header, edge.Field{Name: "User-Agent", Value: "AmazonAPIGateway_" + t.c.at.API})
	}
	if !has("X-Amzn-Trace-Id") {
		call.Header = append(call.Header, edge.Field{Name: "X-Amzn-Trace-Id", Value: t.traceID})
	}
	call.Header = append(call.Header, edge.Field{Name: "x-amzn-apigateway-api-id", Value: t.c.at.API})
	var fault *socketFault
	if call.URL, fault = socketAddress(in.uri, path, query); fault != nil {
		return nil, fault
	}
	bounded, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	t.sending(call.URL, body)
	result, err := s.HTTP.Send(bounded, call)
	switch {
	case err == nil:
		t.received(result.Status, result.Body)
		return &socketResult{status: result.Status, header: result.Header, body: result.Body}, nil
	case ctx.Err() != nil:
		return nil, faultUnavailable
	case bounded.Err() != nil:
		return nil, faultTimeout("the endpoint did not answer in time")
	case errors.Is(err, edge.ErrTooLarge):
		return nil, faultBackend("the endpoint's response is larger than 10 MB")
	}
	return nil, faultBackend("the endpoint cannot be reached: " + err.Error())
}

// socketAddress is an integration's URI with the values of its path and the parameters of its query. A value stays one segment.
func socketAddress(uri string, path map[string]string, query []edge.Field) (string, *socketFault) {
	var b strings.Builder
	for uri != "" {
		before, rest, ok := strings.Cut(uri, "{")
		b.WriteString(before)
		if !ok {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		v, found := path[name]
		if !closed || !found || v == "." || v == ".." {
			return "", faultInternal("Invalid endpoint address: the URI names a variable that is not mapped")
		}
		b.WriteString(url.PathEscape(v))
		uri = after
	}
	address := b.String()
	if q := edge.EncodeQuery(query); q != "" {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		address += separator + q
	}
	return address, nil
}
