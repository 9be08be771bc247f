package pebblekv

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"brume/internal/kv"
)

// scan yields the pairs of rg. With a transaction it merges in the transaction's writes and notes what was read.
func (r *reader) scan(rg kv.Range, t *tx, yield func(kv.Pair, error) bool) {
	if r.over {
		yield(kv.Pair{}, errOver)
		return
	}
	lo, hi := r.arena.key(rg.Start), []byte{dataEnd}
	if rg.End != nil {
		hi = r.arena.key(rg.End)
	}
	if bytes.Compare(lo, hi) >= 0 {
		return
	}
	it, err := r.snap.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		yield(kv.Pair{}, r.fail(err))
		return
	}
	c := cursor{reader: r, tx: t, it: it, lo: lo, hi: hi, reverse: rg.Reverse}
	defer func() {
		// Its error is one that next has reported.
		_ = it.Close()
	}()
	if t != nil {
		c.span = len(t.spans)
		t.spans = append(t.spans, span{lo: lo, hi: lo, hiOpen: true})
		if rg.Reverse {
			t.spans[c.span].lo = hi
			t.spans[c.span].hi = hi
		}
	}
	for n := 1; ; n++ {
		if n%128 == 0 && r.ctx.Err() != nil {
			yield(kv.Pair{}, r.ctx.Err())
			return
		}
		p, ok, err := c.next()
		if err != nil {
			yield(kv.Pair{}, err)
			return
		}
		if !ok || !yield(p, nil) || n == rg.Limit {
			return
		}
		if r.over {
			yield(kv.Pair{}, errOver)
			return
		}
	}
}

// A cursor merges a snapshot with the writes of a transaction, in either direction.
type cursor struct {
	*reader
	tx      *tx // nil in a View
	it      *pebble.Iterator
	lo, hi  []byte // in Pebble
	reverse bool
	span    int // the index in tx.spans of what has been read

	last    []byte // the key passed last, nil before the first
	onPair  bool   // it stands on a pair that has not been passed
	started bool
	ended   bool // it has no more pairs
}

// next returns the next pair, or false at the end.
func (c *cursor) next() (kv.Pair, bool, error) {
	for {
		if !c.onPair && !c.ended {
			c.onPair = c.advance()
			c.ended = !c.onPair
			if err := c.it.Error(); err != nil {
				return kv.Pair{}, false, c.fail(err)
			}
			if why := c.store.invariant.Load(); why != nil {
				return kv.Pair{}, false, c.fail(*why)
			}
		}
		own := c.own()
		if own != nil {
			order := -1
			if c.onPair {
				order = bytes.Compare(own.key, c.it.Key())
				if c.reverse {
					order = -order
				}
			}
			if order <= 0 {
				if order == 0 {
					c.onPair = false // hidden by the write
				}
				c.pass(own.key)
				if own.delete {
					continue
				}
				return kv.Pair{Key: own.key[1:], Value: own.value}, true, nil
			}
		}
		if !c.onPair {
			c.exhausted()
			return kv.Pair{}, false, nil
		}
		value, err := c.it.ValueAndErr()
		if err != nil {
			return kv.Pair{}, false, c.fail(err)
		}
		key := c.arena.copy(c.it.Key())
		value = c.arena.copy(value)
		c.onPair = false
		c.pass(key)
		return kv.Pair{Key: key[1:], Value: value}, true, nil
	}
}

// advance moves the iterator to its next pair.
func (c *cursor) advance() bool {
	first := !c.started
	c.started = true
	switch {
	case first && c.reverse:
		return c.it.Last()
	case first:
		return c.it.First()
	case c.reverse:
		return c.it.Prev()
	default:
		return c.it.Next()
	}
}

// own returns the transaction's next write. It searches anew each time because the closure may have written in between.
func (c *cursor) own() *write {
	if c.tx == nil || len(c.tx.writes.order) == 0 {
		return nil
	}
	w := &c.tx.writes
	if c.reverse {
		limit := c.hi
		if c.last != nil {
			limit = c.last
		}
		i, _ := w.search(limit)
		if i == 0 || bytes.Compare(w.at(i-1).key, c.lo) < 0 {
			return nil
		}
		return w.at(i - 1)
	}
	from := c.lo
	if c.last != nil {
		from = c.last
	}
	i, found := w.search(from)
	if found && c.last != nil {
		i++
	}
	if i == len(w.order) || bytes.Compare(w.at(i).key, c.hi) >= 0 {
		return nil
	}
	return w.at(i)
}

// pass notes that everything up to key has been read.
func (c *cursor) pass(key []byte) {
	c.last = key
	if c.tx == nil {
		return
	}
	s := &c.tx.spans[c.span]
	if c.reverse {
		s.lo = key
	} else {
		s.hi, s.hiOpen = key, false
	}
}

// exhausted notes that the whole range has been read.
func (c *cursor) exhausted() {
	if c.tx == nil {
		return
	}
	s := &c.tx.spans[c.span]
	s.lo, s.hi, s.hiOpen = c.lo, c.hi, true
}
