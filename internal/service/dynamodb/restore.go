package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// A restored is what a table knows of where it came from.
type restored struct {
	Backup, Table string // ARNs; Backup is empty for a point in time
	At            time.Time
}

func (r *restored) describe(status string) *api.RestoreSummary {
	if r == nil {
		return nil
	}
	out := &api.RestoreSummary{SourceTableArn: new(r.Table), RestoreDateTime: new(r.At), RestoreInProgress: new(status == "CREATING")}
	if r.Backup != "" {
		out.SourceBackupArn = new(r.Backup)
	}
	return out
}

// overrides are what a restored table has otherwise than its source.
type overrides struct {
	billing    *string
	global     []api.GlobalSecondaryIndex
	local      []api.LocalSecondaryIndex
	throughput *api.ProvisionedThroughput
	onDemand   *api.OnDemandThroughput
	encryption *api.SSESpecification
}

func badRestore(format string, args ...any) error {
	return awserr.Validation("Invalid Request: "+format, args...)
}

// restoredTable makes the row of a table that is restored from another. Streams, expiry, tags, policies, protection and
// point-in-time recovery are not restored.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html
func restoredTable(sc scope, name string, from *tableRow, o overrides, now time.Time) (*tableRow, error) {
	row := &tableRow{
		Name: name, ID: newTableID(), UUID: newUUID(), Created: now, Status: "CREATING", Attributes: from.Attributes, Key: from.Key,
		NextIndex: from.NextIndex, PayPerRequest: from.PayPerRequest, Throughput: throughput{Read: from.Throughput.Read, Write: from.Throughput.Write},
		OnDemand: from.OnDemand, InfrequentAccess: from.InfrequentAccess, KMSKey: from.KMSKey, Warm: from.Warm,
	}
	if o.billing != nil {
		row.PayPerRequest = *o.billing == "PAY_PER_REQUEST"
	}
	switch switched := o.billing != nil && row.PayPerRequest != from.PayPerRequest; {
	case row.PayPerRequest && o.throughput != nil && o.billing != nil:
		return nil, badRestore("Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST")
	case row.PayPerRequest && o.throughput != nil:
		return nil, badRestore("Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED")
	case row.PayPerRequest && switched:
		row.Throughput = throughput{}
	case !row.PayPerRequest && switched && o.throughput == nil:
		return nil, badRestore("Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED")
	}
	if o.throughput != nil {
		row.Throughput = newThroughput(o.throughput)
	}
	if row.PayPerRequest {
		row.BillingChanged = now
	} else {
		row.OnDemand = nil
	}
	if o.onDemand != nil {
		if !row.PayPerRequest {
			return nil, badRestore("Cannot override OnDemandThroughput unless BillingMode is PAY_PER_REQUEST")
		}
		if err := checkOnDemand(true, o.onDemand, "table"); err != nil {
			return nil, err
		}
		row.OnDemand = newOnDemand(o.onDemand)
	}
	if o.encryption != nil {
		if err := row.setEncryption(sc, o.encryption); err != nil {
			return nil, err
		}
	}
	if err := row.restoreIndexes(from, o); err != nil {
		return nil, err
	}
	row.pruneAttributes()
	return row, nil
}

// restoreIndexes takes over the indexes of the source, or those of them that are asked for.
func (row *tableRow) restoreIndexes(from *tableRow, o overrides) error {
	unmatched := func(name string) error {
		return badRestore("Index %s does not match a secondary index that existed in the source table and cannot be created during the restore operation", name)
	}
	same := func(x *index, key []api.KeySchemaElement, p *api.Projection) bool {
		want := describeKey(&x.Key)
		return len(key) == len(want) && (p == nil || p.ProjectionType == nil || *p.ProjectionType == x.Projection) &&
			slices.EqualFunc(key, want, func(a, b api.KeySchemaElement) bool {
				return *a.AttributeName == *b.AttributeName && *a.KeyType == *b.KeyType
			})
	}
	for _, x := range from.Indexes {
		if x.Status == indexDeleting {
			continue
		}
		x.Status = ""
		x.Throughput = throughput{Read: x.Throughput.Read, Write: x.Throughput.Write}
		if x.Global {
			i := slices.IndexFunc(o.global, func(g api.GlobalSecondaryIndex) bool { return *g.IndexName == x.Name })
			if o.global != nil && i < 0 {
				continue
			}
			if row.PayPerRequest {
				x.Throughput = throughput{}
			} else {
				x.OnDemand = nil
			}
			if i >= 0 {
				g := &o.global[i]
				if !same(&x, g.KeySchema, g.Projection) {
					return unmatched(x.Name)
				}
				if g.ProvisionedThroughput != nil {
					if row.PayPerRequest {
						return badRestore("Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST for index %s", x.Name)
					}
					x.Throughput = newThroughput(g.ProvisionedThroughput)
				}
			}
			if !row.PayPerRequest && x.Throughput.Read == 0 {
				return badRestore("Must specify provisioned throughput for index %s", x.Name)
			}
		} else {
			i := slices.IndexFunc(o.local, func(l api.LocalSecondaryIndex) bool { return *l.IndexName == x.Name })
			if o.local != nil && i < 0 {
				continue
			}
			if i >= 0 && !same(&x, o.local[i].KeySchema, o.local[i].Projection) {
				return unmatched(x.Name)
			}
		}
		row.Indexes = append(row.Indexes, x)
	}
	for _, g := range o.global {
		if row.index(*g.IndexName) == nil {
			return unmatched(*g.IndexName)
		}
	}
	for _, l := range o.local {
		if row.index(*l.IndexName) == nil {
			return unmatched(*l.IndexName)
		}
	}
	return nil
}

// freeTarget refuses to restore into a table that is there.
func (s *Service) freeTarget(r kv.Reader, sc scope, name string) error {
	t, err := s.findTable(r, sc, name)
	if err == nil && t != nil {
		err = &api.TableAlreadyExistsException{Message: new("Table already exists: " + name)}
	}
	return err
}

// RestoreTableFromBackup makes a table of a backup, in the background.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html
func (s *Service) RestoreTableFromBackup(ctx context.Context, in *api.RestoreTableFromBackupInput) (*api.RestoreTableFromBackupOutput, error) {
	sc := scopeOf(ctx)
	target := *in.TargetTableName
	if err := checkTableName(target); err != nil {
		return nil, err
	}
	var (
		out  *api.RestoreTableFromBackupOutput
		work []byte
	)
	err := s.update(ctx, func(tx kv.Tx) error {
		name, backup, err := findBackup(tx, sc, *in.BackupArn)
		if err != nil {
			return err
		}
		if backup.Copying != 0 {
			return &api.BackupInUseException{Message: new("Backup is being created: " + *in.BackupArn)}
		}
		if err := s.freeTarget(tx, sc, target); err != nil {
			return err
		}
		row, err := restoredTable(sc, target, &backup.Table, overrides{
			in.BillingModeOverride, in.GlobalSecondaryIndexOverride, in.LocalSecondaryIndexOverride, in.ProvisionedThroughputOverride,
			in.OnDemandThroughputOverride, in.SSESpecificationOverride,
		}, tx.Now())
		if err != nil {
			return err
		}
		row.Restored = &restored{Backup: *in.BackupArn, Table: sc.tableARN(name.table), At: backup.Created}
		backup.Restores++
		if err := putBackup(tx, sc, name, backup); err != nil {
			return err
		}
		work, err = addJob(tx, &jobRow{
			Kind: jobRestoreBackup, Account: sc.account, Region: sc.region, Table: target, TableID: row.ID, Backup: *in.BackupArn,
		})
		out = &api.RestoreTableFromBackupOutput{TableDescription: (&table{tableRow: *row, scope: sc}).describe("CREATING", nil)}
		return errors.Join(err, setTable(tx, sc, row))
	})
	if err != nil {
		return nil, err
	}
	s.begin(ctx, work)
	return out, nil
}

// restoreBackup copies the next items of a backup into the table.
func (t *table) restoreBackup(tx kv.Tx, j *jobRow) (done bool, err error) {
	name, backup, err := findBackup(tx, t.scope, j.Backup)
	if err != nil {
		return false, err
	}
	prefix := itemPrefix(backup.Data)
	last, err := j.walk(tx, prefix, func(key, value []byte) error { return t.restoreItem(tx, key[len(prefix):], value) })
	if err != nil || !last {
		return false, err
	}
	backup.Restores--
	return true, errors.Join(putBackup(tx, t.scope, name, backup), t.restoreEnds(tx))
}

// restoreItem puts an item and its index entries into the table. suffix is its key behind that of the table.
func (t *table) restoreItem(tx kv.Tx, suffix []byte, row item.Encoded) error {
	if len(t.Indexes) > 0 {
		m, err := item.Decode(row)
		if err != nil {
			return err
		}
		for i := range t.Indexes {
			if _, err := t.replaceEntry(tx, &t.Indexes[i], nil, m); err != nil {
				return err
			}
		}
	}
	return tx.Set(append(itemPrefix(t.ID), suffix...), bytes.Clone(row))
}

func (t *table) restoreEnds(tx kv.Tx) error {
	row := t.tableRow
	row.Status = ""
	return setTable(tx, t.scope, &row)
}

// RestoreTableToPointInTime makes a table of another as it was at some moment, in the background.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableToPointInTime.html
func (s *Service) RestoreTableToPointInTime(ctx context.Context, in *api.RestoreTableToPointInTimeInput) (*api.RestoreTableToPointInTimeOutput, error) {
	sc := scopeOf(ctx)
	source, err := sc.restoreSource(in)
	if err != nil {
		return nil, err
	}
	target := *in.TargetTableName
	if err := checkTableName(target); err != nil {
		return nil, err
	}
	if deref(in.UseLatestRestorableTime) == (in.RestoreDateTime != nil) {
		return nil, badRestore("Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both")
	}
	var (
		out  *api.RestoreTableToPointInTimeOutput
		work []byte
	)
	err = s.update(ctx, func(tx kv.Tx) error {
		from, err := s.backedUpTable(tx, sc, source)
		if err != nil {
			return err
		}
		if from.Recovery == nil {
			return &api.PointInTimeRecoveryUnavailableException{Message: new("Point in time recovery is not enabled for table '" + source + "'")}
		}
		earliest, latest := from.Recovery.earliest(tx.Now()), from.Recovery.latest(tx.Now())
		at := latest
		if in.RestoreDateTime != nil {
			at = *in.RestoreDateTime
		}
		// Clients know both ends to the second at best.
		if at.Before(earliest.Truncate(time.Second)) || at.After(latest.Truncate(time.Second).Add(time.Second)) {
			return &api.InvalidRestoreTimeException{Message: new("The restore time must be between " + formatTime(earliest) + " and " + formatTime(latest))}
		}
		if at.Before(earliest) {
			at = earliest
		}
		if at.After(latest) {
			at = latest
		}
		if err := s.freeTarget(tx, sc, target); err != nil {
			return err
		}
		row, err := restoredTable(sc, target, &from.tableRow, overrides{
			in.BillingModeOverride, in.GlobalSecondaryIndexOverride, in.LocalSecondaryIndexOverride, in.ProvisionedThroughputOverride,
			in.OnDemandThroughputOverride, in.SSESpecificationOverride,
		}, tx.Now())
		if err != nil {
			return err
		}
		row.Restored = &restored{Table: sc.tableARN(source), At: at}
		held := from.tableRow
		hold, err := held.hold(tx, at)
		if err != nil {
			return err
		}
		if err := errors.Join(setTable(tx, sc, &held), setTable(tx, sc, row)); err != nil {
			return err
		}
		work, err = addJob(tx, &jobRow{
			Kind: jobRestorePoint, Account: sc.account, Region: sc.region, Table: target, TableID: row.ID, From: source, Source: hold, At: at,
		})
		out = &api.RestoreTableToPointInTimeOutput{TableDescription: (&table{tableRow: *row, scope: sc}).describe("CREATING", nil)}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.begin(ctx, work)
	return out, nil
}

// restoreSource is the table that is to be restored.
func (sc scope) restoreSource(in *api.RestoreTableToPointInTimeInput) (string, error) {
	if (in.SourceTableName == nil) == (in.SourceTableArn == nil) {
		return "", badRestore("Must provide exactly one of: sourceTableArn, sourceTableName")
	}
	if in.SourceTableArn != nil {
		return sc.tableOfARN(*in.SourceTableArn)
	}
	return *in.SourceTableName, checkTableName(*in.SourceTableName)
}

// restorePoint copies the next items of another table, as they were, into the table. That one is there as long as it is held.
func (s *Service) restorePoint(tx *writeTx, t *table, j *jobRow) (done bool, err error) {
	for _, it := range j.copy.items {
		if err := t.restoreItem(tx, it.Key, it.Value); err != nil {
			return false, err
		}
	}
	if j.Cursor = j.copy.next; j.Cursor != nil {
		return false, nil
	}
	from, err := s.table(tx, j.scope(), j.From)
	if err != nil {
		return false, err
	}
	held := from.tableRow
	if err := held.release(tx, j.Source); err != nil {
		return false, err
	}
	return true, errors.Join(setTable(tx, t.scope, &held), t.restoreEnds(tx))
}
