package jsonmodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// fault words one fault as API Gateway does, which tells in $context.error.validationErrorString what the Java library
// json-schema-validator says; "" where that says nothing of its own, but what is wrong further down. doc is the body.
//
// Who tests against API Gateway compares with these texts, as in
// [object has missing required properties (["price"]), instance type (string) does not match any allowed primitive type (allowed: ["integer","number"])].
func fault(e *jsonschema.ValidationError, schema *Schema, doc any) string {
	at := valueAt(doc, e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference:
		return ""
	case *kind.Type:
		return fmt.Sprintf("instance type (%s) does not match any allowed primitive type (allowed: %s)", typeOf(at), compact(allowed(k.Want)))
	case *kind.Enum:
		return fmt.Sprintf("instance value (%s) not found in enum (possible values: %s)", compact(k.Got), compact(k.Want))
	case *kind.Required:
		return "object has missing required properties (" + compact(sorted(k.Missing)) + ")"
	case *kind.AdditionalProperties:
		return "object instance has properties which are not allowed by the schema: " + compact(sorted(k.Properties))
	case *kind.MinProperties:
		return fmt.Sprintf("object has too few properties (found %d but schema requires at least %d)", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("object has too many properties (found %d but schema requires at most %d)", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("array is too short: must have at least %d elements but instance has %d elements", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("array is too long: must have at most %d elements but instance has %d elements", k.Want, k.Got)
	case *kind.UniqueItems:
		return "array must not contain duplicate elements"
	case *kind.MinLength:
		return fmt.Sprintf("string %s is too short (length: %d, required minimum: %d)", compact(at), k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("string %s is too long (length: %d, maximum allowed: %d)", compact(at), k.Got, k.Want)
	case *kind.Pattern:
		return fmt.Sprintf("ECMA 262 regex %s does not match input string %s", compact(k.Want), compact(k.Got))
	case *kind.Minimum:
		return fmt.Sprintf("numeric instance is lower than the required minimum (minimum: %s, found: %s)", decimal(k.Want), compact(at))
	case *kind.Maximum:
		return fmt.Sprintf("numeric instance is greater than the required maximum (maximum: %s, found: %s)", decimal(k.Want), compact(at))
	case *kind.ExclusiveMinimum:
		return "numeric instance is not strictly greater than the required minimum " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "numeric instance is not strictly lower than the required maximum " + decimal(k.Want)
	case *kind.MultipleOf:
		return fmt.Sprintf("remainder of division is not zero (%s / %s)", compact(at), decimal(k.Want))
	case *kind.Not:
		return "instance matched a schema which it should not have"
	case *kind.AnyOf:
		return fmt.Sprintf("instance failed to match at least one required schema among %d", len(e.Causes))
	case *kind.OneOf, *kind.AllOf:
		// Neither says how many schemas there are.
		part := find(schema, e.SchemaURL, map[*Schema]bool{})
		if part == nil {
			break
		}
		if _, one := e.ErrorKind.(*kind.OneOf); one {
			return fmt.Sprintf("instance failed to match exactly one schema (matched %d out of %d)", matching(part.OneOf, at), len(part.OneOf))
		}
		return fmt.Sprintf("instance failed to match all required schemas (matched only %d out of %d)", matching(part.AllOf, at), len(part.AllOf))
	}
	if len(e.Causes) > 0 {
		return ""
	}
	_, reason, found := strings.Cut(e.Error(), ": ")
	if !found {
		reason = e.Error()
	}
	return strings.TrimSpace(reason)
}

// valueAt is the value at a place of a document.
func valueAt(doc any, place []string) any {
	for _, step := range place {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		}
	}
	return doc
}

// typeOf is the primitive type of a value, with integers apart from other numbers.
func typeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return "number"
		}
		return "integer"
	case string:
		return "string"
	}
	return "null"
}

// allowed lists types as the library does: an integer is allowed wherever a number is.
func allowed(types []string) []string {
	types = slices.Clone(types)
	if slices.Contains(types, "number") && !slices.Contains(types, "integer") {
		types = append(types, "integer")
	}
	slices.Sort(types)
	return types
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

// compact is a value as JSON in one line.
func compact(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "?" // values come out of JSON, so they go back
	}
	return strings.TrimSpace(b.String())
}

// decimal is a number of a schema, which was written in decimal.
func decimal(r *big.Rat) string {
	digits, exact := r.FloatPrec()
	if !exact {
		digits = 20
	}
	return r.FloatString(digits)
}

func matching(schemas []*Schema, v any) (n int) {
	for _, s := range schemas {
		if s.Validate(v) == nil {
			n++
		}
	}
	return n
}

// find is the schema at a location, which is s or one that s refers to; nil if there is none.
func find(s *Schema, location string, seen map[*Schema]bool) *Schema {
	if s == nil || seen[s] {
		return nil
	}
	if s.Location == location {
		return s
	}
	seen[s] = true
	parts := slices.Concat([]*Schema{s.Ref, s.Not, s.Items2020}, s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems)
	for _, p := range s.Properties {
		parts = append(parts, p)
	}
	for _, p := range s.PatternProperties {
		parts = append(parts, p)
	}
	for _, p := range append([]any{s.AdditionalProperties, s.Items, s.AdditionalItems}, slices.Collect(maps.Values(s.Dependencies))...) {
		switch p := p.(type) {
		case *Schema:
			parts = append(parts, p)
		case []*Schema:
			parts = append(parts, p...)
		}
	}
	for _, p := range parts {
		if found := find(p, location, seen); found != nil {
			return found
		}
	}
	return nil
}
