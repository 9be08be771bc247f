package sdk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type av = ddb.AttributeValue

func num[T int | string](n T) av { return &ddb.AttributeValueMemberN{Value: fmt.Sprint(n)} }

// list is never nil, which the SDK would write as nothing.
func list(l ...av) av { return &ddb.AttributeValueMemberL{Value: append([]av{}, l...)} }
func values(kv ...any) row {
	m := row{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1].(av)
	}
	return m
}

// content is the text of a string or number.
func content(v av) string {
	switch v := v.(type) {
	case *ddb.AttributeValueMemberS:
		return v.Value
	case *ddb.AttributeValueMemberN:
		return v.Value
	}
	return fmt.Sprintf("%T", v)
}

// column are the contents of one attribute of items.
func column(items []row, name string) string {
	var out []string
	for _, m := range items {
		out = append(out, content(m[name]))
	}
	return strings.Join(out, " ")
}

// newItems makes an account with a table of the key pk, sk (a number), the local index "local" by the number l and the
// global index "global" by the string g and the number sk.
func newItems(t *testing.T) (*dynamodb.Client, aws.Config) {
	t.Helper()
	root := rootOf(newAccount())
	c := dynamodb.NewFromConfig(root)
	define := func(name string, typ ddb.ScalarAttributeType) ddb.AttributeDefinition {
		return ddb.AttributeDefinition{AttributeName: &name, AttributeType: typ}
	}
	key := func(hash, sort string) []ddb.KeySchemaElement {
		return []ddb.KeySchemaElement{{AttributeName: &hash, KeyType: ddb.KeyTypeHash}, {AttributeName: &sort, KeyType: ddb.KeyTypeRange}}
	}
	ok(c.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("items"), BillingMode: ddb.BillingModePayPerRequest, KeySchema: key("pk", "sk"),
		AttributeDefinitions: []ddb.AttributeDefinition{define("pk", "S"), define("sk", "N"), define("l", "N"), define("g", "S")},
		LocalSecondaryIndexes: []ddb.LocalSecondaryIndex{{
			IndexName: aws.String("local"), KeySchema: key("pk", "l"), Projection: &ddb.Projection{ProjectionType: ddb.ProjectionTypeKeysOnly},
		}},
		GlobalSecondaryIndexes: []ddb.GlobalSecondaryIndex{{
			IndexName: aws.String("global"), KeySchema: key("g", "sk"), Projection: &ddb.Projection{ProjectionType: ddb.ProjectionTypeAll},
		}},
	}))(t)
	return c, root
}

func fill(t *testing.T, c *dynamodb.Client, items ...row) {
	t.Helper()
	for chunk := range slices.Chunk(items, 25) {
		var requests []ddb.WriteRequest
		for _, m := range chunk {
			requests = append(requests, ddb.WriteRequest{PutRequest: &ddb.PutRequest{Item: m}})
		}
		out := ok(c.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]ddb.WriteRequest{"items": requests}}))(t)
		if len(out.UnprocessedItems) > 0 {
			t.Fatalf("unprocessed: %v", out.UnprocessedItems)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
func TestItemTypes(t *testing.T) {
	c, _ := newItems(t)
	item := values("pk", text("types"), "sk", num("1.50"),
		"b", &ddb.AttributeValueMemberB{Value: []byte{0, 0xff}}, "bool", &ddb.AttributeValueMemberBOOL{Value: true},
		"null", &ddb.AttributeValueMemberNULL{Value: true}, "ss", &ddb.AttributeValueMemberSS{Value: []string{"b", "a"}},
		"ns", &ddb.AttributeValueMemberNS{Value: []string{"10", "9.0"}}, "bs", &ddb.AttributeValueMemberBS{Value: [][]byte{{2}, {1}}},
		"empty", text(""), "é", text("ü€😀"), "nested", list(list(), &ddb.AttributeValueMemberM{Value: values("x", list(num("1e-130"), num("-9.99e125")))}))
	ok(c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("items"), Item: item}))(t)
	got := ok(c.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("items"), Key: values("pk", text("types"), "sk", num("15e-1")), ConsistentRead: aws.Bool(true),
	}))(t).Item
	// Numbers come back in the canonical form, sets in any order; ours is theirs.
	item["sk"] = num("1.5")
	item["ss"] = &ddb.AttributeValueMemberSS{Value: []string{"a", "b"}}
	item["ns"] = &ddb.AttributeValueMemberNS{Value: []string{"9", "10"}}
	item["bs"] = &ddb.AttributeValueMemberBS{Value: [][]byte{{1}, {2}}}
	item["nested"] = list(list(), &ddb.AttributeValueMemberM{Value: values("x",
		list(num("0."+strings.Repeat("0", 129)+"1"), num("-999"+strings.Repeat("0", 123))))})
	same(t, "the item", got, item)
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
func TestConditionalWrites(t *testing.T) {
	c, _ := newItems(t)
	key := values("pk", text("a"), "sk", num(1))
	put := func(n int, condition string, v row) (*dynamodb.PutItemOutput, error) {
		m := values("pk", text("a"), "sk", num(1), "n", num(n))
		return c.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("items"), Item: m, ConditionExpression: &condition, ExpressionAttributeValues: v, ReturnValues: ddb.ReturnValueAllOld,
			ReturnValuesOnConditionCheckFailure: ddb.ReturnValuesOnConditionCheckFailureAllOld,
		})
	}
	same(t, "old", ok(put(1, "attribute_not_exists(pk)", nil))(t).Attributes, row(nil))
	_, err := put(2, "attribute_not_exists(pk)", nil)
	is[*ddb.ConditionalCheckFailedException](t, err, "The conditional request failed")
	if failed, ok := errors.AsType[*ddb.ConditionalCheckFailedException](err); ok {
		same(t, "the item in the way", content(failed.Item["n"]), "1")
	}
	same(t, "old", content(ok(put(3, "n BETWEEN :a AND :b", values(":a", num(0), ":b", num(1))))(t).Attributes["n"]), "1")

	update := ok(c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("items"), Key: key, ReturnValues: ddb.ReturnValueUpdatedNew,
		UpdateExpression:          aws.String("SET #l = list_append(if_not_exists(#l, :e), :l), n = n - :one ADD ss :s REMOVE nope"),
		ConditionExpression:       aws.String("n IN (:one, :three) AND NOT contains(#l, :one)"),
		ExpressionAttributeNames:  map[string]string{"#l": "list"},
		ExpressionAttributeValues: values(":e", list(), ":l", list(text("x")), ":one", num(1), ":three", num(3), ":s", &ddb.AttributeValueMemberSS{Value: []string{"s"}}),
	}))(t).Attributes
	same(t, "updated", update, values("list", list(text("x")), "n", num(2), "ss", &ddb.AttributeValueMemberSS{Value: []string{"s"}}))

	_, err = c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: aws.String("items"), Key: key, ConditionExpression: aws.String("size(#l) > :v"), ExpressionAttributeNames: map[string]string{"#l": "list"},
		ExpressionAttributeValues: values(":v", num(1)),
	})
	is[*ddb.ConditionalCheckFailedException](t, err, "The conditional request failed")
	old := ok(c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String("items"), Key: key, ReturnValues: ddb.ReturnValueAllOld}))(t).Attributes
	same(t, "deleted", content(old["n"]), "2")
	same(t, "gone", ok(c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("items"), Key: key}))(t).Item, row(nil))
	_, err = c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("nope"), Key: key})
	is[*ddb.ResourceNotFoundException](t, err, "Requested resource not found")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
func TestQueryAndScan(t *testing.T) {
	c, _ := newItems(t)
	var items []row
	for i := range 60 {
		items = append(items, values("pk", text(fmt.Sprint("p", i%3)), "sk", num(i), "l", num(100-i), "g", text(fmt.Sprint("g", i%2)), "odd", num(i%2)))
	}
	fill(t, c, items...)
	var got []row
	pages := dynamodb.NewQueryPaginator(c, &dynamodb.QueryInput{
		TableName: aws.String("items"), KeyConditionExpression: aws.String("pk = :p AND sk >= :s"), FilterExpression: aws.String("odd = :one"),
		ExpressionAttributeValues: values(":p", text("p1"), ":s", num(10), ":one", num(1)), Limit: aws.Int32(4), ScanIndexForward: aws.Bool(false),
		ProjectionExpression: aws.String("sk"),
	})
	scanned, count := int32(0), 0
	for pages.HasMorePages() {
		page := ok(pages.NextPage(t.Context()))(t)
		got = append(got, page.Items...)
		scanned += page.ScannedCount
		count++
	}
	same(t, "queried", column(got, "sk"), "55 49 43 37 31 25 19 13")
	same(t, "scanned, pages", []int{int(scanned), count}, []int{17, 5})

	got = ok(c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("items"), IndexName: aws.String("local"), KeyConditionExpression: aws.String("pk = :p AND l < :l"),
		ExpressionAttributeValues: values(":p", text("p0"), ":l", num(50)), Select: ddb.SelectAllAttributes, ConsistentRead: aws.Bool(true),
	}))(t).Items
	same(t, "by the local index", column(got, "sk")+column(got, "odd"), "57 54 511 0 1")
	got = ok(c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("items"), IndexName: aws.String("global"), KeyConditionExpression: aws.String("g = :g AND sk BETWEEN :a AND :b"),
		ExpressionAttributeValues: values(":g", text("g1"), ":a", num(10), ":b", num(15)),
	}))(t).Items
	same(t, "by the global index", column(got, "sk"), "11 13 15")

	// Segments share the table among them.
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]int{}
	for segment := range int32(4) {
		wg.Go(func() {
			scan := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String("items"), Segment: &segment, TotalSegments: aws.Int32(4), Limit: aws.Int32(7)})
			for scan.HasMorePages() {
				page, err := scan.NextPage(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, m := range page.Items {
					seen[content(m["sk"])]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 60 {
		t.Errorf("segments found %d items", len(seen))
	}
	for sk, n := range seen {
		if n != 1 {
			t.Errorf("item %s was found %d times", sk, n)
		}
	}
	out := ok(c.Scan(t.Context(), &dynamodb.ScanInput{
		TableName: aws.String("items"), Select: ddb.SelectCount, FilterExpression: aws.String("begins_with(g, :g) AND attribute_type(l, :n)"),
		ExpressionAttributeValues: values(":g", text("g0"), ":n", text("N")),
	}))(t)
	same(t, "counted", []int32{out.Count, out.ScannedCount}, []int32{30, 60})

	// A page ends at 1 MB.
	var big []row
	for i := range 10 {
		big = append(big, values("pk", text("big"), "sk", num(i), "text", text(strings.Repeat("x", 200<<10))))
	}
	for _, m := range big {
		ok(c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("items"), Item: m}))(t)
	}
	in := &dynamodb.QueryInput{TableName: aws.String("items"), KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: values(":p", text("big"))}
	first := ok(c.Query(t.Context(), in))(t)
	same(t, "first page", column(first.Items, "sk"), "0 1 2 3 4 5")
	same(t, "its end", content(first.LastEvaluatedKey["sk"]), "5")
	in.ExclusiveStartKey = first.LastEvaluatedKey
	second := ok(c.Query(t.Context(), in))(t)
	same(t, "second page", column(second.Items, "sk"), "6 7 8 9")
	same(t, "no more", second.LastEvaluatedKey, row(nil))

	// So many bytes leave keys of a batch unprocessed: 16 MB.
	for i := range 45 {
		ok(c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("items"), Item: values("pk", text("huge"), "sk", num(i), "text", text(strings.Repeat("x", 390<<10)))}))(t)
	}
	var keys []row
	for i := range 45 {
		keys = append(keys, values("pk", text("huge"), "sk", num(i)))
	}
	requests := map[string]ddb.KeysAndAttributes{"items": {Keys: keys}}
	found, calls := 0, 0
	for len(requests) > 0 {
		batch := ok(c.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: requests}))(t)
		found += len(batch.Responses["items"])
		requests = batch.UnprocessedKeys
		calls++
	}
	same(t, "items, calls", []int{found, calls}, []int{45, 2})
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
func TestItemTransactions(t *testing.T) {
	c, _ := newItems(t)
	fill(t, c, values("pk", text("a"), "sk", num(1), "n", num(1)), values("pk", text("b"), "sk", num(1), "n", num(1)))
	put := func(pk string) ddb.TransactWriteItem {
		return ddb.TransactWriteItem{Put: &ddb.Put{TableName: aws.String("items"), Item: values("pk", text(pk), "sk", num(1)), ConditionExpression: aws.String("attribute_not_exists(pk)"),
			ReturnValuesOnConditionCheckFailure: ddb.ReturnValuesOnConditionCheckFailureAllOld}}
	}
	add := ddb.TransactWriteItem{Update: &ddb.Update{
		TableName: aws.String("items"), Key: values("pk", text("b"), "sk", num(1)), UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: values(":one", num(1)),
	}}
	check := func(n int) ddb.TransactWriteItem {
		return ddb.TransactWriteItem{ConditionCheck: &ddb.ConditionCheck{
			TableName: aws.String("items"), Key: values("pk", text("a"), "sk", num(1)), ConditionExpression: aws.String("n = :n"), ExpressionAttributeValues: values(":n", num(n)),
		}}
	}
	_, err := c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{add, check(2), put("c")}})
	is[*ddb.TransactionCanceledException](t, err, "[None, ConditionalCheckFailed, None]")
	for range 2 {
		out := ok(c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []ddb.TransactWriteItem{add, check(1), put("c")}, ClientRequestToken: aws.String("once"), ReturnConsumedCapacity: ddb.ReturnConsumedCapacityTotal,
		}))(t)
		same(t, "capacity", *out.ConsumedCapacity[0].CapacityUnits, 6.0)
	}
	_, err = c.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{add}, ClientRequestToken: aws.String("once")})
	is[*ddb.IdempotentParameterMismatchException](t, err, "client token")
	get := func(pk string) ddb.TransactGetItem {
		return ddb.TransactGetItem{Get: &ddb.Get{TableName: aws.String("items"), Key: values("pk", text(pk), "sk", num(1))}}
	}
	got := ok(c.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []ddb.TransactGetItem{get("b"), get("nobody"), get("c")}}))(t).Responses
	same(t, "once", []any{content(got[0].Item["n"]), got[1].Item, content(got[2].Item["pk"])}, []any{"2", row(nil), "c"})
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.html
func TestLegacyParameters(t *testing.T) {
	c, _ := newItems(t)
	fill(t, c, values("pk", text("a"), "sk", num(1), "n", num(1)), values("pk", text("a"), "sk", num(2), "n", num(5)))
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("items"), Item: values("pk", text("a"), "sk", num(1)), Expected: map[string]ddb.ExpectedAttributeValue{"pk": {Exists: aws.Bool(false)}},
	})
	is[*ddb.ConditionalCheckFailedException](t, err, "The conditional request failed")
	out := ok(c.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("items"), Key: values("pk", text("a"), "sk", num(1)), ReturnValues: ddb.ReturnValueAllNew, ConditionalOperator: ddb.ConditionalOperatorOr,
		AttributeUpdates: map[string]ddb.AttributeValueUpdate{"n": {Action: ddb.AttributeActionAdd, Value: num(2)}, "x": {Value: text("y")}},
		Expected: map[string]ddb.ExpectedAttributeValue{
			"n":    {ComparisonOperator: ddb.ComparisonOperatorGt, AttributeValueList: []av{num(7)}},
			"nope": {ComparisonOperator: ddb.ComparisonOperatorNull},
		},
	}))(t).Attributes
	same(t, "updated", []string{content(out["n"]), content(out["x"])}, []string{"3", "y"})
	condition := func(op ddb.ComparisonOperator, v ...av) ddb.Condition {
		return ddb.Condition{ComparisonOperator: op, AttributeValueList: v}
	}
	got := ok(c.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("items"), AttributesToGet: []string{"sk"}, QueryFilter: map[string]ddb.Condition{"n": condition("IN", num(5), num(6))},
		KeyConditions: map[string]ddb.Condition{"pk": condition("EQ", text("a")), "sk": condition("BETWEEN", num(0), num(9))},
	}))(t).Items
	same(t, "queried", got, []row{values("sk", num(2))})
	got = ok(c.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("items"), ScanFilter: map[string]ddb.Condition{"x": condition("BEGINS_WITH", text("y"))}}))(t).Items
	same(t, "scanned", column(got, "sk"), "1")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
func TestConsumedCapacity(t *testing.T) {
	c, _ := newItems(t)
	item := values("pk", text("a"), "sk", num(1), "l", num(1), "g", text("g"), "text", text(strings.Repeat("x", 5000)))
	used := ok(c.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("items"), Item: item, ReturnConsumedCapacity: ddb.ReturnConsumedCapacityIndexes, ReturnItemCollectionMetrics: ddb.ReturnItemCollectionMetricsSize,
	}))(t)
	cc := used.ConsumedCapacity
	same(t, "a put", []float64{*cc.CapacityUnits, *cc.Table.CapacityUnits, *cc.LocalSecondaryIndexes["local"].CapacityUnits, *cc.GlobalSecondaryIndexes["global"].CapacityUnits},
		[]float64{11, 5, 1, 5})
	same(t, "its collection", used.ItemCollectionMetrics.SizeEstimateRangeGB, []float64{0, 1})
	get := func(consistent bool) float64 {
		return *ok(c.GetItem(t.Context(), &dynamodb.GetItemInput{
			TableName: aws.String("items"), Key: values("pk", text("a"), "sk", num(1)), ConsistentRead: &consistent, ReturnConsumedCapacity: ddb.ReturnConsumedCapacityTotal,
		}))(t).ConsumedCapacity.CapacityUnits
	}
	same(t, "gets", []float64{get(false), get(true)}, []float64{1, 2})
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
func TestPartiQL(t *testing.T) {
	c, root := newItems(t)
	run := func(c *dynamodb.Client, statement string, parameters ...av) (*dynamodb.ExecuteStatementOutput, error) {
		return c.ExecuteStatement(t.Context(), &dynamodb.ExecuteStatementInput{Statement: &statement, Parameters: parameters})
	}
	var batch []ddb.BatchStatementRequest
	for i := range 10 {
		batch = append(batch, ddb.BatchStatementRequest{
			Statement: aws.String(`INSERT INTO "items" VALUE {'pk': ?, 'sk': ?, 'n': 1}`), Parameters: []av{text(fmt.Sprint("p", i%2)), num(i)},
		})
	}
	for _, r := range ok(c.BatchExecuteStatement(t.Context(), &dynamodb.BatchExecuteStatementInput{Statements: batch}))(t).Responses {
		same(t, "an answer", []any{r.Error, aws.ToString(r.TableName)}, []any{(*ddb.BatchStatementError)(nil), "items"})
	}
	_, err := run(c, `INSERT INTO items VALUE {'pk': 'p0', 'sk': 0}`)
	is[*ddb.DuplicateItemException](t, err, "Duplicate primary key exists in table")

	in := &dynamodb.ExecuteStatementInput{
		Statement: aws.String(`SELECT sk FROM items WHERE pk = ? AND sk > 1 ORDER BY sk DESC`), Parameters: []av{text("p1")}, Limit: aws.Int32(2),
	}
	var found []row
	for {
		out := ok(c.ExecuteStatement(t.Context(), in))(t)
		found = append(found, out.Items...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	same(t, "selected", column(found, "sk"), "9 7 5 3")
	got := ok(run(c, `UPDATE items SET n = n + 1 WHERE pk = 'p1' AND sk = 3 RETURNING ALL NEW *`))(t).Items
	same(t, "updated", got, []row{values("pk", text("p1"), "sk", num(3), "n", num(2))})
	_, err = run(c, `UPDATE items SET n = 1 WHERE pk = 'p1' AND sk = 4`)
	is[*ddb.ConditionalCheckFailedException](t, err, "The conditional request failed")
	_, err = c.ExecuteTransaction(t.Context(), &dynamodb.ExecuteTransactionInput{TransactStatements: []ddb.ParameterizedStatement{
		{Statement: aws.String(`DELETE FROM items WHERE pk = 'p1' AND sk = 3`)}, {Statement: aws.String(`EXISTS(SELECT * FROM items WHERE pk = 'p0' AND sk = 0 AND n = 2)`)},
	}})
	is[*ddb.TransactionCanceledException](t, err, "[None, ConditionalCheckFailed]")

	// A user who may read one partition, and no table as a whole.
	_, user := newUser(t, root, "reader", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"dynamodb:PartiQLSelect","Resource":"*","Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":"p0"}}},
		{"Effect":"Deny","Action":"dynamodb:PartiQLSelect","Resource":"*","Condition":{"Bool":{"dynamodb:FullTableScan":"true"}}}]}`)
	reader := dynamodb.NewFromConfig(user)
	same(t, "allowed", len(ok(run(reader, `SELECT * FROM items WHERE pk = 'p0'`))(t).Items), 5)
	for _, statement := range []string{
		`SELECT * FROM items WHERE pk = 'p1'`, `SELECT * FROM items WHERE pk IN ['p0', 'p1']`, `SELECT * FROM items`, `SELECT * FROM items WHERE sk = 1`,
		`DELETE FROM items WHERE pk = 'p0' AND sk = 0`,
	} {
		_, err := run(reader, statement)
		hasCode(t, err, 400, "AccessDeniedException", "is not authorized to perform: dynamodb:PartiQL")
	}
}
