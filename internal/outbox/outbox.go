// Package outbox runs jobs and timers that are written in the caller's transaction, so that an effect and the change that
// causes it either both happen or neither does.
//
// It promises:
//
//   - A job of a committed transaction is delivered to the handler of its queue at least once, however often the process
//     dies in between; a job of a transaction that did not commit is never delivered.
//   - It is delivered again only if the handler failed, asked for it, or was cut short by the end of the process. Until an
//     outcome is on disk the job is not delivered a second time by the same process.
//   - It is delivered not before its time. Jobs of one lane of a queue that are due start in the order of their times, as
//     far as the queue's concurrency lets them; jobs enqueued by one transaction, in any order.
//   - Jobs of one lane, many and slow as they may be, do not hold up those of another: see Lanes.
//   - After the commit it starts at once, and an idle outbox does nothing.
//
// A handler that wants its effects and the end of the job to be one step calls Cancel in its own transaction.
//
// # How a queue notices its jobs
//
// Enqueue cannot wake the queue: it runs inside a closure that may run again, or fail to commit, and before its row can be
// seen. A timer that looks every so often would be late and never idle. So the store wakes the queue, after the commit
// (kv.Watcher), and says from which key on there is something new. With that the queue remembers how far it has read its
// index and never reads it from the beginning again, where the deleted rows of finished jobs lie. A transaction that
// takes long commits a job whose time lies before what the queue has read already; the key it is woken with leads it back.
// For jobs whose time is yet to come there is one timer for each queue.
package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"brume/internal/kv"
)

// MaxPayload is the largest payload of a job, in bytes. Larger ones belong in package blob.
const MaxPayload = kv.MaxValueSize - 4<<10

// MaxQueueName is the longest name of a queue, in bytes.
const MaxQueueName = 255

// MaxLaneName is the longest name of a lane, in bytes.
const MaxLaneName = 512

// A Store is what an Outbox stands on.
type Store interface {
	kv.Store
	kv.Watcher
}

// Options configure an Outbox. Only Store must be set.
type Options struct {
	Store Store
	// Logger gets the failures of handlers. nil drops them.
	Logger *slog.Logger
	// MinBackoff is the time between the first failure of a job and its next delivery; it doubles with each further
	// failure up to MaxBackoff. 0 means a second and five minutes.
	MinBackoff, MaxBackoff time.Duration
	// Grace is how long handlers may go on after the context of Run has ended, before their own context ends. 0 means ten
	// seconds.
	Grace time.Duration
}

// An Outbox delivers jobs to handlers.
type Outbox struct {
	opts   Options
	log    *slog.Logger
	queues map[string]*queue
}

// A Handler does a job. With nil the job is done and removed; with an error from RetryAt it is delivered again at that
// time; with any other error, or a panic, it is logged and delivered again after a while. The context ends some time after
// the one of Run; a handler that then returns an error is not counted as failed.
type Handler func(ctx context.Context, d Delivery) error

// A Delivery is one try to get a job done.
type Delivery struct {
	ID    string
	Queue string
	// Payload belongs to the handler.
	Payload []byte
	// Attempt counts the deliveries whose outcome was recorded, and this one: 1 for the first.
	Attempt int
	// EnqueuedAt is the time of the transaction that enqueued the job.
	EnqueuedAt time.Time
}

// New returns an Outbox without queues.
func New(o Options) *Outbox {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MinBackoff == 0 {
		o.MinBackoff = time.Second
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 5 * time.Minute
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	return &Outbox{opts: o, log: o.Logger.With("component", "outbox"), queues: map[string]*queue{}}
}

// Lanes say how many jobs of a queue may run at the same time.
//
// The first job of a lane runs as soon as fewer than Most do. What a lane has running beyond its first job takes from the
// places in Shared: at most as many as it leaves free, together with the others. So a lane that is alone has half of them,
// two lanes that have much to do have a third each, and some are always free for a lane that has nothing yet. Of lanes
// that wait for a place, the one with the fewest jobs running is next, and of several each in its turn.
type Lanes struct {
	Shared int
	Most   int
	// Limit, if it is set, says for a lane how many of its jobs may run; at least one does. It is asked in a transaction
	// that the reader belongs to, whenever a second or further job of the lane could start.
	Limit func(r kv.Reader, lane string) (int, error)
}

// Handle names the handler of a queue and how many of its jobs may run at the same time. It must be called before Run; a
// wrong call is a programming error and panics. Jobs of a queue without a handler wait.
func (o *Outbox) Handle(name string, concurrency int, h Handler) {
	o.HandleLanes(name, Lanes{Shared: 2 * (concurrency - 1), Most: concurrency}, h)
}

// HandleLanes is Handle for a queue whose jobs have lanes.
func (o *Outbox) HandleLanes(name string, rules Lanes, h Handler) {
	if name == "" || len(name) > MaxQueueName || rules.Most < 1 || rules.Shared < 0 || h == nil {
		panic(fmt.Sprintf("outbox: queue %q with %d of %d", name, rules.Shared, rules.Most))
	}
	if o.queues[name] != nil {
		panic(fmt.Sprintf("outbox: queue %q has a handler", name))
	}
	o.queues[name] = newQueue(o, name, rules, h)
}

// Run delivers jobs until ctx ends, then waits for the handlers that are running and for their outcomes to be recorded. It
// returns nil, and may be called once.
func (o *Outbox) Run(ctx context.Context) error {
	handlers, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for _, q := range o.queues {
		wg.Go(func() { q.run(ctx, handlers) })
	}
	go func() {
		wg.Wait()
		close(ended)
	}()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(o.opts.Grace):
		cancel()
		<-ended
	}
	return nil
}

// backoff is the time until the next delivery after so many failures in a row.
func (o *Outbox) backoff(failures int) time.Duration {
	d := o.opts.MinBackoff
	for range failures - 1 {
		if d *= 2; d >= o.opts.MaxBackoff {
			break
		}
	}
	return min(d, o.opts.MaxBackoff)
}
