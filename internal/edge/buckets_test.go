package edge

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Many at once get no more than one at a time.
func TestThrottleUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets()
		var mu sync.Mutex
		var wg sync.WaitGroup
		admitted := 0
		for range 16 {
			wg.Go(func() {
				for range 1000 {
					if b.Take(BucketID{Kind: "x"}, Limit{100, 50}, time.Now()) {
						mu.Lock()
						admitted++
						mu.Unlock()
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if ideal := 50 + 10*100; math.Abs(float64(admitted-ideal)) > float64(ideal)*0.01 {
			t.Errorf("%d admitted, ideal %d", admitted, ideal)
		}
	})
}

func TestFullBucketsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets()
		const keys = 200_000
		for i := range keys {
			b.Take(BucketID{Kind: "key", Key: string(rune(i))}, Limit{1000, 10}, time.Now())
			time.Sleep(10 * time.Microsecond)
		}
		n := 0
		for i := range b.shards {
			n += len(b.shards[i].m)
		}
		if n > 2*minSweep*len(b.shards) {
			t.Errorf("%d buckets are kept", n)
		}
	})
}

func BenchmarkThrottle429(b *testing.B) {
	buckets := NewBuckets()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		buckets.Take(BucketID{Kind: "key", Owner: "plan", Key: "key"}, Limit{0.001, 1}, now)
	}
}
