package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
	"brume/internal/outbox"
)

// A bench is an outbox on a store in memory.
type bench struct {
	t     *testing.T
	store *watched
	fs    vfs.FS
	opts  outbox.Options
	log   *syncBuffer
	box   *outbox.Outbox
	stop  func()
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, vfs.NewMem())
		defer b.close()
		test(b)
	})
}

func newBench(t *testing.T, fs vfs.FS) *bench {
	t.Helper()
	s, err := pebblekv.Open(t.Context(), pebblekv.Options{Dir: "/data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	b := &bench{t: t, store: &watched{Store: s}, fs: fs, log: log}
	b.opts = outbox.Options{Store: b.store, Logger: slog.New(slog.NewTextHandler(log, nil))}
	b.box = outbox.New(b.opts)
	return b
}

func (b *bench) close() {
	b.stopBox()
	if err := b.store.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) start() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error)
	go func() { ended <- b.box.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
}

func (b *bench) stopBox() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
	b.box = outbox.New(b.opts)
}

func (b *bench) enqueue(j outbox.Job) (id string) {
	b.t.Helper()
	b.update(func(tx kv.Tx) (err error) {
		id, err = outbox.Enqueue(tx, j)
		return err
	})
	return id
}

func (b *bench) cancel(id string) {
	b.t.Helper()
	b.update(func(tx kv.Tx) error { return outbox.Cancel(tx, id) })
}

func (b *bench) update(fn func(kv.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// left is the number of rows in the store.
func (b *bench) left() (n int) {
	b.t.Helper()
	err := b.store.Store.View(context.Background(), func(r kv.Reader) error {
		for _, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// watched counts what is read.
type watched struct {
	*pebblekv.Store
	views, pairs atomic.Int64
}

func (w *watched) View(ctx context.Context, fn func(kv.Reader) error) error {
	w.views.Add(1)
	return w.Store.View(ctx, func(r kv.Reader) error { return fn(watchedReader{r, w}) })
}

type watchedReader struct {
	kv.Reader
	w *watched
}

func (r watchedReader) Scan(rg kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		for p, err := range r.Reader.Scan(rg) {
			r.w.pairs.Add(1)
			if !yield(p, err) {
				return
			}
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(sub string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), sub)
}

// A record is what a handler got, and when since the beginning of the test.
type record struct {
	mu    sync.Mutex
	start time.Time
	got   []string
}

func newRecord() *record { return &record{start: time.Now()} }

func (r *record) add(d outbox.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf("%s#%d@%v", d.Payload, d.Attempt, time.Since(r.start)))
}

func (r *record) expect(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.got, want) {
		t.Errorf("delivered %q, want %q", r.got, want)
	}
}

func TestDelivery(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		var d outbox.Delivery
		b.box.Handle("q", 1, func(_ context.Context, got outbox.Delivery) error {
			d = got
			r.add(got)
			return nil
		})
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("before the start")})
		b.start()
		synctest.Wait()
		r.expect(b.t, "before the start#1@0s")
		time.Sleep(time.Second)
		enqueued := time.Now()
		id := b.enqueue(outbox.Job{Queue: "q", Payload: []byte("after")})
		synctest.Wait()
		r.expect(b.t, "before the start#1@0s", "after#1@1s")
		if d.ID != id || d.Queue != "q" || !d.EnqueuedAt.Equal(enqueued) {
			t.Errorf("the delivery is %+v, want the id %s and the time %v", d, id, enqueued)
		}

		undo := errors.New("undo")
		err := b.store.Update(b.t.Context(), func(tx kv.Tx) error {
			_, err := outbox.Enqueue(tx, outbox.Job{Queue: "q", Payload: []byte("never")})
			return errors.Join(err, undo)
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		b.enqueue(outbox.Job{Queue: "other", Payload: []byte("waits for a handler")})
		time.Sleep(time.Hour)
		synctest.Wait()
		r.expect(b.t, "before the start#1@0s", "after#1@1s")
		if n := b.left(); n != 2 {
			t.Errorf("%d rows are left, want the 2 of the other queue", n)
		}
	})
}

// A closure that runs again enqueues again; only the run that commits counts.
func TestClosureRunsTwice(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		b.box.Handle("q", 4, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		runs := 0
		b.update(func(tx kv.Tx) error {
			runs++
			if _, _, err := tx.Get([]byte("k")); err != nil {
				return err
			}
			if _, err := outbox.Enqueue(tx, outbox.Job{Queue: "q", Payload: fmt.Appendf(nil, "run %d", runs)}); err != nil {
				return err
			}
			if runs == 1 {
				b.update(func(tx kv.Tx) error { return tx.Set([]byte("k"), nil) })
			}
			synctest.Wait()
			r.expect(b.t)
			return nil
		})
		synctest.Wait()
		if len(r.got) != 1 || !strings.HasPrefix(r.got[0], "run 2#1@") {
			t.Errorf("delivered %q, want what the second run enqueued", r.got)
		}
	})
}

func TestTimers(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		b.box.Handle("q", 10, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		at := func(name string, d time.Duration) string {
			return b.enqueue(outbox.Job{Queue: "q", Payload: []byte(name), NotBefore: r.start.Add(d)})
		}
		at("day", 24*time.Hour)
		at("past", -time.Hour)
		at("minute", time.Minute+time.Nanosecond)
		gone := at("canceled", 30*time.Minute)
		at("hour", time.Hour)
		synctest.Wait()
		r.expect(b.t, "past#1@0s")
		time.Sleep(30 * time.Second)
		b.cancel(gone)
		at("sooner", 45*time.Second)
		time.Sleep(15*time.Second - 1)
		synctest.Wait()
		r.expect(b.t, "past#1@0s")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.expect(b.t, "past#1@0s", "sooner#1@45s")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		r.expect(b.t, "past#1@0s", "sooner#1@45s", "minute#1@1m0.000000001s", "hour#1@1h0m0s", "day#1@24h0m0s")
		b.cancel(gone)
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestCancelMalformedID(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.update(func(tx kv.Tx) error {
			for _, id := range []string{"", "1", strings.Repeat("x", 32), strings.Repeat("0", 34), "äöü"} {
				if err := outbox.Cancel(tx, id); err == nil {
					t.Errorf("Cancel(%q) succeeded", id)
				}
			}
			return outbox.Cancel(tx, strings.Repeat("0", 32))
		})
	})
}

func TestLimits(t *testing.T) {
	inBubble(t, func(b *bench) {
		var got atomic.Int64
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error {
			got.Store(int64(len(d.Payload)))
			return nil
		})
		b.start()
		b.update(func(tx kv.Tx) error {
			if _, err := outbox.Enqueue(tx, outbox.Job{Queue: "q", Payload: make([]byte, outbox.MaxPayload+1)}); !errors.Is(err, kv.ErrTooLarge) {
				t.Errorf("a payload over the limit: %v", err)
			}
			for _, name := range []string{"", strings.Repeat("q", outbox.MaxQueueName+1)} {
				if _, err := outbox.Enqueue(tx, outbox.Job{Queue: name}); err == nil {
					t.Errorf("a queue called %q", name)
				}
			}
			_, err := outbox.Enqueue(tx, outbox.Job{Queue: strings.Repeat("q", outbox.MaxQueueName)})
			return err
		})
		b.enqueue(outbox.Job{Queue: "q", Payload: make([]byte, outbox.MaxPayload)})
		synctest.Wait()
		if got.Load() != outbox.MaxPayload {
			t.Errorf("the largest payload came with %d bytes", got.Load())
		}
	})
}

func TestHandleMisuse(t *testing.T) {
	box := outbox.New(outbox.Options{})
	h := func(context.Context, outbox.Delivery) error { return nil }
	box.Handle("taken", 1, h)
	for what, call := range map[string]func(){
		"twice":          func() { box.Handle("taken", 1, h) },
		"no name":        func() { box.Handle("", 1, h) },
		"no concurrency": func() { box.Handle("q", 0, h) },
		"no handler":     func() { box.Handle("q", 1, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Handle accepts it", what)
				}
			}()
			call()
		}()
	}
}

func TestBackoff(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.opts.MinBackoff, b.opts.MaxBackoff = time.Second, 5*time.Second
		b.box = outbox.New(b.opts)
		r := newRecord()
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error {
			r.add(d)
			switch d.Attempt {
			case 2:
				panic("oh no")
			case 6:
				return nil
			}
			return errors.New("not yet")
		})
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("j")})
		b.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.expect(b.t, "j#1@0s", "j#2@1s", "j#3@3s", "j#4@7s", "j#5@12s", "j#6@17s")
		if failed, panics := b.log.count("a job failed"), b.log.count("oh no"); failed != 5 || panics != 1 {
			t.Errorf("%d failures and %d panics are logged, want 5 and 1", failed, panics)
		}
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestRetryAt(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		var enqueuedAt []time.Time
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error {
			r.add(d)
			enqueuedAt = append(enqueuedAt, d.EnqueuedAt)
			switch d.Attempt {
			case 1:
				return fmt.Errorf("wrapped: %w", outbox.RetryAt(time.Now().Add(10*time.Second), []byte("b")))
			case 2:
				return errors.New("fails") // one second
			case 3:
				return outbox.RetryAt(time.Now().Add(time.Minute), nil) // keeps b
			case 4:
				return errors.New("fails") // one second again
			case 5:
				return outbox.RetryAt(time.Time{}, []byte{}) // at once
			case 6:
				return outbox.RetryAt(time.Now(), make([]byte, outbox.MaxPayload+1)) // fails
			}
			return nil
		})
		b.start()
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("a")})
		time.Sleep(time.Hour)
		synctest.Wait()
		r.expect(b.t, "a#1@0s", "b#2@10s", "b#3@11s", "b#4@1m11s", "b#5@1m12s", "#6@1m12.000000001s", "#7@1m13.000000001s")
		if n := b.log.count("a job failed"); n != 3 {
			t.Errorf("%d failures are logged, want 3", n)
		}
		if slices.ContainsFunc(enqueuedAt, func(at time.Time) bool { return !at.Equal(r.start) }) {
			t.Errorf("EnqueuedAt changes: %v", enqueuedAt)
		}
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestConcurrency(t *testing.T) {
	inBubble(t, func(b *bench) {
		var mu sync.Mutex
		running, most := 0, 0
		var order []string
		b.box.Handle("q", 3, func(_ context.Context, d outbox.Delivery) error {
			mu.Lock()
			order = append(order, string(d.Payload))
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
		b.start()
		var want []string
		for i := range 10 {
			name := fmt.Sprint(i)
			want = append(want, name)
			b.enqueue(outbox.Job{Queue: "q", Payload: []byte(name)})
			time.Sleep(time.Millisecond)
		}
		start := time.Now()
		for b.left() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took < 3900*time.Millisecond || took > 4100*time.Millisecond {
			t.Errorf("10 jobs of a second, 3 at a time, took %v", took)
		}
		if most != 3 || !slices.Equal(order, want) {
			t.Errorf("%d at a time, in the order %q", most, order)
		}
	})
}

// An idle outbox reads nothing, and a busy one never reads again what is done.
func TestReadsLittle(t *testing.T) {
	inBubble(t, func(b *bench) {
		forever := make(chan struct{})
		b.box.Handle("q", 4, func(_ context.Context, d outbox.Delivery) error {
			if string(d.Payload) == "slow" {
				<-forever
			}
			return nil
		})
		b.start()
		synctest.Wait()
		views := b.store.views.Load()
		time.Sleep(24 * time.Hour)
		if n := b.store.views.Load() - views; n > 0 {
			t.Errorf("%d looks in an idle day", n)
		}
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("slow")}) // its row stays before all others
		const n = 300
		for range n {
			b.enqueue(outbox.Job{Queue: "q"})
			synctest.Wait()
		}
		if pairs := b.store.pairs.Load(); pairs > 3*n {
			t.Errorf("%d rows read for %d jobs", pairs, n)
		}
		time.Sleep(time.Second)
		views = b.store.views.Load()
		time.Sleep(24 * time.Hour)
		if n := b.store.views.Load() - views; n > 0 {
			t.Errorf("%d looks in a day in which a handler runs", n)
		}
		close(forever)
		synctest.Wait()
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// A job whose transaction takes long comes with a time that the queue has passed already.
func TestLateCommit(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		goOn := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			b.update(func(tx kv.Tx) error {
				if _, err := outbox.Enqueue(tx, outbox.Job{Queue: "q", Payload: []byte("late")}); err != nil {
					return err
				}
				<-goOn
				return nil
			})
		})
		time.Sleep(time.Second)
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("early")})
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("timer"), NotBefore: time.Now().Add(time.Minute)})
		synctest.Wait()
		r.expect(b.t, "early#1@1s")
		close(goOn)
		wg.Wait()
		synctest.Wait()
		r.expect(b.t, "early#1@1s", "late#1@1s")
	})
}

func TestCancelWhileRunning(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		goOn := make(chan struct{})
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error {
			r.add(d)
			<-goOn
			return errors.New("again, please")
		})
		b.start()
		id := b.enqueue(outbox.Job{Queue: "q", Payload: []byte("j")})
		synctest.Wait()
		b.cancel(id)
		close(goOn)
		time.Sleep(time.Hour)
		synctest.Wait()
		r.expect(b.t, "j#1@0s")
		if n := b.left(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// A handler may end its job together with its effects.
func TestHandlerEndsItsJob(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.box.Handle("q", 1, func(ctx context.Context, d outbox.Delivery) error {
			return b.store.Update(ctx, func(tx kv.Tx) error {
				return errors.Join(tx.Set([]byte("effect"), d.Payload), outbox.Cancel(tx, d.ID))
			})
		})
		b.start()
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("j")})
		time.Sleep(time.Hour)
		if n := b.left(); n != 1 {
			t.Errorf("%d rows are left, want the effect", n)
		}
	})
}

func TestShutdown(t *testing.T) {
	inBubble(t, func(b *bench) {
		r := newRecord()
		b.box.Handle("q", 5, func(ctx context.Context, d outbox.Delivery) error {
			r.add(d)
			switch string(d.Payload) {
			case "quick": // within the grace, and without knowing of the end
				select {
				case <-time.After(5 * time.Second):
				case <-ctx.Done():
					t.Error("the handler was interrupted within the grace")
				}
				return nil
			case "slow": // is told to stop
				<-ctx.Done()
				return ctx.Err()
			case "stubborn": // finishes its work all the same
				<-ctx.Done()
				return nil
			}
			return nil
		})
		b.start()
		for _, name := range []string{"quick", "slow", "stubborn"} {
			b.enqueue(outbox.Job{Queue: "q", Payload: []byte(name)})
			synctest.Wait()
		}
		time.AfterFunc(time.Second, func() { b.enqueue(outbox.Job{Queue: "q", Payload: []byte("too late")}) })
		start := time.Now()
		b.stopBox()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("Run took %v to end, want the grace", took)
		}
		r.expect(b.t, "quick#1@0s", "slow#1@0s", "stubborn#1@0s")
		if n := b.left(); n != 4 {
			t.Errorf("%d rows are left, want those of two jobs", n)
		}
		// The next one delivers what was cut short, as if for the first time.
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		synctest.Wait()
		r.expect(b.t, "quick#1@0s", "slow#1@0s", "stubborn#1@0s", "slow#1@10s", "too late#1@10s")
	})
}

// Where the outcome cannot be recorded the job is not delivered again and again.
func TestReadOnlyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		mem := vfs.NewMem()
		b := newBench(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return syscall.ENOSPC
			}
			return nil
		})))
		r := newRecord()
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error {
			r.add(d)
			full.Store(true)
			return nil
		})
		b.start()
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("j")})
		time.Sleep(time.Hour)
		synctest.Wait()
		r.expect(t, "j#1@0s")
		if n := b.log.count("cannot be recorded"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		b.close()
		full.Store(false)
		b = newBench(t, mem)
		defer b.close()
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		synctest.Wait()
		r.expect(t, "j#1@0s", "j#1@1h0m0s")
	})
}

// A row that cannot be read does not stop the others.
func TestDamagedRow(t *testing.T) {
	inBubble(t, func(b *bench) {
		bad := b.enqueue(outbox.Job{Queue: "q", Payload: []byte("bad")})
		time.Sleep(time.Nanosecond)
		b.update(func(tx kv.Tx) error {
			for p, err := range tx.Scan(kv.Range{}) {
				if err != nil {
					return err
				}
				if len(p.Value) > 0 {
					return tx.Set(p.Key, []byte("garbage"))
				}
			}
			return nil
		})
		r := newRecord()
		b.box.Handle("q", 1, func(_ context.Context, d outbox.Delivery) error { r.add(d); return nil })
		b.start()
		b.enqueue(outbox.Job{Queue: "q", Payload: []byte("good")})
		synctest.Wait()
		r.expect(b.t, "good#1@0s")
		if n := b.log.count(bad); n != 1 {
			t.Errorf("the bad job is logged %d times, want once", n)
		}
	})
}

// Many enqueue, cancel, fail and ask for another delivery at the same time; the power fails now and then. Every job of a
// transaction that was acknowledged is done once or canceled, and none is left.
func TestAtLeastOnce(t *testing.T) {
	defer goleak.VerifyNone(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	mem := vfs.NewCrashableMem()
	var (
		mu           sync.Mutex
		acknowledged = map[string]bool{}
		done         = map[string]bool{}
	)
	for round := range 4 {
		b := newBench(t, mem)
		b.opts.MinBackoff, b.opts.Grace = time.Millisecond, time.Second
		b.box = outbox.New(b.opts)
		for q := range 3 {
			b.box.Handle(fmt.Sprint("q", q), 1+q*4, func(_ context.Context, d outbox.Delivery) error {
				switch random := rand.IntN(10); {
				case random == 0:
					return errors.New("fails")
				case random == 1:
					return outbox.RetryAt(time.Now().Add(time.Duration(rand.IntN(3000))*time.Microsecond), nil)
				}
				mu.Lock()
				done[string(d.Payload)] = true
				mu.Unlock()
				return nil
			})
		}
		b.start()
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 40 {
					var names, ids []string
					err := b.store.Update(context.Background(), func(tx kv.Tx) error {
						names, ids = nil, nil
						for j := range rand.IntN(4) {
							name := fmt.Sprintf("%d/%d/%d/%d", round, w, i, j)
							id, err := outbox.Enqueue(tx, outbox.Job{
								Queue: fmt.Sprint("q", rand.IntN(3)), Payload: []byte(name),
								NotBefore: time.Now().Add(time.Duration(rand.IntN(4000)-2000) * time.Microsecond),
							})
							if err != nil {
								return err
							}
							names, ids = append(names, name), append(ids, id)
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, name := range names {
						acknowledged[name] = true
					}
					mu.Unlock()
					if len(ids) == 3 {
						b.cancel(ids[0])
						mu.Lock()
						done[names[0]] = true
						mu.Unlock()
					}
				}
			})
		}
		if round < 3 {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			mu.Lock() // nothing becomes acknowledged between the two
			crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, uint64(round)))})
			before := len(acknowledged)
			names := make(map[string]bool, before)
			for name := range acknowledged {
				names[name] = true
			}
			mu.Unlock()
			wg.Wait()
			b.close()
			mem, acknowledged = crashed, names
			continue
		}
		wg.Wait()
		deadline := time.Now().Add(20 * time.Second)
		for b.left() > 0 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if n := b.left(); n > 0 {
			t.Errorf("%d rows are left", n)
		}
		b.close()
	}
	for name := range acknowledged {
		if !done[name] {
			t.Errorf("job %s is lost", name)
		}
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d jobs", len(acknowledged))
	}
}

// In real time, a job starts right after its commit.
func BenchmarkLatency(b *testing.B) {
	s, err := pebblekv.Open(b.Context(), pebblekv.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	box := outbox.New(outbox.Options{Store: s})
	started := make(chan time.Time)
	box.Handle("q", 1, func(context.Context, outbox.Delivery) error { started <- time.Now(); return nil })
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- box.Run(ctx) }()
	var total time.Duration
	for b.Loop() {
		if err := s.Update(ctx, func(tx kv.Tx) error {
			_, err := outbox.Enqueue(tx, outbox.Job{Queue: "q"})
			return err
		}); err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		total += (<-started).Sub(committed)
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "µs-from-commit")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
