package vtl

import (
	"math"
	"strconv"
	"strings"
)

// A Number is a number from JSON that is no int64, in the digits in which it came.
type Number string

// A List is a list, shared by all who hold it, as in Java.
type List struct{ Elems []any }

// A Map is a map that keeps the order of its keys.
type Map struct {
	Keys   []string
	values map[string]any
	// Lenient maps render what they lack as nothing: $context and $stageVariables do.
	Lenient bool
}

// NewMap returns an empty map.
func NewMap() *Map { return &Map{values: map[string]any{}} }

// Set sets the value of a key.
func (m *Map) Set(key string, v any) {
	if _, ok := m.values[key]; !ok {
		m.Keys = append(m.Keys, key)
	}
	m.values[key] = v
}

// put is Set for templates.
func (m *Map) put(key string, v any) error {
	if len(m.Keys) >= maxElements {
		return errTooLarge
	}
	m.Set(key, v)
	return nil
}

// Get returns the value of a key, and false if there is none.
func (m *Map) Get(key string) (any, bool) {
	v, ok := m.values[key]
	return v, ok
}

func (m *Map) remove(key string) any {
	v, ok := m.values[key]
	if !ok {
		return nil
	}
	delete(m.values, key)
	for i, k := range m.Keys {
		if k == key {
			m.Keys = append(m.Keys[:i], m.Keys[i+1:]...)
			break
		}
	}
	return v
}

// truth is what a condition makes of a value: only null and false are false.
func truth(v any) bool {
	b, isBool := v.(bool)
	return v != nil && (!isBool || b)
}

// Text is the value as Java's toString writes it, which is how templates render it.
func Text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := appendText(nil, v, 0)
	return string(b), err
}

func appendText(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	var err error
	switch v := v.(type) {
	case nil:
		b = append(b, "null"...)
	case string:
		b = append(b, v...)
	case bool:
		b = strconv.AppendBool(b, v)
	case int64:
		b = strconv.AppendInt(b, v, 10)
	case float64:
		b = appendDouble(b, v)
	case Number:
		b = append(b, v...)
	case *List:
		b = append(b, '[')
		for i, e := range v.Elems {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendText(b, e, depth+1); err != nil {
				return nil, err
			}
		}
		b = append(b, ']')
	case *Map:
		b = append(b, '{')
		for i, k := range v.Keys {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, k...), '=')
			if b, err = appendText(b, v.values[k], depth+1); err != nil {
				return nil, err
			}
		}
		b = append(b, '}')
	case Object:
		b = append(b, "{}"...)
	}
	if len(b) > MaxOutput {
		return nil, errTooLong
	}
	return b, nil
}

// appendDouble writes a number as Java's Double.toString does: with a fraction always, in scientific form outside of
// 10⁻³ to 10⁷.
func appendDouble(b []byte, f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	case a != 0 && (a < 1e-3 || a >= 1e7):
		s := strconv.FormatFloat(f, 'E', -1, 64)
		mantissa, exp, _ := strings.Cut(s, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exp)
		return append(b, mantissa+"E"+strconv.Itoa(n)...)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return append(b, s...)
}

// toInt is v as an integer, if it is one.
func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v), true
		}
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

// toFloat is v as a number, if it is one.
func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case Number:
		f, err := strconv.ParseFloat(string(v), 64)
		return f, err == nil
	}
	return 0, false
}

// equal compares numbers by value and everything else by its text, as Velocity does for unlike classes.
func equal(a, b any) (bool, error) {
	if a == nil || b == nil {
		return a == nil && b == nil, nil
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return x == y, nil
		}
	}
	if x, ok := toFloat(a); ok {
		if y, ok := toFloat(b); ok {
			return x == y, nil
		}
	}
	x, err := Text(a)
	if err != nil {
		return false, err
	}
	y, err := Text(b)
	return x == y, err
}

func compare(op string, a, b any) bool {
	x, ok1 := toFloat(a)
	y, ok2 := toFloat(b)
	if !ok1 || !ok2 {
		return false
	}
	switch op {
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	}
	return x >= y
}

// arithmetic is null for what cannot be calculated.
func arithmetic(op string, a, b any) (any, error) {
	x, ok1 := a.(int64)
	y, ok2 := b.(int64)
	if ok1 && ok2 {
		switch op {
		case "+":
			return x + y, nil
		case "-":
			return x - y, nil
		case "*":
			return x * y, nil
		}
		if y == 0 {
			return nil, nil
		}
		if op == "/" {
			return x / y, nil
		}
		return x % y, nil
	}
	f, ok1 := toFloat(a)
	g, ok2 := toFloat(b)
	if ok1 && ok2 {
		switch op {
		case "+":
			return f + g, nil
		case "-":
			return f - g, nil
		case "*":
			return f * g, nil
		}
		if g == 0 {
			return nil, nil
		}
		if op == "/" {
			return f / g, nil
		}
		return math.Mod(f, g), nil
	}
	_, s1 := a.(string)
	_, s2 := b.(string)
	if op != "+" || !s1 && !s2 {
		return nil, nil
	}
	s, err := Text(a)
	if err != nil {
		return nil, err
	}
	t, err := Text(b)
	if err != nil {
		return nil, err
	}
	if len(s)+len(t) > MaxOutput {
		return nil, errTooLong
	}
	return s + t, nil
}

// property is "v.name".
func property(v any, name string) any {
	switch v := v.(type) {
	case *Map:
		if e, ok := v.values[name]; ok {
			return e
		}
	case Object:
		if e, ok := v.Get(name); ok {
			return e
		}
	}
	// A bean property is a method without arguments: $list.empty is $list.isEmpty().
	switch name {
	case "empty":
		r, err := callMethod(v, "isEmpty", nil)
		if err == nil {
			return r
		}
	case "class":
		return nil
	}
	return nil
}

// element is "v[i]".
func element(v, i any) any {
	switch v := v.(type) {
	case *List:
		if n, ok := toInt(i); ok {
			if n < 0 {
				n += int64(len(v.Elems))
			}
			if n >= 0 && n < int64(len(v.Elems)) {
				return v.Elems[n]
			}
		}
	case *Map:
		k, err := Text(i)
		if err == nil {
			return v.values[k]
		}
	case Object:
		if k, ok := i.(string); ok {
			e, _ := v.Get(k)
			return e
		}
	}
	return nil
}
