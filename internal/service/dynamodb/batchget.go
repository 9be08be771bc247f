package dynamodb

import (
	"context"
	"maps"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// Limits of BatchGetItem.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
const (
	maxBatchGets    = 100
	maxBatchGetSize = 16 << 20
)

// BatchGetItem returns items of one or more tables. Those beyond 16 MB are left as UnprocessedKeys.
func (s *Service) BatchGetItem(ctx context.Context, in *api.BatchGetItemInput) (*api.BatchGetItemOutput, error) {
	sc := scopeOf(ctx)
	if len(in.RequestItems) == 0 {
		return nil, awserr.Validation("The requestItems parameter is required for BatchGetItem")
	}
	if len(in.RequestItems) > maxBatchGets {
		return nil, awserr.Validation("Too many items requested for the BatchGetItem call")
	}
	tables := slices.Sorted(maps.Keys(in.RequestItems))
	total, expressions, legacy := 0, false, false
	gets := map[string][]*get{}
	for _, requested := range tables {
		request := in.RequestItems[requested]
		if total += len(request.Keys); total > maxBatchGets {
			return nil, awserr.Validation("Too many items requested for the BatchGetItem call")
		}
		name, err := sc.tableName(&requested)
		if err != nil {
			return nil, err
		}
		if err := checkProjection(request.ProjectionExpression, request.ExpressionAttributeNames, request.AttributesToGet); err != nil {
			return nil, err
		}
		sel, err := projection(request.ProjectionExpression, request.ExpressionAttributeNames, request.AttributesToGet)
		if err != nil {
			return nil, err
		}
		for _, key := range request.Keys {
			if err := canonicalItem(key); err != nil {
				return nil, err
			}
			gets[requested] = append(gets[requested], &get{name, key, sel})
		}
		expressions = expressions || request.ProjectionExpression != nil
		legacy = legacy || request.AttributesToGet != nil
		if hasDuplicates(request.Keys) {
			return nil, awserr.Validation("Provided list of item keys contains duplicates")
		}
	}

	if expressions && legacy {
		return nil, mixedParameters([]string{"AttributesToGet"}, []string{string(expression.Projection)})
	}

	var out *api.BatchGetItemOutput
	err := s.view(ctx, func(r kv.Reader) error {
		out = &api.BatchGetItemOutput{
			Responses:       map[string][]map[string]api.AttributeValue{},
			UnprocessedKeys: map[string]api.KeysAndAttributes{},
		}
		found := make([]*table, len(tables))
		for i, requested := range tables {
			var err error
			if found[i], err = s.table(r, sc, gets[requested][0].table); err != nil {
				return err
			}
		}
		for i, requested := range tables {
			for _, g := range gets[requested] {
				if err := g.check(found[i]); err != nil {
					return err
				}
			}
		}
		size := 0
		for i, requested := range tables {
			request := in.RequestItems[requested]
			t, name := found[i], gets[requested][0].table
			used := newConsumption(in.ReturnConsumedCapacity, name)
			items := []map[string]api.AttributeValue{}
			for i, g := range gets[requested] {
				if size >= maxBatchGetSize {
					rest := request
					rest.Keys = request.Keys[i:]
					out.UnprocessedKeys[requested] = rest
					break
				}
				m, n, err := g.run(r, t)
				if err != nil {
					return err
				}
				used.add(readUnits(n, deref(request.ConsistentRead)))
				size += n
				if m != nil {
					items = append(items, m)
				}
			}
			out.Responses[requested] = items
			if used != nil {
				out.ConsumedCapacity = append(out.ConsumedCapacity, *used.output())
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// hasDuplicates reports whether two keys of a batch are equal. They must be canonical.
func hasDuplicates(keys []item.Map) bool {
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		enc := string(item.Append(nil, key, 0))
		if seen[enc] {
			return true
		}
		seen[enc] = true
	}
	return false
}
