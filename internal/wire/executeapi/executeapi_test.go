package executeapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/apigateway"
	"brume/internal/call"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/kv/pebblekv"
	"brume/internal/service/apigateway"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		host, target string
		want         Target
		ok           bool
	}{
		{"a1b2.execute-api.us-east-1.amazonaws.com", "/dev/pets/a%2Fb//c?x=/y", Target{"a1b2", "dev", "/pets/a%2Fb//c", nil}, true},
		{"A1B2.Execute-API.localhost:4566", "/dev", Target{"a1b2", "dev", "", nil}, true},
		{"a1b2.execute-api", "/dev/", Target{"a1b2", "dev", "/", nil}, true},
		{"a1b2.execute-api.my.own.domain", "/", Target{"a1b2", "", "", nil}, true},
		{"a1b2.execute-api.localhost", "/restapis/x/y/_user_request_/z", Target{"a1b2", "restapis", "/x/y/_user_request_/z", nil}, true},
		{"127.0.0.1:4566", "/_aws/execute-api/a1b2/dev/pets?x=1", Target{"a1b2", "dev", "/pets", nil}, true},
		{"localhost", "/_aws/execute-api/a1b2", Target{"a1b2", "", "", nil}, true},
		{"localhost", "/_aws/execute-api/", Target{}, false},
		{"localhost", "/restapis/a1b2/dev/_user_request_/pets/1", Target{"a1b2", "dev", "/pets/1", nil}, true},
		{"localhost", "/restapis/a1b2/dev/_user_request_", Target{"a1b2", "dev", "", nil}, true},
		{"localhost", "/restapis/a1b2/stages/dev", Target{}, false},
		{"localhost", "/restapis", Target{}, false},
		{"localhost", "/restapis//dev/_user_request_", Target{}, false},
		{"execute-api.us-east-1.amazonaws.com", "/dev", Target{}, false},
		{".execute-api.localhost", "/dev", Target{}, false},
		{"a.execute-apis.localhost", "/dev", Target{}, false},
		{"apigateway.us-east-1.amazonaws.com", "/restapis", Target{}, false},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RequestURI = tt.host, tt.target
		got, ok := Match(r)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s %s: got %+v, %v; want %+v, %v", tt.host, tt.target, got, ok, tt.want, tt.ok)
		}
	}
	// A target in absolute form.
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET http://a1b2.execute-api.localhost/dev/x%2Fy HTTP/1.1\r\nHost: a1b2.execute-api.localhost\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := Match(r); !ok || got != (Target{"a1b2", "dev", "/x%2Fy", nil}) {
		t.Errorf("got %+v, %v", got, ok)
	}
}

// noHTTP has no HTTP APIs.
type noHTTP struct{}

func (noHTTP) Invoke(context.Context, *edge.Request) (*edge.Response, bool) { return nil, false }

func (noHTTP) IsSocket(context.Context, string) bool { return false }

func (noHTTP) Connect(context.Context, *edge.Request) (edge.Session, *edge.Response, bool) {
	return nil, nil, false
}

// echo answers with what it was asked.
type echo struct {
	last  *apigateway.Request
	paths []string
}

func (e *echo) Invoke(_ context.Context, r *apigateway.Request) *apigateway.Response {
	e.last, e.paths = r, append(e.paths, r.Path)
	status := 200
	fmt.Sscanf(r.Path, "/status/%d", &status)
	return &apigateway.Response{Status: status, Body: []byte("body"), Header: []apigateway.Field{
		{Name: "content-type", Value: "text/x"}, {Name: "x-amzn-RequestId", Value: "id"}, {Name: "Set-Cookie", Value: "a"}, {Name: "Set-Cookie", Value: "b"},
		{Name: "Content-Length", Value: "999"}, {Name: "Transfer-Encoding", Value: "chunked"},
	}}
}

// oneName is a custom domain name that maps one base path.
type oneName struct{}

func (oneName) Locate(_ context.Context, host, path string) (customdomain.Target, bool) {
	rest, ok := strings.CutPrefix(path, "/base")
	return customdomain.Target{API: "a1", Stage: "dev", Path: rest, How: edge.CustomName{BasePath: "base", Prefix: "/base"}}, ok && host == "api.example.com"
}

// everyName takes whatever comes.
type everyName struct{}

func (everyName) Locate(_ context.Context, _, path string) (customdomain.Target, bool) {
	return customdomain.Target{API: "a1", Stage: "dev", Path: path}, true
}

// A custom domain name is asked for only where neither host nor path name an API.
func TestCustomDomainName(t *testing.T) {
	e := &echo{}
	h := New(e, noHTTP{}, noHTTP{}, oneName{}, nil)
	r := httptest.NewRequest("GET", "http://api.example.com/base/a%2Fb", nil)
	if !h.Serves(r) || h.Serves(httptest.NewRequest("GET", "http://api.example.com/other", nil)) {
		t.Error("Serves")
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
	if e.last == nil || e.last.API != "a1" || e.last.Stage != "dev" || e.last.Path != "/a%2Fb" || *e.last.Custom != (edge.CustomName{BasePath: "base", Prefix: "/base"}) {
		t.Errorf("%+v", e.last)
	}
	// Neither Brume's own pages nor calls that are signed for a service are a custom name's.
	for service, want := range map[string]bool{"execute-api": true, "dynamodb": false} {
		r := httptest.NewRequest("GET", "http://api.example.com/base", nil)
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host;x-amz-date, Signature="+strings.Repeat("0", 64))
		if h.Serves(r) != want {
			t.Errorf("%s: %v", service, !want)
		}
	}
	if New(e, noHTTP{}, noHTTP{}, everyName{}, nil).Serves(httptest.NewRequest("GET", "http://api.example.com/_brume/health", nil)) {
		t.Error("a custom name takes Brume's own pages")
	}
}

// exchange sends raw bytes and returns what came back.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestRequestAndResponse(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(New(e, noHTTP{}, noHTTP{}, oneName{}, nil))
	defer srv.Close()
	address := srv.Listener.Addr().String()
	const host = "Host: a1.execute-api.localhost:99\r\nConnection: close\r\n"

	got := exchange(t, address, "POST /dev/a%2fb/?x=1&y=%26&x=2&z HTTP/1.1\r\n"+host+"X-Two: a\r\nX-Two: b\r\nContent-Length: 3\r\n\r\nabc")
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nbody") || !strings.Contains(got, "\r\nx-amzn-RequestId: id\r\n") ||
		!strings.Contains(got, "\r\nContent-Length: 4\r\n") || !strings.Contains(got, "\r\nContent-Type: text/x\r\n") || strings.Count(got, "Content-Type") != 1 ||
		strings.Count(got, "Set-Cookie") != 2 || strings.Contains(got, "999") || strings.Contains(got, "chunked") {
		t.Errorf("got %q", got)
	}
	r := e.last
	if r.API != "a1" || r.Stage != "dev" || r.Method != "POST" || r.Path != "/a%2fb/" || string(r.Body) != "abc" || r.Host != "a1.execute-api.localhost:99" || r.Secure ||
		r.Protocol != "HTTP/1.1" || r.SourceIP.String() != "127.0.0.1" || r.Port != srv.Listener.Addr().(*net.TCPAddr).Port || r.Time.IsZero() {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(r.Query); got != "[{x 1} {y &} {x 2} {z }]" {
		t.Errorf("query %s", got)
	}
	if got := fmt.Sprint(r.Header); got != "[{Connection close} {Content-Length 3} {Host a1.execute-api.localhost:99} {X-Two a} {X-Two b}]" {
		t.Errorf("header %s", got)
	}

	// A chunked body.
	exchange(t, address, "POST /dev HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
	if string(e.last.Body) != "abcde" || e.last.Path != "" {
		t.Errorf("%+v", e.last)
	}
	// A broken one.
	e.last = nil
	got = exchange(t, address, "POST /dev HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.HasSuffix(got, `{"message":"Bad Request"}`) || e.last != nil {
		t.Errorf("got %q, %+v", got, e.last)
	}
	// HEAD has the headers of GET, and no body.
	got = exchange(t, address, "HEAD /dev HTTP/1.1\r\n"+host+"\r\n")
	if !strings.Contains(got, "Content-Length: 4\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("got %q", got)
	}
	for _, status := range []string{"204", "304"} {
		got = exchange(t, address, "GET /dev/status/"+status+" HTTP/1.1\r\n"+host+"\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+status) || strings.Contains(got, "Content-Length") || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("got %q", got)
		}
	}
	got = exchange(t, address, "GET /elsewhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 404") {
		t.Errorf("got %q", got)
	}
}

// httpEcho is an HTTP API that tells what it got.
type httpEcho struct{ last *edge.Request }

func (h *httpEcho) Invoke(_ context.Context, r *edge.Request) (*edge.Response, bool) {
	h.last = r
	return &edge.Response{Status: 299}, true
}

// An HTTP API says itself what it says of a body that is too long, and never sees it.
func TestBodyLimitOfHTTP(t *testing.T) {
	for _, size := range []int{edge.MaxBody, edge.MaxBody + 1} {
		e := &httpEcho{}
		w := httptest.NewRecorder()
		New(&echo{}, e, nil, oneName{}, nil).ServeHTTP(w, httptest.NewRequest("POST", "http://a1.execute-api.localhost/dev", bytes.NewReader(make([]byte, size))))
		if tooLong := size > edge.MaxBody; w.Code != 299 || e.last.TooLong != tooLong || (len(e.last.Body) == 0) != tooLong || (w.Header().Get("Connection") == "close") != tooLong {
			t.Errorf("%d bytes: %d, %v, %d bytes, %v", size, w.Code, e.last.TooLong, len(e.last.Body), w.Header())
		}
	}
}

// 10 MB are taken, one byte more is not.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func TestBodyLimit(t *testing.T) {
	e := &echo{}
	h := New(e, noHTTP{}, noHTTP{}, oneName{}, nil)
	for _, chunked := range []bool{false, true} {
		for _, tt := range []struct {
			size, status int
		}{{apigateway.MaxBody, 200}, {apigateway.MaxBody + 1, 413}} {
			e.last = nil
			r := httptest.NewRequest("POST", "http://a1.execute-api.localhost/dev", bytes.NewReader(make([]byte, tt.size)))
			if chunked {
				r.ContentLength = -1
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || (tt.status == 200) != (e.last != nil) {
				t.Errorf("chunked %v, %d bytes: %d", chunked, tt.size, w.Code)
			}
			if tt.status == 413 && (w.Body.String() != `{"message":"Request Too Long"}` || !strings.Contains(fmt.Sprint(w.Header()), "x-amzn-ErrorType:[RequestTooLargeException]")) {
				t.Errorf("%s %v", w.Body, w.Header())
			}
		}
	}
}

// Request line and header values have 10,240 bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func TestHeaderLimit(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(New(e, noHTTP{}, noHTTP{}, oneName{}, nil))
	defer srv.Close()
	address := srv.Listener.Addr().String()
	const line = "GET /dev?" // and " HTTP/1.1"
	send := func(query int, headers ...int) string {
		e.last = nil
		var b strings.Builder
		b.WriteString(line + strings.Repeat("q", query) + " HTTP/1.1\r\nHost: a1.execute-api.localhost\r\nConnection: close\r\n")
		for i, n := range headers {
			fmt.Fprintf(&b, "X-%d: %s\r\n", i, strings.Repeat("h", n))
		}
		return exchange(t, address, b.String()+"\r\n")
	}
	room := 10240 - len("GET/dev?HTTP/1.1a1.execute-api.localhostclose")
	for _, tt := range []struct {
		query   int
		headers []int
		want    string
	}{
		{room, nil, "HTTP/1.1 200 "},
		{1, []int{room - 2, 1}, "HTTP/1.1 200 "},
		{1, []int{room - 2, 2}, "HTTP/1.1 431 "},
		{1, []int{30000, 30000}, "HTTP/1.1 431 "},
		{10240, nil, "HTTP/1.1 414 "},
		{1, []int{1 << 20}, "HTTP/1.1 431 "}, // over what net/http reads at all; nginx and others answer the same
	} {
		got := send(tt.query, tt.headers...)
		if !strings.HasPrefix(got, tt.want) || (e.last != nil) != strings.Contains(tt.want, "200") {
			t.Errorf("%d %v: got %.300q", tt.query, tt.headers, got)
		}
	}
	if got := send(1, room); !strings.HasSuffix(got, `{"message":"HTTP header is larger than 10240 bytes."}`) || !strings.Contains(got, "\r\nx-amzn-RequestId: ") {
		t.Errorf("got %q", got)
	}
}

// A request whose length can be read in two ways is refused, and the connection closed: nothing of it becomes another
// request. Of a length and chunks the chunks count.
// https://www.rfc-editor.org/rfc/rfc9112#section-6.3
func TestConflictingLengths(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(New(e, noHTTP{}, noHTTP{}, oneName{}, nil))
	defer srv.Close()
	const begin = "POST /dev HTTP/1.1\r\nHost: a1.execute-api.localhost\r\n"
	const smuggled = "GET /dev/smuggled HTTP/1.1\r\nHost: a1.execute-api.localhost\r\nConnection: close\r\n\r\n"
	for name, tt := range map[string]struct{ wire, status string }{
		"two lengths":                {"Content-Length: 0\r\nContent-Length: 90\r\n\r\n" + smuggled, "400"},
		"a list of lengths":          {"Content-Length: 0, 90\r\n\r\n" + smuggled, "400"},
		"a negative length":          {"Content-Length: -1\r\n\r\n" + smuggled, "400"},
		"a signed length":            {"Content-Length: +3\r\n\r\nabc" + smuggled, "400"},
		"a length in hexadecimal":    {"Content-Length: 0x3\r\n\r\nabc" + smuggled, "400"},
		"an enormous length":         {"Content-Length: 99999999999999999999\r\n\r\nabc" + smuggled, "400"},
		"both, chunks first":         {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + smuggled, ""},
		"both, length first":         {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, ""},
		"another coding":             {"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + smuggled, "501"},
		"two codings":                {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled, "501"},
		"a blank before the colon":   {"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + smuggled, "400"},
		"a folded line":              {"X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + smuggled, ""},
		"a line break in a value":    {"X: a\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + smuggled, "400"},
		"a chunk of no size":         {"Transfer-Encoding: chunked\r\n\r\n\r\n" + smuggled, "400"},
		"an enormous chunk":          {"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + smuggled, "400"},
		"a chunk with a signed size": {"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + smuggled, "400"},
	} {
		e.paths = nil
		got := exchange(t, srv.Listener.Addr().String(), begin+tt.wire)
		if tt.status == "" { // the first request has no body, and the next one comes after it
			if len(e.paths) != 2 || e.paths[0] != "" || e.paths[1] != "/smuggled" {
				t.Errorf("%s: %q was read of it", name, e.paths)
			}
			continue
		}
		if !strings.HasPrefix(got, "HTTP/1.1 "+tt.status+" ") || strings.Count(got, "HTTP/1.1 ") != 1 || e.paths != nil {
			t.Errorf("%s: got %.300q, %q was read of it", name, got, e.paths)
		}
	}
}

// A client that waits for leave to send a body gets it, but not for a body that is too large.
// https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
func TestExpect(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(New(e, noHTTP{}, noHTTP{}, oneName{}, nil))
	defer srv.Close()
	for expect, want := range map[string]string{
		"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc":                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
		"Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n":                     "HTTP/1.1 200 OK",
		"Expect: 100-continue\r\nContent-Length: 10485761\r\n\r\n":              "HTTP/1.1 413 ",
		"Expect: something\r\nContent-Length: 3\r\n\r\nabc":                     "HTTP/1.1 417 ",
		"Expect: 100-continue\r\nX: " + strings.Repeat("x", 11000) + "\r\n\r\n": "HTTP/1.1 431 ",
	} {
		got := exchange(t, srv.Listener.Addr().String(), "POST /dev HTTP/1.1\r\nHost: a1.execute-api.localhost\r\nConnection: close\r\n"+expect)
		if !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: got %.200q", expect, got)
		}
	}
}

// Paths that are not well encoded are refused; in a query what cannot be decoded stays as it is.
func TestMalformedEncodings(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(New(e, noHTTP{}, noHTTP{}, oneName{}, nil))
	defer srv.Close()
	for target, want := range map[string]string{
		"/dev/%": "400", "/dev/%zz": "400", "/dev/%f": "400", "/dev/a\x00b": "400", "/dev/a b": "400", "dev": "400", "/dev/\x7f": "400",
		"/dev/%ff%00": "200 /%ff%00 []", "/dev/é\xff": "200 /é\xff []", "/dev/..%2f../": "200 /..%2f../ []", "/dev/../x": "200 /../x []", "/dev//": "200 // []",
		"/dev?a=%zz&%=1&b=%ff": "200  [{a %zz} {% 1} {b \xff}]", "/dev?&&=&==&a": "200  [{ } { =} {a }]",
	} {
		e.last = nil
		got := exchange(t, srv.Listener.Addr().String(), "GET "+target+" HTTP/1.1\r\nHost: a1.execute-api.localhost\r\nConnection: close\r\n\r\n")
		_, status, _ := strings.Cut(got, " ")
		shown := status[:3]
		if e.last != nil {
			shown += fmt.Sprintf(" %s %v", e.last.Path, e.last.Query)
		}
		if shown != want {
			t.Errorf("%q: got %q, want %q", target, shown, want)
		}
	}
}

// deadlines is a connection that knows by when its client has to be done.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.read = at; return nil }

// timed is a body that must be read under a deadline.
type timed struct {
	t *testing.T
	w *deadlines
	io.Reader
}

func (b timed) Read(p []byte) (int, error) {
	if b.w.read.IsZero() {
		b.t.Error("a body is waited for without end")
	}
	return b.Reader.Read(p)
}

// A client does not keep what it has sent of a body here for as long as it likes; the call itself may take its time.
func TestBodiesAreNotWaitedForLong(t *testing.T) {
	e := &echo{}
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "http://a1.execute-api.localhost/dev", timed{t, w, strings.NewReader("abc")})
	r.ContentLength = 3
	New(e, noHTTP{}, noHTTP{}, oneName{}, nil).ServeHTTP(w, r)
	if e.last == nil || string(e.last.Body) != "abc" || !w.read.IsZero() {
		t.Errorf("%+v, %v", e.last, w.read)
	}
	e.last = nil
	r = httptest.NewRequest("POST", "http://a1.execute-api.localhost/dev", timed{t, w, iotest.ErrReader(os.ErrDeadlineExceeded)})
	r.ContentLength = 3
	New(e, noHTTP{}, noHTTP{}, oneName{}, nil).ServeHTTP(w, r)
	if e.last != nil || w.Header().Get("Connection") != "close" {
		t.Errorf("%+v, %v", e.last, w.Header())
	}
}

type lambda struct{}

func (lambda) Invoke(_ context.Context, in *apigateway.LambdaInvocation) (*apigateway.LambdaResult, error) {
	var e struct {
		Body, Path string
	}
	if err := json.Unmarshal(in.Payload, &e); err != nil {
		return nil, err
	}
	out, err := json.Marshal(map[string]any{"statusCode": 201, "body": e.Path + " " + e.Body})
	return &apigateway.LambdaResult{Payload: out}, err
}

// deployed makes an API with a key-protected proxy method on "/{proxy+}".
func deployed(t testing.TB) (h *Handler, apiID, key string) {
	return throttledTo(t, &api.ThrottleSettings{RateLimit: new(1e6), BurstLimit: new(int32(1e6))})
}

// throttledTo is deployed with a throttle for its key.
func throttledTo(t testing.TB, throttle *api.ThrottleSettings) (h *Handler, apiID, key string) {
	store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "store", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := apigateway.New(apigateway.Config{Store: store, Lambda: lambda{}, Buckets: edge.NewBuckets(), Endpoint: &url.URL{}, Log: slog.New(slog.DiscardHandler)})
	ctx := call.With(context.Background(), &call.Info{Account: "000000000000", Region: "us-east-1"})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rest, err := s.CreateRestApi(ctx, &api.CreateRestApiInput{Name: new("x")})
	check(err)
	res, err := s.CreateResource(ctx, &api.CreateResourceInput{RestApiId: rest.Id, ParentId: rest.RootResourceId, PathPart: new("{proxy+}")})
	check(err)
	_, err = s.PutMethod(ctx, &api.PutMethodInput{RestApiId: rest.Id, ResourceId: res.Id, HttpMethod: new("ANY"), AuthorizationType: new("NONE"), ApiKeyRequired: new(true)})
	check(err)
	_, err = s.PutIntegration(ctx, &api.PutIntegrationInput{RestApiId: rest.Id, ResourceId: res.Id, HttpMethod: new("ANY"), Type: new("AWS_PROXY"), IntegrationHttpMethod: new("POST"),
		Uri: new("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations")})
	check(err)
	_, err = s.CreateDeployment(ctx, &api.CreateDeploymentInput{RestApiId: rest.Id, StageName: new("dev")})
	check(err)
	k, err := s.CreateApiKey(ctx, &api.CreateApiKeyInput{Enabled: new(true)})
	check(err)
	p, err := s.CreateUsagePlan(ctx, &api.CreateUsagePlanInput{Name: new("p"), ApiStages: []api.ApiStage{{ApiId: rest.Id, Stage: new("dev")}},
		Throttle: throttle})
	check(err)
	_, err = s.CreateUsagePlanKey(ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: p.Id, KeyId: k.Id, KeyType: new("API_KEY")})
	check(err)
	return New(s, noHTTP{}, noHTTP{}, oneName{}, nil), *rest.Id, *k.Value
}

func TestWholePath(t *testing.T) {
	h, id, key := deployed(t)
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, tt := range []struct{ host, path, key, want string }{
		{id + ".execute-api.us-east-1.amazonaws.com", "/dev/a%2Fb", key, "201 /a%2Fb hi"},
		{"", "/_aws/execute-api/" + id + "/dev/x/", key, "201 /x/ hi"},
		{"", "/restapis/" + id + "/dev/_user_request_/x", key, "201 /x hi"},
		{"", "/restapis/" + id + "/dev/_user_request_/x", "", `403 {"message":"Forbidden"}`},
		{"", "/restapis/" + id + "/dev/_user_request_", key, `403 {"message":"Missing Authentication Token"}`},
		{"", "/_aws/execute-api/" + id, key, `403 {"message":"Forbidden"}`},
		{"", "/_aws/execute-api/nope/dev/x", key, `403 {"message":"Forbidden"}`},
	} {
		r, err := http.NewRequest("PUT", srv.URL+tt.path, strings.NewReader("hi"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		if tt.key != "" {
			r.Header.Set("X-Api-Key", tt.key)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s", res.StatusCode, body); got != tt.want {
			t.Errorf("%s%s: got %s, want %s", tt.host, tt.path, got, tt.want)
		}
		if res.Header.Get("x-amzn-RequestId") == "" || res.Header.Get("x-amz-apigw-id") == "" || res.StatusCode == 403 && res.Header.Get("x-amzn-ErrorType") == "" {
			t.Errorf("headers %v", res.Header)
		}
	}
}

// At 250 a second and a burst of 500 an ideal bucket lets 500 + 250 × t requests through in t seconds. Over HTTP, against the
// clock; TestThrottleIsExact of package apigateway is the same in virtual time.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
func TestThrottleOverHTTP(t *testing.T) {
	if os.Getenv("BRUME_SOAK") == "" {
		t.Skip("takes ten seconds; BRUME_SOAK=1 runs it")
	}
	h, id, key := throttledTo(t, &api.ThrottleSettings{RateLimit: new(250.0), BurstLimit: new(int32(500))})
	srv := httptest.NewServer(h)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	var admitted, refused atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for range 8 {
		wg.Go(func() {
			for time.Since(begin) < 10*time.Second {
				r, err := http.NewRequest(http.MethodGet, srv.URL+"/restapis/"+id+"/dev/_user_request_/x", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Api-Key", key)
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				switch res.StatusCode {
				case 201:
					admitted.Add(1)
				case 429:
					refused.Add(1)
				default:
					t.Errorf("%d", res.StatusCode)
					return
				}
			}
		})
	}
	wg.Wait()
	ideal := 500 + 250*time.Since(begin).Seconds()
	if got := float64(admitted.Load()); math.Abs(got-ideal) > ideal*0.01 || refused.Load() == 0 {
		t.Errorf("%v admitted, %d refused; ideal %v", got, refused.Load(), ideal)
	}
}

// Whatever comes over the wire gets an answer.
func FuzzServe(f *testing.F) {
	h, id, key := deployed(f)
	for _, s := range []string{
		"GET /dev/x HTTP/1.1\r\nHost: API.execute-api.localhost\r\nX-Api-Key: KEY\r\n\r\n",
		"POST /_aws/execute-api/API/dev/%zz/..//?a=%zz&&=;b HTTP/1.1\r\nHost: h\r\nX-Api-Key: KEY\r\nContent-Length: 2\r\n\r\n\xff\xfe",
		"PUT /restapis/API/dev/_user_request_/é HTTP/1.0\r\nX-Api-Key: KEY\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: API.execute-api\r\n\r\n", "GET http://API.execute-api.x/dev HTTP/1.1\r\nHost: API.execute-api.x\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		wire = bytes.ReplaceAll(bytes.ReplaceAll(wire, []byte("API"), []byte(id)), []byte("KEY"), []byte(key))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 599 || w.Code == 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

func BenchmarkWholePath(b *testing.B) {
	h, id, key := deployed(b)
	body := strings.NewReader(`{"operation":"create","payload":{"id":1}}`)
	r := httptest.NewRequest("POST", "http://"+id+".execute-api.localhost/dev/DynamoBackend", body)
	r.Header.Set("X-Api-Key", key)
	r.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		body.Seek(0, io.SeekStart)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
