package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// How many rows and bytes of an item collection are counted, since each write may ask for it; a larger one is said to be
// smaller than it is.
const (
	maxCollectionRows = 10_000
	maxCollectionSize = 64 << 20
)

// collections are the metrics of the item collections that writes touched, by table, if the request wants them: of tables
// with local secondary indexes alone, and as they are some time after the writes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ItemCollections
func (s *Service) collections(ctx context.Context, sc scope, wanted *string, writes ...*write) (map[string][]api.ItemCollectionMetrics, error) {
	if deref(wanted) != "SIZE" {
		return nil, nil
	}
	var out map[string][]api.ItemCollectionMetrics
	err := s.view(ctx, func(r kv.Reader) error {
		out = nil
		seen := map[string]bool{}
		for _, w := range writes {
			t, err := s.findTable(r, sc, w.table)
			if err != nil {
				return err
			}
			if t == nil || !t.hasLocalIndexes() || w.checkOnly {
				continue
			}
			partition := appendPartition(t.rows(nil), &t.Key, w.key)
			if seen[string(partition)] {
				continue
			}
			seen[string(partition)] = true
			metrics, err := t.collection(r, partition, w.key)
			if err != nil {
				return err
			}
			if out == nil {
				out = map[string][]api.ItemCollectionMetrics{}
			}
			out[w.table] = append(out[w.table], *metrics)
		}
		return nil
	})
	return out, err
}

// collection measures the item collection of the item m, whose rows begin with partition.
func (t *table) collection(r kv.Reader, partition []byte, m item.Map) (*api.ItemCollectionMetrics, error) {
	key := item.Map{}
	for _, a := range t.Key.Hash {
		key[a.Name] = m[a.Name]
	}
	prefixes := [][]byte{partition}
	for i := range t.Indexes {
		if x := &t.Indexes[i]; !x.Global {
			prefixes = append(prefixes, appendPartition(t.rows(x), &x.Key, m))
		}
	}
	bytes, rest := int64(0), maxCollectionRows
	for _, prefix := range prefixes {
		if rest == 0 || bytes > maxCollectionSize {
			break
		}
		rng := kv.Prefix(prefix)
		rng.Limit = rest
		n, _, err := countRows(r, rng, maxCollectionSize-bytes)
		if err != nil {
			return nil, err
		}
		bytes += n.Bytes
		rest -= int(n.Items)
	}
	lower := float64(bytes >> 30)
	return &api.ItemCollectionMetrics{ItemCollectionKey: key, SizeEstimateRangeGB: []float64{lower, lower + 1}}, nil
}

// firstCollection is collections for an operation that writes one item.
func (s *Service) firstCollection(ctx context.Context, sc scope, wanted *string, w *write) (*api.ItemCollectionMetrics, error) {
	all, err := s.collections(ctx, sc, wanted, w)
	if err != nil || len(all[w.table]) == 0 {
		return nil, err
	}
	return &all[w.table][0], nil
}

func (t *tableRow) hasLocalIndexes() bool {
	for i := range t.Indexes {
		if !t.Indexes[i].Global {
			return true
		}
	}
	return false
}
