package dynamodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
)

// maxListTables is how many names ListTables returns at most.
const maxListTables = 100

// DescribeTable describes a table. ItemCount and TableSizeBytes are of the last count, which for a small table is now.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTable.html
func (s *Service) DescribeTable(ctx context.Context, in *api.DescribeTableInput) (*api.DescribeTableOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	var out *api.DescribeTableOutput
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.describedTable(r, sc, name)
		if err != nil {
			return err
		}
		sizes, err := s.sizes(r, t)
		if err != nil {
			return err
		}
		out = &api.DescribeTableOutput{Table: t.describe("ACTIVE", sizes)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListTables lists the names of the tables, in their order.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTables.html
func (s *Service) ListTables(ctx context.Context, in *api.ListTablesInput) (*api.ListTablesOutput, error) {
	sc := scopeOf(ctx)
	rng := kv.Prefix(tableScope(sc))
	if in.ExclusiveStartTableName != nil {
		rng = after(rng, tableKey(sc, *in.ExclusiveStartTableName))
	}
	limit := maxListTables
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	var out *api.ListTablesOutput
	err := s.view(ctx, func(r kv.Reader) error {
		out = &api.ListTablesOutput{TableNames: []string{}}
		for pair, err := range r.Scan(rng) {
			if err != nil {
				return err
			}
			if n := len(out.TableNames); n == limit {
				out.LastEvaluatedTableName = new(out.TableNames[n-1])
				break
			}
			_, name, err := parseTableKey(pair.Key)
			if err != nil {
				return err
			}
			out.TableNames = append(out.TableNames, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteTable removes a table with all its items.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteTable.html
func (s *Service) DeleteTable(ctx context.Context, in *api.DeleteTableInput) (*api.DeleteTableOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	var t *table
	err = s.write(ctx, func(tx *writeTx) (err error) {
		if t, err = s.describedTable(tx, sc, name); err != nil {
			return err
		}
		if t.Protected {
			return awserr.Validation("Resource cannot be deleted as it is currently protected against deletion. " +
				"Disable deletion protection first.")
		}
		if err := tx.Set(trashKey(itemPrefix(t.ID)), nil); err != nil {
			return err
		}
		if len(t.Indexes) > 0 {
			if err := tx.Set(trashKey(indexesPrefix(t.ID)), nil); err != nil {
				return err
			}
		}
		if t.streams() {
			row := t.tableRow
			if err := row.endStream(tx, sc); err != nil {
				return err
			}
		}
		return tx.Delete(tableKey(sc, name))
	})
	if err != nil {
		return nil, err
	}
	s.counts.forget(t.ID)
	s.wake()
	d := t.describe("DELETING", nil)
	d.AttributeDefinitions, d.KeySchema, d.CreationDateTime = nil, nil, nil
	return &api.DeleteTableOutput{TableDescription: d}, nil
}

// UpdateTable changes settings of a table. What it cannot change it refuses.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
func (s *Service) UpdateTable(ctx context.Context, in *api.UpdateTableInput) (*api.UpdateTableOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	switch {
	case len(in.ReplicaUpdates) > 0:
		return nil, notImplemented("UpdateTable with ReplicaUpdates")
	case in.BillingMode == nil && in.ProvisionedThroughput == nil && in.SSESpecification == nil && in.TableClass == nil &&
		in.DeletionProtectionEnabled == nil && in.OnDemandThroughput == nil && in.StreamSpecification == nil && len(in.GlobalSecondaryIndexUpdates) == 0:
		return nil, awserr.Validation("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, " +
			"GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	if err := checkStream(in.StreamSpecification); err != nil {
		return nil, err
	}
	var t *table
	err = s.write(ctx, func(tx *writeTx) error {
		old, err := s.describedTable(tx, sc, name)
		if err != nil {
			return err
		}
		t = &table{tableRow: old.tableRow, scope: sc}
		if err := t.update(sc, in, tx.Now()); err != nil {
			return err
		}
		if err := t.updateStream(tx, sc, in.StreamSpecification); err != nil {
			return err
		}
		for i := range in.GlobalSecondaryIndexUpdates {
			if err := t.updateIndex(tx, &in.GlobalSecondaryIndexUpdates[i]); err != nil {
				return err
			}
		}
		return setTable(tx, sc, &t.tableRow)
	})
	if err != nil {
		return nil, err
	}
	var out *api.UpdateTableOutput
	err = s.view(ctx, func(r kv.Reader) error {
		sizes, err := s.sizes(r, t)
		if err == nil {
			out = &api.UpdateTableOutput{TableDescription: t.describe("UPDATING", sizes)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return out, nil
}

func (row *tableRow) update(sc scope, in *api.UpdateTableInput, now time.Time) error {
	payPerRequest := row.PayPerRequest
	if in.BillingMode != nil {
		payPerRequest = *in.BillingMode == "PAY_PER_REQUEST"
	}
	if t := in.ProvisionedThroughput; t != nil || payPerRequest != row.PayPerRequest {
		if err := checkTableThroughput(payPerRequest, t); err != nil {
			return err
		}
		next := newThroughput(t)
		if !row.PayPerRequest && !payPerRequest && next.Read == row.Throughput.Read && next.Write == row.Throughput.Write {
			return awserr.Validation("The provisioned throughput for the table will not change. The requested value equals the current value. "+
				"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. Current WriteCapacityUnits "+
				"provisioned for the table: %d. Requested WriteCapacityUnits: %d. Refer to the Amazon DynamoDB Developer Guide for current "+
				"limits and how to request higher limits.", row.Throughput.Read, next.Read, row.Throughput.Write, next.Write)
		}
		row.Throughput.change(next.Read, next.Write, now)
	}
	if payPerRequest && !row.PayPerRequest {
		row.BillingChanged = now
	}
	row.PayPerRequest = payPerRequest
	if in.DeletionProtectionEnabled != nil {
		row.Protected = *in.DeletionProtectionEnabled
	}
	if in.TableClass != nil {
		row.InfrequentAccess, row.ClassChanged = *in.TableClass == "STANDARD_INFREQUENT_ACCESS", now
	}
	if in.OnDemandThroughput != nil {
		row.OnDemand = newOnDemand(in.OnDemandThroughput)
	}
	return row.setEncryption(sc, in.SSESpecification)
}

// updateIndex changes or removes an index.
func (row *tableRow) updateIndex(tx kv.Tx, in *api.GlobalSecondaryIndexUpdate) error {
	find := func(name *string) (int, error) {
		i := slices.IndexFunc(row.Indexes, func(x index) bool { return x.Global && x.Name == deref(name) })
		if i < 0 {
			return 0, &api.ResourceNotFoundException{Message: new("Requested resource not found")}
		}
		return i, nil
	}
	switch {
	case in.Create != nil:
		return notImplemented("UpdateTable that creates a GlobalSecondaryIndex")
	case in.Update != nil:
		i, err := find(in.Update.IndexName)
		if err != nil {
			return err
		}
		row.Indexes = slices.Clone(row.Indexes)
		x := &row.Indexes[i]
		if in.Update.OnDemandThroughput != nil {
			x.OnDemand = newOnDemand(in.Update.OnDemandThroughput)
			return nil
		}
		if err := row.checkIndexThroughput(x.Name, in.Update.ProvisionedThroughput); err != nil {
			return err
		}
		next := newThroughput(in.Update.ProvisionedThroughput)
		x.Throughput.change(next.Read, next.Write, tx.Now())
	case in.Delete != nil:
		i, err := find(in.Delete.IndexName)
		if err != nil {
			return err
		}
		if err := tx.Set(trashKey(indexPrefix(row.ID, row.Indexes[i].Number)), nil); err != nil {
			return err
		}
		row.Indexes = slices.Delete(slices.Clone(row.Indexes), i, i+1)
	}
	return nil
}

// change records new throughput.
func (t *throughput) change(read, write int64, now time.Time) {
	if read > t.Read || write > t.Write {
		t.Increased = now
	}
	if read < t.Read || write < t.Write {
		if y, d := t.Decreased.UTC().Year(), t.Decreased.UTC().YearDay(); y != now.UTC().Year() || d != now.UTC().YearDay() {
			t.Decreases = 0
		}
		t.Decreases++
		t.Decreased = now
	}
	t.Read, t.Write = read, write
}

// DescribeLimits returns the quotas that AWS gives an account at first. Nothing is held to them here.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeLimits.html
func (s *Service) DescribeLimits(context.Context, *api.DescribeLimitsInput) (*api.DescribeLimitsOutput, error) {
	return &api.DescribeLimitsOutput{
		AccountMaxReadCapacityUnits: new(int64(80_000)), AccountMaxWriteCapacityUnits: new(int64(80_000)),
		TableMaxReadCapacityUnits: new(int64(40_000)), TableMaxWriteCapacityUnits: new(int64(40_000)),
	}, nil
}

// DescribeEndpoints returns the regional endpoint, under which clients that look for one reach Brume too.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeEndpoints.html
func (s *Service) DescribeEndpoints(ctx context.Context, _ *api.DescribeEndpointsInput) (*api.DescribeEndpointsOutput, error) {
	return &api.DescribeEndpointsOutput{Endpoints: []api.Endpoint{{
		Address: new(fmt.Sprintf("dynamodb.%s.amazonaws.com", call.From(ctx).Region)), CachePeriodInMinutes: new(int64(1440)),
	}}}, nil
}

// DescribeContinuousBackups tells that point-in-time recovery is off, which is how a table begins.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html
func (s *Service) DescribeContinuousBackups(ctx context.Context, in *api.DescribeContinuousBackupsInput) (*api.DescribeContinuousBackupsOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.findTable(r, sc, name)
		if err == nil && t == nil {
			err = &api.TableNotFoundException{Message: new("Table not found: " + name)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &api.ContinuousBackupsDescription{
		ContinuousBackupsStatus:        new("ENABLED"),
		PointInTimeRecoveryDescription: &api.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: new("DISABLED")},
	}}, nil
}

// DescribeTimeToLive tells that items do not expire, which is how a table begins.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeTimeToLive.html
func (s *Service) DescribeTimeToLive(ctx context.Context, in *api.DescribeTimeToLiveInput) (*api.DescribeTimeToLiveOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableName(in.TableName)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(r kv.Reader) error {
		_, err := s.describedTable(r, sc, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeTimeToLiveOutput{
		TimeToLiveDescription: &api.TimeToLiveDescription{TimeToLiveStatus: new("DISABLED")},
	}, nil
}
