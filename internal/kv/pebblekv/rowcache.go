package pebblekv

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// A rowCache keeps the rows that are read again and again, such as a table's description, so that Pebble is not asked
// for them each time. An entry holds for the snapshots from the version on that it was read in: publishing a group
// removes what the group wrote before anyone can see the group, and a row can only be put in by a reader of the newest
// snapshot.
type rowCache struct {
	seed maphash.Seed
	mu   sync.RWMutex
	rows map[string]cachedRow
	size int
	// version is that of the newest snapshot, or of the one about to be published.
	version uint64
	// seen holds hashes of keys read lately: a row gets in when it is read a second time, so that a scan over many rows
	// does not push the others out.
	seen [1024]atomic.Uint64
}

type cachedRow struct {
	value []byte
	since uint64
}

const (
	maxRowCache  = 1 << 20 // bytes
	maxCachedRow = 4 << 10
)

func (c *rowCache) init(version uint64) {
	c.seed, c.rows, c.version = maphash.MakeSeed(), map[string]cachedRow{}, version
}

// get returns the row of key, in Pebble, as a snapshot of this version sees it.
func (c *rowCache) get(key []byte, version uint64) ([]byte, bool) {
	c.mu.RLock()
	row, ok := c.rows[string(key)]
	c.mu.RUnlock()
	return row.value, ok && row.since <= version
}

// offer tells that a snapshot of this version was asked for the row of key. value is copied.
func (c *rowCache) offer(key, value []byte, version uint64) {
	cost := len(key) + len(value) + keyOverhead
	if cost > maxCachedRow {
		return
	}
	h := maphash.Bytes(c.seed, key)
	if c.seen[h%uint64(len(c.seen))].Swap(h) != h {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.rows[string(key)]; ok || version != c.version {
		return
	}
	if c.size += cost; c.size > maxRowCache {
		clear(c.rows)
		c.size = cost
	}
	c.rows[string(key)] = cachedRow{append([]byte{}, value...), version}
}

// advance removes what txs have written, before the snapshot of this version is published.
func (c *rowCache) advance(version uint64, txs []*tx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = version
	if len(c.rows) == 0 {
		return
	}
	for _, t := range txs {
		for i := range t.writes.list {
			key := t.writes.list[i].key
			if row, ok := c.rows[string(key)]; ok {
				c.size -= len(key) + len(row.value) + keyOverhead
				delete(c.rows, string(key))
			}
		}
	}
}
