package pebblekv

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// A scheduler lets Pebble run one compaction at a time. Pebble's own one wakes up ten times a second to see whether the
// number it may run has changed; ours never changes.
type scheduler struct {
	db pebble.DBForCompaction

	mu       sync.Mutex
	granted  sync.Cond
	running  bool
	granting bool
	closed   bool
}

var _ pebble.CompactionScheduler = (*scheduler)(nil)

func newScheduler() *scheduler {
	s := &scheduler{}
	s.granted.L = &s.mu
	return s
}

// Register implements pebble.CompactionScheduler.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) { s.db = db }

// Unregister implements pebble.CompactionScheduler.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.granting {
		s.granted.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.running {
		return false, nil
	}
	s.running = true
	return true, s
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (s *scheduler) UpdateGetAllowedWithoutPermission() {}

// Started implements pebble.CompactionGrantHandle.
func (s *scheduler) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (s *scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (s *scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle: it passes the permission on to a compaction that was refused it. The
// database is asked without the lock, which ranks below the database's own.
func (s *scheduler) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	for s.granting { // by the Done of the compaction before
		s.granted.Wait()
	}
	for !s.closed && !s.running {
		s.granting = true
		s.mu.Unlock()
		waiting, _ := s.db.GetWaitingCompaction()
		s.mu.Lock()
		granted := waiting && !s.running
		if granted {
			s.running = true
			s.mu.Unlock()
			accepted := s.db.Schedule(s)
			s.mu.Lock()
			if !accepted {
				s.running = false
			}
		}
		s.granting = false
		s.granted.Broadcast()
		if !waiting {
			return
		}
	}
}
