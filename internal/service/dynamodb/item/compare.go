package item

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/number"
)

// Type is the name of a value's type as requests write it: "S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL".
func Type(v api.AttributeValue) string {
	switch v.(type) {
	case api.S:
		return "S"
	case api.N:
		return "N"
	case api.B:
		return "B"
	case api.SS:
		return "SS"
	case api.NS:
		return "NS"
	case api.BS:
		return "BS"
	case api.L:
		return "L"
	case api.M:
		return "M"
	case api.BOOL:
		return "BOOL"
	case api.NULL:
		return "NULL"
	}
	return ""
}

// Equal reports whether two canonical values are of one type and equal. Sets are equal if they have the same elements.
func Equal(a, b api.AttributeValue) bool {
	switch a := a.(type) {
	case api.S:
		b, ok := b.(api.S)
		return ok && a == b
	case api.N:
		b, ok := b.(api.N)
		return ok && a == b
	case api.B:
		b, ok := b.(api.B)
		return ok && bytes.Equal(a, b)
	case api.BOOL:
		b, ok := b.(api.BOOL)
		return ok && a == b
	case api.NULL:
		_, ok := b.(api.NULL)
		return ok
	case api.SS:
		b, ok := b.(api.SS)
		return ok && slices.Equal(a, b)
	case api.NS:
		b, ok := b.(api.NS)
		return ok && slices.Equal(a, b)
	case api.BS:
		b, ok := b.(api.BS)
		return ok && slices.EqualFunc(a, b, bytes.Equal)
	case api.L:
		b, ok := b.(api.L)
		return ok && slices.EqualFunc(a, b, Equal)
	case api.M:
		b, ok := b.(api.M)
		return ok && EqualMap(a, b)
	}
	return false
}

// EqualMap reports whether two items have the same attributes with equal values.
func EqualMap(a, b Map) bool { return maps.EqualFunc(a, b, Equal) }

// Compare orders two canonical values of one type, S, N or B: strings by their UTF-8 bytes, binary values by their
// unsigned bytes. It reports false for all others, which have no order.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html
func Compare(a, b api.AttributeValue) (order int, ok bool) {
	switch a := a.(type) {
	case api.S:
		if b, ok := b.(api.S); ok {
			return strings.Compare(string(a), string(b)), true
		}
	case api.N:
		if b, ok := b.(api.N); ok {
			return number.Compare(string(a), string(b)), true
		}
	case api.B:
		if b, ok := b.(api.B); ok {
			return bytes.Compare(a, b), true
		}
	}
	return 0, false
}

// Format writes a value as DynamoDB's messages do: "{S:text}", "{N:1}", "{L:[{S:a}]}".
func Format(v api.AttributeValue) string {
	var s string
	switch v := v.(type) {
	case api.S:
		s = string(v)
	case api.N:
		s = string(v)
	case api.B:
		s = base64.StdEncoding.EncodeToString(v)
	case api.SS:
		s = "[" + strings.Join(v, ", ") + "]"
	case api.NS:
		s = "[" + strings.Join(v, ", ") + "]"
	case api.BS:
		s = binaryList(v)
	case api.BOOL:
		s = fmt.Sprint(bool(v))
	case api.NULL:
		s = "true"
	case api.L:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Format(e)
		}
		s = "[" + strings.Join(parts, ", ") + "]"
	case api.M:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+"="+Format(v[name]))
		}
		s = "{" + strings.Join(parts, ", ") + "}"
	}
	return "{" + Type(v) + ":" + s + "}"
}

func binaryList(v api.BS) string {
	parts := make([]string, len(v))
	for i, e := range v {
		parts[i] = base64.StdEncoding.EncodeToString(e)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
