package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"brume/internal/kv"
	"brume/internal/outbox"
)

// running counts what runs of each lane: of jobs whose payload begins with the lane's name.
type running struct {
	mu    sync.Mutex
	now   map[string]int
	most  map[string]int
	total int
	ended map[string][]string
}

func newRunning() *running {
	return &running{now: map[string]int{}, most: map[string]int{}, ended: map[string][]string{}}
}

func (r *running) handle(took func(lane string) time.Duration) outbox.Handler {
	return func(ctx context.Context, d outbox.Delivery) error {
		lane := string(d.Payload[:1])
		r.mu.Lock()
		r.now[lane]++
		r.total++
		r.most[lane], r.most[""] = max(r.most[lane], r.now[lane]), max(r.most[""], r.total)
		r.mu.Unlock()
		time.Sleep(took(lane))
		r.mu.Lock()
		r.now[lane]--
		r.total--
		r.ended[lane] = append(r.ended[lane], string(d.Payload[1:]))
		r.mu.Unlock()
		return nil
	}
}

func (r *running) done(lane string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ended[lane])
}

func (r *running) runs(lane string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[lane]
}

func (r *running) expect(t *testing.T, when string, want map[string]int) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, n := range want {
		if r.now[lane] != n {
			t.Errorf("%s: %d of lane %s run, want %d (%v)", when, r.now[lane], lane, n, r.now)
		}
	}
}

func (b *bench) enqueueMany(lane string, n int) {
	b.t.Helper()
	for i := range n {
		b.enqueue(outbox.Job{Queue: "q", Lane: lane, Payload: fmt.Appendf(nil, "%s%d", lane, i)})
	}
}

// The slow jobs of one lane, however many there are, leave room for those of others.
func TestLanes(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRunning()
		b.box.HandleLanes("q", outbox.Lanes{Shared: 30, Most: 40}, r.handle(func(lane string) time.Duration {
			if lane == "f" {
				return time.Second
			}
			return time.Hour
		}))
		b.enqueueMany("a", 100)
		b.start()
		r.expect(b.t, "a alone", map[string]int{"a": 16})
		b.enqueueMany("b", 100)
		r.expect(b.t, "b besides", map[string]int{"a": 16, "b": 8 + 1})
		b.enqueueMany("c", 100)
		r.expect(b.t, "c besides", map[string]int{"a": 16, "b": 9, "c": 4 + 1})
		// A lane that has nothing running never waits for those that have.
		b.enqueueMany("f", 6)
		r.expect(b.t, "f", map[string]int{"f": 2 + 1})
		time.Sleep(time.Second)
		r.expect(b.t, "f later", map[string]int{"f": 3})
		time.Sleep(time.Second)
		r.expect(b.t, "f done", map[string]int{"a": 16, "b": 9, "c": 5, "f": 0})
		// In the long run lanes with much to do have the same, and a free place stays.
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, lane := range []string{"a", "b", "c"} {
			if n := r.runs(lane); n < 8 || n > 10 {
				t.Errorf("after an hour: %d of lane %s run, want a third of the places", n, lane)
			}
		}
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		for lane, n := range map[string]int{"a": 100, "b": 100, "c": 100, "f": 6} {
			if r.done(lane) != n {
				t.Errorf("%d jobs of lane %s, want %d", r.done(lane), lane, n)
			}
		}
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// There may be more lanes than places: what waits the longest comes first.
func TestMoreLanesThanPlaces(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRunning()
		b.box.HandleLanes("q", outbox.Lanes{Most: 3}, r.handle(func(string) time.Duration { return time.Second }))
		b.start()
		for _, lane := range []string{"a", "b", "c", "d", "e"} {
			b.enqueueMany(lane, 4)
			time.Sleep(time.Nanosecond)
		}
		r.expect(b.t, "at first", map[string]int{"a": 1, "b": 1, "c": 1, "d": 0})
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.most[""] != 3 || r.most["a"] != 1 {
			t.Errorf("%v at a time", r.most)
		}
		for lane, got := range r.ended {
			if len(got) != 4 {
				t.Errorf("%q of lane %s", got, lane)
			}
		}
	})
}

// A lane's own limit counts too, and is asked again when a job ends; one job of it always runs.
func TestLaneLimit(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRunning()
		var mu sync.Mutex
		limit, fails := 3, false
		b.box.HandleLanes("q", outbox.Lanes{Shared: 100, Most: 100, Limit: func(_ kv.Reader, lane string) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if fails {
				return 0, errors.New("no limit can be read")
			}
			if lane == "z" {
				return 0, nil
			}
			return limit, nil
		}}, r.handle(func(string) time.Duration { return time.Second }))
		b.start()
		b.enqueueMany("a", 12)
		b.enqueueMany("z", 2)
		r.expect(b.t, "at first", map[string]int{"a": 3, "z": 1})
		mu.Lock()
		limit = 5
		mu.Unlock()
		time.Sleep(time.Second)
		r.expect(b.t, "with a higher limit", map[string]int{"a": 5, "z": 1})
		mu.Lock()
		fails = true
		mu.Unlock()
		time.Sleep(time.Second)
		r.expect(b.t, "without a limit that can be read", map[string]int{"a": 1})
		mu.Lock()
		fails = false
		mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.done("a") != 12 || r.done("z") != 2 || b.left() != 0 {
			t.Errorf("done are %v, and %d rows are left", r.ended, b.left())
		}
	})
}

// A flood that waits is read once, not with each job that comes or ends.
func TestLanesReadLittle(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRunning()
		b.box.HandleLanes("q", outbox.Lanes{Shared: 8, Most: 100}, r.handle(func(lane string) time.Duration {
			if lane == "s" {
				return time.Minute
			}
			return time.Millisecond
		}))
		const n = 500
		b.enqueueMany("s", n)
		b.start()
		r.expect(b.t, "the flood", map[string]int{"s": 5})
		for i := range n {
			b.enqueue(outbox.Job{Queue: "q", Lane: "f", Payload: fmt.Appendf(nil, "f%d", i)})
			time.Sleep(2 * time.Millisecond)
		}
		synctest.Wait()
		if r.done("f") != n {
			t.Errorf("%d quick jobs are done while the slow ones wait", r.done("f"))
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if r.done("s") != n || b.left() != 0 {
			t.Errorf("%d slow jobs are done, and %d rows are left", r.done("s"), b.left())
		}
		if pairs := b.store.pairs.Load(); pairs > 8*n {
			t.Errorf("%d rows read for %d jobs", pairs, 2*n)
		}
	})
}

// Whatever comes and goes, each job is done once, and the bounds hold.
func TestRandomLanes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range uint64(20) {
		inBubble(t, func(b *bench) {
			random := rand.New(rand.NewPCG(seed, round))
			rules := outbox.Lanes{Shared: random.IntN(12), Most: 1 + random.IntN(8)}
			r := newRunning()
			var mu sync.Mutex
			b.box.HandleLanes("q", rules, r.handle(func(string) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Duration(random.IntN(50)) * time.Millisecond
			}))
			b.start()
			want := map[string]int{}
			for range 150 {
				mu.Lock()
				lane := string(rune('a' + random.IntN(4)))
				delay, pause, twice := random.IntN(3)*random.IntN(100), random.IntN(10), random.IntN(3) == 0
				mu.Unlock()
				b.update(func(tx kv.Tx) error {
					_, err := outbox.Enqueue(tx, outbox.Job{
						Queue: "q", Lane: lane, Payload: []byte(lane), NotBefore: time.Now().Add(time.Duration(delay) * time.Millisecond)})
					if err == nil && twice { // another lane in the same transaction
						_, err = outbox.Enqueue(tx, outbox.Job{Queue: "q", Lane: "z", Payload: []byte("z")})
					}
					return err
				})
				want[lane]++
				if twice {
					want["z"]++
				}
				time.Sleep(time.Duration(pause) * time.Millisecond)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			for lane, n := range want {
				if r.done(lane) != n {
					t.Errorf("%+v: %d jobs of lane %s were done, want %d", rules, r.done(lane), lane, n)
				}
				if r.most[lane] > 1+(rules.Shared+1)/2 {
					t.Errorf("%+v: %d of lane %s at a time", rules, r.most[lane], lane)
				}
			}
			if r.most[""] > rules.Most || b.left() != 0 {
				t.Errorf("%+v: %d at a time, and %d rows are left", rules, r.most[""], b.left())
			}
		})
	}
}

// Behind more waiting jobs than are read at a time there may be some that need not wait, also after a restart.
func TestLanesBehindAFlood(t *testing.T) {
	inBubble(t, func(b *bench) {
		const n = 25_000
		for i := 0; i < n; i += 5_000 {
			b.update(func(tx kv.Tx) error {
				for j := range 5_000 {
					if _, err := outbox.Enqueue(tx, outbox.Job{Queue: "q", Lane: "s", Payload: fmt.Appendf(nil, "s%d", i+j)}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		time.Sleep(time.Millisecond)
		b.enqueueMany("f", 10)
		for range 2 {
			r := newRunning()
			b.box.HandleLanes("q", outbox.Lanes{Shared: 8, Most: 100}, r.handle(func(lane string) time.Duration {
				if lane == "s" {
					return 5 * time.Second
				}
				return time.Millisecond
			}))
			b.start()
			time.Sleep(time.Second)
			r.expect(b.t, "the flood", map[string]int{"s": 5})
			if n := r.done("f"); n != 10 {
				t.Errorf("%d jobs behind the flood are done", n)
			}
			b.stopBox()
			b.enqueueMany("f", 10)
		}
	})
}

// Lanes that always have a job for a place that becomes free, as many as there are places, keep nobody from having one, be it a
// lane that is new or one that has waited before.
func TestFullLanesStarveNobody(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRunning()
		b.box.HandleLanes("q", outbox.Lanes{Most: 3}, r.handle(func(string) time.Duration { return time.Second }))
		for _, lane := range []string{"a", "b", "c", "d"} {
			b.enqueueMany(lane, 200)
			time.Sleep(time.Nanosecond)
		}
		b.start()
		time.Sleep(20*time.Second + time.Millisecond)
		for _, lane := range []string{"a", "b", "c", "d"} {
			if n := r.done(lane); n < 10 {
				t.Errorf("%d jobs of lane %s in 20 seconds", n, lane)
			}
		}
		b.enqueueMany("v", 5)
		time.Sleep(30 * time.Second)
		if n := r.done("v"); n != 5 {
			t.Errorf("%d of 5 jobs of lane v in 30 seconds", n)
		}
		time.Sleep(time.Hour)
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}
