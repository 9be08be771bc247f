package restjson

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// A textEncoder writes members into headers and the status.
type textEncoder struct {
	codec.NoEncoder // structures do not travel there

	svc    *schema.Service
	w      *codec.Response
	member *schema.Member
	shape  *schema.Shape // of the value that comes next
	key    string        // of the map entry
	list   []string
	inList bool
}

func (e *textEncoder) start(m *schema.Member) {
	e.member, e.shape = m, e.svc.Shape(m)
}

func (e *textEncoder) put(text string) {
	switch {
	case e.inList:
		e.list = append(e.list, text)
	case e.member.Location == schema.Header:
		e.w.Header.Set(e.member.Wire, text)
	case e.member.Location == schema.Headers:
		e.w.Header.Set(prefix(e.member)+e.key, text)
	}
}

// prefix is what the headers of a map have in common; a member without a name of its own on the wire has none.
func prefix(m *schema.Member) string {
	if m.Wire == m.Name {
		return ""
	}
	return m.Wire
}

func (e *textEncoder) Bool(v bool) { e.put(strconv.FormatBool(v)) }

func (e *textEncoder) Int(v int64) {
	if e.member.Location == schema.StatusCode {
		e.w.Status = int(v)
		return
	}
	e.put(strconv.FormatInt(v, 10))
}

func (e *textEncoder) Float(v float64) { e.put(codec.FormatFloat(v, e.shape)) }

func (e *textEncoder) String(v string) {
	switch {
	case e.member.JSONValue:
		e.put(base64.StdEncoding.EncodeToString([]byte(v)))
	case e.inList && strings.ContainsAny(v, `,"`):
		e.put(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`)
	default:
		e.put(v)
	}
}

func (e *textEncoder) Blob(v []byte) { e.put(base64.StdEncoding.EncodeToString(v)) }

func (e *textEncoder) Time(v time.Time) {
	e.put(string(codec.AppendTime(nil, v, codec.TimestampFormat(e.member, e.shape, schema.RFC822))))
}

func (e *textEncoder) BeginList(int) {
	e.inList, e.list = true, e.list[:0]
	e.shape = e.svc.Shape(&e.shape.Members[0])
}

func (e *textEncoder) EndList() {
	e.inList = false
	if len(e.list) > 0 {
		e.put(strings.Join(e.list, ", "))
	}
}

func (e *textEncoder) Key(k string) {
	e.key = k
	e.shape = e.svc.Shape(&e.svc.Shape(e.member).Members[1])
}

// A rawEncoder writes the one member that is the whole body.
type rawEncoder struct {
	codec.NoEncoder
	w *codec.Response
}

func (e rawEncoder) String(v string) { e.w.Body = []byte(v) }
func (e rawEncoder) Blob(v []byte)   { e.w.Body = v }

// A rawDecoder reads the one member that is the whole body.
type rawDecoder struct {
	schema.Decoder // nil: nothing but strings and blobs is read raw
	body           []byte
}

func (d rawDecoder) String() string { return string(d.body) }
func (d rawDecoder) Blob() []byte   { return d.body }

// decodeText reads member i out of the path, the query string or the headers, if it is there.
func decodeText(svc *schema.Service, shape *schema.Shape, i int, r *codec.Request, in schema.Struct) error {
	m := &shape.Members[i]
	d := &textDecoder{svc: svc, member: m}
	d.Shape, d.Code = svc.Shape(m), "SerializationException"
	isMap := d.Shape.Kind == schema.Map
	switch m.Location {
	case schema.URI:
		v, ok := r.Labels.Get(m.Wire)
		if !ok {
			return nil
		}
		if v, ok = codec.UnescapePath(v); !ok {
			return codec.Serialization(nil, "The path is not encoded properly.")
		}
		d.values = append(d.values, v)
	case schema.Query:
		for _, p := range r.Query {
			switch {
			case !isMap && p.Key == m.Wire:
				d.values = append(d.values, p.Value)
			case isMap && !isBound(shape, p.Key):
				d.entry(p.Key, p.Value)
			}
		}
	case schema.Header:
		d.values = r.Header.Values(m.Wire)
		if d.Shape.Kind == schema.List && len(d.values) > 0 {
			d.values = splitHeader(d.values, svc.Shape(&d.Shape.Members[0]))
		}
	case schema.Headers:
		p := http.CanonicalHeaderKey(prefix(m))
		for name, values := range r.Header {
			// HTTP knows no case in names, S3 stores them in lower case.
			if rest, ok := strings.CutPrefix(name, p); ok && len(values) > 0 {
				d.entry(strings.ToLower(rest), values[0])
			}
		}
	default:
		return nil
	}
	if len(d.values) == 0 && len(d.entries) == 0 {
		return nil
	}
	if len(d.values) > 0 {
		d.Text = d.values[0]
	}
	in.DecodeMember(i, d)
	return d.Err()
}

// isBound says that a query parameter belongs to a member of its own.
func isBound(shape *schema.Shape, key string) bool {
	return slices.ContainsFunc(shape.Members, func(m schema.Member) bool {
		return m.Location == schema.Query && m.Wire == key
	})
}

// splitHeader splits the values of a header at their commas, but for quoted parts and for the comma of a date.
func splitHeader(values []string, elem *schema.Shape) []string {
	var out []string
	for _, v := range values {
		for v != "" {
			v = strings.TrimLeft(v, " \t,")
			if n := quotedLen(v); n > 0 {
				text := strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(v[1 : n-1])
				out = append(out, text)
				_, v, _ = strings.Cut(v[n:], ",")
				continue
			}
			end := strings.IndexByte(v, ',')
			if elem.Kind == schema.Timestamp && end == len("Mon") {
				if second := strings.IndexByte(v[end+1:], ','); second >= 0 {
					end += 1 + second
				} else {
					end = -1
				}
			}
			if end < 0 {
				end = len(v)
			}
			if text := strings.TrimRight(v[:end], " \t"); text != "" {
				out = append(out, text)
			}
			v = v[end:]
		}
	}
	return out
}

// quotedLen is the length of the quoted string that v begins with, 0 if it begins with none. Whatever stands between the
// quotes belongs to it; a backslash takes the next character along.
func quotedLen(v string) int {
	if !strings.HasPrefix(v, `"`) {
		return 0
	}
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// A textDecoder reads a member out of texts: one for a scalar, several for a list, named ones for a map, which may be of
// lists.
type textDecoder struct {
	codec.Scalars
	svc     *schema.Service
	member  *schema.Member
	values  []string // what is left of the list
	entries []entry  // what is left of the map
}

type entry struct {
	key    string
	values []string
}

func (d *textDecoder) entry(key, value string) {
	for i := range d.entries {
		if d.entries[i].key == key {
			d.entries[i].values = append(d.entries[i].values, value)
			return
		}
	}
	d.entries = append(d.entries, entry{key, []string{value}})
}

// String implements schema.Decoder. JSON in a header is in base64.
func (d *textDecoder) String() string {
	if d.member.JSONValue && d.member.Location == schema.Header {
		return string(d.Blob())
	}
	return d.Scalars.String()
}

// Struct implements schema.Decoder. No model has a structure outside the body.
func (d *textDecoder) Struct(schema.Struct) {
	d.Failf("Start of structure or map found where not expected")
}

// BeginList implements schema.Decoder.
func (d *textDecoder) BeginList() { d.Shape = d.svc.Shape(&d.Shape.Members[0]) }

// NextElem implements schema.Decoder.
func (d *textDecoder) NextElem() bool {
	if len(d.values) == 0 || d.Err() != nil {
		return false
	}
	d.Text, d.values = d.values[0], d.values[1:]
	return true
}

// BeginMap implements schema.Decoder.
func (d *textDecoder) BeginMap() {}

// NextKey implements schema.Decoder.
func (d *textDecoder) NextKey() (string, bool) {
	if len(d.entries) == 0 || d.Err() != nil {
		return "", false
	}
	e := d.entries[0]
	d.entries = d.entries[1:]
	d.Shape = d.svc.Shape(&d.svc.Shape(d.member).Members[1])
	d.Text, d.values = e.values[0], e.values
	return e.key, true
}

var _ schema.Decoder = (*textDecoder)(nil)
