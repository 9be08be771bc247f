// Package expression is the language of DynamoDB's ConditionExpression, FilterExpression, KeyConditionExpression,
// ProjectionExpression and UpdateExpression.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
//
// A request's expressions share their placeholders, so they are parsed through one Placeholders, which in the end knows
// what nobody used. What parses has passed every check that needs no table and no item; faults are the
// ValidationExceptions that DynamoDB answers, and of several the one that DynamoDB reports first. Parsed expressions are
// immutable and hold no reference to the request but its values. Their size is bounded by MaxSize, so parsing,
// recursion included, is too.
//
// Values and items are canonical in the sense of package item.
package expression

import (
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/item"
)

// Limits of an expression.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters
const (
	// MaxSize is the length of the longest expression, in bytes.
	MaxSize = 4 << 10
	// MaxOperators is how many operators and functions one expression may have.
	MaxOperators = 300
	// MaxInOperands is how many values IN may have.
	MaxInOperands = 100
	// MaxPathDepth is how many elements a document path may have.
	MaxPathDepth = item.MaxDepth
)

// A Parameter is the request parameter that an expression came in; messages name it.
type Parameter string

const (
	Condition    Parameter = "ConditionExpression"
	Filter       Parameter = "FilterExpression"
	KeyCondition Parameter = "KeyConditionExpression"
	Projection   Parameter = "ProjectionExpression"
	Update       Parameter = "UpdateExpression"
	// Statement is no parameter but a PartiQL statement of bounded length, from which the expression was made. Messages
	// do not name it.
	Statement Parameter = ""
)

// Attributes gives an item's top-level attributes to an expression: nil for one that is not there.
type Attributes interface {
	Attribute(name string) (api.AttributeValue, error)
}

// Placeholders are the ExpressionAttributeNames and ExpressionAttributeValues of one request. The zero value has none.
type Placeholders struct {
	names      map[string]string
	values     item.Map
	usedNames  []string
	usedValues []string
}

// NewPlaceholders checks names and values, where nil means that the request does not have the parameter, and brings the
// values into canonical form.
func NewPlaceholders(names map[string]string, values item.Map) (*Placeholders, error) {
	if names != nil && len(names) == 0 {
		return nil, awserr.Validation("ExpressionAttributeNames must not be empty")
	}
	if key, bad := firstKey(names, func(key, _ string) bool { return !isPlaceholder(key, '#') }); bad {
		return nil, awserr.Validation("ExpressionAttributeNames contains invalid key: Syntax error; key: \"%s\"", key)
	}
	if key, bad := firstKey(names, func(_, name string) bool { return name == "" }); bad {
		return nil, awserr.Validation("ExpressionAttributeNames contains invalid value: Empty attribute name for key %s", key)
	}
	if values != nil && len(values) == 0 {
		return nil, awserr.Validation("ExpressionAttributeValues must not be empty")
	}
	if key, bad := firstKey(values, func(key string, _ api.AttributeValue) bool { return !isPlaceholder(key, ':') }); bad {
		return nil, awserr.Validation("ExpressionAttributeValues contains invalid key: Syntax error; key: \"%s\"", key)
	}
	var (
		fault    error
		faultKey string
	)
	for key, v := range values {
		c, err := item.Canonical(v)
		if err == nil {
			values[key] = c
		} else if fault == nil || key < faultKey {
			fault, faultKey = err, key
		}
	}
	if fault != nil {
		return nil, awserr.Validation("ExpressionAttributeValues contains invalid value: %s for key %s", message(fault), faultKey)
	}
	return &Placeholders{names: names, values: values}, nil
}

// firstKey returns the smallest key that is bad, so that messages do not depend on the order of a map.
func firstKey[V any](m map[string]V, bad func(key string, v V) bool) (first string, found bool) {
	for key, v := range m {
		if bad(key, v) && (!found || key < first) {
			first, found = key, true
		}
	}
	return first, found
}

func message(err error) string {
	if e, ok := err.(awserr.Error); ok {
		return e.ErrorMessage()
	}
	return err.Error()
}

func isPlaceholder(s string, sigil byte) bool {
	if len(s) < 2 || s[0] != sigil {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isWordByte(s[i]) {
			return false
		}
	}
	return true
}

func (p *Placeholders) name(key string) (string, bool) {
	name, ok := p.names[key]
	if ok && !slices.Contains(p.usedNames, key) {
		p.usedNames = append(p.usedNames, key)
	}
	return name, ok
}

func (p *Placeholders) value(key string) (api.AttributeValue, bool) {
	v, ok := p.values[key]
	if ok && !slices.Contains(p.usedValues, key) {
		p.usedValues = append(p.usedValues, key)
	}
	return v, ok
}

// Unused returns DynamoDB's error if a placeholder stands in none of the expressions parsed so far.
func (p *Placeholders) Unused() error {
	if len(p.usedNames) != len(p.names) {
		return unused("ExpressionAttributeNames", p.names, p.usedNames)
	}
	if len(p.usedValues) != len(p.values) {
		return unused("ExpressionAttributeValues", p.values, p.usedValues)
	}
	return nil
}

func unused[V any](parameter string, all map[string]V, used []string) error {
	rest := maps.Clone(all)
	for _, key := range used {
		delete(rest, key)
	}
	keys := slices.Sorted(maps.Keys(rest))
	return awserr.Validation("Value provided in %s unused in expressions: keys: {%s}", parameter, strings.Join(keys, ", "))
}
