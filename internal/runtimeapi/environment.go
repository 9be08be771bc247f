// Package runtimeapi is the AWS Lambda Runtime API, version 2018-06-01, for one execution environment: one process tree
// that serves one function version for its whole life. The runtime inside speaks HTTP/1.1 to a listener; Lambda speaks
// to an Environment.
//
// The package promises:
//
//   - Every transition between the states of an environment that state.go does not name is refused, with the status
//     and the JSON that AWS documents.
//   - Extensions register with the Extensions API, version 2020-01-01, on the same listener. The init phase, and each
//     invocation, ends when the runtime and all of them ask for what comes next. The end of an external extension's process
//     is the end of the environment, unless it was told to finish. Subscriptions to telemetry are passed on.
//   - An environment holds one invocation at a time. Ready says when it may get the next one.
//   - Stock clients work unchanged: keep-alive, pipelining, chunked bodies and Expect: 100-continue are understood.
//   - The runtime is not trusted. Connections, header blocks and bodies are bounded, everything else than strict
//     HTTP/1.1 is refused, and a slow or silent client delays nobody but its own function.
//   - After Close no goroutine and no connection is left.
//
// Where a client has sent its request for the next invocation right behind its response, without waiting for the 202,
// that 202 travels together with the next invocation: one write there, one wake-up here.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// MaxPayload is the largest event and the largest response, in bytes: 6 MiB, and the 100 bytes that AWS adds to it.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const MaxPayload = 6<<20 + 100

// MaxStreamed is the largest response to an Invocation with a Stream from a runtime that streams it, in bytes.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
const MaxStreamed = 200 << 20

var (
	// ErrBusy is returned by Invoke while another invocation is under way.
	ErrBusy = errors.New("runtimeapi: the environment is busy with another invocation")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("runtimeapi: the environment is closed")
)

// An Invocation is one event for the function, with what the runtime is told about it. Empty fields are not sent.
type Invocation struct {
	// RequestID names the invocation in the paths of the API: letters, digits, '-', '_' and '.', at most 128.
	RequestID string
	// Deadline is when the function times out.
	Deadline    time.Time
	FunctionARN string
	// TraceID is the AWS X-Ray tracing header.
	TraceID string
	// ClientContext and CognitoIdentity are JSON documents. Line breaks and other control characters in them, which JSON
	// only has between its tokens, are sent as spaces.
	ClientContext   string
	CognitoIdentity string
	// Payload is the event, at most MaxPayload bytes. It must not be modified afterwards.
	Payload []byte
	// Stream, if it is set, gets the response instead of Result.Payload.
	Stream Stream
}

// A Stream takes a response while the runtime sends it.
type Stream interface {
	// Begin is called once, when the head of the response has come, with its content type, which may be empty.
	Begin(contentType string)
	// Write takes a piece of the response: a chunk of the runtime's, as soon as it has come. While it does not return,
	// no more is read. After an error it is not called again and p not touched; the rest of the response is read and
	// forgotten, as it is in Lambda when a client goes away.
	Write(p []byte) (int, error)
}

// A Result is how a function answered.
type Result struct {
	// Payload is what the runtime sent, at most MaxPayload bytes: the function's response, unless that went to the
	// invocation's Stream, or the JSON that describes the error. The caller owns it.
	Payload []byte
	// ContentType is as the runtime sent it; it may be empty.
	ContentType string
	// Streamed says that the runtime used the streaming response mode. Without a Stream the whole response is in Payload
	// all the same.
	Streamed bool
	// Failed says that this is a function error, and ErrorType is the runtime's name for it, "Runtime.HandlerNotFound"
	// for instance: whatever the function's process sent, at most 256 printable ASCII characters, and possibly nothing.
	Failed    bool
	ErrorType string
	// Began and Ended are when the first and the last byte of the answer had come, and Produced is how many there were. They
	// are not set if the API itself ended the invocation.
	Began, Ended time.Time
	Produced     int64
}

// An InitError is what the runtime reported to /runtime/init/error.
type InitError struct {
	Type    string // as Result.ErrorType
	Payload []byte // the JSON that describes the error, as the runtime sent it
}

func (e *InitError) Error() string { return "runtimeapi: the runtime failed to initialize: " + e.Type }

// An ExitError says that the runtime's process ended.
type ExitError struct {
	Err error // what Exited was called with
	// Reported is the kind of error that an extension had reported before, if one had.
	Reported string
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return "runtimeapi: the runtime exited"
	}
	return "runtimeapi: the runtime exited: " + e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// An Environment serves the API to one runtime. Its methods may be called from any goroutine.
type Environment struct {
	listener net.Listener
	stop     chan struct{} // closed by Close
	serving  sync.WaitGroup

	mu      sync.Mutex
	state   state
	failure error           // why the environment is over, in the states initFailed, exited and closed
	parked  *conn           // in the state ready: the connection whose request for the next invocation is unanswered
	call    *call           // the invocation that Invoke brought
	waiters []chan struct{} // Ready's, closed when the state becomes ready or the environment is over
	conns   map[*conn]struct{}
	drained chan struct{} // Exited's, closed when the last connection ends

	function   Function
	extensions []*extension
	reported   string // the kind of error that an extension has reported first
}

// A call is an Invocation under way.
type call struct {
	Invocation
	done     chan outcome // holds one, so that nobody waits to report
	begun    bool         // the Stream has got the head of a response
	streamed int64        // bytes of a response to the Stream
}

type outcome struct {
	result *Result
	err    error
}

// New serves the API on l, which it owns from then on, until Close.
func New(l net.Listener) *Environment { return NewFunction(l, Function{}) }

func newEnvironment(l net.Listener) *Environment {
	return &Environment{listener: l, stop: make(chan struct{}), conns: make(map[*conn]struct{})}
}

// Ready waits until the runtime asks for an invocation, and every extension for an event: after the start that is the end of the init phase, and after an
// invocation the end of everything the runtime does for it. It fails with the context's error, or for good with an
// *InitError, an *ExitError, or ErrClosed.
func (e *Environment) Ready(ctx context.Context) error {
	return e.await(ctx, func() bool { return e.state == ready && e.extensionsReady() })
}

// RuntimeReady is Ready without the extensions.
func (e *Environment) RuntimeReady(ctx context.Context) error {
	return e.await(ctx, func() bool { return e.state == ready })
}

// await waits until something is so, which is asked while e.mu is held, or the environment is over.
func (e *Environment) await(ctx context.Context, so func() bool) error {
	for {
		e.mu.Lock()
		if e.failure != nil || so() {
			err := e.failure
			e.mu.Unlock()
			return err
		}
		changed := make(chan struct{})
		e.waiters = append(e.waiters, changed)
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// soon is until when something may be written: not for long, and not after ctx.
func soon(ctx context.Context) time.Time {
	deadline := time.Now().Add(writeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		return d
	}
	return deadline
}

// Invoke hands inv to the runtime, as soon as it asks for one, and waits for the answer. The runtime may go on working
// after it has answered: Ready says when it is done.
//
// Invoke fails with ErrBusy, with what Ready fails with, or with the context's error. If the context ends when the
// runtime has inv already, the environment stays busy until the runtime answers: the caller closes it.
func (e *Environment) Invoke(ctx context.Context, inv *Invocation) (*Result, error) {
	if err := inv.check(); err != nil {
		return nil, err
	}
	k := &call{Invocation: *inv, done: make(chan outcome, 1)}
	e.mu.Lock()
	if err := e.failure; err != nil {
		e.mu.Unlock()
		return nil, err
	}
	if e.call != nil {
		e.mu.Unlock()
		return nil, ErrBusy
	}
	e.call = k
	c := e.parked
	if c != nil {
		e.parked = nil
		e.enter(invoked)
	}
	announce := func(time.Time) {}
	if len(e.extensions) > 0 {
		announce = e.announce(k.invokeEvent(), func(x *extension) bool { return x.invoke && !x.left })
	}
	e.mu.Unlock()
	deadline := soon(ctx)
	announce(deadline)
	if c != nil {
		c.sendInvocation(k, deadline)
	}
	select {
	case o := <-k.done:
		return o.result, o.err
	case <-ctx.Done():
		e.mu.Lock()
		if e.call == k && e.state != running && e.state != responding { // it was not handed out
			e.call = nil
		}
		e.mu.Unlock()
		return nil, ctx.Err()
	}
}

// Exited says that the runtime's process has ended. What it had sent before is read first: its connections end with it,
// and if somebody else holds one, drainTimeout is enough. After that, whoever waits in Ready or Invoke gets an *ExitError
// with err, unless the runtime had reported an init error.
func (e *Environment) Exited(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.conns) > 0 && e.failure == nil {
		drained := make(chan struct{})
		e.drained = drained
		e.mu.Unlock()
		select {
		case <-drained:
		case <-e.stop:
		case <-time.After(drainTimeout):
		}
		e.mu.Lock()
	}
	e.fail(exit, &ExitError{Err: err, Reported: e.reported})
}

// Close ends the environment, closes the listener and every connection, and waits for the goroutines that serve them. It
// may be called more than once.
func (e *Environment) Close() error {
	e.mu.Lock()
	e.fail(shut, ErrClosed)
	var err error
	select {
	case <-e.stop:
	default:
		close(e.stop)
		err = e.listener.Close()
		for c := range e.conns {
			c.nc.Close()
		}
	}
	e.mu.Unlock()
	e.serving.Wait()
	return err
}

func (inv *Invocation) check() error {
	id := inv.RequestID
	if id == "" || len(id) > 128 {
		return errors.New("runtimeapi: a request ID has 1 to 128 characters")
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return fmt.Errorf("runtimeapi: character %q in a request ID", c)
		}
	}
	if len(inv.Payload) > MaxPayload {
		return fmt.Errorf("runtimeapi: an event of %d bytes is over the limit of %d", len(inv.Payload), MaxPayload)
	}
	return nil
}

// enter makes the transition for v and returns false if there is none. e.mu is held.
func (e *Environment) enter(v event) bool {
	next, ok := e.state.on(v)
	if !ok {
		return false
	}
	e.state = next
	if next == ready {
		e.wake()
	}
	return true
}

// fail ends the environment for good with err, if it has not ended before. e.mu is held.
func (e *Environment) fail(v event, err error) bool {
	if !e.enter(v) {
		return false
	}
	if e.failure == nil {
		e.failure = err
	}
	if e.call != nil {
		e.call.done <- outcome{err: e.failure}
		e.call = nil
	}
	e.parked = nil
	e.wake()
	return true
}

// answer ends the invocation under way with r. e.mu is held.
func (e *Environment) answer(r *Result) {
	e.call.done <- outcome{result: r}
	e.call = nil
}

func (e *Environment) wake() {
	for _, w := range e.waiters {
		close(w)
	}
	e.waiters = nil
}
