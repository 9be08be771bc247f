// Package xmlvalue writes typed values as XML, by the table of their service: what the protocols awsQuery and restXml
// have in common. Attributes and the namespaces of members arrive with S3, the first service that has them.
package xmlvalue

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// An Encoder writes XML elements.
type Encoder struct {
	buf []byte
	svc *schema.Service
	// owner is the structure whose members we are at.
	owner *schema.Shape
	// member, shape and name are of the value that comes next.
	member *schema.Member
	shape  *schema.Shape
	name   string
	// open holds the lists and maps we are in.
	open []frame
}

type frame struct {
	elem *schema.Member // of the elements or values
	name string         // of an element, or of a map's entry
	// wrapper is the element around it all, empty for flattened lists and maps.
	wrapper string
	// key and value are the names in a map's entry.
	key, value string
	inEntry    bool
}

// New returns an encoder for values of svc that appends to buf.
func New(svc *schema.Service, buf []byte) *Encoder { return &Encoder{svc: svc, buf: buf} }

// Bytes is what has been written.
func (e *Encoder) Bytes() []byte { return e.buf }

// Members writes the members of v, a structure of this shape, one beside another.
func (e *Encoder) Members(shape *schema.Shape, v schema.Struct) {
	outer := e.owner
	e.owner = shape
	v.EncodeMembers(e)
	e.owner = outer
}

// Start writes a start tag, with a namespace if it is not empty.
func (e *Encoder) Start(name, namespace string) {
	e.buf = append(e.buf, '<')
	e.buf = append(e.buf, name...)
	if namespace != "" {
		e.buf = append(e.buf, ` xmlns="`...)
		e.buf = AppendEscaped(e.buf, namespace)
		e.buf = append(e.buf, '"')
	}
	e.buf = append(e.buf, '>')
}

// End writes an end tag.
func (e *Encoder) End(name string) {
	e.buf = append(e.buf, '<', '/')
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '>')
}

// Element writes an element with a text.
func (e *Encoder) Element(name, text string) {
	if text == "" {
		e.buf = append(e.buf, '<')
		e.buf = append(e.buf, name...)
		e.buf = append(e.buf, '/', '>')
		return
	}
	e.Start(name, "")
	e.buf = AppendEscaped(e.buf, text)
	e.End(name)
}

func (e *Encoder) stand(m *schema.Member, name string) {
	e.member, e.shape, e.name = m, e.svc.Shape(m), name
}

// element makes the next element of the innermost list or map the next value.
func (e *Encoder) element() {
	if n := len(e.open); n > 0 {
		f := &e.open[n-1]
		name := f.name
		if f.value != "" {
			name = f.value
		}
		e.stand(f.elem, name)
	}
}

// Member implements schema.Encoder.
func (e *Encoder) Member(i int) {
	m := &e.owner.Members[i]
	e.stand(m, m.Wire)
}

// Struct implements schema.Encoder.
func (e *Encoder) Struct(v schema.Struct) {
	name := e.name
	e.Start(name, "")
	e.Members(e.shape, v)
	e.End(name)
	e.element()
}

func (e *Encoder) flattened() bool { return e.member.Flattened || e.shape.Flattened }

// BeginList implements schema.Encoder.
func (e *Encoder) BeginList(int) {
	elem := &e.shape.Members[0]
	f := frame{elem: elem, name: elem.Wire}
	switch {
	case !e.flattened():
		f.wrapper = e.name
		if f.name == "" {
			f.name = "member"
		}
		e.Start(f.wrapper, "")
	case f.name == "":
		f.name = e.name
	}
	e.open = append(e.open, f)
	e.element()
}

// EndList implements schema.Encoder.
func (e *Encoder) EndList() { e.close() }

func (e *Encoder) close() {
	last := len(e.open) - 1
	if f := &e.open[last]; f.wrapper != "" {
		e.End(f.wrapper)
	}
	e.open = e.open[:last]
	e.element()
}

// BeginMap implements schema.Encoder.
func (e *Encoder) BeginMap(int) {
	key, value := &e.shape.Members[0], &e.shape.Members[1]
	f := frame{elem: value, name: e.name, key: key.Wire, value: value.Wire}
	if f.key == "" {
		f.key = "key"
	}
	if f.value == "" {
		f.value = "value"
	}
	if !e.flattened() {
		f.wrapper, f.name = e.name, "entry"
		e.Start(f.wrapper, "")
	}
	e.open = append(e.open, f)
}

// Key implements schema.Encoder.
func (e *Encoder) Key(k string) {
	f := &e.open[len(e.open)-1]
	if f.inEntry {
		e.End(f.name)
	}
	f.inEntry = true
	e.Start(f.name, "")
	e.Element(f.key, k)
	e.element()
}

// EndMap implements schema.Encoder.
func (e *Encoder) EndMap() {
	if f := &e.open[len(e.open)-1]; f.inEntry {
		e.End(f.name)
	}
	e.close()
}

// Bool implements schema.Encoder.
func (e *Encoder) Bool(v bool) { e.Element(e.name, strconv.FormatBool(v)) }

// Int implements schema.Encoder.
func (e *Encoder) Int(v int64) { e.Element(e.name, strconv.FormatInt(v, 10)) }

// Float implements schema.Encoder.
func (e *Encoder) Float(v float64) { e.Element(e.name, codec.FormatFloat(v, e.shape)) }

// String implements schema.Encoder.
func (e *Encoder) String(v string) { e.Element(e.name, v) }

// Blob implements schema.Encoder.
func (e *Encoder) Blob(v []byte) { e.Element(e.name, base64.StdEncoding.EncodeToString(v)) }

// Time implements schema.Encoder.
func (e *Encoder) Time(v time.Time) {
	f := codec.TimestampFormat(e.member, e.shape, schema.ISO8601)
	e.Element(e.name, string(codec.AppendTime(nil, v, f)))
}

// AppendEscaped appends s as XML character data, which may also stand in a quoted attribute. A carriage return is
// escaped because a parser would drop it; characters that XML 1.0 cannot express, and invalid UTF-8, become U+FFFD.
// https://www.w3.org/TR/xml/#charsets
func AppendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		escape := ""
		switch r {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		case '"':
			escape = "&quot;"
		case '\r':
			escape = "&#xD;"
		case '\n', '\t':
		default:
			if r < 0x20 || r == 0xfffe || r == 0xffff || r == utf8.RuneError && size == 1 {
				escape = "\ufffd"
			}
		}
		if escape != "" {
			dst = append(dst, s[start:i]...)
			dst = append(dst, escape...)
			start = i + size
		}
		i += size
	}
	return append(dst, s[start:]...)
}

var _ schema.Encoder = (*Encoder)(nil)
