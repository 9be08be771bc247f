package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"brume/internal/kv"
)

var errOver = errors.New("pebblekv: transaction is over")

// A reader reads one snapshot.
type reader struct {
	store *Store
	snap  *snapshot
	ctx   context.Context
	arena arena
	now   time.Time // zero until Now is called
	over  bool
	// failed is the first error of a read.
	failed error
	key    []byte // scratch
}

func (r *reader) finish() { r.over = true }

// fail notes err, the failure of a read.
func (r *reader) fail(err error) error {
	err = fmt.Errorf("pebblekv: read: %w", err)
	if r.failed == nil {
		r.failed = err
	}
	return err
}

// Now implements kv.Reader.
func (r *reader) Now() time.Time {
	if r.now.IsZero() {
		r.now = r.store.opts.Now().Round(0).UTC()
		if r.now.UnixNano() < r.snap.clock {
			r.now = time.Unix(0, r.snap.clock).UTC()
		}
	}
	return r.now
}

// Get implements kv.Reader.
func (r *reader) Get(key []byte) ([]byte, bool, error) {
	if len(key) > kv.MaxKeySize {
		return nil, false, kv.ErrTooLarge
	}
	r.key = append(append(r.key[:0], dataSpace), key...)
	return r.get(r.key)
}

func (r *reader) get(key []byte) ([]byte, bool, error) {
	if r.over {
		return nil, false, errOver
	}
	if v, ok := r.store.rows.get(key, r.snap.version); ok && r.store.invariant.Load() == nil {
		return v, true, nil
	}
	v, closer, err := r.snap.db.Get(key)
	found := err == nil
	if found {
		r.store.rows.offer(key, v, r.snap.version)
		v = r.arena.copy(v)
		err = closer.Close()
	} else if errors.Is(err, pebble.ErrNotFound) {
		v, err = nil, nil
	}
	if why := r.store.invariant.Load(); why != nil {
		err = *why
	}
	if err != nil {
		return nil, false, r.fail(err)
	}
	return v, found, nil
}

// Scan implements kv.Reader.
func (r *reader) Scan(rg kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) { r.scan(rg, nil, yield) }
}

// A tx is a reader that keeps its writes to itself and notes what it read.
type tx struct {
	reader
	writes writes
	reads  [][]byte // keys in Pebble
	spans  []span
	// keys holds the keys written. They outlive the transaction in the committer's history, and what it read must not.
	keys arena
	// compactAt is the length at which reads is freed of duplicates.
	compactAt int

	first   bool         // decided on before the others of its group
	state   atomic.Int32 // pending, taken or withdrawn
	outcome chan error
}

// The states of a transaction on its way to the committer.
const (
	pending = iota
	taken
	withdrawn
)

// A span is a range of keys that a transaction read.
type span struct {
	lo, hi []byte // in Pebble
	hiOpen bool   // hi itself is not part of it
}

// has says whether a key that is not before s.lo is part of s.
func (s *span) has(key []byte) bool {
	c := bytes.Compare(key, s.hi)
	return c < 0 || c == 0 && !s.hiOpen
}

// Get implements kv.Reader.
func (t *tx) Get(key []byte) ([]byte, bool, error) {
	if len(key) > kv.MaxKeySize {
		return nil, false, kv.ErrTooLarge
	}
	k := t.arena.key(key)
	if i, own := t.writes.search(k); own {
		w := t.writes.at(i)
		if w.delete {
			return nil, false, nil
		}
		return w.value, true, nil
	}
	if len(t.reads) >= max(t.compactAt, 64) {
		slices.SortFunc(t.reads, bytes.Compare)
		t.reads = slices.CompactFunc(t.reads, bytes.Equal)
		t.compactAt = 2 * len(t.reads)
	}
	t.reads = append(t.reads, k)
	return t.get(k)
}

// Scan implements kv.Reader.
func (t *tx) Scan(rg kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) { t.scan(rg, t, yield) }
}

// Set implements kv.Tx.
func (t *tx) Set(key, value []byte) error {
	if len(value) > kv.MaxValueSize {
		return kv.ErrTooLarge
	}
	if value == nil {
		value = []byte{}
	}
	return t.write(key, value, false)
}

// Delete implements kv.Tx.
func (t *tx) Delete(key []byte) error { return t.write(key, nil, true) }

func (t *tx) write(key, value []byte, del bool) error {
	if len(key) > kv.MaxKeySize {
		return kv.ErrTooLarge
	}
	if t.over {
		return errOver
	}
	t.writes.put(write{key: t.keys.key(key), value: value, delete: del})
	return nil
}
