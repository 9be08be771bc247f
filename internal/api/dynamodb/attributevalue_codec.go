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
	more  []AttributeValue // all the values met while decoding, if there are several
}

// EncodeAttributeValue writes v.
func EncodeAttributeValue(e schema.Encoder, v AttributeValue) {
	e.Struct(&attributeStruct{value: v})
}

// DecodeAttributeValue reads a value. None or several types in one value make a Malformed.
func DecodeAttributeValue(d schema.Decoder) AttributeValue {
	return new(attributeStruct).decode(d)
}

func (a *attributeStruct) decode(d schema.Decoder) AttributeValue {
	*a = attributeStruct{}
	d.Struct(a)
	if a.value == nil || a.more != nil {
		return Malformed(a.more)
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
	return schema.DecodeMap(d, new(attributeStruct).decode)
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
	before := a.value
	a.value = decodeMember(i, d)
	if before != nil {
		if a.more == nil {
			a.more = []AttributeValue{before}
		}
		a.more = append(a.more, a.value)
	}
}

func decodeMember(i int, d schema.Decoder) AttributeValue {
	switch i {
	case memberS:
		return S(d.String())
	case memberN:
		return N(d.String())
	case memberB:
		return B(d.Blob())
	case memberSS:
		return SS(schema.DecodeList(d, schema.Decoder.String))
	case memberNS:
		return NS(schema.DecodeList(d, schema.Decoder.String))
	case memberBS:
		return BS(schema.DecodeList(d, schema.Decoder.Blob))
	case memberM:
		return M(DecodeAttributeValueMap(d))
	case memberL:
		return L(schema.DecodeList(d, DecodeAttributeValue))
	case memberNULL:
		return NULL(d.Bool())
	case memberBOOL:
		return BOOL(d.Bool())
	}
	return nil
}
