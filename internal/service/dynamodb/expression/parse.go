package expression

import (
	"strconv"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
)

type op uint8

const (
	opPath op = iota
	opValue
	opCall
	opEQ
	opNE
	opLT
	opLE
	opGT
	opGE
	opBetween
	opIn
	opAnd
	opOr
	opNot
	opPlus
	opMinus
)

func (o op) String() string {
	return [...]string{"", "", "", "=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN", "AND", "OR", "NOT", "+", "-"}[o]
}

// A node is an operand or a condition.
type node struct {
	op     op
	parens bool               // it stands in parentheses
	name   string             // of an opCall
	path   Path               // of an opPath
	value  api.AttributeValue // of an opValue
	args   []*node
}

// A fault is a kind of error. Each grammar reports the first error of the kind that comes first in its order.
type fault int

const (
	faultParens    fault = iota // redundant parentheses
	faultFunction               // unknown function
	faultMisuse                 // a function where its result is of no use
	faultReserved               // a reserved word
	faultSection                // a section of an update twice
	faultName                   // an undefined name
	faultValue                  // an undefined value
	faultUndefined              // either, where they rank the same
	faultOverlap                // two paths of which one leads through the other
	faultConflict               // two paths that cannot both be
	faultOperand                // an operand of ADD or DELETE
	faultArity                  // the number of operands
	faultDistinct               // an operand compared with itself
	faultType                   // the type of an operand
	faultCondition              // the worst of the last few in the first condition that has any
	faultKinds
)

// A parser holds what the grammars have in common. After a syntax error, which ends parsing, it is at the end of the
// source and whatever it returns is meaningless.
type parser struct {
	placeholders *Placeholders
	parameter    Parameter
	src          string
	keywords     []string
	last, token  token
	operators    int
	syntax       error
	faults       [faultKinds]error
}

// newParser refuses sources that are empty or too long.
func newParser(placeholders *Placeholders, parameter Parameter, src string, keywords []string) (*parser, error) {
	p := &parser{placeholders: placeholders, parameter: parameter, src: src, keywords: keywords}
	if len(src) > MaxSize && parameter != Statement {
		return nil, p.error("Expression size has exceeded the maximum allowed size; expression size: %d", len(src))
	}
	p.token = next(src, 0)
	if p.token.kind == tokenEOF {
		return nil, p.error("The expression can not be empty;")
	}
	return p, nil
}

func (p *parser) error(format string, args ...any) error {
	if p.parameter == Statement {
		return awserr.Validation(format, args...)
	}
	return awserr.Validation("Invalid "+string(p.parameter)+": "+format, args...)
}

// note keeps the first fault of each kind.
func (p *parser) note(kind fault, format string, args ...any) {
	if p.faults[kind] == nil && p.syntax == nil {
		p.faults[kind] = p.error(format, args...)
	}
}

// finish expects the end of the source and returns what is to be reported.
func (p *parser) finish(order ...fault) error {
	if p.token.kind != tokenEOF {
		p.fail()
	}
	if p.syntax != nil {
		return p.syntax
	}
	return p.first(order...)
}

func (p *parser) first(order ...fault) error {
	for _, kind := range order {
		if p.faults[kind] != nil {
			return p.faults[kind]
		}
	}
	return nil
}

// fail reports the present token as a syntax error. The message shows it among its neighbours; the end of the source
// shows only what comes before.
func (p *parser) fail() {
	if p.syntax == nil {
		text, near := "<EOF>", p.src[p.last.start:p.last.end]
		if p.token.kind != tokenEOF {
			text = p.text()
			start := p.token.start
			if p.last.end > 0 {
				start = p.last.start
			}
			near = p.src[start:next(p.src, p.token.end).end]
			near = strings.TrimRight(near, " \t\r\n")
		}
		p.syntax = p.error("Syntax error; token: \"%s\", near: \"%s\"", text, near)
	}
	p.stop()
}

func (p *parser) stop() {
	p.token = token{tokenEOF, len(p.src), len(p.src)}
}

func (p *parser) text() string { return p.src[p.token.start:p.token.end] }

func (p *parser) advance() {
	if p.token.kind != tokenEOF {
		p.last, p.token = p.token, next(p.src, p.token.end)
	}
}

// at reports whether the present token is a symbol.
func (p *parser) at(symbol string) bool { return p.token.kind == tokenSymbol && p.text() == symbol }

// accept steps over a symbol if it is there.
func (p *parser) accept(symbol string) bool {
	if p.at(symbol) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(symbol string) {
	if !p.accept(symbol) {
		p.fail()
	}
}

func (p *parser) atKeyword(keyword string) bool {
	return p.token.kind == tokenWord && strings.EqualFold(p.text(), keyword)
}

func (p *parser) acceptKeyword(keyword string) bool {
	if p.atKeyword(keyword) {
		p.advance()
		return true
	}
	return false
}

// atWord reports whether the present token is a word that is no keyword of the grammar.
func (p *parser) atWord() bool {
	if p.token.kind != tokenWord {
		return false
	}
	for _, keyword := range p.keywords {
		if p.atKeyword(keyword) {
			return false
		}
	}
	return true
}

// operator counts an operator or function.
func (p *parser) operator() {
	p.operators++
	if p.operators > MaxOperators && p.syntax == nil {
		p.syntax = p.error("The expression contains too many operators; operator count: %d", p.operators)
		p.stop()
	}
}

// path reads a document path.
func (p *parser) path() Path {
	return p.pathAfter(append(make(Path, 0, 2), p.nameElement()))
}

// pathAfter reads what follows the beginning of a path.
func (p *parser) pathAfter(path Path) Path {
	for {
		switch {
		case p.accept("."):
			path = append(path, p.nameElement())
		case p.accept("["):
			if p.token.kind != tokenNumber {
				p.fail()
				return path
			}
			index, err := strconv.ParseInt(p.text(), 10, 32)
			if err != nil {
				p.syntax = p.error("List index is not within the allowable range; index: [%s]", p.text())
				p.stop()
				return path
			}
			p.advance()
			p.expect("]")
			path = append(path, Element{Index: int(index)})
		default:
			if len(path) > MaxPathDepth && p.syntax == nil {
				p.syntax = p.error("The document path has too many nesting elements; nesting levels: %d", len(path))
				p.stop()
			}
			return path
		}
	}
}

func (p *parser) nameElement() Element {
	name := p.text()
	switch {
	case p.atWord():
		if isReserved(name) {
			p.note(faultReserved, "Attribute name is a reserved keyword; reserved keyword: %s", name)
		}
	case p.token.kind == tokenName:
		resolved, ok := p.placeholders.name(name)
		if !ok {
			kind := faultName
			if p.ranksUndefinedAlike() {
				kind = faultUndefined
			}
			p.note(kind, "An expression attribute name used in the document path is not defined; attribute name: %s", name)
			resolved = name
		}
		name = resolved
	default:
		p.fail()
		name = "?"
	}
	p.advance()
	return Element{Name: name}
}

func (p *parser) ranksUndefinedAlike() bool {
	return p.parameter != Update && p.parameter != Projection
}

// valueNode reads a :value. The node of one that is not defined has no value.
func (p *parser) valueNode() *node {
	if p.token.kind != tokenValue {
		p.fail()
		return &node{op: opValue}
	}
	key := p.text()
	v, ok := p.placeholders.value(key)
	if !ok {
		kind := faultValue
		if p.ranksUndefinedAlike() {
			kind = faultUndefined
		}
		p.note(kind, "An expression attribute value used in expression is not defined; attribute value: %s", key)
	}
	p.advance()
	return &node{op: opValue, value: v}
}

// operand reads a function call, a value or a path. arg reads an argument of the call.
func (p *parser) operand(arg func() *node) *node {
	if p.token.kind == tokenValue {
		return p.valueNode()
	}
	if p.atWord() {
		if after := next(p.src, p.token.end); after.kind == tokenSymbol && p.src[after.start] == '(' {
			call := &node{op: opCall, name: p.text()}
			p.advance()
			p.operator()
			p.expect("(")
			call.args = p.list(arg)
			p.expect(")")
			return call
		}
	}
	return &node{op: opPath, path: p.path()}
}

// list reads one or more, separated by commas.
func (p *parser) list(one func() *node) []*node {
	args := []*node{one()}
	for p.accept(",") {
		args = append(args, one())
	}
	return args
}

// inParentheses marks a node that stands between parentheses.
func (p *parser) inParentheses(n *node) *node {
	if n.parens {
		p.note(faultParens, "The expression has redundant parentheses;")
	}
	n.parens = true
	return n
}

// wrongType notes an operand type that an operator or function does not take.
func (p *parser) wrongType(operator, operandType string) {
	p.note(faultType, "Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, operandType)
}

// wrongArity notes a call with a wrong number of arguments.
func (p *parser) wrongArity(call *node) {
	p.note(faultArity, "Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", call.name, len(call.args))
}
