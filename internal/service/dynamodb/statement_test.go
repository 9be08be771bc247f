package dynamodb

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/partiql"
)

// run executes a statement and returns the items as text.
func (b *bench) run(statement string, parameters ...api.AttributeValue) (string, error) {
	b.Helper()
	out, err := b.ExecuteStatement(b.ctx, &api.ExecuteStatementInput{Statement: &statement, Parameters: parameters})
	if err != nil {
		return "", err
	}
	return showAll(out.Items), nil
}

func (b *bench) makeStatementTable() {
	b.create("table", "pk:S,sk:N", "gsi g:S,sk:N ALL", "keys g:S KEYS_ONLY", "local lsi pk:S,l:S INCLUDE n")
	for _, pk := range []string{"a", "b"} {
		for i := range 4 {
			b.put("table", M{
				"pk": api.S(pk), "sk": api.N(fmt.Sprint(i)), "g": api.S(fmt.Sprint("g", i%2)), "l": api.S(fmt.Sprint("l", 3-i)),
				"n": api.N(fmt.Sprint(i * 10)), "m": api.M{"x": api.L{api.S(pk), api.N(fmt.Sprint(i))}}, "ss": api.SS{"s", pk},
			})
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html
func TestSelectStatement(t *testing.T) {
	b := newBench(t)
	b.makeStatementTable()
	const keys = `SELECT pk, sk FROM "table"`
	for _, c := range []struct{ statement, want string }{
		{keys + ` WHERE pk = 'a' AND sk = 1`, "{pk=a, sk=1}"},
		{keys + ` WHERE pk = 'a'`, "{pk=a, sk=0} {pk=a, sk=1} {pk=a, sk=2} {pk=a, sk=3}"},
		{keys + ` WHERE pk = 'a' ORDER BY sk DESC`, "{pk=a, sk=3} {pk=a, sk=2} {pk=a, sk=1} {pk=a, sk=0}"},
		{keys + ` WHERE 'a' = pk AND 1 < sk`, "{pk=a, sk=2} {pk=a, sk=3}"},
		{keys + ` WHERE pk = 'a' AND sk BETWEEN 1 AND 2`, "{pk=a, sk=1} {pk=a, sk=2}"},
		{keys + ` WHERE pk = 'a' AND sk >= 1 AND sk < 3 AND n <> 10`, "{pk=a, sk=2}"},
		{keys + ` WHERE pk IN ['b', 'a', 'b'] AND sk = 1 ORDER BY pk`, "{pk=a, sk=1} {pk=b, sk=1}"},
		{keys + ` WHERE pk IN ('b', 'a') AND sk > 1 ORDER BY pk DESC, sk DESC`, "{pk=b, sk=3} {pk=b, sk=2} {pk=a, sk=3} {pk=a, sk=2}"},
		{keys + ` WHERE pk = 'a' AND (sk = 1 OR n = 30)`, "{pk=a, sk=1} {pk=a, sk=3}"},
		{keys + ` WHERE pk = 'a' AND NOT sk IN [0, 1]`, "{pk=a, sk=2} {pk=a, sk=3}"},
		{keys + ` WHERE pk = 'a' AND contains(ss, 'a') AND size(ss) = 2 AND attribute_type(m, 'M') AND m.x[1] = 2`, "{pk=a, sk=2}"},
		{keys + ` WHERE pk = 'a' AND nope IS MISSING AND n IS NOT MISSING AND n IS NOT NULL AND sk = 0`, "{pk=a, sk=0}"},
		{keys + ` WHERE pk = 'a' AND m = {'x': ['a', 3]}`, "{pk=a, sk=3}"},
		{keys + ` WHERE pk = 'a' AND ss = <<'a', 's'>> AND sk = 3e0`, "{pk=a, sk=3}"},
		{`SELECT sk FROM "table"."gsi" WHERE g = 'g1' AND sk > 1`, "{sk=3} {sk=3}"},
		{`SELECT sk FROM "table"."lsi" WHERE pk = 'a' AND begins_with(l, 'l1')`, "{sk=2}"},
		{`SELECT sk, ss FROM "table"."lsi" WHERE pk = 'a' AND l = 'l3'`, "{sk=0, ss=[a s]}"},
		{`SELECT m.x, m.x[1], nope FROM "table" WHERE pk = 'a' AND sk = 2`, "{x=[a 2], x[1]=2}"},
		{`SELECT * FROM "table" WHERE pk = 'nobody'`, ""},
		{`SELECT nope FROM "table" WHERE pk = 'a' AND sk = 0`, "{}"},
	} {
		got, err := b.run(c.statement)
		if err != nil || got != c.want {
			t.Errorf("%s\n got %s, %v\nwant %s", c.statement, got, err, c.want)
		}
	}
	for _, c := range []struct{ statement, want string }{
		{`SELECT * FROM nope WHERE pk = 'a'`, "ResourceNotFoundException: Requested resource not found"},
		{`SELECT * FROM nope WHERE pk = 'a' AND n < TRUE`, "ValidationException: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"},
		{`SELECT * FROM "table"."nope"`, "ValidationException: The table does not have the specified index"},
		{keys + ` WHERE pk = 1`, invalidParams + "Condition parameter type does not match schema type"},
		{keys + ` WHERE pk = 'a' AND sk BETWEEN 2 AND 1`, "ValidationException: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"},
		{`SELECT ss, m FROM "table"."keys" WHERE g = 'a'`, invalidParams + "Global secondary index keys does not project [ss, m]"},
		{`SELECT pk FROM "table"."keys" WHERE g = 'a' AND ss = 'x'`, invalidParams + "Secondary index keys does not project one or more filter attributes: [ss]"},
		{`SELECT pk FROM "table"."lsi" WHERE pk = 'a' AND ss = 'x'`, invalidParams + "Secondary index lsi does not project one or more filter attributes: [ss]"},
		{keys + ` ORDER BY sk`, "ValidationException: Must have WHERE clause in the statement when using ORDER BY clause."},
		{keys + ` WHERE n = 1 ORDER BY sk`, "ValidationException: Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."},
		{keys + ` WHERE pk = 'a' ORDER BY n`, "ValidationException: Variable reference n in ORDER BY clause must be part of the primary key"},
		{keys + ` WHERE n = 1e99999999999`, "ValidationException: Number overflow…"},
		{`EXISTS(SELECT * FROM "table" WHERE pk = 'a')`, "ValidationException: EXISTS is only supported in ExecuteTransaction."},
	} {
		_, err := b.run(c.statement)
		wantError(t, err, c.want)
	}
	_, err := b.ExecuteStatement(b.ctx, &api.ExecuteStatementInput{Statement: new(`SELECT * FROM "table"."gsi"`), ConsistentRead: new(true)})
	wantError(t, err, "ValidationException: Strongly consistent read is not supported on Global Secondary Indexes")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExecuteStatement.html#DDB-ExecuteStatement-request-NextToken
func TestStatementPages(t *testing.T) {
	b := newBench(t)
	b.makeStatementTable()
	for _, c := range []struct {
		statement string
		limit     int32
		want      []string
	}{
		{`SELECT sk FROM "table" WHERE pk IN ['a', 'b'] AND sk > 0`, 2, []string{"{sk=1} {sk=2}", "{sk=3} {sk=1}", "{sk=2} {sk=3}", ""}},
		{`SELECT sk FROM "table" WHERE pk = 'a' AND n > 15 ORDER BY sk DESC`, 3, []string{"{sk=3} {sk=2}", ""}},
		{`SELECT sk FROM "table"."gsi" WHERE g = 'g1'`, 3, []string{"{sk=1} {sk=1} {sk=3}", "{sk=3}"}},
	} {
		in := &api.ExecuteStatementInput{Statement: &c.statement, Limit: &c.limit}
		var pages []string
		for {
			out := must(b.ExecuteStatement(b.ctx, in))(t)
			pages = append(pages, showAll(out.Items))
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if !slices.Equal(pages, c.want) {
			t.Errorf("%s: got %q, want %q", c.statement, pages, c.want)
		}
	}
	// A token belongs to its statement and parameters.
	in := &api.ExecuteStatementInput{Statement: new(`SELECT sk FROM "table" WHERE pk = ?`), Parameters: []api.AttributeValue{api.S("a")}, Limit: new(int32(1))}
	token := must(b.ExecuteStatement(b.ctx, in))(t).NextToken
	for _, other := range []*api.ExecuteStatementInput{
		{Statement: in.Statement, Parameters: []api.AttributeValue{api.S("b")}, NextToken: token},
		{Statement: new(`SELECT * FROM "table"`), NextToken: token},
		{Statement: in.Statement, Parameters: in.Parameters, NextToken: new("AAAA")},
		{Statement: in.Statement, Parameters: in.Parameters, NextToken: new("no base64")},
	} {
		_, err := b.ExecuteStatement(b.ctx, other)
		wantError(t, err, "ValidationException: NextToken does not match request")
	}
	// Pages end at 1 MB too, over partitions.
	for i := range 6 {
		b.put("table", M{"pk": api.S(fmt.Sprint("big", i)), "sk": api.N("0"), "text": api.S(strings.Repeat("x", 390<<10))})
	}
	in = &api.ExecuteStatementInput{Statement: new(`SELECT pk FROM "table" WHERE pk IN ['big0', 'big1', 'big2', 'big3', 'big4', 'big5']`)}
	var counts []int
	for {
		out := must(b.ExecuteStatement(b.ctx, in))(t)
		counts = append(counts, len(out.Items))
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if !slices.Equal(counts, []int{3, 3}) {
		t.Errorf("pages of %v items", counts)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.insert.html and the pages beside it
func TestWriteStatements(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N")
	const where = ` WHERE pk = 'a' AND sk = 1`
	for _, c := range []struct{ statement, want, item string }{
		{`INSERT INTO "table" VALUE {'pk': 'a', 'sk': 1, 'n': 1, 'l': ['x'], 'ss': <<'a', 'b'>>}`, "", "{l=[x], n=1, pk=a, sk=1, ss=[a b]}"},
		{`INSERT INTO "table" VALUE {'pk': 'a', 'sk': 1}`, "DuplicateItemException: Duplicate primary key exists in table", ""},
		{`UPDATE "table" SET n = n + 4, l = list_append(l, [TRUE])` + where, "", "{l=[x true], n=5, pk=a, sk=1, ss=[a b]}"},
		{`UPDATE "table" SET ss = set_add(ss, <<'c'>>) SET n = if_not_exists(n, 0) REMOVE l[0]` + where + ` RETURNING MODIFIED NEW *`, "{l=[true], n=5, ss=[a b c]}", ""},
		{`UPDATE "table" SET ss = set_delete(ss, <<'a', 'b', 'c'>>) REMOVE l` + where + ` AND n = 5 RETURNING ALL NEW *`, "{n=5, pk=a, sk=1}", ""},
		{`UPDATE "table" SET n = 6` + where + ` RETURNING MODIFIED OLD *`, "{n=5}", ""},
		{`UPDATE "table" REMOVE n` + where + ` RETURNING MODIFIED NEW *`, "", "{pk=a, sk=1}"},
		{`FROM "table"` + where + ` SET m = {'x': {'y': 1}} RETURNING ALL OLD *`, "{pk=a, sk=1}", "{m={x={y=1}}, pk=a, sk=1}"},
		{`UPDATE "table" SET m.x.y = 2, m.z = m.x.y` + where, "", "{m={x={y=2}, z=1}, pk=a, sk=1}"},
		{`UPDATE "table" SET n = 1` + where + ` AND m.z = 2`, "ConditionalCheckFailedException: The conditional request failed", ""},
		{`UPDATE "table" SET n = 1 WHERE pk = 'nobody' AND sk = 1`, "ConditionalCheckFailedException: The conditional request failed", ""},
		{`UPDATE "table" SET n = 1 WHERE pk = 'a'`, "ValidationException: Where clause does not contain a mandatory equality on all key attributes", ""},
		{`UPDATE "table" SET n = 1 WHERE pk = 'a' AND sk > 1`, "ValidationException: Where clause does not contain a mandatory equality on all key attributes", ""},
		{`UPDATE "table" SET n = 1 WHERE pk IN ['a', 'b'] AND sk = 1`, "ValidationException: Where clause does not contain a mandatory equality on all key attributes", ""},
		{`UPDATE "table" SET sk = 2` + where, invalidParams + "Cannot update attribute sk. This attribute is part of the key", ""},
		{`UPDATE "table" SET m = set_add(ss, <<1>>)` + where, "ValidationException: set_add takes the attribute that is set and a set", ""},
		{`UPDATE "table" SET m = 1 REMOVE m.x` + where, "ValidationException: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, x]", ""},
		{`DELETE FROM "table"` + where + ` AND m.z = 2`, "ConditionalCheckFailedException: The conditional request failed", "{m={x={y=2}, z=1}, pk=a, sk=1}"},
		{`DELETE FROM "table"` + where + ` AND m.z = 1 RETURNING ALL OLD *`, "{m={x={y=2}, z=1}, pk=a, sk=1}", "none"},
		{`DELETE FROM "table"` + where, "", "none"},
		{`DELETE FROM "table"` + where + ` AND n = 1 RETURNING ALL OLD *`, "", "none"},
		{`DELETE FROM "table" WHERE pk = 'a'`, "ValidationException: Where clause does not contain a mandatory equality on all key attributes", ""},
		{`INSERT INTO "table" VALUE {'pk': 'a'}`, invalidParams + "Missing the key sk in the item", ""},
		{`INSERT INTO nope VALUE {'pk': 'a'}`, "ResourceNotFoundException: Requested resource not found", ""},
	} {
		got, err := b.run(c.statement)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.statement, got, c.want)
		}
		if it := b.get("table", M{"pk": api.S("a"), "sk": api.N("1")}); c.item != "" && it != c.item {
			t.Errorf("%s: the item is %s, want %s", c.statement, it, c.item)
		}
	}
	out := must(b.ExecuteStatement(b.ctx, &api.ExecuteStatementInput{
		Statement: new(`INSERT INTO "table" VALUE {'pk': ?, 'sk': ?}`), Parameters: []api.AttributeValue{api.S("p"), api.N("1.0")}, ReturnConsumedCapacity: new("TOTAL"),
	}))(t)
	if units := *out.ConsumedCapacity.CapacityUnits; units != 1 || *out.ConsumedCapacity.TableName != "table" {
		t.Errorf("an INSERT consumed %v", units)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
func TestStatementBatch(t *testing.T) {
	b := newBench(t)
	b.makeStatementTable()
	batch := func(statements ...string) (*api.BatchExecuteStatementOutput, error) {
		in := &api.BatchExecuteStatementInput{ReturnConsumedCapacity: new("TOTAL")}
		for _, s := range statements {
			in.Statements = append(in.Statements, api.BatchStatementRequest{Statement: &s, ReturnValuesOnConditionCheckFailure: new("ALL_OLD")})
		}
		return b.BatchExecuteStatement(b.ctx, in)
	}
	showOne := func(r api.BatchStatementResponse) string {
		if r.Error != nil {
			return *r.Error.Code + ": " + *r.Error.Message + show(r.Error.Item)
		}
		return deref(r.TableName) + show(r.Item)
	}
	const needsKey = "ValidationError: Select statements within BatchExecuteStatement must specify the primary key in the where clause.none"
	for _, c := range []struct {
		statements []string
		want       []string
		units      float64
	}{
		{
			[]string{`SELECT n FROM "table" WHERE pk = 'a' AND sk = 1`, `SELECT n FROM "table" WHERE pk = 'x' AND sk = 1`, `SELECT n FROM "table" WHERE pk = 'a' AND sk = 1 AND n = 0`,
				`SELECT n FROM "table" WHERE pk = 'a'`, `SELECT n FROM "table"."gsi" WHERE g = 'g1'`, `SLECT`, `SELECT n FROM nope WHERE pk = 'a'`},
			[]string{"table{n=10}", "tablenone", "tablenone", needsKey, needsKey,
				"ValidationError: Statement wasn't well formed, can't be processed: Expected data manipulationnone", "ResourceNotFound: Requested resource not foundnone"},
			1.5,
		},
		{
			[]string{`INSERT INTO "table" VALUE {'pk': 'a', 'sk': 1}`, `UPDATE "table" SET n = 0 WHERE pk = 'a' AND sk = 1 AND n = 0`, `DELETE FROM "table" WHERE pk = 'b' AND sk = 0 RETURNING ALL OLD *`,
				`UPDATE "table" REMOVE n WHERE pk = 'b' AND sk = 1 RETURNING MODIFIED NEW *`},
			[]string{
				"DuplicateItem: Duplicate primary key exists in tablenone", "ConditionalCheckFailed: The conditional request failed{g=g1, l=l2, m={x=[a 1]}, n=10, pk=a, sk=1, ss=[a s]}",
				"table{g=g0, l=l3, m={x=[b 0]}, n=0, pk=b, sk=0, ss=[b s]}", "tablenone",
			},
			7, // an item goes and its three entries, another changes and two of its entries
		},
	} {
		out := must(batch(c.statements...))(t)
		for i, r := range out.Responses {
			if got := showOne(r); got != c.want[i] {
				t.Errorf("%s\n got %s\nwant %s", c.statements[i], got, c.want[i])
			}
		}
		if units := *out.ConsumedCapacity[0].CapacityUnits; units != c.units {
			t.Errorf("%v consumed %v", c.statements, units)
		}
	}
	_, err := batch(`SELECT n FROM "table" WHERE pk = 'a' AND sk = 1`, `DELETE FROM "table" WHERE pk = 'a' AND sk = 1`)
	wantError(t, err, "ValidationException: A batch cannot contain both read and write statements.")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.transactions.html
func TestStatementTransaction(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S ALL")
	run := func(token *string, statements ...string) (*api.ExecuteTransactionOutput, error) {
		in := &api.ExecuteTransactionInput{ReturnConsumedCapacity: new("TOTAL"), ClientRequestToken: token}
		for _, s := range statements {
			in.TransactStatements = append(in.TransactStatements, api.ParameterizedStatement{Statement: &s, ReturnValuesOnConditionCheckFailure: new("ALL_OLD")})
		}
		return b.ExecuteTransaction(b.ctx, in)
	}
	insert := func(pk string) string { return fmt.Sprintf(`INSERT INTO "table" VALUE {'pk': '%s', 'n': 0}`, pk) }
	out := must(run(nil, insert("a"), insert("b")))(t)
	if units := *out.ConsumedCapacity[0].CapacityUnits; units != 4 {
		t.Errorf("two INSERTs consumed %v", units)
	}
	// All or none.
	_, err := run(nil, `UPDATE "table" SET n = 1 WHERE pk = 'b'`, insert("a"), `EXISTS(SELECT * FROM "table" WHERE pk = 'nobody')`, `DELETE FROM "table" WHERE pk = 'x'`)
	wantError(t, err, "TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [None, DuplicateItem, ConditionalCheckFailed, None]")
	if got := b.get("table", M{"pk": api.S("b")}); got != "{n=0, pk=b}" {
		t.Errorf("a cancelled transaction left %s", got)
	}
	must(run(nil, `UPDATE "table" SET n = 1 WHERE pk = 'b'`, `EXISTS(SELECT * FROM "table" WHERE pk = 'a' AND n = 0)`))(t)
	out = must(run(nil, `SELECT n FROM "table" WHERE pk = 'b'`, `SELECT * FROM "table" WHERE pk = 'nobody'`))(t)
	if got := show(out.Responses[0].Item) + show(out.Responses[1].Item); got != "{n=1}none" || *out.ConsumedCapacity[0].CapacityUnits != 4 {
		t.Errorf("got %s, %v units", got, *out.ConsumedCapacity[0].CapacityUnits)
	}
	// A token stands for its statements, once.
	for range 2 {
		must(run(new("token"), `UPDATE "table" SET n = n + 1 WHERE pk = 'b'`))(t)
	}
	if got := b.get("table", M{"pk": api.S("b")}); got != "{n=2, pk=b}" {
		t.Errorf("the same transaction twice left %s", got)
	}
	_, err = run(new("token"), `UPDATE "table" SET n = n + 2 WHERE pk = 'b'`)
	wantError(t, err, "IdempotentParameterMismatchException: …")
	const failed = "ValidationException: Validation failed in TransactStatements[1]: "
	for statement, want := range map[string]string{
		`UPDATE "table" SET n = 1 WHERE pk = 'b' RETURNING ALL NEW *`: failed + "RETURNING clause is not supported in ExecuteTransaction.",
		`SELECT * FROM "table"."gsi" WHERE g = 'x'`:                   failed + "Reads on indices are not supported within transactions.",
		`SELECT * FROM "table"`:                                       "ValidationException: ExecuteTransaction API does not support both read and write operations in the same request.",
		`SLECT`:                                                       failed + "Statement wasn't well formed, can't be processed: Expected data manipulation",
		`UPDATE "table" SET n = 1 WHERE n = 1`:                        failed + "Where clause does not contain a mandatory equality on all key attributes",
		`UPDATE nope SET n = 1 WHERE pk = 'b'`:                        "ResourceNotFoundException: Requested resource not found",
		insert("a"):                                                   "ValidationException: Transaction request cannot include multiple operations on one item",
	} {
		_, err := run(nil, insert("a"), statement)
		wantError(t, err, want)
	}
}

// FuzzStatement: a SELECT finds just what its conditions hold for, whichever keys it reads by, page by page.
func FuzzStatement(f *testing.F) {
	for _, where := range []string{
		`pk = 'a' AND sk > 1`, `pk IN ['a', 'b'] AND sk BETWEEN 1 AND 2 AND n <> 10`, `pk = 'a' OR g = 'g1'`, `g = 'g1' AND sk >= 1 AND sk < 3`,
		`NOT (pk = 'a' AND sk = 1)`, `begins_with(l, 'l') AND contains(ss, 'a')`, `pk = 'b' AND pk = 'a'`, `sk = 1 AND pk = pk`, `pk = 'a' AND m.x[1] = 2 ORDER BY sk DESC`,
	} {
		f.Add(where, uint8(0), uint8(3))
		f.Add(where, uint8(1), uint8(0))
	}
	b := newBench(f)
	b.makeStatementTable()
	all := b.scanAll(api.ScanInput{TableName: new("table")})
	f.Fuzz(func(t *testing.T, where string, index, limit uint8) {
		from := `"table"` + []string{"", `."gsi"`}[index%2]
		stmt, err := partiql.Parse("SELECT * FROM "+from+" WHERE "+where, nil)
		if err != nil {
			return
		}
		in := &api.ExecuteStatementInput{Statement: new("SELECT * FROM " + from + " WHERE " + where)}
		if limit > 0 {
			in.Limit = new(int32(limit))
		}
		var got []string
		for {
			out, err := b.ExecuteStatement(b.ctx, in)
			if err != nil {
				return
			}
			for _, m := range out.Items {
				got = append(got, show(m))
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		holds, err := statementPredicate(stmt.(*partiql.Select).Where.Conjuncts())
		if err != nil {
			t.Fatalf("%s ran, but %v", where, err)
		}
		var want []string
		for _, m := range all {
			ok, err := holds.Eval(attributesOf(m))
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				want = append(want, show(m))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\n got %q\nwant %q", where, got, want)
		}
	})
}

type attributesOf M

func (m attributesOf) Attribute(name string) (api.AttributeValue, error) { return m[name], nil }
