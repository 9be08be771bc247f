package insights

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// expression computes a value of a row.
type expression func(*row) value

// expression reads one, and its text.
func (p *parser) expression() (e expression, source string, err error) {
	start := p.tok.start
	e, err = p.or()
	return e, strings.TrimSpace(p.text[start:max(start, p.last)]), err
}

func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return p.unexpected()
	}
	return nil
}

func (p *parser) or() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.and()
	for err == nil && p.word("or") {
		if err = p.next(); err != nil {
			break
		}
		var right expression
		right, err = p.and()
		l := left
		left = func(r *row) value { return truth(l(r).true() || right(r).true()) }
	}
	return left, err
}

func (p *parser) and() (expression, error) {
	left, err := p.not()
	for err == nil && p.word("and") {
		if err = p.next(); err != nil {
			break
		}
		var right expression
		right, err = p.not()
		l := left
		left = func(r *row) value { return truth(l(r).true() && right(r).true()) }
	}
	return left, err
}

func (p *parser) not() (expression, error) {
	if !p.word("not") {
		return p.comparison()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.next(); err != nil {
		return nil, err
	}
	e, err := p.not()
	return func(r *row) value { return truth(!e(r).true()) }, err
}

func (p *parser) comparison() (expression, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	negated := false
	if p.word("not") {
		negated = true
		if err := p.next(); err != nil {
			return nil, err
		}
		if !p.word("like") && !p.word("in") {
			return nil, p.unexpected()
		}
	}
	switch {
	case p.word("like") || p.is("=~"):
		return p.like(left, negated)
	case p.word("in"):
		return p.in(left, negated)
	}
	if p.tok.kind != symbol {
		return left, nil
	}
	operator := p.tok.text
	switch operator {
	case "=", "!=", "<", "<=", ">", ">=":
	default:
		return left, nil
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	right, err := p.sum()
	return func(r *row) value {
		a, b := left(r), right(r)
		if a.kind == null || b.kind == null {
			return truth(operator == "!=" && a.kind != b.kind)
		}
		c := a.compare(b)
		switch operator {
		case "=":
			return truth(c == 0)
		case "!=":
			return truth(c != 0)
		case "<":
			return truth(c < 0)
		case "<=":
			return truth(c <= 0)
		case ">":
			return truth(c > 0)
		}
		return truth(c >= 0)
	}, err
}

func (p *parser) like(left expression, negated bool) (expression, error) {
	// The lexer would take a regular expression apart, so it is read from its / on.
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.is("/") {
		re, err := p.compiled()
		if err != nil {
			return nil, err
		}
		return func(r *row) value { return truth(re.MatchString(left(r).text()) != negated) }, nil
	}
	if p.tok.kind != words {
		return nil, p.unexpected()
	}
	part := p.tok.text
	return func(r *row) value { return truth(strings.Contains(left(r).text(), part) != negated) }, p.next()
}

// maxRepeats bounds the counts in a regular expression, and so the time that matching takes for each byte.
const maxRepeats = 1000

var repeats = regexp.MustCompile(`\{(\d+)(?:,(\d*))?\}`)

// compiled reads a regular expression.
func (p *parser) compiled() (*regexp.Regexp, error) {
	start := p.tok.start
	source, err := p.regex()
	if err != nil {
		return nil, err
	}
	total := 1
	for _, m := range repeats.FindAllStringSubmatch(source, -1) {
		n, err1 := strconv.Atoi(m[1])
		if upper, err2 := strconv.Atoi(m[2]); err2 == nil {
			n = max(n, upper)
		}
		// Nested counts multiply.
		if total *= max(n, 1); err1 != nil || total > maxRepeats {
			return nil, p.errorAt(start, p.last, "the counts in the regular expression /%s/ are too large", source)
		}
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, p.errorAt(start, p.last, "invalid regular expression /%s/", source)
	}
	return re, nil
}

func (p *parser) in(left expression, negated bool) (expression, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	if err := p.expect("["); err != nil {
		return nil, err
	}
	var list []expression
	for {
		e, err := p.sum()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if more, err := p.accept(","); err != nil {
			return nil, err
		} else if !more {
			break
		}
	}
	return func(r *row) value {
		v := left(r)
		for _, e := range list {
			if w := e(r); v.kind != null && w.kind != null && v.compare(w) == 0 {
				return truth(!negated)
			}
		}
		return truth(negated)
	}, p.expect("]")
}

// arithmetic is an operation on two numbers; without both there is no result.
func arithmetic(operator string, left, right expression) expression {
	return func(r *row) value {
		a, ok1 := left(r).number()
		b, ok2 := right(r).number()
		if !ok1 || !ok2 {
			return value{}
		}
		switch operator {
		case "+":
			return num(a + b)
		case "-":
			return num(a - b)
		case "*":
			return num(a * b)
		case "/":
			return num(a / b)
		case "%":
			return num(math.Mod(a, b))
		}
		return num(math.Pow(a, b))
	}
}

func (p *parser) chain(operators string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil && p.tok.kind == symbol && len(p.tok.text) == 1 && strings.Contains(operators, p.tok.text) {
		operator := p.tok.text
		if err = p.next(); err != nil {
			break
		}
		var right expression
		right, err = operand()
		left = arithmetic(operator, left, right)
	}
	return left, err
}

func (p *parser) sum() (expression, error) { return p.chain("+-", p.product) }

func (p *parser) product() (expression, error) { return p.chain("*/%", p.power) }

func (p *parser) power() (expression, error) { return p.chain("^", p.primary) }

func (p *parser) primary() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.tok
	switch {
	case p.is("("):
		if err := p.next(); err != nil {
			return nil, err
		}
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case p.is("-"):
		if err := p.next(); err != nil {
			return nil, err
		}
		e, err := p.primary()
		return arithmetic("-", func(*row) value { return num(0) }, e), err
	case t.kind == words:
		return func(*row) value { return str(t.text) }, p.next()
	case t.kind == literal:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, p.unexpected()
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		// 1e6 and 5m are a number and a name right behind it; durations are for functions, which read them themselves.
		return func(*row) value { return num(f) }, nil
	case t.kind == quoted:
		return func(r *row) value { return r.get(t.text) }, p.next()
	case t.kind != name:
		return nil, p.unexpected()
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.is("(") {
		return p.call(t)
	}
	switch strings.ToLower(t.text) {
	case "true":
		return func(*row) value { return num(1) }, nil
	case "false":
		return func(*row) value { return num(0) }, nil
	}
	return func(r *row) value { return r.get(t.text) }, nil
}

// call reads the arguments of a function or of an aggregate. What a column is named for is that column.
func (p *parser) call(fn token) (expression, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	lower := strings.ToLower(fn.text)
	makeAggregate, isAggregate := aggregates[lower]
	f, isFunction := functions[lower]
	if !isAggregate && !isFunction {
		return nil, p.errorAt(fn.start, fn.end, "unknown function %s", fn.text)
	}
	var args []expression
	var fixed []value // of arguments that are the same for all rows
	inside := p.aggregates
	if isAggregate {
		p.aggregates = nil // none within another
	}
	for !p.is(")") {
		if len(args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		if isAggregate && p.is("*") && len(args) == 0 {
			if err := p.next(); err != nil {
				return nil, err
			}
			break
		}
		constant := p.tok.kind == literal || p.tok.kind == words
		var e expression
		var err error
		if f.period == len(args)+1 && p.tok.kind == literal {
			e, err = p.period()
		} else {
			e, err = p.or()
		}
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if constant {
			fixed = append(fixed, e(&row{}))
		}
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	p.aggregates = inside
	source := p.text[fn.start:p.last]
	if p.known[source] {
		return func(r *row) value { return r.get(source) }, nil
	}
	if isAggregate {
		if p.aggregates == nil {
			return nil, p.errorAt(fn.start, p.last, "the aggregation function %s is for stats", fn.text)
		}
		maker, ok := makeAggregate(args, fixed)
		if !ok {
			return nil, p.errorAt(fn.start, p.last, "wrong arguments of %s", fn.text)
		}
		i := len(*p.aggregates)
		*p.aggregates = append(*p.aggregates, maker)
		return func(r *row) value {
			if i >= len(r.aggregates) {
				return value{}
			}
			return r.aggregates[i].result()
		}, nil
	}
	if len(args) < f.min || len(args) > f.max {
		return nil, p.errorAt(fn.start, p.last, "wrong number of arguments of %s", fn.text)
	}
	return func(r *row) value {
		values := make([]value, len(args))
		for i, a := range args {
			values[i] = a(r)
		}
		return f.call(r, values)
	}, nil
}

// period reads a duration such as 5m, as milliseconds; months, quarters and years are negative numbers of months.
func (p *parser) period() (expression, error) {
	n, err := strconv.Atoi(p.tok.text)
	if err != nil || n <= 0 || n > 1e6 {
		return nil, p.unexpected()
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	// The unit may stand right behind the number, or behind a space.
	unit, ok := units[strings.ToLower(p.tok.text)]
	if p.tok.kind != name || !ok {
		return nil, p.unexpected()
	}
	v := num(float64(n) * unit)
	return func(*row) value { return v }, p.next()
}

var units = func() map[string]float64 {
	m := map[string]float64{}
	for names, ms := range map[string]time.Duration{
		"ms msec millisecond milliseconds": time.Millisecond, "s sec second seconds": time.Second, "m min minute minutes": time.Minute,
		"h hr hour hours": time.Hour, "d day days": 24 * time.Hour, "w week weeks": 7 * 24 * time.Hour,
	} {
		for n := range strings.FieldsSeq(names) {
			m[n] = float64(ms.Milliseconds())
		}
	}
	for names, months := range map[string]float64{"mo mon month months": 1, "q qtr quarter quarters": 3, "y yr year years": 12} {
		for n := range strings.FieldsSeq(names) {
			m[n] = -months
		}
	}
	return m
}()
