package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// UpdateItem changes attributes of an item, and makes the item if there is none.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
func (s *Service) UpdateItem(ctx context.Context, in *api.UpdateItemInput) (*api.UpdateItemOutput, error) {
	sc := scopeOf(ctx)
	table, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	condition := exprParam{expression.Condition, in.ConditionExpression}
	exprs := []exprParam{{expression.Update, in.UpdateExpression}, condition}
	legacy := []legacyParam{
		{"AttributeUpdates", in.AttributeUpdates != nil}, {"Expected", in.Expected != nil},
		{"ConditionalOperator", in.ConditionalOperator != nil},
	}
	if err := checkParameters(in.ExpressionAttributeNames, in.ExpressionAttributeValues, exprs, legacy); err != nil {
		return nil, err
	}
	w := &write{table: table, key: in.Key, onFailure: in.ReturnValuesOnConditionCheckFailure}
	if err := canonicalItem(in.Key); err != nil {
		return nil, err
	}
	if w.change, err = expression.AttributeUpdates(in.AttributeUpdates); err != nil {
		return nil, err
	}
	if w.condition, err = expected(in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	p, err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	w.alone = in.UpdateExpression != nil
	if err := w.parse(p, in.UpdateExpression, condition); err != nil {
		return nil, err
	}

	out := new(api.UpdateItemOutput)
	err = s.write(ctx, func(tx *writeTx) error {
		used := newConsumption(in.ReturnConsumedCapacity, table)
		result, err := w.run(s, tx, sc, used)
		if err != nil {
			return err
		}
		out.ConsumedCapacity = used.output()
		out.Attributes, err = w.returned(deref(in.ReturnValues), result)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.ItemCollectionMetrics, err = s.firstCollection(ctx, sc, in.ReturnItemCollectionMetrics, w)
	return out, err
}

// returned are the attributes that an update returns, nil for none.
func (w *write) returned(returnValues string, result outcome) (item.Map, error) {
	switch returnValues {
	case "ALL_NEW":
		return result.new, nil
	case "UPDATED_NEW":
		return w.updated(result.new), nil
	case "ALL_OLD":
		return oldAttributes(result.old)
	case "UPDATED_OLD":
		old, err := oldAttributes(result.old)
		return w.updated(old), err
	}
	return nil, nil
}

// updated are those parts of an item that the update is about.
func (w *write) updated(m item.Map) item.Map {
	if w.change == nil || m == nil {
		return nil
	}
	if m = expression.NewProjector(w.change.Paths()).Project(m); len(m) == 0 {
		return nil
	}
	return m
}
