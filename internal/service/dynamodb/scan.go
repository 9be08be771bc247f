package dynamodb

import (
	"bytes"
	"context"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
)

// Scan reads a table or an index, all of it or one of several segments.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
func (s *Service) Scan(ctx context.Context, in *api.ScanInput) (*api.ScanOutput, error) {
	sc := scopeOf(ctx)
	name, err := sc.locate(in.TableName)
	if err != nil {
		return nil, err
	}
	filter := exprParam{expression.Filter, in.FilterExpression}
	legacy := []legacyParam{
		{"AttributesToGet", in.AttributesToGet != nil}, {"ScanFilter", in.ScanFilter != nil},
		{"ConditionalOperator", in.ConditionalOperator != nil},
	}
	if err := checkParameters(in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]exprParam{{expression.Projection, in.ProjectionExpression}, filter}, legacy); err != nil {
		return nil, err
	}
	if err := checkAttributesToGet(in.AttributesToGet); err != nil {
		return nil, err
	}
	oldFilter, err := legacyFilter(in.ScanFilter, in.ConditionalOperator)
	if err != nil {
		return nil, err
	}
	r := reads{
		in.IndexName, in.ExclusiveStartKey, in.Limit, filter, oldFilter, in.ProjectionExpression, in.AttributesToGet, in.Select,
		in.ConsistentRead,
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := checkSegment(in.Segment, in.TotalSegments); err != nil {
		return nil, err
	}
	p, err := placeholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	pg, err := r.page(p)
	if err != nil {
		return nil, err
	}
	if err := p.Unused(); err != nil {
		return nil, err
	}

	var out *api.ScanOutput
	err = s.view(ctx, func(r kv.Reader) error {
		t, err := s.table(r, sc, name)
		if err != nil {
			return err
		}
		x, err := pg.index(t)
		if err != nil {
			if pg.start != nil && t.index(*pg.indexName) == nil {
				return invalidStart()
			}
			return err
		}
		if pg.start != nil {
			if err := pg.checkScanStart(t, x); err != nil {
				return err
			}
		}
		if err := pg.checkProjected(t, x); err != nil {
			return err
		}
		rng := t.segment(x, in.Segment, in.TotalSegments)
		if pg.start != nil {
			if err := pg.checkStartKey(t); err != nil {
				return err
			}
			key := pg.startRow(t, x)
			if in.TotalSegments != nil && !contains(rng, key) {
				return awserr.Validation("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "+
					"with correct Segment. TotalSegments: %d Segment: %d", *in.TotalSegments, *in.Segment)
			}
			rng = after(rng, key)
		}
		if err := t.checkScalarKeys(pg.selection.paths); err != nil {
			return err
		}
		if pg.filter != nil {
			if err := t.checkScalarKeys(pg.filter.Paths()); err != nil {
				return err
			}
		}
		used := newConsumption(in.ReturnConsumedCapacity, name)
		f, err := pg.read(r, t, x, rng, used)
		if err != nil {
			return err
		}
		out = &api.ScanOutput{
			Items: f.items, Count: new(f.count), ScannedCount: new(f.scanned), LastEvaluatedKey: f.last,
			ConsumedCapacity: used.output(),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkScanStart checks the form of the start.
func (pg *page) checkScanStart(t *table, x *index) error {
	if !pg.hasStartSize(t, x) {
		if x == nil {
			return awserr.Validation("The provided starting key is invalid: %s", message(keyMismatch()))
		}
		return invalidStart()
	}
	if x == nil {
		return nil
	}
	for i, part := range [...][]attribute{x.Key.Hash, x.Key.Range} {
		for _, a := range part {
			if err := pg.checkStartPart(a, i == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows is the prefix of the rows of an index, or of the table if x is nil.
func (t *table) rows(x *index) []byte {
	if x == nil {
		return itemPrefix(t.ID)
	}
	return indexPrefix(t.ID, x.Number)
}

// segment is the range of rows that one segment of a Scan reads, of all rows if it has no segments.
func (t *table) segment(x *index, segment, total *int32) kv.Range {
	prefix := t.rows(x)
	if total == nil {
		return kv.Prefix(prefix)
	}
	start, end := segmentRange(int(*segment), int(*total))
	rng := kv.Range{Start: append(bytes.Clone(prefix), start...), End: kv.PrefixEnd(prefix)}
	if end != nil {
		rng.End = append(bytes.Clone(prefix), end...)
	}
	return rng
}

func checkSegment(segment, total *int32) error {
	switch {
	case segment != nil && total == nil:
		return awserr.Validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case segment == nil && total != nil:
		return awserr.Validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case segment != nil && *segment >= *total:
		return awserr.Validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", *segment, *total)
	}
	return nil
}
