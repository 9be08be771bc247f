package apigateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/kv"
)

// oneSocketStage is a WebSocket API with one stage.
type oneSocketStage struct{ account string }

func (o oneSocketStage) HasStage(_ kv.Reader, account, _, apiID, stage string) (bool, error) {
	return account == o.account && apiID == "chat" && stage == "dev", nil
}

// Usage plans are for WebSocket APIs, too: who shows a key, and how often, by throttle, by route, by quota.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
func TestKeysOfWebSocketAPIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		stages := []api.ApiStage{{ApiId: new("chat"), Stage: new("dev"), Throttle: map[string]api.ThrottleSettings{"slow": {RateLimit: new(0.001), BurstLimit: new(int32(1))}}}}
		_, err := g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("p"), ApiStages: stages})
		wantError(t, err, "NotFoundException", "API Stage not found: chat:dev")
		g.SetSocketStages(oneSocketStage{scopeOf(g.ctx).account})
		plan := must(g.CreateUsagePlan(g.ctx, &api.CreateUsagePlanInput{Name: new("p"), ApiStages: stages, Throttle: &api.ThrottleSettings{RateLimit: new(1.0), BurstLimit: new(int32(2))},
			Quota: &api.QuotaSettings{Limit: new(int32(4)), Period: new("DAY")}}))
		key := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Enabled: new(true)}))
		must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: new("API_KEY")}))
		use := func(stage, route, value string) error {
			sc := scopeOf(g.ctx)
			got, err := g.AdmitKey(t.Context(), edge.KeyUse{Account: sc.account, Region: sc.region, API: "chat", Stage: stage, Method: route, Value: value})
			if err == nil && (got.ID != *key.Id || got.Value != *key.Value) {
				t.Errorf("%+v", got)
			}
			return err
		}
		for what, err := range map[string]error{"no key": use("dev", "a", "nothing"), "another stage": use("prod", "a", *key.Value)} {
			if !errors.Is(err, edge.ErrKey) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := use("dev", "slow", *key.Value); err != nil {
			t.Error(err)
		}
		if err := use("dev", "slow", *key.Value); !errors.Is(err, edge.ErrKeyThrottled) {
			t.Errorf("the route's throttle: %v", err)
		}
		if err := use("dev", "a", *key.Value); err != nil {
			t.Error(err)
		}
		if err := use("dev", "a", *key.Value); !errors.Is(err, edge.ErrKeyThrottled) {
			t.Errorf("the plan's throttle: %v", err)
		}
		for i := range 3 {
			time.Sleep(time.Second)
			if err := use("dev", "a", *key.Value); (err == nil) != (i < 2) || err != nil && !errors.Is(err, edge.ErrKeyQuota) {
				t.Errorf("use %d: %v", i+3, err)
			}
		}
		must(g.UpdateApiKey(g.ctx, &api.UpdateApiKeyInput{ApiKey: key.Id, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/enabled"), Value: new("false")}}}))
		if err := use("dev", "a", *key.Value); !errors.Is(err, edge.ErrKey) {
			t.Errorf("a disabled key: %v", err)
		}
		_, err = g.DeleteUsagePlan(g.ctx, &api.DeleteUsagePlanInput{UsagePlanId: plan.Id})
		wantError(t, err, "BadRequestException", "associated API stages")
	})
}
