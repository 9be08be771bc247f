package apigateway

import (
	"context"
	"encoding/binary"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// maxUsageDays is the longest range of GetUsage.
const maxUsageDays = 90

// GetUsage lists, for each key of a plan and each day from StartDate to EndDate, what was used that day and what remained
// of the quota after it. Without a quota what remains is -1.
// https://docs.aws.amazon.com/apigateway/latest/api/API_GetUsage.html
func (s *Service) GetUsage(ctx context.Context, in *api.GetUsageInput) (*api.Usage, error) {
	sc := scopeOf(ctx)
	first, err := parseDay(*in.StartDate)
	if err != nil {
		return nil, invalid("Usage start date must be in the form YYYY-MM-DD")
	}
	last, err := parseDay(*in.EndDate)
	if err != nil {
		return nil, invalid("Usage end date must be in the form YYYY-MM-DD")
	}
	switch {
	case last < first:
		return nil, invalid("Usage end date must not be before the start date")
	case last-first >= maxUsageDays:
		return nil, invalid("Usage date range must not exceed %d days", maxUsageDays)
	}
	limit, err := pageSize(in.Limit)
	if err != nil {
		return nil, err
	}
	if err := s.flush(ctx); err != nil { // so that the last second counts
		return nil, err
	}
	out := &api.Usage{UsagePlanId: in.UsagePlanId, StartDate: in.StartDate, EndDate: in.EndDate}
	err = s.store.View(ctx, func(r kv.Reader) error {
		plan, err := getPlan(r, sc, *in.UsagePlanId)
		if err != nil {
			return err
		}
		keys, err := keysOf(r, sc, *plan.Id)
		if err != nil {
			return err
		}
		if in.KeyId != nil {
			if _, err := getMember(r, sc, *plan.Id, *in.KeyId); err != nil {
				return err
			}
			keys = []string{*in.KeyId}
		}
		out.Items, out.Position = map[string][][]int64{}, nil
		q := compilePlan(plan).quota
		previous := ""
		for _, key := range keys {
			if in.Position != nil && key <= *in.Position {
				continue
			}
			if len(out.Items) == limit {
				out.Position = &previous
				return nil
			}
			if out.Items[key], err = usageBetween(r, usageID{sc, *plan.Id, key}, q, first, last); err != nil {
				return err
			}
			previous = key
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// usageBetween lists used and remaining of each day.
func usageBetween(r kv.Reader, id usageID, q *quota, first, last day) ([][]int64, error) {
	from := first
	if q != nil {
		from = q.start(first)
	}
	counts := map[day]int64{}
	for pair, err := range r.Scan(kv.Range{Start: usageKey(id, from), End: usageKey(id, last+1)}) {
		if err != nil {
			return nil, err
		}
		d, err := parseUsageDay(pair.Key)
		if err != nil {
			return nil, err
		}
		if counts[d], err = parseCount(pair.Value); err != nil {
			return nil, err
		}
	}
	var list [][]int64
	total, period := int64(0), from
	extra := int64(0)
	if q != nil {
		var err error
		if extra, err = extensionOf(r, id, period); err != nil {
			return nil, err
		}
	}
	for d := from; d <= last; d++ {
		if q != nil && q.start(d) != period {
			total, period = 0, q.start(d)
			var err error
			if extra, err = extensionOf(r, id, period); err != nil {
				return nil, err
			}
		}
		total += counts[d]
		if d < first {
			continue
		}
		remaining := int64(-1)
		if q != nil {
			remaining = max(0, q.limit+extra-total)
		}
		list = append(list, []int64{counts[d], remaining})
	}
	return list, nil
}

// extensionOf is by how much a quota is extended in the period that begins at start.
func extensionOf(r kv.Reader, id usageID, start day) (int64, error) {
	v, ok, err := r.Get(extensionKey(id, start))
	if err != nil || !ok {
		return 0, err
	}
	return parseCount(v)
}

// UpdateUsage sets what remains of a key's quota in the period that runs now: a temporary extension, or a cut.
// https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateUsage.html
func (s *Service) UpdateUsage(ctx context.Context, in *api.UpdateUsageInput) (*api.Usage, error) {
	sc := scopeOf(ctx)
	id := usageID{sc, *in.UsagePlanId, *in.KeyId}
	if err := s.flush(ctx); err != nil { // so that the last second counts
		return nil, err
	}
	var out *api.Usage
	var start day
	var extra int64
	var q *quota
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getMember(tx, sc, id.plan, id.key); err != nil {
			return err
		}
		plan, err := getPlan(tx, sc, id.plan)
		if err != nil {
			return err
		}
		if q = compilePlan(plan).quota; q == nil {
			return invalid("Usage Plan %s has no quota", id.plan)
		}
		today := dayOf(tx.Now())
		start = q.start(today)
		var remaining *int32
		if err := applyPatches(in.PatchOperations, []patchRule{{"replace", "/remaining", setInt(&remaining)}}); err != nil {
			return err
		}
		list, err := usageBetween(tx, id, q, start, today)
		if err != nil {
			return err
		}
		if extra, err = extensionOf(tx, id, start); err != nil {
			return err
		}
		if remaining != nil {
			if *remaining < 0 {
				return invalid("Invalid value '%d' specified for path '/remaining'", *remaining)
			}
			used := int64(0)
			for _, d := range list {
				used += d[0]
			}
			extra = int64(*remaining) + used - q.limit
			if err := tx.Set(extensionKey(id, start), binary.BigEndian.AppendUint64(nil, uint64(extra))); err != nil {
				return err
			}
			if list, err = usageBetween(tx, id, q, start, today); err != nil {
				return err
			}
		}
		out = &api.Usage{UsagePlanId: in.UsagePlanId, StartDate: new(start.String()), EndDate: new(today.String()), Items: map[string][][]int64{id.key: list}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if v, ok := s.counters.m.Load(id); ok {
		v.(*counter).extend(start, extra)
	}
	return out, nil
}
