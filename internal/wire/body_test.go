package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dynamodbapi "brume/internal/api/dynamodb"
	"brume/internal/schema"
	"brume/internal/wire/pace"
	"brume/internal/wire/sigv4"
)

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

// Who has no access key cannot make the server read a large body; nor can anyone one beyond the bound.
func TestLargeBodiesAreNotReadForNothing(t *testing.T) {
	f := forms[2]
	tests := []struct {
		name   string
		length int64
		sign   *sigv4.Key
		want   answer
	}{
		{"anonymous", bigBody + 1, nil, answer{400, "MissingAuthenticationTokenException", "Missing Authentication Token"}},
		{"anonymous, of unknown length", -1, nil, answer{400, "MissingAuthenticationTokenException", "Missing Authentication Token"}},
		{"unknown key", bigBody + 1, &unknownKey, answer{400, "UnrecognizedClientException", "The security token included in the request is invalid."}},
		{"ended session", maxBody + 1, &expiredKey, answer{400, "ExpiredTokenException", "The security token included in the request is expired"}},
		{"too large", maxBody + 1, &rootKey, answer{413, "RequestEntityTooLargeException", "Request must be smaller than 25165824 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			r := f.request()
			r.Body, r.ContentLength = io.NopCloser(unread{t}), tt.length
			if tt.sign != nil {
				sigv4.Sign(r, nil, *tt.sign, "us-east-1", "dynamodb", now)
			}
			w := h.do(r)
			if got := read(t, w); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if w.Header().Get("Connection") != "close" {
				t.Error("the connection goes on")
			}
		})
	}
}

// Bodies are taken whole up to the bound, whether their length is told or not.
func TestBodiesAtTheBound(t *testing.T) {
	for _, tt := range []struct {
		limit, size int64
		told        bool
		fails       bool
	}{
		{100, 100, true, false}, {100, 101, true, true}, {100, 100, false, false}, {100, 101, false, true},
		{100, 1, true, false}, {100, 0, false, false}, {100, 0, true, false},
		{4 * firstPart, firstPart, true, false}, {4 * firstPart, firstPart + 1, true, false}, {4 * firstPart, 4 * firstPart, true, false},
	} {
		data := bytes.Repeat([]byte("0123456789"), int(tt.size/10+1))[:tt.size]
		r := httptest.NewRequest("POST", "/", io.NopCloser(bytes.NewReader(data)))
		r.ContentLength = -1
		if tt.told {
			r.ContentLength = tt.size
		}
		body, err := readBody(httptest.NewRecorder(), r, tt.limit)
		if tt.fails != (err != nil) || err == nil && !bytes.Equal(body, data) {
			t.Errorf("%+v: %d bytes, %v", tt, len(body), err)
		}
	}
}

func TestBodiesThatEndEarly(t *testing.T) {
	for _, told := range []bool{true, false} {
		for _, sent := range []int64{10, firstPart + 10} {
			cause := errors.New("reset by peer")
			r := httptest.NewRequest("POST", "/", io.MultiReader(bytes.NewReader(make([]byte, sent)), failing{cause}))
			if r.ContentLength = -1; told {
				r.ContentLength = sent + 10
			}
			w := httptest.NewRecorder()
			_, err := readBody(w, r, maxBody)
			known, fault := asKnown(t.Context(), err)
			if known.ErrorCode() != "IncompleteBody" || known.HTTPStatus() != 400 || fault || !errors.Is(err, cause) {
				t.Errorf("told %v, sent %d: %v", told, sent, err)
			}
			if w.Header().Get("Connection") != "close" {
				t.Error("the connection goes on")
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// pipeListener hands out the connections that dial makes, in memory, so that time can be virtual.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener { return &pipeListener{make(chan net.Conn), make(chan struct{})} }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "@"} }
func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// serve runs test against h behind an http.Server, in virtual time.
func serve(t *testing.T, test func(t *testing.T, h *harness, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.answerForms()
		l := newPipeListener()
		server := &http.Server{Handler: h}
		go server.Serve(l)
		test(t, h, l)
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// head is the head of the signed request of DynamoDB's form with another body length.
func head(k *sigv4.Key, length int, body string, more ...string) string {
	f := forms[2]
	r := f.request()
	if k != nil {
		sigv4.Sign(r, []byte(body), *k, "us-east-1", "dynamodb", now)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Host, length)
	r.Header.Write(&b)
	for _, line := range more {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// A client that sends its body too slowly, or never, is told so and cut off; it holds up nobody.
func TestSlowBodies(t *testing.T) {
	for name, length := range map[string]int{"small": 2, "big": 10 << 20} {
		t.Run(name, func(t *testing.T) {
			serve(t, func(t *testing.T, h *harness, l *pipeListener) {
				c := l.dial()
				defer c.Close()
				start := time.Now()
				go io.WriteString(c, head(&rootKey, length, "{}")+"{")
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != 400 || !bytes.Contains(body, []byte("#RequestTimeout")) || !resp.Close {
					t.Errorf("%s %v %s", resp.Status, resp.Header, body)
				}
				if d, want := time.Since(start), pace.Patience+time.Duration(length)*time.Second/pace.Slowest; d != want {
					t.Errorf("after %v, want %v", d, want)
				}
			})
		})
	}
}

// A body that nobody wants is not waited for, and the connection ends.
func TestUnwantedBodies(t *testing.T) {
	serve(t, func(t *testing.T, h *harness, l *pipeListener) {
		for name, request := range map[string]string{
			"anonymous": head(nil, bigBody+1, ""),
			"stranger":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
			"health":    "GET /_brume/health HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		} {
			c := l.dial()
			go io.WriteString(c, request)
			start := time.Now()
			from := bufio.NewReader(c)
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || !resp.Close {
				t.Errorf("%s: %v, close: %v", name, err, resp.Close)
			}
			if _, err := from.ReadByte(); err != io.EOF {
				t.Errorf("%s: the connection goes on: %v", name, err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%s: after %v", name, d)
			}
			c.Close()
		}
	})
}

// A client that does not take its response is cut off.
func TestSlowReaders(t *testing.T) {
	serve(t, func(t *testing.T, h *harness, l *pipeListener) {
		names := make([]string, 10_000)
		for i := range names {
			names[i] = "a-table-with-a-long-name"
		}
		h.answer("dynamodb.ListTables", &dynamodbapi.ListTablesOutput{TableNames: names})
		c := l.dial()
		defer c.Close()
		io.WriteString(c, head(&rootKey, 2, "{}")+"{}")
		time.Sleep(pace.Patience + time.Minute)
		if n, err := io.Copy(io.Discard, c); n > 200_000 {
			t.Errorf("%d bytes came after the deadline, %v", n, err)
		}
	})
}

// What a deadline was for one request, or its body, is over with it: a call may take long, and the next may come late.
func TestDeadlinesEndWithTheBody(t *testing.T) {
	serve(t, func(t *testing.T, h *harness, l *pipeListener) {
		names := make([]string, 2000)
		for i := range names {
			names[i] = "a-table-with-a-long-name"
		}
		var slow time.Duration
		h.calls["dynamodb.ListTables"] = func(ctx context.Context, _ schema.Struct) (schema.Struct, error) {
			select {
			case <-time.After(slow):
				return &dynamodbapi.ListTablesOutput{TableNames: names}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		c := l.dial()
		defer c.Close()
		from := bufio.NewReader(c)
		for i := range 3 {
			slow = time.Duration(i) * 15 * time.Minute
			go io.WriteString(c, head(&rootKey, 2, "{}")+"{}")
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); resp.StatusCode != 200 || n < 40_000 || err != nil {
				t.Errorf("request %d: %s, %d bytes, %v", i, resp.Status, n, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Forms of HTTP that clients use.
func TestHTTP(t *testing.T) {
	serve(t, func(t *testing.T, h *harness, l *pipeListener) {
		h.answer("dynamodb.ListTables", &dynamodbapi.ListTablesOutput{TableNames: []string{"t"}})
		plain := strings.TrimSuffix(head(&rootKey, 2, "{}"), "\r\n")
		chunked := strings.Replace(plain, "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", 1)
		for _, tt := range []struct {
			name, request string
			status        int
			close         bool
		}{
			{"HTTP/1.1", plain + "\r\n{}", 200, false},
			{"HTTP/1.0", strings.Replace(plain, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n{}", 200, true},
			{"chunked", chunked + "\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, false},
			{"broken chunks", chunked + "\r\nzz\r\n", 400, true},
			{"absolute form", strings.Replace(plain, "POST / ", "POST http://localhost:4566/ ", 1) + "\r\n{}", 200, false},
			{"two lengths", plain + "Content-Length: 3\r\n\r\n{}", 400, true},
			{"no host", "GET / HTTP/1.1\r\n\r\n", 400, true},
			{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200, false}, // net/http answers itself
			{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 404, false},
			{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 404, false},
			{"unknown expectation", plain + "Expect: the-unexpected\r\n\r\n{}", 417, true},
		} {
			c := l.dial()
			go io.WriteString(c, tt.request)
			method, _, _ := strings.Cut(tt.request, " ")
			resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.Close != tt.close || err != nil {
				t.Errorf("%s: %s, close: %v, %v: %s", tt.name, resp.Status, resp.Close, err, body)
			}
			c.Close()
		}
	})
}

// A client that asks before it sends a large body is answered without it if it may not call anyway.
func TestExpectContinue(t *testing.T) {
	serve(t, func(t *testing.T, h *harness, l *pipeListener) {
		for _, tt := range []struct {
			key    *sigv4.Key
			status int
		}{{&rootKey, 100}, {&unknownKey, 400}, {nil, 400}} {
			c := l.dial()
			go io.WriteString(c, head(tt.key, bigBody+1, "", "Expect: 100-continue"))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("%v: %s", tt.key, resp.Status)
			}
			c.Close()
		}
	})
}
