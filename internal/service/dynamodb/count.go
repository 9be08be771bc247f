package dynamodb

import (
	"bytes"
	"context"
	"math"
	"sync"
	"time"

	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

const (
	// smallTable is how many rows DescribeTable counts at once.
	smallTable = 2000
	// smallSize is how many bytes of items it looks at.
	smallSize = 8 << 20
	// countLife is how long a count of a larger table is good. AWS counts about every six hours.
	countLife = 10 * time.Minute
	// maxCounts bounds how many counts are kept.
	maxCounts = 10_000
)

type rowCount struct{ Items, Bytes int64 }

// tableSizes are the numbers of items of a table and its indexes, and their sizes.
type tableSizes struct {
	table   rowCount
	indexes map[uint32]rowCount
}

// A counter keeps what was counted of larger tables. The counts are lost with the process, and made again when asked for.
type counter struct {
	mu     sync.Mutex
	counts map[uint64]*tableCount // by table id
}

type tableCount struct {
	sizes   tableSizes
	at      time.Time // zero if never counted
	wanted  bool
	numbers []uint32 // of the indexes to count
}

func (c *counter) forget(table uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.counts, table)
}

// sizes returns the sizes of a table: of a small one as they are, of a larger one as they were when last counted; if that
// is too long ago, Run counts again.
func (s *Service) sizes(r kv.Reader, t *table) (*tableSizes, error) {
	sizes := &tableSizes{indexes: map[uint32]rowCount{}}
	rest, restSize := smallTable, int64(smallSize)
	count := func(prefix []byte) (rowCount, error) {
		rng := kv.Prefix(prefix)
		rng.Limit = rest + 1
		n, _, err := countRows(r, rng, restSize)
		if rest, restSize = rest-int(n.Items), restSize-n.Bytes; restSize < 0 {
			rest = -1
		}
		return n, err
	}
	var err error
	if sizes.table, err = count(t.rows(nil)); err != nil {
		return nil, err
	}
	for i := 0; i < len(t.Indexes) && rest >= 0; i++ {
		if sizes.indexes[t.Indexes[i].Number], err = count(t.rows(&t.Indexes[i])); err != nil {
			return nil, err
		}
	}
	if rest >= 0 {
		return sizes, nil
	}

	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	known := s.counts.counts[t.ID]
	if known == nil {
		if s.counts.counts == nil || len(s.counts.counts) >= maxCounts {
			s.counts.counts = map[uint64]*tableCount{}
		}
		known = &tableCount{sizes: *sizes}
		s.counts.counts[t.ID] = known
	}
	if time.Since(known.at) > countLife {
		known.wanted = true
		known.numbers = known.numbers[:0]
		for _, x := range t.Indexes {
			known.numbers = append(known.numbers, x.Number)
		}
		s.wake()
	}
	return new(known.sizes), nil
}

// countRows counts the rows of a range until they have more than most bytes, and returns the last key, nil if there was none.
func countRows(r kv.Reader, rng kv.Range, most int64) (n rowCount, last []byte, err error) {
	for pair, err := range r.Scan(rng) {
		if err != nil {
			return n, nil, err
		}
		size, err := item.Encoded(pair.Value).Size()
		if err != nil {
			return n, nil, err
		}
		n.Items++
		n.Bytes += int64(size)
		last = pair.Key
		if n.Bytes > most {
			break
		}
	}
	return n, bytes.Clone(last), nil
}

// count counts the tables that are wanted.
func (s *Service) count(ctx context.Context) error {
	for {
		var (
			table   uint64
			numbers []uint32
			found   bool
		)
		s.counts.mu.Lock()
		for id, c := range s.counts.counts {
			if c.wanted {
				c.wanted = false
				table, numbers, found = id, append(numbers, c.numbers...), true
				break
			}
		}
		s.counts.mu.Unlock()
		if !found {
			return nil
		}
		sizes := tableSizes{indexes: map[uint32]rowCount{}}
		var err error
		if sizes.table, err = s.countAll(ctx, itemPrefix(table)); err != nil {
			return err
		}
		for _, n := range numbers {
			if sizes.indexes[n], err = s.countAll(ctx, indexPrefix(table, n)); err != nil {
				return err
			}
		}
		s.counts.mu.Lock()
		if c := s.counts.counts[table]; c != nil {
			c.sizes, c.at = sizes, time.Now()
		}
		s.counts.mu.Unlock()
	}
}

// countAll counts the rows that begin with a prefix, a chunk at a time, so that no old state of the store is held on to.
func (s *Service) countAll(ctx context.Context, prefix []byte) (rowCount, error) {
	var sum rowCount
	rng := kv.Prefix(prefix)
	rng.Limit = chunk
	for {
		var (
			n    rowCount
			last []byte
		)
		err := s.view(ctx, func(r kv.Reader) (err error) {
			n, last, err = countRows(r, rng, math.MaxInt64)
			return err
		})
		if err != nil {
			return rowCount{}, err
		}
		sum.Items += n.Items
		sum.Bytes += n.Bytes
		if n.Items < chunk {
			return sum, nil
		}
		rng = after(rng, last)
	}
}
