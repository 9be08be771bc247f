package runtimeapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"brume/internal/telemetry"
)

func (c *client) register(name, body string, status int) (identifier, answer string) {
	c.t.Helper()
	c.sendTo("register", "Lambda-Extension-Name: "+name+"\r\n", body)
	resp, answer := c.receive(status)
	return resp.Header.Get("Lambda-Extension-Identifier"), answer
}

func (c *client) sendTo(what, headers, body string) {
	c.t.Helper()
	c.send("POST /2020-01-01/extension/" + what + " HTTP/1.1\r\nHost: x\r\n" + headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

func (c *client) ask(identifier string) {
	c.send("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: " + identifier + "\r\n\r\n")
}

func startFunction(t testing.TB, f Function) (*Environment, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := NewFunction(l, f)
	t.Cleanup(func() { e.Close() })
	return e, l.Addr().String()
}

// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
func TestExtension(t *testing.T) {
	e, addr := startFunction(t, Function{Name: "f", Version: "7", Handler: "h", Account: "123456789012", Extensions: []string{"outer", "other"}})
	runtime, outer, other, inner := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	if _, answer := inner.register("inner", `{"events":["INVOKE","SHUTDOWN"]}`, 403); answer != `{"errorMessage":"SHUTDOWN: ErrorInvalidEventType","errorType":"Extension.InvalidEventType"}` {
		t.Errorf("%s", answer)
	}
	innerID, _ := inner.register("inner", `{"events":[]}`, 200)
	runtime.next()
	ready := func(want bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if want {
			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		}
		defer cancel()
		if err := e.Ready(ctx); (err == nil) != want {
			t.Fatalf("Ready: %v", err)
		}
	}
	ready(false)
	dial(t, addr).register("late", `{"events":[]}`, 403)
	outerID, answer := outer.register("outer", `{"events":["INVOKE","SHUTDOWN"]}`, 200)
	if answer != `{"functionName":"f","functionVersion":"7","handler":"h"}` || outerID == "" || outerID == innerID {
		t.Errorf("%s %s", answer, outerID)
	}
	outer.ask(outerID)
	other.sendTo("register", "Lambda-Extension-Name: other\r\nLambda-Extension-Accept-Feature: x, accountId\r\n", `{"events":["SHUTDOWN"]}`)
	resp, answer := other.receive(200)
	if answer != `{"functionName":"f","functionVersion":"7","handler":"h","accountId":"123456789012"}` {
		t.Errorf("%s", answer)
	}
	otherID := resp.Header.Get("Lambda-Extension-Identifier")
	other.ask(otherID)
	ready(false)
	if got := fmt.Sprint(e.Extensions()); got != "[{inner Registered [] } {outer Ready [INVOKE SHUTDOWN] } {other Ready [SHUTDOWN] }]" {
		t.Error(got)
	}
	inner.ask(innerID)
	ready(true)

	done := invoke(e, &Invocation{RequestID: "a", Deadline: time.UnixMilli(1234), FunctionARN: "arn", TraceID: "Root=1"})
	runtime.receive(200)
	if _, event := outer.receive(200); event != `{"eventType":"INVOKE","deadlineMs":1234,"requestId":"a","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}` {
		t.Errorf("%s", event)
	}
	runtime.post("invocation/a/response", "{}")
	if r := (<-done).result; r.Produced != 2 || r.Began.IsZero() || r.Ended.Before(r.Began) {
		t.Errorf("%+v", r)
	}
	runtime.next()
	runtime.receive(202)
	ready(false) // the extension has not finished
	outer.ask(outerID)
	ready(true)

	if !e.Extended() {
		t.Error("nobody wants to know of the end")
	}
	over := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		e.Shutdown(ctx, "spindown")
		close(over)
	}()
	for _, c := range []*client{outer, other} {
		if _, event := c.receive(200); !strings.HasPrefix(event, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":`) {
			t.Errorf("%s", event)
		}
	}
	outer.ask(outerID) // one asks again, the other one ends
	e.ExtensionEnded("other", errors.New("exit code 0"))
	<-over
}

// An extension whose process ends takes the environment with it, whatever it does at the time; what it has said before names
// the error.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
func TestExtensionEnds(t *testing.T) {
	for reported, want := range map[string]string{"": "Extension.Crash", "init/error": "Extension.InitError", "exit/error": "Extension.ExitError"} {
		e, addr := startFunction(t, Function{Extensions: []string{"x"}})
		c := dial(t, addr)
		id, _ := c.register("x", `{"events":[]}`, 200)
		header := "Lambda-Extension-Identifier: " + id + "\r\n"
		if reported != "" {
			c.sendTo(reported, header, "{}")
			c.refused(403, "Extension.MissingHeader")
			c.sendTo(reported, header+"Lambda-Extension-Function-Error-Type: Extension.NoConfig\r\n", "{}")
			c.receive(202)
			c.sendTo(reported, header+"Lambda-Extension-Function-Error-Type: Extension.Second\r\n", "{}")
			c.receive(202)
			if x := e.Extensions()[0]; "Extension."+x.State != want || x.ErrorType != "Extension.NoConfig" {
				t.Errorf("%+v", x)
			}
		}
		runtime := dial(t, addr)
		runtime.next()
		gone := make(chan error)
		go func() { gone <- e.Ready(context.Background()) }()
		e.ExtensionEnded("x", errors.New("exit status 3"))
		err, ok := errors.AsType[*ExtensionError](<-gone)
		if !ok || err.Type != want || err.Err.Error() != "exit status 3" {
			t.Errorf("%+v", err)
		}
	}
}

// hub notes subscriptions.
type hub []string

func (h *hub) Subscribe(api telemetry.API, extension string, body []byte) *telemetry.Refusal {
	*h = append(*h, api.String()+" "+extension+" "+string(body))
	if string(body) == "no" {
		return &telemetry.Refusal{Status: 400, Type: "ValidationError", Message: "because"}
	}
	return nil
}

func TestSubscribe(t *testing.T) {
	h := new(hub)
	_, addr := startFunction(t, Function{Telemetry: h})
	c := dial(t, addr)
	id, _ := c.register("x", `{"events":[]}`, 200)
	put := func(path, id, body string) {
		c.send("PUT " + path + " HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: " + id + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	}
	for _, path := range []string{"/2022-07-01/telemetry", "/2022-07-01/telemetry/", "/2020-08-15/logs"} {
		put(path, id, "{}")
		if _, answer := c.receive(200); answer != `"OK"` {
			t.Error(answer)
		}
	}
	if got := strings.Join(*h, ";"); got != "Telemetry x {};Telemetry x {};Logs x {}" {
		t.Error(got)
	}
	put("/2022-07-01/telemetry", id, "no")
	if _, answer := c.receive(400); answer != `{"errorMessage":"because","errorType":"ValidationError"}` {
		t.Error(answer)
	}
	put("/2022-07-01/telemetry", "unknown", "{}")
	c.refused(403, "Extension.UnknownExtensionIdentifier")
	put("/2022-07-01/telemetry", id, strings.Repeat(" ", telemetry.MaxRequest+1))
	c.refused(413, "RequestEntityTooLarge")
	put("/2022-07-01/telemetry", id, strings.Repeat(" ", telemetry.MaxRequest))
	c.receive(200)
	c.send("POST /2022-07-01/telemetry HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	c.refused(405, "MethodNotAllowed")
	put("/2018-06-01/runtime/init/error", id, "")
	c.refused(405, "MethodNotAllowed")
}

func TestExtensionRefused(t *testing.T) {
	_, addr := startFunction(t, Function{})
	c := dial(t, addr)
	c.register("x", `{"events":["OTHER"]}`, 403)
	c.register("x", `[`, 403)
	c.register("", `{}`, 403)
	c.register("x", `{}`, 200)
	c.register("x", `{}`, 403)
	c.ask("unknown")
	c.refused(403, "Extension.UnknownExtensionIdentifier")
	c.sendTo("exit/error", "", "{}")
	c.refused(403, "Extension.MissingExtensionIdentifier")
	for i := range maxExtensions - 1 {
		c.register("y"+string(rune('a'+i)), `{}`, 200)
	}
	c.register("z", `{}`, 403)
}

// What an extension sends while it waits for an event ends its connection: answers to it would gather until there is one.
func TestRequestsBehindEvent(t *testing.T) {
	e, addr := startFunction(t, Function{})
	c := dial(t, addr)
	id, _ := c.register("x", `{"events":["INVOKE"]}`, 200)
	c.ask(id)
	for e.Extensions()[0].State != "Ready" {
		time.Sleep(time.Millisecond)
	}
	c.sendTo("register", "", "{}")
	if _, err := c.r.ReadByte(); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection goes on: %v", err)
	}
}

// A pipe is a listener of connections that hold no byte that is not read.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { close(p.done); return nil }
func (p *pipe) Addr() net.Addr { return nil }

func (p *pipe) dial(t *testing.T) *client {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	p.conns <- theirs
	return &client{t, ours, bufio.NewReader(ours)}
}

// An extension that asks for an event, and does not read it, holds up nobody who wants to know something of the environment.
func TestEventThatIsNotRead(t *testing.T) {
	p := &pipe{make(chan net.Conn), make(chan struct{})}
	e := NewFunction(p, Function{})
	runtime, x := p.dial(t), p.dial(t)
	id, _ := x.register("x", `{"events":["INVOKE"]}`, 200)
	runtime.next()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	t.Cleanup(func() { cancel(); <-over; x.Close(); e.Close() })
	go func() { defer close(over); e.Invoke(ctx, &Invocation{RequestID: "1"}) }()
	runtime.receive(200)
	x.ask(id) // there is an event
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for e.Extensions()[0].State != "Ready" {
			time.Sleep(time.Millisecond)
		}
		e.HasExtensions()
	}()
	select {
	case <-asked:
	case <-time.After(writeTimeout / 3):
		t.Error("an extension holds the environment's lock")
	}
}

// Neither does it hold up an invocation beyond its deadline.
func TestEventIsNotWaitedForLong(t *testing.T) {
	p := &pipe{make(chan net.Conn), make(chan struct{})}
	e := NewFunction(p, Function{})
	runtime, x := p.dial(t), p.dial(t)
	id, _ := x.register("x", `{"events":["INVOKE"]}`, 200)
	x.ask(id)
	runtime.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	over := make(chan struct{})
	t.Cleanup(func() { x.Close(); runtime.Close(); <-over; e.Close() })
	go func() { defer close(over); e.Invoke(ctx, &Invocation{RequestID: "1"}) }()
	select {
	case <-over:
	case <-time.After(writeTimeout / 3):
		t.Error("an extension holds the invocation up")
	}
}

// What an extension registers with is bounded.
func TestRegistrationIsBounded(t *testing.T) {
	e, addr := startFunction(t, Function{})
	c := dial(t, addr)
	c.register("x", `{"events":["INVOKE"`+strings.Repeat(`,"INVOKE"`, maxRegistration/9)+`]}`, 403)
	c = dial(t, addr)
	c.register(strings.Repeat("x", maxExtensionName+1), `{}`, 403)
	c.register(strings.Repeat("x", maxExtensionName), `{"events":["INVOKE","INVOKE"]}`, 200)
	if got := e.Extensions()[0].Events; len(got) != 1 {
		t.Errorf("%q", got)
	}
}
