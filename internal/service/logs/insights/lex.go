package insights

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is that of a token.
type tokenKind uint8

const (
	end     tokenKind = iota
	name              // a field, a keyword or a function
	quoted            // a field in backticks
	literal           // a number
	words             // a string
	symbol
)

type token struct {
	kind       tokenKind
	text       string // without quotes
	start, end int
}

// parser reads a query. tok is the token that comes next.
type parser struct {
	text  string
	tok   token
	last  int // the end of the token before
	depth int
	known map[string]bool // names of columns, so far
	// aggregates are the makers of those in the expression being read, if it may have any.
	aggregates *[]func() aggregate
}

func isNameStart(r rune) bool { return r == '_' || r == '@' || unicode.IsLetter(r) }
func isName(r rune) bool      { return isNameStart(r) || r == '.' || unicode.IsDigit(r) }

// two are symbols of two characters.
var two = [...]string{"!=", "<=", ">=", "=~"}

// next reads a token.
func (p *parser) next() error {
	p.last = p.tok.end
	at := p.tok.end
	for {
		rest := strings.TrimLeftFunc(p.text[at:], unicode.IsSpace)
		at = len(p.text) - len(rest)
		if !strings.HasPrefix(rest, "#") { // a comment runs to the end of its line
			break
		}
		if eol := strings.IndexByte(rest, '\n'); eol >= 0 {
			at += eol
		} else {
			at = len(p.text)
		}
	}
	rest := p.text[at:]
	p.tok = token{start: at, end: at}
	if rest == "" {
		return nil
	}
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case isNameStart(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return !isName(r) })
		if n < 0 {
			n = len(rest)
		}
		p.tok.kind, p.tok.end = name, at+n
		p.tok.text = rest[:n]
	case r >= '0' && r <= '9' || r == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if n < 0 {
			n = len(rest)
		}
		p.tok.kind, p.tok.text, p.tok.end = literal, rest[:n], at+n
	case r == '"' || r == '\'':
		return p.string(rest, byte(r))
	case r == '`':
		n := strings.IndexByte(rest[1:], '`')
		if n <= 0 {
			p.tok.end = len(p.text)
			p.tok.kind = symbol
			return p.unexpected()
		}
		p.tok.kind, p.tok.text, p.tok.end = quoted, rest[1:1+n], at+n+2
	default:
		p.tok.kind, p.tok.text, p.tok.end = symbol, rest[:size], at+size
		for _, s := range two {
			if strings.HasPrefix(rest, s) {
				p.tok.text, p.tok.end = s, at+2
			}
		}
	}
	return nil
}

func (p *parser) string(rest string, quote byte) error {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == quote:
			p.tok.kind, p.tok.text, p.tok.end = words, b.String(), p.tok.start+i+1
			return nil
		case c == '\\' && i+1 < len(rest):
			i++
			switch rest[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	p.tok.kind, p.tok.end = symbol, p.tok.start+1
	return p.unexpected()
}

// regex reads a regular expression whose / is the token that comes next.
func (p *parser) regex() (string, error) {
	for i := p.tok.end; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '/':
			source := strings.ReplaceAll(p.text[p.tok.end:i], `\/`, "/")
			p.tok.end = i + 1
			return source, p.next()
		}
	}
	return "", p.unexpected()
}

// is says whether a symbol comes next.
func (p *parser) is(s string) bool { return p.tok.kind == symbol && p.tok.text == s }

// word says whether a keyword comes next.
func (p *parser) word(w string) bool { return p.tok.kind == name && strings.EqualFold(p.tok.text, w) }

// accept reads a symbol if it comes next.
func (p *parser) accept(s string) (bool, error) {
	if !p.is(s) {
		return false, nil
	}
	return true, p.next()
}

func (p *parser) acceptWord(w string) (bool, error) {
	if !p.word(w) {
		return false, nil
	}
	return true, p.next()
}

func (p *parser) expect(s string) error {
	if !p.is(s) {
		return p.unexpected()
	}
	return p.next()
}
