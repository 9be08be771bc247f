package apigateway

import (
	"context"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// plansOf lists the ids of the plans that a key is in, keysOf those of the keys in a plan.
func plansOf(r kv.Reader, sc scope, key string) ([]string, error) {
	return idsIn(r, sc, tagKeyPlan, key)
}
func keysOf(r kv.Reader, sc scope, plan string) ([]string, error) {
	return idsIn(r, sc, tagPlanKey, plan)
}

func idsIn(r kv.Reader, sc scope, tag byte, of string) ([]string, error) {
	var ids []string
	for pair, err := range r.Scan(kv.Prefix(inScope(tag, sc, of))) {
		if err != nil {
			return nil, err
		}
		id, err := lastElement(pair.Key, tag, 2)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// leavePlan takes a key out of a plan. What it has used stays on record.
func leavePlan(tx kv.Tx, sc scope, plan, key string) error {
	if err := tx.Delete(planKeyKey(sc, plan, key)); err != nil {
		return err
	}
	return tx.Delete(keyPlanKey(sc, key, plan))
}

// checkShared refuses a key in a plan if another of its plans has a stage in common: it would not be clear which counts.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
func checkShared(r kv.Reader, sc scope, plan *api.UsagePlan, keyID string) error {
	mine := map[string]bool{}
	for _, st := range plan.ApiStages {
		mine[value(st.ApiId)+":"+value(st.Stage)] = true
	}
	others, err := plansOf(r, sc, keyID)
	if err != nil {
		return err
	}
	for _, id := range others {
		if id == *plan.Id {
			continue
		}
		other, err := getPlan(r, sc, id)
		if err != nil {
			return err
		}
		for _, st := range other.ApiStages {
			if mine[value(st.ApiId)+":"+value(st.Stage)] {
				return conflict("API Key %s cannot be in more than one usage plan with the API stage %s:%s", keyID, value(st.ApiId), value(st.Stage))
			}
		}
	}
	return nil
}

func planKeyRow(key *api.ApiKey) *api.UsagePlanKey {
	return &api.UsagePlanKey{Id: key.Id, Type: new("API_KEY"), Value: key.Value, Name: key.Name}
}

func (s *Service) CreateUsagePlanKey(ctx context.Context, in *api.CreateUsagePlanKeyInput) (*api.UsagePlanKey, error) {
	sc := scopeOf(ctx)
	if *in.KeyType != "API_KEY" {
		return nil, invalid("Usage Plan Key type must be API_KEY")
	}
	var key *api.ApiKey
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		plan, err := getPlan(tx, sc, *in.UsagePlanId)
		if err != nil {
			return err
		}
		if key, err = getKey(tx, sc, *in.KeyId); err != nil {
			return err
		}
		joined, err := joinPlan(tx, sc, plan, *key.Id)
		if err != nil {
			return err
		}
		if !joined {
			return conflict("Usage Plan Key already exists")
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return planKeyRow(key), nil
}

// joinPlan puts a key into a plan. It reports false if the key is there already.
func joinPlan(tx kv.Tx, sc scope, plan *api.UsagePlan, keyID string) (bool, error) {
	member := planKeyKey(sc, *plan.Id, keyID)
	_, there, err := tx.Get(member)
	if err != nil || there {
		return false, err
	}
	if err := checkShared(tx, sc, plan, keyID); err != nil {
		return false, err
	}
	if err := tx.Set(member, nil); err != nil {
		return false, err
	}
	return true, tx.Set(keyPlanKey(sc, keyID, *plan.Id), nil)
}

// getMember returns a key that is in a plan.
func getMember(r kv.Reader, sc scope, planID, keyID string) (*api.ApiKey, error) {
	if _, err := getPlan(r, sc, planID); err != nil {
		return nil, err
	}
	_, there, err := r.Get(planKeyKey(sc, planID, keyID))
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, notFound("Invalid Usage Plan Key identifier specified")
	}
	return getKey(r, sc, keyID)
}

func (s *Service) GetUsagePlanKey(ctx context.Context, in *api.GetUsagePlanKeyInput) (*api.UsagePlanKey, error) {
	var key *api.ApiKey
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		key, err = getMember(r, scopeOf(ctx), *in.UsagePlanId, *in.KeyId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return planKeyRow(key), nil
}

func (s *Service) GetUsagePlanKeys(ctx context.Context, in *api.GetUsagePlanKeysInput) (*api.UsagePlanKeys, error) {
	sc := scopeOf(ctx)
	out := &api.UsagePlanKeys{}
	err := s.store.View(ctx, func(r kv.Reader) error {
		if _, err := getPlan(r, sc, *in.UsagePlanId); err != nil {
			return err
		}
		ids, err := keysOf(r, sc, *in.UsagePlanId)
		if err != nil {
			return err
		}
		limit, err := pageSize(in.Limit)
		if err != nil {
			return err
		}
		out.Items, out.Position = []api.UsagePlanKey{}, nil
		for _, id := range ids {
			if in.Position != nil && id <= *in.Position {
				continue
			}
			key, err := getKey(r, sc, id)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(value(key.Name), value(in.NameQuery)) {
				continue
			}
			if len(out.Items) == limit {
				out.Position = out.Items[limit-1].Id
				return nil
			}
			out.Items = append(out.Items, *planKeyRow(key))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteUsagePlanKey(ctx context.Context, in *api.DeleteUsagePlanKeyInput) (*api.DeleteUsagePlanKeyOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getMember(tx, sc, *in.UsagePlanId, *in.KeyId); err != nil {
			return err
		}
		if err := leavePlan(tx, sc, *in.UsagePlanId, *in.KeyId); err != nil {
			return err
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteUsagePlanKeyOutput), nil
}
