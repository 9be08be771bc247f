package expression

import (
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEOF     tokenKind = iota
	tokenWord              // attribute, function or keyword
	tokenName              // #name
	tokenValue             // :value
	tokenNumber            // digits
	tokenSymbol            // ( ) [ ] . , = < > <= >= <> + -
	tokenInvalid           // one character that begins none of these
)

// A token is a piece of the source.
type token struct {
	kind       tokenKind
	start, end int
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

// next returns the token at or after position i.
func next(src string, i int) token {
	for i < len(src) && (src[i] == ' ' || src[i] == '\t' || src[i] == '\n' || src[i] == '\r') {
		i++
	}
	if i == len(src) {
		return token{tokenEOF, i, i}
	}
	word := func(from int) int {
		for from < len(src) && isWordByte(src[from]) {
			from++
		}
		return from
	}
	switch c := src[i]; {
	case isLetter(c):
		return token{tokenWord, i, word(i)}
	case isDigit(c):
		end := i
		for end < len(src) && isDigit(src[end]) {
			end++
		}
		return token{tokenNumber, i, end}
	case c == '#' || c == ':':
		if end := word(i + 1); end > i+1 {
			kind := tokenName
			if c == ':' {
				kind = tokenValue
			}
			return token{kind, i, end}
		}
	case c == '<' || c == '>':
		if i+1 < len(src) && (src[i+1] == '=' || c == '<' && src[i+1] == '>') {
			return token{tokenSymbol, i, i + 2}
		}
		return token{tokenSymbol, i, i + 1}
	case c == '(' || c == ')' || c == '[' || c == ']' || c == '.' || c == ',' || c == '=' || c == '+' || c == '-':
		return token{tokenSymbol, i, i + 1}
	}
	_, size := utf8.DecodeRuneInString(src[i:])
	return token{tokenInvalid, i, i + size}
}
