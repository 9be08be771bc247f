package jsontext

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// An Appender writes one JSON text into Buf, which it extends. It is for callers who know what they write: it checks
// nothing, and puts a comma wherever the last byte is neither the start of an array or object nor a colon. Buf may be
// given with capacity, but empty.
type Appender struct {
	Buf []byte
}

func (a *Appender) comma() {
	if n := len(a.Buf); n > 0 {
		switch a.Buf[n-1] {
		case '{', '[', ':':
		default:
			a.Buf = append(a.Buf, ',')
		}
	}
}

func (a *Appender) BeginObject() { a.comma(); a.Buf = append(a.Buf, '{') }
func (a *Appender) EndObject()   { a.Buf = append(a.Buf, '}') }
func (a *Appender) BeginArray()  { a.comma(); a.Buf = append(a.Buf, '[') }
func (a *Appender) EndArray()    { a.Buf = append(a.Buf, ']') }

// Key writes the name of a member.
func (a *Appender) Key(name string) {
	a.comma()
	a.Buf = append(AppendString(a.Buf, name), ':')
}

// Name is Key for a name that needs no escaping.
func (a *Appender) Name(name string) {
	a.comma()
	a.Buf = append(a.Buf, '"')
	a.Buf = append(a.Buf, name...)
	a.Buf = append(a.Buf, '"', ':')
}

func (a *Appender) String(s string) { a.comma(); a.Buf = AppendString(a.Buf, s) }
func (a *Appender) Int(i int64)     { a.comma(); a.Buf = strconv.AppendInt(a.Buf, i, 10) }
func (a *Appender) Bool(b bool)     { a.comma(); a.Buf = strconv.AppendBool(a.Buf, b) }
func (a *Appender) Null()           { a.comma(); a.Buf = append(a.Buf, "null"...) }

// Float writes a number of 32 or 64 bits. What is no number is written as a string: "NaN", "Infinity", "-Infinity".
func (a *Appender) Float(f float64, bitSize int) { a.comma(); a.Buf = AppendFloat(a.Buf, f, bitSize) }

// Base64 writes bytes as a string in base64.
func (a *Appender) Base64(b []byte) {
	a.comma()
	a.Buf = append(a.Buf, '"')
	a.Buf = base64.StdEncoding.AppendEncode(a.Buf, b)
	a.Buf = append(a.Buf, '"')
}

// Raw writes a value that is JSON already.
func (a *Appender) Raw(json []byte) { a.comma(); a.Buf = append(a.Buf, json...) }

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; nothing is escaped but quotes, backslashes and
// control characters.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	data := unsafe.Slice(unsafe.StringData(s), len(s)) // only read
	for i := plain(data, 0); i < len(s); i = plain(data, i) {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// AppendFloat appends f as Appender.Float writes it.
func AppendFloat(dst []byte, f float64, bitSize int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bitSize)
}
