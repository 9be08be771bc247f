package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// A Call is a call of an operation from inside the process, in the form of its protocol.
type Call struct {
	// Service leads the host name of the service: "dynamodb", "streams.dynamodb".
	Service string
	// Action is the operation of a service whose requests all have one path; for others Method, Path and Query say it.
	Action      string
	Method      string
	Path, Query string // escaped
	Header      http.Header
	Body        []byte
}

// Has reports whether a service leads a host name.
func (s *Server) Has(service string) bool { return len(s.findByHost(service+".")) > 0 }

// Do makes a call for a caller whom the one who calls Do vouches for. It is decoded, validated, authorised and answered as
// one that came over the network is, a refusal included.
func (s *Server) Do(ctx context.Context, caller call.Info, c *Call) (resp *codec.Response) {
	x := &exchange{start: s.Now(), info: caller}
	resp = &codec.Response{Header: http.Header{}}
	x.endpoint = withPath(s.findByHost(c.Service+"."), &http.Request{Method: c.Method, URL: &url.URL{Path: c.Path}})
	r := &http.Request{Method: c.Method, URL: &url.URL{Path: "/"}, Header: c.Header, Host: c.Service}
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		if x.endpoint == nil {
			x.endpoint = s.strangers.of(r)
			return awserr.NotImplemented("a call of " + c.Service)
		}
		x.info.Service = x.endpoint.svc.Name
		if err := s.operateInside(ctx, r, x, c, resp); err != nil || x.events == nil {
			return err
		}
		return awserr.NotImplemented("a call from inside with a stream for an answer")
	}()
	code := ""
	if err != nil {
		known, fault := asKnown(ctx, err)
		code = known.ErrorCode()
		if fault {
			s.logFault(ctx, x, err)
		}
		s.encodeError(x, known, resp)
	}
	if resp.Status == 0 {
		resp.Status = http.StatusOK
	}
	s.finish(r.WithContext(ctx), x, resp.Status, code, len(resp.Body))
	return resp
}

func (s *Server) operateInside(ctx context.Context, r *http.Request, x *exchange, c *Call, resp *codec.Response) error {
	svc := x.endpoint.svc
	var err error
	if r.URL, err = url.Parse("http://inside" + c.Path); err != nil {
		return awserr.Validation("The path is not well formed.")
	}
	r.URL.RawQuery = c.Query
	switch {
	case svc.Protocol == schema.AWSJSON:
		r.Method, r.URL.Path, r.URL.RawPath = http.MethodPost, "/", ""
		r.Header.Set("Content-Type", "application/x-amz-json-"+svc.JSONVersion)
		if c.Action != "" {
			r.Header.Set("X-Amz-Target", svc.TargetPrefix+"."+c.Action)
		}
	case svc.Protocol == schema.AWSQuery:
		r.URL.Path, r.URL.RawPath = "/", ""
		if c.Action != "" {
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&Action="+url.QueryEscape(c.Action), "&")
		}
	}
	if svc.Global {
		x.info.Region = s.Region
	}
	req, err := codec.NewRequest(r, c.Body)
	if err != nil {
		return err
	}
	if x.op, err = x.endpoint.resolve(req); err != nil {
		return err
	}
	return s.perform(ctx, x, req, resp)
}

// perform decodes, calls and encodes once caller and operation are known.
func (s *Server) perform(ctx context.Context, x *exchange, req *codec.Request, resp *codec.Response) error {
	e := x.endpoint
	x.info.Operation = x.op.Name
	op := s.Dispatcher.Operation(e.svc.Name, x.op.Name)
	in := op.New()
	if err := e.codec.Decode(e.svc, x.op, req, in); err != nil {
		return err
	}
	out, err := s.Dispatcher.Call(call.With(ctx, &x.info), op, in)
	if err != nil {
		return err
	}
	if streamer, ok := out.(schema.Streamer); ok {
		x.events = streamer.Stream()
	}
	return e.codec.Encode(e.svc, x.op, x.info.RequestID, out, resp)
}
