package expression

import (
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

// A Predicate is a condition or filter.
type Predicate struct {
	root  *node
	paths []Path
	// repeats says that some attribute is used so often that it pays to keep it.
	repeats bool
}

func newPredicate(root *node) *Predicate {
	c := &Predicate{root: root, paths: root.appendPaths(nil)}
	if len(c.paths) <= manyUses {
		return c
	}
	uses := map[string]int{}
	for _, path := range c.paths {
		uses[path.Head()]++
		c.repeats = c.repeats || uses[path.Head()] > manyUses
	}
	return c
}

// manyUses is how often an attribute is decoded for one item. A condition may name parts of a large one many times.
const manyUses = 4

// A memo keeps the attributes that it was asked for.
type memo struct {
	Attributes
	known item.Map
}

func (m *memo) Attribute(name string) (api.AttributeValue, error) {
	v, ok := m.known[name]
	if ok {
		return v, nil
	}
	v, err := m.Attributes.Attribute(name)
	if err == nil {
		m.known[name] = v
	}
	return v, err
}

// Paths are the document paths that stand in the condition, with repetitions.
func (c *Predicate) Paths() []Path { return c.paths }

// Eval reports whether the item meets the condition. Errors are those of it.
func (c *Predicate) Eval(it Attributes) (bool, error) {
	if c.repeats {
		it = &memo{it, item.Map{}}
	}
	return c.root.truth(it)
}

// Predicate parses a condition or filter.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
func (p *Placeholders) Predicate(parameter Parameter, src string) (*Predicate, error) {
	base, err := newParser(p, parameter, src, conditionKeywords[:])
	if err != nil {
		return nil, err
	}
	c := conditionParser{parser: base}
	root := c.or(false)
	c.asCondition(root)
	if err := c.finish(faultParens, faultFunction, faultMisuse, faultReserved, faultCondition); err != nil {
		return nil, err
	}
	return newPredicate(root), nil
}

func (n *node) appendPaths(paths []Path) []Path {
	if n.op == opPath {
		paths = append(paths, n.path)
	}
	for _, arg := range n.args {
		paths = arg.appendPaths(paths)
	}
	return paths
}

var conditionKeywords = [...]string{"AND", "OR", "NOT", "BETWEEN", "IN"}

type conditionParser struct{ *parser }

// or reads conditions with ORs between them. Where bare is set, a mere operand may stand in their place, if a closing
// parenthesis follows.
func (p *conditionParser) or(bare bool) *node { return p.chain(opOr, bare, p.and) }

func (p *conditionParser) and(bare bool) *node { return p.chain(opAnd, bare, p.not) }

func (p *conditionParser) chain(o op, bare bool, one func(bare bool) *node) *node {
	n := one(bare)
	if !p.atKeyword(o.String()) {
		return n
	}
	p.asCondition(n)
	n = &node{op: o, args: []*node{n}}
	for p.acceptKeyword(o.String()) {
		p.operator()
		arg := one(false)
		p.asCondition(arg)
		n.args = append(n.args, arg)
	}
	return n
}

func (p *conditionParser) not(bare bool) *node {
	if !p.acceptKeyword("NOT") {
		return p.predicate(bare)
	}
	p.operator()
	arg := p.not(false)
	p.asCondition(arg)
	return &node{op: opNot, args: []*node{arg}}
}

// asCondition notes the use of size, which is a number, as a condition.
func (p *conditionParser) asCondition(n *node) {
	if n.op == opCall && n.name == "size" {
		p.note(faultMisuse, "The function is not allowed to be used this way in an expression; function: %s", n.name)
	}
}

func (p *conditionParser) predicate(bare bool) *node {
	left := p.group(true)
	if left.op > opCall {
		return left // a condition in parentheses
	}
	var o op
	if p.token.kind == tokenSymbol {
		switch p.text() {
		case "=":
			o = opEQ
		case "<>":
			o = opNE
		case "<":
			o = opLT
		case "<=":
			o = opLE
		case ">":
			o = opGT
		case ">=":
			o = opGE
		}
	}
	var n *node
	switch {
	case o != opPath:
		p.advance()
		p.operator()
		n = &node{op: o, args: []*node{left, p.group(false)}}
		p.asOperands(n.args)
		p.checkDistinct(o.String(), n.args)
		if o != opEQ && o != opNE {
			p.checkOrdered(n)
		}
	case p.acceptKeyword("BETWEEN"):
		p.operator()
		lower := p.group(false)
		if !p.acceptKeyword("AND") {
			p.fail()
		}
		n = &node{op: opBetween, args: []*node{left, lower, p.group(false)}}
		p.asOperands(n.args)
		p.checkOrdered(n)
		p.checkBounds(n.args[1], n.args[2])
	case p.acceptKeyword("IN"):
		p.operator()
		p.expect("(")
		n = &node{op: opIn, args: append([]*node{left}, p.list(func() *node { return p.group(false) })...)}
		p.expect(")")
		p.asOperands(n.args)
		if count := len(n.args) - 1; count > MaxInOperands {
			p.note(faultArity, "The IN operator is provided with too many operands; number of operands: %d", count)
		}
	case left.op == opCall || bare && p.at(")"):
		n = left
	default:
		p.fail()
		return left
	}
	p.endCondition()
	return n
}

// group reads an operand, in parentheses or not. With conditions set a condition in parentheses will do too.
func (p *conditionParser) group(conditions bool) *node {
	if !p.accept("(") {
		return p.call(p.operand(p.argument))
	}
	var n *node
	if conditions {
		n = p.or(true)
	} else {
		n = p.group(false)
	}
	p.expect(")")
	p.inParentheses(n)
	if n.op == opPath {
		n.path = p.pathAfter(n.path) // (a).b
	}
	return n
}

func (p *conditionParser) argument() *node { return p.group(false) }

// endCondition settles what is reported of the condition that ends here.
func (p *conditionParser) endCondition() {
	if p.faults[faultCondition] == nil {
		p.faults[faultCondition] = p.first(faultUndefined, faultArity, faultDistinct, faultType)
	}
}

// asOperands notes functions among operands whose result is no value.
func (p *conditionParser) asOperands(args []*node) {
	for _, arg := range args {
		if arg.op == opCall && arg.name != "size" {
			p.note(faultMisuse, "The function is not allowed to be used this way in an expression; function: %s", arg.name)
		}
	}
}

// staticType is the type that an operand has whatever the item, "" if it depends.
func (n *node) staticType() string {
	switch {
	case n.op == opValue:
		return item.Type(n.value)
	case n.op != opCall:
		return ""
	case n.name == "size":
		return "N"
	}
	return "BOOL"
}

// call checks a function and its arguments.
func (p *conditionParser) call(n *node) *node {
	if n.op != opCall {
		return n
	}
	p.asOperands(n.args)
	arity := 0
	switch n.name {
	case "attribute_exists", "attribute_not_exists", "size":
		arity = 1
	case "attribute_type", "begins_with", "contains":
		arity = 2
	default:
		p.note(faultFunction, "Invalid function name; function: %s", n.name)
		return n
	}
	if len(n.args) != arity {
		p.wrongArity(n)
		return n
	}
	p.checkDistinct(n.name, n.args)
	switch n.name {
	case "attribute_exists", "attribute_not_exists":
		if n.args[0].op != opPath {
			p.note(faultType, "Operator or function requires a document path; operator or function: %s", n.name)
		}
	case "begins_with":
		for _, arg := range n.args {
			if t := arg.staticType(); t != "" && t != "S" && t != "B" {
				p.wrongType(n.name, t)
			}
		}
	case "attribute_type":
		switch t := n.args[1].staticType(); {
		case t == "":
			p.wrongType(n.name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
		case t != "S":
			p.wrongType(n.name, t)
		case !slices.Contains(attributeTypes[:], string(n.args[1].text())):
			p.note(faultType, "Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", n.args[1].text())
		}
	case "size":
		if t := n.args[0].staticType(); t == "N" || t == "BOOL" || t == "NULL" {
			p.wrongType(n.name, t)
		}
	}
	return n
}

var attributeTypes = [...]string{"S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"}

// checkDistinct notes an operand that is compared with itself.
func (p *conditionParser) checkDistinct(operator string, args []*node) {
	if len(args) == 2 && args[0].op == opPath && args[1].op == opPath && slices.Equal(args[0].path, args[1].path) {
		p.note(faultDistinct, "The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s",
			operator, args[0].path)
	}
}

// checkOrdered notes operands whose type has no order.
func (p *conditionParser) checkOrdered(n *node) {
	for _, arg := range n.args {
		switch t := arg.staticType(); t {
		case "", "S", "N", "B":
		default:
			p.wrongType(n.op.String(), t)
		}
	}
}

// checkBounds notes constant bounds of BETWEEN that do not fit each other.
func (p *conditionParser) checkBounds(lower, upper *node) {
	if lower.op != opValue || upper.op != opValue || lower.value == nil || upper.value == nil {
		return
	}
	const bounds = "lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s"
	if item.Type(lower.value) != item.Type(upper.value) {
		p.note(faultType, "The BETWEEN operator requires same data type for lower and upper bounds; "+bounds,
			item.Format(lower.value), item.Format(upper.value))
	} else if order, ok := item.Compare(lower.value, upper.value); ok && order > 0 {
		p.note(faultType, "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "+bounds,
			item.Format(lower.value), item.Format(upper.value))
	}
}
