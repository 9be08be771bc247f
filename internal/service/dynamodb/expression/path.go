package expression

import (
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

// A Path is a document path; its first element is a name.
type Path []Element

// An Element is a name in a map, or an index in a list where Name is "".
type Element struct {
	Name  string
	Index int
}

func (e Element) isIndex() bool { return e.Name == "" }

// String writes a path as DynamoDB's messages do: "[a, [1], b]".
func (p Path) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range p {
		if i > 0 {
			b.WriteString(", ")
		}
		if e.isIndex() {
			b.WriteString("[" + strconv.Itoa(e.Index) + "]")
		} else {
			b.WriteString(e.Name)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// Head is the name of the top-level attribute.
func (p Path) Head() string { return p[0].Name }

// lookup returns what stands at p, nil if nothing does.
func (p Path) lookup(it Attributes) (api.AttributeValue, error) {
	v, err := it.Attribute(p[0].Name)
	if err != nil {
		return nil, err
	}
	return p[1:].in(v), nil
}

// Value returns what stands at p in an item, nil if nothing does.
func (p Path) Value(it item.Map) api.AttributeValue { return p[1:].in(it[p.Head()]) }

// in returns what stands at p below v, nil if nothing does.
func (p Path) in(v api.AttributeValue) api.AttributeValue {
	for _, e := range p {
		switch c := v.(type) {
		case api.M:
			if e.isIndex() {
				return nil
			}
			v = c[e.Name]
		case api.L:
			if !e.isIndex() || e.Index >= len(c) {
				return nil
			}
			v = c[e.Index]
		default:
			return nil
		}
	}
	return v
}

// relation says how two paths of one update or projection stand to each other.
type relation int

const (
	distinct relation = iota
	overlapping
	conflicting // one takes for a list what the other takes for a map
)

func (p Path) relate(q Path) relation {
	for i := range min(len(p), len(q)) {
		if p[i].isIndex() != q[i].isIndex() {
			return conflicting
		}
		if p[i] != q[i] {
			return distinct
		}
	}
	return overlapping
}

// A Projector finds what stands at some paths. It is made once and used for many items.
type Projector struct {
	heads    []string // sorted
	branches map[string]*branch
}

// NewProjector returns the projector of paths, of which no two overlap or conflict.
func NewProjector(paths []Path) *Projector {
	p := &Projector{branches: make(map[string]*branch, len(paths))}
	for _, b := range group(paths) {
		p.heads = append(p.heads, b.element.Name)
		p.branches[b.element.Name] = &b
	}
	slices.Sort(p.heads)
	return p
}

// Heads are the names of the top-level attributes that the paths begin with, sorted.
func (p *Projector) Heads() []string { return p.heads }

// Project returns what stands at the paths, in maps and lists that hold nothing else: the elements of a list keep their
// order and close ranks. Paths that lead nowhere are left out.
func (p *Projector) Project(it item.Map) item.Map {
	out := item.Map{}
	for name, v := range it {
		if b := p.branches[name]; b != nil {
			if v := b.project(v); v != nil {
				out[name] = v
			}
		}
	}
	return out
}

// A branch is what several paths have in common, or the end of one.
type branch struct {
	element  Element
	leaf     int      // the number of the path that ends here, if there are no branches
	branches []branch // all names, or indexes in order
}

// A tail is the rest of a numbered path.
type tail struct {
	path   Path
	number int
}

// group arranges paths, of which no two overlap or conflict, by their elements.
func group(paths []Path) []branch {
	tails := make([]tail, len(paths))
	for i, p := range paths {
		tails[i] = tail{p, i}
	}
	return groupTails(tails)
}

func groupTails(tails []tail) []branch {
	var out []branch
	for i, t := range tails {
		e := t.path[0]
		if slices.ContainsFunc(out, func(b branch) bool { return b.element == e }) {
			continue
		}
		b := branch{element: e, leaf: t.number}
		if len(t.path) > 1 {
			var below []tail
			for _, t := range tails[i:] {
				if t.path[0] == e {
					below = append(below, tail{t.path[1:], t.number})
				}
			}
			b.branches = groupTails(below)
		}
		out = append(out, b)
	}
	if len(out) > 0 && out[0].element.isIndex() {
		slices.SortFunc(out, func(a, b branch) int { return a.element.Index - b.element.Index })
	}
	return out
}

func (b *branch) project(v api.AttributeValue) api.AttributeValue {
	if b.branches == nil {
		return v
	}
	switch v := v.(type) {
	case api.M:
		out := api.M{}
		for i := range b.branches {
			sub := &b.branches[i]
			if sub.element.isIndex() {
				return nil
			}
			if e := sub.project(v[sub.element.Name]); e != nil {
				out[sub.element.Name] = e
			}
		}
		if len(out) > 0 {
			return out
		}
	case api.L:
		var out api.L
		for i := range b.branches {
			sub := &b.branches[i]
			if !sub.element.isIndex() || sub.element.Index >= len(v) {
				continue
			}
			if e := sub.project(v[sub.element.Index]); e != nil {
				out = append(out, e)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}
