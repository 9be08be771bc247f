package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"brume/internal/kv"
)

// A committer decides which transactions commit, writes them, and makes them visible. Only its goroutine uses it.
type committer struct {
	history history
	clock   int64 // see snapshot
	fresh   bool  // the format is not recorded yet
	// unchecked is the number of bytes written since the last look at how far Pebble's flushes are behind.
	unchecked int
}

func (c *committer) init(clock int64, fresh bool) {
	c.history = newHistory(1)
	c.clock, c.fresh = clock, fresh
}

// maxGroup is how many bytes of writes one group holds; a larger transaction is a group of its own.
const maxGroup = 4 << 20

// commit hands t to the committer and waits for the outcome.
func (s *Store) commit(ctx context.Context, t *tx) error {
	t.outcome = s.outcomes.Get().(chan error)
	s.mu.Lock()
	s.pending = append(s.pending, t)
	if last := len(s.pending) - 1; t.first {
		s.pending[0], s.pending[last] = t, s.pending[0]
	}
	s.mu.Unlock()
	signal(s.wake)
	var err error
	select {
	case err = <-t.outcome:
	case <-ctx.Done():
		if t.state.CompareAndSwap(pending, withdrawn) {
			err = ctx.Err()
		} else {
			err = <-t.outcome
		}
	}
	s.outcomes.Put(t.outcome) // empty: a transaction has one outcome, and one that was withdrawn has none
	return err
}

// commitLoop is the committer's goroutine. Close stops it when no transaction is left.
func (s *Store) commitLoop() {
	defer close(s.done)
	var queue []*tx
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			return
		}
		for {
			s.gather()
			s.mu.Lock()
			queue, s.pending = s.pending, queue[:0]
			s.mu.Unlock()
			if len(queue) == 0 {
				break
			}
			for rest := queue; len(rest) > 0; {
				rest = rest[s.commitGroup(rest):]
			}
			clear(queue)
		}
	}
}

// gather lets those who can run do so first, as long as that brings transactions: a busy machine then makes fewer and
// larger groups. An idle one loses nothing.
func (s *Store) gather() {
	last := 0
	for range maxYields {
		s.mu.Lock()
		n := len(s.pending)
		s.mu.Unlock()
		if n == last {
			return
		}
		last = n
		runtime.Gosched()
	}
}

// maxYields bounds how long a transaction waits for others to join it.
const maxYields = 8

// commitGroup decides on the first of queue, as many as fit in a group, and returns how many. Each is checked against
// everything before it, in the group too.
func (s *Store) commitGroup(queue []*tx) int {
	c := &s.committer
	version := s.current.version + 1
	c.history.open(version)
	var (
		batch  = s.db.NewBatch()
		winner = make([]*tx, 0, len(queue))
		losers []*tx
		clock  = c.clock
		size   int
		err    error
		n      int
	)
	for _, t := range queue {
		if size > 0 && size+t.writes.size > maxGroup {
			break
		}
		n++
		if !t.state.CompareAndSwap(pending, taken) {
			continue
		}
		if lostTo, lost := c.history.conflict(t); lost {
			if lostTo < version {
				t.outcome <- errAgain
			} else {
				losers = append(losers, t) // it has to see this group first
			}
			continue
		}
		c.history.add(&t.writes)
		winner = append(winner, t)
		size += t.writes.size
		if !t.now.IsZero() {
			clock = max(clock, t.now.UnixNano())
		}
		err = errors.Join(err, appendWrites(batch, &t.writes))
	}
	if len(winner) > 0 {
		if c.fresh || clock != c.clock {
			err = errors.Join(err, appendMeta(batch, c.fresh, clock))
		}
		if err == nil {
			err = s.write(batch)
		}
		if err == nil {
			s.publish(version, clock, winner)
		}
	} else {
		c.history.close()
		err = batch.Close()
		if err != nil {
			s.log.Error("closing an empty batch failed", "error", err)
		}
	}
	for _, t := range winner {
		t.outcome <- err
	}
	for _, t := range losers {
		if err := s.Err(); err != nil {
			t.outcome <- err
		} else {
			t.outcome <- errAgain
		}
	}
	return n
}

func appendWrites(b *pebble.Batch, w *writes) error {
	for i := range w.list {
		var err error
		if one := &w.list[i]; one.delete {
			err = b.Delete(one.key, nil)
		} else {
			err = b.Set(one.key, one.value, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write puts a batch on disk. After an error the store is read-only.
func (s *Store) write(b *pebble.Batch) error {
	if err := s.waitForRoom(b.Len()); err != nil {
		return err
	}
	err := s.db.ApplyNoSyncWait(b, pebble.Sync)
	if err == nil {
		err = b.SyncWait()
	}
	if err != nil {
		s.files.fail(err)
	}
	// Pebble believes in its log even where the disk has refused it; the files know better.
	if cause := s.files.cause(); cause != nil {
		return fmt.Errorf("pebblekv: commit: %w", cause)
	}
	return b.Close()
}

// publish makes a written group visible.
func (s *Store) publish(version uint64, clock int64, txs []*tx) {
	c := &s.committer
	c.clock, c.fresh = clock, false
	next := &snapshot{db: s.db.NewSnapshot(), version: version, clock: clock}
	s.rows.advance(version, txs)
	s.mu.Lock()
	old := s.current
	s.current = next
	s.live = append(s.live, next)
	n := 0
	for s.live[n].updates == 0 && s.live[n] != next {
		n++
	}
	s.live = append(s.live[:0], s.live[n:]...)
	horizon := s.live[0].version
	unused := old.refs == 0
	s.mu.Unlock()
	if unused {
		s.house.release(old)
	}
	s.watchers.tell(txs)
	c.history.close()
	c.history.prune(horizon)
}

// Pebble blocks a writer whose flushes or compactions are behind, in a place where nothing can wake it if they never
// end. So the committer waits before that, where it sees a failed disk.
const (
	maxMemTables = 4  // worth of memory not yet flushed
	maxSublevels = 20 // of L0, each of which a read may have to look at
)

func (s *Store) waitForRoom(size int) error {
	c := &s.committer
	if c.unchecked += size; c.unchecked < memTableSize/2 {
		return s.Err()
	}
	c.unchecked = 0
	for {
		reply := make(chan bool, 1)
		select {
		case s.house.ask <- reply:
		case <-s.files.failed:
			return s.Err()
		}
		select {
		case ok := <-reply:
			if ok {
				return s.Err()
			}
		case <-s.files.failed:
			return s.Err()
		}
		select {
		case <-s.room:
		case <-s.files.failed:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var _ kv.Store = (*Store)(nil)
