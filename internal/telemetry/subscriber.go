package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// How long it takes until a batch is sent again that was not taken, from the first time to the last.
const (
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
)

// maxAnswer is how much is read of a subscriber's answer, in bytes: nobody wants to know it.
const maxAnswer = 64 << 10

// eventOverhead is what an event in a buffer takes besides its bytes.
const eventOverhead = 24

// A subscriber is an extension, with what is to be sent to it.
type subscriber struct {
	hub  *Hub
	api  API
	name string
	*subscription
	wake chan struct{} // holds one: the queue may be to be sent

	mu      sync.Mutex
	queue   [][]byte
	size    int       // of the queue, in bytes
	first   time.Time // when its oldest event came
	at      bool      // they are to be sent at once
	sending bool
	dropped Dropped
	waiters []chan struct{} // closed when nothing is to be sent and nothing is being sent
}

func newSubscriber(h *Hub, api API, name string, subscription *subscription) *subscriber {
	return &subscriber{hub: h, api: api, name: name, subscription: subscription, wake: make(chan struct{}, 1)}
}

// push adds an event to the queue, which holds two batches, or drops it. Nothing is added for nil.
func (s *subscriber) push(event []byte) {
	if event == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle() {
		s.first = time.Now()
		s.signal()
	}
	if len(s.queue) >= 2*s.items || s.size+len(event) > 2*s.bytes || !s.hub.take(len(event)+eventOverhead) {
		s.dropped.Records++
		s.dropped.Bytes += len(event)
		return
	}
	s.queue = append(s.queue, event)
	if s.size += len(event); s.full() {
		s.signal()
	}
}

// idle says whether there is nothing to be sent. s.mu is held.
func (s *subscriber) idle() bool { return len(s.queue) == 0 && s.dropped.Records == 0 }

// full says whether there is a batch. s.mu is held.
func (s *subscriber) full() bool { return len(s.queue) >= s.items || s.size >= s.bytes }

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// change makes another subscription of it, for what comes from now on.
func (s *subscriber) change(to *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscription = to
	s.signal()
}

// flush has the queue sent at once.
func (s *subscriber) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = !s.idle()
	s.signal()
}

// wait waits until nothing is to be sent.
func (s *subscriber) wait(ctx context.Context) {
	s.mu.Lock()
	if s.idle() && !s.sending {
		s.mu.Unlock()
		return
	}
	done := make(chan struct{})
	s.waiters = append(s.waiters, done)
	s.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// discard empties the queue.
func (s *subscriber) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.give(s.size + eventOverhead*len(s.queue))
	s.queue, s.size = nil, 0
	s.release()
}

// release lets go of those that wait. s.mu is held.
func (s *subscriber) release() {
	for _, w := range s.waiters {
		close(w)
	}
	s.waiters = nil
}

// run sends batches until the Hub is closed.
func (s *subscriber) run() {
	var to sender
	defer func() {
		if to != nil {
			to.close()
		}
	}()
	var using *subscription
	for {
		if !s.due() || !s.hub.ready() {
			return
		}
		batch, sub, dropped, taken := s.take()
		if dropped.Records > 0 {
			s.hub.c.Told("platform.logsDropped", &dropped)
		}
		if using != sub {
			if to != nil {
				to.close()
			}
			to, using = s.hub.sender(sub), sub
		}
		if !s.deliver(to, batch) {
			s.hub.give(taken)
			return
		}
		s.hub.give(taken)
		s.sent()
	}
}

// due waits until there is something to send, and it is time. It returns false when the Hub is closed.
func (s *subscriber) due() bool {
	for {
		s.mu.Lock()
		var wait <-chan time.Time
		if !s.idle() {
			left := s.timeout - time.Since(s.first)
			if s.full() || s.at || left <= 0 {
				s.mu.Unlock()
				return true
			}
			wait = time.After(left)
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-wait:
		case <-s.hub.ctx.Done():
			return false
		}
	}
}

// take takes a batch from the queue. taken is what it has of the budget.
func (s *subscriber) take() (batch [][]byte, sub *subscription, dropped Dropped, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.queue) && n < s.items && (n == 0 || size+len(s.queue[n]) <= s.bytes) {
		size += len(s.queue[n])
		n++
	}
	batch = s.queue[:n:n]
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue, s.at = nil, false
	}
	s.size -= size
	s.sending = true
	if s.dropped.Records > 0 {
		dropped, s.dropped = s.dropped, Dropped{}
		dropped.Reason = reasonDropped
		if slices.Contains(s.types, "platform") {
			e := Event{Time: time.Now(), Type: "platform.logsDropped", Record: &dropped, LogsRecord: &dropped}
			batch = append(batch, e.encode(s.schema, false))
		}
	}
	return batch, s.subscription, dropped, size + eventOverhead*n
}

// sent says that a batch was taken.
func (s *subscriber) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending = false; s.idle() {
		s.release()
	}
}

// deliver sends a batch until it is taken, and returns false when the Hub is closed.
func (s *subscriber) deliver(to sender, batch [][]byte) bool {
	if len(batch) == 0 {
		return true
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if to.send(batch) == nil {
			return true
		}
		select {
		case <-time.After(pause):
		case <-s.hub.ctx.Done():
			return false
		}
		if !s.hub.ready() {
			return false
		}
	}
}

// A sender sends batches to one destination.
type sender interface {
	// send returns when the batch was taken, or an error.
	send(batch [][]byte) error
	close()
}

func (h *Hub) sender(s *subscription) sender {
	if s.tcp {
		return &tcpSender{hub: h, port: s.port}
	}
	t := &http.Transport{
		// Whatever the URL says, there is but one place to go.
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return h.c.Dial(ctx, s.port) },
		MaxConnsPerHost:        1,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
	return &httpSender{hub: h, subscription: s, client: http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// An httpSender sends each batch as a JSON array.
type httpSender struct {
	hub *Hub
	*subscription
	client http.Client
}

func (s *httpSender) send(batch [][]byte) error {
	req, err := http.NewRequestWithContext(s.hub.ctx, s.method, s.url, bytes.NewReader(array(batch)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("telemetry: the subscriber answers %s", resp.Status)
	}
	// So that the connection can be used again. If it cannot, the next batch gets another one.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return nil
}

func (s *httpSender) close() { s.client.CloseIdleConnections() }

// A tcpSender sends each event as a line.
type tcpSender struct {
	hub  *Hub
	port uint16
	conn net.Conn
	stop func() bool
}

func (s *tcpSender) send(batch [][]byte) error {
	if s.conn == nil {
		conn, err := s.hub.c.Dial(s.hub.ctx, s.port)
		if err != nil {
			return err
		}
		s.conn, s.stop = conn, context.AfterFunc(s.hub.ctx, func() { conn.Close() })
	}
	var lines net.Buffers
	for _, event := range batch {
		lines = append(lines, event, []byte{'\n'})
	}
	if _, err := lines.WriteTo(s.conn); err != nil {
		s.close()
		return err
	}
	return nil
}

func (s *tcpSender) close() {
	if s.conn != nil {
		s.stop()
		s.conn.Close()
		s.conn = nil
	}
}

// array is a batch in JSON.
func array(batch [][]byte) []byte {
	n := 1 + len(batch)
	for _, event := range batch {
		n += len(event)
	}
	b := append(make([]byte, 0, n), '[')
	for i, event := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, event...)
	}
	return append(b, ']')
}
