package sdk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type row = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n any) types.AttributeValue { return &types.AttributeValueMemberN{Value: fmt.Sprint(n)} }

// hashTable is the input for a table with the key pk.
func hashTable(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: "HASH"}},
	}
}

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func putRows(t *testing.T, client *dynamodb.Client, table string, rows ...row) {
	t.Helper()
	for _, r := range rows {
		ok(client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: r}))(t)
	}
}

// contents counts the items of a table or an index.
func contents(t *testing.T, client *dynamodb.Client, table string, index *string) int {
	t.Helper()
	n := 0
	for pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table, IndexName: index}); pages.HasMorePages(); {
		n += len(ok(pages.NextPage(t.Context()))(t).Items)
	}
	return n
}

func indexStatus(d *types.TableDescription, name string) types.IndexStatus {
	for _, x := range d.GlobalSecondaryIndexes {
		if *x.IndexName == name {
			return x.IndexStatus
		}
	}
	return ""
}

// Waiters end at their first look, since they look again only after 20 seconds.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html
func TestTablesAndWaiters(t *testing.T) {
	client := dynamodb.NewFromConfig(rootOf(newAccount()))
	created := ok(client.CreateTable(t.Context(), hashTable("table")))(t)
	same(t, "status", created.TableDescription.TableStatus, types.TableStatusCreating)
	name := &dynamodb.DescribeTableInput{TableName: aws.String("table")}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(t.Context(), name, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	_, err := client.CreateTable(t.Context(), hashTable("table"))
	is[*types.ResourceInUseException](t, err, "Table already exists: table")
	// A table's ARN is as good as its name.
	d := ok(client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: created.TableDescription.TableArn}))(t).Table
	same(t, "status", d.TableStatus, types.TableStatusActive)
	same(t, "warm reads", *d.WarmThroughput.ReadUnitsPerSecond, int64(12000))
	for i := range 3 {
		ok(client.CreateTable(t.Context(), hashTable(fmt.Sprint("other", i))))(t)
	}
	var names []string
	for pages := dynamodb.NewListTablesPaginator(client, &dynamodb.ListTablesInput{Limit: aws.Int32(2)}); pages.HasMorePages(); {
		names = append(names, ok(pages.NextPage(t.Context()))(t).TableNames...)
	}
	same(t, "names", names, []string{"other0", "other1", "other2", "table"})

	ok(client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("table"), DeletionProtectionEnabled: aws.Bool(true)}))(t)
	_, err = client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("table")})
	hasCode(t, err, 400, "ValidationException", "protected against deletion")
	ok(client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: aws.String("table"), DeletionProtectionEnabled: aws.Bool(false)}))(t)
	ok(client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("table")}))(t)
	if err := dynamodb.NewTableNotExistsWaiter(client).Wait(t.Context(), name, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	_, err = client.DescribeTable(t.Context(), name)
	is[*types.ResourceNotFoundException](t, err, "Requested resource not found: Table: table not found")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
func TestIndexesComeAndGo(t *testing.T) {
	client := dynamodb.NewFromConfig(rootOf(newAccount()))
	ok(client.CreateTable(t.Context(), hashTable("table")))(t)
	var batch []types.WriteRequest
	const items = 1500
	for i := range items {
		batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: row{
			"pk": text(fmt.Sprint(i)), "tenant": text("t"), "region": number(i % 3), "day": text(fmt.Sprintf("%04d", i)),
		}}})
		if len(batch) == 25 || i == items-1 {
			ok(client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"table": batch}}))(t)
			batch = nil
		}
	}
	attribute := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: kind}
	}
	element := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	out := ok(client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:            aws.String("table"),
		AttributeDefinitions: []types.AttributeDefinition{attribute("pk", "S"), attribute("tenant", "S"), attribute("region", "N"), attribute("day", "S")},
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String("gsi"), Projection: &types.Projection{ProjectionType: "ALL"},
			KeySchema: []types.KeySchemaElement{element("tenant", "HASH"), element("region", "HASH"), element("day", "RANGE")},
		}}},
	}))(t)
	same(t, "table", out.TableDescription.TableStatus, types.TableStatusUpdating)
	same(t, "index", indexStatus(out.TableDescription, "gsi"), types.IndexStatusCreating)
	describe := func() *types.TableDescription {
		return ok(client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("table")}))(t).Table
	}
	eventually(t, "the index is filled", func() bool { return indexStatus(describe(), "gsi") == types.IndexStatusActive })
	same(t, "entries", contents(t, client, "table", aws.String("gsi")), items)
	q := ok(client.Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("table"), IndexName: aws.String("gsi"), KeyConditionExpression: aws.String("tenant = :t AND #r = :r AND #d < :d"),
		ExpressionAttributeNames:  map[string]string{"#r": "region", "#d": "day"},
		ExpressionAttributeValues: row{":t": text("t"), ":r": number(1), ":d": text("0010")},
	}))(t)
	same(t, "found", len(q.Items), 3) // 1, 4, 7
	ok(client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:                   aws.String("table"),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("gsi")}}},
	}))(t)
	eventually(t, "the index is gone", func() bool { return len(describe().GlobalSecondaryIndexes) == 0 })
	same(t, "attributes", len(describe().AttributeDefinitions), 1)
	_, err := client.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{
		TableName:                   aws.String("table"),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Delete: &types.DeleteGlobalSecondaryIndexAction{IndexName: aws.String("gsi")}}},
	})
	is[*types.ResourceNotFoundException](t, err, "")
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
func TestTimeToLive(t *testing.T) {
	client := dynamodb.NewFromConfig(rootOf(newAccount()))
	ok(client.CreateTable(t.Context(), hashTable("table")))(t)
	now := time.Now().Unix()
	putRows(t, client, "table", row{"pk": text("gone"), "ttl": number(now - 60)}, row{"pk": text("stays"), "ttl": number(now + 3600)})
	spec := &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)}
	ok(client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("table"), TimeToLiveSpecification: spec}))(t)
	d := ok(client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("table")}))(t).TimeToLiveDescription
	same(t, "status", d.TimeToLiveStatus, types.TimeToLiveStatusEnabled)
	same(t, "attribute", *d.AttributeName, "ttl")
	_, err := client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("table"), TimeToLiveSpecification: spec})
	hasCode(t, err, 400, "ValidationException", "TimeToLive is already enabled")
	eventually(t, "the item is gone", func() bool { return contents(t, client, "table", nil) == 1 })
	same(t, "other item", len(ok(client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("table"), Key: row{"pk": text("stays")}}))(t).Item), 2)
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Backup-and-Restore.html
func TestBackupsAndRestores(t *testing.T) {
	client := dynamodb.NewFromConfig(rootOf(newAccount()))
	ok(client.CreateTable(t.Context(), hashTable("table")))(t)
	putRows(t, client, "table", row{"pk": text("a")}, row{"pk": text("b")})
	backup := ok(client.CreateBackup(t.Context(), &dynamodb.CreateBackupInput{TableName: aws.String("table"), BackupName: aws.String("first")}))(t).BackupDetails
	eventually(t, "the backup is available", func() bool {
		d := ok(client.DescribeBackup(t.Context(), &dynamodb.DescribeBackupInput{BackupArn: backup.BackupArn}))(t).BackupDescription
		return d.BackupDetails.BackupStatus == types.BackupStatusAvailable
	})
	putRows(t, client, "table", row{"pk": text("later")})
	restored := ok(client.RestoreTableFromBackup(t.Context(), &dynamodb.RestoreTableFromBackupInput{TargetTableName: aws.String("restored"), BackupArn: backup.BackupArn}))(t)
	same(t, "status", restored.TableDescription.TableStatus, types.TableStatusCreating)
	same(t, "under way", *restored.TableDescription.RestoreSummary.RestoreInProgress, true)
	if err := dynamodb.NewTableExistsWaiter(client).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("restored")}, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	same(t, "restored items", contents(t, client, "restored", nil), 2)
	_, err := client.RestoreTableFromBackup(t.Context(), &dynamodb.RestoreTableFromBackupInput{TargetTableName: aws.String("table"), BackupArn: backup.BackupArn})
	is[*types.TableAlreadyExistsException](t, err, "")
	_, err = client.RestoreTableToPointInTime(t.Context(), &dynamodb.RestoreTableToPointInTimeInput{
		SourceTableName: aws.String("table"), TargetTableName: aws.String("past"), UseLatestRestorableTime: aws.Bool(true),
	})
	is[*types.PointInTimeRecoveryUnavailableException](t, err, "")

	p := ok(client.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
		TableName:                        aws.String("table"),
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true), RecoveryPeriodInDays: aws.Int32(7)},
	}))(t).ContinuousBackupsDescription.PointInTimeRecoveryDescription
	same(t, "recovery", p.PointInTimeRecoveryStatus, types.PointInTimeRecoveryStatusEnabled)
	same(t, "days", *p.RecoveryPeriodInDays, int32(7))
	putRows(t, client, "table", row{"pk": text("after")})
	past := ok(client.RestoreTableToPointInTime(t.Context(), &dynamodb.RestoreTableToPointInTimeInput{
		SourceTableName: aws.String("table"), TargetTableName: aws.String("past"), UseLatestRestorableTime: aws.Bool(true),
	}))(t).TableDescription
	if past.RestoreSummary.SourceBackupArn != nil || !strings.HasSuffix(*past.RestoreSummary.SourceTableArn, ":table/table") {
		t.Errorf("%+v", past.RestoreSummary)
	}
	eventually(t, "the table is restored", func() bool {
		return ok(client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("past")}))(t).Table.TableStatus == types.TableStatusActive
	})
	same(t, "items when recovery was enabled", contents(t, client, "past", nil), 3)
	_, err = client.RestoreTableToPointInTime(t.Context(), &dynamodb.RestoreTableToPointInTimeInput{
		SourceTableName: aws.String("table"), TargetTableName: aws.String("past2"), RestoreDateTime: aws.Time(time.Now().Add(-time.Hour)),
	})
	is[*types.InvalidRestoreTimeException](t, err, "")

	// A table with recovery leaves a backup when it is deleted.
	ok(client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("table")}))(t)
	list := ok(client.ListBackups(t.Context(), &dynamodb.ListBackupsInput{BackupType: types.BackupTypeFilterSystem}))(t).BackupSummaries
	if len(list) != 1 || *list[0].BackupName != "table$DeletedTableBackup" {
		t.Fatalf("%+v", list)
	}
	ok(client.RestoreTableFromBackup(t.Context(), &dynamodb.RestoreTableFromBackupInput{TargetTableName: aws.String("table"), BackupArn: list[0].BackupArn}))(t)
	eventually(t, "the table is back", func() bool {
		return ok(client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("table")}))(t).Table.TableStatus == types.TableStatusActive
	})
	same(t, "items at the end", contents(t, client, "table", nil), 4)
	ok(client.DeleteBackup(t.Context(), &dynamodb.DeleteBackupInput{BackupArn: backup.BackupArn}))(t)
	_, err = client.DescribeBackup(t.Context(), &dynamodb.DescribeBackupInput{BackupArn: backup.BackupArn})
	is[*types.BackupNotFoundException](t, err, "")
}

// A policy on a table lets users of its account and of another in, each only as far as it says.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-cross-account-access.html
func TestTablePolicies(t *testing.T) {
	account, other := newAccount(), newAccount()
	owner := dynamodb.NewFromConfig(rootOf(account))
	table := ok(owner.CreateTable(t.Context(), hashTable("table")))(t).TableDescription.TableArn
	putRows(t, owner, "table", row{"pk": text("a")})
	friendARN, friendConfig := newUser(t, rootOf(other), "friend", allow("dynamodb:*", "*"))
	localARN, localConfig := newUser(t, rootOf(account), "local", "")
	friend, local := dynamodb.NewFromConfig(friendConfig), dynamodb.NewFromConfig(localConfig)
	get := func(client *dynamodb.Client) error {
		_, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: row{"pk": text("a")}})
		return err
	}
	for _, client := range []*dynamodb.Client{friend, local} {
		hasCode(t, get(client), 400, "AccessDeniedException", "is not authorized to perform: dynamodb:GetItem")
	}
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + friendARN + `","` + localARN +
		`"]},"Action":"dynamodb:GetItem","Resource":"` + *table + `"}]}`
	put := ok(owner.PutResourcePolicy(t.Context(), &dynamodb.PutResourcePolicyInput{ResourceArn: table, Policy: &document}))(t)
	for _, client := range []*dynamodb.Client{friend, local} {
		if err := get(client); err != nil {
			t.Error(err)
		}
	}
	_, err := friend.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: row{"pk": text("b")}})
	hasCode(t, err, 400, "AccessDeniedException", "dynamodb:PutItem")
	got := ok(owner.GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: table}))(t)
	same(t, "policy", []string{*got.Policy, *got.RevisionId}, []string{document, *put.RevisionId})
	ok(owner.DeleteResourcePolicy(t.Context(), &dynamodb.DeleteResourcePolicyInput{ResourceArn: table, ExpectedRevisionId: put.RevisionId}))(t)
	_, err = owner.GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: table})
	is[*types.PolicyNotFoundException](t, err, "")
	hasCode(t, get(friend), 400, "AccessDeniedException", "")
}
