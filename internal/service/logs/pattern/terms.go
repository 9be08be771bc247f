package pattern

import (
	"regexp"
	"slices"
	"strings"
)

// terms match if all of all are in a message, none of none, and at least one of any (unless that is empty).
type terms struct{ all, any, none []term }

type term struct {
	text  string
	regex *regexp.Regexp
}

func (t term) in(message string) bool {
	if t.regex != nil {
		return t.regex.MatchString(message)
	}
	return strings.Contains(message, t.text)
}

func parseTerms(s *scanner) (form, error) {
	p := new(terms)
	for s.space(); s.rest != ""; s.space() {
		list := &p.all
		switch s.rest[0] {
		case '?':
			list, s.rest = &p.any, s.rest[1:]
		case '-':
			list, s.rest = &p.none, s.rest[1:]
		}
		t, err := s.term()
		if err != nil {
			return nil, err
		}
		*list = append(*list, t)
	}
	if len(p.all)+len(p.none) > 0 {
		p.any = nil // AWS ignores optional terms beside others
	}
	return p, nil
}

// term reads a word, a "phrase" or a %regular expression%.
func (s *scanner) term() (t term, err error) {
	switch {
	case strings.HasPrefix(s.rest, "%"):
		t.regex, err = s.regex()
		return t, err
	case strings.HasPrefix(s.rest, `"`):
		if t.text, err = s.quoted(); err != nil {
			return t, err
		}
		t.text = strings.NewReplacer(`\*`, `*`, `\\`, `\`).Replace(t.text)
		if t.text == "" {
			return t, errPattern
		}
		return t, nil
	}
	if t.text = s.run(isWord); t.text == "" {
		return t, s.unexpected()
	}
	// Terms with anything but letters, digits and underscores must be quoted.
	if s.rest != "" && strings.TrimLeft(s.rest[:1], " \t\r\n\v\f") != "" {
		return t, s.unexpected()
	}
	return t, nil
}

func (p *terms) find(message string) (Event, bool) {
	in := func(t term) bool { return t.in(message) }
	for _, t := range p.all {
		if !in(t) {
			return nil, false
		}
	}
	ok := !slices.ContainsFunc(p.none, in) && (len(p.any) == 0 || slices.ContainsFunc(p.any, in))
	return noValues{}, ok
}

func (*terms) has(string) bool { return false }

// noValues is an event of terms.
type noValues struct{}

func (noValues) Value(string) (string, bool) { return "", false }
func (noValues) Values() map[string]string   { return map[string]string{} }
