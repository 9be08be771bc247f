package runtimeapi

import (
	"errors"
	"strconv"
	"time"
)

const accepted = "{\"status\":\"OK\"}\n"

// maxSize ends what is said of a body that is larger than most.
func maxSize(most int) string {
	return " maximum allowed payload size (" + strconv.Itoa(most) + " bytes)."
}

// reply appends an answer with a JSON body to what is to be written. closing tells the client that it is the last one.
func (c *conn) reply(status int, closing bool, json string) { c.replyWith(status, closing, "", json) }

// replyWith is reply with more headers, each with its line break.
func (c *conn) replyWith(status int, closing bool, headers, json string) {
	c.write(func(b []byte) []byte {
		b = append(b, "HTTP/1.1 "...)
		b = append(b, statusLine(status)...)
		b = append(b, "\r\n"...)
		b = append(b, headers...)
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(json)), 10)
		if closing {
			b = append(b, "\r\nConnection: close"...)
		}
		b = append(b, "\r\n\r\n"...)
		return append(b, json...)
	})
}

// replyTransition says that was does not allow what was asked for.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html: 403, and an ErrorResponse
func (c *conn) replyTransition(r *request, was state, to string) {
	c.reply(403, r.closing, string(appendError(nil, "InvalidStateTransition", transitionMessage(was, to))))
}

func transitionMessage(was state, to string) string {
	return "State transition from " + was.String() + " to " + to +
		" failed for runtime. Error: State transition is not allowed"
}

func (c *conn) refuseTransition(r *request, was state, to string) error {
	return c.refuse(r, 403, "InvalidStateTransition", transitionMessage(was, to))
}

// refuse replies with an error to a request whose body nobody reads. The body is read away, so that the client gets to
// the answer and the connection lives on, unless the client waits with it, or it is endless.
func (c *conn) refuse(r *request, status int, typ, message string) error {
	switch {
	case r.length == 0:
	case r.expect || r.length > maxDiscard:
		r.closing = true
	case r.length == chunked:
		if _, err := c.readChunks(0, maxDiscard, nil); err != nil && err != errTooLarge {
			return err
		}
	default:
		if err := c.discard(r.length); err != nil {
			return err
		}
	}
	c.reply(status, r.closing, string(appendError(nil, typ, message)))
	return nil
}

// sendInvocation writes k, behind everything that is to be written already. An error closes the connection; the runtime
// asks again on another one, or its function times out.
func (c *conn) sendInvocation(k *call, deadline time.Time) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.held = false
	b := append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	b = append(b, k.RequestID...)
	if !k.Deadline.IsZero() {
		b = append(b, "\r\nLambda-Runtime-Deadline-Ms: "...)
		b = strconv.AppendInt(b, k.Deadline.UnixMilli(), 10)
	}
	b = appendHeader(b, "Lambda-Runtime-Invoked-Function-Arn", k.FunctionARN)
	b = appendHeader(b, "Lambda-Runtime-Trace-Id", k.TraceID)
	b = appendHeader(b, "Lambda-Runtime-Client-Context", k.ClientContext)
	b = appendHeader(b, "Lambda-Runtime-Cognito-Identity", k.CognitoIdentity)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(k.Payload)), 10)
	c.out = append(b, "\r\n\r\n"...)
	rest := k.Payload
	if len(rest) <= copyLimit {
		c.out = append(c.out, rest...)
		rest = nil
	}
	c.flushLocked(deadline)
	if len(rest) > 0 {
		if _, err := c.nc.Write(rest); err != nil {
			c.nc.Close()
		}
	}
}

// appendHeader appends a header after the value of another one. Control characters in value become spaces.
func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, "\r\n"...)
	b = append(b, name...)
	b = append(b, ": "...)
	at := len(b)
	b = append(b, value...)
	for i, c := range b[at:] {
		if c < ' ' || c == 0x7f {
			b[at+i] = ' '
		}
	}
	return b
}

// hold says whether what is to be written waits for an invocation.
func (c *conn) hold(on bool) {
	c.wmu.Lock()
	c.held = on
	c.wmu.Unlock()
}

func (c *conn) isHeld() bool {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.held
}

// write lets add append to what is to be written.
func (c *conn) write(add func([]byte) []byte) {
	c.wmu.Lock()
	c.out = add(c.out)
	c.wmu.Unlock()
}

// flush writes what is to be written, unless it waits for an invocation. An error shows at the next read.
func (c *conn) flush() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if !c.held && len(c.out) > 0 {
		c.flushLocked(time.Now().Add(writeTimeout))
	}
}

func (c *conn) flushLocked(deadline time.Time) {
	err := c.nc.SetWriteDeadline(deadline)
	if err == nil {
		_, err = c.nc.Write(c.out)
	}
	if err != nil {
		c.nc.Close()
	}
	if c.out = c.out[:0]; cap(c.out) > copyLimit/4 {
		c.out = nil
	}
}

// appendError appends an ErrorResponse. typ and message need no escaping.
func appendError(b []byte, typ, message string) []byte {
	b = append(b, `{"errorMessage":"`...)
	b = append(b, message...)
	b = append(b, `","errorType":"`...)
	b = append(b, typ...)
	return append(b, `"}`...)
}

func statusLine(status int) string {
	switch status {
	case 200:
		return "200 OK"
	case 202:
		return "202 Accepted"
	case 400:
		return "400 Bad Request"
	case 403:
		return "403 Forbidden"
	case 404:
		return "404 Not Found"
	case 405:
		return "405 Method Not Allowed"
	case 413:
		return "413 Payload Too Large"
	case 417:
		return "417 Expectation Failed"
	case 431:
		return "431 Request Header Fields Too Large"
	case 501:
		return "501 Not Implemented"
	case 505:
		return "505 HTTP Version Not Supported"
	}
	panic(errors.New("runtimeapi: no reason phrase for " + strconv.Itoa(status)))
}
