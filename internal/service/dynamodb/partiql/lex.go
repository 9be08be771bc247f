package partiql

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEOF tokenKind = iota
	tokenWord
	tokenQuoted // "identifier"
	tokenString // 'text'
	tokenNumber
	tokenSymbol
	tokenInvalid
)

// A token is a piece of a statement. text is its content without quotes.
type token struct {
	kind       tokenKind
	text       string
	start, end int
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// skipBlank returns the position after white space and comments at i, and -1 if a comment does not end.
func skipBlank(src string, i int) int {
	for i < len(src) {
		switch {
		case src[i] == ' ' || src[i] == '\t' || src[i] == '\n' || src[i] == '\r':
			i++
		case strings.HasPrefix(src[i:], "--"):
			n := strings.IndexByte(src[i:], '\n')
			if n < 0 {
				return len(src)
			}
			i += n + 1
		case strings.HasPrefix(src[i:], "/*"):
			n := strings.Index(src[i+2:], "*/")
			if n < 0 {
				return -1
			}
			i += n + 4
		default:
			return i
		}
	}
	return i
}

// next returns the token at or after position i.
func next(src string, i int) token {
	if i = skipBlank(src, i); i < 0 {
		return token{kind: tokenInvalid, start: len(src), end: len(src)}
	}
	if i == len(src) {
		return token{kind: tokenEOF, start: i, end: i}
	}
	switch c := src[i]; {
	case isLetter(c):
		end := i
		for end < len(src) && (isLetter(src[end]) || isDigit(src[end])) {
			end++
		}
		return token{tokenWord, src[i:end], i, end}
	case c == '"' || c == '\'':
		return quoted(src, i)
	case isDigit(c) || c == '.' && i+1 < len(src) && isDigit(src[i+1]):
		end := numberEnd(src, i)
		return token{tokenNumber, src[i:end], i, end}
	}
	for _, symbol := range [...]string{"<<", ">>", "<=", ">=", "<>", "!="} {
		if strings.HasPrefix(src[i:], symbol) {
			return token{tokenSymbol, symbol, i, i + 2}
		}
	}
	if strings.IndexByte("()[]{},.:=<>+-*?", src[i]) >= 0 {
		return token{tokenSymbol, src[i : i+1], i, i + 1}
	}
	_, size := utf8.DecodeRuneInString(src[i:])
	return token{tokenInvalid, src[i : i+size], i, i + size}
}

// quoted reads what begins with a quote at i. The quote stands twice for itself.
func quoted(src string, i int) token {
	quote, kind := src[i:i+1], tokenString
	if quote == `"` {
		kind = tokenQuoted
	}
	var text strings.Builder
	for at := i + 1; ; {
		n := strings.Index(src[at:], quote)
		if n < 0 {
			return token{kind: tokenInvalid, start: i, end: len(src)}
		}
		text.WriteString(src[at : at+n])
		at += n + 1
		if !strings.HasPrefix(src[at:], quote) {
			return token{kind, text.String(), i, at}
		}
		text.WriteString(quote)
		at++
	}
}

func numberEnd(src string, i int) int {
	digits := func() {
		for i < len(src) && isDigit(src[i]) {
			i++
		}
	}
	digits()
	if i < len(src) && src[i] == '.' {
		i++
		digits()
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		exponent := i + 1
		if exponent < len(src) && (src[exponent] == '+' || src[exponent] == '-') {
			exponent++
		}
		if exponent < len(src) && isDigit(src[exponent]) {
			i = exponent
			digits()
		}
	}
	return i
}
