package vtl

import (
	"errors"
	"strconv"
	"strings"

	"brume/internal/boundedre"
)

// ErrPath is the error for a JSONPath expression that cannot be read.
var ErrPath = errors.New("invalid JsonPath expression")

// errPathCost is for an expression that visits more values than a run may.
var errPathCost = errors.New("the JsonPath expression visits too many values")

// maxVisits bounds the values that one expression looks at.
const maxVisits = 1 << 20

// Path evaluates a JSONPath expression as the Java implementation that API Gateway uses reads it: "$" with .name, ['name'],
// ['a','b'], [n], [n,m], [a:b:c], [*], .*, ..name and filters [?(@.a == 'x' && @.b)], and functions .length(), .min(), .max(),
// .sum() and .avg() at its end. Expressions that can match several values give a List. What is not there is nil.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
func Path(v any, path string) (any, error) { return (&jsonPath{root: v}).eval(v, path) }

func (p *jsonPath) eval(v any, path string) (any, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(path), "$")
	if !ok {
		return nil, ErrPath
	}
	if p.nesting++; p.nesting > maxNesting {
		return nil, ErrPath
	}
	defer func() { p.nesting-- }()
	values, many := []any{v}, false
	for rest != "" {
		if name, ok := strings.CutSuffix(rest, "()"); ok && strings.HasPrefix(name, ".") && !strings.ContainsAny(name[1:], ".[(") {
			var operand any = &List{Elems: values}
			if !many {
				operand = nil
				if len(values) > 0 {
					operand = values[0]
				}
			}
			return aggregate(name[1:], operand)
		}
		s, after, err := readStep(rest)
		if err != nil {
			return nil, err
		}
		rest = after
		var next []any
		for _, v := range values {
			if next, err = p.take(next, s, v, 0); err != nil {
				return nil, err
			}
		}
		many = many || s.many
		values = next
	}
	if many {
		return &List{Elems: values}, nil
	}
	if len(values) == 0 {
		return nil, nil
	}
	return values[0], nil
}

// maxNesting is how deep filters may stand within filters.
const maxNesting = 5

type jsonPath struct {
	root    any
	visits  int
	nesting int
}

// A pathStep is one part of an expression.
type pathStep struct {
	deep    bool     // ".."
	all     bool     // "*"
	names   []string // of members
	indices []int64
	slice   *[3]*int64
	filter  filter
	many    bool // it can match several values
}

// readStep reads the step that rest begins with.
func readStep(rest string) (s pathStep, after string, err error) {
	if deep, ok := strings.CutPrefix(rest, ".."); ok {
		s.deep, s.many = true, true
		if strings.HasPrefix(deep, "[") {
			rest = deep
		} else {
			rest = "." + deep
		}
	}
	switch {
	case strings.HasPrefix(rest, ".*"):
		s.all, s.many = true, true
		return s, rest[2:], nil
	case rest[0] == '.':
		n := strings.IndexAny(rest[1:], ".[")
		if n < 0 {
			n = len(rest) - 1
		}
		name := rest[1 : n+1]
		if name == "" || strings.ContainsAny(name, "()?@ ") {
			return s, "", ErrPath
		}
		s.names = []string{name}
		return s, rest[n+1:], nil
	case rest[0] != '[':
		return s, "", ErrPath
	}
	inner, after, err := bracket(rest)
	if err != nil {
		return s, "", err
	}
	inner = strings.TrimSpace(inner)
	switch {
	case inner == "*":
		s.all, s.many = true, true
	case strings.HasPrefix(inner, "?"):
		text := strings.TrimSpace(inner[1:])
		if !strings.HasPrefix(text, "(") || !strings.HasSuffix(text, ")") {
			return s, "", ErrPath
		}
		f := &filterParser{src: text[1 : len(text)-1]}
		s.many = true
		if s.filter, err = f.parse(); err != nil {
			return s, "", err
		}
	case strings.HasPrefix(inner, "'"), strings.HasPrefix(inner, `"`):
		s.names, err = quotedNames(inner)
		s.many = s.many || len(s.names) > 1
	case strings.Contains(inner, ":"):
		s.many = true
		s.slice, err = readSlice(inner)
	default:
		for text := range strings.SplitSeq(inner, ",") {
			n, parseErr := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
			if parseErr != nil {
				return s, "", ErrPath
			}
			s.indices = append(s.indices, n)
		}
		s.many = s.many || len(s.indices) > 1
	}
	return s, after, err
}

// bracket cuts "[…]" off, minding quotes and brackets within.
func bracket(rest string) (inner, after string, err error) {
	depth, quote := 0, byte(0)
	for i := range len(rest) {
		c := rest[i]
		switch {
		case quote != 0:
			if c == quote && rest[i-1] != '\\' {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				return rest[1:i], rest[i+1:], nil
			}
		}
	}
	return "", "", ErrPath
}

func quotedNames(inner string) (names []string, err error) {
	for inner != "" {
		quote := inner[0]
		if quote != '\'' && quote != '"' {
			return nil, ErrPath
		}
		end := strings.IndexByte(inner[1:], quote)
		if end < 0 {
			return nil, ErrPath
		}
		names = append(names, inner[1:1+end])
		inner = strings.TrimSpace(inner[end+2:])
		if inner == "" {
			break
		}
		var ok bool
		if inner, ok = strings.CutPrefix(inner, ","); !ok {
			return nil, ErrPath
		}
		if inner = strings.TrimSpace(inner); inner == "" {
			return nil, ErrPath
		}
	}
	return names, nil
}

func readSlice(inner string) (*[3]*int64, error) {
	parts := strings.Split(inner, ":")
	if len(parts) > 3 {
		return nil, ErrPath
	}
	var s [3]*int64
	for i, text := range parts {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, ErrPath
		}
		s[i] = &n
	}
	if s[2] != nil && *s[2] <= 0 {
		return nil, ErrPath
	}
	return &s, nil
}

// take appends what a step matches in v.
func (p *jsonPath) take(out []any, s pathStep, v any, depth int) ([]any, error) {
	if p.visits++; p.visits > maxVisits || depth > maxDepth {
		return nil, errPathCost
	}
	var err error
	if s.deep {
		if out, err = p.takeHere(out, s, v); err != nil {
			return nil, err
		}
		for _, child := range childrenOf(v) {
			if out, err = p.take(out, s, child, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return p.takeHere(out, s, v)
}

func childrenOf(v any) []any {
	switch v := v.(type) {
	case *Map:
		out := make([]any, 0, len(v.Keys))
		for _, k := range v.Keys {
			out = append(out, v.values[k])
		}
		return out
	case *List:
		return v.Elems
	}
	return nil
}

func (p *jsonPath) takeHere(out []any, s pathStep, v any) ([]any, error) {
	switch {
	case s.all:
		children := childrenOf(v)
		p.visits += len(children)
		return append(out, children...), nil
	case s.filter != nil:
		list, ok := v.(*List)
		if !ok { // a filter on an object asks of the object itself
			list = &List{Elems: []any{v}}
		}
		for _, e := range list.Elems {
			if p.visits++; p.visits > maxVisits {
				return nil, errPathCost
			}
			holds, err := s.filter(p, e)
			if err != nil {
				return nil, err
			}
			if holds {
				out = append(out, e)
			}
		}
		return out, nil
	}
	switch v := v.(type) {
	case *Map:
		for _, name := range s.names {
			if e, ok := v.values[name]; ok {
				out = append(out, e)
			}
		}
	case *List:
		n := int64(len(v.Elems))
		for _, i := range s.indices {
			if i < 0 {
				i += n
			}
			if i >= 0 && i < n {
				out = append(out, v.Elems[i])
			}
		}
		if s.slice != nil {
			from, to, by := int64(0), n, int64(1)
			for i, bound := range []*int64{&from, &to} {
				if given := s.slice[i]; given != nil {
					if *bound = *given; *bound < 0 {
						*bound += n
					}
					*bound = min(max(*bound, 0), n)
				}
			}
			if s.slice[2] != nil {
				by = *s.slice[2]
			}
			for i := from; i < to; i += by {
				out = append(out, v.Elems[i])
			}
		}
		if len(s.names) == 1 && !s.deep { // a member of a list is that of each element, as in Java
			return out, nil
		}
	}
	return out, nil
}

// aggregate is a function at the end of an expression.
func aggregate(name string, v any) (any, error) {
	if name == "length" || name == "size" {
		switch v := v.(type) {
		case *List:
			return int64(len(v.Elems)), nil
		case *Map:
			return int64(len(v.Keys)), nil
		case string:
			return int64(len([]rune(v))), nil
		}
		return nil, nil
	}
	list, ok := v.(*List)
	if !ok {
		return nil, nil
	}
	var sum, low, high float64
	count := 0
	for _, e := range list.Elems {
		f, ok := toFloat(e)
		if !ok {
			continue
		}
		if count == 0 {
			low, high = f, f
		}
		sum, low, high = sum+f, min(low, f), max(high, f)
		count++
	}
	if count == 0 {
		return nil, nil
	}
	switch name {
	case "sum":
		return sum, nil
	case "min":
		return low, nil
	case "max":
		return high, nil
	case "avg":
		return sum / float64(count), nil
	}
	return nil, ErrPath
}

// A filter says whether an element is to be taken.
type filter func(p *jsonPath, at any) (bool, error)

// operand is one side of a comparison. ok is false where a path leads nowhere.
type operand func(p *jsonPath, at any) (v any, ok bool, err error)

// A filterParser reads the inside of [?( )].
type filterParser struct {
	src   string
	depth int
}

func (f *filterParser) parse() (filter, error) {
	out, err := f.or()
	if err == nil && strings.TrimSpace(f.src) != "" {
		err = ErrPath
	}
	return out, err
}

func (f *filterParser) accept(s string) bool {
	f.src = strings.TrimLeft(f.src, " \t")
	rest, ok := strings.CutPrefix(f.src, s)
	if ok {
		f.src = rest
	}
	return ok
}

func (f *filterParser) or() (filter, error)  { return f.chain("||", f.and, true) }
func (f *filterParser) and() (filter, error) { return f.chain("&&", f.not, false) }

// chain reads operands with an operator between them. stops is the value that decides at once.
func (f *filterParser) chain(operator string, next func() (filter, error), stops bool) (filter, error) {
	if f.depth++; f.depth > maxDepth {
		return nil, ErrPath
	}
	defer func() { f.depth-- }()
	first, err := next()
	if err != nil {
		return nil, err
	}
	all := []filter{first}
	for f.accept(operator) {
		more, err := next()
		if err != nil {
			return nil, err
		}
		all = append(all, more)
	}
	if len(all) == 1 {
		return first, nil
	}
	return func(p *jsonPath, at any) (bool, error) {
		for _, one := range all {
			holds, err := one(p, at)
			if err != nil || holds == stops {
				return holds, err
			}
		}
		return !stops, nil
	}, nil
}

func (f *filterParser) not() (filter, error) {
	f.src = strings.TrimLeft(f.src, " \t")
	if strings.HasPrefix(f.src, "!") && !strings.HasPrefix(f.src, "!=") {
		f.src = f.src[1:]
		if f.depth++; f.depth > maxDepth {
			return nil, ErrPath
		}
		inner, err := f.not()
		f.depth--
		if err != nil {
			return nil, err
		}
		return func(p *jsonPath, at any) (bool, error) {
			holds, err := inner(p, at)
			return !holds, err
		}, nil
	}
	if f.accept("(") {
		inner, err := f.or()
		if err == nil && !f.accept(")") {
			err = ErrPath
		}
		return inner, err
	}
	return f.comparison()
}

func (f *filterParser) comparison() (filter, error) {
	left, isPath, err := f.operand()
	if err != nil {
		return nil, err
	}
	if f.accept("=~") {
		re, err := f.regexp()
		if err != nil {
			return nil, err
		}
		return func(p *jsonPath, at any) (bool, error) {
			v, ok, err := left(p, at)
			s, isText := v.(string)
			return ok && isText && re.MatchString(s), err
		}, nil
	}
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">", "in ", "nin "} {
		if !f.accept(op) {
			continue
		}
		right, _, err := f.operand()
		if err != nil {
			return nil, err
		}
		return compareOperands(strings.TrimSpace(op), left, right), nil
	}
	if !isPath {
		return nil, ErrPath
	}
	return func(p *jsonPath, at any) (bool, error) { // a path alone asks whether it leads anywhere
		_, ok, err := left(p, at)
		return ok, err
	}, nil
}

func compareOperands(op string, left, right operand) filter {
	return func(p *jsonPath, at any) (bool, error) {
		a, okA, err := left(p, at)
		if err != nil {
			return false, err
		}
		b, okB, err := right(p, at)
		if err != nil {
			return false, err
		}
		switch op {
		case "in", "nin":
			list, ok := b.(*List)
			found := false
			if ok && okA {
				for _, e := range list.Elems {
					same, err := equal(a, e)
					if err != nil {
						return false, err
					}
					found = found || same
				}
			}
			return found == (op == "in"), nil
		case "==", "!=":
			same := okA == okB
			if okA && okB {
				if same, err = equal(a, b); err != nil {
					return false, err
				}
			}
			return same == (op == "=="), nil
		}
		if !okA || !okB {
			return false, nil
		}
		return compare(op, a, b), nil
	}
}

func (f *filterParser) regexp() (*boundedre.Regexp, error) {
	f.src = strings.TrimLeft(f.src, " \t")
	if !strings.HasPrefix(f.src, "/") {
		return nil, ErrPath
	}
	end := strings.IndexByte(f.src[1:], '/')
	if end < 0 {
		return nil, ErrPath
	}
	pattern := f.src[1 : 1+end]
	f.src = f.src[end+2:]
	if f.accept("i") {
		pattern = "(?i)" + pattern
	}
	re, err := boundedre.Whole(pattern)
	if err != nil {
		return nil, ErrPath
	}
	return re, nil
}

// operand reads a path from "@" or "$" on, or a value.
func (f *filterParser) operand() (o operand, isPath bool, err error) {
	f.src = strings.TrimLeft(f.src, " \t")
	if f.src == "" {
		return nil, false, ErrPath
	}
	switch c := f.src[0]; {
	case c == '@' || c == '$':
		n := pathEnd(f.src)
		path := "$" + f.src[1:n]
		f.src = f.src[n:]
		if _, _, err := checkPath(path); err != nil {
			return nil, false, err
		}
		return func(p *jsonPath, at any) (any, bool, error) {
			from := at
			if c == '$' {
				from = p.root
			}
			if p.visits++; p.visits > maxVisits {
				return nil, false, errPathCost
			}
			v, err := p.eval(from, path)
			return v, v != nil, err
		}, true, nil
	case c == '\'' || c == '"':
		end := strings.IndexByte(f.src[1:], c)
		if end < 0 {
			return nil, false, ErrPath
		}
		return f.value(f.src[1:1+end], end+2)
	case c == '[':
		inner, after, err := bracket(f.src)
		if err != nil {
			return nil, false, err
		}
		v, err := ParseJSON([]byte("[" + strings.ReplaceAll(inner, "'", `"`) + "]"))
		if err != nil {
			return nil, false, ErrPath
		}
		f.src = after
		return func(*jsonPath, any) (any, bool, error) { return v, true, nil }, false, nil
	}
	n := strings.IndexAny(f.src, " \t=!<>&|)")
	if n < 0 {
		n = len(f.src)
	}
	switch word := f.src[:n]; word {
	case "true", "false":
		return f.value(word == "true", n)
	case "null":
		return f.value(nil, n)
	default:
		v, err := ParseJSON([]byte(word))
		if err != nil {
			return nil, false, ErrPath
		}
		return f.value(v, n)
	}
}

func (f *filterParser) value(v any, n int) (operand, bool, error) {
	f.src = f.src[n:]
	return func(*jsonPath, any) (any, bool, error) { return v, v != nil, nil }, false, nil
}

// checkPath says whether a path can be read.
func checkPath(path string) (any, bool, error) {
	v, err := Path(NewMap(), path)
	return v, v != nil, err
}

// pathEnd is where the path that s begins with ends: at a blank, an operator or a closing parenthesis outside of brackets.
func pathEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '[':
			_, after, err := bracket(s[i:])
			if err != nil {
				return len(s)
			}
			i = len(s) - len(after) - 1
		case strings.IndexByte(" \t=!<>&|", c) >= 0:
			return i
		case c == ')':
			if s[i-1] != '(' { // "()" of a function belongs to the path
				return i
			}
		}
	}
	return len(s)
}
