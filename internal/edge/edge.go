// Package edge is what the kinds of APIs of API Gateway have in common: a request and its answer, what integrations
// call, token buckets, tokens, and what the data plane of Lambda's function URLs shares with them. It holds no state.
package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"brume/internal/call"
)

// A Field is a header or a query parameter. One that comes several times is several fields, in the order they came. It has no
// type of its own, so that every package writes it as its own: Field{"a", "b"}.
type Field = struct{ Name, Value string }

// A Request is a request to a deployed API.
type Request struct {
	// API and Stage say what it is for: "a1b2c3d4e5", "dev". Stage is the first segment of the path, whatever that is.
	API, Stage string
	// Method is the HTTP method in capitals.
	Method string
	// Path is what follows the stage, with its percent-encoding as it came: "/pets/a%20b". Empty means "/".
	Path string
	// RawQuery is the query string as it came, Query its parameters, decoded.
	RawQuery string
	Query    []Field
	// Header holds the headers, Host included.
	Header []Field
	// Body is the whole body; the caller bounds it to MaxBody. One that is TooLong is not there.
	Body    []byte
	TooLong bool
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
	// Custom is set if it came by a custom domain name.
	Custom *CustomName
	// Authenticate verifies the signature of the request for execute-api in a region, and returns who signed. What is
	// wrong with a signature is a *SignatureFault. It is nil where nobody can have signed.
	Authenticate func(ctx context.Context, region string) (call.Principal, error)
}

// Forwarded is what X-Forwarded-Proto and X-Forwarded-Port say of the request. A port that is not known is that of the host,
// or the one that the scheme has by itself.
func (r *Request) Forwarded() (proto, port string) {
	proto, port = "http", "80"
	if r.Secure {
		proto, port = "https", "443"
	}
	if r.Port != 0 {
		port = strconv.Itoa(r.Port)
	} else if _, p, err := net.SplitHostPort(r.Host); err == nil && p != "" {
		port = p
	}
	return proto, port
}

// A CustomName is how a request came that was sent to a custom domain name.
type CustomName struct {
	// BasePath is that of the mapping which it matched: "orders/v1".
	BasePath string
	// Prefix is what stands before the request's Path in its URL: "/orders/v1", and the stage where the URL names that.
	Prefix string
}

// MaxBody is the largest payload of a request and of a response, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const MaxBody = 10 << 20

// MaxHeader is the largest request line with header values, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const MaxHeader = 10240

// A Response is the answer to a Request.
type Response struct {
	// Status is between 200 and 599.
	Status int
	Header []Field
	Body   []byte
}

// A SignatureFault says, as a gateway response, what is wrong with the signature of a request.
type SignatureFault struct {
	// Kind is the type of the gateway response: MISSING_AUTHENTICATION_TOKEN, INVALID_SIGNATURE, EXPIRED_TOKEN or ACCESS_DENIED.
	Kind string
	// ErrorType is for the header x-amzn-ErrorType.
	ErrorType, Message string
}

func (f *SignatureFault) Error() string { return f.Message }

// ParseQuery reads a query string. What cannot be decoded stays as it is.
func ParseQuery(raw string) []Field {
	if raw == "" {
		return nil
	}
	var fields []Field
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, v, _ := strings.Cut(pair, "=")
		fields = append(fields, Field{unescape(name), unescape(v)})
	}
	return fields
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// EncodeQuery is the query string of parameters.
func EncodeQuery(fields []Field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(strings.ReplaceAll(url.QueryEscape(f.Name), "+", "%20") + "=" + strings.ReplaceAll(url.QueryEscape(f.Value), "+", "%20"))
	}
	return b.String()
}

// ValidHeader refuses what would break out of a header line.
func ValidHeader(f Field) bool {
	if f.Name == "" {
		return false
	}
	for i := range len(f.Name) {
		c := f.Name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return !strings.ContainsAny(f.Value, "\r\n\x00")
}

// NewTraceID returns a root of X-Amzn-Trace-Id.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func NewTraceID(now time.Time) string {
	var b [12]byte
	rand.Read(b[:])
	out := make([]byte, 0, 40)
	out = append(out, "Root=1-"...)
	out = strconv.AppendUint(out, uint64(now.Unix()), 16)
	out = append(out, '-')
	return string(hex.AppendEncode(out, b[:]))
}
