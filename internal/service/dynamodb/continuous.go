package dynamodb

import (
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// DescribeContinuousBackups tells whether, and to which moments, a table can be restored.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeContinuousBackups.html
func (s *Service) DescribeContinuousBackups(ctx context.Context, in *api.DescribeContinuousBackupsInput) (*api.DescribeContinuousBackupsOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	var d *api.ContinuousBackupsDescription
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.findTable(r, sc, name)
		if err == nil && t == nil {
			err = tableNotFound(name)
		}
		if err == nil {
			d = t.describeRecovery(r)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: d}, nil
}

func (row *tableRow) describeRecovery(r kv.Reader) *api.ContinuousBackupsDescription {
	d := &api.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: new("DISABLED")}
	if p := row.Recovery; p != nil {
		d = &api.PointInTimeRecoveryDescription{
			PointInTimeRecoveryStatus: new("ENABLED"), RecoveryPeriodInDays: new(int32(p.Days)),
			EarliestRestorableDateTime: new(p.earliest(r.Now())), LatestRestorableDateTime: new(p.latest(r.Now())),
		}
	}
	return &api.ContinuousBackupsDescription{ContinuousBackupsStatus: new("ENABLED"), PointInTimeRecoveryDescription: d}
}

// UpdateContinuousBackups enables or disables point-in-time recovery.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html
func (s *Service) UpdateContinuousBackups(ctx context.Context, in *api.UpdateContinuousBackupsInput) (*api.UpdateContinuousBackupsOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.PointInTimeRecoverySpecification
	if !*spec.PointInTimeRecoveryEnabled && spec.RecoveryPeriodInDays != nil {
		return nil, awserr.Validation("Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.")
	}
	var d *api.ContinuousBackupsDescription
	err = s.update(ctx, func(tx kv.Tx) error {
		t, err := s.backedUpTable(tx, sc, name)
		if err != nil {
			return err
		}
		row := t.tableRow
		switch {
		case !*spec.PointInTimeRecoveryEnabled:
			row.Recovery = nil
		case row.Recovery == nil:
			row.Recovery = &recovery{Since: tx.Now(), Days: maxRecoveryDays}
		}
		if spec.RecoveryPeriodInDays != nil {
			row.Recovery = &recovery{Since: row.Recovery.Since, Days: int(*spec.RecoveryPeriodInDays)}
		}
		if err := row.setLog(tx); err != nil {
			return err
		}
		d = row.describeRecovery(tx)
		return setTable(tx, sc, &row)
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return &api.UpdateContinuousBackupsOutput{ContinuousBackupsDescription: d}, nil
}
