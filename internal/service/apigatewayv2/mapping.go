package apigatewayv2

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
)

// mappings change requests on their way to an integration, and its answers on their way back.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
type mappings struct {
	request  []parameterMapping
	response map[int][]parameterMapping
}

// A parameterMapping is an entry, read: "append:header.name" = "$request.querystring.x".
type parameterMapping struct {
	action      string // append, overwrite or remove
	place, name string // header, querystring, path or statuscode
	value       template
}

// A template is text with expressions in it.
type template []templatePart

// A templatePart is an expression, "request.header.x", or literal text.
type templatePart struct{ literal, expression string }

// compileMappings reads the parameter mappings of an integration. An error is the client's.
func compileMappings(row *api.Integration) (*mappings, error) {
	m := &mappings{response: map[int][]parameterMapping{}}
	var err error
	if m.request, err = parseMappings(row.RequestParameters, false); err != nil {
		return nil, err
	}
	for code, parameters := range row.ResponseParameters {
		n, bad := strconv.Atoi(code)
		if bad != nil || n < 200 || n > 599 {
			return nil, invalid("Invalid status code in responseParameters: %s", clip(code))
		}
		if m.response[n], err = parseMappings(parameters, true); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// isReserved says whether a header, in lower case, cannot be mapped.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html#http-api-mapping-reserved-headers
func isReserved(name string) bool {
	switch name {
	case "authorization", "connection", "content-encoding", "content-length", "content-location", "forwarded", "host", "keep-alive", "origin", "proxy-authenticate",
		"proxy-authorization", "te", "trailers", "transfer-encoding", "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via":
		return true
	}
	for _, prefix := range []string{"access-control-", "apigw-", "x-amz-", "x-amzn-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func parseMappings(parameters map[string]string, response bool) ([]parameterMapping, error) {
	var out []parameterMapping
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		refused := invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", clip(key))
		action, target, ok := strings.Cut(key, ":")
		place, name, named := strings.Cut(target, ".")
		m := parameterMapping{action: action, place: place, name: name}
		switch {
		case !ok || action != "append" && action != "overwrite" && action != "remove":
			return nil, refused
		case place == "header" && named && edge.ValidHeader(edge.Field{Name: name}):
			if isReserved(strings.ToLower(name)) {
				return nil, invalid("Operations on header %s are restricted", strings.ToLower(name))
			}
		case place == "querystring" && named && name != "" && !response:
		case target == "path" && action == "overwrite" && !response, target == "statuscode" && action == "overwrite" && response:
		default:
			return nil, refused
		}
		if action != "remove" {
			var err error
			if m.value, err = parseTemplate(parameters[key], response); err != nil {
				return nil, err
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// parseTemplate reads the value of a mapping: "$expression" alone, or text with "${expression}" in it.
func parseTemplate(text string, response bool) (template, error) {
	if strings.HasPrefix(text, "$") && !strings.HasPrefix(text, "${") {
		if !validExpression(text[1:], response) {
			return nil, invalid("Invalid mapping expression specified: %s", clip(text))
		}
		return template{{expression: text[1:]}}, nil
	}
	var t template
	for text != "" {
		before, rest, ok := strings.Cut(text, "${")
		if before != "" {
			t = append(t, templatePart{literal: before})
		}
		if !ok {
			break
		}
		expression, after, closed := strings.Cut(rest, "}")
		if !closed || !validExpression(expression, response) {
			return nil, invalid("Invalid mapping expression specified: ${%s", clip(rest))
		}
		t = append(t, templatePart{expression: expression})
		text = after
	}
	return t, nil
}

func validExpression(e string, response bool) bool {
	source := "request."
	if response {
		source = "response."
	}
	if e == source+"body" || !response && e == "request.path" {
		return true
	}
	prefixes := []string{source + "header.", source + "body.", "context.", "stageVariables."}
	if !response {
		prefixes = append(prefixes, "request.querystring.", "request.path.")
	}
	for _, p := range prefixes {
		if name, ok := strings.CutPrefix(e, p); ok {
			return name != ""
		}
	}
	return false
}

// An answer is what an integration returned, for expressions.
type answer struct {
	header []edge.Field
	body   []byte
}

// evaluate is the text of a template. What is not there is empty.
func (x *exchange) evaluate(t template, a *answer) string {
	if len(t) == 1 && t[0].expression == "" {
		return t[0].literal
	}
	var b strings.Builder
	for _, p := range t {
		if p.expression == "" {
			b.WriteString(p.literal)
			continue
		}
		v, _ := x.expression(p.expression, a)
		b.WriteString(v)
	}
	return b.String()
}

// expression evaluates "request.header.name" and its like. Values of one name are joined with commas.
func (x *exchange) expression(e string, a *answer) (string, bool) {
	place, name, _ := strings.Cut(e, ".")
	switch place {
	case "context":
		v, ok := x.contextVariable(name)
		return v, ok
	case "stageVariables":
		v, ok := x.stage.variables[name]
		return v, ok
	case "response":
		if a == nil {
			return "", false
		}
		kind, name, _ := strings.Cut(name, ".")
		if kind == "header" {
			return joined(a.header, name, true)
		}
		return bodyValue(a.body, name)
	}
	kind, name, named := strings.Cut(name, ".")
	switch kind {
	case "header":
		return joined(x.req.Header, name, true)
	case "querystring":
		return joined(x.req.Query, name, false)
	case "path":
		if !named {
			return x.path, true
		}
		return joined(x.params, name, false)
	case "body":
		return bodyValue(x.req.Body, name)
	}
	return "", false
}

// joined is the values of a name with commas between.
func joined(fields []edge.Field, name string, fold bool) (string, bool) {
	out, found := "", false
	for _, f := range fields {
		if f.Name == name || fold && strings.EqualFold(f.Name, name) {
			if found {
				out += ","
			}
			out, found = out+f.Value, true
		}
	}
	return out, found
}

// maxMappedBody is how much of a body is read for a path into it.
const maxMappedBody = 100 << 10

// bodyValue is the value at a path such as "a.b[0].c" in a body of JSON; the whole body for no path.
func bodyValue(body []byte, path string) (string, bool) {
	if path == "" {
		return string(body), true
	}
	d := json.NewDecoder(bytes.NewReader(body[:min(len(body), maxMappedBody)]))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return "", false
	}
	for part := range strings.SplitSeq(path, ".") {
		name, indexes, _ := strings.Cut(part, "[")
		if name != "" {
			o, ok := v.(map[string]any)
			if !ok {
				return "", false
			}
			v = o[name]
		}
		for indexes != "" {
			index, rest, ok := strings.Cut(indexes, "]")
			n, err := strconv.Atoi(index)
			l, isList := v.([]any)
			if !ok || err != nil || !isList || n < 0 || n >= len(l) {
				return "", false
			}
			v, indexes = l[n], strings.TrimPrefix(rest, "[")
		}
	}
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	default:
		text, err := json.Marshal(v)
		return string(text), err == nil
	}
}

// mapFields applies the mappings of one place.
func (x *exchange) mapFields(list []parameterMapping, place string, fields []edge.Field, a *answer) []edge.Field {
	fold := place == "header"
	for _, m := range list {
		if m.place != place {
			continue
		}
		if m.action != "append" {
			fields = slices.DeleteFunc(slices.Clone(fields), func(f edge.Field) bool { return f.Name == m.name || fold && strings.EqualFold(f.Name, m.name) })
		}
		if m.action == "remove" {
			continue
		}
		if len(m.value) == 1 && m.value[0].expression != "" {
			if _, found := x.expression(m.value[0].expression, a); !found {
				continue // what is not there is mapped to nothing
			}
		}
		if f := (edge.Field{Name: m.name, Value: x.evaluate(m.value, a)}); !fold || edge.ValidHeader(f) {
			fields = append(slices.Clip(fields), f)
		}
	}
	return fields
}

// mapRequest changes a request as its integration wants it. What authorizers and expressions look at is the request that came.
func (x *exchange) mapRequest() *outgoing {
	out := &outgoing{path: x.path, query: x.req.Query, rawQuery: x.req.RawQuery, header: x.headers()}
	list := x.route.integration.mappings.request
	out.header = x.mapFields(list, "header", out.header, nil)
	for _, m := range list {
		switch m.place {
		case "querystring":
			out.query = x.mapFields(list, "querystring", x.req.Query, nil)
			out.rawQuery = edge.EncodeQuery(out.query)
		case "path":
			out.path, out.pathMapped = "/"+strings.TrimPrefix(x.evaluate(m.value, nil), "/"), true
		}
	}
	return out
}

// mapResponse changes the response of an integration.
func (x *exchange) mapResponse(r *edge.Response) {
	list := x.route.integration.mappings.response[r.Status]
	if len(list) == 0 {
		return
	}
	a := &answer{r.Header, r.Body}
	r.Header = x.mapFields(list, "header", r.Header, a)
	for _, m := range list {
		if m.place != "statuscode" {
			continue
		}
		if n, err := strconv.Atoi(x.evaluate(m.value, a)); err == nil && n >= 200 && n <= 599 {
			r.Status = n
		}
	}
}
