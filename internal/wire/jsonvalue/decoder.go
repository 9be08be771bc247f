// Package jsonvalue walks typed values to and from JSON, by the table of their service: what the protocols awsJson and
// restJson have in common.
package jsonvalue

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/jsontext"
	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// A Decoder reads values out of one JSON text. Its errors are SerializationExceptions in the words of AWS, which names
// Java's types; a text that is not JSON gets one without a message. What DynamoDB says to each mistake is on record in
// public issues and in test suites that were run against it, for instance
// https://github.com/localstack/localstack/issues/9412 ("NUMBER_VALUE cannot be converted to String").
//
// A Decoder may be used for one text after another.
type Decoder struct {
	s   jsontext.Scanner
	svc *schema.Service
	// namespace is the package of the service's types in AWS's messages.
	namespace string
	// member and shape are of the value that comes next; element says that it is one of a list or map.
	member  *schema.Member
	shape   *schema.Shape
	element bool
	// open holds the element members of the lists and maps we are in.
	open []*schema.Member
}

// Reset makes the decoder start on data, which must stay unchanged until decoding is over.
func (d *Decoder) Reset(svc *schema.Service, namespace string, data []byte) {
	*d = Decoder{s: d.s, svc: svc, namespace: namespace, open: d.open[:0]}
	d.s.Reset(data)
}

// Root reads the whole text as the structure v. If body is set, only the members that belong in the body are read.
func (d *Decoder) Root(shape *schema.Shape, v schema.Struct, body bool) error {
	d.shape = shape
	d.object(v, body)
	d.s.End()
	return d.Err()
}

// Payload reads the whole text as member i of v.
func (d *Decoder) Payload(shape *schema.Shape, i int, v schema.Struct) error {
	if d.stand(&shape.Members[i]); d.s.Kind() == jsontext.Null {
		d.s.Null()
	} else {
		v.DecodeMember(i, d)
	}
	d.s.End()
	return d.Err()
}

// Err returns the first error, which is an awserr.Error.
func (d *Decoder) Err() error {
	err := d.s.Err()
	if err == nil {
		return nil
	}
	var known awserr.Error
	if errors.As(err, &known) {
		return known
	}
	return codec.Serialization(err, "")
}

// Fail implements schema.Decoder.
func (d *Decoder) Fail(err error) { d.s.Fail(err) }

// stand makes the value of m the next one.
func (d *Decoder) stand(m *schema.Member) {
	d.member = m
	d.shape = &d.svc.Shapes[m.Shape]
}

// Struct implements schema.Decoder.
func (d *Decoder) Struct(v schema.Struct) { d.object(v, false) }

func (d *Decoder) object(v schema.Struct, body bool) {
	shape := d.shape
	if !d.expect(jsontext.Object) {
		return
	}
	d.s.BeginObject()
	next := 0
	for {
		name, ok := d.s.NextName()
		if !ok {
			return
		}
		i := find(shape.Members, name, next)
		if i < 0 || body && shape.Members[i].Location != schema.Body || shape.Members[i].Shape < 0 {
			d.s.Skip()
			continue
		}
		next = i + 1
		if d.s.Kind() == jsontext.Null {
			d.s.Null()
			continue
		}
		d.stand(&shape.Members[i])
		d.element = false
		before := d.s.Offset()
		v.DecodeMember(i, d)
		if d.s.Offset() == before {
			d.s.Skip()
		}
	}
}

// find returns the index of the member with this wire name. Members mostly come in the model's order, so it begins at
// next.
func find(members []schema.Member, name []byte, next int) int {
	for i := next; i < len(members); i++ {
		if members[i].Wire == string(name) {
			return i
		}
	}
	for i := range min(next, len(members)) {
		if members[i].Wire == string(name) {
			return i
		}
	}
	return -1
}

// BeginList implements schema.Decoder.
func (d *Decoder) BeginList() {
	shape := d.shape
	if !d.expect(jsontext.Array) {
		return
	}
	d.open = append(d.open, &shape.Members[0])
	d.s.BeginArray()
}

// NextElem implements schema.Decoder.
func (d *Decoder) NextElem() bool {
	for d.s.NextElem() {
		if d.s.Kind() == jsontext.Null {
			d.s.Null()
			continue
		}
		d.stand(d.open[len(d.open)-1])
		d.element = true
		return true
	}
	d.close()
	return false
}

// BeginMap implements schema.Decoder.
func (d *Decoder) BeginMap() {
	shape := d.shape
	if !d.expect(jsontext.Object) {
		return
	}
	d.open = append(d.open, &shape.Members[1])
	d.s.BeginObject()
}

// NextKey implements schema.Decoder.
func (d *Decoder) NextKey() (string, bool) {
	for {
		key, ok := d.s.NextKey()
		if !ok {
			d.close()
			return "", false
		}
		if d.s.Kind() == jsontext.Null {
			d.s.Null()
			continue
		}
		d.stand(d.open[len(d.open)-1])
		d.element = true
		return key, true
	}
}

func (d *Decoder) close() {
	if d.s.Err() == nil {
		d.open = d.open[:len(d.open)-1]
	}
}

// Bool implements schema.Decoder.
func (d *Decoder) Bool() bool {
	if k := d.s.Kind(); k != jsontext.True && k != jsontext.False {
		d.mismatch(k)
		return false
	}
	return d.s.Bool()
}

// String implements schema.Decoder.
func (d *Decoder) String() string {
	if !d.expect(jsontext.String) {
		return ""
	}
	return d.s.String()
}

// Blob implements schema.Decoder.
func (d *Decoder) Blob() []byte {
	if !d.expect(jsontext.String) {
		return nil
	}
	text := d.s.Text()
	if len(text)%4 != 0 {
		d.fail("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(text))
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	// Strict also refuses set bits after the last byte, as AWS does.
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	if err != nil || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		for _, c := range text {
			if !isBase64(c) {
				d.fail("Invalid Base64 character: '%c'", c)
				return nil
			}
		}
		d.fail("Invalid last non-pad Base64 character dectected") // spelled so by AWS
		return nil
	}
	return out[:n:n]
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '='
}

// Int implements schema.Decoder. Fractions are cut off, as AWS does.
func (d *Decoder) Int() int64 {
	if !d.expect(jsontext.Number) {
		return 0
	}
	text := d.s.Number()
	word, low, high := "long", int64(math.MinInt64), int64(math.MaxInt64)
	if d.shape.Kind == schema.Integer {
		word, low, high = "int", math.MinInt32, math.MaxInt32
	}
	n, ok := parseInt(text)
	if !ok || n < low || n > high {
		d.fail("Numeric value (%s) out of range of %s (%d - %d)", clip(text), word, low, high)
		return 0
	}
	return n
}

// parseInt reads a number in JSON's syntax, cutting off its fraction; false if it does not fit.
func parseInt(text []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, true
	}
	if whole, frac, ok := strings.Cut(string(text), "."); ok && !strings.ContainsAny(frac, "eE") {
		n, err := strconv.ParseInt(whole, 10, 64)
		return n, err == nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(math.Abs(f) < 1<<63) {
		return 0, false
	}
	return int64(f), true
}

// Float implements schema.Decoder. What is no number comes as a string.
func (d *Decoder) Float() float64 {
	if d.s.Kind() == jsontext.String {
		switch string(d.s.Text()) {
		case "NaN":
			return math.NaN()
		case "Infinity":
			return math.Inf(1)
		case "-Infinity":
			return math.Inf(-1)
		}
		d.fail("STRING_VALUE cannot be converted to %s", typeName(d.shape.Kind))
		return 0
	}
	if !d.expect(jsontext.Number) {
		return 0
	}
	text, bits := d.s.Number(), 64
	if d.shape.Kind == schema.Float {
		bits = 32
	}
	f, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		d.fail("Numeric value (%s) out of range of %s", clip(text), strings.ToLower(typeName(d.shape.Kind)))
		return 0
	}
	return f
}

// Time implements schema.Decoder. It takes any of the formats, and a number as a number or as a string.
func (d *Decoder) Time() time.Time {
	var text []byte
	switch k := d.s.Kind(); k {
	case jsontext.Number:
		text = d.s.Number()
	case jsontext.String:
		text = d.s.Text()
	default:
		d.mismatch(k)
		return time.Time{}
	}
	t, err := codec.ParseTime(string(text))
	if err != nil {
		d.fail("%s cannot be converted to Date", clip(text))
		return time.Time{}
	}
	return t
}

// clip keeps messages short.
func clip(text []byte) string {
	if len(text) > 64 {
		text = text[:64]
	}
	return strings.ToValidUTF8(string(text), "")
}

func (d *Decoder) fail(format string, args ...any) {
	if d.s.Err() == nil {
		d.s.Fail(codec.Serialization(nil, format, args...))
	}
}

func (d *Decoder) expect(want jsontext.Kind) bool {
	if k := d.s.Kind(); k != want {
		d.mismatch(k)
		return false
	}
	return d.s.Err() == nil
}

// mismatch fails because the value that comes next is not of the shape it should be.
func (d *Decoder) mismatch(got jsontext.Kind) {
	if d.s.Err() != nil {
		return
	}
	kind := d.shape.Kind
	switch got {
	case jsontext.Object:
		d.fail("Start of structure or map found where not expected")
		return
	case jsontext.Array:
		d.fail("Unrecognized collection type %s", d.className(d.shape, false))
		return
	}
	token := d.tokenName(got)
	if d.s.Skip(); d.s.Err() != nil {
		return // it is no value at all
	}
	switch {
	case kind == schema.Structure && d.element:
		d.fail("Unexpected value type in payload")
	case (kind == schema.List || kind == schema.Map) && d.element:
		// Java lets itself be heard here.
		d.fail("class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class " +
			"(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')")
	case kind == schema.Structure, kind == schema.List, kind == schema.Map:
		d.fail("Unexpected field type")
	case kind == schema.Blob:
		d.fail("only base-64-encoded strings are convertible to bytes")
	case kind == schema.Boolean && got == jsontext.String:
		d.fail("Unexpected token received from parser")
	default:
		d.fail("%s cannot be converted to %s", token, typeName(kind))
	}
}

// tokenName is what AWS calls the scalar that comes next.
func (d *Decoder) tokenName(k jsontext.Kind) string {
	switch k {
	case jsontext.String:
		return "STRING_VALUE"
	case jsontext.True:
		return "TRUE_VALUE"
	case jsontext.False:
		return "FALSE_VALUE"
	case jsontext.Number:
		number := d.s
		if bytes.ContainsAny(number.Number(), ".eE") {
			return "DECIMAL_VALUE"
		}
		return "NUMBER_VALUE"
	}
	return "NULL_VALUE"
}

func typeName(k schema.Kind) string {
	switch k {
	case schema.String:
		return "String"
	case schema.Boolean:
		return "Boolean"
	case schema.Integer:
		return "Integer"
	case schema.Long:
		return "Long"
	case schema.Float:
		return "Float"
	case schema.Double:
		return "Double"
	case schema.Timestamp:
		return "Date"
	}
	return "Object"
}

// className is the Java class of a shape; inside the brackets of a generic type it goes without the word class.
func (d *Decoder) className(s *schema.Shape, inside bool) string {
	name := ""
	switch s.Kind {
	case schema.Structure:
		name = d.namespace + "." + s.Name
	case schema.List:
		return "java.util.List<" + d.className(d.svc.Shape(&s.Members[0]), true) + ">"
	case schema.Map:
		return "java.util.Map<java.lang.String, " + d.className(d.svc.Shape(&s.Members[1]), true) + ">"
	case schema.Blob:
		name = "java.nio.ByteBuffer"
	case schema.Timestamp:
		name = "java.util.Date"
	default:
		name = "java.lang." + typeName(s.Kind)
	}
	if inside {
		return name
	}
	return "class " + name
}

var _ schema.Decoder = (*Decoder)(nil)
