package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// PutItem stores an item in the place of one with its key, if there is one.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
func (s *Service) PutItem(ctx context.Context, in *api.PutItemInput) (*api.PutItemOutput, error) {
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
	if err := canonicalItem(in.Item); err != nil {
		return nil, err
	}
	if !oneOf(in.ReturnValues, "NONE", "ALL_OLD") {
		return nil, awserr.Validation("ReturnValues can only be ALL_OLD or NONE")
	}
	w, err := newPut(table, in.Item)
	if err != nil {
		return nil, err
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
	w.onFailure = in.ReturnValuesOnConditionCheckFailure
	w.wantOld = deref(in.ReturnValues) == "ALL_OLD"

	out := new(api.PutItemOutput)
	err = s.write(ctx, func(tx *writeTx) error {
		used := newConsumption(in.ReturnConsumedCapacity, table)
		result, err := w.run(s, tx, sc, used)
		if err != nil {
			return err
		}
		out.ConsumedCapacity = used.output()
		if w.wantOld {
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

// oldAttributes are the ALL_OLD of a write.
func oldAttributes(old item.Encoded) (item.Map, error) {
	if len(old) == 0 {
		return nil, nil
	}
	return item.Decode(old)
}

// oneOf reports whether a parameter is absent or one of the words.
func oneOf(param *string, words ...string) bool {
	if param == nil {
		return true
	}
	for _, w := range words {
		if *param == w {
			return true
		}
	}
	return false
}
