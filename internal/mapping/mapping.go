// Package mapping is what mapping templates of API Gateway have besides the language: $input and $util, for REST and for
// WebSocket APIs.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
package mapping

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"

	"brume/internal/edge"
	"brume/internal/vtl"
)

// Input is $input: a body and, where requests have them, parameters.
type Input struct {
	Body   []byte
	Params Parameters // nil for none
	parsed bool
	json   any
}

// Parameters are those of a request.
type Parameters interface {
	// All has them by place and name.
	All() *vtl.Map
	// One looks for a name in all places; "" if there is none.
	One(name string) any
}

func (in *Input) Get(name string) (any, bool) {
	if name == "body" {
		return string(in.Body), true
	}
	return nil, false
}

func (in *Input) Call(method string, args []any) (any, bool, error) {
	switch {
	case method == "params" && in.Params != nil && len(args) == 0:
		return in.Params.All(), true, nil
	case method == "params" && in.Params != nil && len(args) == 1:
		name, ok := args[0].(string)
		if !ok {
			return nil, true, nil
		}
		return in.Params.One(name), true, nil
	case method == "json" && len(args) == 1:
		v, err := in.Path(args[0])
		if err != nil {
			return nil, true, err
		}
		if v == nil {
			return `""`, true, nil
		}
		s, err := vtl.JSON(v)
		return s, true, err
	case method == "path" && len(args) == 1:
		v, err := in.Path(args[0])
		return v, true, err
	}
	return nil, false, nil
}

// ErrNotJSON is for bodies that paths are asked for and that are not JSON.
var ErrNotJSON = errors.New("the body is not JSON")

// Path evaluates a JSONPath expression on the body. An empty body counts as {}.
func (in *Input) Path(arg any) (any, error) {
	expr, ok := arg.(string)
	if !ok {
		return nil, vtl.ErrPath
	}
	if !in.parsed {
		body := in.Body
		if len(strings.TrimSpace(string(body))) == 0 {
			body = []byte("{}")
		}
		v, err := vtl.ParseJSON(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotJSON, err)
		}
		in.json, in.parsed = v, true
	}
	return vtl.Path(in.json, expr)
}

// Lenient is a map that renders what it lacks as nothing.
func Lenient(fields []edge.Field) *vtl.Map {
	m := vtl.NewMap()
	m.Lenient = true
	for _, f := range fields {
		m.Set(f.Name, f.Value)
	}
	return m
}

// Util is $util.
type Util struct{}

func (Util) Get(string) (any, bool) { return nil, false }

func (Util) Call(method string, args []any) (any, bool, error) {
	if len(args) != 1 {
		return nil, false, nil
	}
	s, ok := args[0].(string)
	if !ok {
		return nil, false, nil
	}
	switch method {
	case "escapeJavaScript":
		return EscapeJavaScript(s), true, nil
	case "parseJson":
		v, err := vtl.ParseJSON([]byte(s))
		return v, true, err
	case "urlEncode":
		return url.QueryEscape(s), true, nil
	case "urlDecode":
		v, err := url.QueryUnescape(s)
		return v, true, err
	case "base64Encode":
		return base64.StdEncoding.EncodeToString([]byte(s)), true, nil
	case "base64Decode":
		v, err := base64.StdEncoding.DecodeString(s)
		return string(v), true, err
	}
	return nil, false, nil
}

// EscapeJavaScript escapes quotes, slashes, control characters and everything that is not ASCII.
func EscapeJavaScript(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\'' || r == '\\' || r == '/':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < ' ' || r > '~':
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04X`, u)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
