package dynamodb

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"brume/internal/kv"
)

// A sequencer gives the records of all streams their sequence numbers: nanoseconds since 1970, or more where the clock
// stands still or goes back. A counter in the store would make all writers of a table wait for each other, so it lives
// in memory, and with it what a reader must know: transactions may commit in another order than that of their numbers, so
// whoever reads to the end and goes on from there must stop short of those that are still under way.
//
//   - Of two transactions that write one item, the later has the larger number: it either began after the other had
//     committed, or was run again, with a new number, because it had not.
//   - Below the horizon nothing is to come any more.
type sequencer struct {
	loaded atomic.Bool

	mu   sync.Mutex
	last uint64
	// open are the tickets given out, in order, from the first that is not done.
	open     []*ticket
	watchers map[uint64][]*watcher // by stream id
}

// A ticket stands for one run of a transaction that writes records.
type ticket struct {
	first   uint64
	streams []uint64
	done    bool
}

type watcher struct{ wake func() }

// load makes sure that new numbers are larger than those in the store.
func (q *sequencer) load(ctx context.Context, store kv.Store) error {
	if q.loaded.Load() {
		return nil
	}
	return store.View(ctx, func(r kv.Reader) error {
		last := uint64(r.Now().UnixNano())
		for pair, err := range r.Scan(kv.Prefix(rows(tagStream))) {
			if err != nil {
				return err
			}
			row, err := decodeStream(pair.Value)
			if err != nil {
				return err
			}
			sequence, err := lastSequence(r, row.ID)
			if err != nil {
				return err
			}
			last = max(last, sequence)
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.last = max(q.last, last)
		q.loaded.Store(true)
		return nil
	})
}

// next returns the next number, for a record of a stream. The first call for a transaction gives it a ticket.
func (q *sequencer) next(t *ticket, stream uint64, now time.Time) (uint64, *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = max(q.last+1, uint64(now.UnixNano()))
	if t == nil {
		t = &ticket{first: q.last}
		q.open = append(q.open, t)
	}
	for _, id := range t.streams {
		if id == stream {
			return q.last, t
		}
	}
	t.streams = append(t.streams, stream)
	return q.last, t
}

// finish takes a ticket back, once its transaction has committed or failed, and wakes those who wait for what can be read
// now.
func (q *sequencer) finish(t *ticket) {
	if t == nil {
		return
	}
	var wake []*watcher
	q.mu.Lock()
	t.done = true
	for len(q.open) > 0 && q.open[0].done {
		for _, id := range q.open[0].streams {
			wake = append(wake, q.watchers[id]...)
		}
		q.open[0] = nil
		q.open = q.open[1:]
	}
	q.mu.Unlock()
	for _, w := range wake {
		w.wake()
	}
}

// horizon is the number below which a view that begins now sees all records that will ever be.
func (q *sequencer) horizon() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) > 0 {
		return q.open[0].first
	}
	return q.last + 1
}

// oldest is the first number of the oldest write under way, the largest of all if there is none.
func (q *sequencer) oldest() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) == 0 {
		return math.MaxUint64
	}
	return q.open[0].first
}

// end is a number after those of all writes that have returned, and not after those of writes that begin later.
func (q *sequencer) end() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last + 1
}

func (q *sequencer) watch(stream uint64, wake func()) (stop func()) {
	w := &watcher{wake}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watchers == nil {
		q.watchers = map[uint64][]*watcher{}
	}
	q.watchers[stream] = append(q.watchers[stream], w)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		var rest []*watcher
		for _, other := range q.watchers[stream] {
			if other != w {
				rest = append(rest, other)
			}
		}
		if rest == nil {
			delete(q.watchers, stream)
		} else {
			q.watchers[stream] = rest
		}
	}
}

// lastSequence is the number of a stream's last record, 0 if it has none.
func lastSequence(r kv.Reader, stream uint64) (uint64, error) {
	rng := kv.Prefix(recordPrefix(stream))
	rng.Reverse, rng.Limit = true, 1
	for pair, err := range r.Scan(rng) {
		if err != nil {
			return 0, err
		}
		return parseRecordKey(stream, pair.Key)
	}
	return 0, nil
}

// A writeTx is a transaction that may change items.
type writeTx struct {
	kv.Tx
	sequences *sequencer
	ticket    *ticket
	// byService says that DynamoDB itself does the change, because items have expired.
	byService bool
}

// sequence returns the number of the next record of a stream.
func (tx *writeTx) sequence(stream uint64) uint64 {
	var n uint64
	n, tx.ticket = tx.sequences.next(tx.ticket, stream, tx.Now())
	return n
}

func (tx *writeTx) finish() {
	tx.sequences.finish(tx.ticket)
	tx.ticket = nil
}

// write runs a transaction that changes items.
func (s *Service) write(ctx context.Context, fn func(*writeTx) error) error {
	if err := s.sequences.load(ctx, s.store); err != nil {
		return fault(err)
	}
	w := &writeTx{sequences: &s.sequences}
	defer w.finish()
	return fault(s.store.Update(ctx, func(tx kv.Tx) error {
		w.finish() // what an earlier run took
		w.Tx = tx
		return fn(w)
	}))
}

// sequenceAt is the number that a record of this moment has at least.
func sequenceAt(t time.Time) uint64 { return uint64(max(0, min(t.UnixNano(), math.MaxInt64))) }
