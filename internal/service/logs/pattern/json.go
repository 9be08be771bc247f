package pattern

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// jsonForm matches messages that are JSON objects.
type jsonForm struct {
	root      expression
	selectors []*selector
}

// expression is a condition, or several joined by and or by or.
type expression interface {
	holds(get func(*selector) (any, bool)) bool
}

type (
	allOf []expression
	anyOf []expression
	// condition is a selector with a comparison, or with a test if that is nil.
	condition struct {
		selector   *selector
		comparison *comparison
		test       func(v any, exists bool) bool
	}
)

func (e allOf) holds(get func(*selector) (any, bool)) bool {
	for _, x := range e {
		if !x.holds(get) {
			return false
		}
	}
	return true
}

func (e anyOf) holds(get func(*selector) (any, bool)) bool {
	for _, x := range e {
		if x.holds(get) {
			return true
		}
	}
	return false
}

func (c *condition) holds(get func(*selector) (any, bool)) bool {
	v, exists := get(c.selector)
	if c.test != nil {
		return c.test(v, exists)
	}
	text, ok := scalar(v)
	return exists && ok && c.comparison.holds(text)
}

// scalar is the text of a string, a number or a boolean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// selector leads to a part of a message: through keys (strings) and indexes (ints).
type selector struct {
	text string
	path []any
}

func (l *selector) in(v any) (any, bool) {
	for _, step := range l.path {
		switch step := step.(type) {
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = object[step]; !ok {
				return nil, false
			}
		case int:
			array, ok := v.([]any)
			if !ok || step >= len(array) {
				return nil, false
			}
			v = array[step]
		}
	}
	return v, true
}

// selector reads $.a.b[0].
func (s *scanner) selector() (*selector, error) {
	s.space()
	all := s.rest
	if !strings.HasPrefix(s.rest, "$") {
		return nil, s.unexpected()
	}
	s.rest = s.rest[1:]
	l := new(selector)
	for {
		switch {
		case strings.HasPrefix(s.rest, "."):
			s.rest = s.rest[1:]
			key := s.run(func(r rune) bool { return isWord(r) || r == '-' })
			if key == "" {
				if s.rest == "" {
					return nil, errPattern
				}
				return nil, badCharacters(all[:len(all)-len(s.rest)+1])
			}
			l.path = append(l.path, key)
		case strings.HasPrefix(s.rest, "[") && len(l.path) > 0:
			digits, rest, ok := strings.Cut(s.rest[1:], "]")
			index, err := strconv.ParseUint(digits, 10, 31)
			if !ok || err != nil {
				return nil, s.unexpected()
			}
			l.path, s.rest = append(l.path, int(index)), rest
		case len(l.path) == 0:
			return nil, errPattern
		default:
			l.text = all[:len(all)-len(s.rest)]
			return l, nil
		}
	}
}

func parseJSON(s *scanner) (form, error) {
	s.structured = true
	s.rest = s.rest[1:]
	f := new(jsonForm)
	var err error
	f.root, err = s.either(func() (expression, error) {
		c, err := s.condition()
		if err != nil {
			return nil, err
		}
		f.selectors = append(f.selectors, c.selector)
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	if !s.take("}") {
		return nil, s.unexpected()
	}
	if s.space(); s.rest != "" {
		return nil, s.unexpected()
	}
	return f, nil
}

// either reads expressions joined by ||, each of them joined by &&, with parentheses around any.
func (s *scanner) either(leaf func() (expression, error)) (expression, error) {
	var any anyOf
	for {
		var all allOf
		for {
			e, err := s.group(leaf)
			if err != nil {
				return nil, err
			}
			all = append(all, e)
			if !s.take("&&") {
				break
			}
		}
		any = append(any, all)
		if !s.take("||") {
			return any, nil
		}
	}
}

func (s *scanner) group(leaf func() (expression, error)) (expression, error) {
	if !s.take("(") {
		return leaf()
	}
	e, err := s.either(leaf)
	if err == nil && !s.take(")") {
		err = s.unexpected()
	}
	return e, err
}

func (s *scanner) condition() (*condition, error) {
	l, err := s.selector()
	if err != nil {
		return nil, err
	}
	c := &condition{selector: l}
	switch {
	case s.keyword("IS"):
		switch {
		case s.keyword("NULL"):
			c.test = func(v any, exists bool) bool { return exists && v == nil }
		case s.keyword("TRUE"):
			c.test = func(v any, _ bool) bool { return v == true }
		case s.keyword("FALSE"):
			c.test = func(v any, _ bool) bool { return v == false }
		default:
			return nil, errPattern
		}
	case s.keyword("NOT"):
		if !s.keyword("EXISTS") {
			return nil, errPattern
		}
		c.test = func(_ any, exists bool) bool { return !exists }
	default:
		c.comparison, err = s.comparison()
	}
	return c, err
}

func (f *jsonForm) find(message string) (Event, bool) {
	root, err := decode(message)
	if err != nil {
		return nil, false
	}
	e := jsonEvent{f, root}
	return e, f.root.holds(func(l *selector) (any, bool) { return l.in(root) })
}

func (*jsonForm) has(reference string) bool {
	s := &scanner{rest: reference}
	_, err := s.selector()
	return err == nil && s.rest == ""
}

// decode reads a message that is an object, and nothing else.
func decode(message string) (map[string]any, error) {
	if !strings.HasPrefix(strings.TrimLeft(message, " \t\r\n"), "{") {
		return nil, errors.New("no object")
	}
	d := json.NewDecoder(strings.NewReader(message))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than an object")
	}
	return root, nil
}

type jsonEvent struct {
	form *jsonForm
	root map[string]any
}

func (e jsonEvent) Value(reference string) (string, bool) {
	s := &scanner{rest: reference}
	l, err := s.selector()
	if err != nil || s.rest != "" {
		return "", false
	}
	v, _ := l.in(e.root)
	return scalar(v)
}

func (e jsonEvent) Values() map[string]string {
	values := map[string]string{}
	for _, l := range e.form.selectors {
		if v, exists := l.in(e.root); exists {
			if text, ok := scalar(v); ok {
				values[l.text] = text
			}
		}
	}
	return values
}
