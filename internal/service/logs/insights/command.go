package insights

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// column is an expression with the name of its result.
type column struct {
	name string
	of   expression
}

func (p *parser) query() (*Query, error) {
	q := new(Query)
	display, counted := false, false
	if err := p.next(); err != nil {
		return nil, err
	}
	for {
		command := p.tok
		if command.kind != name {
			return nil, p.unexpected()
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		var s func(stage) stage
		var err error
		switch strings.ToLower(command.text) {
		case "fields", "display":
			var list []column
			if list, err = p.columns(); err != nil {
				return nil, err
			}
			s = func(next stage) stage { return &fields{next, list} }
			if isDisplay := strings.EqualFold(command.text, "display"); isDisplay {
				q.shown, display = nil, true // the last one says what is shown
			} else if display {
				break
			}
			for _, c := range list {
				if !slices.Contains(q.shown, c.name) {
					q.shown = append(q.shown, c.name)
				}
			}
		case "filter":
			var e expression
			e, _, err = p.expression()
			s = func(next stage) stage { return &filter{next, e} }
		case "parse":
			s, err = p.parse()
		case "sort":
			s, err = p.sort()
		case "limit":
			var n int
			n, err = strconv.Atoi(p.tok.text)
			if p.tok.kind != literal || err != nil || n < 1 || n > MaxResults {
				return nil, p.unexpected()
			}
			q.limit = n
			s = func(next stage) stage { return &head{next: next, left: n} }
			err = p.next()
		case "dedup":
			var list []column
			if list, err = p.columns(); err == nil {
				s = func(next stage) stage { return &dedup{next: next, by: list, seen: map[string]bool{}} }
			}
		case "stats":
			s, err = p.stats(q, display)
		default:
			if slices.Contains(others, strings.ToLower(command.text)) {
				return nil, p.errorAt(command.start, command.end, "Brume does not implement the command %s", command.text)
			}
			return nil, p.errorAt(command.start, command.end, "unexpected symbol found %s at line %d and position %d", command.text,
				1+strings.Count(p.text[:command.start], "\n"), command.start-strings.LastIndexByte(p.text[:command.start], '\n'))
		}
		if err != nil {
			return nil, err
		}
		if !counted && slices.Contains(holding[:], strings.ToLower(command.text)) {
			counted = true
			q.stages = append(q.stages, countMatched)
		}
		q.stages = append(q.stages, s)
		if p.tok.kind == end {
			break
		}
		if err := p.expect("|"); err != nil {
			return nil, err
		}
	}
	if len(q.shown) == 0 {
		q.shown = []string{"@timestamp", "@message"}
	}
	if !counted {
		q.stages = append(q.stages, countMatched)
	}
	return q, nil
}

// holding are the commands that do not let each row through. What comes to the first of them is what a query matches.
var holding = [...]string{"sort", "limit", "dedup", "stats"}

func countMatched(next stage) stage { return &matched{next} }

// others are commands of AWS that Brume lacks.
var others = []string{"source", "pattern", "diff", "anomaly", "unmask", "unnest", "lookup", "filterindex", "join", "addtotals"}

// columns reads expressions with aliases, separated by commas.
func (p *parser) columns() ([]column, error) {
	var list []column
	for {
		e, source, err := p.expression()
		if err != nil {
			return nil, err
		}
		c := column{strings.Trim(source, "`"), e}
		if as, err := p.acceptWord("as"); err != nil {
			return nil, err
		} else if as {
			if c.name, err = p.alias(); err != nil {
				return nil, err
			}
		}
		p.known[c.name] = true
		list = append(list, c)
		if more, err := p.accept(","); err != nil || !more {
			return list, err
		}
	}
}

func (p *parser) alias() (string, error) {
	if p.tok.kind != name && p.tok.kind != quoted {
		return "", p.unexpected()
	}
	alias := p.tok.text
	return alias, p.next()
}

// fields computes columns.
type fields struct {
	next stage
	list []column
}

func (f *fields) push(r *row) bool {
	for _, c := range f.list {
		if v := c.of(r); v.kind != null {
			r.set(c.name, v)
		}
	}
	return f.next.push(r)
}

func (f *fields) flush() { f.next.flush() }

type filter struct {
	next stage
	of   expression
}

func (f *filter) push(r *row) bool { return !f.of(r).true() || f.next.push(r) }
func (f *filter) flush()           { f.next.flush() }

// matched counts records.
type matched struct{ next stage }

func (m *matched) push(r *row) bool {
	*r.matched++
	return m.next.push(r)
}

func (m *matched) flush() { m.next.flush() }

// head lets the first rows through.
type head struct {
	next stage
	left int
}

func (h *head) push(r *row) bool {
	if h.left == 0 {
		return true // the rest is still counted
	}
	h.left--
	return h.next.push(r)
}

func (h *head) flush() { h.next.flush() }

// dedup lets the first row of each combination of values through.
type dedup struct {
	next stage
	by   []column
	seen map[string]bool
}

func (d *dedup) push(r *row) bool {
	key, empty := keyOf(r, d.by)
	if empty || d.seen[key] || len(d.seen) >= maxGroups {
		return true // rows without a value are left out
	}
	d.seen[key] = true
	return d.next.push(r)
}

func (d *dedup) flush() { d.next.flush() }

// keyOf is a text that tells the values of columns apart. empty says whether one is missing.
func keyOf(r *row, by []column) (key string, empty bool) {
	var b []byte
	for _, c := range by {
		v := c.of(r)
		empty = empty || v.kind == null
		text := v.text()
		b = append(strconv.AppendInt(append(b, byte(v.kind)), int64(len(text)), 10), ':')
		b = append(b, text...)
	}
	return string(b), empty
}

// order is an expression to sort by.
type order struct {
	of         expression
	descending bool
}

func (p *parser) sort() (func(stage) stage, error) {
	var by []order
	for {
		e, _, err := p.expression()
		if err != nil {
			return nil, err
		}
		o := order{of: e}
		if p.word("asc") || p.word("desc") {
			o.descending = p.word("desc")
			if err := p.next(); err != nil {
				return nil, err
			}
		}
		by = append(by, o)
		if more, err := p.accept(","); err != nil {
			return nil, err
		} else if !more {
			return func(next stage) stage { return &sorter{next: next, by: by} }, nil
		}
	}
}

// sorter keeps the first MaxResults rows of an order.
type sorter struct {
	next stage
	by   []order
	rows []sorted
}

type sorted struct {
	*row
	values []value
}

func (s *sorter) push(r *row) bool {
	x := sorted{r, make([]value, len(s.by))}
	for i, o := range s.by {
		x.values[i] = o.of(r)
	}
	if s.rows = append(s.rows, x); len(s.rows) >= 2*MaxResults {
		s.cut()
	}
	return true
}

func (s *sorter) cut() {
	slices.SortStableFunc(s.rows, func(a, b sorted) int {
		for i, o := range s.by {
			c := a.values[i].compare(b.values[i])
			if o.descending {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	if len(s.rows) > MaxResults {
		clear(s.rows[MaxResults:])
		s.rows = s.rows[:MaxResults]
	}
}

func (s *sorter) flush() {
	s.cut()
	for _, x := range s.rows {
		s.next.push(x.row)
	}
	s.rows = nil
	s.next.flush()
}

// stats reads aggregates and what they are grouped by.
func (p *parser) stats(q *Query, display bool) (func(stage) stage, error) {
	makers := []func() aggregate{}
	p.aggregates = &makers
	list, err := p.columns()
	p.aggregates = nil
	if err != nil {
		return nil, err
	}
	if len(makers) == 0 {
		return nil, p.unexpected()
	}
	var by []column
	if is, err := p.acceptWord("by"); err != nil {
		return nil, err
	} else if is {
		for _, c := range list {
			delete(p.known, c.name)
		}
		if by, err = p.columns(); err != nil {
			return nil, err
		}
	}
	p.known = map[string]bool{}
	if !display {
		q.shown = nil
	}
	q.counts = true
	for _, c := range slices.Concat(by, list) {
		p.known[c.name] = true
		if !display && !slices.Contains(q.shown, c.name) {
			q.shown = append(q.shown, c.name)
		}
	}
	return func(next stage) stage {
		return &grouper{next: next, list: list, by: by, makers: makers, groups: map[string]*group{}}
	}, nil
}

type group struct {
	key        *row
	order      int
	aggregates []aggregate
}

type grouper struct {
	next   stage
	list   []column
	by     []column
	makers []func() aggregate
	groups map[string]*group
	now    int64
}

func (g *grouper) push(r *row) bool {
	g.now = r.now
	key, _ := keyOf(r, g.by)
	x := g.groups[key]
	if x == nil {
		if len(g.groups) >= maxGroups {
			return true
		}
		x = g.group(r)
		g.groups[key] = x
	}
	for _, a := range x.aggregates {
		a.add(r)
	}
	return true
}

// group makes the group of a row.
func (g *grouper) group(r *row) *group {
	x := &group{key: &row{now: r.now}, order: len(g.groups)}
	for _, c := range g.by {
		if v := c.of(r); v.kind != null {
			x.key.set(c.name, v)
		}
	}
	for _, m := range g.makers {
		x.aggregates = append(x.aggregates, m())
	}
	return x
}

func (g *grouper) flush() {
	list := make([]*group, 0, len(g.groups))
	for _, x := range g.groups {
		list = append(list, x)
	}
	// Without groups there is one row, whether there were records or not.
	if len(list) == 0 && len(g.by) == 0 {
		list = append(list, g.group(&row{now: g.now}))
	}
	slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.order, b.order) })
	for _, x := range list {
		x.key.aggregates = x.aggregates
		for _, c := range g.list {
			if v := c.of(x.key); v.kind != null {
				x.key.set(c.name, v)
			}
		}
		x.key.aggregates = nil
		g.next.push(x.key)
	}
	g.groups = nil
	g.next.flush()
}

// parse reads: parse [FIELD] "a glob with *" as names, or parse [FIELD] /a regular expression with (?<names>)/ [as names].
func (p *parser) parse() (func(stage) stage, error) {
	source := expression(func(r *row) value { return r.get("@message") })
	if p.tok.kind == name || p.tok.kind == quoted {
		var err error
		if source, err = p.primary(); err != nil {
			return nil, err
		}
	}
	var find func(string) []string
	var names []string
	start := p.tok.start
	wanted := 0
	switch {
	case p.tok.kind == words:
		parts := strings.Split(p.tok.text, "*")
		wanted = len(parts) - 1
		find = func(s string) []string { return glob(parts, s) }
		if err := p.next(); err != nil {
			return nil, err
		}
	case p.is("/"):
		re, err := p.compiled()
		if err != nil {
			return nil, err
		}
		wanted = re.NumSubexp()
		names = re.SubexpNames()[1:]
		find = func(s string) []string { return groups(re, s) }
	default:
		return nil, p.unexpected()
	}
	stop := p.last
	if as, err := p.acceptWord("as"); err != nil {
		return nil, err
	} else if as {
		names = nil
		for {
			alias, err := p.alias()
			if err != nil {
				return nil, err
			}
			names = append(names, alias)
			if more, err := p.accept(","); err != nil {
				return nil, err
			} else if !more {
				break
			}
		}
	}
	if len(names) != wanted || wanted == 0 || slices.Contains(names, "") {
		return nil, p.errorAt(start, stop, "parse has %d expressions for %d fields", wanted, len(names))
	}
	return func(next stage) stage { return &extract{next, source, find, names} }, nil
}

// glob finds the texts that the stars between parts stand for: each the shortest, the last one to the end if nothing follows it.
func glob(parts []string, s string) []string {
	_, s, ok := strings.Cut(s, parts[0])
	if !ok {
		return nil
	}
	var found []string
	for i, part := range parts[1:] {
		if part == "" && i == len(parts)-2 {
			return append(found, s)
		}
		var text string
		if text, s, ok = strings.Cut(s, part); !ok {
			return nil
		}
		found = append(found, text)
	}
	return found
}

func groups(re *regexp.Regexp, s string) []string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1:]
	}
	return nil
}

type extract struct {
	next  stage
	from  expression
	find  func(string) []string
	names []string
}

func (e *extract) push(r *row) bool {
	for i, found := range e.find(e.from(r).text()) {
		r.set(e.names[i], str(found))
	}
	return e.next.push(r)
}

func (e *extract) flush() { e.next.flush() }
