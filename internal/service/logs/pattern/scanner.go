package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner reads a pattern from its beginning.
type scanner struct {
	rest       string
	regexes    int
	structured bool
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func (s *scanner) space() { s.rest = strings.TrimLeftFunc(s.rest, unicode.IsSpace) }

// take reads token, after space.
func (s *scanner) take(token string) bool {
	s.space()
	rest, ok := strings.CutPrefix(s.rest, token)
	if ok {
		s.rest = rest
	}
	return ok
}

// keyword reads a word of the language, whatever its case.
func (s *scanner) keyword(word string) bool {
	s.space()
	if len(s.rest) < len(word) || !strings.EqualFold(s.rest[:len(word)], word) {
		return false
	}
	if r, _ := utf8.DecodeRuneInString(s.rest[len(word):]); isWord(r) {
		return false
	}
	s.rest = s.rest[len(word):]
	return true
}

// run reads the longest run of characters that are in.
func (s *scanner) run(in func(rune) bool) string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !in(r) })
	if end < 0 {
		end = len(s.rest)
	}
	word := s.rest[:end]
	s.rest = s.rest[end:]
	return word
}

// unexpected is the error for what comes next.
func (s *scanner) unexpected() error {
	if s.rest == "" {
		return errPattern
	}
	_, n := utf8.DecodeRuneInString(s.rest)
	return badCharacters(s.rest[:n])
}

// quoted reads a string in quotes, in which a backslash escapes. A star that is escaped is marked as \*.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), nil
		case '\\':
			if i++; i == len(s.rest) {
				return "", errPattern
			}
			if s.rest[i] == '*' || s.rest[i] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errPattern
}
