package apigateway

import (
	"strings"

	"brume/internal/edge"
)

type (
	Field          = edge.Field
	SignatureFault = edge.SignatureFault
)

// A Request is a request to a deployed API.
type Request edge.Request

// MaxBody is the largest payload of a request and of a response, in bytes.
const MaxBody = edge.MaxBody

// parseQuery reads a query string as REST APIs do: a semicolon ends a parameter too.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func parseQuery(raw string) []Field { return edge.ParseQuery(strings.ReplaceAll(raw, ";", "&")) }

// header returns the last value of a header, whatever the case of its name. ok is false if it did not come.
func (r *Request) header(name string) (value string, ok bool) {
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, name) {
			value, ok = r.Header[i].Value, true
		}
	}
	return value, ok
}

// A Response is the answer to a Request.
type Response edge.Response

// add adds a header.
func (r *Response) add(name, value string) { r.Header = append(r.Header, Field{name, value}) }

// has reports whether a header is there.
func (r *Response) has(name string) bool {
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, name) {
			return true
		}
	}
	return false
}

// set replaces a header.
func (r *Response) set(name, value string) {
	kept := r.Header[:0]
	for _, f := range r.Header {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	r.Header = append(kept, Field{name, value})
}
