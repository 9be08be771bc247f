package codec

import (
	"errors"
	"fmt"
	"strings"

	"brume/internal/schema"
)

// A Router finds the operation of a REST service for a method and a path. It matches the escaped path, segment by
// segment, against the URI templates of the model:
//
//   - A literal segment goes before a label, and a label ({Bucket}) before a greedy one ({Key+}), which takes the rest of
//     the path, slashes and all. No label matches nothing.
//   - Among templates for the same path the one goes first that requires more of the query string ("?mode=import",
//     "?uploads").
//   - A slash at the end of path or template makes no difference, unless a greedy label takes it: AWS's models and SDKs
//     differ in it.
type Router struct {
	methods map[string]*node
}

type node struct {
	literals map[string]*node
	label    *node
	greedy   *node // what follows a greedy label
	routes   []route
}

type route struct {
	op     *schema.Operation
	labels []string
	query  []requirement
}

// A requirement is a literal in the query string of a template.
type requirement struct {
	Param
	// any value will do
	any bool
}

// ErrNoRoute is what Match returns if no template matches the path, ErrMethod if one does, but for another method.
var (
	ErrNoRoute = errors.New("codec: no operation for this path")
	ErrMethod  = errors.New("codec: no operation for this method")
)

// NewRouter builds a router for ops. It fails on templates that are ambiguous or that it does not understand.
func NewRouter(ops []schema.Operation) (*Router, error) {
	r := &Router{methods: map[string]*node{}}
	for i := range ops {
		if err := r.add(&ops[i]); err != nil {
			return nil, fmt.Errorf("codec: %s %s: %w", ops[i].Method, ops[i].Path, err)
		}
	}
	return r, nil
}

func (r *Router) add(op *schema.Operation) error {
	path, query, _ := strings.Cut(op.Path, "?")
	if !strings.HasPrefix(path, "/") {
		return errors.New("the template does not begin with a slash")
	}
	at := r.methods[op.Method]
	if at == nil {
		at = new(node)
		r.methods[op.Method] = at
	}
	rt := route{op: op}
	greedy := false
	for path = strings.Trim(path, "/"); path != ""; {
		var seg string
		seg, path, _ = strings.Cut(path, "/")
		name, isLabel := strings.CutPrefix(seg, "{")
		if !isLabel {
			if at.literals == nil {
				at.literals = map[string]*node{}
			}
			if at.literals[seg] == nil {
				at.literals[seg] = new(node)
			}
			at = at.literals[seg]
			continue
		}
		name, closed := strings.CutSuffix(name, "}")
		name, isGreedy := strings.CutSuffix(name, "+")
		if !closed || name == "" || isGreedy && greedy {
			return errors.New("bad label in the template")
		}
		rt.labels = append(rt.labels, name)
		next := &at.label
		if isGreedy {
			next, greedy = &at.greedy, true
		}
		if *next == nil {
			*next = new(node)
		}
		at = *next
	}
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, hasValue := strings.Cut(pair, "=")
		rt.query = append(rt.query, requirement{Param{k, v}, !hasValue})
	}
	for _, other := range at.routes {
		if sameRequirements(other.query, rt.query) {
			return fmt.Errorf("the template is that of %s", other.op.Name)
		}
	}
	at.routes = append(at.routes, rt)
	return nil
}

func sameRequirements(a, b []requirement) bool {
	if len(a) != len(b) {
		return false
	}
	for _, q := range a {
		found := false
		for _, p := range b {
			found = found || p == q
		}
		if !found {
			return false
		}
	}
	return true
}

// Match returns the operation for a request and the values of its template's labels, still escaped.
func (r *Router) Match(method, path string, query Params) (*schema.Operation, Params, error) {
	m := matcher{query: query}
	path = strings.TrimPrefix(path, "/")
	if root := r.methods[method]; root != nil {
		if rt := m.match(root, path, true); rt != nil {
			labels := make(Params, len(rt.labels))
			for i, name := range rt.labels {
				labels[i] = Param{name, m.values[i]}
			}
			return rt.op, labels, nil
		}
	}
	for other, root := range r.methods {
		m.values = m.values[:0]
		if other != method && m.match(root, path, true) != nil {
			return nil, nil, ErrMethod
		}
	}
	return nil, nil, ErrNoRoute
}

type matcher struct {
	query  Params
	values []string // of the labels on the way to the current node
	buf    [6]string
}

// match looks below n for the rest of a path; more says that there is a rest, even if it is empty.
func (m *matcher) match(n *node, rest string, more bool) *route {
	if !more || rest == "" {
		return m.choose(n.routes)
	}
	seg, tail, more := strings.Cut(rest, "/")
	if next := n.literals[seg]; next != nil {
		if rt := m.match(next, tail, more); rt != nil {
			return rt
		}
	}
	if n.label != nil && seg != "" {
		if rt := m.with(seg, n.label, tail, more); rt != nil {
			return rt
		}
	}
	if n.greedy == nil {
		return nil
	}
	if len(n.greedy.literals) > 0 || n.greedy.label != nil {
		for end := strings.LastIndexByte(rest, '/'); end > 0; end = strings.LastIndexByte(rest[:end], '/') {
			if end+1 == len(rest) {
				continue // nothing follows
			}
			if rt := m.with(rest[:end], n.greedy, rest[end+1:], true); rt != nil {
				return rt
			}
		}
	}
	return m.with(rest, n.greedy, "", false)
}

// with matches below n with one more label.
func (m *matcher) with(value string, n *node, rest string, more bool) *route {
	if m.values == nil {
		m.values = m.buf[:0]
	}
	m.values = append(m.values, value)
	rt := m.match(n, rest, more)
	if rt == nil {
		m.values = m.values[:len(m.values)-1]
	}
	return rt
}

// choose picks the route with the most requirements among those whose requirements are all met.
func (m *matcher) choose(routes []route) *route {
	var best *route
next:
	for i := range routes {
		rt := &routes[i]
		if best != nil && len(rt.query) <= len(best.query) {
			continue
		}
		for _, q := range rt.query {
			if v, ok := m.query.Get(q.Key); !ok || !q.any && v != q.Value {
				continue next
			}
		}
		best = rt
	}
	return best
}
