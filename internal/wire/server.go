// Package wire is Brume on HTTP: it finds the service and the operation that a request is for, verifies the signature,
// decodes, dispatches and encodes. Each protocol has a codec in a package of its own; none of them knows a service.
//
// It promises that every request is answered in the words of its protocol, whatever bytes it holds; that no body is
// read beyond its bound; and that every call leaves one log record and one count.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/edge"
	"brume/internal/obs"
	"brume/internal/schema"
	"brume/internal/wire/awsjson"
	"brume/internal/wire/awsquery"
	"brume/internal/wire/codec"
	"brume/internal/wire/pace"
	"brume/internal/wire/restjson"
	"brume/internal/wire/sigv4"
)

// Config is what a Server is made of.
type Config struct {
	Services   []*schema.Service
	Dispatcher *dispatch.Dispatcher
	// Credentials resolves the access keys that requests are signed with.
	Credentials sigv4.Credentials
	// Messages seals what there is to say of a denial; nil if nothing is.
	Messages Messages
	// Uses is told of every call whose signature was right.
	Uses interface{ RecordUse(*call.Info) }
	// DataPlane serves the requests to deployed APIs; it is asked first whether a request is one.
	DataPlane DataPlane
	// Connections finds the calls of operations that are sent to a stage of the data plane; nil if there are none.
	Connections Connections
	// Region is where services without a region of their own, and requests that name none, live.
	Region  string
	Metrics *obs.Metrics
	Log     *slog.Logger
	// Healthy returns an error while writes are refused; nil means that they never are.
	Healthy func() error
	Now     func() time.Time
}

// Messages seals what DecodeAuthorizationMessage opens; what cannot be opened becomes empty.
type Messages interface {
	EncodeAuthorizationMessage(account string, message []byte) string
}

// A DataPlane serves requests to deployed APIs.
type DataPlane interface {
	http.Handler
	// Serves reports whether r is for a deployed API, by its host or its path.
	Serves(r *http.Request) bool
}

// Connections finds calls of the API of WebSocket APIs' connections, apigatewaymanagementapi.
type Connections interface {
	// Connections reports whether r is such a call, to which stage it is sent, and the path of its operation, escaped.
	Connections(r *http.Request) (at edge.StageID, path string, ok bool)
}

// connectionsService is the service whose calls Connections finds.
const connectionsService = "apigatewaymanagementapi"

// A Server serves every service on one address.
type Server struct {
	Config
	endpoints     []*endpoint
	bySigningName map[string][]*endpoint
	connections   *endpoint // of connectionsService
	strangers     strangers
	verifier      *sigv4.Verifier
	metrics       http.Handler
	bodies        sync.Pool // of *[]byte, empty: room for responses
}

// NewServer returns the server for c.
func NewServer(c Config) (*Server, error) {
	s := &Server{
		Config:        c,
		bySigningName: map[string][]*endpoint{},
		strangers:     newStrangers(),
		verifier:      sigv4.NewVerifier(c.Credentials),
		metrics:       promhttp.HandlerFor(c.Metrics.Gatherer(), promhttp.HandlerOpts{}),
		bodies:        sync.Pool{New: func() any { return new([]byte) }},
	}
	for _, svc := range c.Services {
		resolver, err := codec.NewResolver(svc)
		if err != nil {
			return nil, err
		}
		e := &endpoint{svc: svc, resolver: resolver, maxBody: maxBody}
		e.unsigned = slices.ContainsFunc(svc.Operations, func(op schema.Operation) bool { return op.Unsigned })
		switch svc.Name {
		case "lambda":
			e.maxBody = maxLambdaBody
		case connectionsService:
			s.connections = e
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
	case s.DataPlane.Serves(r):
		if s.Connections != nil {
			if at, path, ok := s.Connections.Connections(r); ok {
				s.serveOperation(w, r.WithContext(edge.WithStage(r.Context(), at)), path)
				return
			}
		}
		s.DataPlane.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/_brume/"):
		s.serveOwn(w, r)
	default:
		s.serveOperation(w, r, "")
	}
}

// serveOwn answers what is Brume's own and no service's.
func (s *Server) serveOwn(w http.ResponseWriter, r *http.Request) {
	leaveBody(w, r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/_brume/health":
		s.serveHealth(w)
	case "/_brume/metrics":
		s.metrics.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// serveHealth answers 200 while all works, and 503 while writes are refused. The cause is in the log.
func (s *Server) serveHealth(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if s.Healthy != nil && s.Healthy() != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "{\"status\":\"read-only\"}\n")
		return
	}
	io.WriteString(w, "{\"status\":\"ready\"}\n")
}

// exchange is one request to an operation on its way.
type exchange struct {
	endpoint *endpoint
	op       *schema.Operation // nil until it is known
	info     call.Info
	start    time.Time
	path     string        // of the operation, escaped, where that is not the request's
	events   schema.Events // of an output that is a stream
	stranger string        // the service that was asked for, if it is none of ours and its name one that services have
}

// serveOperation serves a call of an operation. One that was sent to a stage has a path of its own there.
func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request, path string) {
	x := &exchange{start: s.Now(), path: path}
	x.info = call.Info{
		RequestID: call.NewRequestID(),
		SourceIP:  sourceIP(r),
		UserAgent: r.UserAgent(),
		Referer:   r.Referer(),
		TraceID:   r.Header.Get("X-Amzn-Trace-Id"),
		Secure:    r.TLS != nil,
		Time:      x.start,
	}
	resp := codec.Response{Header: w.Header()}
	var err error
	if path == "" {
		x.endpoint = s.find(r)
	} else {
		x.endpoint = s.connections
	}
	if x.endpoint != nil {
		if x.endpoint.svc.Protocol == schema.AWSJSON { // the codecs of the others may hand on what they do not own
			buf := s.bodies.Get().(*[]byte)
			resp.Body = *buf
			defer func() {
				if cap(resp.Body) <= maxKeptBody {
					*buf = resp.Body[:0]
				}
				s.bodies.Put(buf)
			}()
		}
		x.info.Service = x.endpoint.svc.Name
		err = s.operate(w, r, x, &resp)
	} else {
		leaveBody(w, r)
		x.endpoint = s.strangers.of(r)
		err = s.refuseStranger(r, x)
	}
	code := ""
	if err != nil {
		known, fault := asKnown(r.Context(), err)
		code = known.ErrorCode()
		if fault {
			s.logFault(r.Context(), x, err)
		}
		s.encodeError(x, known, &resp)
	} else if x.events != nil {
		s.stream(w, r, x, &resp)
		return
	}
	s.send(w, r, x, &resp, code)
}

// maxKeptBody is the largest room for a response, in bytes, that is kept for later ones.
const maxKeptBody = 64 << 10

// operate runs the operation that r asks for and encodes its output into resp.
func (s *Server) operate(w http.ResponseWriter, r *http.Request, x *exchange, resp *codec.Response) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	e := x.endpoint
	var req *codec.Request
	if e.unsigned && len(r.Header["Authorization"]) == 0 && !sigv4.Signed(r) {
		req, err = s.anonymous(w, r, x)
	} else {
		req, err = s.signed(w, r, x)
	}
	if err != nil {
		return err
	}
	return s.perform(r.Context(), x, req, resp)
}

// signed finds out who the caller is, and the operation.
func (s *Server) signed(w http.ResponseWriter, r *http.Request, x *exchange) (*codec.Request, error) {
	body, err := s.verify(w, r, x)
	if err != nil {
		return nil, err
	}
	s.Uses.RecordUse(&x.info)
	req, err := codec.NewRequest(r, body)
	if err != nil {
		return nil, err
	}
	if x.path != "" {
		req.Path = x.path
	}
	x.op, err = x.endpoint.resolve(req)
	return req, err
}

// anonymous finds the operation of a request without a signature, which has to be one for callers without credentials.
func (s *Server) anonymous(w http.ResponseWriter, r *http.Request, x *exchange) (*codec.Request, error) {
	body, err := readBody(w, r, maxUnsignedBody)
	if err != nil {
		return nil, err
	}
	req, err := codec.NewRequest(r, body)
	if err != nil {
		return nil, err
	}
	op, err := x.endpoint.resolve(req)
	if err != nil || !op.Unsigned {
		return nil, signatureError(x.endpoint.svc, sigv4.Unsigned())
	}
	x.op, x.info.Principal, x.info.Region = op, call.Principal{Type: call.Anonymous}, s.Region
	return req, nil
}

// verify reads the body and finds out who the caller is.
func (s *Server) verify(w http.ResponseWriter, r *http.Request, x *exchange) (body []byte, err error) {
	e := x.endpoint
	if isBig(r) {
		if err := s.verifier.Admit(r.Context(), r, e.svc.SigningName, x.start); err != nil {
			leaveBody(w, r)
			return nil, signatureError(e.svc, err)
		}
	}
	if body, err = readBody(w, r, e.maxBody); err != nil {
		return nil, err
	}
	result, err := s.verifier.Verify(r.Context(), r, body, e.svc.SigningName, x.start)
	if err != nil {
		return nil, signatureError(e.svc, err)
	}
	if !isRegion(result.Region) {
		return nil, signatureError(e.svc, &sigv4.Error{
			Kind: sigv4.SignatureMismatch, Message: "Credential should be scoped to a valid region. ",
		})
	}
	if e.svc.SigningName == "dynamodb" && strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		if body, err = expand(body, e.maxBody); err != nil {
			return nil, err
		}
	}
	x.info.Principal = result.Principal
	x.info.Account = result.Principal.Account
	if x.info.Region = result.Region; e.svc.Global {
		x.info.Region = s.Region
	}
	return body, nil
}

// isRegion reports whether a name could be a region's: parts of lower-case letters and digits with hyphens between.
// Regions are parts of ARNs and keys, so nothing else may get through.
func isRegion(name string) bool {
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return false
		}
		for i := range len(part) {
			if c := part[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return false
			}
		}
	}
	return len(name) <= maxRegion
}

// maxRegion is the longest name of a region, that of a label of a host.
const maxRegion = 63

// messageHeader carries what a caller with the permission sts:DecodeAuthorizationMessage can have decoded.
const messageHeader = "X-Brume-Authorization-Message"

// encodeError makes resp the answer to a call that failed. Of what an output has left in it nothing stays, but for what
// is to become of the connection.
func (s *Server) encodeError(x *exchange, err awserr.Error, resp *codec.Response) {
	for name := range resp.Header {
		if name != "Connection" {
			delete(resp.Header, name)
		}
	}
	*resp = codec.Response{Header: resp.Header}
	if generic, ok := err.(*awserr.Generic); ok && generic.Explain != nil && s.Messages != nil && x.info.Account != "" {
		if message := s.Messages.EncodeAuthorizationMessage(x.info.Account, generic.Explain()); message != "" {
			resp.Header.Set(messageHeader, message)
		}
	}
	e := x.endpoint
	e.codec.EncodeError(e.svc, x.op, x.info.RequestID, localise(e.svc, err), resp)
}

// logFault tells why a call failed by a fault of ours.
func (s *Server) logFault(ctx context.Context, x *exchange, err error) {
	operation := ""
	if x.op != nil {
		operation = x.op.Name
	}
	s.Log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("request_id", x.info.RequestID),
		slog.String("service", x.endpoint.svc.Name), slog.String("operation", operation), slog.String("error", err.Error()))
}

// send writes the response, and then records the call.
func (s *Server) send(w http.ResponseWriter, r *http.Request, x *exchange, resp *codec.Response, code string) {
	compress(r, resp)
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.Body)))
	}
	// What fits into the buffers of a connection is taken at once; only with more can a client keep us waiting.
	big := len(resp.Body) > bigBody
	conn := http.NewResponseController(w)
	if big {
		_ = conn.SetWriteDeadline(pace.Deadline(int64(len(resp.Body))))
	}
	w.WriteHeader(status)
	// A client that is gone is no error of ours; net/http closes its connection.
	_, err := w.Write(resp.Body)
	if big && err == nil && conn.Flush() == nil {
		_ = conn.SetWriteDeadline(time.Time{})
	}
	s.finish(r, x, status, code, len(resp.Body))
}

// finish logs and counts the call.
func (s *Server) finish(r *http.Request, x *exchange, status int, code string, size int) {
	service, operation := x.endpoint.svc.Name, "unknown"
	if x.op != nil {
		operation = x.op.Name
	}
	d := s.Now().Sub(x.start)
	s.Metrics.Call(service, operation, status, code, d) // with names of ours alone: others have no end
	if x.stranger != "" {
		service = x.stranger
	}
	obs.LogCall(r.Context(), s.Log, &obs.Call{
		Service: service, Operation: operation, Status: status, Start: x.start, Duration: d, Bytes: size,
		RequestID: x.info.RequestID, Principal: x.info.Principal.ARN, Region: x.info.Region, Source: x.info.SourceIP, Error: code,
	})
}

// asKnown finds the error for the client in err. Whether that is a fault of ours goes into the log.
func asKnown(ctx context.Context, err error) (known awserr.Error, fault bool) {
	if errors.As(err, &known) {
		return known, awserr.IsInternal(known)
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return awserr.Internal(err), true
	}
	// The call ended with its request. Who ended that may have left a word for the client, who may still be there.
	if errors.As(context.Cause(ctx), &known) {
		return known, false
	}
	return &awserr.Generic{Code: "ClientDisconnected", Status: statusDisconnected}, false
}

// statusDisconnected stands in logs and metrics for the answer that nobody waited for, as in those of other servers.
const statusDisconnected = 499

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
