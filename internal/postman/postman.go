// Package postman turns OpenAPI documents into collections of Postman, format 2.1, which its command-line runner newman runs.
//
// It promises that a collection holds no secret: keys and tokens are variables without a value. What a document says is
// bounded by package openapidoc; of schemas that contain themselves, examples end.
//
// https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
package postman

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"brume/internal/openapidoc"
)

type object = map[string]any

// Schema is the format of collections.
const Schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

// A collection is made of requests, and of variables that they name.
type collection struct {
	Info struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		Schema      string `json:"schema"`
	} `json:"info"`
	Item     []item     `json:"item"`
	Variable []variable `json:"variable"`
}

type item struct {
	Name    string  `json:"name"`
	Request request `json:"request"`
	// Response is there as the format wants it: examples, of which there are none.
	Response []any `json:"response"`
}

type request struct {
	Method      string     `json:"method"`
	Header      []pair     `json:"header"`
	URL         address    `json:"url"`
	Body        *body      `json:"body,omitempty"`
	Auth        *authority `json:"auth,omitempty"`
	Description string     `json:"description,omitempty"`
}

type address struct {
	Raw      string     `json:"raw"`
	Host     []string   `json:"host"`
	Path     []string   `json:"path"`
	Query    []pair     `json:"query,omitempty"`
	Variable []variable `json:"variable,omitempty"`
}

type pair struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	Disabled bool   `json:"disabled,omitempty"`
}

type variable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Type  string `json:"type"`
}

type body struct {
	Mode    string `json:"mode"`
	Raw     string `json:"raw"`
	Options object `json:"options"`
}

type authority struct {
	Type   string     `json:"type"`
	AWS    []variable `json:"awsv4,omitempty"`
	Bearer []variable `json:"bearer,omitempty"`
}

// Collection is the collection of an OpenAPI document, for an API that is reached at baseURL in a region.
func Collection(document []byte, baseURL, region string) ([]byte, error) {
	doc, err := openapidoc.Decode(document)
	if err != nil {
		return nil, err
	}
	w := &writer{doc: doc, region: region, variables: map[string]string{"baseUrl": baseURL}}
	c := &collection{Item: []item{}}
	info := child(doc, "info")
	c.Info.Name, c.Info.Description, c.Info.Schema = text(info, "title"), text(info, "description"), Schema
	paths := child(doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods := child(paths, path)
		for _, name := range slices.Sorted(maps.Keys(methods)) {
			method := strings.ToUpper(name)
			switch {
			case name == "x-amazon-apigateway-any-method":
				method = http.MethodGet
			case !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH"}, method):
				continue // parameters of the path, a description
			}
			c.Item = append(c.Item, w.item(method, path, child(methods, name), list(methods, "parameters")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.variables)) {
		c.Variable = append(c.Variable, variable{name, w.variables[name], "string"})
	}
	return json.MarshalIndent(c, "", "  ")
}

type writer struct {
	doc       object
	region    string
	variables map[string]string
	examples  int // made so far
}

// use is how a request names a variable of the collection.
func (w *writer) use(name, value string) string {
	if _, ok := w.variables[name]; !ok {
		w.variables[name] = value
	}
	return "{{" + name + "}}"
}

func (w *writer) item(method, path string, op object, shared []any) item {
	r := request{Method: method, Header: []pair{}, Description: text(op, "description")}
	values := map[string]string{}
	for _, p := range append(slices.Clone(shared), list(op, "parameters")...) {
		parameter := w.resolve(p)
		name, value := text(parameter, "name"), w.parameterValue(parameter)
		optional := parameter["required"] != true
		switch text(parameter, "in") {
		case "path":
			values[strings.TrimSuffix(name, "+")] = value
		case "query":
			r.URL.Query = append(r.URL.Query, pair{name, value, optional})
		case "header":
			r.Header = append(r.Header, pair{name, value, optional})
		}
	}
	r.URL.Host = []string{w.use("baseUrl", "")}
	if path == "/$default" {
		path = "/"
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if inner, ok := strings.CutPrefix(segment, "{"); ok {
			name := strings.TrimSuffix(strings.TrimSuffix(inner, "}"), "+")
			value := values[name]
			if value == "" {
				value = name
			}
			r.URL.Variable = append(r.URL.Variable, variable{name, value, "string"})
			segment = ":" + name
		}
		r.URL.Path = append(r.URL.Path, segment)
	}
	r.URL.Raw = r.URL.Host[0] + "/" + strings.Join(r.URL.Path, "/")
	sep := "?"
	for _, q := range r.URL.Query {
		if !q.Disabled {
			r.URL.Raw += sep + url.QueryEscape(q.Key) + "=" + url.QueryEscape(q.Value)
			sep = "&"
		}
	}
	if content := child(child(w.resolve(op["requestBody"]), "content"), "application/json"); len(content) > 0 {
		r.Header = append(r.Header, pair{Key: "Content-Type", Value: "application/json"})
		example, ok := content["example"]
		if !ok {
			example = w.example(content["schema"], 0)
		}
		if raw, err := json.MarshalIndent(example, "", "  "); err == nil {
			r.Body = &body{Mode: "raw", Raw: string(raw), Options: object{"raw": object{"language": "json"}}}
		}
	}
	w.secure(&r, op)
	name := text(op, "operationId")
	if name == "" {
		name = method + " " + path
	}
	return item{Name: name, Request: r, Response: []any{}}
}

// secure has a request carry what its operation asks for, of the first way in that is named.
func (w *writer) secure(r *request, op object) {
	security := list(op, "security")
	if _, own := op["security"]; !own {
		security = list(w.doc, "security")
	}
	if len(security) == 0 {
		return
	}
	first, _ := security[0].(object)
	for _, name := range slices.Sorted(maps.Keys(first)) {
		scheme := w.resolve(child(child(w.doc, "components"), "securitySchemes")[name])
		key := text(scheme, "name")
		switch {
		case text(scheme, "x-amazon-apigateway-authtype") == "awsSigv4":
			r.Auth = &authority{Type: "awsv4", AWS: []variable{
				{"accessKey", w.use("accessKey", ""), "string"}, {"secretKey", w.use("secretKey", ""), "string"},
				{"region", w.use("region", w.region), "string"}, {"service", "execute-api", "string"},
			}}
		case strings.EqualFold(key, "x-api-key"):
			r.Header = append(r.Header, pair{Key: key, Value: w.use("apiKey", "")})
		case text(scheme, "type") == "apiKey" && text(scheme, "in") == "header":
			r.Header = append(r.Header, pair{Key: key, Value: w.use(name, "")})
		case text(scheme, "type") == "apiKey" && text(scheme, "in") == "query":
			r.URL.Query = append(r.URL.Query, pair{Key: key, Value: w.use(name, "")})
		default:
			r.Auth = &authority{Type: "bearer", Bearer: []variable{{"token", w.use("token", ""), "string"}}}
		}
	}
}

// parameterValue is an example of a parameter's value.
func (w *writer) parameterValue(p object) string {
	v, ok := p["example"]
	if !ok {
		v = w.example(p["schema"], 0)
	}
	if s, ok := v.(string); ok {
		return s
	}
	data, err := json.Marshal(v)
	if err != nil || string(data) == "null" {
		return ""
	}
	return string(data)
}

// maxDepth bounds the depth of examples and of references, maxExamples the values that examples are made of: a schema that
// contains itself several times would become many.
const (
	maxDepth    = 8
	maxExamples = 10000
)

// resolve follows a reference within the document; what leads nowhere is empty.
func (w *writer) resolve(v any) object {
	o, _ := v.(object)
	for range maxDepth {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		path, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			return nil
		}
		o = w.doc
		for name := range strings.SplitSeq(path, "/") {
			o = child(o, strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~"))
		}
	}
	return nil
}

// example makes up a value of a schema.
func (w *writer) example(v any, depth int) any {
	s := w.resolve(v)
	if w.examples++; depth > maxDepth || w.examples > maxExamples || len(s) == 0 {
		return nil
	}
	for _, name := range []string{"example", "default"} {
		if v, ok := s[name]; ok {
			return v
		}
	}
	if choices := list(s, "enum"); len(choices) > 0 {
		return choices[0]
	}
	kind := text(s, "type")
	properties := child(s, "properties")
	switch {
	case kind == "object" || len(properties) > 0:
		o := object{}
		for name, p := range properties {
			o[name] = w.example(p, depth+1)
		}
		return o
	case kind == "array":
		return []any{w.example(s["items"], depth+1)}
	case kind == "integer" || kind == "number":
		if n, ok := s["minimum"]; ok {
			return n
		}
		return 0
	case kind == "boolean":
		return true
	case kind == "string":
		return "string"
	}
	return nil
}

func child(o object, name string) object { c, _ := o[name].(object); return c }

func list(o object, name string) []any { l, _ := o[name].([]any); return l }

func text(o object, name string) string { s, _ := o[name].(string); return s }
