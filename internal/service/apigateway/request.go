package apigateway

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"brume/internal/call"
)

// A Field is a header or a query parameter. One that comes several times is several fields, in the order they came.
type Field struct{ Name, Value string }

// A Request is a request to a deployed API.
type Request struct {
	// API and Stage say whose method it is: "a1b2c3d4e5", "dev".
	API, Stage string
	// Method is the HTTP method in capitals.
	Method string
	// Path is what follows the stage, with its percent-encoding as it came: "/pets/a%20b". Empty means "/".
	Path string
	// Query holds the parameters, decoded.
	Query []Field
	// Header holds the headers, Host included.
	Header []Field
	// Body is the whole body; the caller bounds it to MaxBody.
	Body []byte
	// Host is the host that the request was sent to, with its port.
	Host string
	// SourceIP is the client.
	SourceIP netip.Addr
	// Port is the port that the client connected to; 0 if it is not known.
	Port int
	// Protocol is "HTTP/1.1" or the like.
	Protocol string
	// Secure says that the request came over TLS.
	Secure bool
	// Time is when it came.
	Time time.Time
	// Custom says that it came by a custom domain name.
	Custom bool
	// Authenticate verifies the signature of the request for execute-api in a region, and returns who signed. What is
	// wrong with a signature is a *SignatureFault. It is nil where nobody can have signed.
	Authenticate func(ctx context.Context, region string) (call.Principal, error)
}

// MaxBody is the largest payload of a request and of a response, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const MaxBody = 10 << 20

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
type Response struct {
	// Status is between 200 and 599.
	Status int
	Header []Field
	Body   []byte
}

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
