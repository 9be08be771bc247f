// Package jsonmodel is the models of API Gateway: JSON Schemas that refer to each other, what bodies are checked by, and
// what templates are generated from. It promises that a schema reaches no file and no network.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
package jsonmodel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"brume/internal/boundedre"
)

// A Model is a schema with its name.
type Model struct{ Name, Schema string }

// A Schema is a compiled one.
type Schema = jsonschema.Schema

// IsName says whether a model can have a name: letters and digits.
func IsName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	}) < 0
}

// Ref is the name of the model that a $ref leads to: ".../restapis/ID/models/NAME" or ".../apis/ID/models/NAME", whatever host
// is written.
func Ref(ref string) (name string, ok bool) {
	_, path, ok := strings.Cut(ref, "/restapis/")
	if !ok {
		_, path, ok = strings.Cut(ref, "/apis/")
	}
	if !ok {
		return "", false
	}
	_, name, ok = strings.Cut(path, "/models/")
	return name, ok && IsName(name)
}

// noFiles loads no schema: models refer to other models of their API, and those are given.
type noFiles struct{}

func (noFiles) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is no model of this API", url)
}

// Compile compiles the schema of a model, with those that it refers to. Without a $schema of its own it is of draft 4.
func Compile(name string, all []Model) (*Schema, error) { return NewSet(all).Compile(name) }

// A Set is the models of an API, which refer to each other. It is for one goroutine.
type Set struct {
	compiler *jsonschema.Compiler
	problem  error
}

// NewSet reads the schemas of models.
func NewSet(all []Model) *Set {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseLoader(noFiles{})
	c.UseRegexpEngine(func(expr string) (jsonschema.Regexp, error) {
		re, err := boundedre.Compile(expr)
		return re, err
	})
	s := &Set{compiler: c}
	for _, m := range all {
		if m.Schema == "" {
			continue
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(m.Schema))
		if err != nil || !reasonable(doc) {
			continue // one that is needed is missed by Compile
		}
		rewriteRefs(doc)
		if err := c.AddResource(modelURL(m.Name), doc); err != nil && s.problem == nil {
			s.problem = err
		}
	}
	return s
}

// Compile compiles the schema of a model of the set, as the function of this name does.
func (s *Set) Compile(name string) (*Schema, error) {
	if s.problem != nil {
		return nil, s.problem
	}
	return s.compiler.Compile(modelURL(name))
}

func modelURL(name string) string {
	return "https://apigateway.amazonaws.com/restapis/api/models/" + name
}

// rewriteRefs makes references to models of whatever API and host lead to those of this API, as in AWS.
func rewriteRefs(v any) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if name, ok := Ref(ref); ok {
				v["$ref"] = modelURL(name)
			}
		}
		for _, child := range v {
			rewriteRefs(child)
		}
	case []any:
		for _, child := range v {
			rewriteRefs(child)
		}
	}
}

// Check says what is wrong with a body; nil if it is as the schema wants it.
func Check(schema *Schema, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return errors.New("[the body is not JSON]")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("[the body is not one JSON value]")
	}
	if !reasonable(doc) {
		return errors.New("[the body has a number that is too long]")
	}
	err := schema.Validate(doc)
	var faults *jsonschema.ValidationError
	if !errors.As(err, &faults) {
		return err
	}
	var lines []string
	collect(faults, schema, doc, &lines)
	text := strings.Join(lines, ", ")
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + " [TRUNCATED]"
	}
	return errors.New("[" + text + "]")
}

// Bounds of numbers: how long one is as a text, in bytes, and its exponent either way. The library calculates with all digits,
// and fails over a number that it cannot write out.
const (
	maxNumber   = 1024
	maxExponent = 1024 // a double has 308
)

// reasonable says whether all numbers in a value are within their bounds.
func reasonable(v any) bool {
	switch v := v.(type) {
	case json.Number:
		if len(v) > maxNumber {
			return false
		}
		i := strings.IndexAny(string(v), "eE")
		if i < 0 {
			return true
		}
		n, err := strconv.Atoi(string(v[i+1:]))
		return err == nil && -maxExponent <= n && n <= maxExponent
	case map[string]any:
		for _, child := range v {
			if !reasonable(child) {
				return false
			}
		}
	case []any:
		return !slices.ContainsFunc(v, func(child any) bool { return !reasonable(child) })
	}
	return true
}

const (
	maxFault  = 1024 // the longest description of what is wrong with a body, in bytes
	maxFaults = 20   // that it tells of
)

// collect lists the faults. What is wrong with the members of a oneOf or its like is not told besides.
func collect(e *jsonschema.ValidationError, schema *Schema, doc any, lines *[]string) {
	if len(*lines) == maxFaults {
		return
	}
	if line := fault(e, schema, doc); line != "" {
		*lines = append(*lines, line)
		return
	}
	for _, cause := range e.Causes {
		collect(cause, schema, doc, lines)
	}
}

// Template generates a mapping template that takes the body of a model over member by member; false if its schema is no object.
// https://docs.aws.amazon.com/apigateway/latest/api/API_GetModelTemplate.html
func Template(schema string) (string, bool) {
	var object map[string]any
	if json.Unmarshal([]byte(schema), &object) != nil {
		return "", false
	}
	var b strings.Builder
	b.WriteString("#set($inputRoot = $input.path('$'))\n")
	templateOf(&b, object, "$inputRoot", "", 0)
	b.WriteByte('\n')
	return b.String(), true
}

// templateOf writes the template for the value of a schema that stands at path.
func templateOf(b *strings.Builder, schema map[string]any, path, indent string, depth int) {
	kind, _ := schema["type"].(string)
	switch {
	case kind == "object" && depth < 32:
		properties, _ := schema["properties"].(map[string]any)
		b.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(properties)) {
			if i > 0 {
				b.WriteString(" ,")
			}
			quoted, _ := json.Marshal(name) // a string always marshals
			b.WriteString("\n" + indent + "  " + string(quoted) + " : ")
			child, _ := properties[name].(map[string]any)
			templateOf(b, child, path+"."+name, indent+"  ", depth+1)
		}
		if len(properties) > 0 {
			b.WriteString("\n" + indent)
		}
		b.WriteByte('}')
	case kind == "array" && depth < 32:
		items, _ := schema["items"].(map[string]any)
		b.WriteString("[\n" + indent + "#foreach($elem in " + path + ")\n" + indent + "  ")
		templateOf(b, items, "$elem", indent+"  ", depth+1)
		b.WriteString("#if($foreach.hasNext),#end\n" + indent + "#end\n" + indent + "]")
	case kind == "integer" || kind == "number" || kind == "boolean":
		b.WriteString(path)
	default:
		b.WriteString(`"` + path + `"`)
	}
}
