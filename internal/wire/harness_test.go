package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apigatewayapi "brume/internal/api/apigateway"
	dynamodbapi "brume/internal/api/dynamodb"
	streamsapi "brume/internal/api/dynamodbstreams"
	iamapi "brume/internal/api/iam"
	lambdaapi "brume/internal/api/lambda"
	logsapi "brume/internal/api/logs"
	stsapi "brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/obs"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/wire/sigv4"
)

// now is when all tests happen.
var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

const (
	account = "123456789012"
	secret  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	token   = "a session token"
)

// Keys that the tests sign with.
var (
	rootKey    = sigv4.Key{AccessKeyID: "AKIAROOT", Secret: secret}
	sessionKey = sigv4.Key{AccessKeyID: "ASIASESSION", Secret: secret, SessionToken: token}
	expiredKey = sigv4.Key{AccessKeyID: "ASIAEXPIRED", Secret: secret, SessionToken: token}
	brokenKey  = sigv4.Key{AccessKeyID: "AKIABROKEN", Secret: secret}
	unknownKey = sigv4.Key{AccessKeyID: "AKIANOBODY", Secret: secret}
	forgedKey  = sigv4.Key{AccessKeyID: "AKIAROOT", Secret: "a guess"}
)

type credentials struct{}

func (credentials) ResolveAccessKey(_ context.Context, id, sessionToken string) (string, call.Principal, error) {
	p := call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account, AccessKeyID: id}
	switch {
	case id == rootKey.AccessKeyID && sessionToken == "", id == sessionKey.AccessKeyID && sessionToken == token:
		return secret, p, nil
	case id == expiredKey.AccessKeyID:
		return "", call.Principal{}, awserr.New("ExpiredToken", "expired")
	case id == brokenKey.AccessKeyID:
		return "", call.Principal{}, errors.New("disk on fire")
	}
	return "", call.Principal{}, awserr.New("InvalidClientTokenId", "unknown")
}

type noPolicies struct{}

func (noPolicies) PoliciesFor(context.Context, *call.Principal) (*policy.Policies, error) {
	return &policy.Policies{}, nil
}

func allowAll(context.Context, string, schema.Struct) ([]policy.Check, bool, error) {
	return nil, true, nil
}

// uses keeps what it is told.
type uses struct {
	mu    sync.Mutex
	calls []call.Info
}

func (u *uses) RecordUse(info *call.Info) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls = append(u.calls, *info)
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// harness is a server of all services of which no operation is implemented but those in calls, by "service.Operation".
type harness struct {
	*Server
	calls map[string]func(ctx context.Context, in schema.Struct) (schema.Struct, error)
	uses  uses
	log   syncBuffer
	// seen is the Info of the last call that reached an operation in calls.
	seen *call.Info
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{calls: map[string]func(context.Context, schema.Struct) (schema.Struct, error){}}
	metrics := obs.NewMetrics()
	dispatcher := dispatch.New(noPolicies{}, metrics)
	var services []*schema.Service
	add := func(svc *schema.Service, handlers []schema.Handler) {
		services = append(services, svc)
		for i := range handlers {
			name, real := svc.Name+"."+svc.Operations[i].Name, handlers[i].Call
			handlers[i].Call = func(ctx context.Context, in schema.Struct) (schema.Struct, error) {
				if f := h.calls[name]; f != nil {
					h.seen = call.From(ctx)
					return f(ctx, in)
				}
				return real(ctx, in)
			}
		}
		dispatcher.Add(svc, handlers, allowAll)
	}
	add(iamapi.Schema(), iamapi.Handlers(iamapi.Unimplemented{}))
	add(stsapi.Schema(), stsapi.Handlers(stsapi.Unimplemented{}))
	add(dynamodbapi.Schema(), dynamodbapi.Handlers(dynamodbapi.Unimplemented{}))
	add(streamsapi.Schema(), streamsapi.Handlers(streamsapi.Unimplemented{}))
	add(lambdaapi.Schema(), lambdaapi.Handlers(lambdaapi.Unimplemented{}))
	add(apigatewayapi.Schema(), apigatewayapi.Handlers(apigatewayapi.Unimplemented{}))
	add(logsapi.Schema(), logsapi.Handlers(logsapi.Unimplemented{}))
	var err error
	h.Server, err = NewServer(Config{
		Services: services, Dispatcher: dispatcher, Credentials: credentials{}, Uses: &h.uses, DataPlane: &dataPlane{},
		Region: "us-east-1", Metrics: metrics, Log: slog.New(slog.NewTextHandler(&h.log, nil)), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer makes an operation answer with out.
func (h *harness) answer(operation string, out schema.Struct) {
	h.calls[operation] = func(context.Context, schema.Struct) (schema.Struct, error) { return out, nil }
}

// dataPlane has an API on hosts that begin with "api.".
type dataPlane struct{}

func (*dataPlane) Serves(r *http.Request) bool { return strings.HasPrefix(r.Host, "api.") }

func (*dataPlane) ServeHTTP(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "data plane") }

// do serves r.
func (h *harness) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A form is a request in one of the protocols, as clients send it.
type form struct {
	name, service, operation string
	method, target           string
	header                   map[string]string
	body                     string
	// query says that errors are XML.
	query bool
}

var forms = []form{
	{name: "awsQuery", service: "iam", operation: "GetUser", method: "POST", target: "/", query: true,
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
		body:   "Action=GetUser&Version=2010-05-08"},
	{name: "awsQuery by GET", service: "sts", operation: "GetCallerIdentity", method: "GET", query: true,
		target: "/?Action=GetCallerIdentity&Version=2011-06-15"},
	{name: "awsJson 1.0", service: "dynamodb", operation: "ListTables", method: "POST", target: "/",
		header: map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"},
		body:   "{}"},
	{name: "awsJson 1.1", service: "logs", operation: "DescribeLogGroups", method: "POST", target: "/",
		header: map[string]string{"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Logs_20140328.DescribeLogGroups"},
		body:   "{}"},
	{name: "restJson", service: "lambda", operation: "GetFunction", method: "GET", target: "/2015-03-31/functions/f"},
	{name: "restJson with a body", service: "apigateway", operation: "CreateRestApi", method: "POST", target: "/restapis",
		header: map[string]string{"Content-Type": "application/json"}, body: `{"name":"a"}`},
}

// outputs are what the operations of forms answer with.
func (h *harness) answerForms() {
	h.answer("iam.GetUser", &iamapi.GetUserOutput{User: &iamapi.User{UserName: new("u"), CreateDate: &now}})
	h.answer("sts.GetCallerIdentity", &stsapi.GetCallerIdentityOutput{Account: new(account)})
	h.answer("dynamodb.ListTables", &dynamodbapi.ListTablesOutput{TableNames: []string{"t"}})
	h.answer("logs.DescribeLogGroups", &logsapi.DescribeLogGroupsOutput{})
	h.answer("lambda.GetFunction", &lambdaapi.GetFunctionOutput{})
	h.answer("apigateway.CreateRestApi", &apigatewayapi.RestApi{Name: new("a")})
}

// request makes the unsigned request of a form. The host says nothing.
func (f *form) request() *http.Request {
	r := httptest.NewRequest(f.method, f.target, strings.NewReader(f.body))
	r.Host = "localhost:4566"
	for k, v := range f.header {
		r.Header.Set(k, v)
	}
	return r
}

// signed makes the signed one.
func (f *form) signed(k sigv4.Key) *http.Request {
	r := f.request()
	sigv4.Sign(r, []byte(f.body), k, "eu-west-1", f.signingName(), now)
	return r
}

func (f *form) signingName() string { return f.service }

// An answer is what a client understands of a response.
type answer struct {
	status        int
	code, message string
}

// read reads a response as an SDK would, and checks what every response must have.
func read(t testing.TB, w *httptest.ResponseRecorder) answer {
	t.Helper()
	a := answer{status: w.Code}
	header := w.Header()
	if len(header.Get("X-Amzn-Requestid")) != 36 {
		t.Errorf("x-amzn-RequestId: %q", header.Get("X-Amzn-Requestid"))
	}
	if n := header.Get("Content-Length"); w.Code != http.StatusNoContent && n != strconv.Itoa(w.Body.Len()) {
		t.Errorf("Content-Length %q of %d bytes", n, w.Body.Len())
	}
	contentType := header.Get("Content-Type")
	switch {
	case w.Body.Len() == 0:
		if w.Code >= 400 {
			t.Errorf("%d without a body", w.Code)
		}
	case contentType == "text/xml":
		var doc struct {
			XMLName xml.Name
			Error   struct{ Type, Code, Message string }
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		if w.Code >= 400 && doc.XMLName.Local != "ErrorResponse" {
			t.Errorf("%d with %s", w.Code, w.Body)
		}
		a.code, a.message = doc.Error.Code, doc.Error.Message
	case slices.Contains([]string{"application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"}, contentType):
		// Names differ in case alone, so a structure would take either.
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		if a.code = header.Get("X-Amzn-Errortype"); contentType != "application/json" {
			text, _ := doc["__type"].(string)
			a.code = text[strings.LastIndexByte(text, '#')+1:]
		}
		for _, name := range []string{"message", "Message"} {
			if text, ok := doc[name].(string); ok {
				a.message = text
			}
		}
	default:
		t.Errorf("%d with content type %q: %s", w.Code, contentType, w.Body)
	}
	if (a.code != "") != (w.Code >= 400) {
		t.Errorf("%d with code %q: %s", w.Code, a.code, w.Body)
	}
	return a
}
