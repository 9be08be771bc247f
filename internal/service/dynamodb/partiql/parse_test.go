package partiql

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// show writes a statement so that its structure can be seen.
func show(s Statement) string {
	from := func(f From) string {
		if f.Index != nil {
			return f.Table + "/" + *f.Index
		}
		return f.Table
	}
	sets := func(list []Set) string {
		var out []string
		for _, s := range list {
			out = append(out, s.Path.String()+"="+showExpr(s.Value))
		}
		return strings.Join(out, " ")
	}
	sel := func(s *Select) string {
		return fmt.Sprintf("select %v from %s where %s order %v", s.Paths, from(s.From), showExpr(s.Where), s.Order)
	}
	switch s := s.(type) {
	case *Select:
		return sel(s)
	case *Exists:
		return "exists " + sel(&s.Select)
	case *Insert:
		return "insert " + from(s.From) + " " + item.Format(api.M(s.Item))
	case *Update:
		return fmt.Sprintf("update %s %s where %s %s", from(s.From), sets(s.Sets), showExpr(s.Where), s.Returning)
	case *Delete:
		return fmt.Sprintf("delete %s where %s %s", from(s.From), showExpr(s.Where), s.Returning)
	}
	return fmt.Sprint(s)
}

func showExpr(e *Expr) string {
	if e == nil {
		return "-"
	}
	switch e.Op {
	case "path":
		return e.Path.String()
	case "value":
		return item.Format(e.Value)
	}
	var args []string
	for _, arg := range e.Args {
		args = append(args, showExpr(arg))
	}
	return "(" + strings.TrimSuffix(e.Op, "(") + " " + strings.Join(args, " ") + ")"
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.statements.html
func TestParse(t *testing.T) {
	const malformed = "Statement wasn't well formed, can't be processed: "
	for _, c := range []struct{ src, want string }{
		{`SELECT * FROM "t"`, `select [] from t where - order []`},
		{`select a, "b c".d[1], e['f'] from t`, `select [[a] [b c, d, [1]] [e, f]] from t where - order []`},
		{`SELECT * FROM "t"."i" WHERE a = 'it''s' AND NOT b <> 1 OR c`, malformed + `Expected operator but found end of statement`},
		{`SELECT * FROM "t"."i" WHERE a = 'it''s' AND NOT b != -1.5e+3 OR size(c) > .5`,
			`select [] from t/i where (OR (AND (= [a] {S:it's}) (NOT (<> [b] {N:-1.5e+3}))) (> (size [c]) {N:.5})) order []`},
		{`SELECT * FROM t WHERE (a = 1 OR b = 2) AND (c) = (d)`, `select [] from t where (AND (OR (= [a] {N:1}) (= [b] {N:2})) (= [c] [d])) order []`},
		{`SELECT * FROM t WHERE a IN [1, 2] AND b NOT IN ('x') AND c BETWEEN 1 AND 2 AND d NOT BETWEEN 3 AND 4`,
			`select [] from t where (AND (IN [a] {N:1} {N:2}) (NOT (IN [b] {S:x})) (BETWEEN [c] {N:1} {N:2}) (NOT (BETWEEN [d] {N:3} {N:4}))) order []`},
		{`SELECT * FROM t WHERE a IS MISSING AND b IS NOT MISSING AND c IS NULL AND d IS NOT NULL`,
			`select [] from t where (AND (IS MISSING [a]) (NOT (IS MISSING [b])) (IS NULL [c]) (NOT (IS NULL [d]))) order []`},
		{`SELECT * FROM t WHERE BEGINS_WITH(a, 'x') AND contains(b, 1) AND attribute_type(c, 'S') ORDER BY a, b DESC`,
			`select [] from t where (AND (begins_with [a] {S:x}) (contains [b] {N:1}) (attribute_type [c] {S:S})) order [{a false} {b true}]`},
		{"SELECT * -- all\nFROM t /* the\ntable */ WHERE a = 1 --", `select [] from t where (= [a] {N:1}) order []`},
		{`INSERT INTO "t" VALUE {'a': ?, 'b': [1, -2, {'c': <<'x', 'y'>>}], 'd': TRUE, 'e': null, 'f': <<1>>}`,
			`insert t {M:{a={S:param}, b={L:[{N:1}, {N:-2}, {M:{c={SS:[x, y]}}}]}, d={BOOL:true}, e={NULL:true}, f={NS:[1]}}}`},
		{`UPDATE t SET a = b + 1, c = list_append(c, [1]) SET d = set_add(d, <<1>>) REMOVE e, f[0] WHERE k = 1 RETURNING ALL NEW *`,
			`update t [a]=(+ [b] {N:1}) [c]=(list_append [c] {L:[{N:1}]}) [d]=(set_add [d] {NS:[1]}) [e]=- [f, [0]]=- where (= [k] {N:1}) ALL NEW`},
		{`from t where k = 1 set a = 2 returning modified old *`, `update t [a]={N:2} where (= [k] {N:1}) MODIFIED OLD`},
		{`DELETE FROM t WHERE k = 1 RETURNING ALL OLD *`, `delete t where (= [k] {N:1}) ALL OLD`},
		{`EXISTS(SELECT * FROM t WHERE k = 1)`, `exists select [] from t where (= [k] {N:1}) order []`},

		{`SLECT * FROM t`, malformed + `Expected data manipulation`},
		{``, malformed + `Expected data manipulation`},
		{`SELECT * FROM ""`, `Path component cannot be an empty string`},
		{`SELECT * FROM "t".""`, `Path component cannot be an empty string`},
		{`SELECT * FROM a.b.c`, `A path may contain at most 2 components in the FROM clause`},
		{`SELECT * FROM "t`, malformed + `Expected table name but found invalid token`},
		{`SELECT * FROM t x`, malformed + `Expected end of statement but found x`},
		{`SELECT * FROM t # note`, malformed + `Expected end of statement but found invalid token`},
		{`SELECT * FROM t /* note`, malformed + `Expected end of statement but found invalid token`},
		{`SELECT a AS b FROM t`, malformed + `Expected FROM but found AS`},
		{`SELECT COUNT(*) FROM t`, malformed + `Expected FROM but found (`},
		{`SELECT * FROM t WHERE a = 1 = 2`, malformed + `Expected end of statement but found =`},
		{`SELECT * FROM t WHERE (a) AND b = 1`, malformed + `Expected operator but found AND`},
		{`SELECT * FROM t WHERE (a = 1) + 2 = 3`, malformed + `Expected end of condition but found +`},
		{`SELECT * FROM t WHERE upper(a) = 1`, `Unsupported function: upper`},
		{`SELECT * FROM t WHERE contains(a)`, `Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1`},
		{`INSERT INTO "t" VALUE {'a': 1} x`, malformed + `Expected end of statement but found x`},
		{`INSERT INTO "t" VALUE {'a': 1, 'a': 2}`, `Attribute a is given twice.`},
		{`INSERT INTO "t" VALUE 1`, malformed + `Expected an item`},
		{`INSERT INTO "t" VALUE {'a': <<>>}`, `An empty set is not supported.`},
		{`INSERT INTO "t" VALUE {'a': <<1, 'x'>>}`, `The elements of a set must all be strings, numbers or binary values.`},
		{`INSERT INTO "t"."i" VALUE {'a': 1}`, `Write operations on indices are not supported.`},
		{`UPDATE t WHERE k = 1`, malformed + `Expected SET or REMOVE but found WHERE`},
		{`DELETE FROM t WHERE k = 1 ORDER BY k`, malformed + `Expected end of statement but found ORDER`},
		{`DELETE FROM t WHERE k = 1 RETURNING MODIFIED OLD *`,
			`Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.`},
		{`SELECT * FROM t`, `Number of parameters in request and statement don't match.`},
		{`SELECT * FROM t WHERE a = ? AND b = ?`, `Number of parameters in request and statement don't match.`},
		{`SELECT * FROM t WHERE ` + strings.Repeat("(", 100) + `a = 1`, malformed + `Nesting is too deep`},
		{`INSERT INTO t VALUE {'a': ` + strings.Repeat("[", 100), malformed + `Nesting is too deep`},
	} {
		var parameters []api.AttributeValue
		if strings.Contains(c.src, "?") || strings.HasPrefix(c.want, "Number of") {
			parameters = []api.AttributeValue{api.S("param")}
		}
		s, err := Parse(c.src, parameters)
		got := ""
		if err != nil {
			got = strings.TrimPrefix(err.Error(), "ValidationException: ")
		} else {
			got = show(s)
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, got, c.want)
		}
	}
}

// FuzzParse: what parses has a table, no empty name, and every parameter in its place.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		`SELECT a.b[1], "c" FROM "t"."i" WHERE (a = ? OR NOT b IN [1, 'x']) AND c BETWEEN 1 AND 2 ORDER BY a DESC`,
		`INSERT INTO t VALUE {'a': <<1, 2>>, 'b': {'c': [TRUE, null, -1e3]}}`,
		`UPDATE t SET a = list_append(b, [1]) - 1 REMOVE c WHERE d IS NOT MISSING RETURNING MODIFIED NEW *`,
		`FROM t WHERE k = ? SET a = set_delete(a, <<'x'>>)`, `DELETE FROM t WHERE begins_with(a, 'it''s') --`, `EXISTS(SELECT * FROM t WHERE k = 1) /* */`,
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 8192 {
			return
		}
		parameters := []api.AttributeValue{api.S("p")}[:min(1, strings.Count(src, "?"))]
		s, err := Parse(src, parameters)
		if err != nil {
			return
		}
		if table, index := s.Source(); table == "" || index != nil && *index == "" {
			t.Fatalf("%q is about %q", src, table)
		}
		var check func(e *Expr)
		check = func(e *Expr) {
			if e == nil {
				return
			}
			switch e.Op {
			case "":
				t.Fatalf("%q has an empty part", src)
			case "path":
				checkPath(t, src, e.Path)
			case "value":
				if e.Value == nil {
					t.Fatalf("%q has no value", src)
				}
			}
			for _, arg := range e.Args {
				check(arg)
			}
		}
		switch s := s.(type) {
		case *Select:
			for _, p := range s.Paths {
				checkPath(t, src, p)
			}
			check(s.Where)
		case *Update:
			if len(s.Sets) == 0 {
				t.Fatalf("%q sets nothing", src)
			}
			for _, set := range s.Sets {
				checkPath(t, src, set.Path)
				check(set.Value)
			}
			check(s.Where)
		case *Delete:
			check(s.Where)
		case *Exists:
			check(s.Where)
		case *Insert:
			if s.Item == nil {
				t.Fatalf("%q inserts nothing", src)
			}
		}
	})
}

func checkPath(t *testing.T, src string, p expression.Path) {
	if len(p) == 0 || p[0].Name == "" || len(p) > maxPath {
		t.Fatalf("%q has the path %v", src, p)
	}
}
