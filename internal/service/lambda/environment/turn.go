package environment

import (
	"sync"
	"time"

	"brume/internal/sandbox"
)

// How many environments start at one time. Each keeps a processor busy at first; if all of a burst began at once, all would
// take as long as the burst does, and some longer than their init phase may. So each has a turn.
const (
	startsPerCPU = 2
	// startShare is how often is looked whether one that starts still needs its turn. One that wants no processor waits for
	// something else, and keeps nobody waiting any more. How long it takes says nothing: on a busy machine all take long.
	startShare = 250 * time.Millisecond
	// startWork is the processor time after which one has had its turn, whatever it does.
	startWork = 2 * time.Second
	// startCode is how long a turn lasts that has no process yet: its code is being fetched, most likely.
	startCode = 2 * time.Second
)

// A turn is the right to start an environment.
type turn struct {
	places chan struct{}
	began  time.Time

	mu    sync.Mutex
	over  bool
	timer *time.Timer // runs look
	proc  starting
}

// starting is what a turn knows of the environment: a sandbox.Process.
type starting interface {
	Busy() bool
	Stats() sandbox.Stats
}

// startTurn waits until another environment may start.
func (m *Manager) startTurn() (*turn, error) {
	select {
	case m.starts <- struct{}{}:
		return newTurn(m.starts), nil
	case <-m.life.Done():
		return nil, ErrClosed
	}
}

// turnOrIdle is startTurn for an invocation, which takes an environment instead that becomes idle before: in a burst of short
// ones, few have to start.
func (m *Manager) turnOrIdle(f *Function) (*environment, *turn, error) {
	select {
	case m.starts <- struct{}{}:
		return nil, newTurn(m.starts), nil
	default:
	}
	idle := m.await(f)
	select {
	case e := <-idle:
		return e, nil, nil
	case m.starts <- struct{}{}:
		if e := m.awaitNoMore(f, idle); e != nil {
			<-m.starts
			return e, nil, nil
		}
		return nil, newTurn(m.starts), nil
	case <-m.life.Done():
		if e := m.awaitNoMore(f, idle); e != nil {
			m.kill(e)
		}
		return nil, nil, ErrClosed
	}
}

// newTurn is the turn of who has taken one of places.
func newTurn(places chan struct{}) *turn {
	t := &turn{places: places, began: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(startShare, t.look)
	return t
}

// of says what starts.
func (t *turn) of(p starting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proc = p
}

// end ends the turn, of an environment that has started or will not, unless it is over.
func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	t.timer.Stop()
	<-t.places
}

// look ends the turn if it has lasted long enough.
func (t *turn) look() {
	t.mu.Lock()
	p := t.proc
	again := !t.over && (p == nil && time.Since(t.began) < startCode || p != nil && p.Busy() && p.Stats().CPUTime < startWork)
	if again {
		t.timer.Reset(startShare)
	}
	t.mu.Unlock()
	if !again {
		t.end()
	}
}
