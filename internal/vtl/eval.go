package vtl

import (
	"errors"
	"fmt"
	"time"
)

var (
	errStop  = errors.New("#stop")
	errBreak = errors.New("#break outside of #foreach")
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// An execution is one run of a template.
type execution struct {
	scope Scope
	vars  map[string]any // set by the template; they hide the scope's
	out   []byte
	steps int
	calls int // macros, definitions and evaluations that are under way

	deadline time.Time
}

func (x *execution) step() error {
	if x.steps++; x.steps > maxSteps {
		return errTooMany
	}
	if x.steps%64 == 0 && time.Now().After(x.deadline) {
		return errTooMany
	}
	return nil
}

func (x *execution) write(s string) error {
	if len(x.out)+len(s) > MaxOutput {
		return errTooLong
	}
	x.out = append(x.out, s...)
	return nil
}

func (x *execution) get(name string) (any, bool) {
	if v, ok := x.vars[name]; ok {
		return v, true
	}
	v, ok := x.scope[name]
	return v, ok
}

func (x *execution) set(name string, v any) {
	if x.vars == nil {
		x.vars = make(map[string]any)
	}
	x.vars[name] = v
}

func (x *execution) renderAll(nodes []node) error {
	for _, n := range nodes {
		if err := x.step(); err != nil {
			return err
		}
		if err := n.render(x); err != nil {
			return err
		}
	}
	return nil
}

// A node is a part of a template's text.
type node interface{ render(x *execution) error }

// An expr is a part of an expression.
type expr interface {
	eval(x *execution) (any, error)
}

type textNode string

func (t textNode) render(x *execution) error { return x.write(string(t)) }

type jumpNode struct{ err error }

func (j jumpNode) render(*execution) error { return j.err }

// A reference is "$name" with what follows it.
type reference struct {
	src   string // as written, which is what an unresolved reference renders as
	quiet bool
	name  string
	steps []step
}

// A step is ".name", ".name(args)" or "[index]".
type step struct {
	name  string
	call  bool
	args  []expr
	index expr
}

func (r *reference) render(x *execution) error {
	v, resolved, err := r.resolve(x)
	switch {
	case err != nil:
		return err
	case v != nil:
		s, err := Text(v)
		if err != nil {
			return err
		}
		return x.write(s)
	case resolved || r.quiet:
		return nil
	}
	return x.write(r.src)
}

func (r *reference) eval(x *execution) (any, error) {
	v, _, err := r.resolve(x)
	return v, err
}

// resolve follows the reference. resolved is false where its variable, a property or a method does not exist; what API
// Gateway's own objects lack counts as empty.
func (r *reference) resolve(x *execution) (v any, resolved bool, err error) {
	v, ok := x.get(r.name)
	if !ok {
		return nil, false, nil
	}
	if d, ok := v.(*definition); ok {
		if v, err = d.text(x); err != nil {
			return nil, false, err
		}
	}
	_, resolved = v.(Object)
	if m, isMap := v.(*Map); isMap && m.Lenient {
		resolved = true
	}
	for _, s := range r.steps {
		if err := x.step(); err != nil {
			return nil, false, err
		}
		if v, err = s.follow(x, v); err != nil {
			return nil, false, err
		}
		if v == nil {
			return nil, resolved, nil
		}
	}
	return v, true, nil
}

func (s *step) follow(x *execution, v any) (any, error) {
	if s.index != nil {
		i, err := s.index.eval(x)
		if err != nil {
			return nil, err
		}
		return element(v, i), nil
	}
	if !s.call {
		return property(v, s.name), nil
	}
	args := make([]any, len(s.args))
	for i, a := range s.args {
		var err error
		if args[i], err = a.eval(x); err != nil {
			return nil, err
		}
	}
	return callMethod(v, s.name, args)
}

type setNode struct {
	target *reference
	value  expr
}

func (n *setNode) render(x *execution) error {
	v, err := n.value.eval(x)
	if err != nil {
		return err
	}
	if len(n.target.steps) == 0 {
		x.set(n.target.name, v)
		return nil
	}
	last := n.target.steps[len(n.target.steps)-1]
	holder, _, err := (&reference{name: n.target.name, steps: n.target.steps[:len(n.target.steps)-1]}).resolve(x)
	if err != nil {
		return err
	}
	if last.index != nil {
		i, err := last.index.eval(x)
		if err != nil {
			return err
		}
		if l, ok := holder.(*List); ok {
			if n, ok := i.(int64); ok && n >= 0 && n < int64(len(l.Elems)) {
				l.Elems[n] = v
			}
			return nil
		}
		last.name, err = Text(i)
		if err != nil {
			return err
		}
	}
	if m, ok := holder.(*Map); ok && !last.call {
		return m.put(last.name, v)
	}
	return nil
}

type branch struct {
	cond expr
	body []node
}

type ifNode struct {
	branches  []branch
	otherwise []node
}

func (n *ifNode) render(x *execution) error {
	for _, b := range n.branches {
		v, err := b.cond.eval(x)
		if err != nil {
			return err
		}
		if truth(v) {
			return x.renderAll(b.body)
		}
	}
	return x.renderAll(n.otherwise)
}

type foreachNode struct {
	name string
	list expr
	body []node
}

func (n *foreachNode) render(x *execution) error {
	v, err := n.list.eval(x)
	if err != nil {
		return err
	}
	var elems []any
	switch v := v.(type) {
	case *List:
		elems = v.Elems
	case *Map:
		for _, k := range v.Keys {
			elems = append(elems, v.values[k])
		}
	}
	defer x.hide([]string{n.name, "foreach", "velocityCount"})()
	for i, e := range elems {
		x.set(n.name, e)
		x.set("velocityCount", int64(i+1))
		loop := NewMap()
		loop.Set("index", int64(i))
		loop.Set("count", int64(i+1))
		loop.Set("first", i == 0)
		loop.Set("last", i == len(elems)-1)
		loop.Set("hasNext", i < len(elems)-1)
		x.set("foreach", loop)
		if err := x.step(); err != nil {
			return err
		}
		if err := x.renderAll(n.body); err == errBreak {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

type literal struct{ v any }

func (l literal) eval(*execution) (any, error) { return l.v, nil }

type interpolated struct{ nodes []node }

func (e *interpolated) eval(x *execution) (any, error) {
	if err := x.step(); err != nil {
		return nil, err
	}
	outer := x.out
	x.out = nil
	err := x.renderAll(e.nodes)
	s := string(x.out)
	x.out = outer
	return s, err
}

type listExpr struct{ elems []expr }

func (e *listExpr) eval(x *execution) (any, error) {
	l := &List{Elems: make([]any, 0, len(e.elems))}
	for _, el := range e.elems {
		if err := x.step(); err != nil {
			return nil, err
		}
		v, err := el.eval(x)
		if err != nil {
			return nil, err
		}
		l.Elems = append(l.Elems, v)
	}
	return l, nil
}

type rangeExpr struct{ first, last expr }

func (e *rangeExpr) eval(x *execution) (any, error) {
	a, err := e.first.eval(x)
	if err != nil {
		return nil, err
	}
	b, err := e.last.eval(x)
	if err != nil {
		return nil, err
	}
	first, ok1 := toInt(a)
	last, ok2 := toInt(b)
	if !ok1 || !ok2 {
		return nil, nil
	}
	by := int64(1)
	if last < first {
		by = -1
	}
	// Unsigned, so that no distance overflows.
	if n := uint64((last - first) * by); n >= maxElements {
		return nil, errTooLarge
	}
	l := &List{}
	for i := first; ; i += by {
		if err := x.step(); err != nil {
			return nil, err
		}
		l.Elems = append(l.Elems, i)
		if i == last {
			return l, nil
		}
	}
}

type mapExpr struct{ keys, values []expr }

func (e *mapExpr) eval(x *execution) (any, error) {
	m := NewMap()
	for i := range e.keys {
		if err := x.step(); err != nil {
			return nil, err
		}
		k, err := e.keys[i].eval(x)
		if err != nil {
			return nil, err
		}
		v, err := e.values[i].eval(x)
		if err != nil {
			return nil, err
		}
		name, err := Text(k)
		if err != nil {
			return nil, err
		}
		m.Set(name, v)
	}
	return m, nil
}

type notExpr struct{ e expr }

func (e *notExpr) eval(x *execution) (any, error) {
	v, err := e.e.eval(x)
	return !truth(v), err
}

type binaryExpr struct {
	op          string
	left, right expr
}

func (e *binaryExpr) eval(x *execution) (any, error) {
	if err := x.step(); err != nil {
		return nil, err
	}
	a, err := e.left.eval(x)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "||":
		if truth(a) {
			return true, nil
		}
	case "&&":
		if !truth(a) {
			return false, nil
		}
	}
	b, err := e.right.eval(x)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "||", "&&":
		return truth(b), nil
	case "==":
		return equal(a, b)
	case "!=":
		eq, err := equal(a, b)
		return !eq, err
	case "<", "<=", ">", ">=":
		return compare(e.op, a, b), nil
	}
	return arithmetic(e.op, a, b)
}
