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
	if err := checkParameters(in.ExpressionAttributeNames, in.ExpressionAttributeValues, []exprParam{
		{expression.Projection, in.ProjectionExpression}, filter, {expression.KeyCondition, in.KeyConditionExpression},
	}, legacy); err != nil {
		return nil, err
	}
	oldFilter, err := legacyFilter(in.QueryFilter, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	if err := checkAttributesToGet(in.AttributesToGet); err != nil {
		return nil, err
	}
	r := reads{
		in.IndexName, in.ExclusiveStartKey, in.Limit, filter, oldFilter, in.ProjectionExpression, in.AttributesToGet, in.Select,
		in.ConsistentRead,
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if in.KeyConditionExpression == nil && in.KeyConditions == nil {
		return nil, awserr.Validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	p, err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	keyCondition, err := predicate(p, exprParam{expression.KeyCondition, in.KeyConditionExpression})
	if err != nil {
		return nil, err
	}
	pg, err := r.page(p)
	if err != nil {
		return nil, err
	}
	if err := p.Unused(); err != nil {
		return nil, err
	}
	conds, err := keyConds(keyCondition, in)
	if err != nil {
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
		if pg.start != nil && !pg.hasStartSize(t, x) {
			return invalidStart()
		}
		if err := pg.checkKeyConds(k, conds); err != nil {
			return err
		}
		partition, rng := keyRange(t.rows(x), k, conds)
		rng.Reverse = reverse
		if pg.start != nil {
			if err := pg.checkStartKey(t); err != nil {
				return err
			}
			key := pg.startRow(t, x)
			if err := checkStartRow(t, x, k, pg.start, key, partition, conds); err != nil {
				return err
			}
			rng = after(rng, key)
		}
		if err := t.checkScalarKeys(pg.selection.paths); err != nil {
			return err
		}
		if err := pg.checkFilter(k); err != nil {
			return err
		}
		if err := pg.checkProjected(t, x); err != nil {
			return err
		}
		if err := pg.checkFiltered(t, x); err != nil {
			return err
		}
		if pg.filter != nil {
			if err := t.checkScalarKeys(pg.filter.Paths()); err != nil {
				return err
			}
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

// maxKeyConditions: the partition key and the sort key. Only the keys of global indexes can have more attributes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.DesignPattern.MultiAttributeKeys.html
const maxKeyConditions = 2

// keyConds are the conditions of KeyConditionExpression, parsed, or its forerunner KeyConditions.
func keyConds(parsed *expression.Predicate, in *api.QueryInput) (conds []expression.KeyCond, err error) {
	if parsed != nil {
		conds, err = parsed.KeyConds()
	} else {
		conds, err = expression.KeyConditions(in.KeyConditions)
	}
	if err != nil {
		return nil, err
	}
	if len(conds) == 0 || len(conds) > maxKeyConditions && (parsed == nil || in.IndexName == nil) {
		return nil, awserr.Validation("Conditions can be of length 1 or 2 only")
	}
	return conds, nil
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

// find returns the condition on an attribute, nil if there is none.
func find(conds []expression.KeyCond, a attribute) *expression.KeyCond {
	i := slices.IndexFunc(conds, func(c expression.KeyCond) bool { return c.Attribute == a.Name })
	if i < 0 {
		return nil
	}
	return &conds[i]
}

// checkKeyConds checks conditions, and the start, against the key k, attribute by attribute.
func (pg *page) checkKeyConds(k *keySchema, conds []expression.KeyCond) error {
	found, ended := 0, false
	i := -1
	for a := range k.each {
		i++
		hash := i < len(k.Hash)
		if pg.start != nil {
			if err := pg.checkStartPart(a, hash); err != nil {
				return err
			}
		}
		if len(k.Range) == 0 && len(conds) > len(k.Hash) {
			return notSupported()
		}
		c := find(conds, a)
		if c == nil {
			if hash || found < len(conds) {
				return missedKey(a)
			}
			continue
		}
		found++
		if err := checkKeyCond(c, a, hash); err != nil {
			return err
		}
		// Sort keys are taken from the left: equality first, then one range.
		if ended || hash && c.Op != expression.KeyEQ {
			return notSupported()
		}
		ended = c.Op != expression.KeyEQ
	}
	if found < len(conds) {
		return notSupported()
	}
	return nil
}

// keyRange returns the rows that conditions, checked before, select, of those that begin with prefix and have the key k, and
// the prefix of the whole partition.
func keyRange(prefix []byte, k *keySchema, conds []expression.KeyCond) (partition []byte, rng kv.Range) {
	hash := item.Map{}
	for _, a := range k.Hash {
		hash[a.Name] = find(conds, a).Values[0]
	}
	partition = appendPartition(prefix, k, hash)
	rng = kv.Prefix(partition)
	at := partition
	for _, a := range k.Range {
		c := find(conds, a)
		if c == nil {
			break
		}
		rng = sortRange(at, c)
		at = rng.Start
	}
	return partition, rng
}

// checkStartRow refuses a start that the query could not have come to.
func checkStartRow(t *table, x *index, k *keySchema, start item.Map, key, partition []byte, conds []expression.KeyCond) error {
	inside := bytes.HasPrefix(key, partition)
	sorted := slices.ContainsFunc(k.Range, func(a attribute) bool { return find(conds, a) != nil })
	if !sorted {
		if !inside {
			return awserr.Validation("The provided starting key is outside query boundaries based on provided conditions")
		}
		return nil
	}
	// The sort key's condition is asked of the start's own partition.
	_, own := keyRange(t.rows(x), k, slices.Concat(ownPartition(k, start), conds))
	switch {
	case !contains(own, key):
		return awserr.Validation("The provided starting key does not match the range key predicate")
	case !inside:
		return awserr.Validation("The query can return at most one row and cannot be restarted")
	}
	return nil
}

// ownPartition are conditions that select the partition of an item.
func ownPartition(k *keySchema, m item.Map) []expression.KeyCond {
	var conds []expression.KeyCond
	for _, a := range k.Hash {
		conds = append(conds, expression.KeyCond{Attribute: a.Name, Values: []api.AttributeValue{m[a.Name]}})
	}
	return conds
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
