package expression

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/number"
)

type actionKind uint8

const (
	actionSet actionKind = iota
	actionRemove
	actionAdd
	actionDelete
)

func (k actionKind) String() string { return [...]string{"SET", "REMOVE", "ADD", "DELETE"}[k] }

// A Change is a parsed UpdateExpression.
type Change struct {
	kinds  []actionKind
	values []*node
	paths  []Path
	// legacy says that it comes from AttributeUpdates.
	legacy bool
}

// OnlyDeletes reports whether the update is made of DELETE actions of AttributeUpdates alone, which make no item where
// there is none.
func (c *Change) OnlyDeletes() bool {
	return c.legacy && !slices.ContainsFunc(c.kinds, func(k actionKind) bool { return k == actionSet || k == actionAdd })
}

// Paths are the document paths that the update changes, none twice.
func (c *Change) Paths() []Path { return c.paths }

// Operands are the document paths that the update reads besides, with repetitions.
func (c *Change) Operands() []Path {
	var paths []Path
	for _, v := range c.values {
		if v != nil {
			paths = v.appendPaths(paths)
		}
	}
	return paths
}

// WrittenSize is what the update of a single UpdateItem counts for besides the item m that it makes: the attributes that it
// writes, and a fixed cost for each action. AWS does not document it; it is measured in
// https://github.com/paritysuite/dynamodb-conformance (tests/tier3/limits/itemSizeBySurface.test.ts).
func (c *Change) WrittenSize(m item.Map) int {
	const base, write, remove = 3, 19, 2
	size := base
	for i, path := range c.paths {
		if c.kinds[i] == actionRemove || c.kinds[i] == actionDelete {
			size += remove
			continue
		}
		size += write
		if v := m[path.Head()]; len(path) == 1 && v != nil {
			size += len(path.Head()) + item.ValueSize(v)
		}
	}
	return size
}

// TypeOf is the type of the value that the update gives a top-level attribute or adds to it, "" if the update does not
// touch it or the type depends on the item.
func (c *Change) TypeOf(name string) string {
	for i, path := range c.paths {
		if len(path) > 1 || path.Head() != name || c.values[i] == nil {
			continue
		}
		switch v := c.values[i]; {
		case v.op == opValue:
			return item.Type(v.value)
		case v.op == opPlus, v.op == opMinus:
			return "N"
		case v.op == opCall && v.name == "list_append":
			return "L"
		}
	}
	return ""
}

// Update parses an UpdateExpression, or what a Statement says instead.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
func (p *Placeholders) Update(parameter Parameter, src string) (*Change, error) {
	base, err := newParser(p, parameter, src, updateKeywords[:])
	if err != nil {
		return nil, err
	}
	parser := updateParser{parser: base, change: new(Change)}
	parser.sections()
	parser.checkPaths(parser.change.paths)
	if err := parser.finish(faultParens, faultReserved, faultFunction, faultSection, faultName, faultValue, faultOverlap,
		faultConflict, faultOperand, faultArity, faultType); err != nil {
		return nil, err
	}
	return parser.change, nil
}

var updateKeywords = [...]string{"SET", "REMOVE", "ADD", "DELETE"}

type updateParser struct {
	*parser
	change *Change
}

func (p *updateParser) sections() {
	var seen [len(updateKeywords)]bool
	for p.token.kind != tokenEOF {
		kind := actionSet
		for !p.acceptKeyword(kind.String()) {
			if kind == actionDelete {
				p.fail()
				return
			}
			kind++
		}
		if seen[kind] {
			p.note(faultSection, "The \"%s\" section can only be used once in an update expression;", kind)
		}
		seen[kind] = true
		p.action(kind)
		for p.accept(",") {
			p.action(kind)
		}
	}
}

func (p *updateParser) action(kind actionKind) {
	path := p.path()
	var value *node
	switch kind {
	case actionSet:
		p.expect("=")
		value = p.setValue()
	case actionAdd, actionDelete:
		value = p.valueNode()
		p.checkOperand(kind, value.value)
	}
	p.change.kinds = append(p.change.kinds, kind)
	p.change.paths = append(p.change.paths, path)
	p.change.values = append(p.change.values, value)
}

// checkOperand notes what ADD and DELETE do not take.
func (p *updateParser) checkOperand(kind actionKind, v api.AttributeValue) {
	name := ""
	switch v.(type) {
	case api.N:
		if kind == actionDelete {
			name = "NUMBER"
		}
	case api.S:
		name = "STRING"
	case api.B:
		name = "BINARY"
	case api.NULL:
		name = "NULL"
	case api.BOOL:
		name = "BOOLEAN"
	case api.L:
		name = "LIST"
	case api.M:
		name = "MAP"
	}
	if name != "" {
		p.note(faultOperand, "Incorrect operand type for operator or function; operator: %s, operand type: %s", kind, name)
	}
}

// setValue reads an operand, or two with + or - between them, all in parentheses or not.
func (p *updateParser) setValue() *node {
	var left *node
	if p.accept("(") {
		left = p.inParentheses(p.setValue())
		p.expect(")")
	} else {
		left = p.call(p.operand(p.argument))
	}
	o := opPlus
	switch {
	case left.op == opPlus || left.op == opMinus:
		return left
	case p.accept("+"):
	case p.accept("-"):
		o = opMinus
	default:
		return left
	}
	p.operator()
	n := &node{op: o, args: []*node{left, p.argument()}}
	for _, arg := range n.args {
		if arg.op == opValue && arg.value != nil && item.Type(arg.value) != "N" {
			p.wrongType(o.String(), item.Type(arg.value))
		}
	}
	return n
}

// argument reads an operand, in parentheses or not.
func (p *updateParser) argument() *node {
	if p.accept("(") {
		n := p.inParentheses(p.argument())
		p.expect(")")
		return n
	}
	return p.call(p.operand(p.argument))
}

// call checks a function and its arguments.
func (p *updateParser) call(n *node) *node {
	if n.op != opCall {
		return n
	}
	if n.name != "if_not_exists" && n.name != "list_append" {
		p.note(faultFunction, "Invalid function name; function: %s", n.name)
		return n
	}
	if len(n.args) != 2 {
		p.wrongArity(n)
		return n
	}
	if n.name == "if_not_exists" {
		if n.args[0].op != opPath {
			p.note(faultType, "Operator or function requires a document path; operator or function: %s", n.name)
		}
		return n
	}
	for _, arg := range n.args {
		if arg.op == opValue && arg.value != nil && item.Type(arg.value) != "L" {
			p.wrongType(n.name, item.Type(arg.value))
		}
	}
	return n
}

func wrongOperand() error {
	return awserr.Validation("An operand in the update expression has an incorrect data type")
}

func invalidPath() error {
	return awserr.Validation("The document path provided in the update expression is invalid for update")
}

// Apply returns the item that the update makes of old, which it leaves alone and of which it may share values. All
// actions see old. Removed list elements are removed, and elements set beyond the end of a list appended, only when all
// others have found their places. The size of the result is for the caller to check.
func (c *Change) Apply(old item.Map) (item.Map, error) {
	results := make([]result, len(c.paths))
	elements := 0 // each counts a byte at least
	for i, path := range c.paths {
		var err error
		if results[i], err = c.result(i, path, path[1:].in(old[path.Head()]), old); err != nil {
			return nil, err
		}
		l, _ := results[i].value.(api.L)
		if elements += len(l); elements > item.MaxSize {
			return nil, item.UpdateTooLarge()
		}
	}
	updated := make(item.Map, len(old)+len(c.paths))
	maps.Copy(updated, old)
	for _, b := range group(c.paths) {
		v, err := b.apply(old[b.element.Name], results)
		if err != nil {
			return nil, err
		}
		if v == nil {
			delete(updated, b.element.Name)
		} else {
			updated[b.element.Name] = v
		}
	}
	return updated, nil
}

// apply returns v with the results in their places, nil if it is to be removed.
func (b *branch) apply(v api.AttributeValue, results []result) (api.AttributeValue, error) {
	if b.branches == nil {
		if r := results[b.leaf]; !r.keep {
			return r.value, nil
		}
		return v, nil
	}
	byIndex := b.branches[0].element.isIndex()
	switch v := v.(type) {
	case api.M:
		if byIndex {
			return nil, invalidPath()
		}
		out := make(api.M, len(v)+len(b.branches))
		maps.Copy(out, v)
		for i := range b.branches {
			sub := &b.branches[i]
			e, err := sub.apply(v[sub.element.Name], results)
			if err != nil {
				return nil, err
			}
			if e == nil {
				delete(out, sub.element.Name)
			} else {
				out[sub.element.Name] = e
			}
		}
		return out, nil
	case api.L:
		if !byIndex {
			return nil, invalidPath()
		}
		out := slices.Clone(v)
		for i := range b.branches {
			sub := &b.branches[i]
			var current api.AttributeValue
			if sub.element.Index < len(v) {
				current = v[sub.element.Index]
			}
			e, err := sub.apply(current, results)
			if err != nil {
				return nil, err
			}
			if sub.element.Index < len(v) {
				out[sub.element.Index] = e
			} else {
				out = append(out, e)
			}
		}
		return slices.DeleteFunc(out, func(e api.AttributeValue) bool { return e == nil }), nil
	}
	return nil, invalidPath()
}

// A result is what an action puts in its place: a value, or nothing.
type result struct {
	keep  bool // leave what is there
	value api.AttributeValue
}

// result computes action i, where current is what stands at its path.
func (c *Change) result(i int, path Path, current api.AttributeValue, old item.Map) (result, error) {
	switch c.kinds[i] {
	case actionSet:
		v, err := c.values[i].updateOperand(old)
		if err == nil {
			err = item.TooDeep(v, len(path)-1)
		}
		return result{value: v}, err
	case actionAdd:
		v, err := add(current, c.values[i].value)
		if c.legacy && err != nil {
			if l, ok := current.(api.L); ok {
				if more, ok := c.values[i].value.(api.L); ok {
					return result{value: slices.Concat(l, more)}, nil
				}
			}
			err = c.mismatch(current, c.values[i].value, err)
		}
		return result{value: v}, err
	case actionDelete:
		if current == nil {
			return result{keep: true}, nil
		}
		v, err := subtract(current, c.values[i].value)
		if c.legacy && err != nil {
			err = c.mismatch(current, c.values[i].value, err)
		}
		return result{value: v}, err
	}
	return result{}, nil
}

// mismatch is the error of AttributeUpdates for a value of another type than the attribute's.
func (c *Change) mismatch(current, v api.AttributeValue, err error) error {
	if item.Type(current) == item.Type(v) {
		return err
	}
	return awserr.Validation("Type mismatch for attribute to update")
}

// updateOperand evaluates an operand of SET.
func (n *node) updateOperand(old item.Map) (api.AttributeValue, error) {
	switch n.op {
	case opValue:
		return n.value, nil
	case opPath:
		v := n.path[1:].in(old[n.path.Head()])
		if v == nil {
			return nil, awserr.Validation("The provided expression refers to an attribute that does not exist in the item")
		}
		return v, nil
	}
	if n.name == "if_not_exists" {
		path := n.args[0].path
		if v := path[1:].in(old[path.Head()]); v != nil {
			return v, nil
		}
		return n.args[1].updateOperand(old)
	}
	left, err := n.args[0].updateOperand(old)
	if err != nil {
		return nil, err
	}
	right, err := n.args[1].updateOperand(old)
	if err != nil {
		return nil, err
	}
	if n.op == opCall {
		l, okL := left.(api.L)
		r, okR := right.(api.L)
		if !okL || !okR {
			return nil, wrongOperand()
		}
		// A short expression could ask for lists that do not fit into memory. An item has no room for so many elements.
		if len(l)+len(r) > item.MaxSize {
			return nil, item.UpdateTooLarge()
		}
		return slices.Concat(l, r), nil
	}
	l, okL := left.(api.N)
	r, okR := right.(api.N)
	if !okL || !okR {
		return nil, wrongOperand()
	}
	compute := number.Add
	if n.op == opMinus {
		compute = number.Sub
	}
	v, err := compute(string(l), string(r))
	return api.N(v), err
}

// add is ADD: the sum of numbers, the union of sets.
func add(current, v api.AttributeValue) (api.AttributeValue, error) {
	if current == nil {
		return v, nil
	}
	switch v := v.(type) {
	case api.N:
		if current, ok := current.(api.N); ok {
			sum, err := number.Add(string(current), string(v))
			return api.N(sum), err
		}
	case api.SS:
		if current, ok := current.(api.SS); ok {
			return api.SS(union(current, v, strings.Compare)), nil
		}
	case api.NS:
		if current, ok := current.(api.NS); ok {
			return api.NS(union(current, v, number.Compare)), nil
		}
	case api.BS:
		if current, ok := current.(api.BS); ok {
			return api.BS(union(current, v, bytes.Compare)), nil
		}
	}
	return nil, wrongOperand()
}

// subtract is DELETE: a set without the elements of another, nil if none is left.
func subtract(current, v api.AttributeValue) (api.AttributeValue, error) {
	var rest api.AttributeValue
	n := 0
	switch v := v.(type) {
	case api.SS:
		if current, ok := current.(api.SS); ok {
			set := api.SS(difference(current, v, strings.Compare))
			rest, n = set, len(set)
		}
	case api.NS:
		if current, ok := current.(api.NS); ok {
			set := api.NS(difference(current, v, number.Compare))
			rest, n = set, len(set)
		}
	case api.BS:
		if current, ok := current.(api.BS); ok {
			set := api.BS(difference(current, v, bytes.Compare))
			rest, n = set, len(set)
		}
	}
	if rest == nil {
		return nil, wrongOperand()
	}
	if n == 0 {
		return nil, nil
	}
	return rest, nil
}

// union merges two sorted sets.
func union[E any](a, b []E, compare func(E, E) int) []E {
	out := make([]E, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := compare(a[0], b[0]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// difference returns the elements of the sorted set a that are not in the sorted set b.
func difference[E any](a, b []E, compare func(E, E) int) []E {
	out := make([]E, 0, len(a))
	for _, e := range a {
		if _, found := slices.BinarySearchFunc(b, e, compare); !found {
			out = append(out, e)
		}
	}
	return out
}
