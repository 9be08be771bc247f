// Package openapidoc reads OpenAPI documents as they are written: JSON or YAML, numbers as their text, with bounds on how
// large and deep they become.
package openapidoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxDocument bounds a document, in bytes.
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
	MaxDocument = 6 << 20
	// maxNodes bounds the values that a document becomes, so that aliases that name each other stay small.
	maxNodes = 1 << 20
	// MaxDepth bounds how deep its values nest.
	MaxDepth = 1000
)

// An Error says why a document cannot be taken.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

type object = map[string]any

// Resolve puts an account and a region in the place of AWS's variables in a document: ${AWS::AccountId}, ${AWS::Region} and
// ${AWS::Partition}.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/import-api-aws-variables.html
func Resolve(data []byte, account, region string) []byte {
	for name, v := range map[string]string{"AccountId": account, "Region": region, "Partition": "aws"} {
		data = bytes.ReplaceAll(data, []byte("${AWS::"+name+"}"), []byte(v))
	}
	return data
}

// Decode reads JSON or YAML. Numbers stay as they are written.
func Decode(data []byte) (object, error) {
	if len(data) > MaxDocument {
		return nil, &Error{fmt.Sprintf("The document is larger than the maximum of %d bytes", MaxDocument)}
	}
	var doc any
	if trimmed := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(trimmed) > 0 && trimmed[0] == '{' {
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.UseNumber()
		if err := d.Decode(&doc); err != nil {
			return nil, &Error{"Unable to parse the document as JSON: " + err.Error()}
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, &Error{"Unable to parse the document as JSON: something follows it"}
		}
	} else {
		var root yaml.Node
		if err := yaml.Unmarshal(data, &root); err != nil {
			return nil, &Error{"Unable to parse the document as YAML: " + err.Error()}
		}
		var err error
		if doc, err = (&yamlReader{}).value(&root, 0); err != nil {
			return nil, err
		}
	}
	o, ok := doc.(object)
	if !ok {
		return nil, &Error{"The document is no OpenAPI document"}
	}
	if deeperThan(doc, MaxDepth) {
		return nil, errTooDeep()
	}
	return o, nil
}

func errTooDeep() error { return &Error{"The document is too large or too deep"} }

// deeperThan says whether values nest deeper than so many levels.
func deeperThan(v any, levels int) bool {
	if levels == 0 {
		return true
	}
	switch v := v.(type) {
	case object:
		for _, child := range v {
			if deeperThan(child, levels-1) {
				return true
			}
		}
	case []any:
		for _, child := range v {
			if deeperThan(child, levels-1) {
				return true
			}
		}
	}
	return false
}

// A yamlReader turns nodes into what JSON has.
type yamlReader struct{ nodes int }

func (y *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if y.nodes++; y.nodes > maxNodes || depth > MaxDepth {
		return nil, errTooDeep()
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return y.value(n.Content[0], depth+1)
	case yaml.AliasNode:
		return y.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if list[i], err = y.value(c, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		return y.mapping(n, depth)
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, nil
}

func (y *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	o := make(object, len(n.Content)/2)
	var merged []object
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, from := n.Content[i], n.Content[i+1]
		v, err := y.value(from, depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			switch v := v.(type) {
			case object:
				merged = append(merged, v)
			case []any:
				for _, item := range v {
					if item, ok := item.(object); ok {
						merged = append(merged, item)
					}
				}
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, &Error{fmt.Sprintf("The key on line %d is no text", key.Line)}
		}
		o[key.Value] = v
	}
	for _, m := range merged {
		for k, v := range m {
			if _, ok := o[k]; !ok {
				o[k] = v
			}
		}
	}
	return o, nil
}

func scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int", "!!float":
		if text := strings.TrimSpace(n.Value); json.Valid([]byte(text)) {
			return json.Number(text), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil || f != f || f > 1e308 || f < -1e308 {
			return n.Value, nil
		}
		data, err := json.Marshal(f)
		return json.Number(data), err
	}
	return n.Value, nil
}
