// Package pattern is the language of CloudWatch Logs' filter patterns, in which FilterLogEvents, Live Tail, metric filters and
// subscription filters say which events they are for: terms, JSON selectors, space-delimited fields, and regular expressions
// within each.
//
// It promises that a pattern that it takes means what AWS documents, that it takes no other, and that matching needs time and
// memory in proportion to the message, whatever pattern and message hold.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
package pattern

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern: its characters, and the regular expressions in one for JSON or fields.
const (
	maxLength  = 1024
	maxRegexes = 2
)

// A Pattern is a compiled filter pattern. It does not change, and may be used from any goroutine.
type Pattern struct {
	form    form
	regexes int
}

// form is one of the three kinds of patterns.
type form interface {
	find(message string) (Event, bool)
	has(reference string) bool
}

// An Event is a message that a pattern matched, with the values in it.
type Event interface {
	// Value is what a reference leads to: "$.a.b[0]" in JSON, "$name" among fields.
	Value(reference string) (string, bool)
	// Values are those that the pattern speaks of, by their references.
	Values() map[string]string
}

// An Error says what is wrong with a pattern, in AWS's words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

var errPattern = &Error{"Invalid filter pattern"}

func badCharacters(term string) error {
	return &Error{fmt.Sprintf("Invalid character(s) in term '%s'", term)}
}

// Parse compiles a pattern. Its errors are *Error.
func Parse(text string) (*Pattern, error) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxLength {
		return nil, errPattern
	}
	s := &scanner{rest: strings.TrimSpace(text)}
	p := new(Pattern)
	var err error
	switch {
	case strings.HasPrefix(s.rest, "{"):
		p.form, err = parseJSON(s)
	case strings.HasPrefix(s.rest, "["):
		p.form, err = parseFields(s)
	default:
		p.form, err = parseTerms(s)
		s.structured = false
	}
	if err != nil {
		return nil, err
	}
	if s.structured && s.regexes > maxRegexes {
		return nil, &Error{fmt.Sprintf("Invalid filter pattern: no more than %d regular expressions are allowed", maxRegexes)}
	}
	p.regexes = s.regexes
	return p, nil
}

// Match says whether a message matches.
func (p *Pattern) Match(message string) bool {
	_, ok := p.form.find(message)
	return ok
}

// Find returns the message as an event if it matches.
func (p *Pattern) Find(message string) (Event, bool) { return p.form.find(message) }

// Has says whether events of this pattern may have a value for a reference.
func (p *Pattern) Has(reference string) bool { return p.form.has(reference) }

// Regexes is how many regular expressions the pattern has.
func (p *Pattern) Regexes() int { return p.regexes }
