package apigatewayv2

import (
	"errors"
	"strings"

	"brume/internal/edge"
	"brume/internal/mapping"
	"brume/internal/vtl"
)

// A selection is a selection expression, read: texts and variables, whose values make up a key. "$default" stands for itself.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
type selection struct{ parts []selectionPart }

// A selectionPart is a text, or a variable: "request.body.action".
type selectionPart struct{ text, variable string }

// maxSelection bounds an expression, in bytes. The bound is ours.
const maxSelection = 1024

var errSelection = errors.New("the selection expression is not well formed")

// parseSelection reads an expression whose variables are those that allowed knows.
func parseSelection(s string, allowed func(variable string) bool) (*selection, error) {
	if s == "" || len(s) > maxSelection {
		return nil, errSelection
	}
	if s == defaultRoute {
		return &selection{[]selectionPart{{text: s}}}, nil
	}
	out := &selection{}
	for s != "" {
		i := strings.IndexAny(s, `\$`)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			out.parts, s = append(out.parts, selectionPart{text: s[:i]}), s[i:]
			continue
		}
		if s[0] == '\\' {
			// "\$" is a dollar sign; any other backslash stands for itself.
			n := 1
			if strings.HasPrefix(s, `\$`) {
				s = s[1:]
			}
			out.parts, s = append(out.parts, selectionPart{text: s[:n]}), s[n:]
			continue
		}
		var variable string
		if rest, wrapped := strings.CutPrefix(s, "${"); wrapped {
			var closed bool
			if variable, s, closed = strings.Cut(rest, "}"); !closed {
				return nil, errSelection
			}
		} else {
			end := strings.IndexFunc(s[1:], func(r rune) bool {
				return r != '[' && r != ']' && r != '\'' && r != '"' && r != '*' && (r == ':' || isNotOfVariable(r))
			})
			if end < 0 {
				end = len(s) - 1
			}
			variable, s = s[1:1+end], s[1+end:]
		}
		if !allowed(variable) {
			return nil, errSelection
		}
		out.parts = append(out.parts, selectionPart{variable: variable})
	}
	return out, nil
}

// messageVariables are those of expressions over a message: the body, and what a JSONPath finds in it.
func messageVariables(variable string) bool {
	path, ok := bodyPath(variable)
	if !ok {
		return false
	}
	_, err := vtl.Path(nil, path)
	return !errors.Is(err, vtl.ErrPath)
}

// responseVariables are those of expressions over the response of an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
func responseVariables(variable string) bool {
	if variable == "integration.response.statuscode" || messageVariables(variable) {
		return true
	}
	for _, prefix := range []string{"integration.response.header.", "integration.response.multivalueheader."} {
		if name, ok := strings.CutPrefix(variable, prefix); ok {
			return edge.ValidHeader(edge.Field{Name: name})
		}
	}
	return false
}

// bodyPath is the JSONPath of "request.body", "request.body.a.b" or "request.body[0]".
func bodyPath(variable string) (string, bool) {
	path, ok := strings.CutPrefix(variable, "request.body")
	if !ok || path != "" && path[0] != '.' && path[0] != '[' || path == "." {
		return "", false
	}
	return "$" + path, true
}

// evaluate makes the key; false if the expression asks for something of a body that is not JSON. What is not found is empty.
// response, for expressions over one, looks up the other variables.
func (sel *selection) evaluate(body *mapping.Input, response func(variable string) string) (string, bool) {
	var b strings.Builder
	for _, p := range sel.parts {
		if p.variable == "" {
			b.WriteString(p.text)
			continue
		}
		path, ofBody := bodyPath(p.variable)
		if !ofBody {
			if response != nil {
				b.WriteString(response(p.variable))
			}
			continue
		}
		v, err := body.Path(path)
		if err != nil {
			if errors.Is(err, mapping.ErrNotJSON) {
				return "", false
			}
			continue
		}
		if v == nil {
			continue
		}
		text, err := vtl.Text(v)
		if err != nil {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}
