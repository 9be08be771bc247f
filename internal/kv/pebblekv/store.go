// Package pebblekv is the embedded engine of package kv, on Pebble. Its promises, beyond those of package kv:
//
//   - Commits made at the same time share one write and one fsync. A transaction waits for at most the group before its
//     own and its own.
//   - Two transactions conflict only if one read a key or a gap that the other wrote. Writing without reading never
//     conflicts, and a transaction that wrote nothing never waits and never runs twice.
//   - Once the context is done, Update gives up where nothing is written yet; if the write is on its way already, it
//     waits for the outcome, so that the caller need not guess it.
//   - After the first failed write of any kind (a full disk, a failed fsync) nothing is written to the directory any
//     more: what an fsync has reported as lost must not be taken for written later. Reads go on.
//   - One directory has one store at a time, in this process or another one: ErrLocked.
//
// Store also implements kv.Watcher. DESIGN.md says why it is built as it is.
package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"brume/internal/kv"
)

var (
	// ErrLocked is returned by Open for a directory that another store has open.
	ErrLocked = errors.New("the data directory is in use by another process")
	// ErrDamaged is returned by Open for a directory whose files are damaged, incomplete, or not a store of this version.
	ErrDamaged = errors.New("the data directory is damaged")
)

// Options configure a store. Only Dir must be set.
type Options struct {
	// Dir is the directory of the store, made if missing. It holds nothing else.
	Dir string
	// CacheSize bounds the cache of uncompressed blocks, in bytes. 0 means 8 MiB.
	CacheSize int64
	// FS is the file system of Dir. nil means the operating system's.
	FS vfs.FS
	// Logger gets what no caller can be told. nil drops it.
	Logger *slog.Logger
	// Now is the clock. nil means time.Now.
	Now func() time.Time
}

// A Store is an open directory. It is safe for concurrent use.
type Store struct {
	opts  Options
	log   *slog.Logger
	db    *pebble.DB
	lock  *pebble.Lock // nil for a directory that was empty
	files *failStop
	// invariant is set when Pebble found itself in a state that cannot be; nothing it answers is believed after that.
	invariant atomic.Pointer[error]

	mu      sync.Mutex
	idle    sync.Cond // signalled when running becomes 0
	running int       // transactions
	closed  bool
	current *snapshot   // what new transactions see
	live    []*snapshot // those that an Update may still have to be checked against, oldest first; current is last
	pending []*tx       // waiting for the committer

	// turn is held by the one transaction that has lost often: see Update.
	turn chan struct{}
	wake chan struct{} // to the committer: pending has grown
	room chan struct{} // to the committer: a flush or a compaction has ended
	stop chan struct{} // to the committer: Close
	done chan struct{} // the committer has returned

	outcomes  sync.Pool // of chan error, with room for one
	committer committer
	rows      rowCache
	house     housekeeper
	watchers  watchers
	closeOnce sync.Once
	closeErr  error
}

// A snapshot is one durable state.
type snapshot struct {
	db      *pebble.Snapshot
	version uint64
	clock   int64 // the latest Now of the transactions in it, in nanoseconds since 1970
	// Both are guarded by Store.mu.
	refs    int
	updates int // those of refs that belong to an Update
}

// Open opens the store in o.Dir and makes it if there is none. Errors name the directory.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("pebblekv: no data directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
		dir, err := filepath.Abs(o.Dir) // one name per directory, as the lock within the process goes by name
		if err != nil {
			return nil, fmt.Errorf("pebblekv: %w", err)
		}
		o.Dir = dir
	}
	if o.CacheSize == 0 {
		o.CacheSize = 8 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		opts: o,
		log:  o.Logger.With("component", "kv", "dir", o.Dir),
		turn: make(chan struct{}, 1),
		wake: make(chan struct{}, 1),
		room: make(chan struct{}, 1),
		stop: make(chan struct{}),
		done: make(chan struct{}),

		outcomes: sync.Pool{New: func() any { return make(chan error, 1) }},
	}
	s.idle.L = &s.mu
	s.house.init()
	s.files = newFailStop(o.FS, func(cause error) {
		s.log.Error("a write failed: writes are refused until Brume is started again: make room, or mend what the error says, and restart it", "error", cause)
	})
	if err := s.openPebble(); err != nil {
		return nil, fmt.Errorf("pebblekv: open %q: %w", o.Dir, err)
	}
	clock, fresh, err := s.readMeta()
	if err != nil {
		close(s.files.closing)
		return nil, fmt.Errorf("pebblekv: open %q: %w", o.Dir, errors.Join(describe(err), s.db.Close(), s.unlock()))
	}
	if ahead := time.Unix(0, clock).Sub(o.Now()); ahead > time.Minute {
		s.log.Warn("the clock is behind the last commit: the time of transactions stands still until it has caught up",
			"behind", ahead)
	}
	s.current = &snapshot{db: s.db.NewSnapshot(), version: 1, clock: clock}
	s.live = []*snapshot{s.current}
	s.rows.init(s.current.version)
	s.committer.init(clock, fresh)
	go s.commitLoop()
	go s.keepHouse()
	return s, nil
}

// Err returns nil while the store can write, and an error that wraps kv.ErrReadOnly and the cause when it no longer can.
func (s *Store) Err() error {
	if cause := s.files.cause(); cause != nil {
		return fmt.Errorf("%w: %w", kv.ErrReadOnly, cause)
	}
	return nil
}

// Close waits for the running transactions and releases the directory. A closure must not call it.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		for s.running > 0 {
			s.idle.Wait()
		}
		s.mu.Unlock()
		close(s.stop)
		<-s.done
		s.house.release(s.current)
		s.closeErr = s.closePebble()
		if s.closeErr != nil {
			s.closeErr = fmt.Errorf("pebblekv: close %q: %w", s.opts.Dir, s.closeErr)
		}
	})
	return s.closeErr
}

// View implements kv.Store.
func (s *Store) View(ctx context.Context, fn func(kv.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	snap, err := s.begin(false)
	if err != nil {
		return err
	}
	defer s.end(snap, false)
	r := &reader{store: s, snap: snap, ctx: ctx}
	defer r.finish()
	return fn(r)
}

// How often Update runs a transaction that keeps losing. After patience losses it waits for its turn: the losers run one
// at a time then, against newcomers only and decided on before them. So of many that fight for one key all get through,
// and few run in vain. The wait for it has an end because the turn may be held by a closure that waits for this very
// transaction.
const (
	maxAttempts = 100
	patience    = 4
	turnWait    = time.Second
	minBackoff  = 50 * time.Microsecond
)

// errAgain says that a transaction has lost.
var errAgain = errors.New("pebblekv: conflict")

// Update implements kv.Store.
func (s *Store) Update(ctx context.Context, fn func(kv.Tx) error) error {
	turn := false
	for losses := range maxAttempts {
		switch {
		case losses > 0 && losses < patience:
			select {
			case <-time.After(rand.N(minBackoff << losses)):
			case <-ctx.Done():
			}
		case losses == patience:
			select {
			case s.turn <- struct{}{}:
				turn = true
				defer func() { <-s.turn }()
			case <-time.After(turnWait):
			case <-ctx.Done():
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.attempt(ctx, fn, turn); err != errAgain {
			return err
		}
	}
	return kv.ErrConflict
}

// attempt runs fn and commits. It returns errAgain if the transaction lost.
func (s *Store) attempt(ctx context.Context, fn func(kv.Tx) error, first bool) error {
	if err := s.Err(); err != nil {
		return err
	}
	snap, err := s.begin(true)
	if err != nil {
		return err
	}
	defer s.end(snap, true)
	t := &tx{reader: reader{store: s, snap: snap, ctx: ctx}, first: first}
	defer t.finish()
	if err := fn(t); err != nil {
		return err
	}
	if t.failed != nil { // a closure that looked away from a failed read decided on nothing
		return t.failed
	}
	if len(t.writes.list) == 0 { // all it read is true of one durable state
		return nil
	}
	return s.commit(ctx, t)
}

// begin takes the newest snapshot.
func (s *Store) begin(update bool) (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, kv.ErrClosed
	}
	s.running++
	s.current.refs++
	if update {
		s.current.updates++
	}
	return s.current, nil
}

// end gives a snapshot back.
func (s *Store) end(snap *snapshot, update bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap.refs--
	if update {
		snap.updates--
	}
	if snap.refs == 0 && snap != s.current {
		s.house.release(snap) // before Close may go on
	}
	s.running--
	if s.running == 0 && s.closed {
		s.idle.Broadcast()
	}
}
