package dynamodb

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

// createIndex adds an index like those of createInput to a table.
func (b *bench) createIndex(table, spec string) (*api.TableDescription, error) {
	b.Helper()
	in := createInput(table, "unused:S", spec)
	x := in.GlobalSecondaryIndexes[0]
	out, err := b.UpdateTable(b.ctx, &api.UpdateTableInput{
		TableName: &table, AttributeDefinitions: in.AttributeDefinitions[1:],
		GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{Create: &api.CreateGlobalSecondaryIndexAction{
			IndexName: x.IndexName, KeySchema: x.KeySchema, Projection: x.Projection,
		}}},
	})
	if err != nil {
		return nil, err
	}
	return out.TableDescription, nil
}

func (b *bench) deleteIndex(table, name string) (*api.TableDescription, error) {
	b.Helper()
	out, err := b.UpdateTable(b.ctx, &api.UpdateTableInput{
		TableName: &table, GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{
			Delete: &api.DeleteGlobalSecondaryIndexAction{IndexName: &name},
		}},
	})
	if err != nil {
		return nil, err
	}
	return out.TableDescription, nil
}

func (b *bench) describe(table string) *api.TableDescription {
	b.Helper()
	return must(b.DescribeTable(b.ctx, &api.DescribeTableInput{TableName: &table}))(b).Table
}

// fill puts n items with the keys 00000… into a table.
func (b *bench) fill(table string, n int, of func(i int) M) {
	b.Helper()
	for i := 0; i < n; i += maxBatchWrites {
		var requests []api.WriteRequest
		for j := i; j < min(n, i+maxBatchWrites); j++ {
			requests = append(requests, api.WriteRequest{PutRequest: &api.PutRequest{Item: of(j)}})
		}
		must(b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{table: requests}}))(b)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
func TestAddAndRemoveIndex(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	b.put("table", M{"pk": api.S("a"), "g": api.S("x"), "n": api.N("1")}, M{"pk": api.S("b"), "g": api.N("7")}, M{"pk": api.S("c"), "g": api.S("")},
		M{"pk": api.S("d")}, M{"pk": api.S("e"), "g": api.S(strings.Repeat("g", maxPartitionKeySize+1))})
	d := must(b.createIndex("table", "gsi g:S INCLUDE n"))(t)
	if g := d.GlobalSecondaryIndexes[0]; *d.TableStatus != "UPDATING" || *g.IndexStatus != "CREATING" || *g.Backfilling || len(d.AttributeDefinitions) != 2 {
		t.Errorf("%s %+v", *d.TableStatus, g)
	}
	d = b.describe("table")
	if g := d.GlobalSecondaryIndexes[0]; *d.TableStatus != "ACTIVE" || *g.IndexStatus != "ACTIVE" || g.Backfilling != nil || *g.ItemCount != 1 {
		t.Errorf("%s %+v", *d.TableStatus, g)
	}
	scan := func() string {
		return showAll(b.scanAll(api.ScanInput{TableName: new("table"), IndexName: new("gsi")}))
	}
	if got := scan(); got != "{g=x, n=1, pk=a}" {
		t.Errorf("the index has %s", got)
	}
	// What cannot be indexed stays as it is until it is changed.
	set := func(pk, expr string, values M) error {
		_, err := b.UpdateItem(b.ctx, &api.UpdateItemInput{
			TableName: new("table"), Key: M{"pk": api.S(pk)}, UpdateExpression: &expr, ExpressionAttributeValues: values,
		})
		return err
	}
	if err := set("b", "SET n = :v", M{":v": api.N("2")}); err != nil {
		t.Error(err)
	}
	wantError(t, set("b", "SET g = :v", M{":v": api.N("2")}), invalidParams+"Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi")
	if err := set("b", "SET g = :v", M{":v": api.S("y")}); err != nil {
		t.Error(err)
	}
	if got := scan(); !strings.Contains(got, "{g=y, n=2, pk=b}") {
		t.Errorf("the index has %s", got)
	}
	if err := set("c", "REMOVE g", nil); err != nil {
		t.Error(err)
	}

	_, err := b.createIndex("table", "gsi h:S ALL")
	wantError(t, err, "ValidationException: Attempting to create an index which already exists")
	_, err = b.UpdateTable(b.ctx, &api.UpdateTableInput{TableName: new("table"), GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{
		Create: &api.CreateGlobalSecondaryIndexAction{
			IndexName: new("new"), KeySchema: []api.KeySchemaElement{{AttributeName: new("h"), KeyType: new("HASH")}}, Projection: &api.Projection{ProjectionType: new("ALL")},
		},
	}}})
	wantError(t, err, invalidParams+"AttributeDefinitions is not specified for index: new")
	if d = must(b.deleteIndex("table", "gsi"))(t); *d.GlobalSecondaryIndexes[0].IndexStatus != "DELETING" {
		t.Errorf("%+v", d.GlobalSecondaryIndexes[0])
	}
	if d = b.describe("table"); len(d.GlobalSecondaryIndexes) != 0 || len(d.AttributeDefinitions) != 1 || b.rowsUnder(rows(tagIndex)) != 0 {
		t.Errorf("%+v, %d rows", d, b.rowsUnder(rows(tagIndex)))
	}
	must(b.createIndex("table", "gsi n:N ALL"))(t) // the name is free, for another key
	if n := *b.describe("table").GlobalSecondaryIndexes[0].ItemCount; n != 2 {
		t.Errorf("%d entries", n)
	}
	if b.rowsUnder(rows(tagJob)) != 0 {
		t.Error("a job is left")
	}
}

// While an index is filled or emptied the table can be used, and some things cannot be done to it.
func TestIndexUnderWay(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "old o:S ALL")
	const n = 3*jobStep + 7
	b.fill("table", n, func(i int) M {
		return M{"pk": api.S(fmt.Sprintf("%06d", i)), "g": api.S("g"), "o": api.S("o")}
	})
	must(b.createIndex("table", "gsi g:S KEYS_ONLY"))(t)
	d := b.describe("table")
	if g := d.GlobalSecondaryIndexes[1]; *d.TableStatus != "ACTIVE" || *g.IndexStatus != "CREATING" || !*g.Backfilling {
		t.Fatalf("%s %+v", *d.TableStatus, g)
	}
	_, _, err := b.query(api.QueryInput{IndexName: new("gsi"), KeyConditionExpression: new("g = :g"), ExpressionAttributeValues: M{":g": api.S("g")}})
	wantError(t, err, "ValidationException: Cannot read from backfilling global secondary index: gsi")
	const one = "LimitExceededException: Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
	_, err = b.createIndex("table", "another h:S ALL")
	wantError(t, err, one)
	_, err = b.deleteIndex("table", "old")
	wantError(t, err, one)
	_, err = b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")})
	wantError(t, err, "ResourceInUseException: …")
	b.put("table", M{"pk": api.S("zzz"), "g": api.S("g")})
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.rowsUnder(indexPrefix(b.table("table").ID, 1)); got != n+1 {
		t.Errorf("%d entries, want %d", got, n+1)
	}

	must(b.deleteIndex("table", "old"))(t)
	if d = b.describe("table"); *d.TableStatus != "UPDATING" || *d.GlobalSecondaryIndexes[0].IndexStatus != "DELETING" {
		t.Fatalf("%s %+v", *d.TableStatus, d.GlobalSecondaryIndexes)
	}
	_, _, err = b.query(api.QueryInput{IndexName: new("old"), KeyConditionExpression: new("o = :o"), ExpressionAttributeValues: M{":o": api.S("o")}})
	wantError(t, err, "ValidationException: The table does not have the specified index: old")
	_, err = b.deleteIndex("table", "old")
	wantError(t, err, "ResourceInUseException: Index is being deleted. Table: table Index: old")
	_, err = b.createIndex("table", "old g:S ALL")
	wantError(t, err, "ResourceInUseException: Index is being deleted. Table: table Index: old")
	_, err = b.createIndex("table", "another g:S ALL")
	wantError(t, err, one)
	b.put("table", M{"pk": api.S("zzz"), "o": api.S("late")}) // leaves no entry behind
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.rowsUnder(indexPrefix(b.table("table").ID, 0)); got != 0 {
		t.Errorf("%d entries are left", got)
	}

	// An index can be given up while it is filled.
	must(b.createIndex("table", "again g:S ALL"))(t)
	must(b.deleteIndex("table", "again"))(t)
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.rowsUnder(indexPrefix(b.table("table").ID, 2)); got != 0 || len(b.describe("table").GlobalSecondaryIndexes) != 1 {
		t.Errorf("%d entries are left", got)
	}
}

// table returns a table as operations see it.
func (b *bench) table(name string) *table {
	b.Helper()
	var t *table
	if err := b.view(b.ctx, func(r kv.Reader) (err error) {
		t, err = b.Service.table(r, scopeOf(b.ctx), name)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return t
}

// Writes during a backfill, and restarts in the middle of it, leave an index that is what the table says.
func TestBackfillUnderWrites(t *testing.T) {
	fs := vfs.NewMem()
	open := func() (*bench, func()) {
		store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "/data", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return &bench{t, New(store, slog.New(slog.DiscardHandler)), callerOf("000000000000", "us-east-1")}, func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	b, stop := open()
	b.create("table", "pk:S")
	const n = 4 * jobStep
	key := func(i int) M { return M{"pk": api.S(fmt.Sprintf("%06d", i))} }
	b.fill("table", n, func(i int) M { return M{"pk": key(i)["pk"], "g": api.S("old"), "v": api.N("0")} })
	must(b.createIndex("table", "gsi g:S,v:N ALL"))(t)
	stop() // in the middle
	b, stop = open()
	defer func() { stop() }()
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range 150 {
				k := key(r.IntN(n + 100))
				var err error
				if r.IntN(3) == 0 {
					_, err = b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: k})
				} else {
					_, err = b.UpdateItem(b.ctx, &api.UpdateItemInput{
						TableName: new("table"), Key: k, UpdateExpression: new("SET g = :g ADD v :one"), ExpressionAttributeValues: M{":g": api.S(fmt.Sprint(r.IntN(3))), ":one": api.N("1")},
					})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	writing.Wait()
	if s := *b.describe("table").GlobalSecondaryIndexes[0].IndexStatus; s != "ACTIVE" {
		t.Fatal(s)
	}
	want := map[string]bool{}
	for _, m := range b.scanAll(api.ScanInput{TableName: new("table")}) {
		want[show(m)] = true
	}
	got := b.scanAll(api.ScanInput{TableName: new("table"), IndexName: new("gsi")})
	for _, m := range got {
		if !want[show(m)] {
			t.Errorf("the index has %s", show(m))
		}
	}
	if len(got) != len(want) {
		t.Errorf("the index has %d items of %d", len(got), len(want))
	}
}

// The running service finishes jobs without being asked.
func TestRunFinishesJobs(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	b.create("table", "pk:S")
	b.fill("table", 3*jobStep, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "g": api.S("g")} })
	must(b.createIndex("table", "gsi g:S KEYS_ONLY"))(t)
	for deadline := time.Now().Add(20 * time.Second); *b.describe("table").GlobalSecondaryIndexes[0].IndexStatus != "ACTIVE"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the index is not filled")
		}
	}
	cancel()
	<-done
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.DesignPattern.MultiAttributeKeys.html
func TestMultiAttributeKeys(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi tenant:S+region:N,year:N+month:N+day:S ALL")
	for i, m := range []M{
		{"tenant": api.S("t"), "region": api.N("1"), "year": api.N("2024"), "month": api.N("12"), "day": api.S("a")},
		{"tenant": api.S("t"), "region": api.N("1"), "year": api.N("2025"), "month": api.N("2"), "day": api.S("ab")},
		{"tenant": api.S("t"), "region": api.N("1"), "year": api.N("2025"), "month": api.N("2"), "day": api.S("b")},
		{"tenant": api.S("t"), "region": api.N("1"), "year": api.N("2025"), "month": api.N("10"), "day": api.S("a")},
		{"tenant": api.S("t"), "region": api.N("2"), "year": api.N("2025"), "month": api.N("2"), "day": api.S("a")},
		{"tenant": api.S("t"), "region": api.N("1"), "year": api.N("2025"), "month": api.N("2")}, // not in the index
	} {
		m["pk"] = api.S(fmt.Sprint(i))
		b.put("table", m)
	}
	all := M{":t": api.S("t"), ":r": api.N("1"), ":y": api.N("2025"), ":m": api.N("2"), ":d": api.S("a"), ":e": api.S("b")}
	const region = "#r = :r AND tenant = :t"
	for _, c := range []struct{ condition, want string }{
		{region, "0 1 2 3"},
		{region + " AND #y = :y", "1 2 3"},
		{region + " AND #y < :y", "0"},
		{region + " AND #y = :y AND #m = :m", "1 2"},
		{region + " AND #m > :m AND #y = :y", "3"},
		{region + " AND #y = :y AND #m = :m AND begins_with(#d, :d)", "1"},
		{region + " AND #y = :y AND #m = :m AND #d BETWEEN :d AND :e", "1 2"},
		{"tenant = :t", "ValidationException: Query condition missed key schema element: region"},
		{region + " AND #m = :m", "ValidationException: Query condition missed key schema element: year"},
		{region + " AND #y > :y AND #m = :m", "ValidationException: Query key condition not supported"},
		{"tenant = :t AND #r > :r", "ValidationException: Query key condition not supported"},
	} {
		in := api.QueryInput{TableName: new("table"), IndexName: new("gsi"), KeyConditionExpression: &c.condition, ExpressionAttributeNames: map[string]string{}, ExpressionAttributeValues: M{}}
		for name, attribute := range map[string]string{"#r": "region", "#y": "year", "#m": "month", "#d": "day"} {
			if strings.Contains(c.condition, name) {
				in.ExpressionAttributeNames[name] = attribute
			}
		}
		if len(in.ExpressionAttributeNames) == 0 {
			in.ExpressionAttributeNames = nil
		}
		for name, v := range all {
			if strings.Contains(c.condition, name) {
				in.ExpressionAttributeValues[name] = v
			}
		}
		var got []string
		for in.Limit = new(int32(1)); ; { // so that every start key is tried
			out, err := b.Query(b.ctx, &in)
			if err != nil {
				got = []string{err.Error()}
				break
			}
			for _, m := range out.Items {
				got = append(got, string(m["pk"].(api.S)))
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
				break
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %s, want %s", c.condition, s, c.want)
		}
	}
	k := b.describe("table").GlobalSecondaryIndexes[0].KeySchema
	if len(k) != 5 || *k[1].AttributeName != "region" || *k[1].KeyType != "HASH" || *k[4].KeyType != "RANGE" {
		t.Errorf("%+v", k)
	}
	// The limits of sizes are those of all attributes together.
	_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: M{
		"pk": api.S("x"), "tenant": api.S(strings.Repeat("t", maxPartitionKeySize)), "region": api.N("1"),
	}})
	wantError(t, err, invalidParams+"Size of hashkey has exceeded the maximum size limit of2048 bytes")

	for _, c := range []struct{ key, want string }{
		{"a:S+b:S+c:S+d:S,e:S+f:S+g:S+h:S", "no error"},
		{"a:S+b:S+c:S+d:S+e:S", invalidParams + "The KeySchema exceeds the maximum allowed number of HASH key attributes"},
		{"a:S,b:S+c:S+d:S+e:S+f:S", invalidParams + "The KeySchema exceeds the maximum allowed number of RANGE key attributes"},
		{"a:S+a:S", "ValidationException: The KeySchema contains multiple key attributes with the same name"},
	} {
		_, err := b.CreateTable(b.ctx, createInput("limits", "pk:S", "gsi "+c.key+" ALL"))
		wantError(t, err, c.want)
	}
	in := createInput("other", "pk:S", "gsi a:S,b:S+c:S ALL")
	in.GlobalSecondaryIndexes[0].KeySchema[2].KeyType = new("HASH")
	_, err = b.CreateTable(b.ctx, in)
	wantError(t, err, invalidParams+"All HASH key attributes must precede RANGE key attributes in the KeySchema")
}

// Limits and combinations of UpdateTable.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
func TestUpdateTableLimits(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	units := func(r, w int64) *api.ProvisionedThroughput {
		return &api.ProvisionedThroughput{ReadCapacityUnits: &r, WriteCapacityUnits: &w}
	}
	in := createInput("table", "pk:S", "gsi g:S ALL", "local lsi pk:S,l:S ALL")
	in.KeySchema = append(in.KeySchema, api.KeySchemaElement{AttributeName: new("sk"), KeyType: new("RANGE")})
	in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: new("sk"), AttributeType: new("S")})
	in.BillingMode, in.ProvisionedThroughput, in.GlobalSecondaryIndexes[0].ProvisionedThroughput = nil, units(100, 100), units(100, 100)
	must(b.CreateTable(b.ctx, in))(t)
	update := func(in api.UpdateTableInput) error {
		in.TableName = new("table")
		_, err := b.UpdateTable(b.ctx, &in)
		return err
	}
	create := []api.GlobalSecondaryIndexUpdate{{Create: &api.CreateGlobalSecondaryIndexAction{
		IndexName: new("new"), KeySchema: []api.KeySchemaElement{{AttributeName: new("pk"), KeyType: new("HASH")}}, Projection: &api.Projection{ProjectionType: new("ALL")},
	}}}
	stream := &api.StreamSpecification{StreamEnabled: new(true), StreamViewType: new("NEW_IMAGE")}
	indexUpdate := func(name string, t *api.ProvisionedThroughput) []api.GlobalSecondaryIndexUpdate {
		return []api.GlobalSecondaryIndexUpdate{{Update: &api.UpdateGlobalSecondaryIndexAction{IndexName: &name, ProvisionedThroughput: t}}}
	}
	for _, c := range []struct {
		in   api.UpdateTableInput
		want string
	}{
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{}}, invalidParams + "List of GlobalSecondaryIndexUpdates is empty"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{}}}, invalidParams + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null"},
		{api.UpdateTableInput{SSESpecification: &api.SSESpecification{Enabled: new(true)}, DeletionProtectionEnabled: new(true)}, invalidParams + "Server-Side Encryption modification must be the only operation in the request"},
		{api.UpdateTableInput{TableClass: new("STANDARD"), DeletionProtectionEnabled: new(true)}, invalidParams + "TableClass modification must be the only operation in the request"},
		{api.UpdateTableInput{StreamSpecification: stream, DeletionProtectionEnabled: new(true)}, invalidParams + "DeletionProtection modification must be the only operation in the request"},
		{api.UpdateTableInput{StreamSpecification: stream, ProvisionedThroughput: units(1, 1)}, invalidParams + "You cannot modify stream status while updating table IOPS"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: create, ProvisionedThroughput: units(1, 1)}, invalidParams + "You cannot create or delete index while updating table IOPS"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: create, StreamSpecification: stream}, invalidParams + "You cannot create or delete index while changing stream status"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: append(create, create[0])}, "LimitExceededException: Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"},
		{api.UpdateTableInput{WarmThroughput: &api.WarmThroughput{ReadUnitsPerSecond: new(int64(1))}, StreamSpecification: stream}, invalidParams + "WarmThroughput must be the only operation in the request"},
		{api.UpdateTableInput{OnDemandThroughput: &api.OnDemandThroughput{MaxReadRequestUnits: new(int64(1))}, StreamSpecification: stream}, invalidParams + "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"},
		{api.UpdateTableInput{OnDemandThroughput: &api.OnDemandThroughput{MaxReadRequestUnits: new(int64(1))}}, invalidParams + "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"},
		{api.UpdateTableInput{WarmThroughput: &api.WarmThroughput{ReadUnitsPerSecond: new(int64(99))}}, invalidParams + "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current WarmThroughput, decreasing WarmThroughput is not supported"},
		{api.UpdateTableInput{WarmThroughput: &api.WarmThroughput{ReadUnitsPerSecond: new(int64(101))}}, "no error"},
		{api.UpdateTableInput{SSESpecification: &api.SSESpecification{Enabled: new(false)}}, invalidParams + "Table is already encrypted by default"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: indexUpdate("lsi", units(1, 1))}, "ValidationException: Cannot update an index that is not a GlobalSecondaryIndex: lsi"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: indexUpdate("gsi", units(100, 100))}, "ValidationException: The provisioned throughput for the index gsi will not change.…"},
		{api.UpdateTableInput{GlobalSecondaryIndexUpdates: append(indexUpdate("gsi", units(101, 100)), indexUpdate("gsi", units(102, 100))...)}, invalidParams + "Only one global secondary index update per index is allowed simultaneously. Index: gsi"},
		{api.UpdateTableInput{ReplicaUpdates: []api.ReplicationGroupUpdate{{}}}, "ValidationException: Global tables are not supported: …"},
	} {
		wantError(t, update(c.in), c.want)
	}

	// Four decreases of a day are free, then there is one an hour; the table and the index count for themselves.
	for i := int64(1); i <= 5; i++ {
		err, indexErr := update(api.UpdateTableInput{ProvisionedThroughput: units(100-i, 100)}), update(api.UpdateTableInput{GlobalSecondaryIndexUpdates: indexUpdate("gsi", units(100-i, 100))})
		if i <= 4 && (err != nil || indexErr != nil) {
			t.Fatal(i, err, indexErr)
		}
		if i == 5 {
			const want = "LimitExceededException: Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day.…"
			wantError(t, err, want)
			wantError(t, indexErr, want)
		}
	}
	if err := update(api.UpdateTableInput{ProvisionedThroughput: units(97, 100)}); err != nil {
		t.Error("an increase:", err)
	}
	now = now.Add(time.Hour)
	if err := update(api.UpdateTableInput{ProvisionedThroughput: units(95, 100)}); err != nil {
		t.Error("an hour later:", err)
	}
	if n := *b.describe("table").ProvisionedThroughput.NumberOfDecreasesToday; n != 5 {
		t.Errorf("%d decreases", n)
	}

	// Four switches to PAY_PER_REQUEST a day.
	for i := range 5 {
		err := update(api.UpdateTableInput{BillingMode: new("PAY_PER_REQUEST")})
		if i == 4 {
			wantError(t, err, "LimitExceededException: Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s).…")
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, update(api.UpdateTableInput{GlobalSecondaryIndexUpdates: indexUpdate("gsi", units(1, 1))}), invalidParams+
			"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: gsi when BillingMode is PAY_PER_REQUEST")
		if err := update(api.UpdateTableInput{BillingMode: new("PROVISIONED"), ProvisionedThroughput: units(1, 1), GlobalSecondaryIndexUpdates: indexUpdate("gsi", units(1, 1))}); err != nil {
			t.Fatal(err)
		}
	}
	// Two changes of the class in 30 days.
	for i, class := range []string{"STANDARD_INFREQUENT_ACCESS", "STANDARD", "STANDARD_INFREQUENT_ACCESS"} {
		if err := update(api.UpdateTableInput{TableClass: &class}); (err != nil) != (i == 2) {
			t.Errorf("change %d: %v", i, err)
		}
	}

	// 20 indexes, also one by one.
	b.create("many", "pk:S")
	for i := range maxGlobalIndexes + 1 {
		_, err := b.createIndex("many", fmt.Sprintf("gsi%d a%d:S ALL", i, i))
		if i < maxGlobalIndexes && err != nil {
			t.Fatal(i, err)
		}
		if i == maxGlobalIndexes {
			wantError(t, err, "LimitExceededException: Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of 20")
		}
	}
}
