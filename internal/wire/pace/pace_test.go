package pace

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// one is a listener with one connection.
type one struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *one) Close() error   { close(l.done); return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

// Who stalls is cut off at the deadline; who has sent the body may wait for the answer for as long as that takes.
func TestReading(t *testing.T) {
	for name, tt := range map[string]struct {
		body   string
		status int
		after  time.Duration
	}{
		"stalled": {"ab", 408, Patience + 3*time.Second/Slowest},
		"whole":   {"abc", 200, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &one{make(chan net.Conn, 1), make(chan struct{})}
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					done := Reading(w, r, 10)
					if _, err := io.ReadAll(r.Body); err != nil {
						w.Header().Set("Connection", "close")
						w.WriteHeader(http.StatusRequestTimeout)
						return
					}
					done()
					select {
					case <-time.After(time.Hour):
					case <-r.Context().Done():
						t.Error("the call ended with the time for its body")
					}
				})}
				go server.Serve(l)
				defer server.Close()
				client, conn := net.Pipe()
				defer client.Close()
				l.conn <- conn
				start := time.Now()
				go io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"+tt.body)
				resp, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if d := time.Since(start); resp.StatusCode != tt.status || d != tt.after {
					t.Errorf("%s after %v, want %v", resp.Status, d, tt.after)
				}
			})
		})
	}
}
