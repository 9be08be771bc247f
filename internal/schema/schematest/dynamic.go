// Package schematest has values that know no Go type, for tests of all that walks values.
package schematest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"brume/internal/schema"
)

// A Dynamic is a structure of any shape: what JSON makes of the values in the vectors. Blobs are strings, timestamps
// seconds since 1970, JSON values whatever they are.
type Dynamic struct {
	svc    *schema.Service
	shape  *schema.Shape
	Values map[string]any
}

// New makes a structure of the shape with this index.
func New(svc *schema.Service, shape int, values map[string]any) *Dynamic {
	return &Dynamic{svc, &svc.Shapes[shape], values}
}

// EncodeMembers implements schema.Struct.
func (v *Dynamic) EncodeMembers(e schema.Encoder) {
	for i := range v.shape.Members {
		m := &v.shape.Members[i]
		if value := v.Values[m.Name]; value != nil {
			e.Member(i)
			v.encode(e, m, value)
		}
	}
}

func (v *Dynamic) encode(e schema.Encoder, m *schema.Member, value any) {
	shape := v.svc.Shape(m)
	switch shape.Kind {
	case schema.Structure:
		e.Struct(New(v.svc, m.Shape, value.(map[string]any)))
	case schema.List:
		list := value.([]any)
		e.BeginList(len(list))
		for _, x := range list {
			if x != nil {
				v.encode(e, &shape.Members[0], x)
			}
		}
		e.EndList()
	case schema.Map:
		entries := value.(map[string]any)
		e.BeginMap(len(entries))
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			e.Key(k)
			v.encode(e, &shape.Members[1], entries[k])
		}
		e.EndMap()
	case schema.String:
		if s, ok := value.(string); ok && !m.JSONValue {
			e.String(s)
			return
		}
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		e.String(string(text))
	case schema.Blob:
		e.Blob([]byte(value.(string)))
	case schema.Boolean:
		e.Bool(value.(bool))
	case schema.Integer, schema.Long:
		e.Int(int64(value.(float64)))
	case schema.Float, schema.Double:
		e.Float(value.(float64))
	case schema.Timestamp:
		sec, frac := math.Modf(value.(float64))
		e.Time(time.Unix(int64(sec), int64(frac*1e9)))
	default:
		panic(fmt.Sprintf("kind %d", shape.Kind))
	}
}

// DecodeMember implements schema.Struct.
func (v *Dynamic) DecodeMember(i int, d schema.Decoder) {
	if v.Values == nil {
		v.Values = map[string]any{}
	}
	m := &v.shape.Members[i]
	v.Values[m.Name] = v.decode(d, m)
}

func (v *Dynamic) decode(d schema.Decoder, m *schema.Member) any {
	shape := v.svc.Shape(m)
	switch shape.Kind {
	case schema.Structure:
		s := New(v.svc, m.Shape, map[string]any{})
		d.Struct(s)
		return s.Values
	case schema.List:
		return schema.DecodeList(d, func(d schema.Decoder) any { return v.decode(d, &shape.Members[0]) })
	case schema.Map:
		return schema.DecodeMap(d, func(d schema.Decoder) any { return v.decode(d, &shape.Members[1]) })
	case schema.String:
		s := d.String()
		if m.JSONValue {
			var value any
			if err := json.Unmarshal([]byte(s), &value); err != nil {
				d.Fail(err)
			}
			return value
		}
		return s
	case schema.Blob:
		return string(d.Blob())
	case schema.Boolean:
		return d.Bool()
	case schema.Integer, schema.Long:
		return float64(d.Int())
	case schema.Float, schema.Double:
		return d.Float()
	case schema.Timestamp:
		return float64(d.Time().UnixMicro()) / 1e6
	}
	panic(fmt.Sprintf("kind %d", shape.Kind))
}

var _ schema.Struct = (*Dynamic)(nil)
