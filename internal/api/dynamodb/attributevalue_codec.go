package dynamodb

import (
	"fmt"

	"brume/internal/schema"
)

// The indices of the members of the model's shape AttributeValue; a test compares them with the table.
const (
	memberS = iota
	memberN
	memberB
	memberSS
	memberNS
	memberBS
	memberM
	memberL
	memberNULL
	memberBOOL
)

// attributeStruct lets an AttributeValue pass where codecs want a structure.
type attributeStruct struct {
	value AttributeValue
	count int // of the types met while decoding
}

// EncodeAttributeValue writes v.
func EncodeAttributeValue(e schema.Encoder, v AttributeValue) {
	e.Struct(&attributeStruct{value: v})
}

// DecodeAttributeValue reads a value. None or several types in one value make a Malformed.
func DecodeAttributeValue(d schema.Decoder) AttributeValue {
	var a attributeStruct
	d.Struct(&a)
	if a.count != 1 {
		return Malformed(a.count)
	}
	return a.value
}

// EncodeAttributeValueMap writes an item. Its attributes have no order.
func EncodeAttributeValueMap(e schema.Encoder, m map[string]AttributeValue) {
	a := new(attributeStruct)
	e.BeginMap(len(m))
	for k, v := range m {
		e.Key(k)
		a.value = v
		e.Struct(a)
	}
	e.EndMap()
}

// DecodeAttributeValueMap reads an item.
func DecodeAttributeValueMap(d schema.Decoder) map[string]AttributeValue {
	return schema.DecodeMap(d, DecodeAttributeValue)
}

func (a *attributeStruct) EncodeMembers(e schema.Encoder) {
	switch v := a.value.(type) {
	case S:
		e.Member(memberS)
		e.String(string(v))
	case N:
		e.Member(memberN)
		e.String(string(v))
	case B:
		e.Member(memberB)
		e.Blob(v)
	case SS:
		e.Member(memberSS)
		schema.EncodeList(e, v, schema.Encoder.String)
	case NS:
		e.Member(memberNS)
		schema.EncodeList(e, v, schema.Encoder.String)
	case BS:
		e.Member(memberBS)
		schema.EncodeList(e, v, schema.Encoder.Blob)
	case M:
		e.Member(memberM)
		EncodeAttributeValueMap(e, v)
	case L:
		e.Member(memberL)
		schema.EncodeList(e, v, EncodeAttributeValue)
	case BOOL:
		e.Member(memberBOOL)
		e.Bool(bool(v))
	case NULL:
		e.Member(memberNULL)
		e.Bool(bool(v))
	case Malformed:
		// Only inputs hold it, and they are encoded by nothing but the validator, which has no rule for it.
	default:
		panic(fmt.Sprintf("dynamodb: no encoding for a %T", v))
	}
}

func (a *attributeStruct) DecodeMember(i int, d schema.Decoder) {
	a.count++
	switch i {
	case memberS:
		a.value = S(d.String())
	case memberN:
		a.value = N(d.String())
	case memberB:
		a.value = B(d.Blob())
	case memberSS:
		a.value = SS(schema.DecodeList(d, schema.Decoder.String))
	case memberNS:
		a.value = NS(schema.DecodeList(d, schema.Decoder.String))
	case memberBS:
		a.value = BS(schema.DecodeList(d, schema.Decoder.Blob))
	case memberM:
		a.value = M(DecodeAttributeValueMap(d))
	case memberL:
		a.value = L(schema.DecodeList(d, DecodeAttributeValue))
	case memberNULL:
		a.value = NULL(d.Bool())
	case memberBOOL:
		a.value = BOOL(d.Bool())
	}
}
