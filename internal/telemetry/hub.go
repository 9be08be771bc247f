package telemetry

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxSubscribers is how many extensions an environment can have, and so how many subscribers.
const maxSubscribers = 10

// What is kept of the init phase for those that subscribe later in it.
const (
	historyItems = minItems
	historyBytes = minBytes
)

// A Budget bounds what all Hubs hold for their subscribers. None holds more than it leaves free, so that one whose subscribers
// take nothing leaves room for others.
type Budget struct {
	left atomic.Int64
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	b := &Budget{}
	b.left.Store(bytes)
	return b
}

func (b *Budget) take(n int) bool {
	if b.left.Add(-int64(n)) < 0 {
		b.left.Add(int64(n))
		return false
	}
	return true
}

func (b *Budget) give(n int) { b.left.Add(int64(n)) }

// Config is what a Hub needs.
type Config struct {
	// Dial connects to a port of the environment's loopback.
	Dial   func(ctx context.Context, port uint16) (net.Conn, error)
	Budget *Budget
	// JSON says that the function logs JSON.
	JSON bool
	// Told gets what the platform has to say of the subscriptions themselves: platform.telemetrySubscription,
	// platform.logsSubscription and platform.logsDropped. It is called without a lock.
	Told func(typ string, record any)
}

// A Hub tells the subscribers of one execution environment what happens. All methods may be called on a nil Hub, which
// has none.
type Hub struct {
	c      Config
	held   atomic.Int64 // of the Budget
	quiet  atomic.Bool  // nobody has subscribed, and nobody can any more
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu          sync.Mutex
	closing     bool // no more subscriptions
	closed      bool
	last        time.Time // of the event published last
	history     []Event
	historySize int
	lost        Dropped // of the history
	subscribers []*subscriber
	resumed     chan struct{} // closed unless it is paused
}

// New returns a Hub. It must be closed.
func New(c Config) *Hub {
	h := &Hub{c: c, resumed: make(chan struct{})}
	close(h.resumed)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// take takes bytes from the Budget, as far as the Hub may have them; give gives them back.
func (h *Hub) take(n int) bool {
	if h.held.Add(int64(n)) > h.c.Budget.left.Load() || !h.c.Budget.take(n) {
		h.held.Add(-int64(n))
		return false
	}
	return true
}

func (h *Hub) give(n int) {
	h.held.Add(-int64(n))
	h.c.Budget.give(n)
}

// Wanted says whether events are to be published at all.
func (h *Hub) Wanted() bool { return h != nil && !h.quiet.Load() }

// Publish tells of an event. It does not wait. Times never decrease.
func (h *Hub) Publish(e Event) {
	if !h.Wanted() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if e.Time.Before(h.last) { // somebody else was quicker to get here
		e.Time = h.last
	}
	h.last = e.Time
	if !h.closing {
		h.remember(e)
	}
	var encoded [schemas][]byte
	for _, s := range h.subscribers {
		if slices.Contains(s.types, e.category()) {
			if encoded[s.schema] == nil {
				encoded[s.schema] = e.encode(s.schema, h.c.JSON)
			}
			s.push(encoded[s.schema])
		}
	}
}

// remember keeps an event for those that subscribe later. h.mu is held.
func (h *Hub) remember(e Event) {
	if size := e.size(); len(h.history) < historyItems && h.historySize+size <= historyBytes && h.take(size) {
		h.history = append(h.history, e)
		h.historySize += size
		return
	}
	h.lost.Records++
	h.lost.Bytes += e.size()
}

// forget ends the history. h.mu is held.
func (h *Hub) forget() {
	h.give(h.historySize)
	h.history, h.historySize = nil, 0
}

// A Refusal is why a subscription is none, in AWS's words.
type Refusal struct {
	Status        int // of HTTP
	Type, Message string
}

// Subscribe handles the body of a request to subscribe by an extension that is registered. It returns nil if that has
// subscribed, just now or before.
func (h *Hub) Subscribe(api API, extension string, body []byte) *Refusal {
	subscription, err := parse(api, body)
	h.mu.Lock()
	i := slices.IndexFunc(h.subscribers, func(s *subscriber) bool { return s.name == extension })
	switch {
	case h.closing:
		h.mu.Unlock()
		return &Refusal{403, api.String() + ".SubscriptionClosed", api.String() + " API subscription is closed already"}
	case err != nil:
		h.mu.Unlock()
		typ := "ValidationError"
		if api == Logs {
			typ = "Logs.ValidationError"
		}
		return &Refusal{400, typ, err.Error()}
	case i >= 0 && h.subscribers[i].api != api:
		h.mu.Unlock()
		return &Refusal{403, api.String() + ".SubscriptionConflict", "The extension has subscribed by the " + h.subscribers[i].api.String() + " API already"}
	case i >= 0 && h.subscribers[i].equal(subscription):
		h.mu.Unlock()
		return nil
	case i >= 0:
		h.subscribers[i].change(subscription)
	case len(h.subscribers) == maxSubscribers:
		h.mu.Unlock()
		return &Refusal{403, api.String() + ".TooManySubscribers", "There are as many subscribers as there can be"}
	default:
		s := newSubscriber(h, api, extension, subscription)
		for _, e := range h.history {
			if slices.Contains(s.types, e.category()) {
				s.push(e.encode(s.schema, h.c.JSON))
			}
		}
		s.dropped.Records += h.lost.Records
		s.dropped.Bytes += h.lost.Bytes
		h.subscribers = append(h.subscribers, s)
		h.work.Go(s.run)
	}
	h.mu.Unlock()
	record := &Subscribed{extension, "Subscribed", subscription.types}
	e := Event{Time: time.Now(), Type: "platform.telemetrySubscription", Record: record}
	if api == Logs {
		e = Event{Time: e.Time, Type: "platform.logsSubscription", LogsRecord: record}
	}
	h.Publish(e)
	h.c.Told(e.Type, record)
	return nil
}

// Settle says that the init phase is over: nobody can subscribe any more.
func (h *Hub) Settle() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	h.forget()
	h.quiet.Store(len(h.subscribers) == 0)
}

// Pause keeps back what is to be sent until Resume: nobody inside would take it. What is being sent goes on.
func (h *Hub) Pause() {
	if !h.Wanted() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.resumed:
		h.resumed = make(chan struct{})
	default:
	}
}

// Resume ends a Pause.
func (h *Hub) Resume() {
	if !h.Wanted() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.resumed:
	default:
		close(h.resumed)
	}
}

// Flush sends what is buffered at once, and waits until it has been taken, or ctx ends.
func (h *Hub) Flush(ctx context.Context) {
	if !h.Wanted() {
		return
	}
	h.mu.Lock()
	subscribers := slices.Clone(h.subscribers)
	h.mu.Unlock()
	for _, s := range subscribers {
		s.flush()
	}
	for _, s := range subscribers {
		s.wait(ctx)
	}
}

// Close ends all deliveries, and forgets what was not delivered.
func (h *Hub) Close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.closing, h.closed = true, true
	h.forget()
	h.mu.Unlock()
	h.cancel()
	h.work.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.subscribers {
		s.discard()
	}
	h.subscribers = nil
	h.quiet.Store(true)
}

// ready waits until it is not paused, and returns false when the Hub is closed.
func (h *Hub) ready() bool {
	for {
		h.mu.Lock()
		resumed := h.resumed
		h.mu.Unlock()
		select {
		case <-resumed:
			return h.ctx.Err() == nil
		case <-h.ctx.Done():
			return false
		}
	}
}
