package apigateway

import (
	"context"

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
	for d := from; d <= last; d++ {
		if q != nil && q.start(d) != period {
			total, period = 0, q.start(d)
		}
		total += counts[d]
		if d < first {
			continue
		}
		remaining := int64(-1)
		if q != nil {
			remaining = max(0, q.limit-total)
		}
		list = append(list, []int64{counts[d], remaining})
	}
	return list, nil
}
