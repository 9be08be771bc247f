// Package executeapi is the HTTP side of API Gateway's data planes: it turns requests to deployed APIs into those of package
// edge, has them answered by the kind of API that they are for, and turns the answers back.
//
// It promises that the path reaches the domain as it came over the wire, that no body larger than edge.MaxBody is
// held, and that what a function returns cannot break the framing of the response.
package executeapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/internal/call"
	"brume/internal/customdomain"
	"brume/internal/edge"
	"brume/internal/service/apigateway"
	"brume/internal/wire/pace"
	"brume/internal/wire/sigv4"
	"brume/internal/wire/socket"
)

// REST answers requests to REST APIs, and to those that are there no more.
type REST interface {
	Invoke(ctx context.Context, req *apigateway.Request) *apigateway.Response
}

// Names finds what a custom domain name and the path behind it lead to.
type Names interface {
	Locate(ctx context.Context, host, path string) (t customdomain.Target, ok bool)
}

// HTTP answers requests to HTTP APIs.
type HTTP interface {
	// Invoke is false if an API is none of its own.
	Invoke(ctx context.Context, req *edge.Request) (*edge.Response, bool)
}

// Sockets answers for WebSocket APIs.
type Sockets interface {
	IsSocket(ctx context.Context, apiID string) bool
	// Connect is false if an API is no WebSocket API. Of a session and a response one is there.
	Connect(ctx context.Context, req *edge.Request) (edge.Session, *edge.Response, bool)
}

// Handler is the http.Handler of the data plane. Give it the requests that it Serves.
type Handler struct {
	rest     REST
	http     HTTP
	sockets  Sockets
	names    Names
	verifier *sigv4.Verifier
}

// New returns a Handler over both kinds of APIs, for callers whose keys credentials resolves.
func New(rest REST, http HTTP, sockets Sockets, names Names, credentials sigv4.Credentials) *Handler {
	return &Handler{rest, http, sockets, names, sigv4.NewVerifier(credentials)}
}

// Connections reports whether r is a call of the API of a WebSocket API's connections, to which stage it is sent, and the
// path of its operation: ".../{stage}/@connections/{id}", whose sign may come escaped.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
func (h *Handler) Connections(r *http.Request) (at edge.StageID, path string, ok bool) {
	const segment = "/@connections"
	if !strings.Contains(r.URL.Path, segment+"/") {
		return at, "", false
	}
	t, ok := h.target(r)
	if !ok {
		return at, "", false
	}
	first, rest := cutSegment(t.Path)
	if name, err := url.PathUnescape(first); err != nil || "/"+name != segment || !h.sockets.IsSocket(r.Context(), t.API) {
		return at, "", false
	}
	return edge.StageID{API: t.API, Stage: t.Stage}, segment + rest, true
}

// A Target is what a request to the data plane names.
type Target struct {
	API, Stage string
	// Path is the rest of the path, with its percent-encoding, from the slash on; empty if nothing follows the stage.
	Path string
	// Custom is set if a custom domain name led here.
	Custom *edge.CustomName
}

// Match reports whether r is a request to a deployed API, by its host or by its path:
//
//	{api}.execute-api.anything     /{stage}/…
//	any host                       /_aws/execute-api/{api}/{stage}/…
//	any host                       /restapis/{api}/{stage}/_user_request_/…
func Match(r *http.Request) (Target, bool) {
	path := rawPath(r)
	if api, ok := apiOfHost(r.Host); ok {
		stage, rest := cutSegment(path)
		return Target{API: api, Stage: stage, Path: rest}, true
	}
	if rest, ok := strings.CutPrefix(path, "/_aws/execute-api/"); ok {
		api, rest := cutSegment("/" + rest)
		stage, rest := cutSegment(rest)
		return Target{API: api, Stage: stage, Path: rest}, api != ""
	}
	if rest, ok := strings.CutPrefix(path, "/restapis/"); ok {
		api, rest := cutSegment("/" + rest)
		stage, rest := cutSegment(rest)
		marker, rest := cutSegment(rest)
		return Target{API: api, Stage: stage, Path: rest}, marker == "_user_request_" && api != ""
	}
	return Target{}, false
}

// Serves reports whether r is a request to a deployed API, by Match or by a custom domain name.
func (h *Handler) Serves(r *http.Request) bool {
	_, ok := h.target(r)
	return ok
}

func (h *Handler) target(r *http.Request) (Target, bool) {
	if t, ok := Match(r); ok {
		return t, true
	}
	path := rawPath(r)
	t, ok := h.names.Locate(r.Context(), r.Host, path)
	if !ok || strings.HasPrefix(path, "/_brume/") {
		return Target{}, false
	}
	// Whoever takes a name takes no call of a service that somebody signed.
	if scope, signed := sigv4.Identify(r); signed && scope.Service != "execute-api" {
		return Target{}, false
	}
	return Target{t.API, t.Stage, t.Path, &t.How}, true
}

// URL is where clients of a server at base reach an API. Names below localhost lead to this machine, so that APIs of one that
// is reached there have URLs of AWS's form; of another one no wildcard name is known, and the URL is a path.
func URL(base *url.URL, api, region string) string {
	addr, err := netip.ParseAddr(base.Hostname())
	if err == nil && addr.IsLoopback() || base.Hostname() == "localhost" {
		host := api + ".execute-api." + region + ".localhost"
		if port := base.Port(); port != "" {
			host += ":" + port
		}
		return base.Scheme + "://" + host
	}
	return base.Scheme + "://" + base.Host + "/_aws/execute-api/" + api
}

// apiOfHost returns the API in "{api}.execute-api" and whatever follows it.
func apiOfHost(host string) (string, bool) {
	api, rest, ok := strings.Cut(host, ".")
	const label = "execute-api"
	if !ok || api == "" || len(rest) < len(label) || !strings.EqualFold(rest[:len(label)], label) {
		return "", false
	}
	if rest = rest[len(label):]; rest != "" && rest[0] != '.' && rest[0] != ':' {
		return "", false
	}
	return strings.ToLower(api), true
}

// cutSegment cuts "/first/rest" into "first" and "/rest".
func cutSegment(path string) (first, rest string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// rawPath is the path as it came over the wire.
func rawPath(r *http.Request) string {
	if r.RequestURI == "" || r.RequestURI[0] != '/' { // not from a server, or a target in absolute form
		return r.URL.EscapedPath()
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target, ok := h.target(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if head := headLength(r); head > edge.MaxHeader {
		w.Header().Set("Connection", "close") // what is left of the body is not read
		write(w, r, (*edge.Response)(apigateway.HeaderTooLong(len(r.RequestURI) > edge.MaxHeader)))
		return
	}
	now := time.Now()
	body, err := readBody(w, r)
	if err != nil {
		w.Header().Set("Connection", "close") // what is left of the body is not read
	}
	tooLong := errors.Is(err, errTooLong)
	if err != nil && !tooLong {
		write(w, r, (*edge.Response)(apigateway.BadRequest()))
		return
	}
	req := &edge.Request{
		API: target.API, Stage: target.Stage, Path: target.Path, Method: r.Method, RawQuery: r.URL.RawQuery, Query: edge.ParseQuery(r.URL.RawQuery), Header: fields(r),
		Body: body, TooLong: tooLong, Host: r.Host, Protocol: r.Proto, Secure: r.TLS != nil, Time: now, Custom: target.Custom,
		Authenticate: func(ctx context.Context, region string) (call.Principal, error) {
			return h.authenticate(ctx, r, body, region, now)
		},
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		req.SourceIP = from.Addr()
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		req.Port = local.Port
	}
	if socket.IsHandshake(r) && h.open(w, r, req) {
		return
	}
	res, ok := h.http.Invoke(r.Context(), req)
	switch {
	case !ok && tooLong:
		res = (*edge.Response)(apigateway.RequestTooLong())
	case !ok:
		res = (*edge.Response)(h.rest.Invoke(r.Context(), (*apigateway.Request)(req)))
	}
	write(w, r, res)
}

// open answers the handshake of a WebSocket, and returns when the connection is over; false if the API has none.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, req *edge.Request) bool {
	if !socket.IsValid(r) {
		if !h.sockets.IsSocket(r.Context(), req.API) {
			return false
		}
		write(w, r, &edge.Response{Status: http.StatusBadRequest, Header: []edge.Field{{Name: "content-type", Value: "application/json"}}, Body: []byte(`{"message":"Bad Request"}`)})
		return true
	}
	session, refusal, ok := h.sockets.Connect(r.Context(), req)
	switch {
	case !ok:
		return false
	case refusal != nil:
		write(w, r, refusal)
	default:
		socket.Serve(w, r, session)
	}
	return true
}

// authenticate verifies the signature of a request, which must be for a region.
func (h *Handler) authenticate(ctx context.Context, r *http.Request, body []byte, region string, now time.Time) (call.Principal, error) {
	if !sigv4.Signed(r) {
		return call.Principal{}, &edge.SignatureFault{Kind: "MISSING_AUTHENTICATION_TOKEN", ErrorType: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
	}
	result, err := h.verifier.Verify(ctx, r, body, "execute-api", now)
	var known *sigv4.Error
	switch {
	case errors.As(err, &known):
		return call.Principal{}, signatureFault(known)
	case err != nil:
		return call.Principal{}, err
	case result.Region != region:
		return call.Principal{}, &edge.SignatureFault{
			Kind: "INVALID_SIGNATURE", ErrorType: "InvalidSignatureException", Message: "Credential should be scoped to a valid region. ",
		}
	}
	return result.Principal, nil
}

// signatureFault is a refusal as API Gateway words it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func signatureFault(e *sigv4.Error) *edge.SignatureFault {
	f := &edge.SignatureFault{Kind: "INVALID_SIGNATURE", ErrorType: "InvalidSignatureException", Message: e.Message}
	switch e.Kind {
	case sigv4.MissingToken:
		f.Kind, f.ErrorType = "MISSING_AUTHENTICATION_TOKEN", "MissingAuthenticationTokenException"
	case sigv4.IncompleteSignature:
		f.ErrorType = "IncompleteSignatureException"
	case sigv4.InvalidClientToken:
		f.Kind, f.ErrorType = "ACCESS_DENIED", "UnrecognizedClientException"
	case sigv4.ExpiredToken:
		f.Kind, f.ErrorType = "EXPIRED_TOKEN", "ExpiredTokenException"
	}
	return f
}

// headLength is what edge.MaxHeader bounds.
func headLength(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len(r.Host)
	for _, values := range r.Header {
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

var errTooLong = errors.New("executeapi: the body is too long")

// readBody reads the body. It takes no memory for what a client merely announces, and does not wait for long.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > edge.MaxBody {
		return nil, errTooLong
	}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(min(r.ContentLength, 64<<10)) + bytes.MinRead)
	}
	done := pace.Reading(w, r, edge.MaxBody)
	n, err := buf.ReadFrom(io.LimitReader(r.Body, edge.MaxBody+1))
	if err != nil {
		return nil, err
	}
	done()
	if n > edge.MaxBody {
		return nil, errTooLong
	}
	return buf.Bytes(), nil
}

// fields lists the headers by name, Host among them.
func fields(r *http.Request) []edge.Field {
	names := slices.AppendSeq(make([]string, 0, len(r.Header)+1), maps.Keys(r.Header))
	names = append(names, "Host")
	slices.Sort(names)
	list := make([]edge.Field, 0, len(names)+4)
	for _, name := range names {
		if name == "Host" {
			list = append(list, edge.Field{Name: name, Value: r.Host})
			continue
		}
		for _, v := range r.Header[name] {
			list = append(list, edge.Field{Name: name, Value: v})
		}
	}
	return list
}

func write(w http.ResponseWriter, r *http.Request, res *edge.Response) {
	h := w.Header()
	for _, f := range res.Header {
		name := f.Name
		switch strings.ToLower(name) {
		case "content-type", "date", "connection": // net/http looks for these, and adds its own if it does not find them
			name = http.CanonicalHeaderKey(name)
		case "content-length", "transfer-encoding", "trailer":
			continue // the framing is ours
		}
		h[name] = append(h[name], f.Value)
	}
	bodyless := res.Status == http.StatusNoContent || res.Status == http.StatusNotModified
	if !bodyless {
		h.Set("Content-Length", strconv.Itoa(len(res.Body)))
	}
	w.WriteHeader(res.Status)
	if !bodyless && r.Method != http.MethodHead {
		w.Write(res.Body) // a client that went away is nobody's error
	}
}
