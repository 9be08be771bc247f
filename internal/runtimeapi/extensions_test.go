package runtimeapi

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
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
	e, addr := startFunction(t, Function{Name: "f", Version: "7", Handler: "h", Extensions: []string{"outer"}})
	runtime, outer, inner := dial(t, addr), dial(t, addr), dial(t, addr)
	innerID, _ := inner.register("inner", `{"events":["SHUTDOWN"]}`, 200)
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
	ready(false)
	inner.ask(innerID)
	ready(true)

	done := invoke(e, &Invocation{RequestID: "a", Deadline: time.UnixMilli(1234), FunctionARN: "arn", TraceID: "Root=1"})
	runtime.receive(200)
	if _, event := outer.receive(200); event != `{"eventType":"INVOKE","deadlineMs":1234,"requestId":"a","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}` {
		t.Errorf("%s", event)
	}
	runtime.post("invocation/a/response", "{}")
	<-done
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
	for _, c := range []*client{outer, inner} {
		if _, event := c.receive(200); !strings.HasPrefix(event, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":`) {
			t.Errorf("%s", event)
		}
	}
	outer.ask(outerID) // one asks again, the other one ends
	inner.Close()
	<-over
}

func TestExtensionRefused(t *testing.T) {
	_, addr := startFunction(t, Function{})
	c := dial(t, addr)
	c.register("x", `{"events":["OTHER"]}`, 400)
	c.register("x", `[`, 400)
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
