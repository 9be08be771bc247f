package schema

import "slices"

// An Event is one of an output that is a stream: bytes as they are, or a structure of the model by its shape's name.
type Event struct {
	Name    string
	Payload []byte
	Shape   string
	Members Struct
}

// Events is an output that is a stream. Whoever answers the client calls it once, and it sends what there is until there
// is no more. An error before the first event is that of the whole call.
type Events func(send func(*Event) error) error

// A Streamer is an output that is a stream, unless its Stream is nil.
type Streamer interface{ Stream() Events }

// The helpers below keep generated code short. None of them is meant for hand-written code.

// DecodeList reads a list. An empty list is not nil: "given but empty" differs from "not given".
func DecodeList[T any](d Decoder, elem func(Decoder) T) []T {
	out := []T{}
	d.BeginList()
	for d.NextElem() {
		out = append(out, elem(d))
	}
	return out
}

// DecodeMap reads a map; see DecodeList for emptiness.
func DecodeMap[T any](d Decoder, value func(Decoder) T) map[string]T {
	out := map[string]T{}
	d.BeginMap()
	for k, ok := d.NextKey(); ok; k, ok = d.NextKey() {
		out[k] = value(d)
	}
	return out
}

// DecodeStruct reads a structure by value, for lists and maps of structures.
func DecodeStruct[T any, P Pointer[T]](d Decoder) T {
	var v T
	d.Struct(P(&v))
	return v
}

// DecodeStructPointer reads a structure member.
func DecodeStructPointer[T any, P Pointer[T]](d Decoder) *T {
	v := new(T)
	d.Struct(P(v))
	return v
}

// EncodeList writes a list.
func EncodeList[T any](e Encoder, list []T, elem func(Encoder, T)) {
	e.BeginList(len(list))
	if c, ok := e.(*check); !ok || !c.skip() {
		for _, v := range list {
			elem(e, v)
		}
	}
	e.EndList()
}

// EncodeStructList writes a list of structures without copying them.
func EncodeStructList[T any, P Pointer[T]](e Encoder, list []T) {
	e.BeginList(len(list))
	if c, ok := e.(*check); !ok || !c.skip() {
		for i := range list {
			e.Struct(P(&list[i]))
		}
	}
	e.EndList()
}

// EncodeMap writes a map in the order of its keys, so that equal values encode equally.
func EncodeMap[T any](e Encoder, m map[string]T, value func(Encoder, T)) {
	e.BeginMap(len(m))
	if c, ok := e.(*check); ok {
		// The order makes no difference here.
		if !c.skip() || !c.skipKeys() {
			for k, v := range m {
				e.Key(k)
				value(e, v)
			}
		}
	} else {
		var few [16]string // spares small maps an allocation
		keys := few[:0]
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			e.Key(k)
			value(e, m[k])
		}
	}
	e.EndMap()
}

// EncodeStruct writes a structure that is the value of a map.
func EncodeStruct[T any, P Pointer[T]](e Encoder, v T) { e.Struct(P(&v)) }
