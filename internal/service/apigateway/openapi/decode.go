package openapi

import (
	"encoding/json"
	"strings"

	"brume/internal/openapidoc"
)

type object = map[string]any

func decode(data []byte) (object, error) { return openapidoc.Decode(data) }

// The functions below read a member of whatever kind; what has another kind is as if it were not there.

func text(o object, name string) string {
	switch v := o[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func child(o object, name string) object { c, _ := o[name].(object); return c }

func list(o object, name string) []any { l, _ := o[name].([]any); return l }

func truth(o object, name string) bool {
	switch v := o[name].(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

func texts(o object, name string) []string {
	var out []string
	for _, v := range list(o, name) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// textMap reads a map of texts. Values of another kind become their JSON: templates may be written as objects.
func textMap(o object, name string) (map[string]string, error) {
	in := child(o, name)
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		if s, ok := v.(string); ok {
			out[k] = s
			continue
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		out[k] = string(data)
	}
	return out, nil
}

func integer(o object, name string) *int32 {
	n, ok := o[name].(json.Number)
	if !ok {
		return nil
	}
	i, err := n.Int64()
	if err != nil || i != int64(int32(i)) {
		return nil
	}
	return new(int32(i))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// value is what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
