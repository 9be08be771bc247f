package runtimeapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Bounds on what the runtime's side may do.
const (
	maxConns = 64
	// maxHead is the longest request line with all headers, and the longest trailer section, in bytes. Clients send up
	// to 1 MiB of Lambda-Runtime-Function-XRay-Error-Cause.
	maxHead = 1<<20 + 64<<10
	// maxChunkLine is the longest line before a chunk.
	maxChunkLine = 256
	// maxDiscard is how much of a body that nobody wants is read, so that the client gets to read why.
	maxDiscard = 64 << 20
	// drainTimeout bounds how long a process that has ended may seem to send something.
	drainTimeout = 100 * time.Millisecond
	// writeTimeout bounds one write to a client that does not read, unless the invocation has a deadline.
	writeTimeout = 30 * time.Second
)

const (
	readBuffer = 4 << 10
	// copyLimit is up to which size an event is copied behind its head, so that both are one write.
	copyLimit = 64 << 10
)

// A conn is one connection of the runtime.
type conn struct {
	env *Environment
	nc  net.Conn

	// The bytes read[r:w] have arrived and are not handled. Only the goroutine in serve uses them.
	read []byte
	r, w int

	wmu  sync.Mutex
	out  []byte // answers that are not written
	held bool   // out waits for the invocation that will follow it
}

// accept takes connections until the listener is closed.
func (e *Environment) accept() {
	var delay time.Duration
	for {
		nc, err := e.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// The usual reason is a lack of file descriptors: that passes, or everything ends soon.
			if delay = max(2*delay, 5*time.Millisecond); delay > 5*time.Second {
				e.mu.Lock()
				e.fail(exit, fmt.Errorf("runtimeapi: %w", err))
				e.mu.Unlock()
				return
			}
			select {
			case <-time.After(delay):
				continue
			case <-e.stop:
				return
			}
		}
		delay = 0
		c := &conn{env: e, nc: nc}
		e.mu.Lock()
		refused := e.state == closed || len(e.conns) == maxConns
		if !refused {
			e.conns[c] = struct{}{}
			e.serving.Go(c.serve)
		}
		e.mu.Unlock()
		if refused {
			nc.Close()
		}
	}
}

// serve handles the connection's requests, one after the other, until it ends.
func (c *conn) serve() {
	defer func() {
		c.env.mu.Lock()
		delete(c.env.conns, c)
		if len(c.env.conns) == 0 && c.env.drained != nil {
			close(c.env.drained)
			c.env.drained = nil
		}
		if c.env.parked == c {
			c.env.parked = nil
		}
		c.env.ended(c)
		c.env.mu.Unlock()
		c.nc.Close()
	}()
	c.read = make([]byte, readBuffer)
	for {
		r, err := c.readRequest()
		if err == nil {
			err = c.handle(&r)
		}
		if err != nil {
			if p, ok := errors.AsType[*protocolError](err); ok {
				c.reply(p.status, true, string(appendError(nil, "InvalidRequest", p.reason)))
				c.flush()
				c.linger()
			}
			return
		}
		if r.closing {
			if c.isHeld() {
				c.fill() // the answer is still to come, and the client goes on listening for it
			} else {
				c.flush()
				c.linger()
			}
			return
		}
	}
}

// linger waits until the client, which has been told why, closes the connection: closing it while unread bytes are on
// their way could destroy the answer.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, c.nc, maxDiscard)
	}
}

// fill reads more bytes. What is to be written is written before, for the client may wait for it.
func (c *conn) fill() error {
	c.flush()
	if c.r == c.w {
		c.r, c.w = 0, 0
		if len(c.read) > readBuffer {
			c.read = make([]byte, readBuffer)
		}
	} else if c.w == len(c.read) {
		if c.r == 0 {
			c.read = append(c.read, make([]byte, len(c.read))...)
		} else {
			c.w = copy(c.read, c.read[c.r:c.w])
			c.r = 0
		}
	}
	n, err := c.nc.Read(c.read[c.w:])
	c.w += n
	if n > 0 {
		if c.isHeld() { // answers would gather behind the one that is to come
			return errors.New("runtimeapi: a request behind an unanswered one")
		}
		return nil
	}
	return err
}

func (c *conn) readRequest() (request, error) {
	searched := 0
	for {
		b := c.read[c.r:c.w]
		if end := headEnd(b, searched); end > 0 {
			c.r += end
			return parseRequest(b[:end])
		}
		if len(b) >= maxHead {
			return request{}, &protocolError{431, "request header fields too large"}
		}
		searched = len(b)
		if err := c.fill(); err != nil {
			return request{}, err
		}
	}
}

func (c *conn) handle(r *request) error {
	switch {
	case r.route == unknownRoute:
		return c.refuse(r, 404, "ResourceNotFound", "No such resource in the Runtime API")
	case r.method != r.wanted():
		return c.refuse(r, 405, "MethodNotAllowed", "Method not allowed")
	case r.asks() && r.length != 0:
		return c.refuse(r, 400, "InvalidRequest", "Unexpected request body")
	case r.route == routeNext:
		c.handleNext(r)
		return nil
	case r.route == routeInitError:
		return c.handleInitError(r)
	case r.route == routeRegister:
		return c.handleRegister(r)
	case r.route == routeEvent:
		return c.handleEvent(r)
	case r.route == routeTelemetry || r.route == routeLogs:
		return c.handleSubscribe(r)
	case r.route == routeExtensionInitError || r.route == routeExtensionExitError:
		return c.handleExtensionError(r)
	}
	return c.handleResponse(r)
}

// handleNext answers with an invocation: now if there is one, and otherwise whenever Invoke brings one.
func (c *conn) handleNext(r *request) {
	e := c.env
	c.hold(true)
	e.mu.Lock()
	was := e.state
	allowed := e.enter(next)
	if e.state == ready && e.call != nil {
		e.enter(invoked)
	}
	k := e.call
	if allowed && k == nil {
		if e.parked != nil {
			e.parked.nc.Close() // the client has given it up
		}
		e.parked = c
	}
	e.mu.Unlock()
	switch {
	case !allowed:
		c.hold(false)
		c.replyTransition(r, was, "Ready")
	case k != nil:
		c.sendInvocation(k, time.Now().Add(writeTimeout))
	}
}

func (c *conn) handleInitError(r *request) error {
	e := c.env
	e.mu.Lock()
	was := e.state
	allowed := e.enter(initError)
	e.mu.Unlock()
	if !allowed {
		return c.refuseTransition(r, was, "InitError")
	}
	body, err := c.readBody(r)
	if err != nil && err != errTooLarge { // that it failed counts more than why
		e.mu.Lock()
		e.enter(aborted)
		e.mu.Unlock()
		return err
	}
	e.mu.Lock()
	e.fail(sent, &InitError{Type: r.typ, Payload: body.data})
	e.mu.Unlock()
	if err != nil {
		return c.refuse(r, 413, "RequestEntityTooLarge", "Exceeded"+maxSize(MaxPayload))
	}
	c.reply(202, r.closing, accepted)
	return nil
}

// handleResponse takes what the function returned, or the error it ended with.
func (c *conn) handleResponse(r *request) error {
	e := c.env
	e.mu.Lock()
	was := e.state
	_, allowed := was.on(respond)
	k := e.call
	known := allowed && k.RequestID == string(r.id)
	if known {
		e.enter(respond)
	}
	e.mu.Unlock()
	switch {
	case !allowed && r.route == routeResponse:
		return c.refuseTransition(r, was, "InvocationResponse")
	case !allowed:
		return c.refuseTransition(r, was, "InvocationErrorResponse")
	case !known:
		return c.refuse(r, 400, "InvalidRequestID", "Invalid request ID")
	}

	result := &Result{ContentType: r.mimeType, Failed: r.route == routeError, Began: time.Now()}
	switch {
	case result.Failed:
		result.ErrorType = r.typ
	case r.mode == "streaming":
		result.Streamed = true
	case r.mode != "":
		c.deliver(failure("Runtime.InvalidResponseModeHeader", "Invalid function response mode"))
		return c.refuse(r, 400, "InvalidFunctionResponseMode", "Invalid function response mode")
	}

	if k.begun { // what the first attempt brought is on its way, and cannot be taken back
		c.deliver(failure("Runtime.TruncatedResponse", "Response ended before it was complete"))
		return c.refuse(r, 400, "InvalidResponse", "The response has begun before")
	}

	body, err := c.readResponse(r, k, result)
	switch {
	case err == errTooLarge:
		most := maxSize(MaxPayload)
		if k.begun {
			most = maxSize(MaxStreamed)
		}
		c.deliver(failure("Function.ResponseSizeTooLarge", "Response payload size exceeded"+most))
		return c.refuse(r, 413, "RequestEntityTooLarge", "Exceeded"+most)
	case err != nil:
		e.mu.Lock()
		e.enter(aborted)
		e.mu.Unlock()
		return err
	}
	result.Payload, result.Ended = body.data, time.Now()
	result.Produced = max(k.streamed, int64(len(body.data)))
	if k.Stream != nil && !result.Failed && !k.begun {
		k.begin(result.ContentType)
		k.Stream.Write(result.Payload) // if nobody takes it any more, the invocation has ended all the same
		result.Payload = nil
	}
	if body.errorType != "" && !result.Failed {
		result.Failed, result.ErrorType, result.Payload = true, body.errorType, body.errorBody
	}
	c.deliver(result)
	c.reply(202, r.closing, accepted)
	return nil
}

// deliver ends the invocation in the state responding with r. If the environment ended meanwhile, so did the invocation.
func (c *conn) deliver(r *Result) {
	e := c.env
	e.mu.Lock()
	if e.enter(sent) {
		e.answer(r)
	}
	e.mu.Unlock()
}

func failure(typ, message string) *Result {
	return &Result{
		Payload:     appendError(nil, typ, message),
		ContentType: "application/json",
		Failed:      true,
		ErrorType:   typ,
	}
}

// A body is what followed a head. The error fields come from the trailers that end a response when a function fails
// while it streams.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
type body struct {
	data      []byte
	errorType string
	errorBody []byte
}

// errTooLarge is what readBody returns for a body over MaxPayload.
var errTooLarge = errors.New("runtimeapi: body over the limit")

// readBody reads the body of r, of at most MaxPayload bytes. After errTooLarge r.length says what is left of it.
func (c *conn) readBody(r *request) (body, error) {
	if r.length > MaxPayload {
		return body{}, errTooLarge
	}
	c.approve(r)
	if r.length == chunked {
		var data []byte
		b, err := c.readChunks(MaxPayload, maxDiscard, func(n int64) error {
			at := len(data)
			data = append(data, make([]byte, n)...)
			return c.readFull(data[at:])
		})
		r.length = 0
		b.data = data
		return b, err
	}
	data := make([]byte, r.length)
	if err := c.readFull(data); err != nil {
		return body{}, err
	}
	return body{data: data}, nil
}

// readResponse reads the body of r: to the Stream of k, if it has one and the runtime streams the response.
func (c *conn) readResponse(r *request, k *call, result *Result) (body, error) {
	if k.Stream == nil || !result.Streamed {
		return c.readBody(r)
	}
	k.begin(result.ContentType)
	if r.length > MaxStreamed {
		return body{}, errTooLarge
	}
	c.approve(r)
	f := forwarder{conn: c, to: k.Stream, count: &k.streamed}
	if r.length == chunked {
		b, err := c.readChunks(MaxStreamed, 2*MaxStreamed, f.forward)
		r.length = 0
		return b, err
	}
	return body{}, f.forward(r.length)
}

func (k *call) begin(contentType string) {
	k.begun = true
	k.Stream.Begin(contentType)
}

// A forwarder hands what a connection brings to a Stream.
type forwarder struct {
	conn  *conn
	to    Stream
	gone  bool   // nobody takes it any more
	count *int64 // of the bytes
	buf   []byte
}

// forward reads n bytes.
func (f *forwarder) forward(n int64) error {
	*f.count += n
	if f.buf == nil {
		f.buf = make([]byte, min(n, copyLimit))
	}
	for n > 0 {
		if f.gone {
			return f.conn.discard(n)
		}
		if want := min(n, copyLimit); int(want) > len(f.buf) {
			f.buf = make([]byte, copyLimit)
		}
		piece := f.buf[:min(n, int64(len(f.buf)))]
		if err := f.conn.readFull(piece); err != nil {
			return err
		}
		n -= int64(len(piece))
		if _, err := f.to.Write(piece); err != nil {
			f.gone, f.buf = true, nil
		}
	}
	return nil
}

// approve tells a client that waits with the body to send it.
func (c *conn) approve(r *request) {
	if r.expect && r.length != 0 {
		c.write(func(b []byte) []byte { return append(b, "HTTP/1.1 100 Continue\r\n\r\n"...) })
	}
	r.expect = false
}

func (c *conn) readFull(b []byte) error {
	n := copy(b, c.read[c.r:c.w])
	c.r += n
	if n == len(b) {
		return nil
	}
	c.flush()
	_, err := io.ReadFull(c.nc, b[n:])
	return err
}

// readLine returns the next line without its CRLF. It is valid until the next read.
func (c *conn) readLine(limit int) ([]byte, error) {
	for {
		b := c.read[c.r:c.w]
		for i, x := range b {
			if x == '\n' {
				if i == 0 || b[i-1] != '\r' {
					return nil, malformed("bare LF")
				}
				c.r += i + 1
				return b[:i-1], nil
			}
		}
		if len(b) > limit+len("\r") {
			return nil, malformed("line too long")
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// readChunks reads a chunked body to its end. take reads each chunk, until they have more than limit bytes together: the
// rest is forgotten, and the error is errTooLarge. More than most bytes are not even read.
func (c *conn) readChunks(limit, most int64, take func(n int64) error) (b body, err error) {
	var total int64
	for {
		line, err := c.readLine(maxChunkLine)
		if err != nil {
			return body{}, err
		}
		n, ok := parseChunkSize(line)
		if !ok {
			return body{}, malformed("malformed chunk size")
		}
		if n == 0 {
			break
		}
		total += n
		switch {
		case total > most:
			return body{}, &protocolError{413, "request body too large"}
		case total > limit:
			err = c.discard(n)
		default:
			err = take(n)
		}
		if err != nil {
			return body{}, err
		}
		if line, err = c.readLine(0); err != nil {
			return body{}, err
		}
		if len(line) != 0 {
			return body{}, malformed("malformed chunk")
		}
	}
	if err := c.readTrailers(&b); err != nil {
		return body{}, err
	}
	if total > limit {
		return body{}, errTooLarge
	}
	return b, nil
}

func (c *conn) readTrailers(b *body) error {
	var encoded []byte
	for left := maxHead; ; {
		line, err := c.readLine(left)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		left -= len(line) + len("\r\n")
		if left < 0 {
			return &protocolError{431, "trailers too large"}
		}
		name, value, err := parseHeader(line)
		if err != nil {
			return err
		}
		switch {
		case is(name, "lambda-runtime-function-error-type"):
			b.errorType = printable(value)
		case is(name, "lambda-runtime-function-error-body"):
			encoded = append(encoded[:0], value...)
		}
	}
	if b.errorType == "" {
		return nil
	}
	decoded, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return malformed("malformed Lambda-Runtime-Function-Error-Body")
	}
	b.errorBody = decoded
	return nil
}

// discard reads n bytes and forgets them.
func (c *conn) discard(n int64) error {
	buffered := min(n, int64(c.w-c.r))
	c.r += int(buffered)
	if n -= buffered; n == 0 {
		return nil
	}
	c.flush()
	_, err := io.CopyN(io.Discard, c.nc, n)
	return err
}
