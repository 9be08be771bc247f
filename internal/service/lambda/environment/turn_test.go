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
