package apigatewayv2

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/edge"
	"brume/internal/kv"
)

// Invoke answers a request to a deployed API; false if the API is none of this service's. It never fails: what goes wrong
// inside is answered as API Gateway does, and logged where it is a fault of ours or of the API's configuration.
func (s *Service) Invoke(ctx context.Context, req *edge.Request) (*edge.Response, bool) {
	d, err := s.deployedAPI(ctx, req.API)
	switch {
	case err != nil:
		return failed(), true
	case d == nil:
		return nil, false
	case d.socket:
		return message(403, "Missing Authentication Token"), true // nothing but handshakes and the connections' own API
	}
	x := &exchange{req: req, requestID: newRequestID(), begin: time.Now()}
	x.traceID = traceIDOf(x.header("X-Amzn-Trace-Id"), req.Time)
	if d.disabled && req.Custom == nil || !x.choose(d) {
		return s.finish(x, message(404, "Not Found")), true
	}
	if req.TooLong {
		return s.finish(x, message(413, "Request Entity Too Large")), true
	}
	// A route that takes the method OPTIONS takes preflights too, with all that it asks for.
	if x.route, x.params = x.stage.routes.match(req.Method, x.path); x.route == nil {
		if r := x.preflight(); r != nil {
			return s.finish(x, r), true
		}
		return s.finish(x, message(404, "Not Found")), true
	}
	return s.finish(x, s.serve(ctx, x)), true
}

// deployedAPI reads an API, nil if there is none. A fault is logged.
func (s *Service) deployedAPI(ctx context.Context, id string) (d *deployed, err error) {
	err = s.Store.View(ctx, func(r kv.Reader) (err error) {
		d, err = s.apiIn(r, id)
		return err
	})
	if err != nil {
		s.Log.ErrorContext(ctx, "API Gateway could not read an API", slog.String("api", id), slog.String("error", err.Error()))
	}
	return d, err
}

// serve answers a request that has a route.
func (s *Service) serve(ctx context.Context, x *exchange) *edge.Response {
	if !s.admit(x.stage, x.route.id, x.route.throttle, time.Now()) {
		return message(429, "Too Many Requests")
	}
	refusal, err := s.authorize(ctx, x)
	if err != nil {
		s.Log.ErrorContext(ctx, "API Gateway could not authorize a request", slog.String("api", x.stage.api.id), slog.String("request_id", x.requestID),
			slog.String("error", err.Error()))
		return failed()
	}
	if refusal != nil {
		return refusal
	}
	in := x.route.integration
	switch {
	case in == nil:
		return s.refuse(ctx, x, failed(), "the route has no integration")
	case in.problem != "":
		return s.refuse(ctx, x, failed(), in.problem)
	}
	var r *edge.Response
	begin := time.Now()
	if in.kind == api.IntegrationTypeAwsProxy {
		r = s.lambdaProxy(ctx, x)
	} else {
		r = s.httpProxy(ctx, x)
	}
	x.integration.begun, x.integration.latency = true, time.Since(begin)
	if len(r.Body) > edge.MaxBody {
		return s.refuse(ctx, x, failed(), "the integration's response is larger than 10 MB")
	}
	if x.integrated {
		x.integration.status = r.Status
		x.mapResponse(r)
	}
	return r
}

// admit takes a token out of each bucket that a request goes through: the route's in its stage and the account's.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
func (s *Service) admit(st *stage, route string, limit *edge.Limit, now time.Time) bool {
	d := st.api
	if limit != nil && !s.Buckets.Take(edge.BucketID{Kind: "route", Owner: d.id, Key: st.name, Method: route}, *limit, now) {
		return false
	}
	return s.Buckets.Take(edge.BucketID{Kind: "account", Owner: d.account, Key: d.region}, edge.AccountLimit(), now)
}

// message is an answer of API Gateway's own.
func message(status int, text string) *edge.Response {
	return &edge.Response{Status: status, Header: []edge.Field{{"content-type", "application/json"}}, Body: []byte(`{"message":"` + text + `"}`)}
}

func failed() *edge.Response      { return message(500, "Internal Server Error") }
func unavailable() *edge.Response { return message(503, "Service Unavailable") }

// refuse answers for an integration that cannot be used, and says why in the log.
func (s *Service) refuse(ctx context.Context, x *exchange, r *edge.Response, reason string) *edge.Response {
	x.integrated, x.integration.problem = false, reason
	s.Log.WarnContext(ctx, "API Gateway: "+clip(reason), slog.String("api", x.stage.api.id), slog.String("stage", x.stage.name),
		slog.String("route", x.route.key0), slog.String("request_id", x.requestID))
	return r
}

// finish adds what every answer carries, and logs the request.
func (s *Service) finish(x *exchange, r *edge.Response) *edge.Response {
	if x.stage != nil {
		r.Header = x.withCors(r.Header)
	}
	r.Header = append(slices.Clip(r.Header), edge.Field{"apigw-requestid", x.requestID})
	s.logAccess(x, r)
	return r
}

func traceIDOf(sent string, now time.Time) string {
	if strings.HasPrefix(sent, "Root=1-") && len(sent) <= 256 && edge.ValidHeader(edge.Field{Name: "a", Value: sent}) {
		return sent
	}
	return edge.NewTraceID(now)
}

// lambdaProxy hands the request to a function and takes the response from it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
func (s *Service) lambdaProxy(ctx context.Context, x *exchange) *edge.Response {
	in := x.route.integration
	event, err := x.event(in.version, x.mapRequest())
	if err != nil {
		return s.refuse(ctx, x, failed(), err.Error())
	}
	result, refusal := s.callLambda(ctx, x, in.function, in.qualifier, in.credentials, x.sourceARN(), in.timeout, event)
	if refusal != nil {
		return refusal
	}
	payload := result.Payload
	a, ok := edge.ReadAnswer(payload)
	if !ok || a.Status < 200 {
		return s.refuse(ctx, x, failed(), "The response from the Lambda function doesn't match the format that API Gateway expects.")
	}
	if a.Bare && in.version == "1.0" {
		return s.refuse(ctx, x, failed(), "The response from the Lambda function doesn't match the format that API Gateway expects: it has no statusCode.")
	}
	x.integrated = true
	r := response(a)
	if in.version == "1.0" {
		r.Header = append(r.Header, passed(multiValues(payload))...)
	}
	return r
}

// response turns what a function returned into an answer.
func response(a *edge.Answer) *edge.Response {
	r := &edge.Response{Status: a.Status, Body: a.Body}
	header := a.Header
	if a.Bare {
		header = map[string]string{"content-type": "application/json"}
		r.Body = textBody(a.Body)
	}
	fields := fieldsOf(header)
	for _, c := range a.Cookies {
		fields = append(fields, edge.Field{"set-cookie", c})
	}
	fields = passed(fields)
	if _, ok := joined(fields, "content-type", true); !ok {
		fields = append(fields, edge.Field{"content-type", "text/plain;charset=UTF-8"})
	}
	r.Header = fields
	return r
}

// passed are the headers of an answer that clients get: those that speak of one connection are ours, and none breaks out of
// its line.
func passed(fields []edge.Field) []edge.Field {
	return slices.DeleteFunc(fields, func(f edge.Field) bool {
		switch strings.ToLower(f.Name) {
		case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authenticate", "content-length", "apigw-requestid", "date":
			return true
		}
		return !edge.ValidHeader(f)
	})
}

// callLambda runs a function. On failure it returns the answer to give.
func (s *Service) callLambda(ctx context.Context, x *exchange, function, qualifier, role, sourceARN string, timeout time.Duration, event []byte) (*edge.LambdaResult, *edge.Response) {
	// A client that goes away does not stop its function, just as in AWS.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	result, err := s.Lambda.Invoke(bounded, &edge.LambdaInvocation{
		FunctionARN: function, Qualifier: qualifier, Payload: event, SourceARN: sourceARN, SourceAccount: x.stage.api.account, Region: x.stage.api.region,
		RoleARN: role, TraceID: x.traceID,
	})
	var known awserr.Error
	switch {
	case err != nil && bounded.Err() != nil:
		return nil, s.refuse(ctx, x, unavailable(), "the function did not answer in time")
	case errors.As(err, &known) && known.ErrorCode() == "TooManyRequestsException":
		return nil, s.refuse(ctx, x, unavailable(), "Lambda throttled the function: "+known.ErrorMessage())
	case errors.As(err, &known):
		r := s.refuse(ctx, x, failed(), "the function could not be invoked: "+known.ErrorCode()+": "+known.ErrorMessage())
		if known.ErrorCode() == "AccessDeniedException" || known.ErrorCode() == "AccessDenied" {
			x.integration.service = 403
			x.integration.problem = "The IAM role configured on the integration or API Gateway doesn't have permissions to call the integration. Check the permissions and try again."
		}
		return nil, r
	case err != nil:
		s.Log.ErrorContext(ctx, "API Gateway could not call Lambda", slog.String("api", x.stage.api.id), slog.String("request_id", x.requestID), slog.String("error", err.Error()))
		return nil, failed()
	}
	x.integration.service, x.integration.requestID = 200, result.RequestID
	if result.FunctionError != "" {
		return nil, s.refuse(ctx, x, failed(), "the function failed: "+clip(string(result.Payload)))
	}
	return result, nil
}

// httpProxy hands the request to an endpoint and takes the answer from it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-http.html
func (s *Service) httpProxy(ctx context.Context, x *exchange) *edge.Response {
	in := x.route.integration
	out := x.mapRequest()
	address, err := x.address(in.uri, out)
	if err != nil {
		return s.refuse(ctx, x, failed(), err.Error())
	}
	method := in.method
	if method == "ANY" {
		method = x.req.Method
	}
	proto := "http"
	if x.req.Secure {
		proto = "https"
	}
	out.header = slices.DeleteFunc(out.header, func(f edge.Field) bool {
		return f.Name == "host" || f.Name == "content-length" || strings.HasPrefix(f.Name, "x-forwarded-")
	})
	domain, _ := x.domain()
	out.header = append(out.header, edge.Field{"forwarded", "for=" + x.sourceIP() + ";host=" + domain + ";proto=" + proto}, edge.Field{"via", "HTTP/1.1 AmazonAPIGateway"})
	bounded, cancel := context.WithTimeout(ctx, in.timeout)
	defer cancel()
	result, err := s.HTTP.Send(bounded, &edge.HTTPCall{Method: method, URL: address, Header: out.header, Body: x.req.Body})
	switch {
	case errors.Is(err, edge.ErrTooLarge):
		return s.refuse(ctx, x, failed(), "the endpoint's response is larger than 10 MB")
	case err != nil && bounded.Err() != nil:
		return s.refuse(ctx, x, unavailable(), "the endpoint did not answer in time")
	case err != nil:
		return s.refuse(ctx, x, unavailable(), "the endpoint cannot be reached: "+err.Error())
	}
	x.integrated, x.integration.service = true, result.Status
	for _, f := range result.Header {
		switch strings.ToLower(f.Name) {
		case "x-amzn-requestid", "x-amz-request-id":
			x.integration.requestID = f.Value
		case "x-amz-id-2":
			x.integration.requestID2 = f.Value
		}
	}
	return &edge.Response{Status: result.Status, Header: passed(slices.Clone(result.Header)), Body: result.Body}
}

var errNoVariable = errors.New("the integration's URI names a variable that the route's path does not have")

// address is where a request goes: the integration's URI with the path's variables in it. A path that is mapped takes the
// place of the URI's; behind the URI of the default route's comes the whole path of the request.
func (x *exchange) address(uri string, out *outgoing) (string, error) {
	var b strings.Builder
	for uri != "" {
		before, rest, ok := strings.Cut(uri, "{")
		b.WriteString(before)
		if !ok {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		v, found := joined(x.params, strings.TrimSuffix(name, "+"), false)
		if !closed || !found {
			return "", errNoVariable
		}
		if strings.HasSuffix(name, "+") || x.isGreedy(name) {
			v = (&url.URL{Path: v}).EscapedPath()
		} else {
			v = url.PathEscape(v)
		}
		b.WriteString(v)
		uri = after
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return "", err
	}
	switch {
	case out.pathMapped:
		setPath(u, edge.EscapePath(out.path))
	case x.route.key.method == "" && x.rawPath != "/":
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-routes-default
		setPath(u, strings.TrimSuffix(u.EscapedPath(), "/")+edge.EscapePath(x.rawPath))
	}
	if out.rawQuery != "" {
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+out.rawQuery, "&")
	}
	return u.String(), nil
}

func setPath(u *url.URL, escaped string) {
	u.Path, u.RawPath = escaped, escaped
	if p, err := url.PathUnescape(escaped); err == nil {
		u.Path = p
	}
}

func (x *exchange) isGreedy(name string) bool {
	return slices.ContainsFunc(x.route.key.segments, func(s segment) bool { return s.variable == name && s.greedy })
}

// preflight answers a browser that asks what it may do; nil if there is none, or the API does not speak of CORS.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
func (x *exchange) preflight() *edge.Response {
	if x.stage.cors == nil || x.req.Method != "OPTIONS" || x.header("Origin") == "" || x.header("Access-Control-Request-Method") == "" {
		return nil
	}
	return &edge.Response{Status: 204}
}

// withCors adds the headers of CORS. Where the API has its own, those of integrations are ignored.
func (x *exchange) withCors(fields []edge.Field) []edge.Field {
	c := x.stage.cors
	if c == nil {
		return fields
	}
	fields = slices.DeleteFunc(slices.Clone(fields), func(f edge.Field) bool {
		return len(f.Name) > 15 && strings.EqualFold(f.Name[:15], "access-control-")
	})
	origin := x.header("Origin")
	if origin == "" {
		return fields
	}
	any := slices.Contains(c.AllowOrigins, "*")
	allowed := any || slices.ContainsFunc(c.AllowOrigins, func(o string) bool {
		// "https://*" allows every origin of a scheme.
		if scheme, ok := strings.CutSuffix(o, "*"); ok {
			return strings.HasPrefix(strings.ToLower(origin), strings.ToLower(scheme))
		}
		return strings.EqualFold(o, origin)
	})
	if !allowed {
		return fields
	}
	add := func(name string, values ...string) {
		if len(values) > 0 {
			fields = append(fields, edge.Field{"access-control-" + name, strings.Join(values, ",")})
		}
	}
	if any {
		add("allow-origin", "*")
	} else {
		add("allow-origin", origin)
		fields = append(fields, edge.Field{"vary", "Origin"})
	}
	if value(c.AllowCredentials) {
		add("allow-credentials", "true")
	}
	add("expose-headers", c.ExposeHeaders...)
	if x.req.Method != "OPTIONS" {
		return fields
	}
	add("allow-methods", c.AllowMethods...)
	add("allow-headers", c.AllowHeaders...)
	if c.MaxAge != nil {
		add("max-age", strconv.Itoa(int(*c.MaxAge)))
	}
	return fields
}

// textBody is a body that a function returned without a response around it: text as it is, anything else as JSON.
func textBody(payload []byte) []byte {
	if s, ok := jsonString(payload); ok {
		return []byte(s)
	}
	return payload
}

// encoded is a body as an event has it.
func encoded(req *edge.Request) (text string, base64Encoded bool) {
	contentType, _ := joined(req.Header, "content-type", true)
	contentEncoding, _ := joined(req.Header, "content-encoding", true)
	if edge.IsText(contentType, contentEncoding) && validText(req.Body) {
		return string(req.Body), false
	}
	return base64.StdEncoding.EncodeToString(req.Body), true
}
