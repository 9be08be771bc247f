// Package recent has a bounded map for caches.
package recent

import (
	"maps"
	"sync"
)

// A Map keeps at least as many of the entries that were used last as its limit says, and at most twice as many. It holds
// two generations: when the young one is full it becomes the old one, and what is still in use moves over as it is asked
// for. A lookup of a young entry takes a read lock only. It is safe for concurrent use.
type Map[K comparable, V any] struct {
	limit int

	mu         sync.RWMutex
	young, old map[K]V
}

// NewMap returns an empty map.
func NewMap[K comparable, V any](limit int) *Map[K, V] {
	return &Map[K, V]{limit: limit, young: map[K]V{}}
}

// Get returns the value of key, if it is still there.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.RLock()
	value, ok := m.young[key]
	promote := false
	if !ok {
		value, ok = m.old[key]
		promote = ok
	}
	m.mu.RUnlock()
	if promote {
		m.Set(key, value)
	}
	return value, ok
}

// Set sets the value of key.
func (m *Map[K, V]) Set(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[key]; !ok && len(m.young) >= m.limit {
		m.young, m.old = map[K]V{}, m.young
	}
	m.young[key] = value
}

// DeleteFunc removes the entries whose keys del accepts.
func (m *Map[K, V]) DeleteFunc(del func(K) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, generation := range []map[K]V{m.young, m.old} {
		maps.DeleteFunc(generation, func(key K, _ V) bool { return del(key) })
	}
}
