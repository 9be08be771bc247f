package vtl

import (
	"slices"
	"strings"
	"unicode/utf16"

	"brume/internal/boundedre"
)

// callMethod calls a method of a value: what Java's String, List and Map have, as far as templates use it. A method that
// does not exist is null. Arguments out of range are null too, where Java would throw.
func callMethod(v any, name string, args []any) (any, error) {
	switch v := v.(type) {
	case Object:
		r, ok, err := v.Call(name, args)
		if ok || err != nil {
			return r, err
		}
		return nil, nil
	case string:
		return stringMethod(v, name, args)
	case *List:
		return listMethod(v, name, args)
	case *Map:
		return mapMethod(v, name, args)
	}
	switch {
	case name == "toString" && len(args) == 0 && v != nil:
		return Text(v)
	case name == "equals" && len(args) == 1:
		return equal(v, args[0])
	case name == "intValue" && len(args) == 0:
		if f, ok := toFloat(v); ok {
			return int64(f), nil
		}
	case name == "doubleValue" && len(args) == 0:
		if f, ok := toFloat(v); ok {
			return f, nil
		}
	}
	return nil, nil
}

func stringMethod(s, name string, args []any) (any, error) {
	text := make([]string, len(args))
	for i, a := range args {
		var err error
		if text[i], err = Text(a); err != nil {
			return nil, err
		}
	}
	switch len(args) {
	case 0:
		switch name {
		case "length":
			return int64(len(utf16.Encode([]rune(s)))), nil
		case "isEmpty":
			return s == "", nil
		case "toString":
			return s, nil
		case "toLowerCase":
			return strings.ToLower(s), nil
		case "toUpperCase":
			return strings.ToUpper(s), nil
		case "trim":
			return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }), nil
		}
	case 1:
		switch name {
		case "equals":
			t, ok := args[0].(string)
			return ok && s == t, nil
		case "equalsIgnoreCase":
			return strings.EqualFold(s, text[0]), nil
		case "contains":
			return strings.Contains(s, text[0]), nil
		case "startsWith":
			return strings.HasPrefix(s, text[0]), nil
		case "endsWith":
			return strings.HasSuffix(s, text[0]), nil
		case "concat":
			return bounded(s + text[0])
		case "indexOf":
			return int64(strings.Index(s, text[0])), nil
		case "lastIndexOf":
			return int64(strings.LastIndex(s, text[0])), nil
		case "charAt":
			return substring(s, args[0], nil, true), nil
		case "substring":
			return substring(s, args[0], nil, false), nil
		case "matches":
			re, err := boundedre.Whole(text[0])
			if err != nil {
				return nil, err
			}
			if !re.Fits(s) {
				return nil, errTooMany
			}
			return re.MatchString(s), nil
		case "split":
			re, err := boundedre.Compile(text[0])
			if err != nil {
				return nil, err
			}
			if !re.Fits(s) {
				return nil, errTooMany
			}
			parts := re.Split(s, maxElements)
			for len(parts) > 1 && parts[len(parts)-1] == "" { // as Java does
				parts = parts[:len(parts)-1]
			}
			l := &List{}
			for _, p := range parts {
				l.Elems = append(l.Elems, p)
			}
			return l, nil
		}
	case 2:
		switch name {
		case "substring":
			return substring(s, args[0], args[1], false), nil
		case "replace":
			if n := strings.Count(s, text[0]); len(s)+n*(len(text[1])-len(text[0])) > MaxOutput {
				return nil, errTooLong
			}
			return strings.ReplaceAll(s, text[0], text[1]), nil
		case "replaceAll", "replaceFirst":
			re, err := boundedre.Compile(text[0])
			if err != nil {
				return nil, err
			}
			return replaceRegexp(re, s, text[1], name == "replaceFirst")
		}
	}
	return nil, nil
}

func bounded(s string) (any, error) {
	if len(s) > MaxOutput {
		return nil, errTooLong
	}
	return s, nil
}

// replaceRegexp replaces with Java's form of a replacement: $1 is a group, a backslash makes the next character literal.
func replaceRegexp(re *boundedre.Regexp, s, with string, first bool) (any, error) {
	if !re.Fits(s) {
		return nil, errTooMany
	}
	var out []byte
	last := 0
	n := maxElements
	if first {
		n = 1
	}
	found := re.FindAllStringSubmatchIndex(s, n+1)
	if !first && len(found) > n {
		return nil, errTooMany
	}
	for _, m := range found[:min(n, len(found))] {
		out = append(out, s[last:m[0]]...)
		last = m[1]
		for i := 0; i < len(with); i++ {
			c := with[i]
			switch {
			case c == '\\' && i+1 < len(with):
				i++
				out = append(out, with[i])
			case c == '$' && i+1 < len(with) && isDigit(with[i+1]):
				i++
				if g := 2 * int(with[i]-'0'); g+1 < len(m) && m[g] >= 0 {
					out = append(out, s[m[g]:m[g+1]]...)
				}
			default:
				out = append(out, c)
			}
		}
		if len(out) > MaxOutput {
			return nil, errTooLong
		}
	}
	return bounded(string(append(out, s[last:]...)))
}

// substring counts in UTF-16 units, as Java does. It is null if the bounds are not those of the string.
func substring(s string, from, to any, one bool) any {
	u := utf16.Encode([]rune(s))
	i, ok := toInt(from)
	if !ok {
		return nil
	}
	j := int64(len(u))
	if to != nil {
		if j, ok = toInt(to); !ok {
			return nil
		}
	}
	if one {
		j = i + 1
	}
	if i < 0 || i > j || j > int64(len(u)) {
		return nil
	}
	return string(utf16.Decode(u[i:j]))
}

func listMethod(l *List, name string, args []any) (any, error) {
	switch {
	case len(args) == 0:
		switch name {
		case "size":
			return int64(len(l.Elems)), nil
		case "isEmpty":
			return len(l.Elems) == 0, nil
		case "toString":
			return Text(l)
		case "clear":
			l.Elems = nil
			return "", nil
		}
	case name == "get" && len(args) == 1:
		if i, ok := toInt(args[0]); ok && i >= 0 {
			return element(l, i), nil
		}
	case name == "contains" && len(args) == 1, name == "indexOf" && len(args) == 1:
		for i, e := range l.Elems {
			eq, err := equal(e, args[0])
			if err != nil {
				return nil, err
			}
			if eq {
				if name == "indexOf" {
					return int64(i), nil
				}
				return true, nil
			}
		}
		if name == "indexOf" {
			return int64(-1), nil
		}
		return false, nil
	case name == "add" && len(args) == 1:
		if len(l.Elems) >= maxElements {
			return nil, errTooLarge
		}
		l.Elems = append(l.Elems, args[0])
		return true, nil
	case name == "set" && len(args) == 2:
		if i, ok := toInt(args[0]); ok && i >= 0 && i < int64(len(l.Elems)) {
			old := l.Elems[i]
			l.Elems[i] = args[1]
			return old, nil
		}
	case name == "remove" && len(args) == 1:
		if i, ok := toInt(args[0]); ok && i >= 0 && i < int64(len(l.Elems)) {
			old := l.Elems[i]
			l.Elems = slices.Delete(l.Elems, int(i), int(i)+1)
			return old, nil
		}
	case name == "addAll" && len(args) == 1:
		if o, ok := args[0].(*List); ok {
			if len(l.Elems)+len(o.Elems) > maxElements {
				return nil, errTooLarge
			}
			l.Elems = append(l.Elems, o.Elems...)
			return true, nil
		}
	}
	return nil, nil
}

func mapMethod(m *Map, name string, args []any) (any, error) {
	key := ""
	if len(args) > 0 {
		var err error
		if key, err = Text(args[0]); err != nil {
			return nil, err
		}
	}
	switch len(args) {
	case 0:
		switch name {
		case "size":
			return int64(len(m.Keys)), nil
		case "isEmpty":
			return len(m.Keys) == 0, nil
		case "toString":
			return Text(m)
		case "keySet":
			l := &List{}
			for _, k := range m.Keys {
				l.Elems = append(l.Elems, k)
			}
			return l, nil
		case "values":
			l := &List{}
			for _, k := range m.Keys {
				l.Elems = append(l.Elems, m.values[k])
			}
			return l, nil
		case "entrySet":
			l := &List{}
			for _, k := range m.Keys {
				e := NewMap()
				e.Set("key", k)
				e.Set("value", m.values[k])
				l.Elems = append(l.Elems, entry{e})
			}
			return l, nil
		}
	case 1:
		switch name {
		case "get":
			return m.values[key], nil
		case "containsKey":
			_, ok := m.values[key]
			return ok, nil
		case "containsValue":
			for _, v := range m.values {
				eq, err := equal(v, args[0])
				if err != nil || eq {
					return eq, err
				}
			}
			return false, nil
		case "remove":
			return m.remove(key), nil
		case "putAll":
			if o, ok := args[0].(*Map); ok {
				for _, k := range o.Keys {
					if err := m.put(k, o.values[k]); err != nil {
						return nil, err
					}
				}
				return "", nil
			}
		}
	case 2:
		switch name {
		case "put":
			old := m.values[key]
			return old, m.put(key, args[1])
		case "getOrDefault":
			if v, ok := m.values[key]; ok {
				return v, nil
			}
			return args[1], nil
		}
	}
	return nil, nil
}

// An entry is an element of Map.entrySet().
type entry struct{ m *Map }

func (e entry) Get(name string) (any, bool) { return e.m.Get(name) }

func (e entry) Call(method string, args []any) (any, bool, error) {
	if len(args) != 0 {
		return nil, false, nil
	}
	switch method {
	case "getKey":
		return e.m.values["key"], true, nil
	case "getValue":
		return e.m.values["value"], true, nil
	}
	return nil, false, nil
}
