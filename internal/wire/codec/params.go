package codec

import (
	"strings"
	"unicode/utf8"

	"brume/internal/awserr"
)

// MaxParams is how many parameters a query string or a form may have. PutMetricData's thousand metrics with their
// dimensions stay below it.
const MaxParams = 50_000

// A Param is a parameter of a query string or form, or a label of a path.
type Param struct{ Key, Value string }

// Params are parameters in the order in which they were sent. A key may occur more than once.
type Params []Param

// Get returns the first value of key.
func (p Params) Get(key string) (string, bool) {
	for i := range p {
		if p[i].Key == key {
			return p[i].Value, true
		}
	}
	return "", false
}

// ParseParams reads the text of a query string or of a form body (application/x-www-form-urlencoded), which must be UTF-8.
func ParseParams(text string) (Params, error) {
	if text == "" {
		return nil, nil
	}
	n := 1 + strings.Count(text, "&")
	if n > MaxParams {
		return nil, malformedQuery("The request has more than %d parameters.", MaxParams)
	}
	out := make(Params, 0, n)
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, ok1 := unescape(k, true)
		value, ok2 := unescape(v, true)
		if !ok1 || !ok2 {
			return nil, malformedQuery("The query string contains a syntax error.")
		}
		out = append(out, Param{key, value})
	}
	return out, nil
}

// malformedQuery is documented to travel with 404.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func malformedQuery(format string, args ...any) error {
	return awserr.New("MalformedQueryString", format, args...).WithStatus(404)
}

// UnescapePath undoes the percent encoding of a part of a path; false if it is not valid, or not UTF-8.
func UnescapePath(s string) (string, bool) { return unescape(s, false) }

func unescape(s string, plus bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (!plus || strings.IndexByte(s, '+') < 0) {
		return s, utf8.ValidString(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		case c == '+' && plus:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), utf8.Valid(out)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
