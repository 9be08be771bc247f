package kvtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"brume/internal/kv"
)

func testContext(t *testing.T, s kv.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.View(ctx, func(kv.Reader) error { t.Error("View ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View with a context that has ended: %v", err)
	}
	if err := s.Update(ctx, func(kv.Tx) error { t.Error("Update ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Update with a context that has ended: %v", err)
	}
	// A long scan notices that nobody waits for it any more.
	update(t, s, func(tx kv.Tx) error {
		for i := range 5000 {
			if err := tx.Set([]byte{byte(i >> 8), byte(i)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, cancel = context.WithCancel(context.Background())
	n := 0
	err := s.View(ctx, func(r kv.Reader) error {
		for _, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			if n++; n == 10 {
				cancel()
			}
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n == 5000 {
		t.Errorf("the scan went on for %d pairs after its context had ended: %v", n, err)
	}
}

func testNow(t *testing.T, s kv.Store) {
	before := time.Now()
	var last time.Time
	for range 20 {
		var now time.Time
		update(t, s, func(tx kv.Tx) error {
			now = tx.Now()
			time.Sleep(time.Millisecond)
			if again := tx.Now(); !again.Equal(now) {
				t.Errorf("Now went from %v to %v within a transaction", now, again)
			}
			return tx.Set([]byte("a"), nil)
		})
		if now.Before(last) {
			t.Errorf("Now went back from %v to %v", last, now)
		}
		last = now
		view(t, s, func(r kv.Reader) error {
			if r.Now().Before(now) {
				t.Errorf("Now of a View is %v, and it sees a commit of %v", r.Now(), now)
			}
			return nil
		})
	}
	if last.Before(before.Round(0)) || last.After(time.Now()) {
		t.Errorf("Now is %v, the clock says %v", last, time.Now())
	}
}

func testClose(t *testing.T, s kv.Store) {
	set(t, s, "a", "1")
	var (
		running = make(chan struct{})
		goOn    = make(chan struct{})
		wg      sync.WaitGroup
	)
	wg.Go(func() {
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			close(running)
			<-goOn
			if v, _, err := get(tx, "a"); v != "1" || err != nil {
				t.Errorf("Get while Close waits: %q, %v", v, err)
			}
			return tx.Set([]byte("b"), []byte("1"))
		})
		if err != nil {
			t.Errorf("Update while Close waits: %v", err)
		}
	})
	<-running
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("Close did not wait for a transaction")
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
	if err := s.View(context.Background(), func(kv.Reader) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("View after Close: %v", err)
	}
	if err := s.Update(context.Background(), func(kv.Tx) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("Update after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close once more: %v", err)
	}
}

func testWatch(t *testing.T, s kv.Store) {
	w, ok := s.(kv.Watcher)
	if !ok {
		t.Skip("the store is no Watcher")
	}
	lows := make(chan string, 100)
	stop := w.Watch([]byte("job/"), func(low []byte) { lows <- string(low) })
	defer stop()
	wait := func(want string) {
		t.Helper()
		select {
		case low := <-lows:
			if low > want {
				t.Errorf("woken for %q, want nothing after %q", low, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("not woken for %q", want)
		}
	}
	set(t, s, "job/b", "1", "job/a", "1", "aaa", "1")
	wait("job/a")
	set(t, s, "job/c", "1")
	wait("job/c")

	// None of these sets a key with the prefix.
	set(t, s, "job", "1", "job0", "1", "other", "1")
	update(t, s, func(tx kv.Tx) error { return tx.Delete([]byte("job/a")) })
	update(t, s, func(tx kv.Tx) error {
		return errors.Join(tx.Set([]byte("job/x"), nil), tx.Delete([]byte("job/x")))
	})
	undo := errors.New("undo")
	if err := s.Update(context.Background(), func(tx kv.Tx) error {
		return errors.Join(tx.Set([]byte("job/y"), nil), undo)
	}); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	set(t, s, "job/z", "1")
	wait("job/z")
	if len(lows) > 0 {
		t.Errorf("woken for %q", <-lows)
	}

	// Who is woken sees why.
	for _, key := range []string{"seen/1", "seen/2", "seen/3"} {
		woken := make(chan struct{})
		stop := w.Watch([]byte("seen/"), func([]byte) { close(woken) })
		go set(t, s, key, "1")
		<-woken
		view(t, s, func(r kv.Reader) error {
			if _, ok, err := get(r, key); !ok || err != nil {
				t.Errorf("woken, and %q is not there: %v", key, err)
			}
			return nil
		})
		stop()
	}
	stop()
	stop()
	set(t, s, "job/after", "1")
	if len(lows) > 0 {
		t.Errorf("woken for %q after stop", <-lows)
	}
}
