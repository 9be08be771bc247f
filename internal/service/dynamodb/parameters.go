package dynamodb

import (
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// An exprParam is a parameter that may hold an expression, nil if the request does not have it.
type exprParam struct {
	name expression.Parameter
	src  *string
}

// A legacyParam is a parameter of the time before expressions.
type legacyParam struct {
	name  string
	given bool
}

// checkParameters checks which parameters of expressions stand together, before anything looks into them.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
func checkParameters(names map[string]string, values item.Map, exprs []exprParam, legacy []legacyParam) error {
	var given, old []string
	valued, takeValues := false, []string(nil)
	for _, e := range exprs {
		if e.src != nil {
			given = append(given, string(e.name))
		}
		if e.name != expression.Projection {
			takeValues = append(takeValues, string(e.name))
			valued = valued || e.src != nil
		}
	}
	for _, l := range legacy {
		if l.given {
			old = append(old, l.name)
		}
	}
	if len(given) > 0 && len(old) > 0 {
		return mixedParameters(old, given)
	}
	if names != nil && len(given) == 0 {
		return awserr.Validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	if values != nil && !valued {
		verb := "is"
		if len(takeValues) > 1 {
			verb = "are"
		}
		if len(given) == 0 && len(takeValues) == 0 {
			return awserr.Validation("ExpressionAttributeValues can only be specified when using expressions")
		}
		return awserr.Validation("ExpressionAttributeValues can only be specified when using expressions: %s %s null",
			strings.Join(takeValues, " and "), verb)
	}
	return nil
}

func mixedParameters(old, given []string) error {
	return awserr.Validation("Can not use both expression and non-expression parameters in the same request: "+
		"Non-expression parameters: {%s} Expression parameters: {%s}", strings.Join(old, ", "), strings.Join(given, ", "))
}

// placeholders are those that a request's expressions use.
func placeholders(names map[string]string, values item.Map) (*expression.Placeholders, error) {
	if names == nil && values == nil {
		return new(expression.Placeholders), nil
	}
	return expression.NewPlaceholders(names, values)
}

// conditionalOperator checks ConditionalOperator against the number of legacy conditions that it combines, and reports
// whether it is OR.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.ConditionalOperator.html
func conditionalOperator(operator *string, conditions int) (anyOf bool, err error) {
	switch {
	case operator != nil && conditions == 0:
		return false, awserr.Validation("ConditionalOperator cannot be used without Filter or Expected")
	case operator != nil && conditions == 1:
		return false, awserr.Validation("ConditionalOperator can only be used when Filter or Expected has two or more elements")
	}
	return deref(operator) == "OR", nil
}

// expected makes the condition of the parameters Expected and ConditionalOperator, nil if there is none.
func expected(conditions map[string]api.ExpectedAttributeValue, operator *string) (*expression.Predicate, error) {
	anyOf, err := conditionalOperator(operator, len(conditions))
	if err != nil {
		return nil, err
	}
	return expression.Expected(conditions, anyOf)
}

// legacyFilter makes the filter of QueryFilter or ScanFilter and ConditionalOperator, nil if there is none.
func legacyFilter(conditions map[string]api.Condition, operator *string) (*expression.Predicate, error) {
	anyOf, err := conditionalOperator(operator, len(conditions))
	if err != nil {
		return nil, err
	}
	return expression.Conditions(conditions, anyOf)
}

// predicate parses a condition or filter, nil if the request has none.
func predicate(p *expression.Placeholders, e exprParam) (*expression.Predicate, error) {
	if e.src == nil {
		return nil, nil
	}
	return p.Predicate(e.name, *e.src)
}

// A selection is which attributes a read returns: all of them if it has no paths.
type selection struct {
	paths     []expression.Path
	projector *expression.Projector
}

func selectionOf(paths []expression.Path) *selection {
	if len(paths) == 0 {
		return new(selection)
	}
	return &selection{paths, expression.NewProjector(paths)}
}

// newSelection parses ProjectionExpression or its forerunner AttributesToGet.
func newSelection(p *expression.Placeholders, projection *string, attributesToGet []string) (*selection, error) {
	var paths []expression.Path
	if projection != nil {
		var err error
		if paths, err = p.Projection(*projection); err != nil {
			return nil, err
		}
	}
	for _, name := range attributesToGet {
		paths = append(paths, expression.Path{{Name: name}})
	}
	return selectionOf(paths), nil
}

func checkAttributesToGet(names []string) error {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return invalid("Duplicate value in attribute name: %s", name)
		}
		seen[name] = true
	}
	return nil
}

// decode returns the selected attributes of an item.
func (sel *selection) decode(enc item.Encoded) (item.Map, error) {
	if sel == nil || sel.paths == nil {
		return item.Decode(enc)
	}
	heads, err := enc.Select(sel.projector.Heads())
	if err != nil {
		return nil, err
	}
	return sel.projector.Project(heads), nil
}

// conditionFailed is the error of a condition that an item does not meet; it holds the item if the request wants that.
func conditionFailed(old item.Encoded, returnValues *string) error {
	err := &api.ConditionalCheckFailedException{Message: new("The conditional request failed")}
	if deref(returnValues) == "ALL_OLD" && len(old) > 0 {
		m, decodeErr := item.Decode(old)
		if decodeErr != nil {
			return decodeErr
		}
		err.Item = m
	}
	return err
}
