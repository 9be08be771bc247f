package socket

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"brume/internal/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A session answers every message with itself, and tells how it ended.
type session struct {
	protocol string
	touched  chan struct{}
	ended    chan *edge.SocketClosed
	answer   func(socket edge.Socket, message []byte)
}

func (s *session) Protocol() string { return s.protocol }
func (s *session) Abort()           { s.ended <- nil }
func (s *session) Touch()           { s.touched <- struct{}{} }

func (s *session) Serve(ctx context.Context, socket edge.Socket) {
	for {
		m, err := socket.Receive()
		if err == nil {
			s.answer(socket, m)
			continue
		}
		closed := err.(*edge.SocketClosed)
		if closed.Ours {
			socket.Close(closed.Status, closed.Reason)
		}
		s.ended <- closed
		return
	}
}

func start(t *testing.T) (*session, string) {
	s := &session{touched: make(chan struct{}, 10), ended: make(chan *edge.SocketClosed, 10)}
	s.answer = func(socket edge.Socket, m []byte) {
		if err := socket.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, s, 100*time.Millisecond) }))
	t.Cleanup(srv.Close)
	return s, srv.Listener.Addr().String()
}

func dial(t *testing.T, address string, options *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws://"+address, options)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// pieces sends a message in frames of a size.
func pieces(t *testing.T, c *websocket.Conn, total, size int) {
	w, err := c.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Error(err)
		return
	}
	for total > 0 {
		n := min(size, total)
		if _, err := w.Write(bytes.Repeat([]byte("x"), n)); err != nil {
			return // it was refused before it was whole
		}
		total -= n
	}
	_ = w.Close() // likewise
}

// 128 KB in frames of 32 KB are taken; a byte more of either, and the connection ends with 1009.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		total, frame int
		taken        bool
	}{
		{edge.MaxFrame, edge.MaxFrame, true}, {edge.MaxFrame + 1, edge.MaxFrame + 1, false},
		{edge.MaxMessage, edge.MaxFrame, true}, {edge.MaxMessage + 1, edge.MaxFrame, false},
		{edge.MaxMessage, edge.MaxFrame + 1, false}, {1 << 20, 1 << 20, false}, {0, 1, true},
	} {
		t.Run(fmt.Sprint(tt.total, " in ", tt.frame), func(t *testing.T) {
			s, address := start(t)
			c := dial(t, address, nil)
			go pieces(t, c, tt.total, tt.frame)
			_, m, err := c.Read(t.Context())
			if tt.taken {
				if err != nil || len(m) != tt.total {
					t.Errorf("%d bytes, %v", len(m), err)
				}
				return
			}
			if got := <-s.ended; got.Status != 1009 || !got.Ours {
				t.Errorf("%+v", got)
			}
			if websocket.CloseStatus(err) != 1009 {
				t.Errorf("%v", err)
			}
		})
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-binary-media-types.html
func TestKindsOfMessages(t *testing.T) {
	s, address := start(t)
	c := dial(t, address, nil)
	if err := c.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1003 {
		t.Errorf("%v", err)
	}
	if got := <-s.ended; got.Status != 1003 {
		t.Errorf("%+v", got)
	}
	c = dial(t, address, nil)
	if err := c.Write(t.Context(), websocket.MessageText, []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1007 {
		t.Errorf("%v", err)
	}
	<-s.ended
	// What is sent is text where it is one; clients would not take other bytes for text.
	for message, want := range map[string]websocket.MessageType{"ä": websocket.MessageText, "\xff": websocket.MessageBinary} {
		s.answer = func(socket edge.Socket, _ []byte) {
			if err := socket.Send(t.Context(), []byte(message)); err != nil {
				t.Error(err)
			}
		}
		c = dial(t, address, nil)
		if err := c.Write(t.Context(), websocket.MessageText, nil); err != nil {
			t.Fatal(err)
		}
		if kind, got, err := c.Read(t.Context()); kind != want || string(got) != message {
			t.Errorf("%v %q %v", kind, got, err)
		}
		c.CloseNow()
		<-s.ended
	}
}

func TestEnds(t *testing.T) {
	s, address := start(t)
	for what, tt := range map[string]struct {
		end  func(c *websocket.Conn)
		want edge.SocketClosed
	}{
		"a status": {func(c *websocket.Conn) { c.Close(4001, "bye") }, edge.SocketClosed{Status: 4001, Reason: "bye"}},
		"no status": {func(c *websocket.Conn) { c.Close(websocket.StatusNoStatusRcvd, "") },
			edge.SocketClosed{Status: 1005, Reason: "Client-side close frame status not set"}},
		"no goodbye": {func(c *websocket.Conn) { c.CloseNow() }, edge.SocketClosed{Status: 1006, Reason: "Connection closed abnormally"}},
	} {
		tt.end(dial(t, address, nil))
		if got := <-s.ended; *got != tt.want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	// Pings are answered, and say that the client is there.
	c := dial(t, address, nil)
	c.CloseRead(t.Context())
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	<-s.touched
	c.CloseNow()
	<-s.ended
}

func TestSubprotocols(t *testing.T) {
	s, address := start(t)
	s.protocol = "b"
	if got := dial(t, address, &websocket.DialOptions{Subprotocols: []string{"a", "b"}}).Subprotocol(); got != "b" {
		t.Errorf("got %q", got)
	}
	// Any page may ask.
	dial(t, address, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
}

// A handshake that cannot be completed is aborted.
func TestAbort(t *testing.T) {
	s := &session{ended: make(chan *edge.SocketClosed, 1)}
	w := httptest.NewRecorder() // which is no connection
	Serve(w, httptest.NewRequest("GET", "/", nil), s)
	if got := <-s.ended; got != nil || w.Code < 400 {
		t.Errorf("%+v, %d", got, w.Code)
	}
}

func TestHandshakes(t *testing.T) {
	good := func() *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		for name, v := range map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(name, v)
		}
		return r
	}
	if r := good(); !IsHandshake(r) || !IsValid(r) {
		t.Error("a good one is refused")
	}
	for what, spoil := range map[string]func(r *http.Request){
		"POST": func(r *http.Request) { r.Method = "POST" }, "version": func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") },
		"no key": func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, "a short key": func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "YQ==") },
		"two keys": func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") }, "HTTP/1.0": func(r *http.Request) { r.ProtoMinor = 0 },
		// A body would be kept as long as the connection.
		"a body": func(r *http.Request) { r.ContentLength = 1 }, "a body in chunks": func(r *http.Request) { r.ContentLength = -1 },
	} {
		r := good()
		if spoil(r); IsValid(r) {
			t.Errorf("%s is taken", what)
		}
	}
	for _, name := range []string{"Connection", "Upgrade"} {
		r := good()
		r.Header.Set(name, "close")
		if IsHandshake(r) {
			t.Errorf("without %s", name)
		}
	}
}

// A client that does not answer a goodbye, and one that goes on with a message for ever, are left alone soon.
func TestStubbornClients(t *testing.T) {
	for what, first := range map[string][]byte{"silent": {0x82, 0x80, 0, 0, 0, 0}, "endless": append([]byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0}, 0, 0, 0, 0)} {
		t.Run(what, func(t *testing.T) {
			s, address := start(t)
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", first)
			begin := time.Now()
			if what == "endless" {
				go io.Copy(c, endless{})
			}
			if got := <-s.ended; got.Status != 1003 {
				t.Errorf("%+v", got)
			}
			if d := time.Since(begin); d > closePatience/2 {
				t.Errorf("it took %v", d)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return copy(p, strings.Repeat("x", 100)), nil
}

// frame is a frame of a client.
func frame(opcode byte, n int) []byte {
	b := []byte{0x80 | opcode}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 1, 2, 3, 4), make([]byte, n)...)
}

// However the bytes are cut, frames are seen as they are.
func FuzzWatch(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(3))
	f.Add([]byte{255, 255, 0, 64, 128}, uint8(200))
	f.Fuzz(func(t *testing.T, sizes []byte, cut uint8) {
		if len(sizes) > 50 {
			return
		}
		var wire []byte
		over := false
		for i, s := range sizes {
			n := int(s) * 131 // up to 33405
			if i%7 == 6 {
				n = edge.MaxFrame
			}
			over = over || n > edge.MaxFrame
			wire = append(wire, frame(byte(i%3), n)...)
		}
		var w watch
		for rest := wire; len(rest) > 0; {
			n := min(int(cut)+1, len(rest))
			w.see(rest[:n])
			rest = rest[n:]
		}
		if w.over.Load() != over || w.have != 0 || w.skip != 0 {
			t.Fatalf("over is %v, %d of a header, %d of a payload; want %v", w.over.Load(), w.have, w.skip, over)
		}
	})
}
