package awsquery

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/codec"
)

// maxSegments bounds how deeply keys nest.
const maxSegments = 64

// malformed is what AWS calls a form that does not have the shape of the input.
const malformed = "MalformedInput"

// A decoder reads an input out of a form. It sorts the parameters by their keys, segment by segment, so that all below
// one key stand together, and then follows the shapes.
//
// What AWS says to a form of the wrong shape shows in public issues: https://github.com/boto/boto/issues/37,
// https://github.com/boto/boto/pull/872, https://github.com/brendanhay/amazonka/issues/209.
type decoder struct {
	codec.Scalars
	svc    *schema.Service
	params []codec.Param
	// node and member are of the value that comes next.
	node   node
	member *schema.Member
	open   []frame
}

// A node is a key with all that is below it: the parameters from lo to hi, whose keys have the first end bytes in
// common. A parameter with just these bytes comes first.
type node struct{ lo, hi, end int }

// A frame is a list or map that we are in.
type frame struct {
	items      []item
	next       int
	elem       *schema.Member
	key, value string // the names in a map's entry
}

type item struct {
	number int
	node   node
}

func decode(svc *schema.Service, shape *schema.Shape, form codec.Params, in schema.Struct) error {
	d := &decoder{svc: svc, params: slices.Clone(form)}
	d.Code = malformed
	for _, p := range d.params {
		if strings.Count(p.Key, ".") >= maxSegments {
			return awserr.New(malformed, "Keys may not have more than %d parts", maxSegments)
		}
	}
	slices.SortStableFunc(d.params, func(a, b codec.Param) int { return compareKeys(a.Key, b.Key) })
	for i := range d.params[:max(len(d.params)-1, 0)] {
		// Which of two counts would depend on the reader.
		if d.params[i].Key == d.params[i+1].Key {
			return awserr.New(malformed, "Keys may not be repeated: %s", d.params[i].Key)
		}
	}
	d.node = node{0, len(d.params), -1} // as if there were a dot before every key
	d.Shape = shape
	d.Struct(in)
	return d.Err()
}

// compareKeys orders keys by their segments: a dot goes before any other byte.
func compareKeys(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '.':
				return -1
			case y == '.':
				return 1
			}
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

// value returns the value that n has of its own.
func (d *decoder) value(n node) (string, bool) {
	if n.lo < n.hi && len(d.params[n.lo].Key) == n.end {
		return d.params[n.lo].Value, true
	}
	return "", false
}

// child returns the first child of n at or after parameter from, and its last segment; false if there is none.
func (d *decoder) child(n node, from int) (name string, c node, ok bool) {
	for from < n.hi && len(d.params[from].Key) == n.end {
		from++
	}
	if from >= n.hi {
		return "", node{}, false
	}
	start := n.end + 1
	name, _, _ = strings.Cut(d.params[from].Key[start:], ".")
	c = node{from, from + 1, start + len(name)}
	for c.hi < n.hi {
		key := d.params[c.hi].Key
		if len(key) < c.end || key[start:c.end] != name || len(key) > c.end && key[c.end] != '.' {
			break
		}
		c.hi++
	}
	return name, c, true
}

// named returns the child of n with this name.
func (d *decoder) named(n node, name string) (node, bool) {
	for got, c, ok := d.child(n, n.lo); ok; got, c, ok = d.child(n, c.hi) {
		if got == name {
			return c, true
		}
	}
	return node{}, false
}

// stand makes the value of m at n the next one.
func (d *decoder) stand(m *schema.Member, n node) {
	d.member, d.node, d.Shape = m, n, d.svc.Shape(m)
	var own bool
	d.Text, own = d.value(n)
	switch d.Shape.Kind {
	case schema.Structure:
		if own && d.Text != "" {
			d.Failf("Unexpected complex element termination")
		}
	case schema.List, schema.Map:
		if own && d.Text != "" {
			d.Failf("Unexpected list element termination")
		}
	default:
		if _, _, below := d.child(n, n.lo); below {
			d.Failf("Start of list found where not expected")
		}
	}
}

// wireName is the segment that stands for a member. A flattened list goes by the name of its elements, if that is given.
func (d *decoder) wireName(m *schema.Member) string {
	if s := d.svc.Shape(m); s.Kind == schema.List && (m.Flattened || s.Flattened) && s.Members[0].Wire != "" {
		return s.Members[0].Wire
	}
	return m.Wire
}

// Struct implements schema.Decoder.
func (d *decoder) Struct(v schema.Struct) {
	shape, n := d.Shape, d.node
	for name, c, ok := d.child(n, n.lo); ok && d.Err() == nil; name, c, ok = d.child(n, c.hi) {
		for i := range shape.Members {
			if m := &shape.Members[i]; m.Shape >= 0 && d.wireName(m) == name {
				d.stand(m, c)
				v.DecodeMember(i, d)
				break
			}
		}
	}
}

// BeginList implements schema.Decoder.
func (d *decoder) BeginList() {
	elem := &d.Shape.Members[0]
	d.begin(frame{elem: elem}, cmp.Or(elem.Wire, "member"))
}

// BeginMap implements schema.Decoder.
func (d *decoder) BeginMap() {
	key, value := &d.Shape.Members[0], &d.Shape.Members[1]
	d.begin(frame{elem: value, key: cmp.Or(key.Wire, "key"), value: cmp.Or(value.Wire, "value")}, "entry")
}

// begin collects what is numbered below the current node, or, unless it is flattened, below its child wrapper.
func (d *decoder) begin(f frame, wrapper string) {
	n := d.node
	if !d.member.Flattened && !d.Shape.Flattened {
		below, ok := d.named(n, wrapper)
		if _, _, any := d.child(n, n.lo); !ok && any {
			d.Failf("Unexpected list element termination")
		}
		n = below
	}
	for name, c, ok := d.child(n, n.lo); ok; name, c, ok = d.child(n, c.hi) {
		number, err := strconv.Atoi(name)
		if err != nil || number < 0 {
			d.Failf("Unexpected list element termination")
			break
		}
		f.items = append(f.items, item{number, c})
	}
	slices.SortStableFunc(f.items, func(a, b item) int { return cmp.Compare(a.number, b.number) })
	d.open = append(d.open, f)
}

// advance returns the next item of the innermost list or map, and leaves that at its end.
func (d *decoder) advance() (*frame, node, bool) {
	f := &d.open[len(d.open)-1]
	if d.Err() != nil || f.next == len(f.items) {
		d.open = d.open[:len(d.open)-1]
		return nil, node{}, false
	}
	f.next++
	return f, f.items[f.next-1].node, true
}

// NextElem implements schema.Decoder.
func (d *decoder) NextElem() bool {
	f, n, ok := d.advance()
	if ok {
		d.stand(f.elem, n)
	}
	return ok && d.Err() == nil
}

// NextKey implements schema.Decoder.
func (d *decoder) NextKey() (string, bool) {
	f, n, ok := d.advance()
	if !ok {
		return "", false
	}
	keyNode, hasKey := d.named(n, f.key)
	valueNode, hasValue := d.named(n, f.value)
	key, isScalar := d.value(keyNode)
	if !hasKey || !hasValue || !isScalar {
		d.Failf("Unexpected complex element termination")
		return "", false
	}
	d.stand(f.elem, valueNode)
	return key, d.Err() == nil
}

var _ schema.Decoder = (*decoder)(nil)
