package pebblekv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// memTableSize is how many bytes of writes are collected in memory before they are flushed to a table. The first ones are
// smaller: an idle store needs 256 KiB.
const memTableSize = 4 << 20

// maxOpenFiles bounds the tables that are kept open.
const maxOpenFiles = 512

// openPebble opens the database in the directory.
func (s *Store) openPebble() (err error) {
	exists, err := s.hasData()
	if err != nil {
		return err
	}
	fsys := lockFS{s.files}
	if exists {
		if s.lock, err = pebble.LockDirectory(s.opts.Dir, fsys); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, s.lock.Close())
			}
		}()
		if err := s.checkLog(); err != nil {
			return err
		}
	}
	stuck := make(chan struct{}, 1) // a flush has failed
	o := &pebble.Options{
		FS:   fsys,
		Lock: s.lock,
		// Without this, a store that has lost its markers would be taken for a new one.
		ErrorIfNotExists: exists,
		// Pebble takes the memory of the memtables out of the cache: the one being filled and the one being flushed.
		CacheSize:          s.opts.CacheSize + 2*memTableSize,
		MemTableSize:       memTableSize,
		MaxOpenFiles:       maxOpenFiles,
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             logger{s},
		// Far above what waitForRoom lets happen.
		MemTableStopWritesThreshold: 16 * maxMemTables,
		L0StopWritesThreshold:       16 * maxSublevels,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				if s.files.cause() == nil { // otherwise reported there
					s.log.Error("background work of the store failed and is tried again", "error", err)
				}
			},
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.log.Error("a file of the store is damaged", "file", info.Path, "error", info.Details)
			},
			FlushEnd: func(info pebble.FlushInfo) {
				signal(s.room)
				if info.Err != nil && s.files.cause() != nil {
					signal(stuck)
				}
			},
			CompactionEnd: func(pebble.CompactionInfo) { signal(s.room) },
		},
	}
	o.Experimental.CompactionScheduler = newScheduler()
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				opened <- result{err: fmt.Errorf("%w: %v\n%s", ErrDamaged, p, debug.Stack())}
			}
		}()
		db, err := pebble.Open(s.opts.Dir, o)
		opened <- result{db, err}
	}()
	var r result
	select {
	case r = <-opened:
	case <-stuck:
		// The log of the last run cannot be flushed, and Pebble tries again for ever. Its goroutines stay behind, asleep,
		// and with them the lock.
		s.files.opened.Store(true)
		return fmt.Errorf("the log of the last run could not be flushed: %w", s.files.cause())
	}
	s.files.opened.Store(true)
	s.db = r.db
	cause := s.files.cause()
	switch {
	case r.err != nil && cause != nil:
		return r.err
	case r.err != nil:
		return describe(r.err)
	case cause != nil: // it was kept from Pebble
		close(s.files.closing)
		return errors.Join(cause, s.db.Close())
	}
	return nil
}

// unlock releases the lock that openPebble has taken beside Pebble's own.
func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// hasData says whether the directory holds data of a store that was made completely: its tables, or a log.
func (s *Store) hasData() (bool, error) {
	names, err := s.files.List(s.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if ext := filepath.Ext(name); ext == ".sst" || ext == ".log" {
			return true, nil
		}
	}
	return false, nil
}

// describe sorts the errors of opening.
func describe(err error) error {
	if errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
		return err
	}
	var errno syscall.Errno
	if pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) || !errors.As(err, &errno) {
		return fmt.Errorf("%w: %w", ErrDamaged, oneLine{err})
	}
	return err
}

// A oneLine is an error without the details that Pebble puts on further lines.
type oneLine struct{ error }

func (e oneLine) Error() string {
	first, _, _ := strings.Cut(e.error.Error(), "\n")
	return first
}

func (e oneLine) Unwrap() error { return e.error }

// closePebble ends all work on the database and closes it.
func (s *Store) closePebble() error {
	close(s.files.closing)
	ended := make(chan struct{})
	s.house.stop <- ended
	<-ended
	return errors.Join(s.db.Close(), s.unlock())
}

// A lockFS tells a lock held by another from other errors.
type lockFS struct{ *failStop }

// Lock implements vfs.FS.
func (l lockFS) Lock(name string) (io.Closer, error) {
	lock, err := l.failStop.Lock(name)
	var path *fs.PathError
	if err == nil || errors.As(err, &path) { // the file could not be made
		return lock, err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.EAGAIN && errno != syscall.EACCES {
		return nil, err
	}
	return nil, ErrLocked
}

// logger hands Pebble's messages on.
type logger struct{ s *Store }

// Infof implements pebble.Logger. Pebble says too much.
func (logger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) { l.s.log.Error(fmt.Sprintf(format, args...)) }

// Fatalf implements pebble.Logger. Pebble does not expect it to return, but copes: it hands the error on, or answers
// wrongly. So unless a failed write explains it, nothing is read any more.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	if l.s.files.cause() == nil {
		l.s.invariant.CompareAndSwap(nil, &err)
		l.s.files.fail(err)
	}
	l.s.log.Error("pebble gave up", "error", err)
}
