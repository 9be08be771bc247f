package dynamodb

import (
	"bytes"
	"context"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// Query reads the items of one partition key, in the order of their sort keys.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
func (s *Service) Query(ctx context.Context, in *api.QueryInput) (*api.QueryOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	filter := exprParam{expression.Filter, in.FilterExpression}
	legacy := []legacyParam{
		{"AttributesToGet", in.AttributesToGet != nil}, {"QueryFilter", in.QueryFilter != nil},
		{"ConditionalOperator", in.ConditionalOperator != nil},
		// KeyConditions may stand beside the expressions of other parameters.
		{"KeyConditions", in.KeyConditions != nil && in.KeyConditionExpression != nil},
	}
	p, err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues, []exprParam{
		{expression.Projection, in.ProjectionExpression}, filter, {expression.KeyCondition, in.KeyConditionExpression},
	}, legacy)
	if err != nil {
		return nil, err
	}
	oldFilter, err := legacyFilter(in.QueryFilter, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	conds, err := keyConds(p, in)
	if err != nil {
		return nil, err
	}
	pg, err := newPage(p, reads{
		in.IndexName, in.ExclusiveStartKey, in.Limit, filter, oldFilter, in.ProjectionExpression, in.AttributesToGet, in.Select,
		in.ConsistentRead,
	})
	if err != nil {
		return nil, err
	}
	if err := p.Unused(); err != nil {
		return nil, err
	}
	reverse := in.ScanIndexForward != nil && !*in.ScanIndexForward

	var out *api.QueryOutput
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.table(r, sc, name)
		if err != nil {
			return err
		}
		x, err := pg.index(t)
		if err != nil {
			return err
		}
		k := &t.Key
		if x != nil {
			k = &x.Key
		}
		if err := pg.checkFilter(k); err != nil {
			return err
		}
		partition, rng, err := keyRange(t.rows(x), k, conds)
		if err != nil {
			return err
		}
		rng.Reverse = reverse
		if pg.start != nil {
			key, err := t.startKey(x, pg.start)
			if err != nil {
				return err
			}
			if !bytes.HasPrefix(key, partition) {
				return awserr.Validation("The provided starting key is outside query boundaries based on provided conditions")
			}
			if !contains(rng, key) {
				return awserr.Validation("The provided starting key does not match the range key predicate")
			}
			rng = after(rng, key)
		}
		used := newConsumption(in.ReturnConsumedCapacity, name)
		f, err := pg.read(r, t, x, rng, used)
		if err != nil {
			return err
		}
		out = &api.QueryOutput{
			Items: f.items, Count: new(f.count), ScannedCount: new(f.scanned), LastEvaluatedKey: f.last,
			ConsumedCapacity: used.output(),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// keyConds are the conditions of KeyConditionExpression or its forerunner KeyConditions.
func keyConds(p *expression.Placeholders, in *api.QueryInput) ([]expression.KeyCond, error) {
	switch {
	case in.KeyConditionExpression != nil:
		return p.KeyCondition(*in.KeyConditionExpression)
	case in.KeyConditions != nil:
		return expression.KeyConditions(in.KeyConditions)
	}
	return nil, awserr.Validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
}

// checkFilter refuses filters on the key, which the key condition is for.
func (pg *page) checkFilter(k *keySchema) error {
	if pg.filter == nil {
		return nil
	}
	parameter := "Filter Expression"
	if pg.legacyFilter {
		parameter = "QueryFilter"
	}
	for _, path := range pg.filter.Paths() {
		if k.has(path.Head()) {
			return awserr.Validation("%s can only contain non-primary key attributes: Primary key attribute: %s", parameter, path.Head())
		}
	}
	return nil
}

// keyRange returns the rows that key conditions select, of those that begin with prefix and have the key k, and the
// prefix of the whole partition.
func keyRange(prefix []byte, k *keySchema, conds []expression.KeyCond) (partition []byte, rng kv.Range, err error) {
	find := func(a attribute) *expression.KeyCond {
		i := slices.IndexFunc(conds, func(c expression.KeyCond) bool { return c.Attribute == a.Name })
		if i < 0 {
			return nil
		}
		return &conds[i]
	}
	hash := item.Map{}
	for _, a := range k.Hash {
		c := find(a)
		if c == nil {
			return nil, kv.Range{}, missedKey(a)
		}
		if err := checkKeyCond(c, a, true); err != nil {
			return nil, kv.Range{}, err
		}
		if c.Op != expression.KeyEQ {
			return nil, kv.Range{}, notSupported()
		}
		hash[a.Name] = c.Values[0]
	}
	partition = appendPartition(prefix, k, hash)
	rng = kv.Prefix(partition)
	used := len(k.Hash)
	// Sort keys are taken from the left: equality first, then one range.
	at := partition
	for _, a := range k.Range {
		c := find(a)
		if c == nil {
			break
		}
		if err := checkKeyCond(c, a, false); err != nil {
			return nil, kv.Range{}, err
		}
		used++
		rng = sortRange(at, c)
		if c.Op != expression.KeyEQ {
			if used < len(conds) {
				return nil, kv.Range{}, notSupported()
			}
			break
		}
		at = rng.Start
	}
	if used == len(conds) {
		return partition, rng, nil
	}
	// Some condition is on an attribute that is no key, or not the next one.
	for _, a := range k.Range {
		if find(a) == nil {
			return nil, kv.Range{}, missedKey(a)
		}
	}
	return nil, kv.Range{}, notSupported()
}

func notSupported() error { return awserr.Validation("Query key condition not supported") }

func missedKey(a attribute) error {
	return awserr.Validation("Query condition missed key schema element: %s", a.Name)
}

func checkKeyCond(c *expression.KeyCond, a attribute, hash bool) error {
	if c.Op == expression.KeyUnindexable {
		return awserr.Validation("Attempted conditional constraint is not an indexable operation")
	}
	for _, v := range c.Values {
		if item.Type(v) != a.Type {
			return invalid("Condition parameter type does not match schema type")
		}
		if c.Op == expression.KeyBeginsWith {
			continue // any prefix will do
		}
		if err := checkKeyValue(a.Name, v, hash); err != nil {
			return err
		}
	}
	return nil
}

// sortRange returns the rows after prefix whose next sort key meets a condition.
func sortRange(prefix []byte, c *expression.KeyCond) kv.Range {
	prefix = slices.Clip(prefix)
	at := appendSort(prefix, c.Values[0])
	switch c.Op {
	case expression.KeyEQ:
		return kv.Prefix(at)
	case expression.KeyLT:
		return kv.Range{Start: prefix, End: at}
	case expression.KeyLE:
		return kv.Range{Start: prefix, End: kv.PrefixEnd(at)}
	case expression.KeyGT:
		return kv.Range{Start: kv.PrefixEnd(at), End: kv.PrefixEnd(prefix)}
	case expression.KeyGE:
		return kv.Range{Start: at, End: kv.PrefixEnd(prefix)}
	case expression.KeyBetween:
		return kv.Range{Start: at, End: kv.PrefixEnd(appendSort(prefix, c.Values[1]))}
	}
	return kv.Prefix(appendSortPrefix(prefix, c.Values[0]))
}
