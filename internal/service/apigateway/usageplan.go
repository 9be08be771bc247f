package apigateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

func getPlan(r kv.Reader, sc scope, id string) (*api.UsagePlan, error) {
	row, err := get[api.UsagePlan](r, planKey(sc, id))
	if err == nil && row == nil {
		err = noPlan()
	}
	return row, err
}

// checkPlan checks what can be set on a plan.
// https://docs.aws.amazon.com/apigateway/latest/api/API_QuotaSettings.html
func (s *Service) checkPlan(r kv.Reader, sc scope, plan *api.UsagePlan) error {
	if strings.TrimSpace(value(plan.Name)) == "" {
		return invalid("Usage Plan name cannot be empty")
	}
	if err := checkThrottle(plan.Throttle); err != nil {
		return err
	}
	if q := plan.Quota; q != nil {
		switch {
		case q.Limit == nil || *q.Limit < 0:
			return invalid("Usage Plan quota limit must be greater than or equal to zero")
		case q.Period == nil:
			return invalid("Usage Plan quota period must be one of DAY, WEEK, MONTH")
		}
		offset := value(q.Offset)
		switch *q.Period {
		case "DAY":
			if offset != 0 {
				return invalid("Usage Plan quota offset must be zero in the DAY period")
			}
		case "WEEK":
			if offset < 0 || offset > 6 {
				return invalid("Usage Plan quota offset must be between zero and six inclusive in the WEEK period")
			}
		case "MONTH":
			if offset < 0 || offset > 27 {
				return invalid("Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period")
			}
		default:
			return invalid("Usage Plan quota period must be one of DAY, WEEK, MONTH")
		}
	}
	seen := map[string]bool{}
	for _, st := range plan.ApiStages {
		name := value(st.ApiId) + ":" + value(st.Stage)
		if seen[name] {
			return conflict("API Stage %s is given more than once", name)
		}
		seen[name] = true
		ok, err := s.hasStage(r, sc, &st)
		if err != nil {
			return err
		}
		if !ok {
			return notFound("API Stage not found: %s", name)
		}
		for _, l := range st.Throttle {
			if err := checkThrottle(&l); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkThrottle(l *api.ThrottleSettings) error {
	if l != nil && (value(l.RateLimit) < 0 || value(l.BurstLimit) < 0) {
		return invalid("Usage Plan throttle rate limit and burst limit must not be negative")
	}
	return nil
}

func (s *Service) CreateUsagePlan(ctx context.Context, in *api.CreateUsagePlanInput) (*api.UsagePlan, error) {
	sc := scopeOf(ctx)
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	var row *api.UsagePlan
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row = &api.UsagePlan{
			Id: new(newID(6)), Name: in.Name, Description: in.Description, ApiStages: in.ApiStages, Throttle: in.Throttle, Quota: in.Quota, Tags: in.Tags,
		}
		if row.ApiStages == nil {
			row.ApiStages = []api.ApiStage{}
		}
		for {
			_, taken, err := tx.Get(planKey(sc, *row.Id))
			if err != nil {
				return err
			}
			if !taken {
				break
			}
			row.Id = new(newID(6))
		}
		if err := s.checkPlan(tx, sc, row); err != nil {
			return err
		}
		return put(tx, planKey(sc, *row.Id), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetUsagePlan(ctx context.Context, in *api.GetUsagePlanInput) (*api.UsagePlan, error) {
	var row *api.UsagePlan
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = getPlan(r, scopeOf(ctx), *in.UsagePlanId)
		return err
	})
	return row, err
}

func (s *Service) GetUsagePlans(ctx context.Context, in *api.GetUsagePlansInput) (*api.UsagePlans, error) {
	sc := scopeOf(ctx)
	out := &api.UsagePlans{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		var keep func(*api.UsagePlan) bool
		if in.KeyId != nil {
			plans, err := plansOf(r, sc, *in.KeyId)
			if err != nil {
				return err
			}
			keep = func(p *api.UsagePlan) bool { return slices.Contains(plans, *p.Id) }
		}
		out.Items, out.Position, err = page(r, inScope(tagPlan, sc), in.Position, in.Limit, keep)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) UpdateUsagePlan(ctx context.Context, in *api.UpdateUsagePlanInput) (*api.UsagePlan, error) {
	sc := scopeOf(ctx)
	var row *api.UsagePlan
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getPlan(tx, sc, *in.UsagePlanId); err != nil {
			return err
		}
		if err := applyPatches(in.PatchOperations, planRules(row)); err != nil {
			return err
		}
		if err := s.checkPlan(tx, sc, row); err != nil {
			return err
		}
		keys, err := keysOf(tx, sc, *row.Id)
		if err != nil {
			return err
		}
		for _, id := range keys {
			if err := checkShared(tx, sc, row, id); err != nil {
				return err
			}
		}
		if err := put(tx, planKey(sc, *row.Id), row); err != nil {
			return err
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// planRules are the patches of a usage plan.
// https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateUsagePlan-Patch
func planRules(row *api.UsagePlan) []patchRule {
	// orRemove lets "remove" take a whole group away, and otherwise applies to it, made if need be.
	throttle := func(apply func(l *api.ThrottleSettings) func(*patch) error) func(*patch) error {
		return func(p *patch) error {
			if row.Throttle == nil {
				row.Throttle = &api.ThrottleSettings{}
			}
			return apply(row.Throttle)(p)
		}
	}
	quota := func(apply func(q *api.QuotaSettings) func(*patch) error) func(*patch) error {
		return func(p *patch) error {
			if row.Quota == nil {
				row.Quota = &api.QuotaSettings{Offset: new(int32(0)), Period: new("DAY")}
			}
			return apply(row.Quota)(p)
		}
	}
	// stageOf finds "API:STAGE" among the plan's stages.
	stageOf := func(name string) int {
		return slices.IndexFunc(row.ApiStages, func(st api.ApiStage) bool { return value(st.ApiId)+":"+value(st.Stage) == name })
	}
	// methodOf is the method "/pets/GET" of a path that goes on for so many segments behind it. Clients write it with slashes as
	// they are, or as "~1pets~1GET".
	methodOf := func(p *patch, behind int) string {
		return "/" + strings.TrimPrefix(strings.Join(p.segments[3:len(p.segments)-behind], "/"), "/")
	}
	stageThrottle := func(apply func(l *api.ThrottleSettings) func(*patch) error) func(*patch) error {
		return func(p *patch) error {
			i := stageOf(p.segments[1])
			if i < 0 {
				return notFound("API Stage not found: %s", p.segments[1])
			}
			name := methodOf(p, 1)
			l := row.ApiStages[i].Throttle[name]
			if err := apply(&l)(p); err != nil {
				return err
			}
			if row.ApiStages[i].Throttle == nil {
				row.ApiStages[i].Throttle = map[string]api.ThrottleSettings{}
			}
			row.ApiStages[i].Throttle[name] = l
			return nil
		}
	}
	rate := func(l *api.ThrottleSettings) func(*patch) error { return setFloat(&l.RateLimit) }
	burst := func(l *api.ThrottleSettings) func(*patch) error { return setInt(&l.BurstLimit) }
	return []patchRule{
		{"replace", "/name", setString(&row.Name)},
		{"add replace remove", "/description", setString(&row.Description)},
		{"add replace remove", "/productCode", setString(&row.ProductCode)},
		{"add", "/apiStages", func(p *patch) error {
			apiID, name, ok := strings.Cut(value(p.value), ":")
			if !ok {
				return p.bad()
			}
			if stageOf(*p.value) < 0 {
				row.ApiStages = append(row.ApiStages, api.ApiStage{ApiId: &apiID, Stage: &name})
			}
			return nil
		}},
		{"remove", "/apiStages", func(p *patch) error {
			i := stageOf(value(p.value))
			if i < 0 {
				return notFound("API Stage not found: %s", value(p.value))
			}
			row.ApiStages = slices.Delete(row.ApiStages, i, i+1)
			return nil
		}},
		{"add replace remove", "/apiStages/*/throttle", func(p *patch) error {
			i := stageOf(p.segments[1])
			if i < 0 {
				return notFound("API Stage not found: %s", p.segments[1])
			}
			row.ApiStages[i].Throttle = nil
			if p.op == "remove" {
				return nil
			}
			// The value is an object of objects: {"/pets/GET": {"rateLimit": 1, "burstLimit": 1}}.
			var limits map[string]struct {
				RateLimit  *float64 `json:"rateLimit"`
				BurstLimit *int32   `json:"burstLimit"`
			}
			if err := json.Unmarshal([]byte(value(p.value)), &limits); err != nil {
				return p.bad()
			}
			row.ApiStages[i].Throttle = make(map[string]api.ThrottleSettings, len(limits))
			for name, l := range limits {
				row.ApiStages[i].Throttle[name] = api.ThrottleSettings{RateLimit: l.RateLimit, BurstLimit: l.BurstLimit}
			}
			return nil
		}},
		{"remove", "/apiStages/*/throttle/**", func(p *patch) error {
			if i := stageOf(p.segments[1]); i >= 0 {
				delete(row.ApiStages[i].Throttle, methodOf(p, 0))
			}
			return nil
		}},
		{"add replace", "/apiStages/*/throttle/**/rateLimit", stageThrottle(rate)},
		{"add replace", "/apiStages/*/throttle/**/burstLimit", stageThrottle(burst)},
		{"remove", "/throttle", func(*patch) error { row.Throttle = nil; return nil }},
		{"add replace", "/throttle/rateLimit", throttle(rate)},
		{"add replace", "/throttle/burstLimit", throttle(burst)},
		{"remove", "/quota", func(*patch) error { row.Quota = nil; return nil }},
		{"add replace", "/quota/limit", quota(func(q *api.QuotaSettings) func(*patch) error { return setInt(&q.Limit) })},
		{"add replace", "/quota/offset", quota(func(q *api.QuotaSettings) func(*patch) error { return setInt(&q.Offset) })},
		{"add replace", "/quota/period", quota(func(q *api.QuotaSettings) func(*patch) error { return setString(&q.Period) })},
	}
}

func (s *Service) DeleteUsagePlan(ctx context.Context, in *api.DeleteUsagePlanInput) (*api.DeleteUsagePlanOutput, error) {
	sc, id := scopeOf(ctx), *in.UsagePlanId
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getPlan(tx, sc, id)
		if err != nil {
			return err
		}
		for _, st := range row.ApiStages {
			exists, err := s.hasStage(tx, sc, &st)
			if err != nil {
				return err
			}
			if exists {
				return invalid("Cannot delete usage plan %s because it has associated API stages", id)
			}
		}
		keys, err := keysOf(tx, sc, id)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := leavePlan(tx, sc, id, key); err != nil {
				return err
			}
		}
		if err := tx.Delete(planKey(sc, id)); err != nil {
			return err
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteUsagePlanOutput), nil
}
