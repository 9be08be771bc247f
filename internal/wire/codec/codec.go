// Package codec holds what the protocol codecs and the server share: the request and the response as the codecs see
// them, the Codec interface, how an operation is found (Resolver, Router), and how parameters and timestamps are
// written.
//
// Codecs are driven by the table of a service (schema.Service) and by types that walk themselves (schema.Struct). They
// keep no state of a request, are safe for concurrent use, and answer every malformed input with the client error that
// AWS gives for it, never with a panic.
package codec

import (
	"fmt"
	"net/http"

	"brume/internal/awserr"
	"brume/internal/schema"
)

// A Request is an HTTP request as the codecs see it.
type Request struct {
	Method string
	// Path is the path as it stands on the request line, escaped. S3 keys may hold "//" and "%2F", so it must not be
	// cleaned.
	Path   string
	Query  Params // of the URL
	Header http.Header
	// Body is the whole body. Whoever reads it bounds it. It must not change until the decoded input is no longer used.
	Body []byte

	// Labels are the parts of Path that the labels of the operation's URI template matched, still escaped. A Resolver
	// sets them for REST protocols.
	Labels Params
	// Form holds the parameters of the URL and of a form body. A Resolver sets it for the query protocol.
	Form Params
}

// NewRequest makes a Request of an HTTP request whose body has been read.
func NewRequest(r *http.Request, body []byte) (*Request, error) {
	query, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	return &Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: query, Header: r.Header, Body: body}, nil
}

// A Response is what a codec makes of an output or an error. The server sends it, and adds what is not of the protocol.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// A Codec translates between HTTP and the values of one protocol.
type Codec interface {
	// Decode fills in, a new input of op, from r. Its errors are client errors.
	Decode(svc *schema.Service, op *schema.Operation, r *Request, in schema.Struct) error
	// Encode writes out, an output of op, to w, whose Header is not nil. An error is a fault of ours.
	Encode(svc *schema.Service, op *schema.Operation, requestID string, out schema.Struct, w *Response) error
	// EncodeError writes err to w, whose Header is not nil. op is nil if none was found. Of an err that is a
	// schema.Struct with a shape of its name in the table, the members are written too.
	EncodeError(svc *schema.Service, op *schema.Operation, requestID string, err awserr.Error, w *Response)
}

// Serialization is the error for a message that cannot be read as the model wants it. The cause is for the log.
func Serialization(cause error, format string, args ...any) *awserr.Generic {
	e := awserr.New("SerializationException", format, args...)
	e.Cause = cause
	return e
}

// ErrorShape returns the shape that the service's table has for an error code, nil if there is none. The codes of the
// JSON protocols are the names of the shapes.
func ErrorShape(svc *schema.Service, code string) *schema.Shape {
	for i := range svc.Shapes {
		if s := &svc.Shapes[i]; s.Name == code && s.Kind == schema.Structure {
			return s
		}
	}
	return nil
}

// Fault says whose fault err is, in the words of the member Type that exceptions of Lambda have.
func Fault(err awserr.Error) string {
	if err.HTTPStatus() < http.StatusInternalServerError {
		return "User"
	}
	return "Service"
}

// NoShape reports a member or operation whose shape is not in the table: a fault of the generator, never of a client.
func NoShape(svc *schema.Service, what string) error {
	return fmt.Errorf("codec: %s has no shape for %s", svc.Name, what)
}

// MessageKey is the name under which the JSON protocols send the message of an error that the model does not have. AWS
// capitalizes some. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func MessageKey(code string) string {
	switch code {
	case "SerializationException", "AccessDeniedException":
		return "Message"
	}
	return "message"
}
