package apigateway

import (
	"context"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/kv"
)

// hasStage says whether there is a stage that a usage plan names, of a REST or a WebSocket API.
func (s *Service) hasStage(r kv.Reader, sc scope, st *api.ApiStage) (bool, error) {
	_, ok, err := r.Get(stageKey(sc, value(st.ApiId), value(st.Stage)))
	if err != nil || ok || s.sockets == nil {
		return ok, err
	}
	return s.sockets.HasStage(r, sc.account, sc.region, value(st.ApiId), value(st.Stage))
}

// AdmitKey admits the holder of an API key to a route of a WebSocket API, by the plan that names its stage: its throttles, that
// of the route first, and then its quota, as for REST APIs.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
func (s *Service) AdmitKey(ctx context.Context, use edge.KeyUse) (*edge.APIKey, error) {
	sc := scope{use.Account, use.Region}
	var key *apiKey
	var plan *usagePlan
	var count *counter
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		plan, count = nil, nil
		if key, err = s.keyIn(r, sc, use.Value); err != nil || key == nil || !key.enabled {
			return err
		}
		if plan = key.planFor(use.API, use.Stage); plan == nil {
			return nil
		}
		count, err = s.counters.get(r, usageID{sc, plan.id, key.id}, plan.quota)
		return err
	})
	if err != nil {
		return nil, err
	}
	if plan == nil {
		return nil, edge.ErrKey
	}
	now, stage := time.Now(), use.API+":"+use.Stage
	if l := plan.stages[stage][use.Method]; l != nil && !s.buckets.Take(bucketID{"key-method", plan.id, key.id, stage + "/" + use.Method}, *l, now) ||
		plan.limit != nil && !s.buckets.Take(bucketID{"key", plan.id, key.id, ""}, *plan.limit, now) {
		return nil, edge.ErrKeyThrottled
	}
	if count != nil && !count.take(plan.quota, now) {
		return nil, edge.ErrKeyQuota
	}
	return &edge.APIKey{ID: key.id, Value: key.value}, nil
}
