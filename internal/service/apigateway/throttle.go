package apigateway

import (
	"time"

	"brume/internal/edge"
)

type (
	limit    = edge.Limit
	bucketID = edge.BucketID
)

// throttle reports whether a request may pass all buckets that it goes through, from the most specific on: the key's for
// this method, the key's in its plan, the method's, the account's.
func (s *Service) throttle(x *exchange, plan *usagePlan, now time.Time) bool {
	if plan != nil {
		if l := plan.methodLimit(x.stage, x.method); l != nil &&
			!s.buckets.Take(bucketID{"key-method", plan.id, x.key.id, x.method.bucket}, *l, now) {
			return false
		}
		if plan.limit != nil && !s.buckets.Take(bucketID{"key", plan.id, x.key.id, ""}, *plan.limit, now) {
			return false
		}
	}
	if l := x.method.throttle; l != nil && !s.buckets.Take(bucketID{"method", x.method.bucket, "", ""}, *l, now) {
		return false
	}
	return s.buckets.Take(bucketID{"account", x.stage.account, x.stage.region, ""}, edge.AccountLimit(), now)
}
