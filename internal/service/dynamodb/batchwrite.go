package dynamodb

import (
	"context"
	"maps"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/item"
)

// maxBatchWrites is how many items one BatchWriteItem may write.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
const maxBatchWrites = 25

// BatchWriteItem puts and deletes items of one or more tables. Here they are written all at once or, on an error, none.
func (s *Service) BatchWriteItem(ctx context.Context, in *api.BatchWriteItemInput) (*api.BatchWriteItemOutput, error) {
	sc := scopeOf(ctx)
	if len(in.RequestItems) == 0 {
		return nil, awserr.Validation("The requestItems parameter is required for BatchWriteItem")
	}
	if len(in.RequestItems) > maxBatchWrites {
		return nil, awserr.Validation("Too many items requested for the BatchWriteItem call")
	}
	tables := slices.Sorted(maps.Keys(in.RequestItems))
	total := 0
	var writes []*write
	for _, requested := range tables {
		requests := in.RequestItems[requested]
		if total += len(requests); total > maxBatchWrites {
			return nil, awserr.Validation("Too many items requested for the BatchWriteItem call")
		}
		name, err := sc.tableName(&requested)
		if err != nil {
			return nil, err
		}
		for _, request := range requests {
			w, err := batchWrite(name, request)
			if err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
	}

	var out *api.BatchWriteItemOutput
	err := s.write(ctx, func(tx *writeTx) error {
		out = &api.BatchWriteItemOutput{UnprocessedItems: map[string][]api.WriteRequest{}}
		for _, w := range writes {
			if _, err := s.table(tx, sc, w.table); err != nil {
				return err
			}
		}
		seen := make(map[string]bool, len(writes))
		for _, w := range writes {
			t, err := s.table(tx, sc, w.table)
			if err != nil {
				return err
			}
			if w.put && !w.hasKey(t) {
				return keyMismatch()
			}
			if err := w.check(t); err != nil {
				return err
			}
			key := string(t.itemKey(w.key))
			if seen[key] {
				return awserr.Validation("Provided list of item keys contains duplicates")
			}
			seen[key] = true
		}
		all := consumptions{wanted: in.ReturnConsumedCapacity}
		for _, w := range writes {
			if _, err := w.run(s, tx, sc, all.of(w.table)); err != nil {
				return err
			}
		}
		out.ConsumedCapacity = all.output()
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.ItemCollectionMetrics, err = s.collections(ctx, sc, in.ReturnItemCollectionMetrics, writes...)
	return out, err
}

// hasKey reports whether the item of a put has the key attributes.
func (w *write) hasKey(t *table) bool {
	for a := range t.Key.each {
		if v := w.key[a.Name]; v == nil || item.Type(v) != a.Type {
			return false
		}
	}
	return true
}

func batchWrite(table string, request api.WriteRequest) (*write, error) {
	switch put, remove := request.PutRequest, request.DeleteRequest; {
	case put != nil && remove != nil:
		return nil, awserr.Validation("Supplied WriteRequest has more than one operation set, must contain exactly one of the supported operations")
	case put != nil:
		if err := canonicalItem(put.Item); err != nil {
			return nil, err
		}
		return newPut(table, put.Item)
	case remove != nil:
		return &write{table: table, key: remove.Key, remove: true}, canonicalItem(remove.Key)
	}
	// DynamoDB does say this of a request that has none.
	return nil, awserr.Validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
}

// consumptions are those of several tables, in the order of their first use.
type consumptions struct {
	wanted *string
	kind   consumptionKind
	list   []*consumption
}

// of returns the consumption of one table, nil if none is wanted.
func (c *consumptions) of(table string) *consumption {
	for _, used := range c.list {
		if used.table == table {
			return used
		}
	}
	used := newConsumption(c.wanted, table)
	if used != nil {
		used.kind = c.kind
		c.list = append(c.list, used)
	}
	return used
}

func (c *consumptions) output() []api.ConsumedCapacity {
	var out []api.ConsumedCapacity
	for _, used := range c.list {
		out = append(out, *used.output())
	}
	return out
}
