package expression

import (
	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
)

// A KeyCond is what a KeyConditionExpression says of one attribute.
type KeyCond struct {
	Attribute string
	Op        KeyOp
	// Values are the operands: two for KeyBetween, one for all others.
	Values []api.AttributeValue
}

// A KeyOp compares a key attribute with constants.
type KeyOp uint8

const (
	KeyEQ KeyOp = iota
	KeyLT
	KeyLE
	KeyGT
	KeyGE
	KeyBetween
	KeyBeginsWith
	// KeyUnindexable is an operator of the parameter KeyConditions that no key can be read by.
	KeyUnindexable
)

// KeyConds takes a KeyConditionExpression apart: into conditions on different top-level attributes that all must hold.
// Which attributes they may and must be is for the table to say.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html
func (c *Predicate) KeyConds() ([]KeyCond, error) { return c.root.keyConds(nil) }

func (n *node) keyConds(conds []KeyCond) ([]KeyCond, error) {
	const invalid = "Invalid condition in KeyConditionExpression: "
	invalidOperator := func(name string) error {
		return awserr.Validation("Invalid operator used in KeyConditionExpression: %s", name)
	}
	var cond KeyCond
	name := n.op.String()
	switch n.op {
	case opAnd:
		for _, arg := range n.args {
			var err error
			if conds, err = arg.keyConds(conds); err != nil {
				return nil, err
			}
		}
		return conds, nil
	case opOr, opNot, opIn, opNE:
		return nil, invalidOperator(name)
	case opEQ:
		cond.Op = KeyEQ
	case opLT:
		cond.Op = KeyLT
	case opLE:
		cond.Op = KeyLE
	case opGT:
		cond.Op = KeyGT
	case opGE:
		cond.Op = KeyGE
	case opBetween:
		cond.Op = KeyBetween
	case opCall:
		name = n.name
		if name != "begins_with" {
			return nil, invalidOperator(name)
		}
		cond.Op = KeyBeginsWith
	}
	if (cond.Op == KeyBetween || cond.Op == KeyBeginsWith) && n.args[0].op == opValue {
		return nil, awserr.Validation(invalid+"%s operator must have the key attribute as its first operand", name)
	}
	for i, arg := range n.args {
		switch arg.op {
		case opCall:
			return nil, awserr.Validation("KeyConditionExpressions cannot contain nested operations")
		case opValue:
			cond.Values = append(cond.Values, arg.value)
		case opPath:
			if cond.Attribute != "" {
				return nil, awserr.Validation(invalid + "Multiple attribute names used in one condition")
			}
			if len(arg.path) > 1 {
				return nil, awserr.Validation("KeyConditionExpressions cannot have conditions on nested attributes")
			}
			cond.Attribute = arg.path.Head()
			if i > 0 {
				cond.Op = cond.Op.Swapped()
			}
		}
	}
	if cond.Attribute == "" {
		return nil, awserr.Validation(invalid + "No key attribute specified")
	}
	for _, other := range conds {
		if other.Attribute == cond.Attribute {
			return nil, awserr.Validation("KeyConditionExpressions must only contain one condition per key")
		}
	}
	return append(conds, cond), nil
}

// Swapped is the operator with its operands in the other order.
func (o KeyOp) Swapped() KeyOp {
	switch o {
	case KeyLT:
		return KeyGT
	case KeyLE:
		return KeyGE
	case KeyGT:
		return KeyLT
	case KeyGE:
		return KeyLE
	}
	return o
}
