package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
)

// DeleteItem removes an item. It is no error if there is none.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteItem.html
func (s *Service) DeleteItem(ctx context.Context, in *api.DeleteItemInput) (*api.DeleteItemOutput, error) {
	sc := scopeOf(ctx)
	table, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	condition := exprParam{expression.Condition, in.ConditionExpression}
	legacy := []legacyParam{{"Expected", in.Expected != nil}, {"ConditionalOperator", in.ConditionalOperator != nil}}
	if err := checkParameters(in.ExpressionAttributeNames, in.ExpressionAttributeValues, []exprParam{condition}, legacy); err != nil {
		return nil, err
	}
	w := &write{table: table, key: in.Key, remove: true, onFailure: in.ReturnValuesOnConditionCheckFailure}
	if err := canonicalItem(in.Key); err != nil {
		return nil, err
	}
	if !oneOf(in.ReturnValues, "NONE", "ALL_OLD") {
		return nil, awserr.Validation("ReturnValues can only be ALL_OLD or NONE")
	}
	if w.condition, err = expected(in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	p, err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	if err := w.parse(p, nil, condition); err != nil {
		return nil, err
	}

	out := new(api.DeleteItemOutput)
	err = s.write(ctx, func(tx *writeTx) error {
		used := newConsumption(in.ReturnConsumedCapacity, table)
		result, err := w.run(s, tx, sc, used)
		if err != nil {
			return err
		}
		out.ConsumedCapacity = used.output()
		if deref(in.ReturnValues) == "ALL_OLD" {
			out.Attributes, err = oldAttributes(result.old)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out.ItemCollectionMetrics, err = s.firstCollection(ctx, sc, in.ReturnItemCollectionMetrics, w)
	return out, err
}
