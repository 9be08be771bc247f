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
	"brume/internal/kv/pebblekv"
)

func (b *bench) setRecovery(table string, on bool, days *int32) (*api.PointInTimeRecoveryDescription, error) {
	out, err := b.UpdateContinuousBackups(b.ctx, &api.UpdateContinuousBackupsInput{
		TableName: &table, PointInTimeRecoverySpecification: &api.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: &on, RecoveryPeriodInDays: days},
	})
	if err != nil {
		return nil, err
	}
	return out.ContinuousBackupsDescription.PointInTimeRecoveryDescription, nil
}

func (b *bench) backUp(table, name string) string {
	b.Helper()
	return *must(b.CreateBackup(b.ctx, &api.CreateBackupInput{TableName: &table, BackupName: &name}))(b).BackupDetails.BackupArn
}

func (b *bench) backup(arn string) *api.BackupDescription {
	b.Helper()
	return must(b.DescribeBackup(b.ctx, &api.DescribeBackupInput{BackupArn: &arn}))(b).BackupDescription
}

func (b *bench) restore(target, arn string) error {
	_, err := b.RestoreTableFromBackup(b.ctx, &api.RestoreTableFromBackupInput{TargetTableName: &target, BackupArn: &arn})
	return err
}

func (b *bench) restoreTo(source, target string, at time.Time) error {
	_, err := b.RestoreTableToPointInTime(b.ctx, &api.RestoreTableToPointInTimeInput{SourceTableName: &source, TargetTableName: &target, RestoreDateTime: &at})
	return err
}

// contents are the items of a table as text, in the order of a Scan.
func (b *bench) contents(table string) string {
	b.Helper()
	return showAll(b.scanAll(api.ScanInput{TableName: &table}))
}

// agree checks that an index holds what the table does, of the items that have its key.
func (b *bench) agree(table, index, attribute string) {
	b.Helper()
	want := map[string]bool{}
	for _, m := range b.scanAll(api.ScanInput{TableName: &table}) {
		if m[attribute] != nil {
			want[show(m)] = true
		}
	}
	got := b.scanAll(api.ScanInput{TableName: &table, IndexName: &index})
	for _, m := range got {
		if !want[show(m)] {
			b.Errorf("the index of %s has %s", table, show(m))
		}
	}
	if len(got) != len(want) {
		b.Errorf("the index of %s has %d items of %d", table, len(got), len(want))
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html
func TestBackups(t *testing.T) {
	b := newBench(t)
	const missing = "arn:aws:dynamodb:us-east-1:000000000000:table/table/backup/01489602797149-73d8d5bc"
	_, err := b.CreateBackup(b.ctx, &api.CreateBackupInput{TableName: new("table"), BackupName: new("name")})
	wantError(t, err, "TableNotFoundException: Table not found: table")
	_, err = b.DescribeBackup(b.ctx, &api.DescribeBackupInput{BackupArn: new(missing)})
	wantError(t, err, "BackupNotFoundException: Backup not found: "+missing)
	_, err = b.DescribeBackup(b.ctx, &api.DescribeBackupInput{BackupArn: new("arn:aws:dynamodb:us-east-1:000000000000:table/table/backup/")})
	wantError(t, err, "ValidationException: Invalid Backup ARN")
	b.create("table", "pk:S", "gsi g:S ALL", "other h:S KEYS_ONLY")
	b.stream("table", "NEW_IMAGE")
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	b.put("table", M{"pk": api.S("a"), "g": api.S("x")}, M{"pk": api.S("b"), "n": api.N("1")})
	want := b.contents("table")
	out := must(b.CreateBackup(b.ctx, &api.CreateBackupInput{TableName: new("table"), BackupName: new("name")}))(t).BackupDetails
	arn := *out.BackupArn
	if *out.BackupStatus != "CREATING" || *out.BackupType != "USER" || *out.BackupName != "name" {
		t.Errorf("%+v", out)
	}
	b.put("table", M{"pk": api.S("a"), "g": api.S("later")}, M{"pk": api.S("c")})
	d := b.backup(arn)
	if *d.BackupDetails.BackupStatus != "AVAILABLE" || *d.BackupDetails.BackupSizeBytes != 11 || *d.SourceTableDetails.ItemCount != 2 ||
		*d.SourceTableDetails.BillingMode != "PAY_PER_REQUEST" || len(d.SourceTableFeatureDetails.GlobalSecondaryIndexes) != 2 ||
		*d.SourceTableFeatureDetails.TimeToLiveDescription.AttributeName != "ttl" || !*d.SourceTableFeatureDetails.StreamDescription.StreamEnabled {
		t.Errorf("%+v %+v %+v", d.BackupDetails, d.SourceTableDetails, d.SourceTableFeatureDetails)
	}
	wantError(t, b.restore("table", arn), "TableAlreadyExistsException: Table already exists: table")
	wantError(t, b.restore("again", missing), "BackupNotFoundException: …")
	if err := b.restore("again", arn); err != nil {
		t.Fatal(err)
	}
	if got := b.contents("again"); got != want {
		t.Errorf("restored %s, want %s", got, want)
	}
	b.agree("again", "gsi", "g")
	r := b.describe("again")
	if s := r.RestoreSummary; *r.TableStatus != "ACTIVE" || *s.SourceBackupArn != arn || *s.SourceTableArn != *b.describe("table").TableArn || *s.RestoreInProgress ||
		r.StreamSpecification != nil || *b.ttl("again").TimeToLiveStatus != "DISABLED" {
		t.Errorf("%+v", r)
	}
	if b.rowsUnder(rows(tagLog)) != 0 {
		t.Error("a change log goes on")
	}

	// Lists, by page, table, type and time.
	second := b.backUp("table", "second")
	b.backUp("again", "third")
	list := func(in api.ListBackupsInput) string {
		t.Helper()
		var names []string
		for {
			out := must(b.ListBackups(b.ctx, &in))(t)
			for _, s := range out.BackupSummaries {
				names = append(names, *s.BackupName)
			}
			if in.ExclusiveStartBackupArn = out.LastEvaluatedBackupArn; out.LastEvaluatedBackupArn == nil {
				return strings.Join(names, " ")
			}
		}
	}
	soon := time.Now().Add(time.Hour)
	for want, in := range map[string]api.ListBackupsInput{
		"third name second": {}, "name second": {TableName: new("table"), Limit: new(int32(1))}, "": {TimeRangeLowerBound: &soon},
		"third": {TableName: new("again"), BackupType: new("ALL"), TimeRangeUpperBound: &soon},
	} {
		if got := list(in); got != want {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	if got := list(api.ListBackupsInput{BackupType: new("SYSTEM")}); got != "" {
		t.Errorf("listed %q", got)
	}
	_, err = b.ListBackups(b.ctx, &api.ListBackupsInput{TimeRangeLowerBound: &soon, TimeRangeUpperBound: new(time.Now())})
	wantError(t, err, invalidParams+"Time range lower bound must be less than or equal to upper bound")
	deleted := must(b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: &second}))(t)
	if *deleted.BackupDescription.BackupDetails.BackupStatus != "DELETED" {
		t.Errorf("%+v", deleted.BackupDescription.BackupDetails)
	}
	_, err = b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: &second})
	wantError(t, err, "BackupNotFoundException: …")

	// A backup outlives its table.
	must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	if err := b.emptyTrash(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.restore("table", arn); err != nil || b.contents("table") != want {
		t.Errorf("restored %s, %v", b.contents("table"), err)
	}
}

// What a restore may have otherwise than its source.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html
func TestRestoreOverrides(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S,sk:S", "gsi g:S ALL", "other h:S KEYS_ONLY", "local lsi pk:S,l:S ALL")
	b.put("table", M{"pk": api.S("a"), "sk": api.S("a"), "g": api.S("x"), "h": api.S("y")})
	arn := b.backUp("table", "name")
	units := &api.ProvisionedThroughput{ReadCapacityUnits: new(int64(5)), WriteCapacityUnits: new(int64(6))}
	gsi := func(name, key string, t *api.ProvisionedThroughput) api.GlobalSecondaryIndex {
		_, schema := schemaOf(key)
		return api.GlobalSecondaryIndex{IndexName: &name, KeySchema: schema, Projection: &api.Projection{ProjectionType: new("ALL")}, ProvisionedThroughput: t}
	}
	for _, c := range []struct {
		in   api.RestoreTableFromBackupInput
		want string
	}{
		{api.RestoreTableFromBackupInput{ProvisionedThroughputOverride: units}, "Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED"},
		{api.RestoreTableFromBackupInput{BillingModeOverride: new("PAY_PER_REQUEST"), ProvisionedThroughputOverride: units}, "Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST"},
		{api.RestoreTableFromBackupInput{BillingModeOverride: new("PROVISIONED")}, "Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED"},
		{api.RestoreTableFromBackupInput{BillingModeOverride: new("PROVISIONED"), ProvisionedThroughputOverride: units}, "Must specify provisioned throughput for index gsi"},
		{api.RestoreTableFromBackupInput{GlobalSecondaryIndexOverride: []api.GlobalSecondaryIndex{gsi("new", "g:S", nil)}}, "Index new does not match a secondary index that existed in the source table and cannot be created during the restore operation"},
		{api.RestoreTableFromBackupInput{GlobalSecondaryIndexOverride: []api.GlobalSecondaryIndex{gsi("gsi", "h:S", nil)}}, "Index gsi does not match a secondary index that existed in the source table and cannot be created during the restore operation"},
	} {
		c.in.TargetTableName, c.in.BackupArn = new("target"), &arn
		_, err := b.RestoreTableFromBackup(b.ctx, &c.in)
		wantError(t, err, "ValidationException: Invalid Request: "+c.want)
	}
	must(b.RestoreTableFromBackup(b.ctx, &api.RestoreTableFromBackupInput{
		TargetTableName: new("target"), BackupArn: &arn, BillingModeOverride: new("PROVISIONED"), ProvisionedThroughputOverride: units,
		GlobalSecondaryIndexOverride: []api.GlobalSecondaryIndex{gsi("gsi", "g:S", units)}, LocalSecondaryIndexOverride: []api.LocalSecondaryIndex{},
	}))(t)
	d := b.describe("target")
	if len(d.GlobalSecondaryIndexes) != 1 || len(d.LocalSecondaryIndexes) != 0 || len(d.AttributeDefinitions) != 3 || *d.ProvisionedThroughput.WriteCapacityUnits != 6 ||
		*d.GlobalSecondaryIndexes[0].ProvisionedThroughput.ReadCapacityUnits != 5 || *d.GlobalSecondaryIndexes[0].ItemCount != 1 {
		t.Errorf("%+v", d)
	}
}

// A backup shows the moment at which it was made however long it takes, and a restore takes place in the background, over
// restarts.
func TestBackupUnderWrites(t *testing.T) {
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
	b.create("table", "pk:S", "gsi g:S ALL")
	const n = 4 * jobStep
	key := func(i int) M { return M{"pk": api.S(fmt.Sprintf("%06d", i))} }
	b.fill("table", n, func(i int) M { return M{"pk": key(i)["pk"], "g": api.S("old")} })
	want := b.contents("table")
	arn := b.backUp("table", "name")
	if s := *b.backup(arn).BackupDetails.BackupStatus; s != "CREATING" {
		t.Fatal(s)
	}
	wantError(t, b.restore("target", arn), "BackupInUseException: …")
	_, err := b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: &arn})
	wantError(t, err, "BackupInUseException: …")
	_, err = b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")})
	wantError(t, err, "ResourceInUseException: …")
	change := func(r *rand.Rand) error {
		k := key(r.IntN(n + 100))
		if r.IntN(3) == 0 {
			_, err := b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: k})
			return err
		}
		_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"), Item: M{"pk": k["pk"], "g": api.S(fmt.Sprint(r.IntN(9)))}})
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		if err := change(r); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	b, stop = open()
	defer func() { stop() }()
	var writing sync.WaitGroup
	writing.Go(func() {
		r := rand.New(rand.NewPCG(3, 4))
		for range 300 {
			if err := change(r); err != nil {
				t.Error(err)
			}
		}
	})
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	writing.Wait()
	if err := b.restore("target", arn); err != nil {
		t.Fatal(err)
	}
	d := b.describe("target")
	if *d.TableStatus != "CREATING" || !*d.RestoreSummary.RestoreInProgress || *d.GlobalSecondaryIndexes[0].IndexStatus != "CREATING" {
		t.Errorf("%s %+v", *d.TableStatus, d.RestoreSummary)
	}
	_, err = b.PutItem(b.ctx, &api.PutItemInput{TableName: new("target"), Item: M{"pk": api.S("a")}})
	wantError(t, err, "ResourceNotFoundException: Requested resource not found")
	_, err = b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("target")})
	wantError(t, err, "ResourceInUseException: …")
	wantError(t, b.setTTL("target", "ttl", true), "ResourceInUseException: …")
	_, err = b.DescribeTimeToLive(b.ctx, &api.DescribeTimeToLiveInput{TableName: new("target")})
	wantError(t, err, "ValidationException: Cannot describe time to live while table is in CREATING state: Current table state is CREATING")
	_, err = b.CreateBackup(b.ctx, &api.CreateBackupInput{TableName: new("target"), BackupName: new("name")})
	wantError(t, err, "ContinuousBackupsUnavailableException: Backups are being enabled for the table: target. Please retry later")
	_, err = b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: &arn})
	wantError(t, err, "BackupInUseException: …")
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.contents("target"); got != want {
		t.Errorf("restored %d bytes of text, want %d", len(got), len(want))
	}
	b.agree("target", "gsi", "g")
	must(b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: &arn}))(t)
	if err := b.emptyTrash(b.ctx); err != nil || b.rowsUnder(rows(tagLog))+b.rowsUnder(rows(tagLogTime))+b.rowsUnder(rows(tagBackup)) != 0 {
		t.Errorf("rows are left, %v", err)
	}
}

// A table can be restored as it was at any second since recovery was enabled.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
func TestPointInTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	_, err := b.setRecovery("table", true, nil)
	wantError(t, err, "TableNotFoundException: Table not found: table")
	b.create("table", "pk:S", "gsi g:S ALL")
	b.put("table", M{"pk": api.S("a"), "g": api.S("0")})
	wantError(t, b.restoreTo("table", "target", now), "PointInTimeRecoveryUnavailableException: Point in time recovery is not enabled for table 'table'")
	_, err = b.setRecovery("table", false, new(int32(3)))
	wantError(t, err, "ValidationException: Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.")
	begin := now
	d := must(b.setRecovery("table", true, nil))(t)
	if *d.PointInTimeRecoveryStatus != "ENABLED" || *d.RecoveryPeriodInDays != 35 || !d.EarliestRestorableDateTime.Equal(now) || !d.LatestRestorableDateTime.Equal(now) {
		t.Errorf("%+v", d)
	}
	// Random changes, some at one moment, and what the table was at each second.
	r := rand.New(rand.NewPCG(5, 6))
	states := []string{b.contents("table")}
	for range 60 {
		now = now.Add(time.Second)
		for range r.IntN(4) {
			k := api.S(fmt.Sprint(r.IntN(5)))
			switch r.IntN(4) {
			case 0:
				must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": k}}))(t)
			case 1:
				must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("a")}}))(t)
			default:
				b.put("table", M{"pk": k, "g": api.S(fmt.Sprint(r.IntN(3)))})
			}
		}
		states = append(states, b.contents("table"))
	}
	now = now.Add(recoveryLag)
	for i, want := range states {
		name := fmt.Sprintf("restored%d", i)
		if err := b.restoreTo("table", name, begin.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
		if got := b.contents(name); got != want {
			t.Errorf("second %d: got %s, want %s", i, got, want)
		}
		b.agree(name, "gsi", "g")
	}
	if s := b.describe("restored7").RestoreSummary; s.SourceBackupArn != nil || !s.RestoreDateTime.Equal(begin.Add(7*time.Second)) || *s.RestoreInProgress {
		t.Errorf("%+v", s)
	}
	must(b.RestoreTableToPointInTime(b.ctx, &api.RestoreTableToPointInTimeInput{
		SourceTableArn: b.describe("table").TableArn, TargetTableName: new("latest"), UseLatestRestorableTime: new(true),
	}))(t)
	if got := b.contents("latest"); got != states[60] {
		t.Errorf("the latest: %s, want %s", got, states[60])
	}
	for _, at := range []time.Time{begin.Add(-time.Second), now.Add(time.Second)} {
		wantError(t, b.restoreTo("table", "target", at), "InvalidRestoreTimeException: …")
	}
	wantError(t, b.restoreTo("table", "table", begin), "TableAlreadyExistsException: Table already exists: table")
	const either = "ValidationException: Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both"
	_, err = b.RestoreTableToPointInTime(b.ctx, &api.RestoreTableToPointInTimeInput{SourceTableName: new("table"), TargetTableName: new("target")})
	wantError(t, err, either)
	_, err = b.RestoreTableToPointInTime(b.ctx, &api.RestoreTableToPointInTimeInput{
		SourceTableName: new("table"), TargetTableName: new("target"), UseLatestRestorableTime: new(true), RestoreDateTime: &now,
	})
	wantError(t, err, either)
	_, err = b.RestoreTableToPointInTime(b.ctx, &api.RestoreTableToPointInTimeInput{TargetTableName: new("target"), UseLatestRestorableTime: new(true)})
	wantError(t, err, "ValidationException: Invalid Request: Must provide exactly one of: sourceTableArn, sourceTableName")

	// Changes are kept for the days that were asked for.
	logged := b.rowsUnder(rows(tagLog))
	d = must(b.setRecovery("table", true, new(int32(2))))(t)
	if *d.RecoveryPeriodInDays != 2 || !d.EarliestRestorableDateTime.Equal(begin) {
		t.Errorf("%+v", d)
	}
	now = begin.AddDate(0, 0, 2).Add(30 * time.Second)
	if err := b.trimLogs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.rowsUnder(rows(tagLog)); n == 0 || n >= logged || n != b.rowsUnder(rows(tagLogTime)) {
		t.Errorf("%d of %d changes are left, %d times", n, logged, b.rowsUnder(rows(tagLogTime)))
	}
	wantError(t, b.restoreTo("table", "target", begin.Add(29*time.Second)), "InvalidRestoreTimeException: …")
	if err := b.restoreTo("table", "trimmed", begin.Add(30*time.Second)); err != nil || b.contents("trimmed") != states[30] {
		t.Errorf("after trimming: %s, want %s, %v", b.contents("trimmed"), states[30], err)
	}
	if d = must(b.setRecovery("table", false, nil))(t); *d.PointInTimeRecoveryStatus != "DISABLED" || d.EarliestRestorableDateTime != nil {
		t.Errorf("%+v", d)
	}
	if err := b.emptyTrash(b.ctx); err != nil || b.rowsUnder(rows(tagLog))+b.rowsUnder(rows(tagLogTime)) != 0 {
		t.Errorf("changes are left, %v", err)
	}
}

// A restore to a moment waits for the writes of that moment that are still under way.
func TestRestoreWaitsForWrites(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	must(b.setRecovery("table", true, nil))(t)
	now = now.Add(time.Minute)
	b.put("table", M{"pk": api.S("a")})
	_, open := b.sequences.next(nil, 1, now)
	now = now.Add(recoveryLag)
	if err := b.restoreTo("table", "target", now.Add(-recoveryLag)); err != nil {
		t.Fatal(err)
	}
	if err := b.finishJobs(b.ctx); err != errNotYet || *b.describe("target").TableStatus != "CREATING" {
		t.Errorf("%v, %s", err, *b.describe("target").TableStatus)
	}
	b.sequences.finish(open)
	if err := b.finishJobs(b.ctx); err != nil || b.contents("target") != "{pk=a}" {
		t.Errorf("%v, %s", err, b.contents("target"))
	}
}

// A table with point-in-time recovery leaves a backup behind when it is deleted, for 35 days.
func TestSystemBackup(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S", "gsi g:S ALL")
	must(b.setRecovery("table", true, nil))(t)
	b.put("table", M{"pk": api.S("a"), "g": api.S("g")})
	must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	if err := b.emptyTrash(b.ctx); err != nil {
		t.Fatal(err)
	}
	list := must(b.ListBackups(b.ctx, &api.ListBackupsInput{TableName: new("table"), BackupType: new("SYSTEM")}))(t).BackupSummaries
	if len(list) != 1 || *list[0].BackupName != "table$DeletedTableBackup" || *list[0].BackupType != "SYSTEM" || !list[0].BackupExpiryDateTime.Equal(now.Add(systemBackupLife)) || *list[0].BackupSizeBytes != 5 {
		t.Fatalf("%+v", list)
	}
	_, err := b.DeleteBackup(b.ctx, &api.DeleteBackupInput{BackupArn: list[0].BackupArn})
	wantError(t, err, "ValidationException: Invalid Request: User is not allowed to delete the system backup with arn "+*list[0].BackupArn+". It will automatically expire on …")
	b.create("table", "pk:N") // another of that name
	if err := b.restore("back", *list[0].BackupArn); err != nil || b.contents("back") != "{g=g, pk=a}" {
		t.Errorf("restored %s, %v", b.contents("back"), err)
	}
	b.agree("back", "gsi", "g")
	for _, name := range []string{"table", "back"} {
		must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: &name}))(t)
	}
	now = now.Add(systemBackupLife)
	if err := b.dropOldBackups(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.emptyTrash(b.ctx); err != nil || b.rowsUnder(nil) != 0 {
		t.Errorf("%d rows are left, %v", b.rowsUnder(nil), err)
	}
}

// Transactions that move amounts between items are in a restored table as a whole or not at all.
func TestPointInTimeIsConsistent(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	const accounts = 700 // more than one step's
	b.fill("table", accounts, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "n": api.N("100")} })
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				from, to := r.IntN(accounts), r.IntN(accounts)
				if from == to {
					continue
				}
				add := func(i int, n string) api.TransactWriteItem {
					return api.TransactWriteItem{Update: &api.Update{TableName: new("table"), Key: M{"pk": api.S(fmt.Sprint(i))},
						UpdateExpression: new("ADD n :n"), ExpressionAttributeValues: M{":n": api.N(n)}}}
				}
				_, err := b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{add(from, "-1"), add(to, "1")}})
				if err != nil && !strings.HasPrefix(err.Error(), "TransactionCanceled") {
					t.Error(err)
					return
				}
			}
		})
	}
	var backups []string
	for i := range 5 {
		time.Sleep(5 * time.Millisecond)
		backups = append(backups, b.backUp("table", fmt.Sprintf("backup%d", i)))
		if err := b.finishJobs(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	writing.Wait()
	for i, arn := range backups {
		name := fmt.Sprintf("restored%d", i)
		if err := b.restore(name, arn); err != nil {
			t.Fatal(err)
		}
		if err := b.finishJobs(b.ctx); err != nil {
			t.Fatal(err)
		}
		sum := 0
		items := b.scanAll(api.ScanInput{TableName: &name})
		for _, m := range items {
			var n int
			fmt.Sscan(string(m["n"].(api.N)), &n)
			sum += n
		}
		if len(items) != accounts || sum != 100*accounts {
			t.Errorf("backup %d: %d items with %d in all", i, len(items), sum)
		}
	}
}

// A point in time before many items were deleted or changed has all of them, however many steps the restore takes.
func TestPointBeforeManyChanges(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S", "gsi n:N ALL")
	must(b.setRecovery("table", true, nil))(t)
	const items = 3*jobStep + 10
	b.fill("table", items, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "n": api.N("1")} })
	now = now.Add(time.Minute)
	at := now
	now = now.Add(time.Minute)
	for i := range 2 * items {
		if i < items && i%3 == 0 {
			must(b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S(fmt.Sprint(i))}}))(t)
		} else {
			b.put("table", M{"pk": api.S(fmt.Sprint(i)), "n": api.N("2")})
		}
	}
	now = now.Add(time.Minute)
	if err := b.restoreTo("table", "restored", at); err != nil {
		t.Fatal(err)
	}
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range b.scanAll(api.ScanInput{TableName: new("restored")}) {
		if n++; m["n"] != api.N("1") {
			t.Errorf("%s", show(m))
		}
	}
	if n != items {
		t.Errorf("%d items of %d were restored", n, items)
	}
	b.agree("restored", "gsi", "n")
}
