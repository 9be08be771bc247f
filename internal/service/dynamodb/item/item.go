// Package item is what DynamoDB knows about attribute values apart from any table: which are valid, how large they are,
// how they compare, and how they are stored.
//
// Values pass from the client into the canonical form through Canonical or CanonicalMap, once; all else here and in
// package expression takes canonical values. Canonical means: one type, numbers as package number writes them, sets
// sorted and without duplicates, at most MaxDepth levels. Equal values have one canonical form and one encoding.
// Canonical values are shared freely and never modified.
package item

import (
	"bytes"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/number"
)

// Limits of an item.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	// MaxSize is the size of the largest item, in bytes as Size counts them.
	MaxSize = 400 << 10
	// MaxDepth is how deep lists and maps may nest.
	MaxDepth = 32
)

// Map is an item: its top-level attributes by name.
type Map = map[string]api.AttributeValue

// CanonicalMap brings all attributes of an item into canonical form, in place. Of several faults it reports the one in
// the attribute whose name comes first.
func CanonicalMap(m Map) error { return canonicalMap(m, 0) }

func canonicalMap(m Map, depth int) error {
	var (
		fault     error
		faultName string
	)
	for name, v := range m {
		c, err := canonical(v, depth)
		switch {
		case err != nil:
			if fault == nil || name < faultName {
				fault, faultName = err, name
			}
		case c != nil:
			m[name] = c
		}
	}
	return fault
}

// Canonical checks a value and returns its canonical form, or the ValidationException that DynamoDB answers. Lists and
// maps are changed in place.
func Canonical(v api.AttributeValue) (api.AttributeValue, error) {
	c, err := canonical(v, 0)
	if c == nil && err == nil {
		c = v
	}
	return c, err
}

// canonical returns nil where v is canonical already. depth counts the lists and maps around v.
func canonical(v api.AttributeValue, depth int) (api.AttributeValue, error) {
	switch v := v.(type) {
	case api.S, api.B, api.BOOL:
		return nil, nil
	case api.N:
		n, err := number.Canonical(string(v))
		if err != nil || n == string(v) {
			return nil, err
		}
		return api.N(n), nil
	case api.NULL:
		if !v {
			return api.NULL(true), nil // DynamoDB takes false for true since 2026
		}
		return nil, nil
	case api.SS:
		return canonicalSS(v)
	case api.NS:
		return canonicalNS(v)
	case api.BS:
		return canonicalBS(v)
	case api.L:
		if depth == MaxDepth {
			return nil, tooDeep()
		}
		for i, e := range v {
			c, err := canonical(e, depth+1)
			if err != nil {
				return nil, err
			}
			if c != nil {
				v[i] = c
			}
		}
		return nil, nil
	case api.M:
		if depth == MaxDepth {
			return nil, tooDeep()
		}
		return nil, canonicalMap(v, depth+1)
	case api.Malformed:
		for _, e := range v {
			if _, err := canonical(e, depth); err != nil {
				return nil, err
			}
		}
		if len(v) > 1 {
			return nil, awserr.Validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
		}
	}
	return nil, awserr.Validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func invalid(format string, args ...any) error {
	return awserr.Validation("One or more parameter values were invalid: "+format, args...)
}

func tooDeep() error {
	return awserr.Validation("Nesting Levels have exceeded supported limits")
}

// UpdateTooLarge is DynamoDB's error for an update that makes an item larger than MaxSize.
func UpdateTooLarge() error {
	return awserr.Validation("Item size to update has exceeded the maximum allowed size")
}

// TooDeep returns DynamoDB's error if v, put below depth lists and maps, nests deeper than MaxDepth.
func TooDeep(v api.AttributeValue, depth int) error {
	switch v := v.(type) {
	case api.L:
		if depth == MaxDepth {
			return tooDeep()
		}
		for _, e := range v {
			if err := TooDeep(e, depth+1); err != nil {
				return err
			}
		}
	case api.M:
		if depth == MaxDepth {
			return tooDeep()
		}
		for _, e := range v {
			if err := TooDeep(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func canonicalSS(v api.SS) (api.AttributeValue, error) {
	if len(v) == 0 {
		return nil, invalid("An string set  may not be empty")
	}
	sorted := v
	if !slices.IsSorted(v) {
		sorted = slices.Clone(v)
		slices.Sort(sorted)
	}
	if hasDuplicates(sorted, strings.Compare) {
		return nil, invalid("Input collection [%s] contains duplicates.", strings.Join(v, ", "))
	}
	return sorted, nil
}

func canonicalNS(v api.NS) (api.AttributeValue, error) {
	if len(v) == 0 {
		return nil, invalid("An number set  may not be empty")
	}
	for i, s := range v {
		n, err := number.Canonical(s)
		if err != nil {
			return nil, err
		}
		v[i] = n
	}
	slices.SortFunc(v, number.Compare)
	if hasDuplicates(v, number.Compare) {
		return nil, awserr.Validation("Input collection contains duplicates")
	}
	return v, nil
}

func canonicalBS(v api.BS) (api.AttributeValue, error) {
	if len(v) == 0 {
		return nil, invalid("Binary sets should not be empty")
	}
	sorted := v
	if !slices.IsSortedFunc(v, bytes.Compare) {
		sorted = slices.Clone(v)
		slices.SortFunc(sorted, bytes.Compare)
	}
	if hasDuplicates(sorted, bytes.Compare) {
		return nil, invalid("Input collection %sof type BS contains duplicates.", binaryList(v))
	}
	return sorted, nil
}

func hasDuplicates[E any](sorted []E, cmp func(a, b E) int) bool {
	for i := 1; i < len(sorted); i++ {
		if cmp(sorted[i-1], sorted[i]) == 0 {
			return true
		}
	}
	return false
}

// Size is the number of bytes that DynamoDB counts for an item: the names and values of its attributes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func Size(m Map) int {
	n := 0
	for name, v := range m {
		n += len(name) + ValueSize(v)
	}
	return n
}

// ValueSize is the number of bytes that DynamoDB counts for a value without its name.
func ValueSize(v api.AttributeValue) int {
	n := 0
	switch v := v.(type) {
	case api.S:
		n = len(v)
	case api.N:
		n = number.Size(string(v))
	case api.B:
		n = len(v)
	case api.BOOL, api.NULL:
		n = 1
	case api.SS:
		for _, e := range v {
			n += len(e)
		}
	case api.NS:
		for _, e := range v {
			n += number.Size(e)
		}
	case api.BS:
		for _, e := range v {
			n += len(e)
		}
	case api.L:
		n = 3
		for _, e := range v {
			n += 1 + ValueSize(e)
		}
	case api.M:
		n = 3
		for name, e := range v {
			n += 1 + len(name) + ValueSize(e)
		}
	}
	return n
}
