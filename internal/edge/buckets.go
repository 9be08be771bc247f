package edge

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limit is a token bucket's: rate tokens a second come in, at most burst lie there, and each request takes one.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
type Limit = struct {
	Rate  float64
	Burst int
}

// AccountLimit is the default of an account in a region.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
func AccountLimit() Limit { return Limit{Rate: 10000, Burst: 5000} }

// A BucketID names a bucket: an account's in a region, a method's of a stage, a key's in a plan, or a key's for one method.
type BucketID = struct{ Kind, Owner, Key, Method string }

// Buckets are the token buckets in use, in memory only: after a restart all are full. A bucket that has been left alone
// until it was full again is dropped, as a new one is no different.
type Buckets struct {
	seed   maphash.Seed
	shards [64]bucketShard
}

type bucketShard struct {
	mu    sync.Mutex
	m     map[BucketID]*rate.Limiter
	sweep int // the size at which full buckets are dropped
}

const minSweep = 256

// NewBuckets returns buckets that are all full.
func NewBuckets() *Buckets { return &Buckets{seed: maphash.MakeSeed()} }

// Take takes a token out of a bucket. It is false if there is none. A limit that changed counts from now on.
func (b *Buckets) Take(id BucketID, l Limit, now time.Time) bool {
	s := &b.shards[maphash.Comparable(b.seed, id)%uint64(len(b.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	lim := s.m[id]
	if lim == nil {
		if s.m == nil {
			s.m, s.sweep = make(map[BucketID]*rate.Limiter), minSweep
		}
		if len(s.m) >= s.sweep {
			s.dropFull(now)
		}
		lim = rate.NewLimiter(rate.Limit(l.Rate), l.Burst)
		s.m[id] = lim
	}
	if lim.Limit() != rate.Limit(l.Rate) {
		lim.SetLimitAt(now, rate.Limit(l.Rate))
	}
	if lim.Burst() != l.Burst {
		lim.SetBurstAt(now, l.Burst)
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
