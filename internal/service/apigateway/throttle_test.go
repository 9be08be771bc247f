package apigateway

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/apigateway"

	"brume/internal/edge"
)

// At 250 a second and a burst of 500, an ideal bucket lets 500 + 10 × 250 requests through in 10 seconds.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
func TestThrottleIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		g.proxy(id, "/", "GET", true)
		g.deploy(id, "dev")
		keyValue, _, _ := g.key(id, "dev", &api.ThrottleSettings{RateLimit: new(250.0), BurstLimit: new(int32(500))}, nil)
		r := request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue})
		admitted, refused := 0, 0
		const step = time.Millisecond
		for range int(10 * time.Second / step) {
			switch status, body := g.send(r); {
			case status == 200:
				admitted++
			case status == 429 && body == `{"message":"Too Many Requests"}`:
				refused++
			default:
				t.Fatalf("%d %s", status, body)
			}
			time.Sleep(step)
		}
		const ideal = 500 + 10*250
		if math.Abs(float64(admitted-ideal)) > ideal*0.01 {
			t.Errorf("%d admitted, %d refused; ideal %d", admitted, refused, ideal)
		}
		if res := g.Invoke(t.Context(), r); res.Status == 429 && headerOf(res, "x-amzn-ErrorType") != "TooManyRequestsException" {
			t.Errorf("headers %v", res.Header)
		}
	})
}

func TestThrottleLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		g.proxy(id, "/a", "GET", true)
		g.proxy(id, "/b", "GET", true)
		g.proxy(id, "/free", "GET", false)
		g.deploy(id, "dev")
		keyValue, _, planID := g.key(id, "dev", &api.ThrottleSettings{RateLimit: new(0.001), BurstLimit: new(int32(3))}, nil)
		count := func(path, key string, n int) (ok int) {
			for range n {
				if status, _ := g.send(request(id, "dev", "GET", path, Field{"X-Api-Key", key})); status == 200 {
					ok++
				}
			}
			return ok
		}
		// The plan's bucket is one for all its stages' methods, and each key has its own.
		if n := count("/a", keyValue, 2) + count("/b", keyValue, 5); n != 3 {
			t.Errorf("%d through the plan's throttle", n)
		}
		other := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Enabled: new(true)}))
		must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: &planID, KeyId: other.Id, KeyType: new("API_KEY")}))
		if n := count("/a", *other.Value, 5); n != 3 {
			t.Errorf("%d with another key", n)
		}
		patchPlan := func(path, value string) {
			must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: &planID, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: &path, Value: &value}}}))
		}
		// A limit of one method in the plan; raising the plan's limit counts at once.
		patchPlan("/throttle/burstLimit", "100")
		patchPlan("/throttle/rateLimit", "1000")
		count("/b", keyValue, 1) // the bucket learns of its limit
		time.Sleep(time.Second)
		patchPlan("/apiStages/"+id+":dev/throttle/~1a~1GET/burstLimit", "2")
		patchPlan("/apiStages/"+id+":dev/throttle/~1a~1GET/rateLimit", "0.001")
		if a, b := count("/a", keyValue, 10), count("/b", keyValue, 10); a != 2 || b != 10 {
			t.Errorf("%d through the method's throttle, %d beside it", a, b)
		}
		// Limits of the stage, for all methods and for one.
		patchStage := func(path, value string) {
			must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: &path, Value: &value}}}))
		}
		patchStage("/*/*/throttling/burstLimit", "4")
		patchStage("/*/*/throttling/rateLimit", "0.001")
		patchStage("/~1b/GET/throttling/burstLimit", "1")
		patchStage("/~1b/GET/throttling/rateLimit", "0.001")
		if free, b := count("/free", "", 10), count("/b", keyValue, 10); free != 4 || b != 1 {
			t.Errorf("%d and %d through the stage's throttles", free, b)
		}
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: []api.PatchOperation{
			{Op: new("remove"), Path: new("/*/*")}, {Op: new("remove"), Path: new("/~1b/GET")}}}))
		if n := count("/free", "", 10); n != 10 {
			t.Errorf("%d after the throttle was taken away", n)
		}
		// The account's own.
		time.Sleep(time.Minute)
		if n := count("/free", "", edge.AccountLimit().Burst+50); n != edge.AccountLimit().Burst {
			t.Errorf("%d through the account's throttle", n)
		}
	})
}

// What a more specific throttle refuses takes nothing from those behind it.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
func TestThrottlesInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		g.proxy(id, "/a", "GET", true)
		g.proxy(id, "/b", "GET", true)
		g.deploy(id, "dev")
		key, _, planID := g.key(id, "dev", &api.ThrottleSettings{RateLimit: new(0.001), BurstLimit: new(int32(10))}, nil)
		must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: &planID, PatchOperations: ops(
			"replace /apiStages/"+id+":dev/throttle/~1a~1GET/burstLimit 3", "replace /apiStages/"+id+":dev/throttle/~1a~1GET/rateLimit 0.001")}))
		must(g.UpdateStage(g.ctx, &api.UpdateStageInput{RestApiId: &id, StageName: new("dev"), PatchOperations: ops(
			"replace /~1b/GET/throttling/burstLimit 4", "replace /~1b/GET/throttling/rateLimit 0.001")}))
		count := func(path, key string) (ok int) {
			for range 100 {
				if status, _ := g.send(request(id, "dev", "GET", path, Field{"X-Api-Key", key})); status == 200 {
					ok++
				}
			}
			return ok
		}
		// The key for this method: 3 of the key's 10.
		if n := count("/a", key); n != 3 {
			t.Errorf("%d through the throttle of a key for a method", n)
		}
		// The key, then the method: of the 7 that the key has left each refusal by the method takes one.
		if n := count("/b", key); n != 4 {
			t.Errorf("%d through the throttle of a method", n)
		}
		// Another key finds the method's throttle used up, its own not.
		other := must(g.CreateApiKey(g.ctx, &api.CreateApiKeyInput{Enabled: new(true)}))
		must(g.CreateUsagePlanKey(g.ctx, &api.CreateUsagePlanKeyInput{UsagePlanId: &planID, KeyId: other.Id, KeyType: new("API_KEY")}))
		if n := count("/a", *other.Value); n != 3 {
			t.Errorf("%d with another key", n)
		}
		if n := count("/b", *other.Value); n != 0 {
			t.Errorf("%d with another key through the method's throttle", n)
		}
		// The account has lost what reached it: 3 + 4 + 3.
		if !g.buckets.Take(bucketID{"account", testAccount, testRegion, ""}, edge.AccountLimit(), time.Now()) {
			t.Error("the account has nothing left")
		}
		left := 1
		for g.buckets.Take(bucketID{"account", testAccount, testRegion, ""}, edge.AccountLimit(), time.Now()) {
			left++
		}
		if left != edge.AccountLimit().Burst-10 {
			t.Errorf("the account has %d left", left)
		}
	})
}
