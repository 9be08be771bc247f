package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// GetItem returns an item. All reads are consistent here; what ConsistentRead changes is the capacity consumed.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html
func (s *Service) GetItem(ctx context.Context, in *api.GetItemInput) (*api.GetItemOutput, error) {
	sc := scopeOf(ctx)
	table, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkProjection(in.ProjectionExpression, in.ExpressionAttributeNames, in.AttributesToGet); err != nil {
		return nil, err
	}
	if err := canonicalItem(in.Key); err != nil {
		return nil, err
	}
	sel, err := projection(in.ProjectionExpression, in.ExpressionAttributeNames, in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	g := &get{table, in.Key, sel}
	out := new(api.GetItemOutput)
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.table(r, sc, table)
		if err != nil {
			return err
		}
		if err := g.check(t); err != nil {
			return err
		}
		var size int
		if out.Item, size, err = g.run(r, t); err != nil {
			return err
		}
		used := newConsumption(in.ReturnConsumedCapacity, table)
		used.add(readUnits(size, deref(in.ConsistentRead)))
		out.ConsumedCapacity = used.output()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A get is one item to be read.
type get struct {
	table     string
	key       item.Map
	selection *selection
}

// checkProjection checks which parameters of a get stand together, projection looks into them.
func checkProjection(projection *string, names map[string]string, attributesToGet []string) error {
	return checkParameters(names, nil, []exprParam{{expression.Projection, projection}},
		[]legacyParam{{"AttributesToGet", attributesToGet != nil}})
}

func projection(projection *string, names map[string]string, attributesToGet []string) (*selection, error) {
	if err := checkAttributesToGet(attributesToGet); err != nil {
		return nil, err
	}
	p, err := placeholders(names, nil)
	if err != nil {
		return nil, err
	}
	sel, err := newSelection(p, projection, attributesToGet)
	if err == nil {
		err = p.Unused()
	}
	return sel, err
}

// check checks the get against the table's schema.
func (g *get) check(t *table) error {
	if err := checkKey(&t.Key, g.key); err != nil {
		return err
	}
	return t.checkScalarKeys(g.selection.paths)
}

// run returns the item, nil if there is none, and the size of all of it.
func (g *get) run(r kv.Reader, t *table) (item.Map, int, error) {
	row, ok, err := r.Get(t.itemKey(g.key))
	if err != nil || !ok {
		return nil, 0, err
	}
	size, err := item.Encoded(row).Size()
	if err != nil {
		return nil, 0, err
	}
	m, err := g.selection.decode(row)
	return m, size, err
}
