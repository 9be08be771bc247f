package jsontext

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how many arrays and objects may be open at once. DynamoDB nests documents 32 levels deep, each of which
// takes two objects on the wire.
const MaxDepth = 512

// sharedText is the size up to which a text is copied once and all its strings are cut from that copy: one allocation
// instead of many, at the price that a string which is kept keeps at most this much alive.
const sharedText = 4 << 10

// Kind is the kind of a JSON value.
type Kind uint8

const (
	// None stands for the end of the text, or for something that begins no value.
	None Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

// A SyntaxError says what is wrong with a text, and where.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

func (e *SyntaxError) Error() string {
	return "jsontext: " + e.Reason + " at offset " + strconv.Itoa(e.Offset)
}

// A Scanner reads one text. Reset gives it one.
type Scanner struct {
	data   []byte
	shared string // data, if it is short
	pos    int
	depth  int
	// fresh is true between the start of an array or object and its first element.
	fresh   bool
	scratch []byte // holds an unescaped string
	err     error
}

// Reset makes the scanner start on data, which must not change while the scanner or a byte slice it returned is in use.
// Strings it returned stay valid.
func (s *Scanner) Reset(data []byte) {
	*s = Scanner{data: data, scratch: s.scratch[:0]}
	if len(data) <= sharedText {
		s.shared = string(data)
	}
}

// Err returns the first error, nil if there was none.
func (s *Scanner) Err() error { return s.err }

// Offset is how far the scanner has come.
func (s *Scanner) Offset() int { return s.pos }

// Fail makes err the scanner's error, unless it has one.
func (s *Scanner) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *Scanner) syntax(reason string) {
	if s.err == nil {
		s.err = &SyntaxError{s.pos, reason}
	}
}

// space moves to the next byte that is not white space and returns it, 0 at the end and after an error. (A zero byte in
// the text begins nothing either.)
func (s *Scanner) space() byte {
	if s.err != nil {
		return 0
	}
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// Kind looks at what comes next, without reading it.
func (s *Scanner) Kind() Kind {
	switch c := s.space(); c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return Number
	}
	return None
}

// End fails unless nothing but white space is left.
func (s *Scanner) End() {
	if s.space(); s.err == nil && s.pos < len(s.data) {
		s.syntax("text after the value")
	}
}

// BeginObject starts an object. NextName or NextKey then lead through its members.
func (s *Scanner) BeginObject() { s.begin('{') }

// BeginArray starts an array. NextElem then leads through its elements.
func (s *Scanner) BeginArray() { s.begin('[') }

func (s *Scanner) begin(open byte) {
	if s.space() != open {
		s.syntax("no " + string(rune(open)))
		return
	}
	if s.depth++; s.depth > MaxDepth {
		s.syntax("nested too deeply")
		return
	}
	s.pos++
	s.fresh = true
}

// next moves to the next element of what ends with end; false at the end, which it reads.
func (s *Scanner) next(end byte) bool {
	c := s.space()
	fresh := s.fresh
	s.fresh = false
	switch {
	case s.err != nil:
		return false
	case c == end:
		s.pos++
		s.depth--
		return false
	case fresh:
		return true
	case c == ',':
		s.pos++
		return true
	}
	s.syntax("neither comma nor end of the array or object")
	return false
}

// NextElem moves to the next element of an array. It returns false at the array's end.
func (s *Scanner) NextElem() bool { return s.next(']') && s.err == nil }

// NextName moves to the value of the next member of an object and returns the member's name, which stays valid until
// the next call. It returns false at the object's end.
func (s *Scanner) NextName() ([]byte, bool) {
	if !s.next('}') {
		return nil, false
	}
	name, _, _ := s.text()
	s.colon()
	return name, s.err == nil
}

// NextKey is NextName with the name as a string that stays valid.
func (s *Scanner) NextKey() (string, bool) {
	if !s.next('}') {
		return "", false
	}
	key := s.String()
	s.colon()
	return key, s.err == nil
}

func (s *Scanner) colon() {
	if s.space() != ':' {
		s.syntax("no colon after the name of a member")
		return
	}
	s.pos++
}

// String reads a string.
func (s *Scanner) String() string {
	text, start, escaped := s.text()
	switch {
	case escaped || s.shared == "":
		return string(text)
	default:
		return s.shared[start : start+len(text)]
	}
}

// Text reads a string. The result stays valid until the next call.
func (s *Scanner) Text() []byte {
	text, _, _ := s.text()
	return text
}

// text reads a string. Without escapes the result is the part of data that begins at start.
func (s *Scanner) text() (text []byte, start int, escaped bool) {
	if s.space() != '"' {
		s.syntax("no string")
		return nil, 0, false
	}
	start = s.pos + 1
	end, ascii := plain(s.data, start), true
	for end < len(s.data) && s.data[end] >= utf8.RuneSelf {
		ascii = false
		end = plain(s.data, skipHigh(s.data, end))
	}
	if end < len(s.data) && s.data[end] == '"' {
		s.pos = end + 1
		text = s.data[start:end]
		if !ascii && !utf8.Valid(text) {
			s.pos = start
			s.syntax("invalid UTF-8")
			return nil, 0, false
		}
		return text, start, false
	}
	return s.unescape(start, end), 0, true
}

// skipHigh returns the first position from i on with a byte below 0x80.
func skipHigh(data []byte, i int) int {
	for i < len(data) && data[i] >= utf8.RuneSelf {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the first position from i on whose byte is a quote, a backslash, a control character or not ASCII. It
// takes eight bytes at a time.
func plain(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The high bit of a byte is set where the byte is below 0x20, a quote, a backslash, or at least 0x80. A borrow
		// can also set it, but only above a byte that is rightly marked, and the lowest counts.
		if m := ((w - ones*0x20) | (quote - ones) | (slash - ones) | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(data) && !special(data[i]) {
		i++
	}
	return i
}

func special(c byte) bool { return c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf }

// unescape reads the rest of a string whose part from start to i holds no escape.
func (s *Scanner) unescape(start, i int) []byte {
	out := append(s.scratch[:0], s.data[start:i]...)
	defer func() { s.scratch = out }()
	for i < len(s.data) {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			if !utf8.Valid(out) {
				s.pos = start
				s.syntax("invalid UTF-8")
				return nil
			}
			return out
		case c < 0x20:
			s.pos = i
			s.syntax("control character in a string")
			return nil
		case c != '\\':
			end := plain(s.data, skipHigh(s.data, i))
			out = append(out, s.data[i:end]...)
			i = end
		default:
			n := 0
			if out, n = appendEscape(out, s.data[i:]); n == 0 {
				s.pos = i
				s.syntax("invalid escape")
				return nil
			}
			i += n
		}
	}
	s.pos = len(s.data)
	s.syntax("string without end")
	return nil
}

// appendEscape appends what the escape at the start of data stands for, and returns its length, 0 if it is not valid.
func appendEscape(out, data []byte) ([]byte, int) {
	if len(data) < 2 {
		return out, 0
	}
	switch c := data[1]; c {
	case '"', '\\', '/':
		return append(out, c), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r := hex4(data[2:])
		if r < 0 {
			return out, 0
		}
		if utf16.IsSurrogate(r) {
			// Half a pair stands for nothing.
			if len(data) >= 8 && data[6] == '\\' && data[7] == 'u' {
				if full := utf16.DecodeRune(r, hex4(data[8:])); full != utf8.RuneError {
					return utf8.AppendRune(out, full), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(out, r), 6
	}
	return out, 0
}

// hex4 reads four hexadecimal digits; -1 if they are not there.
func hex4(data []byte) rune {
	if len(data) < 4 {
		return -1
	}
	var r rune
	for _, c := range data[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// Number reads a number and returns its text, which is part of the data.
func (s *Scanner) Number() []byte {
	if s.Kind() != Number {
		s.syntax("no number")
		return nil
	}
	start, i := s.pos, s.pos
	if s.data[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(s.data) && '0' <= s.data[i] && s.data[i] <= '9' {
			i++
		}
		return i > from
	}
	ok := true
	if i < len(s.data) && s.data[i] == '0' {
		i++
	} else {
		ok = digits()
	}
	if ok && i < len(s.data) && s.data[i] == '.' {
		i++
		ok = digits()
	}
	if ok && i < len(s.data) && s.data[i]|0x20 == 'e' {
		if i++; i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		ok = digits()
	}
	s.pos = i
	if !ok {
		s.syntax("invalid number")
		return nil
	}
	return s.data[start:i]
}

// Bool reads true or false.
func (s *Scanner) Bool() bool {
	if s.space() == 't' {
		s.word("true")
		return s.err == nil
	}
	s.word("false")
	return false
}

// Null reads a null.
func (s *Scanner) Null() { s.word("null") }

func (s *Scanner) word(w string) {
	s.space()
	if s.err != nil {
		return
	}
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		s.syntax("no " + w)
		return
	}
	s.pos += len(w)
}

// Skip reads one value, whatever it is.
func (s *Scanner) Skip() {
	switch s.Kind() {
	case Object:
		s.BeginObject()
		for _, ok := s.NextName(); ok; _, ok = s.NextName() {
			s.Skip()
		}
	case Array:
		s.BeginArray()
		for s.NextElem() {
			s.Skip()
		}
	case String:
		s.text()
	case Number:
		s.Number()
	case True, False:
		s.Bool()
	case Null:
		s.Null()
	default:
		s.syntax("no value")
	}
}

// Raw reads one value and returns its text, which is part of the data.
func (s *Scanner) Raw() []byte {
	s.space()
	start := s.pos
	if s.Skip(); s.err != nil {
		return nil
	}
	return s.data[start:s.pos]
}

// Valid says whether data is one JSON text; the error is a *SyntaxError.
func Valid(data []byte) error {
	// No string is taken out, so nothing is shared.
	s := Scanner{data: data}
	s.Skip()
	s.End()
	return s.err
}
