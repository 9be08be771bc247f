package runtimeapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A recorder is a Stream.
type recorder struct {
	mu     sync.Mutex
	begun  []string // content types
	pieces []string
	size   int
	wrote  chan struct{}
	err    error // what Write answers
}

func newRecorder() *recorder { return &recorder{wrote: make(chan struct{}, 1<<20)} }

func (r *recorder) Begin(contentType string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, contentType)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size += len(p)
	if len(p) < 1000 {
		r.pieces = append(r.pieces, string(p))
	}
	r.wrote <- struct{}{}
	return len(p), r.err
}

const streamingHead = "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/plain\r\n"

// A streamed response arrives chunk by chunk, a buffered one in one piece, and an error not at all.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
func TestStream(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	begin := func(id, verb, request string, s Stream) chan answered {
		done := invoke(e, &Invocation{RequestID: id, Stream: s})
		c.next()
		c.receive(200)
		c.send("POST " + prefix + "invocation/" + id + "/" + verb + " HTTP/1.1\r\nHost: x\r\n" + request)
		return done
	}
	check := func(r *recorder, contentType string, pieces ...string) {
		t.Helper()
		if !slices.Equal(r.begun, []string{contentType}) || !slices.Equal(r.pieces, pieces) {
			t.Errorf("the stream got %q %q, want %q %q", r.begun, r.pieces, contentType, pieces)
		}
	}

	r := newRecorder()
	done := begin("a", "response", streamingHead+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", r)
	<-r.wrote // while the response is not complete
	check(r, "text/plain", "abc")
	c.send("2\r\nde\r\n")
	<-r.wrote
	c.send("0\r\n\r\n")
	if got := <-done; got.err != nil || got.result.Failed || !got.result.Streamed || len(got.result.Payload) != 0 {
		t.Errorf("result %+v", got)
	}
	c.receive(202)
	check(r, "text/plain", "abc", "de")

	r = newRecorder()
	done = begin("b", "response", "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", r)
	if got := <-done; got.err != nil || got.result.Streamed || got.result.Payload != nil {
		t.Errorf("result %+v", got)
	}
	c.receive(202)
	check(r, "application/json", "{}")

	r = newRecorder()
	done = begin("c", "error", "Content-Length: 2\r\n\r\n{}", r)
	if got := <-done; got.err != nil || !got.result.Failed || string(got.result.Payload) != "{}" || r.begun != nil {
		t.Errorf("result %+v, %q", got, r.begun)
	}
	c.receive(202)

	r = newRecorder()
	done = begin("d", "response", streamingHead+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"+
		"Lambda-Runtime-Function-Error-Type: Boom\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n", r)
	if got := <-done; got.err != nil || !got.result.Failed || got.result.ErrorType != "Boom" || string(got.result.Payload) != `{"a":1}` {
		t.Errorf("result %+v", got)
	}
	c.receive(202)
	check(r, "text/plain", "x")

	// Whoever takes it went away: the function does not notice.
	r = newRecorder()
	r.err = errors.New("gone")
	done = begin("e", "response", streamingHead+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\ny\r\n0\r\n\r\n", r)
	if got := <-done; got.err != nil || got.result.Failed {
		t.Errorf("result %+v", got)
	}
	c.receive(202)
	check(r, "text/plain", "x")
}

// A streamed response may be larger than a buffered one, and has a limit too.
func TestStreamLimit(t *testing.T) {
	const mebi = 1 << 20
	chunk := fmt.Sprintf("%x\r\n%s\r\n", mebi, strings.Repeat("r", mebi))
	e, addr := start(t)
	c := dial(t, addr)
	for _, over := range []bool{false, true} {
		r := newRecorder()
		id := fmt.Sprint("over-", over)
		done := invoke(e, &Invocation{RequestID: id, Stream: r})
		c.next()
		c.receive(200)
		c.send("POST " + prefix + "invocation/" + id + "/response HTTP/1.1\r\nHost: x\r\n" + streamingHead +
			"Transfer-Encoding: chunked\r\n\r\n")
		for range MaxStreamed / mebi {
			c.send(chunk)
		}
		if over {
			c.send("1\r\nx\r\n")
		}
		c.send("0\r\n\r\n")
		got := <-done
		if got.err != nil || got.result.Failed != over || r.size != MaxStreamed {
			t.Errorf("over the limit %v: %v, %d bytes", over, got.err, r.size)
		}
		if !over {
			c.receive(202)
			continue
		}
		const want = "Response payload size exceeded maximum allowed payload size (209715200 bytes)."
		c.refused(413, "RequestEntityTooLarge")
		if got.result.ErrorType != "Function.ResponseSizeTooLarge" || !strings.Contains(string(got.result.Payload), want) {
			t.Errorf("result %+v", got.result)
		}
	}
}

// What was streamed cannot be taken back: a second attempt is a failure.
func TestStreamCutShort(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	r := newRecorder()
	done := invoke(e, &Invocation{RequestID: "a", Stream: r})
	c.next()
	c.receive(200)
	c.send("POST " + prefix + "invocation/a/response HTTP/1.1\r\nHost: x\r\n" + streamingHead + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	<-r.wrote
	c.Close()
	await(t, e, running)
	d := dial(t, addr)
	d.post("invocation/a/response", "{}")
	d.refused(400, "InvalidResponse")
	if got := <-done; got.err != nil || !got.result.Failed || got.result.ErrorType != "Runtime.TruncatedResponse" {
		t.Errorf("result %+v", got)
	}
	if len(r.begun) != 1 || r.size != 1 {
		t.Errorf("the stream got %q %q", r.begun, r.pieces)
	}
}
