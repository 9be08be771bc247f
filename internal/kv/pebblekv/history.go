package pebblekv

import (
	"bytes"
	"slices"
	"unsafe"
)

// A history knows which keys the latest commits wrote, and so whether a transaction's reads still hold. Only the
// committer uses it.
type history struct {
	// last is the version that wrote a key last, for all keys of groups.
	last   map[string]uint64
	groups []*group // oldest first
	size   int
	// floor is the oldest version whose transactions can still be checked: all groups above it are known.
	floor uint64
}

// maxHistory bounds what a history remembers for the sake of a transaction that takes long, in bytes. A transaction that
// began before what is remembered counts as lost.
const maxHistory = 8 << 20

// keyOverhead is about what a remembered key costs beside its own bytes.
const keyOverhead = 96

// A group is the commits that share a version.
type group struct {
	version uint64
	txs     []*writes
	// keys takes the place of txs when the group is closed.
	keys   [][]byte
	sorted bool
	n      int // keys, with repetitions
	size   int
}

func newHistory(version uint64) history {
	return history{last: map[string]uint64{}, floor: version}
}

// open begins the group of the next version.
func (h *history) open(version uint64) {
	h.groups = append(h.groups, &group{version: version})
}

// add puts a transaction into the open group.
func (h *history) add(w *writes) {
	g := h.groups[len(h.groups)-1]
	g.txs = append(g.txs, w)
	for i := range w.list {
		k := w.list[i].key
		// A written key is in an arena of its transaction and never changes.
		h.last[unsafe.String(&k[0], len(k))] = g.version
		g.size += len(k) + keyOverhead
	}
	g.n += len(w.list)
}

// close ends the open group.
func (h *history) close() {
	g := h.groups[len(h.groups)-1]
	if g.n == 0 {
		h.groups = h.groups[:len(h.groups)-1]
		return
	}
	h.size += g.size
}

// conflict says whether something that t read was written after t's snapshot; if so, since which version.
func (h *history) conflict(t *tx) (uint64, bool) {
	since := t.snap.version
	if since < h.floor {
		return h.floor, true
	}
	for _, k := range t.reads {
		if v, ok := h.last[string(k)]; ok && v > since {
			return v, true
		}
	}
	if len(t.spans) == 0 {
		return 0, false
	}
	for _, g := range slices.Backward(h.groups) {
		if g.version <= since {
			break
		}
		for i := range t.spans {
			if g.touches(&t.spans[i]) {
				return g.version, true
			}
		}
	}
	return 0, false
}

func (g *group) touches(s *span) bool {
	if g.keys == nil {
		return slices.ContainsFunc(g.txs, func(w *writes) bool { return w.touches(s) })
	}
	if !g.sorted {
		slices.SortFunc(g.keys, bytes.Compare)
		g.sorted = true
	}
	i, _ := slices.BinarySearchFunc(g.keys, s.lo, bytes.Compare)
	return i < len(g.keys) && s.has(g.keys[i])
}

// seal lets go of the transactions of a closed group and keeps their keys.
func (g *group) seal() {
	if g.keys != nil {
		return
	}
	g.keys = make([][]byte, 0, g.n)
	for _, w := range g.txs {
		for i := range w.list {
			g.keys = append(g.keys, w.list[i].key)
		}
	}
	g.txs = nil
}

// prune forgets what no transaction on a snapshot from version horizon on is checked against, and as much more as the
// bound demands.
func (h *history) prune(horizon uint64) {
	n := 0
	for _, g := range h.groups {
		if g.version > horizon && h.size <= maxHistory {
			break
		}
		for _, w := range g.txs {
			for i := range w.list {
				h.forget(w.list[i].key, g.version)
			}
		}
		for _, k := range g.keys {
			h.forget(k, g.version)
		}
		h.size -= g.size
		h.floor = max(h.floor, g.version)
		n++
	}
	h.groups = slices.Delete(h.groups, 0, n)
	for _, g := range h.groups {
		g.seal()
	}
}

func (h *history) forget(key []byte, version uint64) {
	if h.last[string(key)] == version {
		delete(h.last, string(key))
	}
}
