package expression

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

// text is the string of a constant operand.
func (n *node) text() api.S {
	s, _ := n.value.(api.S)
	return s
}

// truth evaluates a condition. What is not there equals nothing, has no order and contains nothing.
func (n *node) truth(it Attributes) (bool, error) {
	switch n.op {
	case opAnd:
		for _, arg := range n.args {
			if ok, err := arg.truth(it); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case opOr:
		for _, arg := range n.args {
			if ok, err := arg.truth(it); err != nil || ok {
				return ok, err
			}
		}
		return false, nil
	case opNot:
		ok, err := n.args[0].truth(it)
		return err == nil && !ok, err
	}

	left, err := n.args[0].operand(it)
	if err != nil {
		return false, err
	}
	if n.op == opCall {
		switch n.name {
		case "attribute_exists":
			return left != nil, nil
		case "attribute_not_exists":
			return left == nil, nil
		case "attribute_type":
			return left != nil && item.Type(left) == string(n.args[1].text()), nil
		}
	}
	if n.op == opIn {
		for _, arg := range n.args[1:] {
			v, err := arg.operand(it)
			if err != nil {
				return false, err
			}
			if item.Equal(left, v) {
				return true, nil
			}
		}
		return false, nil
	}
	right, err := n.args[1].operand(it)
	if err != nil {
		return false, err
	}
	switch n.op {
	case opEQ:
		return item.Equal(left, right), nil
	case opNE:
		return !item.Equal(left, right), nil
	case opBetween:
		upper, err := n.args[2].operand(it)
		return err == nil && ordered(opGE, left, right) && ordered(opLE, left, upper), err
	case opCall:
		if n.name == "begins_with" {
			return beginsWith(left, right), nil
		}
		return contains(left, right), nil
	}
	return ordered(n.op, left, right), nil
}

func ordered(o op, a, b api.AttributeValue) bool {
	order, ok := item.Compare(a, b)
	if !ok {
		return false
	}
	switch o {
	case opLT:
		return order < 0
	case opLE:
		return order <= 0
	case opGT:
		return order > 0
	}
	return order >= 0
}

func beginsWith(v, prefix api.AttributeValue) bool {
	switch prefix := prefix.(type) {
	case api.S:
		s, ok := v.(api.S)
		return ok && strings.HasPrefix(string(s), string(prefix))
	case api.B:
		b, ok := v.(api.B)
		return ok && bytes.HasPrefix(b, prefix)
	}
	return false
}

// contains reports whether v is a string or binary value with part in it, or a set or list with an element equal to
// part.
func contains(v, part api.AttributeValue) bool {
	switch v := v.(type) {
	case api.S:
		s, ok := part.(api.S)
		return ok && strings.Contains(string(v), string(s))
	case api.B:
		b, ok := part.(api.B)
		return ok && bytes.Contains(v, b)
	case api.SS:
		s, ok := part.(api.S)
		return ok && slices.Contains(v, string(s))
	case api.NS:
		n, ok := part.(api.N)
		return ok && slices.Contains(v, string(n))
	case api.BS:
		b, ok := part.(api.B)
		return ok && slices.ContainsFunc(v, func(e []byte) bool { return bytes.Equal(e, b) })
	case api.L:
		return slices.ContainsFunc(v, func(e api.AttributeValue) bool { return item.Equal(e, part) })
	}
	return false
}

// operand evaluates an operand of a condition, to nil if it is not there.
func (n *node) operand(it Attributes) (api.AttributeValue, error) {
	switch n.op {
	case opValue:
		return n.value, nil
	case opPath:
		return n.path.lookup(it)
	}
	v, err := n.args[0].operand(it)
	if err != nil {
		return nil, err
	}
	return size(v), nil
}

// size is the length of a string in UTF-16 code units, that of a binary value in bytes, and the number of elements of a
// set, list or map. Other values have none.
// https://github.com/paritysuite/dynamodb-conformance/pull/17 (what size counts)
func size(v api.AttributeValue) api.AttributeValue {
	var n int
	switch v := v.(type) {
	case api.S:
		for _, r := range v {
			n += utf16.RuneLen(r)
		}
	case api.B:
		n = len(v)
	case api.SS:
		n = len(v)
	case api.NS:
		n = len(v)
	case api.BS:
		n = len(v)
	case api.L:
		n = len(v)
	case api.M:
		n = len(v)
	default:
		return nil
	}
	return api.N(strconv.Itoa(n))
}
