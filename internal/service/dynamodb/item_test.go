package dynamodb

import (
	"errors"
	"strings"
	"sync"
	"testing"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
)

func TestPutGetDelete(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N")
	key := M{"pk": api.S("a"), "sk": api.N("1.0")}
	if got := b.get("table", key); got != "none" {
		t.Errorf("before the put: %s", got)
	}
	b.put("table", M{
		"pk": api.S("a"), "sk": api.N("1"), "n": api.N("01.50"), "e": api.S(""), "l": api.L{api.BOOL(true), api.NULL(true)},
		"ss": api.SS{"b", "a"}, "m": api.M{"x": api.B{1}},
	})
	if got, want := b.get("table", M{"pk": api.S("a"), "sk": api.N("1e0")}), "{e=, l=[true null], m={x=01}, n=1.5, pk=a, sk=1, ss=[a b]}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	out := must(b.PutItem(b.ctx, &api.PutItemInput{
		TableName: new("table"), Item: M{"pk": api.S("a"), "sk": api.N("1"), "new": api.S("x")}, ReturnValues: new("ALL_OLD"),
	}))(t)
	if got := show(out.Attributes); !strings.HasPrefix(got, "{e=, l=") {
		t.Errorf("ALL_OLD: %s", got)
	}
	if got, want := b.get("table", key), "{new=x, pk=a, sk=1}"; got != want {
		t.Errorf("a put replaces the item: got %s, want %s", got, want)
	}
	deleted := must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: key, ReturnValues: new("ALL_OLD")}))(t)
	if got, want := show(deleted.Attributes), "{new=x, pk=a, sk=1}"; got != want {
		t.Errorf("ALL_OLD of the delete: got %s, want %s", got, want)
	}
	deleted = must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: key, ReturnValues: new("ALL_OLD")}))(t)
	if deleted.Attributes != nil {
		t.Errorf("deleting nothing returned %s", show(deleted.Attributes))
	}
	if got := b.get("table", key); got != "none" {
		t.Errorf("after the delete: %s", got)
	}
}

// Accounts and regions have their own tables; an ARN names a table as its name does.
func TestScopes(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table", M{"pk": api.S("a")})
	for _, ctx := range []struct{ account, region string }{{"111111111111", "us-east-1"}, {"000000000000", "eu-west-1"}} {
		_, err := b.GetItem(callerOf(ctx.account, ctx.region), &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}})
		wantError(t, err, "ResourceNotFoundException: Requested resource not found")
	}
	if got := b.get("arn:aws:dynamodb:us-east-1:000000000000:table/table", M{"pk": api.S("a")}); got != "{pk=a}" {
		t.Errorf("by ARN: %s", got)
	}
	_, err := b.GetItem(b.ctx, &api.GetItemInput{
		TableName: new("arn:aws:dynamodb:eu-west-1:000000000000:table/table"), Key: M{"pk": api.S("a")},
	})
	wantError(t, err, "AccessDeniedException: …")
	_, err = b.GetItem(b.ctx, &api.GetItemInput{TableName: new("ab"), Key: M{"pk": api.S("a")}})
	wantError(t, err, "ValidationException: 1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3")
	_, err = b.GetItem(b.ctx, &api.GetItemInput{TableName: new("a b c"), Key: M{"pk": api.S("a")}})
	wantError(t, err, "ValidationException: 1 validation error detected: Value 'a b c' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
func TestPutValidation(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N", "idx ik:S ALL")
	base := func(more M) M {
		m := M{"pk": api.S("a"), "sk": api.N("1")}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		item M
		err  string
	}{
		{M{"pk": api.S("a")}, invalidParams + "Missing the key sk in the item"},
		{M{"sk": api.N("1")}, invalidParams + "Missing the key pk in the item"},
		{M{"pk": api.N("1"), "sk": api.N("1")}, invalidParams + "Type mismatch for key pk expected: S actual: N"},
		{M{"pk": api.S("a"), "sk": api.L{}}, invalidParams + "Type mismatch for key sk expected: N actual: L"},
		{M{"pk": api.S(""), "sk": api.N("1")}, "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		{M{"pk": api.S(long[:2049]), "sk": api.N("1")}, invalidParams + "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		{M{"pk": api.S(long[:2048]), "sk": api.N("1")}, ""},
		{base(M{"": api.S("x")}), invalidParams + "An attribute name must have at least one character"},
		{base(M{"n": api.N("x")}), "ValidationException: The parameter cannot be converted to a numeric value: x"},
		{base(M{"ss": api.SS{}}), invalidParams + "An string set  may not be empty"},
		{base(M{"v": api.Malformed(nil)}), "ValidationException: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{base(M{"ik": api.N("1")}), invalidParams + "Type mismatch for Index Key ik Expected: S Actual: N IndexName: idx"},
		{base(M{"ik": api.S("")}), "ValidationException: One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: idx, IndexKey: ik"},
		{base(M{"ik": api.S(long[:2049])}), invalidParams + "Size of hashkey has exceeded the maximum size limit of2048 bytes"},
		// 409,600 bytes in all: pk=a is 3, sk=1 is 4, and the name of the last attribute 1.
		{base(M{"x": api.S(strings.Repeat("x", 400<<10-8))}), ""},
		{base(M{"x": api.S(strings.Repeat("x", 400<<10-7))}), "ValidationException: Item size has exceeded the maximum allowed size"},
	} {
		_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: c.item})
		if c.err == "" {
			c.err = "no error"
		}
		wantError(t, err, c.err)
	}
	b.create("sorted", "pk:S,sk:B")
	for n, want := range map[int]string{
		0:    "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: sk",
		1024: "no error",
		1025: invalidParams + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
	} {
		_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("sorted"), Item: M{"pk": api.S("a"), "sk": api.B(long[:n])}})
		wantError(t, err, want)
	}
	_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: base(nil), ReturnValues: new("ALL_NEW")})
	wantError(t, err, "ValidationException: ReturnValues can only be ALL_OLD or NONE")
	_, err = b.PutItem(b.ctx, &api.PutItemInput{TableName: new("nope"), Item: base(nil)})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found")
}

func TestKeyValidation(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:N")
	const mismatch = "ValidationException: The provided key element does not match the schema"
	for _, c := range []struct {
		key M
		err string
	}{
		{M{"pk": api.S("a")}, mismatch},
		{M{"pk": api.S("a"), "sk": api.N("1"), "x": api.S("y")}, mismatch},
		{M{"pk": api.S("a"), "other": api.N("1")}, mismatch},
		{M{"pk": api.S("a"), "sk": api.S("1")}, mismatch},
		{M{"pk": api.S(""), "sk": api.N("1")}, "ValidationException: One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"},
		{M{"pk": api.S("a"), "sk": api.N("one")}, "ValidationException: The parameter cannot be converted to a numeric value: one"},
	} {
		clone := func() M {
			m := M{}
			for k, v := range c.key {
				m[k] = v
			}
			return m
		}
		_, err := b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: clone()})
		wantError(t, err, c.err)
		_, err = b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: clone()})
		wantError(t, err, c.err)
		_, err = b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: clone()})
		wantError(t, err, c.err)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
func TestConditions(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	put := func(n, condition string, onFailure *string) error {
		_, err := b.PutItem(b.ctx, &api.PutItemInput{
			TableName: new("table"), Item: M{"pk": api.S("a"), "n": api.N(n)}, ConditionExpression: &condition,
			ReturnValuesOnConditionCheckFailure: onFailure,
		})
		return err
	}
	const failed = "ConditionalCheckFailedException: The conditional request failed"
	wantError(t, put("1", "attribute_exists(pk)", new("ALL_OLD")), failed)
	wantError(t, put("1", "attribute_not_exists(pk)", nil), "no error")
	err := put("2", "attribute_not_exists(pk)", new("ALL_OLD"))
	wantError(t, err, failed)
	if c, ok := errors.AsType[*api.ConditionalCheckFailedException](err); !ok || show(c.Item) != "{n=1, pk=a}" {
		t.Errorf("the error holds %v", c)
	}
	if c, ok := errors.AsType[*api.ConditionalCheckFailedException](put("2", "attribute_not_exists(pk)", nil)); !ok || c.Item != nil {
		t.Errorf("the error holds an item nobody asked for: %v", c)
	}
	_, err = b.UpdateItem(b.ctx, &api.UpdateItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("SET n = n + :one"), ConditionExpression: new("n > :one"),
		ExpressionAttributeValues: M{":one": api.N("1")},
	})
	wantError(t, err, failed)
	_, err = b.DeleteItem(b.ctx, &api.DeleteItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a")}, ConditionExpression: new("#n > :one"),
		ExpressionAttributeNames: map[string]string{"#n": "n"}, ExpressionAttributeValues: M{":one": api.N("1")},
	})
	wantError(t, err, failed)
	if got := b.get("table", M{"pk": api.S("a")}); got != "{n=1, pk=a}" {
		t.Errorf("a failed condition changed the item: %s", got)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
func TestParameters(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	names, values := map[string]string{"#a": "a"}, func() M { return M{":v": api.S("x")} }
	put := func(in api.PutItemInput) error {
		in.TableName, in.Item = new("table"), M{"pk": api.S("a")}
		_, err := b.PutItem(b.ctx, &in)
		return err
	}
	wantError(t, put(api.PutItemInput{ExpressionAttributeNames: names}), "ValidationException: ExpressionAttributeNames can only be specified when using expressions")
	wantError(t, put(api.PutItemInput{ExpressionAttributeValues: values()}), "ValidationException: ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
	wantError(t, put(api.PutItemInput{ConditionExpression: new("#a = :v"), Expected: map[string]api.ExpectedAttributeValue{"a": {}}}),
		"ValidationException: Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}")
	wantError(t, put(api.PutItemInput{ConditionExpression: new("#a = :v"), ExpressionAttributeNames: map[string]string{"#a": "a", "#b": "b"}, ExpressionAttributeValues: values()}),
		"ValidationException: Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}")
	wantError(t, put(api.PutItemInput{ConditionExpression: new("a <> :v"), ExpressionAttributeNames: names, ExpressionAttributeValues: values()}),
		"ValidationException: Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}")
	wantError(t, put(api.PutItemInput{ConditionExpression: new("a <> :nope"), ExpressionAttributeValues: values()}),
		"ValidationException: Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :nope")
	_, err := b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ExpressionAttributeValues: values()})
	wantError(t, err, "ValidationException: ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null")
	_, err = b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), ExpressionAttributeValues: values()})
	wantError(t, err, "ValidationException: ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null")
	_, err = b.Query(b.ctx, &api.QueryInput{TableName: new("table"), ExpressionAttributeValues: values()})
	wantError(t, err, "ValidationException: ExpressionAttributeValues can only be specified when using expressions: FilterExpression and KeyConditionExpression are null")
	_, err = b.GetItem(b.ctx, &api.GetItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a")}, ProjectionExpression: new("a"), AttributesToGet: []string{"a"},
	})
	wantError(t, err, "ValidationException: Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}")
	_, err = b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, AttributesToGet: []string{"a", "a"}})
	wantError(t, err, invalidParams+"Duplicate value in attribute name: a")
}

func TestGetSelection(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table", M{"pk": api.S("a"), "x": api.S("1"), "m": api.M{"k": api.N("2"), "o": api.N("3")}})
	for projection, want := range map[string]string{
		"x": "{x=1}", "pk, m.k": "{m={k=2}, pk=a}", "nope": "{}", "m.k, m.o": "{m={k=2, o=3}}",
	} {
		out := must(b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ProjectionExpression: &projection}))(t)
		if got := show(out.Item); got != want {
			t.Errorf("%s: got %s, want %s", projection, got, want)
		}
	}
	out := must(b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, AttributesToGet: []string{"x", "nope"}}))(t)
	if got, want := show(out.Item), "{x=1}"; got != want {
		t.Errorf("AttributesToGet: got %s, want %s", got, want)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "idx ik:S ALL")
	update := func(pk, expr, returnValues string, values M) (string, error) {
		in := &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S(pk)}, ReturnValues: &returnValues, ExpressionAttributeValues: values,
		}
		if expr != "" {
			in.UpdateExpression = &expr
		}
		out, err := b.UpdateItem(b.ctx, in)
		if err != nil {
			return "", err
		}
		return show(out.Attributes), nil
	}
	one := func() M { return M{":one": api.N("1")} }
	for _, c := range []struct{ pk, expr, returnValues, want string }{
		{"a", "ADD n :one", "ALL_OLD", "none"},
		{"b", "ADD n :one", "UPDATED_OLD", "none"},
		{"c", "ADD n :one", "ALL_NEW", "{n=1, pk=c}"},
		{"d", "ADD n :one", "UPDATED_NEW", "{n=1}"},
		{"d", "ADD n :one", "NONE", "none"},
		{"d", "SET n = n + :one, m = :one", "UPDATED_OLD", "{n=2}"},
		{"d", "SET n = n + :one, m = n", "UPDATED_NEW", "{m=3, n=4}"},
		{"d", "SET n = n + :one", "ALL_OLD", "{m=3, n=4, pk=d}"},
		{"d", "REMOVE m ADD n :one", "UPDATED_NEW", "{n=6}"},
		{"d", "", "ALL_NEW", "{n=6, pk=d}"},
		{"e", "", "ALL_NEW", "{pk=e}"},
		{"e", "REMOVE x", "ALL_NEW", "{pk=e}"},
		{"e", "REMOVE x", "UPDATED_NEW", "none"},
	} {
		values := M(nil)
		if strings.Contains(c.expr, ":one") {
			values = one()
		}
		got, err := update(c.pk, c.expr, c.returnValues, values)
		if err != nil || got != c.want {
			t.Errorf("%s %s %s: got %s, %v; want %s", c.pk, c.expr, c.returnValues, got, err, c.want)
		}
	}

	// Of what is nested only the parts that the update names are returned.
	b.put("table", M{"pk": api.S("n"), "m": api.M{"a": api.S("x"), "b": api.S("y")}, "l": api.L{api.S("0"), api.S("1"), api.S("2")}})
	for _, c := range []struct{ returnValues, want string }{{"UPDATED_OLD", "{l=[1], m={a=x}}"}, {"UPDATED_NEW", "{l=[1], m={a=1}}"}} {
		got, err := update("n", "SET m.a = :one, l[1] = :one", c.returnValues, one())
		if err != nil || got != c.want {
			t.Errorf("nested %s: got %s, %v; want %s", c.returnValues, got, err, c.want)
		}
	}

	for expr, want := range map[string]string{
		"SET pk = :one":    invalidParams + "Cannot update attribute pk. This attribute is part of the key",
		"REMOVE pk.x":      invalidParams + "Cannot update attribute pk. This attribute is part of the key",
		"SET n = nope":     "ValidationException: The provided expression refers to an attribute that does not exist in the item",
		"SET nope.x = pk":  "ValidationException: The document path provided in the update expression is invalid for update",
		"SET n = pk + n":   "ValidationException: An operand in the update expression has an incorrect data type",
		"SET ik = :one":    invalidParams + "Type mismatch for Index Key ik Expected: S Actual: N IndexName: idx",
		"SET ik = n":       "ValidationException: The update expression attempted to update the secondary index key to unsupported type",
		"SET ik.x = :one":  "ValidationException: Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: ik",
		"SET x = :long":    "ValidationException: Item size to update has exceeded the maximum allowed size",
		"SET n = n + nope": "ValidationException: The provided expression refers to an attribute that does not exist in the item",
	} {
		values := M(nil)
		switch {
		case strings.Contains(expr, ":one"):
			values = one()
		case strings.Contains(expr, ":long"):
			values = M{":long": api.S(strings.Repeat("x", 400<<10))}
		}
		_, err := update("d", expr, "NONE", values)
		wantError(t, err, want)
	}
	if got := b.get("table", M{"pk": api.S("d")}); got != "{n=6, pk=d}" {
		t.Errorf("a refused update changed the item: %s", got)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
func TestCapacity(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S KEYS_ONLY")
	text := func(n int) api.S { return api.S(strings.Repeat("x", n)) }
	put := func(m M, wanted string) string {
		return showCapacity(must(b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: m, ReturnConsumedCapacity: &wanted}))(t).ConsumedCapacity)
	}
	get := func(pk string, consistent bool) string {
		return showCapacity(must(b.GetItem(b.ctx, &api.GetItemInput{
			TableName: new("table"), Key: M{"pk": api.S(pk)}, ConsistentRead: &consistent, ReturnConsumedCapacity: new("TOTAL"),
		}))(t).ConsumedCapacity)
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	// pk=a is 3 bytes and the name x is 1.
	check("not asked for", put(M{"pk": api.S("a")}, "NONE"), "none")
	check("put of 1 KB", put(M{"pk": api.S("a"), "x": text(1024 - 4)}, "TOTAL"), "table 1")
	check("put of 1 KB and a byte", put(M{"pk": api.S("a"), "x": text(1024 - 3)}, "TOTAL"), "table 2")
	check("put of little over much", put(M{"pk": api.S("a")}, "TOTAL"), "table 2")
	check("put with INDEXES", put(M{"pk": api.S("a")}, "INDEXES"), "table 1 table 1")
	check("put into the index", put(M{"pk": api.S("a"), "g": api.S("1")}, "INDEXES"), "table 2 table 1 gsi 1")
	check("put that leaves the index alone", put(M{"pk": api.S("a"), "g": api.S("1"), "x": text(9)}, "INDEXES"), "table 1 table 1")
	check("put that moves in the index", put(M{"pk": api.S("a"), "g": api.S("2")}, "INDEXES"), "table 3 table 1 gsi 2")
	check("put that leaves the index", put(M{"pk": api.S("a")}, "TOTAL"), "table 2")
	check("get of nothing", get("nope", false), "table 0.5")
	check("consistent get of nothing", get("nope", true), "table 1")
	b.put("table", M{"pk": api.S("a"), "x": text(4096 - 4)})
	check("get of 4 KB", get("a", false), "table 0.5")
	b.put("table", M{"pk": api.S("a"), "x": text(4096 - 3)})
	check("get of 4 KB and a byte", get("a", false), "table 1")
	check("consistent get of 4 KB and a byte", get("a", true), "table 2")
	out := must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ReturnConsumedCapacity: new("TOTAL")}))(t)
	check("delete of 4 KB and a byte", showCapacity(out.ConsumedCapacity), "table 5")
	out = must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, ReturnConsumedCapacity: new("TOTAL")}))(t)
	check("delete of nothing", showCapacity(out.ConsumedCapacity), "table 1")
	updated := must(b.UpdateItem(b.ctx, &api.UpdateItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("SET x = :x"),
		ExpressionAttributeValues: M{":x": text(2048)}, ReturnConsumedCapacity: new("TOTAL"),
	}))(t)
	check("update to 2 KB and more", showCapacity(updated.ConsumedCapacity), "table 3")
}

// No increment is lost, and of many that make an item only one succeeds.
func TestConcurrentWrites(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S ALL")
	const workers, rounds = 8, 20
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		made int
	)
	for range workers {
		wg.Go(func() {
			for range rounds {
				if _, err := b.UpdateItem(b.ctx, &api.UpdateItemInput{
					TableName: new("table"), Key: M{"pk": api.S("counter")}, UpdateExpression: new("ADD n :one SET g = :g"),
					ExpressionAttributeValues: M{":one": api.N("1"), ":g": api.S("g")},
				}); err != nil {
					t.Error(err)
				}
			}
			_, err := b.PutItem(b.ctx, &api.PutItemInput{
				TableName: new("table"), Item: M{"pk": api.S("once")}, ConditionExpression: new("attribute_not_exists(pk)"),
			})
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got, want := b.get("table", M{"pk": api.S("counter")}), "{g=g, n=160, pk=counter}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if made != 1 {
		t.Errorf("%d of %d conditional puts succeeded", made, workers)
	}
	out := must(b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), IndexName: new("gsi")}))(t)
	if got, want := showAll(out.Items), "{g=g, n=160, pk=counter}"; got != want {
		t.Errorf("index: got %s, want %s", got, want)
	}
}

// A store that fails is DynamoDB's InternalServerError, which SDKs try again.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func TestStoreFaults(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}})
	_, putErr := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: M{"pk": api.S("a")}})
	for _, err := range []error{getErr, putErr} {
		e, ok := errors.AsType[awserr.Error](err)
		if !ok || e.ErrorCode() != "InternalServerError" || e.HTTPStatus() != 500 || e.ErrorMessage() != "Internal server error" {
			t.Errorf("got %v", err)
		}
		if !errors.Is(err, kv.ErrClosed) {
			t.Errorf("%v hides its cause from the log", err)
		}
	}
}

// An UpdateItem of its own counts what it writes, and something for each action; every other write counts the item.
// https://github.com/paritysuite/dynamodb-conformance (tests/tier3/limits/itemSizeBySurface.test.ts)
func TestLargestUpdate(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	key := M{"pk": api.S("K")} // three bytes
	pad := func(size int) M { return M{":v": api.S(strings.Repeat("x", size-len("pkK")-len("b")))} }
	alone := func(size int, expr string) error {
		_, err := b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: key, UpdateExpression: &expr, ExpressionAttributeValues: pad(size)})
		return err
	}
	transacted := func(size int) error {
		_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{{Update: &api.Update{
			TableName: new("table"), Key: key, UpdateExpression: new("SET b = :v"), ExpressionAttributeValues: pad(size),
		}}}})
		return err
	}
	statement := func(size int) error {
		_, err := b.run(`UPDATE "table" SET b = ? WHERE pk = 'K'`, pad(size)[":v"])
		return err
	}
	const (
		largest = 400 << 10
		tooBig  = "ValidationException: Item size to update has exceeded the maximum allowed size"
	)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"one SET", alone(largest+3-22, "SET b = :v"), "no error"},
		{"one SET", alone(largest+3-22+1, "SET b = :v"), tooBig},
		{"a REMOVE besides", alone(largest+3-24, "SET b = :v REMOVE c"), "no error"},
		{"a REMOVE besides", alone(largest+3-24+1, "SET b = :v REMOVE c"), tooBig},
		{"in a transaction", transacted(largest), "no error"},
		{"in a transaction", transacted(largest + 1), "TransactionCanceledException: …"},
		{"a statement", statement(largest), "no error"},
		{"a statement", statement(largest + 1), tooBig},
	} {
		t.Log(c.name)
		wantError(t, c.err, c.want)
	}
}
