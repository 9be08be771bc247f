package outbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"brume/internal/kv"
)

// maxWait is the longest a queue trusts a timer. Timers go by the monotonic clock, which stands still while a computer
// sleeps; after that a job is late by this much at most.
const maxWait = time.Minute

// recordWait is the time between two tries to record an outcome. It doubles up to maxRecordWait.
const (
	recordWait    = 50 * time.Millisecond
	maxRecordWait = 30 * time.Second
)

// A queue delivers the jobs of one name. All but the hint belongs to the goroutine in run.
type queue struct {
	outbox  *Outbox
	name    string
	limit   int
	handler Handler
	prefix  []byte

	// next is the key from which on the index has to be read: those before are gone or in running.
	next []byte
	// running are the keys of the deliveries under way.
	running map[string]struct{}
	// more says that due jobs wait for a free place.
	more bool
	done chan []byte // keys of deliveries that have ended

	hint struct {
		sync.Mutex
		low  []byte // nil: nothing new
		wake chan struct{}
	}
}

func newQueue(o *Outbox, name string, limit int, h Handler) *queue {
	q := &queue{
		outbox: o, name: name, limit: limit, handler: h, prefix: duePrefix(name),
		running: map[string]struct{}{}, done: make(chan []byte),
	}
	q.next = q.prefix
	q.hint.wake = make(chan struct{}, 1)
	return q
}

// woken is called by the store after a commit.
func (q *queue) woken(low []byte) {
	q.hint.Lock()
	if q.hint.low == nil || bytes.Compare(low, q.hint.low) < 0 {
		q.hint.low = bytes.Clone(low)
	}
	q.hint.Unlock()
	select {
	case q.hint.wake <- struct{}{}:
	default:
	}
}

// takeHint goes back to where something is new.
func (q *queue) takeHint() {
	q.hint.Lock()
	defer q.hint.Unlock()
	if q.hint.low != nil && bytes.Compare(q.hint.low, q.next) < 0 {
		q.next = q.hint.low
	}
	q.hint.low = nil
}

// run delivers until ctx ends and no delivery is under way.
func (q *queue) run(ctx, handlers context.Context) {
	stop := q.outbox.opts.Store.Watch(q.prefix, q.woken)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-q.hint.wake:
		case <-timer.C:
		case key := <-q.done:
			delete(q.running, string(key))
			if !q.more {
				continue
			}
		}
		if len(q.running) == q.limit {
			q.more = true
			continue
		}
		q.takeHint()
		wait, err := q.deliver(ctx, handlers)
		if err != nil && ctx.Err() == nil {
			q.outbox.log.Error("reading a queue failed", "queue", q.name, "error", err)
			wait = q.outbox.opts.MaxBackoff
		}
		timer.Reset(min(wait, maxWait))
		if wait == never {
			timer.Stop()
		}
	}
	for len(q.running) > 0 {
		delete(q.running, string(<-q.done))
	}
}

// never is the wait for nothing.
const never = 1<<63 - 1

// deliver starts the jobs that are due, as many as there are free places, and returns the time until the next is due.
func (q *queue) deliver(ctx, handlers context.Context) (wait time.Duration, err error) {
	type delivery struct {
		key []byte
		id  jobID
		row row
	}
	var (
		start []delivery
		next  = q.next
	)
	q.more = false
	wait = never
	err = q.outbox.opts.Store.View(ctx, func(r kv.Reader) error {
		now := r.Now()
		for p, err := range r.Scan(kv.Range{Start: q.next, End: kv.PrefixEnd(q.prefix)}) {
			if err != nil {
				return err
			}
			next = append(append(next[:0:0], p.Key...), 0)
			if _, ok := q.running[string(p.Key)]; ok {
				continue
			}
			due, id, err := readDueKey(p.Key[len(q.prefix):])
			if err != nil {
				q.outbox.log.Error("a job cannot be read and is left out", "queue", q.name, "key", hex.EncodeToString(p.Key), "error", err)
				continue
			}
			if due.After(now) {
				next, wait = next[:len(p.Key)], due.Sub(now)
				return nil
			}
			if len(q.running)+len(start) == q.limit {
				next, q.more = next[:len(p.Key)], true
				return nil
			}
			job, ok, err := read(r, id)
			if err == nil && !ok {
				err = fmt.Errorf("%w: it is not there", errRow)
			}
			if errors.Is(err, errRow) {
				q.outbox.log.Error("a job cannot be read and is left out", "queue", q.name, "job", hex.EncodeToString(id[:]), "error", err)
				continue
			}
			if err != nil {
				return err
			}
			job.payload = bytes.Clone(job.payload)
			start = append(start, delivery{bytes.Clone(p.Key), id, job})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	q.next = next
	for _, d := range start {
		q.running[string(d.key)] = struct{}{}
		go func() {
			q.do(ctx, handlers, d.id, d.row)
			q.done <- d.key
		}()
	}
	return wait, nil
}

// do runs the handler and records the outcome. It tries that again until ctx ends: a job whose outcome is not on disk must
// not be delivered again in the meantime.
func (q *queue) do(ctx, handlers context.Context, id jobID, job row) {
	name := hex.EncodeToString(id[:])
	failure := q.call(handlers, Delivery{
		ID: name, Queue: q.name, Payload: job.payload, Attempt: job.attempts + 1, EnqueuedAt: job.enqueued,
	})
	again, retried := errors.AsType[*retry](failure)
	if retried && len(again.payload) > MaxPayload {
		failure = fmt.Errorf("outbox: a payload of %d bytes for the next delivery: %w", len(again.payload), kv.ErrTooLarge)
		retried = false
	}
	if failure != nil && !retried && handlers.Err() != nil {
		return // cut short; the next process delivers it
	}
	for wait := recordWait; ; wait = min(2*wait, maxRecordWait) {
		var next time.Time
		err := q.outbox.opts.Store.Update(context.WithoutCancel(ctx), func(tx kv.Tx) (err error) {
			next, err = q.outbox.finish(tx, id, job, failure)
			return err
		})
		if err == nil {
			if failure != nil && !retried {
				q.outbox.log.Warn("a job failed", "queue", q.name, "job", name, "attempt", job.attempts+1, "next", next, "error", failure)
			}
			return
		}
		if wait == recordWait {
			q.outbox.log.Error("the outcome of a job cannot be recorded", "queue", q.name, "job", name, "error", err, "outcome", failure)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// call runs the handler and makes an error of a panic.
func (q *queue) call(ctx context.Context, d Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return q.handler(ctx, d)
}
