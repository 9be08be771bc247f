package pattern

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// operators, those that begin with another first.
var operators = [...]string{"!=", "<=", ">=", "=", "<", ">"}

// comparison is an operator with its right side.
type comparison struct {
	operator string
	regex    *regexp.Regexp
	number   float64 // NaN if the right side is no number
	text     string
	glob     []string // what lies between the stars of text; nil without any
}

// comparison reads an operator and a value.
func (s *scanner) comparison() (*comparison, error) {
	c := &comparison{number: math.NaN()}
	for _, op := range operators {
		if s.take(op) {
			c.operator = op
			break
		}
	}
	if c.operator == "" {
		return nil, s.unexpected()
	}
	s.space()
	var err error
	switch {
	case strings.HasPrefix(s.rest, "%"):
		c.regex, err = s.regex()
	case strings.HasPrefix(s.rest, `"`):
		var text string
		text, err = s.quoted()
		c.setText(text)
	default:
		word := s.run(func(r rune) bool { return isWord(r) || strings.ContainsRune(".-+*", r) })
		if word == "" {
			return nil, s.unexpected()
		}
		c.setText(word)
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			c.number = n
		}
	}
	if err != nil {
		return nil, err
	}
	if c.operator != "=" && c.operator != "!=" && math.IsNaN(c.number) {
		return nil, errPattern // order is for numbers
	}
	return c, nil
}

// setText takes a text with stars and with the escapes of scanner.quoted.
func (c *comparison) setText(text string) {
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			part.WriteByte(text[i])
		case text[i] == '*':
			c.glob = append(c.glob, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	if c.glob != nil {
		c.glob = append(c.glob, part.String())
	}
	c.text = part.String()
}

// holds says whether text, a word of a message or a scalar of JSON, compares so.
func (c *comparison) holds(text string) bool {
	switch c.operator {
	case "=":
		return c.equals(text)
	case "!=":
		return !c.equals(text)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	switch c.operator {
	case "<":
		return n < c.number
	case "<=":
		return n <= c.number
	case ">":
		return n > c.number
	}
	return n >= c.number
}

func (c *comparison) equals(text string) bool {
	switch {
	case c.regex != nil:
		return c.regex.MatchString(text)
	case c.glob != nil:
		return matchGlob(c.glob, text)
	case text == c.text:
		return true
	case math.IsNaN(c.number):
		return false
	}
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && n == c.number
}

// matchGlob says whether text is parts with anything between them. Each part is looked for once, from where the last ended.
func matchGlob(parts []string, text string) bool {
	last := len(parts) - 1
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(text) < len(parts[last]) {
		return false
	}
	text, ok = strings.CutSuffix(text, parts[last])
	if !ok {
		return false
	}
	for _, part := range parts[1:last] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return true
}

// maxRepeats bounds the sum of the counts in a regular expression, and so the time that matching takes for each byte.
const maxRepeats = 1000

// regex reads %a regular expression%.
func (s *scanner) regex() (*regexp.Regexp, error) {
	body := s.rest[1:]
	end := strings.IndexByte(body, '%')
	if end <= 0 {
		return nil, errPattern
	}
	body, s.rest = body[:end], body[end+1:]
	repeats := 0
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c >= 0x80 || !isWord(rune(c)) && !strings.ContainsRune(`:#=@/;,-^$?[]{}|\*+.`, rune(c)):
			return nil, (&scanner{rest: body[i:]}).unexpected()
		case c == '\\':
			if i++; i == len(body) {
				return nil, errPattern
			}
			if !strings.ContainsRune(`dDsSwWx^$?[]{}|\*+.:#=@/;,-`, rune(body[i])) {
				return nil, badCharacters(body[i-1 : i+1])
			}
		case c == '{':
			counts, _, ok := strings.Cut(body[i+1:], "}")
			if !ok {
				return nil, errPattern
			}
			for count := range strings.SplitSeq(counts, ",") {
				if count == "" {
					continue // {2,}
				}
				n, err := strconv.ParseUint(count, 10, 16)
				if repeats += int(n); err != nil || repeats > maxRepeats {
					return nil, errPattern
				}
			}
		}
	}
	re, err := regexp.Compile(body)
	if err != nil {
		return nil, errPattern
	}
	s.regexes++
	return re, nil
}
