// Package wire is Brume on HTTP: it finds the service and the operation that a request is for, verifies the signature,
// decodes, dispatches and encodes. Each protocol has a codec in a package of its own; none of them knows a service.
//
// It promises that every request is answered in the words of its protocol, whatever bytes it holds; that no body is
// read beyond its bound; and that every call leaves one log record and one count.
package wire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/obs"
	"brume/internal/schema"
	"brume/internal/wire/awsjson"
	"brume/internal/wire/awsquery"
	"brume/internal/wire/codec"
	"brume/internal/wire/restjson"
	"brume/internal/wire/sigv4"
)

// Config is what a Server is made of.
type Config struct {
	Services   []*schema.Service
	Dispatcher *dispatch.Dispatcher
	// Credentials resolves the access keys that requests are signed with.
	Credentials sigv4.Credentials
	// DataPlane serves the requests to deployed APIs; it is asked first whether a request is one.
	DataPlane DataPlane
	// Region is where services without a region of their own, and requests that name none, live.
	Region  string
	Metrics *obs.Metrics
	Log     *slog.Logger
	Now     func() time.Time
}

// A DataPlane serves requests to deployed APIs.
type DataPlane interface {
	http.Handler
	// Serves reports whether r is for a deployed API, by its host or its path.
	Serves(r *http.Request) bool
}

// A Server serves every service on one address.
type Server struct {
	Config
	endpoints     []*endpoint
	bySigningName map[string][]*endpoint
	verifier      *sigv4.Verifier
	metrics       http.Handler
}

// NewServer returns the server for c.
func NewServer(c Config) (*Server, error) {
	s := &Server{
		Config:        c,
		bySigningName: map[string][]*endpoint{},
		verifier:      sigv4.NewVerifier(c.Credentials),
		metrics:       promhttp.HandlerFor(c.Metrics.Gatherer(), promhttp.HandlerOpts{}),
	}
	for _, svc := range c.Services {
		resolver, err := codec.NewResolver(svc)
		if err != nil {
			return nil, err
		}
		e := &endpoint{svc: svc, resolver: resolver, maxBody: maxBody}
		if svc.Name == "lambda" {
			e.maxBody = maxLambdaBody
		}
		switch svc.Protocol {
		case schema.AWSJSON:
			e.codec = awsjson.New()
		case schema.RestJSON:
			e.codec = restjson.New()
		case schema.AWSQuery:
			e.codec = awsquery.New()
		default:
			return nil, fmt.Errorf("wire: no codec for the protocol of %s", svc.Name)
		}
		s.endpoints = append(s.endpoints, e)
		s.bySigningName[svc.SigningName] = append(s.bySigningName[svc.SigningName], e)
	}
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_brume/"):
		s.serveOwn(w, r)
	case s.DataPlane.Serves(r):
		s.DataPlane.ServeHTTP(w, r)
	default:
		s.serveOperation(w, r)
	}
}

// serveOwn answers what is Brume's own and no service's.
func (s *Server) serveOwn(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/_brume/health":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{\"status\":\"ready\"}\n")
	case "/_brume/metrics":
		s.metrics.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// exchange is one request to an operation on its way.
type exchange struct {
	endpoint *endpoint
	op       *schema.Operation // nil until it is known
	info     call.Info
	start    time.Time
}

func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request) {
	x := &exchange{start: s.Now()}
	x.info = call.Info{
		RequestID: newRequestID(),
		SourceIP:  sourceIP(r),
		UserAgent: r.UserAgent(),
		Secure:    r.TLS != nil,
		Time:      x.start,
	}
	if x.endpoint = s.find(r); x.endpoint == nil {
		s.refuseUnknown(w, r, x)
		return
	}
	resp := codec.Response{Header: w.Header()}
	err := s.operate(w, r, x, &resp)
	code := ""
	if err != nil {
		known := asKnown(err)
		code = known.ErrorCode()
		if awserr.IsInternal(known) {
			s.Log.LogAttrs(r.Context(), slog.LevelError, "request failed",
				slog.String("request_id", x.info.RequestID), slog.String("error", err.Error()))
		}
		resp = codec.Response{Header: w.Header()}
		x.endpoint.codec.EncodeError(x.endpoint.svc, x.op, x.info.RequestID, localise(x.endpoint.svc, known), &resp)
	}
	s.send(w, r, x, &resp, code)
}

// operate runs the operation that r asks for and encodes its output into resp.
func (s *Server) operate(w http.ResponseWriter, r *http.Request, x *exchange, resp *codec.Response) error {
	e := x.endpoint
	body, err := readBody(w, r, e.maxBody)
	if err != nil {
		return err
	}
	result, err := s.verifier.Verify(r.Context(), r, body, e.svc.SigningName, x.start)
	if err != nil {
		return signatureError(e.svc, err)
	}
	x.info.Principal = result.Principal
	x.info.Account = result.Principal.Account
	if x.info.Region = result.Region; e.svc.Global {
		x.info.Region = s.Region
	}
	req, err := codec.NewRequest(r, body)
	if err != nil {
		return err
	}
	if x.op, err = e.resolver.Resolve(req); err != nil {
		return err
	}
	x.info.Service, x.info.Operation = e.svc.Name, x.op.Name
	op := s.Dispatcher.Operation(e.svc.Name, x.op.Name)
	in := op.New()
	if err := e.codec.Decode(e.svc, x.op, req, in); err != nil {
		return err
	}
	out, err := s.Dispatcher.Call(call.With(r.Context(), &x.info), op, in)
	if err != nil {
		return err
	}
	return e.codec.Encode(e.svc, x.op, x.info.RequestID, out, resp)
}

// refuseUnknown answers a request that names no service of ours.
func (s *Server) refuseUnknown(w http.ResponseWriter, r *http.Request, x *exchange) {
	message := "Brume cannot tell which service this request is for: it has no AWS signature, and neither its host, " +
		"its X-Amz-Target nor its path names one."
	status := http.StatusNotFound
	if scope, ok := sigv4.Identify(r); ok {
		message = fmt.Sprintf("Brume does not implement the service %q.", scope.Service)
		status = http.StatusNotImplemented
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", "NotImplemented")
	w.Header().Set("X-Amzn-Requestid", x.info.RequestID)
	body, err := jsonMessage("NotImplemented", message)
	if err != nil {
		s.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("error", err.Error()))
	}
	s.finish(r, x, status, "NotImplemented", len(body))
	w.WriteHeader(status)
	w.Write(body)
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, x *exchange, resp *codec.Response, code string) {
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	// A client that is gone is no error of ours; net/http closes its connection.
	_, _ = w.Write(resp.Body)
	s.finish(r, x, status, code, len(resp.Body))
}

// finish logs and counts the call.
func (s *Server) finish(r *http.Request, x *exchange, status int, code string, size int) {
	service, operation := "unknown", "unknown"
	if x.endpoint != nil {
		service = x.endpoint.svc.Name
	}
	if x.op != nil {
		operation = x.op.Name
	}
	d := s.Now().Sub(x.start)
	s.Metrics.Call(service, operation, status, code, d)
	attrs := [...]slog.Attr{
		slog.String("service", service), slog.String("operation", operation), slog.Int("status", status),
		slog.Duration("duration", d), slog.Int("bytes", size), slog.String("request_id", x.info.RequestID),
		slog.String("principal", x.info.Principal.ARN), slog.String("region", x.info.Region),
		slog.String("source", x.info.SourceIP.String()), slog.String("error", code),
	}
	n := len(attrs)
	if code == "" {
		n--
	}
	s.Log.LogAttrs(r.Context(), slog.LevelInfo, "call", attrs[:n]...)
}

func asKnown(err error) awserr.Error {
	var known awserr.Error
	if errors.As(err, &known) {
		return known
	}
	return awserr.Internal(err)
}

// readBody reads the whole body, refusing one that is longer than limit or ends early.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := func() error {
		return awserr.New("RequestEntityTooLargeException", "Request must be smaller than %d bytes for the operation", limit).
			WithStatus(http.StatusRequestEntityTooLarge)
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge()
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, incompleteBody(err)
		}
		return body, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case err != nil:
		return nil, incompleteBody(err)
	}
	return body, nil
}

func incompleteBody(cause error) error {
	e := awserr.New("IncompleteBody", "The request ended before its body did.")
	e.Cause = cause
	return e
}

// sourceIP is the address of the peer, invalid where there is none to speak of.
func sourceIP(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}
