package dynamodb

import (
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
)

// condition makes a legacy condition of an operator and its values.
func condition(operator string, values ...api.AttributeValue) api.Condition {
	return api.Condition{ComparisonOperator: &operator, AttributeValueList: values}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Conditions.html
func TestScanFilter(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table",
		M{"pk": api.S("none")},
		M{"pk": api.S("s"), "a": api.S("abc"), "b.c": api.N("1")},
		M{"pk": api.S("n"), "a": api.N("5")},
		M{"pk": api.S("ss"), "a": api.SS{"abc", "d"}},
		M{"pk": api.S("l"), "a": api.L{api.N("5")}},
	)
	type filter = map[string]api.Condition
	scan := func(f filter, operator *string) (string, error) {
		out, err := b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), ScanFilter: f, ConditionalOperator: operator})
		if err != nil {
			return "", err
		}
		var keys []string
		for _, m := range out.Items {
			keys = append(keys, string(m["pk"].(api.S)))
		}
		slices.Sort(keys)
		return strings.Join(keys, " "), nil
	}
	for _, c := range []struct {
		f    filter
		want string
	}{
		{filter{}, "l n none s ss"},
		{filter{"a": condition("EQ", api.N("5.0"))}, "n"},
		{filter{"a": condition("EQ", api.L{api.N("5")})}, "l"},
		{filter{"a": condition("NE", api.N("5"))}, "l none s ss"},
		{filter{"a": condition("LT", api.N("6"))}, "n"},
		{filter{"a": condition("LE", api.N("5"))}, "n"},
		{filter{"a": condition("GT", api.S("abb"))}, "s"},
		{filter{"a": condition("GE", api.S("abc"))}, "s"},
		{filter{"a": condition("NULL")}, "none"},
		{filter{"a": condition("NOT_NULL")}, "l n s ss"},
		{filter{"a": condition("CONTAINS", api.S("abc"))}, "s ss"},
		{filter{"a": condition("CONTAINS", api.N("5"))}, "l"},
		{filter{"a": condition("NOT_CONTAINS", api.S("bc"))}, "l n none ss"},
		{filter{"a": condition("BEGINS_WITH", api.S("ab"))}, "s"},
		{filter{"a": condition("IN", api.N("5"), api.N("7"))}, "n"},
		{filter{"a": condition("BETWEEN", api.N("4"), api.N("5"))}, "n"},
		// A name is no path.
		{filter{"b.c": condition("EQ", api.N("1"))}, "s"},
		{filter{"pk": condition("EQ", api.S("n")), "a": condition("NULL")}, ""},
	} {
		got, err := scan(c.f, nil)
		if err != nil || got != c.want {
			t.Errorf("%v: got %q, %v; want %q", c.f, got, err, c.want)
		}
	}
	if got, err := scan(filter{"pk": condition("EQ", api.S("n")), "a": condition("NULL")}, new("OR")); got != "n none" {
		t.Errorf("OR: got %q, %v", got, err)
	}
	const v = "ValidationException: "
	for _, c := range []struct {
		f        filter
		operator *string
		err      string
	}{
		{nil, new("AND"), v + "ConditionalOperator cannot be used without Filter or Expected"},
		{filter{"a": condition("NULL")}, new("OR"), v + "ConditionalOperator can only be used when Filter or Expected has two or more elements"},
		{filter{"a": condition("NULL", api.S("x"))}, nil, invalidParams + "Invalid number of argument(s) for the NULL ComparisonOperator"},
		{filter{"a": condition("EQ")}, nil, invalidParams + "Invalid number of argument(s) for the EQ ComparisonOperator"},
		{filter{"a": condition("IN")}, nil, invalidParams + "Invalid number of argument(s) for the IN ComparisonOperator"},
		{filter{"a": condition("BETWEEN", api.S("x"))}, nil, invalidParams + "Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
		{filter{"a": condition("LE", api.SS{"x"})}, nil, invalidParams + "ComparisonOperator LE is not valid for SS AttributeValue type"},
		{filter{"a": condition("BEGINS_WITH", api.N("1"))}, nil, invalidParams + "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"},
		{filter{"a": condition("CONTAINS", api.L{})}, nil, invalidParams + "ComparisonOperator CONTAINS is not valid for L AttributeValue type"},
		{filter{"a": condition("IN", api.S("x"), api.N("1"))}, nil, invalidParams + "AttributeValues inside AttributeValueList must be of same type"},
		{filter{"a": condition("BETWEEN", api.N("2"), api.N("1"))}, nil, v + "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"},
		{filter{"a": condition("EQ", api.N("x"))}, nil, v + "The parameter cannot be converted to a numeric value: x"},
		{filter{"a": condition("EQ", api.Malformed(nil))}, nil, v + "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
	} {
		_, err := scan(c.f, c.operator)
		wantError(t, err, c.err)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.KeyConditions.html
func TestKeyConditions(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:S")
	for _, sk := range []string{"a", "ab", "b", "c"} {
		b.put("table", M{"pk": api.S("p"), "sk": api.S(sk), "v": api.S(sk)})
	}
	type conditions = map[string]api.Condition
	pk := condition("EQ", api.S("p"))
	query := func(in api.QueryInput) (string, error) {
		in.TableName = new("table")
		out, err := b.Query(b.ctx, &in)
		if err != nil {
			return "", err
		}
		var keys []string
		for _, m := range out.Items {
			keys = append(keys, string(m["sk"].(api.S)))
		}
		return strings.Join(keys, " "), nil
	}
	for _, c := range []struct {
		sk   api.Condition
		want string
	}{
		{condition("EQ", api.S("ab")), "ab"}, {condition("LT", api.S("ab")), "a"}, {condition("LE", api.S("ab")), "a ab"},
		{condition("GT", api.S("ab")), "b c"}, {condition("GE", api.S("ab")), "ab b c"},
		{condition("BETWEEN", api.S("ab"), api.S("b")), "ab b"}, {condition("BEGINS_WITH", api.S("a")), "a ab"},
	} {
		got, err := query(api.QueryInput{KeyConditions: conditions{"pk": pk, "sk": c.sk}})
		if err != nil || got != c.want {
			t.Errorf("%v: got %q, %v; want %q", c.sk, got, err, c.want)
		}
	}
	for _, in := range []api.QueryInput{
		{KeyConditions: conditions{"pk": pk}, QueryFilter: conditions{"v": condition("NE", api.S("b"))}},
		{KeyConditions: conditions{"pk": pk}, FilterExpression: new("v <> :b"), ExpressionAttributeValues: M{":b": api.S("b")}},
	} {
		if got, err := query(in); err != nil || got != "a ab c" {
			t.Errorf("filtered: %q, %v", got, err)
		}
	}
	const v = "ValidationException: "
	for _, c := range []struct {
		in  api.QueryInput
		err string
	}{
		{api.QueryInput{KeyConditions: conditions{}}, v + "Conditions can be of length 1 or 2 only"},
		{api.QueryInput{KeyConditions: conditions{"pk": pk, "a": pk, "b": pk}}, v + "Conditions can be of length 1 or 2 only"},
		{api.QueryInput{KeyConditions: conditions{"sk": pk}}, v + "Query condition missed key schema element: pk"},
		{api.QueryInput{KeyConditions: conditions{"pk": pk, "v": pk}}, v + "Query condition missed key schema element: sk"},
		{api.QueryInput{KeyConditions: conditions{"pk": condition("NULL")}}, v + "Attempted conditional constraint is not an indexable operation"},
		{api.QueryInput{KeyConditions: conditions{"pk": condition("LT", api.S("p"))}}, v + "Query key condition not supported"},
		{api.QueryInput{KeyConditions: conditions{"pk": pk, "sk": condition("NE", api.S("p"))}}, v + "Attempted conditional constraint is not an indexable operation"},
		{api.QueryInput{KeyConditions: conditions{"pk": condition("EQ", api.N("1"))}}, invalidParams + "Condition parameter type does not match schema type"},
		{api.QueryInput{KeyConditions: conditions{"pk": pk}, QueryFilter: conditions{"sk": pk}}, v + "QueryFilter can only contain non-primary key attributes: Primary key attribute: sk"},
		{api.QueryInput{ConditionalOperator: new("AND")}, v + "ConditionalOperator cannot be used without Filter or Expected"},
		{
			api.QueryInput{
				KeyConditions: conditions{"pk": pk}, QueryFilter: conditions{"v": pk}, ConditionalOperator: new("AND"), AttributesToGet: []string{"v"},
				KeyConditionExpression: new("pk = :p"), FilterExpression: new("v = :p"), ProjectionExpression: new("v"),
			},
			v + "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: " +
				"{AttributesToGet, QueryFilter, ConditionalOperator, KeyConditions} Expression parameters: " +
				"{ProjectionExpression, FilterExpression, KeyConditionExpression}",
		},
	} {
		_, err := query(c.in)
		wantError(t, err, c.err)
	}
	// Policies see the partition key of a KeyConditions as they see that of an expression.
	checks, _, err := b.Checks(b.ctx, "Query", &api.QueryInput{TableName: new("table"), KeyConditions: conditions{"pk": pk}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := showChecks(checks), "dynamodb:Query table/table dynamodb:Attributes=[pk] dynamodb:LeadingKeys=[p] dynamodb:Select=[ALL_ATTRIBUTES]"; got != want {
		t.Errorf("checks: %s", got)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.Expected.html
func TestExpected(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table", M{"pk": api.S("a"), "n": api.N("1")})
	type expected = map[string]api.ExpectedAttributeValue
	const failed = "ConditionalCheckFailedException: The conditional request failed"
	list := func(values ...api.AttributeValue) []api.AttributeValue { return values }
	for _, c := range []struct {
		e        expected
		operator *string
		err      string
	}{
		{expected{"n": {Value: api.N("1.0")}}, nil, "no error"},
		{expected{"n": {Value: api.N("1"), Exists: new(true)}}, nil, "no error"},
		{expected{"n": {Value: api.N("2")}}, nil, failed},
		{expected{"n": {Exists: new(false)}}, nil, failed},
		{expected{"x": {Exists: new(false)}}, nil, "no error"},
		{expected{"n": {ComparisonOperator: new("GT"), AttributeValueList: list(api.N("0"))}}, nil, "no error"},
		{expected{"n": {ComparisonOperator: new("GT"), Value: api.N("1")}}, nil, failed},
		{expected{"n": {ComparisonOperator: new("NOT_NULL")}}, nil, "no error"},
		{expected{"n": {Value: api.N("2")}, "x": {Exists: new(false)}}, nil, failed},
		{expected{"n": {Value: api.N("2")}, "x": {Exists: new(false)}}, new("OR"), "no error"},
		{expected{"n": {}}, nil, invalidParams + "Value must be provided when Exists is null for Attribute: n"},
		{expected{"n": {Exists: new(true)}}, nil, invalidParams + "Value must be provided when Exists is true for Attribute: n"},
		{expected{"n": {Exists: new(false), Value: api.N("1")}}, nil, invalidParams + "Value cannot be used when Exists is false for Attribute: n"},
		{expected{"n": {AttributeValueList: list(api.N("1"))}}, nil, invalidParams + "AttributeValueList can only be used with a ComparisonOperator for Attribute: n"},
		{expected{"n": {AttributeValueList: list(api.N("1")), Value: api.N("1")}}, nil, invalidParams + "Value and AttributeValueList cannot be used together for Attribute: n"},
		{expected{"n": {ComparisonOperator: new("EQ"), Exists: new(true)}}, nil, invalidParams + "Exists and ComparisonOperator cannot be used together for Attribute: n"},
		{expected{"n": {ComparisonOperator: new("LT")}}, nil, invalidParams + "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: n"},
		{expected{"n": {Value: api.N("1")}}, new("AND"), "ValidationException: ConditionalOperator can only be used when Filter or Expected has two or more elements"},
	} {
		_, err := b.PutItem(b.ctx, &api.PutItemInput{
			TableName: new("table"), Item: M{"pk": api.S("a"), "n": api.N("1")}, Expected: c.e, ConditionalOperator: c.operator,
		})
		wantError(t, err, c.err)
		_, err = b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, Expected: c.e, ConditionalOperator: c.operator})
		wantError(t, err, c.err)
		_, err = b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}, Expected: c.e, ConditionalOperator: c.operator})
		wantError(t, err, c.err)
		b.put("table", M{"pk": api.S("a"), "n": api.N("1")})
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html
func TestAttributeUpdates(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	type updates = map[string]api.AttributeValueUpdate
	update := func(pk string, u updates) (*api.UpdateItemOutput, error) {
		return b.UpdateItem(b.ctx, &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S(pk)}, AttributeUpdates: u, ReturnValues: new("UPDATED_NEW"),
		})
	}
	old := M{"pk": api.S("a"), "n": api.N("1"), "ss": api.SS{"x", "y"}, "l": api.L{api.N("1")}}
	for _, c := range []struct {
		u    updates
		want string
	}{
		{updates{"n": {Value: api.S("new")}}, "{l=[1], n=new, pk=a, ss=[x y]}"},
		{updates{"n": {Action: new("PUT"), Value: api.S("new")}}, "{l=[1], n=new, pk=a, ss=[x y]}"},
		{updates{"n": {Action: new("ADD"), Value: api.N("2")}, "m": {Action: new("ADD"), Value: api.N("2")}}, "{l=[1], m=2, n=3, pk=a, ss=[x y]}"},
		{updates{"ss": {Action: new("ADD"), Value: api.SS{"y", "z"}}}, "{l=[1], n=1, pk=a, ss=[x y z]}"},
		{updates{"l": {Action: new("ADD"), Value: api.L{api.N("2")}}}, "{l=[1 2], n=1, pk=a, ss=[x y]}"},
		{updates{"ss": {Action: new("DELETE"), Value: api.SS{"y", "z"}}}, "{l=[1], n=1, pk=a, ss=[x]}"},
		{updates{"ss": {Action: new("DELETE"), Value: api.SS{"x", "y"}}}, "{l=[1], n=1, pk=a}"},
		{updates{"ss": {Action: new("DELETE")}, "nope": {Action: new("DELETE")}}, "{l=[1], n=1, pk=a}"},
		{updates{}, "{l=[1], n=1, pk=a, ss=[x y]}"},
	} {
		b.put("table", old)
		if _, err := update("a", c.u); err != nil {
			t.Errorf("%v: %v", c.u, err)
		}
		if got := b.get("table", M{"pk": api.S("a")}); got != c.want {
			t.Errorf("%v: got %s, want %s", c.u, got, c.want)
		}
	}
	b.put("table", old)
	out := must(update("a", updates{"n": {Action: new("ADD"), Value: api.N("1")}, "ss": {Action: new("DELETE")}}))(t)
	if got := show(out.Attributes); got != "{n=2}" {
		t.Errorf("UPDATED_NEW: %s", got)
	}
	// DELETE makes no item, all others do.
	must(update("b", updates{"n": {Action: new("DELETE")}}))(t)
	must(update("c", updates{"n": {Action: new("ADD"), Value: api.N("1")}}))(t)
	must(update("d", nil))(t)
	for pk, want := range map[string]string{"b": "none", "c": "{n=1, pk=c}", "d": "{pk=d}"} {
		if got := b.get("table", M{"pk": api.S(pk)}); got != want {
			t.Errorf("%s: got %s, want %s", pk, got, want)
		}
	}
	b.put("table", old)
	for _, c := range []struct {
		u   updates
		err string
	}{
		{updates{"n": {}}, invalidParams + "Only DELETE action is allowed when no attribute value is specified"},
		{updates{"n": {Action: new("ADD")}}, invalidParams + "Only DELETE action is allowed when no attribute value is specified"},
		{updates{"n": {Action: new("DELETE"), Value: api.N("1")}}, invalidParams + "DELETE action with value is not supported for the type N"},
		{updates{"n": {Action: new("ADD"), Value: api.S("1")}}, invalidParams + "ADD action is not supported for the type S"},
		{updates{"ss": {Action: new("ADD"), Value: api.N("1")}}, "ValidationException: Type mismatch for attribute to update"},
		{updates{"ss": {Action: new("DELETE"), Value: api.NS{"1"}}}, "ValidationException: Type mismatch for attribute to update"},
		{updates{"pk": {Value: api.S("1")}}, invalidParams + "Cannot update attribute pk. This attribute is part of the key"},
	} {
		_, err := update("a", c.u)
		wantError(t, err, c.err)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ItemCollections
func TestItemCollectionMetrics(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:S", "local lsi pk:S,l:S ALL")
	b.create("plain", "pk:S")
	m := M{"pk": api.S("a"), "sk": api.S("b"), "l": api.S("c")}
	check := func(what string, got *api.ItemCollectionMetrics) {
		t.Helper()
		if got == nil || show(got.ItemCollectionKey) != "{pk=a}" || !slices.Equal(got.SizeEstimateRangeGB, []float64{0, 1}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	check("put", must(b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: m, ReturnItemCollectionMetrics: new("SIZE")}))(t).ItemCollectionMetrics)
	check("update", must(b.UpdateItem(b.ctx, &api.UpdateItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a"), "sk": api.S("b")}, ReturnItemCollectionMetrics: new("SIZE"),
	}))(t).ItemCollectionMetrics)
	batch := must(b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{ReturnItemCollectionMetrics: new("SIZE"), RequestItems: map[string][]api.WriteRequest{
		"table": {{PutRequest: &api.PutRequest{Item: m}}, {PutRequest: &api.PutRequest{Item: M{"pk": api.S("a"), "sk": api.S("x")}}}},
		"plain": {{PutRequest: &api.PutRequest{Item: M{"pk": api.S("a")}}}},
	}}))(t).ItemCollectionMetrics
	if len(batch) != 1 || len(batch["table"]) != 1 {
		t.Errorf("batch: %v", batch)
	}
	check("batch", &batch["table"][0])
	transact := must(b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{ReturnItemCollectionMetrics: new("SIZE"), TransactItems: []api.TransactWriteItem{
		{Put: &api.Put{TableName: new("table"), Item: m}},
	}}))(t).ItemCollectionMetrics
	check("transaction", &transact["table"][0])
	if got := must(b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: m}))(t).ItemCollectionMetrics; got != nil {
		t.Errorf("not asked for: %v", got)
	}
	check("delete", must(b.DeleteItem(b.ctx, &api.DeleteItemInput{
		TableName: new("table"), Key: M{"pk": api.S("a"), "sk": api.S("b")}, ReturnItemCollectionMetrics: new("SIZE"),
	}))(t).ItemCollectionMetrics)
}
