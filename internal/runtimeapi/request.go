package runtimeapi

import "bytes"

// A request is the head of one HTTP request, as far as this API looks at it.
type request struct {
	method   method
	route    route
	id       []byte // of the invocation, in the routes that have one; valid until the connection is read again
	length   int64  // of the body; chunked says that only its end will tell
	expect   bool   // the client waits for a 100 before it sends the body
	closing  bool   // the client closes the connection after this request
	mode     string // Lambda-Runtime-Function-Response-Mode
	typ      string // Lambda-Runtime-Function-Error-Type
	mimeType string // Content-Type

	extension      string // Lambda-Extension-Name
	identifier     string // Lambda-Extension-Identifier
	extensionError string // Lambda-Extension-Function-Error-Type
	features       string // Lambda-Extension-Accept-Feature
}

// asks says whether the request is one for something that is to come.
func (r *request) asks() bool { return r.route == routeNext || r.route == routeEvent }

// wanted is the method of the request's route.
func (r *request) wanted() method {
	switch r.route {
	case routeNext, routeEvent:
		return get
	case routeTelemetry, routeLogs:
		return put
	}
	return post
}

const chunked = -1

type method uint8

const (
	otherMethod method = iota
	get
	post
	put
)

type route uint8

const (
	unknownRoute route = iota
	routeNext
	routeResponse
	routeError
	routeInitError
	routeRegister
	routeEvent
	routeExtensionInitError
	routeExtensionExitError
	routeTelemetry
	routeLogs
)

// A protocolError is a request that is not the HTTP/1.1 understood here. After it the connection is closed.
type protocolError struct {
	status int
	reason string
}

func (e *protocolError) Error() string { return e.reason }

func malformed(reason string) error { return &protocolError{400, reason} }

// headEnd returns the length of the first head in b, with the empty line that ends it, or 0 if b has no whole head. from
// says how much of b was searched before.
func headEnd(b []byte, from int) int {
	from = max(0, from-3)
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + len("\r\n\r\n")
	}
	return 0
}

// parseRequest reads a head: the request line and the headers, each with its CRLF, and the CRLF after them. Only
// the id refers to head afterwards. It is stricter than RFC 9112 asks for: bare LF, bare CR, folded headers, spaces around names, two
// lengths, and HTTP/1.0 are refused.
func parseRequest(head []byte) (r request, err error) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if err := r.parseLine(line); err != nil {
		return request{}, err
	}
	var hosts, lengths, codings int
	for {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		name, value, err := parseHeader(line)
		if err != nil {
			return request{}, err
		}
		switch {
		case is(name, "host"):
			hosts++
		case is(name, "content-length"):
			lengths++
			n, ok := parseLength(value)
			if !ok {
				return request{}, malformed("invalid Content-Length")
			}
			r.length = n
		case is(name, "transfer-encoding"):
			codings++
			if !is(value, "chunked") {
				return request{}, &protocolError{501, "unsupported Transfer-Encoding"}
			}
			r.length = chunked
		case is(name, "expect"):
			if !is(value, "100-continue") {
				return request{}, &protocolError{417, "unsupported Expect"}
			}
			r.expect = true
		case is(name, "connection"):
			for option := range bytes.SplitSeq(value, []byte{','}) {
				r.closing = r.closing || is(bytes.Trim(option, " \t"), "close")
			}
		case is(name, "content-type"):
			r.mimeType = printable(value)
		case is(name, "lambda-runtime-function-error-type"):
			r.typ = printable(value)
		case is(name, "lambda-runtime-function-response-mode"):
			r.mode = printable(value)
		case is(name, "lambda-extension-name"):
			r.extension = printable(value)
		case is(name, "lambda-extension-identifier"):
			r.identifier = printable(value)
		case is(name, "lambda-extension-function-error-type"):
			r.extensionError = printable(value)
		case is(name, "lambda-extension-accept-feature"):
			r.features = printable(value)
		}
	}
	if hosts != 1 {
		return request{}, malformed("missing or repeated Host")
	}
	if lengths+codings > 1 {
		return request{}, malformed("more than one body length")
	}
	return r, nil
}

func (r *request) parseLine(line []byte) error {
	verb, rest, ok := bytes.Cut(line, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	if !ok || !ok2 || !isToken(verb) || len(target) == 0 {
		return malformed("malformed request line")
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return malformed("malformed request target")
		}
	}
	if string(version) != "HTTP/1.1" {
		if bytes.HasPrefix(version, []byte("HTTP/")) && len(version) == len("HTTP/1.1") {
			return &protocolError{505, "unsupported HTTP version"}
		}
		return malformed("malformed request line")
	}
	switch string(verb) {
	case "GET":
		r.method = get
	case "POST":
		r.method = post
	case "PUT":
		r.method = put
	}
	r.route, r.id = parseTarget(target)
	return nil
}

// parseTarget finds the route of a request target in origin form; nobody reaches the Runtime API through a proxy, which
// alone uses the absolute form. A query is ignored.
func parseTarget(target []byte) (route, []byte) {
	path, _, _ := bytes.Cut(target, []byte{'?'})
	if of, ok := bytes.CutPrefix(path, []byte("/2020-01-01/extension/")); ok {
		switch string(of) {
		case "register":
			return routeRegister, nil
		case "event/next":
			return routeEvent, nil
		case "init/error":
			return routeExtensionInitError, nil
		case "exit/error":
			return routeExtensionExitError, nil
		}
		return unknownRoute, nil
	}
	switch string(path) {
	case "/2022-07-01/telemetry", "/2022-07-01/telemetry/":
		return routeTelemetry, nil
	case "/2020-08-15/logs", "/2020-08-15/logs/":
		return routeLogs, nil
	}
	path, ok := bytes.CutPrefix(path, []byte("/2018-06-01/runtime/"))
	if !ok {
		return unknownRoute, nil
	}
	switch string(path) {
	case "invocation/next":
		return routeNext, nil
	case "init/error":
		return routeInitError, nil
	}
	path, ok = bytes.CutPrefix(path, []byte("invocation/"))
	if !ok {
		return unknownRoute, nil
	}
	id, verb, _ := bytes.Cut(path, []byte{'/'})
	switch {
	case len(id) == 0:
	case string(verb) == "response":
		return routeResponse, id
	case string(verb) == "error":
		return routeError, id
	}
	return unknownRoute, nil
}

func parseHeader(line []byte) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || !isToken(name) {
		return nil, nil, malformed("malformed header name")
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, malformed("malformed header value")
		}
	}
	return name, bytes.Trim(value, " \t"), nil
}

// parseLength reads a decimal number of at most 18 digits.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// parseChunkSize reads the line before a chunk: a hexadecimal number of at most 8 digits, and extensions, which have no
// meaning here.
func parseChunkSize(line []byte) (n int64, ok bool) {
	size, extensions, _ := bytes.Cut(line, []byte{';'})
	for _, c := range extensions {
		if c < ' ' && c != '\t' || c == 0x7f {
			return 0, false
		}
	}
	size = bytes.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 8 {
		return 0, false
	}
	for _, c := range size {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, true
}

// is says whether b is the lower-case ASCII string s in any case.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// isToken says whether b is a token of RFC 9110.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// printable returns at most 256 bytes of b as a string, or nothing if b has a byte outside of printable ASCII.
func printable(b []byte) string {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return ""
		}
	}
	switch b = b[:min(len(b), 256)]; string(b) {
	case "application/json": // the one that does not allocate
		return "application/json"
	default:
		return string(b)
	}
}
