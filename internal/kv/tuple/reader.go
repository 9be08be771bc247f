package tuple

import (
	"bytes"
	"encoding/binary"
	"time"
)

// A Reader takes the elements out of a key in the order in which they were appended. After an error every element is the
// zero value, so it is enough to ask for the error once, at the end:
//
//	r := tuple.NewReader(key)
//	table, version := r.String(), r.Uint64()
//	if err := r.End(); err != nil {
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a Reader of key, which must not change while it is in use.
func NewReader(key []byte) Reader { return Reader{rest: key} }

// Bytes reads an element written by AppendBytes or AppendString. The result may share memory with the key.
func (r *Reader) Bytes() []byte { return r.bytes(0) }

// BytesDesc reads an element written by AppendBytesDesc or AppendStringDesc.
func (r *Reader) BytesDesc() []byte { return r.bytes(0xff) }

// String reads an element written by AppendString or AppendBytes.
func (r *Reader) String() string { return string(r.bytes(0)) }

// StringDesc reads an element written by AppendStringDesc or AppendBytesDesc.
func (r *Reader) StringDesc() string { return string(r.bytes(0xff)) }

// Uint64 reads an element written by AppendUint64.
func (r *Reader) Uint64() uint64 {
	b := r.fixed(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Uint64Desc reads an element written by AppendUint64Desc.
func (r *Reader) Uint64Desc() uint64 {
	b := r.fixed(8)
	if b == nil {
		return 0
	}
	return ^binary.BigEndian.Uint64(b)
}

// Int64 reads an element written by AppendInt64.
func (r *Reader) Int64() int64 {
	b := r.fixed(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b) ^ 1<<63)
}

// Int64Desc reads an element written by AppendInt64Desc.
func (r *Reader) Int64Desc() int64 {
	b := r.fixed(8)
	if b == nil {
		return 0
	}
	return int64(^binary.BigEndian.Uint64(b) ^ 1<<63)
}

// Time reads an element written by AppendTime, in UTC.
func (r *Reader) Time() time.Time { return r.time(r.Int64()) }

// TimeDesc reads an element written by AppendTimeDesc, in UTC.
func (r *Reader) TimeDesc() time.Time { return r.time(r.Int64Desc()) }

// Byte reads an element written by AppendByte.
func (r *Reader) Byte() byte {
	b := r.fixed(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// Rest returns what has not been read. It shares memory with the key.
func (r *Reader) Rest() []byte { return r.rest }

// Err returns ErrMalformed if an element so far was not there.
func (r *Reader) Err() error { return r.err }

// End returns ErrMalformed if an element was not there or something is left over.
func (r *Reader) End() error {
	if len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

func (r *Reader) fail() {
	r.rest, r.err = nil, ErrMalformed
}

func (r *Reader) time(ns int64) time.Time {
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func (r *Reader) fixed(n int) []byte {
	if len(r.rest) < n {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// bytes reads a string whose bytes were all xored with mask.
func (r *Reader) bytes(mask byte) []byte {
	end := bytes.IndexByte(r.rest, escape^mask)
	if end < 0 || end+1 >= len(r.rest) {
		r.fail()
		return nil
	}
	if mask == 0 && r.rest[end+1] == terminator { // nothing to undo
		b := r.rest[:end:end]
		r.rest = r.rest[end+2:]
		return b
	}
	b := make([]byte, 0, len(r.rest))
	for i := 0; i < len(r.rest); i++ {
		c := r.rest[i] ^ mask
		if c != escape {
			b = append(b, c)
			continue
		}
		i++
		if i == len(r.rest) {
			break
		}
		switch r.rest[i] ^ mask {
		case escaped:
			b = append(b, escape)
		case terminator:
			r.rest = r.rest[i+1:]
			return b
		default:
			r.fail()
			return nil
		}
	}
	r.fail()
	return nil
}
