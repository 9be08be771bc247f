package sandboxnet

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// maxConns is how many connections one sandbox may have open to Brume at a time. A function that needs more waits.
	maxConns = 256
	// maxHeader is the largest header block of a request, in bytes.
	maxHeader     = 64 << 10
	headerTimeout = 30 * time.Second
	idleTimeout   = 5 * time.Minute
)

// An Identity says whose sandbox a request came from.
type Identity struct {
	Account, Region string
	// FunctionARN has the version at its end.
	FunctionARN string
	// Environment is the id of the execution environment.
	Environment string
}

type identityKey struct{}

// From returns the sandbox that the request of ctx came from, and false if it came from elsewhere. Nothing that is
// meant for the operator of Brume alone may be served where it returns true.
func From(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(*Identity)
	if !ok {
		return Identity{}, false
	}
	return *id, true
}

// Sockets are what a Server serves in one sandbox. Each may be nil; the Server owns and closes them.
type Sockets struct {
	DNS  net.PacketConn // UDP port 53
	TLS  net.Listener   // port 443
	HTTP net.Listener   // the port that AWS_ENDPOINT_URL names
	// Link carries the Ethernet frames of the sandbox's interface to the world, of at most MTU bytes without their headers to
	// the sandbox.
	Link *os.File
	MTU  int
}

// A Server serves one handler in many sandboxes.
type Server struct {
	resolver *Resolver
	egress   *Egress       // nil if there is no world
	flows    chan struct{} // one for each flow of all sandboxes
	http     *http.Server
	tls      *tls.Config
	log      *slog.Logger

	mu       sync.Mutex
	closed   bool
	attached map[*attachment]struct{}
}

// NewServer returns a Server of handler, which gets every request that functions make, over TLS and not. log takes what
// goes wrong outside of requests. egress says where the links of sandboxes lead, nil that they lead nowhere.
func NewServer(ca *CA, resolver *Resolver, egress *Egress, handler http.Handler, log *slog.Logger) *Server {
	s := &Server{
		resolver: resolver,
		egress:   egress,
		flows:    make(chan struct{}, maxAllFlows),
		log:      log,
		tls:      &tls.Config{GetCertificate: ca.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
		attached: make(map[*attachment]struct{}),
	}
	s.http = &http.Server{
		Handler:           track(handler),
		TLSConfig:         s.tls,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// A function that speaks bad TLS or HTTP harms itself; it must not fill the operator's log.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			a := owner(c)
			return context.WithValue(context.WithValue(ctx, identityKey{}, a.id), attachmentKey{}, a)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				owner(c).leave()
			}
		},
	}
	return s
}

type attachmentKey struct{}

// owner returns the attachment that accepted c.
func owner(c net.Conn) *attachment {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn).owner
}

// track lets close wait for the requests under way. Over HTTP/2 they may outlive their connection.
func track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := r.Context().Value(attachmentKey{}).(*attachment)
		if !a.enter() {
			return
		}
		defer a.leave()
		next.ServeHTTP(w, r)
	})
}

// Attach serves sockets, which belong to the sandbox id, until the returned function is called or the Server is closed.
// Detaching closes sockets and connections and waits for their goroutines. Requests under way see their contexts end, and
// are waited for too.
func (s *Server) Attach(sockets Sockets, id Identity) (detach func()) {
	a := &attachment{id: &id, slots: make(chan struct{}, maxConns), conns: make(map[*conn]struct{})}
	a.idle = sync.NewCond(&a.mu)
	for _, l := range []net.Listener{sockets.TLS, sockets.HTTP} {
		if l != nil {
			a.listeners = append(a.listeners, &listener{Listener: l, owner: a})
		}
	}
	a.dns, a.link = sockets.DNS, sockets.Link
	a.ctx, a.cancel = context.WithCancel(context.Background())

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		a.close()
		return func() {}
	}
	s.attached[a] = struct{}{}
	s.mu.Unlock()

	for _, l := range a.listeners {
		a.serving.Go(func() {
			var err error
			if l.Listener == sockets.TLS {
				err = s.http.ServeTLS(l, "", "")
			} else {
				err = s.http.Serve(l)
			}
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) && !a.over() {
				s.log.Error("the AWS endpoint of a function ended", "function", id.FunctionARN, "error", err)
			}
		})
	}
	if a.link != nil && s.egress != nil {
		o := &outside{a: a, link: a.link, mtu: uint32(sockets.MTU), egress: s.egress, all: s.flows}
		a.serving.Go(func() {
			if err := o.serve(); err != nil && !a.over() {
				s.log.Error("the network of a function ended", "function", id.FunctionARN, "error", err)
			}
		})
	}
	if a.dns != nil {
		a.serving.Go(func() {
			if err := s.resolver.Serve(a.ctx, a.dns); err != nil && !a.over() {
				s.log.Error("the name server of a function ended", "function", id.FunctionARN, "error", err)
			}
		})
	}
	return func() {
		s.mu.Lock()
		delete(s.attached, a)
		s.mu.Unlock()
		a.close()
	}
}

// Close detaches every sandbox.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	all := s.attached
	s.attached = nil
	s.mu.Unlock()
	for a := range all {
		a.close()
	}
	return s.http.Close()
}

// An attachment is a sandbox that is served.
type attachment struct {
	id        *Identity
	dns       net.PacketConn
	link      *os.File
	listeners []*listener
	slots     chan struct{} // one for each open connection
	serving   sync.WaitGroup
	ctx       context.Context
	cancel    context.CancelFunc

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	active int        // connections and requests that are served
	idle   *sync.Cond // signalled when active becomes zero
}

// enter counts one more that close has to wait for, unless it has begun already.
func (a *attachment) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.active++
	}
	return !a.closed
}

func (a *attachment) leave() {
	a.mu.Lock()
	if a.active--; a.active == 0 {
		a.idle.Broadcast()
	}
	a.mu.Unlock()
}

func (a *attachment) over() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

func (a *attachment) close() {
	a.mu.Lock()
	a.closed = true
	conns := a.conns
	a.conns = make(map[*conn]struct{})
	a.mu.Unlock()
	a.cancel()
	if a.dns != nil {
		a.dns.Close()
	}
	if a.link != nil {
		a.link.Close() // the sandbox may have closed it already
	}
	for _, l := range a.listeners {
		l.Close()
	}
	for c := range conns {
		c.Close()
	}
	a.serving.Wait()
	a.mu.Lock()
	for a.active > 0 {
		a.idle.Wait()
	}
	a.mu.Unlock()
}

// A listener hands out connections that know their sandbox, at most maxConns at a time.
type listener struct {
	net.Listener
	owner *attachment
}

func (l *listener) Accept() (net.Conn, error) {
	a := l.owner
	select {
	case a.slots <- struct{}{}:
	case <-a.ctx.Done():
		return nil, net.ErrClosed
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-a.slots
		return nil, err
	}
	c := &conn{Conn: nc, owner: a}
	a.mu.Lock()
	if !a.closed {
		a.conns[c] = struct{}{}
		a.active++ // until the server says that it is done with it
		a.mu.Unlock()
		return c, nil
	}
	a.mu.Unlock()
	nc.Close()
	<-a.slots
	return nil, net.ErrClosed
}

type conn struct {
	net.Conn
	owner *attachment
	once  sync.Once
	err   error
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.owner.mu.Lock()
		delete(c.owner.conns, c)
		c.owner.mu.Unlock()
		<-c.owner.slots
	})
	return c.err
}
