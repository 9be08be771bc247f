// Package kv is the contract of the ordered, transactional key-value store that all of Brume's state lives in.
//
// A store promises:
//
//   - Transactions are serializable. They run optimistically and are validated at commit against every key and every
//     range they read; Update runs its closure again on a conflict.
//   - Update returns nil only after the transaction is on disk. Nothing acknowledged is lost by a crash of the process
//     or of the machine.
//   - View sees one consistent state, and only state that is on disk already.
//   - A closure may run more than once, so it must have no effect outside its transaction. Effects are rows for package
//     outbox, written in the same transaction.
//
// Engines live in sub-packages; package kvtest holds the contract as a test suite that every engine runs.
package kv

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Limits of every engine.
const (
	// MaxKeySize is the longest key, in bytes.
	MaxKeySize = 8 << 10
	// MaxValueSize is the longest value, in bytes. Larger payloads belong in package blob.
	MaxValueSize = 8 << 20
)

var (
	// ErrConflict is what Update returns when its transaction kept losing against others until its retries were used up.
	ErrConflict = errors.New("kv: transaction conflict")
	// ErrClosed is returned by a store after Close.
	ErrClosed = errors.New("kv: store is closed")
	// ErrTooLarge is returned for a key or value over its limit.
	ErrTooLarge = errors.New("kv: key or value is too large")
	// ErrReadOnly is returned by Update after a store could not write: its disk is full, say, or broken. It wraps the
	// cause. Views go on; only a new start of the store ends it.
	ErrReadOnly = errors.New("kv: store is read-only after a failed write")
)

// A Store is a set of key-value pairs in the byte order of the keys.
type Store interface {
	// View runs fn on a consistent, durable snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn in a read-write transaction, commits it unless fn returns an error, and returns after the commit is
	// durable. It runs fn again on a conflict, and gives up with ErrConflict or the context's error. With these, with
	// ErrReadOnly, and with an error of fn, nothing was written; only where the disk fails during the very commit does
	// the next start of the store show whether all of it or nothing was.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close waits for running transactions and releases the store. Transactions begun later fail with ErrClosed.
	Close() error
}

// A Watcher is a Store that tells of commits, so that who waits for rows need not poll for them.
type Watcher interface {
	// Watch calls wake after each commit that set a key beginning with prefix, once a new transaction sees what was
	// committed. low is not after the first such key; it must not be modified. Deletions do not count. wake may run at
	// any time until stop has returned, never twice at once; it must return at once and not call the store.
	Watch(prefix []byte, wake func(low []byte)) (stop func())
}

// A Reader reads one consistent state. Byte slices it returns stay valid and unchanged until the closure that got the
// Reader returns; who keeps them longer copies them. They must not be modified. A Reader belongs to the goroutine that
// runs the closure.
type Reader interface {
	// Now is the time of this transaction: the same for every call in one run of the closure, and not before the Now of
	// any transaction whose writes can be seen in it, even if the clock was set back in between.
	Now() time.Time
	// Get returns the value of key, and false if there is none. A value may be empty.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan yields the pairs of r in order. An error ends the sequence. Stopping early is fine: only what was
	// yielded, and the gaps between, count as read.
	Scan(r Range) iter.Seq2[Pair, error]
}

// A Tx is a Reader that sees its own writes.
type Tx interface {
	Reader
	// Set writes value to key. The slices must not be modified afterwards. A Scan under way sees the writes that lie
	// ahead of it.
	Set(key, value []byte) error
	// Delete removes key; removing what is not there is no error.
	Delete(key []byte) error
}

// A Range selects the keys k with Start ≤ k < End; none if End ≤ Start.
type Range struct {
	Start []byte // nil: from the first key
	End   []byte // nil: to the last key
	// Reverse yields from the last key of the range to the first.
	Reverse bool
	// Limit ends the scan after so many pairs; 0 means no limit.
	Limit int
}

// A Pair is a key with its value.
type Pair struct {
	Key, Value []byte
}

// Prefix is the range of all keys that begin with p.
func Prefix(p []byte) Range { return Range{Start: p, End: PrefixEnd(p)} }

// PrefixEnd returns the first key after all those that begin with p, nil if there is none.
func PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := append([]byte(nil), p[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
