package pebblekv

import (
	"bytes"
	"slices"
	"sort"
)

// A write is one changed key.
type write struct {
	key    []byte // in Pebble
	value  []byte
	delete bool
}

// writes is what a transaction has changed: the last write to each key.
type writes struct {
	list  []write
	order []int32 // indices of list, by key; four bytes are cheaper to move than a write
	size  int     // bytes of keys and values
}

// at returns the i-th write by key.
func (w *writes) at(i int) *write { return &w.list[w.order[i]] }

// search returns the place of the first write whose key is not before key, and whether it is key itself.
func (w *writes) search(key []byte) (int, bool) {
	n := len(w.order)
	if n == 0 || bytes.Compare(w.at(n-1).key, key) < 0 { // keys often come in order
		return n, false
	}
	i := sort.Search(n, func(i int) bool { return bytes.Compare(w.at(i).key, key) >= 0 })
	return i, bytes.Equal(w.at(i).key, key)
}

func (w *writes) put(new write) {
	w.size += len(new.key) + len(new.value)
	i, found := w.search(new.key)
	if found {
		old := w.at(i)
		w.size -= len(old.key) + len(old.value)
		*old = new
		return
	}
	w.list = append(w.list, new)
	w.order = slices.Insert(w.order, i, int32(len(w.list)-1))
}

// touches says whether a key within s was written.
func (w *writes) touches(s *span) bool {
	i, _ := w.search(s.lo)
	return i < len(w.order) && s.has(w.at(i).key)
}

// low returns the first key with the prefix that was set, nil if there is none.
func (w *writes) low(prefix []byte) []byte {
	for i, _ := w.search(prefix); i < len(w.order); i++ {
		one := w.at(i)
		if !bytes.HasPrefix(one.key, prefix) {
			return nil
		}
		if !one.delete {
			return one.key
		}
	}
	return nil
}
