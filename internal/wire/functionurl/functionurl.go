// Package functionurl is the HTTP side of Lambda's function URLs: it turns requests to them into those of package lambda,
// and the answers back.
//
// It promises that the path reaches the function as it came over the wire, that no body larger than a function can take is
// held, that where a URL wants signatures none is taken for right that was not verified, and that what a function returns
// cannot break the framing of the response.
//
// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
package functionurl

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"brume/internal/call"
	"brume/internal/obs"
	"brume/internal/service/lambda"
	"brume/internal/wire/pace"
	"brume/internal/wire/sigv4"
)

// maxBody is the largest body, in bytes: what a function's event can hold.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const maxBody = 6 << 20

// Functions are what answers.
type Functions interface {
	// FindURL fails with lambda.ErrNoFunctionURL.
	FindURL(ctx context.Context, id string) (*lambda.FunctionURL, error)
	InvokeURL(ctx context.Context, u *lambda.FunctionURL, req *lambda.URLRequest, res lambda.URLResponse)
}

// Handler is the http.Handler of function URLs. Give it the requests that it Serves.
type Handler struct {
	functions Functions
	verifier  *sigv4.Verifier
	metrics   *obs.Metrics
	log       *slog.Logger
}

// New returns a Handler over functions, for callers whose keys credentials resolves. Each call of a function leaves one log
// record and one count.
func New(functions Functions, credentials sigv4.Credentials, metrics *obs.Metrics, log *slog.Logger) *Handler {
	return &Handler{functions, sigv4.NewVerifier(credentials), metrics, log}
}

// Match reports whether r is a request to a function URL, by its host or by its path, and returns the URL's id and the path
// behind that:
//
//	{id}.lambda-url.anything     /…
//	any host                     /_aws/lambda-url/{id}/…
func Match(r *http.Request) (id, path string, ok bool) {
	path = r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") { // as it came
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	if id, rest, found := strings.Cut(r.Host, "."); found && id != "" {
		const label = "lambda-url"
		if len(rest) > len(label) && strings.EqualFold(rest[:len(label)], label) && (rest[len(label)] == '.' || rest[len(label)] == ':') {
			return strings.ToLower(id), path, true
		}
	}
	rest, ok := strings.CutPrefix(path, lambda.URLPath)
	if !ok {
		return "", "", false
	}
	id, path = rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		id, path = rest[:i], rest[i:]
	}
	return id, path, id != ""
}

// Serves reports whether r is a request to a function URL.
func (h *Handler) Serves(r *http.Request) bool {
	_, _, ok := Match(r)
	return ok
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, path, ok := Match(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	info := &call.Info{
		RequestID: call.NewRequestID(), UserAgent: r.UserAgent(), Secure: r.TLS != nil, Time: time.Now(),
		Service: "lambda", Operation: "InvokeFunctionUrl", Principal: call.Principal{Type: call.Anonymous, ARN: "anonymous"},
	}
	w.Header().Set("X-Amzn-Requestid", info.RequestID)
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		info.SourceIP = from.Addr().Unmap()
	}
	u, err := h.functions.FindURL(r.Context(), id)
	if err != nil {
		if !errors.Is(err, lambda.ErrNoFunctionURL) {
			h.log.Error("finding a function URL", "error", err.Error())
			refuse(w, http.StatusInternalServerError, `{"Message":"Internal Server Error"}`)
			return
		}
		refuse(w, http.StatusForbidden, `{"Message":"Forbidden"}`)
		return
	}
	info.Account, info.Region = u.Account, u.Region
	done := pace.Reading(w, r, maxBody)
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		w.Header().Set("Connection", "close") // what is left of the body is not read
		refuse(w, http.StatusBadRequest, `{"Message":"Bad Request"}`)
		return
	}
	if len(body) > maxBody {
		w.Header().Set("Connection", "close") // what is left of the body is not read
		refuse(w, http.StatusRequestEntityTooLarge, `{"Message":"Request Entity Too Large"}`)
		return
	}
	done()
	if u.Signed && !isPreflight(r) {
		result, err := h.verifier.Verify(r.Context(), r, body, "lambda", info.Time)
		if err != nil || result.Region != u.Region {
			h.refuseSignature(w, err)
			return
		}
		info.Principal = result.Principal
	}
	req := &lambda.URLRequest{
		Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: lowered(r.Header), Body: body, Host: r.Host, Protocol: r.Proto, Secure: r.TLS != nil,
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		req.Port = local.Port
	}
	res := &response{w: w, head: r.Method == http.MethodHead}
	h.functions.InvokeURL(call.With(r.Context(), info), u, req, res)
	took := time.Since(info.Time)
	h.metrics.Call(info.Service, info.Operation, res.status, "", took)
	h.log.LogAttrs(r.Context(), slog.LevelInfo, "call", slog.String("service", info.Service), slog.String("operation", info.Operation),
		slog.Int("status", res.status), slog.Duration("duration", took), slog.String("request_id", info.RequestID),
		slog.String("principal", info.Principal.ARN), slog.String("region", info.Region), slog.String("source", info.SourceIP.String()))
	if res.aborted {
		panic(http.ErrAbortHandler) // the only way to tell a client that the response is not whole
	}
	res.end()
}

// isPreflight says whether a browser asks, without credentials as it does, what it may do.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// refuseSignature answers a request that is not signed well.
func (h *Handler) refuseSignature(w http.ResponseWriter, err error) {
	var known *sigv4.Error
	switch {
	case err != nil && !errors.As(err, &known):
		h.log.Error("verifying the signature of a call of a function URL", "error", err.Error())
		refuse(w, http.StatusInternalServerError, `{"Message":"Internal Server Error"}`)
	case known != nil && known.Kind == sigv4.SignatureMismatch:
		refuse(w, http.StatusForbidden, `{"Message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}`)
	default:
		refuse(w, http.StatusForbidden, `{"Message":"Forbidden"}`)
	}
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// lowered returns the headers by lower-case names.
func lowered(h http.Header) map[string][]string {
	out := make(map[string][]string, len(h))
	for name, values := range h {
		name = strings.ToLower(name)
		out[name] = append(out[name], values...)
	}
	return out
}

// A response writes what a function answers: what is streamed goes out piece by piece.
type response struct {
	w       http.ResponseWriter
	head    bool // the request's method is HEAD
	status  int
	begun   bool
	aborted bool
}

// Head implements lambda.URLResponse.
func (r *response) Head(status int, header []lambda.URLField) {
	h := r.w.Header()
	for _, f := range header {
		switch f.Name {
		case "content-length", "transfer-encoding", "trailer", "connection", "x-amzn-requestid":
			continue // the framing is ours
		}
		h.Add(f.Name, f.Value)
	}
	r.status = status
}

// Write implements lambda.URLResponse.
func (r *response) Write(p []byte) (int, error) {
	if r.bodyless() {
		return len(p), nil
	}
	if !r.begun {
		r.begun = true
		r.w.WriteHeader(r.status)
	}
	return r.w.Write(p)
}

// Flush implements lambda.URLResponse.
func (r *response) Flush() error {
	if r.bodyless() {
		return nil
	}
	return http.NewResponseController(r.w).Flush()
}

func (r *response) bodyless() bool {
	return r.head || r.status == http.StatusNoContent || r.status == http.StatusNotModified || r.status < 200
}

// Abort implements lambda.URLResponse.
func (r *response) Abort() { r.aborted = true }

// end sends a head that no body followed.
func (r *response) end() {
	if !r.begun && r.status != 0 {
		r.w.WriteHeader(max(r.status, 200))
	}
}
