package apigatewayv2

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"brume/internal/edge"
)

// What a function gets for a request, in both formats. Of what is null in AWS's events, format 1.0 has null, and 2.0 nothing.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

type eventV2 struct {
	Version        string            `json:"version"`
	Type           string            `json:"type,omitempty"`     // of authorizers
	RouteARN       string            `json:"routeArn,omitempty"` // likewise
	IdentitySource []string          `json:"identitySource,omitempty"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext contextV2         `json:"requestContext"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	StageVariables map[string]string `json:"stageVariables,omitempty"`
	Body           *string           `json:"body,omitempty"`
	IsBase64       *bool             `json:"isBase64Encoded,omitempty"`
}

type contextV2 struct {
	AccountID    string         `json:"accountId"`
	APIID        string         `json:"apiId"`
	Authorizer   map[string]any `json:"authorizer,omitempty"`
	DomainName   string         `json:"domainName"`
	DomainPrefix string         `json:"domainPrefix"`
	HTTP         struct {
		Method    string `json:"method"`
		Path      string `json:"path"`
		Protocol  string `json:"protocol"`
		SourceIP  string `json:"sourceIp"`
		UserAgent string `json:"userAgent"`
	} `json:"http"`
	RequestID string `json:"requestId"`
	RouteKey  string `json:"routeKey"`
	Stage     string `json:"stage"`
	Time      string `json:"time"`
	TimeEpoch int64  `json:"timeEpoch"`
}

type eventV1 struct {
	Version        string              `json:"version"`
	Type           string              `json:"type,omitempty"`
	MethodARN      string              `json:"methodArn,omitempty"`
	IdentitySource string              `json:"identitySource,omitempty"`
	Token          string              `json:"authorizationToken,omitempty"`
	Resource       string              `json:"resource"`
	Path           string              `json:"path"`
	Method         string              `json:"httpMethod"`
	Headers        map[string]string   `json:"headers"`
	MultiHeaders   map[string][]string `json:"multiValueHeaders,omitempty"`
	Query          map[string]string   `json:"queryStringParameters"`
	MultiQuery     map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	RequestContext contextV1           `json:"requestContext"`
	PathParameters map[string]string   `json:"pathParameters"`
	StageVariables map[string]string   `json:"stageVariables"`
	Body           *string             `json:"body,omitempty"`
	IsBase64       *bool               `json:"isBase64Encoded,omitempty"`
}

type contextV1 struct {
	AccountID    string         `json:"accountId"`
	APIID        string         `json:"apiId"`
	Authorizer   map[string]any `json:"authorizer,omitempty"`
	DomainName   string         `json:"domainName"`
	DomainPrefix string         `json:"domainPrefix"`
	ExtendedID   string         `json:"extendedRequestId"`
	Method       string         `json:"httpMethod"`
	Identity     identityV1     `json:"identity"`
	Path         string         `json:"path"`
	Protocol     string         `json:"protocol"`
	RequestID    string         `json:"requestId"`
	Time         string         `json:"requestTime"`
	TimeEpoch    int64          `json:"requestTimeEpoch"`
	ResourceID   string         `json:"resourceId"`
	ResourcePath string         `json:"resourcePath"`
	Stage        string         `json:"stage"`
}

type identityV1 struct {
	AccessKey      *string `json:"accessKey"`
	AccountID      *string `json:"accountId"`
	Caller         *string `json:"caller"`
	AuthProvider   *string `json:"cognitoAuthenticationProvider"`
	AuthType       *string `json:"cognitoAuthenticationType"`
	IdentityID     *string `json:"cognitoIdentityId"`
	IdentityPool   *string `json:"cognitoIdentityPoolId"`
	PrincipalOrgID *string `json:"principalOrgId"`
	SourceIP       string  `json:"sourceIp"`
	User           *string `json:"user"`
	UserAgent      string  `json:"userAgent"`
	UserARN        *string `json:"userArn"`
}

// event is what a function of an integration gets.
func (x *exchange) event(version string, out *outgoing) ([]byte, error) {
	text, is64 := encoded(x.req)
	if version == "2.0" {
		e := x.eventV2(out)
		if e.IsBase64 = new(false); len(x.req.Body) > 0 {
			e.Body, e.IsBase64 = &text, &is64
		}
		return json.Marshal(e)
	}
	e := x.eventV1(out)
	if e.IsBase64 = new(false); len(x.req.Body) > 0 {
		e.Body, e.IsBase64 = &text, &is64
	}
	return json.Marshal(e)
}

func (x *exchange) eventV2(out *outgoing) *eventV2 {
	e := &eventV2{
		Version: "2.0", RouteKey: x.route.key0, RawPath: x.pathOf(out), RawQueryString: out.rawQuery, Headers: map[string]string{},
		Query: joinedMap(out.query), PathParameters: joinedMap(x.params), StageVariables: x.stage.variables,
	}
	for _, f := range out.header {
		if f.Name == "cookie" {
			for c := range strings.SplitSeq(f.Value, ";") {
				if c = strings.TrimSpace(c); c != "" {
					e.Cookies = append(e.Cookies, c)
				}
			}
			continue
		}
		name := strings.ToLower(f.Name)
		if before, ok := e.Headers[name]; ok {
			f.Value = before + "," + f.Value
		}
		e.Headers[name] = f.Value
	}
	c := &e.RequestContext
	c.AccountID, c.APIID, c.RequestID, c.RouteKey, c.Stage = x.stage.api.account, x.stage.api.id, x.requestID, x.route.key0, x.stage.name
	c.DomainName, c.DomainPrefix = x.domain()
	c.Time, c.TimeEpoch = x.requestTime(), x.req.Time.UnixMilli()
	c.HTTP.Method, c.HTTP.Path, c.HTTP.Protocol, c.HTTP.SourceIP, c.HTTP.UserAgent = x.req.Method, e.RawPath, x.req.Protocol, x.sourceIP(), x.header("User-Agent")
	switch a := x.authorized; {
	case x.principal != nil:
		p := x.principal
		c.Authorizer = map[string]any{"iam": map[string]any{
			"accessKey": p.AccessKeyID, "accountId": p.Account, "callerId": p.ID, "cognitoIdentity": nil, "principalOrgId": nil, "userArn": p.ARN, "userId": p.ID,
		}}
	case a != nil && a.claims != nil:
		c.Authorizer = map[string]any{"jwt": map[string]any{"claims": a.claims, "scopes": a.scopes}}
	case a != nil:
		c.Authorizer = map[string]any{"lambda": a.context}
	}
	return e
}

func (x *exchange) eventV1(out *outgoing) *eventV1 {
	path := x.route.key.path
	if path == "" {
		path = defaultRoute
	}
	e := &eventV1{
		Version: "1.0", Resource: path, Path: x.pathOf(out), Method: x.req.Method, PathParameters: joinedMap(x.params), StageVariables: nilIfEmpty(x.stage.variables),
	}
	e.Headers, e.MultiHeaders = lastAndAll(out.header)
	e.Query, e.MultiQuery = lastAndAll(out.query)
	c := &e.RequestContext
	c.AccountID, c.APIID, c.RequestID, c.ExtendedID, c.Stage = x.stage.api.account, x.stage.api.id, x.requestID, x.requestID, x.stage.name
	c.DomainName, c.DomainPrefix = x.domain()
	c.Method, c.Path, c.Protocol, c.ResourceID, c.ResourcePath = x.req.Method, e.Path, x.req.Protocol, x.route.key0, path
	c.Time, c.TimeEpoch = x.requestTime(), x.req.Time.UnixMilli()
	c.Identity.SourceIP, c.Identity.UserAgent = x.sourceIP(), x.header("User-Agent")
	if p := x.principal; p != nil {
		id := &c.Identity
		id.AccessKey, id.AccountID, id.Caller, id.User, id.UserARN = &p.AccessKeyID, &p.Account, &p.ID, &p.ID, &p.ARN
	}
	if a := x.authorized; a != nil && a.claims != nil {
		c.Authorizer = map[string]any{"claims": a.claims, "scopes": a.scopes}
	} else if a != nil {
		c.Authorizer = map[string]any{}
		for name, v := range a.context {
			c.Authorizer[name] = v
		}
		if a.principalID != "" {
			c.Authorizer["principalId"] = a.principalID
		}
	}
	return e
}

// pathOf is the path that an event shows: in HTTP APIs it is decoded, whatever its name. The query string is not.
// https://github.com/aws/aws-lambda-dotnet/pull/1901
func (x *exchange) pathOf(out *outgoing) string {
	path := x.rawPath
	if out.pathMapped {
		path = x.prefix + out.path
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

func nilIfEmpty(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

// joinedMap has the values of each name with commas between; nil for none.
func joinedMap(fields []edge.Field) map[string]string {
	var m map[string]string
	for _, f := range fields {
		if m == nil {
			m = map[string]string{}
		}
		if before, ok := m[f.Name]; ok {
			f.Value = before + "," + f.Value
		}
		m[f.Name] = f.Value
	}
	return m
}

// lastAndAll has the last value, and all values, of each name; nil for none.
func lastAndAll(fields []edge.Field) (last map[string]string, all map[string][]string) {
	for _, f := range fields {
		if last == nil {
			last, all = map[string]string{}, map[string][]string{}
		}
		last[f.Name] = f.Value
		all[f.Name] = append(all[f.Name], f.Value)
	}
	return last, all
}

func validText(b []byte) bool { return utf8.Valid(b) }

// jsonString is the text of a JSON string.
func jsonString(payload []byte) (string, bool) {
	var s string
	return s, json.Unmarshal(payload, &s) == nil && len(payload) > 0 && strings.HasPrefix(strings.TrimLeft(string(payload[:min(len(payload), 64)]), " \t\r\n"), `"`)
}

// multiValues are the multiValueHeaders of a function's response, which format 1.0 knows.
func multiValues(payload []byte) []edge.Field {
	var out struct {
		MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	}
	if json.Unmarshal(payload, &out) != nil {
		return nil
	}
	var fields []edge.Field
	for name, values := range out.MultiValueHeaders {
		for _, v := range values {
			fields = append(fields, edge.Field{strings.ToLower(name), v})
		}
	}
	return fields
}

// textOf is a text, a number or a boolean of JSON as text.
func textOf(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", false
	}
	if s, ok := jsonString(raw); ok {
		return s, true
	}
	return string(raw), true
}

var errNoPrincipal = errors.New("it has no principalId")
