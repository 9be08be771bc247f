package dynamodb

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/service/dynamodb/item"
)

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
func TestBatchGet(t *testing.T) {
	b := newBench(t)
	b.create("one", "pk:S")
	b.create("two", "pk:S,sk:N")
	b.put("one", M{"pk": api.S("a"), "x": api.S("1")}, M{"pk": api.S("b")})
	b.put("two", M{"pk": api.S("a"), "sk": api.N("1"), "y": api.S("2"), "z": api.S("3")})
	out := must(b.BatchGetItem(b.ctx, &api.BatchGetItemInput{
		RequestItems: map[string]api.KeysAndAttributes{
			"one": {Keys: []M{{"pk": api.S("b")}, {"pk": api.S("nope")}, {"pk": api.S("a")}}},
			"two": {Keys: []M{{"pk": api.S("a"), "sk": api.N("1.0")}}, ProjectionExpression: new("#y"), ExpressionAttributeNames: map[string]string{"#y": "y"}, ConsistentRead: new(true)},
		},
		ReturnConsumedCapacity: new("TOTAL"),
	}))(t)
	if got, want := showAll(out.Responses["one"])+" | "+showAll(out.Responses["two"]), "{pk=b} {pk=a, x=1} | {y=2}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := showCapacity(&out.ConsumedCapacity[0])+" "+showCapacity(&out.ConsumedCapacity[1]), "one 1.5 two 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(out.UnprocessedKeys) != 0 || out.UnprocessedKeys == nil {
		t.Errorf("unprocessed: %v", out.UnprocessedKeys)
	}

	get := func(table string, keys ...M) error {
		_, err := b.BatchGetItem(b.ctx, &api.BatchGetItemInput{RequestItems: map[string]api.KeysAndAttributes{table: {Keys: keys}}})
		return err
	}
	wantError(t, get("one", M{"pk": api.S("a")}, M{"pk": api.S("a")}), "ValidationException: Provided list of item keys contains duplicates")
	wantError(t, get("two", M{"pk": api.S("a"), "sk": api.N("1")}, M{"pk": api.S("a"), "sk": api.N("1.0")}), "ValidationException: Provided list of item keys contains duplicates")
	wantError(t, get("one", M{"pk": api.N("1")}), "ValidationException: The provided key element does not match the schema")
	wantError(t, get("nope", M{"pk": api.N("1")}), "ResourceNotFoundException: Requested resource not found")
	var many []M
	for i := range maxBatchGets + 1 {
		many = append(many, M{"pk": api.S(fmt.Sprint(i))})
	}
	wantError(t, get("one", many...), "ValidationException: Too many items requested for the BatchGetItem call")
	wantError(t, get("one", many[1:]...), "no error")
}

// What does not fit into 16 MB is left for another call.
func TestBatchGetSize(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	var keys []M
	for i := range 50 {
		key := M{"pk": api.S(fmt.Sprintf("%02d", i))}
		m := M{"pk": key["pk"], "x": api.S(strings.Repeat("x", item.MaxSize-5))}
		b.put("table", m)
		keys = append(keys, key)
	}
	request := map[string]api.KeysAndAttributes{"table": {Keys: keys}}
	total := 0
	for len(request) > 0 {
		out := must(b.BatchGetItem(b.ctx, &api.BatchGetItemInput{RequestItems: request}))(t)
		n := len(out.Responses["table"])
		if n == 0 || n*item.MaxSize > maxBatchGetSize+item.MaxSize {
			t.Fatalf("%d items in a response", n)
		}
		total += n
		request = out.UnprocessedKeys
	}
	if total != len(keys) {
		t.Errorf("%d of %d items", total, len(keys))
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
func TestBatchWrite(t *testing.T) {
	b := newBench(t)
	b.create("one", "pk:S")
	b.create("two", "pk:S", "gsi g:S ALL")
	put := func(m M) api.WriteRequest { return api.WriteRequest{PutRequest: &api.PutRequest{Item: m}} }
	remove := func(m M) api.WriteRequest { return api.WriteRequest{DeleteRequest: &api.DeleteRequest{Key: m}} }
	b.put("one", M{"pk": api.S("gone")})
	out := must(b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{
		RequestItems: map[string][]api.WriteRequest{
			"one": {put(M{"pk": api.S("a")}), remove(M{"pk": api.S("gone")})}, "two": {put(M{"pk": api.S("b"), "g": api.S("g")})},
		},
		ReturnConsumedCapacity: new("INDEXES"),
	}))(t)
	if got, want := showCapacity(&out.ConsumedCapacity[0])+"; "+showCapacity(&out.ConsumedCapacity[1]), "one 2 table 2; two 2 table 1 gsi 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := showAll(b.scanAll(api.ScanInput{TableName: new("one")})) + showAll(b.scanAll(api.ScanInput{TableName: new("two")})); got != "{pk=a}{g=g, pk=b}" {
		t.Errorf("got %s", got)
	}
	write := func(requests ...api.WriteRequest) error {
		_, err := b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"one": requests}})
		return err
	}
	const v = "ValidationException: "
	wantError(t, write(put(M{"pk": api.S("x")}), remove(M{"pk": api.S("x")})), v+"Provided list of item keys contains duplicates")
	wantError(t, write(put(M{"pk": api.S("x")}), put(M{"x": api.S("x")})), v+"The provided key element does not match the schema")
	wantError(t, write(api.WriteRequest{}), v+"Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	wantError(t, write(api.WriteRequest{PutRequest: &api.PutRequest{}, DeleteRequest: &api.DeleteRequest{}}), v+"Supplied WriteRequest has more than one operation set, must contain exactly one of the supported operations")
	if got := b.get("one", M{"pk": api.S("x")}); got != "none" {
		t.Errorf("a refused batch wrote %s", got)
	}
	var many []api.WriteRequest
	for i := range maxBatchWrites + 1 {
		many = append(many, put(M{"pk": api.S(fmt.Sprint(i))}))
	}
	wantError(t, write(many...), v+"Too many items requested for the BatchWriteItem call")
	wantError(t, write(many[1:]...), "no error")
}

func tput(table string, m M, condition string) api.TransactWriteItem {
	p := &api.Put{TableName: &table, Item: m, ReturnValuesOnConditionCheckFailure: new("ALL_OLD")}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return api.TransactWriteItem{Put: p}
}

func (b *bench) transact(items ...api.TransactWriteItem) error {
	_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{TransactItems: items})
	return err
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
func TestTransactWrite(t *testing.T) {
	b := newBench(t)
	b.create("one", "pk:S")
	b.create("two", "pk:S", "gsi g:S ALL")
	b.put("one", M{"pk": api.S("a"), "n": api.N("1")}, M{"pk": api.S("old")}, M{"pk": api.S("guard"), "ok": api.BOOL(true)})
	key := func(pk string) M { return M{"pk": api.S(pk)} }
	out := must(b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{
		TransactItems: []api.TransactWriteItem{
			{ConditionCheck: &api.ConditionCheck{TableName: new("one"), Key: key("guard"), ConditionExpression: new("attribute_exists(ok)")}},
			{Update: &api.Update{TableName: new("one"), Key: key("a"), UpdateExpression: new("ADD n :one"), ConditionExpression: new("n = :one"), ExpressionAttributeValues: M{":one": api.N("1")}}},
			{Delete: &api.Delete{TableName: new("one"), Key: key("old"), ConditionExpression: new("attribute_exists(pk)")}},
			tput("two", M{"pk": api.S("new"), "g": api.S("g")}, "attribute_not_exists(pk)"),
		},
		ReturnConsumedCapacity: new("INDEXES"),
	}))(t)
	if got, want := showCapacity(&out.ConsumedCapacity[0])+"; "+showCapacity(&out.ConsumedCapacity[1]), "one 6 write 6 table 6; two 4 write 4 table 2 gsi 2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := b.get("one", key("a"))+b.get("one", key("old"))+b.get("two", key("new")), "{n=2, pk=a}none{g=g, pk=new}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	// Nothing happens where one part fails, and the reasons stand in the order of the parts.
	err := b.transact(
		tput("one", M{"pk": api.S("x")}, ""),
		tput("one", M{"pk": api.S("a")}, "attribute_not_exists(pk)"),
		api.TransactWriteItem{Update: &api.Update{TableName: new("one"), Key: key("guard"), UpdateExpression: new("ADD ok :one"), ExpressionAttributeValues: M{":one": api.N("1")}}},
		tput("two", M{"nope": api.S("x")}, ""),
	)
	wantError(t, err, "TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, ValidationError, ValidationError]")
	canceled, ok := errors.AsType[*api.TransactionCanceledException](err)
	if !ok {
		t.Fatalf("%T", err)
	}
	var reasons []string
	for _, r := range canceled.CancellationReasons {
		reasons = append(reasons, *r.Code+": "+deref(r.Message)+" "+show(r.Item))
	}
	if got, want := strings.Join(reasons, "; "), "None:  none; ConditionalCheckFailed: The conditional request failed {n=2, pk=a}; "+
		"ValidationError: An operand in the update expression has an incorrect data type none; "+
		"ValidationError: One or more parameter values were invalid: Missing the key pk in the item none"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := b.get("one", key("x")); got != "none" {
		t.Errorf("a cancelled transaction wrote %s", got)
	}

	const v = "ValidationException: "
	wantError(t, b.transact(tput("one", key("x"), ""), tput("one", key("x"), "")), v+"Transaction request cannot include multiple operations on one item")
	wantError(t, b.transact(api.TransactWriteItem{}), v+"TransactItems can only contain one of Check, Put, Update or Delete")
	wantError(t, b.transact(tput("nope", key("x"), "")), "ResourceNotFoundException: Requested resource not found")
	wantError(t, b.transact(tput("one", key("x"), "pk =")), v+`Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="`)
	var large []api.TransactWriteItem
	for i := range 11 {
		large = append(large, tput("one", M{"pk": api.S(fmt.Sprint(i)), "x": api.S(strings.Repeat("x", 390<<10))}, ""))
	}
	wantError(t, b.transact(large...), v+"Collection size of the items in the transaction exceeds the limit of 4 MB")
	wantError(t, b.transact(large[1:]...), "no error")
}

// A request with a token is carried out once in ten minutes.
func TestTransactToken(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	add := func(token, by string) error {
		_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{ClientRequestToken: &token, TransactItems: []api.TransactWriteItem{
			{Update: &api.Update{TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("ADD n :n"), ExpressionAttributeValues: M{":n": api.N(by)}}},
		}})
		return err
	}
	for range 3 {
		wantError(t, add("token", "1"), "no error")
	}
	if got := b.get("table", M{"pk": api.S("a")}); got != "{n=1, pk=a}" {
		t.Errorf("got %s", got)
	}
	wantError(t, add("token", "2"), "IdempotentParameterMismatchException: …")
	wantError(t, add("other", "1"), "no error")
	if got := b.get("table", M{"pk": api.S("a")}); got != "{n=2, pk=a}" {
		t.Errorf("got %s", got)
	}

	// A token whose transaction failed stands for nothing.
	failing := func(condition string) error {
		_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{ClientRequestToken: new("failing"), TransactItems: []api.TransactWriteItem{
			tput("table", M{"pk": api.S("b")}, condition),
		}})
		return err
	}
	wantError(t, failing("attribute_exists(pk)"), "TransactionCanceledException: …")
	wantError(t, failing("attribute_not_exists(pk)"), "no error")

	if n := b.rowsUnder(rows(tagToken)); n != 3 {
		t.Errorf("%d tokens", n)
	}
	if err := b.expire(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.rowsUnder(rows(tagToken)); n != 3 {
		t.Errorf("%d tokens after a look at them", n)
	}
}

func TestExpireTokens(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	add := func() {
		must(b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{ClientRequestToken: new("token"), TransactItems: []api.TransactWriteItem{
			{Update: &api.Update{TableName: new("table"), Key: M{"pk": api.S("a")}, UpdateExpression: new("ADD n :n"), ExpressionAttributeValues: M{":n": api.N("1")}}},
		}}))(t)
	}
	expire := func(want int) {
		t.Helper()
		if err := b.expire(b.ctx); err != nil {
			t.Fatal(err)
		}
		if n := b.rowsUnder(rows(tagToken)); n != want {
			t.Errorf("%d tokens, want %d", n, want)
		}
	}
	add()
	now = now.Add(tokenLife - time.Second)
	add()
	expire(1)
	if got := b.get("table", M{"pk": api.S("a")}); got != "{n=1, pk=a}" {
		t.Errorf("within ten minutes: %s", got)
	}
	now = now.Add(2 * time.Second)
	add() // the token begins anew
	expire(1)
	if got := b.get("table", M{"pk": api.S("a")}); got != "{n=2, pk=a}" {
		t.Errorf("after ten minutes: %s", got)
	}
	now = now.Add(tokenLife + time.Second)
	expire(0)
	if n := b.rowsUnder(rows(tagExpiry)); n != 0 {
		t.Errorf("%d expiries are left", n)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactGetItems.html
func TestTransactGet(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table", M{"pk": api.S("a"), "x": api.S("1")}, M{"pk": api.S("b")})
	get := func(pks ...api.AttributeValue) (*api.TransactGetItemsOutput, error) {
		in := &api.TransactGetItemsInput{ReturnConsumedCapacity: new("TOTAL")}
		for _, pk := range pks {
			in.TransactItems = append(in.TransactItems, api.TransactGetItem{Get: &api.Get{TableName: new("table"), Key: M{"pk": pk}}})
		}
		in.TransactItems[0].Get.ProjectionExpression = new("x")
		return b.TransactGetItems(b.ctx, in)
	}
	out := must(get(api.S("a"), api.S("nope"), api.S("b")))(t)
	var got []string
	for _, r := range out.Responses {
		got = append(got, show(r.Item))
	}
	if got, want := strings.Join(got, " ")+" "+showCapacity(&out.ConsumedCapacity[0]), "{x=1} none {pk=b} table 6 read 6"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err := get(api.S("a"), api.S("a"))
	wantError(t, err, "ValidationException: Transaction request cannot include multiple operations on one item")
	_, err = get(api.S("a"), api.N("1"))
	wantError(t, err, "TransactionCanceledException: Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]")
}
