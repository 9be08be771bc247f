package pattern

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// fieldsForm matches messages that are fields between spaces. Without an ellipsis the last field takes the rest of the message;
// with one, the fields after it are the last ones.
type fieldsForm struct {
	fields   []field
	ellipsis int // the index of the field before which any number of others may lie, -1 for none
}

type field struct {
	name      string
	condition expression // nil for none
}

// wordCondition is a comparison of a field.
type wordCondition struct{ *comparison }

func (c wordCondition) holds(get func(*selector) (any, bool)) bool {
	v, _ := get(nil)
	text, ok := v.(string)
	return ok && c.comparison.holds(text)
}

func parseFields(s *scanner) (form, error) {
	s.structured = true
	s.rest = s.rest[1:]
	f := &fieldsForm{ellipsis: -1}
	for {
		if s.take("...") {
			if f.ellipsis >= 0 {
				return nil, errPattern
			}
			f.ellipsis = len(f.fields)
		} else {
			x, err := s.field()
			if err != nil {
				return nil, err
			}
			if x.name != "" && slices.ContainsFunc(f.fields, func(y field) bool { return x.name == y.name }) {
				return nil, errPattern
			}
			f.fields = append(f.fields, x)
		}
		if s.take("]") {
			break
		}
		if !s.take(",") {
			s.space()
			return nil, s.unexpected()
		}
	}
	if s.space(); s.rest != "" {
		return nil, s.unexpected()
	}
	if len(f.fields) == 1 && f.fields[0].name == "" {
		return nil, errPattern
	}
	return f, nil
}

// field reads a name, with conditions on it, or nothing: a field that nobody asks for.
func (s *scanner) field() (f field, err error) {
	s.space()
	if strings.HasPrefix(s.rest, ",") || strings.HasPrefix(s.rest, "]") {
		return f, nil
	}
	before := s.rest
	grouped := false
	for s.take("(") {
		grouped = true
	}
	f.name = s.run(func(r rune) bool { return isWord(r) || r == '-' })
	if f.name == "" {
		return f, s.unexpected()
	}
	s.space()
	if !grouped && (strings.HasPrefix(s.rest, ",") || strings.HasPrefix(s.rest, "]")) {
		return f, nil
	}
	s.rest = before
	f.condition, err = s.either(func() (expression, error) {
		s.space()
		if s.run(func(r rune) bool { return isWord(r) || r == '-' }) != f.name {
			return nil, errPattern // conditions are for one field
		}
		c, err := s.comparison()
		return wordCondition{c}, err
	})
	return f, err
}

// word is a field of a message: its value, and where it begins in the message.
type word struct {
	text  string
	start int
}

// words splits a message. What lies in brackets or in quotes is one field.
func words(message string) []word {
	var list []word
	// A bracket or quote that was found open to the end is not looked for again.
	var open [2]bool
	for at := 0; ; {
		at += len(message[at:]) - len(strings.TrimLeftFunc(message[at:], unicode.IsSpace))
		if at == len(message) {
			return list
		}
		rest := message[at:]
		if kind := strings.IndexByte("\"[", rest[0]); kind >= 0 && !open[kind] {
			if end := strings.IndexByte(rest[1:], "\"]"[kind]); end >= 0 {
				list = append(list, word{rest[1 : 1+end], at})
				at += end + 2
				continue
			}
			open[kind] = true
		}
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		list = append(list, word{rest[:end], at})
		at += end
	}
}

func (f *fieldsForm) find(message string) (Event, bool) {
	list := words(message)
	n := len(f.fields)
	if len(list) < n {
		return nil, false
	}
	if f.ellipsis < 0 && len(list) > n && n > 0 {
		last := list[n-1].start
		list = append(list[:n-1], word{strings.TrimRightFunc(message[last:], unicode.IsSpace), last})
	}
	e := fieldsEvent{f, list}
	for i, x := range f.fields {
		if x.condition == nil {
			continue
		}
		text := list[e.index(i)].text
		if !x.condition.holds(func(*selector) (any, bool) { return text, true }) {
			return nil, false
		}
	}
	return e, true
}

func (f *fieldsForm) has(reference string) bool {
	name, ok := strings.CutPrefix(reference, "$")
	if !ok || name == "" {
		return false
	}
	if slices.ContainsFunc(f.fields, func(x field) bool { return x.name == name }) {
		return true // a name can be a number too
	}
	n, err := strconv.Atoi(name)
	return err == nil && n > 0
}

type fieldsEvent struct {
	form  *fieldsForm
	words []word
}

// index is that of the word for field i.
func (e fieldsEvent) index(i int) int {
	if e.form.ellipsis >= 0 && i >= e.form.ellipsis {
		return len(e.words) - len(e.form.fields) + i
	}
	return i
}

// Values are all fields: by name, or by number if they have none.
func (e fieldsEvent) Values() map[string]string {
	values := make(map[string]string, len(e.words))
	names := make([]string, len(e.words))
	for i, f := range e.form.fields {
		names[e.index(i)] = f.name
	}
	for i, w := range e.words {
		name := names[i]
		if name == "" {
			name = strconv.Itoa(i + 1)
		}
		values["$"+name] = w.text
	}
	return values
}

func (e fieldsEvent) Value(reference string) (string, bool) {
	v, ok := e.Values()[reference]
	return v, ok
}
