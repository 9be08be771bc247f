package wire

import (
	"net/http"
	"strings"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
	"brume/internal/wire/sigv4"
)

// endpoint is a service as the server reaches it.
type endpoint struct {
	svc      *schema.Service
	codec    codec.Codec
	resolver *codec.Resolver
	// maxBody bounds a request's body, in bytes.
	maxBody int64
	// unsigned says that some of the service's operations are for callers without credentials.
	unsigned bool
}

// Bounds of request bodies, in bytes. Lambda takes a function's zip of 50 MB in base64; DynamoDB's largest request is a
// BatchWriteItem of 16 MB, more with what JSON adds.
const (
	maxBody       = 24 << 20
	maxLambdaBody = 72 << 20
	// maxUnsignedBody is for those who have shown nothing yet: a token of an identity provider, twice encoded.
	maxUnsignedBody = 256 << 10
)

// find returns the endpoint that a request is for: by the credential scope of its signature, its X-Amz-Target, its
// host, or, if it has no signature, its path, in this order. It returns nil if none of them tells.
func (s *Server) find(r *http.Request) *endpoint {
	target := r.Header.Get("X-Amz-Target")
	if i := strings.LastIndexByte(target, '.'); i >= 0 {
		target = target[:i]
	}
	scope, scoped := sigv4.Identify(r)
	if scoped {
		// dynamodb and dynamodbstreams share a signing name; their targets differ.
		candidates := s.bySigningName[scope.Service]
		for _, e := range candidates {
			if e.svc.HasTarget(target) {
				return e
			}
		}
		if len(candidates) > 0 {
			return withPath(candidates, r)
		}
	}
	if target != "" {
		for _, e := range s.endpoints {
			if e.svc.HasTarget(target) {
				return e
			}
		}
	}
	if e := withPath(s.findByHost(r.Host), r); e != nil || scoped {
		return e
	}
	return s.findByPath(r)
}

// resolve finds the operation of req. A path with dot segments has none: they may be taken out before a path is signed,
// so that the signature would also be right for the path of another operation.
func (e *endpoint) resolve(req *codec.Request) (*schema.Operation, error) {
	if e.svc.Protocol == schema.RestJSON {
		for segment := range strings.SplitSeq(req.Path, "/") {
			if segment == "." || segment == ".." {
				return nil, &awserr.Generic{Code: "UnknownOperationException", Status: http.StatusNotFound}
			}
		}
	}
	return e.resolver.Resolve(req)
}

// findByHost reads hosts such as dynamodb.eu-west-1.amazonaws.com and iam.localhost: the leading labels are the
// service's endpoint prefix, which may have a dot of its own.
func (s *Server) findByHost(host string) (candidates []*endpoint) {
	host = strings.ToLower(host)
	for _, e := range s.endpoints {
		rest, ok := strings.CutPrefix(host, e.svc.EndpointPrefix)
		if ok && strings.HasPrefix(rest, ".") {
			candidates = append(candidates, e)
		}
	}
	return candidates
}

// withPath is that of several services of one name whose operation a request's path is; the first if it is nobody's, nil if there are none. The
// two kinds of API Gateway's APIs have one name.
func withPath(candidates []*endpoint, r *http.Request) *endpoint {
	if len(candidates) == 0 {
		return nil
	}
	if len(candidates) > 1 {
		if req, err := codec.NewRequest(r, nil); err == nil {
			for _, e := range candidates {
				if _, err := e.resolve(req); err == nil {
					return e
				}
			}
		}
	}
	return candidates[0]
}

// findByPath serves unsigned requests to a host that says nothing: of the REST services the one that has the path, and
// of the query services the one that has the action or, for a form, has operations for callers without credentials.
func (s *Server) findByPath(r *http.Request) *endpoint {
	req, err := codec.NewRequest(r, nil)
	if err != nil {
		return nil
	}
	for _, e := range s.endpoints {
		if e.svc.Protocol != schema.RestJSON && e.svc.Protocol != schema.RestXML {
			continue
		}
		if _, err := e.resolve(req); err == nil {
			return e
		}
	}
	if action, ok := req.Query.Get("Action"); ok {
		for _, e := range s.endpoints {
			if e.svc.Protocol == schema.AWSQuery && e.resolver.Operation(action) != nil {
				return e
			}
		}
	} else if codec.IsForm(r.Header) {
		// The action is in the body. Without a signature it can only be one for callers without credentials.
		for _, e := range s.endpoints {
			if e.svc.Protocol == schema.AWSQuery && e.unsigned {
				return e
			}
		}
	}
	return nil
}
