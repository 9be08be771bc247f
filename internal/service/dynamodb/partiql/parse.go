package partiql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
)

const (
	// maxDepth bounds how deep conditions and literals may be nested.
	maxDepth = 64
	// maxPath is how many elements a document path may have.
	maxPath = expression.MaxPathDepth + 1
)

// reserved are the words that name no attribute unless they stand in quotes.
var reserved = [...]string{
	"AND", "BETWEEN", "BY", "DELETE", "EXISTS", "FALSE", "FROM", "IN", "INSERT", "INTO", "IS", "MISSING", "NOT", "NULL", "OR",
	"ORDER", "RETURNING", "SELECT", "SET", "TRUE", "UPDATE", "WHERE",
}

// Parse parses a statement and puts parameters in the place of its question marks. Its errors are ValidationExceptions.
func Parse(src string, parameters []api.AttributeValue) (Statement, error) {
	p := &parser{src: src, parameters: parameters, token: next(src, 0)}
	s := p.statement()
	if p.err == nil && p.token.kind != tokenEOF {
		p.expected("end of statement")
	}
	if p.err == nil && p.used != len(parameters) {
		p.err = awserr.Validation("Number of parameters in request and statement don't match.")
	}
	if p.err != nil {
		return nil, p.err
	}
	return s, nil
}

// A parser reads a statement. After an error it is at the end, and what it returns is meaningless.
type parser struct {
	src        string
	token      token
	parameters []api.AttributeValue
	used       int // of the parameters
	depth      int
	err        error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = awserr.Validation(format, args...)
	}
	p.token = token{kind: tokenEOF, start: len(p.src), end: len(p.src)}
}

// malformed fails in the words that DynamoDB has for what is no statement.
func (p *parser) malformed(format string, args ...any) {
	p.fail("Statement wasn't well formed, can't be processed: %s", fmt.Sprintf(format, args...))
}

func (p *parser) expected(what string) {
	found := "end of statement"
	switch p.token.kind {
	case tokenEOF:
	case tokenInvalid:
		found = "invalid token"
	default:
		found = p.src[p.token.start:p.token.end]
	}
	p.malformed("Expected %s but found %s", what, found)
}

func (p *parser) advance() { p.token = next(p.src, p.token.end) }

func (p *parser) atWord(word string) bool {
	return p.token.kind == tokenWord && strings.EqualFold(p.token.text, word)
}

// accept steps over words, if they all come next.
func (p *parser) accept(words ...string) bool {
	start := p.token
	for _, word := range words {
		if !p.atWord(word) {
			p.token = start
			return false
		}
		p.advance()
	}
	return true
}

func (p *parser) expectWord(word string) {
	if !p.accept(word) {
		p.expected(word)
	}
}

func (p *parser) at(symbol string) bool { return p.token.kind == tokenSymbol && p.token.text == symbol }

func (p *parser) acceptSymbol(symbol string) bool {
	if p.at(symbol) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(symbol string) {
	if !p.acceptSymbol(symbol) {
		p.expected(symbol)
	}
}

// nested runs read one level deeper.
func (p *parser) nested(read func()) {
	if p.depth++; p.depth > maxDepth {
		p.malformed("Nesting is too deep")
	} else {
		read()
	}
	p.depth--
}

func (p *parser) statement() Statement {
	switch {
	case p.atWord("SELECT"):
		return p.selectStatement()
	case p.accept("INSERT"):
		return p.insert()
	case p.accept("UPDATE"):
		return p.update()
	case p.accept("DELETE"):
		return p.delete()
	case p.accept("FROM"):
		return p.fromFirst()
	case p.accept("EXISTS"):
		p.expect("(")
		s := p.selectStatement()
		p.expect(")")
		return &Exists{*s}
	}
	p.malformed("Expected data manipulation")
	return nil
}

func (p *parser) selectStatement() *Select {
	s := new(Select)
	p.expectWord("SELECT")
	if !p.acceptSymbol("*") {
		s.Paths = append(s.Paths, p.path())
		for p.acceptSymbol(",") {
			s.Paths = append(s.Paths, p.path())
		}
	}
	p.expectWord("FROM")
	s.From = p.from()
	s.Where = p.where()
	if p.accept("ORDER", "BY") {
		s.Order = append(s.Order, p.order())
		for p.acceptSymbol(",") {
			s.Order = append(s.Order, p.order())
		}
	}
	return s
}

func (p *parser) order() Order {
	o := Order{Attribute: p.name()}
	if !p.accept("ASC") {
		o.Descending = p.accept("DESC")
	}
	return o
}

// from reads "table" or "table"."index".
func (p *parser) from() From {
	var parts []string
	for {
		switch {
		case p.token.kind == tokenQuoted && p.token.text == "":
			p.fail("Path component cannot be an empty string")
			return From{}
		case p.token.kind == tokenQuoted, p.token.kind == tokenWord && !p.isReserved():
			parts = append(parts, p.token.text)
			p.advance()
		default:
			p.expected("table name")
			return From{}
		}
		if !p.acceptSymbol(".") {
			break
		}
	}
	switch len(parts) {
	case 1:
		return From{Table: parts[0]}
	case 2:
		return From{Table: parts[0], Index: &parts[1]}
	}
	p.fail("A path may contain at most 2 components in the FROM clause")
	return From{}
}

// table is from for statements that write.
func (p *parser) table() From {
	f := p.from()
	if f.Index != nil {
		p.fail("Write operations on indices are not supported.")
	}
	return f
}

func (p *parser) where() *Expr {
	if !p.accept("WHERE") {
		return nil
	}
	return p.or(false)
}

func (p *parser) insert() Statement {
	p.expectWord("INTO")
	s := &Insert{From: p.table()}
	p.expectWord("VALUE")
	m, ok := p.literal().(api.M)
	if !ok {
		p.malformed("Expected an item")
	}
	s.Item = m
	return s
}

func (p *parser) update() Statement {
	s := &Update{From: p.table()}
	s.Sets = p.sets()
	s.Where = p.where()
	s.Returning = p.returning()
	return s
}

// fromFirst is an update whose parts come in another order.
func (p *parser) fromFirst() Statement {
	s := &Update{From: p.table()}
	s.Where = p.where()
	s.Sets = p.sets()
	s.Returning = p.returning()
	return s
}

// sets reads clauses of SET and REMOVE, at least one.
func (p *parser) sets() []Set {
	var sets []Set
	for {
		switch {
		case p.accept("SET"):
			sets = append(sets, p.set())
			for p.acceptSymbol(",") {
				sets = append(sets, p.set())
			}
		case p.accept("REMOVE"):
			sets = append(sets, Set{Path: p.path()})
			for p.acceptSymbol(",") {
				sets = append(sets, Set{Path: p.path()})
			}
		default:
			if len(sets) == 0 {
				p.expected("SET or REMOVE")
			}
			return sets
		}
	}
}

func (p *parser) set() Set {
	s := Set{Path: p.path()}
	p.expect("=")
	s.Value = p.sum()
	return s
}

func (p *parser) delete() Statement {
	p.expectWord("FROM")
	s := &Delete{From: p.table()}
	s.Where = p.where()
	s.Returning = p.returning()
	if s.Returning != "" && s.Returning != "ALL OLD" {
		p.fail("Invalid returning clause: RETURNING %s *. Only RETURNING ALL OLD * is allowed in DELETE statements.", s.Returning)
	}
	return s
}

func (p *parser) returning() string {
	if !p.accept("RETURNING") {
		return ""
	}
	for _, words := range [...][2]string{{"ALL", "OLD"}, {"ALL", "NEW"}, {"MODIFIED", "OLD"}, {"MODIFIED", "NEW"}} {
		if p.accept(words[:]...) {
			p.expect("*")
			return words[0] + " " + words[1]
		}
	}
	p.expected("ALL or MODIFIED")
	return ""
}

func (p *parser) isReserved() bool {
	return slices.ContainsFunc(reserved[:], p.atWord)
}

// name reads the name of an attribute.
func (p *parser) name() string {
	text := p.token.text
	switch {
	case p.token.kind == tokenQuoted && text != "":
	case p.token.kind == tokenWord && !p.isReserved():
	case p.token.kind == tokenQuoted:
		p.fail("Path component cannot be an empty string")
	default:
		p.expected("identifier")
	}
	p.advance()
	return text
}

// path reads a document path: a.b, a[0], a['b'].
func (p *parser) path() expression.Path {
	path := expression.Path{{Name: p.name()}}
	for p.err == nil {
		switch {
		case p.acceptSymbol("."):
			path = append(path, expression.Element{Name: p.name()})
		case p.acceptSymbol("["):
			switch p.token.kind {
			case tokenNumber:
				index, err := strconv.ParseInt(p.token.text, 10, 32)
				if err != nil {
					p.expected("list index")
				}
				path = append(path, expression.Element{Index: int(index)})
			case tokenString:
				if p.token.text == "" {
					p.fail("Path component cannot be an empty string")
				}
				path = append(path, expression.Element{Name: p.token.text})
			default:
				p.expected("list index")
			}
			p.advance()
			p.expect("]")
		default:
			return path
		}
		if len(path) > maxPath {
			p.malformed("A path has too many components")
		}
	}
	return path
}

// or reads conditions with ORs between them. Where bare is set, a mere operand may stand in their place, if a closing
// parenthesis follows.
func (p *parser) or(bare bool) *Expr  { return p.chain("OR", bare, p.and) }
func (p *parser) and(bare bool) *Expr { return p.chain("AND", bare, p.not) }

func (p *parser) chain(word string, bare bool, one func(bare bool) *Expr) *Expr {
	first := one(bare)
	if !p.atWord(word) {
		return first
	}
	if !first.isCondition() {
		p.expected("operator")
	}
	args := []*Expr{first}
	for p.accept(word) {
		args = append(args, one(false))
	}
	return &Expr{Op: word, Args: args}
}

func (p *parser) not(bare bool) (e *Expr) {
	if !p.accept("NOT") {
		return p.comparison(bare)
	}
	e = new(Expr)
	p.nested(func() { e = &Expr{Op: "NOT", Args: []*Expr{p.not(false)}} })
	return e
}

// comparison reads a condition.
func (p *parser) comparison(bare bool) *Expr {
	left := p.sum()
	if p.err != nil || left.isCondition() || bare && p.at(")") {
		return left
	}
	negated := p.accept("NOT")
	var e *Expr
	switch {
	case p.accept("IN"):
		e = &Expr{Op: "IN", Args: append([]*Expr{left}, p.inList()...)}
	case p.accept("BETWEEN"):
		lower := p.sum()
		p.expectWord("AND")
		e = &Expr{Op: "BETWEEN", Args: []*Expr{left, lower, p.sum()}}
	case negated:
		p.expected("IN or BETWEEN")
		return left
	case p.accept("IS"):
		negated = p.accept("NOT")
		switch {
		case p.accept("MISSING"):
			e = &Expr{Op: "IS MISSING", Args: []*Expr{left}}
		case p.accept("NULL"):
			e = &Expr{Op: "IS NULL", Args: []*Expr{left}}
		default:
			p.expected("NULL or MISSING")
			return left
		}
	default:
		op := p.token.text
		if p.token.kind != tokenSymbol || !slices.Contains([]string{"=", "<>", "!=", "<", "<=", ">", ">="}, op) {
			p.expected("operator")
			return left
		}
		if op == "!=" {
			op = "<>"
		}
		p.advance()
		return &Expr{Op: op, Args: []*Expr{left, p.sum()}}
	}
	if negated {
		e = &Expr{Op: "NOT", Args: []*Expr{e}}
	}
	return e
}

// inList reads what IN looks into: values in brackets or parentheses.
func (p *parser) inList() []*Expr {
	end := "]"
	if !p.acceptSymbol("[") {
		p.expect("(")
		end = ")"
	}
	list := []*Expr{p.sum()}
	for p.acceptSymbol(",") {
		list = append(list, p.sum())
	}
	p.expect(end)
	return list
}

// isCondition reports whether e has a truth value: a function's call but size, or a condition.
func (e *Expr) isCondition() bool {
	switch e.Op {
	case "path", "value", "+", "-", "size(", "list_append(", "set_add(", "set_delete(", "if_not_exists(":
		return false
	}
	return true
}

// sum reads operands with + or - between them.
func (p *parser) sum() *Expr {
	e := p.operand()
	for p.at("+") || p.at("-") {
		if e.isCondition() {
			p.expected("end of condition")
		}
		op := p.token.text
		p.advance()
		e = &Expr{Op: op, Args: []*Expr{e, p.operand()}}
	}
	return e
}

// arities are the numbers of arguments of the functions.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-functions.html
var arities = map[string]int{
	"attribute_type(": 2, "begins_with(": 2, "contains(": 2, "size(": 1,
	"list_append(": 2, "set_add(": 2, "set_delete(": 2, "if_not_exists(": 2,
}

func (p *parser) operand() (e *Expr) {
	if p.token.kind == tokenWord && !p.isReserved() {
		if after := next(p.src, p.token.end); after.kind == tokenSymbol && after.text == "(" {
			p.nested(func() { e = p.call() })
			return orEmpty(e)
		}
		return &Expr{Op: "path", Path: p.path()}
	}
	if p.token.kind == tokenQuoted {
		return &Expr{Op: "path", Path: p.path()}
	}
	if p.acceptSymbol("(") {
		p.nested(func() { e = p.or(true) })
		p.expect(")")
		return orEmpty(e)
	}
	return &Expr{Op: "value", Value: p.literal()}
}

func orEmpty(e *Expr) *Expr {
	if e == nil {
		return new(Expr)
	}
	return e
}

func (p *parser) call() *Expr {
	name := strings.ToLower(p.token.text) + "("
	arity, known := arities[name]
	if !known {
		p.fail("Unsupported function: %s", p.token.text)
		return nil
	}
	p.advance()
	p.expect("(")
	e := &Expr{Op: name, Args: []*Expr{p.sum()}}
	for p.acceptSymbol(",") {
		e.Args = append(e.Args, p.sum())
	}
	p.expect(")")
	if p.err == nil && len(e.Args) != arity {
		p.fail("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d",
			strings.TrimSuffix(name, "("), len(e.Args))
	}
	return e
}

// literal reads a value or a parameter.
func (p *parser) literal() (v api.AttributeValue) {
	text := p.token.text
	switch {
	case p.acceptSymbol("?"):
		if p.used++; p.used > len(p.parameters) {
			p.fail("Number of parameters in request and statement don't match.")
			return nil
		}
		return p.parameters[p.used-1]
	case p.token.kind == tokenString:
		p.advance()
		return api.S(text)
	case p.token.kind == tokenNumber:
		p.advance()
		return api.N(text)
	case p.acceptSymbol("-"):
		text = p.token.text
		if p.token.kind != tokenNumber {
			p.expected("number")
			return nil
		}
		p.advance()
		return api.N("-" + text)
	case p.acceptSymbol("+"):
		text = p.token.text
		if p.token.kind != tokenNumber {
			p.expected("number")
			return nil
		}
		p.advance()
		return api.N(text)
	case p.accept("TRUE"):
		return api.BOOL(true)
	case p.accept("FALSE"):
		return api.BOOL(false)
	case p.accept("NULL"):
		return api.NULL(true)
	case p.at("["), p.at("{"), p.at("<<"):
		p.nested(func() {
			switch {
			case p.acceptSymbol("["):
				v = p.list()
			case p.acceptSymbol("{"):
				v = p.tuple()
			default:
				p.advance()
				v = p.bag()
			}
		})
		return v
	}
	p.expected("value")
	return nil
}

func (p *parser) list() api.AttributeValue {
	list := api.L{}
	if p.acceptSymbol("]") {
		return list
	}
	list = append(list, p.literal())
	for p.acceptSymbol(",") {
		list = append(list, p.literal())
	}
	p.expect("]")
	return list
}

func (p *parser) tuple() api.AttributeValue {
	m := api.M{}
	if p.acceptSymbol("}") {
		return m
	}
	for {
		name := p.token.text
		if p.token.kind != tokenString {
			p.expected("attribute name")
			return nil
		}
		p.advance()
		p.expect(":")
		if _, twice := m[name]; twice {
			p.fail("Attribute %s is given twice.", name)
		}
		m[name] = p.literal()
		if !p.acceptSymbol(",") {
			break
		}
	}
	p.expect("}")
	return m
}

// bag reads a set.
func (p *parser) bag() api.AttributeValue {
	var list []api.AttributeValue
	if !p.at(">>") {
		list = append(list, p.literal())
		for p.acceptSymbol(",") {
			list = append(list, p.literal())
		}
	}
	p.expect(">>")
	if p.err != nil {
		return nil
	}
	return p.setOf(list)
}

func (p *parser) setOf(list []api.AttributeValue) api.AttributeValue {
	var (
		ss api.SS
		ns api.NS
		bs api.BS
	)
	for _, v := range list {
		switch v := v.(type) {
		case api.S:
			ss = append(ss, string(v))
		case api.N:
			ns = append(ns, string(v))
		case api.B:
			bs = append(bs, v)
		}
	}
	switch len(list) {
	case 0:
		p.fail("An empty set is not supported.")
	case len(ss):
		return ss
	case len(ns):
		return ns
	case len(bs):
		return bs
	default:
		p.fail("The elements of a set must all be strings, numbers or binary values.")
	}
	return nil
}
