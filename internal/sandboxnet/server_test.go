package sandboxnet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// client returns an HTTP client that reaches every name at addr and trusts ca.
func client(t testing.TB, ca *CA, addr string, http2 bool) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Certificate())
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func newServer(t testing.TB, handler http.HandlerFunc) (*Server, *CA) {
	ca := openCA(t, t.TempDir())
	s := NewServer(ca, NewResolver(Names{}, loopback, nil), nil, handler, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { s.Close() })
	return s, ca
}

func get(t testing.TB, c *http.Client, url string) (body string, proto int) {
	t.Helper()
	resp, err := c.Get(url)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(b), resp.ProtoMajor
}

func TestServerTellsSandboxesApart(t *testing.T) {
	s, ca := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		id, ok := From(r.Context())
		if !ok {
			t.Error("a request has no identity")
		}
		io.WriteString(w, id.Environment+" "+r.Host)
	})
	for _, env := range []string{"one", "two"} {
		sockets := Sockets{TLS: listen(t), HTTP: listen(t)}
		detach := s.Attach(sockets, Identity{Environment: env})
		defer detach()
		secure := sockets.TLS.Addr().String()
		if body, _ := get(t, client(t, ca, secure, false), "https://dynamodb.us-east-1.amazonaws.com/"); body != env+" dynamodb.us-east-1.amazonaws.com" {
			t.Errorf("over TLS: %q", body)
		}
		if body, proto := get(t, client(t, ca, secure, true), "https://sts.amazonaws.com/"); body != env+" sts.amazonaws.com" || proto != 2 {
			t.Errorf("over HTTP/%d: %q", proto, body)
		}
		plain := sockets.HTTP.Addr().String()
		if body, _ := get(t, client(t, ca, plain, false), "http://127.0.0.1/"); body != env+" 127.0.0.1" {
			t.Errorf("without TLS: %q", body)
		}
		if _, err := client(t, ca, secure, false).Get("https://example.org/"); err == nil {
			t.Error("a certificate for a name of the world")
		}
	}
	if _, ok := From(t.Context()); ok {
		t.Error("a context from outside has an identity")
	}
}

func TestDetachEndsWhatIsUnderWay(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		entered := make(chan struct{})
		var finished atomic.Bool
		s, ca := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			defer finished.Store(true)
			close(entered)
			<-r.Context().Done()
			time.Sleep(20 * time.Millisecond)
		})
		dns, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		sockets := Sockets{TLS: listen(t), HTTP: listen(t), DNS: dns}
		detach := s.Attach(sockets, Identity{})
		failed := make(chan error, 1)
		c := client(t, ca, sockets.TLS.Addr().String(), http2)
		go func() {
			_, err := c.Get("https://sts.amazonaws.com/")
			failed <- err
		}()
		<-entered
		detach()
		if !finished.Load() {
			t.Error("detach did not wait for the request under way")
		}
		if err := <-failed; err == nil {
			t.Error("the request under way succeeded")
		}
		if _, err := net.Dial("tcp", sockets.HTTP.Addr().String()); err == nil {
			t.Error("the listener is still open")
		}
		if err := dns.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error("the DNS socket was still open")
		}
		detach() // a second time does nothing
	}
}

func TestServerBoundsConnections(t *testing.T) {
	s, _ := newServer(t, func(http.ResponseWriter, *http.Request) {})
	sockets := Sockets{HTTP: listen(t)}
	detach := s.Attach(sockets, Identity{})
	defer detach()
	var conns []net.Conn
	for range maxConns + 8 {
		c, err := net.Dial("tcp", sockets.HTTP.Addr().String())
		must(t, err)
		conns = append(conns, c)
		defer c.Close()
	}
	answered := func(c net.Conn) bool {
		c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		_, err := io.ReadFull(c, make([]byte, 8))
		return err == nil
	}
	if !answered(conns[0]) {
		t.Error("the first connection is not served")
	}
	if answered(conns[maxConns+7]) {
		t.Error("a connection over the limit is served")
	}
	for _, c := range conns[:maxConns] {
		c.Close()
	}
	if c := conns[maxConns+6]; !answered(c) {
		t.Error("a connection that waited is not served after others closed")
	}
}

func TestClosedServerServesNobody(t *testing.T) {
	s, _ := newServer(t, func(http.ResponseWriter, *http.Request) {})
	first := Sockets{HTTP: listen(t)}
	s.Attach(first, Identity{})
	must(t, s.Close())
	late := Sockets{HTTP: listen(t)}
	s.Attach(late, Identity{})()
	for _, l := range []net.Listener{first.HTTP, late.HTTP} {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error("a listener is still open")
		}
	}
}
