package dynamodb

import (
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/partiql"
)

// A statementText writes what a PartiQL statement says as expressions, so that both languages have one meaning. Names and
// values become placeholders.
type statementText struct {
	b      strings.Builder
	names  map[string]string
	known  map[string]string // placeholders by name
	values item.Map
	err    error
}

func (s *statementText) path(p expression.Path) {
	for i, e := range p {
		if e.Name == "" {
			s.b.WriteString("[" + strconv.Itoa(e.Index) + "]")
			continue
		}
		if i > 0 {
			s.b.WriteByte('.')
		}
		placeholder, ok := s.known[e.Name]
		if !ok {
			placeholder = "#" + strconv.Itoa(len(s.known))
			if s.known == nil {
				s.known, s.names = map[string]string{}, map[string]string{}
			}
			s.known[e.Name], s.names[placeholder] = placeholder, e.Name
		}
		s.b.WriteString(placeholder)
	}
}

func (s *statementText) value(v api.AttributeValue) {
	v, err := item.Canonical(v)
	if err != nil && s.err == nil {
		s.err = err
	}
	placeholder := ":" + strconv.Itoa(len(s.values))
	if s.values == nil {
		s.values = item.Map{}
	}
	s.values[placeholder] = v
	s.b.WriteString(placeholder)
}

func (s *statementText) list(separator string, args []*partiql.Expr) {
	for i, arg := range args {
		if i > 0 {
			s.b.WriteString(separator)
		}
		s.expr(arg)
	}
}

// expr writes an operand or a condition.
func (s *statementText) expr(e *partiql.Expr) {
	switch e.Op {
	case "path":
		s.path(e.Path)
	case "value":
		s.value(e.Value)
	case "AND", "OR":
		for i, arg := range e.Args {
			if i > 0 {
				s.b.WriteString(" " + e.Op + " ")
			}
			s.condition(arg)
		}
	case "NOT":
		s.b.WriteString("NOT ")
		s.condition(e.Args[0])
	case "IN":
		s.expr(e.Args[0])
		s.b.WriteString(" IN (")
		s.list(", ", e.Args[1:])
		s.b.WriteByte(')')
	case "BETWEEN":
		s.expr(e.Args[0])
		s.b.WriteString(" BETWEEN ")
		s.list(" AND ", e.Args[1:])
	case "IS MISSING":
		s.b.WriteString("attribute_not_exists(")
		s.expr(e.Args[0])
		s.b.WriteByte(')')
	case "IS NULL":
		s.b.WriteString("attribute_type(")
		s.expr(e.Args[0])
		s.b.WriteString(", ")
		s.value(api.S("NULL"))
		s.b.WriteByte(')')
	default:
		if name, ok := strings.CutSuffix(e.Op, "("); ok {
			s.b.WriteString(name + "(")
			s.list(", ", e.Args)
			s.b.WriteByte(')')
			return
		}
		s.list(" "+e.Op+" ", e.Args)
	}
}

// condition writes a part of a larger condition, in parentheses if it needs them.
func (s *statementText) condition(e *partiql.Expr) {
	if e.Op != "AND" && e.Op != "OR" {
		s.expr(e)
		return
	}
	s.b.WriteByte('(')
	s.expr(e)
	s.b.WriteByte(')')
}

// placeholders ends the text.
func (s *statementText) placeholders() (*expression.Placeholders, error) {
	if s.err != nil {
		return nil, s.err
	}
	return placeholders(s.names, s.values)
}

// statementPredicate makes a predicate of conditions that must all hold, nil if there are none.
func statementPredicate(conditions []*partiql.Expr) (*expression.Predicate, error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	all := conditions[0]
	if len(conditions) > 1 {
		all = &partiql.Expr{Op: "AND", Args: conditions}
	}
	var s statementText
	s.expr(all)
	p, err := s.placeholders()
	if err != nil {
		return nil, err
	}
	return p.Predicate(expression.Statement, s.b.String())
}

// statementChange makes the change of an UPDATE.
func statementChange(sets []partiql.Set) (*expression.Change, error) {
	var s statementText
	sections := [...]struct {
		keyword string
		in      func(partiql.Set) bool
		write   func(partiql.Set)
	}{
		{"SET", func(set partiql.Set) bool { return set.Value != nil && !isSetFunction(set.Value) }, func(set partiql.Set) {
			s.b.WriteString(" = ")
			s.expr(set.Value)
		}},
		{"REMOVE", func(set partiql.Set) bool { return set.Value == nil }, func(partiql.Set) {}},
		{"ADD", func(set partiql.Set) bool { return set.Value != nil && set.Value.Op == "set_add(" }, func(set partiql.Set) { s.setFunction(set) }},
		{"DELETE", func(set partiql.Set) bool { return set.Value != nil && set.Value.Op == "set_delete(" }, func(set partiql.Set) { s.setFunction(set) }},
	}
	for _, section := range sections {
		word := section.keyword + " "
		for _, set := range sets {
			if section.in(set) {
				s.b.WriteString(word)
				s.path(set.Path)
				section.write(set)
				word = ", "
			}
		}
		if word == ", " {
			s.b.WriteByte(' ')
		}
	}
	p, err := s.placeholders()
	if err != nil {
		return nil, err
	}
	return p.Update(expression.Statement, strings.TrimSuffix(s.b.String(), " "))
}

func isSetFunction(e *partiql.Expr) bool { return e.Op == "set_add(" || e.Op == "set_delete(" }

// setFunction writes the operand of set_add or set_delete, whose first argument is the path that is set.
func (s *statementText) setFunction(set partiql.Set) {
	target, v := set.Value.Args[0], set.Value.Args[1]
	if target.Op != "path" || !slices.Equal(target.Path, set.Path) || v.Op != "value" {
		if s.err == nil {
			s.err = awserr.Validation("%s takes the attribute that is set and a set", strings.TrimSuffix(set.Value.Op, "("))
		}
		return
	}
	s.b.WriteByte(' ')
	switch v.Value.(type) {
	case api.SS, api.NS, api.BS:
	default:
		if s.err == nil {
			s.err = awserr.Validation("Incorrect operand type for operator or function; operator or function: %s, operand type: %s",
				strings.TrimSuffix(set.Value.Op, "("), item.Type(v.Value))
		}
	}
	s.value(v.Value)
}
