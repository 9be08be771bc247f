package edge

import (
	"net/url"
	"strings"
	"time"

	"brume/internal/schema"
)

// ExpandPath is the path of a call, in segments, with the input's values in it. Slashes and colons within a value are
// encoded, as they are in the ARNs of tags: "tags/arn%3Aaws%3A…". Where values have several forms, folded brings one of a
// label to the one that policies name; it may be nil.
func ExpandPath(table *schema.Service, op *schema.Operation, in schema.Struct, folded func(label, value string) string) []string {
	values := uriValues{shape: &table.Shapes[op.Input], found: map[string]string{}}
	in.EncodeMembers(&values)
	path, _, _ := strings.Cut(op.Path, "?")
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "+")
			v := values.found[name]
			if folded != nil {
				v = folded(name, v)
			}
			segments[i] = strings.ReplaceAll(url.PathEscape(v), ":", "%3A")
		}
	}
	return segments
}

// uriValues is an Encoder that keeps the members that travel in the path, and nothing else.
type uriValues struct {
	shape  *schema.Shape
	member int
	depth  int
	found  map[string]string // by the name in the path
}

func (u *uriValues) Member(i int) { u.member = i }

func (u *uriValues) String(v string) {
	if m := &u.shape.Members[u.member]; u.depth == 0 && m.Location == schema.URI {
		u.found[m.Wire] = v
	}
}

func (u *uriValues) BeginList(int)        { u.depth++ }
func (u *uriValues) EndList()             { u.depth-- }
func (u *uriValues) BeginMap(int)         { u.depth++ }
func (u *uriValues) EndMap()              { u.depth-- }
func (u *uriValues) Key(string)           {}
func (u *uriValues) Bool(bool)            {}
func (u *uriValues) Int(int64)            {}
func (u *uriValues) Float(float64)        {}
func (u *uriValues) Blob([]byte)          {}
func (u *uriValues) Time(time.Time)       {}
func (u *uriValues) Struct(schema.Struct) {}
