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

// maxScan is how many keys of the index a queue reads before it starts what it has found.
const maxScan = 10_000

// recordWait is the time between two tries to record an outcome. It doubles up to maxRecordWait.
const (
	recordWait    = 50 * time.Millisecond
	maxRecordWait = 30 * time.Second
)

// A queue delivers the jobs of one name. All but the hint belongs to the goroutine in run.
//
// A job that is due, but neither gone nor running, lies at next or behind it, or at the position where its lane waits or
// behind that. So the index is read once, from the beginning to the end, whatever waits in it, and once more by each lane
// that had to leave out jobs when there was no room for them.
type queue struct {
	outbox  *Outbox
	name    string
	rules   Lanes
	handler Handler
	prefix  []byte

	next []byte
	// running are the keys of the deliveries under way, each with its lane.
	running map[string]*lane
	// lanes are those that have something running or wait.
	lanes map[string]*lane
	// beyond is how many deliveries are under way besides the first one of each lane.
	beyond int
	// turns counts the turns of lanes.
	turns uint64
	done  chan []byte // keys of deliveries that have ended

	hint struct {
		sync.Mutex
		low  []byte // nil: nothing new
		wake chan struct{}
	}
}

// A lane is those jobs of a queue that have the same Job.Lane.
type lane struct {
	name    string
	running int
	// turn says when it was last its turn, or came to be: of those that wait the lowest is next.
	turn uint64
	// waiting is where its first job may be that was left out; nil if there is none.
	waiting []byte
	// limit is the most that may run, as of the reading that is under way; 0 if that has not asked yet.
	limit int
}

func newQueue(o *Outbox, name string, rules Lanes, h Handler) *queue {
	q := &queue{
		outbox: o, name: name, rules: rules, handler: h, prefix: duePrefix(name),
		running: map[string]*lane{}, lanes: map[string]*lane{}, done: make(chan []byte),
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
			q.ended(key)
			if !q.anyWaits() {
				continue
			}
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
		q.ended(<-q.done)
	}
}

// ended takes note of the end of a delivery.
func (q *queue) ended(key []byte) {
	l := q.running[string(key)]
	delete(q.running, string(key))
	if l.running--; l.running > 0 {
		q.beyond--
	}
	q.tidy(l)
}

// tidy forgets a lane that has nothing.
func (q *queue) tidy(l *lane) {
	if l.running == 0 && l.waiting == nil {
		delete(q.lanes, l.name)
	}
}

func (q *queue) anyWaits() bool {
	for _, l := range q.lanes {
		if l.waiting != nil {
			return true
		}
	}
	return false
}

// lane returns the lane with a name.
func (q *queue) lane(name string) *lane {
	l := q.lanes[name]
	if l == nil {
		q.turns++
		l = &lane{name: name, turn: q.turns}
		q.lanes[name] = l
	}
	return l
}

// never is the wait for nothing.
const never = 1<<63 - 1

// A reading is one look into the index.
type reading struct {
	*queue
	r       kv.Reader
	now     time.Time
	scanned int
	start   []delivery
}

type delivery struct {
	key []byte
	id  jobID
	row row
}

// deliver starts the jobs that are due, as far as there is room for them, and returns the time until the next is due.
func (q *queue) deliver(ctx, handlers context.Context) (wait time.Duration, err error) {
	rd := &reading{queue: q}
	for _, l := range q.lanes {
		l.limit = 0
	}
	err = q.outbox.opts.Store.View(ctx, func(r kv.Reader) error {
		rd.r, rd.now = r, r.Now()
		if err := rd.resume(); err != nil {
			return err
		}
		wait, err = rd.read()
		return err
	})
	for _, d := range rd.start {
		go func() {
			q.do(ctx, handlers, d.id, d.row)
			q.done <- d.key
		}()
	}
	return wait, err
}

// room says whether another job of a lane may run.
func (rd *reading) room(l *lane) (bool, error) {
	if len(rd.running) >= rd.rules.Most {
		return false, nil
	}
	if l.running == 0 {
		return true, nil
	}
	if l.running-1 >= rd.rules.Shared-rd.beyond {
		return false, nil
	}
	if l.limit == 0 {
		l.limit = rd.rules.Most
		if rd.rules.Limit != nil {
			n, err := rd.rules.Limit(rd.r, l.name)
			if err != nil {
				return false, err
			}
			l.limit = max(n, 1)
		}
	}
	return l.running < l.limit, nil
}

// resume starts jobs of the lanes that wait: always of the one that has the fewest running, and of several in turn.
func (rd *reading) resume() error {
	for len(rd.running) < rd.rules.Most {
		var best *lane
		for _, l := range rd.lanes {
			if l.waiting == nil || best != nil && !l.before(best) {
				continue
			}
			ok, err := rd.room(l)
			if err != nil {
				return err
			}
			if ok {
				best = l
			}
		}
		if best == nil {
			return nil
		}
		if err := rd.resumeLane(best); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) before(other *lane) bool {
	if l.running != other.running {
		return l.running < other.running
	}
	return l.turn < other.turn
}

// resumeLane starts the first job of a lane that waits.
func (rd *reading) resumeLane(l *lane) error {
	for p, err := range rd.r.Scan(kv.Range{Start: l.waiting, End: rd.next}) {
		if err != nil {
			return err
		}
		_, id, name, err := readDueKey(p.Key[len(rd.prefix):])
		if err != nil || string(name) != l.name || rd.running[string(p.Key)] != nil {
			continue
		}
		l.waiting = append(bytes.Clone(p.Key), 0)
		return rd.take(l, p.Key, id)
	}
	l.waiting = nil
	rd.tidy(l)
	return nil
}

// read starts jobs from next on, and returns the time until it is to go on. Where there is no place left it reads on, so that
// every lane that has a due job waits for its turn.
func (rd *reading) read() (wait time.Duration, err error) {
	q := rd.queue
	for p, err := range rd.r.Scan(kv.Range{Start: q.next, End: kv.PrefixEnd(q.prefix)}) {
		if err != nil {
			return 0, err
		}
		if rd.scanned++; rd.scanned > maxScan {
			return 0, nil
		}
		due, id, name, err := readDueKey(p.Key[len(q.prefix):])
		switch {
		case err != nil:
			q.outbox.log.Error("a job cannot be read and is left out", "queue", q.name, "key", hex.EncodeToString(p.Key), "error", err)
		case q.running[string(p.Key)] != nil:
		case due.After(rd.now):
			q.next = bytes.Clone(p.Key)
			return due.Sub(rd.now), nil
		default:
			l := q.lane(string(name))
			ok := l.waiting == nil
			if ok {
				if ok, err = rd.room(l); err != nil {
					q.tidy(l)
					return 0, err
				}
			}
			if !ok {
				if l.waiting == nil || bytes.Compare(p.Key, l.waiting) < 0 {
					l.waiting = bytes.Clone(p.Key)
				}
			} else if err := rd.take(l, p.Key, id); err != nil {
				return 0, err
			}
		}
		q.next = append(bytes.Clone(p.Key), 0)
	}
	return never, nil
}

// take makes the job with a key one that runs, unless it cannot be read.
func (rd *reading) take(l *lane, key []byte, id jobID) error {
	job, ok, err := read(rd.r, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: it is not there", errRow)
	}
	if err != nil {
		rd.tidy(l)
		if errors.Is(err, errRow) {
			rd.outbox.log.Error("a job cannot be read and is left out", "queue", rd.name, "job", hex.EncodeToString(id[:]), "error", err)
			return nil
		}
		return err
	}
	job.payload = bytes.Clone(job.payload)
	d := delivery{bytes.Clone(key), id, job}
	rd.start = append(rd.start, d)
	rd.running[string(d.key)] = l
	rd.turns++
	l.turn = rd.turns
	if l.running++; l.running > 1 {
		rd.beyond++
	}
	return nil
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
