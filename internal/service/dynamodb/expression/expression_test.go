package expression

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

type attributes item.Map

func (a attributes) Attribute(name string) (api.AttributeValue, error) { return a[name], nil }

// value reads an attribute value as requests write it.
func value(raw any) (api.AttributeValue, error) {
	m, ok := raw.(map[string]any)
	if !ok || len(m) != 1 {
		return nil, fmt.Errorf("not an attribute value: %v", raw)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var v struct {
		S       *string
		N       *string
		B       *[]byte
		SS, NS  []string
		BS      [][]byte
		BOOL    *bool
		NULL    *bool
		L       *[]any
		M       *map[string]any
		Unknown any `json:"-"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	switch {
	case v.S != nil:
		return api.S(*v.S), nil
	case v.N != nil:
		return api.N(*v.N), nil
	case v.B != nil:
		return api.B(*v.B), nil
	case v.SS != nil:
		return api.SS(v.SS), nil
	case v.NS != nil:
		return api.NS(v.NS), nil
	case v.BS != nil:
		return api.BS(v.BS), nil
	case v.BOOL != nil:
		return api.BOOL(*v.BOOL), nil
	case v.NULL != nil:
		return api.NULL(*v.NULL), nil
	case v.L != nil:
		l := api.L{}
		for _, raw := range *v.L {
			e, err := value(raw)
			if err != nil {
				return nil, err
			}
			l = append(l, e)
		}
		return l, nil
	case v.M != nil:
		m, err := valueMap(*v.M)
		return api.M(m), err
	}
	return nil, fmt.Errorf("not an attribute value: %s", text)
}

func valueMap(raw map[string]any) (item.Map, error) {
	m := item.Map{}
	for k, r := range raw {
		v, err := value(r)
		if err != nil {
			return nil, err
		}
		m[k] = v
	}
	return m, nil
}

func parseItem(t testing.TB, text string) item.Map {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	m, err := valueMap(raw)
	if err == nil {
		err = item.CanonicalMap(m)
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

// A testCase is one line of a file in testdata, with the values, names and item that stand above it.
type testCase struct {
	at, src, want string
	names         map[string]string
	values        item.Map
	item          item.Map
}

func (c testCase) placeholders(t testing.TB) *Placeholders {
	t.Helper()
	p, err := NewPlaceholders(c.names, maps.Clone(c.values))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check compares an outcome with what the line wants; errors are wanted with "! " before their message, for which
// prefix may be left out.
func (c testCase) check(t *testing.T, prefix, got string, err error) {
	t.Helper()
	want := c.want
	if err != nil {
		got = "! " + strings.TrimPrefix(err.Error(), "ValidationException: ")
		if prefix != "" {
			want = strings.Replace(want, "! ", "! "+prefix, 1)
		}
	}
	if got != want {
		t.Errorf("%s: %s\n got %s\nwant %s", c.at, c.src, got, want)
	}
}

func testCases(t testing.TB, file string) []testCase {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var (
		cases   []testCase
		current testCase
	)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		directive, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#' && strings.HasPrefix(line, "# "):
		case directive == "values":
			current.values = parseItem(t, rest)
		case directive == "item":
			current.item = parseItem(t, rest)
		case directive == "names":
			current.names = nil
			if err := json.Unmarshal([]byte(rest), &current.names); err != nil {
				t.Fatal(err)
			}
		default:
			i := strings.LastIndex(line, " => ")
			if i < 0 {
				t.Fatalf("%s:%d: no arrow", file, n)
			}
			c := current
			c.at, c.src, c.want = fmt.Sprintf("%s:%d", file, n), line[:i], line[i+len(" => "):]
			cases = append(cases, c)
		}
	}
	if err := lines.Err(); err != nil || len(cases) == 0 {
		t.Fatalf("%s: %d cases, %v", file, len(cases), err)
	}
	return cases
}

func TestConditions(t *testing.T) {
	for _, c := range testCases(t, "conditions.txt") {
		for _, parameter := range []Parameter{Condition, Filter} {
			cond, err := c.placeholders(t).Predicate(parameter, c.src)
			got := ""
			if err == nil {
				var ok bool
				ok, err = cond.Eval(attributes(c.item))
				got = fmt.Sprint(ok)
			}
			c.check(t, "Invalid "+string(parameter)+": ", got, err)
		}
	}
}

func TestUpdates(t *testing.T) {
	for _, c := range testCases(t, "updates.txt") {
		before := fmt.Sprint(c.item)
		change, err := c.placeholders(t).Update(Update, c.src)
		var got item.Map
		if err == nil {
			got, err = change.Apply(c.item)
		}
		if after := fmt.Sprint(c.item); after != before {
			t.Fatalf("%s: %s changed the old item from %s to %s", c.at, c.src, before, after)
		}
		if err == nil && !strings.HasPrefix(c.want, "!") && item.EqualMap(got, parseItem(t, c.want)) {
			continue
		}
		c.check(t, "", item.Format(api.M(got)), err)
	}
}

func TestProjections(t *testing.T) {
	for _, c := range testCases(t, "projections.txt") {
		paths, err := c.placeholders(t).Projection(c.src)
		var got item.Map
		if err == nil {
			got = NewProjector(paths).Project(c.item)
			if !strings.HasPrefix(c.want, "!") && item.EqualMap(got, parseItem(t, c.want)) {
				continue
			}
		}
		c.check(t, "", item.Format(api.M(got)), err)
	}
}

func keyConds(p *Placeholders, src string) ([]KeyCond, error) {
	c, err := p.Predicate(KeyCondition, src)
	if err != nil {
		return nil, err
	}
	return c.KeyConds()
}

func TestKeyConditions(t *testing.T) {
	for _, c := range testCases(t, "keyconditions.txt") {
		conds, err := keyConds(c.placeholders(t), c.src)
		var got []string
		for _, cond := range conds {
			var values []string
			for _, v := range cond.Values {
				values = append(values, item.Format(v))
			}
			got = append(got, fmt.Sprintf("%s %d %v", cond.Attribute, cond.Op, values))
		}
		c.check(t, "", strings.Join(got, ", "), err)
	}
}

func TestReservedWords(t *testing.T) {
	if len(reserved) != 573 {
		t.Errorf("%d reserved words", len(reserved))
	}
	for i, w := range reserved {
		if i > 0 && reserved[i-1] >= w {
			t.Errorf("%s is out of order", w)
		}
		if !isReserved(w) || !isReserved(strings.ToLower(w)) || isReserved(w+"X") {
			t.Errorf("%s is not found rightly", w)
		}
	}
	for _, w := range []string{"username", "id", "ABORTS", "A", "zzz", "ALongNameThatIsNoReservedWord"} {
		if isReserved(w) {
			t.Errorf("%s is reserved", w)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for _, c := range []struct {
		names  map[string]string
		values item.Map
		err    string
	}{
		{},
		{names: map[string]string{"#a": "x", "#1": "y", "#_": "z"}, values: item.Map{":a": api.S("")}},
		{names: map[string]string{}, err: "ExpressionAttributeNames must not be empty"},
		{values: item.Map{}, err: "ExpressionAttributeValues must not be empty"},
		{names: map[string]string{"a": "x"}, err: `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`},
		{names: map[string]string{"#a": "x", "#": "x"}, err: `ExpressionAttributeNames contains invalid key: Syntax error; key: "#"`},
		{names: map[string]string{"#b-c": "x", "#a-b": "x"}, err: `ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"`},
		{values: item.Map{"b": api.S("x")}, err: `ExpressionAttributeValues contains invalid key: Syntax error; key: "b"`},
		{
			values: item.Map{":a": api.Malformed(nil)},
			err: "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of " +
				"the supported datatypes for key :a",
		},
		{
			values: item.Map{":b": api.SS{}, ":a": api.N("x")},
			err:    "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :a",
		},
	} {
		_, err := NewPlaceholders(c.names, c.values)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "ValidationException: ")
		}
		if got != c.err {
			t.Errorf("%v %v: got %q, want %q", c.names, c.values, got, c.err)
		}
	}
}

func TestUnused(t *testing.T) {
	parse := func(names map[string]string, values item.Map) error {
		p, err := NewPlaceholders(names, values)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Predicate(Condition, "#a = :a AND #a <> :a"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Projection("#a"); err != nil {
			t.Fatal(err)
		}
		return p.Unused()
	}
	if err := parse(map[string]string{"#a": "x"}, item.Map{":a": api.S("x")}); err != nil {
		t.Error(err)
	}
	err := parse(map[string]string{"#a": "x", "#d": "y", "#c": "z"}, item.Map{":a": api.S("x"), ":b": api.S("x")})
	if want := "ValidationException: Value provided in ExpressionAttributeNames unused in expressions: keys: {#c, #d}"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	err = parse(map[string]string{"#a": "x"}, item.Map{":a": api.S("x"), ":b": api.S("x")})
	if want := "ValidationException: Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters
func TestLimits(t *testing.T) {
	p, err := NewPlaceholders(nil, item.Map{":v": api.N("1")})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error, want string) {
		t.Helper()
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "ValidationException: ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	condition := func(src string) error {
		_, err := p.Predicate(Filter, src)
		return err
	}
	check("empty", condition(""), "Invalid FilterExpression: The expression can not be empty;")
	check("blank", condition(" \n"), "Invalid FilterExpression: The expression can not be empty;")

	atLimit := strings.Repeat("a", MaxSize-len(" = :v")) + " = :v"
	check("4096 bytes", condition(atLimit), "")
	check("4097 bytes", condition(atLimit+" "),
		"Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: 4097")

	// 150 comparisons and 149 ANDs and one NOT are 300 operators.
	many := "NOT a = :v" + strings.Repeat(" AND a = :v", 149)
	check("300 operators", condition(many), "")
	check("301 operators", condition("NOT "+many),
		"Invalid FilterExpression: The expression contains too many operators; operator count: 301")

	in := func(n int) string { return "a IN (:v" + strings.Repeat(", :v", n-1) + ")" }
	check("100 operands", condition(in(100)), "")
	check("101 operands", condition(in(101)),
		"Invalid FilterExpression: The IN operator is provided with too many operands; number of operands: 101")

	check("32 elements", condition("a = a"+strings.Repeat("[0]", 31)), "")
	check("33 elements", condition("a = a"+strings.Repeat("[0]", 32)),
		"Invalid FilterExpression: The document path has too many nesting elements; nesting levels: 33")

	// Nothing nests so deep that reading it fails otherwise than with an answer.
	check("parentheses", condition(strings.Repeat("(", MaxSize)), `Invalid FilterExpression: Syntax error; token: "<EOF>", near: "("`)

	deep := api.AttributeValue(api.N("1"))
	for range item.MaxDepth {
		deep = api.L{deep}
	}
	p, err = NewPlaceholders(nil, item.Map{":deep": deep})
	if err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		"SET a = :deep": "", "SET m.a = :deep": "Nesting Levels have exceeded supported limits",
	} {
		change, err := p.Update(Update, src)
		if err == nil {
			_, err = change.Apply(item.Map{"m": api.M{}})
		}
		check(src, err, want)
	}
}

func TestPaths(t *testing.T) {
	p, err := NewPlaceholders(map[string]string{"#a": "x"}, item.Map{":v": api.N("1")})
	if err != nil {
		t.Fatal(err)
	}
	cond, err := p.Predicate(Condition, "#a.b = :v AND size(c[1]) > d")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(cond.Paths()), "[[x, b] [c, [1]] [d]]"; got != want {
		t.Errorf("condition: got %s, want %s", got, want)
	}
	change, err := p.Update(Update, "SET a = if_not_exists(#a.b, c) REMOVE d[1]")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(change.Paths(), change.Operands()), "[[a] [d, [1]]] [[x, b] [c]]"; got != want {
		t.Errorf("update: got %s, want %s", got, want)
	}
}
