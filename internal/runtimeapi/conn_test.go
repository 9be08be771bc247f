package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMalformedRequests(t *testing.T) {
	const ok = "Host: x\r\n"
	for _, tc := range []struct {
		request string
		status  int
	}{
		{"GET /a HTTP/1.1\nHost: x\n\n\r\n\r\n", 400},
		{"GET  /a HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"GET /a b HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"GET /a\r\n" + ok + "\r\n", 400},
		{"G(T /a HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"GET /a\x7f HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"GET /a HTTP/1.0\r\n" + ok + "\r\n", 505},
		{"GET /a HTTP/2.0\r\n" + ok + "\r\n", 505},
		{"GET /a http/1.1\r\n" + ok + "\r\n", 400},
		{"\r\nGET /a HTTP/1.1\r\n" + ok + "\r\n", 400},
		{"GET /a HTTP/1.1\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + ok + "\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A : b\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + ": b\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A: b\r\n c\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A: b\x00\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A: b\rc\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A: b\nc: d\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + ok + "A\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length: +1\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length: 0x1\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length:\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Content-Length: 9999999999999999999\r\n\r\na", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: gzip\r\n\r\na", 501},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: gzip, chunked\r\n\r\na", 501},
		{"POST /a HTTP/1.1\r\n" + ok + "Expect: 200-ok\r\n\r\na", 417},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\ng\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n100000000\r\n", 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n1" + strings.Repeat(" ", 300), 400},
		{"POST /a HTTP/1.1\r\n" + ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHead/6), 431},
	} {
		name := tc.request[:min(len(tc.request), 120)]
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			_, addr := start(t)
			c := dial(t, addr)
			c.send(tc.request)
			resp, _ := c.receive(tc.status)
			if !resp.Close {
				t.Error("the client is not told that the connection closes")
			}
			c.gone()
		})
	}
}

func TestRoutes(t *testing.T) {
	_, addr := start(t)
	c := dial(t, addr)
	for _, tc := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/", "", 404},
		{"GET", "/2018-06-01/runtime/", "", 404},
		{"GET", "/2018-06-02/runtime/invocation/next", "", 404},
		{"GET", prefix + "invocation/next/", "", 404},
		{"POST", prefix + "invocation//response", "abc", 404},
		{"POST", prefix + "invocation/a/b/response", "", 404},
		{"POST", prefix + "invocation/a/Response", "", 404},
		{"POST", prefix + "invocation/response", "", 404},
		{"GET", "http://x", "", 404},
		{"POST", prefix + "invocation/next", "abc", 405},
		{"GET", prefix + "init/error", "", 405},
		{"PUT", prefix + "invocation/a/response", "abc", 405},
		{"HEAD", prefix + "nothing", "", 404},
		{"GET", prefix + "invocation/next", "abc", 400},
		{"POST", "http://localhost:9001" + prefix + "invocation/a/response?q", "abc", 404},
		{"POST", prefix + "invocation/a/response?q", "abc", 403},
	} {
		c.send(tc.method + " " + tc.target + " HTTP/1.1\r\nhost: x\r\n")
		switch {
		case tc.body == "":
			c.send("\r\n")
		case tc.status == 405:
			c.send(fmt.Sprintf("TRANSFER-ENCODING: Chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(tc.body), tc.body))
		default:
			c.send(fmt.Sprintf("content-length: %d\r\n\r\n%s", len(tc.body), tc.body))
		}
		c.receive(tc.status)
	}
}

func TestExpectContinue(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	done := invoke(e, &Invocation{RequestID: "1"})
	c.next()
	c.receive(200)
	c.send("POST " + prefix + "invocation/1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
	c.receive(100)
	c.send("{}")
	c.receive(202)
	<-done
	// Who would be refused need not send the body at all.
	c.send("POST " + prefix + "invocation/1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n")
	if resp, _ := c.receive(403); !resp.Close {
		t.Error("the connection stays open with a body that may come or not")
	}
	c.gone()
	// Nor who would send too much.
	done = invoke(e, &Invocation{RequestID: "2"})
	d := dial(t, addr)
	d.next()
	d.receive(200)
	d.send(fmt.Sprintf("POST %sinvocation/2/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		prefix, MaxPayload+1))
	d.receive(413)
	d.gone()
	if got := <-done; got.err != nil || got.result.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("result %+v", got)
	}
}

func TestConnectionClose(t *testing.T) {
	e, addr := start(t)
	for i := range 3 {
		id := fmt.Sprint(i)
		c := dial(t, addr)
		c.send("GET " + prefix + "invocation/next HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n")
		if err := e.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := invoke(e, &Invocation{RequestID: id})
		c.receive(200)
		d := dial(t, addr)
		d.post("invocation/"+id+"/response", "{}", "Connection: close")
		if resp, _ := d.receive(202); !resp.Close {
			t.Error("no Connection: close in the answer")
		}
		d.gone()
		if got := <-done; got.err != nil {
			t.Fatal(got.err)
		}
	}
}

// A client may send its next request right behind its response. Then the 202 waits for the next invocation.
func TestPipelining(t *testing.T) {
	e, addr := start(t)
	c := dial(t, addr)
	c.next()
	for i := range 3 {
		id := fmt.Sprint(i)
		done := invoke(e, &Invocation{RequestID: id, Payload: []byte(id)})
		if i > 0 {
			c.receive(202)
		}
		if _, body := c.receive(200); body != id {
			t.Fatalf("event %q", body)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "POST %sinvocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", prefix, id)
		fmt.Fprintf(&b, "GET %sinvocation/next HTTP/1.1\r\nHost: x\r\n\r\n", prefix)
		c.send(b.String())
		if got := <-done; got.err != nil || string(got.result.Payload) != "{}" {
			t.Fatalf("result %+v", got)
		}
		if err := e.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if b, err := c.r.Peek(1); err == nil {
		t.Errorf("answered %q before the invocation", b)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.next() // behind an unanswered one
	c.gone()
}

func TestTooManyConnections(t *testing.T) {
	e, addr := start(t)
	var all []*client
	for range maxConns {
		all = append(all, dial(t, addr))
	}
	for {
		e.mu.Lock()
		n := len(e.conns)
		e.mu.Unlock()
		if n == maxConns {
			break
		}
		time.Sleep(time.Millisecond)
	}
	dial(t, addr).gone()
	all[0].next()
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	err   error
}

func (l *pipes) Accept() (net.Conn, error) {
	if l.err != nil {
		return nil, l.err
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { close(l.done); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// A listener that accepts nothing any more ends the environment, after some patience.
func TestBrokenListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("too many open files")
		e := New(&pipes{done: make(chan struct{}), err: broken})
		began := time.Now()
		if err := e.Ready(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d < time.Second || d > time.Minute {
			t.Errorf("gave up after %v", d)
		}
		e.Close()

		e = New(&pipes{done: make(chan struct{}), err: broken})
		time.Sleep(time.Second)
		e.Close()
	})
}

// What this package takes for a request, net/http takes for the same request.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nUser-Agent: aws-lambda-go/go1.26\r\n\r\n",
		"POST /2018-06-01/runtime/invocation/1-a/response HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nContent-Length: 3\r\n\r\nabc",
		"POST http://h/2018-06-01/runtime/invocation/1/error?q HTTP/1.1\r\nhost:h\r\ntransfer-encoding: chunked\r\nLambda-Runtime-Function-Error-Type: A.B\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: \r\nExpect: 100-continue\r\nConnection: a,close\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end := headEnd(b, 0)
		if end == 0 {
			return
		}
		for i := range end {
			if at := headEnd(b[:end], i); at != end && i <= end-4 {
				t.Fatalf("searched %d bytes: head ends at %d, not %d", i, at, end)
			}
		}
		r, err := parseRequest(b[:end])
		if err != nil {
			if _, ok := errors.AsType[*protocolError](err); !ok {
				t.Fatalf("%v", err)
			}
			return
		}
		if r.route == unknownRoute || bytes.IndexByte(b[:end], '%') >= 0 {
			return
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http refuses: %v", err)
		}
		if r.method == get && std.Method != "GET" || r.method == post && std.Method != "POST" {
			t.Errorf("method %v, %s", r.method, std.Method)
		}
		if len(r.id) > 0 && !strings.HasPrefix(std.URL.Path, prefix+"invocation/"+string(r.id)+"/") {
			t.Errorf("id %q in %q", r.id, std.URL.Path)
		}
		if std.ContentLength != r.length {
			t.Errorf("length %d, net/http: %d", r.length, std.ContentLength)
		}
		if std.Close != r.closing {
			t.Errorf("closing %v, net/http: %v", r.closing, std.Close)
		}
		if got := std.Header.Get("Lambda-Runtime-Function-Error-Type"); r.typ != "" && got == "" {
			t.Errorf("error type %q, net/http: %q", r.typ, got)
		}
		// The body, too, if it is whole.
		want, err := io.ReadAll(std.Body)
		if err != nil {
			return
		}
		server, far := net.Pipe()
		defer far.Close()
		go func() { far.Write(b[end:]); far.Close() }()
		c := &conn{env: &Environment{}, nc: server, read: make([]byte, readBuffer)}
		got, err := c.readBody(&request{length: r.length})
		server.Close()
		if err == nil && !bytes.Equal(got.data, want) {
			t.Errorf("body %q, net/http: %q", got.data, want)
		}
		if _, refused := errors.AsType[*protocolError](err); err != nil && !refused && len(want) <= MaxPayload && r.length != chunked {
			t.Errorf("body: %v", err)
		}
	})
}

// Whatever a runtime sends, in whatever state, the server survives it and Close cleans up.
func FuzzServer(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"), []byte("0\r\nLambda-Runtime-Function-Error-Type: a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			e := New(l)
			near, far := net.Pipe()
			l.conns <- far
			go io.Copy(io.Discard, near)
			near.SetWriteDeadline(time.Now().Add(time.Minute))
			near.Write(a)
			done := invoke(e, &Invocation{RequestID: "1", Payload: []byte("{}")})
			synctest.Wait()
			near.Write(b)
			synctest.Wait()
			e.Close()
			if got := <-done; got.err == nil && got.result == nil {
				t.Error("neither a result nor an error")
			}
			near.Close()
		})
	})
}
