// Package eventpattern is the language of event patterns, in which Lambda's filter criteria and EventBridge's rules say which
// events they are for.
//
// It promises that a pattern that it takes means what AWS documents, that it takes no other, and that matching needs memory
// and time in proportion to the pattern and the event, whatever they hold.
//
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
package eventpattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// maxDepth bounds how deep patterns and events are looked into.
const maxDepth = 100

// A Pattern is a compiled event pattern. It does not change, and may be used from any goroutine.
type Pattern struct{ root *object }

// An object is a pattern for an object: all fields must match, and one of each set of alternatives.
type object struct {
	fields       []field
	alternatives [][]*object
}

// A field is a pattern for what a key leads to: an object or a list of which one must match.
type field struct {
	key    string
	object *object
	leaf   []matcher
}

// A matcher decides about a leaf of an event. v is a string, a json.Number, a bool, nil for null, or absent.
type matcher func(v any) bool

// absent stands for what an event does not have.
type absent struct{}

// Parse compiles a pattern. The error says what is wrong with it.
func Parse(text []byte) (*Pattern, error) {
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("a pattern is a JSON object")
	}
	root, err := parseObject(m, 0)
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

// decode reads one JSON value, with numbers as they are written.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if d.More() {
		return nil, errors.New("there is more than one JSON value")
	}
	return v, nil
}

func parseObject(m map[string]any, depth int) (*object, error) {
	switch {
	case depth > maxDepth:
		return nil, errors.New("it is nested too deep")
	case len(m) == 0:
		return nil, errors.New("an object in a pattern has at least one key")
	}
	out := &object{}
	for key, v := range m {
		if alternatives, ok := v.([]any); ok && key == "$or" && isOr(alternatives) {
			set := make([]*object, len(alternatives))
			for i, a := range alternatives {
				var err error
				if set[i], err = parseObject(a.(map[string]any), depth+1); err != nil {
					return nil, err
				}
			}
			out.alternatives = append(out.alternatives, set)
			continue
		}
		f := field{key: key}
		var err error
		switch v := v.(type) {
		case map[string]any:
			f.object, err = parseObject(v, depth+1)
		case []any:
			f.leaf, err = parseLeaf(v)
		default:
			err = fmt.Errorf("%q must be an object or an array", key)
		}
		if err != nil {
			return nil, err
		}
		out.fields = append(out.fields, f)
	}
	return out, nil
}

// operator is the parser of a match operator, nil if there is none of the name.
func operator(name string) func(v any) (matcher, error) {
	switch name {
	case "prefix":
		return affix(strings.HasPrefix)
	case "suffix":
		return affix(strings.HasSuffix)
	case "anything-but":
		return parseAnythingBut
	case "numeric":
		return parseNumeric
	case "exists":
		return parseExists
	case "equals-ignore-case":
		return parseFold
	case "wildcard":
		return parseWildcard
	case "cidr":
		return parseCIDR
	}
	return nil
}

// isOr says whether a list under "$or" holds patterns: at least two, which begin with no operator. Otherwise it is a field
// of that name.
func isOr(list []any) bool {
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for key := range m {
			if operator(key) != nil {
				return false
			}
		}
	}
	return len(list) > 1
}

func parseLeaf(list []any) ([]matcher, error) {
	if len(list) == 0 {
		return nil, errors.New("an array in a pattern has at least one element")
	}
	out := make([]matcher, len(list))
	for i, v := range list {
		var err error
		if m, ok := v.(map[string]any); ok {
			out[i], err = parseOperator(m)
		} else {
			out[i], err = parseValue(v)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func parseOperator(m map[string]any) (matcher, error) {
	if len(m) != 1 {
		return nil, errors.New("a match expression has exactly one operator")
	}
	for name, v := range m {
		if parse := operator(name); parse != nil {
			return parse(v)
		}
		return nil, fmt.Errorf("%q is no match operator", name)
	}
	panic("unreachable")
}

// parseValue is a matcher for exactly this value.
func parseValue(v any) (matcher, error) {
	switch want := v.(type) {
	case nil:
		return func(v any) bool { return v == nil }, nil
	case string:
		return func(v any) bool { return v == want }, nil
	case bool:
		return func(v any) bool { return v == want }, nil
	case json.Number:
		n, err := number(want)
		if err != nil {
			return nil, err
		}
		return func(v any) bool {
			got, ok := v.(json.Number)
			if !ok {
				return false
			}
			f, err := number(got)
			return err == nil && f == n
		}, nil
	}
	return nil, errors.New("an array in a pattern holds values and match expressions")
}

func number(n json.Number) (float64, error) {
	f, err := n.Float64()
	if err != nil {
		return 0, fmt.Errorf("%s is out of range", n)
	}
	return f, nil
}

// texts reads a string or a list of strings.
func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, len(list))
	for i := range list {
		if out[i], ok = list[i].(string); !ok {
			return nil, errors.New("a match operator wants a string here")
		}
	}
	if len(out) == 0 {
		return nil, errors.New("a match operator has an empty list")
	}
	return out, nil
}

// affix is the parser of an operator on one end of a string, which may ignore case.
func affix(has func(s, part string) bool) func(v any) (matcher, error) {
	return func(v any) (matcher, error) {
		fold := false
		if m, ok := v.(map[string]any); ok {
			inner, ok := m["equals-ignore-case"]
			if !ok || len(m) != 1 {
				return nil, errors.New("prefix and suffix take a string or equals-ignore-case")
			}
			v, fold = inner, true
		}
		part, ok := v.(string)
		if !ok {
			return nil, errors.New("prefix and suffix take a string")
		}
		if fold {
			part = strings.ToLower(part)
		}
		return func(v any) bool {
			s, ok := v.(string)
			if fold {
				s = strings.ToLower(s)
			}
			return ok && has(s, part)
		}, nil
	}
}

func parseFold(v any) (matcher, error) {
	want, ok := v.(string)
	if !ok {
		return nil, errors.New("equals-ignore-case takes a string")
	}
	return func(v any) bool {
		s, ok := v.(string)
		return ok && strings.EqualFold(s, want)
	}, nil
}

func parseExists(v any) (matcher, error) {
	want, ok := v.(bool)
	if !ok {
		return nil, errors.New("exists takes true or false")
	}
	return func(v any) bool {
		_, missing := v.(absent)
		return missing != want
	}, nil
}

// parseAnythingBut reads what a leaf must not be: values, or strings that begin, end or read in a certain way.
func parseAnythingBut(v any) (matcher, error) {
	var not []matcher
	if m, ok := v.(map[string]any); ok {
		if len(m) != 1 {
			return nil, errors.New("anything-but takes one operator")
		}
		for name, inner := range m {
			switch name {
			case "prefix", "suffix", "equals-ignore-case", "wildcard":
			default:
				return nil, fmt.Errorf("anything-but does not take %q", name)
			}
			list, err := texts(inner)
			if err != nil {
				return nil, err
			}
			for _, s := range list {
				one, err := operator(name)(s)
				if err != nil {
					return nil, err
				}
				not = append(not, one)
			}
		}
	} else {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		if len(list) == 0 {
			return nil, errors.New("anything-but has an empty list")
		}
		for _, v := range list {
			switch v.(type) {
			case string, json.Number:
			default:
				return nil, errors.New("anything-but takes strings and numbers")
			}
			one, err := parseValue(v)
			if err != nil {
				return nil, err
			}
			not = append(not, one)
		}
	}
	return func(v any) bool {
		if _, missing := v.(absent); missing {
			return false
		}
		for _, m := range not {
			if m(v) {
				return false
			}
		}
		return true
	}, nil
}

// parseNumeric reads a comparison or a range: ["=", 5], [">", 0, "<=", 5].
func parseNumeric(v any) (matcher, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 && len(list) != 4 {
		return nil, errors.New("numeric takes one or two comparisons")
	}
	type comparison struct {
		operator string
		than     float64
	}
	var all []comparison
	for i := 0; i < len(list); i += 2 {
		op, isText := list[i].(string)
		n, isNumber := list[i+1].(json.Number)
		if !isText || !isNumber {
			return nil, errors.New("numeric takes operators and numbers in turn")
		}
		than, err := number(n)
		if err != nil {
			return nil, err
		}
		all = append(all, comparison{op, than})
	}
	switch first := all[0].operator; {
	case len(all) == 1 && strings.Contains(" = < <= > >= ", " "+first+" "):
	case len(all) == 2 && (first == ">" || first == ">=") && (all[1].operator == "<" || all[1].operator == "<="):
		if all[0].than >= all[1].than {
			return nil, errors.New("the bottom of a numeric range is below its top")
		}
	default:
		return nil, errors.New("numeric knows =, <, <=, >, >=, and ranges from a bottom to a top")
	}
	return func(v any) bool {
		n, ok := v.(json.Number)
		if !ok {
			return false
		}
		got, err := n.Float64()
		if err != nil {
			return false
		}
		for _, c := range all {
			holds := false
			switch c.operator {
			case "=":
				holds = got == c.than
			case "<":
				holds = got < c.than
			case "<=":
				holds = got <= c.than
			case ">":
				holds = got > c.than
			case ">=":
				holds = got >= c.than
			}
			if !holds {
				return false
			}
		}
		return true
	}, nil
}

// parseWildcard reads a text in which * stands for any text. A backslash takes a * or a backslash literally.
func parseWildcard(v any) (matcher, error) {
	text, ok := v.(string)
	if !ok {
		return nil, errors.New("wildcard takes a string")
	}
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			if i > 0 && text[i-1] == '*' && len(parts) > 0 && part.Len() == 0 {
				return nil, errors.New("a wildcard has no two * in a row")
			}
			parts = append(parts, part.String())
			part.Reset()
		case '\\':
			if i++; i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, errors.New("a backslash in a wildcard stands before * or another one")
			}
			part.WriteByte(text[i])
		default:
			part.WriteByte(c)
		}
	}
	parts = append(parts, part.String())
	return func(v any) bool {
		s, ok := v.(string)
		if !ok || len(parts) == 1 {
			return ok && s == parts[0]
		}
		first, last := parts[0], parts[len(parts)-1]
		if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
			return false
		}
		s = s[len(first) : len(s)-len(last)]
		for _, p := range parts[1 : len(parts)-1] {
			i := strings.Index(s, p)
			if i < 0 {
				return false
			}
			s = s[i+len(p):]
		}
		return true
	}, nil
}

func parseCIDR(v any) (matcher, error) {
	text, _ := v.(string)
	block, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, errors.New("cidr takes a block of addresses")
	}
	return func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		addr, err := netip.ParseAddr(s)
		return err == nil && block.Contains(addr)
	}, nil
}

// MatchJSON says whether the pattern is for an event, which is false for what is no JSON object.
func (p *Pattern) MatchJSON(event []byte) bool {
	v, err := decode(event)
	if err != nil {
		return false
	}
	return p.Match(v)
}

// Match is MatchJSON for an event that was decoded with json.Number for its numbers.
func (p *Pattern) Match(event any) bool {
	m, ok := event.(map[string]any)
	return ok && p.root.match(m, 0)
}

// match says whether an object matches. v is nil where the event has none: only exists can be satisfied then.
func (o *object) match(v map[string]any, depth int) bool {
	if depth > maxDepth {
		return false
	}
	for i := range o.fields {
		f := &o.fields[i]
		got, there := v[f.key]
		if !there {
			got = absent{}
		}
		if f.object != nil && !f.object.matchValue(got, depth+1) || f.object == nil && !matchLeaf(f.leaf, got, depth+1) {
			return false
		}
	}
	for _, set := range o.alternatives {
		matched := false
		for _, a := range set {
			if matched = a.match(v, depth+1); matched {
				break
			}
		}
		if !matched {
			return false
		}
	}
	return true
}

// matchValue matches an object, or one of a list.
func (o *object) matchValue(v any, depth int) bool {
	switch v := v.(type) {
	case map[string]any:
		return o.match(v, depth)
	case []any:
		for _, e := range v {
			if m, ok := e.(map[string]any); ok && o.match(m, depth) {
				return true
			}
		}
		return false
	}
	return o.match(nil, depth)
}

// matchLeaf matches a leaf, or one of a list. An object is no leaf.
func matchLeaf(leaf []matcher, v any, depth int) bool {
	switch v := v.(type) {
	case map[string]any:
		return false
	case []any:
		if depth > maxDepth {
			return false
		}
		for _, e := range v {
			if matchLeaf(leaf, e, depth+1) {
				return true
			}
		}
		return false
	}
	for _, m := range leaf {
		if m(v) {
			return true
		}
	}
	return false
}
