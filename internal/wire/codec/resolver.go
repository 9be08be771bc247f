package codec

import (
	"fmt"
	"net/http"
	"strings"

	"brume/internal/awserr"
	"brume/internal/schema"
)

// A Resolver finds the operation that a request to one service asks for.
type Resolver struct {
	svc    *schema.Service
	byName map[string]*schema.Operation
	router *Router // of REST services
}

// NewResolver builds the resolver of a service.
func NewResolver(svc *schema.Service) (*Resolver, error) {
	r := &Resolver{svc: svc, byName: make(map[string]*schema.Operation, len(svc.Operations))}
	for i := range svc.Operations {
		r.byName[svc.Operations[i].Name] = &svc.Operations[i]
	}
	if svc.Protocol == schema.RestJSON || svc.Protocol == schema.RestXML {
		var err error
		if r.router, err = NewRouter(svc.Operations); err != nil {
			return nil, fmt.Errorf("%s: %w", svc.Name, err)
		}
	}
	return r, nil
}

// Operation returns the operation of the service with this name, nil if there is none.
func (r *Resolver) Operation(name string) *schema.Operation { return r.byName[name] }

// Resolve returns the operation of req, and sets req.Labels or req.Form, as the protocol has it. Its errors are the
// awserr.Errors that AWS answers with.
func (r *Resolver) Resolve(req *Request) (*schema.Operation, error) {
	switch r.svc.Protocol {
	case schema.AWSJSON:
		return r.resolveJSON(req)
	case schema.AWSQuery:
		return r.resolveQuery(req)
	default:
		return r.resolveREST(req)
	}
}

// unknownOperation has no message at AWS.
func unknownOperation(status int) error {
	return &awserr.Generic{Code: "UnknownOperationException", Status: status}
}

// resolveJSON answers a wrong method or content type with 404, a wrong target with 400, as DynamoDB does.
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#protocol-behaviors
func (r *Resolver) resolveJSON(req *Request) (*schema.Operation, error) {
	if req.Method != http.MethodPost {
		return nil, unknownOperation(http.StatusNotFound)
	}
	if t := mediaType(req.Header); len(req.Body) > 0 && t != "application/x-amz-json-"+r.svc.JSONVersion && t != "application/json" {
		return nil, unknownOperation(http.StatusNotFound)
	}
	prefix, name := "", req.Header.Get("X-Amz-Target")
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		prefix, name = name[:dot], name[dot+1:]
	}
	op := r.byName[name]
	if op == nil || !r.svc.HasTarget(prefix) {
		return nil, unknownOperation(http.StatusBadRequest)
	}
	return op, nil
}

// resolveQuery reads Action and Version out of the form body and the URL together.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func (r *Resolver) resolveQuery(req *Request) (*schema.Operation, error) {
	if req.Method != http.MethodPost && req.Method != http.MethodGet {
		return nil, unknownOperation(http.StatusNotFound)
	}
	req.Form = req.Query
	if req.Method == http.MethodPost && IsForm(req.Header) {
		form, err := ParseParams(string(req.Body))
		if err != nil {
			return nil, err
		}
		if req.Form = append(form, req.Query...); len(req.Form) > MaxParams {
			return nil, malformedQuery("The request has more than %d parameters.", MaxParams)
		}
	}
	action, ok := req.Form.Get("Action")
	if !ok || action == "" {
		return nil, awserr.New("MissingAction", "The request is missing an action or a required parameter.")
	}
	version, ok := req.Form.Get("Version")
	if !ok {
		version = "NO_VERSION_SPECIFIED"
	}
	op := r.byName[action]
	if op == nil || version != r.svc.APIVersion {
		return nil, awserr.New("InvalidAction", "Could not find operation %s for version %s", action, version)
	}
	return op, nil
}

// IsForm reports whether a request has its parameters in its body.
func IsForm(h http.Header) bool { return mediaType(h) == "application/x-www-form-urlencoded" }

// resolveREST answers a path that no operation has with 404 and a method that it has not with 405.
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
func (r *Resolver) resolveREST(req *Request) (*schema.Operation, error) {
	op, labels, err := r.router.Match(req.Method, req.Path, req.Query)
	switch err {
	case nil:
		req.Labels = labels
		return op, nil
	case ErrMethod:
		return nil, unknownOperation(http.StatusMethodNotAllowed)
	default:
		return nil, unknownOperation(http.StatusNotFound)
	}
}

// mediaType is the content type without its parameters, in lower case.
func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}
