package insights

import (
	"hash/fnv"
	"math"
	"slices"
)

// aggregate adds up the rows of a group.
type aggregate interface {
	add(r *row)
	result() value
}

// aggregates make the makers of aggregates out of arguments, by their names in lower case.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Stats.html
var aggregates = map[string]func(args []expression, fixed []value) (func() aggregate, bool){
	"count": func(args []expression, _ []value) (func() aggregate, bool) {
		return func() aggregate { return &countOf{of: args} }, len(args) <= 1
	},
	"count_distinct": one(func(e expression) aggregate { return &distinct{of: e, seen: map[uint64]struct{}{}} }),
	"sum":            one(func(e expression) aggregate { return &moments{of: e, kind: "sum"} }),
	"avg":            one(func(e expression) aggregate { return &moments{of: e, kind: "avg"} }),
	"stddev":         one(func(e expression) aggregate { return &moments{of: e, kind: "stddev"} }),
	"min":            one(func(e expression) aggregate { return &best{of: e, sign: -1} }),
	"max":            one(func(e expression) aggregate { return &best{of: e, sign: 1} }),
	"sortsfirst":     one(func(e expression) aggregate { return &best{of: e, sign: -1} }),
	"sortslast":      one(func(e expression) aggregate { return &best{of: e, sign: 1} }),
	"earliest":       one(func(e expression) aggregate { return &byTime{of: e, sign: -1} }),
	"latest":         one(func(e expression) aggregate { return &byTime{of: e, sign: 1} }),
	"pct":            percent,
	"percentile":     percent,
	"median": func(args []expression, _ []value) (func() aggregate, bool) {
		return percent(append(args, func(*row) value { return num(50) }), []value{num(50)})
	},
}

func one(f func(expression) aggregate) func([]expression, []value) (func() aggregate, bool) {
	return func(args []expression, _ []value) (func() aggregate, bool) {
		if len(args) != 1 {
			return nil, false
		}
		return func() aggregate { return f(args[0]) }, true
	}
}

func percent(args []expression, fixed []value) (func() aggregate, bool) {
	if len(args) != 2 || len(fixed) == 0 {
		return nil, false
	}
	p, ok := fixed[len(fixed)-1].number()
	if !ok || p < 0 || p > 100 {
		return nil, false
	}
	return func() aggregate { return &percentile{of: args[0], p: p / 100} }, true
}

type countOf struct {
	of []expression
	n  int64
}

func (c *countOf) add(r *row) {
	if len(c.of) == 0 || c.of[0](r).kind != null {
		c.n++
	}
}

func (c *countOf) result() value { return num(float64(c.n)) }

// maxDistinct is how many values are told apart exactly.
const maxDistinct = 100_000

// distinct counts values, by their hashes.
type distinct struct {
	of   expression
	seen map[uint64]struct{}
}

func (d *distinct) add(r *row) {
	if v := d.of(r); v.kind != null && len(d.seen) < maxDistinct {
		h := fnv.New64a()
		h.Write([]byte(v.text()))
		d.seen[h.Sum64()] = struct{}{}
	}
}

func (d *distinct) result() value { return num(float64(len(d.seen))) }

// moments are sum, mean and deviation of numbers.
type moments struct {
	of       expression
	kind     string
	n        float64
	sum      float64
	mean, m2 float64
}

func (m *moments) add(r *row) {
	f, ok := m.of(r).number()
	if !ok {
		return
	}
	m.n++
	m.sum += f
	d := f - m.mean
	m.mean += d / m.n
	m.m2 += d * (f - m.mean)
}

func (m *moments) result() value {
	switch {
	case m.n == 0:
		return value{}
	case m.kind == "sum":
		return num(m.sum)
	case m.kind == "avg":
		return num(m.sum / m.n)
	}
	return num(math.Sqrt(m.m2 / m.n))
}

// best is the least or the greatest value.
type best struct {
	of   expression
	sign int
	v    value
}

func (b *best) add(r *row) {
	if v := b.of(r); v.kind != null && (b.v.kind == null || v.compare(b.v)*b.sign > 0) {
		b.v = v
	}
}

func (b *best) result() value { return b.v }

// byTime is the value of the earliest or the latest record that has one.
type byTime struct {
	of   expression
	sign float64
	at   float64
	v    value
}

func (b *byTime) add(r *row) {
	v := b.of(r)
	at, ok := r.get("@timestamp").number()
	if v.kind == null || !ok {
		return
	}
	if b.v.kind == null || (at-b.at)*b.sign > 0 {
		b.v, b.at = v, at
	}
}

func (b *byTime) result() value { return b.v }

const (
	// maxExact is how many values a percentile is exact for; beyond, its relative error is half of precision.
	maxExact  = 1000
	precision = 0.005
)

// percentile keeps values, and buckets of them when there are many: of numbers whose logarithms lie close together.
type percentile struct {
	of      expression
	p       float64
	exact   []float64
	buckets map[int]int64
	n       int64
}

func (q *percentile) add(r *row) {
	f, ok := q.of(r).number()
	if !ok {
		return
	}
	q.n++
	if q.buckets == nil {
		if q.exact = append(q.exact, f); len(q.exact) <= maxExact {
			return
		}
		q.buckets = map[int]int64{}
		for _, f := range q.exact {
			q.buckets[bucket(f)]++
		}
		q.exact = nil
		return
	}
	q.buckets[bucket(f)]++
}

// bucket is the number of a value's bucket; those of larger values are larger.
func bucket(f float64) int {
	const offset = 1 << 20 // beyond the logarithm of every number
	if math.Abs(f) < 1e-9 {
		return 0
	}
	i := int(math.Floor(math.Log(math.Abs(f))/precision)) + offset
	if f < 0 {
		return -i
	}
	return i
}

func unbucket(i int) float64 {
	const offset = 1 << 20
	switch {
	case i == 0:
		return 0
	case i < 0:
		return -unbucket(-i)
	}
	return math.Exp((float64(i-offset) + 0.5) * precision)
}

func (q *percentile) result() value {
	if q.n == 0 {
		return value{}
	}
	rank := int64(math.Ceil(q.p * float64(q.n)))
	rank = max(rank, 1)
	if q.buckets == nil {
		slices.Sort(q.exact)
		return num(q.exact[rank-1])
	}
	keys := make([]int, 0, len(q.buckets))
	for k := range q.buckets {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if rank -= q.buckets[k]; rank <= 0 {
			return num(unbucket(k))
		}
	}
	return value{}
}
