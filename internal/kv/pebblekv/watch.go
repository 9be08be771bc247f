package pebblekv

import (
	"bytes"
	"slices"
	"sync"

	"brume/internal/kv"
)

var _ kv.Watcher = (*Store)(nil)

// watchers are those to be told of commits.
type watchers struct {
	mu   sync.Mutex // held while they are told
	list []*watcher
}

type watcher struct {
	prefix []byte // in Pebble
	wake   func(low []byte)
}

// Watch implements kv.Watcher. Neither wake nor a transaction's closure may call stop.
func (s *Store) Watch(prefix []byte, wake func(low []byte)) (stop func()) {
	w := &watcher{prefix: append([]byte{dataSpace}, prefix...), wake: wake}
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	s.watchers.list = append(s.watchers.list, w)
	return func() {
		s.watchers.mu.Lock()
		defer s.watchers.mu.Unlock()
		s.watchers.list = slices.DeleteFunc(s.watchers.list, func(other *watcher) bool { return other == w })
	}
}

// tell wakes the watchers of what txs set.
func (ws *watchers) tell(txs []*tx) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.list {
		var low []byte
		for _, t := range txs {
			if k := t.writes.low(w.prefix); k != nil && (low == nil || bytes.Compare(k, low) < 0) {
				low = k
			}
		}
		if low != nil {
			w.wake(low[1:])
		}
	}
}
