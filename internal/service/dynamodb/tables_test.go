package dynamodb

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
func TestTableLife(t *testing.T) {
	b := newBench(t)
	in := createInput("table", "pk:S,sk:N", "gsi g:B KEYS_ONLY", "local lsi pk:S,l:S INCLUDE x")
	in.Tags = []api.Tag{{Key: new("team"), Value: new("blue")}}
	created := must(b.CreateTable(b.ctx, in))(t).TableDescription
	if *created.TableStatus != "CREATING" || *created.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/table" ||
		*created.ItemCount != 0 || len(*created.TableId) != 36 {
		t.Errorf("created: %+v", created)
	}
	_, err := b.CreateTable(b.ctx, in)
	wantError(t, err, "ResourceInUseException: Table already exists: table")

	b.put("table", M{"pk": api.S("a"), "sk": api.N("1"), "g": api.B{1}}, M{"pk": api.S("b"), "sk": api.N("1")})
	d := must(b.DescribeTable(b.ctx, &api.DescribeTableInput{TableName: new("table")}))(t).Table
	if *d.TableStatus != "ACTIVE" || *d.ItemCount != 2 || *d.TableSizeBytes != 16 || *d.TableId != *created.TableId ||
		!d.CreationDateTime.Equal(*created.CreationDateTime) || *d.BillingModeSummary.BillingMode != "PAY_PER_REQUEST" ||
		*d.ProvisionedThroughput.ReadCapacityUnits != 0 || len(d.AttributeDefinitions) != 4 ||
		*d.KeySchema[0].AttributeName != "pk" || *d.KeySchema[1].KeyType != "RANGE" {
		t.Errorf("described: %+v", d)
	}
	gsi, lsi := d.GlobalSecondaryIndexes[0], d.LocalSecondaryIndexes[0]
	if *gsi.IndexName != "gsi" || *gsi.IndexStatus != "ACTIVE" || *gsi.ItemCount != 1 || *gsi.IndexArn != *d.TableArn+"/index/gsi" ||
		*gsi.Projection.ProjectionType != "KEYS_ONLY" || *lsi.IndexName != "lsi" || lsi.Projection.NonKeyAttributes[0] != "x" ||
		*lsi.ItemCount != 0 {
		t.Errorf("indexes: %+v %+v", gsi, lsi)
	}

	deleted := must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	if *deleted.TableDescription.TableStatus != "DELETING" {
		t.Errorf("deleted: %+v", deleted.TableDescription)
	}
	const notFound = "ResourceNotFoundException: Requested resource not found: Table: table not found"
	_, err = b.DescribeTable(b.ctx, &api.DescribeTableInput{TableName: new("table")})
	wantError(t, err, notFound)
	_, err = b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")})
	wantError(t, err, notFound)
	_, err = b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: M{"pk": api.S("a"), "sk": api.N("1")}})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found")

	// The name is free at once, and the new table is empty, also with another key.
	b.create("table", "pk:N")
	if items := b.scanAll(api.ScanInput{TableName: new("table")}); len(items) != 0 {
		t.Errorf("a new table holds %s", showAll(items))
	}
	b.put("table", M{"pk": api.N("1")})
}

func TestCreateTableValidation(t *testing.T) {
	b := newBench(t)
	const v = "ValidationException: "
	provisioned := &api.ProvisionedThroughput{ReadCapacityUnits: new(int64(1)), WriteCapacityUnits: new(int64(1))}
	for _, c := range []struct {
		what    string
		key     string
		indexes []string
		change  func(*api.CreateTableInput)
		err     string
	}{
		{"fine", "pk:S", nil, nil, "no error"},
		{"same name twice in the key", "pk:S,pk:S", nil, func(in *api.CreateTableInput) { in.AttributeDefinitions = in.AttributeDefinitions[:1] },
			v + "Both the Hash Key and the Range Key element in the KeySchema have the same name"},
		{"no hash key", "pk:S", nil, func(in *api.CreateTableInput) { in.KeySchema[0].KeyType = new("RANGE") },
			v + "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"},
		{"two hash keys", "pk:S,sk:S", nil, func(in *api.CreateTableInput) { in.KeySchema[1].KeyType = new("HASH") },
			v + "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"},
		{"three attributes in the key", "pk:S,sk:S,x:S", nil, nil,
			v + "1 validation error detected: Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, keyType=RANGE), " +
				"KeySchemaElement(attributeName=x, keyType=RANGE)]' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"three attributes in the key of a local index", "pk:S,sk:S", []string{"local lsi pk:S,l:S,m:S ALL"}, nil,
			v + "1 validation error detected: Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=l, keyType=RANGE), " +
				"KeySchemaElement(attributeName=m, keyType=RANGE)]' at 'localSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"two definitions of one attribute", "pk:S", nil, func(in *api.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: new("pk"), AttributeType: new("N")})
		}, v + "Attribute Name is duplicated: pk"},
		{"INCLUDE twice", "pk:S", []string{"gsi g:S INCLUDE x y x"}, nil, invalidParams + "Duplicate element in NonKeyAttributes: x"},
		{"undefined key", "pk:S,sk:S", nil, func(in *api.CreateTableInput) { in.AttributeDefinitions = in.AttributeDefinitions[:1] },
			invalidParams + "Some index key attributes are not defined in AttributeDefinitions. Keys: [pk, sk], AttributeDefinitions: [pk]"},
		{"unused definition", "pk:S", nil, func(in *api.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: new("x"), AttributeType: new("S")})
		}, invalidParams + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"},
		{"unused definition beside an index", "pk:S", []string{"gsi g:S ALL"}, func(in *api.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition{AttributeName: new("x"), AttributeType: new("S")})
		}, invalidParams + "Some AttributeDefinitions are not used. AttributeDefinitions: [pk, g, x], keys used: [pk, g]"},
		{"throughput on demand", "pk:S", nil, func(in *api.CreateTableInput) { in.ProvisionedThroughput = provisioned },
			invalidParams + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{"no throughput", "pk:S", nil, func(in *api.CreateTableInput) { in.BillingMode = nil },
			invalidParams + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{"too much throughput", "pk:S", nil, func(in *api.CreateTableInput) {
			in.BillingMode = nil
			in.ProvisionedThroughput = &api.ProvisionedThroughput{ReadCapacityUnits: new(int64(1000000000001)), WriteCapacityUnits: new(int64(1))}
		}, v + "Given value 1000000000001 for ReadCapacityUnits is out of bounds"},
		{"index throughput on demand", "pk:S", []string{"gsi g:S ALL"}, func(in *api.CreateTableInput) { in.GlobalSecondaryIndexes[0].ProvisionedThroughput = provisioned },
			invalidParams + "ProvisionedThroughput should not be specified for index: gsi when BillingMode is PAY_PER_REQUEST"},
		{"no index throughput", "pk:S", []string{"gsi g:S ALL"}, func(in *api.CreateTableInput) { in.BillingMode, in.ProvisionedThroughput = nil, provisioned },
			invalidParams + "ProvisionedThroughput must be specified for index: gsi"},
		{"local index of a table without range key", "pk:S", []string{"local lsi pk:S,l:S ALL"}, nil,
			invalidParams + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"},
		{"local index without range key", "pk:S,sk:S", []string{"local lsi pk:S ALL"}, nil,
			invalidParams + "Index KeySchema does not have a range key for index: lsi"},
		{"local index with its own hash key", "pk:S,sk:S", []string{"local lsi l:S,sk:S ALL"}, nil,
			invalidParams + "Index KeySchema does not have the same leading hash key as table KeySchema for index: lsi. index hash key: l, table hash key: pk"},
		{"two indexes of one name", "pk:S", []string{"gsi g:S ALL", "gsi h:S ALL"}, nil, invalidParams + "Duplicate index name: gsi"},
		{"no projection", "pk:S", []string{"gsi g:S ALL"}, func(in *api.CreateTableInput) { in.GlobalSecondaryIndexes[0].Projection = &api.Projection{} },
			invalidParams + "Unknown ProjectionType: null"},
		{"attributes beside ALL", "pk:S", []string{"gsi g:S ALL x"}, nil, invalidParams + "ProjectionType is ALL, but NonKeyAttributes is specified"},
		{"INCLUDE of nothing", "pk:S", []string{"gsi g:S INCLUDE"}, nil, invalidParams + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"},
		{"an index name with a blank", "pk:S", []string{"gsi g:S ALL"}, func(in *api.CreateTableInput) { in.GlobalSecondaryIndexes[0].IndexName = new("a b") },
			v + "1 validation error detected: Value 'a b' at 'indexName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"empty list of indexes", "pk:S", nil, func(in *api.CreateTableInput) { in.GlobalSecondaryIndexes = []api.GlobalSecondaryIndex{} },
			invalidParams + "List of GlobalSecondaryIndexes is empty"},
		{"a stream without a view", "pk:S", nil, func(in *api.CreateTableInput) {
			in.StreamSpecification = &api.StreamSpecification{StreamEnabled: new(true)}
		}, invalidParams + "Table is being created with a stream enabled, UpdateViewType is required"},
		{"20 global indexes", "pk:S", numbered("gsi%d g:S ALL", 20), nil, "no error"},
		{"21 global indexes", "pk:S", numbered("gsi%d g:S ALL", 21), nil, invalidParams + "GlobalSecondaryIndex count exceeds the per-table limit of 20"},
		{"5 local indexes", "pk:S,sk:S", numbered("local lsi%d pk:S,l:S ALL", 5), nil, "no error"},
		{"6 local indexes", "pk:S,sk:S", numbered("local lsi%d pk:S,l:S ALL", 6), nil, invalidParams + "Number of LocalSecondaryIndexes exceeds per-table limit of 5"},
		{"a short name", "pk:S", nil, func(in *api.CreateTableInput) { in.TableName = new("ab") }, v + "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"reserved tag", "pk:S", nil, func(in *api.CreateTableInput) { in.Tags = []api.Tag{{Key: new("AWS:x"), Value: new("")}} }, v + "Tag Key cannot be prefixed with aws:, Key: AWS:x"},
	} {
		in := createInput("table-"+strings.ReplaceAll(c.what, " ", "-"), c.key, c.indexes...)
		if c.change != nil {
			c.change(in)
		}
		_, err := b.CreateTable(b.ctx, in)
		if got, want := fmt.Sprint(err), strings.Replace(c.err, "no error", "<nil>", 1); !strings.HasPrefix(got, strings.TrimSuffix(want, "…")) || len(got) != len(want) && !strings.HasSuffix(want, "…") {
			t.Errorf("%s:\n got %s\nwant %s", c.what, got, want)
		}
	}
}

func numbered(format string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTables.html
func TestListTables(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"charlie", "alpha", "bravo"} {
		b.create(name, "pk:S")
	}
	must(b.CreateTable(callerOf("000000000000", "us-east-2"), createInput("elsewhere", "pk:S")))(t)
	list := func(start *string, limit *int32) string {
		out := must(b.ListTables(b.ctx, &api.ListTablesInput{ExclusiveStartTableName: start, Limit: limit}))(t)
		return fmt.Sprintf("%v %s", out.TableNames, deref(out.LastEvaluatedTableName))
	}
	for _, c := range []struct{ got, want string }{
		{list(nil, nil), "[alpha bravo charlie] "},
		{list(nil, new(int32(2))), "[alpha bravo] bravo"},
		{list(nil, new(int32(3))), "[alpha bravo charlie] "},
		{list(new("bravo"), nil), "[charlie] "},
		{list(new("b"), nil), "[bravo charlie] "},
		{list(new("charlie"), nil), "[] "},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
func TestUpdateTable(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S ALL", "other h:S ALL")
	b.put("table", M{"pk": api.S("a"), "g": api.S("g"), "h": api.S("h")})
	update := func(in api.UpdateTableInput) (*api.TableDescription, error) {
		in.TableName = new("table")
		if _, err := b.UpdateTable(b.ctx, &in); err != nil {
			return nil, err
		}
		return must(b.DescribeTable(b.ctx, &api.DescribeTableInput{TableName: new("table")}))(t).Table, nil
	}
	_, err := update(api.UpdateTableInput{})
	wantError(t, err, "ValidationException: At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, …")

	d := must(update(api.UpdateTableInput{DeletionProtectionEnabled: new(true)}))(t)
	if !*d.DeletionProtectionEnabled {
		t.Error("not protected")
	}
	_, err = b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")})
	wantError(t, err, "ValidationException: Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	must(update(api.UpdateTableInput{DeletionProtectionEnabled: new(false)}))(t)
	must(update(api.UpdateTableInput{TableClass: new("STANDARD_INFREQUENT_ACCESS")}))(t)

	units := func(r, w int64) *api.ProvisionedThroughput {
		return &api.ProvisionedThroughput{ReadCapacityUnits: &r, WriteCapacityUnits: &w}
	}
	_, err = update(api.UpdateTableInput{BillingMode: new("PROVISIONED")})
	wantError(t, err, invalidParams+"ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	_, err = update(api.UpdateTableInput{BillingMode: new("PROVISIONED"), ProvisionedThroughput: units(5, 6)})
	wantError(t, err, invalidParams+"ProvisionedThroughput must be specified for index: gsi")
	must(update(api.UpdateTableInput{GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{
		{Delete: &api.DeleteGlobalSecondaryIndexAction{IndexName: new("other")}},
	}}))(t)
	d = must(update(api.UpdateTableInput{BillingMode: new("PROVISIONED"), ProvisionedThroughput: units(5, 6), GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{
		{Update: &api.UpdateGlobalSecondaryIndexAction{IndexName: new("gsi"), ProvisionedThroughput: units(1, 2)}},
	}}))(t)
	if *d.BillingModeSummary.BillingMode != "PROVISIONED" || *d.ProvisionedThroughput.WriteCapacityUnits != 6 || len(d.GlobalSecondaryIndexes) != 1 ||
		*d.GlobalSecondaryIndexes[0].ProvisionedThroughput.WriteCapacityUnits != 2 || *d.TableClassSummary.TableClass != "STANDARD_INFREQUENT_ACCESS" {
		t.Errorf("%+v", d)
	}
	_, err = update(api.UpdateTableInput{ProvisionedThroughput: units(5, 6)})
	wantError(t, err, "ValidationException: The provisioned throughput for the table will not change.…")
	d = must(update(api.UpdateTableInput{ProvisionedThroughput: units(4, 7)}))(t)
	if p := d.ProvisionedThroughput; p.LastDecreaseDateTime == nil || p.LastIncreaseDateTime == nil || *p.NumberOfDecreasesToday != 1 {
		t.Errorf("%+v", p)
	}
	_, err = update(api.UpdateTableInput{GlobalSecondaryIndexUpdates: []api.GlobalSecondaryIndexUpdate{{Delete: &api.DeleteGlobalSecondaryIndexAction{IndexName: new("other")}}}})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found: Index: other for table: table not found")
	_, _, err = b.query(api.QueryInput{IndexName: new("other"), KeyConditionExpression: new("h = :h"), ExpressionAttributeValues: M{":h": api.S("h")}})
	wantError(t, err, "ValidationException: The table does not have the specified index: other")
	b.put("table", M{"pk": api.S("a"), "g": api.S("g2")})
	if got := showAll(b.scanAll(api.ScanInput{TableName: new("table"), IndexName: new("gsi")})); got != "{g=g2, pk=a}" {
		t.Errorf("the index that stayed: %s", got)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
func TestTags(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	arn := new("arn:aws:dynamodb:us-east-1:000000000000:table/table")
	list := func() string {
		var out []string
		for _, tag := range must(b.ListTagsOfResource(b.ctx, &api.ListTagsOfResourceInput{ResourceArn: arn}))(t).Tags {
			out = append(out, *tag.Key+"="+*tag.Value)
		}
		return strings.Join(out, " ")
	}
	must(b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: new("b"), Value: new("1")}, {Key: new("a"), Value: new("")}}}))(t)
	must(b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: []api.Tag{{Key: new("b"), Value: new("2")}}}))(t)
	if got := list(); got != "a= b=2" {
		t.Errorf("got %s", got)
	}
	must(b.UntagResource(b.ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "nope"}}))(t)
	if got := list(); got != "b=2" {
		t.Errorf("got %s", got)
	}
	var many []api.Tag
	for i := range maxTags {
		many = append(many, api.Tag{Key: new(fmt.Sprint("k", i)), Value: new("")})
	}
	_, err := b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: many})
	wantError(t, err, "ValidationException: Number of Tags exceed the current limit for the provided ResourceArn")
	for want, tags := range map[string][]api.Tag{
		"Atleast one Tag needs to be provided as Input.":                  nil,
		"Tag Key cannot be prefixed with aws:, Key: AWS:x":                {{Key: new("AWS:x"), Value: new("")}},
		"Duplicate Tag Keys provided as input: Duplicate Tag Key found x": {{Key: new("x"), Value: new("1")}, {Key: new("x"), Value: new("2")}},
		"The Tag Key provided is invalid, Key: a|b":                       {{Key: new("a|b"), Value: new("")}},
		"The Tag Value provided is invalid, Value: a|b":                   {{Key: new("a"), Value: new("a|b")}},
	} {
		_, err := b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: tags})
		wantError(t, err, "ValidationException: "+want)
	}
	_, err = b.UntagResource(b.ctx, &api.UntagResourceInput{ResourceArn: arn})
	wantError(t, err, "ValidationException: Atleast one Tag Key needs to be provided as Input.")
	must(b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: many[1:]}))(t)
	_, err = b.ListTagsOfResource(b.ctx, &api.ListTagsOfResourceInput{ResourceArn: new("arn:aws:dynamodb:us-east-1:000000000000:table/nope")})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found: ResourcArn: arn:aws:dynamodb:us-east-1:000000000000:table/nope not found")
	_, err = b.ListTagsOfResource(b.ctx, &api.ListTagsOfResourceInput{ResourceArn: new("table")})
	wantError(t, err, "ValidationException: Invalid TableArn: Invalid ResourceArn provided as input table")
}

// What Terraform's aws_dynamodb_table reads besides the table itself.
func TestTableAspects(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	backups := must(b.DescribeContinuousBackups(b.ctx, &api.DescribeContinuousBackupsInput{TableName: new("table")}))(t)
	if d := backups.ContinuousBackupsDescription; *d.ContinuousBackupsStatus != "ENABLED" || *d.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != "DISABLED" {
		t.Errorf("%+v", d)
	}
	ttl := must(b.DescribeTimeToLive(b.ctx, &api.DescribeTimeToLiveInput{TableName: new("table")}))(t)
	if d := ttl.TimeToLiveDescription; *d.TimeToLiveStatus != "DISABLED" {
		t.Errorf("%+v", d)
	}
	_, err := b.DescribeContinuousBackups(b.ctx, &api.DescribeContinuousBackupsInput{TableName: new("nope")})
	wantError(t, err, "TableNotFoundException: Table not found: nope")
	_, err = b.DescribeTimeToLive(b.ctx, &api.DescribeTimeToLiveInput{TableName: new("nope")})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found: Table: nope not found")
	limits := must(b.DescribeLimits(b.ctx, &api.DescribeLimitsInput{}))(t)
	if *limits.TableMaxReadCapacityUnits != 40_000 {
		t.Errorf("%+v", limits)
	}
	endpoints := must(b.DescribeEndpoints(b.ctx, &api.DescribeEndpointsInput{}))(t)
	if *endpoints.Endpoints[0].Address != "dynamodb.us-east-1.amazonaws.com" {
		t.Errorf("%+v", endpoints)
	}
}

// rowsUnder returns how many rows there are with a prefix.
func (b *bench) rowsUnder(prefix []byte) int {
	n := 0
	if err := b.store.View(b.ctx, func(r kv.Reader) error {
		for _, err := range r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return n
}

// Deleting a table while it is written to leaves nothing behind.
func TestDeleteTableLeavesNothing(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				// The table may be there or not.
				_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: M{
					"pk": api.S(fmt.Sprint(w, " ", i)), "g": api.S("g"), "x": api.S("x"),
				}})
				if err != nil && !strings.HasPrefix(err.Error(), "ResourceNotFoundException") {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		b.create("table", "pk:S", "gsi g:S ALL")
		time.Sleep(5 * time.Millisecond)
		must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	}
	wg.Wait()
	for deadline := time.Now().Add(10 * time.Second); b.rowsUnder(rows(tagTrash)) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the trash is not emptied")
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
	if n := b.rowsUnder(nil); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// More rows than one transaction removes.
func TestEmptyTrashInChunks(t *testing.T) {
	b := newBench(t)
	if err := b.store.Update(b.ctx, func(tx kv.Tx) error {
		for i := range 2*chunk + 1 {
			if err := tx.Set(appendUnique(itemPrefix(7), &keySchema{Hash: []attribute{{"a", "N"}}}, M{"a": api.N(fmt.Sprint(i))}), []byte("x")); err != nil {
				return err
			}
		}
		if err := tx.Set(itemPrefix(8), []byte("stays")); err != nil {
			return err
		}
		return tx.Set(trashKey(itemPrefix(7)), nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.emptyTrash(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.rowsUnder(itemPrefix(7)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := b.rowsUnder(nil); n != 1 {
		t.Errorf("%d rows in all, want the one of another table", n)
	}
}

// A table too large to be counted at once is counted in the background.
func TestCountLargeTable(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S", "gsi g:S KEYS_ONLY")
	const n = smallTable + 500
	for i := 0; i < n; i += maxBatchWrites {
		var requests []api.WriteRequest
		for j := range maxBatchWrites {
			requests = append(requests, api.WriteRequest{PutRequest: &api.PutRequest{Item: M{"pk": api.S(fmt.Sprintf("%06d", i+j)), "g": api.S("g")}}})
		}
		must(b.BatchWriteItem(b.ctx, &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"table": requests}}))(t)
	}
	describe := func() *api.TableDescription {
		return must(b.DescribeTable(b.ctx, &api.DescribeTableInput{TableName: new("table")}))(t).Table
	}
	if got := *describe().ItemCount; got <= 0 || got > n {
		t.Errorf("before the count: %d", got)
	}
	if err := b.count(b.ctx); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.ItemCount != n || *d.TableSizeBytes != n*10 || *d.GlobalSecondaryIndexes[0].ItemCount != n {
		t.Errorf("%d items of %d bytes, %d in the index", *d.ItemCount, *d.TableSizeBytes, *d.GlobalSecondaryIndexes[0].ItemCount)
	}
}

// Tables, items and indexes are there after a restart.
func TestRestart(t *testing.T) {
	fs := vfs.NewMem()
	for round := range 2 {
		store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "/data", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t, New(store, slog.New(slog.DiscardHandler)), callerOf("000000000000", "us-east-1")}
		if round == 0 {
			b.create("table", "pk:S", "gsi g:S ALL")
			b.put("table", M{"pk": api.S("a"), "g": api.S("g")})
		}
		if got := b.get("table", M{"pk": api.S("a")}); got != "{g=g, pk=a}" {
			t.Errorf("round %d: %s", round, got)
		}
		if got := showAll(b.scanAll(api.ScanInput{TableName: new("table"), IndexName: new("gsi")})); got != "{g=g, pk=a}" {
			t.Errorf("round %d: index: %s", round, got)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The cache of decoded tables never outlives a change of the table.
func TestTableCache(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	load := func() *table {
		var found *table
		if err := b.store.View(b.ctx, func(r kv.Reader) (err error) {
			found, err = b.findTable(r, scopeOf(b.ctx), "table")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := load()
	if load() != first {
		t.Error("decoded twice")
	}
	must(b.UpdateTable(b.ctx, &api.UpdateTableInput{TableName: new("table"), DeletionProtectionEnabled: new(true)}))(t)
	if second := load(); !second.Protected || bytes.Equal(second.raw, first.raw) {
		t.Error("an old table")
	}
}
