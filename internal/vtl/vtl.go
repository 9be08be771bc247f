// Package vtl runs Velocity templates, the language of API Gateway's mapping templates.
//
// Parse reads a template once; the Template it returns is immutable and may run concurrently. It promises:
//
//   - The syntax is that of Velocity 1.7: references in all their forms ($a.b, ${a}, $!a, method calls, indices), #set,
//     #if, #foreach, #break, #stop, #macro, #define, #evaluate, comments, literal blocks, and expressions with lists, maps,
//     ranges and arithmetic. #include and #parse are refused by Parse: there are no files to take in.
//   - What a template can reach is what its Scope holds, and nothing of the process.
//   - Every run ends: steps, output and nesting are bounded.
//
// https://velocity.apache.org/engine/1.7/vtl-reference.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
package vtl

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of a template and of one run.
const (
	// MaxSource is the size of a template in bytes, as API Gateway documents it.
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
	MaxSource = 300 << 10
	// MaxOutput bounds the text that a run produces, and every string on the way, in bytes.
	MaxOutput = 10 << 20
	// maxSteps bounds the nodes evaluated in one run.
	maxSteps = 1 << 20
	// maxTime bounds one run where its steps are large ones.
	maxTime = 2 * time.Second
	// maxOperands bounds a chain of operators.
	maxOperands = 1000
	// maxDepth bounds the nesting of blocks, of expressions and of values.
	maxDepth = 100
	// maxElements bounds one list or map.
	maxElements = 100_000
)

var (
	errTooLong  = errors.New("the result of the template is too long")
	errTooMany  = errors.New("the template takes too many steps")
	errTooDeep  = errors.New("a value in the template is nested too deeply")
	errTooLarge = errors.New("a list or map in the template has too many elements")
)

// A SyntaxError says where a template is not well formed.
type SyntaxError struct {
	Line, Column int // from 1
	Problem      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// A Template is a parsed template.
type Template struct{ nodes []node }

// A Scope holds the variables that a template can see, by their names without "$". A value is nil, a bool, an int64, a
// float64, a Number, a string, a *List, a *Map or an Object.
type Scope map[string]any

// An Object is a value with properties and methods of its own.
type Object interface {
	// Get returns a property, and false if there is none.
	Get(name string) (any, bool)
	// Call calls a method. ok is false if there is none of this name and number of arguments.
	Call(method string, args []any) (result any, ok bool, err error)
}

// Text returns what t renders to if that is the same in every scope, and false if it may not be.
func (t *Template) Text() (string, bool) {
	switch len(t.nodes) {
	case 0:
		return "", true
	case 1:
		text, ok := t.nodes[0].(textNode)
		return string(text), ok
	}
	return "", false
}

// Execute runs t. The template cannot change scope, but it can change lists and maps in it.
func (t *Template) Execute(scope Scope) (string, error) {
	x := &execution{scope: scope, deadline: time.Now().Add(maxTime)}
	if err := x.renderAll(t.nodes); err != nil && err != errStop {
		return "", err
	}
	return string(x.out), nil
}
