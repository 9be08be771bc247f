package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/service/lambda/environment"
)

// A FunctionURL is the address under which a function answers HTTP.
type FunctionURL struct {
	Account, Region string
	// Signed says that requests are signed by somebody who is allowed to make them; otherwise everybody may, if the
	// function's policy says so.
	Signed bool

	r   ref
	row *urlRow
}

// A URLRequest is a request to a function URL.
type URLRequest struct {
	Method string
	// Path and Query are as they came over the wire, Path without what leads to the URL.
	Path, Query string
	// Header holds the values by lower-case names.
	Header   map[string][]string
	Body     []byte
	Host     string
	Protocol string
	Secure   bool
	Port     int
}

// A URLResponse takes the answer to a URLRequest.
type URLResponse interface {
	// Head is called once, before the first Write. Names are in lower case; values of one name may come in a row.
	Head(status int, header []URLField)
	Write(p []byte) (int, error)
	// Flush sends what was written.
	Flush() error
	// Abort says that the function failed after the head: what has come is not the whole.
	Abort()
}

// A URLField is a header of a response.
type URLField struct{ Name, Value string }

// ErrNoFunctionURL says that there is no such function URL.
var ErrNoFunctionURL = errors.New("lambda: no such function URL")

// FindURL finds a function URL by the first label of its host.
func (s *Service) FindURL(ctx context.Context, id string) (*FunctionURL, error) {
	var found *FunctionURL
	err := s.store.View(ctx, func(rd kv.Reader) error {
		data, ok, err := rd.Get(urlIndexKey(id))
		if err != nil {
			return err
		}
		if !ok {
			return ErrNoFunctionURL
		}
		index := &urlIndex{}
		if err := json.Unmarshal(data, index); err != nil {
			return fmt.Errorf("lambda: index of function URLs: %w", err)
		}
		r := ref{scope{index.Account, index.Region}, index.Name, index.Qualifier}
		row, err := getURL(rd, r)
		if err == nil {
			found = &FunctionURL{Account: r.account, Region: r.region, Signed: row.AuthType == api.FunctionUrlAuthTypeAwsIam, r: r, row: row}
		}
		return err
	})
	return found, err
}

// forbidden is what a caller without permission is told.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
const forbidden = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`

// InvokeURL answers a request to a function URL. The call.Info of ctx says who calls: the signer, or an anonymous caller.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func (s *Service) InvokeURL(ctx context.Context, u *FunctionURL, req *URLRequest, res URLResponse) {
	own, preflight := u.row.CORS.answer(req)
	if preflight {
		res.Head(200, own)
		return
	}
	refuse := func(status int, body string) {
		res.Head(status, append([]URLField{{"content-type", "application/json"}}, own...))
		res.Write([]byte(body)) // a client that went away is nobody's error
	}
	if err := s.authorizeURL(ctx, u); err != nil {
		if _, known := errors.AsType[awserr.Error](err); !known {
			s.log.ErrorContext(ctx, "authorising a call of a function URL", "error", err)
		}
		refuse(403, forbidden)
		return
	}
	trace := first(req.Header["x-amzn-trace-id"])
	if !strings.HasPrefix(trace, "Root=1-") || len(trace) > 256 {
		trace = edge.NewTraceID(call.From(ctx).Time)
	}
	own = append(own, URLField{"x-amzn-trace-id", trace}) // with every answer from here on
	event, err := newURLEvent(ctx, u, req, trace)
	if err != nil {
		s.failURL(ctx, err, refuse)
		return
	}
	if len(event) > maxPayload {
		refuse(413, `{"Message":"Request Entity Too Large"}`)
		return
	}
	c, err := s.callable(ctx, u.r)
	if err != nil {
		s.failURL(ctx, err, refuse)
		return
	}
	inv := &environment.Invocation{RequestID: call.From(ctx).RequestID, FunctionARN: u.r.arn(), Payload: event, TraceID: trace}
	if u.row.Mode == api.InvokeModeResponseStream {
		stream := &urlStream{to: res, own: own}
		inv.Stream = stream
		result, err := s.run(ctx, c, inv)
		switch {
		case err != nil && !stream.begun:
			s.failURL(ctx, err, refuse)
		case err == nil && result.Failed && !stream.begun:
			refuse(502, "Internal Server Error")
		case err != nil || result.Failed || !stream.end():
			res.Abort()
		}
		return
	}
	result, err := s.run(ctx, c, inv)
	if err != nil {
		s.failURL(ctx, err, refuse)
		return
	}
	answer, ok := edge.ReadAnswer(result.Payload)
	if result.Failed || !ok {
		refuse(502, "Internal Server Error")
		return
	}
	res.Head(answer.Status, append(answerFields(answer, own), own...))
	res.Write(answer.Body)
}

// failURL answers for a function that could not be run.
func (s *Service) failURL(ctx context.Context, err error, refuse func(int, string)) {
	if ctx.Err() != nil {
		return // nobody waits for an answer
	}
	if _, ok := errors.AsType[*environment.ThrottledError](err); ok {
		refuse(429, `{"Message":"Rate Exceeded."}`)
		return
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "a function URL's function cannot be run", slog.String("error", err.Error()))
	refuse(502, "Internal Server Error")
}

// authorizeURL decides whether the caller may use a URL. Since October 2025 that takes two permissions.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
func (s *Service) authorizeURL(ctx context.Context, u *FunctionURL) error {
	check, err := s.checkOn(ctx, "lambda:InvokeFunctionUrl", u.r)
	if err != nil {
		return err
	}
	also(&check, "lambda:FunctionUrlAuthType", u.row.AuthType)
	also(&check, "lambda:InvokedViaFunctionUrl", "true")
	invoke := check
	invoke.Action = "lambda:InvokeFunction"
	return s.authorizer.Authorize(ctx, []policy.Check{check, invoke})
}

// answer is what browsers are told about a request, and whether that is all there is to say to it.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors
func (c *corsRow) answer(req *URLRequest) (fields []URLField, preflight bool) {
	origin := first(req.Header["origin"])
	if c == nil || origin == "" {
		return nil, false
	}
	method := first(req.Header["access-control-request-method"])
	preflight = req.Method == "OPTIONS" && method != ""
	any := slices.Contains(c.Origins, "*")
	if !any && !slices.ContainsFunc(c.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return nil, preflight
	}
	if preflight && !slices.Contains(c.Methods, "*") && !slices.Contains(c.Methods, method) {
		return nil, true
	}
	add := func(name string, values ...string) {
		if len(values) > 0 {
			fields = append(fields, URLField{"access-control-" + name, strings.Join(values, ",")})
		}
	}
	if any && !c.Credentials {
		add("allow-origin", "*")
	} else {
		add("allow-origin", origin)
		fields = append(fields, URLField{"vary", "Origin"})
	}
	if c.Credentials {
		add("allow-credentials", "true")
	}
	if !preflight {
		add("expose-headers", c.Expose...)
		return fields, false
	}
	add("allow-methods", c.Methods...)
	add("allow-headers", c.Headers...)
	if c.MaxAge != nil {
		add("max-age", strconv.Itoa(int(*c.MaxAge)))
	}
	return fields, true
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// A urlEvent is the event that a function gets for a request: payload format 2.0.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
type urlEvent struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  urlContext        `json:"requestContext"`
	Body            *string           `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type urlContext struct {
	AccountID    string         `json:"accountId"`
	APIID        string         `json:"apiId"`
	Authorizer   *urlAuthorizer `json:"authorizer,omitempty"`
	DomainName   string         `json:"domainName"`
	DomainPrefix string         `json:"domainPrefix"`
	HTTP         urlHTTP        `json:"http"`
	RequestID    string         `json:"requestId"`
	RouteKey     string         `json:"routeKey"`
	Stage        string         `json:"stage"`
	Time         string         `json:"time"`
	TimeEpoch    int64          `json:"timeEpoch"`
}

type urlAuthorizer struct {
	IAM struct {
		AccessKey       string  `json:"accessKey"`
		AccountID       string  `json:"accountId"`
		CallerID        string  `json:"callerId"`
		CognitoIdentity *string `json:"cognitoIdentity"`
		PrincipalOrgID  *string `json:"principalOrgId"`
		UserARN         string  `json:"userArn"`
		UserID          string  `json:"userId"`
	} `json:"iam"`
}

type urlHTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

func newURLEvent(ctx context.Context, u *FunctionURL, req *URLRequest, trace string) ([]byte, error) {
	info := call.From(ctx)
	path := req.Path
	if path == "" {
		path = "/"
	}
	host, _, _ := strings.Cut(req.Host, ":")
	e := &urlEvent{
		Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: req.Query,
		Headers: make(map[string]string, len(req.Header)+4), Query: readQuery(req.Query),
		RequestContext: urlContext{
			AccountID: "anonymous", APIID: u.row.ID, DomainName: host, DomainPrefix: u.row.ID, RequestID: info.RequestID,
			RouteKey: "$default", Stage: "$default", Time: info.Time.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: info.Time.UnixMilli(),
			HTTP: urlHTTP{Method: req.Method, Path: path, Protocol: req.Protocol, SourceIP: info.SourceIP.String(), UserAgent: info.UserAgent},
		},
	}
	for name, values := range req.Header {
		if name == "cookie" {
			for _, v := range values {
				for c := range strings.SplitSeq(v, ";") {
					if c = strings.TrimSpace(c); c != "" {
						e.Cookies = append(e.Cookies, c)
					}
				}
			}
			continue
		}
		e.Headers[name] = strings.Join(values, ",")
	}
	scheme := "http"
	if req.Secure {
		scheme = "https"
	}
	e.Headers["host"], e.Headers["x-amzn-trace-id"] = req.Host, trace
	e.Headers["x-forwarded-proto"], e.Headers["x-forwarded-port"] = scheme, strconv.Itoa(req.Port)
	from := info.SourceIP.String()
	if before := e.Headers["x-forwarded-for"]; before != "" {
		from = before + ", " + from
	}
	e.Headers["x-forwarded-for"] = from
	if u.Signed {
		p := &info.Principal
		e.RequestContext.AccountID = p.Account
		e.RequestContext.Authorizer = &urlAuthorizer{}
		iam := &e.RequestContext.Authorizer.IAM
		iam.AccessKey, iam.AccountID, iam.CallerID, iam.UserARN, iam.UserID = p.AccessKeyID, p.Account, p.ID, p.ARN, p.ID
	}
	if len(req.Body) > 0 {
		text := string(req.Body)
		if e.IsBase64Encoded = !edge.IsText(e.Headers["content-type"], e.Headers["content-encoding"]) || !utf8.ValidString(text); e.IsBase64Encoded {
			text = base64.StdEncoding.EncodeToString(req.Body)
		}
		e.Body = &text
	}
	return json.Marshal(e)
}

// readQuery reads a query string: values of one name are joined with commas, what cannot be decoded stays as it is.
func readQuery(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	out := map[string]string{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = unescape(name), unescape(value)
		if before, twice := out[name]; twice {
			value = before + "," + value
		}
		out[name] = value
	}
	return out
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// answerFields are the headers of the answer. The URL's own ones win over the function's.
func answerFields(a *edge.Answer, own []URLField) []URLField {
	out := make([]URLField, 0, len(a.Header)+len(a.Cookies)+1)
	if _, given := a.Header["content-type"]; !given {
		out = append(out, URLField{"content-type", "application/json"})
	}
	for name, value := range a.Header {
		if !edge.ValidHeader(edge.Field{Name: name, Value: value}) || slices.ContainsFunc(own, func(f URLField) bool { return f.Name == name && name != "vary" }) {
			continue
		}
		out = append(out, URLField{name, value})
	}
	for _, c := range a.Cookies {
		if edge.ValidHeader(edge.Field{Name: "set-cookie", Value: c}) {
			out = append(out, URLField{"set-cookie", c})
		}
	}
	slices.SortStableFunc(out, func(x, y URLField) int { return strings.Compare(x.Name, y.Name) })
	return out
}

// streamedHTTP is the content type of a response that begins with its own head.
// https://docs.aws.amazon.com/lambda/latest/dg/response-streaming-tutorial.html
const streamedHTTP = "application/vnd.awslambda.http-integration-response"

// maxPrelude bounds that head.
const maxPrelude = 64 << 10

// preludeEnd is what stands between the head and the body.
var preludeEnd = make([]byte, 8)

// A urlStream brings a streamed response to a client. Where the function sends a head it waits for that.
type urlStream struct {
	to      URLResponse
	own     []URLField // headers that are not the function's
	begun   bool
	prelude []byte
	waiting bool // for the end of the head
	broken  bool
}

// Begin implements environment.Stream.
func (s *urlStream) Begin(contentType string) {
	if contentType == streamedHTTP {
		s.waiting = true
		return
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	s.head(&edge.Answer{Status: 200, Header: map[string]string{"content-type": contentType}})
}

func (s *urlStream) head(a *edge.Answer) {
	s.begun, s.waiting = true, false
	s.to.Head(a.Status, append(answerFields(a, s.own), s.own...))
}

// Write implements environment.Stream.
func (s *urlStream) Write(p []byte) (int, error) {
	if !s.waiting {
		return s.pass(p)
	}
	size := len(p)
	s.prelude = append(s.prelude, p...)
	end := bytes.Index(s.prelude, preludeEnd)
	if end < 0 {
		if len(s.prelude) > maxPrelude {
			s.fail()
			return 0, errBadPrelude
		}
		return size, nil
	}
	var meta struct {
		Status  json.RawMessage `json:"statusCode"`
		Headers map[string]any  `json:"headers"`
		Cookies []string        `json:"cookies"`
	}
	if err := json.Unmarshal(s.prelude[:end], &meta); err != nil {
		s.fail()
		return 0, errBadPrelude
	}
	status, ok := 200, true
	if len(meta.Status) > 0 {
		status, ok = edge.ReadStatus(meta.Status)
	}
	if !ok {
		s.fail()
		return 0, errBadPrelude
	}
	s.head(&edge.Answer{Status: status, Header: edge.ReadFields(meta.Headers), Cookies: meta.Cookies})
	rest := s.prelude[end+len(preludeEnd):]
	s.prelude = nil
	if len(rest) > 0 {
		if _, err := s.pass(rest); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// pass sends a piece at once.
func (s *urlStream) pass(p []byte) (int, error) {
	n, err := s.to.Write(p)
	if err == nil {
		err = s.to.Flush()
	}
	return n, err
}

var errBadPrelude = errors.New("lambda: a streamed response without a head")

// fail answers for a head that cannot be read.
func (s *urlStream) fail() {
	s.broken = true
	s.head(&edge.Answer{Status: 502})
	s.to.Write([]byte("Internal Server Error"))
}

// end says whether the response is whole. It is called when the function has ended well.
func (s *urlStream) end() bool {
	if s.waiting {
		s.fail()
	}
	return s.begun
}
