package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
)

// Bounds of what a client may make us parse. All are well above what signers produce.
const (
	maxAuthorization = 16 << 10 // bytes of the Authorization header
	maxSignedHeaders = 256
	maxScopePart     = 128      // bytes of the access key id, the region, the service
	maxQuery         = 64 << 10 // bytes of the query string
	maxURI           = 64 << 10 // bytes of the path
	maxSignedValues  = 256 << 10
)

// A Scope is a credential as a request names it. Until Verify has succeeded it is what the client claims.
type Scope struct {
	AccessKeyID string
	Date        string // YYYYMMDD
	Region      string
	Service     string // the signing name: "dynamodb", "execute-api", "monitoring"
}

// Identify returns the scope that r claims to be signed for, and false if r carries no signature in a form it can read.
// It verifies nothing: it is for choosing the service that the request is meant for.
func Identify(r *http.Request) (Scope, bool) {
	if a := r.Header["Authorization"]; len(a) > 0 {
		credential, _, _, ok := splitAuthorization(a[0])
		if !ok {
			return Scope{}, false
		}
		s, err := parseCredential(credential)
		return s, err == nil
	}
	if !isPresigned(r) {
		return Scope{}, false
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if v, ok := strings.CutPrefix(pair, "X-Amz-Credential="); ok {
			credential, err := url.QueryUnescape(v)
			if err != nil {
				return Scope{}, false
			}
			s, err := parseCredential(credential)
			return s, err == nil
		}
	}
	return Scope{}, false
}

// Signed reports whether r carries a signature of version 4, complete or not.
func Signed(r *http.Request) bool {
	a := r.Header["Authorization"]
	return len(a) > 0 && strings.HasPrefix(a[0], algorithm) || isPresigned(r)
}

func isPresigned(r *http.Request) bool {
	q := r.URL.RawQuery
	if len(q) > maxQuery {
		return false
	}
	const name = "X-Amz-Algorithm="
	return strings.HasPrefix(q, name) || strings.Contains(q, "&"+name)
}

// authorization is the parsed signature of a request.
type authorization struct {
	scope         Scope
	signedHeaders string // as it came
	signature     [32]byte
	date          time.Time
	dateText      string        // date in timeFormat
	presigned     bool          // the signature came in the query
	lifetime      time.Duration // of a presigned request
	token         string        // session token; empty for long-term keys
	payload       string        // the value of x-amz-content-sha256; empty if there is none
}

func parseAuthorization(r *http.Request) (authorization, error) {
	headers := r.Header["Authorization"]
	presigned := isPresigned(r)
	switch {
	case len(r.URL.RawQuery) > maxQuery:
		return authorization{}, incomplete("The query string is longer than %d bytes.", maxQuery)
	case len(headers) > 1:
		return authorization{}, incomplete("Authorization header must not be repeated.")
	case len(headers) == 1 && presigned:
		return authorization{}, incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, " +
			"Signature query string parameter or the Authorization header should be specified")
	case len(headers) == 1:
		return parseHeader(r, headers[0])
	case presigned:
		return parseQuery(r)
	}
	return authorization{}, Unsigned()
}

// splitAuthorization reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…". A part that is missing is empty;
// ok is false for another algorithm, an unknown part or a repeated one.
func splitAuthorization(h string) (credential, signedHeaders, signature string, ok bool) {
	rest, ok := strings.CutPrefix(h, algorithm)
	if !ok || len(h) > maxAuthorization || rest != "" && rest[0] != ' ' {
		return "", "", "", false
	}
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var to *string
		switch name {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &signedHeaders
		case "Signature":
			to = &signature
		case "":
			continue
		default:
			return "", "", "", false
		}
		if *to != "" {
			return "", "", "", false
		}
		*to = value
	}
	return credential, signedHeaders, signature, true
}

func parseHeader(r *http.Request, h string) (a authorization, err error) {
	credential, signedHeaders, signature, ok := splitAuthorization(h)
	if !ok {
		return a, incomplete("Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' " +
			"parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of " +
			"either a 'X-Amz-Date' or a 'Date' header.")
	}
	var missing []string
	if credential == "" {
		missing = append(missing, "Authorization header requires 'Credential' parameter.")
	}
	if signature == "" {
		missing = append(missing, "Authorization header requires 'Signature' parameter.")
	}
	if signedHeaders == "" {
		missing = append(missing, "Authorization header requires 'SignedHeaders' parameter.")
	}
	amzDate, date := r.Header["X-Amz-Date"], r.Header["Date"]
	if len(amzDate) == 0 && len(date) == 0 {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return a, incomplete("%s Authorization=%s", strings.Join(missing, " "), algorithm)
	}
	if a.scope, err = parseCredential(credential); err != nil {
		return a, err
	}
	switch {
	case len(amzDate) > 1 || len(amzDate) == 0 && len(date) > 1:
		return a, incomplete("The date header must not be repeated.")
	case len(amzDate) == 1:
		a.dateText = amzDate[0]
		a.date, err = parseTime(a.dateText)
	default:
		a.date, err = parseHTTPDate(date[0])
		// The time of this request is what the signature stands on, so it has to be part of it.
		if err == nil && !containsHeader(signedHeaders, "date") {
			return a, mismatch()
		}
	}
	if err != nil {
		return a, err
	}
	a.signedHeaders = signedHeaders
	if a.token, err = single(r.Header, "X-Amz-Security-Token"); err != nil {
		return a, err
	}
	if a.payload, err = single(r.Header, "X-Amz-Content-Sha256"); err != nil {
		return a, err
	}
	return a, a.finish(signature)
}

func parseQuery(r *http.Request) (a authorization, err error) {
	var alg, credential, date, expires, signedHeaders, signature string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		var to *string
		switch name {
		case "X-Amz-Algorithm":
			to = &alg
		case "X-Amz-Credential":
			to = &credential
		case "X-Amz-Date":
			to = &date
		case "X-Amz-Expires":
			to = &expires
		case "X-Amz-SignedHeaders":
			to = &signedHeaders
		case "X-Amz-Signature":
			to = &signature
		case "X-Amz-Security-Token":
			to = &a.token
		case "X-Amz-Content-Sha256":
			to = &a.payload
		default:
			continue
		}
		if *to != "" {
			return a, incomplete("AWS query-string parameter '%s' must not be repeated. Re-examine the query-string parameters.", name)
		}
		if *to, err = url.QueryUnescape(value); err != nil {
			return a, incomplete("AWS query-string parameter '%s' is not properly encoded. Re-examine the query-string parameters.", name)
		}
	}
	var missing []string
	for _, p := range [...]struct{ name, value string }{
		{"X-Amz-Algorithm", alg}, {"X-Amz-Credential", credential}, {"X-Amz-Signature", signature},
		{"X-Amz-SignedHeaders", signedHeaders}, {"X-Amz-Date", date},
	} {
		if p.value == "" {
			missing = append(missing, "AWS query-string parameters must include '"+p.name+"'.")
		}
	}
	if missing != nil {
		return a, incomplete("%s Re-examine the query-string parameters.", strings.Join(missing, " "))
	}
	if alg != algorithm {
		return a, incomplete("Unsupported AWS 'algorithm': '%s'.", clip(alg))
	}
	if a.scope, err = parseCredential(credential); err != nil {
		return a, err
	}
	if a.date, err = parseTime(date); err != nil {
		return a, err
	}
	a.dateText = date
	a.presigned = true
	a.lifetime = Skew // the lifetime of a query signature that names none
	if expires != "" {
		n, err := strconv.ParseUint(expires, 10, 32)
		if err != nil {
			return a, incomplete("X-Amz-Expires should be a number")
		}
		if n > uint64(MaxExpires/time.Second) {
			return a, incomplete("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
		a.lifetime = max(time.Duration(n)*time.Second, 1)
	}
	a.signedHeaders = signedHeaders
	if token, err := single(r.Header, "X-Amz-Security-Token"); err != nil {
		return a, err
	} else if token != "" {
		if a.token != "" && a.token != token {
			return a, incomplete("X-Amz-Security-Token must not be given both in the query string and as a header.")
		}
		a.token = token
	}
	if payload, err := single(r.Header, "X-Amz-Content-Sha256"); err != nil {
		return a, err
	} else if payload != "" {
		a.payload = payload
	}
	return a, a.finish(signature)
}

// finish decodes the signature and checks what both forms share.
func (a *authorization) finish(signature string) error {
	// Only lower-case digits are the form that signers write; one request has exactly one right signature.
	if len(signature) != 64 || strings.ContainsAny(signature, "ABCDEF") {
		return mismatch()
	}
	for i := range a.signature {
		hi, lo := unhex(signature[2*i]), unhex(signature[2*i+1])
		if hi < 0 || lo < 0 {
			return mismatch()
		}
		a.signature[i] = byte(hi<<4 | lo)
	}
	if a.dateText == "" {
		a.dateText = a.date.Format(timeFormat)
	}
	if a.scope.Date != a.dateText[:8] {
		return &Error{SignatureMismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			clip(a.scope.Date) + "' != '" + a.dateText[:8] + "', from '" + a.dateText + "'."}
	}
	return checkSignedHeaders(a.signedHeaders)
}

// checkSignedHeaders requires "a;b;c": lower-case header names in strictly ascending order, with host among them.
func checkSignedHeaders(list string) error {
	last, n, host := "", 0, false
	for name := range strings.SplitSeq(list, ";") {
		if n++; n > maxSignedHeaders || name <= last {
			return mismatch()
		}
		for i := range len(name) {
			if !isLowerToken(name[i]) {
				return mismatch()
			}
		}
		host = host || name == "host"
		last = name
	}
	if !host {
		return &Error{SignatureMismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	return nil
}

// containsHeader reports whether name is in the list "a;b;c".
func containsHeader(list, name string) bool {
	for s := range strings.SplitSeq(list, ";") {
		if s == name {
			return true
		}
	}
	return false
}

func parseCredential(c string) (Scope, error) {
	var part [5]string
	rest, more := c, true
	n := 0
	for ; more && n < len(part); n++ {
		part[n], rest, more = strings.Cut(rest, "/")
	}
	if n < len(part) || more {
		return Scope{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(c))
	}
	for _, p := range part {
		if p == "" || len(p) > maxScopePart {
			return Scope{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(c))
		}
	}
	if part[4] != terminator {
		return Scope{}, &Error{SignatureMismatch, "Credential should be scoped with a valid terminator: 'aws4_request', not '" + clip(part[4]) + "'."}
	}
	return Scope{AccessKeyID: part[0], Date: part[1], Region: part[2], Service: part[3]}, nil
}

func parseTime(s string) (time.Time, error) {
	// Of this length there is one text for each time.
	t, err := time.Parse(timeFormat, s)
	if err != nil || len(s) != len(timeFormat) {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", clip(s))
	}
	return t, nil
}

func parseHTTPDate(s string) (time.Time, error) {
	if t, err := http.ParseTime(s); err == nil {
		return t.UTC(), nil
	}
	return parseTime(s)
}

// single returns the only value of a header, empty if there is none.
func single(h http.Header, key string) (string, error) {
	switch v := h[key]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", incomplete("%s header must not be repeated.", key)
}

// clip keeps what a client sent from filling an error message.
func clip(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// isLowerToken reports whether c may stand in a header name in lower case.
// https://www.rfc-editor.org/rfc/rfc9110#name-tokens
func isLowerToken(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
