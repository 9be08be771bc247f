package vtl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"brume/internal/jsontext"
)

// ParseJSON reads one JSON value. Objects keep the order of their members.
func ParseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON value")
	}
	return v, nil
}

func parseJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(t), 10, 64); err == nil {
			return n, nil
		}
		return Number(t), nil
	case json.Delim:
		if t == '[' {
			l := &List{}
			for d.More() {
				e, err := parseJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.Elems = append(l.Elems, e)
			}
			_, err := d.Token()
			return l, err
		}
		m := NewMap()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			name, ok := k.(string)
			if !ok {
				return nil, errors.New("a JSON object has a key that is no string")
			}
			m.Set(name, v)
		}
		_, err := d.Token()
		return m, err
	}
	return t, nil // string, bool or nil
}

// JSON writes a value as JSON.
func JSON(v any) (string, error) {
	b, err := appendJSON(nil, v, 0)
	return string(b), err
}

func appendJSON(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	var err error
	switch v := v.(type) {
	case string:
		b = jsontext.AppendString(b, v)
	case *List:
		b = append(b, '[')
		for i, e := range v.Elems {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e, depth+1); err != nil {
				return nil, err
			}
		}
		b = append(b, ']')
	case *Map:
		b = append(b, '{')
		for i, k := range v.Keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsontext.AppendString(b, k), ':')
			if b, err = appendJSON(b, v.values[k], depth+1); err != nil {
				return nil, err
			}
		}
		b = append(b, '}')
	default:
		if b, err = appendText(b, v, depth); err != nil {
			return nil, err
		}
	}
	if len(b) > MaxOutput {
		return nil, errTooLong
	}
	return b, nil
}
