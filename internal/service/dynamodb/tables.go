package dynamodb

import (
	"context"
	"fmt"

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
	name, err := sc.locate(in.TableName)
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
		out = &api.DescribeTableOutput{Table: t.describe(t.status(), sizes)}
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
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	var t *table
	err = s.write(ctx, func(tx *writeTx) (err error) {
		if t, err = s.describedTable(tx, sc, name); err != nil {
			return err
		}
		if err := t.mayBeDeleted(); err != nil {
			return err
		}
		if t.Protected {
			return awserr.Validation("Resource cannot be deleted as it is currently protected against deletion. " +
				"Disable deletion protection first.")
		}
		if t.Recovery != nil {
			sizes, err := s.sizes(tx, t)
			if err != nil {
				return err
			}
			if err := t.leaveBackup(tx, sizes.table); err != nil {
				return err
			}
		} else if err := tx.Set(trashKey(itemPrefix(t.ID)), nil); err != nil {
			return err
		}
		if len(t.Indexes) > 0 {
			if err := tx.Set(trashKey(indexesPrefix(t.ID)), nil); err != nil {
				return err
			}
		}
		row := t.tableRow
		if row.streams() {
			if err := row.endStream(tx, sc); err != nil {
				return err
			}
		}
		if row.TTL != nil {
			if err := row.disableTTL(tx); err != nil {
				return err
			}
		}
		row.Recovery = nil
		if err := row.setLog(tx); err != nil {
			return err
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
