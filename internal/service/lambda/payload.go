package lambda

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validPayload says whether a payload is JSON, which is text in UTF-8.
func validPayload(payload []byte) bool { return json.Valid(payload) && utf8.Valid(payload) }

// explainJSON says why a payload is no JSON, in the words of Lambda's parser, which is Jackson. Reports of users have them:
// https://github.com/awsdocs/aws-lambda-developer-guide/issues/351 and …/382,
// https://github.com/alexcasalboni/aws-lambda-power-tuning/issues/148
func explainJSON(payload []byte) (explanation string) {
	r := &payloadReader{data: payload}
	defer func() {
		switch why := recover().(type) {
		case nil:
		case payloadError:
			explanation = string(why) + "\n at " + r.location(r.at)
		default:
			panic(why)
		}
	}()
	r.read()
	return ""
}

// maxNesting is how deep encoding/json lets arrays and objects lie in each other.
const maxNesting = 10_000

// A payloadError is what is wrong at the place that a payloadReader has reached.
type payloadError string

// A payloadReader reads JSON until something is wrong with it, for which it panics.
type payloadReader struct {
	data []byte
	at   int // behind the byte that was read last
	open []container
}

// A container is an object or array that has no end yet.
type container struct {
	begin int
	some  bool // it has an entry
}

func (r *payloadReader) fail(format string, args ...any) {
	panic(payloadError(fmt.Sprintf(format, args...)))
}

// maxSource is how much of a payload an explanation shows, in bytes.
const maxSource = 500

// location names a place: the column is that behind it, in bytes.
func (r *payloadReader) location(at int) string {
	before := r.data[:at]
	line, start := 1, 0
	for i, c := range before {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	shown, rest := r.data, ""
	if len(shown) > maxSource {
		shown, rest = shown[:maxSource], fmt.Sprintf("[truncated %d bytes]", len(shown)-maxSource)
	}
	return fmt.Sprintf(`[Source: (byte[])"%s"%s; line: %d, column: %d]`, strings.ToValidUTF8(string(shown), "\ufffd"), rest, line, at-start+1)
}

// begin names the place where the innermost object or array begins.
func (r *payloadReader) begin() string { return r.location(r.open[len(r.open)-1].begin) }

// context is what the reader is in: "Object", "Array" or "root".
func (r *payloadReader) context() string {
	switch {
	case len(r.open) == 0:
		return "root"
	case r.data[r.open[len(r.open)-1].begin] == '{':
		return "Object"
	}
	return "Array"
}

// take reads a byte, if there is one.
func (r *payloadReader) take() (c byte, ok bool) {
	if r.at == len(r.data) {
		return 0, false
	}
	r.at++
	return r.data[r.at-1], true
}

// space reads up to the next byte that is no white space, and that.
func (r *payloadReader) space() (c byte, ok bool) {
	for {
		c, ok = r.take()
		if !ok || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, ok
		}
	}
}

// must is space where something has to follow.
func (r *payloadReader) must() byte {
	c, ok := r.space()
	if !ok {
		r.fail("Unexpected end-of-input within/between %s entries", r.context())
	}
	return c
}

func describeByte(c byte) string {
	if c < ' ' || c >= 0x7f && c < 0xa0 {
		return fmt.Sprintf("(CTRL-CHAR, code %d)", c)
	}
	return fmt.Sprintf("'%c' (code %d)", rune(c), c)
}

func (r *payloadReader) unexpected(c byte, comment string) {
	r.fail("Unexpected character (%s): %s", describeByte(c), comment)
}

// read reads one document.
func (r *payloadReader) read() {
	c, ok := r.space()
	if !ok {
		r.fail("No content to map due to end-of-input")
	}
	r.value(c)
	for len(r.open) > 0 {
		r.next()
	}
	if c, ok := r.space(); ok {
		r.value(c)
		r.fail("Trailing token found after value: not allowed")
	}
}

// next reads the end of what is open, or its next entry.
func (r *payloadReader) next() {
	c, ok := r.space()
	object := r.context() == "Object"
	if !ok {
		r.fail("Unexpected end-of-input: expected close marker for %s (start marker at %s)", r.context(), r.begin())
	}
	if c == '}' || c == ']' {
		if object != (c == '}') {
			r.fail("Unexpected close marker '%c': expected '%c' (for %s starting at %s)", c, '}'+']'-rune(c), r.context(), r.begin())
		}
		r.open = r.open[:len(r.open)-1]
		return
	}
	in := &r.open[len(r.open)-1]
	if in.some {
		if c != ',' {
			r.unexpected(c, "was expecting comma to separate "+r.context()+" entries")
		}
		c = r.must()
	}
	in.some = true
	if object {
		if c != '"' {
			r.unexpected(c, "was expecting double-quote to start field name")
		}
		r.name()
		if c = r.must(); c != ':' {
			r.unexpected(c, "was expecting a colon to separate field name and value")
		}
		c = r.must()
	}
	r.value(c)
}

// The two lists of what can be a value are the same where only JSON is taken.
const validValues = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

// value reads the value that begins with c, and of an object or array only the beginning.
func (r *payloadReader) value(c byte) {
	switch {
	case c == '{' || c == '[':
		if len(r.open) == maxNesting {
			r.fail("Document nesting depth (%d) exceeds the maximum allowed (%d)", maxNesting+1, maxNesting)
		}
		r.open = append(r.open, container{begin: r.at - 1})
	case c == '"':
		r.text("string value", "Unexpected end-of-input in VALUE_STRING")
	case c == '-' || c >= '0' && c <= '9':
		r.number(c)
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	case c == ',' || c == '}' || c == ']' && r.context() == "Array":
		r.unexpected(c, "expected a value")
	case identifierStart(rune(c)):
		r.token(string(rune(c)))
	default:
		r.unexpected(c, "expected a valid value "+validValues)
	}
}

func identifierStart(c rune) bool {
	return unicode.IsLetter(c) || c == '_' || unicode.Is(unicode.Sc, c)
}

func identifierPart(c rune) bool {
	return identifierStart(c) || unicode.IsDigit(c) || unicode.Is(unicode.Mn, c) || c < ' ' && !unicode.IsSpace(c) && c != 0x1c && c != 0x1d && c != 0x1e && c != 0x1f
}

// literal reads the rest of a word.
func (r *payloadReader) literal(word string) {
	for i := 1; i < len(word); i++ {
		if r.at == len(r.data) || r.data[r.at] != word[i] {
			r.token(word[:i])
		}
		r.at++
	}
	if r.at < len(r.data) {
		if c, _ := utf8.DecodeRune(r.data[r.at:]); r.data[r.at] >= '0' && identifierPart(c) {
			r.token(word)
		}
	}
}

// maxToken is how much of a word that means nothing is shown.
const maxToken = 256

// token reads the rest of such a word.
func (r *payloadReader) token(word string) {
	for r.at < len(r.data) {
		c := r.rune()
		if !identifierPart(c) {
			break
		}
		if word += string(c); len(word) >= maxToken {
			word += "..."
			break
		}
	}
	r.fail("Unrecognized token '%s': was expecting %s", word, validValues)
}

// rune reads a character of any length.
func (r *payloadReader) rune() rune {
	c, size := utf8.DecodeRune(r.data[r.at:])
	if c != utf8.RuneError || size != 1 {
		r.at += size
		return c
	}
	first := r.data[r.at]
	r.at++
	more := 0
	switch {
	case first&0xe0 == 0xc0:
		more = 1
	case first&0xf0 == 0xe0:
		more = 2
	case first&0xf8 == 0xf0:
		more = 3
	default:
		r.fail("Invalid UTF-8 start byte 0x%x", first)
	}
	var middle byte
	for range more {
		var ok bool
		if middle, ok = r.take(); !ok {
			r.fail("Unexpected end-of-input in VALUE_STRING")
		}
		if middle&0xc0 != 0x80 {
			break
		}
	}
	r.fail("Invalid UTF-8 middle byte 0x%x", middle)
	return 0
}

// number reads the rest of a number.
func (r *payloadReader) number(c byte) {
	peek := func() (byte, bool) {
		if r.at == len(r.data) {
			return 0, false
		}
		return r.data[r.at], true
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	digits := func(complaint string) {
		n := 0
		for {
			c, ok := peek()
			if !ok || !digit(c) {
				if n == 0 {
					r.wrongNumber(complaint)
				}
				return
			}
			r.at++
			n++
		}
	}
	if c == '-' {
		next, ok := peek()
		if !ok || !digit(next) {
			r.wrongNumber("expected digit (0-9) to follow minus sign, for valid numeric value")
		}
		c = next
		r.at++
	}
	if next, ok := peek(); c == '0' && ok && digit(next) {
		r.at++
		r.fail("Invalid numeric value: Leading zeroes not allowed")
	}
	for next, ok := peek(); ok && digit(next); next, ok = peek() {
		r.at++
	}
	if next, ok := peek(); ok && next == '.' {
		r.at++
		digits("Decimal point not followed by a digit")
	}
	if next, ok := peek(); ok && (next == 'e' || next == 'E') {
		r.at++
		if sign, ok := peek(); ok && (sign == '+' || sign == '-') {
			r.at++
		}
		digits("Exponent indicator not followed by a digit")
	}
	if next, ok := peek(); ok && len(r.open) == 0 && next != ' ' && next != '\t' && next != '\n' && next != '\r' {
		r.at++
		r.unexpected(next, "Expected space separating root-level values")
	}
}

// wrongNumber is for a byte that cannot follow in a number.
func (r *payloadReader) wrongNumber(comment string) {
	c, ok := r.take()
	if !ok {
		r.fail("Unexpected end-of-input in a Number value")
	}
	r.fail("Unexpected character (%s) in numeric value: %s", describeByte(c), comment)
}

// name reads the rest of a name.
func (r *payloadReader) name() {
	if r.at == len(r.data) {
		r.fail(`Unexpected end-of-input: was expecting closing '"' for name`)
	}
	r.text("name", "Unexpected end-of-input in field name")
}

// text reads up to the quote at the end.
func (r *payloadReader) text(what, end string) {
	for {
		if r.at == len(r.data) {
			r.fail("%s", end)
		}
		switch c := r.rune(); {
		case c == '"':
			return
		case c < ' ':
			r.fail("Illegal unquoted character (%s): has to be escaped using backslash to be included in %s", describeByte(byte(c)), what)
		case c == '\\':
			r.escape()
		}
	}
}

func (r *payloadReader) escape() {
	const end = "Unexpected end-of-input in character escape sequence"
	if r.at == len(r.data) {
		r.fail(end)
	}
	c := r.rune()
	if c != 'u' {
		if !strings.ContainsRune(`"\/bfnrt`, c) {
			r.fail("Unrecognized character escape '%c' (code %d)", c, c)
		}
		return
	}
	for range 4 {
		c, ok := r.take()
		switch {
		case !ok:
			r.fail(end)
		case !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)):
			r.unexpected(c, "expected a hex-digit for character escape sequence")
		}
	}
}
