package pebblekv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

// A gate holds up the fsyncs of the log.
type gate struct {
	open  chan struct{} // closed to let them pass
	syncs atomic.Int64
	set   atomic.Bool
}

func (g *gate) String() string { return "gate" }

func (g *gate) MaybeError(op errorfs.Op) error {
	if filepath.Ext(op.Path) == ".log" && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
		g.syncs.Add(1)
		if g.set.Load() {
			<-g.open
		}
	}
	return nil
}

// Transactions that commit while an fsync is under way share the next one, and nothing is answered or seen before its own.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		s := open(t, pebblekv.Options{Dir: "/data", FS: faulty(vfs.NewMem(), g)})
		defer s.Close()
		ctx := context.Background()
		const n = 100
		if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Set(name(n), nil) }); err != nil {
			t.Fatal(err)
		}
		g.set.Store(true)
		before := g.syncs.Load()
		var answered atomic.Int64
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Set(name(i), nil) }); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			})
			if i == 0 {
				synctest.Wait() // it is alone in its group
			}
		}
		synctest.Wait()
		if answered.Load() > 0 {
			t.Errorf("%d answers before the fsync", answered.Load())
		}
		err := s.View(ctx, func(r kv.Reader) error {
			seen := 0
			for _, err := range r.Scan(kv.Range{}) {
				if err != nil {
					return err
				}
				seen++
			}
			if seen != 1 {
				t.Errorf("a View sees %d keys before the fsync, want 1", seen)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		// A transaction that only reads waits for nobody.
		if err := s.Update(ctx, func(tx kv.Tx) error {
			_, _, err := tx.Get(name(n))
			return err
		}); err != nil {
			t.Error(err)
		}
		// Who is tired of waiting goes, and leaves nothing, if the committer has not begun with it.
		impatient, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := s.Update(impatient, func(tx kv.Tx) error { return tx.Set([]byte("impatient"), nil) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update whose context ends before its group begins: %v", err)
		}
		close(g.open)
		wg.Wait()
		if syncs := g.syncs.Load() - before; syncs != 2 {
			t.Errorf("%d fsyncs for %d transactions, want one for the first and one for all others", syncs, n)
		}
		err = s.View(ctx, func(r kv.Reader) error {
			if _, ok, err := r.Get([]byte("impatient")); ok || err != nil {
				t.Errorf("the withdrawn write is there: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		holds(t, s, n+1, false)
	})
}

// If the write is under way when the context ends, Update waits for the outcome.
func TestContextEndsDuringCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		s := open(t, pebblekv.Options{Dir: "/data", FS: faulty(vfs.NewMem(), g)})
		defer s.Close()
		g.set.Store(true)
		ctx, cancel := context.WithCancel(context.Background())
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { err = s.Update(ctx, func(tx kv.Tx) error { return tx.Set(name(0), nil) }) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.open)
		wg.Wait()
		if err != nil {
			t.Errorf("Update: %v", err)
		}
		holds(t, s, 1, false)
	})
}

// A closure that runs another transaction inside it does what it must not; but both come to an end, even if both lose.
func TestNestedLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, pebblekv.Options{Dir: "/data", FS: vfs.NewMem()})
		defer s.Close()
		ctx := context.Background()
		lose := func(tx kv.Tx, key string) error {
			if _, _, err := tx.Get([]byte(key)); err != nil {
				return err
			}
			if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Set([]byte(key), nil) }); err != nil {
				return err
			}
			return tx.Set([]byte(key), nil)
		}
		outer := 0
		err := s.Update(ctx, func(tx kv.Tx) error {
			if outer++; outer < 6 {
				return lose(tx, "outer")
			}
			inner := 0
			return s.Update(ctx, func(tx kv.Tx) error {
				if inner++; inner < 6 {
					return lose(tx, "inner")
				}
				return nil
			})
		})
		if err != nil || outer != 6 {
			t.Errorf("%d runs, %v", outer, err)
		}
	})
}

// Time does not go back in the store, whatever the clock does, and not from one start to the next.
func TestNowGoesForward(t *testing.T) {
	ctx := context.Background()
	at := func(sec int64) time.Time { return time.Unix(1_700_000_000+sec, 5).UTC() }
	var clock atomic.Int64
	var log bytes.Buffer
	o := pebblekv.Options{
		Dir: "/data", FS: vfs.NewMem(), Now: func() time.Time { return at(clock.Load()) },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	s := open(t, o)
	expect := func(what string, update bool, want time.Time) {
		t.Helper()
		var now time.Time
		var err error
		if update {
			err = s.Update(ctx, func(tx kv.Tx) error {
				now = tx.Now()
				return tx.Set([]byte("k"), nil)
			})
		} else {
			err = s.View(ctx, func(r kv.Reader) error { now = r.Now(); return nil })
		}
		if err != nil || now != want {
			t.Errorf("%s: Now is %v, %v, want %v", what, now, err, want)
		}
	}
	clock.Store(100)
	expect("first", true, at(100))
	clock.Store(10)
	expect("the clock is set back", true, at(100))
	expect("the clock is set back, View", false, at(100))
	clock.Store(200)
	expect("View", false, at(200))
	clock.Store(150)
	expect("after a View alone", true, at(150))
	clock.Store(300)
	// What does not commit has not happened.
	if err := s.Update(ctx, func(tx kv.Tx) error { tx.Now(); return errors.New("no") }); err == nil {
		t.Fatal("no error")
	}
	clock.Store(160)
	expect("after a transaction that failed", true, at(160))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clock.Store(50)
	s = open(t, o)
	expect("after a new start, View", false, at(160))
	expect("after a new start", true, at(160))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "the clock is behind") {
		t.Errorf("the clock that is set back is not reported: %s", &log)
	}
}

// A transaction that outlasts what the committer remembers runs again, even if nothing it read has changed.
func TestOutlastedHistory(t *testing.T) {
	s := open(t, pebblekv.Options{Dir: "/data", FS: vfs.NewMem()})
	defer s.Close()
	ctx := context.Background()
	runs := 0
	err := s.Update(ctx, func(tx kv.Tx) error {
		if _, _, err := tx.Get([]byte("mine")); err != nil {
			return err
		}
		if runs++; runs == 1 {
			long := strings.Repeat("x", 1000)
			for i := range 10 {
				if err := s.Update(ctx, func(tx kv.Tx) error {
					for j := range 1000 {
						if err := tx.Set(fmt.Appendf(nil, "%s/%d/%d", long, i, j), nil); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					return err
				}
			}
		}
		return tx.Set([]byte("done"), nil)
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, %v, want 2", runs, err)
	}
}

// A large transaction does not starve for one that is larger than a group, nor for keys that come in any order.
func TestLargeTransaction(t *testing.T) {
	s := open(t, pebblekv.Options{Dir: t.TempDir()})
	defer s.Close()
	ctx := context.Background()
	const n = 60_000
	value := make([]byte, 400)
	err := s.Update(ctx, func(tx kv.Tx) error {
		for i := range n {
			if err := tx.Set(name((i*7919)%n), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, s, n, false)
}

// A transaction that reads one key in a loop does not grow with the turns, and one that is over is over.
func TestMisuse(t *testing.T) {
	s := open(t, pebblekv.Options{Dir: "/data", FS: vfs.NewMem()})
	defer s.Close()
	ctx := context.Background()
	var kept kv.Tx
	err := s.Update(ctx, func(tx kv.Tx) error {
		kept = tx
		for range 100_000 {
			if _, _, err := tx.Get([]byte("k")); err != nil {
				return err
			}
		}
		return tx.Set([]byte("k"), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := kept.Get([]byte("other")); err == nil {
		t.Error("Get after the end")
	}
	if err := kept.Set([]byte("k"), nil); err == nil {
		t.Error("Set after the end")
	}
	for _, err := range kept.Scan(kv.Range{}) {
		if err == nil {
			t.Error("Scan after the end")
		}
	}
}
