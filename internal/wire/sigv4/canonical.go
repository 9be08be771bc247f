package sigv4

import (
	"bytes"
	"cmp"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request

// A scratch holds the buffers of one verification, for reuse.
type scratch struct {
	canonical []byte
	query     []byte // encoded names and values, back to back
	params    []param
	toSign    []byte
	key       []byte // a header name being looked up
	payload   []byte // the hash of the body
	sum       []byte // the signature that is right
}

// A param is one query parameter: bounds of its encoded name and value in scratch.query.
type param struct{ name, eq, end int }

// A pathForm says what becomes of the path in the canonical request.
type pathForm uint8

const (
	normalizedPath pathForm = iota // dot segments and empty segments taken out, then encoded once more
	pathAsIs                       // encoded once more
	rawPath                        // for S3, where every byte is part of the key: as it came, what a lax client left out encoded
	verbatimPath                   // for S3: exactly as it came
)

// canonicalRequest builds the canonical request of r in s.canonical.
func (s *scratch) canonicalRequest(r *http.Request, signedHeaders string, payload []byte, form pathForm, presigned bool) error {
	b := append(s.canonical[:0], r.Method...)
	b = append(b, '\n')
	uri := wirePath(r)
	if len(uri) > maxURI {
		return incomplete("The path is longer than %d bytes.", maxURI)
	}
	switch form {
	case rawPath:
		b = appendRawPath(b, uri)
	case normalizedPath:
		b = appendEncoded(b, normalizePath(uri), true)
	case pathAsIs:
		b = appendEncoded(b, uri, true)
	case verbatimPath:
		b = append(b, uri...)
	}
	b = append(b, '\n')
	b = s.appendQuery(b, r.URL.RawQuery, presigned)
	b = append(b, '\n')
	start := len(b)
	for name := range strings.SplitSeq(signedHeaders, ";") {
		b = append(b, name...)
		b = append(b, ':')
		b = s.appendHeader(b, r, name)
		b = append(b, '\n')
		if len(b)-start > maxSignedValues {
			return incomplete("The signed headers are longer than %d bytes.", maxSignedValues)
		}
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	s.canonical = append(b, payload...)
	return nil
}

// wirePath is the path as it came over the wire, with its percent-encoding.
func wirePath(r *http.Request) string {
	p := r.RequestURI
	if p == "" || p[0] != '/' { // a request of our own making, or a target in absolute form
		p = r.URL.EscapedPath()
	} else {
		p, _, _ = strings.Cut(p, "?")
	}
	if p == "" {
		return "/"
	}
	return p
}

func normalizePath(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}

const upperHex = "0123456789ABCDEF"

// appendEncoded percent-encodes every byte but the unreserved ones. A '%' is encoded too, so that a path that came
// encoded is encoded twice, as the algorithm asks.
func appendEncoded(b []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		if c := s[i]; unreserved(c) || c == '/' && keepSlash {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// appendRawPath keeps the escapes of the path and adds those that a lax client left out.
func appendRawPath(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, '%', upperHex[hi], upperHex[lo])
				i += 2
				continue
			}
		}
		if unreserved(c) || c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendQuery writes the parameters sorted by encoded name, then by encoded value; of a presigned request all but the
// signature itself.
func (s *scratch) appendQuery(b []byte, raw string, presigned bool) []byte {
	if raw == "" {
		return b
	}
	q, params := s.query[:0], s.params[:0]
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" || presigned && strings.HasPrefix(pair, "X-Amz-Signature=") {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		p := param{name: len(q)}
		q = appendReencoded(q, name)
		p.eq = len(q)
		q = appendReencoded(q, value)
		p.end = len(q)
		params = append(params, p)
	}
	s.query, s.params = q, params
	slices.SortFunc(params, func(x, y param) int {
		return cmp.Or(bytes.Compare(q[x.name:x.eq], q[y.name:y.eq]), bytes.Compare(q[x.eq:x.end], q[y.eq:y.end]))
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, q[p.name:p.eq]...)
		b = append(b, '=')
		b = append(b, q[p.eq:p.end]...)
	}
	return b
}

// appendReencoded decodes a query component and encodes it in the one canonical way.
func appendReencoded(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		if unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// appendHeader writes the values of a header, given by its lower-case name: trimmed, inner runs of spaces folded,
// several values joined by commas in the order in which they came.
func (s *scratch) appendHeader(b []byte, r *http.Request, name string) []byte {
	if name == "host" {
		return appendFolded(b, hostOf(r))
	}
	values := r.Header[string(s.canonicalName(name))]
	if len(values) == 0 && name == "content-length" && r.ContentLength >= 0 {
		return strconv.AppendInt(b, r.ContentLength, 10)
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFolded(b, v)
	}
	return b
}

func hostOf(r *http.Request) string {
	if r.Host == "" {
		return r.URL.Host
	}
	return r.Host
}

// canonicalName is name as net/http keys its headers, in a buffer that the next call overwrites.
func (s *scratch) canonicalName(name string) []byte {
	k := append(s.key[:0], name...)
	upper := true
	for i, c := range k {
		if upper && 'a' <= c && c <= 'z' {
			k[i] = c - ('a' - 'A')
		}
		upper = c == '-'
	}
	s.key = k
	return k
}

func appendFolded(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' { // never the first byte: v is trimmed
			continue
		}
		b = append(b, v[i])
	}
	return b
}
