package apigatewayv2

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"brume/internal/call"
	"brume/internal/edge"
)

// How long connections live.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	idleTimeout   = 10 * time.Minute
	longestLife   = 2 * time.Hour
	sendTimeout   = 10 * time.Second
	openPatience  = 5 * time.Second // how long a message for a client waits for the end of its handshake
	maxInFlight   = 64              // messages of one connection that are worked on at once; further ones wait. The bound is ours
	goingAway     = 1001
	closedNormal  = 1000
	closedUnheard = 1006
)

// connectionLimit is how fast an account may open connections in a region.
func connectionLimit() edge.Limit { return edge.Limit{Rate: 500, Burst: 500} }

// connections are those that are open, in memory only: they end with the process.
type connections struct {
	mu      sync.Mutex
	byID    map[string]*connection
	closed  bool           // no more are let in
	serving sync.WaitGroup // those that are in byID, and what they have begun
	// base ends by cut, and with it whatever integrations still do.
	base context.Context
	cut  context.CancelFunc
}

func newConnections() *connections {
	c := &connections{byID: map[string]*connection{}}
	c.base, c.cut = context.WithCancel(context.Background())
	return c
}

// add lets a connection in; false if Brume stops.
func (cs *connections) add(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return false
	}
	cs.byID[c.id] = c
	cs.serving.Add(1)
	return true
}

func (cs *connections) remove(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.byID, c.id)
}

// get finds a connection of a stage, nil for none and for one that is being closed.
func (cs *connections) get(at edge.StageID, id string) *connection {
	cs.mu.Lock()
	c := cs.byID[id]
	cs.mu.Unlock()
	if c == nil || c.at != at || c.isEnding() {
		return nil
	}
	return c
}

// end closes the connections of a stage, or of all stages of an API if none is named, or all if no API is.
func (cs *connections) end(at edge.StageID, status int, reason string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.byID {
		if (at.API == "" || at.API == c.at.API) && (at.Stage == "" || at.Stage == c.at.Stage) {
			c.end(status, reason)
		}
	}
}

// EndConnections closes every connection, and lets no other in. It returns when what they have begun is over, $disconnect
// included; when ctx ends that is cut off.
func (s *Service) EndConnections(ctx context.Context) {
	cs := s.connections
	cs.mu.Lock()
	cs.closed = true
	cs.mu.Unlock()
	cs.end(edge.StageID{}, goingAway, "Going away")
	over := make(chan struct{})
	go func() {
		cs.serving.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		cs.cut()
		<-over
	}
	cs.cut()
}

// A connection is a client's, from its handshake to its $disconnect.
type connection struct {
	s           *Service
	id          string
	at          edge.StageID
	account     string
	region      string
	req         *edge.Request // the handshake
	connectedAt time.Time
	protocol    string
	principal   *call.Principal // who signed the handshake, if that is asked for
	authorized  *authorized     // what the authorizer said
	latency     time.Duration   // of the authorizer
	apiKey      *edge.APIKey    // the key that was shown, if one is asked for

	opened chan struct{} // closed when socket is there, or never will be

	mu         sync.Mutex
	socket     edge.Socket // nil until the handshake is over
	idle       *time.Timer // likewise
	lastActive time.Time
	ending     *edge.SocketClosed // why we close it; nil while we do not
	over       bool               // no Close is begun any more
	closing    sync.WaitGroup
}

var _ edge.Session = (*connection)(nil)

// Protocol is the subprotocol that $connect chose.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-connect-route-subprotocol.html
func (c *connection) Protocol() string { return c.protocol }

// Touch says that the client is alive.
func (c *connection) Touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastActive = time.Now()
	if c.idle != nil {
		c.idle.Reset(idleTimeout)
	}
}

// end closes the connection, once.
func (c *connection) end(status int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil || c.over {
		return
	}
	c.ending = &edge.SocketClosed{Status: status, Reason: reason}
	if c.socket != nil {
		c.closing.Go(func() { c.socket.Close(status, reason) })
	}
}

func (c *connection) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending != nil
}

// Abort is for a handshake that was not completed. The backend, which let the client in, is told that it is gone.
func (c *connection) Abort() {
	defer c.s.connections.serving.Done()
	c.s.connections.remove(c)
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	close(c.opened)
	c.s.disconnected(c.s.connections.base, c, &edge.SocketClosed{Status: closedUnheard, Reason: "Connection closed abnormally"})
}

// Serve handles what comes over the socket.
func (c *connection) Serve(ctx context.Context, socket edge.Socket) {
	cs := c.s.connections
	defer cs.serving.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(cs.base, cancel)()
	defer context.AfterFunc(ctx, func() { c.end(goingAway, "Going away") })()

	c.mu.Lock()
	c.socket = socket
	c.idle = time.AfterFunc(idleTimeout, func() { c.end(goingAway, "Going away") })
	if e := c.ending; e != nil { // it was closed before it was open
		c.closing.Go(func() { socket.Close(e.Status, e.Reason) })
	}
	c.mu.Unlock()
	defer c.idle.Stop()
	defer time.AfterFunc(longestLife, func() { c.end(goingAway, "Going away") }).Stop()
	close(c.opened)

	var running sync.WaitGroup
	slots := make(chan struct{}, maxInFlight)
	closed := c.receive(func(message []byte) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			// One message must not end the process, whatever is in it: nobody else would catch this.
			defer func() {
				if p := recover(); p != nil {
					c.s.Log.ErrorContext(ctx, "panic in a message of a WebSocket", slog.Any("panic", p), slog.String("connection_id", c.id), slog.String("stack", string(debug.Stack())))
				}
			}()
			c.s.message(ctx, c, message)
		})
	})
	cs.remove(c)
	c.s.disconnected(ctx, c, closed)
	running.Wait()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.closing.Wait()
}

// receive hands messages on until the connection ends, and says how.
func (c *connection) receive(handle func(message []byte)) *edge.SocketClosed {
	for {
		message, err := c.socket.Receive()
		if err == nil {
			c.Touch()
			handle(message)
			continue
		}
		var closed *edge.SocketClosed
		if !errors.As(err, &closed) {
			closed = &edge.SocketClosed{Status: closedUnheard, Reason: "Connection closed abnormally"}
		}
		if closed.Ours {
			c.end(closed.Status, closed.Reason)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ending != nil { // who closes first gives the reason
			return c.ending
		}
		return closed
	}
}

var errGone = errors.New("apigatewayv2: the connection is gone")

// send sends a message to the client, as soon as its handshake is over.
func (c *connection) send(ctx context.Context, message []byte) error {
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case <-c.opened:
	case <-patience.C:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	socket, ending := c.socket, c.ending
	c.mu.Unlock()
	if socket == nil || ending != nil {
		return errGone
	}
	// A client that does not read keeps nobody waiting for long, and who posts and goes away does not cut a message in two.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	if err := socket.Send(bounded, message); err != nil {
		return errGone
	}
	c.Touch()
	return nil
}

// Connect decides a handshake by the API's $connect route; false if the API is no WebSocket API. The session is open when it
// is served; otherwise the response is the answer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
func (s *Service) Connect(ctx context.Context, req *edge.Request) (edge.Session, *edge.Response, bool) {
	d, err := s.deployedAPI(ctx, req.API)
	switch {
	case err != nil:
		return nil, failed(), true
	case d == nil || !d.socket:
		return nil, nil, false
	}
	c := &connection{
		s: s, id: newRequestID(), at: edge.StageID{API: d.id, Stage: req.Stage}, account: d.account, region: d.region, req: req, connectedAt: req.Time,
		lastActive: req.Time, opened: make(chan struct{}),
	}
	t := c.turn(connectRoute, "CONNECT", req.Time)
	st := d.stages[req.Stage]
	switch {
	case urlLength(req) > maxURL:
		return nil, t.answer(&socketFault{status: 414, message: "URI Too Long"}), true
	case st == nil || d.disabled && req.Custom == nil || strings.Trim(req.Path, "/") != "":
		return nil, t.answer(faultForbidden), true
	case !s.Buckets.Take(edge.BucketID{Kind: "connections", Owner: d.account, Key: d.region}, connectionLimit(), time.Now()):
		return nil, t.answer(faultThrottled), true
	}
	t.stage, t.route = st, st.socket.connect
	t.beginLog()
	if t.route != nil {
		// A client that goes away does not stop its function, just as in AWS.
		if refusal := s.connect(context.WithoutCancel(ctx), t); refusal != nil {
			return nil, refusal, true
		}
	} else {
		s.logTurn(t, 200, 0, nil)
	}
	if !s.connections.add(c) {
		return nil, t.answer(faultUnavailable), true
	}
	if s.current(context.WithoutCancel(ctx), &turn{c: c}) != nil { // it was deleted meanwhile, when there was nothing to close yet
		c.end(goingAway, "Going away")
	}
	return c, nil, true
}

// maxURL is the longest URL of a WebSocket API, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const maxURL = 4096

// urlLength is the length of "wss://HOST/STAGE?QUERY".
func urlLength(req *edge.Request) int {
	n := len("wss://") + len(req.Host) + len("/") + len(req.Stage) + len(req.Path)
	if req.RawQuery != "" {
		n += len("?") + len(req.RawQuery)
	}
	return n
}

// connect runs $connect. It returns the answer to a client that is not let in.
func (s *Service) connect(ctx context.Context, t *turn) *edge.Response {
	result, fault := s.runConnect(ctx, t)
	if fault != nil {
		s.logFault(ctx, t, fault)
		s.logTurn(t, fault.status, 0, fault)
		return t.answer(fault)
	}
	s.logTurn(t, result.status, len(result.body), nil)
	if result.status < 200 || result.status > 299 {
		r := &edge.Response{Status: result.status, Header: t.headers()}
		if t.route.respond {
			r.Body = result.body
		}
		if r.Status < 200 {
			r.Status = 500
		}
		return r
	}
	if v, ok := joined(result.header, "Sec-WebSocket-Protocol", true); ok && edge.ValidHeader(edge.Field{Name: "a", Value: v}) {
		t.c.protocol = v
	}
	return nil
}

// message handles one message of a client.
func (s *Service) message(ctx context.Context, c *connection, body []byte) {
	t := c.turn("", "MESSAGE", time.Now())
	t.messageID, t.body = newRequestID(), body
	result, fault := s.runMessage(ctx, t)
	var out []byte
	status := 0
	if fault == nil {
		if status = result.status; t.route.respond {
			out = result.body
		}
		if len(out) > edge.MaxMessage {
			fault = faultInternal("the integration's response is larger than 128 KB")
		}
	}
	if fault != nil {
		s.logFault(ctx, t, fault)
		status, out = fault.status, t.frame(fault)
	}
	s.logTurn(t, status, len(out), fault)
	if len(out) > 0 {
		_ = c.send(ctx, out) // a client that is gone needs no answer
	}
}

// disconnected tells the backend that a client is gone. Whatever comes of that, the client will not hear it.
func (s *Service) disconnected(ctx context.Context, c *connection, closed *edge.SocketClosed) {
	t := c.turn(disconnectRoute, "DISCONNECT", time.Now())
	t.closed = closed
	status, fault := 200, s.runDisconnect(ctx, t)
	if fault != nil {
		s.logFault(ctx, t, fault)
		status = fault.status
	}
	s.logTurn(t, status, 0, fault)
}

func (s *Service) logFault(ctx context.Context, t *turn, f *socketFault) {
	switch {
	case f.err != nil:
		s.Log.ErrorContext(ctx, "API Gateway could not handle an event of a WebSocket", t.attributes(slog.String("error", f.err.Error()))...)
	case f.reason != "":
		s.Log.WarnContext(ctx, "API Gateway: "+clip(f.reason), t.attributes()...)
	}
}
