package runtimeapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prefix = "/2018-06-01/runtime/"

// start serves an Environment on a loopback port and returns its address.
func start(t testing.TB) (*Environment, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := New(l)
	t.Cleanup(func() { e.Close() })
	return e, l.Addr().String()
}

// A client is a runtime on a raw connection.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() { c.send("GET " + prefix + "invocation/next HTTP/1.1\r\nHost: x\r\n\r\n") }

func (c *client) post(path, body string, headers ...string) {
	c.t.Helper()
	c.send("POST " + prefix + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
}

// receive reads an answer and checks its status.
func (c *client) receive(status int) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Fatalf("status %d, want %d: %s", resp.StatusCode, status, b)
	}
	return resp, string(b)
}

// refused reads an ErrorResponse.
func (c *client) refused(status int, typ string) string {
	c.t.Helper()
	_, b := c.receive(status)
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal([]byte(b), &e); err != nil || e.ErrorType != typ || e.ErrorMessage == "" {
		c.t.Fatalf("error response %s (%v), want type %s", b, err, typ)
	}
	return e.ErrorMessage
}

// gone checks that the server closed the connection without a further answer.
func (c *client) gone() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) != 0 || errors.Is(err, context.DeadlineExceeded) {
		c.t.Fatalf("connection is open: %q, %v", b, err)
	}
}

type answered struct {
	result *Result
	err    error
}

func invoke(e *Environment, inv *Invocation) chan answered {
	done := make(chan answered, 1)
	go func() {
		r, err := e.Invoke(context.Background(), inv)
		done <- answered{r, err}
	}()
	return done
}

func TestInvocation(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := invoke(e, &Invocation{
		RequestID:       "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		Deadline:        time.UnixMilli(1542409706888),
		FunctionARN:     "arn:aws:lambda:us-east-2:123456789012:function:custom-runtime",
		TraceID:         "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
		ClientContext:   "{\"client\":\r\n{\"app_title\":\"ü\"}}",
		CognitoIdentity: `{"cognitoIdentityId":"i"}`,
		Payload:         []byte(`{"key":"välue"}`),
	})
	resp, body := c.receive(200)
	if body != `{"key":"välue"}` {
		t.Errorf("event %s", body)
	}
	for name, want := range map[string]string{
		"Content-Type":                        "application/json",
		"Lambda-Runtime-Aws-Request-Id":       "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		"Lambda-Runtime-Deadline-Ms":          "1542409706888",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-2:123456789012:function:custom-runtime",
		"Lambda-Runtime-Trace-Id":             "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
		"Lambda-Runtime-Client-Context":       "{\"client\":  {\"app_title\":\"ü\"}}",
		"Lambda-Runtime-Cognito-Identity":     `{"cognitoIdentityId":"i"}`,
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	c.post("invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response", `"done"`, "Content-Type: application/json")
	if _, b := c.receive(202); b != "{\"status\":\"OK\"}\n" {
		t.Errorf("status response %q", b)
	}
	got := <-done
	if got.err != nil || string(got.result.Payload) != `"done"` || got.result.Failed || got.result.Streamed ||
		got.result.ContentType != "application/json" {
		t.Errorf("result %+v", got)
	}
}

func TestInvocationError(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.next()
	done := invoke(e, &Invocation{RequestID: "a"})
	resp, _ := c.receive(200)
	for _, name := range []string{"Deadline-Ms", "Trace-Id", "Client-Context", "Cognito-Identity", "Invoked-Function-Arn"} {
		if _, ok := resp.Header["Lambda-Runtime-"+name]; ok {
			t.Errorf("empty header %s", name)
		}
	}
	c.post("invocation/a/error", `{"errorMessage":"m"}`, "Lambda-Runtime-Function-Error-Type: Runtime.HandlerNotFound",
		"Lambda-Runtime-Function-XRay-Error-Cause: "+strings.Repeat("x", 1<<20))
	c.receive(202)
	if got := <-done; got.err != nil || !got.result.Failed || got.result.ErrorType != "Runtime.HandlerNotFound" ||
		string(got.result.Payload) != `{"errorMessage":"m"}` {
		t.Errorf("result %+v", got)
	}
}

// The invocation may come before the runtime asks for it, and Ready comes after each one.
func TestInvokeBeforeNext(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	for _, id := range []string{"1", "2", "3"} {
		done := invoke(e, &Invocation{RequestID: id})
		c.next()
		c.receive(200)
		c.post("invocation/"+id+"/response", id)
		c.receive(202)
		if got := <-done; got.err != nil || string(got.result.Payload) != id {
			t.Fatalf("result %+v", got)
		}
		if e.Ready(expired()) == nil {
			t.Fatal("ready before the runtime asked for more")
		}
	}
	c.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func expired() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func TestBusy(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	// An invocation that was not handed out leaves nothing behind when its context ends.
	if _, err := e.Invoke(expired(), &Invocation{RequestID: "early"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	c.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	// One that was does.
	if _, err := e.Invoke(expired(), &Invocation{RequestID: "slow"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := e.Invoke(t.Context(), &Invocation{RequestID: "other"}); err != ErrBusy {
		t.Fatal(err)
	}
	c.receive(200)
	c.post("invocation/slow/response", "late")
	c.receive(202)
	done := invoke(e, &Invocation{RequestID: "other"})
	c.next()
	c.receive(200)
	c.post("invocation/other/response", "{}")
	c.receive(202)
	if got := <-done; got.err != nil || string(got.result.Payload) != "{}" {
		t.Fatalf("result %+v", got)
	}
}

func TestInvalidInvocations(t *testing.T) {
	e, _ := start(t)
	for _, inv := range []Invocation{
		{},
		{RequestID: "a/b"},
		{RequestID: "a\r\nb"},
		{RequestID: strings.Repeat("a", 129)},
		{RequestID: "a", Payload: make([]byte, MaxPayload+1)},
	} {
		if _, err := e.Invoke(t.Context(), &inv); err == nil {
			t.Errorf("accepted %q with %d bytes", inv.RequestID, len(inv.Payload))
		}
	}
}

func TestInitError(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	done := invoke(e, &Invocation{RequestID: "a"})
	c.post("init/error", `{"errorMessage":"no"}`, "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError")
	c.receive(202)
	err := e.Ready(t.Context())
	failed, ok := errors.AsType[*InitError](err)
	if !ok || failed.Type != "Runtime.ImportModuleError" || string(failed.Payload) != `{"errorMessage":"no"}` {
		t.Fatalf("%v", err)
	}
	if got := <-done; got.err != err {
		t.Errorf("invocation: %v", got.err)
	}
	c.next()
	c.refused(403, "InvalidStateTransition")
	// The process ends after that: the first reason stays.
	e.Exited(errors.New("exit status 1"))
	if got := e.Ready(t.Context()); got != err {
		t.Errorf("after the exit: %v", got)
	}
	e.Close()
	if got := e.Ready(t.Context()); got != err {
		t.Errorf("after Close: %v", got)
	}
}

func TestExit(t *testing.T) {
	reason := errors.New("exit status 3")
	for _, when := range []string{"started", "ready", "running", "responding", "responded"} {
		t.Run(when, func(t *testing.T) {
			e, addr := start(t)
			c := dial(t, addr)
			var done chan answered
			if when != "started" {
				c.next()
				if err := e.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			switch when {
			case "running", "responding", "responded":
				done = invoke(e, &Invocation{RequestID: "a"})
				c.receive(200)
			}
			switch when {
			case "responding":
				c.send("POST " + prefix + "invocation/a/response HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
				await(t, e, responding)
			case "responded":
				c.post("invocation/a/response", "1")
				c.receive(202)
				if got := <-done; got.err != nil {
					t.Fatal(got.err)
				}
				done = nil
			}
			e.Exited(reason)
			if err := e.Ready(t.Context()); !errors.Is(err, reason) {
				t.Errorf("Ready: %v", err)
			}
			if done != nil {
				if got := <-done; !errors.Is(got.err, reason) {
					t.Errorf("Invoke: %v", got.err)
				}
			}
			if _, err := e.Invoke(t.Context(), &Invocation{RequestID: "b"}); !errors.Is(err, reason) {
				t.Errorf("Invoke after the exit: %v", err)
			}
		})
	}
}

// await waits for a state that only the runtime's side leads to.
func await(t *testing.T, e *Environment, s state) {
	t.Helper()
	for range 2000 {
		e.mu.Lock()
		is := e.state
		e.mu.Unlock()
		if is == s {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("the state never became %v", s)
}

func TestClose(t *testing.T) {
	e, addr := start(t)
	parked := dial(t, addr)
	parked.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	half := dial(t, addr)
	half.send("GET /2018")
	done := invoke(e, &Invocation{RequestID: "a"})
	parked.receive(200)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != ErrClosed {
		t.Errorf("Invoke: %v", got.err)
	}
	if err := e.Ready(t.Context()); err != ErrClosed {
		t.Errorf("Ready: %v", err)
	}
	parked.gone()
	half.gone()
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the listener is open")
	}
}

// A runtime that does not read must not keep Invoke, nor Close, longer than the context and the platform want.
func TestStuckReader(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	c.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := e.Invoke(ctx, &Invocation{RequestID: "a", Payload: make([]byte, MaxPayload)})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	done := make(chan struct{})
	go func() { e.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Close hangs")
	}
}

// The limits are 6 MiB and 100 bytes both ways, and what is one byte larger is refused as AWS documents.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-response: 413
func TestPayloadLimits(t *testing.T) {
	for _, encoding := range []string{"length", "chunked"} {
		t.Run(encoding, func(t *testing.T) {
			e, addr := start(t)
			c := dial(t, addr)
			put := func(id string, body string) {
				if encoding == "length" {
					c.post("invocation/"+id+"/response", body)
					return
				}
				var b bytes.Buffer
				fmt.Fprintf(&b, "POST %sinvocation/%s/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", prefix, id)
				for len(body) > 0 {
					n := min(1<<20, len(body))
					fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
					body = body[n:]
				}
				b.WriteString("0\r\n\r\n")
				c.send(b.String())
			}
			done := invoke(e, &Invocation{RequestID: "fits", Payload: bytes.Repeat([]byte("e"), MaxPayload)})
			c.next()
			if _, body := c.receive(200); len(body) != MaxPayload {
				t.Fatalf("%d bytes of event", len(body))
			}
			put("fits", strings.Repeat("r", MaxPayload))
			c.receive(202)
			if got := <-done; got.err != nil || len(got.result.Payload) != MaxPayload || got.result.Failed {
				t.Fatalf("%v", got.err)
			}

			done = invoke(e, &Invocation{RequestID: "over"})
			c.next()
			c.receive(200)
			put("over", strings.Repeat("r", MaxPayload+1))
			if m := c.refused(413, "RequestEntityTooLarge"); m != "Exceeded maximum allowed payload size (6291556 bytes)." {
				t.Errorf("message %q", m)
			}
			want := `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",` +
				`"errorType":"Function.ResponseSizeTooLarge"}`
			if got := <-done; got.err != nil || !got.result.Failed || string(got.result.Payload) != want ||
				got.result.ErrorType != "Function.ResponseSizeTooLarge" {
				t.Errorf("result %+v", got.result)
			}
			// The connection and the environment are good for more.
			done = invoke(e, &Invocation{RequestID: "more"})
			c.next()
			c.receive(200)
			put("more", "{}")
			c.receive(202)
			<-done
		})
	}
}

func TestStreamingMode(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	run := func(id, request string) answered {
		done := invoke(e, &Invocation{RequestID: id})
		c.next()
		c.receive(200)
		c.send("POST " + prefix + "invocation/" + id + "/response HTTP/1.1\r\nHost: x\r\n" + request)
		return <-done
	}
	got := run("a", "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/plain\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")
	c.receive(202)
	if got.err != nil || !got.result.Streamed || got.result.Failed || string(got.result.Payload) != "abcde" ||
		got.result.ContentType != "text/plain" {
		t.Errorf("result %+v", got.result)
	}

	// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
	got = run("b", "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n3\r\nabc\r\n0\r\n"+
		"Lambda-Runtime-Function-Error-Type: Function.Boom\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n")
	c.receive(202)
	if got.err != nil || !got.result.Failed || got.result.ErrorType != "Function.Boom" || string(got.result.Payload) != `{"a":1}` {
		t.Errorf("result %+v", got.result)
	}

	got = run("c", "Lambda-Runtime-Function-Response-Mode: sideways\r\nContent-Length: 2\r\n\r\n{}")
	c.refused(400, "InvalidFunctionResponseMode")
	if got.err != nil || !got.result.Failed || got.result.ErrorType != "Runtime.InvalidResponseModeHeader" {
		t.Errorf("result %+v", got.result)
	}
}

// What the state does not allow gets 403 and a wrong id gets 400, and neither changes anything.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func TestDeniedTransitions(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.post("invocation/a/response", "{}")
	m := c.refused(403, "InvalidStateTransition")
	if m != "State transition from Started to InvocationResponse failed for runtime. Error: State transition is not allowed" {
		t.Errorf("message %q", m)
	}
	c.post("invocation/a/error", "{}")
	c.refused(403, "InvalidStateTransition")

	c.next()
	done := invoke(e, &Invocation{RequestID: "a"})
	c.receive(200)
	c.post("invocation/b/response", "{}")
	if m := c.refused(400, "InvalidRequestID"); m != "Invalid request ID" {
		t.Errorf("message %q", m)
	}
	c.post("invocation/b/error", "{}")
	c.refused(400, "InvalidRequestID")
	c.post("init/error", "{}")
	c.refused(403, "InvalidStateTransition")
	c.post("invocation/a/response", "1")
	c.receive(202)
	if got := <-done; got.err != nil || string(got.result.Payload) != "1" {
		t.Fatalf("result %+v", got)
	}
	c.post("invocation/a/response", "2")
	c.refused(403, "InvalidStateTransition")
	c.post("init/error", "{}")
	c.refused(403, "InvalidStateTransition")

	// Nobody else may send while a response is on its way.
	done = invoke(e, &Invocation{RequestID: "b"})
	c.next()
	c.receive(200)
	c.send("POST " + prefix + "invocation/b/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
	await(t, e, responding)
	d := dial(t, addr)
	d.post("invocation/b/response", "{}")
	d.refused(403, "InvalidStateTransition")
	d.next()
	d.refused(403, "InvalidStateTransition")
	c.send("}")
	c.receive(202)
	<-done
}

func TestEveryTransition(t *testing.T) {
	allowed := map[state]map[event]state{
		started:    {next: ready, initError: failing, exit: exited, shut: closed},
		failing:    {sent: initFailed, aborted: started, exit: exited, shut: closed},
		initFailed: {shut: closed},
		ready:      {next: ready, invoked: running, exit: exited, shut: closed},
		running:    {next: running, respond: responding, exit: exited, shut: closed},
		responding: {sent: responded, aborted: running, exit: exited, shut: closed},
		responded:  {next: ready, exit: exited, shut: closed},
		exited:     {shut: closed},
		closed:     {},
	}
	for s := started; s <= closed; s++ {
		for v := next; v <= shut; v++ {
			want, ok := allowed[s][v]
			if !ok {
				want = s
			}
			if got, allowed := s.on(v); got != want || allowed != ok {
				t.Errorf("%v on %d: %v, %v", s, v, got, allowed)
			}
		}
	}
}

// A client that lost its connection asks again, and is answered on the new one.
func TestNextAgain(t *testing.T) {
	e, addr := start(t)
	a := dial(t, addr)
	a.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := dial(t, addr)
	b.next()
	a.gone()
	done := invoke(e, &Invocation{RequestID: "1", Payload: []byte("event")})
	b.receive(200)
	b.Close()
	c := dial(t, addr)
	c.next()
	if _, body := c.receive(200); body != "event" {
		t.Fatalf("event %q", body)
	}
	c.post("invocation/1/response", "r")
	c.receive(202)
	if got := <-done; got.err != nil {
		t.Fatal(got.err)
	}

	// It may also be away while the invocation comes.
	c.next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for {
		e.mu.Lock()
		away := e.parked == nil
		e.mu.Unlock()
		if away {
			break
		}
		time.Sleep(time.Millisecond)
	}
	done = invoke(e, &Invocation{RequestID: "2"})
	d := dial(t, addr)
	d.next()
	d.receive(200)
	d.post("invocation/2/response", "r")
	d.receive(202)
	<-done
}

// A body that breaks off has not arrived: the runtime may send it again.
func TestAbortedResponse(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.next()
	done := invoke(e, &Invocation{RequestID: "1"})
	c.receive(200)
	for _, broken := range []string{
		"Content-Length: 10\r\n\r\nabc",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
	} {
		d := dial(t, addr)
		d.send("POST " + prefix + "invocation/1/response HTTP/1.1\r\nHost: x\r\n" + broken)
		d.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, d.r)
	}
	await(t, e, running)
	c.post("invocation/1/response", "whole")
	c.receive(202)
	if got := <-done; got.err != nil || string(got.result.Payload) != "whole" {
		t.Fatalf("result %+v", got)
	}
}

// net/http's client is what aws-lambda-go uses.
func TestStockClient(t *testing.T) {
	e, addr := start(t)
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	hc := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	defer transport.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range 3 {
			resp, err := hc.Get("http://" + addr + prefix + "invocation/next")
			if err != nil {
				t.Error(err)
				return
			}
			event, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
			var body io.Reader = bytes.NewReader(event)
			if i == 1 {
				body = struct{ io.Reader }{body} // of unknown length: chunked
			}
			req, _ := http.NewRequest("POST", "http://"+addr+prefix+"invocation/"+id+"/response", body)
			if i == 2 {
				req.Header.Set("Expect", "100-continue")
			}
			if resp, err = hc.Do(req); err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 202 {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
	})
	for i := range 3 {
		payload := fmt.Sprintf(`{"n":%d}`, i)
		r, err := e.Invoke(t.Context(), &Invocation{RequestID: fmt.Sprint("r", i), Payload: []byte(payload)})
		if err != nil || string(r.Payload) != payload {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

// A runtime may answer and end in one breath.
func TestExitBehindAnswer(t *testing.T) {
	for range 50 {
		e, addr := start(t)
		c := dial(t, addr)
		c.next()
		done := invoke(e, &Invocation{RequestID: "a"})
		c.receive(200)
		c.post("invocation/a/response", strings.Repeat("x", 200<<10))
		c.Close()
		e.Exited(nil)
		if got := <-done; got.err != nil || len(got.result.Payload) != 200<<10 {
			t.Fatalf("%v", got.err)
		}
		if _, ok := errors.AsType[*ExitError](e.Ready(t.Context())); !ok {
			t.Fatal("the environment goes on")
		}
		e.Close()
	}
}
