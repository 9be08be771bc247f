package apigatewayv2

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/jsonmodel"
	"brume/internal/jsontext"
	"brume/internal/mapping"
	"brume/internal/policy"
	"brume/internal/vtl"
)

// A turn is one event of a connection on its way through a route: its handshake, a message, or its end.
type turn struct {
	c         *connection
	stage     *stage       // nil until it is known
	route     *socketRoute // nil if none takes the event
	key       string       // the key of the route
	event     string       // CONNECT, MESSAGE or DISCONNECT
	requestID string
	messageID string // of a message
	time      time.Time
	body      []byte // of a message
	input     *mapping.Input
	traceID   string
	closed    *edge.SocketClosed // of a DISCONNECT
	vars      *vtl.Map

	begun, asked      time.Time
	integrated        bool // the integration was asked
	latency           time.Duration
	integrationStatus int

	logging logging
	lines   []gatewaylog.Event // of the execution log
}

func (c *connection) turn(key, event string, now time.Time) *turn {
	t := &turn{c: c, key: key, event: event, requestID: newRequestID(), time: now, begun: time.Now()}
	if event == "CONNECT" {
		sent, _ := joined(c.req.Header, "X-Amzn-Trace-Id", true)
		t.traceID = traceIDOf(sent, now)
	} else {
		t.traceID = edge.NewTraceID(now)
	}
	return t
}

func (t *turn) attributes(more ...any) []any {
	return append([]any{
		slog.String("api", t.c.at.API), slog.String("stage", t.c.at.Stage), slog.String("route", t.key), slog.String("connection_id", t.c.id), slog.String("request_id", t.requestID),
	}, more...)
}

// A socketFault is why an event is not handled: what the client hears of it, and what the log does.
type socketFault struct {
	status  int // the answer to a handshake
	message string
	reason  string // for the log; "" if there is nothing to say
	err     error  // a fault of ours
}

// What clients hear. https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
var (
	faultForbidden    = &socketFault{status: 403, message: "Forbidden"}
	faultUnauthorized = &socketFault{status: 401, message: "Unauthorized"}
	faultThrottled    = &socketFault{status: 429, message: "Too Many Requests"}
	faultUnavailable  = &socketFault{status: 503, message: "Service Unavailable"}
)

func faultInternal(reason string) *socketFault {
	return &socketFault{status: 500, message: "Internal server error", reason: reason}
}

// faultBackend is for backends that answered what is no answer.
func faultBackend(reason string) *socketFault {
	return &socketFault{status: 502, message: "Internal server error", reason: reason}
}

func faultTimeout(reason string) *socketFault {
	return &socketFault{status: 504, message: "Endpoint request timed out", reason: reason}
}

func faultOurs(err error) *socketFault {
	return &socketFault{status: 500, message: "Internal server error", err: err}
}

// frame is the message that tells the client of a fault.
func (t *turn) frame(f *socketFault) []byte {
	b := append([]byte(nil), `{"message": `...)
	b = jsontext.AppendString(b, f.message)
	b = append(b, `, "connectionId":"`+t.c.id+`", "requestId":"`+t.requestID+`"}`...)
	return b
}

func (t *turn) headers(more ...edge.Field) []edge.Field {
	return append(more, edge.Field{"x-amzn-RequestId", t.requestID})
}

// answer is what a handshake that fails is answered with.
func (t *turn) answer(f *socketFault) *edge.Response {
	kind := ""
	switch f.status {
	case 401:
		kind = "UnauthorizedException"
	case 403:
		kind = "ForbiddenException"
	case 429:
		kind = "TooManyRequestsException"
	default:
		kind = "InternalServerErrorException"
	}
	return &edge.Response{Status: f.status, Header: t.headers(edge.Field{"content-type", "application/json"}, edge.Field{"x-amzn-ErrorType", kind}), Body: t.frame(f)}
}

// runConnect checks who connects, and runs the integration.
func (s *Service) runConnect(ctx context.Context, t *turn) (*socketResult, *socketFault) {
	if !s.admit(t.stage, t.route.id, t.route.throttle, time.Now()) {
		return nil, faultThrottled
	}
	if fault := s.authorizeConnect(ctx, t); fault != nil {
		return nil, fault
	}
	if fault := s.admitKey(ctx, t); fault != nil {
		return nil, fault
	}
	var missing []string
	for _, name := range t.route.required {
		if values := t.handshakeParameter(name); len(values) == 0 || strings.TrimSpace(values[0]) == "" {
			_, name, _ := strings.Cut(strings.TrimPrefix(name, "route.request."), ".")
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, &socketFault{status: 400, message: "Missing required request parameters: [" + strings.Join(missing, ", ") + "]"}
	}
	return s.integrate(ctx, t)
}

// current sets the stage as it is now: connections stay when something new is deployed.
func (s *Service) current(ctx context.Context, t *turn) *socketFault {
	d, err := s.deployedAPI(ctx, t.c.at.API)
	switch {
	case err != nil:
		return faultInternal("") // it is in the log
	case d == nil || !d.socket || d.stages[t.c.at.Stage] == nil:
		return faultForbidden
	}
	t.stage = d.stages[t.c.at.Stage]
	return nil
}

// runMessage finds the route of a message, and runs its integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
func (s *Service) runMessage(ctx context.Context, t *turn) (*socketResult, *socketFault) {
	if fault := s.current(ctx, t); fault != nil {
		return nil, fault
	}
	st := t.stage.socket
	t.input, t.key, t.route = &mapping.Input{Body: t.body}, defaultRoute, st.fallback
	if st.selection != nil {
		if key, ok := st.selection.evaluate(t.input, nil); ok && st.routes[key] != nil {
			t.key, t.route = key, st.routes[key]
		}
	}
	t.beginLog()
	if t.route == nil {
		return nil, faultForbidden
	}
	if !s.admit(t.stage, t.route.id, t.route.throttle, time.Now()) {
		return nil, faultThrottled
	}
	if fault := s.admitKey(ctx, t); fault != nil {
		return nil, fault
	}
	if fault := t.checkBody(); fault != nil {
		return nil, fault
	}
	return s.integrate(ctx, t)
}

func (s *Service) runDisconnect(ctx context.Context, t *turn) *socketFault {
	if s.current(ctx, t) != nil {
		return nil // the stage is gone, and with it whom to tell
	}
	t.route = t.stage.socket.disconnect
	if t.beginLog(); t.route == nil {
		return nil
	}
	_, fault := s.integrate(ctx, t)
	return fault
}

// checkBody checks a message by the model that the route's expression chooses. Messages to proxies are not checked.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
func (t *turn) checkBody() *socketFault {
	r := t.route
	if r.models == nil || r.integration == nil || r.integration.kind == api.IntegrationTypeAwsProxy || r.integration.kind == api.IntegrationTypeHttpProxy {
		return nil
	}
	key, _ := r.models.evaluate(t.input, nil)
	schema := r.schemas[key]
	if schema == nil {
		schema = r.schemas[defaultRoute]
	}
	refused := &socketFault{status: 400, message: "Invalid request body"}
	switch {
	case schema == nil && r.problem != "":
		refused.reason = r.problem
		return refused
	case schema == nil:
		return nil
	}
	if err := jsonmodel.Check(schema, t.body); err != nil {
		return refused
	}
	return nil
}

// authorizeConnect checks who connects, as the route wants it.
func (s *Service) authorizeConnect(ctx context.Context, t *turn) *socketFault {
	switch t.route.authorization {
	case api.AuthorizationTypeNone:
		return nil
	case api.AuthorizationTypeAwsIam:
		p, err := s.signer(ctx, t.c.req, t.stage.api, t.requestID, t.check())
		if err != nil {
			return faultOurs(err)
		}
		if t.c.principal = p; p == nil {
			return faultForbidden
		}
		return nil
	case api.AuthorizationTypeCustom:
		return s.authorizeByRequest(ctx, t)
	}
	return faultForbidden // what we do not know does not pass
}

func (t *turn) check() policy.Check {
	return policy.Check{Action: "execute-api:Invoke", Resource: t.arn(), ResourceAccount: t.c.account}
}

// arn is the route as policies of callers and of functions name it: "…:API/STAGE/$connect".
func (t *turn) arn() string {
	return "arn:aws:execute-api:" + t.c.region + ":" + t.c.account + ":" + t.c.at.API + "/" + t.c.at.Stage + "/" + t.key
}

// authorizeByRequest asks a Lambda authorizer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
func (s *Service) authorizeByRequest(ctx context.Context, t *turn) *socketFault {
	a := t.route.authorizer
	switch {
	case a == nil || a.kind != api.AuthorizerTypeRequest:
		return faultForbidden
	case a.function == "":
		return faultInternal("the authorizer's URI names no function")
	}
	for _, source := range a.sources {
		if values := t.values(source); len(values) == 0 || values[0] == "" {
			return faultUnauthorized
		}
	}
	e := t.newEvent()
	e.Type, e.MethodARN, e.IsBase64 = "REQUEST", t.arn(), nil
	if e.Query == nil {
		e.Query, e.MultiQuery = map[string]string{}, map[string][]string{}
	}
	if e.StageVariables == nil {
		e.StageVariables = map[string]string{}
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return faultOurs(err)
	}
	begin := time.Now()
	source := "arn:aws:execute-api:" + t.c.region + ":" + t.c.account + ":" + t.c.at.API + "/authorizers/" + a.id
	result, fault := s.runFunction(ctx, t, a.function, a.qualifier, a.credentials, source, maxSocketTimeout*time.Millisecond, payload)
	if fault != nil {
		return faultInternal("the authorizer: " + fault.reason)
	}
	if result.FunctionError != "" {
		if errorMessage(result.Payload) == "Unauthorized" {
			return faultUnauthorized
		}
		return faultInternal("the authorizer failed: " + clip(string(result.Payload)))
	}
	const maxResult = 8 << 10 // "AWS Lambda authorizer result size"
	if len(result.Payload) > maxResult {
		return faultInternal("the authorizer's response is larger than 8 KB")
	}
	got, err := parseAuthorized(result.Payload, false)
	if err != nil {
		return faultInternal("the authorizer's response is not valid: " + err.Error())
	}
	if !got.allows(t.c.req, t.stage.api, t.requestID, t.check()) {
		return faultForbidden
	}
	t.c.authorized, t.c.latency = got, time.Since(begin)
	t.vars = nil // they may have been asked for without it
	return nil
}

// errorMessage is what a function that failed says.
func errorMessage(payload []byte) string {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &e) != nil {
		return ""
	}
	return e.Message
}

// admitKey takes the API key of a client whose route wants one. What it shows in its handshake goes for its messages, too.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
func (s *Service) admitKey(ctx context.Context, t *turn) *socketFault {
	if !t.route.keyRequired {
		return nil
	}
	sent, _ := joined(t.c.req.Header, "X-Api-Key", true)
	if t.stage.socket.keyFromAuthorizer {
		if sent = ""; t.c.authorized != nil {
			sent = t.c.authorized.usageKey
		}
	}
	if sent == "" || s.APIKeys == nil {
		return faultForbidden
	}
	key, err := s.APIKeys.AdmitKey(ctx, edge.KeyUse{Account: t.c.account, Region: t.c.region, API: t.c.at.API, Stage: t.c.at.Stage, Method: t.key, Value: sent})
	switch {
	case errors.Is(err, edge.ErrKey):
		return faultForbidden
	case errors.Is(err, edge.ErrKeyThrottled):
		return faultThrottled
	case errors.Is(err, edge.ErrKeyQuota):
		return &socketFault{status: 429, message: "Limit Exceeded"}
	case err != nil:
		return faultOurs(err)
	}
	if t.event == "CONNECT" {
		t.c.apiKey, t.vars = key, nil // likewise
	}
	return nil
}

// values are what an expression finds: in the handshake, in the message, among the variables. Only those of several values
// have more than one.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html
func (t *turn) values(source string) []string {
	if len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' {
		return []string{source[1 : len(source)-1]}
	}
	if strings.HasPrefix(source, "route.request.body") {
		if source == "route.request.body" {
			return []string{string(t.body)}
		}
		if t.input == nil {
			return nil
		}
		v, err := t.input.Path("$" + strings.TrimPrefix(source, "route.request.body"))
		if err != nil || v == nil {
			return nil
		}
		if text, ok := v.(string); ok {
			return []string{text}
		}
		if text, err := vtl.JSON(v); err == nil {
			return []string{text}
		}
		return nil
	}
	if name, ok := strings.CutPrefix(source, "stageVariables."); ok {
		if v, ok := t.stage.variables[name]; ok {
			return []string{v}
		}
		return nil
	}
	if name, ok := strings.CutPrefix(source, "context."); ok {
		if v, ok := lookUp(t.context(), name); ok {
			return []string{v}
		}
		return nil
	}
	return t.handshakeParameter(source)
}

// handshakeParameter are the values of "route.request.PLACE.NAME", which only $connect has.
func (t *turn) handshakeParameter(source string) (values []string) {
	if t.event != "CONNECT" {
		return nil
	}
	place, name, _ := strings.Cut(strings.TrimPrefix(source, "route.request."), ".")
	place, multi := strings.CutPrefix(place, "multivalue")
	fields := t.c.req.Query
	if place == "header" {
		fields = t.c.req.Header
	}
	for _, f := range fields {
		if f.Name == name || place == "header" && strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	if !multi && len(values) > 1 {
		values = values[len(values)-1:]
	}
	return values
}

// domain is the name of the API, as AWS gives it. Functions reach the API by it, whatever name the client has used.
func (t *turn) domain() string {
	return t.c.at.API + ".execute-api." + t.c.region + ".amazonaws.com"
}

func (t *turn) requestTime() string { return t.time.UTC().Format("02/Jan/2006:15:04:05 -0700") }

func (t *turn) sourceIP() string {
	if !t.c.req.SourceIP.IsValid() {
		return ""
	}
	return t.c.req.SourceIP.Unmap().String()
}

func (t *turn) userAgent() string {
	v, _ := joined(t.c.req.Header, "User-Agent", true)
	return v
}

// context is $context of mapping templates and parameters.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
func (t *turn) context() *vtl.Map {
	if t.vars != nil {
		return t.vars
	}
	m := mapping.Lenient([]edge.Field{
		{"accountId", t.c.account}, {"apiId", t.c.at.API}, {"connectionId", t.c.id}, {"domainName", t.domain()}, {"eventType", t.event},
		{"extendedRequestId", t.requestID}, {"messageDirection", "IN"}, {"requestId", t.requestID}, {"requestTime", t.requestTime()}, {"routeKey", t.key},
		{"stage", t.c.at.Stage},
	})
	m.Set("connectedAt", t.c.connectedAt.UnixMilli())
	m.Set("requestTimeEpoch", t.time.UnixMilli())
	if t.messageID != "" {
		m.Set("messageId", t.messageID)
	}
	if t.closed != nil {
		m.Set("disconnectStatusCode", int64(t.closed.Status))
		m.Set("disconnectReason", t.closed.Reason)
	}
	identity := mapping.Lenient([]edge.Field{{"sourceIp", t.sourceIP()}, {"userAgent", t.userAgent()}})
	for name, v := range t.identity() {
		identity.Set(name, v)
	}
	m.Set("identity", identity)
	if a := t.authorizer(); a != nil {
		authorizer := mapping.Lenient(nil)
		for _, name := range slices.Sorted(maps.Keys(a)) {
			authorizer.Set(name, a[name])
		}
		m.Set("authorizer", authorizer)
	}
	t.vars = m
	return m
}

// lookUp is the text of a variable: "identity.sourceIp".
func lookUp(m *vtl.Map, name string) (string, bool) {
	first, rest, nested := strings.Cut(name, ".")
	v, ok := m.Get(first)
	if !ok || v == nil {
		return "", false
	}
	if nested {
		inner, ok := v.(*vtl.Map)
		if !ok {
			return "", false
		}
		return lookUp(inner, rest)
	}
	text, err := vtl.Text(v)
	return text, err == nil
}

// identity is what is known of the client besides its address.
func (t *turn) identity() map[string]string {
	m := map[string]string{}
	if p := t.c.principal; p != nil {
		m["accountId"], m["accessKey"], m["caller"], m["user"], m["userArn"] = p.Account, p.AccessKeyID, p.ID, p.ID, p.ARN
	}
	if k := t.c.apiKey; k != nil {
		m["apiKey"], m["apiKeyId"] = k.Value, k.ID
	}
	return m
}

// authorizer is what the authorizer has added to the connection, all of it as text but for the latency; nil for nothing.
func (t *turn) authorizer() map[string]any {
	a := t.c.authorized
	if a == nil {
		return nil
	}
	m := map[string]any{"principalId": a.principalID, "integrationLatency": t.c.latency.Milliseconds()}
	for name, raw := range a.context {
		if v, ok := textOf(raw); ok {
			m[name] = v
		}
	}
	return m
}

// A socketEvent is what functions get. What there is nothing of is not in it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
type socketEvent struct {
	Type           string              `json:"type,omitempty"` // of authorizers
	MethodARN      string              `json:"methodArn,omitempty"`
	Headers        map[string]string   `json:"headers,omitempty"`
	MultiHeaders   map[string][]string `json:"multiValueHeaders,omitempty"`
	Query          map[string]string   `json:"queryStringParameters,omitzero"`
	MultiQuery     map[string][]string `json:"multiValueQueryStringParameters,omitzero"`
	RequestContext socketContext       `json:"requestContext"`
	StageVariables map[string]string   `json:"stageVariables,omitzero"`
	Body           *string             `json:"body,omitempty"`
	IsBase64       *bool               `json:"isBase64Encoded,omitempty"`
}

type socketContext struct {
	RouteKey         string         `json:"routeKey"`
	Authorizer       map[string]any `json:"authorizer,omitempty"`
	MessageID        string         `json:"messageId,omitempty"`
	DisconnectStatus *int           `json:"disconnectStatusCode,omitempty"`
	EventType        string         `json:"eventType"`
	ExtendedID       string         `json:"extendedRequestId"`
	RequestTime      string         `json:"requestTime"`
	Direction        string         `json:"messageDirection"`
	DisconnectReason *string        `json:"disconnectReason,omitempty"`
	Stage            string         `json:"stage"`
	ConnectedAt      int64          `json:"connectedAt"`
	RequestTimeEpoch int64          `json:"requestTimeEpoch"`
	Identity         map[string]any `json:"identity"`
	RequestID        string         `json:"requestId"`
	DomainName       string         `json:"domainName"`
	ConnectionID     string         `json:"connectionId"`
	APIID            string         `json:"apiId"`
}

func (t *turn) newEvent() *socketEvent {
	e := &socketEvent{StageVariables: nilIfEmpty(t.stage.variables), IsBase64: new(false)}
	c := &e.RequestContext
	c.RouteKey, c.EventType, c.MessageID, c.Direction, c.Stage = t.key, t.event, t.messageID, "IN", t.c.at.Stage
	c.ExtendedID, c.RequestID, c.ConnectionID, c.APIID, c.DomainName = t.requestID, t.requestID, t.c.id, t.c.at.API, t.domain()
	c.ConnectedAt, c.RequestTimeEpoch, c.RequestTime = t.c.connectedAt.UnixMilli(), t.time.UnixMilli(), t.requestTime()
	c.Authorizer = t.authorizer()
	c.Identity = map[string]any{"sourceIp": t.sourceIP()}
	if agent := t.userAgent(); agent != "" {
		c.Identity["userAgent"] = agent
	}
	for name, v := range t.identity() {
		c.Identity[name] = v
	}
	if t.c.principal != nil {
		for _, name := range []string{"cognitoAuthenticationProvider", "cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId"} {
			c.Identity[name] = nil
		}
	}
	switch t.event {
	case "CONNECT":
		e.Headers, e.MultiHeaders = lastAndAll(t.handshakeHeaders())
		e.Query, e.MultiQuery = lastAndAll(t.c.req.Query)
	case "MESSAGE":
		e.Body = new(string(t.body))
	case "DISCONNECT":
		c.DisconnectStatus, c.DisconnectReason = &t.closed.Status, &t.closed.Reason
		e.Headers, e.MultiHeaders = lastAndAll([]edge.Field{{"Host", t.domain()}, {"x-api-key", ""}, {"X-Forwarded-For", ""}, {"x-restapi", ""}})
	}
	return e
}

// handshakeHeaders are those that a client has sent, with what a proxy adds, and without what speaks of its connection to us.
func (t *turn) handshakeHeaders() []edge.Field {
	fields := make([]edge.Field, 0, len(t.c.req.Header)+4)
	forwarded := ""
	for _, f := range t.c.req.Header {
		switch name := strings.ToLower(f.Name); name {
		case "connection", "upgrade", "keep-alive", "te", "trailer", "transfer-encoding", "proxy-connection", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id":
		case "x-forwarded-for":
			forwarded += f.Value + ", "
		default:
			if rest, ok := strings.CutPrefix(name, "sec-websocket-"); ok && rest != "" {
				f.Name = "Sec-WebSocket-" + strings.ToUpper(rest[:1]) + rest[1:]
			}
			fields = append(fields, f)
		}
	}
	proto, port := t.c.req.Forwarded()
	return append(fields, edge.Field{"X-Amzn-Trace-Id", t.traceID}, edge.Field{"X-Forwarded-For", forwarded + t.sourceIP()},
		edge.Field{"X-Forwarded-Port", port}, edge.Field{"X-Forwarded-Proto", proto})
}
