package apigateway

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A limit is a token bucket's: rate tokens a second come in, at most burst lie there, and each request takes one.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
type limit struct {
	rate  float64
	burst int
}

// accountLimit is the default of an account in a region.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func accountLimit() limit { return limit{rate: 10000, burst: 5000} }

// A bucketID names a bucket: an account's in a region, a method's of a stage, a key's in a plan, or a key's for one method.
type bucketID struct{ kind, owner, key, method string }

// buckets are the token buckets in use, in memory only: after a restart all are full. A bucket that has been left alone
// until it was full again is dropped, as a new one is no different.
type buckets struct {
	seed   maphash.Seed
	shards [64]bucketShard
}

type bucketShard struct {
	mu    sync.Mutex
	m     map[bucketID]*rate.Limiter
	sweep int // the size at which full buckets are dropped
}

const minSweep = 256

func newBuckets() *buckets { return &buckets{seed: maphash.MakeSeed()} }

// take takes a token out of a bucket. It is false if there is none. A limit that changed counts from now on.
func (b *buckets) take(id bucketID, l limit, now time.Time) bool {
	s := &b.shards[maphash.Comparable(b.seed, id)%uint64(len(b.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	lim := s.m[id]
	if lim == nil {
		if s.m == nil {
			s.m, s.sweep = make(map[bucketID]*rate.Limiter), minSweep
		}
		if len(s.m) >= s.sweep {
			s.dropFull(now)
		}
		lim = rate.NewLimiter(rate.Limit(l.rate), l.burst)
		s.m[id] = lim
	}
	if lim.Limit() != rate.Limit(l.rate) {
		lim.SetLimitAt(now, rate.Limit(l.rate))
	}
	if lim.Burst() != l.burst {
		lim.SetBurstAt(now, l.burst)
	}
	return lim.AllowN(now, 1)
}

func (s *bucketShard) dropFull(now time.Time) {
	for id, lim := range s.m {
		if lim.TokensAt(now) >= float64(lim.Burst()) {
			delete(s.m, id)
		}
	}
	s.sweep = max(minSweep, 2*len(s.m))
}

// throttle reports whether a request may pass all buckets that it goes through, from the most specific on: the key's for
// this method, the key's in its plan, the method's, the account's.
func (s *Service) throttle(x *exchange, plan *usagePlan, now time.Time) bool {
	if plan != nil {
		if l := plan.methodLimit(x.stage, x.method); l != nil &&
			!s.buckets.take(bucketID{"key-method", plan.id, x.key.id, x.method.bucket}, *l, now) {
			return false
		}
		if plan.limit != nil && !s.buckets.take(bucketID{"key", plan.id, x.key.id, ""}, *plan.limit, now) {
			return false
		}
	}
	if l := x.method.throttle; l != nil && !s.buckets.take(bucketID{"method", x.method.bucket, "", ""}, *l, now) {
		return false
	}
	return s.buckets.take(bucketID{"account", x.stage.account, x.stage.region, ""}, accountLimit(), now)
}
