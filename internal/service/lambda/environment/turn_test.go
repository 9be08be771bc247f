package environment

import (
	"testing"
	"testing/synctest"
	"time"

	"brume/internal/sandbox"
)

// A pretender starts, as far as a turn can see.
type pretender struct {
	busy bool
	cpu  time.Duration
}

func (p *pretender) Busy() bool           { return p.busy }
func (p *pretender) Stats() sandbox.Stats { return sandbox.Stats{CPUTime: p.cpu} }

func TestTurn(t *testing.T) {
	for name, c := range map[string]struct {
		proc  starting
		lasts time.Duration // at least, and less than startShare more; 0: until its end
	}{
		"waits for something else": {&pretender{}, startShare},
		"waits for a processor":    {&pretender{busy: true}, 0},
		"has had one":              {&pretender{busy: true, cpu: startWork}, startShare},
		"has no process yet":       {nil, startCode},
	} {
		synctest.Test(t, func(t *testing.T) {
			places := make(chan struct{}, 1)
			places <- struct{}{}
			turn := newTurn(places)
			if c.proc != nil {
				turn.of(c.proc)
			}
			began := time.Now()
			for len(places) > 0 && time.Since(began) < time.Minute {
				time.Sleep(startShare / 10)
			}
			lasted := time.Since(began)
			switch {
			case c.lasts == 0 && len(places) == 0:
				t.Errorf("%s: it was over after %v", name, lasted)
			case c.lasts != 0 && (lasted < c.lasts || lasted >= c.lasts+startShare):
				t.Errorf("%s: it lasted %v", name, lasted)
			}
			turn.end()
			turn.end()
			if len(places) > 0 {
				t.Errorf("%s: it does not end", name)
			}
			time.Sleep(time.Hour) // whatever it still had to do
		})
	}
}

// An invocation that waits for its turn to start an environment takes one that becomes idle before; one of an older
// generation it does not take.
func TestTurnOrIdle(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import time\ndef handler(e, c):\n  time.sleep(e)\n  return e")
	h.invoke(f, "0")
	full := func() {
		for range cap(h.manager.starts) {
			h.manager.starts <- struct{}{}
		}
	}
	waiting := func() int {
		h.manager.mu.Lock()
		defer h.manager.mu.Unlock()
		if p := h.manager.pools[f.poolKey()]; p != nil {
			return len(p.waiting)
		}
		return 0
	}
	full()
	results := make(chan error, 5)
	for range cap(results) {
		go func() {
			_, err := h.try(f, "0.1")
			results <- err
		}()
	}
	for range cap(results) {
		must(t, <-results)
	}
	if all, idle := h.manager.Environments(); all != 1 || idle != 1 || waiting() != 0 {
		t.Errorf("%d environments, %d idle, %d invocations wait", all, idle, waiting())
	}

	go func() {
		_, err := h.try(f, "0.5")
		results <- err
	}()
	eventually(t, "the environment is busy", func() bool { _, idle := h.manager.Environments(); return idle == 0 })
	newer := *f
	newer.Generation++
	go func() {
		_, err := h.try(f, "0")
		results <- err
	}()
	eventually(t, "one waits", func() bool { return waiting() == 1 })
	h.manager.Retire(f.Account, f.Region, f.Name, "", newer.Generation)
	must(t, <-results) // the first one; its environment has ended
	if waiting() != 0 {
		t.Error("one waits for an environment of an older generation")
	}
	<-h.manager.starts
	must(t, <-results)
	for range cap(h.manager.starts) - 1 {
		<-h.manager.starts
	}
	h.invoke(&newer, "0")
}
