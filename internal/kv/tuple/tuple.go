// Package tuple encodes keys made of several elements so that the byte order of the keys is the order of the elements,
// first to last.
//
// It promises:
//
//   - Strings and byte strings compare as bytes.Compare does, whatever bytes they hold; integers compare by value.
//     The Desc forms compare in reverse.
//   - The encoding of an element is never a prefix of the encoding of a different element of the same type, so
//     kv.Prefix(AppendString(nil, "user")) selects the keys whose first element is "user", and not those of "user2".
//   - One tuple has one encoding: what a Reader accepts encodes to the same bytes again.
//
// The types of the elements are not in the key. Whoever reads a key knows which elements it holds, and in which order;
// the keys.go of each service is the place for that.
package tuple

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// A string ends with terminator after escape; a zero byte inside is followed by escaped, which sorts after the
// terminator, so that "a" comes before "a\x00".
const (
	escape     = 0x00
	terminator = 0x01
	escaped    = 0xff
)

// ErrMalformed is the error of a Reader whose key does not hold the elements asked for.
var ErrMalformed = errors.New("tuple: malformed key")

// AppendString appends s, which may hold any bytes.
func AppendString(dst []byte, s string) []byte {
	return append(AppendStringPrefix(dst, s), escape, terminator)
}

// AppendBytes appends b. It encodes as the string of the same bytes does.
func AppendBytes(dst, b []byte) []byte {
	return append(AppendBytesPrefix(dst, b), escape, terminator)
}

// AppendStringPrefix appends s without its end: kv.Prefix of the result selects the keys whose element at this place is a
// string that begins with s.
func AppendStringPrefix(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == escape {
			dst = append(dst, escaped)
		}
	}
	return dst
}

// AppendBytesPrefix is AppendStringPrefix for bytes.
func AppendBytesPrefix(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, escape)
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(append(dst, b[:i+1]...), escaped)
		b = b[i+1:]
	}
}

// AppendBytesDesc appends b in descending order: "b" before "ab" before "a" before "".
func AppendBytesDesc(dst, b []byte) []byte {
	n := len(dst)
	dst = AppendBytes(dst, b)
	invert(dst[n:])
	return dst
}

// AppendStringDesc is AppendBytesDesc for strings.
func AppendStringDesc(dst []byte, s string) []byte {
	n := len(dst)
	dst = AppendString(dst, s)
	invert(dst[n:])
	return dst
}

// AppendUint64 appends n in eight bytes.
func AppendUint64(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, n)
}

// AppendUint64Desc appends n in eight bytes, the largest number first.
func AppendUint64Desc(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, ^n)
}

// AppendInt64 appends n in eight bytes, the negative numbers first.
func AppendInt64(dst []byte, n int64) []byte {
	return AppendUint64(dst, uint64(n)^1<<63)
}

// AppendInt64Desc appends n in eight bytes, the largest number first.
func AppendInt64Desc(dst []byte, n int64) []byte {
	return AppendUint64Desc(dst, uint64(n)^1<<63)
}

// AppendTime appends t in eight bytes, in nanoseconds since 1970. It can tell the years 1678 to 2261; what lies outside is
// taken for the nearest time inside, so that the order holds.
func AppendTime(dst []byte, t time.Time) []byte {
	return AppendInt64(dst, nanoseconds(t))
}

// AppendTimeDesc is AppendTime with the latest time first.
func AppendTimeDesc(dst []byte, t time.Time) []byte {
	return AppendInt64Desc(dst, nanoseconds(t))
}

// AppendByte appends b as it is: a tag, say, for which of several kinds of rows follows.
func AppendByte(dst []byte, b byte) []byte { return append(dst, b) }

var (
	minTime = time.Unix(0, -1<<63)
	maxTime = time.Unix(0, 1<<63-1)
)

func nanoseconds(t time.Time) int64 {
	if t.Before(minTime) {
		return -1 << 63
	}
	if t.After(maxTime) {
		return 1<<63 - 1
	}
	return t.UnixNano()
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
