// Package insights is the query language of CloudWatch Logs Insights: Parse compiles a query, a Run takes the records of the log
// groups, newest first, and has the results.
//
// It promises that a query that it takes means what AWS documents, that what it does not have is refused by name and place, and
// that a run needs memory in proportion to its results, and time in proportion to the records.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
package insights

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of queries and their results.
const (
	// MaxResults is how many rows a query may return.
	MaxResults = 10_000
	maxLength  = 10_000
	maxDepth   = 100
	maxGroups  = 100_000 // of one stats or dedup
	maxFields  = 200     // discovered in a message
)

// An Error says what is wrong with a query, and where: offsets in characters.
type Error struct {
	Message    string
	Start, End int
}

func (e *Error) Error() string { return e.Message }

// A Record is a log event.
type Record struct {
	Timestamp, Ingestion int64 // milliseconds since 1970
	Message              string
	Stream               string
	Log                  string // ACCOUNT:GROUP
	Pointer              string // leads back to the event
}

// A Field is a named value of a result.
type Field struct{ Name, Value string }

// A Query is a compiled query. It does not change, and may be run any number of times.
type Query struct {
	stages []func(next stage) stage
	shown  []string // the columns of results
	counts bool     // whether results are statistics, which lead to no records
	limit  int      // 0 for none
}

// stage is a step of a run. push says whether more rows may matter.
type stage interface {
	push(r *row) (more bool)
	flush()
}

// A Run is one run of a query.
type Run struct {
	first   stage
	out     *collector
	matched int64
	now     int64
}

// Start begins a run that returns up to limit rows, unless the query says less. now is in milliseconds since 1970.
func (q *Query) Start(limit int, now int64) *Run {
	if q.limit > 0 {
		limit = q.limit
	}
	run := &Run{now: now, out: &collector{limit: min(limit, MaxResults)}}
	var s stage = run.out
	for i := len(q.stages) - 1; i >= 0; i-- {
		s = q.stages[i](s)
	}
	run.first = s
	run.out.query = q
	return run
}

// Add takes the next record. more is false if no record can change the results any more.
func (r *Run) Add(rec *Record) (more bool) {
	return r.first.push(&row{rec: rec, now: r.now, matched: &r.matched})
}

// Matched is how many of the records passed all filters.
func (r *Run) Matched() int64 { return r.matched }

// Results ends the run and returns its rows.
func (r *Run) Results() [][]Field {
	r.first.flush()
	results := make([][]Field, 0, len(r.out.rows))
	for _, x := range r.out.rows {
		fields := []Field{}
		for _, name := range r.out.query.shown {
			if v := x.get(name); v.kind != null {
				fields = append(fields, Field{name, v.text()})
			}
		}
		if !r.out.query.counts && x.rec != nil {
			fields = append(fields, Field{"@ptr", x.rec.Pointer})
		}
		results = append(results, fields)
	}
	return results
}

// collector is the last stage.
type collector struct {
	query *Query
	limit int
	rows  []*row
}

func (c *collector) push(r *row) bool {
	if len(c.rows) < c.limit {
		c.rows = append(c.rows, r)
	}
	return true
}

func (c *collector) flush() {}

// Parse compiles a query. Its errors are *Error.
func Parse(text string) (*Query, error) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxLength {
		return nil, &Error{Message: "The query is too long, or no valid text."}
	}
	p := &parser{text: text, known: map[string]bool{}}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	return q, nil
}

// errorAt is the error for a part of the query.
func (p *parser) errorAt(start, end int, format string, args ...any) error {
	return &Error{
		Message: fmt.Sprintf(format, args...),
		Start:   utf8.RuneCountInString(p.text[:start]), End: utf8.RuneCountInString(p.text[:end]),
	}
}

// unexpected is the error for the token that comes next.
func (p *parser) unexpected() error {
	if p.tok.kind == end {
		return p.errorAt(len(p.text), len(p.text), "unexpected end of query")
	}
	before := p.text[:p.tok.start]
	line := 1 + strings.Count(before, "\n")
	position := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return p.errorAt(p.tok.start, p.tok.end, "unexpected symbol found %s at line %d and position %d", p.text[p.tok.start:p.tok.end], line, position)
}
