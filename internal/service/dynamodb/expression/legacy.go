package expression

import (
	"maps"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/item"
)

// The parameters of the time before expressions become what expressions become: a Predicate, KeyConds or a Change. An
// attribute's name stands for itself there, so the paths have one element.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html

func invalidParameter(format string, args ...any) error {
	return awserr.Validation("One or more parameter values were invalid: "+format, args...)
}

// Expected makes a condition of the parameter Expected, nil if it has no entries. anyOf is set if one true comparison is
// enough, which is ConditionalOperator OR.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Expected.html
func Expected(expected map[string]api.ExpectedAttributeValue, anyOf bool) (*Predicate, error) {
	if len(expected) == 0 {
		return nil, nil
	}
	var nodes []*node
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		n, err := expectation(name, expected[name])
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return combined(nodes, anyOf), nil
}

func expectation(name string, e api.ExpectedAttributeValue) (*node, error) {
	switch {
	case e.AttributeValueList != nil && e.Value != nil:
		return nil, invalidParameter("Value and AttributeValueList cannot be used together for Attribute: %s", name)
	case e.ComparisonOperator != nil && e.Exists != nil:
		return nil, invalidParameter("Exists and ComparisonOperator cannot be used together for Attribute: %s", name)
	case e.ComparisonOperator != nil:
		operator := *e.ComparisonOperator
		values := e.AttributeValueList
		if e.Value != nil {
			values = []api.AttributeValue{e.Value}
		}
		if values == nil && operator != "NULL" && operator != "NOT_NULL" {
			return nil, invalidParameter("Value or AttributeValueList must be used with ComparisonOperator: %s for Attribute: %s", operator, name)
		}
		return comparison(name, operator, values)
	case e.AttributeValueList != nil:
		return nil, invalidParameter("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", name)
	case e.Exists == nil && e.Value == nil:
		return nil, invalidParameter("Value must be provided when Exists is null for Attribute: %s", name)
	case e.Exists == nil || *e.Exists:
		if e.Value == nil {
			return nil, invalidParameter("Value must be provided when Exists is true for Attribute: %s", name)
		}
		return comparison(name, "EQ", []api.AttributeValue{e.Value})
	case e.Value != nil:
		return nil, invalidParameter("Value cannot be used when Exists is false for Attribute: %s", name)
	}
	return comparison(name, "NULL", nil)
}

// Conditions makes a filter of QueryFilter or ScanFilter, nil if it has no entries.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.QueryFilter.html
func Conditions(conditions map[string]api.Condition, anyOf bool) (*Predicate, error) {
	var nodes []*node
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		c := conditions[name]
		n, err := comparison(name, deref(c.ComparisonOperator), c.AttributeValueList)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return combined(nodes, anyOf), nil
}

func combined(nodes []*node, anyOf bool) *Predicate {
	if len(nodes) == 0 {
		return nil
	}
	root := nodes[0]
	if len(nodes) > 1 {
		root = &node{op: opAnd, args: nodes}
		if anyOf {
			root.op = opOr
		}
	}
	return newPredicate(root)
}

// operandTypes are the types that an operator takes, nil for all.
func operandTypes(operator string) []string {
	switch operator {
	case "LE", "LT", "GE", "GT", "BETWEEN", "IN":
		return []string{"S", "N", "B"}
	case "CONTAINS", "NOT_CONTAINS":
		return []string{"S", "N", "B", "BOOL", "NULL"}
	case "BEGINS_WITH":
		return []string{"S", "B"}
	}
	return nil
}

// checkComparison checks a comparison's values, and makes them canonical.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html
func checkComparison(operator string, values []api.AttributeValue) ([]api.AttributeValue, error) {
	values = slices.Clone(values)
	for i, v := range values {
		var err error
		if values[i], err = item.Canonical(v); err != nil {
			return nil, err
		}
	}
	least, most := 1, 1
	switch operator {
	case "NULL", "NOT_NULL":
		least, most = 0, 0
	case "BETWEEN":
		least, most = 2, 2
	case "IN":
		most = MaxInOperands
	}
	if len(values) < least || len(values) > most {
		return nil, invalidParameter("Invalid number of argument(s) for the %s ComparisonOperator", operator)
	}
	for _, v := range values[min(1, len(values)):] {
		if item.Type(v) != item.Type(values[0]) {
			return nil, invalidParameter("AttributeValues inside AttributeValueList must be of same type")
		}
	}
	types := operandTypes(operator)
	for _, v := range values {
		if t := item.Type(v); types != nil && !slices.Contains(types, t) {
			return nil, invalidParameter("ComparisonOperator %s is not valid for %s AttributeValue type", operator, t)
		}
	}
	if operator == "BETWEEN" {
		if order, ok := item.Compare(values[0], values[1]); ok && order > 0 {
			return nil, awserr.Validation("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
		}
	}
	return values, nil
}

func comparison(name, operator string, values []api.AttributeValue) (*node, error) {
	if name == "" {
		return nil, invalidParameter("An attribute name must have at least one character")
	}
	values, err := checkComparison(operator, values)
	if err != nil {
		return nil, err
	}
	args := []*node{{op: opPath, path: Path{{Name: name}}}}
	for _, v := range values {
		args = append(args, &node{op: opValue, value: v})
	}
	call := func(name string) *node { return &node{op: opCall, name: name, args: args} }
	switch operator {
	case "NULL":
		return call("attribute_not_exists"), nil
	case "NOT_NULL":
		return call("attribute_exists"), nil
	case "CONTAINS":
		return call("contains"), nil
	case "NOT_CONTAINS":
		return &node{op: opNot, args: []*node{call("contains")}}, nil
	case "BEGINS_WITH":
		return call("begins_with"), nil
	}
	n := &node{args: args}
	switch operator {
	case "EQ":
		n.op = opEQ
	case "NE":
		n.op = opNE
	case "LT":
		n.op = opLT
	case "LE":
		n.op = opLE
	case "GT":
		n.op = opGT
	case "GE":
		n.op = opGE
	case "BETWEEN":
		n.op = opBetween
	case "IN":
		n.op = opIn
	default:
		return nil, awserr.Validation("Unsupported operator on KeyCondition: %s", operator)
	}
	return n, nil
}

// KeyConditions makes key conditions of the parameter KeyConditions. One with an operator that keys do not have makes a
// condition with KeyUnindexable.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.KeyConditions.html
func KeyConditions(conditions map[string]api.Condition) ([]KeyCond, error) {
	var conds []KeyCond
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		operator := deref(conditions[name].ComparisonOperator)
		values, err := checkComparison(operator, conditions[name].AttributeValueList)
		if err != nil {
			return nil, err
		}
		cond := KeyCond{Attribute: name, Values: values, Op: KeyUnindexable}
		switch operator {
		case "EQ":
			cond.Op = KeyEQ
		case "LT":
			cond.Op = KeyLT
		case "LE":
			cond.Op = KeyLE
		case "GT":
			cond.Op = KeyGT
		case "GE":
			cond.Op = KeyGE
		case "BETWEEN":
			cond.Op = KeyBetween
		case "BEGINS_WITH":
			cond.Op = KeyBeginsWith
		}
		conds = append(conds, cond)
	}
	return conds, nil
}

// AttributeUpdates makes a change of the parameter AttributeUpdates, nil if it has no entries.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html
func AttributeUpdates(updates map[string]api.AttributeValueUpdate) (*Change, error) {
	if len(updates) == 0 {
		return nil, nil
	}
	c := &Change{legacy: true}
	for _, name := range slices.Sorted(maps.Keys(updates)) {
		u := updates[name]
		if name == "" {
			return nil, invalidParameter("An attribute name must have at least one character")
		}
		action := "PUT"
		if u.Action != nil {
			action = *u.Action
		}
		kind := actionRemove
		var value *node
		if u.Value == nil {
			if action != "DELETE" {
				return nil, invalidParameter("Only DELETE action is allowed when no attribute value is specified")
			}
		} else {
			v, err := item.Canonical(u.Value)
			if err != nil {
				return nil, err
			}
			value = &node{op: opValue, value: v}
			switch t := item.Type(v); action {
			case "PUT":
				kind = actionSet
			case "DELETE":
				if kind = actionDelete; t != "SS" && t != "NS" && t != "BS" {
					return nil, invalidParameter("DELETE action with value is not supported for the type %s", t)
				}
			case "ADD":
				// Lists are appended to, which ADD of an expression does not do.
				if kind = actionAdd; t != "N" && t != "SS" && t != "NS" && t != "BS" && t != "L" {
					return nil, invalidParameter("ADD action is not supported for the type %s", t)
				}
			}
		}
		c.kinds = append(c.kinds, kind)
		c.values = append(c.values, value)
		c.paths = append(c.paths, Path{{Name: name}})
	}
	return c, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
