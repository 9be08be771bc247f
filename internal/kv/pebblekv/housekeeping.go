package pebblekv

import (
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A housekeeper does for Pebble what may have to wait until Pebble has written its manifest: it closes snapshots and
// looks how far flushes and compactions are behind. After a failed write it may wait until Close.
type housekeeper struct {
	mu       sync.Mutex
	released []*pebble.Snapshot
	wake     chan struct{}      // released has grown
	ask      chan chan<- bool   // for room to write
	stop     chan chan struct{} // ends it, and is told when it has ended
}

// sweepInterval is how long it waits between two sweeps. Pebble looks for compactions each time its oldest snapshot is
// closed, which costs more than a commit.
const sweepInterval = 10 * time.Millisecond

func (h *housekeeper) init() {
	h.wake = make(chan struct{}, 1)
	h.ask = make(chan chan<- bool)
	h.stop = make(chan chan struct{})
}

// release hands over a snapshot that nobody reads any more.
func (h *housekeeper) release(s *snapshot) {
	h.mu.Lock()
	h.released = append(h.released, s.db)
	h.mu.Unlock()
	signal(h.wake)
}

func (s *Store) keepHouse() {
	h := &s.house
	wake, pause := h.wake, (<-chan time.Time)(nil)
	for {
		select {
		case <-wake:
			s.sweep()
			wake, pause = nil, time.After(sweepInterval)
		case <-pause:
			wake, pause = h.wake, nil
		case reply := <-h.ask:
			m := s.db.Metrics()
			reply <- m.MemTable.Size < maxMemTables*memTableSize && m.Levels[0].Sublevels < maxSublevels
		case ended := <-h.stop:
			s.sweep()
			close(ended)
			return
		}
	}
}

// sweep closes the released snapshots, the newest first, so that Pebble sees its oldest one go only once.
func (s *Store) sweep() {
	h := &s.house
	h.mu.Lock()
	released := h.released
	h.released = nil
	h.mu.Unlock()
	for _, snap := range slices.Backward(released) {
		if err := snap.Close(); err != nil {
			s.log.Error("closing a snapshot failed", "error", err)
		}
	}
}

// signal puts a token into a channel that holds one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
