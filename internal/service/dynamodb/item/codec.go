package item

import (
	"encoding/binary"
	"errors"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/number"
)

// An encoded item is the version, its size, the number of attributes, and for each, in the order of their names, the name
// and the value. A value is its tag and, but for NULL and booleans, the length of its content and the content; so a reader
// steps over what it does not want. All numbers are uvarints, a name is its length and its bytes.
//
//	S, B        the bytes
//	N           the canonical text
//	packed N    number's key form; for text too long to be worth storing
//	SS, BS      the number of elements, each its length and its bytes
//	NS, L       the number of elements, each a value
//	M           the number of entries, each a name and a value
const version = 1

const (
	tagNull = iota + 1
	tagFalse
	tagTrue
	tagS
	tagN
	tagPackedN
	tagB
	tagSS
	tagNS
	tagBS
	tagL
	tagM
)

// maxNumberText is the longest text of a number that is stored as such. Longer ones would make an encoding many times as
// large as the item counts: a number of few digits and many zeros counts two bytes.
const maxNumberText = number.MaxKeySize

var errCorrupt = errors.New("item: corrupt encoding")

// Append appends the encoding of a canonical item, whose size, as Size counts it, is kept with it. Equal items have equal
// encodings.
func Append(dst []byte, m Map, size int) []byte {
	return appendMap(binary.AppendUvarint(append(dst, version), uint64(size)), m)
}

// An Encoded is an encoded item, or empty for one that does not exist.
type Encoded []byte

// Attribute returns one attribute without decoding the others, nil if there is none.
func (e Encoded) Attribute(name string) (api.AttributeValue, error) {
	if len(e) == 0 {
		return nil, nil
	}
	return lookup(e, name)
}

// Select returns those attributes that the item has of names, which are sorted, without decoding the others.
func (e Encoded) Select(names []string) (Map, error) {
	if len(e) == 0 {
		return nil, nil
	}
	_, b, err := cutHeader(e)
	if err != nil {
		return nil, err
	}
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errCorrupt
	}
	b = b[n:]
	m := make(Map, min(uint64(len(names)), count))
	for ; count > 0 && len(names) > 0; count-- {
		at, value, rest, ok := cutAttribute(b)
		if !ok {
			return nil, errCorrupt
		}
		b = rest
		i, found := slices.BinarySearchFunc(names, at, func(name string, at []byte) int {
			switch {
			case name < string(at):
				return -1
			case name > string(at):
				return 1
			}
			return 0
		})
		if names = names[i:]; !found {
			continue
		}
		if m[names[0]], err = DecodeValue(value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// cutAttribute returns the name and the encoded value at the start of encoded attributes, and what follows.
func cutAttribute(b []byte) (name, value, rest []byte, ok bool) {
	l, n := binary.Uvarint(b)
	if n <= 0 || l > uint64(len(b)-n) {
		return nil, nil, nil, false
	}
	name, b = b[n:n+int(l)], b[n+int(l):]
	size, ok := encodedLen(b)
	if !ok {
		return nil, nil, nil, false
	}
	return name, b[:size], b[size:], true
}

// Size returns the size that was kept with the item, 0 for one that does not exist.
func (e Encoded) Size() (int, error) {
	if len(e) == 0 {
		return 0, nil
	}
	size, _, err := cutHeader(e)
	return size, err
}

// cutHeader returns the size of an item and its encoded attributes.
func cutHeader(b []byte) (size int, attributes []byte, err error) {
	if len(b) == 0 || b[0] != version {
		return 0, nil, errCorrupt
	}
	v, n := binary.Uvarint(b[1:])
	if n <= 0 || v > 1<<40 {
		return 0, nil, errCorrupt
	}
	return int(v), b[1+n:], nil
}

func appendMap(dst []byte, m Map) []byte {
	var buf [24]string
	names := buf[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendText(dst, name)
		dst = AppendValue(dst, m[name])
	}
	return dst
}

func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendNumber(dst []byte, n string) []byte {
	if len(n) <= maxNumberText {
		return appendText(append(dst, tagN), n)
	}
	var buf [number.MaxKeySize]byte
	return appendText(append(dst, tagPackedN), number.AppendKey(buf[:0], n))
}

// AppendValue appends the encoding of one canonical value, as it stands inside an item.
func AppendValue(dst []byte, v api.AttributeValue) []byte {
	var tag byte
	switch v := v.(type) {
	case api.NULL:
		return append(dst, tagNull)
	case api.BOOL:
		if v {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case api.S:
		return appendText(append(dst, tagS), v)
	case api.N:
		return appendNumber(dst, string(v))
	case api.B:
		return appendText(append(dst, tagB), v)
	case api.SS:
		tag = tagSS
	case api.NS:
		tag = tagNS
	case api.BS:
		tag = tagBS
	case api.L:
		tag = tagL
	case api.M:
		tag = tagM
	}
	// The content comes first, with one byte kept for its length; the rare longer length moves it.
	dst = append(dst, tag, 0)
	start := len(dst)
	switch v := v.(type) {
	case api.SS:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			dst = appendText(dst, e)
		}
	case api.NS:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			dst = appendNumber(dst, e)
		}
	case api.BS:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			dst = appendText(dst, e)
		}
	case api.L:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			dst = AppendValue(dst, e)
		}
	case api.M:
		dst = appendMap(dst, v)
	}
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	l := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:l-1]...)
	copy(dst[start-1+l:], dst[start:start+n])
	copy(dst[start-1:], length[:l])
	return dst
}

// Decode returns the item that b encodes. The item does not refer to b.
func Decode(b []byte) (Map, error) {
	_, b, err := cutHeader(b)
	if err != nil {
		return nil, err
	}
	// One copy serves all names and strings of the item.
	d := decoder{rest: string(b)}
	m := d.attributes(0)
	if d.bad || d.rest != "" {
		return nil, errCorrupt
	}
	return m, nil
}

// DecodeValue returns the value that b, made by AppendValue, encodes.
func DecodeValue(b []byte) (api.AttributeValue, error) {
	d := decoder{rest: string(b)}
	v := d.value(0)
	if d.bad || d.rest != "" {
		return nil, errCorrupt
	}
	return v, nil
}

func lookup(b []byte, name string) (api.AttributeValue, error) {
	_, b, err := cutHeader(b)
	if err != nil {
		return nil, err
	}
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, errCorrupt
	}
	b = b[n:]
	for ; count > 0; count-- {
		at, value, rest, ok := cutAttribute(b)
		switch {
		case !ok:
			return nil, errCorrupt
		case string(at) == name:
			return DecodeValue(value)
		case string(at) > name:
			return nil, nil
		}
		b = rest
	}
	return nil, nil
}

// encodedLen is the length of the value at the start of b.
func encodedLen(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	if b[0] <= tagTrue {
		return 1, true
	}
	l, n := binary.Uvarint(b[1:])
	if n <= 0 || l > uint64(len(b)-1-n) {
		return 0, false
	}
	return 1 + n + int(l), true
}

// A decoder takes apart an encoding from its start. After a fault bad is set and all it returns is empty.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) fail() {
	d.bad, d.rest = true, ""
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return v
		}
	}
	d.fail()
	return 0
}

// text reads a length and so many bytes.
func (d *decoder) text() string {
	l := d.uvarint()
	if l > uint64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := d.rest[:l]
	d.rest = d.rest[l:]
	return s
}

// count reads how many elements follow; each takes a byte at least.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) attributes(depth int) Map {
	n := d.count()
	m := make(Map, n)
	for range n {
		name := d.text()
		v := d.value(depth)
		if d.bad {
			return nil
		}
		m[name] = v
	}
	return m
}

func (d *decoder) number() string {
	if d.rest == "" {
		d.fail()
		return ""
	}
	tag := d.rest[0]
	d.rest = d.rest[1:]
	s := d.text()
	switch {
	case tag == tagN && s != "" && len(s) <= maxNumberText:
		return s
	case tag == tagN:
		// Earlier versions stored long numbers as text too.
		if n, err := number.Canonical(s); err == nil && n == s {
			return s
		}
	case tag == tagPackedN:
		if n, rest, err := number.CutKey([]byte(s)); err == nil && len(rest) == 0 {
			return n
		}
	}
	d.fail()
	return ""
}

func (d *decoder) value(depth int) api.AttributeValue {
	if d.rest == "" || depth > MaxDepth {
		d.fail()
		return nil
	}
	tag := d.rest[0]
	if tag == tagN || tag == tagPackedN {
		return api.N(d.number())
	}
	d.rest = d.rest[1:]
	switch tag {
	case tagNull:
		return api.NULL(true)
	case tagFalse, tagTrue:
		return api.BOOL(tag == tagTrue)
	case tagS:
		return api.S(d.text())
	case tagB:
		return api.B(d.text())
	}

	content := decoder{rest: d.text()}
	var v api.AttributeValue
	switch tag {
	case tagSS:
		set := make(api.SS, content.count())
		for i := range set {
			set[i] = content.text()
		}
		v = set
	case tagNS:
		set := make(api.NS, content.count())
		for i := range set {
			set[i] = content.number()
		}
		v = set
	case tagBS:
		set := make(api.BS, content.count())
		for i := range set {
			set[i] = []byte(content.text())
		}
		v = set
	case tagL:
		list := make(api.L, content.count())
		for i := range list {
			list[i] = content.value(depth + 1)
		}
		v = list
	case tagM:
		v = api.M(content.attributes(depth + 1))
	default:
		content.fail()
	}
	if content.bad || content.rest != "" {
		d.fail()
		return nil
	}
	return v
}
