package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

const (
	// systemBackupLife is how long the backup is kept that a table with point-in-time recovery leaves behind.
	// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
	systemBackupLife = 35 * 24 * time.Hour
	maxListBackups   = 100
	deletedSuffix    = "$DeletedTableBackup"
)

// A backupRow is what is stored of a backup. Its items are rows like those of a table.
type backupRow struct {
	Name    string
	System  bool
	Created time.Time
	Expires time.Time // of a system backup
	// Copying is the hold on the table that is still being copied, 0 when the backup is AVAILABLE.
	Copying  uint64
	Restores int    // under way
	Data     uint64 // of the items' rows
	Sizes    rowCount
	Table    tableRow // as it was
}

// A backupName is what is in the ARN of a backup.
type backupName struct{ table, id string }

func (sc scope) backupARN(n backupName) string { return sc.tableARN(n.table) + "/backup/" + n.id }

func (sc scope) backupOfARN(arn string) (backupName, error) {
	table, id, ok := strings.Cut(arn, "/backup/")
	if !ok || id == "" {
		return backupName{}, awserr.Validation("Invalid Backup ARN")
	}
	name, err := sc.tableOfARN(table)
	if err != nil {
		return backupName{}, awserr.Validation("Invalid Backup ARN")
	}
	return backupName{name, id}, nil
}

// newBackupID makes an id in AWS's form: the time in milliseconds, and the rest of it with some random bits. So ids order as
// their times do.
func newBackupID(now time.Time) string {
	return fmt.Sprintf("%014d-%08x", now.UnixMilli(), uint32(now.Nanosecond()%1_000_000)<<12|rand.Uint32()&0xfff)
}

func findBackup(r kv.Reader, sc scope, arn string) (backupName, *backupRow, error) {
	name, err := sc.backupOfARN(arn)
	if err != nil {
		return name, nil, err
	}
	data, ok, err := r.Get(backupKey(sc, name))
	if err != nil {
		return name, nil, err
	}
	if !ok {
		return name, nil, &api.BackupNotFoundException{Message: new("Backup not found: " + arn)}
	}
	row, err := decodeBackup(data)
	return name, row, err
}

func decodeBackup(data []byte) (*backupRow, error) {
	row := new(backupRow)
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("dynamodb: backup: %w", err)
	}
	return row, nil
}

func putBackup(tx kv.Tx, sc scope, name backupName, row *backupRow) error {
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Set(backupKey(sc, name), data)
}

func tableNotFound(name string) error {
	return &api.TableNotFoundException{Message: new("Table not found: " + name)}
}

// backedUpTable is findTable for operations on backups, which name the absence of a table in their own way.
func (s *Service) backedUpTable(r kv.Reader, sc scope, name string) (*table, error) {
	t, err := s.findTable(r, sc, name)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, tableNotFound(name)
	case t.Status != "":
		return nil, &api.ContinuousBackupsUnavailableException{
			Message: new("Backups are being enabled for the table: " + name + ". Please retry later"),
		}
	}
	return t, nil
}

// CreateBackup copies a table as it is now, in the background.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html
func (s *Service) CreateBackup(ctx context.Context, in *api.CreateBackupInput) (*api.CreateBackupOutput, error) {
	sc := scopeOf(ctx)
	table, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	var (
		out  *api.CreateBackupOutput
		work []byte
	)
	err = s.update(ctx, func(tx kv.Tx) error {
		t, err := s.backedUpTable(tx, sc, table)
		if err != nil {
			return err
		}
		now := tx.Now()
		name := backupName{table, newBackupID(now)}
		backup := &backupRow{Name: *in.BackupName, Created: now, Data: newTableID(), Table: t.tableRow}
		row := t.tableRow
		// Who writes from here on does so at this moment or later.
		before := now.Add(-1)
		if backup.Copying, err = row.hold(tx, before); err != nil {
			return err
		}
		if err := setTable(tx, sc, &row); err != nil {
			return err
		}
		if err := putBackup(tx, sc, name, backup); err != nil {
			return err
		}
		work, err = addJob(tx, &jobRow{
			Kind: jobBackUp, Account: sc.account, Region: sc.region, Table: table, TableID: t.ID, Backup: name.id, At: before,
		})
		out = &api.CreateBackupOutput{BackupDetails: backup.details(sc, name)}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.begin(ctx, work)
	return out, nil
}

// backUp copies the next items of a table into a backup.
func (t *table) backUp(tx kv.Tx, j *jobRow) (done bool, err error) {
	name := backupName{j.Table, j.Backup}
	_, backup, err := findBackup(tx, t.scope, t.scope.backupARN(name))
	if err != nil {
		return false, err
	}
	prefix := itemPrefix(backup.Data)
	for _, it := range j.copy.items {
		size, err := item.Encoded(it.Value).Size()
		if err != nil {
			return false, err
		}
		backup.Sizes.Items++
		backup.Sizes.Bytes += int64(size)
		if err := tx.Set(append(bytes.Clone(prefix), it.Key...), it.Value); err != nil {
			return false, err
		}
	}
	if j.Cursor = j.copy.next; j.Cursor == nil {
		row := t.tableRow
		if err := row.release(tx, backup.Copying); err != nil {
			return false, err
		}
		if err := setTable(tx, t.scope, &row); err != nil {
			return false, err
		}
		backup.Copying = 0
	}
	return j.Cursor == nil, putBackup(tx, t.scope, name, backup)
}

// leaveBackup makes the backup that is left of a table with point-in-time recovery when it is deleted: its items stay
// where they are.
func (t *table) leaveBackup(tx kv.Tx, sizes rowCount) error {
	now := tx.Now()
	name := backupName{t.Name, newBackupID(now)}
	return putBackup(tx, t.scope, name, &backupRow{
		Name: t.Name + deletedSuffix, System: true, Created: now, Expires: now.Add(systemBackupLife), Data: t.ID, Sizes: sizes, Table: t.tableRow,
	})
}

// DescribeBackup describes a backup and the table as it was.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeBackup.html
func (s *Service) DescribeBackup(ctx context.Context, in *api.DescribeBackupInput) (*api.DescribeBackupOutput, error) {
	sc := scopeOf(ctx)
	var out *api.DescribeBackupOutput
	err := s.view(ctx, func(r kv.Reader) error {
		name, row, err := findBackup(r, sc, *in.BackupArn)
		if err == nil {
			out = &api.DescribeBackupOutput{BackupDescription: row.describe(sc, name)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteBackup removes a backup that a user made.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteBackup.html
func (s *Service) DeleteBackup(ctx context.Context, in *api.DeleteBackupInput) (*api.DeleteBackupOutput, error) {
	sc := scopeOf(ctx)
	var out *api.DeleteBackupOutput
	err := s.update(ctx, func(tx kv.Tx) error {
		name, row, err := findBackup(tx, sc, *in.BackupArn)
		switch {
		case err != nil:
			return err
		case row.System:
			return awserr.Validation("Invalid Request: User is not allowed to delete the system backup with arn %s. It will automatically expire on %s",
				*in.BackupArn, formatTime(row.Expires))
		case row.Copying != 0:
			return &api.BackupInUseException{Message: new("Backup is being created: " + *in.BackupArn)}
		case row.Restores > 0:
			return &api.BackupInUseException{Message: new("Backup is being used to restore a table: " + *in.BackupArn)}
		}
		d := row.describe(sc, name)
		d.BackupDetails.BackupStatus = new("DELETED")
		out = &api.DeleteBackupOutput{BackupDescription: d}
		return row.remove(tx, sc, name)
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return out, nil
}

func (row *backupRow) remove(tx kv.Tx, sc scope, name backupName) error {
	if err := tx.Set(trashKey(itemPrefix(row.Data)), nil); err != nil {
		return err
	}
	return tx.Delete(backupKey(sc, name))
}

// ListBackups lists the backups of a table, or of all.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListBackups.html
func (s *Service) ListBackups(ctx context.Context, in *api.ListBackupsInput) (*api.ListBackupsOutput, error) {
	sc := scopeOf(ctx)
	rng := kv.Prefix(backupScope(sc))
	if in.TableName != nil {
		table, err := sc.tableName(in.TableName)
		if err != nil {
			return nil, err
		}
		rng = kv.Prefix(backupsOf(sc, table))
	}
	if in.ExclusiveStartBackupArn != nil {
		start, err := sc.backupOfARN(*in.ExclusiveStartBackupArn)
		if err != nil {
			return nil, err
		}
		rng = after(rng, backupKey(sc, start))
	}
	if in.TimeRangeLowerBound != nil && in.TimeRangeUpperBound != nil && in.TimeRangeLowerBound.After(*in.TimeRangeUpperBound) {
		return nil, invalid("Time range lower bound must be less than or equal to upper bound")
	}
	limit := maxListBackups
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	var out *api.ListBackupsOutput
	err := s.view(ctx, func(r kv.Reader) error {
		out = &api.ListBackupsOutput{BackupSummaries: []api.BackupSummary{}}
		for pair, err := range r.Scan(rng) {
			if err != nil {
				return err
			}
			row, err := decodeBackup(pair.Value)
			if err != nil {
				return err
			}
			if !row.listed(in) {
				continue
			}
			if n := len(out.BackupSummaries); n == limit {
				out.LastEvaluatedBackupArn = out.BackupSummaries[n-1].BackupArn
				break
			}
			name, err := parseBackupKey(pair.Key)
			if err != nil {
				return err
			}
			out.BackupSummaries = append(out.BackupSummaries, row.summary(sc, name))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// listed reports whether a backup is one of those that are asked for.
func (row *backupRow) listed(in *api.ListBackupsInput) bool {
	switch deref(in.BackupType) {
	case "USER":
		if row.System {
			return false
		}
	case "SYSTEM":
		if !row.System {
			return false
		}
	case "AWS_BACKUP":
		return false
	}
	return (in.TimeRangeLowerBound == nil || !row.Created.Before(*in.TimeRangeLowerBound)) &&
		(in.TimeRangeUpperBound == nil || row.Created.Before(*in.TimeRangeUpperBound))
}

func (row *backupRow) kind() string {
	if row.System {
		return "SYSTEM"
	}
	return "USER"
}

func (row *backupRow) status() string {
	if row.Copying != 0 {
		return "CREATING"
	}
	return "AVAILABLE"
}

func (row *backupRow) details(sc scope, name backupName) *api.BackupDetails {
	return &api.BackupDetails{
		BackupArn: new(sc.backupARN(name)), BackupName: new(row.Name), BackupSizeBytes: new(row.Sizes.Bytes), BackupStatus: new(row.status()),
		BackupType: new(row.kind()), BackupCreationDateTime: new(row.Created), BackupExpiryDateTime: describeTime(row.Expires),
	}
}

func (row *backupRow) summary(sc scope, name backupName) api.BackupSummary {
	d := row.details(sc, name)
	return api.BackupSummary{
		TableName: new(name.table), TableId: new(row.Table.UUID), TableArn: new(sc.tableARN(name.table)), BackupArn: d.BackupArn,
		BackupName: d.BackupName, BackupCreationDateTime: d.BackupCreationDateTime, BackupExpiryDateTime: d.BackupExpiryDateTime,
		BackupStatus: d.BackupStatus, BackupType: d.BackupType, BackupSizeBytes: d.BackupSizeBytes,
	}
}

func (row *backupRow) describe(sc scope, name backupName) *api.BackupDescription {
	t := &table{tableRow: row.Table, scope: sc}
	d := t.describe("ACTIVE", nil)
	mode := "PROVISIONED"
	if t.PayPerRequest {
		mode = "PAY_PER_REQUEST"
	}
	units := func(p *api.ProvisionedThroughputDescription) *api.ProvisionedThroughput {
		return &api.ProvisionedThroughput{ReadCapacityUnits: p.ReadCapacityUnits, WriteCapacityUnits: p.WriteCapacityUnits}
	}
	out := &api.BackupDescription{
		BackupDetails: row.details(sc, name),
		SourceTableDetails: &api.SourceTableDetails{
			TableName: d.TableName, TableId: d.TableId, TableArn: d.TableArn, TableSizeBytes: new(row.Sizes.Bytes), KeySchema: d.KeySchema,
			TableCreationDateTime: d.CreationDateTime, ProvisionedThroughput: units(d.ProvisionedThroughput),
			OnDemandThroughput: d.OnDemandThroughput, ItemCount: new(row.Sizes.Items), BillingMode: new(mode),
		},
		SourceTableFeatureDetails: &api.SourceTableFeatureDetails{
			StreamDescription: d.StreamSpecification, SSEDescription: d.SSEDescription, TimeToLiveDescription: t.TTL.describe(),
		},
	}
	f := out.SourceTableFeatureDetails
	for _, x := range d.LocalSecondaryIndexes {
		f.LocalSecondaryIndexes = append(f.LocalSecondaryIndexes, api.LocalSecondaryIndexInfo{
			IndexName: x.IndexName, KeySchema: x.KeySchema, Projection: x.Projection,
		})
	}
	for _, x := range d.GlobalSecondaryIndexes {
		f.GlobalSecondaryIndexes = append(f.GlobalSecondaryIndexes, api.GlobalSecondaryIndexInfo{
			IndexName: x.IndexName, KeySchema: x.KeySchema, Projection: x.Projection,
			ProvisionedThroughput: units(x.ProvisionedThroughput), OnDemandThroughput: x.OnDemandThroughput,
		})
	}
	return out
}

// dropOldBackups removes system backups whose time is over.
func (s *Service) dropOldBackups(ctx context.Context) error {
	return s.update(ctx, func(tx kv.Tx) error {
		for pair, err := range tx.Scan(kv.Prefix(rows(tagBackup))) {
			if err != nil {
				return err
			}
			row, err := decodeBackup(pair.Value)
			if err != nil {
				return err
			}
			if !row.System || row.Restores > 0 || tx.Now().Before(row.Expires) {
				continue
			}
			if err := tx.Set(trashKey(itemPrefix(row.Data)), nil); err != nil {
				return err
			}
			if err := tx.Delete(bytes.Clone(pair.Key)); err != nil {
				return err
			}
		}
		return nil
	})
}
