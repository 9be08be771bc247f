// Package partiql is the language of DynamoDB's ExecuteStatement: it takes statements apart, and knows nothing of tables.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
//
// What parses is a statement of DynamoDB's dialect whose parameters are all given and whose literals are proper values,
// though not canonical ones in the sense of package item. Statements are immutable and share nothing with the request but
// the parameters' values. Parsing takes time linear in the statement, whose nesting is bounded.
package partiql

import (
	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/expression"
)

// A Statement is a *Select, *Insert, *Update, *Delete or *Exists.
type Statement interface {
	// Source is the table that the statement is about, and the index, nil for none.
	Source() (table string, index *string)
}

// A From names a table and perhaps one of its indexes.
type From struct {
	Table string
	Index *string
}

// Source implements Statement.
func (f *From) Source() (string, *string) { return f.Table, f.Index }

type (
	// Select reads items.
	Select struct {
		From
		// Paths are what is returned of each item, nil for all of it.
		Paths []expression.Path
		Where *Expr // nil for none
		Order []Order
	}
	// Insert puts an item where there is none.
	Insert struct {
		From
		Item map[string]api.AttributeValue
	}
	// Update changes an item that there is.
	Update struct {
		From
		Sets      []Set
		Where     *Expr
		Returning string // "", or "ALL OLD" and so on
	}
	// Delete removes an item.
	Delete struct {
		From
		Where     *Expr
		Returning string
	}
	// Exists is the condition of a transaction: that a SELECT finds something.
	Exists struct{ Select }
)

// An Order is one part of ORDER BY.
type Order struct {
	Attribute  string
	Descending bool
}

// A Set gives a path a value, or removes it if Value is nil.
type Set struct {
	Path  expression.Path
	Value *Expr
}

// An Expr is a condition or an operand.
type Expr struct {
	// Op is "path", "value", a function's name in lower case with a "(" behind it, a comparison, "AND", "OR", "NOT", "IN",
	// "BETWEEN", "IS NULL", "IS MISSING", "+" or "-".
	Op    string
	Path  expression.Path
	Value api.AttributeValue
	Args  []*Expr
}

// Conjuncts are the conditions that must all hold for e to hold.
func (e *Expr) Conjuncts() []*Expr {
	if e == nil {
		return nil
	}
	if e.Op != "AND" {
		return []*Expr{e}
	}
	var out []*Expr
	for _, arg := range e.Args {
		out = append(out, arg.Conjuncts()...)
	}
	return out
}

// Attributes calls add with each top-level attribute that e names, some of them several times.
func (e *Expr) Attributes(add func(name string)) {
	if e == nil {
		return
	}
	if e.Op == "path" {
		add(e.Path.Head())
	}
	for _, arg := range e.Args {
		arg.Attributes(add)
	}
}
