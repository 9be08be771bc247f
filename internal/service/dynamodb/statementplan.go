package dynamodb

import (
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/partiql"
)

// maxStatementKeys is how many partitions one statement may name.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html
const maxStatementKeys = 50

// A keyPlan is how the WHERE of a statement finds items by a key: the partitions that it names, or none if all items have
// to be looked at, the condition on the sort key, and what is left to be checked of each item.
type keyPlan struct {
	partitions []item.Map
	sort       []expression.KeyCond
	rest       []*partiql.Expr
}

// planKey looks for conditions on the key k among those that must all hold.
func planKey(k *keySchema, where *partiql.Expr) (*keyPlan, error) {
	plan := &keyPlan{rest: where.Conjuncts()}
	take := func(a attribute, fits func(*partiql.Expr) (*expression.KeyCond, bool)) *expression.KeyCond {
		for i, e := range plan.rest {
			if c, ok := fits(e); ok && c.Attribute == a.Name {
				plan.rest = slices.Delete(slices.Clone(plan.rest), i, i+1)
				return c
			}
		}
		return nil
	}
	all := plan.rest
	partitions := []item.Map{{}}
	for _, a := range k.Hash {
		c := take(a, equalOrIn)
		if c == nil {
			return &keyPlan{rest: all}, nil
		}
		var more []item.Map
		for _, m := range partitions {
			var seen []api.AttributeValue
			for _, v := range c.Values {
				v, err := statementKeyValue(a, v, true)
				if err != nil {
					return nil, err
				}
				if slices.ContainsFunc(seen, func(s api.AttributeValue) bool { return item.Equal(s, v) }) {
					continue
				}
				seen = append(seen, v)
				key := item.Map{a.Name: v}
				for name, v := range m {
					key[name] = v
				}
				more = append(more, key)
			}
		}
		if partitions = more; len(partitions) > maxStatementKeys {
			return nil, awserr.Validation("The number of partition keys in a statement must not exceed %d", maxStatementKeys)
		}
	}
	plan.partitions = partitions
	// Sort keys are taken from the left: equality first, then one range.
	for _, a := range k.Range {
		c := take(a, equality)
		if c == nil {
			c = take(a, sortCondition)
		}
		if c == nil {
			break
		}
		for i, v := range c.Values {
			var err error
			if c.Values[i], err = statementKeyValue(a, v, c.Op == expression.KeyBeginsWith); err != nil {
				return nil, err
			}
		}
		if c.Op == expression.KeyBetween {
			if order, ok := item.Compare(c.Values[0], c.Values[1]); ok && order > 0 {
				return nil, awserr.Validation("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
			}
		}
		plan.sort = append(plan.sort, *c)
		if c.Op != expression.KeyEQ {
			break
		}
	}
	return plan, nil
}

// statementKeyValue checks a value that a key attribute is compared with.
func statementKeyValue(a attribute, v api.AttributeValue, hash bool) (api.AttributeValue, error) {
	v, err := item.Canonical(v)
	if err != nil {
		return nil, err
	}
	c := expression.KeyCond{Attribute: a.Name, Values: []api.AttributeValue{v}}
	return v, checkKeyCond(&c, a, hash)
}

// equality takes e for a condition that an attribute equals a value.
func equality(e *partiql.Expr) (*expression.KeyCond, bool) {
	c, ok := sortCondition(e)
	return c, ok && c.Op == expression.KeyEQ
}

// equalOrIn takes e for a condition that an attribute is one of several values.
func equalOrIn(e *partiql.Expr) (*expression.KeyCond, bool) {
	if e.Op != "IN" {
		return equality(e)
	}
	return keyCond(expression.KeyEQ, e.Args[0], e.Args[1:])
}

// sortCondition takes e for a condition that a sort key can have.
func sortCondition(e *partiql.Expr) (*expression.KeyCond, bool) {
	ops := map[string]expression.KeyOp{
		"=": expression.KeyEQ, "<": expression.KeyLT, "<=": expression.KeyLE, ">": expression.KeyGT, ">=": expression.KeyGE,
		"BETWEEN": expression.KeyBetween, "begins_with(": expression.KeyBeginsWith,
	}
	op, ok := ops[e.Op]
	if !ok {
		return nil, false
	}
	if e.Args[0].Op == "value" && len(e.Args) == 2 && op != expression.KeyBeginsWith {
		return keyCond(op.Swapped(), e.Args[1], e.Args[:1])
	}
	return keyCond(op, e.Args[0], e.Args[1:])
}

func keyCond(op expression.KeyOp, attribute *partiql.Expr, values []*partiql.Expr) (*expression.KeyCond, bool) {
	if attribute.Op != "path" || len(attribute.Path) != 1 {
		return nil, false
	}
	c := &expression.KeyCond{Attribute: attribute.Path.Head(), Op: op}
	for _, v := range values {
		if v.Op != "value" {
			return nil, false
		}
		c.Values = append(c.Values, v.Value)
	}
	return c, true
}

// key returns the one key that a statement names, nil if it does not name just one.
func (plan *keyPlan) key(k *keySchema) item.Map {
	if len(plan.partitions) != 1 || len(plan.sort) != len(k.Range) {
		return nil
	}
	key := plan.partitions[0]
	for _, c := range plan.sort {
		if c.Op != expression.KeyEQ {
			return nil
		}
		key[c.Attribute] = c.Values[0]
	}
	return key
}

// A statementWrite is an INSERT, UPDATE or DELETE, or the EXISTS of a transaction, ready to be carried out.
type statementWrite struct {
	*write
	// returning is ReturnValues.
	returning string
}

// planWrite makes a write of a statement. The table is looked at once for its key; the write checks it again.
func (s *Service) planWrite(r kv.Reader, sc scope, stmt partiql.Statement, onFailure *string) (*statementWrite, error) {
	requested, index := stmt.Source()
	table, err := sc.tableName(&requested)
	if err != nil {
		return nil, err
	}
	if index != nil {
		return nil, awserr.Validation("Reads on indices are not supported within transactions.")
	}
	out := &statementWrite{write: &write{table: table}}
	switch stmt := stmt.(type) {
	case *partiql.Insert:
		if err := canonicalItem(stmt.Item); err != nil {
			return nil, err
		}
		if out.write, err = newPut(table, stmt.Item); err != nil {
			return nil, err
		}
		out.insert = true
	case *partiql.Update:
		if out.change, err = statementChange(stmt.Sets); err != nil {
			return nil, err
		}
		out.returning = map[string]string{
			"ALL OLD": "ALL_OLD", "ALL NEW": "ALL_NEW", "MODIFIED OLD": "UPDATED_OLD", "MODIFIED NEW": "UPDATED_NEW",
		}[stmt.Returning]
		err = out.where(s, r, sc, stmt.Where)
	case *partiql.Delete:
		out.remove = true
		if stmt.Returning != "" {
			out.returning = "ALL_OLD"
		}
		err = out.where(s, r, sc, stmt.Where)
	case *partiql.Exists:
		out.checkOnly = true
		err = out.where(s, r, sc, stmt.Where)
	}
	if err != nil {
		return nil, err
	}
	out.onFailure = onFailure
	if out.insert {
		t, err := s.table(r, sc, table)
		if err != nil {
			return nil, err
		}
		out.condition, err = statementPredicate([]*partiql.Expr{isMissing(t.Key.Hash[0].Name)})
		return out, err
	}
	return out, nil
}

// where takes the key and the condition of a write.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.delete.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.update.html
func (w *statementWrite) where(s *Service, r kv.Reader, sc scope, where *partiql.Expr) error {
	if _, err := statementPredicate(where.Conjuncts()); err != nil {
		return err // whatever the table is
	}
	t, err := s.table(r, sc, w.table)
	if err != nil {
		return err
	}
	plan, err := planKey(&t.Key, where)
	if err != nil {
		return err
	}
	if w.key = plan.key(&t.Key); w.key == nil {
		return awserr.Validation("Where clause does not contain a mandatory equality on all key attributes")
	}
	missing := isMissing(t.Key.Hash[0].Name)
	conditions := plan.rest
	switch {
	case !w.remove:
		// There must be an item.
		conditions = append([]*partiql.Expr{{Op: "NOT", Args: []*partiql.Expr{missing}}}, conditions...)
	case len(conditions) > 0:
		// If there is no item, there is nothing to remove, whatever the conditions are.
		conditions = []*partiql.Expr{{Op: "OR", Args: []*partiql.Expr{missing, {Op: "AND", Args: conditions}}}}
		if len(plan.rest) == 1 {
			conditions[0].Args[1] = plan.rest[0]
		}
	}
	w.condition, err = statementPredicate(conditions)
	return err
}

func isMissing(attribute string) *partiql.Expr {
	return &partiql.Expr{Op: "IS MISSING", Args: []*partiql.Expr{{Op: "path", Path: expression.Path{{Name: attribute}}}}}
}
