package vtl

import (
	"strconv"
	"strings"
)

// Parse reads a template. The error is a *SyntaxError.
func Parse(src string) (t *Template, err error) {
	p := &parser{src: src, macros: findMacros(src)}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			t, err = nil, e
		}
	}()
	if len(src) > MaxSource {
		p.fail("the template is longer than %d bytes", MaxSource)
	}
	nodes, end := p.block(0)
	if end != "" {
		p.fail("#%s without its beginning", end)
	}
	return &Template{nodes: nodes}, nil
}

// A parser reads src from pos on. It gives up by panicking with a *SyntaxError, which Parse catches.
type parser struct {
	src    string
	pos    int
	macros map[string]*macro
}

func (p *parser) fail(format string, args ...any) {
	line := 1 + strings.Count(p.src[:p.pos], "\n")
	column := p.pos - strings.LastIndexByte(p.src[:p.pos], '\n')
	panic(&SyntaxError{Line: line, Column: column, Problem: sprintf(format, args...)})
}

func (p *parser) has(prefix string) bool { return strings.HasPrefix(p.src[p.pos:], prefix) }

func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// identifier reads a name, empty if there is none.
func (p *parser) identifier() string {
	start := p.pos
	if !isLetter(p.peek()) {
		return ""
	}
	for isLetter(p.peek()) || isDigit(p.peek()) || p.peek() == '-' {
		p.pos++
	}
	return p.src[start:p.pos]
}

// block reads until the end of the source, or until a directive that ends or continues a block, which it returns
// ("end", "else", "elseif"), having read past its name.
func (p *parser) block(depth int) (nodes []node, end string) {
	if depth > maxDepth {
		p.fail("blocks are nested too deeply")
	}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			nodes = append(nodes, textNode(text.String()))
			text.Reset()
		}
	}
	for p.pos < len(p.src) {
		i := strings.IndexAny(p.src[p.pos:], "$#\\")
		if i < 0 {
			text.WriteString(p.src[p.pos:])
			p.pos = len(p.src)
			break
		}
		text.WriteString(p.src[p.pos : p.pos+i])
		p.pos += i
		switch p.src[p.pos] {
		case '\\':
			// A backslash keeps the following reference or directive from being one.
			p.pos++
			if c := p.peek(); (c == '$' || c == '#') && p.pos+1 < len(p.src) {
				text.WriteByte(c)
				p.pos++
			} else {
				text.WriteByte('\\')
			}
		case '$':
			start := p.pos
			if ref := p.reference(depth); ref != nil {
				flush()
				nodes = append(nodes, ref)
			} else {
				p.pos = start + 1
				text.WriteByte('$')
			}
		case '#':
			if p.comment() {
				continue
			}
			if p.has("#[[") {
				p.pos += 3
				n := strings.Index(p.src[p.pos:], "]]#")
				if n < 0 {
					p.fail("#[[ without ]]#")
				}
				text.WriteString(p.src[p.pos : p.pos+n])
				p.pos += n + 3
				continue
			}
			start := p.pos
			p.pos++
			name := p.directiveName()
			switch name {
			case "":
				p.pos = start + 1
				if call := p.macroCall(start, depth); call != nil {
					flush()
					nodes = append(nodes, call)
					continue
				}
				p.pos = start + 1
				text.WriteByte('#')
			case "end", "else", "elseif":
				flush()
				if name != "elseif" {
					p.restOfLine()
				}
				return nodes, name
			default:
				flush()
				nodes = append(nodes, p.directive(name, depth))
			}
		}
	}
	flush()
	return nodes, ""
}

// comment skips a comment, if one begins here.
func (p *parser) comment() bool {
	switch {
	case p.has("##"):
		n := strings.IndexByte(p.src[p.pos:], '\n')
		if n < 0 {
			p.pos = len(p.src)
		} else {
			p.pos += n + 1
		}
		return true
	case p.has("#*"):
		n := strings.Index(p.src[p.pos+2:], "*#")
		if n < 0 {
			p.fail("#* without *#")
		}
		p.pos += n + 4
		return true
	}
	return false
}

// directiveName reads "name" or "{name}" of a directive, empty if it is none.
func (p *parser) directiveName() string {
	start := p.pos
	formal := p.peek() == '{'
	if formal {
		p.pos++
	}
	from := p.pos
	for 'a' <= p.peek() && p.peek() <= 'z' {
		p.pos++
	}
	name := p.src[from:p.pos]
	switch name {
	case "set", "if", "elseif", "else", "end", "foreach", "break", "stop", "macro", "define", "evaluate":
	case "include", "parse": // there are no files to take in
		p.pos = start
		p.fail("#%s is not supported", name)
	default:
		// "#else" may be followed by text at once; the longest name counts.
		for _, n := range []string{"else", "end", "break", "stop"} {
			if !formal && strings.HasPrefix(name, n) {
				p.pos = from + len(n)
				return n
			}
		}
		p.pos = start
		return ""
	}
	if formal {
		if p.peek() != '}' {
			p.pos = start
			return ""
		}
		p.pos++
	}
	return name
}

// macroCall reads a call of a macro behind "#"; nil if there is none.
func (p *parser) macroCall(start, depth int) node {
	formal := p.peek() == '{'
	if formal {
		p.pos++
	}
	m := p.macros[p.identifier()]
	if formal && !p.accept("}") || m == nil {
		return nil
	}
	p.space()
	if p.peek() != '(' {
		return nil
	}
	p.pos++
	n := &callNode{macro: m}
	for p.space(); p.peek() != ')'; p.space() {
		if p.pos >= len(p.src) || len(n.args) >= maxDepth {
			p.fail("a call of a macro without its end")
		}
		if p.peek() == ',' {
			p.pos++
			continue
		}
		n.args = append(n.args, p.unary(depth+1))
	}
	p.pos++
	n.src = p.src[start:p.pos]
	p.restOfLine()
	return n
}

// restOfLine skips blanks up to and including the end of the line, if there is nothing else.
func (p *parser) restOfLine() {
	i := p.pos
	for i < len(p.src) && (p.src[i] == ' ' || p.src[i] == '\t') {
		i++
	}
	switch {
	case strings.HasPrefix(p.src[i:], "\r\n"):
		p.pos = i + 2
	case i < len(p.src) && (p.src[i] == '\n' || p.src[i] == '\r'):
		p.pos = i + 1
	}
}

func (p *parser) directive(name string, depth int) node {
	switch name {
	case "set":
		p.expect("(")
		p.space()
		if p.peek() != '$' {
			p.fail("#set needs a reference on its left side")
		}
		target := p.reference(depth)
		if target == nil {
			p.fail("#set needs a reference on its left side")
		}
		p.expect("=")
		value := p.expression(depth)
		p.expect(")")
		p.restOfLine()
		return &setNode{target: target, value: value}
	case "if":
		n := &ifNode{}
		for {
			p.expect("(")
			cond := p.expression(depth)
			p.expect(")")
			p.restOfLine()
			body, end := p.block(depth + 1)
			n.branches = append(n.branches, branch{cond, body})
			switch end {
			case "elseif":
				continue
			case "else":
				if n.otherwise, end = p.block(depth + 1); end != "end" {
					p.fail("#else without #end")
				}
			case "":
				p.fail("#if without #end")
			}
			return n
		}
	case "foreach":
		p.expect("(")
		p.space()
		var v *reference
		if p.peek() == '$' {
			v = p.reference(depth)
		}
		if v == nil || len(v.steps) > 0 {
			p.fail("#foreach needs a variable")
		}
		p.space()
		if p.identifier() != "in" {
			p.fail("#foreach needs \"in\"")
		}
		list := p.expression(depth)
		p.expect(")")
		p.restOfLine()
		body, end := p.block(depth + 1)
		if end != "end" {
			p.fail("#foreach without #end")
		}
		return &foreachNode{name: v.name, list: list, body: body}
	case "macro":
		p.expect("(")
		p.space()
		m := p.macros[p.identifier()]
		if m == nil {
			p.fail("#macro needs a name")
		}
		params := []string{}
		for p.space(); p.peek() == '$'; p.space() {
			param := p.reference(depth)
			if param == nil || len(param.steps) > 0 || len(params) >= maxDepth {
				p.fail("#macro takes plain references as parameters")
			}
			params = append(params, param.name)
		}
		p.expect(")")
		p.restOfLine()
		body, end := p.block(depth + 1)
		if end != "end" {
			p.fail("#macro without #end")
		}
		if m.params == nil { // the first definition of a name counts
			m.params, m.body = params, body
		}
		return textNode("")
	case "define":
		p.expect("(")
		p.space()
		var v *reference
		if p.peek() == '$' {
			v = p.reference(depth)
		}
		if v == nil || len(v.steps) > 0 {
			p.fail("#define needs a variable")
		}
		p.expect(")")
		p.restOfLine()
		body, end := p.block(depth + 1)
		if end != "end" {
			p.fail("#define without #end")
		}
		return &defineNode{v.name, body}
	case "evaluate":
		p.expect("(")
		source := p.expression(depth)
		p.expect(")")
		p.restOfLine()
		return &evaluateNode{source}
	case "break":
		return jumpNode{errBreak}
	default: // "stop"
		return jumpNode{errStop}
	}
}

// reference reads a reference that begins here with "$". It returns nil, at any position, if this is none.
func (p *parser) reference(depth int) *reference {
	if depth > maxDepth {
		p.fail("expressions are nested too deeply")
	}
	start := p.pos
	p.pos++
	r := &reference{}
	if p.peek() == '!' {
		r.quiet = true
		p.pos++
	}
	formal := p.peek() == '{'
	if formal {
		p.pos++
	}
	if r.name = p.identifier(); r.name == "" {
		return nil
	}
	for {
		switch c := p.peek(); {
		case c == '.' && p.pos+1 < len(p.src) && isLetter(p.src[p.pos+1]):
			p.pos++
			s := step{name: p.identifier()}
			if p.peek() == '(' {
				p.pos++
				s.call = true
				s.args = p.list(")", depth+1)
			}
			r.steps = append(r.steps, s)
			continue
		case c == '[':
			p.pos++
			index := p.expression(depth + 1)
			p.expect("]")
			r.steps = append(r.steps, step{index: index})
			continue
		}
		break
	}
	if formal {
		if p.peek() != '}' {
			return nil
		}
		p.pos++
	}
	r.src = p.src[start:p.pos]
	return r
}

func (p *parser) space() {
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.pos]) >= 0 {
		p.pos++
	}
}

// expect skips space and reads what must come.
func (p *parser) expect(s string) {
	p.space()
	if !p.has(s) {
		p.fail("expected %q", s)
	}
	p.pos += len(s)
}

// accept skips space and reads s if it comes.
func (p *parser) accept(s string) bool {
	p.space()
	if !p.has(s) {
		return false
	}
	p.pos += len(s)
	return true
}

// list reads expressions, separated by commas, up to and including end.
func (p *parser) list(end string, depth int) (list []expr) {
	if p.accept(end) {
		return nil
	}
	for {
		list = append(list, p.expression(depth))
		if p.accept(end) {
			return list
		}
		p.expect(",")
	}
}

// levels are the binary operators, from the loosest to the tightest, each with its spelled-out forms.
func levels() [][]string {
	return [][]string{
		{"||", "or"}, {"&&", "and"}, {"==", "eq", "!=", "ne"}, {"<=", "le", ">=", "ge", "<", "lt", ">", "gt"}, {"+", "-"}, {"*", "/", "%"},
	}
}

func (p *parser) expression(depth int) expr { return p.binary(levels(), depth) }

func (p *parser) binary(ops [][]string, depth int) expr {
	if depth > maxDepth {
		p.fail("expressions are nested too deeply")
	}
	if len(ops) == 0 {
		return p.unary(depth)
	}
	left := p.binary(ops[1:], depth)
	for n := 0; ; n++ {
		op := p.operator(ops[0])
		if op == "" {
			return left
		}
		if n > maxOperands {
			p.fail("the expression is too long")
		}
		left = &binaryExpr{op: op, left: left, right: p.binary(ops[1:], depth)}
	}
}

// operator reads one of ops and returns its sign.
func (p *parser) operator(ops []string) string {
	p.space()
	for i, op := range ops {
		if !p.has(op) {
			continue
		}
		if isLetter(op[0]) {
			if next := p.pos + len(op); next < len(p.src) && (isLetter(p.src[next]) || isDigit(p.src[next])) {
				continue
			}
			p.pos += len(op)
			return ops[i-1]
		}
		p.pos += len(op)
		return op
	}
	return ""
}

func (p *parser) unary(depth int) expr {
	p.space()
	if depth > maxDepth {
		p.fail("expressions are nested too deeply")
	}
	switch c := p.peek(); {
	case c == '!':
		p.pos++
		return &notExpr{p.unary(depth + 1)}
	case c == '(':
		p.pos++
		e := p.expression(depth + 1)
		p.expect(")")
		return e
	case c == '$':
		r := p.reference(depth + 1)
		if r == nil {
			p.fail("expected a reference")
		}
		return r
	case c == '\'':
		return literal{p.quoted('\'')}
	case c == '"':
		start := p.pos
		s := p.quoted('"')
		if !strings.ContainsAny(s, "$#") {
			return literal{s}
		}
		// The text between double quotes is a template of its own.
		sub := &parser{src: s, macros: p.macros}
		nodes, end := func() ([]node, string) {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case *SyntaxError:
					p.pos = start
					p.fail("in a string: %s", r.Problem)
				default:
					panic(r)
				}
			}()
			return sub.block(depth + 1)
		}()
		if end != "" {
			p.fail("#%s without its beginning in a string", end)
		}
		return &interpolated{nodes}
	case isDigit(c) || c == '-':
		return literal{p.number()}
	case c == '[':
		p.pos++
		if p.accept("]") {
			return &listExpr{}
		}
		first := p.expression(depth + 1)
		if p.accept("..") {
			last := p.expression(depth + 1)
			p.expect("]")
			return &rangeExpr{first, last}
		}
		l := &listExpr{[]expr{first}}
		for !p.accept("]") {
			p.expect(",")
			l.elems = append(l.elems, p.expression(depth+1))
		}
		return l
	case c == '{':
		p.pos++
		m := &mapExpr{}
		for !p.accept("}") {
			if len(m.keys) > 0 {
				p.expect(",")
			}
			m.keys = append(m.keys, p.expression(depth+1))
			p.expect(":")
			m.values = append(m.values, p.expression(depth+1))
		}
		return m
	}
	start := p.pos
	switch p.identifier() {
	case "true":
		return literal{true}
	case "false":
		return literal{false}
	case "null":
		return literal{nil}
	case "not":
		return &notExpr{p.unary(depth + 1)}
	}
	p.pos = start
	p.fail("expected an expression")
	return nil
}

// quoted reads a string in quotes; a doubled quote stands for itself.
func (p *parser) quoted(quote byte) string {
	p.pos++
	var b strings.Builder
	for {
		n := strings.IndexByte(p.src[p.pos:], quote)
		if n < 0 {
			p.fail("a string without its end")
		}
		b.WriteString(p.src[p.pos : p.pos+n])
		p.pos += n + 1
		if p.peek() != quote {
			return b.String()
		}
		b.WriteByte(quote)
		p.pos++
	}
}

func (p *parser) number() any {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	digits := func() {
		for isDigit(p.peek()) {
			p.pos++
		}
	}
	digits()
	float := false
	if p.peek() == '.' && p.pos+1 < len(p.src) && isDigit(p.src[p.pos+1]) {
		float = true
		p.pos++
		digits()
	}
	text := p.src[start:p.pos]
	if !float {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			p.fail("%q is no number", text)
		}
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.fail("%q is no number", text)
	}
	return f
}
