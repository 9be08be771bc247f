package policy

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxDocumentSize is the longest document that Parse reads, in bytes. The quotas of IAM are far below it, but some
// policies that AWS manages are above 150,000.
const MaxDocumentSize = 256 << 10

// maxDepth is how deep the arrays and objects of a document may nest. The grammar needs 6.
const maxDepth = 8

var errSyntax = errors.New("policy: not the JSON of a policy")

// A node is a JSON value that keeps the order of its members.
type node struct {
	kind    nodeKind
	text    string // of a string, number or boolean
	members []member
	items   []node
	// start and end are where an object's text begins and ends, in bytes.
	start, end int
}

type member struct {
	name  string
	value node
}

type nodeKind uint8

const (
	nodeNull nodeKind = iota
	nodeString
	nodeNumber
	nodeBool
	nodeArray
	nodeObject
)

// readJSON reads one JSON value. Unlike encoding/json it refuses an object with two members of one name: which of them
// counts would depend on the reader.
func readJSON(document string) (node, error) {
	if len(document) > MaxDocumentSize || !utf8.ValidString(document) {
		return node{}, errSyntax
	}
	dec := json.NewDecoder(strings.NewReader(document))
	dec.UseNumber()
	n, err := readNode(dec, maxDepth)
	if err != nil {
		return node{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, errSyntax
	}
	return n, nil
}

func readNode(dec *json.Decoder, depth int) (node, error) {
	token, err := dec.Token()
	if err != nil {
		return node{}, errSyntax
	}
	switch t := token.(type) {
	case string:
		return node{kind: nodeString, text: t}, nil
	case json.Number:
		return node{kind: nodeNumber, text: t.String()}, nil
	case bool:
		if t {
			return node{kind: nodeBool, text: "true"}, nil
		}
		return node{kind: nodeBool, text: "false"}, nil
	case json.Delim:
		if depth == 0 {
			return node{}, errSyntax
		}
		if t == '[' {
			return readArray(dec, depth-1)
		}
		return readObject(dec, depth-1)
	}
	return node{}, nil
}

func readArray(dec *json.Decoder, depth int) (node, error) {
	n := node{kind: nodeArray}
	for dec.More() {
		item, err := readNode(dec, depth)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token()
	return n, err
}

func readObject(dec *json.Decoder, depth int) (node, error) {
	n := node{kind: nodeObject, start: int(dec.InputOffset()) - 1}
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return node{}, errSyntax
		}
		name, ok := token.(string)
		if !ok || seen[name] {
			return node{}, errSyntax
		}
		seen[name] = true
		value, err := readNode(dec, depth)
		if err != nil {
			return node{}, err
		}
		n.members = append(n.members, member{name: name, value: value})
	}
	_, err := dec.Token()
	n.end = int(dec.InputOffset())
	return n, err
}

// strings returns the strings of a value that is one string or an array of them.
func (n *node) strings() ([]string, bool) {
	switch n.kind {
	case nodeString:
		return []string{n.text}, true
	case nodeArray:
		out := make([]string, len(n.items))
		for i := range n.items {
			if n.items[i].kind != nodeString {
				return nil, false
			}
			out[i] = n.items[i].text
		}
		return out, true
	}
	return nil, false
}

// scalars is like strings, but takes numbers and booleans too.
func (n *node) scalars() ([]string, bool) {
	switch n.kind {
	case nodeString, nodeNumber, nodeBool:
		return []string{n.text}, true
	case nodeArray:
		out := make([]string, len(n.items))
		for i := range n.items {
			switch n.items[i].kind {
			case nodeString, nodeNumber, nodeBool:
				out[i] = n.items[i].text
			default:
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

// Size is the size of a document as IAM's quotas count it: its characters without white space.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func Size(document string) int {
	n := 0
	for _, r := range document {
		switch r {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}
