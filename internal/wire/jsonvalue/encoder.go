package jsonvalue

import (
	"time"

	"brume/internal/awserr"
	"brume/internal/jsontext"
	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// An Encoder writes values as one JSON text. It may be used for one text after another.
type Encoder struct {
	out jsontext.Appender
	svc *schema.Service
	// owner is the structure whose members we are at; member is the one, or the element, whose value comes next.
	owner  *schema.Shape
	member *schema.Member
	shape  *schema.Shape
	// open holds the element members of the lists and maps we are in.
	open []*schema.Member
}

// Reset makes the encoder append to buf, which must be empty.
func (e *Encoder) Reset(svc *schema.Service, buf []byte) {
	*e = Encoder{svc: svc, out: jsontext.Appender{Buf: buf[:0]}, open: e.open[:0]}
}

// Bytes is the text.
func (e *Encoder) Bytes() []byte { return e.out.Buf }

// Root writes the structure v as the whole text.
func (e *Encoder) Root(shape *schema.Shape, v schema.Struct) {
	e.shape = shape
	e.Struct(v)
}

// Begin starts an object as the whole text, whose members, those of shape, the caller writes; End ends it.
func (e *Encoder) Begin(shape *schema.Shape) {
	e.owner = shape
	e.out.BeginObject()
}

// End ends what Begin began.
func (e *Encoder) End() { e.out.EndObject() }

// Value makes the next call write the value of m as the whole text.
func (e *Encoder) Value(m *schema.Member) { e.stand(m) }

func (e *Encoder) stand(m *schema.Member) {
	e.member = m
	e.shape = &e.svc.Shapes[m.Shape]
}

// Member implements schema.Encoder.
func (e *Encoder) Member(i int) {
	m := &e.owner.Members[i]
	e.out.Name(m.Wire)
	e.stand(m)
}

// Struct implements schema.Encoder.
func (e *Encoder) Struct(v schema.Struct) {
	outer := e.owner
	e.owner = e.shape
	e.out.BeginObject()
	v.EncodeMembers(e)
	e.out.EndObject()
	e.owner = outer
	e.element()
}

// element makes the next element of the innermost list or map the next value.
func (e *Encoder) element() {
	if n := len(e.open); n > 0 {
		e.stand(e.open[n-1])
	}
}

// BeginList implements schema.Encoder.
func (e *Encoder) BeginList(int) {
	e.out.BeginArray()
	e.open = append(e.open, &e.shape.Members[0])
	e.element()
}

// EndList implements schema.Encoder.
func (e *Encoder) EndList() {
	e.out.EndArray()
	e.open = e.open[:len(e.open)-1]
	e.element()
}

// BeginMap implements schema.Encoder.
func (e *Encoder) BeginMap(int) {
	e.out.BeginObject()
	e.open = append(e.open, &e.shape.Members[1])
	e.element()
}

// Key implements schema.Encoder.
func (e *Encoder) Key(k string) { e.out.Key(k) }

// EndMap implements schema.Encoder.
func (e *Encoder) EndMap() {
	e.out.EndObject()
	e.open = e.open[:len(e.open)-1]
	e.element()
}

// Bool implements schema.Encoder.
func (e *Encoder) Bool(v bool) { e.out.Bool(v) }

// Int implements schema.Encoder.
func (e *Encoder) Int(v int64) { e.out.Int(v) }

// Float implements schema.Encoder.
func (e *Encoder) Float(v float64) {
	bits := 64
	if e.shape.Kind == schema.Float {
		bits = 32
	}
	e.out.Float(v, bits)
}

// String implements schema.Encoder.
func (e *Encoder) String(v string) { e.out.String(v) }

// Blob implements schema.Encoder.
func (e *Encoder) Blob(v []byte) { e.out.Base64(v) }

// Time implements schema.Encoder.
func (e *Encoder) Time(v time.Time) {
	var buf [40]byte
	f := codec.TimestampFormat(e.member, e.shape, schema.UnixTimestamp)
	text := codec.AppendTime(buf[:0], v, f)
	if f == schema.UnixTimestamp {
		e.out.Raw(text)
		return
	}
	e.out.String(string(text))
}

// Error writes the body of an error: the members of err if it is a structure with a shape, otherwise its message under
// the name that the shape, or else key, gives it. typeName is the value of __type, if that is to be written. A member
// Type that is not set gets the one whose fault it is, as Lambda's exceptions have it.
// Members with another place than the body go to elsewhere, which may be nil.
func (e *Encoder) Error(shape *schema.Shape, err awserr.Error, typeName, key string, elsewhere schema.Encoder) {
	e.out.BeginObject()
	if typeName != "" {
		e.out.Name("__type")
		e.out.String(typeName)
	}
	v, isStruct := err.(schema.Struct)
	f := errorEncoder{Encoder: e, body: e, elsewhere: elsewhere, shape: shape}
	if shape != nil && isStruct {
		e.owner = shape
		v.EncodeMembers(&f)
	}
	if shape != nil {
		for i := range shape.Members {
			switch m := &shape.Members[i]; {
			case isMessage(m.Name):
				key = m.Wire
			case m.Name == "Type" && !f.sawType:
				e.out.Name(m.Wire)
				e.out.String(codec.Fault(err))
			}
		}
	}
	if !f.sawMessage && err.ErrorMessage() != "" {
		e.out.Key(key)
		e.out.String(err.ErrorMessage())
	}
	e.out.EndObject()
}

func isMessage(name string) bool { return name == "message" || name == "Message" }

// errorEncoder sends the members of an exception to where they belong.
type errorEncoder struct {
	schema.Encoder // of the current member
	body           *Encoder
	elsewhere      schema.Encoder
	shape          *schema.Shape

	sawMessage, sawType bool
}

func (f *errorEncoder) Member(i int) {
	m := &f.shape.Members[i]
	f.sawMessage = f.sawMessage || isMessage(m.Name)
	f.sawType = f.sawType || m.Name == "Type"
	f.Encoder = f.body
	if m.Location != schema.Body && f.elsewhere != nil {
		f.Encoder = f.elsewhere
	}
	f.Encoder.Member(i)
}
